//! What the link knows of the catalog since the start, or since the registration: what is due, what is on its way, and whom to leave alone.

use std::collections::{HashMap, HashSet};

use super::super::backoff::Backoff;
use super::super::client::Catalog;
use super::super::protocol::Pulse;
use super::super::registration::Registration;
use super::super::sync::Sync;

/// What is known of the catalog since the start, or since the registration.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) catalog: Catalog,
    pub(super) registration: Registration,
    /// Whether the outbox is that of this registration: nothing is emitted or sent before.
    pub(super) adopted: bool,
    /// When the next heartbeat is due, monotonic milliseconds.
    pub(super) beat_due: u64,
    pub(super) beating: bool,
    /// Whether the catalog answers at all.
    pub(super) link: Backoff,
    /// Whether it takes revisions.
    pub(super) pushes: Backoff,
    /// Hosts whose revisions fail.
    pub(super) lanes: HashMap<String, Lane>,
    /// Hosts with a revision or figures on the way.
    pub(super) busy: HashSet<String>,
    /// What it said last; nothing is pushed before it said something.
    pub(super) pulse: Option<Pulse>,
    pub(super) rotate: bool,
    /// It does not know us any more.
    pub(super) stopped: bool,
    pub(super) sync: Option<Sync>,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) backoff: Backoff,
    pub(super) why: String,
}

impl Session {
    pub(super) fn new(registration: Registration, catalog: Catalog) -> Session {
        Session {
            catalog,
            registration,
            adopted: false,
            beat_due: 0,
            beating: false,
            link: Backoff::default(),
            pushes: Backoff::default(),
            lanes: HashMap::new(),
            busy: HashSet::new(),
            pulse: None,
            rotate: false,
            stopped: false,
            sync: None,
        }
    }

    /// Whether revisions may go out at all.
    pub(super) fn may_push(&self) -> bool {
        if !self.adopted {
            return false;
        }
        let auto = self.pulse.as_ref().is_some_and(|pulse| pulse.auto_sync);
        auto || self.sync.as_ref().is_some_and(Sync::is_running)
    }

    /// Whether one call has to go alone: who does not answer is tried by one, and no credential must be used while
    /// another one takes its place.
    pub(super) fn is_alone(&self) -> bool {
        self.link.failures() > 0
            || self.pulse.is_none()
            || self.rotate
            || self.registration.next_credential.is_some()
    }

    pub(super) fn may(&self, host: &str, now: u64) -> bool {
        !self.busy.contains(host)
            && self
                .lanes
                .get(host)
                .is_none_or(|lane| lane.backoff.may(now))
    }

    /// What a call needs.
    pub(super) fn caller(&self) -> (Catalog, String) {
        (self.catalog.clone(), self.registration.bearer().to_owned())
    }
}
