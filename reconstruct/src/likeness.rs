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

/// Where an operation stands below the segment: depth, method, and its last word if it has one.
type Place = (u8, Method, Option<String>);

/// The operations at and below one segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Per place the hashed paths of body members; empty where bodies are empty or no JSON objects.
    places: BTreeMap<Place, BTreeSet<u64>>,
    /// Places whose last segment is the value itself or below another value: any word may stand there.
    pub calls: u64,
}

/// How deep operations are looked at.
const DEEPEST: u8 = 4;
/// Places and members kept per profile.
const MOST_PLACES: usize = 96;
const MOST_MEMBERS: usize = 128;

impl Profile {
    pub(crate) fn of(nodes: &[&Node]) -> Profile {
        let mut profile = Profile::default();
        for node in nodes {
            profile.add(node, 0, None);
        }
        profile
    }

    fn add(&mut self, node: &Node, depth: u8, last: Option<&str>) {
        for (method, evidence) in &node.methods {
            self.calls += evidence.calls;
            if self.places.len() < MOST_PLACES {
                let members = self
                    .places
                    .entry((depth, *method, last.map(str::to_owned)))
                    .or_default();
                members_of(evidence, members);
            }
        }
        if depth < DEEPEST {
            for (word, child) in node.words.iter() {
                self.add(child, depth + 1, Some(word));
            }
            for child in node
                .values
                .values()
                .map(|v| &v.node)
                .chain(node.words.rest())
            {
                self.add(child, depth + 1, None);
            }
        }
    }

    pub(crate) fn absorb(&mut self, other: &Profile) {
        self.calls += other.calls;
        for (place, members) in &other.places {
            if self.places.len() < MOST_PLACES || self.places.contains_key(place) {
                let mine = self.places.entry(place.clone()).or_default();
                mine.extend(members.iter().take(MOST_MEMBERS.saturating_sub(mine.len())));
            }
        }
    }

    /// Methods answered at the segment itself.
    pub(crate) fn methods(&self) -> impl Iterator<Item = Method> {
        self.places.keys().filter(|p| p.0 == 0).map(|p| p.1)
    }

    /// Members of what GET answers at the segment itself.
    pub(crate) fn item(&self) -> Option<&BTreeSet<u64>> {
        self.places.get(&(0, Method::Get, None))
    }

    /// -1 (surely different things) to 1 (surely the same kind of thing).
    pub(crate) fn likeness(&self, other: &Profile) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (place, mine) in &self.places {
            let Some(theirs) = other.places.get(place) else {
                continue;
            };
            // The same word at the same depth is evidence by itself; without one only what is answered tells.
            let named = place.2.is_some();
            let (score, heft) = match likeness_of(mine, theirs) {
                Some(share) => (share * 2.0 - 0.8, if named { 1.2 } else { 1.0 }),
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
    if depth > 3 {
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
