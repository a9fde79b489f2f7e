//! The shape of the JSON values (and forms) seen at one position, bounded.
//!
//! In: values, by [`crate::json`] and [`crate::body`]. Out: which types occurred, which members with which shapes, how often.
//! It keeps no value but small vocabularies of words. Shapes merge; the order of what came in does not matter.

use crate::bounded::{Bound, Entry, Slot, Thinned};
use crate::class;
use crate::strings::Strings;
use serde::{Deserialize, Serialize};

/// Deeper values are known to be there and not looked at.
pub(crate) const DEEPEST: usize = 24;

/// Halvings of every bound below one operation; from [`OPAQUE`] on no shapes are kept at all.
pub(crate) type Scale = u8;
pub(crate) const OPAQUE: Scale = 3;

/// What one position of a body was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub nulls: u32,
    pub booleans: u32,
    pub integers: u32,
    /// Numbers with a fraction or an exponent.
    pub numbers: u32,
    /// Whether an integer left the range of 32 bits.
    pub wide: bool,
    /// Values deeper than [`DEEPEST`], or not kept to stay in a bound: anything may be here.
    pub unknown: u32,
    pub strings: Option<Box<Strings>>,
    pub arrays: Option<Box<Arrays>>,
    pub objects: Option<Box<Objects>>,
}

/// Arrays at one position.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arrays {
    pub count: u64,
    pub items: Shape,
}

/// Objects at one position.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Objects {
    /// All of them.
    pub count: u32,
    /// Those in bodies that were captured whole; only they tell what is required.
    pub complete: u32,
    pub members: Thinned<Property>,
}

/// One member of objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Property {
    /// In how many complete objects it was.
    pub present: u32,
    /// The number of the object that counted last: a name twice in one object counts once.
    #[serde(skip)]
    pub last: u32,
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
        self.nulls = self.nulls.saturating_add(other.nulls);
        self.booleans = self.booleans.saturating_add(other.booleans);
        self.integers = self.integers.saturating_add(other.integers);
        self.numbers = self.numbers.saturating_add(other.numbers);
        self.wide |= other.wide;
        self.unknown = self.unknown.saturating_add(other.unknown);
        match (&mut self.strings, other.strings) {
            (Some(mine), Some(more)) => mine.merge(*more),
            (mine @ None, more) => *mine = more,
            _ => {}
        }
        match (&mut self.arrays, other.arrays) {
            (Some(mine), Some(more)) => {
                mine.count += more.count;
                mine.items.merge(more.items);
            }
            (mine @ None, more) => *mine = more,
            _ => {}
        }
        match (&mut self.objects, other.objects) {
            (Some(mine), Some(more)) => {
                mine.count = mine.count.saturating_add(more.count);
                mine.complete = mine.complete.saturating_add(more.complete);
                mine.members.merge(more.members);
            }
            (mine @ None, more) => *mine = more,
            _ => {}
        }
    }

    /// Fits a shape that was learnt under a wider bound into this one.
    pub(crate) fn fit(&mut self, depth: usize, scale: Scale) {
        if scale >= OPAQUE {
            *self = Shape {
                unknown: self.seen().min(u64::from(u32::MAX)) as u32,
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
            .map_or(0, |a| size_of::<Arrays>() as u32 + a.items.charge());
        let objects = self
            .objects
            .as_ref()
            .map_or(0, |o| size_of::<Objects>() as u32 + o.members.charge());
        strings + arrays + objects
    }

    pub(crate) fn heap(&self) -> usize {
        let strings = self
            .strings
            .as_ref()
            .map_or(0, |s| size_of::<Strings>() + s.heap());
        let arrays = self
            .arrays
            .as_ref()
            .map_or(0, |a| size_of::<Arrays>() + a.items.heap());
        let objects = self
            .objects
            .as_ref()
            .map_or(0, |o| size_of::<Objects>() + o.members.heap());
        strings + arrays + objects
    }

    /// Learns a form's field or another text that stands for a member of an object.
    pub(crate) fn text(&mut self, learn: impl FnOnce(&mut Strings)) {
        learn(self.strings.get_or_insert_default());
    }
}

impl Objects {
    /// Starts an object; its number tells [`Objects::member`] one object's names from the next one's.
    pub(crate) fn open(&mut self, sure: bool) -> u32 {
        self.count = self.count.saturating_add(1);
        self.complete = self.complete.saturating_add(u32::from(sure));
        self.count
    }

    /// Learns one member by `learn`, and returns what that returned.
    pub(crate) fn member<T>(
        &mut self,
        name: &str,
        object: u32,
        sure: bool,
        at: (usize, Scale),
        learn: impl FnOnce(&mut Shape) -> T,
    ) -> T {
        let bound = bound(at.0, at.1);
        let slot = if class::is_data(name) {
            self.members.rest_slot()
        } else {
            self.members.slot(name, bound)
        };
        let property = self.members.at(slot);
        if sure && property.last != object && slot != Slot::Rest {
            property.last = object;
            property.present = property.present.saturating_add(1);
        }
        let before = property.charge();
        let result = learn(&mut property.shape);
        self.members.settle(slot, before, bound);
        result
    }
}

impl Entry for Property {
    fn merge(&mut self, other: Property) {
        self.present = self.present.saturating_add(other.present);
        // Both counts of objects are below their sum, which the next object's number exceeds.
        self.last = 0;
        self.shape.merge(other.shape);
    }

    fn charge(&self) -> u32 {
        self.shape.charge()
    }

    fn heap(&self) -> usize {
        self.shape.heap()
    }
}
