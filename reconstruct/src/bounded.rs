//! Bounded collections whose final state does not depend on the order or the partition of what came in.
//!
//! In: keys and values in any order. Out: the same state for the same set. The trick everywhere: what is kept is a pure
//! function of the key and of a *level*; the level is the least at which everything seen fits; and the charge of what is
//! kept never falls as more comes in (it is clamped to the bound once a level was raised). So the level only depends on
//! what was seen, not on when, and a key that was thinned out once can never come back.

use crate::name::Name;
use crate::rank::{HIGHEST, rank};
use serde::{Deserialize, Serialize};

/// FNV-1a with a finaliser: stable over versions and machines, which `std`'s hashers do not promise.
pub(crate) fn hash(text: &str) -> u64 {
    let mut h = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    h ^= h >> 32;
    h = h.wrapping_mul(0xd6e8_feb8_6659_fd93);
    h ^ (h >> 32)
}

/// What a [`Thinned`] holds.
pub(crate) trait Entry: Default {
    /// Folds another value of the same key in.
    fn merge(&mut self, other: Self);
    /// Its share of a bound, bytes. Never falls as more is learnt.
    fn charge(&self) -> u32;
    /// What is charged for a key in addition, whatever its value.
    fn charge_of_key(_key: &str) -> u32 {
        0
    }
    /// Heap bytes held beyond the value itself.
    fn heap(&self) -> usize;
}

/// How much a [`Thinned`] may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Charge of all entries together.
    pub charge: u32,
    /// Number of entries.
    pub entries: usize,
}

/// Where a key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// On its own.
    Own(usize),
    /// Together with everything else that was thinned out.
    Rest,
}

/// A map from text that thins itself out when it would outgrow its bound, in the order of [`crate::rank`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Thinned<V> {
    /// Sorted by key.
    entries: Vec<(Name, V)>,
    rest: Option<Box<V>>,
    level: u8,
    charge: u32,
    /// The bound it was last fitted to; `most` is one more than the entries, and zero before that.
    cap: u32,
    most: u16,
}

impl<V> Default for Thinned<V> {
    fn default() -> Self {
        Thinned {
            entries: Vec::new(),
            rest: None,
            level: 0,
            charge: 0,
            cap: 0,
            most: 0,
        }
    }
}

/// Beyond this level nothing is kept apart: of a billion keys of the highest rank a few are left by then.
const LAST_LEVEL: u8 = HIGHEST + 34;
/// Longer keys are values, not names.
const LONGEST_KEY: usize = 128;

/// What an entry takes beside the heap of key and value, room to grow included.
fn entry<V>() -> u32 {
    (size_of::<(Name, V)>() * 9 / 8 + 8) as u32
}

/// The charge of one entry.
fn own<V: Entry>(key: &Name, value: &V) -> u32 {
    entry::<V>() + key.heap() as u32 + V::charge_of_key(key.as_str()) + value.charge()
}

fn passes(key: &str, level: u8) -> bool {
    if key.len() > LONGEST_KEY || level >= LAST_LEVEL {
        return false;
    }
    if level == 0 {
        return true;
    }
    let zeros = hash(key).leading_zeros();
    zeros >= u32::from(level) || zeros >= u32::from(level.saturating_sub(rank(key)))
}

impl<V: Entry> Thinned<V> {
    /// The slot of `key`, made if need be. Follow a change of the value there with [`Thinned::settle`].
    pub(crate) fn slot(&mut self, key: &str, bound: Bound) -> Slot {
        match self.find(key) {
            Ok(at) => Slot::Own(at),
            Err(at) if passes(key, self.level) => {
                let (name, value) = (Name::from(key), V::default());
                self.charge += own(&name, &value);
                if self.entries.len() == self.entries.capacity() {
                    // Doubling would hold twice of what is charged.
                    self.entries
                        .reserve_exact((self.entries.len() / 8).clamp(1, 64));
                }
                self.entries.insert(at, (name, value));
                self.bind(bound);
                if self.entries.len() <= bound.entries {
                    return Slot::Own(at);
                }
                while self.entries.len() > bound.entries && self.level < LAST_LEVEL {
                    self.raise(self.level + 1);
                }
                match self.find(key) {
                    Ok(at) => Slot::Own(at),
                    Err(_) => self.rest_slot(),
                }
            }
            Err(_) => self.rest_slot(),
        }
    }

