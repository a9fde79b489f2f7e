//! The shape of the JSON values (and forms) seen at one position, bounded.
//!
//! In: values, by [`crate::json`] and [`crate::body`]. Out: which types occurred, which members with which shapes, how often.
//! It keeps no value but small vocabularies of words. Shapes merge; the order of what came in does not matter.

use crate::bounded::{Bound, Entry, Slot, Thinned};
use crate::discriminator::{self, Discriminators, Noted};
use crate::keys;
use crate::name::Name;
use crate::strings::Strings;
use crate::tuple::{Tuple, Tuples};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Deeper values are known to be there and not looked at.
pub(crate) const DEEPEST: usize = 24;

/// Halvings of every bound below one operation; from [`OPAQUE`] on no shapes are kept at all.
pub(crate) type Scale = u8;
pub(crate) const OPAQUE: Scale = 3;

/// How often something was seen, up to [`MOST`]: whether it was is all that counts, and every position has five.
pub(crate) type Tally = u8;
/// Two of them can still be added up.
const MOST: Tally = 100;

/// Adds up to [`MOST`].
pub(crate) fn tally(a: Tally, b: Tally) -> Tally {
    a.saturating_add(b).min(MOST)
}

/// What one position of a body was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub nulls: Tally,
    pub booleans: Tally,
    pub integers: Tally,
    /// Numbers with a fraction or an exponent.
    pub numbers: Tally,
    /// Values deeper than [`DEEPEST`], or not kept to stay in a bound: anything may be here.
    pub unknown: Tally,
    /// Whether an integer left the range of 32 bits.
    pub wide: bool,
    pub strings: Option<Box<Strings>>,
    pub arrays: Option<Box<Arrays>>,
    pub objects: Option<Box<Objects>>,
}

/// Arrays at one position.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arrays {
    pub count: u64,
    pub items: Shape,
    /// What each position holds, while the length never varies.
    pub tuples: Tuples,
}

impl Arrays {
    /// What is charged beside the items: for the positions as well, which are given up when they are of no use any more.
    const CHARGE: u32 = size_of::<Arrays>() as u32 + Tuple::CHARGE;
}

/// Objects at one position.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Objects {
    /// All of them.
    pub count: u32,
    /// Those in bodies that were captured whole; only they tell what is required.
    pub complete: u32,
    /// Only while a document is written: these are objects like the one so many objects further out. 0 is none.
    #[serde(skip)]
    pub up: u8,
    pub members: Thinned<Property>,
    /// What members named like a discriminator decide, if there are any.
    pub discriminators: Option<Box<Discriminators>>,
    /// Where the member that came first stood last time.
    #[serde(skip)]
    first: u16,
}

/// An object whose members are being learnt.
#[derive(Debug)]
pub(crate) struct Open {
    /// Tells this object's names from the next one's.
    number: u32,
    sure: bool,
    bound: Bound,
    /// By slot, the members whose words are wanted.
    wanted: u64,
    noted: Noted,
    /// The slot of the member before.
    last: Option<usize>,
}

/// One member of objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Property {
    /// In how many complete objects it was.
    pub present: u32,
    /// The number of the object that counted last: a name twice in one object counts once.
    #[serde(skip)]
    pub last: u32,
    /// Where the member that came next stood last time: only a guess, so that it need not be searched for.
    #[serde(skip)]
    next: u16,
    pub shape: Shape,
}

/// The bound of an object's members at this depth. Falls with depth so that an object always has room for one below.
pub(crate) fn bound(depth: usize, scale: Scale) -> Bound {
    let share = (0..depth).fold(f64::from((256 * 1024) >> scale), |room, _| room * 0.75);
    let floor = 512 * (DEEPEST.saturating_sub(depth) as u32 + 1);
    Bound {
        charge: (share as u32).max(floor),
        entries: 256 >> scale,
    }
}

impl Shape {
    /// How many values were seen.
    pub(crate) fn seen(&self) -> u64 {
        let containers = self.arrays.as_ref().map_or(0, |a| a.count)
            + self.objects.as_ref().map_or(0, |o| u64::from(o.count));
        [
            self.nulls,
            self.booleans,
            self.integers,
            self.numbers,
            self.unknown,
        ]
        .iter()
        .map(|n| u64::from(*n))
        .sum::<u64>()
            + self.strings.as_ref().map_or(0, |s| s.count)
            + containers
    }

