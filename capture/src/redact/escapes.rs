//! The escapes of JSON strings (RFC 8259 section 7). In: what stands between the quotes, possibly broken or cut off. Out: the
//! text it stands for, and back. It never fails: what is not an escape stays as it is.

use memchr::memchr;

/// Undoes the escapes of RFC 8259 section 7; what is not an escape stays.
pub(crate) fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        let (before, escape) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(before);
        let (plain, length) = match escape.get(1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'b') => (8, 2),
            Some(b'f') => (12, 2),
            Some(b'u') => {
                let (character, length) = unicode_escape(escape);
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                rest = escape.get(length..).unwrap_or_default();
                continue;
            }
            Some(other) => (*other, 2),
            None => (b'\\', 1),
        };
        out.push(plain);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The character that `\uXXXX` or a pair of surrogates stands for, and how many bytes it took.
fn unicode_escape(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |value, digit| {
            Some(value << 4 | char::from(*digit).to_digit(16)?)
        })
    };
    let Some(first) = unit(0) else {
        return (char::REPLACEMENT_CHARACTER, 2);
    };
    if let (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) = (first, unit(6)) {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            12,
        );
    }
    (
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    )
}

/// Escapes what RFC 8259 section 7 wants escaped.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1F => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_done() {
        for (escaped, plain) in [
            (r#"a\"b\\c\nd\u0001"#, "a\"b\\c\nd\u{1}"),
            ("no escape é", "no escape é"),
        ] {
            let (mut undone, mut done) = (Vec::new(), Vec::new());
            unescape(escaped.as_bytes(), &mut undone);
            assert_eq!(undone, plain.as_bytes());
            escape(&undone, &mut done);
            assert_eq!(done, escaped.as_bytes());
        }
    }

    #[test]
    fn broken_escapes_do_no_harm() {
        for (escaped, plain) in [
            (r"\/\b\f\q", "/\u{8}\u{c}q"),
            (r"\ud83d\ude00", "\u{1F600}"),
            (r"\ud83dx", "\u{FFFD}x"),
            (r"\u12", "\u{FFFD}12"),
            (r"a\", "a\\"),
        ] {
            let mut undone = Vec::new();
            unescape(escaped.as_bytes(), &mut undone);
            assert_eq!(String::from_utf8(undone).unwrap(), plain, "{escaped}");
        }
    }
}
