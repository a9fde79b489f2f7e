//! Batching, sequence numbers, the window of what is not acknowledged, retry and the counters of loss, without I/O.
//!
//! In: [`Sealed`] exchanges, what the transport reports, and the monotonic time in nanoseconds with every call. Out:
//! encoded `ExportRequest`s to send, the moment to ask again, and [`Counters`]. It owns no connection: the shim does.
//!
//! What it guarantees:
//! * it never holds more than `queue_bytes`; beyond that an exchange is dropped and counted, nothing waits;
//! * batches go out in the order of their sequence numbers, from 1 without a gap; a batch that is sent again has the same
//!   number and the same bytes;
//! * a batch the collector will never take is sent once more without its exchanges, so that the numbers have no gap;
//! * `captured = acknowledged + dropped + queued` after every call.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::counters::{Counters, DropReason, Skip};
use crate::jitter::Jitter;
use crate::pack::Pack;
use crate::policy::Policy;
use crate::recorder::Sealed;
use crate::wire::{put_bytes, put_length, put_uint, varint_len};

const MILLI: u64 = 1_000_000;
const FIRST_BACK_OFF: u64 = 200 * MILLI;
const LONGEST_BACK_OFF: u64 = 30_000 * MILLI;
const SHORTEST_WAIT: u64 = 10 * MILLI;
/// A connection that held this long shows that the collector is well: back-off starts from the beginning.
const HEALTHY: u64 = 30_000 * MILLI;
/// The collector may ask for a pause, but not for silence.
const LONGEST_PAUSE: u64 = 60_000 * MILLI;

/// Who is speaking, as `telemetry.v1.Shim`.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The kind of gateway: `nginx`, `kong`, `envoy`, `cloudflare`.
    pub kind: String,
    /// The shim's own version.
    pub version: String,
    /// The gateway's, e.g. `nginx/1.22.1`.
    pub gateway_version: String,
    /// Host name, node id or colo.
    pub node: String,
    /// What the operator calls this gateway.
    pub name: String,
    /// Random, drawn anew whenever a worker starts; sequence numbers belong to it.
    pub instance: [u8; 16],
}

/// Bounds of an [`Outbox`].
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// How many bytes may wait or be in flight.
    pub queue_bytes: usize,
    /// A batch is cut before it grows beyond this many bytes; one larger exchange makes a batch by itself.
    pub batch_bytes: usize,
    /// A batch is cut at this many exchanges.
    pub batch_count: usize,
    /// A batch is cut when its oldest exchange has waited this long, in nanoseconds.
    pub flush_interval: u64,
    /// How many batches may be in flight: 1 for unary calls, more for a stream.
    pub window: usize,
}

impl OutboxLimits {
    /// The policy's queue and interval, batches of at most 1 MiB and 512 exchanges.
    pub fn new(policy: &Policy, window: usize) -> OutboxLimits {
        OutboxLimits {
            queue_bytes: policy.queue_bytes(),
            batch_bytes: 1 << 20,
            batch_count: 512,
            flush_interval: policy.flush_interval_ms().saturating_mul(MILLI),
            window: window.max(1),
        }
    }
}

/// One batch to send.
#[derive(Clone, Debug)]
pub struct OutBatch {
    /// Its sequence number, for [`Outbox::rejected`].
    pub sequence: u64,
    /// An encoded `telemetry.v1.ExportRequest`. Cloning it copies nothing.
    pub bytes: Bytes,
    /// How many exchanges are in it.
    pub exchanges: usize,
}

/// A batch that was cut and is not acknowledged.
struct Batch {
    sequence: u64,
    bytes: Bytes,
    exchanges: u64,
    /// What it counts against `queue_bytes`: its exchanges, not the envelope.
    weight: usize,
    /// It was given to the transport at least once, on any connection.
    ever_sent: bool,
    /// Its exchanges were taken out after the collector refused them.
    emptied: bool,
}

