//! What the rules of a media type say of its bodies beside their shape: namespaces of elements, media types of parts.
//!
//! In: short texts, whose meaning is their kind's own (each module that makes them also reads them). Out: which there were. Bounded,
//! merged without order, and empty for JSON, which needs none.

use crate::bounded::{Bound, Count, Thinned};
use crate::shape::{OPAQUE, Scale};
use serde::{Deserialize, Serialize};

/// Notes on the bodies of one media type.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notes(Option<Box<Thinned<Count>>>);

fn bound(scale: Scale) -> Bound {
    if scale >= OPAQUE {
        Bound {
            charge: 0,
            entries: 0,
        }
    } else {
        Bound {
            charge: (16 * 1024) >> scale,
            entries: 128 >> scale,
        }
    }
}

impl Notes {
    pub(crate) fn add(&mut self, note: &str, scale: Scale) {
        self.0.get_or_insert_default().count(note, bound(scale));
    }

    pub(crate) fn merge(&mut self, other: Notes) {
        match (&mut self.0, other.0) {
            (Some(mine), Some(more)) => mine.merge(*more),
            (mine @ None, more) => *mine = more,
            _ => {}
        }
    }

    pub(crate) fn fit(&mut self, scale: Scale) {
        if let Some(all) = &mut self.0 {
            all.fit(bound(scale));
        }
    }

    pub(crate) fn charge(&self) -> u32 {
        let all = |all: &Thinned<Count>| size_of::<Thinned<Count>>() as u32 + all.charge();
        self.0.as_deref().map_or(0, all)
    }

    pub(crate) fn heap(&self) -> usize {
        let all = |all: &Thinned<Count>| size_of::<Thinned<Count>>() + all.heap();
        self.0.as_deref().map_or(0, all)
    }

    /// All of them, sorted, unless some were thinned out: then nothing can be said of what there was not.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.counted().map(|(note, _)| note)
    }

    /// The same, with how often each was made.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0
            .iter()
            .filter(|all| !all.is_thinned() && all.rest().is_none())
            .flat_map(|all| all.iter().map(|(note, count)| (note, count.0)))
    }
}
