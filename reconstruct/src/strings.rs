//! What the texts at one position have in common.
//!
//! In: texts. Out: the formats all of them satisfy and, while it stays small, the vocabulary with counts. Everything else
//! is forgotten at once; a text that is no word (an id, a sentence) opens the vocabulary for good.

use crate::bounded::Entry;
use crate::class::Class;
use crate::format::{self, Formats};
use crate::words::Words;
use serde::{Deserialize, Serialize};

/// Texts seen at one position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Strings {
    pub count: u64,
    /// Formats every text satisfied.
    pub formats: Formats,
    /// Whether any text was empty.
    pub empty: u64,
    /// `None` once there were too many or one that is no word.
    vocabulary: Option<Words>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings {
            count: 0,
            formats: format::ANY,
            empty: 0,
            vocabulary: Some(Words::default()),
        }
    }
}

impl Strings {
    const MOST_WORDS: usize = 32;
    const MOST_BYTES: usize = 512;
    const LONGEST_WORD: usize = 40;

    /// An empty text says nothing about formats and words; what is written allows for it.
    pub(crate) fn learn(&mut self, text: &str) {
        self.count += 1;
        if text.is_empty() {
            self.empty += 1;
            return;
        }
        if self.formats != 0 {
            self.formats = format::satisfied(text, self.formats);
        }
        self.word(text, 1);
    }

    /// A text of a known format that is not looked at (a file).
    pub(crate) fn learn_opaque(&mut self, formats: Formats) {
        // A file's bit is not among those a text can be tried for: only files keep it.
        self.formats = if self.count == 0 {
            formats
        } else {
            self.formats & formats
        };
        self.count += 1;
        self.vocabulary = None;
    }

    /// The words, while there are few and nothing but words.
    pub(crate) fn vocabulary(&self) -> Option<impl Iterator<Item = &str> + Clone> {
        self.vocabulary.as_ref().map(|v| v.iter().map(|(w, _)| w))
    }

    /// How many different texts there were, as far as that is known.
    pub(crate) fn distinct(&self) -> u64 {
        self.vocabulary
            .as_ref()
            .map_or(self.count, |v| v.len() as u64)
    }

    fn word(&mut self, text: &str, count: u64) {
        let Some(words) = &mut self.vocabulary else {
            return;
        };
        if words.count(text, count) {
            return;
        }
        if is_word(text)
            && words.len() < Self::MOST_WORDS
            && words.text_bytes() + text.len() + (words.len() + 1) * 16 <= Self::MOST_BYTES
        {
            words.insert(text, count);
        } else {
            self.vocabulary = None;
        }
    }

    /// The words, when it is likely that there are no others: each recurred, hardly one was seen once only
    /// (Good–Turing: the share of texts seen once estimates the chance that the next one is new).
    pub(crate) fn closed_vocabulary(&self) -> Option<Vec<&str>> {
        let words = self.vocabulary.as_ref()?;
        let (n, k) = (words.iter().map(|w| w.1).sum::<u64>(), words.len() as u64);
        let once = words.iter().filter(|w| w.1 == 1).count() as u64;
        (k >= 2 && n >= 5 * k && once * 20 <= n && once <= 1)
            .then(|| words.iter().map(|(w, _)| w).collect())
    }
}

impl Entry for Strings {
    fn merge(&mut self, other: Strings) {
        // A position only files were seen at has no text formats and the other way round: the intersection is right for both.
        self.formats = if self.count == self.empty && other.count > other.empty {
            other.formats
        } else if other.count == other.empty {
            self.formats
        } else {
            self.formats & other.formats
        };
        self.count += other.count;
        self.empty += other.empty;
        match other.vocabulary {
            None => self.vocabulary = None,
            Some(words) => words.iter().for_each(|(w, n)| self.word(w, n)),
        }
    }

    fn charge(&self) -> u32 {
        // A closed vocabulary takes up to twice as much, and few of the strings of an API have one.
        120
    }

    fn heap(&self) -> usize {
        self.vocabulary.as_ref().map_or(0, Words::heap)
    }
}

/// Whether a text could be a member of an enumeration: a short name as programs have them.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.len() <= Strings::LONGEST_WORD
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b" _-.:/+()".contains(b))
        && bytes.iter().filter(|b| **b == b' ').count() <= 3
        && Class::of(&text.replace([' ', '/'], "_")).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(texts: &[&str], format: Option<&str>, words: Option<&[&str]>) {
        let mut s = Strings::default();
        texts.iter().for_each(|t| s.learn(t));
        assert_eq!(format::name(s.formats), format, "{texts:?}");
        assert_eq!(s.closed_vocabulary().as_deref(), words, "{texts:?}");
    }

    #[test]
    fn formats_are_what_all_texts_share() {
        check(&["2024-01-01", "2024-01-02"], Some("date"), None);
        check(&["2024-01-01", "soon"], None, None);
    }

    #[test]
    fn only_recurring_words_are_a_vocabulary() {
        let many: Vec<&str> = ["open", "closed"]
            .iter()
            .cycle()
            .take(12)
            .copied()
            .collect();
        check(&many, None, Some(&["closed", "open"]));
        check(&["open", "closed"], None, None);
        let mut with_id = many.clone();
        with_id.push("5f2b9a647c1d4e8b9a550c8e");
        check(&with_id, None, None);
    }

    proptest! {
        #[test]
        fn order_and_partition_do_not_matter(texts in proptest::collection::vec("(2024-01-0[1-9]|[a-c]{1,2}|[0-9]{1,3}|)", 0..50), cut in 0usize..50) {
            let cut = cut.min(texts.len());
            let (mut one, mut a, mut b) = (Strings::default(), Strings::default(), Strings::default());
            texts.iter().for_each(|t| one.learn(t));
            texts.iter().skip(cut).for_each(|t| a.learn(t));
            texts.iter().take(cut).rev().for_each(|t| b.learn(t));
            a.merge(b);
            prop_assert_eq!(one, a);
        }
    }
}