    pub(crate) fn merge(&mut self, other: Shape) {
        self.nulls = tally(self.nulls, other.nulls);
        self.booleans = tally(self.booleans, other.booleans);
        self.integers = tally(self.integers, other.integers);
        self.numbers = tally(self.numbers, other.numbers);
        self.wide |= other.wide;
        self.unknown = tally(self.unknown, other.unknown);
        match (&mut self.strings, other.strings) {
            (Some(mine), Some(more)) => mine.merge(*more),
            (mine @ None, more) => *mine = more,
            _ => {}
        }
        match (&mut self.arrays, other.arrays) {
            (Some(mine), Some(more)) => {
                mine.count += more.count;
                mine.items.merge(more.items);
                mine.tuples.merge(more.tuples);
            }
            (mine @ None, more) => *mine = more,
            _ => {}
        }
        match (&mut self.objects, other.objects) {
            (Some(mine), Some(more)) => mine.merge(*more),
            (mine @ None, more) => *mine = more,
            _ => {}
        }
    }

    /// Fits a shape that was learnt under a wider bound into this one.
    pub(crate) fn fit(&mut self, depth: usize, scale: Scale) {
        if scale >= OPAQUE {
            *self = Shape {
                unknown: self.seen().min(u64::from(MOST)) as Tally,
                ..Shape::default()
            };
            return;
        }
        if let Some(arrays) = &mut self.arrays {
            arrays.items.fit(depth + 1, scale);
        }
        if let Some(objects) = &mut self.objects {
            objects
                .members
                .adjust(bound(depth, scale), |p| p.shape.fit(depth + 1, scale));
            objects.check();
        }
    }

    pub(crate) fn charge(&self) -> u32 {
        let strings = self
            .strings
            .as_ref()
            .map_or(0, |s| size_of::<Strings>() as u32 + s.charge());
        let arrays = self
            .arrays
            .as_ref()
            .map_or(0, |a| Arrays::CHARGE + a.items.charge());
        let objects = self
            .objects
            .as_ref()
            .map_or(0, |o| size_of::<Objects>() as u32 + o.charge());
        strings + arrays + objects
    }

    pub(crate) fn heap(&self) -> usize {
        let strings = self
            .strings
            .as_ref()
            .map_or(0, |s| size_of::<Strings>() + s.heap());
        let arrays = self.arrays.as_ref().map_or(0, |a| {
            size_of::<Arrays>() + a.items.heap() + a.tuples.heap()
        });
        let objects = self
            .objects
            .as_ref()
            .map_or(0, |o| size_of::<Objects>() + o.heap());
        strings + arrays + objects
    }

    /// Learns a text; returns by how much the charge grew.
    pub(crate) fn text(&mut self, learn: impl FnOnce(&mut Strings)) -> u32 {
        let charged = |s: &Strings| size_of::<Strings>() as u32 + s.charge();
        let before = self.strings.as_deref().map_or(0, charged);
        let strings = self.strings.get_or_insert_default();
        learn(strings);
        charged(strings).saturating_sub(before)
    }

    /// What is known of arrays here, and by how much the charge grew if that is new.
    pub(crate) fn array(&mut self) -> (&mut Arrays, u32) {
        let grown = if self.arrays.is_none() {
            Arrays::CHARGE
        } else {
            0
        };
        (self.arrays.get_or_insert_default(), grown)
    }

    /// What is known of objects here, and by how much the charge grew if that is new.
    pub(crate) fn object(&mut self) -> (&mut Objects, u32) {
        let grown = if self.objects.is_none() {
            size_of::<Objects>() as u32
        } else {
            0
        };
        (self.objects.get_or_insert_default(), grown)
    }

    /// Changes it by `learn`; returns by how much the charge grew.
    pub(crate) fn grown(&mut self, learn: impl FnOnce(&mut Shape)) -> u32 {
        let before = self.charge();
        learn(self);
        self.charge().saturating_sub(before)
    }
}

impl Objects {
    /// Starts an object at a depth.
    pub(crate) fn open(&mut self, sure: bool, depth: usize, scale: Scale) -> Open {
        self.count = self.count.saturating_add(1);
        self.complete = self.complete.saturating_add(u32::from(sure));
        Open {
            number: self.count,
            sure,
            bound: bound(depth, scale),
            wanted: self.wanted(sure),
            noted: Noted::default(),
            last: None,
        }
    }

