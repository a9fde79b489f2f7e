//! The one thread that makes batches durable.
//!
//! In: batches from every connection. Out: for each an answer, durable, in already, or why not. It takes whatever has
//! queued, writes it in one go, synchronises once, and answers all of it: the more load, the larger the groups.
//!
//! A failure fails the whole group and nothing else; the next one is tried anew, and while nobody sends, the disk is
//! tried once a second, so that readiness returns by itself. It never answers `Durable` before the disk has.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::envelope::Instance;
use crate::journal::{Batch, Journal};
use crate::metrics::Metrics;
use crate::windows::Windows;

/// Bytes of one group; a larger one would only make the first in it wait.
const GROUP_BYTES: usize = 8 << 20;
/// Batches of one group.
const GROUP_BATCHES: usize = 1024;
/// How often a failing disk is tried while nobody sends.
const PROBE: Duration = Duration::from_secs(1);

/// A batch to be made durable.
#[derive(Debug)]
pub struct Submission {
    /// Who sent it.
    pub instance: Instance,
    /// Its number.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Bytes,
    /// Exchanges in it.
    pub exchanges: u64,
    /// Its share of the ingest buffer, given back when it is answered; `None`: whoever waits for the answer keeps it, to send the
    /// batch again.
    pub permit: Option<OwnedSemaphorePermit>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Kept, NotKept>>,
}

/// The batch is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Since now.
    Durable,
    /// It was there: it has been sent before.
    Duplicate,
}

/// The batch is not on disk; it may be sent again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotKept(pub Arc<str>);

/// Whether batches can be kept: `None`, or why not.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Arc<str>>>);

