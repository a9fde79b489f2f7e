//! The connection to one collector as worker and exporter share it: its settings, its state, and the bounded queue
//! between the two threads.
//!
//! In: sealed exchanges from nginx's thread. Out: packs of them, in order, to the exporter's. The sender never waits, and
//! wakes the receiver once per pack: when [`PACK_BYTES`] have gathered, or when the worker's timer says so. Beyond
//! `queue_bytes` exchanges are dropped and counted.

use std::fmt;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::{Consumer, Producer, RingBuffer};
use rustls::client::ClientConfig;
use silhouette_capture::{Collector, DropReason, Pack, Sealed, Skip};
use tokio::sync::Notify;

use crate::counters::Reading;

/// Packs between the threads. Bytes are the bound that matters.
const QUEUE_PLACES: usize = 1024;
/// A pack is handed over when it has so many bytes.
const PACK_BYTES: usize = 128 << 10;

/// One distinct set of connection settings.
pub(crate) struct LinkConfig {
    pub(crate) collector: Collector,
    pub(crate) token: Option<String>,
    /// Present for `https`.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) queue_bytes: usize,
    pub(crate) flush_interval_ms: u64,
    /// What the operator calls this gateway; may be empty.
    pub(crate) name: String,
}

/// Without the token.
impl fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkConfig")
            .field("collector", &self.collector)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What the connection to the collector is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// There is none (yet).
    #[default]
    Down,
    /// It is being established.
    Connecting,
    /// The collector takes exchanges.
    Connected,
    /// It failed and is tried again after a while.
    Waiting,
}

impl LinkState {
    pub(crate) const fn number(self) -> u64 {
        match self {
            LinkState::Down => 0,
            LinkState::Connecting => 1,
            LinkState::Connected => 2,
            LinkState::Waiting => 3,
        }
    }

    pub(crate) const fn from_number(number: u64) -> LinkState {
        match number {
            1 => LinkState::Connecting,
            2 => LinkState::Connected,
            3 => LinkState::Waiting,
            _ => LinkState::Down,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            LinkState::Down => "down",
            LinkState::Connecting => "connecting",
            LinkState::Connected => "connected",
            LinkState::Waiting => "waiting",
        }
    }
}

/// What both threads see.
struct Shared {
    /// Bytes gathered by the worker and in the ring.
    waiting_bytes: AtomicUsize,
    /// Bytes the exporter holds: waiting, or sent and not acknowledged.
    held_bytes: AtomicUsize,
    limit: usize,
    /// Counted by the worker, collected by the exporter.
    dropped: [AtomicU64; DropReason::ALL.len()],
    skipped: [AtomicU64; Skip::ALL.len()],
    stop: AtomicBool,
    wake: Notify,
    reading: Mutex<Reading>,
}

/// The worker's end.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    ring: Producer<Pack>,
    open: Pack,
    /// What the last exchange would have taken that did not fit; 0 once one fits.
    refused: usize,
    /// Something was counted that no exchange will carry to the exporter.
    unreported: bool,
}

/// The exporter's end.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    ring: Consumer<Pack>,
}

/// A queue that holds at most `queue_bytes`, counting what the receiver says it still holds.
pub(crate) fn queue(queue_bytes: usize) -> (Sender, Receiver) {
    let (producer, consumer) = RingBuffer::new(QUEUE_PLACES);
    let shared = Arc::new(Shared {
        waiting_bytes: AtomicUsize::new(0),
        held_bytes: AtomicUsize::new(0),
        limit: queue_bytes,
        dropped: [const { AtomicU64::new(0) }; DropReason::ALL.len()],
        skipped: [const { AtomicU64::new(0) }; Skip::ALL.len()],
        stop: AtomicBool::new(false),
        wake: Notify::new(),
        reading: Mutex::new(Reading::default()),
    });
    let sender = Sender {
        shared: shared.clone(),
        ring: producer,
        open: Pack::default(),
        refused: 0,
        unreported: false,
    };
    (
        sender,
        Receiver {
            shared,
            ring: consumer,
        },
    )
}

impl Sender {
    /// Whether the last exchange did not fit and would not fit now: then the next need not even be sealed.
    pub(crate) fn is_full(&self) -> bool {
        self.refused > 0 && self.queued().saturating_add(self.refused) > self.shared.limit
    }

    fn queued(&self) -> usize {
        let shared = &*self.shared;
        shared
            .waiting_bytes
            .load(Relaxed)
            .saturating_add(shared.held_bytes.load(Relaxed))
    }

