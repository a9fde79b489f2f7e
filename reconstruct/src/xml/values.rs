//! Elements as values of a program.
//!
//! In: the shape that was learnt. Out: what was repeated is a list, what had attributes or elements only sometimes is an object, and
//! what was a number but for an empty element may be null. Decided when a document is written, so that it does not matter which of two
//! kinds of elements came first.

use super::TEXT;
use crate::bounded::Bound;
use crate::format;
use crate::shape::{Objects, Shape, tally};
use crate::strings::Strings;

/// The shape as values. `fold` folds recursion, if there is any: an element may be repeated, or have
/// more than text, in one of its generations only.
pub(crate) fn values(shape: &Shape, fold: fn(&Shape) -> Option<Shape>) -> Shape {
    let mut out = shape.clone();
    settle_texts(&mut out);
    if let Some(folded) = fold(&out) {
        out = folded;
        settle_texts(&mut out);
    }
    settle_lists(&mut out);
    out
}

fn settle_texts(shape: &mut Shape) {
    // The mark of a generation that was folded holds no members: mere text beside it is another kind.
    if let Some(objects) = shape.objects.as_mut().filter(|o| o.up == 0) {
        if let Some(strings) = shape.strings.take() {
            // Those that were mere text had none of the members.
            let plain = u32::try_from(strings.count).unwrap_or(u32::MAX);
            objects.complete = objects.complete.saturating_add(plain);
            if strings.count > strings.empty {
                add(objects, strings);
            }
        }
        objects.members.each(|p| settle_texts(&mut p.shape));
    }
}

fn settle_lists(shape: &mut Shape) {
    if let Some(objects) = &mut shape.objects {
        objects.members.each(|p| settle_lists(&mut p.shape));
    } else if let Some(strings) = &shape.strings
        && (1..strings.count).contains(&strings.empty)
        && strings.formats & (format::INTEGER | format::NUMBER | format::BOOLEAN) != 0
    {
        shape.nulls = tally(shape.nulls, 1);
    }
    if let Some(mut arrays) = shape.arrays.take() {
        arrays.items = std::mem::take(shape);
        shape.arrays = Some(arrays);
    }
}

/// Adds what is known of the text of an element.
fn add(objects: &mut Objects, text: Box<Strings>) {
    let room = Bound {
        charge: u32::MAX,
        entries: usize::from(u16::MAX) - 1,
    };
    let slot = objects.members.slot(TEXT, room);
    let member = objects.members.at(slot);
    let seen = u32::try_from(text.count - text.empty).unwrap_or(u32::MAX);
    member.present = member.present.saturating_add(seen);
    member.shape.merge(Shape {
        strings: Some(text),
        ..Shape::default()
    });
}
