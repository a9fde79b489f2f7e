//! Numbers and dates in a path that say which version of an API it is.
//!
//! In: the nodes below such segments. Out: whether they are part of the API's address or ids. Nothing is decided by what the
//! number is: ids begin at 1, too.

use crate::class::Class;
use crate::tree::Node;
use std::collections::BTreeSet;

/// Of the published descriptions with a number at the front none has two; a service and what it replaces may.
const MOST_VERSIONS: usize = 3;

/// Whether numbers at the front are versions, given the nodes of each: as long as they are few, and each has paths enough that
/// are mostly its own. Numbers before the same paths pick one of many, or a version by a parameter.
pub(crate) fn are_versions(numbers: &[Vec<&Node>], depth: usize) -> bool {
    let below: Vec<BTreeSet<&str>> = numbers.iter().map(|nodes| words(nodes)).collect();
    let apart = |(at, mine): (usize, &BTreeSet<&str>)| {
        below
            .iter()
            .skip(at + 1)
            .all(|others| mine.intersection(others).count() * 2 < mine.len().min(others.len()))
    };
    numbers.len() <= MOST_VERSIONS
        && numbers
            .iter()
            .all(|nodes| is_fixed(Class::Integer, nodes, depth))
        && below.iter().enumerate().all(apart)
}

fn words<'a>(nodes: &[&'a Node]) -> BTreeSet<&'a str> {
    nodes
        .iter()
        .flat_map(|n| n.words.iter().map(|(w, _)| w))
        .collect()
}

/// Whether a word is a number, which only the front of a path has as a word.
pub(crate) fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// A number that never varies at the front of a path, before several different words, is part of the API's address
/// (`/2/tweets`, `/2/users`), not an id.
pub(crate) fn is_fixed(class: Class, nodes: &[&Node], depth: usize) -> bool {
    let bare = nodes.iter().all(|n| n.methods.is_empty());
    depth <= 2
        && matches!(class, Class::Integer | Class::Semver | Class::Date)
        && bare
        && words(nodes).len() >= 3
}
