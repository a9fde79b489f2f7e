//! Where an API stands: scheme, host, port and base path.
//!
//! In: a URL as a document, a collector or a person writes it. Out: one spelling of it, and whether it lies under another one.
//! Paths are compared by whole segments, never by characters: `/v1` covers `/v1/books` and not `/v10`.

use std::fmt;

use url::{Host, Url};

/// A base URL in its one spelling: scheme and host in lower case, hosts as DNS has them (IDNA), no default port, no dot
/// segments, percent-encoding only where it is needed (RFC 3986, 6.2.2), no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

/// What is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `http`, by default on port 80.
    Http,
    /// `https`, by default on port 443.
    Https,
}

impl Scheme {
    /// As URLs write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port without one in the URL.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Why a text is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// Not an absolute URL.
    #[error("`{0}` is no absolute URL; one looks like https://api.example.com/v1")]
    NoUrl(String),
    /// Another scheme.
    #[error("`{0}` is neither http nor https")]
    Scheme(String),
    /// Something that a base URL does not have.
    #[error("`{url}` has {what}; a base URL ends with its path")]
    Extra {
        /// As it was given.
        url: String,
        /// `a query`, `a fragment`, `a user name`.
        what: &'static str,
    },
    /// Too long.
    #[error("it has {0} characters; at most {max} are taken", max = BaseUrl::MAX_LENGTH)]
    TooLong(usize),
}

impl BaseUrl {
    /// The longest that is taken, in bytes.
    pub const MAX_LENGTH: usize = 1024;

