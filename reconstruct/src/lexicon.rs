//! How common the words in a segment are in published APIs' paths.
//!
//! In: a path segment. Out: a level from 0 (no word of it is known) to 6. It is a prior: which segments are constants is
//! never decided by it alone, since names that people give are made of the same words. The words and how they were counted
//! are in `lexicon.txt`.

use std::collections::HashMap;
use std::sync::LazyLock;

static LEVELS: LazyLock<HashMap<&'static str, u8>> = LazyLock::new(|| {
    include_str!("lexicon.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .flat_map(|(level, words)| {
            let level = level.parse().unwrap_or(0);
            words.split(' ').map(move |w| (w, level))
        })
        .collect()
});

/// Longer runs of letters are not taken apart.
const LONGEST: usize = 32;

/// The mean level of the words in a segment; 0 where it has none. `getUserById` has four, `user-profiles` two.
pub(crate) fn level(segment: &str) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for token in tokens(segment).filter(|t| t.len() > 1) {
        sum += level_of(&token.to_ascii_lowercase());
        count += 1;
    }
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

/// The level of the rarest word in a segment, taken as written or in the plural; `None` where it has no word.
pub(crate) fn least_level(segment: &str) -> Option<u8> {
    tokens(segment)
        .filter(|t| t.len() > 1)
        .map(|token| {
            let token = token.to_ascii_lowercase();
            let singular = || LEVELS.get(token.strip_suffix('s')?);
            LEVELS
                .get(token.as_str())
                .or_else(singular)
                .copied()
                .unwrap_or(0)
        })
        .min()
}

/// A word, its singular, or two words written as one.
fn level_of(token: &str) -> f64 {
    let level = |t: &str| LEVELS.get(t).map(|l| f64::from(*l));
    if let Some(known) = level(token) {
        return known;
    }
    if let Some(singular) = token.strip_suffix('s').and_then(level) {
        return singular * 0.8;
    }
    if token.len() > LONGEST {
        return 0.0;
    }
    (3..token.len().saturating_sub(2))
        .filter_map(|at| token.split_at_checked(at))
        .filter_map(|(a, b)| Some(level(a)?.min(level(b)?) * 0.6))
        .fold(0.0, f64::max)
}

/// Runs of letters, split where the case changes: `getURLById` is `get`, `URL`, `By`, `Id`.
fn tokens(segment: &str) -> impl Iterator<Item = &str> {
    let mut rest = segment;
    std::iter::from_fn(move || {
        let from = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let text = rest.get(from..)?;
        let bytes = text.as_bytes();
        let uppers = bytes.iter().take_while(|b| b.is_ascii_uppercase()).count();
        let lowers = bytes
            .iter()
            .skip(uppers)
            .take_while(|b| b.is_ascii_lowercase())
            .count();
        // The last capital of a run begins the word that follows.
        let end = match (uppers, lowers) {
            (_, 0) => uppers,
            (0 | 1, _) => uppers + lowers,
            _ => uppers - 1,
        };
        rest = text.get(end..)?;
        text.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(segment: &str, expected: &[&str]) {
        assert_eq!(tokens(segment).collect::<Vec<_>>(), expected, "{segment}");
    }

    #[test]
    fn segments_are_split_into_words() {
        check("users", &["users"]);
        check("getUserById", &["get", "User", "By", "Id"]);
        check("URLRewrite", &["URL", "Rewrite"]);
        check("user-profiles_v2.json", &["user", "profiles", "v", "json"]);
        check("größe42", &["gr", "e"]);
        check("", &[]);
    }

    #[test]
    fn common_words_are_known_and_names_are_not() {
        for common in [
            "users",
            "search",
            "getUserById",
            "send-message",
            "buildcache",
        ] {
            assert!(level(common) > 1.0, "{common}: {}", level(common));
        }
        for name in ["joan_wirth80", "ersTqBze", "zq", "42", "", "🦀"] {
            assert_eq!(level(name), 0.0, "{name}");
        }
        assert!(level("users") > level("agreements"));
    }
}
