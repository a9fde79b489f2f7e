//! Lists of `name=value`: queries, URL-encoded forms, parameters of a path, cookies.
//!
//! In: the list as sent, possibly cut off. Out: edits of the values whose names are in the set, with their separators,
//! names and order kept. See <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>.

use memchr::{memchr, memchr2};

use super::edits::Edits;
use super::names::Names;
use super::{fields, placeholder};

/// Redacts `name=value&name=value`. `false`: there was nothing to do and nothing was written.
pub(crate) fn redact(names: &Names, input: &[u8], cut: bool, out: &mut Vec<u8>) -> bool {
    let mut named = Vec::new();
    let mut edits = Edits::new(input, &mut named);
    let mut start = 0;
    while start < input.len() {
        let rest = input.get(start..).unwrap_or_default();
        let length = memchr2(b'&', b';', rest).unwrap_or(rest.len());
        pair(
            names,
            &mut edits,
            start,
            start + length,
            cut && length == rest.len(),
        );
        start += length + 1;
    }
    let changed = edits.finish();
    fields::finish(input, named, changed, cut, out)
}

fn pair(names: &Names, edits: &mut Edits<'_, '_>, start: usize, end: usize, cut: bool) {
    let Some(pair) = edits.input().get(start..end) else {
        return;
    };
    let (name, value) = match memchr(b'=', pair) {
        Some(at) => (
            pair.get(..at).unwrap_or_default(),
            pair.get(at + 1..).unwrap_or_default(),
        ),
        // `?eyJ…`, `?{"token":…}`: a value without a name.
        None => (b"".as_slice(), pair),
    };
    if value.is_empty() {
        return;
    }
    let start = end - value.len();
    let mut decoded = Vec::new();
    let secret = match memchr2(b'%', b'+', name) {
        None => names.contains(name),
        Some(_) => {
            percent_decode(name, &mut decoded);
            names.contains(&decoded)
        }
    };
    if secret {
        return edits.replace(start, end, |value, out| {
            let mut plain = Vec::new();
            form_decode(value, &mut plain);
            let mut put = Vec::new();
            placeholder::put(&plain, &mut put);
            encode(&put, out);
        });
    }
    // A URL, JSON or another query inside the value.
    let mut redacted = Vec::new();
    if memchr2(b'%', b'+', value).is_none() {
        if fields::has_named_value(names, value, cut)
            && fields::redact(names, value, cut, &mut redacted)
        {
            edits.replace(start, end, |_, out| out.extend_from_slice(&redacted));
        }
        return;
    }
    decoded.clear();
    form_decode(value, &mut decoded);
    if fields::redact(names, &decoded, cut, &mut redacted) {
        edits.replace(start, end, |_, out| encode(&redacted, out));
    }
}

/// Redacts the values of `name=value; name=value`. In a `Set-Cookie` only the first pair is a cookie; the attributes
/// that RFC 6265 and its successors name are kept, others are taken for secrets.
pub(crate) fn redact_cookies(input: &[u8], set_cookie: bool, out: &mut Vec<u8>) {
    let mut edits = Edits::new(input, out);
    let mut start = 0;
    while start < input.len() {
        let rest = input.get(start..).unwrap_or_default();
        let length = memchr(b';', rest).unwrap_or(rest.len());
        let pair = rest.get(..length).unwrap_or(rest);
        let (name, value) = match memchr(b'=', pair) {
            Some(at) => (
                pair.get(..at).unwrap_or_default(),
                pair.get(at + 1..).unwrap_or_default(),
            ),
            None => (b"".as_slice(), pair),
        };
        let attribute = if name.is_empty() { value } else { name }.trim_ascii();
        if !(set_cookie && start > 0 && is_attribute(attribute)) {
            let blank = value.len() - value.trim_ascii_start().len();
            let end = start + length;
            edits.replace(end - value.len() + blank, end, |value, out| {
                let value = value.trim_ascii_end();
                match value {
                    [b'"', inner @ .., b'"'] => {
                        out.push(b'"');
                        placeholder::put(inner, out);
                        out.push(b'"');
                    }
                    _ => placeholder::put(value, out),
                }
            });
        }
        start += length + 1;
    }
    if !edits.finish() {
        out.extend_from_slice(input);
    }
}

