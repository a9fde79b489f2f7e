//! A few short texts with counts, packed into one piece of memory.
//!
//! In: texts. Out: the same texts, sorted, and how often each was seen. A model holds thousands of small vocabularies, and
//! most of what one took as a list of texts was the list. Its owner bounds it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Sorted texts: the length in a byte, the count in four, the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    packed: Box<[u8]>,
}

/// What stands before a text.
const HEAD: usize = 5;
/// The longest text.
const LONGEST: usize = 255;

impl Words {
    /// Where `text` stands, or where it would.
    fn find(&self, text: &str) -> Result<usize, usize> {
        let mut at = 0;
        while let Some(word) = self.word(at) {
            match word.cmp(text.as_bytes()) {
                std::cmp::Ordering::Less => at += HEAD + word.len(),
                std::cmp::Ordering::Equal => return Ok(at),
                std::cmp::Ordering::Greater => return Err(at),
            }
        }
        Err(at)
    }

    fn word(&self, at: usize) -> Option<&[u8]> {
        let length = usize::from(*self.packed.get(at)?);
        self.packed.get(at + HEAD..at + HEAD + length)
    }

    fn count_at(&self, at: usize) -> u32 {
        self.packed
            .get(at + 1..)
            .and_then(<[u8]>::first_chunk::<4>)
            .map_or(0, |b| u32::from_le_bytes(*b))
    }

    /// Counts `text`, if it is there.
    pub(crate) fn count(&mut self, text: &str, count: u64) -> bool {
        let Ok(at) = self.find(text) else {
            return false;
        };
        let sum = u64::from(self.count_at(at)).saturating_add(count);
        let sum = u32::try_from(sum).unwrap_or(u32::MAX);
        if let Some(place) = self.packed.get_mut(at + 1..at + HEAD) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        true
    }

    /// Adds `text`, if it is new and no longer than 255 bytes.
    pub(crate) fn insert(&mut self, text: &str, count: u64) {
        let (Err(at), Ok(length)) = (self.find(text), u8::try_from(text.len().min(LONGEST + 1)))
        else {
            return;
        };
        let mut packed = Vec::with_capacity(self.packed.len() + HEAD + text.len());
        let (before, after) = self.packed.split_at(at.min(self.packed.len()));
        packed.extend_from_slice(before);
        packed.push(length);
        packed.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        packed.extend_from_slice(text.as_bytes());
        packed.extend_from_slice(after);
        self.packed = packed.into_boxed_slice();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> + Clone {
        let mut at = 0;
        std::iter::from_fn(move || {
            let word = self.word(at)?;
            let count = self.count_at(at);
            at += HEAD + word.len();
            Some((std::str::from_utf8(word).unwrap_or(""), u64::from(count)))
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Bytes of all texts together.
    pub(crate) fn text_bytes(&self) -> usize {
        self.packed.len() - self.len() * HEAD
    }

    pub(crate) fn heap(&self) -> usize {
        self.packed.len()
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        let mut words = Words::default();
        for (text, count) in Vec::<(Box<str>, u64)>::deserialize(deserializer)? {
            words.insert(&text, count);
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn they_are_a_sorted_map(texts in proptest::collection::vec("[a-cé]{0,3}", 0..40)) {
            let (mut words, mut map) = (Words::default(), BTreeMap::<String, u64>::new());
            for text in &texts {
                *map.entry(text.clone()).or_default() += 1;
                if !words.count(text, 1) {
                    words.insert(text, 1);
                }
            }
            let expected: Vec<(&str, u64)> = map.iter().map(|(t, n)| (t.as_str(), *n)).collect();
            prop_assert_eq!(words.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(words.text_bytes(), map.keys().map(String::len).sum::<usize>());
            let bytes = postcard::to_stdvec(&words).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Words>(&bytes).unwrap(), words);
        }
    }

    #[test]
    fn counts_end_at_what_they_can_hold() {
        let mut words = Words::default();
        words.insert("a", u64::MAX);
        words.count("a", 1);
        words.insert(&"b".repeat(256), 1);
        assert_eq!(
            words.iter().collect::<Vec<_>>(),
            [("a", u64::from(u32::MAX))]
        );
    }
}
