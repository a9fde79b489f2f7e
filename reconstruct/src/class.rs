//! What a path segment or an object key looks like.
//!
//! In: one decoded segment. Out: a [`Class`] when it surely is a value (a UUID is never a constant), or `None` when only
//! its siblings can tell. A pure function of the text: every model of a host sees the same classes.

use crate::format;
use crate::lexicon;
use crate::pattern;
use serde::{Deserialize, Serialize};

/// Segments that are values whatever stands beside them. Their number is small, so a node needs no bound for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Class {
    /// A decimal integer that JSON numbers carry exactly: at most 15 digits, no leading zero.
    Integer,
    /// Other runs of digits: phone numbers, 64-bit ids, zero-padded codes. Strings, not numbers.
    Digits,
    /// RFC 9562.
    Uuid,
    /// 12 or more hexadecimal digits with letters and digits: object ids, hashes.
    Hex,
    /// A prefix and a random tail (`cus_9s6XKzkNRiz8i3`), ULIDs, long mixed tokens.
    Token,
    /// `2024-02-29`.
    Date,
    /// RFC 3339.
    DateTime,
    /// `a@b.example`.
    Email,
    /// IPv4 or IPv6.
    Address,
    /// `1.2.3`; shorter ones may be an API's version and stay undecided.
    Semver,
    /// A decimal fraction that is no version: `48.8566`, `-0.5`.
    Number,
    /// Values joined by commas.
    List,
    /// Blanks, control or non-ASCII characters, or very long: text somebody typed.
    Text,
    /// All of the above, when a bound forbids telling them apart.
    Any,
}

impl Class {
    /// The class of `text`, or `None` when it may be a constant as well.
    pub(crate) fn of(text: &str) -> Option<Class> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 96 {
            return Some(Class::Text);
        }
        // One look tells which of the classes need another.
        let signs = bytes.iter().fold(0, |all, b| all | sign(*b));
        if signs == DIGIT {
            let exact = bytes.len() <= 15 && (bytes.len() == 1 || bytes.first() != Some(&b'0'));
            return Some(if exact { Class::Integer } else { Class::Digits });
        }
        if let [b'-', digits @ ..] = bytes
            && (1..=15).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit)
        {
            return Some(Class::Integer);
        }
        if signs & ODD != 0 {
            return Some(Class::Text);
        }
        if format::is_uuid(text) {
            return Some(Class::Uuid);
        }
        if format::is_date(text) {
            return Some(Class::Date);
        }
        if format::is_date_time(text) {
            return Some(Class::DateTime);
        }
        let (dots, digits) = (signs & DOT != 0, signs & DIGIT != 0);
        if dots && digits && format::is_ipv4(text) || signs & COLON != 0 && format::is_ipv6(text) {
            return Some(Class::Address);
        }
        if signs & AT != 0 && format::is_email(text) {
            return Some(Class::Email);
        }
        if signs & COMMA != 0 {
            return Some(Class::List);
        }
        if dots && digits {
            if is_semver(text) {
                return Some(Class::Semver);
            }
            if is_fraction(text) && !is_version(text) {
                return Some(Class::Number);
            }
        }
        if digits && bytes.len() >= 12 && is_hex(bytes) {
            return Some(Class::Hex);
        }
        if is_token(text) {
            return Some(Class::Token);
        }
        None
    }
}

const DIGIT: u8 = 1;
const DOT: u8 = 1 << 1;
const COLON: u8 = 1 << 2;
const AT: u8 = 1 << 3;
const COMMA: u8 = 1 << 4;
/// Blanks, control and non-ASCII characters, and those that no word of a path or name of a member has.
const ODD: u8 = 1 << 5;
/// Letters and the joints of names.
const OTHER: u8 = 1 << 6;

/// What a byte of a text may mean for its class.
fn sign(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => DIGIT,
        b'.' => DOT,
        b':' => COLON,
        b'@' => AT,
        b',' => COMMA,
        b'%' | b'{' | b'}' | b'<' | b'>' | b'"' | b'`' | b'|' | b'\\' | b'^' | b'[' | b']'
        | b'?' | b'#' | b'/' => ODD,
        b if b.is_ascii_graphic() => OTHER,
        _ => ODD,
    }
}

fn is_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        || bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}

