//! A synchronisation that the catalog asked for: every host emitted and everything that waits sent, then its outcome.
//!
//! In: what was refused or fails meanwhile. Out: the report for the next heartbeat. It does no work itself.

use super::protocol::{SyncReport, SyncState};

/// Hosts that a report names.
const NAMED: usize = 3;

/// A synchronisation.
#[derive(Debug)]
pub(super) struct Sync {
    id: String,
    /// The emitter's number for it.
    order: u64,
    state: SyncState,
    refused: Vec<(String, String)>,
    more: usize,
}

impl Sync {
    /// One begins.
    pub(super) fn new(id: String, order: u64) -> Sync {
        Sync {
            id,
            order,
            state: SyncState::Running,
            refused: Vec::new(),
            more: 0,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn order(&self) -> u64 {
        self.order
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == SyncState::Running
    }

    /// A host could not be sent.
    pub(super) fn refused(&mut self, host: &str, why: &str) {
        if !self.is_running() {
            return;
        }
        match self.refused.len() {
            0..NAMED => self.refused.push((host.to_owned(), why.to_owned())),
            _ => self.more += 1,
        }
    }

    /// Nothing more can be sent; these still fail.
    pub(super) fn end<'a>(&mut self, failing: impl Iterator<Item = (&'a str, &'a str)>) {
        for (host, why) in failing {
            self.refused(host, why);
        }
        self.state = match self.refused.is_empty() {
            true => SyncState::Completed,
            false => SyncState::Failed,
        };
    }

    /// How it stands.
    pub(super) fn report(&self) -> SyncReport {
        let named: Vec<String> = self
            .refused
            .iter()
            .map(|(host, why)| format!("{host}: {why}"))
            .collect();
        let mut error = named.join("; ");
        if self.more > 0 {
            error.push_str(&format!("; and {} more", self.more));
        }
        SyncReport {
            id: self.id.clone(),
            state: self.state,
            error: (self.state == SyncState::Failed).then_some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_well_or_names_what_failed() {
        let mut sync = Sync::new("7".into(), 1);
        assert_eq!(sync.report().state, SyncState::Running);
        sync.end([].into_iter());
        assert_eq!(
            (sync.report().state, sync.report().error),
            (SyncState::Completed, None)
        );

        let mut sync = Sync::new("8".into(), 2);
        sync.refused("a", "422");
        sync.end([("b", "500"), ("c", "500"), ("d", "500")].into_iter());
        sync.refused("late", "x");
        let report = sync.report();
        assert_eq!(report.state, SyncState::Failed);
        assert_eq!(
            report.error.as_deref(),
            Some("a: 422; b: 500; c: 500; and 1 more")
        );
    }
}
