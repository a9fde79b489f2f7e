//! Segments that hold a value with constant text around it: `42.json`, `7d4a…:cancel`, `@1042`, `syndicate.5f2b…`, `year=2024`.
//!
//! In: a decoded segment. Out: a pattern such as `{i}.json`, in which each value that surely is one has made room for its
//! class, or `None` when the whole segment is one value or may be a constant. A pattern is kept like a word, so that a
//! billion numbers with the same suffix are one entry; it says which values there are and decides nothing: the fold does.
//! A pure function of the text. No word contains a brace (see [`Class::of`]), so a pattern is never taken for one.

use crate::arguments;
use crate::class::{self, Class};

/// Classes with the letters that stand for them in patterns.
const LETTERS: [(char, Class); 14] = [
    ('i', Class::Integer),
    ('d', Class::Digits),
    ('u', Class::Uuid),
    ('h', Class::Hex),
    ('t', Class::Token),
    ('a', Class::Date),
    ('m', Class::DateTime),
    ('e', Class::Email),
    ('n', Class::Address),
    ('s', Class::Semver),
    ('l', Class::List),
    ('x', Class::Text),
    ('f', Class::Number),
    ('w', Class::Any),
];

/// A stretch of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run<'a> {
    /// Text as it was sent.
    Text(&'a str),
    /// A value; [`Class::Any`] where its place tells that it is one and its looks do not.
    Value(Class),
}

/// The pattern of a segment.
pub(crate) fn of(text: &str) -> Option<String> {
    // Most segments have nothing that could join text and a value.
    if !text.bytes().any(|b| b",.:@$~=(".contains(&b)) {
        return None;
    }
    if text.len() <= 160
        && text.contains(['=', '('])
        && let Some(pattern) = arguments::of(text)
    {
        return Some(pattern);
    }
    // What is sent in braces or in other scripts is a value as a whole.
    if text.len() > 160 || !text.is_ascii() || text.contains(['{', '}']) {
        return None;
    }
    match Class::of(text) {
        Some(Class::Token | Class::Digits | Class::List) | None => {}
        Some(_) => return None,
    }
    if text.contains(',') {
        // A list that ends like a file is one more value of `{name}.pdf` where there is such a thing.
        let file = || {
            let (stem, _) = text.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())?;
            let ending = text.get(stem.len()..)?;
            is_ending(ending).then(|| format!("{{l}}{ending}"))
        };
        return pair(text).or_else(file);
    }
    if let Some(sigil @ ('@' | '$' | '~')) = text.chars().next()
        && let Some(letter) = text.get(1..).and_then(value)
    {
        return Some(format!("{sigil}{{{letter}}}"));
    }
    let at = text.rfind(['.', ':']).filter(|at| *at > 0)?;
    let (stem, ending) = (text.get(..at)?, text.get(at..)?);
    if is_ending(ending) {
        // `5f2b….tar` looks like a token and is a value with a suffix.
        let inner = of(stem).or_else(|| Some(format!("{{{}}}", value(stem)?)));
        return inner.map(|inner| inner + ending);
    }
    let letter = ending.get(1..).and_then(value)?;
    let joint = ending.get(..1)?;
    match value(stem) {
        // `1.5` is one number, and the parts of a signed token are one token.
        Some(first) if letter != 't' && first != 't' && (first, letter) != ('i', 'i') => {
            Some(format!("{{{first}}}{joint}{{{letter}}}"))
        }
        _ => is_name(stem).then(|| format!("{stem}{joint}{{{letter}}}")),
    }
}

/// Two numbers and a comma: a point, or a list that happens to have two items.
fn pair(text: &str) -> Option<String> {
    let number = |n: &str| value(n).filter(|letter| matches!(letter, 'i' | 'f'));
    let (a, b) = text.split_once(',')?;
    let fraction = |n: &str| class::is_fraction(n).then_some('f');
    Some(format!(
        "{{{}}},{{{}}}",
        number(a).or_else(|| fraction(a))?,
        number(b).or_else(|| fraction(b))?
    ))
}

/// Whether a pattern is that of two numbers and a comma.
pub(crate) fn is_pair(pattern: &str) -> bool {
    matches!(
        runs(pattern).as_slice(),
        [Run::Value(_), Run::Text(","), Run::Value(_)]
    )
}

