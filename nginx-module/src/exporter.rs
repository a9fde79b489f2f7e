//! The exporter: one thread per worker that carries exchanges from the queues to their collectors.
//!
//! In: the receiving end of each link's queue. Out: batches on gRPC streams, counters for the worker to show, and lines
//! for the worker to log. It touches no memory of nginx, blocks every signal, and ends within [`DRAIN`] once told to,
//! whatever the collector does: nothing it awaits lacks a deadline. Runs tokio's current-thread runtime.

use std::sync::Arc;
use std::sync::mpsc::{
    Receiver as StdReceiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel,
};
use std::time::{Duration, Instant};

use silhouette_capture::{DropReason, Identity, Outbox, OutboxLimits};
use tokio::time::sleep_until;

use crate::counters::Reading;
use crate::link::{LinkConfig, LinkState, Receiver};
use crate::transport::{Failure, Stream};

/// How long an exporter may take to send what is left when its worker ends.
pub(crate) const DRAIN: Duration = Duration::from_millis(1000);
/// How long the worker waits for the exporter before it ends without it.
const JOIN: Duration = Duration::from_millis(1500);
/// Batches in flight.
const WINDOW: usize = 8;
/// Without anything to do the thread looks around this often.
const IDLE: Duration = Duration::from_secs(60);
/// Bounds of a batch: large enough to cost little per exchange, small enough that a reconnect resends little.
const BATCH_BYTES: usize = 512 << 10;
const BATCH_COUNT: usize = 1024;

/// Something worth a line in nginx's error log.
#[derive(Debug)]
pub(crate) enum Event {
    /// A link has no collector, and why.
    Failed { link: usize, text: String },
    /// It has one again.
    Recovered { link: usize, text: String },
}

/// A running exporter thread.
pub(crate) struct Exporter {
    ended: StdReceiver<()>,
    pub(crate) events: StdReceiver<Event>,
}

impl Exporter {
    /// Starts the thread. The caller has blocked the signals that the thread must not take.
    pub(crate) fn start(
        links: Vec<(Arc<LinkConfig>, Receiver, Identity)>,
        epoch: Instant,
        seed: u64,
    ) -> std::io::Result<Exporter> {
        let (end, ended) = sync_channel(1);
        let (log, events) = sync_channel(32);
        // The runtime is made on its own thread, after the fork.
        std::thread::Builder::new()
            .name("silhouette".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .enable_time()
                    .max_blocking_threads(2)
                    .thread_keep_alive(Duration::from_secs(1))
                    .build();
                match runtime {
                    Ok(runtime) => {
                        runtime.block_on(run(links, epoch, seed, log));
                        // A name look-up may still be under way; nobody waits for it.
                        runtime.shutdown_background();
                    }
                    Err(error) => {
                        let text = format!("the exporter cannot start: {error}");
                        let _ = log.try_send(Event::Failed { link: 0, text });
                    }
                }
                let _ = end.try_send(());
            })?;
        Ok(Exporter { ended, events })
    }

    /// Waits until the thread is done, after every link was told to stop; false when it is left behind.
    pub(crate) fn join(&self) -> bool {
        match self.ended.recv_timeout(JOIN) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        }
    }
}

async fn run(
    links: Vec<(Arc<LinkConfig>, Receiver, Identity)>,
    epoch: Instant,
    seed: u64,
    log: SyncSender<Event>,
) {
    let mut tasks = Vec::new();
    for (index, (config, receiver, identity)) in links.into_iter().enumerate() {
        let limits = OutboxLimits {
            queue_bytes: config.queue_bytes,
            batch_bytes: BATCH_BYTES.min(config.queue_bytes / 2),
            batch_count: BATCH_COUNT,
            // Exchanges have waited for others in the worker already.
            flush_interval: 0,
            window: WINDOW,
        };
        let outbox = Outbox::new(identity, limits, seed.wrapping_add(index as u64));
        let task = Link {
            index,
            config,
            receiver,
            outbox,
            epoch,
            log: log.clone(),
            connects: 0,
            state: LinkState::Down,
            failing: false,
            one_at_a_time: false,
            deadline: None,
        };
        tasks.push(tokio::spawn(task.run()));
    }
    drop(log);
    for task in tasks {
        let _ = task.await;
    }
}

/// One link's task.
struct Link {
    index: usize,
    config: Arc<LinkConfig>,
    receiver: Receiver,
    outbox: Outbox,
    epoch: Instant,
    log: SyncSender<Event>,
    connects: u64,
    state: LinkState,
    failing: bool,
    /// A batch was refused while several were in flight: find out which.
    one_at_a_time: bool,
    /// Set once the worker asked to stop.
    deadline: Option<tokio::time::Instant>,
}

/// How a session or a wait ended.
enum Ended {
    Failed(Failure),
    Stopped,
}

