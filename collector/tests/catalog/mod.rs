//! A catalog for tests of forwarding: keeps to the protocol strictly, remembers what it got, and fails when it is told to.
//!
//! What a collector must never do is written down as a violation: a number twice with other contents, a step back, a dead credential
//! used knowingly, a body that is not what its headers say.

// Every test binary has its own copy and uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

/// A token that is always good for one collector.
pub const TOKEN: &str = "slr_0123456789012345678901234567890123456789012";

/// What to do with the next call whose path contains a text.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Close the connection without having done anything.
    Deaf,
    /// Do it, and close the connection instead of answering.
    Mute,
    /// Answer this, with a problem of this type; and `Retry-After`.
    Refuse(u16, &'static str, Option<u64>),
}

#[derive(Debug, Clone)]
pub struct Revision {
    pub sequence: u64,
    pub contract: String,
    pub document: Value,
}

/// What the catalog knows.
#[derive(Debug, Default)]
pub struct Kept {
    pub instance: String,
    pub registrations: u64,
    pub credential: String,
    pub next: Option<String>,
    credentials: u64,
    pub revisions: BTreeMap<String, Vec<Revision>>,
    /// Pushes of what was there already.
    pub repeated: u64,
    pub seen: BTreeMap<String, Vec<Value>>,
    pub beats: Vec<Value>,
    pub uses_of_dead: u64,
    pub left: bool,
    pub faults: Vec<(&'static str, VecDeque<Fault>)>,
    pub down: bool,
    pub auto_sync: bool,
    pub sync: Option<String>,
    pub rotate: bool,
    pub document_bytes: u64,
    pub violations: Vec<String>,
}

/// A running one.
pub struct Catalog {
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Catalog {
    pub async fn start() -> Catalog {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Mutex::new(Kept {
            auto_sync: true,
            document_bytes: 10 << 20,
            ..Kept::default()
        }));
        let shared = kept.clone();
        let server = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let kept = shared.clone();
                tokio::spawn(async move {
                    let service =
                        hyper::service::service_fn(move |request| answer(kept.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Catalog {
            address,
            kept,
            server,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// The next calls whose path contains `path` go wrong.
    pub fn fail(&self, path: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.kept()
            .faults
            .push((path, faults.into_iter().collect()));
    }

    /// Waits until `holds`.
    pub async fn wait(&self, what: &str, mut holds: impl FnMut(&Kept) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            {
                let kept = self.kept();
                if holds(&kept) {
                    return;
                }
                assert!(
                    Instant::now() < until,
                    "waited in vain: {what}\n{:?}",
                    brief(&kept)
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing happened that must not.
    pub fn check(&self) {
        let kept = self.kept();
        assert_eq!(kept.violations, Vec::<String>::new());
    }
}

fn brief(kept: &Kept) -> String {
    let revisions: Vec<_> = kept
        .revisions
        .iter()
        .take(20)
        .map(|(host, all)| (host, all.iter().map(|it| it.sequence).collect::<Vec<_>>()))
        .collect();
    format!(
        "revisions {revisions:?}\nlast heartbeat {:?}\nviolations {:?}",
        kept.beats.last(),
        kept.violations
    )
}

/// Ends the connection without an answer.
#[derive(Debug)]
struct Hangup;

impl std::fmt::Display for Hangup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hung up")
    }
}

impl std::error::Error for Hangup {}

type Answer = Response<Full<Bytes>>;

async fn answer(kept: Arc<Mutex<Kept>>, request: Request<Incoming>) -> Result<Answer, Hangup> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(Hangup);
    };
    let body = body.to_bytes();
    let path = head.uri.path().to_owned();
    let mut kept = kept.lock().unwrap();
    if kept.down {
        return Err(Hangup);
    }
    let fault = kept
        .faults
        .iter_mut()
        .filter(|(part, _)| path.contains(part))
        .find_map(|(_, faults)| faults.pop_front());
    match fault {
        Some(Fault::Deaf) => return Err(Hangup),
        Some(Fault::Refuse(status, kind, retry)) => {
            let mut answer = problem(status, kind, json!({}));
            if let Some(seconds) = retry {
                answer.headers_mut().insert("retry-after", seconds.into());
            }
            return Ok(answer);
        }
        _ => {}
    }
    let body = match head.headers.get("content-encoding").map(|it| it.as_bytes()) {
        Some(b"gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&body[..])
                .read_to_end(&mut plain)
                .unwrap();
            Bytes::from(plain)
        }
        _ => body,
    };
    let done = kept.does(&head, &path, &body);
    match fault {
        Some(Fault::Mute) => Err(Hangup),
        _ => Ok(done),
    }
}

fn problem(status: u16, kind: &str, more: Value) -> Answer {
    let mut value = json!({"type": format!("/problems/{kind}"), "title": kind, "status": status, "detail": format!("it is {kind}")});
    for (name, member) in more.as_object().unwrap() {
        value[name] = member.clone();
    }
    Response::builder()
        .status(status)
        .header("content-type", "application/problem+json")
        .body(value.to_string().into())
        .unwrap()
}

fn good(status: u16, value: Value) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(value.to_string().into())
        .unwrap()
}

impl Kept {
    fn new_credential(&mut self) -> String {
        self.credentials += 1;
        format!("slc_{:043}", self.credentials)
    }

    fn does(&mut self, head: &http::request::Parts, path: &str, body: &Bytes) -> Answer {
        let bearer = head
            .headers
            .get("authorization")
            .and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default()
            .to_owned();
        let Some(path) = path.strip_prefix("/collector/v1/") else {
            return Response::builder()
                .status(StatusCode::NOT_FOUND)
                .header("content-type", "text/html")
                .body("<h1>Not here</h1>".into())
                .unwrap();
        };
        if path == "registrations" {
            return self.register(&bearer, body);
        }
        if self.next.as_ref() == Some(&bearer) {
            // It goes on asking until the new one is used: an answer may be lost.
            self.credential = self.next.take().unwrap();
            self.rotate = false;
        }
        if bearer != self.credential || self.credential.is_empty() {
            self.uses_of_dead += 1;
            return problem(401, "credential-revoked", json!({}));
        }
        let parts: Vec<&str> = path.split('/').collect();
        match (&head.method, parts.as_slice()) {
            (&Method::POST, ["heartbeats"]) => self.beat(body),
            (&Method::POST, ["credential"]) => {
                let new = self.new_credential();
                self.next = Some(new.clone());
                good(200, json!({"credential": new}))
            }
            (&Method::DELETE, ["registration"]) => {
                self.left = true;
                self.credential.clear();
                Response::builder()
                    .status(204)
                    .body(Full::default())
                    .unwrap()
            }
            (&Method::PUT, ["hosts", host, "revisions", sequence]) => {
                let header = |name: &str| {
                    let value = head.headers.get(name).map(|it| it.to_str().unwrap());
                    value.unwrap_or_default().to_owned()
                };
                if header("content-type") != "application/json"
                    || !header("silhouette-emitted").ends_with('Z')
                {
                    self.violations.push(format!("headers {:?}", head.headers));
                }
                self.revision(
                    host,
                    sequence.parse().unwrap(),
                    header("silhouette-contract"),
                    body,
                )
            }
            (&Method::PUT, ["hosts", host, "seen"]) => {
                if !self.revisions.contains_key(*host) {
                    return problem(404, "host-unknown", json!({}));
                }
                let value = serde_json::from_slice(body).unwrap();
                self.seen.entry((*host).to_owned()).or_default().push(value);
                Response::builder()
                    .status(204)
                    .body(Full::default())
                    .unwrap()
            }
            _ => {
                self.violations.push(format!("{} {path}", head.method));
                problem(404, "not-found", json!({}))
            }
        }
    }

    fn register(&mut self, bearer: &str, body: &Bytes) -> Answer {
        let value: Value = serde_json::from_slice(body).unwrap();
        let instance = value["instance"].as_str().unwrap().to_owned();
        match bearer {
            "slr_expired" => return problem(401, "token-expired", json!({})),
            token if token.starts_with(TOKEN) => {}
            _ => return problem(401, "token-unknown", json!({})),
        }
        if !self.instance.is_empty() && self.instance != instance {
            return problem(409, "token-used", json!({}));
        }
        self.instance = instance;
        self.registrations += 1;
        self.credential = self.new_credential();
        self.next = None;
        good(
            201,
            json!({"collectorId": format!("collector {bearer}"), "sourceId": "1", "sourceName": "Edge", "credential": self.credential,
                "heartbeatSeconds": 1, "documentBytes": self.document_bytes}),
        )
    }

    fn beat(&mut self, body: &Bytes) -> Answer {
        let value: Value = serde_json::from_slice(body).unwrap();
        let done = &value["sync"];
        if done["id"].as_str() == self.sync.as_deref() && done["state"] != "running" {
            self.sync = None;
        }
        self.beats.push(value);
        good(
            200,
            json!({"serverTime": "2030-01-01T00:00:00Z", "heartbeatSeconds": 1, "autoSync": self.auto_sync, "sync": self.sync,
                "rotateCredential": self.rotate, "documentBytes": self.document_bytes}),
        )
    }

    fn revision(&mut self, host: &str, sequence: u64, contract: String, body: &Bytes) -> Answer {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return problem(422, "no-document", json!({}));
        };
        if contract.len() != 64 || document["info"]["title"] != host {
            self.violations
                .push(format!("{host} {sequence} {contract}"));
        }
        let all = self.revisions.entry(host.to_owned()).or_default();
        if let Some(there) = all.iter().find(|it| it.sequence == sequence) {
            if there.contract == contract {
                self.repeated += 1;
                return good(200, json!({"revisionId": "r", "apiId": "a"}));
            }
            let latest = all.last().map(|it| it.sequence);
            return problem(409, "sequence-conflict", json!({"latest": latest}));
        }
        if let Some(latest) = all.last() {
            if latest.contract == contract {
                self.repeated += 1;
                return good(200, json!({"revisionId": "r", "apiId": "a"}));
            }
            if latest.sequence > sequence {
                return problem(409, "sequence-conflict", json!({"latest": latest.sequence}));
            }
        }
        all.push(Revision {
            sequence,
            contract,
            document,
        });
        good(201, json!({"revisionId": "r", "apiId": "a"}))
    }
}