/// See the module's documentation.
pub struct Outbox {
    shim: Vec<u8>,
    limits: OutboxLimits,
    jitter: Jitter,
    counters: Counters,
    /// Encoded exchanges of the batch that is still filling.
    open: Vec<u8>,
    open_count: u64,
    open_since: u64,
    /// In sequence order; the first `in_flight` are with the transport.
    cut: VecDeque<Batch>,
    in_flight: usize,
    next_sequence: u64,
    attempts: u32,
    connected_at: Option<u64>,
    /// Nothing is sent before this moment.
    not_before: Option<u64>,
    /// What the last exchange would have taken that did not fit; 0 once one fits.
    refused: u64,
    closed: Option<DropReason>,
}

impl Outbox {
    /// An empty outbox. `seed` only spreads retries; instances should have different ones.
    pub fn new(identity: Identity, limits: OutboxLimits, seed: u64) -> Outbox {
        let mut shim = Vec::new();
        put_bytes(&mut shim, 1, identity.kind.as_bytes());
        put_bytes(&mut shim, 2, identity.version.as_bytes());
        put_bytes(&mut shim, 3, identity.gateway_version.as_bytes());
        put_bytes(&mut shim, 4, identity.node.as_bytes());
        put_bytes(&mut shim, 5, &identity.instance);
        put_bytes(&mut shim, 6, identity.name.as_bytes());
        Outbox {
            shim,
            limits,
            jitter: Jitter::new(seed),
            counters: Counters::default(),
            open: Vec::new(),
            open_count: 0,
            open_since: 0,
            cut: VecDeque::new(),
            in_flight: 0,
            next_sequence: 1,
            attempts: 0,
            connected_at: None,
            not_before: None,
            refused: 0,
            closed: None,
        }
    }

    /// Whether the last exchange did not fit and would not fit now: then the next need not even be sealed.
    pub fn is_full(&self) -> bool {
        let wanted = self.counters.queue_bytes.saturating_add(self.refused);
        self.refused > 0 && wanted > self.limits.queue_bytes as u64
    }

    /// Takes one exchange. When it does not fit it is dropped and counted, and the reason returned.
    pub fn push(&mut self, sealed: Sealed, now: u64) -> Result<(), DropReason> {
        let exchange = sealed.as_bytes();
        let weight = 1 + varint_len(exchange.len() as u64) + exchange.len();
        let reason = if let Some(reason) = self.closed {
            Some(reason)
        } else if weight > self.limits.queue_bytes {
            Some(DropReason::TooLarge)
        } else if self.counters.queue_bytes.saturating_add(weight as u64)
            > self.limits.queue_bytes as u64
        {
            Some(DropReason::QueueFull)
        } else {
            None
        };
        self.refused = match reason {
            Some(DropReason::QueueFull) => weight as u64,
            _ => 0,
        };
        if let Some(reason) = reason {
            self.drop_exchanges(reason, 1);
            return Err(reason);
        }
        if self.open_count > 0 && self.open.len() + weight > self.limits.batch_bytes {
            self.cut_batch();
        }
        if self.open_count == 0 {
            self.open_since = now;
        }
        put_length(&mut self.open, 3, exchange.len());
        self.open.extend_from_slice(exchange);
        self.open_count += 1;
        self.counters.captured += 1;
        self.counters.queued += 1;
        self.counters.queue_bytes += weight as u64;
        if self.open_count >= self.limits.batch_count as u64
            || self.open.len() >= self.limits.batch_bytes
        {
            self.cut_batch();
        }
        Ok(())
    }

    /// Takes a whole pack: a large one becomes a batch as it is, a small one waits for others. When it does not fit, all its
    /// exchanges are dropped and counted, and the reason returned.
    pub fn push_pack(&mut self, pack: Pack, now: u64) -> Result<(), DropReason> {
        let Pack { bytes, exchanges } = pack;
        if exchanges == 0 {
            return Ok(());
        }
        let weight = bytes.len() as u64;
        let full =
            self.counters.queue_bytes.saturating_add(weight) > self.limits.queue_bytes as u64;
        if let Some(reason) = self.closed.or(full.then_some(DropReason::QueueFull)) {
            self.drop_exchanges(reason, exchanges);
            return Err(reason);
        }
        self.counters.captured += exchanges;
        self.counters.queued += exchanges;
        self.counters.queue_bytes += weight;
        let small = bytes.len() < self.limits.batch_bytes / 8;
        if self.open_count > 0
            && (!small || self.open.len() + bytes.len() > self.limits.batch_bytes)
        {
            self.cut_batch();
        }
        if self.open_count == 0 {
            self.open_since = now;
        }
        if self.open.is_empty() {
            self.open = bytes;
        } else {
            self.open.extend_from_slice(&bytes);
        }
        self.open_count += exchanges;
        if !small || self.open_count >= self.limits.batch_count as u64 {
            self.cut_batch();
        }
        Ok(())
    }

