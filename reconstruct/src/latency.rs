//! How long calls took, in buckets that merge.
//!
//! In: microseconds. Out: quantiles, off by at most 6.25 %. Whole numbers only: floating sums would depend on the order.

use serde::{Deserialize, Serialize};

/// Buckets per power of two.
const PARTS: u64 = 8;

/// Calls by duration: eight buckets of equal width to each power of two, so that a bucket is at most an eighth of its lower
/// end wide and its middle is off by half of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Latency(Vec<(u8, u32)>);

impl Latency {
    /// Counts one call.
    pub(crate) fn add(&mut self, micros: u64) {
        self.count(bucket(micros), 1);
    }

    fn count(&mut self, bucket: u8, calls: u32) {
        match self.0.binary_search_by_key(&bucket, |b| b.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(calls),
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(4);
                }
                self.0.insert(at, (bucket, calls));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Latency) {
        other.0.iter().for_each(|(b, n)| self.count(*b, *n));
    }

    /// The duration, microseconds, that this share of the calls did not exceed: the middle of the bucket it falls in.
    pub(crate) fn quantile(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.0.iter().map(|b| u64::from(b.1)).sum();
        let mut left = (total * percent).div_ceil(100);
        for (bucket, n) in &self.0 {
            if left <= u64::from(*n) {
                return Some(middle(*bucket));
            }
            left -= u64::from(*n);
        }
        None
    }

    /// Its share of a bound, bytes.
    pub(crate) fn charge(&self) -> u32 {
        self.0.len() as u32 * 8
    }

    pub(crate) fn heap(&self) -> usize {
        self.0.capacity() * 8
    }
}

/// 0–15 are buckets of their own; what is longer than nine hours counts as nine hours.
fn bucket(micros: u64) -> u8 {
    if micros < PARTS {
        return micros as u8;
    }
    let power = u64::from(micros.ilog2());
    let part = (micros >> (power - 3)) & (PARTS - 1);
    ((power - 2) * PARTS + part).min(255) as u8
}

fn middle(bucket: u8) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < PARTS {
        return bucket;
    }
    let (power, part) = (bucket / PARTS + 2, bucket % PARTS);
    let width = 1u64 << (power - 3);
    (1u64 << power) + part * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(micros: &[u64], percent: u64, expected: Option<u64>) {
        let mut latency = Latency::default();
        micros.iter().for_each(|m| latency.add(*m));
        assert_eq!(latency.quantile(percent), expected, "{micros:?}");
    }

    #[test]
    fn quantiles() {
        check(&[], 50, None);
        check(&[0], 50, Some(0));
        check(&[7, 7, 7, 15], 50, Some(7));
        check(&[7, 7, 7, 15], 95, Some(15));
        check(&[1000, 1000, 1000, 1_000_000], 50, Some(992));
        check(&[u64::MAX], 50, Some(middle(255)));
    }

    proptest! {
        #[test]
        fn the_middle_is_near(micros in 8u64..8_000_000_000) {
            let near = middle(bucket(micros));
            prop_assert!(near.abs_diff(micros) * 16 <= micros, "{micros} becomes {near}");
        }

        #[test]
        fn buckets_ascend(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(a > b || bucket(a) <= bucket(b));
        }

        #[test]
        fn merging_is_counting(all in proptest::collection::vec(any::<u32>(), 0..60), cut in 0usize..60) {
            let (mut one, mut a, mut b) = (Latency::default(), Latency::default(), Latency::default());
            all.iter().for_each(|m| one.add(u64::from(*m)));
            all.iter().skip(cut).for_each(|m| a.add(u64::from(*m)));
            all.iter().take(cut).rev().for_each(|m| b.add(u64::from(*m)));
            b.merge(&a);
            prop_assert_eq!(one, b);
        }
    }
}
