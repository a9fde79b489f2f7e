//! What the emitter, the link and those who look have in common: how forwarding stands.
//!
//! In: what happens. Out: what people, Prometheus and the catalog are told, and orders from the link to the emitter. Of what goes wrong
//! the last of each kind is kept, until it goes well; it is logged at most once a minute.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use super::mailbox::Mailbox;
use super::outbox::Outbox;
use super::protocol::{HostCounts, SyncReport};
use crate::metrics::{Metrics, Reason};

/// Between two log lines of the same kind, milliseconds.
const QUIET: u64 = 60_000;

/// How the collector and the catalog get on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no registration.
    #[default]
    NotRegistered,
    /// There is one, and no answer yet.
    Connecting,
    /// The catalog answers.
    Connected,
    /// It does not; tried again by itself.
    Away,
    /// It does not know the credential any more: register again.
    Refused,
}

/// What can go wrong by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The registration in the data directory.
    Registration,
    /// Reaching the catalog.
    Link,
    /// The outbox on disk.
    Outbox,
    /// Putting a revision into it.
    Keeping,
    /// Making a document.
    Emission,
    /// Sending revisions.
    Push,
    /// A revision the catalog will never take.
    Refusal,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// In words.
    pub what: String,
    /// Of which host.
    pub host: Option<String>,
    /// Unix milliseconds.
    pub since: u64,
    /// Unix milliseconds.
    pub last: u64,
    /// How often in a row.
    pub times: u64,
}

/// Where the collector is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registered {
    /// The catalog's address.
    pub catalog: String,
    /// What it calls this collector.
    pub collector_id: String,
    /// The source it feeds.
    pub source_name: String,
    /// Unix milliseconds.
    pub at: u64,
}

/// What is seen from outside.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Visible {
    /// How they get on.
    pub state: State,
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// With whom.
    pub registration: Option<Registered>,
    /// When the catalog last answered a heartbeat, Unix milliseconds.
    pub heartbeat: Option<u64>,
    /// Whether revisions are pushed as they come.
    pub auto_sync: Option<bool>,
    /// The collector's clock less the catalog's, milliseconds.
    pub clock_skew: Option<i64>,
    /// The synchronisation that runs or ended last.
    pub sync: Option<SyncReport>,
    #[serde(skip)]
    troubles: BTreeMap<Part, Trouble>,
}

/// What the link wants of the emitter.
#[derive(Debug, Default)]
struct Orders {
    /// How often everything was asked for.
    everything: u64,
    /// And how often it was done.
    done: u64,
    /// Hosts that could not be kept when it was done last, and why.
    unkept: Vec<(String, String)>,
    /// Hosts to look at again.
    again: HashSet<String>,
    ended: bool,
}

/// How forwarding stands.
#[derive(Debug)]
pub struct Standing {
    /// What waits.
    pub outbox: Outbox,
    /// What was called, for the catalog.
    pub mailbox: Mailbox,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    visible: Mutex<Visible>,
    logged: Mutex<HashMap<Part, u64>>,
    registered: AtomicBool,
    document_bytes: AtomicU64,
    hosts: Mutex<HostCounts>,
    orders: Mutex<Orders>,
    ordered: Condvar,
    news: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    /// Nothing has happened yet.
    pub fn new(outbox: Outbox, metrics: Arc<Metrics>) -> Standing {
        Standing {
            outbox,
            mailbox: Mailbox::default(),
            metrics,
            visible: Mutex::default(),
            logged: Mutex::default(),
            registered: AtomicBool::new(false),
            document_bytes: AtomicU64::new(u64::MAX),
            hosts: Mutex::default(),
            orders: Mutex::default(),
            ordered: Condvar::new(),
            news: Notify::new(),
        }
    }

    /// What is seen from outside.
    pub fn visible(&self) -> Visible {
        lock(&self.visible).clone()
    }

