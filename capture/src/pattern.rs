//! The small matchers that settings compile to: statuses, hosts, path globs, media types.
//!
//! In: one entry of a list as the operator wrote it, once; then what traffic carries, millions of times. Matching takes
//! time linear in what is matched and allocates nothing.

use memchr::memmem;

/// A set of HTTP statuses: `1xx`, `404`, `500-599`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusSet([u64; 16]);

impl StatusSet {
    pub(crate) const ACCEPTS: &'static str =
        "a status (`404`), a class (`5xx`) or a range (`500-599`), from 100 to 999";

    pub(crate) fn empty() -> StatusSet {
        StatusSet([0; 16])
    }

    /// Adds one entry; `None` when it is not one.
    pub(crate) fn add(&mut self, entry: &str) -> Option<()> {
        let (first, last) = if let Some(class) = entry
            .strip_suffix("xx")
            .or_else(|| entry.strip_suffix("XX"))
        {
            let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
            (class * 100, class * 100 + 99)
        } else if let Some((first, last)) = entry.split_once('-') {
            (status(first)?, status(last)?)
        } else {
            let status = status(entry)?;
            (status, status)
        };
        if first > last {
            return None;
        }
        for status in first..=last {
            if let Some(word) = self.0.get_mut(usize::from(status >> 6)) {
                *word |= 1 << (status & 63);
            }
        }
        Some(())
    }

    pub(crate) fn contains(&self, status: u16) -> bool {
        self.0
            .get(usize::from(status >> 6))
            .is_some_and(|word| word >> (status & 63) & 1 == 1)
    }
}

fn status(text: &str) -> Option<u16> {
    if text.len() != 3 {
        return None;
    }
    text.parse()
        .ok()
        .filter(|status| (100..=999).contains(status))
}

/// A host, with a leading `*.` for all its subdomains; without a port it matches any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPattern {
    any: bool,
    subdomains: bool,
    name: String,
    port: Option<u16>,
}

impl HostPattern {
    pub(crate) const ACCEPTS: &'static str = "a host (`api.example.com`, `[::1]`), all its subdomains \
        (`*.example.com`) or `*`, optionally with a port (`example.com:8443`)";

    pub(crate) fn parse(entry: &str) -> Option<HostPattern> {
        if entry == "*" {
            return Some(HostPattern {
                any: true,
                subdomains: false,
                name: String::new(),
                port: None,
            });
        }
        let (host, port) = split_port(entry.as_bytes());
        let port = match port {
            Some(digits) => Some(
                std::str::from_utf8(digits)
                    .ok()?
                    .parse()
                    .ok()
                    .filter(|p| *p > 0)?,
            ),
            None => None,
        };
        let host = std::str::from_utf8(host).ok()?;
        let (subdomains, name) = match host.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, host),
        };
        if !is_host(name) || (subdomains && name.starts_with('[')) {
            return None;
        }
        Some(HostPattern {
            any: false,
            subdomains,
            name: name.to_ascii_lowercase(),
            port,
        })
    }

    /// `authority` is `host[:port]` as sent.
    pub(crate) fn matches(&self, authority: &[u8]) -> bool {
        if self.any {
            return true;
        }
        let (host, port) = split_port(authority);
        if let Some(wanted) = self.port {
            let found = port
                .and_then(|p| std::str::from_utf8(p).ok())
                .and_then(|p| p.parse::<u16>().ok());
            if found != Some(wanted) {
                return false;
            }
        }
        let host = host.strip_suffix(b".").unwrap_or(host);
        let name = self.name.as_bytes();
        if !self.subdomains {
            return host.eq_ignore_ascii_case(name);
        }
        let Some(dot) = host
            .len()
            .checked_sub(name.len() + 1)
            .filter(|dot| *dot > 0)
        else {
            return false;
        };
        matches!(host.split_at_checked(dot), Some((_, [b'.', rest @ ..])) if rest.eq_ignore_ascii_case(name))
    }
}

