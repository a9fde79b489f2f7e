//! Members whose word decides which other members an object has.
//!
//! In: for each whole object, its members named like a discriminator (`type`, `kind`, `object`, …) with their words, and which
//! members it had. Out: per word, how often it was seen and which members were there with it, and missing with it. Members are
//! bits, one for each slot of the object, so that counting costs a few instructions per object. It keeps no value but words,
//! and gives up for good when there are too many members or words: it never says more than all objects bear out.

use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Objects with more members are not looked at.
pub(crate) const MOST_MEMBERS: usize = 64;
/// A member with more words decides nothing.
const MOST_WORDS: usize = 12;
const LONGEST_WORD: usize = 32;
/// Members of one object that are looked at. The same ones for any order: those with the shortest names.
const MOST_CANDIDATES: usize = 3;
/// Members named so in one object; with more of them (the same name again and again) it is not counted.
const MOST_IN_OBJECT: usize = 8;
/// What one candidate is charged. Most have three to five words, some have none left.
const CHARGE: u32 = 240;

/// The candidates of the objects at one position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Discriminators {
    /// Sorted by the length of the name, then the name.
    candidates: Vec<Candidate>,
}

/// A member that may decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub name: Name,
    /// Sorted; `None` once it is known to decide nothing.
    pub words: Option<Vec<Word>>,
}

/// One of its words.
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

