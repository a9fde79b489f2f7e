//! nginx's part of the strict host: takes requests, asks the origin, and shows the filter each step on the way.
//!
//! In: connections of clients. Out: the origin's answers, unchanged, or 500 where the filter has cost the request. Bodies of
//! requests are read whole before the origin is asked, those of responses pass in pieces.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::exchange::{Exchange, Kong, Named, Pair, RequestBody, ResponseHead, Surroundings, Tls};
use super::piping::{Piping, Source};
use super::record::Record;
use super::worker::{Step, Stream, Timer, Worker};

/// Headers that are of one connection alone.
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the front needs to know about the test's wishes.
#[derive(Debug, Clone)]
pub struct Setup {
    pub kong: Kong,
    pub origin: SocketAddr,
    /// Other origins, by what paths begin with.
    pub routes: Vec<(String, SocketAddr)>,
    /// `client_body_buffer_size`
    pub body_buffer: usize,
    /// Headers that plugins before the filter have added to each request.
    pub added: Vec<(String, String)>,
    pub trusted: Option<PathBuf>,
}

impl Setup {
    fn origin_of(&self, path: &str) -> SocketAddr {
        let mut fitting = self
            .routes
            .iter()
            .filter(|(prefix, _)| path.starts_with(prefix));
        fitting.next().map_or(self.origin, |(_, origin)| *origin)
    }
}

/// A client's connection.
#[derive(Debug, Clone)]
pub struct Connection {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub tls: Option<Tls>,
}

/// See the module's documentation. Everything runs on one thread, as in nginx.
pub struct Front {
    worker: RefCell<Worker>,
    record: Record,
    setup: Setup,
    stopping: Cell<bool>,
}

impl Front {
    pub fn new(worker: Worker, record: Record, setup: Setup) -> Rc<Front> {
        Rc::new(Front {
            worker: RefCell::new(worker),
            record,
            setup,
            stopping: Cell::new(false),
        })
    }

    /// Nothing is begun any more.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// The next callback traps.
    pub fn trap_next(&self) {
        self.worker.borrow_mut().trap_next();
    }

    /// Starts what the filter has asked for: calls and timers.
    pub fn pump(self: &Rc<Self>) {
        if self.stopping.get() {
            return;
        }
        let (calls, timers) = {
            let mut worker = self.worker.borrow_mut();
            (worker.take_calls(), worker.take_timers())
        };
        for call in calls {
            let front = self.clone();
            tokio::task::spawn_local(async move {
                let answer = call.perform(front.setup.trusted.as_ref()).await;
                front.worker.borrow_mut().answered(&call, answer);
                front.pump();
            });
        }
        for timer in timers {
            tokio::task::spawn_local(self.clone().tick(timer));
        }
    }