    /// Queues an exchange, or drops and counts it. `Ok(true)` when it is the first that waits for [`Self::flush`].
    pub(crate) fn send(&mut self, sealed: &Sealed) -> Result<bool, DropReason> {
        let weight = Pack::weight(sealed);
        let reason = if weight > self.shared.limit {
            Some(DropReason::TooLarge)
        } else if self.queued().saturating_add(weight) > self.shared.limit {
            Some(DropReason::QueueFull)
        } else {
            None
        };
        if let Some(reason) = reason {
            if reason == DropReason::QueueFull {
                self.refused = weight;
            }
            self.drop_exchanges(reason, 1);
            return Err(reason);
        }
        self.refused = 0;
        let first = self.open.is_empty();
        self.open.push(sealed);
        self.shared.waiting_bytes.fetch_add(weight, Relaxed);
        if self.open.size() >= PACK_BYTES {
            self.flush();
            return Ok(false);
        }
        Ok(first)
    }

    /// Hands over what has gathered.
    pub(crate) fn flush(&mut self) {
        if self.open.is_empty() {
            return;
        }
        // Traffic comes in bursts of like size: the next pack will need about as much.
        let next = Pack::with_capacity(self.open.size().min(PACK_BYTES) + PACK_BYTES / 32);
        let pack = std::mem::replace(&mut self.open, next);
        let (exchanges, bytes) = (pack.exchanges(), pack.size());
        if self.ring.push(pack).is_err() {
            self.shared.waiting_bytes.fetch_sub(bytes, Relaxed);
            self.drop_exchanges(DropReason::QueueFull, exchanges);
        }
        self.shared.wake.notify_one();
    }

    /// Counts exchanges that were captured and cannot be sent.
    pub(crate) fn drop_exchanges(&mut self, reason: DropReason, exchanges: u64) {
        if let Some(count) = self.shared.dropped.get(reason.index()) {
            count.fetch_add(exchanges, Relaxed);
            self.unreported = true;
        }
    }

    /// Counts an exchange that the settings leave out.
    pub(crate) fn skip(&mut self, skip: Skip) {
        if let Some(count) = self.shared.skipped.get(skip.index()) {
            count.fetch_add(1, Relaxed);
            self.unreported = true;
        }
    }

    /// What the exporter last published, and what it cannot know.
    pub(crate) fn reading(&self) -> Reading {
        let mut reading = *self
            .shared
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reading.counters.captured += self.open.exchanges();
        reading.counters.queued += self.open.exchanges();
        reading.counters.queue_bytes += self.open.size() as u64;
        reading
    }

    /// Wakes the exporter if there are counts to collect.
    pub(crate) fn report(&mut self) {
        if std::mem::take(&mut self.unreported) {
            self.shared.wake.notify_one();
        }
    }

    /// Hands over what has gathered and asks the exporter to finish.
    pub(crate) fn stop(&mut self) {
        self.flush();
        self.shared.stop.store(true, SeqCst);
        self.shared.wake.notify_one();
    }
}

impl Receiver {
    /// The next pack.
    pub(crate) fn take(&mut self) -> Option<Pack> {
        let pack = self.ring.pop().ok()?;
        self.shared.waiting_bytes.fetch_sub(pack.size(), Relaxed);
        Some(pack)
    }

    /// What the worker dropped since the last call.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL
            .iter()
            .zip(&self.shared.dropped)
            .map(|(reason, count)| (*reason, take(count)))
    }

    /// What the worker skipped since the last call.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = (Skip, u64)> {
        Skip::ALL
            .iter()
            .zip(&self.shared.skipped)
            .map(|(skip, count)| (*skip, take(count)))
    }

    /// Says how many bytes are held outside the ring, and shows the counters to the worker.
    pub(crate) fn publish(&self, reading: Reading) {
        let held = usize::try_from(reading.counters.queue_bytes).unwrap_or(usize::MAX);
        self.shared.held_bytes.store(held, Relaxed);
        *self
            .shared
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// The worker asked to finish.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stop.load(SeqCst)
    }

    /// Waits until the worker hands something over, or has something to say. What came before is not missed.
    pub(crate) async fn announced(&mut self) {
        self.shared.wake.notified().await;
    }
}

fn take(count: &AtomicU64) -> u64 {
    match count.load(Relaxed) {
        0 => 0,
        _ => count.swap(0, Relaxed),
    }
}
