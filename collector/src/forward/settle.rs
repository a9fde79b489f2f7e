//! When a document that has changed becomes a revision.
//!
//! In: the contract of a host's document each time it is looked at, and the time. Out: whether it is a revision now. While a host is
//! being learnt its document changes with every call; a revision for each would help nobody. So a change waits until the
//! contract has stayed as it is for a while, or until changes have gone on for so long that somebody should see them.

use std::time::Duration;

/// How long changes wait.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Without a further change.
    pub settle: Duration,
    /// However much changes.
    pub limit: Duration,
}

/// A change that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    contract: [u8; 32],
    /// When the contract became this one.
    since: u64,
    /// When it first was another than the last revision's.
    first: u64,
}

/// What waits of one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settling(Option<Change>);

impl Settling {
    /// Looks at a document: whether it is a revision now. `last` is the contract of the host's newest revision, `now` monotonic
    /// milliseconds.
    pub fn look(
        &mut self,
        contract: [u8; 32],
        last: Option<[u8; 32]>,
        now: u64,
        pace: Pace,
    ) -> bool {
        if last == Some(contract) {
            self.0 = None;
            return false;
        }
        let change = match self.0 {
            Some(change) if change.contract == contract => change,
            Some(change) => Change {
                contract,
                since: now,
                ..change
            },
            None => Change {
                contract,
                since: now,
                first: now,
            },
        };
        let settled =
            now >= change.since + millis(pace.settle) || now >= change.first + millis(pace.limit);
        self.0 = (!settled).then_some(change);
        settled
    }

    /// When to look again though no call comes; `None` when nothing waits.
    pub fn due(&self, pace: Pace) -> Option<u64> {
        let change = self.0?;
        Some((change.since + millis(pace.settle)).min(change.first + millis(pace.limit)))
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis().try_into().unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        settle: Duration::from_millis(60),
        limit: Duration::from_millis(300),
    };

    /// Looks at `(time, contract)` one after another; the times at which a revision was made.
    fn revisions(looks: &[(u64, u8)], pace: Pace) -> Vec<u64> {
        let (mut settling, mut last, mut made) = (Settling::default(), None, Vec::new());
        for (now, contract) in looks {
            if settling.look([*contract; 32], last, *now, pace) {
                last = Some([*contract; 32]);
                made.push(*now);
                assert_eq!(settling.due(pace), None);
            }
        }
        made
    }

    #[test]
    fn a_change_waits_until_it_has_settled() {
        assert_eq!(revisions(&[(0, 1), (59, 1), (60, 1), (61, 1)], PACE), [60]);
        let changing = [(0, 1), (50, 2), (100, 3), (150, 3), (160, 3)];
        assert_eq!(revisions(&changing, PACE), [160]);
    }

    #[test]
    fn changes_without_end_are_shown_at_the_limit() {
        let looks: Vec<_> = (0..70).map(|n| (n * 10, n as u8)).collect();
        assert_eq!(revisions(&looks, PACE), [300, 610]);
    }

    #[test]
    fn what_is_as_it_was_is_no_change() {
        let looks = [(0, 1), (60, 1), (70, 2), (80, 1), (140, 1), (200, 1)];
        assert_eq!(revisions(&looks, PACE), [60]);
    }

    #[test]
    fn without_a_wait_every_change_is_one() {
        let pace = Pace {
            settle: Duration::ZERO,
            ..PACE
        };
        assert_eq!(
            revisions(&[(0, 1), (1, 1), (2, 2), (3, 1)], pace),
            [0, 2, 3]
        );
    }

    #[test]
    fn it_says_when_to_look_again() {
        let mut settling = Settling::default();
        assert_eq!(settling.due(PACE), None);
        settling.look([1; 32], None, 10, PACE);
        assert_eq!(settling.due(PACE), Some(70));
        settling.look([2; 32], None, 300, PACE);
        assert_eq!(settling.due(PACE), Some(310));
    }
}