    /// By slot, the members whose words are wanted of the next object.
    fn wanted(&self, sure: bool) -> u64 {
        let live = self.discriminators.as_ref().map_or(0, |d| d.live());
        if sure { live } else { 0 }
    }

    /// Ends an object; `text` is what stands at a place that was given to [`Objects::member`], if it is a text.
    pub(crate) fn close<'t>(&mut self, open: &Open, text: impl Fn(u32) -> Option<Cow<'t, str>>) {
        if open.noted.is_empty() {
            return;
        }
        self.check();
        let Some(discriminators) = &mut self.discriminators else {
            return;
        };
        let here = |(at, (_, p)): (usize, (_, &Property))| match p.last == open.number {
            true => discriminator::bit(at),
            false => 0,
        };
        let members = self.members.len();
        let present = self.members.iter().enumerate().map(here).sum();
        for (slot, value) in open.noted.values() {
            if let Some(word) = text(value) {
                discriminators.learn(slot, &word, present, members);
            }
        }
    }

    /// Whether a slot tells which member it is, and there is a bit for each.
    fn has_bits(&self) -> bool {
        !self.members.is_thinned() && self.members.len() <= discriminator::MOST_MEMBERS
    }

    /// Without bits nothing can be counted, and never again.
    fn check(&mut self) {
        if !self.has_bits() {
            self.discriminators = None;
        }
    }

    fn merge(&mut self, other: Objects) {
        self.count = self.count.saturating_add(other.count);
        self.complete = self.complete.saturating_add(other.complete);
        self.up = self.up.max(other.up);
        let known = self.discriminators.is_some() || other.discriminators.is_some();
        let names = |members: &Thinned<Property>| -> Vec<Name> {
            let all = members.iter().map(|(n, _)| n.into());
            if known { all.collect() } else { Vec::new() }
        };
        let (mine, theirs) = (names(&self.members), names(&other.members));
        let bits = self.has_bits() && other.has_bits();
        self.members.merge(other.members);
        if !known {
            return;
        }
        if !bits || !self.has_bits() {
            self.discriminators = None;
            return;
        }
        let slots = |before: &[Name]| -> Vec<Option<usize>> {
            let at = |name: &str| before.binary_search_by(|n| n.as_str().cmp(name)).ok();
            self.members.iter().map(|(name, _)| at(name)).collect()
        };
        let (mine, theirs) = (slots(&mine), slots(&theirs));
        let all = self.discriminators.get_or_insert_default();
        all.place(&mine);
        if let Some(mut more) = other.discriminators {
            more.place(&theirs);
            all.merge(*more);
        }
    }

    /// The charge of what is below.
    pub(crate) fn charge(&self) -> u32 {
        self.members.charge()
    }

    fn heap(&self) -> usize {
        let discriminators = self.discriminators.as_ref();
        self.members.heap() + discriminators.map_or(0, |d| size_of::<Discriminators>() + d.heap())
    }

    /// Whether every whole object had the member `name`.
    pub(crate) fn requires(&self, name: &str) -> bool {
        self.complete > 0
            && self
                .members
                .get(name)
                .is_some_and(|p| p.present == self.complete)
    }

    /// Learns one member by `learn`, which returns by how much it made the member's charge grow. Its value stands at `value`, which
    /// is remembered until [`Objects::close`] if that needs it.
    #[inline]
    pub(crate) fn member(
        &mut self,
        open: &mut Open,
        name: &str,
        value: u32,
        learn: impl FnOnce(&mut Shape) -> u32,
    ) {
        let held = self.members.held();
        let slot = self.slot(open, name);
        if let Slot::Own(at) = slot
            && discriminator::has(open.wanted, at)
        {
            open.noted.note(at, value);
        }
        let property = self.members.at(slot);
        if open.sure && property.last != open.number && slot != Slot::Rest {
            property.last = open.number;
            property.present = property.present.saturating_add(1);
        }
        let grown = learn(&mut property.shape);
        if grown > 0 || self.members.held() != held {
            self.members.grow(grown, open.bound);
        }
    }

    /// Members mostly come in the same order, some left out: the slot is guessed before it is searched for.
    fn slot(&mut self, open: &mut Open, name: &str) -> Slot {
        let mut guess = self.next(open.last);
        for _ in 0..2 {
            if self.members.is(guess, name) {
                open.last = Some(guess);
                return Slot::Own(guess);
            }
            guess = self.next(Some(guess));
        }
        if keys::is_data(name) {
            return self.members.rest_slot();
        }
        let members = self.members.len();
        let slot = self.members.slot(name, open.bound);
        if let Slot::Own(at) = slot {
            if self.members.len() > members {
                self.inserted(open, name, at);
            }
            let next = at.min(usize::from(u16::MAX)) as u16;
            match open.last {
                None => self.first = next,
                // What was made or thinned out since may have moved it; then the guess is for another.
                Some(last) => {
                    if let Some(before) = self.members.value_mut(last) {
                        before.next = next;
                    }
                }
            }
            open.last = Some(at);
        }
        slot
    }

    /// A member got the slot `at`.
    #[cold]
    fn inserted(&mut self, open: &mut Open, name: &str, at: usize) {
        let is_candidate = discriminator::is_candidate(name);
        if is_candidate {
            self.discriminators.get_or_insert_default();
        }
        self.check();
        if let Some(discriminators) = &mut self.discriminators {
            discriminators.insert(at, is_candidate);
            open.noted.insert(at);
            open.wanted = self.wanted(open.sure);
        }
    }

    /// The guess for what follows the member in slot `last`.
    fn next(&self, last: Option<usize>) -> usize {
        let next = match last {
            Some(at) => self.members.value(at).map_or(0, |p| p.next),
            None => self.first,
        };
        usize::from(next)
    }
}

