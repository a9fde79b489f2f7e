//! What a secret is replaced by: a constant of the same class and, where the class has no form of its own, of the same
//! length. In: the decoded value. Out: ASCII that needs no escaping in JSON, in an XML text or in a header.
//!
//! Nothing of the value survives but its class and its length (up to a bound). A placeholder is its own placeholder, so
//! that redacting twice changes nothing.

/// The longest placeholder whose length follows the value's.
const LONGEST: usize = 64;

const JWT: &[u8] = b"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJyZWRhY3RlZCJ9.cmVkYWN0ZWQ";
const UUID: &[u8] = b"00000000-0000-4000-8000-000000000000";
const EMAIL: &[u8] = b"redacted@example.com";
const DATE: &[u8] = b"2000-01-01";
const DATE_TIME: &[u8] = b"2000-01-01T00:00:00Z";
/// `redacted:redacted`, for the Basic scheme.
pub(crate) const BASIC: &[u8] = b"cmVkYWN0ZWQ6cmVkYWN0ZWQ=";
/// For the user information of a URL.
pub(crate) const USERINFO: &[u8] = b"redacted:redacted";

/// Appends the placeholder for `value`.
pub(crate) fn put(value: &[u8], out: &mut Vec<u8>) {
    let constant = match value {
        [] => return,
        _ if is_jwt(value) => JWT,
        _ if is_uuid(value) => UUID,
        _ if is_date(value) => DATE,
        _ if is_date_time(value) => DATE_TIME,
        _ if is_email(value) => EMAIL,
        _ => match url_scheme(value) {
            Some(scheme) => {
                out.extend_from_slice(scheme);
                b"://example.com/redacted".as_slice()
            }
            None => return put_same_length(value, out),
        },
    };
    out.extend_from_slice(constant);
}

/// Digits keep their separators, hexadecimal stays hexadecimal, everything else becomes letters.
fn put_same_length(value: &[u8], out: &mut Vec<u8>) {
    if value.iter().any(u8::is_ascii_digit)
        && value
            .iter()
            .all(|b| b.is_ascii_digit() || b" +-().".contains(b))
    {
        return put_number(value, out);
    }
    let hex = value.len() >= 8 && value.iter().all(u8::is_ascii_hexdigit);
    if hex {
        let letter = if value.iter().any(u8::is_ascii_uppercase) {
            b'A'
        } else {
            b'a'
        };
        return out.extend(
            [letter, b'0']
                .into_iter()
                .cycle()
                .take(value.len().min(128)),
        );
    }
    // Characters, not bytes; a byte that continues one is not counted.
    let characters = value.iter().filter(|b| **b & 0xC0 != 0x80).count().max(1);
    out.extend(std::iter::repeat_n(b'x', characters.min(LONGEST)));
}

/// A number, as text or as a JSON literal: every digit becomes 1, signs, point and exponent stay.
pub(crate) fn put_number(value: &[u8], out: &mut Vec<u8>) {
    out.extend(
        value
            .iter()
            .take(LONGEST)
            .map(|b| if b.is_ascii_digit() { b'1' } else { *b }),
    );
    // A literal that was cut off at the bound must still end like one.
    if value.len() > LONGEST && out.last().is_some_and(|b| !b.is_ascii_digit()) {
        out.push(b'1');
    }
}

/// The placeholder of a JSON literal that is not a string: numbers stay numbers, `true`, `false` and `null` stay.
pub(crate) fn put_literal(value: &[u8], out: &mut Vec<u8>) {
    match value {
        b"true" | b"false" | b"null" => out.extend_from_slice(value),
        [b'-' | b'0'..=b'9', rest @ ..]
            if rest
                .iter()
                .all(|b| b.is_ascii_digit() || b"+-.eE".contains(b)) =>
        {
            put_number(value, out);
        }
        _ => put(value, out),
    }
}

