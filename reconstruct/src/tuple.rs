//! Arrays whose length never varies and whose positions are of different kinds.
//!
//! In: the lengths of the arrays at one place, and what stood at each position. Out: the kinds and formats of each position. It
//! keeps no value, and gives up for good at the first array of another length or that begins with an object or an array: a list
//! of those is no tuple, and costs a look at a flag from then on.

use crate::format::{self, Formats};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Shorter arrays are lists that happen to hold one value.
const SHORTEST: usize = 2;
/// Longer arrays are vectors and tables.
const LONGEST: usize = 8;
/// Arrays seen. A list of up to eight values has the same length in eight arrays with a chance below 1 in 100 unless it is fixed.
const LEAST: u8 = 8;

/// What the arrays at one place say about their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tuples {
    /// There was none, or only empty ones that were cut off.
    #[default]
    Unseen,
    Fixed(Box<Tuple>),
    /// They are no tuples.
    Never,
}

/// Arrays of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tuple {
    /// How many were whole, up to [`LEAST`].
    whole: u8,
    /// Their length; 0 while there was none.
    length: u8,
    /// The most values of an array that was cut off.
    cut: u8,
    positions: [Position; LONGEST],
}

/// A position of a tuple.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Kinds of values, as bits.
    pub kinds: u8,
    /// Named formats that not all texts have.
    lacking: u16,
}

pub(crate) const NULL: u8 = 1;
pub(crate) const BOOLEAN: u8 = 1 << 1;
pub(crate) const INTEGER: u8 = 1 << 2;
/// An integer beyond 32 bits.
pub(crate) const WIDE: u8 = 1 << 3;
pub(crate) const NUMBER: u8 = 1 << 4;
pub(crate) const STRING: u8 = 1 << 5;
pub(crate) const ARRAY: u8 = 1 << 6;
pub(crate) const OBJECT: u8 = 1 << 7;

/// The formats a schema can name.
const NAMED: Formats = (1 << 10) - 1;

impl Tuples {
    /// Whether another array may tell something.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self, Tuples::Never)
    }

    /// Learns one array: the kind of each value, as a bit, and its text if it is one. `whole` says that it was not cut off.
    pub(crate) fn learn<'t>(
        &mut self,
        whole: bool,
        mut values: impl Iterator<Item = (u8, Option<Cow<'t, str>>)>,
    ) {
        let Some(first) = values.next() else {
            if whole {
                *self = Tuples::Never;
            }
            return;
        };
        if first.0 & (ARRAY | OBJECT) != 0 {
            *self = Tuples::Never;
            return;
        }
        if let Tuples::Unseen = self {
            *self = Tuples::Fixed(Box::default());
        }
        let Tuples::Fixed(tuple) = self else { return };
        let mut length = 0;
        for (kind, text) in std::iter::once(first).chain(values) {
            let Some(position) = tuple.positions.get_mut(length) else {
                *self = Tuples::Never;
                return;
            };
            position.learn(kind, text.as_deref());
            length += 1;
        }
        let length = length as u8;
        let fits = if whole {
            tuple.add(1, length, 0)
        } else {
            tuple.add(0, 0, length)
        };
        if !fits {
            *self = Tuples::Never;
        }
    }

    pub(crate) fn merge(&mut self, other: Tuples) {
        match (&mut *self, other) {
            (Tuples::Never, _) | (_, Tuples::Unseen) => {}
            (_, Tuples::Never) => *self = Tuples::Never,
            (Tuples::Unseen, other) => *self = other,
            (Tuples::Fixed(mine), Tuples::Fixed(more)) => {
                for (mine, more) in mine.positions.iter_mut().zip(&more.positions) {
                    mine.kinds |= more.kinds;
                    mine.lacking |= more.lacking;
                }
                if !mine.add(more.whole, more.length, more.cut) {
                    *self = Tuples::Never;
                }
            }
        }
    }

    /// The positions, if it is certain that these are tuples: each has one type, and not all the same type and format.
    pub(crate) fn positions(&self) -> Option<&[Position]> {
        let Tuples::Fixed(tuple) = self else {
            return None;
        };
        let positions = tuple.positions.get(..usize::from(tuple.length))?;
        let certain = positions.len() >= SHORTEST
            && tuple.whole >= LEAST
            && positions.iter().all(|p| p.types().count_ones() == 1)
            && positions
                .windows(2)
                .any(|w| matches!(w, [a, b] if a.says() != b.says()));
        certain.then_some(positions)
    }

    pub(crate) fn heap(&self) -> usize {
        match self {
            Tuples::Fixed(_) => size_of::<Tuple>(),
            _ => 0,
        }
    }
}