/// The letter of what surely is a value, and may stand inside a segment.
pub(crate) fn value(text: &str) -> Option<char> {
    let class = Class::of(text)?;
    let inside = !matches!(class, Class::Text | Class::List | Class::Any);
    LETTERS
        .iter()
        .find(|(_, c)| inside && *c == class)
        .map(|(letter, _)| *letter)
}

/// `.json`, `.mp3`, `:cancel`, `:batchGet`: a joint, and a word that a person wrote.
fn is_ending(text: &str) -> bool {
    let name = text.get(1..).unwrap_or("");
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    (1..=24).contains(&name.len())
        && digits <= 2
        && name
            .bytes()
            .rev()
            .skip(digits)
            .all(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'-')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && Class::of(name).is_none()
}

/// Letters and joints of names.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || b"-_.".contains(&b))
}

/// Whether a word of a tree is a pattern.
pub(crate) fn is_pattern(word: &str) -> bool {
    word.contains('{')
}

/// The runs of a pattern in order; a word is one run of text.
pub(crate) fn runs(pattern: &str) -> Vec<Run<'_>> {
    let mut out = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            out.push(Run::Text(rest.get(..open).unwrap_or("")));
        }
        let letter = rest.get(open + 1..).and_then(|r| r.chars().next());
        let class = LETTERS.iter().find(|(l, _)| Some(*l) == letter);
        out.push(Run::Value(class.map_or(Class::Any, |(_, c)| *c)));
        rest = rest.get(open + 3..).unwrap_or("");
    }
    if !rest.is_empty() {
        out.push(Run::Text(rest));
    }
    out
}

/// Whether a pattern says by its syntax which part of it is a value, see [`crate::arguments`].
pub(crate) fn has_arguments(pattern: &str) -> bool {
    is_pattern(pattern) && pattern.contains(['=', '('])
}

/// Whether the constant text of a pattern is plain, see [`crate::class::is_plain`].
pub(crate) fn is_plain(pattern: &str) -> bool {
    is_pattern(pattern)
        && pattern.len() <= 40
        && pattern
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || b"-_.:@$~,{}=;&()'".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(of(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn a_sure_value_makes_room_for_its_class() {
        check("42.json", Some("{i}.json"));
        check(
            "5f2b9a64-7c1d-4e8b-9a55-0c8e6a1b2c3d:cancel",
            Some("{u}:cancel"),
        );
        check("6cadb1370a599435d5fb1172.json", Some("{h}.json"));
        check("cus_9s6XKzkNRiz8i3:undelete", Some("{t}:undelete"));
        check("1042.schema.jsonld", Some("{i}.schema.jsonld"));
        check("2024-02-29.csv", Some("{a}.csv"));
        check(
            "5f2b9a64-7c1d-4e8b-9a55-0c8e6a1b2c3d.tar.gz",
            Some("{u}.tar.gz"),
        );
        check("12736.clover", Some("{i}.clover"));
        check("clip7.mp4", None);
        check("77.mp4", Some("{i}.mp4"));
        check("@1042", Some("@{i}"));
        check("$33205", Some("${i}"));
        check(
            "syndicate.a3a40e69-ab59-4663-b85d-3ccfdb7547c7",
            Some("syndicate.{u}"),
        );
        check("isbn:9780141036144", Some("isbn:{i}"));
        check("33.a3a40e69-ab59-4663-b85d-3ccfdb7547c7", Some("{i}.{u}"));
        check("48.85,-2.35", Some("{f},{f}"));
        check("7,9", Some("{i},{i}"));
        check("a.pdf,b.pdf", Some("{l}.pdf"));
        check("a.b,c", None);
    }

    #[test]
    fn what_only_siblings_can_tell_stays_whole() {
        for text in [
            "users",
            "42",
            "v1.2",
            "2.0",
            "1.2.3",
            "10.0.0.1",
            "lists.json",
            "album.tracks.get",
            "@ada",
            "ada.lovelace12",
            "amber-birch.md",
            "report-2024.pdf",
            "ada@example.com",
            "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4fw",
            "{1}.json",
            "",
            ".",
            ":",
            ".json",
            "1.",
            ":1",
            "größe.1",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_pattern_is_read_back() {
        assert_eq!(
            runs("a.{i}.json"),
            [
                Run::Text("a."),
                Run::Value(Class::Integer),
                Run::Text(".json")
            ]
        );
        assert_eq!(runs("lists"), [Run::Text("lists")]);
        for (letter, class) in LETTERS {
            assert_eq!(runs(&format!("{{{letter}}}")), [Run::Value(class)]);
        }
    }
}
