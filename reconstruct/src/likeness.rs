//! How alike what stands below two sibling segments is.
//!
//! In: the nodes below a segment. Out: a [`Profile`] of the operations there (how deep, which method, last word, names of
//! the members of their bodies), profiles of several segments together, and a likeness from -1 to 1; 0 is "cannot tell".

use crate::body::Kind;
use crate::bounded::hash;
use crate::evidence::{Evidence, is_success};
use crate::shape::Shape;
use crate::tree::{Method, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Where an operation stands below the segment: its method, and the words on the way, blank where a value may stand.
type Place = (Method, Vec<Option<String>>);

/// How many of the siblings have a word at a depth below them: what recurs is a constant.
pub(crate) type Recurrence = BTreeMap<(u8, String), usize>;

/// The operations at and below one segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Per place the hashed paths of body members; empty where bodies are empty or no JSON objects.
    places: BTreeMap<Place, BTreeSet<u64>>,
    /// Calls of the segment and of everything below it.
    pub calls: u64,
    /// Whether a word below it recurs below its siblings.
    pub recurs: bool,
    /// Whether a sure value (a number, a UUID) stands directly below.
    pub before_values: bool,
}

/// How deep operations are looked at.
const DEEPEST: usize = 4;
/// Places and members kept per profile.
const MOST_PLACES: usize = 96;
const MOST_MEMBERS: usize = 128;

/// Counts, for siblings given as the nodes below each, which words recur.
pub(crate) fn recurrence<'a>(siblings: impl Iterator<Item = &'a [&'a Node]>) -> Recurrence {
    fn collect(node: &Node, depth: u8, out: &mut BTreeSet<(u8, String)>) {
        if usize::from(depth) >= DEEPEST || out.len() >= 512 {
            return;
        }
        for (word, child) in node.words.iter() {
            out.insert((depth, word.to_owned()));
            collect(child, depth + 1, out);
        }
        for child in node
            .values
            .values()
            .map(|v| &v.node)
            .chain(node.words.rest())
        {
            collect(child, depth + 1, out);
        }
    }
    let mut out = Recurrence::new();
    for nodes in siblings {
        let mut words = BTreeSet::new();
        nodes.iter().for_each(|n| collect(n, 0, &mut words));
        for word in words {
            *out.entry(word).or_default() += 1;
        }
    }
    out
}

impl Profile {
    pub(crate) fn of(nodes: &[&Node], recurrence: &Recurrence) -> Profile {
        let mut profile = Profile::default();
        for node in nodes {
            profile.add(node, &mut Vec::new(), recurrence);
            profile.calls += node.calls();
            profile.before_values |= !node.values.is_empty();
        }
        profile
    }

    fn add(&mut self, node: &Node, way: &mut Vec<Option<String>>, recurrence: &Recurrence) {
        for (method, kept) in &node.methods {
            let evidence = &*kept.read();
            self.place(*method, way, evidence);
            // A value that recurs looks like a constant; an anchor before it lets it be compared with those that do not.
            if way.len() >= 2
                && let Some(last) = way.last_mut().and_then(Option::take)
            {
                self.place(*method, way, evidence);
                if let Some(slot) = way.last_mut() {
                    *slot = Some(last);
                }
            }
        }
        if way.len() < DEEPEST {
            let depth = way.len() as u8;
            for (word, child) in node.words.iter() {
                let recurs = recurrence
                    .get(&(depth, word.to_owned()))
                    .is_some_and(|n| *n >= 2);
                self.recurs |= recurs;
                way.push(recurs.then(|| word.to_owned()));
                self.add(child, way, recurrence);
                way.pop();
            }
            for child in node
                .values
                .values()
                .map(|v| &v.node)
                .chain(node.words.rest())
            {
                way.push(None);
                self.add(child, way, recurrence);
                way.pop();
            }
        }
    }

    fn place(&mut self, method: Method, way: &[Option<String>], evidence: &Evidence) {
        let place = (method, way.to_vec());
        if self.places.len() < MOST_PLACES || self.places.contains_key(&place) {
            members_of(evidence, self.places.entry(place).or_default());
        }
    }

    pub(crate) fn absorb(&mut self, other: &Profile) {
        self.calls += other.calls;
        self.recurs |= other.recurs;
        for (place, members) in &other.places {
            if self.places.len() < MOST_PLACES || self.places.contains_key(place) {
                let mine = self.places.entry(place.clone()).or_default();
                mine.extend(members.iter().take(MOST_MEMBERS.saturating_sub(mine.len())));
            }
        }
    }

    /// Methods answered at the segment itself.
    pub(crate) fn methods(&self) -> impl Iterator<Item = Method> {
        self.places.keys().filter(|p| p.1.is_empty()).map(|p| p.0)
    }

    /// Whether everything answered here is answered there, too, as far as methods and words tell.
    pub(crate) fn within(&self, other: &Profile) -> bool {
        self.places.keys().all(|p| other.places.contains_key(p))
    }

    /// -1 (surely different things) to 1 (surely the same kind of thing).
    pub(crate) fn likeness(&self, other: &Profile) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (place, mine) in &self.places {
            let Some(theirs) = other.places.get(place) else {
                continue;
            };
            // The same word at the same depth is evidence by itself; without one only what is answered tells.
            let named = place.1.iter().any(Option::is_some);
            let (score, heft) = match likeness_of(mine, theirs) {
                Some(share) => (share * 2.0 - 1.0, if named { 1.2 } else { 1.0 }),
                None if named => (0.6, 0.8),
                None => (0.2, 0.3),
            };
            sum += score * heft;
            weight += heft;
        }
        if weight == 0.0 {
            0.0
        } else {
            (sum / weight).clamp(-1.0, 1.0)
        }
    }
}

/// The share of members two bodies have in common, or `None` when one has none. Members are optional more often than not,
/// so what is common is weighed against the smaller body, too.
pub(crate) fn likeness_of(a: &BTreeSet<u64>, b: &BTreeSet<u64>) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let common = a.intersection(b).count() as f64;
    let (least, most) = (
        a.len().min(b.len()) as f64,
        (a.len() + b.len()) as f64 - common,
    );
    Some((common / most) * 0.6 + (common / least) * 0.4)
}

/// The member paths of what an operation takes and answers.
fn members_of(evidence: &Evidence, out: &mut BTreeSet<u64>) {
    for (status, response) in evidence.responses.iter().filter(|(s, _)| is_success(s)) {
        for (media, content) in response.bodies.media.iter() {
            match Kind::of(media) {
                Kind::Json | Kind::JsonLines => {
                    members(&content.shape, status.len() as u64, 0, out)
                }
                _ => {
                    out.insert(hash(media));
                }
            }
        }
    }
    for (_, content) in evidence.request.media.iter() {
        members(&content.shape, 7, 0, out);
    }
}

/// The paths of the members of a shape, hashed onto `seed`.
pub(crate) fn members(shape: &Shape, seed: u64, depth: usize, out: &mut BTreeSet<u64>) {
    if depth > 1 {
        return;
    }
    if let Some(arrays) = &shape.arrays {
        members(&arrays.items, seed.rotate_left(5) ^ 1, depth, out);
    }
    for (name, property) in shape.objects.iter().flat_map(|o| o.members.iter()) {
        if out.len() >= MOST_MEMBERS {
            return;
        }
        let path = seed.rotate_left(7) ^ hash(name);
        out.insert(path);
        members(&property.shape, path, depth + 1, out);
    }
}
