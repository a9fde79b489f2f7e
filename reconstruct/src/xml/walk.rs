//! The pieces of a document into a [`Shape`].
//!
//! In: pieces. Out: the shape has learnt them. Deeper elements than a shape holds are known to be there and not looked at.

use super::names::Scope;
use super::pieces::{Element, Piece, unescaped};
use super::{TEXT, local};
use crate::notes::Notes;
use crate::shape::{DEEPEST, Scale, Shape, tally};
use std::collections::HashMap;

/// Longer texts are not looked at.
const LONGEST_TEXT: usize = 4096;

/// Learns a document as an object whose member is the root.
pub(super) fn walk(
    shape: &mut Shape,
    notes: &mut Notes,
    pieces: &[Piece<'_>],
    complete: bool,
    scale: Scale,
) {
    let mut walker = Walker {
        pieces,
        scope: Scope::new(notes, scale),
        sure: complete,
        scale,
    };
    let (roots, _) = shape.object();
    let mut open = roots.open(complete, 0, scale);
    if let Some(Piece::Element(root)) = pieces.first() {
        let name = root.tag.name();
        roots.member(&mut open, local(name.as_ref()), 0, |shape| {
            walker.element(shape, 0, root, 1)
        });
    }
}

struct Walker<'p, 't, 'n> {
    pieces: &'p [Piece<'t>],
    scope: Scope<'n>,
    sure: bool,
    scale: Scale,
}

impl<'p> Walker<'p, '_, '_> {
    /// Learns the element that is the piece `at`; returns by how much the shape's charge grew.
    fn element(
        &mut self,
        shape: &mut Shape,
        at: usize,
        element: &'p Element<'_>,
        depth: usize,
    ) -> u32 {
        if depth >= DEEPEST {
            shape.unknown = tally(shape.unknown, 1);
            return 0;
        }
        self.scope.enter(&element.tag);
        self.scope.element(element.tag.name());
        let grown = self.content(shape, at, element, depth);
        self.scope.leave();
        grown
    }

    fn content(
        &mut self,
        shape: &mut Shape,
        at: usize,
        element: &'p Element<'_>,
        depth: usize,
    ) -> u32 {
        let (mut nil, mut attributes) = (false, Vec::new());
        for attribute in element.tag.attributes().with_checks(false).flatten() {
            let name = attribute.key.as_ref();
            nil |= name.ends_with(":nil") && matches!(&*attribute.value, "true" | "1");
            if !self.scope.is_of_xml(attribute.key) {
                self.scope.attribute(attribute.key);
                attributes.push((format!("@{}", local(name)), unescaped(attribute.value)));
            }
        }
        let pieces = self.pieces;
        let inside = pieces.get(at + 1..element.after).unwrap_or(&[]);
        if nil && inside.is_empty() {
            shape.nulls = tally(shape.nulls, 1);
            return 0;
        }
        let elements = inside.iter().any(|p| matches!(p, Piece::Element(_)));
        let text = || {
            let pieces = inside.iter().map(|p| match p {
                Piece::Text(text) => &**text,
                Piece::Element(_) => "",
            });
            pieces.collect::<String>()
        };
        if attributes.is_empty() && !elements {
            return if element.whole {
                note(shape, &text())
            } else {
                0
            };
        }
        let own = (!elements && element.whole)
            .then(text)
            .filter(|text| !text.trim().is_empty());
        let (objects, grown) = shape.object();
        let before = objects.charge();
        let mut open = objects.open(self.sure, depth, self.scale);
        for (name, value) in &attributes {
            objects.member(&mut open, name, 0, |m| note(m, value));
        }
        if let Some(text) = own {
            objects.member(&mut open, TEXT, 0, |m| note(m, &text));
        }
        let mut times: HashMap<&str, u32> = HashMap::new();
        let mut next = at + 1;
        while next < element.after {
            let Some(Piece::Element(child)) = pieces.get(next) else {
                next += 1;
                continue;
            };
            let name = child.tag.name();
            let again = times.entry(local(name.0)).or_default();
            *again += 1;
            let again = *again;
            objects.member(&mut open, local(name.as_ref()), 0, |m| {
                let mut grown = self.element(m, next, child, depth + 1);
                if again == 2 {
                    let (arrays, more) = m.array();
                    arrays.count += 1;
                    grown += more;
                }
                grown
            });
            next = child.after;
        }
        grown + objects.charge().saturating_sub(before)
    }
}

fn note(shape: &mut Shape, text: &str) -> u32 {
    shape.text(|s| {
        if text.len() > LONGEST_TEXT {
            s.learn_opaque(0);
        } else {
            s.learn(text.trim());
        }
    })
}
