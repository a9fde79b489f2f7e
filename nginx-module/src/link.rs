//! The connection to one collector as worker and exporter share it: its settings, its state, and the bounded queue
//! between the two threads.
//!
//! In: sealed exchanges from nginx's thread. Out: the same, in order, to the exporter's. The sender never waits, never
//! allocates, and wakes the receiver at most once per [`WAKE_BYTES`] or when it sleeps; beyond `queue_bytes` exchanges
//! are dropped and counted.

use std::fmt;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::{Consumer, Producer, RingBuffer};
use rustls::client::ClientConfig;
use silhouette_capture::{Collector, DropReason, Sealed, Skip};
use tokio::sync::Notify;

use crate::counters::Reading;

/// Places in the queue. Bytes are the bound that matters; this one keeps the ring itself small.
const QUEUE_PLACES: usize = 8192;
/// The receiver is woken before its interval is over when so many bytes have gathered …
const WAKE_BYTES: usize = 128 << 10;
/// … or so many exchanges.
const WAKE_EXCHANGES: usize = QUEUE_PLACES / 4;

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
    /// Bytes in the ring.
    ring_bytes: AtomicUsize,
    /// Bytes the exporter holds: waiting, or sent and not acknowledged.
    held_bytes: AtomicUsize,
    limit: usize,
    /// Counted by the worker, collected by the exporter.
    dropped: [AtomicU64; DropReason::ALL.len()],
    skipped: [AtomicU64; Skip::ALL.len()],
    /// The exporter sleeps until it is woken.
    asleep: AtomicBool,
    stop: AtomicBool,
    wake: Notify,
    reading: Mutex<Reading>,
}

/// The worker's end.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    ring: Producer<Sealed>,
    unannounced_bytes: usize,
    unannounced: usize,
    /// Something was counted that no exchange will carry to the exporter.
    unreported: bool,
}

/// The exporter's end.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    ring: Consumer<Sealed>,
}

/// A queue that holds at most `queue_bytes`, counting what the receiver says it still holds.
pub(crate) fn queue(queue_bytes: usize) -> (Sender, Receiver) {
    let (producer, consumer) = RingBuffer::new(QUEUE_PLACES);
    let shared = Arc::new(Shared {
        ring_bytes: AtomicUsize::new(0),
        held_bytes: AtomicUsize::new(0),
        limit: queue_bytes,
        dropped: [const { AtomicU64::new(0) }; DropReason::ALL.len()],
        skipped: [const { AtomicU64::new(0) }; Skip::ALL.len()],
        asleep: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        wake: Notify::new(),
        reading: Mutex::new(Reading::default()),
    });
    let sender = Sender {
        shared: shared.clone(),
        ring: producer,
        unannounced_bytes: 0,
        unannounced: 0,
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
    /// Queues an exchange, or drops and counts it.
    pub(crate) fn send(&mut self, sealed: Sealed) -> Result<(), DropReason> {
        let size = sealed.size();
        let shared = &*self.shared;
        let queued = shared
            .ring_bytes
            .load(Relaxed)
            .saturating_add(shared.held_bytes.load(Relaxed));
        let reason = if size > shared.limit {
            Some(DropReason::TooLarge)
        } else if queued.saturating_add(size) > shared.limit || self.ring.is_full() {
            Some(DropReason::QueueFull)
        } else {
            // Added first, so that the receiver can never take away what was not added.
            shared.ring_bytes.fetch_add(size, Relaxed);
            self.ring.push(sealed).is_err().then(|| {
                shared.ring_bytes.fetch_sub(size, Relaxed);
                DropReason::QueueFull
            })
        };
        if let Some(reason) = reason {
            self.drop_exchange(reason);
            return Err(reason);
        }
        self.unannounced += 1;
        self.unannounced_bytes += size;
        self.announce();
        Ok(())
    }

    /// Counts an exchange that was captured and cannot be sent.
    pub(crate) fn drop_exchange(&mut self, reason: DropReason) {
        if let Some(count) = self.shared.dropped.get(reason.index()) {
            count.fetch_add(1, Relaxed);
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

    fn announce(&mut self) {
        // Either the receiver sees what was pushed before it sleeps, or this sees that it sleeps.
        fence(SeqCst);
        let asleep = self.shared.asleep.load(Relaxed) && self.shared.asleep.swap(false, SeqCst);
        if asleep || self.unannounced_bytes >= WAKE_BYTES || self.unannounced >= WAKE_EXCHANGES {
            self.unannounced = 0;
            self.unannounced_bytes = 0;
            self.shared.wake.notify_one();
        }
    }

    /// What the exporter last published.
    pub(crate) fn reading(&self) -> Reading {
        *self
            .shared
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the exporter if it sleeps and there are counts to collect.
    pub(crate) fn report(&mut self) {
        if std::mem::take(&mut self.unreported) {
            self.shared.wake.notify_one();
        }
    }

    /// Asks the exporter to finish.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.wake.notify_one();
    }
}

impl Receiver {
    /// The next exchange.
    pub(crate) fn take(&mut self) -> Option<Sealed> {
        let sealed = self.ring.pop().ok()?;
        self.shared.ring_bytes.fetch_sub(sealed.size(), Relaxed);
        Some(sealed)
    }

    /// What the worker dropped since the last call, by [`DropReason::index`].
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
        let mut shown = reading;
        shown.counters.queued += self.ring.slots() as u64;
        shown.counters.queue_bytes += self.shared.ring_bytes.load(Relaxed) as u64;
        *self
            .shared
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// The worker asked to finish.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stop.load(SeqCst)
    }

    /// Waits until the worker announces something.
    pub(crate) async fn announced(&mut self) {
        self.shared.wake.notified().await;
    }

    /// Declares that nothing will be looked at until [`Self::announced`]; false when there is something already.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.shared.asleep.store(true, SeqCst);
        fence(SeqCst);
        if self.ring.is_empty() && !self.is_stopped() {
            return true;
        }
        self.shared.asleep.store(false, SeqCst);
        false
    }

    /// The opposite of [`Self::fall_asleep`], for when something else woke the receiver.
    pub(crate) fn stay_awake(&self) {
        self.shared.asleep.store(false, SeqCst);
    }
}

fn take(count: &AtomicU64) -> u64 {
    match count.load(Relaxed) {
        0 => 0,
        _ => count.swap(0, Relaxed),
    }
}
