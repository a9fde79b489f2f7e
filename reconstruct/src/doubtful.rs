//! Pages and pictures, which are calls of the API in one place and parts of a web site in another.
//!
//! In: the nodes they have in a tree of their own, and the parts that were chosen without them. Out: where they stand below
//! those, and how many calls they are. It never makes a template: the fold does, below a value of the API
//! (`/recipes/42/card.png` beside `/recipes/42`), since a site puts its own pages and files where they do not depend on
//! one of its objects.

use crate::noise::Noise;
use crate::part::{Kinds, Part};
use crate::place::Place;
use crate::tree::Node;
use std::collections::BTreeMap;

/// The children of some places, by the part that each is an instance of; what fits none is nothing.
pub(crate) fn distributed<'a>(
    places: &[Place<'a>],
    groups: &[(Part, Vec<Place<'a>>)],
) -> Vec<Vec<Place<'a>>> {
    let mut out: Vec<Vec<Place<'a>>> = groups.iter().map(|_| Vec::new()).collect();
    let mut put = |at: Option<usize>, instance: &dyn Fn(&Part) -> Part, child: Place<'a>| {
        let found = at.and_then(|at| groups.get(at).zip(out.get_mut(at)));
        if let Some(((part, _), out)) = found {
            out.push(child.inside(&instance(part)));
        }
    };
    for place in places {
        for (word, child) in place.node.words.iter() {
            // The more concrete come first.
            let at = groups.iter().position(|(part, _)| part.fits(word));
            put(at, &|part| part.taking(word), place.child(child));
        }
        for (class, values) in &place.node.values {
            let fixed = values.distinct.only();
            let at = groups.iter().position(|(part, _)| match part {
                Part::Constant(text) => fixed == Some(text),
                Part::Parameter(kinds) => kinds.accepts(*class),
                Part::Mixed(_) => false,
            });
            let instance = |part: &Part| match part {
                Part::Parameter(_) => Part::Parameter(Kinds::of(*class)),
                other => other.clone(),
            };
            put(at, &instance, place.child(&values.node));
        }
    }
    out
}

/// Calls below some places, by the reason for which they were left out on the way in.
pub(crate) fn calls_below(places: &[Place<'_>]) -> BTreeMap<Noise, u64> {
    fn below(node: &Node, out: &mut BTreeMap<Noise, u64>) {
        let values = node.values.values().map(|v| &v.node);
        let words = node.words.iter().map(|(_, child)| child);
        for child in words.chain(node.words.rest()).chain(values) {
            for kept in child.methods.values() {
                let evidence = kept.read();
                let responses = evidence.responses.iter();
                let media = responses.flat_map(|(_, r)| r.bodies.media.iter());
                let pages = media.filter(|(media, _)| Noise::of_media(media) == Noise::Page);
                let pages: u64 = pages.map(|(_, content)| content.count).sum();
                *out.entry(Noise::Page).or_default() += pages;
                *out.entry(Noise::StaticAsset).or_default() += evidence.calls.saturating_sub(pages);
            }
            below(child, out);
        }
    }
    let mut out = BTreeMap::new();
    places.iter().for_each(|p| below(p.node, &mut out));
    out
}
