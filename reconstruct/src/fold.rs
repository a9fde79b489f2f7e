//! Deciding which segments are constants and which are values of a parameter.
//!
//! In: the tree of what succeeded, the tree of what did not, that of pages and pictures, and the values seen in bodies. Out:
//! templates with evidence. A pure function: the same model always folds to the same templates. What never succeeded makes no
//! template; what failed where something else succeeded becomes one more response of it; pages and pictures are judged
//! like anything else below a value that the API has, and are nothing elsewhere.

use crate::address;
use crate::affixes::Affixes;
use crate::arguments;
use crate::bounded::Seen;
use crate::class::{self, Class};
use crate::codes;
use crate::doubtful;
use crate::endings::{self, FORMAT, Words, cut};
use crate::evidence::Evidence;
use crate::groups::{Groups, Values};
use crate::likeness::{self, Profile};
use crate::noise::Noise;
use crate::part::{Kinds, Part};
use crate::pattern::{has_arguments, is_pair, is_pattern};
use crate::place::{Place, nodes};
use crate::rules::{Position, Ruled};
use crate::tree::{Method, Node};
use crate::verdict::{self, Before, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The operations at one place.
pub(crate) type Methods = BTreeMap<Method, Operation>;

/// The folded tree.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub methods: Methods,
    /// What stands below, each part of another shape, sorted by [`Part::concreteness`].
    pub children: Vec<(Part, Folded)>,
    /// Why each word here became a constant or a value: all that an explanation of a template needs. What is a value by
    /// its looks alone is in [`Kinds::classes`].
    pub verdicts: Vec<Verdict>,
    /// Pages and pictures that became operations below.
    restored: BTreeMap<Noise, u64>,
}

/// One operation: what succeeded, and what failed at the same place.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    pub good: Evidence,
    /// What the values of each parameter of its path looked like where it succeeded, in order.
    pub kinds: Vec<Kinds>,
    pub failed: Option<Evidence>,
}

impl Operation {
    /// All calls, failed ones included.
    pub(crate) fn calls(&self) -> u64 {
        self.good.calls + self.failed.as_ref().map_or(0, |f| f.calls)
    }
}

/// Folds the trees.
pub(crate) fn fold(
    succeeded: &Node,
    failed: &Node,
    doubtful: &Node,
    identities: &Seen,
    rules: Position<'_>,
) -> Folded {
    let doubled = doubled(succeeded);
    let mut root = settle(
        &std::iter::once(succeeded)
            .chain(doubled)
            .map(Place::root)
            .collect::<Vec<_>>(),
        &[Place::root(doubtful)],
        &Surroundings {
            identities,
            depth: 0,
            below_value: false,
            before: Before::Front,
            blank_front: doubled.is_some(),
            rules,
        },
    );
    let failed_doubled = failed.words.get("").filter(|_| root.constant("").is_none());
    root.attach(
        &[failed]
            .into_iter()
            .chain(failed_doubled)
            .collect::<Vec<_>>(),
    );
    root
}

/// What was called with an empty first segment (`//v1/users`), if the host takes it for the same as without: when some of
/// it is called both ways. Where nobody calls it without, the empty segment is part of the path.
fn doubled(root: &Node) -> Option<&Node> {
    root.words
        .get("")
        .filter(|node| node.words.iter().any(|(w, _)| root.words.get(w).is_some()))
}

/// What is known about a node from above it.
struct Surroundings<'a> {
    identities: &'a Seen,
    depth: usize,
    /// Whether a value of the API is at the node or above it.
    below_value: bool,
    before: Before,
    /// Whether an empty segment means nothing here.
    blank_front: bool,
    /// What operators say of the segments below the node.
    rules: Position<'a>,
}

