//! A listener: connections in, requests out to a service.
//!
//! In: a bound socket, TLS or not, and a service per connection. Out: answers over HTTP/1.1 and HTTP/2. What does not
//! belong is closed and counted by reason: plain HTTP on a TLS port and TLS on a plain port (both are told so in their own
//! language), what is no HTTP, handshakes and heads that take too long, connections over the limit.
//!
//! It never waits for a client without a time limit, and ends when told to: requests being answered are finished first.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::refusals::Refusals;
use crate::tls::{self, Tls};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long requests being answered may take when the service ends.
const GRACE: Duration = Duration::from_secs(5);

/// Streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 128;
/// Bytes of a request's header fields.
const MAX_HEADERS: u32 = 32 << 10;

/// A TLS alert record (RFC 8446, section 6): fatal, handshake failure. For who speaks TLS to a plain port.
const TLS_ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];

/// For who speaks plain HTTP/1 to a TLS port.
const PLAIN_HTTP_1: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
    This port speaks TLS: use https://\n";

/// For who speaks plain HTTP/2 to a TLS port: empty SETTINGS, then GOAWAY with INADEQUATE_SECURITY (RFC 9113, section 7).
const PLAIN_HTTP_2: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x1c\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0cthis port speaks TLS";

/// The label of what a listener counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Name {
    /// `telemetry`, `admin` or `catalog`.
    pub listener: &'static str,
}

/// One listener.
#[derive(Debug)]
pub struct Listener {
    /// `telemetry`, `admin` or `catalog`: the label of what it counts.
    pub name: &'static str,
    /// The bound socket.
    pub socket: TcpListener,
    /// TLS, if it speaks that.
    pub tls: Option<Arc<Tls>>,
    /// Connections at once.
    pub max_connections: usize,
    /// For the first byte, the handshake, and the head of a request, each.
    pub header_timeout: Duration,
    /// What is refused.
    pub refusals: Arc<Refusals>,
    /// Connections accepted are counted here.
    pub connections: Family<Name, Counter>,
    /// Turns true when it is to end.
    pub ending: watch::Receiver<bool>,
}

#[derive(Clone)]
struct Door {
    name: &'static str,
    tls: Option<Arc<Tls>>,
    header_timeout: Duration,
    refusals: Arc<Refusals>,
    ending: watch::Receiver<bool>,
}

impl Listener {
    /// Accepts until it is to end, then waits for what is being answered.
    pub async fn run<S, B>(mut self, service: impl Fn(SocketAddr) -> S)
    where
        S: HttpService<Incoming, ResBody = B> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let door = Door {
            name: self.name,
            tls: self.tls,
            header_timeout: self.header_timeout,
            refusals: self.refusals,
            ending: self.ending.clone(),
        };
        let room = Arc::new(Semaphore::new(self.max_connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = self.ending.wait_for(|ending| *ending) => break,
                Some(_) = connections.join_next() => continue,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: the next one would fail at once as well.
                    tracing::warn!(listener = self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let Ok(permit) = room.clone().try_acquire_owned() else {
                let limit = format!(
                    "{} connections are open (max_connections)",
                    self.max_connections
                );
                door.refuse("too_many_connections", peer, &limit);
                continue;
            };
            let listener = self.name;
            self.connections.get_or_create(&Name { listener }).inc();
            let (door, service) = (door.clone(), service(peer));
            connections.spawn(async move {
                door.connection(stream, peer, service).await;
                drop(permit);
            });
        }
        drop(self.socket);
        let wait = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), wait).await;
    }
}

impl Door {
    fn refuse(&self, reason: &'static str, peer: SocketAddr, detail: &dyn std::fmt::Display) {
        self.refusals.count(self.name, reason, peer, detail);
    }