/// Splits `host[:port]`; a bracketed IPv6 address keeps its brackets.
pub(crate) fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(colon) = memchr::memrchr(b':', authority) else {
        return (authority, None);
    };
    let (host, rest) = authority
        .split_at_checked(colon)
        .unwrap_or((authority, b""));
    let inside_brackets = host.first() == Some(&b'[') && host.last() != Some(&b']');
    match rest.get(1..) {
        Some(port) if !inside_brackets => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A DNS name, an IPv4 address or a bracketed IPv6 address.
pub(crate) fn is_host(text: &str) -> bool {
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// A path with `*` for any run of characters, `/` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathGlob {
    /// What lies between the stars; one piece means there is no star.
    pieces: Vec<Vec<u8>>,
}

impl PathGlob {
    pub(crate) const ACCEPTS: &'static str = "a path that begins with `/` or `*`, where `*` stands for any characters (`/health`, `/internal/*`, `*.css`)";

    pub(crate) fn parse(entry: &str) -> Option<PathGlob> {
        if !entry.starts_with(['/', '*']) || entry.contains('?') || entry.len() > 1024 {
            return None;
        }
        Some(PathGlob {
            pieces: entry
                .split('*')
                .map(|piece| piece.as_bytes().to_vec())
                .collect(),
        })
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let [first, middle @ ..] = self.pieces.as_slice() else {
            return false;
        };
        let Some(rest) = path.strip_prefix(first.as_slice()) else {
            return false;
        };
        let [middle @ .., last] = middle else {
            return rest.is_empty();
        };
        let Some(mut rest) = rest.strip_suffix(last.as_slice()) else {
            return false;
        };
        for piece in middle {
            // The leftmost place is as good as any, so one pass decides.
            let Some(at) = memmem::find(rest, piece) else {
                return false;
            };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        true
    }
}

/// A media type, a range of them (`application/*`) or a suffix (`*+json`, `application/*+xml`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaPattern {
    /// Lower case; empty means any.
    kind: String,
    /// Lower case; empty means any.
    subtype: String,
    /// `subtype` is only the ending, e.g. `+json`.
    ending: bool,
}

impl MediaPattern {
    pub(crate) const ACCEPTS: &'static str = "a media type (`application/json`), a range (`application/*`, `*/*`) or a suffix (`*+json`, `application/*+xml`)";

    pub(crate) fn parse(entry: &str) -> Option<MediaPattern> {
        let entry = entry.to_ascii_lowercase();
        let (kind, subtype) = match entry.split_once('/') {
            Some(parts) => parts,
            None if entry == "*" => ("*", "*"),
            None if entry.starts_with("*+") => ("*", entry.as_str()),
            None => return None,
        };
        let kind = if kind == "*" { "" } else { kind };
        let (subtype, ending) = match subtype.strip_prefix('*') {
            Some("") => ("", false),
            Some(rest) if rest.starts_with('+') && rest.len() > 1 => (rest, true),
            Some(_) => return None,
            None if subtype.is_empty() => return None,
            None => (subtype, false),
        };
        if !kind.bytes().chain(subtype.bytes()).all(is_token_byte)
            || (kind.is_empty() && !subtype.is_empty() && !ending)
        {
            return None;
        }
        Some(MediaPattern {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            ending,
        })
    }

    /// `media` is without parameters and without surrounding spaces, in any case.
    pub(crate) fn matches(&self, media: &[u8]) -> bool {
        if self.kind.is_empty() && self.subtype.is_empty() {
            return true;
        }
        let Some(slash) = memchr::memchr(b'/', media) else {
            return false;
        };
        let Some((kind, [_, subtype @ ..])) = media.split_at_checked(slash) else {
            return false;
        };
        let wanted = self.subtype.as_bytes();
        (self.kind.is_empty() || kind.eq_ignore_ascii_case(self.kind.as_bytes()))
            && if self.ending {
                subtype.len() > wanted.len()
                    && subtype
                        .get(subtype.len() - wanted.len()..)
                        .is_some_and(|end| end.eq_ignore_ascii_case(wanted))
            } else {
                wanted.is_empty() || subtype.eq_ignore_ascii_case(wanted)
            }
    }
}

/// A content type without its parameters and without spaces around it.
pub(crate) fn media_type(content_type: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    content_type.get(..end).unwrap_or(content_type).trim_ascii()
}

/// A `tchar` of RFC 9110 section 5.6.2: what methods and field names are made of.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_single_classes_and_ranges() {
        let mut set = StatusSet::empty();
        for entry in ["1xx", "404", "500-503"] {
            set.add(entry).unwrap();
        }
        let kept: Vec<u16> = (0..=u16::MAX).filter(|s| set.contains(*s)).collect();
        let wanted: Vec<u16> = (100..=199).chain([404]).chain(500..=503).collect();
        assert_eq!(kept, wanted);
        for bad in [
            "", "xx", "0xx", "10xx", "99", "1000", "503-500", "4 04", "-", "404-", "+44",
        ] {
            assert_eq!(StatusSet::empty().add(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_match_by_label_and_optional_port() {
        let check = |pattern: &str, authority: &str, wanted: bool| {
            let matched = HostPattern::parse(pattern)
                .unwrap()
                .matches(authority.as_bytes());
            assert_eq!(matched, wanted, "{pattern} against {authority}");
        };
        check("api.example.com", "API.example.com", true);
        check("api.example.com", "api.example.com:8080", true);
        check("api.example.com", "api.example.com.", true);
        check("api.example.com:443", "api.example.com", false);
        check("api.example.com:443", "api.example.com:443", true);
        check("*.example.com", "a.b.example.com", true);
        check("*.example.com", "example.com", false);
        check("*.example.com", ".example.com", false);
        check("*.example.com", "badexample.com", false);
        check("[::1]", "[::1]:80", true);
        check("[::1]", "[::1]", true);
        check("*", "", true);
        for bad in [
            "",
            "*example.com",
            "a..b",
            "exa mple",
            "a:0",
            "a:99999",
            "a:x",
            "[::g]",
            "http://a",
            "*.[::1]",
        ] {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn globs_match_whole_paths() {
        let check = |glob: &str, path: &str, wanted: bool| {
            assert_eq!(
                PathGlob::parse(glob).unwrap().matches(path.as_bytes()),
                wanted,
                "{glob} against {path}"
            );
        };
        check("/health", "/health", true);
        check("/health", "/healthz", false);
        check("/a/*", "/a/", true);
        check("/a/*", "/a/b/c", true);
        check("/a/*", "/a", false);
        check("*.css", "/x/y.css", true);
        check("/a*a", "/a", false);
        check("/*/x/*/y", "/1/x/2/x/3/y", true);
        check("/*/x/*/y", "/1/x/y", false);
        check("*", "", true);
        for bad in ["", "health", "/a?b"] {
            assert_eq!(PathGlob::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn media_types_match_ranges_and_suffixes() {
        let check = |pattern: &str, media: &str, wanted: bool| {
            let matched = MediaPattern::parse(pattern)
                .unwrap()
                .matches(media_type(media.as_bytes()));
            assert_eq!(matched, wanted, "{pattern} against {media}");
        };
        check("application/json", "Application/JSON; charset=utf-8", true);
        check("application/*", "application/octet-stream", true);
        check("application/*", "text/plain", false);
        check("*+json", "application/vnd.api+json", true);
        check("*+json", "application/json", false);
        check("application/*+xml", "image/svg+xml", false);
        check("*", "", true);
        check("*/*", "x/y", true);
        for bad in ["", "json", "*/json", "application/", "a/b c", "*json", "*+"] {
            assert_eq!(MediaPattern::parse(bad), None, "{bad}");
        }
    }
}