/// `doubtful` are the places that pages and pictures have here; below a value they are places like others.
fn settle<'a>(places: &[Place<'a>], doubtful: &[Place<'a>], around: &Surroundings<'_>) -> Folded {
    let mut folded = Folded::default();
    for place in places {
        for (method, evidence) in &place.node.methods {
            let operation = folded.methods.entry(*method).or_default();
            operation.good.merge(evidence.read().into_owned().unbound());
            operation.kinds.resize_with(place.way.len(), Kinds::default);
            for (mine, more) in operation.kinds.iter_mut().zip(&place.way) {
                mine.merge(more.of_calls(evidence.calls()));
            }
        }
    }
    let (groups, verdicts) = if around.below_value && !doubtful.is_empty() {
        folded.restored = doubtful::calls_below(doubtful);
        groups(&[places, doubtful].concat(), around)
    } else {
        groups(places, around)
    };
    folded.verdicts = verdicts;
    let mut apart = if around.below_value {
        Vec::new()
    } else {
        doubtful::distributed(doubtful, &groups)
    };
    apart.resize_with(groups.len(), Vec::new);
    let mut inside = Surroundings {
        identities: around.identities,
        depth: around.depth + 1,
        below_value: false,
        before: Before::Value,
        blank_front: false,
        rules: Position::default(),
    };
    for ((part, places), doubtful) in groups.into_iter().zip(apart) {
        inside.rules = around.rules.below(&part);
        inside.below_value = around.below_value || part.parameters().next().is_some();
        inside.before = match &part {
            Part::Constant(word) => Before::after(word, around.before),
            Part::Parameter(_) | Part::Mixed(_) => Before::Value,
        };
        folded
            .children
            .push((part, settle(&places, &doubtful, &inside)));
    }
    folded
}

