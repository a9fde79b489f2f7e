//! Formats a string may have: which ones a text satisfies, strictly enough that a validator agrees.
//!
//! In: a text and the formats still possible. Out: those it satisfies. The formats of a position are the intersection
//! over everything seen there, so the work ends as soon as none is left.

use crate::codes;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A set of formats as bits.
pub(crate) type Formats = u32;

pub(crate) const DATE_TIME: Formats = 1;
pub(crate) const DATE: Formats = 1 << 1;
pub(crate) const TIME: Formats = 1 << 2;
pub(crate) const UUID: Formats = 1 << 3;
pub(crate) const EMAIL: Formats = 1 << 4;
pub(crate) const URI: Formats = 1 << 5;
pub(crate) const IPV4: Formats = 1 << 6;
pub(crate) const IPV6: Formats = 1 << 7;
pub(crate) const HOSTNAME: Formats = 1 << 8;
pub(crate) const DURATION: Formats = 1 << 9;
/// Decimal integer text; a type where everything is text (queries, headers, forms), nothing in JSON.
pub(crate) const INTEGER: Formats = 1 << 10;
/// Decimal number text, integers included.
pub(crate) const NUMBER: Formats = 1 << 11;
/// `true` or `false`.
pub(crate) const BOOLEAN: Formats = 1 << 12;
/// A file of a multipart form; set by the reader of the form, never by looking.
pub(crate) const FILE: Formats = 1 << 13;
/// ISO 4217, see [`crate::codes`].
pub(crate) const CURRENCY: Formats = 1 << 14;
/// ISO 3166-1, alpha-2.
pub(crate) const COUNTRY: Formats = 1 << 15;
/// BCP 47.
pub(crate) const LANGUAGE: Formats = 1 << 16;
/// E.164.
pub(crate) const PHONE: Formats = 1 << 17;
/// Could be Base64 (RFC 4648, 4), as long mixed tokens of the right length could.
const BASE64: Formats = 1 << 18;
/// Nothing but letters and digits: Base64 shows itself by its other characters, which must come sooner or later.
const PLAIN: Formats = 1 << 19;
/// Everything a text can be tried for.
pub(crate) const ANY: Formats = ((1 << 20) - 1) & !FILE;

/// Whether a text has a format.
type Test = fn(&str) -> bool;

/// In the order of their bits.
const TESTS: [Test; 20] = [
    is_date_time,
    is_date,
    is_time,
    is_uuid,
    is_email,
    is_uri,
    is_ipv4,
    is_ipv6,
    is_hostname,
    is_duration,
    is_integer,
    is_number,
    is_boolean,
    // A file is none by its looks.
    |_| false,
    codes::is_currency,
    codes::is_country,
    codes::is_language,
    codes::is_phone,
    is_base64,
    is_plain,
];

/// Those of `possible` that `text` satisfies.
pub(crate) fn satisfied(text: &str, possible: Formats) -> Formats {
    let (mut set, mut left) = (0, possible & ANY);
    while left != 0 {
        let at = left.trailing_zeros();
        left &= left - 1;
        if TESTS.get(at as usize).is_some_and(|test| test(text)) {
            set |= 1 << at;
        }
    }
    // Most texts are plain; that is looked at only while it tells something.
    if set & BASE64 == 0 { set & !PLAIN } else { set }
}

/// The JSON Schema name of the most specific format in the set.
pub(crate) fn name(formats: Formats) -> Option<&'static str> {
    const NAMES: [(Formats, &str); 10] = [
        (DATE_TIME, "date-time"),
        (DATE, "date"),
        (TIME, "time"),
        (UUID, "uuid"),
        (EMAIL, "email"),
        (URI, "uri"),
        (IPV4, "ipv4"),
        (IPV6, "ipv6"),
        (HOSTNAME, "hostname"),
        (DURATION, "duration"),
    ];
    NAMES
        .iter()
        .find(|(bit, _)| formats & bit != 0)
        .map(|(_, name)| *name)
}

/// Whether the texts are octets in Base64.
pub(crate) fn is_octets(formats: Formats) -> bool {
    formats & BASE64 != 0 && formats & PLAIN == 0
}

fn digits(bytes: &[u8], from: usize, to: usize) -> Option<u32> {
    bytes.get(from..to)?.iter().try_fold(0u32, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0'))
    })
}

/// `full-date` of RFC 3339.
pub(crate) fn is_date(text: &str) -> bool {
    text.len() == 10 && date(text.as_bytes()).is_some()
}