    /// The slot of everything that is not kept on its own.
    pub(crate) fn rest_slot(&mut self) -> Slot {
        if self.rest.is_none() {
            let value = Box::<V>::default();
            self.charge += entry::<V>() + value.charge();
            self.rest = Some(value);
        }
        Slot::Rest
    }

    /// The value in a slot just taken.
    pub(crate) fn at(&mut self, slot: Slot) -> &mut V {
        match slot {
            Slot::Own(at) if at < self.entries.len() => &mut self.entries[at].1,
            _ => self.rest.get_or_insert_default(),
        }
    }

    /// Whether `key` has this slot of its own.
    #[inline]
    pub(crate) fn is(&self, at: usize, key: &str) -> bool {
        self.entries
            .get(at)
            .is_some_and(|(k, _)| k.as_bytes() == key.as_bytes())
    }

    /// The value in a slot of its own.
    #[inline]
    pub(crate) fn value(&self, at: usize) -> Option<&V> {
        self.entries.get(at).map(|(_, v)| v)
    }

    /// The value in a slot of its own, for changes that leave its charge alone.
    #[inline]
    pub(crate) fn value_mut(&mut self, at: usize) -> Option<&mut V> {
        self.entries.get_mut(at).map(|(_, v)| v)
    }

    /// Accounts for a value whose charge grew, and thins out if the bound is passed.
    pub(crate) fn grow(&mut self, by: u32, bound: Bound) {
        self.charge = self.charge.saturating_add(by);
        self.fit(bound);
    }

    /// Accounts for a change of the value in `slot` from charge `before`, and thins out if the bound is passed.
    pub(crate) fn settle(&mut self, slot: Slot, before: u32, bound: Bound) {
        let after = self.at(slot).charge();
        self.charge = self.charge.saturating_sub(before).saturating_add(after);
        self.fit(bound);
    }

    fn bind(&mut self, bound: Bound) {
        self.cap = bound.charge;
        self.most = bound.entries.min(usize::from(u16::MAX - 1)) as u16 + 1;
    }

    /// Thins out until the bound holds.
    pub(crate) fn fit(&mut self, bound: Bound) {
        self.bind(bound);
        while (self.charge > bound.charge || self.entries.len() > bound.entries)
            && self.level < LAST_LEVEL
        {
            self.raise(self.level + 1);
        }
    }

    /// Changes values in place, then thins out until the bound holds.
    pub(crate) fn adjust(&mut self, bound: Bound, mut change: impl FnMut(&mut V)) {
        for (_, value) in &mut self.entries {
            change(value);
        }
        if let Some(rest) = &mut self.rest {
            change(rest);
        }
        self.recount();
        self.fit(bound);
    }

    /// Thins out to at least `level`; for owners that choose the level themselves.
    pub(crate) fn thin(&mut self, level: u8) {
        if level > self.level {
            self.raise(level);
        }
    }

    /// Changes values in place, whatever their charge becomes.
    pub(crate) fn each(&mut self, mut change: impl FnMut(&mut V)) {
        self.entries.iter_mut().for_each(|(_, v)| change(v));
        if let Some(rest) = &mut self.rest {
            change(rest);
        }
        self.recount();
    }

