//! Parts of templates below some nodes, gathered while the fold decides.
//!
//! In: parts with the places of their instances, one by one. Out: each part once, by its shape, with all its places, the more
//! concrete first. It decides nothing.

use crate::class::Class;
use crate::part::{Kinds, Part};
use crate::place::Place;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Values that are whole segments.
#[derive(Default)]
pub(crate) struct Values<'a> {
    pub kinds: Kinds,
    pub places: Vec<Place<'a>>,
}

impl<'a> Values<'a> {
    pub(crate) fn add(&mut self, class: Class, places: impl IntoIterator<Item = Place<'a>>) {
        self.extend(Kinds::of(class), places);
    }

    pub(crate) fn extend(&mut self, kinds: Kinds, places: impl IntoIterator<Item = Place<'a>>) {
        let part = Part::Parameter(kinds.clone());
        self.places
            .extend(places.into_iter().map(|p| p.inside(&part)));
        self.kinds.merge(kinds);
    }
}

/// Parts by their shape, with the places of their instances.
#[derive(Default)]
pub(crate) struct Groups<'a>(BTreeMap<String, (Part, Vec<Place<'a>>)>);

impl<'a> Groups<'a> {
    pub(crate) fn add(&mut self, part: Part, places: impl IntoIterator<Item = Place<'a>>) {
        let places: Vec<_> = places.into_iter().map(|p| p.inside(&part)).collect();
        self.join(part, places);
    }

    pub(crate) fn add_values(&mut self, values: Values<'a>) {
        self.join(Part::Parameter(values.kinds), values.places);
    }

    fn join(&mut self, part: Part, places: Vec<Place<'a>>) {
        match self.0.entry(part.shape()) {
            Entry::Occupied(mut found) => {
                let (mine, all) = found.get_mut();
                mine.merge(part);
                all.extend(places);
            }
            Entry::Vacant(free) => {
                free.insert((part, places));
            }
        }
    }

    pub(crate) fn sorted(self) -> Vec<(Part, Vec<Place<'a>>)> {
        let mut out: Vec<_> = self.0.into_values().collect();
        out.sort_by_cached_key(|(part, _)| part.concreteness());
        out
    }
}
