//! What one configuration has in one worker: the outbox, the call in flight, and what exchanges need to begin.
//!
//! In: sealed exchanges, ticks, answers. Out: batches to the collector, counters to the gateway's metrics, lines to its log.
//! The only clock is the host's; here it never goes back.

use std::sync::Arc;

use silhouette_capture::reply::Outcome;
use silhouette_capture::{
    Clock, DropReason, Identity, Notice, Notices, Outbox, OutboxLimits, Policy, Sampler, Sealed,
    Skip, SteadyClock,
};

use crate::host::{self, Headers, Level};
use crate::metrics::Metrics;
use crate::sender::Sender;
use crate::settings::{self, Configuration, Gateway};
use crate::surroundings::first;

/// A batch waits in this module's memory twice while it is sent.
const BATCH_BYTES: usize = 512 << 10;
/// How long what waits may still be sent after the gateway is done with the configuration, in nanoseconds.
const FAREWELL: u64 = 3_000_000_000;

/// See the module's documentation.
pub(crate) struct Queue {
    pub(crate) gateway: Gateway,
    pub(crate) policy: Arc<Policy>,
    pub(crate) sampler: Sampler,
    /// The smallest request body that Kong had put into a file, where it cannot be read; each try would be an error in its
    /// log.
    pub(crate) spooled_from: usize,
    outbox: Outbox,
    sender: Sender,
    metrics: Option<Metrics>,
    notices: Notices,
    clock: SteadyClock,
    id_seed: [u8; 8],
    id_count: u64,
    calls_failed: u64,
    /// When what is left is given up, after the gateway is done with the configuration.
    leaves_at: Option<u64>,
}

impl Queue {
    /// Asks the host who it is; to be called while it handles a request.
    pub(crate) fn new(configuration: Configuration) -> Queue {
        let Configuration {
            policy,
            collector,
            name,
            metrics,
            gateway,
        } = configuration;
        let mut random = [0; 32];
        if getrandom::fill(&mut random).is_err() {
            // Unique enough: two roots of one worker do not begin in the same nanosecond.
            if let Some(first) = random.first_chunk_mut() {
                *first = host::now().to_le_bytes();
            }
        }
        let [instance, rest] = halves(&random);
        let [seed, id_seed] = eights(&rest);
        let (node, gateway_version) = match gateway {
            Gateway::Kong => {
                let version = host::text("kong\0version");
                let version = match version.as_str() {
                    "" => version,
                    _ => format!("kong/{version}"),
                };
                (host::text("kong\0node\0id"), version)
            }
            Gateway::Envoy => (first(["xds\0node\0id", "node\0id"]), String::new()),
        };
        let measured = match metrics {
            settings::Metrics::On => true,
            settings::Metrics::Off => false,
            settings::Metrics::Auto => gateway == Gateway::Envoy || has_metrics(&gateway_version),
        };
        let identity = Identity {
            kind: gateway.kind().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            gateway_version,
            node,
            name,
            instance,
        };
        let limits = OutboxLimits {
            batch_bytes: BATCH_BYTES,
            ..OutboxLimits::new(&policy, 1)
        };
        let agent = format!(
            "silhouette-{}/{}",
            gateway.kind(),
            env!("CARGO_PKG_VERSION")
        );
        let seed = u64::from_le_bytes(seed);
        Queue {
            gateway,
            sampler: Sampler::new(seed),
            spooled_from: usize::MAX,
            outbox: Outbox::new(identity, limits, seed),
            sender: Sender::new(collector, policy.token(), agent),
            metrics: measured.then(|| Metrics::define(gateway)),
            notices: Notices::default(),
            clock: SteadyClock::default(),
            id_seed,
            id_count: 0,
            calls_failed: 0,
            leaves_at: None,
            policy,
        }
    }