    async fn connection<S, B>(self, mut stream: TcpStream, peer: SocketAddr, service: S)
    where
        S: HttpService<Incoming, ResBody = B> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let _ = stream.set_nodelay(true);
        let mut first = [0; 3];
        let seen = match tokio::time::timeout(self.header_timeout, stream.peek(&mut first)).await {
            Ok(Ok(0)) => return, // a port check: connected, and gone
            Ok(Ok(seen)) => first.get(..seen).unwrap_or_default(),
            Ok(Err(_)) => return,
            Err(_) => {
                self.refuse("silent", peer, &"nothing was sent after connecting");
                return;
            }
        };
        let is_tls = seen.first() == Some(&0x16);
        let is_http = seen.first().is_some_and(u8::is_ascii_uppercase);
        match &self.tls {
            Some(tls) if is_tls => {
                let acceptor = TlsAcceptor::from(tls.current());
                let handshake = acceptor.accept(stream).into_fallible();
                match tokio::time::timeout(self.header_timeout, handshake).await {
                    Ok(Ok(stream)) => self.http(stream, peer, service).await,
                    Ok(Err((error, mut stream))) => {
                        self.refuse(tls::refusal(&error), peer, &error);
                        // The alert is sent. In TLS 1.3 the peer may be sending already; hanging up on that would take the
                        // alert away from it, and with it the reason.
                        part(&mut stream, &[]).await;
                    }
                    Err(_) => self.refuse(
                        "handshake_timeout",
                        peer,
                        &"the TLS handshake took too long",
                    ),
                }
            }
            Some(_) if is_http => {
                let answer = if seen == b"PRI" {
                    PLAIN_HTTP_2
                } else {
                    PLAIN_HTTP_1
                };
                self.refuse(
                    "plain_http_on_tls_port",
                    peer,
                    &"plain HTTP, but this port speaks TLS",
                );
                part(&mut stream, answer).await;
            }
            None if is_tls => {
                self.refuse(
                    "tls_on_plain_port",
                    peer,
                    &"TLS, but no certificate is configured (tls_cert)",
                );
                part(&mut stream, &TLS_ALERT).await;
            }
            None if is_http => self.http(stream, peer, service).await,
            _ => self.refuse("not_http", peer, &"what was sent is no HTTP"),
        }
    }

    async fn http<S, B>(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        service: S,
    ) where
        S: HttpService<Incoming, ResBody = B> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let asked = Arc::new(AtomicBool::new(false));
        let noted = asked.clone();
        let service = service_fn(move |request| {
            noted.store(true, Relaxed);
            service.clone().call(request)
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(100)
            .max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_frame_size(64 << 10)
            // A shim that lost its machine must not hold its connection for ever.
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // Covers what hyper has no limit for: a connection preface that never ends, and an HTTP/2 connection on which
        // nothing is ever asked.
        let mut first_request = pin!(tokio::time::sleep(self.header_timeout * 3));
        let mut grace = pin!(tokio::time::sleep(Duration::ZERO));
        let (mut watching, mut finishing) = (true, false);
        let mut ending = self.ending.clone();
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        self.ended(peer, asked.load(Relaxed), &*error);
                    }
                    return;
                }
                () = &mut first_request, if watching => {
                    watching = false;
                    if !asked.load(Relaxed) {
                        self.refuse("header_timeout", peer, &"no request within the time for its head");
                        return;
                    }
                }
                _ = ending.wait_for(|ending| *ending), if !finishing => {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                    grace.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
                () = &mut grace, if finishing => return,
            }
        }
    }

    /// A connection that did not end as it should. Clients that just leave are nothing to report.
    fn ended(&self, peer: SocketAddr, asked: bool, error: &(dyn std::error::Error + 'static)) {
        let Some(error) = error.downcast_ref::<hyper::Error>() else {
            if !asked {
                self.refuse("not_http", peer, &error);
            }
            return;
        };
        if error.is_timeout() {
            // Between two requests of a kept-alive connection this is its ordinary end.
            if !asked {
                self.refuse("header_timeout", peer, &error);
            }
        } else if error.is_parse() || error.is_parse_too_large() {
            self.refuse("not_http", peer, &error);
        } else if !asked && !error.is_incomplete_message() && !error.is_canceled() {
            let io = std::error::Error::source(error)
                .is_some_and(|source| source.is::<std::io::Error>());
            if !io {
                self.refuse("http_protocol", peer, &error);
            }
        }
    }
}

/// Says why, and closes so that it can still be read: what was not read from a socket turns its close into a reset.
async fn part(stream: &mut TcpStream, last_words: &[u8]) {
    let farewell = async {
        stream.write_all(last_words).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        for _ in 0..64 {
            if tokio::io::AsyncReadExt::read(stream, &mut rest).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), farewell).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_http_2_farewell_is_two_whole_frames() {
        assert_eq!(PLAIN_HTTP_2[..9], [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        let goaway = &PLAIN_HTTP_2[9..];
        let length = usize::from(goaway[2]);
        assert_eq!(goaway.len(), 9 + length);
        assert_eq!((goaway[3], goaway[9 + 7]), (7, 0xc));
    }
}
