//! A telemetry server that keeps what shims send, decoded, and misbehaves on demand.
//!
//! In: gRPC and gRPC-Web `TelemetryService` on a loopback port, and records of BIG-IPs on another one ([`Recording::hsl`]), read by the
//! collector's own code. Out: exchanges and batches to look at. Used where a test needs to see the wire; whether the collector
//! understands it is tested with the collector.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use prost::Message as _;
use silhouette_collector::budget::Budget;
use silhouette_collector::hsl::exchange::Redaction;
use silhouette_collector::hsl::gaps::{Gaps, Sent};
use silhouette_collector::hsl::keys::{Keyring, KeysInForce};
use silhouette_collector::hsl::listener;
use silhouette_collector::hsl::refused::{Kind, Refused};
use silhouette_collector::metrics::Metrics;
use silhouette_collector::writer::{Kept, NotKept, Submission};
use silhouette_proto::telemetry::v1::telemetry_service_server::{
    TelemetryService, TelemetryServiceServer,
};
use silhouette_proto::telemetry::v1::{Exchange, ExportRequest, ExportResponse};
use silhouette_serving::refusals::Refusals;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tonic_web::GrpcWebLayer;
use tower::Layer;

use crate::tls::Identity;

/// How the server answers from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Records and acknowledges.
    #[default]
    Accept,
    /// Records, waits this long, acknowledges.
    Slow(Duration),
    /// Records, acknowledges nothing.
    NeverAcknowledge,
    /// Refuses every call: `UNAUTHENTICATED`.
    Unauthenticated,
    /// Refuses every call: `UNAVAILABLE`.
    Unavailable,
    /// Refuses the batch for good: `INVALID_ARGUMENT`.
    InvalidArgument,
    /// Takes the connection and answers with bytes that are no HTTP. Applies to new connections.
    Garbage,
    /// Takes the connection and never says a word. Applies to new connections.
    Silent,
    /// Takes the connection and closes it at once. Applies to new connections.
    Close,
    /// Acknowledges with this hint to wait.
    RetryAfter(Duration),
}

/// Where a BIG-IP's records go to.
#[derive(Debug, Clone)]
pub struct Hsl {
    /// Takes connections and, on the same port, datagrams.
    pub address: SocketAddr,
    /// The key's name.
    pub key_id: String,
    /// The key, as the rule gets it.
    pub secret: String,
    gaps: Arc<Gaps>,
    refused: Arc<Refused>,
}

impl Hsl {
    /// What came from each TMM, and what is missing.
    pub fn sent(&self) -> Vec<Sent> {
        self.gaps.list()
    }

    /// What was refused, by reason, with samples.
    pub fn refused(&self) -> Vec<Kind> {
        self.refused.list()
    }
}