    /// Counts one exchange that the settings left out.
    pub fn skip(&mut self, skip: Skip) {
        self.counters.count_skipped(skip);
    }

    /// Counts exchanges that were captured and lost before they came here.
    pub fn drop_exchanges(&mut self, reason: DropReason, count: u64) {
        self.counters.captured = self.counters.captured.saturating_add(count);
        self.counters.count_dropped(reason, count);
    }

    /// A new stream stands: everything that is not acknowledged is sent again, from the oldest.
    pub fn connected(&mut self, now: u64) {
        self.in_flight = 0;
        self.connected_at = Some(now);
        self.not_before = None;
    }

    /// The next batch to send, when one is due, the window is open and no back-off runs. Call it until it gives `None`.
    pub fn next_batch(&mut self, now: u64) -> Option<OutBatch> {
        if self.closed.is_some()
            || self.not_before.is_some_and(|at| now < at)
            || self.in_flight >= self.limits.window
        {
            return None;
        }
        self.not_before = None;
        if self.in_flight == self.cut.len() && self.open_count > 0 && now >= self.open_due() {
            self.cut_batch();
        }
        let batch = self.cut.get_mut(self.in_flight)?;
        self.in_flight += 1;
        if !batch.ever_sent {
            batch.ever_sent = true;
            self.counters.sent += batch.exchanges;
        }
        Some(OutBatch {
            sequence: batch.sequence,
            bytes: batch.bytes.clone(),
            exchanges: usize::try_from(batch.exchanges).unwrap_or(usize::MAX),
        })
    }

    /// Cuts what is waiting, however young, so that it is sent next: for a gateway that is about to stop.
    pub fn flush(&mut self) {
        if self.open_count > 0 && self.closed.is_none() {
            self.cut_batch();
        }
    }

    /// Everything up to `sequence` is durable at the collector; it asks for a pause of `retry_after_ms` (0: none). A
    /// number beyond what is in flight acknowledges only what is in flight.
    pub fn acknowledged(&mut self, sequence: u64, retry_after_ms: u32, now: u64) {
        while self.in_flight > 0
            && self
                .cut
                .front()
                .is_some_and(|batch| batch.sequence <= sequence)
        {
            if let Some(batch) = self.cut.pop_front() {
                self.in_flight -= 1;
                self.counters.acknowledged += batch.exchanges;
                self.leaves_the_queue(&batch);
            }
        }
        self.attempts = 0;
        if retry_after_ms > 0 {
            let pause = u64::from(retry_after_ms)
                .saturating_mul(MILLI)
                .min(LONGEST_PAUSE);
            self.not_before = Some(now.saturating_add(pause));
        }
    }

    /// The connection or the call failed: what was in flight will be sent again, after a back-off of up to 0.2 s that
    /// doubles up to 30 s, with full jitter.
    pub fn failed(&mut self, now: u64) {
        self.in_flight = 0;
        if self
            .connected_at
            .take()
            .is_some_and(|since| now.saturating_sub(since) >= HEALTHY)
        {
            self.attempts = 0;
        }
        let ceiling = FIRST_BACK_OFF
            .checked_shl(self.attempts.min(16))
            .unwrap_or(LONGEST_BACK_OFF);
        self.attempts = self.attempts.saturating_add(1);
        let wait = self
            .jitter
            .up_to(ceiling.min(LONGEST_BACK_OFF))
            .max(SHORTEST_WAIT);
        self.not_before = Some(now.saturating_add(wait));
    }

