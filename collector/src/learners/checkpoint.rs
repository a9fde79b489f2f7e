//! The thread that writes checkpoints: collects the models of one journal position, commits them, and then lets the
//! journal forget what came before.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::journal::{Position, Shared};
use crate::metrics::Metrics;
use crate::store::{Checkpoint, HostBytes, Store, StoreError, Totals};
use crate::windows::Windows;

/// What a learner gives to a checkpoint.
pub(super) enum Saved {
    /// A host and its model, `None` when it is gone.
    Model(String, Option<HostBytes>),
    /// That was all of this learner, with its totals since the start.
    Done(Totals),
}

/// One checkpoint to be written.
pub(super) struct Job {
    pub(super) saved: Receiver<Saved>,
    pub(super) learners: usize,
    pub(super) position: Position,
    pub(super) windows: Windows,
    /// Without those of the learners.
    pub(super) totals: Totals,
}

#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a learner thread is gone")]
    Learner,
}

#[derive(Debug, Default)]
struct Status {
    busy: Mutex<bool>,
    idle: Condvar,
    failed: AtomicBool,
    took_micros: AtomicU64,
}

/// The handle of the thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    jobs: Sender<Job>,
    status: Arc<Status>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    pub(super) fn start(
        mut store: Store,
        journal: Arc<Shared>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Checkpointer> {
        let (jobs, queue) = channel::<Job>();
        let status = Arc::new(Status::default());
        let its = status.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                while let Ok(job) = queue.recv() {
                    let started = Instant::now();
                    let position = job.position;
                    match write(&mut store, job) {
                        Ok(()) => {
                            metrics.checkpoints.inc();
                            journal.forget_before(position);
                            if its.failed.swap(false, SeqCst) {
                                tracing::info!("checkpoints can be written again");
                            }
                        }
                        Err(error) => {
                            metrics.checkpoint_failures.inc();
                            if !its.failed.swap(true, SeqCst) {
                                tracing::error!(%error, "a checkpoint cannot be written; the journal is kept, and it is tried again");
                            }
                        }
                    }
                    let took = started.elapsed();
                    metrics.checkpoint_millis.set(took.as_millis() as i64);
                    its.took_micros.store(took.as_micros() as u64, SeqCst);
                    its.set_busy(false);
                }
            })?;
        Ok(Checkpointer {
            jobs,
            status,
            thread,
        })
    }

    /// Begins one; not while [`busy`](Self::busy).
    pub(super) fn begin(&self, job: Job) {
        self.status.set_busy(true);
        if self.jobs.send(job).is_err() {
            self.status.failed.store(true, SeqCst);
            self.status.set_busy(false);
        }
    }

    pub(super) fn busy(&self) -> bool {
        *self.status.lock()
    }

    /// Whether the last one failed.
    pub(super) fn failed(&self) -> bool {
        self.status.failed.load(SeqCst)
    }

    /// Whether what the last one was given is on disk. Meaningful when not busy.
    pub(super) fn last_was_saved(&self) -> bool {
        !self.failed()
    }

    /// How long the last one took.
    pub(super) fn took(&self) -> Duration {
        Duration::from_micros(self.status.took_micros.load(SeqCst))
    }

    /// Finishes what has begun and closes the store.
    pub(super) fn end(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!(
                "the checkpoint thread ended with a panic; the next start learns from the journal"
            );
        }
    }

    /// Waits until it is not busy.
    pub(super) fn wait(&self) {
        let mut busy = self.status.lock();
        while *busy {
            busy = self
                .status
                .idle
                .wait(busy)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Status {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_busy(&self, busy: bool) {
        *self.lock() = busy;
        self.idle.notify_all();
    }
}

fn write(store: &mut Store, job: Job) -> Result<(), CheckpointError> {
    let Job {
        saved,
        learners,
        position,
        windows,
        mut totals,
    } = job;
    let done = RefCell::new(Vec::with_capacity(learners));
    let models = std::iter::from_fn(|| {
        while done.borrow().len() < learners {
            match saved.recv().ok()? {
                Saved::Model(host, bytes) => return Some((host, bytes)),
                Saved::Done(totals) => done.borrow_mut().push(totals),
            }
        }
        None
    });
    store.save(models, || {
        let done = done.borrow();
        if done.len() < learners {
            return Err(CheckpointError::Learner);
        }
        for of_learner in done.iter() {
            totals.add(of_learner);
        }
        Ok(Checkpoint {
            position,
            windows,
            totals,
        })
    })
}
