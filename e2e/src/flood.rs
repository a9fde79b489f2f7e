//! Many requests over kept connections, each answer checked: how tests make volume.
//!
//! In: a base URL and what the n-th request is. Out: how many were answered with a status below 400, and what went wrong
//! with the others. Never retries: a client of the gateway must not need to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One request to come: method, path with query, JSON body.
pub type Call = (Method, String, Option<String>);

/// What came of it.
#[derive(Debug, Default, Clone)]
pub struct Flood {
    /// Complete answers with a status below 400.
    pub answered: u64,
    /// Everything else.
    pub failed: u64,
    /// Why, of the first few.
    pub reasons: Vec<String>,
}

/// Sends `count` requests over `connections` connections to `authority` (`127.0.0.1:8080`), as fast as they are answered.
pub fn flood(
    authority: &str,
    count: u64,
    connections: usize,
    call: impl Fn(u64) -> Call + Send + Sync + 'static,
) -> Result<Flood> {
    while_wanted(authority, connections, move |n| n < count, call)
}

/// Requests on a thread of their own that go on until they are told to stop, or are dropped.
#[derive(Debug)]
pub struct Flooding {
    over: Arc<AtomicBool>,
    clients: Option<JoinHandle<Result<Flood>>>,
}

impl Flooding {
    /// Like [`flood`], without an end.
    pub fn start(
        authority: &str,
        connections: usize,
        call: impl Fn(u64) -> Call + Send + Sync + 'static,
    ) -> Flooding {
        let over = Arc::new(AtomicBool::new(false));
        let (until, authority) = (over.clone(), authority.to_owned());
        let clients = std::thread::spawn(move || {
            let wanted = move |_| !until.load(Ordering::Relaxed);
            while_wanted(&authority, connections, wanted, call)
        });
        Flooding {
            over,
            clients: Some(clients),
        }
    }

    /// No new requests; what became of all, those under way included.
    pub fn stop(mut self) -> Result<Flood> {
        self.over.store(true, Ordering::Relaxed);
        let clients = self.clients.take().context("stopped once")?;
        clients
            .join()
            .map_err(|_| anyhow::anyhow!("the clients' thread panicked"))?
    }
}

impl Drop for Flooding {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn while_wanted(
    authority: &str,
    connections: usize,
    wanted: impl Fn(u64) -> bool + Send + Sync + 'static,
    call: impl Fn(u64) -> Call + Send + Sync + 'static,
) -> Result<Flood> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let next = Arc::new(AtomicU64::new(0));
    let result = Arc::new(Mutex::new(Flood::default()));
    let (wanted, call) = (Arc::new(wanted), Arc::new(call));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (next, result) = (next.clone(), result.clone());
            let (wanted, call) = (wanted.clone(), call.clone());
            let authority = authority.to_owned();
            tasks.push(tokio::spawn(async move {
                let mut sender = None;
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if !wanted(n) {
                        return;
                    }
                    let outcome = tokio::time::timeout(
                        Duration::from_secs(60),
                        one(&authority, &mut sender, call(n)),
                    );
                    let outcome = outcome
                        .await
                        .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within 60 s")));
                    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(()) => result.answered += 1,
                        Err(error) => {
                            result.failed += 1;
                            if result.reasons.len() < 10 {
                                result.reasons.push(format!("request {n}: {error:#}"));
                            }
                            sender = None;
                        }
                    }
                }
            }));
        }
        for task in tasks {
            task.await.context("a connection's task")?;
        }
        anyhow::Ok(())
    })?;
    let result = result
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Ok(result)
}

async fn one(
    authority: &str,
    sender: &mut Option<http1::SendRequest<Full<Bytes>>>,
    call: Call,
) -> Result<()> {
    let ready = match sender {
        Some(kept) => kept.ready().await.is_ok(),
        None => false,
    };
    if !ready {
        let stream = TcpStream::connect(authority).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (fresh, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        *sender = Some(fresh);
    }
    let sender = sender.as_mut().context("connected above")?;
    let (method, path, body) = call;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    response
        .into_body()
        .collect()
        .await
        .context("reading the body")?;
    anyhow::ensure!(status.as_u16() < 400, "status {status}");
    Ok(())
}