/// The running server.
#[derive(Debug)]
pub struct Recording {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    /// First reception of each `(instance, sequence)`, in order.
    batches: Vec<ExportRequest>,
    seen: HashMap<(Vec<u8>, u64), u32>,
    received: u64,
    connections: u64,
    streams: u64,
    exports: u64,
    authorization: Vec<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording {
    /// Plain HTTP on a free loopback port.
    pub fn start() -> Result<Recording> {
        Self::serve(None)
    }

    /// The same behind TLS.
    pub fn start_tls(identity: &Identity) -> Result<Recording> {
        Self::serve(Some(identity))
    }

    fn serve(identity: Option<&Identity>) -> Result<Recording> {
        let acceptor = identity
            .map(Identity::server_config)
            .transpose()?
            .map(tokio_rustls::TlsAcceptor::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        runtime.spawn(accept(listener, acceptor, shared.clone()));
        Ok(Recording {
            address,
            shared,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `silhouette_collector`, plain.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For `silhouette_collector`, TLS.
    pub fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Takes records of BIG-IPs too, on a port of their own, under a key made up for it. A record is kept like a batch that a shim sent.
    /// HSL knows no answers: of the behaviours those that refuse a batch make the receiver submit it again each second.
    ///
    /// # Errors
    /// What the system says.
    pub fn hsl(&self) -> Result<Hsl> {
        let runtime = self.runtime.as_ref().context("the server is over")?;
        let (tcp, udp) = runtime.block_on(same_port())?;
        let address = tcp.local_addr()?;
        let (key_id, secret) = ("bigip-test", "silk_of-a-recording");
        let metrics = Arc::new(Metrics::default());
        let now = silhouette_collector::unix_millis() / 1000;
        let gaps = Arc::new(Gaps::new(now, HashMap::new(), metrics.hsl_lost.clone()));
        let refused = Arc::new(Refused::new(Refusals::new(metrics.hsl_refused.clone())));
        let (submissions, queue) = std::sync::mpsc::channel();
        let (end, ending) = tokio::sync::watch::channel(false);
        let receiver = Arc::new(listener::Hsl::new(listener::Parts {
            submissions,
            budget: Budget::new(64 << 20),
            keys: Arc::new(KeysInForce::fixed(Keyring::new([(key_id, secret)])?)),
            policy: Arc::new(Redaction::default().policy()?),
            gaps: gaps.clone(),
            refused: refused.clone(),
            refusals: Arc::new(Refusals::new(metrics.refused.clone())),
            shims: Arc::default(),
            metrics,
            patience: Duration::from_secs(60),
            ending,
        }));
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            keep(&queue, &shared);
            drop(end);
        });
        let datagrams = receiver.clone();
        runtime.spawn(async move { datagrams.datagrams("hsl_udp", udp).await });
        let shared = self.shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, peer)) = tcp.accept().await {
                shared.lock().connections += 1;
                let receiver = receiver.clone();
                tokio::spawn(async move { receiver.stream("hsl", stream, peer).await });
            }
        });
        Ok(Hsl {
            address,
            key_id: key_id.into(),
            secret: secret.into(),
            gaps,
            refused,
        })
    }

    /// Changes how it answers from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviour = behaviour;
    }

    /// Every exchange received, each batch once, in order of arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared
            .lock()
            .batches
            .iter()
            .flat_map(|batch| batch.exchanges.iter().cloned())
            .collect()
    }

    /// Every batch, each once, in order of arrival.
    pub fn batches(&self) -> Vec<ExportRequest> {
        self.shared.lock().batches.clone()
    }

    /// Exchanges received, resent ones counted again.
    pub fn received_with_resends(&self) -> u64 {
        self.shared.lock().received
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// Calls of `Stream` so far, refused ones included.
    pub fn streams(&self) -> u64 {
        self.shared.lock().streams
    }

    /// Calls of `Export` so far, refused ones included.
    pub fn exports(&self) -> u64 {
        self.shared.lock().exports
    }

    /// Values of `authorization` seen at the start of each call.
    pub fn authorizations(&self) -> Vec<String> {
        self.shared.lock().authorization.clone()
    }

    /// Forgets what it has recorded (not the connections).
    pub fn clear(&self) {
        let mut state = self.shared.lock();
        state.batches.clear();
        state.seen.clear();
        state.received = 0;
    }

    /// Waits until at least `count` exchanges are there, and returns them all.
    ///
    /// # Errors
    /// After `timeout`, with what came instead.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Result<Vec<Exchange>> {
        let begin = Instant::now();
        let mut state = self.shared.lock();
        loop {
            let have: usize = state
                .batches
                .iter()
                .map(|batch| batch.exchanges.len())
                .sum();
            if have >= count {
                return Ok(state
                    .batches
                    .iter()
                    .flat_map(|batch| batch.exchanges.iter().cloned())
                    .collect());
            }
            let Some(left) = timeout.checked_sub(begin.elapsed()) else {
                let paths: Vec<String> = state
                    .batches
                    .iter()
                    .flat_map(|batch| &batch.exchanges)
                    .filter_map(|e| e.request.as_ref())
                    .map(|r| format!("{} {}", r.method, String::from_utf8_lossy(&r.path)))
                    .take(50)
                    .collect();
                bail!("{have} of {count} exchanges after {timeout:?}: {paths:?}");
            };
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A port that is free for both.
async fn same_port() -> std::io::Result<(TcpListener, UdpSocket)> {
    let mut taken = Vec::new();
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            // Kept until another is found, so that this one is not given again.
            Err(_) if taken.len() < 100 => taken.push(tcp),
            Err(error) => return Err(error),
        }
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    shared: Arc<Shared>,
) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let behaviour = {
            let mut state = shared.lock();
            state.connections += 1;
            state.behaviour.clone()
        };
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            match behaviour {
                Behaviour::Garbage => {
                    let _ = socket
                        .write_all(b"\x00\xff\x13 this is no HTTP \x80\x80\r\n\r\n")
                        .await;
                    let _ = socket.shutdown().await;
                }
                Behaviour::Silent => {
                    // Held open until the test is over.
                    std::future::pending::<()>().await;
                }
                Behaviour::Close => {}
                _ => match acceptor {
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(socket).await {
                            connection(TokioIo::new(stream), shared).await;
                        }
                    }
                    None => connection(TokioIo::new(socket), shared).await,
                },
            }
        });
    }
}

