//! The plain values a shim passes in: heads, addresses, the time, what the gateway knows.
//!
//! Everything is borrowed and as the gateway has it – raw bytes, undecoded. Nothing here owns, copies or interprets.

use std::net::SocketAddr;

/// The time at which something happened, from both of the gateway's clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_nanos: u64,
    /// Nanoseconds of a clock that never goes back; its zero means nothing.
    pub monotonic_nanos: u64,
}

/// A request's first line, as the client sent it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// `host[:port]` from `Host` or `:authority`; empty when there was none.
    pub authority: &'a [u8],
    /// The method, e.g. `GET`.
    pub method: &'a [u8],
    /// The path before any rewriting or decoding, without query.
    pub path: &'a [u8],
    /// What follows the first `?`, without it; `Some(b"")` for a bare `?`.
    pub query: Option<&'a [u8]>,
    /// `1.0`, `1.1`, `2` or `3`.
    pub http_version: &'a str,
}

/// The two ends of the client's connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peers {
    /// The client, as the gateway believes it to be (after real-IP processing).
    pub client: Option<SocketAddr>,
    /// The gateway's own address that took the connection.
    pub server: Option<SocketAddr>,
}

/// What is known of the client's TLS session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls<'a> {
    /// `1.2`, `1.3`.
    pub version: &'a str,
    /// The cipher suite's name.
    pub cipher: &'a str,
    /// The name the client asked for (SNI).
    pub server_name: &'a str,
    /// A client certificate was presented and verified.
    pub client_certificate: bool,
}

/// What only the gateway knows. Empty and `None` mean unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gateway<'a> {
    /// Name or id of the route that matched.
    pub route: &'a str,
    /// Name or id of the service behind the route.
    pub service: &'a str,
    /// Name of the upstream or pool.
    pub upstream: &'a str,
    /// The server that answered.
    pub upstream_address: Option<SocketAddr>,
    /// The virtual server or host that took the request.
    pub virtual_server: &'a str,
    /// Who the gateway says the caller is.
    pub consumer: &'a str,
    /// Microseconds the upstream took.
    pub upstream_micros: Option<u64>,
    /// Anything else, as key and value: `colo`, `ray`, `asn`.
    pub attributes: &'a [(&'a str, &'a str)],
}

/// The end of an exchange, and what is known only then.
#[derive(Clone, Copy, Debug, Default)]
pub struct End<'a> {
    /// When it ended; same clock as [`Clock::monotonic_nanos`].
    pub monotonic_nanos: u64,
    /// What the gateway knows.
    pub gateway: Gateway<'a>,
    /// Who talked to whom.
    pub peers: Peers,
    /// The client's TLS session; `None` for plain HTTP, or unknown.
    pub tls: Option<Tls<'a>>,
    /// Bytes of the request's body that passed, when the gateway counts them itself. Without it the chunks are counted.
    pub request_size: Option<u64>,
    /// Bytes of the response's body that passed, likewise.
    pub response_size: Option<u64>,
    /// The response was not over: a stream without end, a client that left.
    pub unfinished: bool,
}