impl Tuple {
    /// The most that arrays at one place are charged for their positions.
    pub(crate) const CHARGE: u32 = size_of::<Tuple>() as u32;

    /// Counts arrays of a length, and the length of some that were cut off; whether they still are tuples.
    fn add(&mut self, whole: u8, length: u8, cut: u8) -> bool {
        let same = self.length == 0 || length == 0 || self.length == length;
        self.whole = self.whole.saturating_add(whole).min(LEAST);
        self.length = self.length.max(length);
        self.cut = self.cut.max(cut);
        same && (self.length == 0 || self.cut <= self.length)
    }
}

impl Position {
    fn learn(&mut self, kind: u8, text: Option<&str>) {
        self.kinds |= kind;
        let Some(text) = text else { return };
        let possible = self.formats();
        if possible != 0 {
            self.lacking |= (possible & !format::satisfied(text, possible)) as u16;
        }
    }

    /// The named formats that all texts have.
    pub(crate) fn formats(self) -> Formats {
        NAMED & !Formats::from(self.lacking)
    }

    /// The types of the values, as bits; numbers are one type with integers, which are numbers without a fraction by chance.
    fn types(self) -> u8 {
        match self.kinds & !NULL {
            numbers if numbers & (INTEGER | WIDE | NUMBER) != 0 => {
                numbers & !(INTEGER | WIDE) | NUMBER
            }
            other => other,
        }
    }

    /// What tells positions apart.
    fn says(self) -> (u8, Option<&'static str>) {
        let text = self.kinds & STRING != 0;
        (self.types(), format::name(self.formats()).filter(|_| text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Kinds by letter: n(ull), b(oolean), i(nteger), f(raction), o(bject), a(rray); anything else is a text.
    fn value(letter: &str) -> (u8, Option<Cow<'_, str>>) {
        let kind = match letter {
            "n" => NULL,
            "b" => BOOLEAN,
            "i" => INTEGER,
            "f" => NUMBER,
            "o" => OBJECT,
            "a" => ARRAY,
            text => return (STRING, Some(text.into())),
        };
        (kind, None)
    }

    fn learnt(arrays: &[(&str, bool)]) -> Tuples {
        let mut tuples = Tuples::default();
        for (array, whole) in arrays {
            tuples.learn(*whole, array.split_whitespace().map(value));
        }
        tuples
    }

    fn check(arrays: &[(&str, bool)], times: usize, expected: bool) {
        let tuples = learnt(&arrays.repeat(times));
        assert_eq!(tuples.positions().is_some(), expected, "{arrays:?}");
    }

    #[test]
    fn positions_of_different_kinds_make_a_tuple() {
        check(&[("i open f", true)], 8, true);
        check(&[("i open f", true)], 7, false);
        check(&[("i x", true), ("n y", true)], 8, true);
        check(&[("EVENT o", true)], 8, true);
        check(&[("2024-01-02 soon", true)], 8, true);
        check(&[("i open f", true), ("i op", false)], 8, true);
    }

    #[test]
    fn lists_are_no_tuples() {
        check(&[("f f", true)], 20, false);
        check(&[("i f", true)], 20, false);
        check(&[("a b c", true)], 20, false);
        check(&[("i x", true), ("x i", true)], 20, false);
        check(&[("i x", true), ("i x i", true)], 20, false);
        check(&[("i x", true), ("i x i", false)], 20, false);
        check(&[("i x", true), ("", true)], 20, false);
        check(&[("i", true)], 20, false);
        check(&[("n x", true)], 20, false);
        check(&[("o x", true)], 20, false);
        check(&[("i x i x i x i x i", true)], 20, false);
    }

    proptest! {
        #[test]
        fn order_and_partition_do_not_matter(
            arrays in proptest::collection::vec((prop_oneof![4 => "(i|n) (open|2024-01-02) f", 1 => "(i|f|x|o|) ?(x|n|b)? ?(i|o)?"], prop::bool::weighted(0.9)), 0..20),
            cut in 0usize..20,
        ) {
            let arrays: Vec<(&str, bool)> = arrays.iter().map(|(a, w)| (a.as_str(), *w)).collect();
            let (left, right) = arrays.split_at(cut.min(arrays.len()));
            let mut parts = learnt(&right.iter().rev().copied().collect::<Vec<_>>());
            parts.merge(learnt(left));
            prop_assert_eq!(parts, learnt(&arrays));
        }
    }
}
