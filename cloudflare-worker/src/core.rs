//! One configuration in one isolate: what is captured, what waits, the batch in flight.
//!
//! In: heads and bodies of exchanges, the collector's answers, the time with every call. Out: batches, when they are due, and lines
//! for the log. One batch is in flight at most, whichever request's JavaScript sends it.

use std::sync::Arc;

use silhouette_capture::reply::{self, Answer, Outcome};
use silhouette_capture::{
    Clock, DropReason, Identity, Notice, Notices, Outbox, OutboxLimits, Policy, Recorder,
    RequestHead, Sampler, Skip, SteadyClock, grpc_web,
};

use crate::abi::{self, Level};
use crate::edge::{Edge, Head, Texts, is_cloudflares_own};
use crate::exchanges::{Exchanges, Recording};
use crate::settings::Configuration;
use crate::status;

/// A message of Cloudflare's Queues has at most 128,000 bytes; envelope and frame take some of it.
const QUEUED_BATCH_BYTES: usize = 120_000;

/// See the module's documentation.
pub(crate) struct Core {
    policy: Arc<Policy>,
    sampler: Sampler,
    outbox: Outbox,
    exchanges: Exchanges,
    clock: SteadyClock,
    notices: Notices,
    id_seed: [u8; 8],
    id_count: u64,
    /// The number of the batch in flight.
    in_flight: Option<u64>,
    /// What the operator knows the collector as.
    collector: String,
    health: status::Health,
}

impl Core {
    pub(crate) fn new(configuration: Configuration) -> Core {
        let Configuration {
            policy,
            collector,
            name,
            seed,
            runtime,
            colo,
            queue,
            instance,
            ..
        } = configuration;
        let identity = Identity {
            kind: "cloudflare".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            gateway_version: runtime,
            node: colo,
            name,
            instance: seed.instance,
        };
        let mut limits = OutboxLimits::new(&policy, 1);
        if queue {
            limits.batch_bytes = QUEUED_BATCH_BYTES;
        }
        let health = status::Health::new(&identity, instance);
        Core {
            sampler: Sampler::new(seed.spread),
            outbox: Outbox::new(identity, limits, seed.spread),
            exchanges: Exchanges::new(policy.queue_bytes()),
            clock: SteadyClock::default(),
            notices: Notices::default(),
            id_seed: seed.ids,
            id_count: 0,
            in_flight: None,
            collector,
            health,
            policy,
        }
    }

    /// See [`abi::request`].
    pub(crate) fn request(&mut self, head: &[u8], began: u64, now: u64) -> u32 {
        let clock = self.clock.at(now);
        while let Some(abandoned) = self.exchanges.abandoned(clock.monotonic_nanos) {
            self.seal(abandoned, None, None, true, clock.monotonic_nanos);
        }
        let Some(head) = Head::parse(head) else {
            self.outbox.skip(Skip::Malformed);
            return 0;
        };
        let Some(target) = head.target().filter(|_| !head.method.is_empty()) else {
            self.outbox.skip(Skip::Malformed);
            return 0;
        };
        #[cfg(feature = "fault")]
        fault(&head);
        let host = head.headers.clone().find(|(name, _)| *name == b"host");
        let line = RequestHead {
            scheme: target.scheme,
            authority: host.map_or(target.authority, |(_, value)| value),
            method: head.method,
            path: target.path,
            query: target.query,
            http_version: head.http_version(),
        };
        // The request began a moment before it came here.
        let clock = Clock {
            unix_nanos: began,
            monotonic_nanos: clock
                .monotonic_nanos
                .saturating_sub(now.saturating_sub(began)),
        };
        let shown = head
            .headers
            .clone()
            .filter(|(name, _)| !is_cloudflares_own(name));
        let id = self.next_id();
        let begun = Recorder::begin(&self.policy, &mut self.sampler, id, &line, shown, clock);
        match begun {
            Ok(recorder) => {
                let wanted = u32::from(recorder.wants_request_body());
                let edge = Edge::of(&head);
                self.exchanges.begin(recorder, edge, clock.monotonic_nanos) << 1 | wanted
            }
            Err(skip) => {
                self.outbox.skip(skip);
                0
            }
        }
    }

