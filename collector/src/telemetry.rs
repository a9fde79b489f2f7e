//! `silhouette.telemetry.v1.TelemetryService`: batches in, acknowledgements out.
//!
//! In: calls of `Export` and `Stream`, as gRPC or gRPC-Web, already through TLS. Out: an answer per batch, sent only when
//! the batch is durable. Messages are taken as bytes, so what is kept is exactly what was sent.
//!
//! Memory is bounded by a budget over all connections: while it is used up, streams are not read from, which HTTP/2's
//! flow control hands on to the shim, and unary calls wait a while and are then told to come back.

mod calls;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use silhouette_proto::telemetry::v1::{Count, ExportResponse};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tonic::Status;

pub use calls::{Calls, greeting};
use silhouette_serving::refusals::Refusals;

use crate::budget::Budget;
use crate::envelope::{Envelope, inspect};
use crate::gate::Gate;
use crate::metrics::{Metrics, Reason};
use crate::shims::{Heard, Shims};
use crate::writer::{Kept, NotKept, Submission};

/// How long a unary call waits for room before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a shim is asked to wait when the disk refuses, milliseconds.
const RETRY_AFTER_MS: u32 = 1_000;

/// What all connections share.
#[derive(Debug)]
pub struct Telemetry {
    submissions: Sender<Submission>,
    budget: Budget,
    gate: Arc<Gate>,
    shims: Arc<Shims>,
    metrics: Arc<Metrics>,
    refusals: Arc<Refusals>,
    max_message: usize,
    ending: watch::Receiver<bool>,
}

/// What [`Telemetry`] needs.
#[derive(Debug)]
pub struct Parts {
    /// To the writer thread. The journal's writer ends when the last of these is gone.
    pub submissions: Sender<Submission>,
    /// For batches that are not durable yet.
    pub budget: Budget,
    /// Bytes of a batch.
    pub max_message: usize,
    /// Who may send.
    pub gate: Arc<Gate>,
    /// Who sends.
    pub shims: Arc<Shims>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is refused.
    pub refusals: Arc<Refusals>,
    /// Turns true when the service ends.
    pub ending: watch::Receiver<bool>,
}

/// Who is calling.
#[derive(Debug, Clone)]
struct Caller {
    address: SocketAddr,
    token: Option<String>,
}

/// A batch on its way to the disk.
struct Pending {
    sequence: u64,
    rejected: Vec<Count>,
    answer: oneshot::Receiver<Result<Kept, NotKept>>,
}

impl Telemetry {
    /// Ready to be called.
    pub fn new(parts: Parts) -> Telemetry {
        Telemetry {
            submissions: parts.submissions,
            budget: parts.budget,
            gate: parts.gate,
            shims: parts.shims,
            metrics: parts.metrics,
            refusals: parts.refusals,
            max_message: parts.max_message,
            ending: parts.ending,
        }
    }

    /// Room for a batch, as soon as there is some.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        self.budget
            .room(bytes)
            .await
            .map_err(|_| Status::unavailable("the collector is ending"))
    }

    /// The same, but not for ever.
    async fn room_soon(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        match tokio::time::timeout(PATIENCE, self.room(bytes)).await {
            Ok(room) => room,
            Err(_) => {
                self.refused_batch("busy");
                Err(later("the collector is behind: its ingest buffer is full"))
            }
        }
    }

    /// Opens a batch and hands it to the writer.
    fn submit(
        &self,
        batch: Bytes,
        permit: OwnedSemaphorePermit,
        caller: &Caller,
    ) -> Result<(Envelope, Pending), Status> {
        self.metrics.batches.inc();
        self.metrics.bytes.inc_by(batch.len() as u64);
        let envelope = Envelope::open(&batch).map_err(|error| {
            self.refused_batch("malformed");
            Status::invalid_argument(error.to_string())
        })?;
        let exchanges = envelope.exchanges.len() as u64;
        self.metrics.received.inc_by(exchanges);
        self.shims.heard(
            &Heard::from(&envelope),
            caller.address.ip(),
            caller.token.as_deref(),
            crate::unix_millis(),
            &self.metrics,
        );
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            instance: envelope.instance,
            sequence: envelope.sequence,
            payload: batch,
            exchanges,
            permit: Some(permit),
            answer,
        };
        if self.submissions.send(submission).is_err() {
            self.metrics.unacknowledged.inc_by(exchanges);
            return Err(Status::unavailable("the collector is ending"));
        }
        let pending = Pending {
            sequence: envelope.sequence,
            rejected: rejected(&envelope),
            answer: answered,
        };
        Ok((envelope, pending))
    }

    /// Waits for the disk.
    async fn answer(&self, pending: Pending) -> Result<ExportResponse, Status> {
        match pending.answer.await {
            Ok(Ok(Kept::Durable | Kept::Duplicate)) => Ok(ExportResponse {
                acknowledged_sequence: pending.sequence,
                rejected: pending.rejected,
                retry_after_ms: 0,
            }),
            Ok(Err(not_kept)) => {
                self.refused_batch("disk");
                Err(later(&not_kept.0))
            }
            Err(_) => Err(Status::unavailable("the collector is ending")),
        }
    }

    fn refused_batch(&self, reason: &str) {
        let reason = reason.to_owned();
        self.metrics
            .batches_refused
            .get_or_create(&Reason { reason })
            .inc();
    }

    /// A status that decoding the call's messages ended with.
    fn undecodable(&self, status: Status, caller: &Caller) -> Status {
        let reason = match status.code() {
            tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => "too_large",
            // The connection went away in the middle.
            tonic::Code::Cancelled | tonic::Code::Unknown => return status,
            _ => "malformed",
        };
        self.refused_batch(reason);
        self.refusals
            .count("telemetry", reason, caller.address, &status.message());
        status
    }
}

/// Not now, but soon; how soon stands where gRPC clients look for it (gRFC A6).
fn later(why: &str) -> Status {
    let mut status = Status::unavailable(why);
    status.metadata_mut().insert(
        "grpc-retry-pushback-ms",
        tonic::metadata::MetadataValue::from(RETRY_AFTER_MS),
    );
    status
}

/// The exchanges of a batch that can be seen at once not to be learnable, by reason.
fn rejected(envelope: &Envelope) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for exchange in &envelope.exchanges {
        let Err(rejected) = inspect(exchange) else {
            continue;
        };
        let reason = rejected.reason();
        match counts.iter_mut().find(|count| count.reason == reason) {
            Some(count) => count.count += 1,
            None => counts.push(Count {
                reason: reason.to_owned(),
                count: 1,
            }),
        }
    }
    counts
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