    async fn tick(self: Rc<Self>, timer: Timer) {
        while !self.stopping.get() {
            tokio::time::sleep(timer.period).await;
            self.worker.borrow_mut().tick(timer);
            self.pump();
        }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// When the client's connection is to be broken.
    pub async fn serve(
        self: Rc<Self>,
        mut request: Request<Incoming>,
        connection: Connection,
    ) -> Result<Response<Piping>> {
        let upgrade = wants_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let mut passage = Passage::new(self.clone(), &head, connection)?;
        if !passage.step(Step::RequestHeaders, false) {
            return Ok(passage.refuse());
        }
        // A client that leaves meanwhile ends the exchange here.
        let body = body.collect().await?.to_bytes();
        passage.exchange.request_length += body.len() as u64;
        if !body.is_empty() {
            passage.exchange.body = match body.len() > self.setup.body_buffer {
                true => RequestBody::Spooled(body.len()),
                false => RequestBody::Memory(body.to_vec()),
            };
            if !passage.step(Step::RequestBody, true) {
                return Ok(passage.refuse());
            }
        }
        let origin = self.setup.origin_of(head.uri.path());
        let asked = ask(origin, &head, body, upgrade.is_some()).await;
        let (head, source) = match asked {
            Ok(mut response) => {
                passage.exchange.surroundings.upstream = Some(origin);
                if response.status() == 101 {
                    let theirs = hyper::upgrade::on(&mut response);
                    let Some(ours) = upgrade else {
                        return Err(anyhow!("the origin switches protocols unasked"));
                    };
                    return Ok(passage.tunnel(response.into_parts().0, ours, theirs));
                }
                let (head, body) = response.into_parts();
                (head, Source::Origin(body))
            }
            Err(_) => {
                let text =
                    "{\"message\":\"An invalid response was received from the upstream server\"}";
                let head = Response::builder()
                    .status(502)
                    .header("content-type", "application/json")
                    .header("content-length", text.len());
                let (head, ()) = head.body(())?.into_parts();
                (
                    head,
                    Source::Text(Some(Bytes::from_static(text.as_bytes()))),
                )
            }
        };
        passage.answer(head, source)
    }
}

/// One request on its way. When it is dropped, however the exchange has ended, the filter is told.
pub struct Passage {
    front: Rc<Front>,
    stream: Option<Stream>,
    exchange: Exchange,
}

impl Passage {
    fn new(
        front: Rc<Front>,
        head: &http::request::Parts,
        connection: Connection,
    ) -> Result<Passage> {
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let (mut worker, setup) = (front.worker.borrow_mut(), &front.setup);
        let chain = worker.chain_for(head.uri.path());
        let stream = chain.map(|chain| worker.open(chain)).transpose()?;
        drop(worker);
        let number = chain.unwrap_or_default();
        let named = |kind: &str| Named {
            id: format!("{number:08x}-0000-4000-8000-00000000000{}", kind.len()),
            name: format!("{kind}-{number}"),
        };
        let http2 = head.version == Version::HTTP_2;
        let mut headers: Vec<Pair> = Vec::new();
        if let (true, Some(authority)) = (http2, head.uri.authority()) {
            headers.push((b"host".to_vec(), authority.as_str().into()));
        }
        headers.extend(head.headers.iter().map(|(name, value)| {
            let name = match http2 {
                true => name.as_str().to_owned(),
                false => capitalised(name.as_str()),
            };
            (name.into_bytes(), value.as_bytes().to_vec())
        }));
        let added = setup.added.iter();
        headers.extend(added.map(|(name, value)| (name.clone().into(), value.clone().into())));
        let size: usize = headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
        let exchange = Exchange {
            method: head.method.to_string(),
            target: target.to_owned(),
            protocol: match head.version {
                Version::HTTP_2 => "HTTP/2.0",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            }
            .to_owned(),
            headers,
            body: RequestBody::None,
            response: None,
            chunk: Vec::new(),
            surroundings: Surroundings {
                kong: setup.kong,
                node: "6e9d1b2c-0000-4000-8000-00000000000a".to_owned(),
                client: connection.client,
                server: connection.server,
                server_name: "kong".to_owned(),
                tls: connection.tls,
                route: named("route"),
                service: named("service"),
                upstream: None,
            },
            begin: Instant::now(),
            request_length: (size + target.len() + 20) as u64,
            body_bytes_sent: 0,
        };
        Ok(Passage {
            front,
            stream,
            exchange,
        })
    }

    pub fn front(&self) -> &Rc<Front> {
        &self.front
    }

    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    /// Shows the filter a step. `false`: the request cannot go on.
    pub fn step(&mut self, step: Step, end_of_stream: bool) -> bool {
        let Some(stream) = &mut self.stream else {
            return true;
        };
        let mut worker = self.front.worker.borrow_mut();
        let outcome = worker.step(stream, step, &mut self.exchange, end_of_stream);
        drop(worker);
        self.front.pump();
        if outcome.is_err() {
            self.front.record.lock().refused += 1;
        }
        outcome.is_ok()
    }

    fn refuse(self) -> Response<Piping> {
        let mut response = Response::new(Piping::new(
            self,
            Source::Text(Some(
                "{\"message\":\"An unexpected error occurred\"}".into(),
            )),
        ));
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        // The filter has done its part already.
        response.body_mut().silent = true;
        response
    }

    fn see_response(&mut self, head: &http::response::Parts) -> bool {
        self.exchange.response = Some(ResponseHead {
            status: head.status.as_u16(),
            headers: as_nginx_has_them(&head.headers),
        });
        self.step(Step::ResponseHeaders, false)
    }