fn is_attribute(name: &[u8]) -> bool {
    const KNOWN: [&[u8]; 9] = [
        b"expires",
        b"max-age",
        b"domain",
        b"path",
        b"secure",
        b"httponly",
        b"samesite",
        b"partitioned",
        b"priority",
    ];
    KNOWN.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Undoes percent-encoding (RFC 3986 section 2.1); what is not an encoding stays.
pub(crate) fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr(b'%', rest) {
        let (before, encoded) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(before);
        let digit = |at: usize| encoded.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (digit(1), digit(2)) {
            (Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = encoded.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(b'%');
                rest = encoded.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
}

/// As [`percent_decode`], and `+` is a space.
fn form_decode(text: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    let spaced: Vec<u8> = text
        .iter()
        .map(|b| if *b == b'+' { b' ' } else { *b })
        .collect();
    percent_decode(&spaced, out);
    debug_assert!(out.len() - from <= text.len());
}

/// Percent-encodes everything but what RFC 3986 lets stand in a query's value.
fn encode(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~:/@!$'()*,".contains(byte) {
            out.push(*byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, cut: bool) -> String {
        let mut names = Names::default();
        for name in ["*password", "*token", "sig"] {
            names.add(name).unwrap();
        }
        let mut out = Vec::new();
        if redact(&names, text.as_bytes(), cut, &mut out) {
            String::from_utf8(out).unwrap()
        } else {
            text.to_owned()
        }
    }

    #[test]
    fn names_and_order_stay() {
        for (text, wanted) in [
            ("a=1&access_token=abc&b=2", "a=1&access_token=xxx&b=2"),
            ("token=&token&a", "token=&token&a"),
            ("p%61ssword=a%26b%3Dc", "p%61ssword=xxxxx"),
            ("user%5Bpassword%5D=a", "user%5Bpassword%5D=x"),
            ("password=ada%40x.org", "password=redacted@example.com"),
            ("token=4111+1111+1111", "token=1111%201111%201111"),
            (
                "next=https%3A%2F%2Fx%2F%3Ftoken%3Dabc",
                "next=https://x/%3Ftoken%3Dxxx",
            ),
            (
                "next=https://x/?token=abc&sig=z",
                "next=https://x/?token=xxx&sig=x",
            ),
            ("q=4111+1111+1111+1111", "q=1111%201111%201111%201111"),
            (
                "body=%7B%22token%22%3A%22abc%22%7D",
                "body=%7B%22token%22:%22xxx%22%7D",
            ),
            ("a;sig=9;b", "a;sig=1;b"),
            ("q=a+b%20c", "q=a+b%20c"),
        ] {
            assert_eq!(redacted(text, false), wanted, "{text}");
        }
        assert_eq!(redacted("a=1&token=ab", true), "a=1&token=xx");
    }

    #[test]
    fn cookies_keep_their_names_and_attributes() {
        let check = |text: &str, set_cookie: bool, wanted: &str| {
            let mut out = Vec::new();
            redact_cookies(text.as_bytes(), set_cookie, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        };
        check(
            "a=b; sid=\"hunter2\"; empty=; bare",
            false,
            "a=x; sid=\"xxxxxxx\"; empty=; xxxx",
        );
        check(
            "sid=hunter2; Path=/; HttpOnly; Max-Age=60; SameSite=Lax; odd=value",
            true,
            "sid=xxxxxxx; Path=/; HttpOnly; Max-Age=60; SameSite=Lax; odd=xxxxx",
        );
        check("Path=secret", true, "Path=xxxxxx");
    }
}
