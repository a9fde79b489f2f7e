//! The exchange matrix: what clients send and get over HTTP, as a shim reports it, whichever gateway it lives in.
//!
//! In: a [`Stand`]: a gateway with a shim that captures everything, the origin behind it, the recording collector beside it.
//! Out: nothing, or an error or a panic that says what was reported wrongly. A case never asks which gateway it runs on: what
//! gateways differ in is data, in [`Traits`]. [`crate::exchange_matrix`] makes a test of each case.
//!
//! What the gateway must be set up to do:
//!
//! | path | goes to |
//! |---|---|
//! | `/down` | a port nobody listens on |
//! | `/hangup` | [`Origin::hangup`] |
//! | `/ws` | the origin, upgrades to WebSocket included, if the gateway can |
//! | `/silhouette.telemetry.v1.TelemetryService/…` | [`Origin::grpc`] over HTTP/2, if the gateway can |
//! | everything else | [`Origin::address`] over HTTP/1.1 |
//!
//! Bodies are kept up to [`CAP`] both ways, exchanges are sent at once (`flush_interval_ms` 20), all other settings are the
//! defaults; client bodies of 1 MiB pass.

pub mod bodies;
pub mod connections;
pub mod heads;
pub mod streams;

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use silhouette_proto::telemetry::v1::{Body, Exchange};

pub use crate::process::PATIENCE;
use crate::{Answer, Origin, Recording, curl};

/// How much of a body is kept each way.
pub const CAP: usize = 4096;
/// A gateway as clients reach it.
#[derive(Debug, Clone)]
pub struct Front {
    /// HTTP/1.1: `http://127.0.0.1:PORT`.
    pub http: String,
    /// HTTP/2 by prior knowledge: `http://127.0.0.1:PORT`.
    pub h2c: Option<String>,
    /// TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2: `https://localhost:PORT`.
    pub tls: Option<String>,
    /// What it can do and show.
    pub traits: Traits,
}

/// What a gateway can do, and what it can show its shim.
#[derive(Debug, Clone, Default)]
pub struct Traits {
    /// `Shim.kind`.
    pub kind: &'static str,
    /// What `Shim.gateway_version` begins with; empty when the gateway does not say.
    pub version: &'static str,
    /// Names of the route, upstream and virtual server that serve the origin; empty when the gateway does not say.
    pub route: String,
    /// See `route`.
    pub upstream: String,
    /// See `route`.
    pub virtual_server: String,
    /// It tells which of its own addresses took the connection.
    pub server_address: bool,
    /// It tells which address answered.
    pub upstream_address: bool,
    /// It tells how long the upstream took.
    pub upstream_time: bool,
    /// It tells the cipher of a TLS connection.
    pub cipher: bool,
    /// Response headers of its own that the shim sees.
    pub own_headers: &'static [&'static str],
    /// The largest request body whose bytes it shows; `None` when there is no limit.
    pub request_body_up_to: Option<usize>,
    /// It passes upgrades to WebSocket.
    pub websocket: bool,
    /// It passes gRPC.
    pub grpc: bool,
    /// It passes trailers of HTTP/1.1 responses.
    pub trailers: bool,
    /// What it answers for an origin that is down or hangs up; 0 when it answers nothing and breaks the connection.
    pub bad_gateway: u16,
    /// It shows header lines as they were sent: in order, several of one name apart, byte by byte. Else names are sorted, values
    /// of one name are joined, `set-cookie` apart, and what is no UTF-8 is replaced.
    pub header_lines: bool,
    /// Its clock is finer than an exchange on loopback is long.
    pub fine_clock: bool,
    /// It tells which name a client asked for in TLS.
    pub server_name: bool,
    /// It shows bodies coded as they passed. Else the coding is undone, and what that gives is counted.
    pub coded_bodies: bool,
    /// It shows requests that got no answer.
    pub unanswered: bool,
    /// It shows bodies to their end, whether they are kept or not. Else nothing is known of what is not kept but that it
    /// is there, and the size its head announces, if it does.
    pub whole_bodies: bool,
    /// It shows bodies whose sender waits for a 100 before it sends them. Else nothing is known but their size.
    pub awaited_bodies: bool,
    /// It shows that an answer broke off. Else what came counts as the beginning of what its head announces.
    pub broken_answers: bool,
}

/// A case's surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// The gateway.
    pub front: &'a Front,
    /// Where its shim sends to.
    pub recording: &'a Recording,
    /// What it proxies to.
    pub origin: &'a Origin,
}

