//! Deciding which segments are constants and which are values of a parameter.
//!
//! In: the tree of what succeeded, the tree of what did not, and the values seen in bodies. Out: templates with evidence.
//! A pure function: the same model always folds to the same templates. What never succeeded makes no template; what failed
//! where something else succeeded becomes one more response of it.

use crate::bounded::Seen;
use crate::class::Class;
use crate::evidence::Evidence;
use crate::likeness::{self, Profile};
use crate::tree::{Method, Node};
use crate::verdict::{self, Before, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Constant(String),
    Parameter(Kinds),
}

/// What the values of a parameter look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub classes: BTreeSet<Class>,
    /// Whether there were values without a class.
    pub words: bool,
}

impl Kinds {
    fn accepts(&self, class: Class) -> bool {
        let text = self.words
            || self.classes.contains(&Class::Any)
            || self.classes.contains(&Class::Token)
            || self.classes.contains(&Class::Text);
        self.classes.contains(&class) || (text && class != Class::Text)
    }
}

/// The operations at one place.
pub(crate) type Methods = BTreeMap<Method, Operation>;

/// The folded tree.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub methods: Methods,
    pub constants: BTreeMap<String, Folded>,
    pub parameter: Option<(Kinds, Box<Folded>)>,
    /// Why each word here became a constant or a value: all that an explanation of a template needs. What is a value by
    /// its looks alone is in [`Kinds::classes`].
    pub verdicts: Vec<Verdict>,
}

/// One operation: what succeeded, and what failed at the same place.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    pub good: Evidence,
    pub failed: Option<Evidence>,
}

/// Folds the trees.
pub(crate) fn fold(succeeded: &Node, failed: &Node, identities: &Seen) -> Folded {
    let mut root = settle(
        &[succeeded],
        &Surroundings {
            identities,
            depth: 0,
            before: Before::Front,
        },
    );
    root.attach(&[failed]);
    root
}

/// What is known about a node from above it.
struct Surroundings<'a> {
    identities: &'a Seen,
    depth: usize,
    before: Before,
}

fn settle(nodes: &[&Node], around: &Surroundings<'_>) -> Folded {
    let mut folded = Folded::default();
    for node in nodes {
        for (method, evidence) in &node.methods {
            folded
                .methods
                .entry(*method)
                .or_default()
                .good
                .merge(evidence.unbound());
        }
    }
    let mut words: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    let mut below: Vec<&Node> = Vec::new();
    let mut kinds = Kinds::default();
    for node in nodes {
        for (word, child) in node.words.iter() {
            words.entry(word).or_default().push(child);
        }
        if let Some(rest) = node.words.rest() {
            below.push(rest);
            kinds.classes.insert(Class::Any);
        }
    }
    let mut constants: BTreeMap<String, Vec<&Node>> = BTreeMap::new();
    let classes: BTreeSet<Class> = nodes
        .iter()
        .flat_map(|n| n.values.keys().copied())
        .collect();
    for class in classes {
        let values: Vec<_> = nodes.iter().filter_map(|n| n.values.get(&class)).collect();
        let first = values.first().and_then(|v| v.distinct.only());
        let fixed = first.filter(|f| {
            values.iter().all(|v| v.distinct.only() == Some(f))
                && is_fixed(
                    class,
                    &values.iter().map(|v| &v.node).collect::<Vec<_>>(),
                    around.depth,
                )
        });
        match fixed {
            Some(number) => constants
                .entry(number.to_owned())
                .or_default()
                .extend(values.iter().map(|v| &v.node)),
            None => {
                kinds.classes.insert(class);
                below.extend(values.iter().map(|v| &v.node));
            }
        }
    }
    let recurrence =
        likeness::recurrence(words.values().map(Vec::as_slice).chain([below.as_slice()]));
    let profiles: BTreeMap<&str, Profile> = words
        .iter()
        .map(|(w, nodes)| (*w, Profile::of(nodes, &recurrence)))
        .collect();
    let siblings = verdict::Siblings {
        values: (!below.is_empty()).then(|| Profile::of(&below, &recurrence)),
        classes: &kinds.classes,
        identities: around.identities,
        before: around.before,
    };
    folded.verdicts = verdict::decide(&profiles, &siblings);
    let chosen: BTreeSet<&str> = folded
        .verdicts
        .iter()
        .filter(|v| v.values)
        .flat_map(|v| v.words.iter().map(String::as_str))
        .collect();
    for (word, children) in words {
        if chosen.contains(word) {
            kinds.words = true;
            below.extend(children);
        } else {
            constants
                .entry(word.to_owned())
                .or_default()
                .extend(children);
        }
    }
    let mut inside = Surroundings {
        identities: around.identities,
        depth: around.depth + 1,
        before: Before::Value,
    };
    for (word, children) in constants {
        inside.before = Before::after(&word, around.before);
        folded.constants.insert(word, settle(&children, &inside));
    }
    if !below.is_empty() {
        inside.before = Before::Value;
        folded.parameter = Some((kinds, Box::new(settle(&below, &inside))));
    }
    folded
}

