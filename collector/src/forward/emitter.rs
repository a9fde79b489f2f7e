//! The emitter: makes documents of hosts that have changed, and revisions of those that have settled.
//!
//! In: the models, settings, orders of the link. Out: revisions in the outbox and figures in the mailbox. Making a document is work, so
//! it has a thread of its own, makes one at a time, and rests four times as long as that took; only when
//! somebody waits for a synchronisation it does not. It never talks to anybody, and does nothing while there is no registration.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use silhouette_reconstruct::{Document, HostName, OpenApi};

use super::contract::contract;
use super::outbox::{OutboxError, Put, Refused};
use super::protocol::{Caller, HostCounts, Seen, SeenOperation, timestamp};
use super::settle::{Pace, Settling};
use super::standing::{Part, Standing};
use crate::callers::Callers;
use crate::emission::Emission;
use crate::hosts::{Host, Hosts};
use crate::rules::RuleFile;

/// Between two looks at what has changed.
const TICK: Duration = Duration::from_millis(250);
/// A host is looked at no more often, however short the time to settle is, milliseconds.
const SOONEST: u64 = 1_000;
/// And at least so often though nobody calls it: operations leave by age, milliseconds.
const LATEST: u64 = 3_600_000;
/// How long a start waits for the journal to be learnt: until then documents are older than they were, milliseconds.
const REPLAY: u64 = 60_000;

/// Hosts of a synchronisation that are remembered when they could not be kept.
const MOST_UNKEPT: usize = 1_000;

/// What the emitter works with.
#[derive(Debug)]
pub(super) struct Emitter {
    /// The models.
    pub(super) hosts: Arc<Hosts>,
    /// How documents are made.
    pub(super) emission: Arc<Emission>,
    /// Where they go.
    pub(super) standing: Arc<Standing>,
    /// When changes become revisions.
    pub(super) pace: Pace,
    /// Between two reports of what a host was called, unless there is a revision.
    pub(super) seen_interval: Duration,
}

/// What is known of a host since the last look.
#[derive(Debug)]
struct Look {
    version: u64,
    at: u64,
    sufficient: bool,
    settling: Settling,
    /// Figures of which version were made, and when.
    seen: Option<(u64, u64)>,
}

/// The emitter at work.
struct Work {
    emitter: Emitter,
    looks: HashMap<HostName, Look>,
    /// Hosts whose revision could not be put into the outbox.
    unkept: HashSet<HostName>,
    rules: Arc<RuleFile>,
    started: Instant,
}

impl Emitter {
    /// Works until it is told to end.
    pub(super) fn run(self) {
        let rules = self.emission.rules.current();
        let mut work = Work {
            emitter: self,
            looks: HashMap::new(),
            unkept: HashSet::new(),
            rules,
            started: Instant::now(),
        };
        while work.emitter.standing.rest(TICK) {
            if work.emitter.standing.is_registered() && work.has_replayed() {
                work.pass();
            }
        }
    }
}

impl Work {
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn has_replayed(&self) -> bool {
        let metrics = &self.emitter.standing.metrics;
        let learnt = self.now() > REPLAY || metrics.pending() == 0 || !self.looks.is_empty();
        // A document of half of what is known would take operations back.
        learnt && !metrics.replaying.load(Relaxed)
    }

    /// Looks at every host that is due.
    fn pass(&mut self) {
        let standing = self.emitter.standing.clone();
        let (order, wanted) = standing.orders();
        let rules = self.emitter.emission.rules.current();
        let other_rules = !Arc::ptr_eq(&rules, &self.rules);
        self.rules = rules;
        let hosts: Vec<Arc<Host>> = self
            .emitter
            .hosts
            .list()
            .into_iter()
            .filter(|host| !self.emitter.emission.leaves_out(&host.name))
            .collect();
        let known: HashSet<&HostName> = hosts.iter().map(|host| &host.name).collect();
        self.looks.retain(|name, _| known.contains(name));
        self.all_kept_but(|unkept| unkept.retain(|name| known.contains(name)));
        self.count(hosts.len());
        let now = self.now();
        let mut due: Vec<_> = hosts
            .iter()
            .filter(|host| {
                order.is_some()
                    || other_rules
                    || wanted.contains(host.name.as_str())
                    || self.is_due(host, now)
            })
            .map(|host| (self.looks.get(&host.name).map_or(0, |look| look.at), host))
            .collect();
        // Whoever was looked at longest ago comes first.
        due.sort_by_key(|(at, _)| *at);
        let mut failed = Vec::new();
        for (_, host) in due {
            let begun = Instant::now();
            if let Err(why) = self.look(host, order.is_some())
                && failed.len() < MOST_UNKEPT
            {
                failed.push((host.name.as_str().to_owned(), why));
            }
            if standing.is_ended() || !standing.is_registered() {
                return;
            }
            if order.is_none() {
                // Cut short by an order, which the next pass follows.
                let rest = begun.elapsed() * 4;
                if rest >= Duration::from_millis(1) && !standing.rest(rest) {
                    return;
                }
            }
        }
        self.count(hosts.len());
        if let Some(order) = order {
            standing.done(order, failed);
        }
    }

    fn count(&self, known: usize) {
        let waiting = self.looks.values().filter(|look| !look.sufficient).count();
        self.emitter.standing.set_hosts(HostCounts {
            known: known as u64,
            waiting: waiting as u64,
        });
    }