/// Three or more base64url parts, the first of which begins like `{"`.
fn is_jwt(value: &[u8]) -> bool {
    value.starts_with(b"eyJ")
        && value.iter().filter(|b| **b == b'.').count() >= 2
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.=".contains(b))
}

fn matches_shape(value: &[u8], shape: &[u8]) -> bool {
    value.len() == shape.len()
        && value.iter().zip(shape).all(|(b, wanted)| match wanted {
            b'd' => b.is_ascii_digit(),
            b'h' => b.is_ascii_hexdigit(),
            _ => b == wanted,
        })
}

fn is_uuid(value: &[u8]) -> bool {
    matches_shape(value, b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh")
}

fn is_date(value: &[u8]) -> bool {
    matches_shape(value, b"dddd-dd-dd")
}

/// RFC 3339, with a zone or without.
fn is_date_time(value: &[u8]) -> bool {
    let Some((date, [b'T' | b't' | b' ', time @ ..])) = value.split_at_checked(10) else {
        return false;
    };
    let Some((hours, rest)) = time.split_at_checked(5) else {
        return false;
    };
    is_date(date)
        && matches_shape(hours, b"dd:dd")
        && rest.len() <= 22
        && rest
            .iter()
            .all(|b| b.is_ascii_digit() || b":.Zz+-".contains(b))
}

fn is_email(value: &[u8]) -> bool {
    let mut parts = value.split(|b| *b == b'@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let plain = |b: &u8| b.is_ascii_graphic() && !b"\"<>()[]\\,;:/?=&".contains(b);
    !local.is_empty()
        && value.len() <= 254
        && local.iter().all(plain)
        && domain
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(b))
        && domain.contains(&b'.')
        && !domain.starts_with(b".")
        && !domain.ends_with(b".")
}

/// The scheme of something like `https://host…`, when it is one that says nothing about anybody.
fn url_scheme(value: &[u8]) -> Option<&'static [u8]> {
    const SCHEMES: [&[u8]; 6] = [b"https", b"http", b"wss", b"ws", b"ftp", b"postgres"];
    if !value.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let scheme = value.get(..memchr::memmem::find(value, b"://")?)?;
    SCHEMES
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholder(value: &str) -> String {
        let mut out = Vec::new();
        put(value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_placeholder_has_the_class_of_its_value() {
        for (value, wanted) in [
            ("", ""),
            ("hunter2!", "xxxxxxxx"),
            ("pässwörd", "xxxxxxxx"),
            ("4111 1111-2222", "1111 1111-1111"),
            ("123-45-6789", "111-11-1111"),
            ("+49 (151) 2.3", "+11 (111) 1.1"),
            ("deadbeef01", "a0a0a0a0a0"),
            ("DEADBEEF0", "A0A0A0A0A"),
            (
                "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
                "00000000-0000-4000-8000-000000000000",
            ),
            ("ada@lovelace.org", "redacted@example.com"),
            ("not an@email", "xxxxxxxxxxxx"),
            (
                "https://me:pw@host/x?token=1",
                "https://example.com/redacted",
            ),
            ("2024-02-29", "2000-01-01"),
            ("2024-02-29T12:00:00.123+01:00", "2000-01-01T00:00:00Z"),
            ("a.b.c", "xxxxx"),
        ] {
            assert_eq!(placeholder(value), wanted, "{value}");
            assert_eq!(placeholder(wanted), wanted, "twice: {value}");
        }
        let jwt = placeholder("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln");
        assert!(jwt.starts_with("eyJ") && jwt.matches('.').count() == 2);
        assert_eq!(placeholder(&jwt), jwt);
        assert_eq!(placeholder(&"é".repeat(1000)).len(), LONGEST);
    }

    #[test]
    fn literals_keep_their_type() {
        for (value, wanted) in [
            ("true", "true"),
            ("null", "null"),
            ("-12.5e3", "-11.1e1"),
            ("0", "1"),
            ("hunter2", "xxxxxxx"),
        ] {
            let mut out = Vec::new();
            put_literal(value.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
