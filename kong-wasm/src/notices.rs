//! Lines for the gateway's log, at most one of each kind a minute.
//!
//! In: what happened and the time. Out: the line, when its turn has come. Never anything of a request.

use crate::host::{self, Level};

const QUIET: u64 = 60_000_000_000;

/// Kinds of lines; each has its own minute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call to the collector did not succeed.
    Call,
    /// The collector will never take a batch.
    Batch,
    /// Exchanges were lost because the queue was full.
    Queue,
}

const KINDS: usize = 3;

/// When each kind was last written.
#[derive(Default)]
pub(crate) struct Notices {
    last: [Option<u64>; KINDS],
    /// The collector did not answer the last call.
    away: bool,
}

impl Notices {
    /// Warns, unless this kind did within the last minute.
    pub(crate) fn warn(&mut self, kind: Kind, now: u64, text: impl FnOnce() -> String) {
        if kind == Kind::Call {
            self.away = true;
        }
        let Some(last) = self.last.get_mut(kind as usize) else {
            return;
        };
        if last.is_some_and(|last| now.saturating_sub(last) < QUIET) {
            return;
        }
        *last = Some(now);
        host::log(Level::Warn, &format!("silhouette: {}", text()));
    }

    /// The collector answers: said once after it did not.
    pub(crate) fn well(&mut self, collector: &str) {
        if std::mem::take(&mut self.away) {
            self.last = Default::default();
            let text = format!("silhouette: the collector at {collector} takes batches again");
            host::log(Level::Info, &text);
        }
    }
}
