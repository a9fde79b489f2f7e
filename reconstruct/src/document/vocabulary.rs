//! Which vocabularies are enumerations, and which texts are codes of a published list.
//!
//! In: the texts of a position and the name of the member they stand in. Out: the members of an enumeration, when more
//! traffic would hardly add one, or the list the codes are taken from.

use crate::codes;
use crate::json::is_identifying;
use crate::strings::Strings;
use std::collections::BTreeMap;

/// The words of an enumeration.
pub(crate) fn enumeration<'s>(strings: &'s Strings, member: &str) -> Option<Vec<&'s str>> {
    let words = strings.closed_vocabulary()?;
    (!names_things(member)
        && hint(strings, member).is_none()
        && !is_numbered(&words)
        // Prices and amounts are written like versions.
        && (says_version(member) || !words.iter().all(|w| is_decimal(w))))
    .then_some(words)
}

/// The published list codes are taken from. Lists are open: an answer tomorrow may carry another of its codes.
pub(crate) fn hint(strings: &Strings, member: &str) -> Option<&'static str> {
    let list = codes::name(strings.formats)?;
    if strings.count == strings.empty {
        return None;
    }
    // `no` is Norwegian and a word: without a name that says what it is, it takes several codes.
    let n = plain(member);
    let said = codes::said_by(list).iter().any(|w| n.contains(w));
    (said || strings.distinct() >= 5).then_some(list)
}

/// Words that only differ in a number count something up, and the next one comes with more traffic. Few published enumerations
/// have eight such members.
fn is_numbered(words: &[&str]) -> bool {
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    for word in words
        .iter()
        .filter(|w| w.bytes().any(|b| b.is_ascii_digit()))
    {
        let family: String = word
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        *families.entry(family).or_default() += 1;
    }
    families
        .values()
        .any(|n| *n >= 8 && n * 5 >= words.len() * 3)
}

fn is_decimal(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn says_version(member: &str) -> bool {
    let n = plain(member);
    ["version", "protocol", "release", "tls"]
        .iter()
        .any(|w| n.contains(w))
}

fn plain(member: &str) -> String {
    member
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// Members whose few values are names of things and people all the same, and would grow with more traffic.
fn names_things(member: &str) -> bool {
    let n = plain(member);
    is_identifying(member)
        || [
            "name",
            "title",
            "label",
            "city",
            "town",
            "address",
            "street",
            "email",
            "phone",
            "country",
            "currency",
            "locale",
            "language",
            "lang",
            "timezone",
            "tag",
            "tags",
            "author",
            "owner",
            "user",
            "username",
            "password",
            "secret",
            "token",
            "hash",
            "slug",
            "description",
            "comment",
            "message",
            "text",
            "state",
            "province",
            "region",
            "place",
            "company",
            "organization",
        ]
        .iter()
        .any(|w| {
            n == *w
                || (w.len() >= 4
                    && n.ends_with(w)
                    && !matches!(*w, "state" | "text" | "region" | "user" | "message"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(member: &str, words: &[&str], expected: Option<usize>, list: Option<&str>) {
        let mut s = Strings::default();
        for word in words.iter().cycle().take(words.len() * 12) {
            s.learn(word);
        }
        assert_eq!(
            enumeration(&s, member).map(|w| w.len()),
            expected,
            "{member} {words:?}"
        );
        assert_eq!(hint(&s, member), list, "{member} {words:?}");
    }

    #[test]
    fn closed_vocabularies_are_enumerations() {
        check("status", &["open", "closed"], Some(2), None);
        check("winner", &["red", "blue", ""], Some(2), None);
        check("nodeVersion", &["10.x", "12.x", "18.x"], Some(3), None);
        check("format", &["image/png", "image/webp"], Some(2), None);
        check("scope", &["1 (Plan)", "2 (User)"], Some(2), None);
        check("version", &["1.0", "2.0", "2.1"], Some(3), None);
        check("resolution", &["1080p", "720p"], Some(2), None);
    }

    #[test]
    fn open_ones_are_not() {
        check("name", &["amber", "birch"], None, None);
        check("price", &["1.5", "2.5"], None, None);
        let tasks: Vec<String> = (0..10).map(|i| format!("Task{i}")).collect();
        check(
            "task",
            &tasks.iter().map(String::as_str).collect::<Vec<_>>(),
            None,
            None,
        );
    }

    #[test]
    fn codes_of_published_lists_are_told() {
        check("currency", &["USD", "EUR"], None, Some("currency"));
        check(
            "sofort",
            &["USD", "EUR", "GBP", "SEK", "CHF"],
            None,
            Some("currency"),
        );
        check("flag", &["ALL", "TOP"], Some(2), None);
        check("country", &["US", "DE"], None, Some("country"));
        check("languages", &["en", "pt-BR", "de"], None, Some("language"));
        check(
            "mobile",
            &["+12025550143", "+498912345678"],
            None,
            Some("phone"),
        );
        check("answer", &["no", "so"], Some(2), None);
    }
}
