//! The authority of a request as one normalised name: `host[:port]`.
//!
//! In: the bytes of a `Host` header or `:authority` (RFC 9110, 7.2) and the scheme. Out: a [`HostName`] that is equal for
//! equal hosts (lower case, no default port, no trailing dot), or what is wrong with it. It never resolves a name and
//! never converts internationalised names: they are kept as they were sent.

use std::fmt;
use std::net::Ipv6Addr;

/// A normalised `host[:port]`; IPv6 addresses are in brackets and in their canonical text form (RFC 5952).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// Why an authority is no host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the authority is empty; expected host or host:port")]
    Empty,
    /// Longer than any DNS name with a port.
    #[error("the authority is {0} bytes long; expected at most 261 (a 255-byte name and a port)")]
    TooLong(usize),
    /// `user:password@host`, refused by RFC 9110, 4.2.4.
    #[error("the authority {0:?} carries user information; expected host or host:port only")]
    UserInfo(String),
    /// A byte that belongs in no host.
    #[error(
        "the authority {0:?} has a character that belongs in no host name; expected letters, digits, '-', '_' and '.'"
    )]
    Character(String),
    /// Two dots in a row, a leading dot, or a label over 63 bytes.
    #[error("the authority {0:?} has an empty or overlong label; expected labels of 1 to 63 bytes")]
    Label(String),
    /// Not a port.
    #[error("the port of the authority {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// `[…]` that is not IPv6.
    #[error("the authority {0:?} has brackets without an IPv6 address in them")]
    Ipv6(String),
}

const LONGEST: usize = 261;

impl HostName {
    /// Normalises an authority. The default port of `scheme` (`http` 80, `https` 443) is left out.
    pub fn parse(authority: &[u8], scheme: &str) -> Result<HostName, HostError> {
        if authority.len() > LONGEST {
            return Err(HostError::TooLong(authority.len()));
        }
        let shown = || String::from_utf8_lossy(authority).into_owned();
        let text = std::str::from_utf8(authority)
            .map_err(|_| HostError::Character(shown()))?
            .trim_matches([' ', '\t']);
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.contains('@') {
            return Err(HostError::UserInfo(redacted_user(text)));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest
                .split_once(']')
                .ok_or_else(|| HostError::Ipv6(shown()))?;
            let address: Ipv6Addr = inside.parse().map_err(|_| HostError::Ipv6(shown()))?;
            let port = match after {
                "" => None,
                _ => Some(
                    after
                        .strip_prefix(':')
                        .ok_or_else(|| HostError::Port(shown()))?,
                ),
            };
            (format!("[{address}]"), port)
        } else {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (name(host, &shown)?, port)
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                match digits.parse::<u16>() {
                    Ok(port) if port > 0 => Some(port),
                    _ => return Err(HostError::Port(shown())),
                }
            }
            Some(_) => return Err(HostError::Port(shown())),
        };
        let default = match scheme {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        Ok(HostName(match port {
            Some(port) if Some(port) != default => format!("{host}:{port}"),
            _ => host,
        }))
    }

    /// `host[:port]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error message must not carry a password into a log.
fn redacted_user(text: &str) -> String {
    format!("…@{}", text.rsplit('@').next().unwrap_or(""))
}

fn name(host: &str, shown: &dyn Fn() -> String) -> Result<String, HostError> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err(HostError::Empty);
    }
    for c in host.chars() {
        let fine = if c.is_ascii() {
            c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
        } else {
            c.is_alphanumeric()
        };
        if !fine {
            return Err(HostError::Character(shown()));
        }
    }
    if host
        .split('.')
        .any(|label| label.is_empty() || label.len() > 63)
    {
        return Err(HostError::Label(shown()));
    }
    Ok(host.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(authority: &str, scheme: &str, expected: &str) {
        let got = match HostName::parse(authority.as_bytes(), scheme) {
            Ok(host) => host.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert!(
            got.contains(expected),
            "{authority:?} over {scheme}: {got:?} lacks {expected:?}"
        );
        if !expected.starts_with("error") && !got.starts_with("error") {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn equal_hosts_have_equal_names() {
        check("API.Example.COM", "https", "api.example.com");
        check("api.example.com:443", "https", "api.example.com");
        check("api.example.com:443", "http", "api.example.com:443");
        check("api.example.com:80", "http", "api.example.com");
        check("api.example.com.:8080", "http", "api.example.com:8080");
        check("api.example.com:", "http", "api.example.com");
        check("[::1]:8443", "https", "[::1]:8443");
        check("[2001:DB8:0:0:0:0:0:1]", "https", "[2001:db8::1]");
        check("127.0.0.1:9000", "http", "127.0.0.1:9000");
        check("bücher.example", "https", "bücher.example");
        check("my_service.internal", "http", "my_service.internal");
    }

    #[test]
    fn what_is_no_host_is_refused_by_name() {
        check("", "http", "error: the authority is empty");
        check(":80", "http", "error: the authority is empty");
        check(
            "a b",
            "http",
            "error: the authority \"a b\" has a character",
        );
        check("a..b", "http", "empty or overlong label");
        check("a:0", "http", "not a number from 1 to 65535");
        check("a:99999", "http", "not a number from 1 to 65535");
        check("a:+80", "http", "not a number from 1 to 65535");
        check("[::1", "http", "brackets without an IPv6");
        check("[zz]", "http", "brackets without an IPv6");
        check("<script>", "http", "has a character");
        check(&"a".repeat(300), "http", "300 bytes long");
        assert!(HostName::parse(b"\xff\xfe", "http").is_err());
    }

    #[test]
    fn a_password_never_reaches_the_message() {
        let error = HostName::parse(b"me:hunter2@example.com", "http")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("user information") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
