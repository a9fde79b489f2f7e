//! What the settings compile to: validated, immutable, asked on every request.
//!
//! In: the values of [`Settings`](crate::Settings). Out: yes or no, and how much. Answers take time linear in what is
//! looked at and allocate nothing. The token is never shown by `Debug`.

use std::fmt;

use crate::counters::Skip;
use crate::exchange::RequestHead;
use crate::pattern::{HostPattern, MediaPattern, PathGlob, StatusSet, is_host, split_port};
use crate::redact::Redaction;

/// What to capture, what to redact, and where to send it. Shared by all requests as `Arc<Policy>`.
#[derive(Clone)]
pub struct Policy {
    pub(crate) collector: Option<Collector>,
    pub(crate) token: String,
    pub(crate) tls_ca: String,
    pub(crate) max_request_body: usize,
    pub(crate) max_response_body: usize,
    pub(crate) excluded_statuses: StatusSet,
    /// Lower case.
    pub(crate) excluded_methods: Vec<String>,
    /// Lower case.
    pub(crate) excluded_headers: Vec<String>,
    pub(crate) include_hosts: Vec<HostPattern>,
    pub(crate) exclude_hosts: Vec<HostPattern>,
    pub(crate) include_paths: Vec<PathGlob>,
    pub(crate) exclude_paths: Vec<PathGlob>,
    pub(crate) content_types: Vec<MediaPattern>,
    pub(crate) sample_rate: f64,
    pub(crate) redaction: Redaction,
    pub(crate) queue_bytes: usize,
    pub(crate) flush_interval_ms: u64,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("collector", &self.collector)
            .field("token", &if self.token.is_empty() { "" } else { "(set)" })
            .field("tls_ca", &self.tls_ca)
            .field("max_request_body", &self.max_request_body)
            .field("max_response_body", &self.max_response_body)
            .field("excluded_methods", &self.excluded_methods)
            .field("excluded_headers", &self.excluded_headers)
            .field("include_hosts", &self.include_hosts)
            .field("exclude_hosts", &self.exclude_hosts)
            .field("include_paths", &self.include_paths)
            .field("exclude_paths", &self.exclude_paths)
            .field("content_types", &self.content_types)
            .field("sample_rate", &self.sample_rate)
            .field("redaction", &self.redaction)
            .field("queue_bytes", &self.queue_bytes)
            .field("flush_interval_ms", &self.flush_interval_ms)
            .finish_non_exhaustive()
    }
}

impl Policy {
    pub(crate) fn empty() -> Policy {
        Policy {
            collector: None,
            token: String::new(),
            tls_ca: String::new(),
            max_request_body: 0,
            max_response_body: 0,
            excluded_statuses: StatusSet::empty(),
            excluded_methods: Vec::new(),
            excluded_headers: Vec::new(),
            include_hosts: Vec::new(),
            exclude_hosts: Vec::new(),
            include_paths: Vec::new(),
            exclude_paths: Vec::new(),
            content_types: Vec::new(),
            sample_rate: 1.0,
            redaction: Redaction::default(),
            queue_bytes: 0,
            flush_interval_ms: 0,
        }
    }

    /// Where the collector listens; `None` when it was not set.
    pub fn collector(&self) -> Option<&Collector> {
        self.collector.as_ref()
    }

    /// The bearer token; `None` when it was not set. Never log it.
    pub fn token(&self) -> Option<&str> {
        Some(self.token.as_str()).filter(|token| !token.is_empty())
    }

    /// The path of the PEM file with the authorities to trust; `None` means the system's.
    pub fn tls_ca(&self) -> Option<&str> {
        Some(self.tls_ca.as_str()).filter(|path| !path.is_empty())
    }

    /// How many bytes of a request's body are kept.
    pub fn max_request_body(&self) -> usize {
        self.max_request_body
    }

    /// How many bytes of a response's body are kept.
    pub fn max_response_body(&self) -> usize {
        self.max_response_body
    }

    /// How many bytes may wait for the collector.
    pub fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// How long an exchange waits at most for others to share its batch.
    pub fn flush_interval_ms(&self) -> u64 {
        self.flush_interval_ms
    }

    /// The share of exchanges captured, 0 to 1.
    pub fn sample_rate(&self) -> f64 {
        self.sample_rate
    }

    /// The redaction rules, for fuzzing and measuring; [`Recorder`](crate::Recorder) applies them by itself.
    #[doc(hidden)]
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Whether the request's first line alone already rules the exchange out.
    pub(crate) fn skips(&self, head: &RequestHead<'_>) -> Option<Skip> {
        if self
            .excluded_methods
            .iter()
            .any(|method| head.method.eq_ignore_ascii_case(method.as_bytes()))
        {
            return Some(Skip::ExcludedMethod);
        }
        let hosts = |list: &[HostPattern]| list.iter().any(|host| host.matches(head.authority));
        if (!self.include_hosts.is_empty() && !hosts(&self.include_hosts))
            || hosts(&self.exclude_hosts)
        {
            return Some(Skip::ExcludedHost);
        }
        let paths = |list: &[PathGlob]| list.iter().any(|glob| glob.matches(head.path));
        if (!self.include_paths.is_empty() && !paths(&self.include_paths))
            || paths(&self.exclude_paths)
        {
            return Some(Skip::ExcludedPath);
        }
        None
    }

    pub(crate) fn excludes_header(&self, name: &[u8]) -> bool {
        self.excluded_headers
            .iter()
            .any(|header| name.eq_ignore_ascii_case(header.as_bytes()))
    }

    pub(crate) fn wants_media(&self, media: &[u8]) -> bool {
        self.content_types
            .iter()
            .any(|pattern| pattern.matches(media))
    }
}

/// The collector's address, from a URL that has nothing but scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Collector {
    tls: bool,
    host: String,
    port: u16,
}

impl Collector {
    pub(crate) fn parse(url: &str) -> Option<Collector> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest.as_bytes());
        let host = std::str::from_utf8(host)
            .ok()
            .filter(|host| is_host(host))?;
        let port = match port {
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => std::str::from_utf8(digits)
                .ok()?
                .parse()
                .ok()
                .filter(|port| *port > 0)?,
            Some(_) => return None,
            None if tls => 443,
            None => 80,
        };
        Some(Collector {
            tls,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// `https`.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 or 443 when the URL had none.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The URL, always with its port.
impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}:{}",
            if self.tls { "https" } else { "http" },
            self.host,
            self.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collector_urls() {
        for (url, wanted) in [
            ("http://127.0.0.1:4317", "http://127.0.0.1:4317"),
            (
                "HTTPS://Collector.example/",
                "https://collector.example:443",
            ),
            ("http://[::1]:9", "http://[::1]:9"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://collector", "http://collector:80"),
        ] {
            assert_eq!(Collector::parse(url).unwrap().to_string(), wanted);
        }
        for bad in [
            "",
            "collector",
            "collector:4317",
            "grpc://x",
            "http://",
            "http://x/y",
            "http://x?y",
            "http://x:0",
            "http://x:65536",
            "http://x:+1",
            "http://u:p@x",
            "http://x y",
            "http://::1",
            "http://x:",
        ] {
            assert_eq!(Collector::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let mut settings = crate::Settings::default();
        settings.set("token", "hunter2").unwrap();
        let policy = settings.build().unwrap();
        assert_eq!(policy.token(), Some("hunter2"));
        assert!(!format!("{policy:?}{settings:?}").contains("hunter2"));
    }
}
