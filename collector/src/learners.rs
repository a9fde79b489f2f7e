//! From the journal into the models, on all cores, and from the models into checkpoints.
//!
//! In: the reader of the journal. Out: models that hold every exchange of the journal once, and checkpoints from which a
//! restart goes on exactly there. Never acknowledges, never writes to the journal.
//!
//! One dispatcher reads batches in order and deals their exchanges to learner threads, each host always to the same one.
//! A checkpoint is a mark dealt to every learner between two batches: what a learner has done when it meets the mark is
//! what it did for the batches before, so the models saved are those of one journal position, and nobody has to stop.
//!
//! A batch is learnt once even if the journal had it twice: the dispatcher keeps its own sequence windows, which are
//! saved and restored with the models.

mod checkpoint;
mod learner;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use silhouette_reconstruct::HostName;

use crate::envelope::{Envelope, Rejected, inspect};
use crate::hosts::Hosts;
use crate::journal::{Entry, Position, Reader, Shared, Step};
use crate::metrics::{Metrics, Reason};
use crate::store::{Checkpoint, Store, Totals};
use crate::windows::Windows;

use checkpoint::{Checkpointer, Job};
use learner::{Learner, Portion, Routed, Work};

/// Batches dealt to a learner ahead of it; the rest waits in the journal.
const AHEAD: usize = 4;
/// Authorities whose host name is remembered.
const MAX_ROUTES: usize = 4096;
/// How long the end may take to learn what is still in the journal; the rest is learnt after the next start.
const LAST_CALL: Duration = Duration::from_secs(5);

/// When checkpoints are made.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At the latest so long after the last, if anything was learnt.
    pub interval: Duration,
    /// Or after so many bytes of batches.
    pub bytes: u64,
}

/// What learning needs.
#[derive(Debug)]
pub struct Parts {
    /// Where the batches come from.
    pub reader: Reader,
    /// The journal, to delete what is learnt.
    pub journal: Arc<Shared>,
    /// Where checkpoints go.
    pub store: Store,
    /// What the last one said.
    pub last: Checkpoint,
    /// The models.
    pub hosts: Arc<Hosts>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Threads.
    pub learners: usize,
    /// Bytes of a decoded body at most.
    pub max_body: usize,
    /// Checkpoints.
    pub pace: Pace,
    /// Batches of segments before this one were acknowledged before this start: counted as replayed.
    pub first_segment: u64,
}

/// Totals over all starts, for people; the exact ones are in the checkpoints.
#[derive(Debug, Default)]
pub struct LiveTotals(Mutex<Totals>);

impl LiveTotals {
    /// As of now.
    pub fn get(&self) -> Totals {
        self.lock().clone()
    }