/// A number that never varies at the front of a path, before several different words, is part of the API's address
/// (`/2/tweets`, `/2/users`), not an id.
fn is_fixed(class: Class, nodes: &[&Node], depth: usize) -> bool {
    let words: BTreeSet<&str> = nodes
        .iter()
        .flat_map(|n| n.words.iter().map(|(w, _)| w))
        .collect();
    let bare = nodes.iter().all(|n| n.methods.is_empty());
    depth <= 2
        && matches!(class, Class::Integer | Class::Semver | Class::Date)
        && bare
        && words.len() >= 3
}

impl Folded {
    /// Adds what failed to what succeeded at the same place.
    fn attach(&mut self, nodes: &[&Node]) {
        let mut inside: Vec<&Node> = Vec::new();
        let mut constants: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for node in nodes {
            for (method, evidence) in &node.methods {
                if let Some(operation) = self.methods.get_mut(method) {
                    operation
                        .failed
                        .get_or_insert_default()
                        .merge(evidence.unbound());
                }
            }
            for (word, child) in node.words.iter() {
                if self.constants.contains_key(word) {
                    constants.entry(word).or_default().push(child);
                } else if self
                    .parameter
                    .as_ref()
                    .is_some_and(|(kinds, _)| kinds.words || kinds.classes.contains(&Class::Any))
                {
                    inside.push(child);
                }
            }
            for (class, values) in &node.values {
                let fixed = values
                    .distinct
                    .only()
                    .filter(|only| self.constants.contains_key(*only));
                if let Some(only) = fixed {
                    constants.entry(only).or_default().push(&values.node);
                } else if self
                    .parameter
                    .as_ref()
                    .is_some_and(|(kinds, _)| kinds.accepts(*class))
                {
                    inside.push(&values.node);
                }
            }
            if let (Some(rest), Some(_)) = (node.words.rest(), &self.parameter) {
                inside.push(rest);
            }
        }
        for (word, nodes) in constants {
            if let Some(child) = self.constants.get_mut(word) {
                child.attach(&nodes);
            }
        }
        if let (Some((_, child)), false) = (&mut self.parameter, inside.is_empty()) {
            child.attach(&inside);
        }
    }

    /// Calls `visit` for every place with operations, parameters before constants, in a stable order.
    pub(crate) fn walk<'a>(
        &'a self,
        path: &mut Vec<Part>,
        visit: &mut dyn FnMut(&[Part], &'a Methods),
    ) {
        if !self.methods.is_empty() {
            visit(path, &self.methods);
        }
        for (word, child) in &self.constants {
            path.push(Part::Constant(word.clone()));
            child.walk(path, visit);
            path.pop();
        }
        if let Some((kinds, child)) = &self.parameter {
            path.push(Part::Parameter(kinds.clone()));
            child.walk(path, visit);
            path.pop();
        }
    }

    /// How many operations there are.
    pub(crate) fn operations(&self) -> usize {
        self.methods.len()
            + self
                .constants
                .values()
                .map(Folded::operations)
                .sum::<usize>()
            + self.parameter.as_ref().map_or(0, |(_, f)| f.operations())
    }
}
