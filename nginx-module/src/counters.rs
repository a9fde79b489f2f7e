//! Counters of all workers in one block of plain atomics, made to lie in shared memory.
//!
//! In: what workers and exporters count. Out: [`Totals`], summed over workers, dead ones included: a worker takes a
//! [`Slot`] when it starts and adds to what its predecessor left, so totals survive reloads and crashes. Gauges
//! (queue, state of the connection) start at zero with each worker and count only while it lives.
//!
//! Nothing here allocates, waits or knows nginx. All zeroes is a valid, empty table.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use silhouette_capture::{Counters, DropReason, Skip};

use crate::link::LinkState;

/// Worker slots in the table. nginx itself stops at 1,024 processes; workers without a slot share the last one.
pub(crate) const SLOTS: usize = 256;
/// Connection sets (collector, token, TLS …) one configuration may have.
pub(crate) const LINKS: usize = 8;

const DROPS: usize = DropReason::ALL.len();
const SKIPS: usize = Skip::ALL.len();

/// The block in shared memory.
#[repr(C)]
pub(crate) struct Table {
    /// Unix seconds of the last line each link wrote to the error log, over all workers: about failures …
    failures_logged: [AtomicU64; LINKS],
    /// … and about recoveries.
    recoveries_logged: [AtomicU64; LINKS],
    slots: [Slot; SLOTS],
}

/// One worker's counters.
#[repr(C)]
pub(crate) struct Slot {
    /// Process id of the owner; 0 is free.
    pid: AtomicU64,
    /// Which configuration the owner runs, so that link numbers of different configurations are not mixed.
    configuration: AtomicU64,
    captured: AtomicU64,
    sent: AtomicU64,
    acknowledged: AtomicU64,
    faults: AtomicU64,
    reconnects: AtomicU64,
    dropped: [AtomicU64; DROPS],
    skipped: [AtomicU64; SKIPS],
    links: [Gauges; LINKS],
}

#[repr(C)]
struct Gauges {
    state: AtomicU64,
    queued: AtomicU64,
    queue_bytes: AtomicU64,
}

/// What one link adds to the table: its totals so far and its gauges now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Totals of this link since its worker started.
    pub(crate) counters: Counters,
    /// Connections that were established.
    pub(crate) connects: u64,
    /// What the connection is doing.
    pub(crate) state: LinkState,
}

/// Sums over all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) captured: u64,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) faults: u64,
    pub(crate) connects: u64,
    pub(crate) dropped: [u64; DROPS],
    pub(crate) skipped: [u64; SKIPS],
    pub(crate) queued: u64,
    pub(crate) queue_bytes: u64,
    /// One per living worker.
    pub(crate) workers: Vec<WorkerGauges>,
}

/// One living worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerGauges {
    pub(crate) pid: u64,
    /// The worker runs the configuration that was asked for; an old one is finishing its last requests.
    pub(crate) current: bool,
    pub(crate) links: [LinkGauges; LINKS],
}

/// One connection of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkGauges {
    pub(crate) state: LinkState,
    pub(crate) queued: u64,
    pub(crate) queue_bytes: u64,
}

impl Table {
    /// Takes a slot for the process `pid`: a free one, else one whose owner is gone, else the last.
    pub(crate) fn claim(
        &self,
        pid: u64,
        configuration: u64,
        alive: impl Fn(u64) -> bool,
    ) -> Option<&Slot> {
        let take = |slot: &Slot, from: u64| {
            slot.pid
                .compare_exchange(from, pid, Relaxed, Relaxed)
                .is_ok()
        };
        let slot = self
            .slots
            .iter()
            .find(|slot| take(slot, 0))
            .or_else(|| {
                self.slots.iter().find(|slot| {
                    let owner = slot.pid.load(Relaxed);
                    !alive(owner) && take(slot, owner)
                })
            })
            .or(self.slots.last())?;
        slot.configuration.store(configuration, Relaxed);
        slot.clear_gauges();
        Some(slot)
    }

    /// True when no worker wrote a line about a failure of `link` within the last `interval` seconds; then this one may.
    pub(crate) fn may_log_failure(&self, link: usize, now: u64, interval: u64) -> bool {
        may_log(self.failures_logged.get(link), now, interval)
    }

    /// The same for recoveries.
    pub(crate) fn may_log_recovery(&self, link: usize, now: u64, interval: u64) -> bool {
        may_log(self.recoveries_logged.get(link), now, interval)
    }

    /// Sums all slots. Gauges of workers that are gone are left out.
    pub(crate) fn totals(&self, configuration: u64, alive: impl Fn(u64) -> bool) -> Totals {
        let mut totals = Totals::default();
        for slot in &self.slots {
            totals.captured += slot.captured.load(Relaxed);
            totals.sent += slot.sent.load(Relaxed);
            totals.acknowledged += slot.acknowledged.load(Relaxed);
            totals.faults += slot.faults.load(Relaxed);
            totals.connects += slot.reconnects.load(Relaxed);
            for (sum, count) in totals.dropped.iter_mut().zip(&slot.dropped) {
                *sum += count.load(Relaxed);
            }
            for (sum, count) in totals.skipped.iter_mut().zip(&slot.skipped) {
                *sum += count.load(Relaxed);
            }
            let pid = slot.pid.load(Relaxed);
            if pid == 0 || !alive(pid) {
                continue;
            }
            let mut worker = WorkerGauges {
                pid,
                current: slot.configuration.load(Relaxed) == configuration,
                ..WorkerGauges::default()
            };
            for (link, gauges) in worker.links.iter_mut().zip(&slot.links) {
                link.state = LinkState::from_number(gauges.state.load(Relaxed));
                link.queued = gauges.queued.load(Relaxed);
                link.queue_bytes = gauges.queue_bytes.load(Relaxed);
                totals.queued += link.queued;
                totals.queue_bytes += link.queue_bytes;
            }
            totals.workers.push(worker);
        }
        totals
    }
}