    /// Changes what is seen.
    pub(super) fn show(&self, change: impl FnOnce(&mut Visible)) {
        change(&mut lock(&self.visible));
    }

    /// Notes how they get on, `now` in Unix milliseconds; whether that is new.
    pub(super) fn set_state(&self, state: State, now: u64) -> bool {
        let mut visible = lock(&self.visible);
        let is_new = visible.state != state;
        if is_new {
            (visible.state, visible.since) = (state, now);
        }
        is_new
    }

    /// Something goes wrong. `host` when it is one host's.
    pub(super) fn trouble(&self, part: Part, host: Option<&str>, what: &str, now: u64) {
        let mut visible = lock(&self.visible);
        let trouble = visible.troubles.entry(part).or_insert_with(|| Trouble {
            what: String::new(),
            host: None,
            since: now,
            last: now,
            times: 0,
        });
        trouble.what = what.to_owned();
        trouble.host = host.map(str::to_owned);
        trouble.last = now;
        trouble.times += 1;
        drop(visible);
        let mut logged = lock(&self.logged);
        let quiet = logged
            .get(&part)
            .is_some_and(|last| now.saturating_sub(*last) < QUIET && *last <= now);
        if !quiet {
            logged.insert(part, now);
            tracing::warn!(host, "forwarding: {what}");
        }
    }

    /// It goes well again; of `host` alone when it is given.
    pub(super) fn well(&self, part: Part, host: Option<&str>) {
        let mut visible = lock(&self.visible);
        let is_its = visible
            .troubles
            .get(&part)
            .is_some_and(|trouble| host.is_none() || trouble.host.as_deref() == host);
        if is_its {
            visible.troubles.remove(&part);
        }
    }

    /// Counts a call or a revision that failed.
    pub(super) fn failed(&self, reason: &'static str) {
        let reason = Reason {
            reason: reason.to_owned(),
        };
        self.metrics.forward_failures.get_or_create(&reason).inc();
    }

    /// Whether there is a registration: nothing is emitted without.
    pub fn is_registered(&self) -> bool {
        self.registered.load(Relaxed)
    }

    pub(super) fn set_registered(&self, registered: bool) {
        self.registered.store(registered, Relaxed);
        self.ordered.notify_all();
    }

    /// Bytes of the largest document the catalog takes.
    pub(super) fn document_bytes(&self) -> u64 {
        self.document_bytes.load(Relaxed)
    }

    pub(super) fn set_document_bytes(&self, bytes: u64) {
        self.document_bytes.store(bytes.max(1), Relaxed);
    }

    /// Hosts that may be forwarded, and those of them that have too few operations.
    pub fn hosts(&self) -> HostCounts {
        *lock(&self.hosts)
    }

    pub(super) fn set_hosts(&self, hosts: HostCounts) {
        *lock(&self.hosts) = hosts;
    }

    /// Asks for every host's document, now. The number of the order.
    pub(super) fn want_everything(&self) -> u64 {
        let mut orders = lock(&self.orders);
        orders.everything += 1;
        self.ordered.notify_all();
        orders.everything
    }

    /// Once an order is done: the hosts that could not be kept, and why.
    pub(super) fn outcome(&self, order: u64) -> Option<Vec<(String, String)>> {
        let orders = lock(&self.orders);
        (orders.done >= order).then(|| orders.unkept.clone())
    }

    /// Asks for one host's document.
    pub(super) fn want(&self, host: &str) {
        lock(&self.orders).again.insert(host.to_owned());
        self.ordered.notify_all();
    }

    /// For the emitter: the order for everything that is not done, and hosts that are wanted.
    pub(super) fn orders(&self) -> (Option<u64>, HashSet<String>) {
        let mut orders = lock(&self.orders);
        let everything = (orders.everything > orders.done).then_some(orders.everything);
        (everything, std::mem::take(&mut orders.again))
    }

