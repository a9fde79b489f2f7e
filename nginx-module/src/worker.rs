//! What one worker process has: its queues and exporter, its sampler, its ids, its slot in the shared counters.
//!
//! In: the configuration's links, and exchanges that are over. Out: the same queued, counted and shown. Lives in a
//! thread-local, because nginx runs a worker on one thread; a request costs it no lock, no system call and no wakeup.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use silhouette_capture::{DropReason, Identity, Sampler, Sealed, Skip};

use crate::counters::{Reading, Slot, Table};
use crate::exporter::{Event, Exporter};
use crate::link::{LinkConfig, Sender, queue};

/// A link writes at most one line to the error log in so many seconds, over all workers.
const LOG_INTERVAL: u64 = 60;

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// See the module's documentation.
pub(crate) struct Worker {
    pub(crate) sampler: Sampler,
    epoch: Instant,
    id_seed: [u8; 8],
    id_count: u64,
    senders: Vec<Sender>,
    /// Each link's `flush_interval_ms`.
    intervals: Vec<usize>,
    flush_in: Option<usize>,
    shown: Vec<Reading>,
    exporter: Exporter,
    table: &'static Table,
    slot: &'static Slot,
}

/// What a worker is made of.
pub(crate) struct Setup<'a> {
    pub(crate) links: &'a [Arc<LinkConfig>],
    /// The block in shared memory.
    pub(crate) table: &'static Table,
    pub(crate) pid: u64,
    pub(crate) configuration: u64,
    /// This machine's name.
    pub(crate) node: &'a str,
    /// `nginx/1.22.1`.
    pub(crate) gateway_version: &'a str,
    /// 32 bytes of randomness.
    pub(crate) random: [u8; 32],
}

impl Worker {
    /// Makes this process's worker and starts its exporter.
    pub(crate) fn start(setup: &Setup<'_>, alive: impl Fn(u64) -> bool) -> std::io::Result<()> {
        let [a, b, c, d] = quarters(&setup.random);
        let slot = setup
            .table
            .claim(setup.pid, setup.configuration, alive)
            .ok_or_else(|| {
                std::io::Error::other("the shared memory has no room for this worker")
            })?;
        let epoch = Instant::now();
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for (index, link) in setup.links.iter().enumerate() {
            let (sender, receiver) = queue(link.queue_bytes);
            senders.push(sender);
            // Instances of one worker's links differ, because each counts its own batches.
            let instance = [a.to_le_bytes(), (b ^ index as u64).to_le_bytes()].concat();
            let identity = Identity {
                kind: "nginx".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                gateway_version: setup.gateway_version.to_owned(),
                node: setup.node.to_owned(),
                name: link.name.clone(),
                instance: instance.try_into().unwrap_or_default(),
            };
            receivers.push((link.clone(), receiver, identity));
        }
        let exporter = Exporter::start(receivers, epoch, c)?;
        let worker = Worker {
            sampler: Sampler::new(d),
            epoch,
            id_seed: (b ^ d).to_le_bytes(),
            id_count: 0,
            shown: vec![Reading::default(); senders.len()],
            intervals: setup
                .links
                .iter()
                .map(|link| usize::try_from(link.flush_interval_ms).unwrap_or(1000))
                .collect(),
            flush_in: None,
            senders,
            exporter,
            table: setup.table,
            slot,
        };
        WORKER.with_borrow_mut(|cell| *cell = Some(worker));
        Ok(())
    }

    /// Runs `f` on this process's worker; `None` when there is none (the master, the cache manager) or it is in use.
    pub(crate) fn with<R>(f: impl FnOnce(&mut Worker) -> R) -> Option<R> {
        WORKER.with(|cell| cell.try_borrow_mut().ok()?.as_mut().map(f))
    }

    /// Takes this process's worker away, to [`Worker::end`] it.
    pub(crate) fn take() -> Option<Worker> {
        WORKER.with(|cell| cell.try_borrow_mut().ok()?.take())
    }