fn may_log(last_logged: Option<&AtomicU64>, now: u64, interval: u64) -> bool {
    let Some(cell) = last_logged else { return true };
    let last = cell.load(Relaxed);
    (last == 0 || now.saturating_sub(last) >= interval || now < last)
        && cell
            .compare_exchange(last, now.max(1), Relaxed, Relaxed)
            .is_ok()
}

impl Slot {
    /// Adds what happened on `link` between two readings, and shows its gauges.
    pub(crate) fn publish(&self, link: usize, last: &Reading, now: &Reading) {
        let add = |cell: &AtomicU64, before: u64, after: u64| {
            if after != before {
                cell.fetch_add(after.wrapping_sub(before), Relaxed);
            }
        };
        add(
            &self.captured,
            last.counters.captured,
            now.counters.captured,
        );
        add(&self.sent, last.counters.sent, now.counters.sent);
        add(
            &self.acknowledged,
            last.counters.acknowledged,
            now.counters.acknowledged,
        );
        add(&self.reconnects, last.connects, now.connects);
        for (cell, (before, after)) in self
            .dropped
            .iter()
            .zip(last.counters.dropped.iter().zip(&now.counters.dropped))
        {
            add(cell, *before, *after);
        }
        for (cell, (before, after)) in self
            .skipped
            .iter()
            .zip(last.counters.skipped.iter().zip(&now.counters.skipped))
        {
            add(cell, *before, *after);
        }
        if let Some(gauges) = self.links.get(link) {
            gauges.state.store(now.state.number(), Relaxed);
            gauges.queued.store(now.counters.queued, Relaxed);
            gauges.queue_bytes.store(now.counters.queue_bytes, Relaxed);
        }
    }

    /// A callback of the module panicked.
    pub(crate) fn count_fault(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    /// The owner is done: what it counted stays, its gauges go.
    pub(crate) fn release(&self) {
        self.clear_gauges();
        self.pid.store(0, Relaxed);
    }

    fn clear_gauges(&self) {
        for gauges in &self.links {
            gauges.state.store(0, Relaxed);
            gauges.queued.store(0, Relaxed);
            gauges.queue_bytes.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Box<Table> {
        let bytes = vec![0u64; size_of::<Table>() / 8].into_boxed_slice();
        assert_eq!(size_of_val(&*bytes), size_of::<Table>());
        // SAFETY: `Table` consists of `AtomicU64` only, which has the size and alignment of `u64` and no invalid value.
        unsafe { Box::from_raw(Box::into_raw(bytes).cast::<Table>()) }
    }

    fn reading(captured: u64, acknowledged: u64, queued: u64) -> Reading {
        let mut counters = Counters {
            captured,
            sent: captured,
            acknowledged,
            queued,
            ..Counters::default()
        };
        counters.queue_bytes = queued * 100;
        Reading {
            counters,
            connects: 1,
            state: LinkState::Connected,
        }
    }

    #[test]
    fn totals_survive_their_worker_and_gauges_do_not() {
        let table = empty();
        let slot = table.claim(10, 1, |_| true).unwrap();
        slot.publish(0, &Reading::default(), &reading(5, 3, 2));
        slot.publish(0, &reading(5, 3, 2), &reading(7, 3, 4));
        let totals = table.totals(1, |_| true);
        assert_eq!(
            (
                totals.captured,
                totals.acknowledged,
                totals.queued,
                totals.queue_bytes
            ),
            (7, 3, 4, 400)
        );
        assert_eq!(totals.workers.len(), 1);
        assert!(totals.workers[0].current);

        slot.release();
        let slot = table.claim(11, 2, |_| true).unwrap();
        slot.publish(1, &Reading::default(), &reading(1, 1, 0));
        let totals = table.totals(2, |_| true);
        assert_eq!(
            (totals.captured, totals.acknowledged, totals.queued),
            (8, 4, 0)
        );
        assert_eq!(totals.workers[0].links[1].state, LinkState::Connected);
        assert_eq!(totals.workers[0].links[0].state, LinkState::default());
    }

    #[test]
    fn the_slot_of_a_killed_worker_is_taken_over_with_its_totals() {
        let table = empty();
        for pid in 1..=SLOTS as u64 {
            table.claim(pid, 1, |_| true).unwrap().publish(
                0,
                &Reading::default(),
                &reading(1, 1, 1),
            );
        }
        assert_eq!(table.totals(1, |pid| pid != 7).queued, SLOTS as u64 - 1);
        let slot = table.claim(1000, 1, |pid| pid != 7).unwrap();
        slot.publish(0, &Reading::default(), &reading(1, 0, 0));
        assert_eq!(table.totals(1, |_| true).captured, SLOTS as u64 + 1);
        // None left: the last is shared rather than a worker going uncounted.
        let shared = table.claim(1001, 1, |_| true).unwrap();
        shared.count_fault();
        assert_eq!(table.totals(1, |_| true).faults, 1);
    }

    #[test]
    fn one_line_a_minute_over_all_workers() {
        let table = empty();
        assert!(table.may_log_failure(0, 1_000, 60));
        assert!(!table.may_log_failure(0, 1_059, 60));
        assert!(table.may_log_recovery(0, 1_059, 60));
        assert!(table.may_log_failure(1, 1_059, 60));
        assert!(table.may_log_failure(0, 1_060, 60));
        assert!(
            table.may_log_failure(0, 900, 60),
            "a clock that was set back does not silence the log"
        );
    }
}