    /// The emitter has done an order; these hosts could not be kept.
    pub(super) fn done(&self, order: u64, unkept: Vec<(String, String)>) {
        let mut orders = lock(&self.orders);
        (orders.done, orders.unkept) = (order, unkept);
        drop(orders);
        self.tell();
    }

    /// The emitter waits for so long, or until something is wanted; whether it goes on at all.
    pub(super) fn rest(&self, span: Duration) -> bool {
        let orders = lock(&self.orders);
        let idle = |orders: &mut Orders| {
            !orders.ended && orders.everything <= orders.done && orders.again.is_empty()
        };
        let (orders, _) = self
            .ordered
            .wait_timeout_while(orders, span, idle)
            .unwrap_or_else(PoisonError::into_inner);
        !orders.ended
    }

    /// Whether the emitter is to end.
    pub(super) fn is_ended(&self) -> bool {
        lock(&self.orders).ended
    }

    /// Tells the emitter to end.
    pub(super) fn end(&self) {
        lock(&self.orders).ended = true;
        self.ordered.notify_all();
    }

    /// There is something for the link to do.
    pub(super) fn tell(&self) {
        self.news.notify_one();
    }

    /// Waits for that.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

impl Visible {
    /// What goes wrong, the latest first.
    pub fn troubles(&self) -> Vec<&Trouble> {
        let mut all: Vec<_> = self.troubles.values().collect();
        all.sort_by_key(|trouble| std::cmp::Reverse(trouble.last));
        all
    }

    /// What goes wrong with a part, in words.
    pub(super) fn trouble(&self, part: Part) -> Option<&str> {
        self.troubles
            .get(&part)
            .map(|trouble| trouble.what.as_str())
    }

    /// The latest of what goes wrong, in words.
    pub fn last_error(&self) -> Option<String> {
        let trouble = *self.troubles().first()?;
        Some(match &trouble.host {
            Some(host) => format!("{host}: {}", trouble.what),
            None => trouble.what.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_is_shown_until_it_goes_well() {
        let dir = tempfile::tempdir().unwrap();
        let standing = Standing::new(Outbox::new(dir.path(), 1), Arc::default());
        assert_eq!(standing.visible().last_error(), None);
        standing.trouble(Part::Link, None, "away", 10);
        standing.trouble(Part::Refusal, Some("a"), "no document", 20);
        standing.trouble(Part::Link, None, "still away", 30);
        let visible = standing.visible();
        let link = visible.troubles()[0];
        assert_eq!((link.since, link.last, link.times), (10, 30, 2));
        assert_eq!(visible.last_error().as_deref(), Some("still away"));
        standing.well(Part::Link, None);
        standing.well(Part::Refusal, Some("b"));
        let last = standing.visible().last_error();
        assert_eq!(last.as_deref(), Some("a: no document"));
        standing.well(Part::Refusal, Some("a"));
        assert_eq!(standing.visible().last_error(), None);
        assert!(standing.set_state(State::Away, 5) && !standing.set_state(State::Away, 6));
        assert_eq!(standing.visible().since, 5);
    }

    #[test]
    fn orders_are_taken_and_done() {
        let dir = tempfile::tempdir().unwrap();
        let standing = Standing::new(Outbox::new(dir.path(), 1), Arc::default());
        assert_eq!(standing.orders(), (None, HashSet::new()));
        let order = standing.want_everything();
        standing.want("a");
        assert!(standing.rest(Duration::from_secs(600)), "does not wait");
        assert_eq!(
            standing.orders(),
            (Some(order), HashSet::from(["a".to_owned()]))
        );
        assert_eq!(standing.outcome(order), None);
        assert_eq!(standing.orders(), (Some(order), HashSet::new()));
        let unkept = vec![("a".to_owned(), "no room".to_owned())];
        standing.done(order, unkept.clone());
        assert_eq!(standing.outcome(order), Some(unkept));
        assert!(standing.orders().0.is_none());
        standing.end();
        assert!(!standing.rest(Duration::from_secs(600)));
    }
}