impl Health {
    /// Why not, if so.
    pub fn problem(&self) -> Option<Arc<str>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, problem: Option<Arc<str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// The writer's world.
#[derive(Debug)]
pub struct Writer {
    /// What it writes to.
    pub journal: Journal,
    /// What is in it already.
    pub windows: Windows,
    /// What it tells of itself.
    pub health: Arc<Health>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Set when a checkpoint would make room.
    pub hurry: Arc<AtomicBool>,
}

impl Writer {
    /// Runs until every sender is gone. `now` is in Unix milliseconds.
    pub fn run(mut self, submissions: &Receiver<Submission>, now: impl Fn() -> u64) {
        let mut expired = Instant::now();
        loop {
            let first = match submissions.recv_timeout(PROBE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.idle(&mut expired, now());
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = first.payload.len();
            let mut group = vec![first];
            while bytes < GROUP_BYTES && group.len() < GROUP_BATCHES {
                let Ok(next) = submissions.try_recv() else {
                    break;
                };
                bytes += next.payload.len();
                group.push(next);
            }
            self.commit(group, now());
        }
    }

    fn idle(&mut self, expired: &mut Instant, now: u64) {
        if self.health.problem().is_some() {
            match self.journal.probe() {
                Ok(()) => self.healthy(),
                Err(_) => self.hurry.store(true, Relaxed),
            }
        }
        if expired.elapsed() > Duration::from_secs(3600) {
            *expired = Instant::now();
            self.windows.expire(now);
        }
    }

    fn healthy(&self) {
        if self.health.problem().is_some() {
            tracing::info!("telemetry is accepted again");
            self.health.set(None);
        }
    }

    fn commit(&mut self, group: Vec<Submission>, now: u64) {
        let (known, fresh): (Vec<_>, Vec<_>) = group
            .into_iter()
            .partition(|one| self.windows.contains(&one.instance, one.sequence));
        for one in known {
            self.duplicate(one);
        }
        if fresh.is_empty() {
            return;
        }
        // Sent twice within this group: written once, and as durable as the first.
        let mut seen = HashSet::with_capacity(fresh.len());
        let (first, again): (Vec<_>, Vec<_>) = fresh
            .into_iter()
            .partition(|one| seen.insert((one.instance, one.sequence)));
        let batches: Vec<Batch> = first
            .iter()
            .map(|one| Batch {
                received: now,
                payload: one.payload.clone(),
            })
            .collect();
        let exchanges = first.iter().map(|one| one.exchanges).sum();
        let written = self.journal.append(&batches);
        match written {
            Ok(()) => {
                self.metrics.commits.inc();
                self.metrics.acknowledged.inc_by(exchanges);
                for one in first {
                    self.windows.insert(&one.instance, one.sequence, now);
                    drop(one.permit);
                    // Nobody there to hear it: the shim will send it again and be told then.
                    let _ = one.answer.send(Ok(Kept::Durable));
                }
                again.into_iter().for_each(|one| self.duplicate(one));
                self.healthy();
            }
            Err(error) => {
                let reason: Arc<str> = error.to_string().into();
                if self.health.problem().is_none() {
                    tracing::error!(%error, "telemetry is refused until this is over; shims keep and resend it");
                }
                self.health.set(Some(reason.clone()));
                self.hurry.store(true, Relaxed);
                for one in first.into_iter().chain(again) {
                    self.metrics.unacknowledged.inc_by(one.exchanges);
                    drop(one.permit);
                    let _ = one.answer.send(Err(NotKept(reason.clone())));
                }
            }
        }
    }

    fn duplicate(&self, one: Submission) {
        self.metrics.duplicate.inc_by(one.exchanges);
        drop(one.permit);
        let _ = one.answer.send(Ok(Kept::Duplicate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Limits, Position, Reader, Step};
    use std::sync::mpsc;
    use tokio::sync::Semaphore;

    struct World {
        _dir: tempfile::TempDir,
        writer: Writer,
        reader: Reader,
        budget: Arc<Semaphore>,
    }

    fn world(bytes: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits {
            bytes,
            disk_reserve: Some(0),
            recent_bytes: 1 << 20,
        };
        let (journal, reader, _) =
            Journal::open(dir.path(), Position::default(), limits, |_| {}).unwrap();
        let writer = Writer {
            journal,
            windows: Windows::default(),
            health: Arc::default(),
            metrics: Arc::default(),
            hurry: Arc::default(),
        };
        World {
            _dir: dir,
            writer,
            reader,
            budget: Arc::new(Semaphore::new(1 << 20)),
        }
    }

    type Answer = oneshot::Receiver<Result<Kept, NotKept>>;

    fn submission(world: &World, sequence: u64, payload: &str) -> (Submission, Answer) {
        let (answer, answered) = oneshot::channel();
        let submission = Submission {
            instance: [1; 16],
            sequence,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            exchanges: 2,
            permit: world.budget.clone().try_acquire_many_owned(10).ok(),
            answer,
        };
        (submission, answered)
    }

    fn read_all(reader: &mut Reader) -> usize {
        std::iter::from_fn(|| match reader.next(Duration::ZERO) {
            Step::Entry(entry) => Some(entry),
            _ => None,
        })
        .count()
    }

    #[test]
    fn a_batch_is_kept_once_however_often_it_comes() {
        let mut world = world(1 << 20);
        let mut answers = Vec::new();
        for group in [[1, 2, 2].as_slice(), &[1, 3]] {
            let group = group
                .iter()
                .map(|sequence| {
                    let (submission, answer) = submission(&world, *sequence, "batch");
                    answers.push(answer);
                    submission
                })
                .collect();
            world.writer.commit(group, 5);
        }
        let answers: Vec<_> = answers
            .iter_mut()
            .map(|answer| answer.try_recv().unwrap().unwrap())
            .collect();
        use Kept::{Duplicate, Durable};
        assert_eq!(answers, [Durable, Durable, Duplicate, Duplicate, Durable]);
        assert_eq!(read_all(&mut world.reader), 3);
        let metrics = &world.writer.metrics;
        assert_eq!(
            (metrics.acknowledged.get(), metrics.duplicate.get()),
            (6, 4)
        );
        assert_eq!(world.budget.available_permits(), 1 << 20);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_accepted_when_it_does() {
        let mut world = world(64 << 10);
        let text = "x".repeat(40 << 10);
        let commit = |world: &mut World, sequence| {
            let (submission, mut answer) = submission(world, sequence, &text);
            world.writer.commit(vec![submission], 5);
            answer.try_recv().unwrap()
        };
        assert_eq!(commit(&mut world, 1), Ok(Kept::Durable));
        let refused = commit(&mut world, 2).unwrap_err();
        assert!(refused.to_string().contains("journal_limit"), "{refused}");
        assert_eq!(world.writer.health.problem(), Some(refused.0));
        // The shim resends what was there already: that needs no room.
        assert_eq!(commit(&mut world, 1), Ok(Kept::Duplicate));
        assert!(world.writer.health.problem().is_some());
        // Learnt: room again, found without anybody sending.
        assert_eq!(read_all(&mut world.reader), 1);
        world.writer.journal.limits_for_test(1 << 20);
        world.writer.idle(&mut Instant::now(), 5);
        assert_eq!(world.writer.health.problem(), None);
        assert_eq!(commit(&mut world, 2), Ok(Kept::Durable));
    }

    #[test]
    fn it_ends_when_every_connection_is_gone() {
        let world = world(1 << 20);
        let (sender, submissions) = mpsc::channel();
        let (one, answer) = submission(&world, 1, "batch");
        sender.send(one).unwrap();
        drop(sender);
        world.writer.run(&submissions, || 5);
        assert_eq!(answer.blocking_recv().unwrap(), Ok(Kept::Durable));
    }
}