async fn connection<S>(io: TokioIo<S>, shared: Arc<Shared>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service =
        TelemetryServiceServer::new(Keeper { shared }).max_decoding_message_size(64 << 20);
    let service = TowerToHyperService::new(GrpcWebLayer::new().layer(service));
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(io, service).await;
}

struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let mut state = self.shared.lock();
        if let Some(value) = request.metadata().get("authorization") {
            state
                .authorization
                .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        // A batch can only be refused once it is there.
        if state.behaviour == Behaviour::InvalidArgument {
            return Ok(());
        }
        refusal(&state.behaviour).map_or(Ok(()), Err)
    }

    /// Keeps the batch; the acknowledgement, if there shall be one.
    async fn take(shared: &Shared, batch: ExportRequest) -> Result<Option<ExportResponse>, Status> {
        let mut answer = ExportResponse {
            acknowledged_sequence: batch.sequence,
            ..Default::default()
        };
        let behaviour = {
            let mut state = shared.lock();
            if let Some(status) = refusal(&state.behaviour) {
                return Err(status);
            }
            state.received += batch.exchanges.len() as u64;
            let instance = batch
                .shim
                .as_ref()
                .map(|shim| shim.instance.to_vec())
                .unwrap_or_default();
            let times = state.seen.entry((instance, batch.sequence)).or_insert(0);
            *times += 1;
            if *times == 1 {
                state.batches.push(batch);
            }
            state.behaviour.clone()
        };
        shared.changed.notify_all();
        match behaviour {
            Behaviour::NeverAcknowledge => return Ok(None),
            Behaviour::Slow(time) => tokio::time::sleep(time).await,
            Behaviour::RetryAfter(time) => {
                answer.retry_after_ms = u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
            }
            _ => {}
        }
        Ok(Some(answer))
    }
}

/// Keeps what the receiver of records submits, until it is gone.
fn keep(queue: &std::sync::mpsc::Receiver<Submission>, shared: &Shared) {
    for submission in queue {
        let behaviour = shared.lock().behaviour.clone();
        if refusal(&behaviour).is_some() {
            let refused = NotKept("the recording refuses".into());
            let _ = submission.answer.send(Err(refused));
            continue;
        }
        // Only the collector's own code writes it.
        let Ok(batch) = ExportRequest::decode(submission.payload) else {
            continue;
        };
        let fresh = {
            let mut state = shared.lock();
            state.received += batch.exchanges.len() as u64;
            let instance = submission.instance.to_vec();
            let times = state.seen.entry((instance, batch.sequence)).or_insert(0);
            *times += 1;
            let fresh = *times == 1;
            if fresh {
                state.batches.push(batch);
            }
            fresh
        };
        shared.changed.notify_all();
        let kept = if fresh {
            Kept::Durable
        } else {
            Kept::Duplicate
        };
        let _ = submission.answer.send(Ok(kept));
    }
}

fn refusal(behaviour: &Behaviour) -> Option<Status> {
    match behaviour {
        Behaviour::Unauthenticated => Some(Status::unauthenticated("token is not known")),
        Behaviour::Unavailable => Some(Status::unavailable("come back later")),
        Behaviour::InvalidArgument => {
            Some(Status::invalid_argument("this batch is not understood"))
        }
        _ => None,
    }
}

type Responses = Pin<Box<dyn tokio_stream::Stream<Item = Result<ExportResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TelemetryService for Keeper {
    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<ExportResponse>, Status> {
        self.shared.lock().exports += 1;
        self.admit(&request)?;
        match Self::take(&self.shared, request.into_inner()).await? {
            Some(answer) => Ok(Response::new(answer)),
            None => {
                std::future::pending::<Infallible>().await;
                unreachable!("pending never ends")
            }
        }
    }

    type StreamStream = Responses;

    async fn stream(
        &self,
        request: Request<Streaming<ExportRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.shared.lock().streams += 1;
        self.admit(&request)?;
        let mut batches = request.into_inner();
        let (answers, receiver) = mpsc::channel(64);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            while let Ok(Some(batch)) = batches.message().await {
                match Self::take(&shared, batch).await {
                    Ok(Some(answer)) => {
                        if answers.send(Ok(answer)).await.is_err() {
                            break;
                        }
                    }
                    Ok(None) => {}
                    Err(status) => {
                        let _ = answers.send(Err(status)).await;
                        break;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