    /// The time.
    pub(crate) fn clock(&mut self) -> Clock {
        self.clock.at(host::now())
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

    /// Whether the last exchange did not fit and would not fit now: then the next need not even be sealed.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// Queues an exchange, or counts why not.
    pub(crate) fn take(&mut self, sealed: Result<Sealed, Skip>, now: u64) {
        match sealed {
            // The outbox has counted what it does not take.
            Ok(sealed) => drop(self.outbox.push(sealed, now)),
            Err(skip) => self.outbox.skip(skip),
        }
    }

    /// Counts an exchange that the settings leave out.
    pub(crate) fn skip(&mut self, skip: Skip) {
        self.outbox.skip(skip);
    }

    /// Counts an exchange for which there is no room.
    pub(crate) fn drop_exchange(&mut self) {
        self.outbox.drop_exchanges(DropReason::QueueFull, 1);
    }

    /// Sends what is due, when nothing is in flight.
    pub(crate) fn tick(&mut self) {
        let now = self.clock().monotonic_nanos;
        if let Some((sequence, outcome)) = self.sender.expired(now) {
            self.settle(sequence, outcome, now);
        }
        if !self.sender.is_busy()
            && let Some(batch) = self.outbox.next_batch(now)
            && let Some((sequence, outcome)) = self.sender.send(&batch, now)
        {
            self.settle(sequence, outcome, now);
        }
        let counters = self.outbox.counters();
        let lost = counters.dropped(DropReason::QueueFull);
        if lost > 0 && self.outbox.is_full() {
            let most = self.policy.queue_bytes();
            self.warn(Notice::Queue, now, || {
                format!("{lost} exchanges were dropped so far because the queue of {most} bytes (`queue_bytes`) was full")
            });
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.publish(&counters, self.calls_failed);
        }
    }

    /// The gateway is done with the configuration. Whether there is something left to send, and a gateway that waits for it.
    pub(crate) fn leave(&mut self) -> bool {
        if self.outbox.is_empty() || self.gateway == Gateway::Kong {
            self.give_up();
            return false;
        }
        let now = self.clock().monotonic_nanos;
        self.outbox.flush();
        self.leaves_at = Some(now.saturating_add(FAREWELL));
        true
    }

    /// Whether nothing is left to send, or its time is over.
    pub(crate) fn is_over(&mut self) -> bool {
        let now = self.clock().monotonic_nanos;
        let over = self.outbox.is_empty() || self.leaves_at.is_some_and(|at| now >= at);
        if over {
            self.give_up();
        }
        over
    }

    /// What is left will not arrive: it is counted.
    fn give_up(&mut self) {
        self.outbox.close(DropReason::Shutdown);
        if let Some(metrics) = &mut self.metrics {
            metrics.publish(&self.outbox.counters(), self.calls_failed);
        }
    }

    /// Whether this call is the one in flight.
    pub(crate) fn awaits(&self, token: u32) -> bool {
        self.sender.awaits(token)
    }

    /// Whether more waits than one batch takes.
    pub(crate) fn has_more(&self) -> bool {
        self.outbox.counters().queue_bytes > BATCH_BYTES as u64
    }

    /// The gateway's answer to it.
    pub(crate) fn answered(&mut self, headers: &Headers, body: &[u8]) {
        let now = self.clock().monotonic_nanos;
        if let Some((sequence, outcome)) = self.sender.answered(headers, body) {
            self.settle(sequence, outcome, now);
        }
    }

    fn settle(&mut self, batch: u64, outcome: Outcome, now: u64) {
        match outcome {
            Outcome::Acknowledged {
                sequence,
                retry_after_ms,
            } => {
                self.outbox.acknowledged(sequence, retry_after_ms, now);
                if self.notices.is_well_again() {
                    let collector = self.sender.collector();
                    let text =
                        format!("silhouette: the collector at {collector} takes batches again");
                    host::log(Level::Info, &text);
                }
            }
            Outcome::Rejected(why) => {
                self.outbox.rejected(batch, now);
                self.warn(Notice::Batch, now, || {
                    format!("the collector will not take batch {batch}: {why}")
                });
            }
            Outcome::Failed(why) => {
                self.calls_failed += 1;
                self.outbox.failed(now);
                self.warn(Notice::Call, now, || {
                    format!("{why}; requests are served as ever, and what is captured waits")
                });
            }
        }
    }

    fn warn(&mut self, notice: Notice, now: u64, text: impl FnOnce() -> String) {
        if self.notices.is_due(notice, now) {
            host::log(Level::Warn, &format!("silhouette: {}", text()));
        }
    }
}

/// Kong before 3.8 has no metrics, and ends a filter that asks for one; its Prometheus plugin shows a filter's from 3.9 on.
fn has_metrics(kong: &str) -> bool {
    let mut parts = kong.trim_start_matches("kong/").split('.');
    let mut next = || parts.next().and_then(|part| part.parse::<u32>().ok());
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) >= (3, 9))
}

fn halves(random: &[u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    for (half, bytes) in halves.iter_mut().zip(random.chunks_exact(16)) {
        half.copy_from_slice(bytes);
    }
    halves
}

fn eights(random: &[u8; 16]) -> [[u8; 8]; 2] {
    let mut eights = [[0; 8]; 2];
    for (eight, bytes) in eights.iter_mut().zip(random.chunks_exact(8)) {
        eight.copy_from_slice(bytes);
    }
    eights
}
