//! Members whose word decides which other members an object has.
//!
//! In: for each whole object, its members named like a discriminator (`type`, `kind`, `object`, …) with their words, and which
//! members it had. Out: per word, how often it was seen and which members were there with it, and missing with it. Members are
//! bits, one for each slot of the object, so that counting costs a few instructions per object and nothing where no member is
//! named so. It keeps no value but words, and gives up for good when there are too many members or words: it never says more
//! than all objects bear out.

use crate::name::Name;
use serde::{Deserialize, Serialize};

/// Objects with more members are not looked at.
pub(crate) const MOST_MEMBERS: usize = 64;
/// Where more members are named like a discriminator, none is looked at.
pub(crate) const MOST_CANDIDATES: usize = 4;
/// A member with more words decides nothing.
const MOST_WORDS: usize = 12;
const LONGEST_WORD: usize = 32;
/// What a candidate is charged. Most have three to five words, some have none left.
pub(crate) const CHARGE: u32 = 240;

/// The members named like a discriminator of the objects at one position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Discriminators {
    /// By slot, those that may still decide.
    live: u64,
    /// By slot, those that are known to decide nothing.
    dead: u64,
    /// The words of each live one, in the order of their slots.
    words: Vec<Vec<Word>>,
}

/// One word of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    pub text: Name,
    /// How many whole objects had it.
    pub count: u64,
    /// By slot, whether the member was in one of these objects.
    pub present: u64,
    /// By slot, whether one of these objects did without it.
    pub absent: u64,
}

/// The candidates an object had, by slot, and where their values stand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    length: u8,
    slots: [u8; MOST_CANDIDATES],
    /// `None` if the object had the member twice.
    values: [Option<u32>; MOST_CANDIDATES],
}