    /// The collector will never take this batch. Its exchanges are dropped and counted; its number is sent once more
    /// without them, and if that is refused too, given up.
    pub fn rejected(&mut self, sequence: u64, now: u64) {
        let Some(at) = self
            .cut
            .iter()
            .take(self.in_flight)
            .position(|batch| batch.sequence == sequence)
        else {
            return;
        };
        let Some(mut batch) = self.cut.remove(at) else {
            return;
        };
        // Whatever was sent after it is sent again after it: order is part of the contract.
        self.in_flight = at;
        self.leaves_the_queue(&batch);
        self.counters
            .count_dropped(DropReason::Rejected, batch.exchanges);
        if !batch.emptied {
            batch.emptied = true;
            batch.exchanges = 0;
            batch.weight = 0;
            batch.bytes = self.envelope(Vec::new(), batch.sequence);
            self.cut.insert(at, batch);
        }
        self.not_before = Some(now.saturating_add(SHORTEST_WAIT));
    }

    /// The monotonic time at which something may be due: a back-off's end, or the oldest exchange's interval. `None` while
    /// only the transport or another exchange can change anything.
    pub fn next_wake(&self) -> Option<u64> {
        if self.closed.is_some() {
            return None;
        }
        let due = if self.in_flight >= self.limits.window {
            None
        } else if self.in_flight < self.cut.len() {
            Some(0)
        } else {
            Some(self.open_due()).filter(|_| self.open_count > 0)
        };
        match (due, self.not_before) {
            (Some(due), Some(at)) => Some(due.max(at)),
            (due, at) => due.or(at),
        }
    }

    /// The end of the running back-off or pause: a shim whose connection broke connects again then.
    pub fn retry_at(&self) -> Option<u64> {
        self.not_before
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.open_count == 0 && self.cut.is_empty()
    }

    /// The totals now.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Drops and counts what is left, and everything that is pushed from now on.
    pub fn close(&mut self, reason: DropReason) {
        let left = self.counters.queued;
        self.counters.count_dropped(reason, left);
        self.counters.queued = 0;
        self.counters.queue_bytes = 0;
        self.open = Vec::new();
        self.open_count = 0;
        self.cut.clear();
        self.in_flight = 0;
        self.not_before = None;
        self.closed = Some(reason);
    }

    fn open_due(&self) -> u64 {
        self.open_since.saturating_add(self.limits.flush_interval)
    }

    fn leaves_the_queue(&mut self, batch: &Batch) {
        self.counters.queued = self.counters.queued.saturating_sub(batch.exchanges);
        self.counters.queue_bytes = self
            .counters
            .queue_bytes
            .saturating_sub(batch.weight as u64);
    }

    fn cut_batch(&mut self) {
        // The next batch will likely be about as large; a fresh buffer keeps the cut one immutable without a copy.
        let expected = self.open.len().min(self.limits.batch_bytes) / 2;
        let open = std::mem::replace(&mut self.open, Vec::with_capacity(expected));
        let exchanges = std::mem::take(&mut self.open_count);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let weight = open.len();
        let bytes = self.envelope(open, sequence);
        self.cut.push_back(Batch {
            sequence,
            bytes,
            exchanges,
            weight,
            ever_sent: false,
            emptied: false,
        });
    }

    /// Completes an `ExportRequest` whose `exchanges` are already encoded: protobuf fields may come in any order.
    fn envelope(&self, mut out: Vec<u8>, sequence: u64) -> Bytes {
        out.reserve_exact(self.shim.len() + 512);
        put_length(&mut out, 1, self.shim.len());
        out.extend_from_slice(&self.shim);
        put_uint(&mut out, 2, sequence);
        let mut count = |field, reason: &str, total: u64| {
            if total > 0 {
                put_length(
                    &mut out,
                    field,
                    1 + 1 + reason.len() + 1 + varint_len(total),
                );
                put_bytes(&mut out, 1, reason.as_bytes());
                put_uint(&mut out, 2, total);
            }
        };
        for reason in DropReason::ALL {
            count(4, reason.as_str(), self.counters.dropped(*reason));
        }
        for skip in Skip::ALL {
            count(5, skip.as_str(), self.counters.skipped(*skip));
        }
        put_uint(&mut out, 6, self.counters.captured);
        if out.capacity() > out.len() + out.len() / 8 + 4096 {
            out.shrink_to_fit();
        }
        Bytes::from(out)
    }
}
