//! Which batches of which shim instance are in: so that a batch sent twice counts once.
//!
//! In: `(instance, sequence)` and the time. Out: new or seen before; and all of it as bytes, for a checkpoint. Gaps are
//! tolerated: a batch the shim dropped never comes, one that overtook another leaves a gap until that arrives.
//!
//! Bounded: [`MAX_RANGES`] ranges per instance and [`MAX_ALL_RANGES`] of all of them, beyond which the oldest gap of whoever opens
//! one more is closed; [`MAX_INSTANCES`] instances, beyond which those idle longest are forgotten, as are those idle for
//! [`EXPIRY_MILLIS`]. Never forgets in the other direction: what it calls new has not been inserted since its instance was last
//! forgotten.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::envelope::Instance;

/// Runs of sequence numbers kept per instance: what comes over several connections overtakes by what waits in a socket.
pub const MAX_RANGES: usize = 4_096;
/// And of all instances together: 64 MiB. One range of each is beyond it.
pub const MAX_ALL_RANGES: usize = 4 << 20;
/// Instances kept.
pub const MAX_INSTANCES: usize = 65_536;
/// An instance that was silent for so long is gone: seven days.
pub const EXPIRY_MILLIS: u64 = 7 * 86_400_000;

/// Sequence windows of all instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Windows {
    instances: HashMap<Instance, Window>,
    /// Of all of them.
    #[serde(skip)]
    ranges: usize,
}

/// What a checkpoint has of it.
#[derive(Deserialize)]
struct Stored {
    instances: HashMap<Instance, Window>,
}