/// Whether a member's name is like those of discriminators: four of five discriminators in published descriptions are named so.
pub(crate) fn is_candidate(name: &str) -> bool {
    let ends = |end: &str| {
        name.len()
            .checked_sub(end.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    name.len() <= LONGEST_WORD && (ends("type") || ends("typename") || ends("kind"))
        || matches!(
            name,
            "object" | "event" | "class" | "@class" | "category" | "discriminator"
        )
}

/// The bits of the slots below `at`.
fn below(at: usize) -> u64 {
    1u64.checked_shl(at as u32).map_or(u64::MAX, |bit| bit - 1)
}

/// The bit of a slot; none beyond the last one.
pub(crate) fn bit(at: usize) -> u64 {
    1u64.checked_shl(at as u32).unwrap_or(0)
}

/// Makes room for a slot.
fn shift(bits: u64, at: usize) -> u64 {
    let low = bits & below(at);
    low | (bits & !low) << 1
}

/// Whether a slot's bit is set.
pub(crate) fn has(bits: u64, at: usize) -> bool {
    bits & bit(at) != 0
}

/// The set bits' slots.
fn slots(bits: u64) -> impl Iterator<Item = usize> {
    (0..MOST_MEMBERS).filter(move |at| has(bits, *at))
}

impl Noted {
    /// The object has the candidate in this slot; its value stands at `value`.
    pub(crate) fn note(&mut self, slot: usize, value: u32) {
        let length = usize::from(self.length);
        let known = self.slots.iter().take(length);
        let again = known.clone().position(|s| usize::from(*s) == slot);
        let at = again.unwrap_or(length);
        if let (Some(s), Some(v)) = (self.slots.get_mut(at), self.values.get_mut(at)) {
            *s = slot as u8;
            *v = again.is_none().then_some(value);
            self.length = self.length.max(at as u8 + 1);
        }
    }

    /// A member got the slot `at`.
    pub(crate) fn insert(&mut self, at: usize) {
        for slot in &mut self.slots {
            *slot = slot.saturating_add(u8::from(usize::from(*slot) >= at));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The slots with where their values stand.
    pub(crate) fn values(&self) -> impl Iterator<Item = (usize, u32)> {
        let all = self.slots.iter().zip(&self.values);
        all.take(usize::from(self.length))
            .filter_map(|(slot, value)| Some((usize::from(*slot), (*value)?)))
    }
}

impl Discriminators {
    /// By slot, the candidates whose words are wanted.
    #[inline]
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// Learns the word of the live candidate in `slot`, in a whole object that had the members of the slots `present`, out of
    /// `members`.
    pub(crate) fn learn(&mut self, slot: usize, word: &str, present: u64, members: usize) {
        self.count(slot, word, 1, present, below(members) & !present);
    }

    fn count(&mut self, slot: usize, word: &str, count: u64, present: u64, absent: u64) {
        let Some(at) = self.index(slot) else { return };
        let Some(words) = self.words.get_mut(at) else {
            return;
        };
        let known = |w: &&mut Word| w.text.as_bytes() == word.as_bytes();
        if let Some(known) = words.iter_mut().find(known) {
            known.count = known.count.saturating_add(count);
            known.present |= present;
            known.absent |= absent;
            return;
        }
        if words.len() == MOST_WORDS || !is_word(word) {
            return self.end(slot);
        }
        let after = words
            .iter()
            .take_while(|w| w.text.as_bytes() < word.as_bytes());
        let place = after.count();
        words.reserve_exact(1);
        words.insert(
            place,
            Word {
                text: word.into(),
                count,
                present,
                absent,
            },
        );
    }

    /// Where the words of the live candidate in `slot` are.
    fn index(&self, slot: usize) -> Option<usize> {
        has(self.live, slot).then(|| (self.live & below(slot)).count_ones() as usize)
    }

    /// The candidate in `slot` decides nothing.
    fn end(&mut self, slot: usize) {
        if let Some(at) = self.index(slot) {
            self.words.remove(at);
            self.live &= !bit(slot);
        }
        self.dead |= bit(slot);
    }

    /// A member got the slot `at`: whatever was counted did without it.
    pub(crate) fn insert(&mut self, at: usize, is_candidate: bool) {
        for mask in [&mut self.live, &mut self.dead] {
            *mask = shift(*mask, at);
        }
        for word in self.words.iter_mut().flatten() {
            word.present = shift(word.present, at);
            word.absent = shift(word.absent, at) | bit(at);
        }
        if is_candidate {
            self.live |= bit(at);
            if let Some(place) = self.index(at) {
                self.words.insert(place, Vec::new());
            }
            self.bound();
        }
    }

    /// Moves every bit to where the names stand now; `before` holds for each slot where it stood before, if it was there.
    pub(crate) fn place(&mut self, before: &[Option<usize>]) {
        let moved = |bits: u64| {
            let all = before.iter().enumerate();
            all.filter(|(_, b)| b.is_some_and(|b| has(bits, b)))
                .fold(0, |moved, (at, _)| moved | bit(at))
        };
        let new = before.iter().enumerate().filter(|(_, b)| b.is_none());
        let new = new.fold(0, |bits, (at, _)| bits | bit(at));
        (self.live, self.dead) = (moved(self.live), moved(self.dead));
        for word in self.words.iter_mut().flatten() {
            (word.present, word.absent) = (moved(word.present), moved(word.absent) | new);
        }
    }

    /// Adds what was counted over the same slots elsewhere.
    pub(crate) fn merge(&mut self, other: Discriminators) {
        for slot in slots(other.dead) {
            self.end(slot);
        }
        for (slot, words) in slots(other.live).zip(other.words) {
            if has(self.dead, slot) {
                continue;
            }
            if self.index(slot).is_none() {
                self.live |= bit(slot);
                if let Some(place) = self.index(slot) {
                    self.words.insert(place, Vec::new());
                }
            }
            for word in words {
                self.count(
                    slot,
                    word.text.as_str(),
                    word.count,
                    word.present,
                    word.absent,
                );
            }
        }
        self.bound();
    }

    /// With too many candidates all of them are given up, and those to come.
    fn bound(&mut self) {
        if (self.live | self.dead).count_ones() as usize > MOST_CANDIDATES {
            slots(self.live).for_each(|slot| self.end(slot));
        }
    }

    /// The candidates that may decide, with their words.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (usize, &[Word])> {
        slots(self.live).zip(self.words.iter().map(Vec::as_slice))
    }

    pub(crate) fn heap(&self) -> usize {
        let words = |words: &Vec<Word>| {
            words.capacity() * size_of::<Word>()
                + words.iter().map(|w| w.text.heap()).sum::<usize>()
        };
        self.words.capacity() * size_of::<Vec<Word>>() + self.words.iter().map(words).sum::<usize>()
    }
}

fn is_word(text: &str) -> bool {
    (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_discriminators() {
        for (name, expected) in [
            ("type", true),
            ("@type", true),
            ("eventType", true),
            ("event_type", true),
            ("kind", true),
            ("__typename", true),
            ("object", true),
            ("id", false),
            ("status", false),
            ("subject", false),
            ("größe", false),
            ("", false),
        ] {
            assert_eq!(is_candidate(name), expected, "{name}");
        }
    }

    fn word(text: &str, count: u64, present: u64, absent: u64) -> Word {
        Word {
            text: text.into(),
            count,
            present,
            absent,
        }
    }

    /// The words of the candidate in the slot, if it may still decide.
    fn words(d: &Discriminators, slot: usize) -> Option<Vec<Word>> {
        let of = |(at, words): (usize, &[Word])| (at == slot).then(|| words.to_vec());
        d.candidates().find_map(of)
    }

    #[test]
    fn bits_follow_their_members() {
        let mut d = Discriminators::default();
        // Slots: size, type.
        d.insert(0, false);
        d.insert(1, true);
        d.learn(1, "a", 0b11, 2);
        d.learn(1, "b", 0b10, 2);
        // A member before both: neither word had it.
        d.insert(0, false);
        d.learn(2, "b", 0b101, 3);
        let expected = vec![word("a", 1, 0b110, 0b001), word("b", 2, 0b101, 0b011)];
        assert_eq!(words(&d, 2), Some(expected));
        // Elsewhere there was no size, but a kind that comes first.
        let mut other = Discriminators::default();
        other.insert(0, true);
        other.insert(1, true);
        other.learn(0, "k", 0b11, 2);
        other.learn(1, "a", 0b11, 2);
        other.place(&[None, Some(0), None, Some(1)]);
        d.place(&[Some(0), None, Some(1), Some(2)]);
        d.merge(other);
        let expected = vec![word("a", 2, 0b1110, 0b0111), word("b", 2, 0b1001, 0b0111)];
        assert_eq!(words(&d, 3), Some(expected));
        assert_eq!(words(&d, 1), Some(vec![word("k", 1, 0b1010, 0b0101)]));
    }

    #[test]
    fn what_decides_nothing_is_forgotten_for_good() {
        let mut d = Discriminators::default();
        d.insert(0, true);
        let fresh = d.clone();
        (0..20).for_each(|n| d.learn(0, &format!("w{n}"), 1, 1));
        assert_eq!((words(&d, 0), d.live()), (None, 0));
        d.merge(fresh);
        assert_eq!((words(&d, 0), d.live()), (None, 0));
        let mut d = Discriminators::default();
        (0..MOST_CANDIDATES).for_each(|_| d.insert(0, true));
        assert_eq!(d.live().count_ones() as usize, MOST_CANDIDATES);
        d.insert(2, true);
        d.insert(0, true);
        assert_eq!((d.live(), d.candidates().count()), (0, 0));
    }

    #[test]
    fn a_name_twice_is_not_counted() {
        let mut noted = Noted::default();
        noted.note(3, 7);
        noted.note(5, 9);
        noted.note(3, 11);
        noted.insert(4);
        assert_eq!(noted.values().collect::<Vec<_>>(), [(6, 9)]);
    }
}