    /// Every value, for changes that leave its charge alone.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries
            .iter_mut()
            .map(|(_, v)| v)
            .chain(self.rest.as_deref_mut())
    }

    /// Drops the values `keep` is false for, and changes the others in place. What was thinned out stays so.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        self.entries.retain_mut(|(_, v)| keep(v));
        self.entries.shrink_to_fit();
        if self.rest.as_mut().is_some_and(|r| !keep(r)) {
            self.rest = None;
        }
        self.recount();
    }

    /// Changes the value of `key` in place, whatever its charge becomes.
    pub(crate) fn change(&mut self, key: &str, change: impl FnOnce(&mut V)) {
        if let Ok(at) = self.find(key) {
            change(&mut self.entries[at].1);
            self.recount();
        }
    }

    /// The charge of what is held.
    pub(crate) fn held(&self) -> u32 {
        self.charge
    }

    fn raise(&mut self, level: u8) {
        self.level = level;
        if self.entries.iter().all(|(k, _)| passes(k.as_str(), level)) {
            return;
        }
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|(k, _)| passes(k.as_str(), level));
        self.entries = kept;
        for (_, value) in gone {
            match &mut self.rest {
                Some(rest) => rest.merge(value),
                None => self.rest = Some(Box::new(value)),
            }
        }
        self.recount();
    }

    fn recount(&mut self) {
        let own = self.entries.iter().map(|(k, v)| own(k, v));
        let rest = self.rest.as_ref().map(|r| entry::<V>() + r.charge());
        self.charge = own.chain(rest).fold(0, u32::saturating_add);
    }

    /// Folds another map in. The smaller of both bounds holds.
    pub(crate) fn merge(&mut self, mut other: Thinned<V>) {
        if other.most == 0 && other.rest.is_none() {
            return;
        }
        if self.most == 0 && self.rest.is_none() {
            *self = other;
            return;
        }
        let bounds = [&*self, &other]
            .into_iter()
            .filter(|t| t.most > 0)
            .map(|t| (t.cap, t.most));
        let (cap, most) = bounds
            .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
            .unwrap_or((0, 0));
        let level = self.level.max(other.level);
        for side in [&mut *self, &mut other] {
            if side.level < level {
                side.raise(level);
            }
        }
        let mine = std::mem::take(&mut self.entries);
        let mut merged: Vec<(Name, V)> = Vec::with_capacity(mine.len().max(other.entries.len()));
        let (mut a, mut b) = (
            mine.into_iter().peekable(),
            other.entries.into_iter().peekable(),
        );
        loop {
            let order = match (a.peek(), b.peek()) {
                (Some((x, _)), Some((y, _))) => x.as_bytes().cmp(y.as_bytes()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            match order {
                std::cmp::Ordering::Less => merged.extend(a.next()),
                std::cmp::Ordering::Greater => merged.extend(b.next()),
                std::cmp::Ordering::Equal => {
                    if let (Some((key, mut value)), Some((_, more))) = (a.next(), b.next()) {
                        value.merge(more);
                        merged.push((key, value));
                    }
                }
            }
        }
        self.entries = merged;
        match (&mut self.rest, other.rest) {
            (Some(rest), Some(more)) => rest.merge(*more),
            (rest @ None, Some(more)) => *rest = Some(more),
            _ => {}
        }
        self.recount();
        if most > 0 {
            self.fit(Bound {
                charge: cap,
                entries: usize::from(most - 1),
            });
        }
    }

    /// The charge of all of it; the whole bound once something was thinned out.
    pub(crate) fn charge(&self) -> u32 {
        if self.level > 0 {
            self.cap.max(self.charge)
        } else {
            self.charge
        }
    }

    pub(crate) fn heap(&self) -> usize {
        let own: usize = self.entries.iter().map(|(k, v)| k.heap() + v.heap()).sum();
        let rest = self
            .rest
            .as_ref()
            .map_or(0, |r| std::mem::size_of::<V>() + r.heap());
        self.entries.capacity() * std::mem::size_of::<(Name, V)>() + own + rest
    }
}

impl<V> Thinned<V> {
    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(k, _)| k.as_bytes().cmp(key.as_bytes()))
    }

    /// The entries kept on their own, sorted by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// The entry of `key`, if it is kept on its own.
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// Every value, what is not kept on its own last.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.entries
            .into_iter()
            .map(|(_, v)| v)
            .chain(self.rest.map(|r| *r))
    }

    /// What is not kept on its own.
    pub(crate) fn rest(&self) -> Option<&V> {
        self.rest.as_deref()
    }

    /// Whether a bound was met, so that entries no longer speak for all that was seen.
    pub(crate) fn is_thinned(&self) -> bool {
        self.level > 0
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// How often something was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count(pub u64);

impl Entry for Count {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }
    fn charge(&self) -> u32 {
        0
    }
    fn heap(&self) -> usize {
        0
    }
}

impl Thinned<Count> {
    /// Counts one more of `key`.
    pub(crate) fn count(&mut self, key: &str, bound: Bound) {
        let slot = self.slot(key, bound);
        self.at(slot).0 += 1;
    }
}

/// Roughly how many different values there were, and the value when there was one only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Distinct {
    /// The smallest hashes seen, ascending.
    least: Vec<u64>,
    only: Option<Box<str>>,
}

impl Distinct {
    const KEPT: usize = 16;

    pub(crate) fn add(&mut self, text: &str) {
        let fresh = self.least.is_empty();
        self.insert(hash(text));
        if fresh && text.len() <= 32 {
            self.only = Some(text.into());
        } else if self.only.as_deref() != Some(text) {
            self.only = None;
        }
    }

