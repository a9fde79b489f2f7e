//! Mends what recorders get wrong inside strings, so that one bad character does not cost its entry.
//!
//! In: the JSON text of one entry. Out: the same with bytes that are not UTF-8 and escapes of half a character (a lone
//! surrogate, left by a tool that cut a text) turned into U+FFFD, and raw control characters in strings escaped; or
//! nothing when there was nothing to mend. It never touches anything outside strings.

use std::borrow::Cow;

const REPLACEMENT: &str = "\u{fffd}";

/// The mended text, when anything needed mending.
pub(super) fn mend(json: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(json);
    let mut changed = matches!(text, Cow::Owned(_));
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_ref();
    let mut in_string = false;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let special = from.as_bytes().first().copied().unwrap_or_default();
        rest = from.get(1..).unwrap_or_default();
        match special {
            b'"' => {
                in_string = !in_string;
                out.push('"');
            }
            b'\\' if in_string => match surrogate(from) {
                Some(Surrogate::Pair) => {
                    out.push_str(from.get(..12).unwrap_or_default());
                    rest = from.get(12..).unwrap_or_default();
                }
                Some(Surrogate::Lone) => {
                    out.push_str(REPLACEMENT);
                    rest = from.get(6..).unwrap_or_default();
                    changed = true;
                }
                None => {
                    out.push('\\');
                    if let Some(escaped) = rest.chars().next().filter(|escaped| *escaped >= ' ') {
                        out.push(escaped);
                        rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                    }
                }
            },
            control if in_string && control < b' ' => {
                out.push_str(&format!("\\u{control:04x}"));
                changed = true;
            }
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
    changed.then_some(out)
}

enum Surrogate {
    Pair,
    Lone,
}

/// What surrogate escape `text` begins with, if any (RFC 8259, section 7).
fn surrogate(text: &str) -> Option<Surrogate> {
    let first = unit(text)?;
    match first {
        0xd800..=0xdbff => {
            let second = text.get(6..).and_then(unit);
            let pair = second.is_some_and(|second| (0xdc00..=0xdfff).contains(&second));
            Some(if pair {
                Surrogate::Pair
            } else {
                Surrogate::Lone
            })
        }
        0xdc00..=0xdfff => Some(Surrogate::Lone),
        _ => None,
    }
}

fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        u32::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &[u8], expected: Option<&str>) {
        assert_eq!(
            mend(json).as_deref(),
            expected,
            "{:?}",
            String::from_utf8_lossy(json)
        );
    }

    #[test]
    fn what_is_right_is_left_alone() {
        check(br#"{"a":"x\"\\\n\ud83d\ude00\u00e4","b":[1,null]}"#, None);
        check("{\n\t\"ä\": \"😀\"\n}".as_bytes(), None);
        check(br#""\\ud800""#, None);
    }

    #[test]
    fn what_is_wrong_inside_a_string_is_mended() {
        check(br#""a\ud83d""#, Some("\"a\u{fffd}\""));
        check(
            br#""\ude00\ud83d\ude00""#,
            Some("\"\u{fffd}\\ud83d\\ude00\""),
        );
        check(b"\"caf\xe9\"", Some("\"caf\u{fffd}\""));
        check(b"{\n\"a\":\"b\nc\"}", Some("{\n\"a\":\"b\\u000ac\"}"));
        check(br#""\ud83d\n""#, Some("\"\u{fffd}\\n\""));
    }

    #[test]
    fn a_cut_escape_is_survived() {
        check(br#""\"#, None);
        check(br#""\ud8"#, None);
        check("\"\\ud83é\"".as_bytes(), None);
    }
}
