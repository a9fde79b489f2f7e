//! Which records of which BIG-IP and TMM came, and which are missing.
//!
//! In: the number of each record that is durable. Out: per key, boot and TMM how many were captured, received, lost and doubled. HSL
//! reports no delivery, so what is lost is known by the gaps in the numbers alone. A gap counts as lost when it is [`PATIENCE`] old,
//! since several connections overtake one another; what comes later still heals the table, though not the counter, which only grows.
//!
//! Bounded: [`MAX_ROWS`] rows, of which those silent longest give way; [`MAX_GAPS`] open gaps of each and [`MAX_ALL_GAPS`] of all of
//! them, beyond which the lowest of whoever opens one more is closed.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use super::exchange::Sender;
use crate::envelope::Instance;
use crate::windows::MAX_RANGES;
use crate::writer::Kept;

/// How long a record may be overtaken by others, milliseconds.
const PATIENCE: u64 = 10_000;
/// Keys, boots and TMMs remembered.
const MAX_ROWS: usize = 10_000;
/// Open gaps of one of them: as many as the journal's windows keep, so that both close the same.
const MAX_GAPS: usize = MAX_RANGES;
/// And of all of them together: 40 MiB.
const MAX_ALL_GAPS: usize = 1 << 20;

/// A record that the journal has.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// From whom.
    pub sender: Arc<Sender>,
    /// Its number.
    pub sequence: u64,
    /// The BIG-IP's own count of records that HSL did not take from the rule.
    pub refused_by_hsl: u64,
    /// Where it came from.
    pub address: IpAddr,
    /// Whether it is new.
    pub kept: Kept,
}

/// Numbers that have not come.
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: u64,
    to: u64,
    /// Unix milliseconds.
    since: u64,
    /// As lost.
    counted: bool,
}

impl Gap {
    fn new(from: u64, to: u64, since: u64) -> Option<Gap> {
        (from <= to).then_some(Gap {
            from,
            to,
            since,
            counted: false,
        })
    }

    fn len(&self) -> u64 {
        self.to - self.from + 1
    }
}

#[derive(Debug)]
struct Row {
    sender: Arc<Sender>,
    address: IpAddr,
    /// Nothing is said of numbers up to here.
    baseline: u64,
    /// The baseline is a guess: the first number that came.
    guessed: bool,
    highest: u64,
    received: u64,
    doubled: u64,
    refused_by_hsl: u64,
    /// Ascending.
    gaps: VecDeque<Gap>,
    /// Missing in gaps that were closed for the bound.
    closed: u64,
    first_seen: u64,
    last_seen: u64,
}

/// What is known of one key, boot and TMM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Key id.
    pub key: String,
    /// The BIG-IP's name.
    pub host: String,
    /// Number of the TMM.
    pub tmm: u32,
    /// 16 hexadecimal digits, new with each loading of the rule.
    pub boot: String,
    /// When that was, Unix seconds.
    pub loaded: u64,
    /// Where the last record came from.
    pub address: String,
    /// The highest number, which counts what the rule captured.
    pub captured: u64,
    /// Of these, what was before this collector looked.
    pub before: u64,
    /// Records that came, each once.
    pub received: u64,
    /// Records that have not come for ten seconds.
    pub lost: u64,
    /// Records that have not come yet.
    pub late: u64,
    /// Records that HSL did not take from the rule, by the rule's own count since it was loaded; they are lost or were `before`.
    pub refused_by_hsl: u64,
    /// Records that came again.
    pub doubled: u64,
    /// Unix milliseconds.
    pub first_seen: u64,
    /// Unix milliseconds.
    pub last_seen: u64,
}

/// All of them.
#[derive(Debug)]
pub struct Gaps {
    table: Mutex<Table>,
    /// Unix seconds at which this collector started.
    started: u64,
    /// What the journal knew then: the highest number of each instance.
    known: HashMap<Instance, u64>,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<Instance, Row>,
    /// Open gaps of all rows.
    gaps: usize,
    /// A row had to give way: what one begins with is a guess from then on, since it may have been here before.
    forgetful: bool,
}

