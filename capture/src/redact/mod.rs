//! Redaction that keeps shape: secrets are replaced by placeholders of the same class, so that the document learnt from
//! an exchange stays right while the value is gone.
//!
//! In: one part of an exchange (a header, a path, a query, a body), complete or cut off by a cap. Out: the edited copy,
//! or nothing when there is nothing to redact. It never builds a tree, never fails and never panics: what it does not
//! understand it searches as text.

mod detect;
mod edits;
mod escapes;
mod fields;
mod multipart;
mod names;
mod pairs;
mod placeholder;
mod xml;

pub(crate) use names::Names;
pub(crate) use pairs::percent_decode;

use memchr::{memchr, memmem};

/// What to redact: three sets of names. An empty set turns its part off, detection by looks included.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    /// Header fields.
    pub(crate) headers: Names,
    /// Query parameters; also path parameters and queries inside header values.
    pub(crate) query: Names,
    /// Fields of JSON, form, multipart and XML bodies.
    pub(crate) fields: Names,
}

/// What a body is redacted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON and text, whose named values are found alike.
    Text,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` and its siblings.
    Multipart,
    /// XML and HTML.
    Xml,
}

impl Format {
    /// The format of a media type, given without parameters.
    pub fn of(media: &[u8]) -> Format {
        let is = |text: &[u8]| media.eq_ignore_ascii_case(text);
        let begins = |text: &[u8]| {
            media
                .get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text))
        };
        let ends = |text: &[u8]| {
            let start = media.len().saturating_sub(text.len());
            media
                .get(start..)
                .is_some_and(|end| end.eq_ignore_ascii_case(text))
        };
        if is(b"application/json") {
            Format::Text
        } else if is(b"application/x-www-form-urlencoded") {
            Format::Form
        } else if begins(b"multipart/") {
            Format::Multipart
        } else if ends(b"/xml") || ends(b"+xml") || is(b"text/html") {
            Format::Xml
        } else {
            Format::Text
        }
    }

    /// Labels lie: `curl -d '{"a":1}'` calls JSON a form. The first byte that is not a space knows better.
    fn sniffed(self, data: &[u8]) -> Format {
        let data = data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data);
        match data.iter().find(|b| !b.is_ascii_whitespace()) {
            _ if self == Format::Multipart => self,
            Some(b'{' | b'[' | b'"') => Format::Text,
            Some(b'<') => Format::Xml,
            Some(b'-') if data.starts_with(b"--") && memmem::find(data, b"ontent-").is_some() => {
                Format::Multipart
            }
            _ if self == Format::Xml => Format::Text,
            _ => self,
        }
    }
}

/// Every method appends the redacted copy to `out` and says `true`, or says `false` and has written nothing.
impl Redaction {
    /// Whether bodies are redacted.
    pub(crate) fn redacts_bodies(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The value of a header field.
    #[inline]
    pub fn header(&self, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
        if self.headers.contains(name) {
            self.secret_header(name, value, out);
            return true;
        }
        // A URL with a token, or a token by itself. Cards do not travel in headers; dates and ids do.
        if value.len() < 8 || memchr::memchr3(b':', b'=', b'J', value).is_none() {
            return false;
        }
        let by_name = !self.query.is_empty() && fields::has_named_value(&self.query, value, false);
        let by_looks = !self.headers.is_empty() && detect::may_contain_token(value);
        (by_name || by_looks) && fields::redact(&self.query, value, false, out)
    }

    #[cold]
    fn secret_header(&self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let set_cookie = name.eq_ignore_ascii_case(b"set-cookie");
        if set_cookie || name.eq_ignore_ascii_case(b"cookie") {
            return pairs::redact_cookies(value, set_cookie, out);
        }
        // RFC 9110 section 11.4: the scheme's name says how the API is secured, so it stays.
        let space = memchr(b' ', value).unwrap_or(0);
        let (scheme, credentials) = value.split_at_checked(space).unwrap_or((b"", value));
        if !is_auth_scheme(scheme) {
            return placeholder::put(value, out);
        }
        out.extend_from_slice(scheme);
        out.push(b' ');
        match scheme.eq_ignore_ascii_case(b"basic") {
            true => out.extend_from_slice(placeholder::BASIC),
            false => placeholder::put(credentials.trim_ascii(), out),
        }
    }

    /// A path as sent, or an absolute URL in its place; `cut` when it is only the beginning.
    pub fn path(&self, path: &[u8], cut: bool, out: &mut Vec<u8>) -> bool {
        !self.query.is_empty() && fields::redact(&self.query, path, cut, out)
    }

    /// A query without its `?`.
    pub fn query(&self, query: &[u8], cut: bool, out: &mut Vec<u8>) -> bool {
        !self.query.is_empty() && pairs::redact(&self.query, query, cut, out)
    }

    /// A body without content coding; a copy that is empty means that it cannot be redacted. `boundary` is the multipart boundary of its content type, empty when there is none.
    pub fn body(
        &self,
        format: Format,
        boundary: &[u8],
        data: &[u8],
        cut: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        if self.fields.is_empty() {
            return false;
        }
        // UTF-16 and UTF-32 hide every name from a search for bytes. Hardly anybody sends them; nobody's secrets may leave.
        if let [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, ..] | [_, 0, ..] = data {
            return true;
        }
        match format.sniffed(data) {
            Format::Text => fields::redact(&self.fields, data, cut, out),
            Format::Form => pairs::redact(&self.fields, data, cut, out),
            Format::Xml => xml::redact(&self.fields, data, cut, out),
            Format::Multipart => multipart::redact(self, boundary, data, cut, out),
        }
    }
}

/// The boundary of a multipart content type.
pub(crate) fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    // RFC 2046 section 5.1.1: 1 to 70 characters.
    multipart::parameter(content_type, b"boundary")
        .filter(|boundary| (1..=70).contains(&boundary.len()))
}

/// Schemes of the IANA HTTP Authentication Scheme registry, and the unregistered ones APIs use.
fn is_auth_scheme(word: &[u8]) -> bool {
    const KNOWN: [&[u8]; 21] = [
        b"basic",
        b"bearer",
        b"digest",
        b"dpop",
        b"gnap",
        b"hawk",
        b"hmac",
        b"hoba",
        b"jwt",
        b"mac",
        b"mutual",
        b"negotiate",
        b"ntlm",
        b"oauth",
        b"privatetoken",
        b"signature",
        b"token",
        b"vapid",
        b"apikey",
        b"api-key",
        b"aws4-hmac-sha256",
    ];
    KNOWN.iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    use super::*;

    #[test]
    fn headers_keep_their_scheme() {
        let policy = Settings::default().build().unwrap();
        for (name, value, wanted) in [
            ("Authorization", "Bearer hunter2", Some("Bearer xxxxxxx")),
            (
                "authorization",
                "bearer 1234567890",
                Some("bearer 1111111111"),
            ),
            (
                "authorization",
                "Basic aHVudGVyMg==",
                Some("Basic cmVkYWN0ZWQ6cmVkYWN0ZWQ="),
            ),
            ("authorization", "hunter2 hunter3", Some("xxxxxxxxxxxxxxx")),
            (
                "proxy-authorization",
                "Digest username=\"ada\"",
                Some("Digest xxxxxxxxxxxxxx"),
            ),
            ("x-api-key", "0123-abcd", Some("xxxxxxxxx")),
            (
                "X-Auth-Token",
                "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
                Some("00000000-0000-4000-8000-000000000000"),
            ),
            ("cookie", "a=1; b=two", Some("a=1; b=xxx")),
            (
                "location",
                "https://x/cb?token=abc&a=1",
                Some("https://x/cb?token=xxx&a=1"),
            ),
            (
                "referer",
                "https://ada:pw@x/",
                Some("https://redacted:redacted@x/"),
            ),
            ("link", "<https://x/?page=2>; rel=\"next\"", None),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("user-agent", "curl/8.0 (x=y; z:1)", None),
            ("x-request-id", "4111111111111111", None),
        ] {
            let mut out = Vec::new();
            let changed = policy
                .redaction
                .header(name.as_bytes(), value.as_bytes(), &mut out);
            assert_eq!(
                changed.then(|| String::from_utf8(out).unwrap()).as_deref(),
                wanted,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn wide_characters_hide_nothing() {
        let policy = Settings::default().build().unwrap();
        let wide: Vec<u8> = r#"{"password":"hunter2"}"#.bytes().flat_map(|b| [b, 0]).collect();
        let mut out = Vec::new();
        assert!(
            policy
                .redaction
                .body(Format::Text, b"", &wide, false, &mut out)
        );
        assert_eq!(out, b"");
    }

    #[test]
    fn labels_that_lie_do_not_help() {
        let policy = Settings::default().build().unwrap();
        for (format, body) in [
            (Format::Form, r#"{"password":"hunter2"}"#),
            (Format::Text, "password=hunter2&x=1"),
            (Format::Text, "<a><password>hunter2</password></a>"),
            (Format::Xml, r#"{"password":"hunter2"}"#),
            (
                Format::Form,
                "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--b--\r\n",
            ),
            (Format::Multipart, r#"{"password":"hunter2"}"#),
        ] {
            let mut out = Vec::new();
            assert!(
                policy
                    .redaction
                    .body(format, b"", body.as_bytes(), false, &mut out),
                "{body}"
            );
            assert!(
                memmem::find(&out, b"hunter2").is_none(),
                "{}",
                String::from_utf8_lossy(&out)
            );
        }
    }
}
