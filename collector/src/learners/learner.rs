//! One learner thread: folds exchanges into the models of its hosts, and gives those that changed to a checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

use bytes::Bytes;
use silhouette_reconstruct::{HostName, Outcome};

use super::LiveTotals;
use super::checkpoint::Saved;
use crate::envelope::Rejected;
use crate::hosts::{Host, Hosts};
use crate::ingest::{self, Context};
use crate::metrics::{Metrics, Reason};
use crate::store::Totals;

/// What a learner is dealt.
pub(super) enum Work {
    Learn(Portion),
    /// Everything dealt before belongs to the checkpoint, nothing after does.
    Mark {
        /// Whether what was given to the mark before is on disk.
        last_was_saved: bool,
        models: SyncSender<Saved>,
    },
}

/// The exchanges of one batch that are this learner's.
pub(super) struct Portion {
    pub(super) shim: Arc<str>,
    pub(super) received: u64,
    pub(super) exchanges: Vec<Routed>,
}

/// An exchange and where it belongs.
#[derive(Clone)]
pub(super) struct Routed {
    pub(super) host: HostName,
    pub(super) scheme: &'static str,
    pub(super) exchange: Bytes,
}

/// A host whose saved state is not its state.
enum Change {
    Learnt(Arc<Host>),
    Gone,
}

pub(super) struct Learner {
    number: usize,
    hosts: Arc<Hosts>,
    metrics: Arc<Metrics>,
    live: Arc<LiveTotals>,
    max_body: usize,
    /// Since the last mark.
    changed: HashMap<HostName, Change>,
    /// Given to a mark of which it is not known whether it was saved.
    unsaved: HashMap<HostName, Change>,
    /// Since the start.
    totals: Totals,
}

/// What became of the exchanges of one portion.
#[derive(Default)]
struct Tally {
    learnt: u64,
    left_out: BTreeMap<&'static str, u64>,
    rejected: BTreeMap<&'static str, u64>,
    undecoded: BTreeMap<&'static str, u64>,
}

impl Learner {
    pub(super) fn new(
        number: usize,
        hosts: Arc<Hosts>,
        metrics: Arc<Metrics>,
        live: Arc<LiveTotals>,
        max_body: usize,
    ) -> Learner {
        Learner {
            number,
            hosts,
            metrics,
            live,
            max_body,
            changed: HashMap::new(),
            unsaved: HashMap::new(),
            totals: Totals::default(),
        }
    }

    /// Works until the dispatcher is gone.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        while let Ok(work) = work.recv() {
            match work {
                Work::Learn(portion) => self.learn(portion),
                Work::Mark {
                    last_was_saved,
                    models,
                } => self.mark(last_was_saved, &models),
            }
        }
    }

    fn learn(&mut self, portion: Portion) {
        let mut tally = Tally::default();
        let mut current: Option<Arc<Host>> = None;
        for routed in &portion.exchanges {
            match self.one(routed, &portion, &mut current, &mut tally) {
                Ok(Outcome::Learnt) => tally.learnt += 1,
                Ok(Outcome::LeftOut(noise)) => {
                    *tally.left_out.entry(noise.as_str()).or_default() += 1;
                }
                Err(rejected) => *tally.rejected.entry(rejected.reason()).or_default() += 1,
            }
        }
        self.count(&tally);
    }

    fn one(
        &mut self,
        routed: &Routed,
        portion: &Portion,
        current: &mut Option<Arc<Host>>,
        tally: &mut Tally,
    ) -> Result<Outcome, Rejected> {
        let host = match current {
            Some(host) if host.name == routed.host => host,
            _ => current.insert(self.host(&routed.host)?),
        };
        let context = Context {
            shim: &portion.shim,
            scheme: routed.scheme,
            received: portion.received,
            max_body: self.max_body,
        };
        // Traffic is hostile, and a bug in learning must cost the exchange that found it, not the service.
        let learnt = catch_unwind(AssertUnwindSafe(|| {
            ingest::observe(
                &routed.exchange,
                context,
                |reason| *tally.undecoded.entry(reason).or_default() += 1,
                |observation, consumer| {
                    let outcome = host.observe(&self.hosts, observation);
                    if outcome == Ok(Outcome::Learnt) {
                        host.count_caller(observation, consumer);
                    }
                    outcome
                },
            )
        }));
        match learnt {
            Ok(outcome) => outcome?,
            Err(_) => {
                tracing::error!(host = %routed.host, "learning an exchange failed inside the collector; it is left out");
                Err(Rejected::Panicked)
            }
        }
    }

    /// The host, noted as changed.
    fn host(&mut self, name: &HostName) -> Result<Arc<Host>, Rejected> {
        let mut gone = Vec::new();
        let host = self.hosts.get_or_create(name, self.number, &mut gone);
        self.metrics.hosts_evicted.inc_by(gone.len() as u64);
        for name in gone {
            self.changed.insert(name, Change::Gone);
        }
        let host = host?;
        self.changed
            .insert(name.clone(), Change::Learnt(host.clone()));
        Ok(host)
    }

    fn count(&mut self, tally: &Tally) {
        self.metrics.learnt.inc_by(tally.learnt);
        for (counts, family) in [
            (&tally.left_out, &self.metrics.left_out),
            (&tally.rejected, &self.metrics.rejected),
            (&tally.undecoded, &self.metrics.undecoded),
        ] {
            for (reason, count) in counts {
                let reason = (*reason).to_owned();
                family.get_or_create(&Reason { reason }).inc_by(*count);
            }
        }
        let owned = |counts: &BTreeMap<&'static str, u64>| {
            counts
                .iter()
                .map(|(reason, count)| ((*reason).to_owned(), *count))
                .collect()
        };
        let more = Totals {
            accepted: 0,
            learnt: tally.learnt,
            left_out: owned(&tally.left_out),
            rejected: owned(&tally.rejected),
        };
        self.metrics.done.fetch_add(more.done(), Relaxed);
        self.totals.add(&more);
        self.live.add(&more);
    }

    /// Gives every changed model to the checkpoint. They are kept as unsaved until the next mark says they are not.
    fn mark(&mut self, last_was_saved: bool, models: &SyncSender<Saved>) {
        if last_was_saved {
            self.unsaved.clear();
        }
        self.unsaved.extend(self.changed.drain());
        for (name, change) in &self.unsaved {
            let bytes = match change {
                Change::Learnt(host) => Some(host.to_bytes(&self.hosts)),
                Change::Gone => None,
            };
            let saved = Saved::Model(name.to_string(), bytes);
            if models.send(saved).is_err() {
                return; // the checkpoint has failed; the next one takes them
            }
        }
        let _ = models.send(Saved::Done(self.totals.clone()));
    }
}
