//! How long a name is kept when a bound thins out the map it stands in.
//!
//! In: a name (a path segment, a member, a header). Out: the level up to which none of its kind is given up. A pure function of
//! the text: how often something was seen would depend on when it was seen first. What nobody would name a thing goes
//! first, what published APIs name things goes last.

use crate::{class, keys, lexicon, pattern};

/// Names with digits and odd signs are halved this often before any other: of a billion a dozen are left.
pub(crate) const ODD: u8 = 26;
/// So often words are halved that are more likely drawn by lot than named, before any that is named. Each bit by which a
/// word is likelier a name than random letters saves it one halving: since only one in 2ⁿ random texts has n such
/// bits, a million of them are down to a few hundred after a dozen halvings, a billion after two dozen.
pub(crate) const UNLIKELY: u8 = 22;
/// So often words are halved that look like names and that published APIs do not have, before those that they have: of a
/// million a few are left.
pub(crate) const UNKNOWN: u8 = 16;
/// And so often more for each level of the lexicon.
const LEVEL: u8 = 3;
/// No name has a higher rank.
pub(crate) const HIGHEST: u8 = ODD + UNLIKELY + UNKNOWN + 6 * LEVEL;

/// The level up to which a name is safe.
pub(crate) fn rank(name: &str) -> u8 {
    if name.len() <= 2 && name.bytes().all(|b| b.is_ascii_digit()) {
        // Versions at the front of a path, see [`crate::tree::segments`]. There are a hundred.
        return HIGHEST;
    }
    if !class::is_plain(name) {
        return 0;
    }
    match lexicon::least_level(name) {
        Some(0) => {
            let bits = keys::bits(name).clamp(0, i32::from(UNLIKELY));
            ODD + bits as u8
        }
        Some(level) => (ODD + UNLIKELY + UNKNOWN).saturating_add(LEVEL * level.min(6)),
        // A blank, or the number of a version: few are as short.
        None if name.bytes().filter(u8::is_ascii_digit).count() <= 2
            && (class::is_version(name) || pattern::is_pattern(name)) =>
        {
            HIGHEST
        }
        None if name.len() <= 2 || class::is_version(name) => ODD + UNLIKELY,
        None => ODD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], least: u8, most: u8) {
        for name in names {
            let rank = rank(name);
            assert!((least..=most).contains(&rank), "{name}: {rank}");
        }
    }

    #[test]
    fn what_apis_are_made_of_is_kept_longest() {
        check(&["v1", "@{i}", "v2.0", "12"], HIGHEST, HIGHEST);
        let known = ODD + UNLIKELY + UNKNOWN + LEVEL;
        check(
            &["users", "search", "user-profiles", "getUserById", "orders"],
            known,
            HIGHEST,
        );
        assert!(rank("users") > rank("agreements"));
        check(
            &["quotation", "parcels", "bracelet", "thermostats"],
            ODD + 6,
            ODD + UNLIKELY,
        );
        check(&["xkqvzjwpt", "qzxhvkbnw"], ODD, ODD);
        check(&["_-._:", "a.b.c.d"], ODD, ODD);
        check(&["v1.2.3", "v999"], ODD + UNLIKELY, ODD + UNLIKELY);
        check(&["x7", "wp-login.php7", "größe"], 0, 0);
    }

    #[test]
    fn random_letters_seldom_look_like_names() {
        let drawn = (0..20_000u32).map(|n| {
            let text: String = (0..9u32)
                .map(|i| {
                    let h = crate::bounded::hash(&format!("{n} {i}"));
                    char::from(b'a' + (h % 26) as u8)
                })
                .collect();
            rank(&text)
        });
        let mut above = [0; 256];
        drawn.for_each(|r| above[usize::from(r)] += 1);
        for bits in 1..=10 {
            let count: u32 = above[usize::from(ODD + bits)..].iter().sum();
            assert!(count <= 20_000 >> bits, "{bits}: {count}");
        }
    }
}