    fn add(&self, more: &Totals) {
        self.lock().add(more);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running learners.
#[derive(Debug)]
pub struct Learners {
    totals: Arc<LiveTotals>,
    hurry: Arc<AtomicBool>,
    dispatcher: JoinHandle<()>,
}

/// Which learner a host belongs to.
pub fn shard(host: &HostName, learners: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    host.hash(&mut hasher);
    (hasher.finish() % learners.max(1) as u64) as usize
}

impl Learners {
    /// Starts the threads.
    pub fn start(parts: Parts) -> std::io::Result<Learners> {
        let totals = Arc::new(LiveTotals::default());
        totals.add(&parts.last.totals);
        parts.metrics.replaying.store(true, Relaxed);
        let hurry = Arc::new(AtomicBool::new(false));
        let mut queues = Vec::with_capacity(parts.learners);
        let mut threads = Vec::with_capacity(parts.learners);
        for number in 0..parts.learners {
            let (queue, work) = sync_channel(AHEAD);
            let learner = Learner::new(
                number,
                parts.hosts.clone(),
                parts.metrics.clone(),
                totals.clone(),
                parts.max_body,
            );
            threads.push(
                std::thread::Builder::new()
                    .name(format!("learner-{number}"))
                    .spawn(move || learner.run(&work))?,
            );
            queues.push(queue);
        }
        let checkpointer = Checkpointer::start(parts.store, parts.journal, parts.metrics.clone())?;
        let dispatcher = Dispatcher {
            reader: parts.reader,
            metrics: parts.metrics,
            windows: parts.last.windows,
            totals: parts.last.totals,
            live: totals.clone(),
            queues,
            routes: HashMap::new(),
            checkpointer,
            pace: parts.pace,
            first_segment: parts.first_segment,
            hurry: hurry.clone(),
        };
        let dispatcher = std::thread::Builder::new()
            .name("dispatcher".into())
            .spawn(move || {
                dispatcher.run();
                for thread in threads {
                    let _ = thread.join();
                }
            })?;
        Ok(Learners {
            totals,
            hurry,
            dispatcher,
        })
    }

    /// Totals over all starts.
    pub fn totals(&self) -> Arc<LiveTotals> {
        self.totals.clone()
    }

    /// A handle that asks for a checkpoint soon, to make room in the journal.
    pub fn hurry(&self) -> Arc<AtomicBool> {
        self.hurry.clone()
    }

    /// Waits for the end, which begins when the journal's writer is gone: what is left is learnt for a while, then comes
    /// the last checkpoint.
    pub fn join(self) {
        if self.dispatcher.join().is_err() {
            tracing::error!(
                "the dispatcher ended with a panic; the next start learns from the journal"
            );
        }
    }
}

/// A host and its learner.
type Route = Result<(HostName, usize), Rejected>;

struct Dispatcher {
    reader: Reader,
    metrics: Arc<Metrics>,
    windows: Windows,
    /// Of the checkpoint at the start, plus what the dispatcher itself decides since.
    totals: Totals,
    live: Arc<LiveTotals>,
    queues: Vec<SyncSender<Work>>,
    routes: HashMap<(&'static str, Bytes), Route>,
    checkpointer: Checkpointer,
    pace: Pace,
    first_segment: u64,
    hurry: Arc<AtomicBool>,
}

impl Dispatcher {
    fn run(mut self) {
        let mut due = Due::new(self.pace, self.reader.position());
        let mut expired = Instant::now();
        let mut ending: Option<Instant> = None;
        loop {
            match self.reader.next(Duration::from_millis(200)) {
                Step::Entry(entry) => {
                    due.bytes += entry.payload.len() as u64;
                    self.deal(&entry);
                    if entry.position.segment >= self.first_segment {
                        self.metrics.replaying.store(false, Relaxed);
                    }
                }
                Step::Idle => self.metrics.replaying.store(false, Relaxed),
                Step::Closed => break,
            }
            if self.reader.is_closed() {
                let since = *ending.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_CALL {
                    tracing::info!(
                        "ending before the whole journal is learnt; the next start goes on"
                    );
                    break;
                }
            }
            let hurried = self.hurry.swap(false, Relaxed);
            if due.now(self.reader.position(), &self.checkpointer, hurried) {
                self.checkpoint();
                due.made(self.reader.position());
            }
            if expired.elapsed() > Duration::from_secs(3600) {
                expired = Instant::now();
                self.windows.expire(crate::unix_millis());
            }
        }
        self.checkpointer.wait();
        if due.at != self.reader.position() || self.checkpointer.failed() {
            self.checkpoint();
        }
        self.checkpointer.end();
    }

    /// Deals the exchanges of one batch to the learners their hosts belong to.
    fn deal(&mut self, entry: &Entry) {
        let envelope = match Envelope::open(&entry.payload) {
            Ok(envelope) => envelope,
            // It was opened before it was acknowledged: only another version of this program can disagree.
            Err(error) => {
                tracing::error!(position = ?entry.position, %error, "a batch of the journal cannot be opened");
                return;
            }
        };
        let count = envelope.exchanges.len() as u64;
        let replayed = entry.position.segment < self.first_segment;
        let new = self
            .windows
            .insert(&envelope.instance, envelope.sequence, entry.received);
        if !new {
            self.metrics.duplicate.inc_by(count);
            if !replayed {
                self.metrics.done.fetch_add(count, Relaxed);
            }
            return;
        }
        if replayed {
            self.metrics.replayed.inc_by(count);
        }
        let mut decided = Totals {
            accepted: count,
            ..Totals::default()
        };
        let mut portions: Vec<Vec<Routed>> = vec![Vec::new(); self.queues.len()];
        for exchange in envelope.exchanges {
            match self.route(&exchange) {
                Ok((scheme, host, shard)) => portions[shard].push(Routed {
                    host,
                    scheme,
                    exchange,
                }),
                Err(rejected) => {
                    let reason = rejected.reason().to_owned();
                    *decided.rejected.entry(reason).or_default() += 1;
                }
            }
        }
        for (reason, count) in &decided.rejected {
            let reason = reason.clone();
            self.metrics
                .rejected
                .get_or_create(&Reason { reason })
                .inc_by(*count);
        }
        self.metrics.done.fetch_add(decided.done(), Relaxed);
        self.totals.add(&decided);
        self.live.add(&decided);
        let shim: Arc<str> = envelope.shim.kind.into();
        for (queue, exchanges) in self.queues.iter().zip(portions) {
            if !exchanges.is_empty() {
                let portion = Portion {
                    shim: shim.clone(),
                    received: entry.received,
                    exchanges,
                };
                let _ = queue.send(Work::Learn(portion));
            }
        }
    }

    /// The host of an exchange and its learner.
    fn route(&mut self, exchange: &Bytes) -> Result<(&'static str, HostName, usize), Rejected> {
        let target = inspect(exchange)?;
        let key = (target.scheme, exchange.slice_ref(target.authority));
        if let Some(known) = self.routes.get(&key) {
            let (host, shard) = known.clone()?;
            return Ok((target.scheme, host, shard));
        }
        let found = HostName::parse(target.authority, target.scheme)
            .map(|host| {
                let shard = shard(&host, self.queues.len());
                (host, shard)
            })
            .map_err(|_| Rejected::BadHost);
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
        }
        // A copy: the key must not keep the whole batch in memory.
        let key = (target.scheme, Bytes::copy_from_slice(target.authority));
        self.routes.insert(key, found.clone());
        let (host, shard) = found?;
        Ok((target.scheme, host, shard))
    }

    /// Deals the mark, and hands what belongs to this position to the checkpointer.
    fn checkpoint(&mut self) {
        let (models, saved) = sync_channel(2);
        let last_was_saved = self.checkpointer.last_was_saved();
        for queue in &self.queues {
            let _ = queue.send(Work::Mark {
                last_was_saved,
                models: models.clone(),
            });
        }
        drop(models);
        self.checkpointer.begin(Job {
            saved,
            learners: self.queues.len(),
            position: self.reader.position(),
            windows: self.windows.clone(),
            totals: self.totals.clone(),
        });
    }
}

/// When the next checkpoint is due.
struct Due {
    pace: Pace,
    at: Position,
    bytes: u64,
    last: Instant,
}

impl Due {
    fn new(pace: Pace, at: Position) -> Due {
        Due {
            pace,
            at,
            bytes: 0,
            last: Instant::now(),
        }
    }

    fn now(&self, position: Position, checkpointer: &Checkpointer, hurried: bool) -> bool {
        if checkpointer.busy() || (position == self.at && !checkpointer.failed()) {
            return false;
        }
        // Large models take long to write: at most a fifth of the time goes into it. A failed one is tried again soon.
        let rest = (checkpointer.took() * 4).min(self.pace.interval * 10);
        let since = self.last.elapsed();
        let soon = hurried || checkpointer.failed();
        since >= rest
            && (since >= self.pace.interval
                || self.bytes >= self.pace.bytes
                || (soon && since >= Duration::from_secs(1)))
    }

    fn made(&mut self, at: Position) {
        self.at = at;
        self.bytes = 0;
        self.last = Instant::now();
    }
}

#[cfg(test)]
mod tests;