    fn answer(
        mut self,
        mut head: http::response::Parts,
        source: Source,
    ) -> Result<Response<Piping>> {
        if !self.see_response(&head) {
            return Ok(self.refuse());
        }
        let without_body =
            self.exchange.method == "HEAD" || matches!(head.status.as_u16(), 204 | 304);
        remove_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        let mut body = Piping::new(self, source);
        body.silent = without_body;
        if head
            .headers
            .get("content-length")
            .is_some_and(|length| length == "0")
        {
            body.is_empty()?;
        }
        Ok(Response::from_parts(head, body))
    }

    fn tunnel(
        mut self,
        head: http::response::Parts,
        ours: hyper::upgrade::OnUpgrade,
        theirs: hyper::upgrade::OnUpgrade,
    ) -> Response<Piping> {
        if !self.see_response(&head) {
            return self.refuse();
        }
        let front = self.front.clone();
        tokio::task::spawn_local(async move {
            let passage = self;
            if let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) {
                let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
                let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
            }
            drop(passage);
        });
        let body = Piping::nothing(front);
        Response::from_parts(head, body)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.front.stopping.get() {
            return;
        }
        let lost = |stream: &Stream| stream.is_lost();
        if self.stream.as_ref().is_none_or(lost) {
            return;
        }
        self.exchange.chunk.clear();
        if self.step(Step::Log, true) {
            self.step(Step::Done, true);
        }
    }
}

/// Asks the origin: HTTP/1.1, or HTTP/2 for gRPC, a connection for each request.
async fn ask(
    origin: SocketAddr,
    head: &http::request::Parts,
    body: Bytes,
    upgrade: bool,
) -> Result<Response<Incoming>> {
    let socket = TokioIo::new(TcpStream::connect(origin).await?);
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut headers = head.headers.clone();
    let connection = headers.get("connection").cloned();
    let protocol = headers.get("upgrade").cloned();
    remove_hop_by_hop(&mut headers);
    headers.remove("expect");
    let grpc = head.version == Version::HTTP_2
        && headers
            .get("content-type")
            .is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    let mut request = Request::builder().method(&head.method);
    request = match (grpc, head.uri.authority()) {
        (true, authority) => {
            headers.insert("te", HeaderValue::from_static("trailers"));
            let authority = authority.map_or("origin", |authority| authority.as_str());
            request
                .uri(format!("http://{authority}{target}"))
                .version(Version::HTTP_2)
        }
        (false, Some(authority)) if !headers.contains_key("host") => {
            request.uri(target).header("host", authority.as_str())
        }
        (false, _) => request.uri(target),
    };
    let mut request = request.body(Full::new(body))?;
    if upgrade {
        let (connection, protocol) = (connection.into_iter(), protocol.into_iter());
        headers
            .extend(connection.map(|value| (Some(HeaderName::from_static("connection")), value)));
        headers.extend(protocol.map(|value| (Some(HeaderName::from_static("upgrade")), value)));
    }
    request.headers_mut().extend(headers);
    if grpc {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(LocalExecutor, socket).await?;
        tokio::task::spawn_local(connection);
        return Ok(sender.send_request(request).await?);
    }
    let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await?;
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

/// Runs on the worker's thread.
#[derive(Debug, Clone, Copy)]
pub struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

fn wants_upgrade(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11 && request.headers().contains_key("upgrade")
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Those that nginx makes itself first, under its own names; the others as the origin sent them.
fn as_nginx_has_them(headers: &HeaderMap) -> Vec<Pair> {
    let own = [
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
    ];
    let mut pairs: Vec<Pair> = Vec::new();
    for name in own {
        let values = headers.get_all(name).iter();
        pairs.extend(values.map(|value| (capitalised(name).into(), value.as_bytes().to_vec())));
    }
    let others = headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()));
    pairs.extend(others.map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())));
    pairs
}

/// `content-type` as HTTP/1.1 clients write it: hyper does not keep their spelling.
fn capitalised(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect::<Vec<_>>().join("-")
}