    /// Nanoseconds of a clock that never goes back.
    pub(crate) fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// A new exchange's id: unique, not secret.
    pub(crate) fn next_id(&mut self) -> [u8; 16] {
        self.id_count += 1;
        let mut id = [0; 16];
        let (seed, count) = id.split_at_mut(8);
        seed.copy_from_slice(&self.id_seed);
        count.copy_from_slice(&self.id_count.to_be_bytes());
        id
    }

    /// Whether an exchange for this link would be dropped anyway.
    pub(crate) fn is_full(&self, link: usize) -> bool {
        self.senders.get(link).is_some_and(Sender::is_full)
    }

    /// Queues an exchange for its link's collector.
    pub(crate) fn send(&mut self, link: usize, sealed: &Sealed) -> Result<(), DropReason> {
        // A link the worker does not have can only come from a configuration it was not started with.
        let sender = self.senders.get_mut(link).ok_or(DropReason::Unreachable)?;
        if sender.send(sealed)? {
            let interval = self.intervals.get(link).copied().unwrap_or_default();
            self.flush_in = Some(self.flush_in.map_or(interval, |other| other.min(interval)));
        }
        Ok(())
    }

    /// Counts an exchange that was recorded and will not be sent.
    pub(crate) fn drop_exchange(&mut self, link: usize, reason: DropReason) {
        if let Some(sender) = self.senders.get_mut(link) {
            sender.drop_exchanges(reason, 1);
        }
    }

    /// In how many milliseconds [`Worker::flush`] is to be called, if that is news.
    pub(crate) fn flush_in(&mut self) -> Option<usize> {
        self.flush_in.take()
    }

    /// Hands everything that has gathered to the exporter.
    pub(crate) fn flush(&mut self) {
        self.senders.iter_mut().for_each(Sender::flush);
    }

    /// Counts an exchange that the settings leave out.
    pub(crate) fn skip(&mut self, link: usize, skip: Skip) {
        if let Some(sender) = self.senders.get_mut(link) {
            sender.skip(skip);
        }
    }

    /// Counts a panic that was caught, and the exchange that was lost by it.
    pub(crate) fn fault(&mut self, link: Option<usize>) {
        self.slot.count_fault();
        if let Some(sender) = link.and_then(|link| self.senders.get_mut(link)) {
            sender.drop_exchanges(DropReason::Fault, 1);
        }
    }

    /// Once a second: shows the exporter's counters to the other processes, and gives its events to `log` – as failure
    /// (true) or recovery – unless one like it was logged less than a minute ago.
    pub(crate) fn tick(&mut self, unix_seconds: u64, mut log: impl FnMut(bool, &str)) {
        for (index, (sender, shown)) in self.senders.iter_mut().zip(&mut self.shown).enumerate() {
            sender.report();
            let now = sender.reading();
            self.slot.publish(index, shown, &now);
            *shown = now;
        }
        while let Ok(event) = self.exporter.events.try_recv() {
            match event {
                Event::Failed { link, text } => {
                    if self.table.may_log_failure(link, unix_seconds, LOG_INTERVAL) {
                        log(true, &text);
                    }
                }
                Event::Recovered { link, text } => {
                    if self
                        .table
                        .may_log_recovery(link, unix_seconds, LOG_INTERVAL)
                    {
                        log(false, &text);
                    }
                }
            }
        }
    }

    /// Sends what can be sent, counts the rest, and gives the slot back; false when the exporter did not end in time.
    pub(crate) fn end(mut self, unix_seconds: u64, log: impl FnMut(bool, &str)) -> bool {
        for sender in &mut self.senders {
            sender.stop();
        }
        let ended = self.exporter.join();
        self.tick(unix_seconds, log);
        self.slot.release();
        ended
    }
}

fn quarters(random: &[u8; 32]) -> [u64; 4] {
    let mut quarters = [0; 4];
    for (quarter, bytes) in quarters.iter_mut().zip(random.chunks_exact(8)) {
        *quarter = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    }
    quarters
}