impl From<Stored> for Windows {
    fn from(stored: Stored) -> Windows {
        let mut windows = Windows {
            instances: stored.instances,
            ranges: 0,
        };
        windows.count();
        windows
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Window {
    /// Inclusive, ascending, not touching.
    ranges: Vec<(u64, u64)>,
    last_unix_millis: u64,
}

impl Windows {
    /// Whether this batch was inserted before.
    pub fn contains(&self, instance: &Instance, sequence: u64) -> bool {
        self.instances.get(instance).is_some_and(|window| {
            let after = window.ranges.partition_point(|range| range.0 <= sequence);
            after > 0 && window.ranges[after - 1].1 >= sequence
        })
    }

    /// Notes a batch; `false` when it was there already.
    pub fn insert(&mut self, instance: &Instance, sequence: u64, unix_millis: u64) -> bool {
        if self.contains(instance, sequence) {
            return false;
        }
        if !self.instances.contains_key(instance) && self.instances.len() >= MAX_INSTANCES {
            self.forget_idle(unix_millis);
        }
        let window = self.instances.entry(*instance).or_insert_with(|| Window {
            ranges: Vec::with_capacity(1),
            last_unix_millis: unix_millis,
        });
        window.last_unix_millis = window.last_unix_millis.max(unix_millis);
        let ranges = &mut window.ranges;
        let at = ranges.partition_point(|range| range.0 <= sequence);
        let joins_left = at > 0 && ranges[at - 1].1.checked_add(1) == Some(sequence);
        let joins_right = at < ranges.len() && sequence.checked_add(1) == Some(ranges[at].0);
        match (joins_left, joins_right) {
            (true, true) => {
                ranges[at - 1].1 = ranges[at].1;
                ranges.remove(at);
                self.ranges -= 1;
            }
            (true, false) => ranges[at - 1].1 = sequence,
            (false, true) => ranges[at].0 = sequence,
            (false, false) => {
                ranges.insert(at, (sequence, sequence));
                self.ranges += 1;
                let over = ranges.len() > MAX_RANGES || self.ranges > MAX_ALL_RANGES;
                if over && ranges.len() > 1 {
                    ranges[1].0 = ranges[0].0;
                    ranges.remove(0);
                    self.ranges -= 1;
                }
            }
        }
        true
    }

    fn count(&mut self) {
        self.ranges = self
            .instances
            .values()
            .map(|window| window.ranges.len())
            .sum();
    }

    /// The highest sequence number of each instance.
    pub fn highest(&self) -> HashMap<Instance, u64> {
        let last = |window: &Window| window.ranges.last().map_or(0, |range| range.1);
        let windows = self.instances.iter();
        windows
            .map(|(instance, window)| (*instance, last(window)))
            .collect()
    }

    /// Instances known.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether no instance is known.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Forgets instances that have been silent for [`EXPIRY_MILLIS`].
    pub fn expire(&mut self, unix_millis: u64) {
        let oldest = unix_millis.saturating_sub(EXPIRY_MILLIS);
        self.instances
            .retain(|_, window| window.last_unix_millis >= oldest);
        self.count();
    }

    /// Makes room: the expired ones, or else the sixteenth that has been idle longest.
    fn forget_idle(&mut self, unix_millis: u64) {
        self.expire(unix_millis);
        if self.instances.len() < MAX_INSTANCES {
            return;
        }
        let mut ages: Vec<u64> = self
            .instances
            .values()
            .map(|window| window.last_unix_millis)
            .collect();
        let (_, oldest, _) = ages.select_nth_unstable(MAX_INSTANCES / 16);
        let oldest = *oldest;
        let mut spare = MAX_INSTANCES / 16 + 1;
        self.instances.retain(|_, window| {
            let goes = spare > 0 && window.last_unix_millis <= oldest;
            spare -= usize::from(goes);
            !goes
        });
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const A: Instance = [1; 16];

    #[test]
    fn in_order_one_range_is_enough() {
        let mut windows = Windows::default();
        for sequence in 1..=1000 {
            assert!(windows.insert(&A, sequence, 0));
            assert!(!windows.insert(&A, sequence, 0));
        }
        assert_eq!(windows.instances[&A].ranges, [(1, 1000)]);
        assert!(windows.insert(&[2; 16], 1, 0), "instances are separate");
        assert!(windows.insert(&A, u64::MAX, 0));
        assert!(!windows.insert(&A, u64::MAX, 0));
    }

    #[test]
    fn more_gaps_than_are_kept_close_from_below() {
        let mut windows = Windows::default();
        let many = MAX_RANGES as u64 + 100;
        for n in 1..=many {
            assert!(windows.insert(&A, n * 2, 0));
        }
        assert_eq!(windows.instances[&A].ranges.len(), MAX_RANGES);
        assert!(windows.contains(&A, 3), "a closed gap");
        assert!(!windows.contains(&A, many * 2 - 1), "a kept gap");
        assert!(!windows.contains(&A, 1), "before everything");
    }

    #[test]
    fn ranges_of_all_instances_are_bounded() {
        let mut windows = Windows::default();
        let full = MAX_ALL_RANGES / MAX_RANGES;
        let instance = |n: usize| {
            let mut instance = [0; 16];
            instance[..8].copy_from_slice(&n.to_le_bytes());
            instance
        };
        for n in 0..full + 2 {
            for sequence in 1..=MAX_RANGES as u64 {
                assert!(windows.insert(&instance(n), sequence * 2, n as u64));
            }
        }
        // Whoever comes when all is taken has one range, and the others lose nothing by it.
        assert_eq!(windows.ranges, MAX_ALL_RANGES + 2);
        assert_eq!(windows.instances[&instance(full)].ranges.len(), 1);
        assert!(!windows.contains(&instance(0), 3));
        let stored: Windows =
            postcard::from_bytes(&postcard::to_stdvec(&windows).unwrap()).unwrap();
        assert_eq!(stored, windows);
        // The first one's numbers close up, and make room for what the last one leaves out.
        for sequence in 1..MAX_RANGES as u64 {
            assert!(windows.insert(&instance(0), sequence * 2 + 1, 0));
        }
        assert_eq!(windows.instances[&instance(0)].ranges.len(), 1);
        assert!(windows.insert(&instance(full), 1_000_000, 0));
        assert_eq!(windows.instances[&instance(full)].ranges.len(), 2);
        windows.expire(EXPIRY_MILLIS + full as u64 + 1);
        assert_eq!((windows.len(), windows.ranges), (1, 1));
    }

    #[test]
    fn instances_are_bounded_and_the_idle_go_first() {
        let mut windows = Windows::default();
        let instance = |n: u32| {
            let mut instance = [0; 16];
            instance[..4].copy_from_slice(&n.to_le_bytes());
            instance
        };
        for n in 0..MAX_INSTANCES as u32 + 10 {
            windows.insert(&instance(n), 1, u64::from(n));
        }
        assert!(windows.len() <= MAX_INSTANCES);
        assert!(!windows.contains(&instance(0), 1));
        assert!(windows.contains(&instance(MAX_INSTANCES as u32), 1));
        windows.expire(EXPIRY_MILLIS + MAX_INSTANCES as u64);
        assert_eq!(windows.len(), 10);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(sequences in proptest::collection::vec(1u64..100, 0..300)) {
            let (mut windows, mut set) = (Windows::default(), HashSet::new());
            for sequence in sequences {
                prop_assert_eq!(windows.insert(&A, sequence, 0), set.insert(sequence));
            }
            let again: Windows = postcard::from_bytes(&postcard::to_stdvec(&windows).unwrap()).unwrap();
            for sequence in 0..100 {
                prop_assert_eq!(again.contains(&A, sequence), set.contains(&sequence));
            }
        }
    }
}