impl Row {
    fn new(arrival: &Arrival, started: u64, known: Option<u64>, forgetful: bool, now: u64) -> Row {
        let guess = (arrival.sequence - 1, true);
        let (baseline, guessed) = match known {
            _ if forgetful => guess,
            // What the journal has says more than the clock of a BIG-IP, which may be ahead of ours.
            Some(highest) => (highest, false),
            // Whatever it sent, it sent to this collector.
            None if arrival.sender.booted >= started => (0, false),
            None => guess,
        };
        Row {
            sender: arrival.sender.clone(),
            address: arrival.address,
            baseline,
            guessed,
            highest: baseline,
            received: 0,
            doubled: 0,
            refused_by_hsl: 0,
            gaps: VecDeque::new(),
            closed: 0,
            first_seen: now,
            last_seen: now,
        }
    }

    /// `spare`: how many gaps there may be more than there are.
    fn note(&mut self, arrival: &Arrival, now: u64, spare: usize, lost: &Counter) {
        let most = MAX_GAPS.min(self.gaps.len() + spare);
        self.last_seen = self.last_seen.max(now);
        if !Arc::ptr_eq(&self.sender, &arrival.sender) {
            self.sender = arrival.sender.clone();
        }
        self.address = arrival.address;
        self.refused_by_hsl = self.refused_by_hsl.max(arrival.refused_by_hsl);
        if arrival.kept == Kept::Duplicate {
            self.doubled += 1;
            return;
        }
        let sequence = arrival.sequence;
        if sequence > self.highest {
            let gap = Gap::new(self.highest + 1, sequence - 1, now);
            self.gaps.extend(gap);
            self.highest = sequence;
        } else if sequence <= self.baseline {
            if !self.guessed {
                return; // of before this collector looked
            }
            let gap = Gap::new(sequence + 1, self.baseline, now);
            gap.into_iter().for_each(|gap| self.gaps.push_front(gap));
            self.baseline = sequence - 1;
        } else {
            self.heal(sequence);
        }
        self.received += 1;
        while self.gaps.len() > most {
            let Some(gap) = self.gaps.pop_front() else {
                break;
            };
            self.closed += gap.len();
            if !gap.counted {
                lost.inc_by(gap.len());
            }
        }
    }

    fn heal(&mut self, sequence: u64) {
        let at = self.gaps.partition_point(|gap| gap.to < sequence);
        let Some(gap) = self
            .gaps
            .get(at)
            .copied()
            .filter(|gap| gap.from <= sequence)
        else {
            self.closed = self.closed.saturating_sub(1);
            return;
        };
        self.gaps.remove(at);
        let after = Gap {
            from: sequence + 1,
            ..gap
        };
        let before = Gap {
            to: sequence - 1,
            ..gap
        };
        for rest in [after, before] {
            if rest.from <= rest.to {
                self.gaps.insert(at, rest);
            }
        }
    }

    /// Counts what is old enough as lost.
    fn sweep(&mut self, before: u64, lost: &Counter) {
        for gap in &mut self.gaps {
            if !gap.counted && gap.since <= before {
                gap.counted = true;
                lost.inc_by(gap.len());
            }
        }
    }