fn date(b: &[u8]) -> Option<()> {
    let (year, month, day) = (digits(b, 0, 4)?, digits(b, 5, 7)?, digits(b, 8, 10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    (b.get(4) == Some(&b'-') && b.get(7) == Some(&b'-') && (1..=last).contains(&day)).then_some(())
}

/// `date-time` of RFC 3339: with `T` and an offset.
pub(crate) fn is_date_time(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() >= 20
        && b.len() <= 40
        && date(b).is_some()
        && matches!(b.get(10), Some(b'T' | b't'))
        && text.get(11..).is_some_and(is_time)
}

/// `full-time` of RFC 3339.
pub(crate) fn is_time(text: &str) -> bool {
    let b = text.as_bytes();
    let clock = || {
        let (h, m, s) = (digits(b, 0, 2)?, digits(b, 3, 5)?, digits(b, 6, 8)?);
        (b.get(2) == Some(&b':') && b.get(5) == Some(&b':') && h < 24 && m < 60 && s < 60)
            .then_some(())
    };
    if clock().is_none() {
        return false;
    }
    let mut at = 8;
    if b.get(at) == Some(&b'.') {
        let fraction = b.iter().skip(9).take_while(|c| c.is_ascii_digit()).count();
        if fraction == 0 {
            return false;
        }
        at += 1 + fraction;
    }
    match b.get(at..) {
        Some([b'Z' | b'z']) => true,
        Some(offset @ [b'+' | b'-', ..]) if offset.len() == 6 && offset.get(3) == Some(&b':') => {
            digits(offset, 1, 3).is_some_and(|h| h < 24)
                && digits(offset, 4, 6).is_some_and(|m| m < 60)
        }
        _ => false,
    }
}

/// RFC 9562 in its usual spelling, either case.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| {
            if matches!(i, 8 | 13 | 18 | 23) {
                b == b'-'
            } else {
                b.is_ascii_hexdigit()
            }
        })
}

/// A plain address of RFC 5321: no quotes, no comments, a dotted domain.
pub(crate) fn is_email(text: &str) -> bool {
    let Some(at) = text.bytes().position(|b| b == b'@') else {
        return false;
    };
    let (Some(local), Some(domain)) = (text.get(..at), text.get(at + 1..)) else {
        return false;
    };
    // Atoms of these, joined by single dots.
    let atoms = |t: &str| {
        let mut last = b'.';
        t.bytes().all(|b| {
            let fine = b.is_ascii_alphanumeric()
                || b == b'.' && last != b'.'
                || matches!(
                    b,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'/'
                        | b'='
                        | b'?'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'{'
                        | b'|'
                        | b'}'
                        | b'~'
                        | b'-'
                );
            last = b;
            fine
        }) && last != b'.'
    };
    text.len() <= 254
        && local.len() <= 64
        && atoms(local)
        && is_domain(domain)
        && domain.bytes().any(|b| b == b'.')
}

fn is_domain(text: &str) -> bool {
    // Of the label that is being read.
    let (mut length, mut letters, mut last) = (0, false, b'.');
    let labels = text.len() <= 253
        && text.bytes().all(|b| {
            let before = last;
            last = b;
            if b == b'.' {
                let fine = (1..=63).contains(&length) && before != b'-';
                (length, letters) = (0, false);
                return fine;
            }
            length += 1;
            letters |= b.is_ascii_alphabetic();
            b.is_ascii_alphanumeric() || b == b'-' && before != b'.'
        });
    labels && (2..=63).contains(&length) && letters && last != b'-'
}

/// A name with at least three labels; `readme.md` is a file far more often than a host. A JSON Web Token has three parts
/// too, the first of which encodes `{"`.
pub(crate) fn is_hostname(text: &str) -> bool {
    text.bytes().filter(|b| *b == b'.').count() >= 2 && !text.starts_with("eyJ") && is_domain(text)
}

/// An absolute URI of RFC 3986 with an authority, or one of the common opaque schemes.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some(at) = text.bytes().take(21).position(|b| b == b':') else {
        return false;
    };
    let (Some(scheme), Some(rest)) = (text.get(..at), text.get(at + 1..)) else {
        return false;
    };
    let named = scheme.len() >= 2
        && scheme.len() <= 20
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let opaque = matches!(scheme, "mailto" | "urn" | "tel" | "data");
    let characters = rest.bytes().all(|b| {
        matches!(
            b,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'/'
                | b'?'
                | b'#'
                | b'['
                | b']'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('..=b',' | b';' | b'=' | b'%'
        ) || b.is_ascii_alphanumeric()
    });
    let escapes = !rest.bytes().any(|b| b == b'%')
        || rest.split('%').skip(1).all(|e| {
            e.as_bytes()
                .get(..2)
                .is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit))
        });
    named
        && characters
        && escapes
        && (opaque && !rest.is_empty()
            || rest
                .strip_prefix("//")
                .is_some_and(|r| !r.is_empty() && !r.contains(['[', ']'])))
}

pub(crate) fn is_ipv4(text: &str) -> bool {
    text.len() <= 15 && text.parse::<Ipv4Addr>().is_ok()
}