    pub(crate) fn request_body(&mut self, exchange: u32, chunk: &[u8]) -> bool {
        self.exchanges.chunk(exchange, chunk, |recorder, chunk| {
            recorder.request_chunk(chunk);
            recorder.wants_request_body()
        })
    }

    /// Whether the body is wanted; nothing when that says nothing about others of its type.
    pub(crate) fn response(
        &mut self,
        exchange: u32,
        headers: &[u8],
        status: u32,
        now: u64,
    ) -> Option<bool> {
        let now = self.clock.at(now).monotonic_nanos;
        let recording = self.exchanges.get_mut(exchange)?;
        let headers = Texts::new(headers).pairs();
        let shown = headers.filter(|(name, _)| !is_cloudflares_own(name));
        let status = u16::try_from(status).unwrap_or_default();
        recording.recorder.response_head(status, shown, now);
        match recording.recorder.skip() {
            Some(_) => None,
            None => Some(recording.recorder.wants_response_body()),
        }
    }

    pub(crate) fn response_body(&mut self, exchange: u32, chunk: &[u8]) -> bool {
        self.exchanges.chunk(exchange, chunk, |recorder, chunk| {
            recorder.response_chunk(chunk);
            recorder.wants_response_body()
        })
    }

    pub(crate) fn end(
        &mut self,
        exchange: u32,
        request_size: Option<u64>,
        response_size: Option<u64>,
        unfinished: bool,
        now: u64,
    ) {
        let now = self.clock.at(now).monotonic_nanos;
        if let Some(recording) = self.exchanges.end(exchange) {
            self.seal(recording, request_size, response_size, unfinished, now);
        }
    }

    pub(crate) fn forget(&mut self, exchange: u32) {
        self.exchanges.end(exchange);
    }

    fn seal(
        &mut self,
        recording: Recording,
        request_size: Option<u64>,
        response_size: Option<u64>,
        unfinished: bool,
        now: u64,
    ) {
        let Recording { recorder, edge, .. } = recording;
        if let Some(skip) = recorder.skip() {
            self.outbox.skip(skip);
            return;
        }
        if self.outbox.is_full() {
            self.outbox.drop_exchanges(DropReason::QueueFull, 1);
            let lost = self.outbox.counters().dropped(DropReason::QueueFull);
            let most = self.policy.queue_bytes();
            self.warn(Notice::Queue, now, || {
                format!("{lost} exchanges were dropped so far because the queue of {most} bytes (SILHOUETTE_QUEUE_BYTES) was full")
            });
            return;
        }
        let sealed = edge.end(|mut end| {
            end.monotonic_nanos = now;
            end.request_size = request_size;
            end.response_size = response_size;
            end.unfinished = unfinished;
            recorder.finish(&end)
        });
        match sealed {
            // The outbox has counted what it does not take.
            Ok(sealed) => drop(self.outbox.push(sealed, now)),
            Err(skip) => self.outbox.skip(skip),
        }
    }

    /// Milliseconds until a batch is due.
    pub(crate) fn due(&mut self, now: u64) -> f64 {
        let now = self.clock.at(now).monotonic_nanos;
        match self.outbox.next_wake() {
            // What is in flight decides what comes next.
            _ if self.in_flight.is_some() => 0.0,
            None => -1.0,
            Some(at) => at.saturating_sub(now).div_ceil(1_000_000) as f64,
        }
    }

    /// The next batch, framed; `out` stays empty when none is due. A batch that is still in flight was given up by whoever sent it.
    pub(crate) fn next(&mut self, now: u64, out: &mut Vec<u8>) {
        out.clear();
        if self.in_flight.is_some() {
            self.settle(
                Outcome::Failed(
                    "the request that sent a batch ended before the collector answered".to_owned(),
                ),
                now,
            );
        }
        let steady = self.clock.at(now).monotonic_nanos;
        let Some(batch) = self.outbox.next_batch(steady) else {
            return;
        };
        self.in_flight = Some(batch.sequence);
        match grpc_web::frame(&batch.bytes) {
            Ok(framed) => *out = framed,
            Err(error) => self.settle(Outcome::Rejected(error.to_string()), now),
        }
    }

    pub(crate) fn answered(&mut self, status: u32, headers: &[u8], body: &[u8], now: u64) {
        if let Some(sequence) = self.in_flight {
            let outcome = self.outcome(sequence, status, headers, body);
            self.settle(outcome, now);
        }
    }