    fn sent(&self) -> Sent {
        let missing = |counted| {
            let gaps = self.gaps.iter().filter(|gap| gap.counted == counted);
            gaps.map(Gap::len).sum::<u64>()
        };
        Sent {
            key: self.sender.key.to_string(),
            host: self.sender.host.clone(),
            tmm: self.sender.tmm,
            boot: String::from_utf8_lossy(&self.sender.boot).into_owned(),
            loaded: self.sender.booted,
            address: self.address.to_string(),
            captured: self.highest,
            before: self.baseline,
            received: self.received,
            lost: missing(true) + self.closed,
            late: missing(false),
            refused_by_hsl: self.refused_by_hsl,
            doubled: self.doubled,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }
}

impl Gaps {
    /// For a collector that started at `started` (Unix seconds), when the journal knew these highest numbers. What is lost is counted
    /// in `lost`.
    pub fn new(started: u64, known: HashMap<Instance, u64>, lost: Counter) -> Gaps {
        Gaps {
            table: Mutex::default(),
            started,
            known,
            lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what has become durable. `now` is in Unix milliseconds.
    pub fn note(&self, arrivals: &[Arrival], now: u64) {
        let mut table = self.lock();
        for arrival in arrivals {
            let instance = &arrival.sender.instance;
            if !table.rows.contains_key(instance) {
                if table.rows.len() >= MAX_ROWS {
                    table.make_room(&self.lost);
                }
                let known = self.known.get(instance).copied();
                let row = Row::new(arrival, self.started, known, table.forgetful, now);
                table.rows.insert(*instance, row);
            }
            let spare = MAX_ALL_GAPS.saturating_sub(table.gaps);
            if let Some(row) = table.rows.get_mut(instance) {
                let before = row.gaps.len();
                row.note(arrival, now, spare, &self.lost);
                let after = row.gaps.len();
                table.gaps = (table.gaps + after).saturating_sub(before);
            }
        }
    }

    /// Counts as lost what has been missing for long enough. `now` is in Unix milliseconds.
    pub fn sweep(&self, now: u64) {
        for row in self.lock().rows.values_mut() {
            row.sweep(now.saturating_sub(PATIENCE), &self.lost);
        }
    }

    /// All of them, the last heard first.
    pub fn list(&self) -> Vec<Sent> {
        let mut sent: Vec<_> = self.lock().rows.values().map(Row::sent).collect();
        sent.sort_unstable_by(|a, b| {
            let minutes = (b.last_seen / 60_000).cmp(&(a.last_seen / 60_000));
            let names = (&a.host, &a.key, a.tmm, &a.boot).cmp(&(&b.host, &b.key, b.tmm, &b.boot));
            minutes.then(names)
        });
        sent
    }
}

impl Table {
    /// Forgets a sixteenth, those that were silent longest.
    fn make_room(&mut self, lost: &Counter) {
        let mut ages: Vec<_> = self
            .rows
            .iter()
            .map(|(instance, row)| (row.last_seen, *instance))
            .collect();
        ages.sort_unstable();
        for (_, instance) in ages.into_iter().take(MAX_ROWS / 16) {
            if let Some(mut row) = self.rows.remove(&instance) {
                row.sweep(u64::MAX, lost);
                self.gaps = self.gaps.saturating_sub(row.gaps.len());
            }
        }
        self.forgetful = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hsl::exchange::sender_for_test;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const STARTED: u64 = 1_800_000_000;
    const NOW: u64 = STARTED * 1000;

    fn gaps(known: &[(u32, u64)]) -> (Gaps, Counter) {
        let lost = Counter::default();
        let known = known
            .iter()
            .map(|(tmm, highest)| (sender_for_test(STARTED - 5, *tmm).instance, *highest))
            .collect();
        (Gaps::new(STARTED, known, lost.clone()), lost)
    }

    fn arrival(sender: &Arc<Sender>, sequence: u64, kept: Kept) -> Arrival {
        Arrival {
            sender: sender.clone(),
            sequence,
            refused_by_hsl: 0,
            address: [127, 0, 0, 1].into(),
            kept,
        }
    }

    fn note(gaps: &Gaps, sender: &Arc<Sender>, sequences: &[u64], now: u64) {
        let arrivals: Vec<_> = sequences
            .iter()
            .map(|sequence| arrival(sender, *sequence, Kept::Durable))
            .collect();
        gaps.note(&arrivals, now);
    }

    /// before, captured, received, lost, late, doubled
    fn seen(gaps: &Gaps) -> [u64; 6] {
        let sent = gaps.list().pop().unwrap();
        [
            sent.before,
            sent.captured,
            sent.received,
            sent.lost,
            sent.late,
            sent.doubled,
        ]
    }

    #[test]
    fn what_is_missing_is_lost_after_a_while_and_may_still_come() {
        let (gaps, lost) = gaps(&[]);
        let sender = Arc::new(sender_for_test(STARTED, 0));
        note(&gaps, &sender, &[2, 3, 7], NOW);
        assert_eq!(seen(&gaps), [0, 7, 3, 0, 4, 0]);
        gaps.sweep(NOW + PATIENCE - 1);
        assert_eq!(lost.get(), 0);
        note(&gaps, &sender, &[5], NOW + 1);
        gaps.sweep(NOW + PATIENCE);
        assert_eq!(seen(&gaps), [0, 7, 4, 3, 0, 0]);
        assert_eq!(lost.get(), 3);
        note(&gaps, &sender, &[1, 4, 6], NOW + 1);
        gaps.note(&[arrival(&sender, 6, Kept::Duplicate)], NOW);
        assert_eq!(seen(&gaps), [0, 7, 7, 0, 0, 1]);
        gaps.sweep(u64::MAX);
        assert_eq!(lost.get(), 3, "a counter never falls, and counts once");
    }

    #[test]
    fn what_was_before_this_collector_is_not_held_against_it() {
        // Known to the journal: what came in between was lost while the collector was away.
        let (gaps_known, _) = gaps(&[(1, 40)]);
        let old = Arc::new(sender_for_test(STARTED - 5, 1));
        note(&gaps_known, &old, &[45, 39], NOW);
        assert_eq!(seen(&gaps_known), [40, 45, 1, 0, 4, 0]);
        // Also by a BIG-IP whose clock is ahead, so that its rule seems to be loaded only now.
        let ahead = Arc::new(sender_for_test(STARTED + 60, 1));
        let gaps_ahead = Gaps::new(
            STARTED,
            HashMap::from([(ahead.instance, 40)]),
            Counter::default(),
        );
        note(&gaps_ahead, &ahead, &[42], NOW);
        assert_eq!(seen(&gaps_ahead), [40, 42, 1, 0, 1, 0]);
        // Not known: from what came first, in whatever order.
        let (gaps_unknown, _) = gaps(&[]);
        note(&gaps_unknown, &old, &[45, 43, 46, 44], NOW);
        assert_eq!(seen(&gaps_unknown), [42, 46, 4, 0, 0, 0]);
    }

    #[test]
    fn rows_and_gaps_are_bounded_and_nothing_missing_is_forgotten() {
        let (gaps, lost) = gaps(&[]);
        let sender = Arc::new(sender_for_test(STARTED, 0));
        let (most, over) = (MAX_GAPS as u64, 36);
        let even: Vec<u64> = (1..=most + over).map(|n| n * 2).collect();
        note(&gaps, &sender, &even, NOW);
        let captured = even.len() as u64;
        assert_eq!(seen(&gaps), [0, 2 * captured, captured, over, most, 0]);
        assert_eq!(lost.get(), over);
        // Two of those closed and one that is open.
        note(&gaps, &sender, &[1, 3, 2 * captured - 1], NOW);
        assert_eq!(seen(&gaps)[2..5], [captured + 3, over - 2, most - 1]);
        for tmm in 0..=MAX_ROWS as u32 {
            let other = Arc::new(sender_for_test(STARTED, tmm + 1));
            note(&gaps, &other, &[1], NOW + 1);
        }
        assert!(gaps.list().len() <= MAX_ROWS);
        assert_eq!(lost.get(), over + most - 1, "those open too");
        // Nobody knows any more what came of the one that gave way: it begins anew, and nothing counts as lost twice.
        note(&gaps, &sender, &[2 * captured + 1], NOW + 2);
        gaps.sweep(u64::MAX);
        let again = gaps.list().into_iter().find(|sent| sent.tmm == 0).unwrap();
        assert_eq!((again.before, again.received), (2 * captured, 1));
        assert_eq!(lost.get(), over + most - 1);
    }

    #[test]
    fn open_gaps_of_all_together_are_bounded() {
        let (gaps, lost) = gaps(&[]);
        let full = MAX_ALL_GAPS / MAX_GAPS;
        let even: Vec<u64> = (1..=MAX_GAPS as u64).map(|n| n * 2).collect();
        for tmm in 0..=full as u32 {
            note(&gaps, &Arc::new(sender_for_test(STARTED, tmm)), &even, NOW);
        }
        assert_eq!(gaps.lock().gaps, MAX_ALL_GAPS);
        assert_eq!(lost.get(), MAX_GAPS as u64, "of whoever came last");
        note(&gaps, &Arc::new(sender_for_test(STARTED, 0)), &[1], NOW);
        assert_eq!(gaps.lock().gaps, MAX_ALL_GAPS - 1);
    }

    proptest! {
        #[test]
        fn captured_is_received_and_missing(sequences in proptest::collection::vec(1u64..120, 1..200)) {
            let (gaps, lost) = gaps(&[]);
            let sender = Arc::new(sender_for_test(STARTED, 0));
            let mut set = HashSet::new();
            for sequence in sequences {
                let kept = if set.insert(sequence) { Kept::Durable } else { Kept::Duplicate };
                gaps.note(&[arrival(&sender, sequence, kept)], NOW);
            }
            gaps.sweep(NOW + PATIENCE);
            let [_, captured, received, missing, late, _] = seen(&gaps);
            prop_assert_eq!(captured, *set.iter().max().unwrap());
            prop_assert_eq!(received, set.len() as u64);
            prop_assert_eq!((missing + received, late), (captured, 0));
            prop_assert!(lost.get() >= missing);
        }
    }
}