    fn is_due(&self, host: &Host, now: u64) -> bool {
        let Some(look) = self.looks.get(&host.name) else {
            return true;
        };
        let pace = self.emitter.pace;
        let settle = u64::try_from(pace.settle.as_millis()).unwrap_or(u64::MAX);
        (host.version() != look.version && now >= look.at + settle.max(SOONEST))
            || look.settling.due(pace).is_some_and(|at| now >= at)
            || now >= look.at + LATEST
    }

    /// Whose revisions could not be kept changes; once there is none, all is well again.
    fn all_kept_but(&mut self, change: impl FnOnce(&mut HashSet<HostName>)) {
        if self.unkept.is_empty() {
            return;
        }
        change(&mut self.unkept);
        if self.unkept.is_empty() {
            self.emitter.standing.well(Part::Keeping, None);
        }
    }

    /// Looks at a host; why its document could not be made or kept.
    fn look(&mut self, host: &Host, asked: bool) -> Result<(), String> {
        let unix = crate::unix_millis();
        let standing = self.emitter.standing.clone();
        let version = host.version();
        let options = self
            .emitter
            .emission
            .options(&host.name, OpenApi::default(), unix);
        // A bug in one host's document must not keep the others from the catalog.
        let document = catch_unwind(AssertUnwindSafe(|| host.document(&options)));
        let now = self.now();
        let look = self.looks.entry(host.name.clone()).or_insert(Look {
            version,
            at: now,
            sufficient: false,
            settling: Settling::default(),
            seen: None,
        });
        (look.version, look.at) = (version, now);
        let name = host.name.as_str();
        let Ok(document) = document else {
            let what = "making its document failed inside the collector";
            standing.trouble(Part::Emission, Some(name), what, unix);
            return Err(what.to_owned());
        };
        standing.well(Part::Emission, Some(name));
        look.sufficient = document.is_sufficient();
        if !look.sufficient {
            look.settling = Settling::default();
            return Ok(());
        }
        let offered = offer(
            &standing,
            look,
            name,
            &document,
            self.emitter.pace,
            asked,
            (now, unix),
        );
        let is_new = match offered {
            Ok(is_new) => is_new,
            Err(error) => {
                let why = error.to_string();
                standing.trouble(Part::Keeping, Some(name), &why, unix);
                self.unkept.insert(host.name.clone());
                return Err(why);
            }
        };
        let interval = self.emitter.seen_interval.as_millis() as u64;
        let is_due = look
            .seen
            .is_none_or(|(of, at)| of != version && now >= at + interval);
        if is_new || asked || is_due {
            look.seen = Some((version, now));
            if let Some(figures) = gzip(&seen(&document, &host.callers(), unix)) {
                standing.mailbox.put(name, figures);
                standing.tell();
            }
        }
        self.all_kept_but(|unkept| {
            unkept.remove(&host.name);
        });
        Ok(())
    }
}

/// Makes a revision of a document if it is one now; whether it is.
fn offer(
    standing: &Standing,
    look: &mut Look,
    host: &str,
    document: &Document,
    pace: Pace,
    asked: bool,
    (now, unix): (u64, u64),
) -> Result<bool, OutboxError> {
    let contract = contract(document.as_value());
    let last = standing.outbox.contract(host)?;
    let before = look.settling;
    if !look.settling.look(contract, last, now, pace) && !asked {
        return Ok(false);
    }
    let text = document.as_value().to_string();
    let plain = text.len() as u64;
    let most = standing.document_bytes();
    let fits = plain <= most;
    let body = match fits {
        true => compressed(text.as_bytes()),
        false => Vec::new(),
    };
    let put = standing
        .outbox
        .put(host, contract, &body, plain, unix, asked)
        // What could not be kept is still to be kept.
        .inspect_err(|_| look.settling = before)?;
    look.settling = Settling::default();
    let Put::Kept(sequence) = put else {
        return Ok(false);
    };
    if !fits {
        let why = format!("its document has {plain} bytes, the catalog takes {most}");
        standing.trouble(Part::Refusal, Some(host), &why, unix);
        standing.failed("too_large");
        standing.outbox.refused(
            host,
            Refused {
                sequence,
                status: 0,
                why,
                at: unix,
            },
        )?;
    }
    standing.tell();
    Ok(true)
}

/// What was called, from a document, and by whom.
fn seen(document: &Document, callers: &Callers, now: u64) -> Seen {
    let operations = document.operations();
    let time = |millis: Option<u64>| millis.map(timestamp);
    Seen {
        at: timestamp(now),
        exchanges: operations.iter().map(|operation| operation.calls).sum(),
        first_seen: time(operations.iter().map(|o| o.first_seen).min()),
        last_seen: time(operations.iter().map(|o| o.last_seen).max()),
        operations: operations
            .iter()
            .map(|operation| SeenOperation {
                method: operation.method.clone(),
                path: operation.path.clone(),
                calls: operation.calls,
                first_seen: timestamp(operation.first_seen),
                last_seen: timestamp(operation.last_seen),
            })
            .collect(),
        callers: callers
            .list()
            .into_iter()
            .map(|caller| Caller {
                kind: caller.kind,
                name: caller.name,
                calls: caller.calls,
                last_seen: timestamp(caller.last_seen),
            })
            .collect(),
    }
}

fn gzip(seen: &Seen) -> Option<Bytes> {
    let text = serde_json::to_vec(seen).ok()?;
    Some(compressed(&text).into())
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::default());
    // Into memory: there is nothing that could fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
