//! Objects that hold objects of their own kind: a comment with replies, a folder in a folder.
//!
//! In: the shape of a body. Out: the same with each generation folded into the first, and a mark where the next one stood. Three
//! generations alike are asked for: two may be an entity and a summary of another one.

use super::schema::is_dictionary;
use crate::shape::{Objects, Shape};

/// Steps (members, items do not count) from one generation to the next.
const FARTHEST: usize = 2;
/// Generations folded at most; shapes are no deeper.
const MOST_GENERATIONS: usize = 24;

/// The shape with generations folded, if there are any.
pub(crate) fn fold(shape: &Shape) -> Option<Shape> {
    if !any(shape) {
        return None;
    }
    let mut folded = shape.clone();
    fold_inside(&mut folded);
    gather(&mut folded);
    Some(folded)
}

fn any(shape: &Shape) -> bool {
    shape.arrays.as_ref().is_some_and(|a| any(&a.items))
        || shape
            .objects
            .as_deref()
            .is_some_and(|o| way(o).is_some() || o.members.iter().any(|(_, p)| any(&p.shape)))
}

fn fold_inside(shape: &mut Shape) {
    while let Some(way) = shape.objects.as_deref().and_then(way) {
        let up = way.len() as u8;
        for _ in 0..MOST_GENERATIONS {
            let Some(next) = shape.objects.as_deref_mut().and_then(|o| take(o, &way, up)) else {
                break;
            };
            shape.merge(Shape {
                objects: Some(next),
                ..Shape::default()
            });
        }
    }
    if let Some(arrays) = &mut shape.arrays {
        fold_inside(&mut arrays.items);
    }
    if let Some(objects) = &mut shape.objects {
        objects.members.each(|p| fold_inside(&mut p.shape));
    }
}

/// The members that lead from one generation to the next.
fn way(objects: &Objects) -> Option<Vec<String>> {
    fn search(first: &Objects, at: &Objects, way: &mut Vec<String>) -> bool {
        if way.len() >= FARTHEST || at.up > 0 || is_dictionary(at) {
            return false;
        }
        at.members.iter().any(|(name, p)| {
            let Some(next) = inner(&p.shape) else {
                return false;
            };
            way.push(name.to_owned());
            let found = next.up == 0
                && alike(first, next)
                && follow(next, way).is_some_and(|third| third.up == 0 && alike(next, third))
                || search(first, next, way);
            if !found {
                way.pop();
            }
            found
        })
    }
    let mut found = Vec::new();
    (objects.members.len() >= 2 && search(objects, objects, &mut found)).then_some(found)
}

/// The objects a member holds, alone or in lists.
fn inner(shape: &Shape) -> Option<&Objects> {
    match (&shape.objects, &shape.arrays) {
        (Some(objects), _) => Some(objects),
        (None, Some(arrays)) => inner(&arrays.items),
        _ => None,
    }
}

fn inner_mut(shape: &mut Shape) -> Option<&mut Box<Objects>> {
    match (&mut shape.objects, &mut shape.arrays) {
        (Some(objects), _) => Some(objects),
        (None, Some(arrays)) => inner_mut(&mut arrays.items),
        _ => None,
    }
}

fn follow<'o>(objects: &'o Objects, way: &[String]) -> Option<&'o Objects> {
    way.iter().try_fold(objects, |at, name| {
        at.members.get(name).and_then(|p| inner(&p.shape))
    })
}

/// Takes the next generation out and leaves the mark; nothing when only the mark is left.
fn take(objects: &mut Objects, way: &[String], up: u8) -> Option<Box<Objects>> {
    let (name, rest) = way.split_first()?;
    let mut out = None;
    objects.members.change(name, |p| {
        out = match (inner_mut(&mut p.shape), rest) {
            (Some(next), []) if next.members.len() > 0 || next.up == 0 => {
                let mut mark = Objects::default();
                (mark.count, mark.up) = (next.count, up);
                let mut taken = std::mem::replace(next, Box::new(mark));
                taken.up = 0;
                lift(&mut taken, 1, up);
                Some(taken)
            }
            (Some(next), [_, ..]) => take(next, rest, up),
            _ => None,
        };
    });
    out
}

/// Puts what was merged into marks where they point to: generations that were reached over other members hold whole objects where the
/// first one has a mark. Returns what belongs further out, and how many objects further.
fn gather(shape: &mut Shape) -> Vec<(u8, Box<Objects>)> {
    let mut out = match &mut shape.arrays {
        Some(arrays) => gather(&mut arrays.items),
        None => Vec::new(),
    };
    if let Some(mark) = shape.objects.as_mut().filter(|o| o.up > 0) {
        if mark.members.len() > 0 || mark.members.rest().is_some() {
            let (mut bare, up) = (Objects::default(), mark.up);
            (bare.count, bare.up) = (mark.count, up);
            let mut held = std::mem::replace(mark, Box::new(bare));
            held.up = 0;
            lift(&mut held, 1, up);
            out.push((up - 1, held));
        }
        return out;
    }
    loop {
        let mut found = Vec::new();
        if let Some(objects) = &mut shape.objects {
            objects.members.each(|p| found.extend(gather(&mut p.shape)));
        }
        let (own, further): (Vec<_>, Vec<_>) = found.into_iter().partition(|(up, _)| *up == 0);
        out.extend(further.into_iter().map(|(up, held)| (up - 1, held)));
        if own.is_empty() {
            return out;
        }
        for (_, objects) in own {
            shape.merge(Shape {
                objects: Some(objects),
                ..Shape::default()
            });
        }
    }
}

/// Objects move so many further out: marks in them that point to something around them come nearer to it. `inside` counts the objects
/// from them to the members.
fn lift(objects: &mut Objects, inside: u8, by: u8) {
    fn lift_shape(shape: &mut Shape, inside: u8, by: u8) {
        if let Some(arrays) = &mut shape.arrays {
            lift_shape(&mut arrays.items, inside, by);
        }
        match &mut shape.objects {
            Some(mark) if mark.up > inside => mark.up = mark.up.saturating_sub(by).max(inside),
            Some(objects) if objects.up == 0 => lift(objects, inside + 1, by),
            _ => {}
        }
    }
    objects
        .members
        .each(|p| lift_shape(&mut p.shape, inside, by));
}

/// Whether most members of either are in the other one, too: what is nested may be a mere summary.
fn alike(a: &Objects, b: &Objects) -> bool {
    let common = a
        .members
        .iter()
        .filter(|(name, _)| b.members.get(name).is_some())
        .count();
    common >= 2 && common * 5 >= a.members.len().max(b.members.len()) * 4
}