    /// Reads one.
    ///
    /// # Errors
    /// When it is relative, speaks something else than HTTP, or has a user, a query or a fragment.
    pub fn parse(text: &str) -> Result<BaseUrl, BaseUrlError> {
        let text = text.trim();
        if text.len() > BaseUrl::MAX_LENGTH {
            return Err(BaseUrlError::TooLong(text.chars().count()));
        }
        let shown = || text.chars().take(200).collect::<String>();
        let url = Url::parse(text).map_err(|_| BaseUrlError::NoUrl(shown()))?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(BaseUrlError::Scheme(shown())),
        };
        let extra = |what| BaseUrlError::Extra { url: shown(), what };
        if !url.username().is_empty() || url.password().is_some() {
            // The URL is not repeated: what stands before the @ may be a secret.
            return Err(BaseUrlError::Extra {
                url: format!("{}://…", scheme.name()),
                what: "a user name",
            });
        }
        if url.query().is_some() {
            return Err(extra("a query"));
        }
        if url.fragment().is_some() {
            return Err(extra("a fragment"));
        }
        let base = Self::of(&url).ok_or_else(|| BaseUrlError::NoUrl(shown()))?;
        let length = base.to_string().len();
        if length > BaseUrl::MAX_LENGTH {
            return Err(BaseUrlError::TooLong(length));
        }
        Ok(base)
    }

    /// Where a URL leads, query and fragment left out; `None` for what is not HTTP.
    #[must_use]
    pub fn of(url: &Url) -> Option<BaseUrl> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let host = match url.host()? {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            address => address.to_string(),
        };
        if host.is_empty() {
            return None;
        }
        Some(BaseUrl {
            scheme,
            host,
            port: url.port().unwrap_or(scheme.default_port()),
            path: normal(url.path()),
        })
    }

    /// What is spoken there.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// A name in lower case, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that is connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The base path: empty, or with a slash at the beginning and none at the end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same with another base path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> BaseUrl {
        BaseUrl {
            path: normal(path),
            ..self.clone()
        }
    }

    /// `api.example.com:8443/v1`, as people call it.
    #[must_use]
    pub fn place(&self) -> String {
        let shown = self.to_string();
        shown
            .split_once("://")
            .map_or(shown.clone(), |(_, rest)| rest.to_owned())
    }

    /// Whether it lies under a target: the same scheme, host and port, and the target's path or one below it.
    #[must_use]
    pub fn lies_under(&self, target: &BaseUrl) -> bool {
        self.why_not_under(target).is_none()
    }

    /// What keeps it from lying under a target.
    #[must_use]
    pub fn why_not_under(&self, target: &BaseUrl) -> Option<&'static str> {
        if self.host != target.host {
            Some("another host")
        } else if self.scheme != target.scheme {
            Some("another scheme")
        } else if self.port != target.port {
            Some("another port")
        } else if !covers(&target.path, &self.path) {
            Some("the path is not below the target's")
        } else {
            None
        }
    }

    /// Whether both lead to one server: the same host and port, http and https alike where both are on their default ports,
    /// since most servers answer one with a redirect to the other.
    #[must_use]
    pub fn is_on_server_of(&self, other: &BaseUrl) -> bool {
        let by_default = |url: &BaseUrl| url.port == url.scheme.default_port();
        self.host == other.host
            && ((self.scheme == other.scheme && self.port == other.port)
                || (by_default(self) && by_default(other)))
    }

    /// On one server: how many segments of base path both share, when one base path covers the other; otherwise `None`.
    #[must_use]
    pub fn common_base(&self, other: &BaseUrl) -> Option<usize> {
        if !self.is_on_server_of(other) {
            return None;
        }
        let shorter = if covers(&self.path, &other.path) {
            &self.path
        } else if covers(&other.path, &self.path) {
            &other.path
        } else {
            return None;
        };
        Some(shorter.matches('/').count())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

/// Whether a path is `base` or lies below it, by whole segments. Both without a slash at the end.
#[must_use]
pub(crate) fn covers(base: &str, path: &str) -> bool {
    path.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path in its one spelling: what may stand for itself does, other octets are `%XX`, and no slash at the end.
fn normal(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = String::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        let coded = (*byte == b'%')
            .then(|| path.get(at..at + 2))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (octet, plain) = match coded {
            Some(octet) => {
                at += 2;
                (octet, false)
            }
            None => (*byte, *byte != b'%' && byte.is_ascii_graphic()),
        };
        if plain || octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    let out = out.trim_end_matches('/');
    if out.is_empty() || out.starts_with('/') {
        out.to_owned()
    } else {
        format!("/{out}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling() {
        let check = |input: &str, expected: &str| {
            assert_eq!(
                BaseUrl::parse(input).unwrap().to_string(),
                expected,
                "{input}"
            );
        };
        check("https://api.example.com/", "https://api.example.com");
        check(
            " HTTPS://API.Example.COM:443/v1// ",
            "https://api.example.com/v1",
        );
        check("http://api.example.com.:80", "http://api.example.com");
        check("http://api.example.com:443", "http://api.example.com:443");
        check(
            "https://bücher.example/käse",
            "https://xn--bcher-kva.example/k%C3%A4se",
        );
        check("https://h/a/./b/../%63/%2f/%zz", "https://h/a/c/%2F/%25zz");
        check("https://h/a/%2e%2e/b", "https://h/b");
        check(
            "https://[2001:DB8::1]:8443/x",
            "https://[2001:db8::1]:8443/x",
        );
        check("http://0x7f.1/", "http://127.0.0.1");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let check = |input: &str, part: &str| {
            let error = BaseUrl::parse(input).unwrap_err().to_string();
            assert!(error.contains(part), "{input}: {error}");
        };
        check("", "no absolute URL");
        check("/v1", "no absolute URL");
        check("api.example.com/v1", "no absolute URL");
        check("https://", "no absolute URL");
        check("ftp://h/", "neither http nor https");
        check("javascript:alert(1)", "neither http nor https");
        check("https://me:secret@h/", "a user name");
        check("https://h/v1?x=1", "a query");
        check("https://h/v1#x", "a fragment");
        check(&format!("https://h/{}", "a".repeat(2000)), "at most 1024");
        let secret = BaseUrl::parse("https://me:secret@h/").unwrap_err();
        assert!(!secret.to_string().contains("secret"), "{secret}");
    }

    #[test]
    fn under_a_target_by_segments() {
        let check = |api: &str, target: &str, expected: bool| {
            let (api, target) = (
                BaseUrl::parse(api).unwrap(),
                BaseUrl::parse(target).unwrap(),
            );
            assert_eq!(api.lies_under(&target), expected, "{api} under {target}");
        };
        check("https://h/v1", "https://h", true);
        check("https://h/v1", "https://h/v1/", true);
        check("https://h/v1/books", "https://h/v1", true);
        check("https://h/v10", "https://h/v1", false);
        check("https://h", "https://h/v1", false);
        check("http://h/v1", "https://h/v1", false);
        check("https://h:8443/v1", "https://h/v1", false);
        check("https://a.h/v1", "https://h/v1", false);
    }

    #[test]
    fn one_server_on_default_ports() {
        let check = |a: &str, b: &str, expected: Option<usize>| {
            let (a, b) = (BaseUrl::parse(a).unwrap(), BaseUrl::parse(b).unwrap());
            assert_eq!(a.common_base(&b), expected, "{a} {b}");
            assert_eq!(b.common_base(&a), expected, "{b} {a}");
        };
        check("http://h", "https://h", Some(0));
        check("https://h/v1", "http://h/v1/x", Some(1));
        check("https://h/v1", "https://h/v2", None);
        check("http://h:8080", "https://h:8080", None);
        check("http://h:8080", "http://h:8080/a", Some(0));
        check("http://h:443", "https://h", None);
    }

    fn url() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec![
            "v1", "V1", "a b", "%7Eme", "ü", "..", ".", "", "x%2Fy", "{id}",
        ]);
        (
            prop::sample::select(vec!["http", "HTTPS"]),
            prop::sample::select(vec!["h.example", "H.Example.", "127.1", "[::1]"]),
            prop::option::of(prop::sample::select(vec![80_u16, 443, 8080])),
            prop::collection::vec(segment, 0..5),
        )
            .prop_map(|(scheme, host, port, path)| {
                let port = port.map_or(String::new(), |port| format!(":{port}"));
                format!("{scheme}://{host}{port}/{}", path.join("/"))
            })
    }

    proptest! {
        #[test]
        fn a_spelling_is_its_own(text in url()) {
            let base = BaseUrl::parse(&text).unwrap();
            prop_assert_eq!(BaseUrl::parse(&base.to_string()), Ok(base));
        }

        #[test]
        fn under_is_an_order(a in url(), b in url(), c in url()) {
            let [a, b, c] = [a, b, c].map(|text| BaseUrl::parse(&text).unwrap());
            prop_assert!(a.lies_under(&a));
            if a.lies_under(&b) && b.lies_under(&a) {
                prop_assert_eq!(&a, &b);
            }
            if a.lies_under(&b) && b.lies_under(&c) {
                prop_assert!(a.lies_under(&c));
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,80}") {
            let _ = BaseUrl::parse(&text);
            let _ = BaseUrl::parse(&format!("https://{text}"));
        }
    }
}
