//! A listener: connections in, requests out to a service, or bytes to whoever reads them.
//!
//! In: a bound socket, TLS or not, and a service per connection. Out: answers over HTTP/1.1 and HTTP/2; or, with [`Listener::streams`],
//! the bytes that come, once TLS is off. What does not belong is closed and counted by reason: plain HTTP on a TLS port and TLS on a
//! plain port (both are told so in their own language), what is no HTTP, handshakes and heads that take too long, connections over
//! the limit.
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
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::refusals::Refusals;
use crate::tls::{self, Tls};

/// What one connection sends, without TLS.
pub type Bytes = Box<dyn AsyncRead + Send + Unpin>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long requests being answered may take when the service ends.
const GRACE: Duration = Duration::from_secs(5);

/// How many times longer than a request's head may take whoever sends without being asked may be silent at first.
pub const SLOW: u32 = 6;
/// Silence after which a connection that only brings bytes is asked whether its other end is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

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
    /// Such as `telemetry`, `admin`, `hsl` or `catalog`.
    pub listener: &'static str,
}

/// One listener.
#[derive(Debug)]
pub struct Listener {
    /// Such as `telemetry`, `admin`, `hsl` or `catalog`: the label of what it counts.
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
    /// Answers requests until it is to end, then waits for what is being answered.
    pub async fn run<S, B>(self, service: impl Fn(SocketAddr) -> S)
    where
        S: HttpService<Incoming, ResBody = B> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.accept(|door, stream, peer| door.requests(stream, peer, service(peer)))
            .await;
    }

    /// Hands on what each connection sends until it is to end, then waits for whoever reads. Nothing is ever sent.
    pub async fn streams<F>(self, read: impl Fn(Bytes, SocketAddr) -> F + Clone + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        self.accept(|door, stream, peer| {
            let read = read.clone();
            async move {
                if let Some(bytes) = door.bytes(stream, peer).await {
                    read(bytes, peer).await;
                }
            }
        })
        .await;
    }

    async fn accept<F>(mut self, connection: impl Fn(Door, TcpStream, SocketAddr) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
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
            let connection = connection(door.clone(), stream, peer);
            connections.spawn(async move {
                connection.await;
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

    /// The first bytes, without taking them; `None`: there is nothing to serve.
    async fn first<'a>(
        &self,
        stream: &TcpStream,
        peer: SocketAddr,
        within: Duration,
        room: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        match tokio::time::timeout(within, stream.peek(room)).await {
            Ok(Ok(0)) => None, // a port check: connected, and gone
            Ok(Ok(seen)) => room.get(..seen),
            Ok(Err(_)) => None,
            Err(_) => {
                self.refuse("silent", peer, &"nothing was sent after connecting");
                None
            }
        }
    }

    /// Takes TLS off.
    async fn handshake(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(tls.current())
            .accept(stream)
            .into_fallible();
        match tokio::time::timeout(self.header_timeout, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err((error, mut stream))) => {
                self.refuse(tls::refusal(&error), peer, &error);
                // The alert is sent. In TLS 1.3 the peer may be sending already; hanging up on that would take the
                // alert away from it, and with it the reason.
                part(&mut stream, &[]).await;
                None
            }
            Err(_) => {
                let late = "the TLS handshake took too long";
                self.refuse("handshake_timeout", peer, &late);
                None
            }
        }
    }

    async fn tls_on_plain_port(&self, stream: &mut TcpStream, peer: SocketAddr, why: &str) {
        self.refuse("tls_on_plain_port", peer, &why);
        part(stream, &TLS_ALERT).await;
    }

    /// What a connection sends.
    async fn bytes(&self, mut stream: TcpStream, peer: SocketAddr) -> Option<Bytes> {
        // Nothing is ever sent here, so without this nobody would notice a peer that lost its power.
        let alive = TcpKeepalive::new().with_time(KEEPALIVE);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&alive);
        // The reader has time limits of its own; who connects early and sends late is no rarity here.
        let mut room = [0; 1];
        let within = self.header_timeout * SLOW;
        let mut ending = self.ending.clone();
        let first = tokio::select! {
            biased;
            first = self.first(&stream, peer, within, &mut room) => first?,
            // What sends nothing is not waited for.
            _ = ending.wait_for(|ending| *ending) => return None,
        };
        match (&self.tls, first == [0x16]) {
            (Some(tls), true) => Some(Box::new(self.handshake(tls, stream, peer).await?)),
            (Some(_), false) => {
                let why = "what was sent is no TLS, but this port speaks it";
                self.refuse("plain_on_tls_port", peer, &why);
                None
            }
            (None, true) => {
                let why = "TLS, but this port takes it plain";
                self.tls_on_plain_port(&mut stream, peer, why).await;
                None
            }
            (None, false) => Some(Box::new(stream)),
        }
    }

    async fn requests<S, B>(self, mut stream: TcpStream, peer: SocketAddr, service: S)
    where
        S: HttpService<Incoming, ResBody = B> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let _ = stream.set_nodelay(true);
        let mut room = [0; 3];
        let within = self.header_timeout;
        let Some(seen) = self.first(&stream, peer, within, &mut room).await else {
            return;
        };
        let is_tls = seen.first() == Some(&0x16);
        let is_http = seen.first().is_some_and(u8::is_ascii_uppercase);
        match &self.tls {
            Some(tls) if is_tls => {
                if let Some(stream) = self.handshake(tls, stream, peer).await {
                    self.http(stream, peer, service).await;
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
                let why = "TLS, but no certificate is configured (tls_cert)";
                self.tls_on_plain_port(&mut stream, peer, why).await;
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