impl Entry for Property {
    fn merge(&mut self, other: Property) {
        self.present = self.present.saturating_add(other.present);
        // Both counts of objects are below their sum, which the next object's number exceeds.
        self.last = 0;
        self.shape.merge(other.shape);
    }

    fn charge_of_key(name: &str) -> u32 {
        match discriminator::is_candidate(name) {
            true => discriminator::CHARGE,
            false => 0,
        }
    }

    fn charge(&self) -> u32 {
        self.shape.charge()
    }

    fn heap(&self) -> usize {
        self.shape.heap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::Seen;
    use crate::json;
    use proptest::prelude::*;

    fn learnt<'a>(bodies: impl IntoIterator<Item = &'a (String, bool)>) -> Shape {
        let mut shape = Shape::default();
        for (body, whole) in bodies {
            json::learn(&mut shape, body.as_bytes(), *whole, 0, &mut Seen::default());
        }
        shape
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => "[a-d]".prop_map(|word| format!("\"{word}\"")),
            1 => "[a-z]".prop_map(|word| format!("\"{word}\"")),
            1 => Just("\"\\u0061\"".to_owned()),
            1 => prop_oneof![Just("[1,\"a\"]"), Just("[\"b\",{}]"), Just("[]"), Just("null"), Just("7"), Just("\"no word\""), Just("\"\""), Just("{\"type\":\"x\"}")].prop_map(str::to_owned),
        ]
    }

    /// Objects with members named like a discriminator and others, some of them twice, now and then far too many.
    fn object() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            3 => Just("type"),
            2 => Just("kind"),
            1 => prop_oneof![Just("eventType"), Just("object"), Just("class"), Just("5f2b9a647c1d4e8b9a550c8e")],
            6 => prop_oneof![Just("a"), Just("l"), Just("m"), Just("x"), Just("zone")],
        ];
        let members = proptest::collection::vec((name, value()), 0..8);
        (members, prop::bool::weighted(0.02)).prop_map(|(members, many)| {
            let mut members: Vec<String> = members
                .into_iter()
                .map(|(n, v)| format!("\"{n}\":{v}"))
                .collect();
            if many {
                members.extend((0..70u8).map(|n| format!("\"m{}\":1", char::from(b'0' + n))));
            }
            format!("{{{}}}", members.join(","))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn order_and_partition_leave_the_same_shape(
            bodies in proptest::collection::vec((object(), prop::bool::weighted(0.95)), 0..60).prop_shuffle(),
            cut in 0usize..60,
            limit in 0u8..3,
        ) {
            let (left, right) = bodies.split_at(cut.min(bodies.len()));
            let mut whole = learnt(&bodies);
            let mut parts = learnt(right.iter().rev());
            let mut last = learnt(left);
            last.fit(0, limit);
            parts.merge(last);
            for shape in [&mut whole, &mut parts] {
                shape.fit(0, limit);
            }
            prop_assert_eq!(whole.charge(), parts.charge());
            prop_assert_eq!(postcard::to_stdvec(&whole).unwrap(), postcard::to_stdvec(&parts).unwrap());
        }
    }
}