    pub(crate) fn failed(&mut self, why: &str, now: u64) {
        let why = format!(
            "could not reach the collector at {}: {}",
            self.collector,
            reply::shown(why)
        );
        self.settle(Outcome::Failed(why), now);
    }

    pub(crate) fn queued(&mut self, now: u64) {
        if let Some(sequence) = self.in_flight {
            let outcome = Outcome::Acknowledged {
                sequence,
                retry_after_ms: 0,
            };
            self.settle(outcome, now);
        }
    }

    /// See [`abi::judge`].
    pub(crate) fn judge(&mut self, status: u32, headers: &[u8], body: &[u8], now: u64) -> u32 {
        let now = self.clock.at(now).monotonic_nanos;
        // Which batch it was is known to the collector alone: any acknowledgement is of the one that was sent.
        match self.outcome(0, status, headers, body) {
            Outcome::Acknowledged { .. } => 0,
            Outcome::Rejected(why) => {
                self.warn(Notice::Batch, now, || {
                    format!("the collector will not take a batch out of the queue: {why}")
                });
                0
            }
            Outcome::Failed(why) => {
                self.warn(Notice::Call, now, || {
                    format!("{why}; what is captured waits in the queue")
                });
                QUEUE_PAUSE_SECONDS
            }
        }
    }

    fn outcome(&self, sequence: u64, status: u32, headers: &[u8], body: &[u8]) -> Outcome {
        let headers = Texts::new(headers).pairs();
        let content_type = headers.clone().find(|(name, _)| *name == b"content-type");
        let status = status.to_string();
        let answer = Answer {
            status: status.as_bytes(),
            content_type: content_type.map(|(_, value)| value).unwrap_or_default(),
            body,
        };
        reply::outcome(&self.collector, sequence, &answer, headers)
    }

    fn settle(&mut self, outcome: Outcome, now: u64) {
        let Some(batch) = self.in_flight.take() else {
            return;
        };
        let now = self.clock.at(now).monotonic_nanos;
        match outcome {
            Outcome::Acknowledged {
                sequence,
                retry_after_ms,
            } => {
                self.outbox.acknowledged(sequence, retry_after_ms, now);
                if self.notices.is_well_again() {
                    let collector = &self.collector;
                    let text =
                        format!("silhouette: the collector at {collector} takes batches again");
                    abi::log(Level::Info, &text);
                }
            }
            Outcome::Rejected(why) => {
                self.outbox.rejected(batch, now);
                self.warn(Notice::Batch, now, || {
                    format!("the collector will not take batch {batch}: {why}")
                });
            }
            Outcome::Failed(why) => {
                self.outbox.failed(now);
                self.warn(Notice::Call, now, || {
                    format!("{why}; requests are served as ever, and what is captured waits")
                });
                self.health.failed(why);
            }
        }
    }

    pub(crate) fn lost(&mut self, exchanges: u64) {
        self.outbox.drop_exchanges(DropReason::Fault, exchanges);
    }

    pub(crate) fn waiting(&self) -> u32 {
        u32::try_from(self.outbox.counters().queued).unwrap_or(u32::MAX)
    }

    pub(crate) fn status(&self) -> String {
        self.health.report(&self.outbox.counters())
    }

    fn warn(&mut self, notice: Notice, now: u64, text: impl FnOnce() -> String) {
        if self.notices.is_due(notice, now) {
            abi::log(Level::Warn, &format!("silhouette: {}", text()));
        }
    }

    /// A new exchange's id: unique, not secret.
    fn next_id(&mut self) -> [u8; 16] {
        self.id_count += 1;
        let mut id = [0; 16];
        let (seed, count) = id.split_at_mut(8);
        seed.copy_from_slice(&self.id_seed);
        count.copy_from_slice(&self.id_count.to_be_bytes());
        id
    }
}

/// After this many seconds a message whose batch the collector did not take comes out of the queue again.
const QUEUE_PAUSE_SECONDS: u32 = 10;

/// Tests ask for it.
#[cfg(feature = "fault")]
fn fault(head: &Head<'_>) {
    let mut headers = head.headers.clone();
    if headers.any(|(name, value)| name == b"x-silhouette-fault" && value == b"panic") {
        panic!("as this request asked for");
    }
}