    fn insert(&mut self, h: u64) {
        if let Err(at) = self.least.binary_search(&h)
            && at < Self::KEPT
        {
            self.least.insert(at, h);
            self.least.truncate(Self::KEPT);
        }
    }

    pub(crate) fn merge(&mut self, other: Distinct) {
        let only = if self.least.is_empty() {
            other.only
        } else if other.least.is_empty() || self.only == other.only {
            self.only.take()
        } else {
            None
        };
        for h in other.least {
            self.insert(h);
        }
        self.only = only;
    }

    /// The value, when all were this one.
    pub(crate) fn only(&self) -> Option<&str> {
        self.only.as_deref()
    }

    pub(crate) fn heap(&self) -> usize {
        self.least.capacity() * 8 + self.only.as_ref().map_or(0, |o| o.len())
    }
}

/// Which texts were seen somewhere: exact until full, then an unbiased sample by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Sorted.
    hashes: Vec<u64>,
    level: u32,
}

impl Seen {
    const MOST: usize = 2048;

    pub(crate) fn add(&mut self, text: &str) {
        let h = hash(text);
        if h.leading_zeros() >= self.level
            && let Err(at) = self.hashes.binary_search(&h)
        {
            if self.hashes.len() == self.hashes.capacity() {
                self.hashes
                    .reserve_exact((self.hashes.len() / 4).clamp(4, 256));
            }
            self.hashes.insert(at, h);
            self.fit();
        }
    }

    pub(crate) fn merge(&mut self, other: Seen) {
        self.level = self.level.max(other.level);
        self.hashes.extend(other.hashes);
        let level = self.level;
        self.hashes.retain(|h| h.leading_zeros() >= level);
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.fit();
    }

    fn fit(&mut self) {
        while self.hashes.len() > Self::MOST && self.level < 64 {
            self.level += 1;
            let level = self.level;
            self.hashes.retain(|h| h.leading_zeros() >= level);
        }
    }

    /// How many different ones there were: exact until full, then within a few percent.
    pub(crate) fn estimate(&self) -> u64 {
        (self.hashes.len() as u64) << self.level.min(50)
    }

    /// Whether it was seen; `None` when the sample cannot tell.
    pub(crate) fn contains(&self, text: &str) -> Option<bool> {
        let h = hash(text);
        (h.leading_zeros() >= self.level).then(|| self.hashes.binary_search(&h).is_ok())
    }

    pub(crate) fn heap(&self) -> usize {
        self.hashes.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: Bound = Bound {
        charge: 1200,
        entries: 12,
    };

    fn state(t: &Thinned<Count>) -> String {
        format!("{:?} rest {:?} level {}", t.entries, t.rest, t.level)
    }

    proptest! {
        #[test]
        fn thinning_depends_on_what_was_seen_only(keys in proptest::collection::vec("[a-e]{1,2}[0-9]?", 0..80), cut in 0usize..80, seed in any::<u64>()) {
            let mut whole = Thinned::default();
            for k in &keys {
                whole.count(k, BOUND);
            }
            let mut shuffled = keys.clone();
            shuffled.sort_by_key(|k| hash(k) ^ seed);
            let (left, right) = shuffled.split_at(cut.min(shuffled.len()));
            let (mut a, mut b) = (Thinned::default(), Thinned::default());
            left.iter().for_each(|k| a.count(k, BOUND));
            right.iter().for_each(|k| b.count(k, BOUND));
            a.merge(b);
            prop_assert_eq!(state(&whole), state(&a));
            prop_assert!(whole.len() <= 12);
        }

        #[test]
        fn sketches_merge_to_what_one_would_have(values in proptest::collection::vec("[a-z]{1,3}", 0..60), cut in 0usize..60) {
            let cut = cut.min(values.len());
            let (mut one, mut a, mut b) = (Distinct::default(), Distinct::default(), Distinct::default());
            values.iter().for_each(|v| one.add(v));
            values.iter().take(cut).for_each(|v| a.add(v));
            values.iter().skip(cut).for_each(|v| b.add(v));
            b.merge(a);
            prop_assert_eq!(one, b);
        }
    }

    #[test]
    fn plain_words_stay_longest() {
        let mut t = Thinned::default();
        t.count("orders", BOUND);
        for i in 0..10_000 {
            t.count(&format!("x{i}"), BOUND);
        }
        assert!(t.get("orders").is_some() && t.is_thinned() && t.rest().is_some());
    }
}