impl Link {
    async fn run(mut self) {
        loop {
            self.state = LinkState::Connecting;
            match self.session().await {
                Ended::Stopped => break,
                Ended::Failed(failure) => {
                    self.outbox.failed(self.now());
                    self.state = LinkState::Waiting;
                    self.report(&failure);
                    if self.deadline.is_some() || self.back_off().await {
                        break;
                    }
                }
            }
        }
        self.gather();
        self.outbox.close(DropReason::Shutdown);
        self.state = LinkState::Down;
        self.publish();
    }

    /// Connects, then sends and takes acknowledgements until the stream breaks or the worker stops.
    async fn session(&mut self) -> Ended {
        let config = self.config.clone();
        let mut open = std::pin::pin!(Stream::open(&config, WINDOW));
        let mut stream = loop {
            self.gather();
            if self.is_over() {
                return Ended::Stopped;
            }
            let until = self.soon();
            tokio::select! {
                opened = &mut open => match opened {
                    Ok(stream) => break stream,
                    Err(failure) => return Ended::Failed(failure),
                },
                () = self.receiver.announced() => {}
                () = sleep_until(until) => {}
            }
        };
        self.outbox.connected(self.now());
        self.connects += 1;
        self.state = LinkState::Connected;
        if std::mem::take(&mut self.failing) {
            let text = format!("collector {}: connected again", self.config.collector);
            self.tell(Event::Recovered {
                link: self.index,
                text,
            });
        }
        let mut in_flight = std::collections::VecDeque::with_capacity(WINDOW);
        loop {
            self.gather();
            if self.deadline.is_some() {
                self.outbox.flush();
                if self.outbox.is_empty() || self.is_over() {
                    return Ended::Stopped;
                }
            }
            while (!self.one_at_a_time || in_flight.is_empty())
                && let Some(batch) = self.outbox.next_batch(self.now())
            {
                in_flight.push_back(batch.sequence);
                // There is room for the whole window: it fails only when the stream is gone, which `answer` tells.
                let _ = stream.batches.try_send(batch.bytes);
            }
            self.publish();
            let until = self.soon();
            tokio::select! {
                answer = stream.answer() => match answer {
                    Ok(answer) => {
                        let sequence = answer.acknowledged_sequence;
                        in_flight.retain(|sent| *sent > sequence);
                        if in_flight.is_empty() {
                            self.one_at_a_time = false;
                        }
                        self.outbox.acknowledged(sequence, answer.retry_after_ms, self.now());
                    }
                    Err(failure) => {
                        if failure.is_about_a_batch() {
                            match (in_flight.pop_front(), in_flight.is_empty()) {
                                (Some(sequence), true) => self.outbox.rejected(sequence, self.now()),
                                _ => self.one_at_a_time = true,
                            }
                        }
                        return Ended::Failed(failure);
                    }
                },
                () = self.receiver.announced() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Waits for the back-off to end; true when the worker stopped meanwhile.
    async fn back_off(&mut self) -> bool {
        loop {
            self.gather();
            if self.deadline.is_some() {
                return true;
            }
            let now = self.now();
            let Some(left) = self
                .outbox
                .retry_at()
                .and_then(|at| at.checked_sub(now))
                .filter(|left| *left > 0)
            else {
                return false;
            };
            let until = tokio::time::Instant::now() + Duration::from_nanos(left);
            tokio::select! {
                () = self.receiver.announced() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Takes over what the worker queued and counted.
    fn gather(&mut self) {
        if self.deadline.is_none() && self.receiver.is_stopped() {
            self.deadline = Some(tokio::time::Instant::now() + DRAIN);
        }
        let now = self.now();
        while let Some(pack) = self.receiver.take() {
            // Full: dropped and counted by the outbox.
            let _ = self.outbox.push_pack(pack, now);
        }
        for (reason, count) in self.receiver.dropped() {
            if count > 0 {
                self.outbox.drop_exchanges(reason, count);
            }
        }
        for (skip, count) in self.receiver.skipped() {
            (0..count).for_each(|_| self.outbox.skip(skip));
        }
        self.publish();
    }

    fn publish(&self) {
        let reading = Reading {
            counters: self.outbox.counters(),
            connects: self.connects,
            state: self.state,
        };
        self.receiver.publish(reading);
    }

    /// When to look again if nothing happens: when the outbox has something to do, or at the deadline.
    fn soon(&self) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        let until = self.outbox.next_wake().map_or(now + IDLE, |at| {
            let left = Duration::from_nanos(at.saturating_sub(self.now()));
            // Never a busy loop, whatever the outbox says.
            now + left.clamp(Duration::from_millis(1), IDLE)
        });
        self.deadline.map_or(until, |deadline| until.min(deadline))
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| tokio::time::Instant::now() >= deadline)
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn report(&mut self, failure: &Failure) {
        self.failing = true;
        self.publish();
        let text = format!("collector {}: {failure}", self.config.collector);
        self.tell(Event::Failed {
            link: self.index,
            text,
        });
    }

    fn tell(&self, event: Event) {
        match self.log.try_send(event) {
            // Full: the worker has not looked for a while, and then has more than enough to say.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}
