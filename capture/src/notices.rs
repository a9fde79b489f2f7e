//! When an operator is told something: each kind of line at most once a minute, and the end of a failure once.
//!
//! In: what happened and the monotonic time. Out: whether it is its turn. It writes nothing: the shim has the log.

const QUIET: u64 = 60_000_000_000;

/// Kinds of lines; each has its own minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A call to the collector did not succeed.
    Call,
    /// The collector will never take a batch.
    Batch,
    /// Exchanges were lost because the queue was full.
    Queue,
}

const KINDS: usize = 3;

/// When each kind was last told.
#[derive(Debug, Default)]
pub struct Notices {
    last: [Option<u64>; KINDS],
    /// The collector did not answer the last call.
    away: bool,
}

impl Notices {
    /// It happened: whether to tell it now.
    pub fn is_due(&mut self, notice: Notice, now: u64) -> bool {
        if notice == Notice::Call {
            self.away = true;
        }
        let Some(last) = self.last.get_mut(notice as usize) else {
            return false;
        };
        if last.is_some_and(|last| now.saturating_sub(last) < QUIET) {
            return false;
        }
        *last = Some(now);
        true
    }

    /// The collector takes batches: whether to tell it, since it did not before.
    pub fn is_well_again(&mut self) -> bool {
        let again = std::mem::take(&mut self.away);
        if again {
            self.last = Default::default();
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_minute() {
        let mut notices = Notices::default();
        assert!(notices.is_due(Notice::Call, 0));
        assert!(!notices.is_due(Notice::Call, QUIET - 1));
        assert!(notices.is_due(Notice::Queue, QUIET - 1));
        assert!(notices.is_due(Notice::Call, QUIET));
    }

    #[test]
    fn the_end_of_a_failure_is_told_once_and_the_next_failure_at_once() {
        let mut notices = Notices::default();
        assert!(!notices.is_well_again());
        notices.is_due(Notice::Call, 0);
        assert!(notices.is_well_again());
        assert!(!notices.is_well_again());
        assert!(notices.is_due(Notice::Call, 1));
    }
}
