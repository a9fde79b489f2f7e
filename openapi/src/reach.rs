//! Whom a thing concerns that many lead to.
//!
//! In: a graph of what leads where, which operations begin at which node, and the nodes that matter. Out: for each of those the set
//! of operations that reach it. The graph may have circles. One pass over the nodes in the order in which they lead to each
//! other, with sets of bits that are shared where they are equal: it costs in proportion to the graph, not to the graph times the
//! operations.

use std::rc::Rc;

/// A set of operations, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set {
    words: Vec<u64>,
}

impl Set {
    /// Adds a number.
    pub(crate) fn insert(&mut self, number: u32) {
        let (word, bit) = (number as usize / 64, number % 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Set) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// From the smallest number on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| at as u32 * 64 + bit)
        })
    }
}

/// For each node that is wanted, the operations of `uses` (node, operation) that lead to it; `None` where none does and for nodes
/// that are not wanted.
pub(crate) fn reaching(
    leads_to: &[Vec<usize>],
    wanted: &[bool],
    uses: &[(usize, u32)],
) -> Vec<Option<Rc<Set>>> {
    let relevant = leading_to(leads_to, wanted);
    let (component, count) = components(leads_to, &relevant, uses);
    let mut sets: Vec<Option<Rc<Set>>> = vec![None; count];
    for (node, operation) in uses {
        if let Some(set) = component.get(*node).and_then(|at| sets.get_mut((*at)?)) {
            Rc::make_mut(set.get_or_insert_default()).insert(*operation);
        }
    }
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (node, at) in component.iter().enumerate() {
        if let Some(list) = at.and_then(|at| members.get_mut(at)) {
            list.push(node);
        }
    }
    // A component's number is higher than those of all it leads to.
    for at in (0..count).rev() {
        let Some(set) = sets.get(at).cloned().flatten() else {
            continue;
        };
        for node in members.get(at).into_iter().flatten() {
            for to in leads_to.get(*node).into_iter().flatten() {
                let Some(below) = component.get(*to).copied().flatten() else {
                    continue;
                };
                match sets.get_mut(below) {
                    Some(_) if below == at => {}
                    Some(Some(known)) if Rc::ptr_eq(known, &set) => {}
                    Some(Some(known)) => Rc::make_mut(known).add(&set),
                    Some(empty) => *empty = Some(set.clone()),
                    None => {}
                }
            }
        }
    }
    let is_wanted = |node: usize| wanted.get(node) == Some(&true);
    let of = |(node, at): (usize, &Option<usize>)| {
        let set = sets.get((*at)?)?.clone()?;
        is_wanted(node).then_some(set)
    };
    component.iter().enumerate().map(of).collect()
}

/// The nodes that are wanted, and those that lead to one.
pub(crate) fn leading_to(leads_to: &[Vec<usize>], wanted: &[bool]) -> Vec<bool> {
    let mut from: Vec<Vec<usize>> = vec![Vec::new(); leads_to.len()];
    for (at, list) in leads_to.iter().enumerate() {
        for to in list {
            if let Some(list) = from.get_mut(*to) {
                list.push(at);
            }
        }
    }
    let mut found = vec![false; leads_to.len()];
    let some = wanted.iter().enumerate().filter(|(_, wanted)| **wanted);
    let mut todo: Vec<usize> = some.map(|(at, _)| at).collect();
    while let Some(at) = todo.pop() {
        if let Some(found) = found.get_mut(at)
            && !*found
        {
            *found = true;
            todo.extend(from.get(at).into_iter().flatten());
        }
    }
    found
}

/// Strongly connected components (Tarjan 1972, without recursion): the number of each relevant node's, and how many there are.
fn components(
    leads_to: &[Vec<usize>],
    relevant: &[bool],
    uses: &[(usize, u32)],
) -> (Vec<Option<usize>>, usize) {
    let mut state = vec![Visit::default(); leads_to.len()];
    let (mut next, mut count) = (1, 0);
    let mut open: Vec<usize> = Vec::new();
    for (start, _) in uses {
        let mut path: Vec<(usize, usize)> = vec![(*start, 0)];
        while let Some((node, edge)) = path.pop() {
            let Some(known) = state.get_mut(node) else {
                continue;
            };
            if edge == 0 {
                if known.order > 0 || relevant.get(node) != Some(&true) {
                    continue;
                }
                (known.order, known.low) = (next, next);
                next += 1;
                open.push(node);
            }
            let Some(to) = leads_to.get(node).and_then(|list| list.get(edge)) else {
                // All it leads to is done: a component ends here, or belongs to what came before.
                let (order, low) = (known.order, known.low);
                if order == low {
                    while let Some(member) = open.pop() {
                        if let Some(member) = state.get_mut(member) {
                            member.component = Some(count);
                        }
                        if member == node {
                            break;
                        }
                    }
                    count += 1;
                }
                if let Some((above, _)) = path.last()
                    && let Some(above) = state.get_mut(*above)
                {
                    above.low = above.low.min(low);
                }
                continue;
            };
            path.push((node, edge + 1));
            match state.get(*to) {
                Some(other) if other.order == 0 => path.push((*to, 0)),
                Some(other) if other.component.is_none() => {
                    let order = other.order;
                    if let Some(known) = state.get_mut(node) {
                        known.low = known.low.min(order);
                    }
                }
                _ => {}
            }
        }
    }
    let numbers = state.into_iter().map(|visit| visit.component).collect();
    (numbers, count)
}

/// What is known of a node on the way.
#[derive(Debug, Clone, Default)]
struct Visit {
    /// When it was met, from 1; 0 before.
    order: u32,
    /// The earliest one met that it leads back to.
    low: u32,
    component: Option<usize>,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use proptest::prelude::*;

    use super::*;

    /// The same by walking from each use.
    fn walked(leads_to: &[Vec<usize>], node: usize, uses: &[(usize, u32)]) -> BTreeSet<u32> {
        let reaches = |start: usize| {
            let (mut todo, mut seen) = (vec![start], HashSet::new());
            while let Some(at) = todo.pop() {
                if seen.insert(at) {
                    todo.extend(&leads_to[at]);
                }
            }
            seen.contains(&node)
        };
        let some = uses.iter().filter(|(start, _)| reaches(*start));
        some.map(|(_, operation)| *operation).collect()
    }

    proptest! {
        #[test]
        fn the_same_as_walking_from_each_use(
            leads_to in prop::collection::vec(prop::collection::vec(0..12_usize, 0..4), 12),
            wanted in prop::collection::vec(any::<bool>(), 12),
            uses in prop::collection::vec((0..12_usize, 0..200_u32), 0..8),
        ) {
            let found = reaching(&leads_to, &wanted, &uses);
            for (node, set) in found.iter().enumerate() {
                let expected = if wanted[node] { walked(&leads_to, node, &uses) } else { BTreeSet::new() };
                let set: BTreeSet<u32> = set.iter().flat_map(|set| set.iter()).collect();
                prop_assert_eq!(set, expected, "node {}", node);
            }
        }
    }

    #[test]
    fn a_long_chain_is_no_recursion() {
        let length = 200_000;
        let leads_to: Vec<Vec<usize>> = (0..length).map(|at| vec![(at + 1) % length]).collect();
        let mut wanted = vec![false; length];
        wanted[length / 2] = true;
        let found = reaching(&leads_to, &wanted, &[(7, 3)]);
        let set = found[length / 2]
            .as_ref()
            .map(|set| set.iter().collect::<Vec<_>>());
        assert_eq!(set, Some(vec![3]));
    }
}
