//! Objects at several places of a document that are the same kind of thing.
//!
//! In: the shapes of all bodies. Out: for each object the one that speaks for it: all objects of the same kind merged, so that
//! they are written alike and become one component, and what one place saw too seldom (a vocabulary, a list that was always
//! empty) is known from the others. A merged shape accepts whatever any of its parts saw. It never changes which members an
//! object has nor which of them are required.

use super::schema::is_dictionary;
use super::vocabulary;
use crate::bounded::hash;
use crate::format;
use crate::shape::{Objects, Shape};
use crate::strings::Strings;
use std::collections::HashMap;

/// Kinds with the same members that are kept apart from each other.
const MOST_KINDS: usize = 8;

/// Which object speaks for which.
#[derive(Default)]
pub(crate) struct Entities<'m> {
    kinds: Vec<Kind<'m>>,
    /// By the address of the objects; nothing is ever read through it.
    speaks: HashMap<*const Objects, usize>,
}

struct Kind<'m> {
    first: &'m Objects,
    /// All of them together, if there are several.
    merged: Option<Shape>,
}

impl<'m> Entities<'m> {
    /// Finds the kinds in `bodies`; the flag says that the values of a body are all texts.
    pub(crate) fn of(bodies: impl Iterator<Item = (&'m Shape, bool)>) -> Entities<'m> {
        let mut entities = Entities::default();
        let mut known: HashMap<(u64, bool), Vec<usize>> = HashMap::new();
        for (shape, textual) in bodies {
            entities.collect(shape, textual, &mut known);
        }
        // What is nested in a merged object is a copy: it is spoken for as the original in its first part is.
        let mut copies = Vec::new();
        for kind in &entities.kinds {
            if let Some(merged) = kind.merged.as_ref().and_then(|m| m.objects.as_deref()) {
                entities.pair(merged, kind.first, &mut copies);
            }
        }
        entities.speaks.extend(copies);
        entities
    }

    /// The object that speaks for `objects`.
    pub(crate) fn speaker<'a>(&'a self, objects: &'a Objects) -> &'a Objects {
        self.speaks
            .get(&std::ptr::from_ref(objects))
            .and_then(|k| self.kinds.get(*k)?.merged.as_ref()?.objects.as_deref())
            .unwrap_or(objects)
    }

    fn collect(
        &mut self,
        shape: &'m Shape,
        textual: bool,
        known: &mut HashMap<(u64, bool), Vec<usize>>,
    ) {
        if let Some(arrays) = &shape.arrays {
            self.collect(&arrays.items, textual, known);
        }
        let Some(objects) = shape.objects.as_deref() else {
            return;
        };
        for (_, property) in objects.members.iter() {
            self.collect(&property.shape, textual, known);
        }
        if objects.members.len() < 2 || is_dictionary(objects) {
            return;
        }
        let same = known.entry((signature(objects), textual)).or_default();
        let found = same.iter().copied().find(|k| {
            self.kinds
                .get(*k)
                .is_some_and(|kind| alike_objects(kind.speaker(), objects))
        });
        let kind = match found {
            Some(kind) => {
                if !self.kinds.get_mut(kind).is_some_and(|k| k.add(objects)) {
                    return;
                }
                kind
            }
            None if same.len() < MOST_KINDS => {
                same.push(self.kinds.len());
                self.kinds.push(Kind {
                    first: objects,
                    merged: None,
                });
                self.kinds.len() - 1
            }
            None => return,
        };
        self.speaks.insert(std::ptr::from_ref(objects), kind);
    }

    fn pair(&self, copy: &Objects, original: &Objects, out: &mut Vec<(*const Objects, usize)>) {
        for (name, property) in copy.members.iter() {
            if let Some(first) = original.members.get(name) {
                self.pair_shapes(&property.shape, &first.shape, out);
            }
        }
    }

    fn pair_shapes(&self, copy: &Shape, original: &Shape, out: &mut Vec<(*const Objects, usize)>) {
        if let (Some(copy), Some(original)) = (&copy.arrays, &original.arrays) {
            self.pair_shapes(&copy.items, &original.items, out);
        }
        if let (Some(copy), Some(original)) = (copy.objects.as_deref(), original.objects.as_deref())
        {
            if let Some(kind) = self.speaks.get(&std::ptr::from_ref(original)) {
                out.push((std::ptr::from_ref(copy), *kind));
            }
            self.pair(copy, original, out);
        }
    }
}

impl Kind<'_> {
    fn speaker(&self) -> &Objects {
        self.merged
            .as_ref()
            .and_then(|m| m.objects.as_deref())
            .unwrap_or(self.first)
    }

    /// Whether `objects` could be merged in without losing members to a bound.
    fn add(&mut self, objects: &Objects) -> bool {
        let mut all = only(self.speaker());
        all.merge(only(objects));
        let whole = all
            .objects
            .as_ref()
            .is_some_and(|o| !o.members.is_thinned());
        if whole {
            self.merged = Some(all);
        }
        whole
    }
}

fn only(objects: &Objects) -> Shape {
    Shape {
        objects: Some(Box::new(objects.clone())),
        ..Shape::default()
    }
}

/// The names of the members, and which are required.
fn signature(objects: &Objects) -> u64 {
    objects
        .members
        .iter()
        .fold(u64::from(objects.up), |sum: u64, (name, _)| {
            sum.rotate_left(9).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ hash(name)
                ^ u64::from(objects.requires(name))
        })
}

fn alike_objects(a: &Objects, b: &Objects) -> bool {
    if a.up != b.up {
        return false;
    }
    let (mine, theirs) = (a.members.iter(), b.members.iter());
    match (is_dictionary(a), is_dictionary(b)) {
        (true, true) => mine
            .zip(theirs)
            .next()
            .is_none_or(|((_, a), (_, b))| alike(&a.shape, &b.shape, "")),
        (false, false) => {
            a.members.len() == b.members.len()
                && mine.zip(theirs).all(|((x, p), (y, q))| {
                    x == y && a.requires(x) == b.requires(y) && alike(&p.shape, &q.shape, x)
                })
        }
        _ => false,
    }
}

/// Whether two shapes may be the same thing.
fn alike(a: &Shape, b: &Shape, name: &str) -> bool {
    let kinds = |s: &Shape| {
        [
            s.booleans > 0,
            s.integers > 0 && s.numbers == 0,
            s.numbers > 0,
            s.unknown > 0,
            s.strings.is_some(),
            s.arrays.is_some(),
            s.objects.is_some(),
        ]
    };
    kinds(a) == kinds(b)
        && match (&a.strings, &b.strings) {
            (Some(a), Some(b)) => alike_strings(a, b, name),
            _ => true,
        }
        && match (&a.arrays, &b.arrays) {
            (Some(a), Some(b)) => alike(&a.items, &b.items, name),
            _ => true,
        }
        && match (&a.objects, &b.objects) {
            (Some(a), Some(b)) => alike_objects(a, b),
            _ => true,
        }
}

/// Texts of one kind have the same format and, where they are an enumeration, words in common.
fn alike_strings(a: &Strings, b: &Strings, name: &str) -> bool {
    let said = |s: &Strings| {
        (
            format::name(s.formats),
            format::is_octets(s.formats),
            s.empty > 0,
        )
    };
    if said(a) != said(b) {
        return false;
    }
    let within = |few: &Strings, words: &[&str]| {
        few.vocabulary()
            .is_some_and(|mut v| v.all(|w| words.contains(&w)))
    };
    match (
        vocabulary::enumeration(a, name),
        vocabulary::enumeration(b, name),
    ) {
        (Some(mine), Some(theirs)) => mine == theirs,
        (Some(words), None) => within(b, &words),
        (None, Some(words)) => within(a, &words),
        // Two small sets of words without one in common are two different things that have no name yet.
        (None, None) => match (a.vocabulary(), b.vocabulary()) {
            (Some(mine), Some(mut theirs)) => theirs.any(|w| mine.clone().any(|v| v == w)),
            _ => true,
        },
    }
}