/// The parts of a template that stand below some nodes, each with the places of its instances, the more concrete first.
fn groups<'a>(
    places: &[Place<'a>],
    around: &Surroundings<'_>,
) -> (Vec<(Part, Vec<Place<'a>>)>, Vec<Verdict>) {
    let mut words = Words::new();
    let mut groups = Groups::default();
    let mut values = Values::default();
    let mut ruled = Vec::new();
    for place in places {
        for (word, child) in place.node.words.iter() {
            if word.is_empty() && around.blank_front {
                continue;
            }
            let child = place.child(child);
            match around.rules.of(word) {
                Some(Ruled::Part(part)) => {
                    groups.add(part.taking(word), [child]);
                    ruled.push(Verdict::by_rule(word, false));
                }
                Some(Ruled::Parameter) => {
                    let mut kinds = Kinds::default();
                    kinds.take(word);
                    values.extend(kinds, [child]);
                    ruled.push(Verdict::by_rule(word, true));
                }
                None => words.entry(word.to_owned()).or_default().push(child),
            }
        }
        if let Some(rest) = place.node.words.rest() {
            values.add(Class::Any, [place.child(rest)]);
        }
    }
    let classes: BTreeSet<Class> = places
        .iter()
        .flat_map(|p| p.node.values.keys().copied())
        .collect();
    for class in classes {
        let of_class = |p: &Place<'a>| p.node.values.get(&class);
        let found: Vec<_> = places.iter().filter_map(of_class).collect();
        let first = found.first().and_then(|v| v.distinct.only());
        let only = first.filter(|f| found.iter().all(|v| v.distinct.only() == Some(f)));
        let fixed = only.filter(|only| match around.rules.of(only) {
            Some(Ruled::Part(part)) => part.constant() == Some(only),
            Some(Ruled::Parameter) => false,
            None => address::is_fixed(
                class,
                &found.iter().map(|v| &v.node).collect::<Vec<_>>(),
                around.depth,
            ),
        });
        let below = places
            .iter()
            .filter_map(|p| Some(p.child(&of_class(p)?.node)));
        match fixed {
            Some(number) => groups.add(Part::Constant(number.to_owned()), below),
            None => values.add(class, below),
        }
    }
    let numbers: Vec<String> = words
        .keys()
        .filter(|w| address::is_number(w))
        .cloned()
        .collect();
    let found = numbers
        .iter()
        .filter_map(|n| words.get(n))
        .map(|p| nodes(p));
    let versions = !values.kinds.classes.contains(&Class::Integer)
        && address::are_versions(&found.collect::<Vec<_>>(), around.depth);
    for number in numbers {
        let places = words.remove(&number).unwrap_or_default();
        if versions {
            groups.add(Part::Constant(number), places);
        } else {
            values.add(Class::Integer, places);
        }
    }
    if values.kinds.classes.contains(&Class::Number) {
        // `2.5` may be a version; beside `48.8566` it is a number.
        words.retain(|word, places| {
            let number = class::is_fraction(word);
            if number {
                values.add(Class::Number, places.drain(..));
            }
            !number
        });
    }
    // Two numbers are a point where it always is two; beside other counts they are a list.
    if [Class::List, Class::Integer, Class::Number]
        .iter()
        .any(|c| values.kinds.classes.contains(c))
    {
        words.retain(|word, places| {
            let pair = is_pair(word);
            if pair {
                values.add(Class::List, places.drain(..));
            }
            !pair
        });
    }
    let mut siblings: Vec<Vec<&Node>> = words.values().map(|p| nodes(p)).collect();
    siblings.push(nodes(&values.places));
    let recurrence = likeness::recurrence(siblings.iter().map(Vec::as_slice));
    let words = endings::merge(words, &recurrence, |profiles| {
        open_endings(profiles, around.identities)
    });
    // What surely is a value, whatever text stands around it.
    let mut sure = nodes(&values.places);
    let mut sure_classes = values.kinds.classes.clone();
    let mut candidates = Words::new();
    // Instances of parts with text and parameters, and values that are whole segments as far as is known.
    let mut instances: Vec<(String, Option<Part>, Vec<Place<'_>>)> = Vec::new();
    for (word, places) in words {
        if has_arguments(&word) {
            instances.push((word.clone(), Some(Part::of_pattern(&word)), places));
        } else if is_pattern(&word) && word.starts_with(|c: char| !c.is_ascii_alphabetic()) {
            let part = Part::of_pattern(&word);
            sure_classes.extend(part.parameters().flat_map(|k| &k.classes));
            sure.extend(nodes(&places));
            instances.push((word, Some(part), places));
        } else {
            candidates.insert(word, places);
        }
    }
    let looks = looks(&candidates);
    let profiles: BTreeMap<&str, Profile> = looks
        .iter()
        .filter_map(|(looks, word)| {
            let mut profile = Profile::of(&nodes(candidates.get(*word)?), &recurrence);
            // A value right after a word is an item of what the word names, whatever joins them.
            profile.before_values |= is_pattern(word);
            Some((*looks, profile))
        })
        .collect();
    let siblings = verdict::Siblings {
        values: (!sure.is_empty()).then(|| Profile::of(&sure, &recurrence)),
        classes: &sure_classes,
        identities: around.identities,
        before: around.before,
    };
    let mut verdicts = verdict::decide(&profiles, &siblings);
    for verdict in &mut verdicts {
        for word in &mut verdict.words {
            if let Some(whole) = looks.get(word.as_str()) {
                *word = (*whole).to_owned();
            }
        }
        let followers = candidates.keys().filter(|w| {
            leader(w, &candidates).is_some_and(|l| verdict.words.iter().any(|v| v == l))
        });
        let followers: Vec<String> = followers.cloned().collect();
        verdict.words.extend(followers);
    }
    let chosen: BTreeSet<&str> = verdicts
        .iter()
        .filter(|v| v.values)
        .flat_map(|v| v.words.iter().map(String::as_str))
        .collect();
    let locales = around.before == Before::Front
        && values.places.is_empty()
        && !chosen.is_empty()
        && chosen.iter().all(|word| codes::is_locale(word));
    let affixes = Affixes::of(&chosen, values.places.is_empty());
    for (word, places) in candidates {
        if chosen.contains(word.as_str()) {
            let said = || Some(Part::of_pattern(&arguments::open(&word)?));
            let part = affixes.part(&word).or_else(said);
            instances.push((word, part, places));
        } else {
            match constant(&word) {
                part @ Part::Constant(_) => groups.add(part, places),
                part => instances.push((word, Some(part), places)),
            }
        }
    }
    // What ends a list is the end of its last item, unless other values here end so.
    let (lists, others): (Vec<_>, Vec<_>) =
        instances.into_iter().partition(|(word, ..)| is_list(word));
    let mut instances = others;
    for (word, _, places) in lists {
        let parts = instances.iter().filter_map(|(_, part, _)| part.as_ref());
        if parts.into_iter().any(|part| part.fits(&word)) {
            instances.push((word, None, places));
        } else {
            values.add(Class::List, places);
        }
    }
    // Where the format varies, one that did not is one more format.
    if instances
        .iter()
        .any(|(word, part, _)| has_format(word, part.as_ref()))
    {
        for (word, part, _) in &mut instances {
            let form = part.as_ref().filter(|p| p.starts_with_parameter());
            if form.is_some() && cut(word).is_some_and(|c| c.is_format()) {
                *part = Some(any_format());
            }
        }
    }
    // A joint that stands inside other values here, too, does not part two parameters.
    for (_, part, _) in &mut instances {
        let inside = |p: &Part| values.kinds.classes.iter().any(|c| p.is_inside(*c));
        if part.as_ref().is_some_and(inside) {
            *part = None;
        }
    }
    // The most concrete template takes each, as in every router.
    let mixed: BTreeMap<String, Part> = instances
        .iter()
        .filter_map(|(_, part, _)| part.as_ref())
        .map(|part| (part.shape(), part.of_words()))
        .collect();
    for (word, part, places) in instances {
        let best = mixed
            .values()
            .filter(|m| m.fits(&word))
            .min_by_key(|m| m.concreteness());
        match (part, best) {
            (Some(part), Some(best)) if part.shape() == best.shape() => groups.add(part, places),
            (_, Some(best)) => groups.add(best.taking(&word), places),
            (Some(part), None) => groups.add(part, places),
            (None, None) => {
                let mut kinds = Kinds::default();
                kinds.take(&word);
                values.extend(kinds, places);
            }
        }
    }
    if !values.places.is_empty() {
        let named = around.rules.name().or(locales.then_some("locale"));
        values.kinds.name = named.map(str::to_owned);
        groups.add_values(values);
    }
    verdicts.extend(ruled);
    (groups.sorted(), verdicts)
}

/// A value and its format, both of any kind.
fn any_format() -> Part {
    Part::of_pattern(&format!("{FORMAT}.{FORMAT}"))
}

/// Whether endings of several formats were put together in a word that is an instance of a value with a format.
fn has_format(word: &str, part: Option<&Part>) -> bool {
    word.ends_with(FORMAT) && part.is_some_and(|p| p.shape() == any_format().shape())
}

/// Endings that are no format are judged like words of their own segment, and more strictly: names of procedures
/// (`album.get`) are by far the commonest words with a point in them.
const OPEN_ENDING: f32 = 1.5;

fn open_endings(profiles: &BTreeMap<&str, Profile>, identities: &Seen) -> BTreeSet<String> {
    let siblings = verdict::Siblings {
        values: None,
        classes: &BTreeSet::new(),
        identities,
        before: Before::Word,
    };
    verdict::decide(profiles, &siblings)
        .into_iter()
        .filter(|v| v.values && v.judgement.odds() >= OPEN_ENDING)
        .flat_map(|v| v.words)
        .collect()
}

/// What each word is judged by, and the word: the stem alone where all words have the same ending, or a verb.
fn looks<'w>(words: &'w Words<'_>) -> BTreeMap<&'w str, &'w str> {
    let endings: BTreeSet<&str> = words
        .keys()
        .filter_map(|w| cut(w))
        .filter(|c| c.joint == '.')
        .map(|c| c.ending)
        .collect();
    let mut out: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for word in words.keys().filter(|w| leader(w, words).is_none()) {
        let stem = cut(word)
            .filter(|c| is_pattern(c.ending) || c.joint == ':' || endings.len() == 1)
            .map_or(word.as_str(), |c| c.stem);
        out.entry(stem).or_default().push((stem, word));
    }
    out.into_values()
        .flat_map(|alike| {
            let alone = alike.len() == 1;
            alike
                .into_iter()
                .map(move |(stem, word)| (if alone { stem } else { word }, word))
        })
        .collect()
}

/// The word without its format or verb, when it stands beside it: what it is, the other is, too.
fn leader<'w>(word: &'w str, words: &Words<'_>) -> Option<&'w str> {
    let cut = cut(word)?;
    ((cut.is_format() || cut.joint == ':') && words.contains_key(cut.stem)).then_some(cut.stem)
}

/// The part of a word or a pattern whose stem never varies.
fn constant(word: &str) -> Part {
    if is_pattern(word) {
        Part::of_pattern(word)
    } else {
        Part::Constant(word.to_owned())
    }
}

/// Whether a pattern is that of a list with an ending.
fn is_list(pattern: &str) -> bool {
    pattern.starts_with("{l}.")
}

impl Folded {
    /// What was left out on the way in, less what became operations.
    pub(crate) fn left_out(&self, counted: &BTreeMap<Noise, u64>) -> BTreeMap<Noise, u64> {
        let mut out = counted.clone();
        self.take_back(&mut out);
        out.retain(|_, count| *count > 0);
        out
    }

    fn take_back(&self, counts: &mut BTreeMap<Noise, u64>) {
        for (noise, count) in counts.iter_mut() {
            *count = count.saturating_sub(self.restored.get(noise).copied().unwrap_or(0));
        }
        self.children.iter().for_each(|(_, c)| c.take_back(counts));
    }

    /// Adds what failed to what succeeded at the same place.
    fn attach(&mut self, nodes: &[&Node]) {
        let mut below: BTreeMap<usize, Vec<&Node>> = BTreeMap::new();
        for node in nodes {
            for (method, evidence) in &node.methods {
                if let Some(operation) = self.methods.get_mut(method) {
                    operation
                        .failed
                        .get_or_insert_default()
                        .merge(evidence.read().into_owned().unbound());
                }
            }
            for (word, child) in node.words.iter() {
                if let Some(at) = self.child(word) {
                    below.entry(at).or_default().push(child);
                }
            }
            for (class, values) in &node.values {
                let fixed = values.distinct.only().and_then(|only| self.constant(only));
                if let Some(at) = fixed.or_else(|| self.parameter(|k| k.accepts(*class))) {
                    below.entry(at).or_default().push(&values.node);
                }
            }
            if let (Some(rest), Some(at)) = (node.words.rest(), self.parameter(|_| true)) {
                below.entry(at).or_default().push(rest);
            }
        }
        for (at, nodes) in below {
            if let Some((_, child)) = self.children.get_mut(at) {
                child.attach(&nodes);
            }
        }
    }

    /// The child that a word or a pattern is an instance of.
    pub(crate) fn child(&self, word: &str) -> Option<usize> {
        let mixed = || {
            let first = self
                .children
                .partition_point(|(p, _)| p.constant().is_some());
            let fits = |(part, _): &(Part, Folded)| part.fits(word);
            Some(first + self.children.get(first..)?.iter().position(fits)?)
        };
        self.constant(word).or_else(mixed)
    }

    pub(crate) fn constant(&self, word: &str) -> Option<usize> {
        let constants = self
            .children
            .partition_point(|(p, _)| p.constant().is_some());
        self.children
            .get(..constants)?
            .binary_search_by(|(p, _)| p.constant().unwrap_or("").cmp(word))
            .ok()
    }

    /// The child that is one parameter, when its values pass a test.
    pub(crate) fn parameter(&self, test: impl Fn(&Kinds) -> bool) -> Option<usize> {
        match self.children.last() {
            Some((Part::Parameter(kinds), _)) if test(kinds) => Some(self.children.len() - 1),
            _ => None,
        }
    }

    /// Calls `visit` for every place with operations and how likely its template is right, 0 to 1, the more concrete ones first.
    pub(crate) fn walk<'a>(
        &'a self,
        path: &mut Vec<Part>,
        visit: &mut dyn FnMut(&[Part], &'a Methods, f64),
    ) {
        self.walk_surely(path, 1.0, visit);
    }

    fn walk_surely<'a>(
        &'a self,
        path: &mut Vec<Part>,
        sure: f64,
        visit: &mut dyn FnMut(&[Part], &'a Methods, f64),
    ) {
        if !self.methods.is_empty() {
            visit(path, &self.methods, sure);
        }
        for (part, child) in &self.children {
            path.push(part.clone());
            child.walk_surely(path, sure.min(self.certainty(part)), visit);
            path.pop();
        }
    }

    /// How likely it is that a part is what it became: the least sure of the verdicts that made it so.
    fn certainty(&self, part: &Part) -> f64 {
        let odds = self
            .verdicts
            .iter()
            .filter(|v| v.ground == verdict::Ground::Weighed)
            .filter(|v| match part {
                Part::Constant(word) => !v.values && v.words.contains(word),
                Part::Parameter(_) | Part::Mixed(_) => v.values,
            })
            .map(|v| f64::from(v.judgement.odds().abs()))
            .reduce(f64::min);
        odds.map_or(1.0, |odds| 1.0 / (1.0 + (-odds).exp()))
    }
}