/// Three numbers and dots, perhaps with a pre-release: nobody versions an API's paths that finely.
fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or("");
    core.split('.').count() == 3
        && core
            .split('.')
            .all(|n| (1..=4).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Digits on both sides of a point, and perhaps a sign.
pub(crate) fn is_fraction(text: &str) -> bool {
    let digits = |n: &str| (1..=15).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('-')
        .unwrap_or(text)
        .split_once('.')
        .is_some_and(|(whole, part)| digits(whole) && digits(part))
}

/// A machine made it: long, mixed, changing its kind of character often.
fn is_token(text: &str) -> bool {
    // The tail after the last separator decides for prefixed ids; a JWT's dots join three such tails.
    let tail = text.rsplit(['_', '-', '.', ':', '~']).next().unwrap_or("");
    random(tail, 10) || random(text, 16)
}

fn random(text: &str, least: usize) -> bool {
    if text.len() < least {
        return false;
    }
    let (mut upper, mut lower, mut digit, mut changes) = (0, 0, 0, 0);
    let mut last = 0;
    for b in text.bytes() {
        let kind = match b {
            b'A'..=b'Z' => 1,
            b'a'..=b'z' => 2,
            b'0'..=b'9' => 3,
            _ => continue,
        };
        match kind {
            1 => upper += 1,
            2 => lower += 1,
            _ => digit += 1,
        }
        changes += usize::from(last != 0 && last != kind);
        last = kind;
    }
    let mixed = usize::from(upper > 0) + usize::from(lower > 0) + usize::from(digit > 0);
    // camelCase and names with a number change seldom; random text changes at every third character or so.
    // Short words in camelCase change as often, but they are words.
    (digit > 0 && mixed >= 2 && changes * 4 >= text.len())
        || (digit == 0
            && mixed == 2
            && text.len() >= 12
            && changes * 5 >= text.len() * 2
            && lexicon::level(text) < 1.0)
}

/// `v1`, `v2.1`, `2.0`, `v1beta2`: the version of an API, constant however many there are.
pub(crate) fn is_version(text: &str) -> bool {
    let (body, marked) = match text.strip_prefix(['v', 'V']) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut parts = body.splitn(2, |c: char| c.is_ascii_alphabetic());
    let number = parts.next().unwrap_or("");
    let suffix = body.get(number.len()..).unwrap_or("");
    let dotted = number
        .split(['.', '_'])
        .all(|n| (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()));
    let known = suffix.is_empty()
        || ["alpha", "beta", "rc", "preview"].iter().any(|s| {
            suffix
                .strip_prefix(s)
                .is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()))
        });
    dotted && known && (marked || number.contains('.'))
}

/// Letters with the usual joints of names in code, a pattern of such, or a version.
pub(crate) fn is_plain(text: &str) -> bool {
    is_version(text)
        || pattern::is_plain(text)
        || (text.len() <= 40
            && text
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || b"-_.:".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Class>) {
        assert_eq!(Class::of(text), expected, "{text:?}");
    }

    #[test]
    fn values_are_known_by_their_looks() {
        check("42", Some(Class::Integer));
        check("0", Some(Class::Integer));
        check("-7", Some(Class::Integer));
        check("007", Some(Class::Digits));
        check("123456789012345678", Some(Class::Digits));
        check("5f2b9a64-7c1d-4e8b-9a55-0c8e6a1b2c3d", Some(Class::Uuid));
        check("5f2b9a647c1d4e8b9a550c8e", Some(Class::Hex));
        check("cus_9s6XKzkNRiz8i3", Some(Class::Token));
        check("01ARZ3NDEKTSV4RRFFQ69G5FAV", Some(Class::Token));
        check("2024-02-29", Some(Class::Date));
        check("2024-02-29T10:00:00Z", Some(Class::DateTime));
        check("ada@example.com", Some(Class::Email));
        check("10.0.0.1", Some(Class::Address));
        check("1.2.3", Some(Class::Semver));
        check("a,b,c", Some(Class::List));
        check("48.8566", Some(Class::Number));
        check("-0.5", Some(Class::Number));
        check("hello world", Some(Class::Text));
        check("größe", Some(Class::Text));
    }

    #[test]
    fn what_may_be_a_constant_stays_open() {
        for word in [
            "users",
            "user-profiles",
            "getUserById",
            "WhatAreMyOptions",
            "v1",
            "2.0",
            "oauth2",
            "int32s",
            "ab3dEFgh",
            "amber-birch.md",
            "ada.lovelace12",
            "me",
            "US",
            "wp-login.php",
        ] {
            check(word, None);
        }
        assert!(
            is_version("v1")
                && is_version("2.0")
                && is_version("v2beta1")
                && !is_version("vim")
                && !is_version("2")
        );
    }

    #[test]
    fn no_text_panics() {
        for text in [
            "", "-", ".", "..", "v", "V", "🦀", "v🦀", "-🦀", "\u{0}", "eyJ.", "_", "1.", "1..2",
        ] {
            let _ = (Class::of(text), is_version(text), is_plain(text));
        }
    }
}
