//! One exchange as the learner sees it: plain borrowed values, nothing owned, nothing interpreted.
//!
//! In: what a gateway's shim or a HAR file said about one request and its response. Out: nothing; [`crate::Model::observe`]
//! reads it. It never holds a wire type, a compressed body or a header name that is not lower-case.

use std::borrow::Cow;

/// One request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When the request started, milliseconds since 1970-01-01T00:00:00Z.
    pub unix_millis: u64,
    /// From the request's first byte to the response's last, microseconds. `None` where nobody measured it.
    pub duration_micros: Option<u64>,
    /// Who saw it, e.g. `nginx`, `envoy`, `har`.
    pub shim: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The method as it was sent; methods are case-sensitive (RFC 9110, 9.1).
    pub method: &'a str,
    /// The raw path of the request target, percent-encoded, without query.
    pub path: &'a str,
    /// The raw query after `?`, percent-encoded. `None` when there was no `?`.
    pub query: Option<&'a str>,
    /// What the client sent.
    pub request: Message<'a>,
    /// The final status code, 100–599.
    pub status: u16,
    /// What the server answered.
    pub response: Message<'a>,
    /// Whether the gateway verified a client certificate.
    pub client_certificate: bool,
}

/// Headers and body of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// Lower-case names, in wire order, with duplicates. Values are redacted but keep their class (`Bearer <a JWT>`).
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body, content codings already undone.
    pub body: Body<'a>,
}

impl<'a> Message<'a> {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| *v)
    }

    /// The first header of this lower-case name, if it is text.
    pub fn text_header(&self, name: &str) -> Option<&'a str> {
        self.header(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// The `content-type` in lower case without parameters, e.g. `application/json`. Empty when there is none or it is no media type.
    pub(crate) fn media_type(&self) -> Cow<'a, str> {
        let text = self.text_header("content-type").unwrap_or("");
        let essence = text
            .bytes()
            .position(|b| b == b';' || b == b',')
            .and_then(|at| text.get(..at))
            .unwrap_or(text)
            .trim();
        let valid = essence.len() <= 96
            && essence
                .split_once('/')
                .is_some_and(|(t, s)| !t.is_empty() && !s.is_empty() && !s.contains('/'))
            && essence
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*/".contains(&b));
        match valid {
            true if essence.bytes().any(|b| b.is_ascii_uppercase()) => {
                Cow::Owned(essence.to_ascii_lowercase())
            }
            true => Cow::Borrowed(essence),
            false => Cow::Borrowed(""),
        }
    }
}

/// A body, perhaps only its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// What was captured.
    pub bytes: &'a [u8],
    /// How long it was on the wire or after decoding, whichever the source knows.
    pub original_size: u64,
    /// Whether `bytes` is all of it. A cut body teaches what it surely shows, never what is required.
    pub complete: bool,
}

impl Default for Body<'_> {
    fn default() -> Self {
        Body {
            bytes: &[],
            original_size: 0,
            complete: true,
        }
    }
}

impl<'a> Body<'a> {
    /// A body that was captured whole.
    pub fn whole(bytes: &'a [u8]) -> Body<'a> {
        Body {
            bytes,
            original_size: bytes.len() as u64,
            complete: true,
        }
    }

    /// Whether the message had no body at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.original_size == 0
    }
}