/// Whether a member's name is like those of discriminators: four of five discriminators in published descriptions are named so.
#[inline]
pub(crate) fn is_candidate(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = |end: &[u8]| {
        bytes
            .len()
            .checked_sub(end.len())
            .and_then(|at| bytes.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    match bytes.last() {
        Some(b'e' | b'E') => bytes.len() <= LONGEST_WORD && (ends(b"type") || ends(b"typename")),
        Some(b'd' | b'D') => bytes.len() <= LONGEST_WORD && ends(b"kind"),
        Some(b't') => name == "object" || name == "event",
        Some(b's') => name == "class" || name == "@class",
        Some(b'y') => name == "category",
        Some(b'r') => name == "discriminator",
        _ => false,
    }
}

/// The bits of `members` slots; none when there are too many.
fn bits(members: usize) -> Option<u64> {
    match members {
        MOST_MEMBERS => Some(u64::MAX),
        n if n < MOST_MEMBERS => Some((1 << n) - 1),
        _ => None,
    }
}

/// Makes room for a slot.
pub(crate) fn shift(bits: u64, at: usize) -> u64 {
    if at >= MOST_MEMBERS {
        return bits;
    }
    let low = bits & ((1 << at) - 1);
    low | (bits & !low) << 1
}

/// Whether a slot's bit is set.
pub(crate) fn has(bits: u64, at: usize) -> bool {
    at < MOST_MEMBERS && bits >> at & 1 == 1
}

fn order(name: &str) -> (usize, &str) {
    (name.len(), name)
}

impl Discriminators {
    /// Learns one whole object of `members` slots: its candidates with their words, and the bits of what it had.
    pub(crate) fn learn(
        &mut self,
        seen: &[(Cow<'_, str>, Cow<'_, str>)],
        present: u64,
        members: usize,
    ) {
        for (at, (name, word)) in seen.iter().enumerate() {
            let Some(candidate) = self.candidate(name) else {
                continue;
            };
            let again = |later: &[(Cow<'_, str>, _)]| later.iter().any(|(n, _)| n == name);
            // Not counted means that the counts no longer add up to all objects.
            if seen.len() > MOST_IN_OBJECT || seen.get(at + 1..).is_some_and(again) {
                continue;
            }
            match bits(members) {
                Some(all) => candidate.count(word, 1, present & all, all & !present),
                None => candidate.words = None,
            }
        }
    }

    fn candidate(&mut self, name: &str) -> Option<&mut Candidate> {
        let found = self
            .candidates
            .binary_search_by(|c| order(c.name.as_str()).cmp(&order(name)));
        let at = match found {
            Ok(at) => at,
            Err(at) if at < MOST_CANDIDATES => {
                self.candidates.insert(
                    at,
                    Candidate {
                        name: name.into(),
                        words: Some(Vec::new()),
                    },
                );
                self.candidates.truncate(MOST_CANDIDATES);
                at
            }
            Err(_) => return None,
        };
        self.candidates.get_mut(at)
    }

    /// A member got the slot `at`: whatever was counted did without it.
    pub(crate) fn insert(&mut self, at: usize) {
        self.each(|word| {
            word.present = shift(word.present, at);
            word.absent = shift(word.absent, at);
            if at < MOST_MEMBERS {
                word.absent |= 1 << at;
            }
        });
    }

    /// Moves every bit to where the names stand now; `slots` holds for each slot where it stood before, if it was there.
    pub(crate) fn place(&mut self, slots: &[Option<usize>]) {
        if slots.len() > MOST_MEMBERS {
            return self.give_up();
        }
        self.each(|word| {
            let (mut present, mut absent) = (0, 0);
            for (at, before) in slots.iter().enumerate() {
                let was = |bits| before.is_some_and(|b| has(bits, b));
                present |= u64::from(was(word.present)) << at;
                absent |= u64::from(before.is_none() || was(word.absent)) << at;
            }
            (word.present, word.absent) = (present, absent);
        });
    }

    fn each(&mut self, mut change: impl FnMut(&mut Word)) {
        self.candidates
            .iter_mut()
            .filter_map(|c| c.words.as_mut())
            .flatten()
            .for_each(&mut change);
    }

    /// Slots no longer mean what they meant: nothing is known any more.
    pub(crate) fn give_up(&mut self) {
        self.candidates.iter_mut().for_each(|c| c.words = None);
    }

    /// Adds what was counted over the same slots elsewhere.
    pub(crate) fn merge(&mut self, other: Discriminators) {
        for theirs in other.candidates {
            let Some(mine) = self.candidate(theirs.name.as_str()) else {
                continue;
            };
            match theirs.words {
                None => mine.words = None,
                Some(words) => words
                    .iter()
                    .for_each(|w| mine.count(w.text.as_str(), w.count, w.present, w.absent)),
            }
        }
    }

    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Never falls.
    pub(crate) fn charge(&self) -> u32 {
        size_of::<Discriminators>() as u32 + self.candidates.len() as u32 * CHARGE
    }

    pub(crate) fn heap(&self) -> usize {
        let words = |c: &Candidate| {
            c.words.as_ref().map_or(0, |words| {
                words.capacity() * size_of::<Word>()
                    + words.iter().map(|w| w.text.heap()).sum::<usize>()
            })
        };
        self.candidates.capacity() * size_of::<Candidate>()
            + self
                .candidates
                .iter()
                .map(|c| c.name.heap() + words(c))
                .sum::<usize>()
    }
}

impl Candidate {
    fn count(&mut self, word: &str, count: u64, present: u64, absent: u64) {
        let Some(words) = &mut self.words else { return };
        match words.binary_search_by(|w| w.text.as_str().cmp(word)) {
            Ok(at) => {
                if let Some(known) = words.get_mut(at) {
                    known.count = known.count.saturating_add(count);
                    known.present |= present;
                    known.absent |= absent;
                }
            }
            Err(at) if words.len() < MOST_WORDS && is_word(word) => {
                words.reserve_exact(1);
                words.insert(
                    at,
                    Word {
                        text: word.into(),
                        count,
                        present,
                        absent,
                    },
                );
            }
            Err(_) => self.words = None,
        }
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
            ("", false),
        ] {
            assert_eq!(is_candidate(name), expected, "{name}");
        }
    }

    #[test]
    fn bits_follow_their_members() {
        let seen =
            |name: &'static str, word: &'static str| vec![(Cow::from(name), Cow::from(word))];
        let mut d = Discriminators::default();
        // Slots: size, type.
        d.learn(&seen("type", "a"), 0b11, 2);
        d.learn(&seen("type", "b"), 0b10, 2);
        // A member before both: neither word had it.
        d.insert(0);
        d.learn(&seen("type", "b"), 0b101, 3);
        let word = |text: &str, count, present, absent| Word {
            text: text.into(),
            count,
            present,
            absent,
        };
        let expected = vec![word("a", 1, 0b110, 0b001), word("b", 2, 0b101, 0b011)];
        assert_eq!(d.candidates()[0].words, Some(expected));
        let charged = d.charge();
        (0..20).for_each(|n| d.learn(&[("type".into(), format!("w{n}").into())], 0, 3));
        assert_eq!(d.candidates()[0].words, None);
        assert_eq!(d.charge(), charged);
    }
}