/// One row of the matrix.
pub type Case = fn(&Stand<'_>) -> Result<()>;

/// Makes a test of each case; `$run` is given it, as a [`Case`], and calls it with a stand.
#[macro_export]
macro_rules! exchange_matrix {
    ($run:path) => {
        $crate::exchange_matrix! { $run:
            heads: everything_of_an_exchange, http_1_0, http2_and_tls, statuses, duplicate_and_many_headers, odd_bytes_in_a_head,
                secrets_are_redacted;
            bodies: chunked_both_ways, around_the_cap, uploads_of_every_framing, large_over_http2, gzip_at_the_origin,
                expect_continue, responses_without_a_body, http2_responses_without_a_body, ranges, odd_bytes_in_a_body;
            streams: websocket_is_recorded_when_it_closes, without_end_is_unfinished_when_the_client_leaves,
                http2_without_end_is_unfinished_when_the_client_leaves, trailers_pass, grpc_passes_untouched;
            connections: pipelined_requests_are_one_exchange_each, exchanges_are_not_mixed_up, http2_streams_are_not_mixed_up,
                origins_that_break, clients_that_leave_in_the_middle_of_a_request;
        }
    };
    ($run:path: $($noun:ident: $($case:ident),+;)+) => {
        mod matrix {
            use super::*;
            $(mod $noun {
                use super::*;
                $(#[test]
                fn $case() -> anyhow::Result<()> {
                    $run($crate::matrix::$noun::$case)
                })+
            })+
        }
    };
}

impl Stand<'_> {
    /// Runs curl on a path with further arguments, and waits for the one exchange this makes.
    pub fn exchange(&self, path: &str, arguments: &[&str]) -> Result<(Answer, Exchange)> {
        self.exchange_at(&format!("{}{path}", self.front.http), arguments)
    }

    /// The same for a whole URL.
    pub fn exchange_at(&self, url: &str, arguments: &[&str]) -> Result<(Answer, Exchange)> {
        self.recording.clear();
        let answer = curl(arguments.iter().copied().chain([url]))?;
        let exchange = self
            .only()
            .with_context(|| format!("{url}: {} {}", answer.status, answer.error))?;
        Ok((answer, exchange))
    }

    /// The one exchange recorded since the last [`Recording::clear`].
    pub fn only(&self) -> Result<Exchange> {
        let mut exchanges = self.recording.wait_for(1, PATIENCE)?;
        ensure!(
            exchanges.len() == 1,
            "{} exchanges instead of one",
            exchanges.len()
        );
        exchanges.pop().context("one")
    }

    /// `127.0.0.1:PORT` of the plain port.
    pub fn authority(&self) -> &str {
        self.front.http.trim_start_matches("http://")
    }

    /// A connection to the plain port on which reading gives up after [`PATIENCE`].
    pub fn connect(&self) -> Result<TcpStream> {
        let socket = TcpStream::connect(self.authority())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Writes bytes to the plain port and reads until the server closes or `enough` says so.
    pub fn raw(&self, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let mut socket = self.connect()?;
        socket.write_all(request)?;
        let mut read = Vec::new();
        let mut part = [0; 4096];
        loop {
            let n = socket.read(&mut part)?;
            read.extend_from_slice(&part[..n]);
            if n == 0 || enough(&read) {
                return Ok(read);
            }
        }
    }

    /// Holds what was kept of a request's body against what was sent; `announced`: its head had its size.
    ///
    /// # Errors
    /// When it is not the beginning of it up to the cap, or, where the gateway cannot show it, not marked as unavailable.
    pub fn holds_request_body(&self, kept: &Body, sent: &[u8], announced: bool) -> Result<()> {
        if !announced && sent.len() > CAP && !self.front.traits.whole_bodies {
            let seen = usize::try_from(kept.original_size)?;
            ensure!(
                seen > CAP && seen <= sent.len(),
                "{} bytes were sent, more than {CAP} seen, {seen} counted",
                sent.len()
            );
            return begins(kept, sent);
        }
        ensure!(
            kept.original_size == sent.len() as u64,
            "{} bytes were sent, {} counted",
            sent.len(),
            kept.original_size
        );
        let limit = self.front.traits.request_body_up_to;
        if limit.is_some_and(|most| sent.len() > most) {
            ensure!(
                kept.data.is_empty() && kept.omitted == "unavailable",
                "the gateway cannot show {} bytes, but {:?} ({} bytes) were kept",
                sent.len(),
                kept.omitted,
                kept.data.len()
            );
            return Ok(());
        }
        holds(kept, sent)
    }
}

/// Holds what was kept of a body, whatever the gateway, against what passed.
pub fn holds(kept: &Body, passed: &[u8]) -> Result<()> {
    ensure!(
        kept.original_size == passed.len() as u64,
        "{} bytes passed, {} counted",
        passed.len(),
        kept.original_size
    );
    begins(kept, passed)
}

/// Holds what was kept of a body against the beginning of what passed.
fn begins(kept: &Body, passed: &[u8]) -> Result<()> {
    let wanted = passed.get(..passed.len().min(CAP)).unwrap_or_default();
    ensure!(
        kept.data == wanted,
        "{} bytes were kept of {}, omitted {:?}: not its first {}",
        kept.data.len(),
        passed.len(),
        kept.omitted,
        wanted.len()
    );
    ensure!(
        kept.truncated == (passed.len() > CAP),
        "truncated is {} of {} bytes",
        kept.truncated,
        passed.len()
    );
    Ok(())
}