pub(crate) fn is_ipv6(text: &str) -> bool {
    text.len() <= 45 && text.contains(':') && text.parse::<Ipv6Addr>().is_ok()
}

/// A duration of ISO 8601 as RFC 3339, appendix A, has it.
pub(crate) fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else {
        return false;
    };
    if let Some(weeks) = rest.strip_suffix('W') {
        return !weeks.is_empty() && weeks.bytes().all(|b| b.is_ascii_digit());
    }
    let (days, clock) = rest
        .split_once('T')
        .map_or((rest, None), |(d, c)| (d, Some(c)));
    let units = |mut part: &str, order: &str| {
        let mut left = order;
        while !part.is_empty() {
            let n = part.bytes().take_while(u8::is_ascii_digit).count();
            let Some(unit) = part.get(n..).and_then(|p| p.chars().next()) else {
                return false;
            };
            let Some(at) = left.find(unit) else {
                return false;
            };
            if n == 0 {
                return false;
            }
            left = left.get(at + 1..).unwrap_or("");
            part = part.get(n + unit.len_utf8()..).unwrap_or("");
        }
        true
    };
    match clock {
        Some(clock) => !clock.is_empty() && units(days, "YMD") && units(clock, "HMS"),
        None => !days.is_empty() && units(days, "YMD"),
    }
}

pub(crate) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (1..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'))
}

pub(crate) fn is_number(text: &str) -> bool {
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text, None), |(w, f)| (w, Some(f)));
    is_integer(whole)
        && fraction
            .is_none_or(|f| (1..=17).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()))
}

pub(crate) fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "false" | "True" | "False")
}

/// 16 characters or more, padded as they must be, both cases and a digit, no bit set that carries nothing.
fn is_base64(text: &str) -> bool {
    let bytes = text.as_bytes();
    let body = text.trim_end_matches('=').as_bytes();
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let unused = match bytes.len() - body.len() {
        0 => 0,
        1 => 0b11,
        2 => 0b1111,
        _ => return false,
    };
    bytes.len() >= 16
        && bytes.len().is_multiple_of(4)
        && body.iter().all(|b| value(*b).is_some())
        && body
            .last()
            .and_then(|b| value(*b))
            .is_some_and(|v| v & unused == 0)
        && body.iter().any(u8::is_ascii_uppercase)
        && body.iter().any(u8::is_ascii_lowercase)
        && body.iter().any(u8::is_ascii_digit)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(
            name(satisfied(text, ANY)).unwrap_or("-"),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn formats_are_recognised_strictly() {
        check("2024-02-29T23:59:59Z", "date-time");
        check("2024-02-29T23:59:59.123+02:00", "date-time");
        check("2023-02-29T00:00:00Z", "-");
        check("2024-01-01T00:00:00", "-");
        check("2024-01-01 00:00:00Z", "-");
        check("2024-12-31", "date");
        check("2024-13-01", "-");
        check("10:30:00Z", "time");
        check("10:30", "-");
        check("c0ffee00-0000-4000-8000-000000000000", "uuid");
        check("ada.lovelace@example.com", "email");
        check("ada@", "-");
        check("https://example.com/a?b=%20", "uri");
        check("https://example.com/a b", "-");
        check("note: this", "-");
        check("10.0.0.255", "ipv4");
        check("10.0.0.256", "-");
        check("2001:db8::1", "ipv6");
        check("a-1.example.net", "hostname");
        check("readme.md", "-");
        check("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "-");
        check("P3DT4H", "duration");
        check("P", "-");
        check("", "-");
    }

    #[test]
    fn base64_shows_itself() {
        let all = |texts: &[&str]| is_octets(texts.iter().fold(ANY, |f, t| satisfied(t, f)));
        assert!(all(&[
            "iVBORw0KGgoAAAANSUhEUg==",
            "R0lGODlhAQABAIAAAAAAAP1w"
        ]));
        // Tokens of letters and digits, a path, a padding that is wrong.
        assert!(!all(&["Zm9vYmFyYmF6cXV4", "QUJDREVGR0hJSktM"]));
        assert!(!all(&["iVBORw0KGgoAAAANSUhEUg="]));
        assert!(!all(&["iVBORw0KGgoAAAANSUhEUh=="]));
        assert!(!all(&["some/words/in/path"]));
    }

    #[test]
    fn text_types_follow_json() {
        let types = |t: &str| satisfied(t, INTEGER | NUMBER | BOOLEAN);
        assert_eq!(types("42"), INTEGER | NUMBER);
        assert_eq!(types("-4.20"), NUMBER);
        assert_eq!(types("007"), 0);
        assert_eq!(types("true"), BOOLEAN);
        assert_eq!(types("1e5"), 0);
    }
}
