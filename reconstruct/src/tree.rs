//! The tree of path segments as they were seen, bounded.
//!
//! In: observations with their paths. Out: nodes with evidence per method, words (which may turn out constants or values),
//! and values by class. Nothing is decided here; a bound is kept by thinning, see [`crate::bounded`].

use crate::body::decode;
use crate::bounded::{Bound, Distinct, Entry, Seen, Thinned};
use crate::class::Class;
use crate::evidence::{BARE, Evidence};
use crate::observation::Observation;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Methods OpenAPI has a place for, in the order documents list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
    Options,
    Head,
    Patch,
}

impl Method {
    pub(crate) fn parse(text: &str) -> Option<Method> {
        Some(match text {
            "GET" => Method::Get,
            "PUT" => Method::Put,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "HEAD" => Method::Head,
            "PATCH" => Method::Patch,
            _ => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Put => "put",
            Method::Post => "post",
            Method::Delete => "delete",
            Method::Options => "options",
            Method::Head => "head",
            Method::Patch => "patch",
        }
    }
}

/// One segment of an observed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// May be a constant.
    Word(Cow<'a, str>),
    /// Surely a value.
    Value(Class, Cow<'a, str>),
}

/// Longer paths end in one value that stands for all the rest.
pub(crate) const DEEPEST: usize = 12;

/// The segments of a raw path. Empty ones are left out: servers treat `//` and a trailing slash as they like.
pub(crate) fn segments(path: &str) -> Vec<Segment<'_>> {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some(from) = rest.find(|c| c != '/') {
        let tail = rest.get(from..).unwrap_or("");
        if out.len() + 1 == DEEPEST && tail.trim_end_matches('/').contains('/') {
            out.push(Segment::Value(Class::Text, Cow::Borrowed(tail)));
            break;
        }
        let end = tail.find('/').unwrap_or(tail.len());
        let text = decode(tail.get(..end).unwrap_or(""), false);
        out.push(match Class::of(&text) {
            Some(class) => Segment::Value(class, text),
            None => Segment::Word(text),
        });
        rest = tail.get(end..).unwrap_or("");
    }
    out
}

/// What was seen at one path prefix and below it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Node {
    pub methods: BTreeMap<Method, Evidence>,
    pub words: Thinned<Node>,
    pub values: BTreeMap<Class, Values>,
    /// What was given up to fit: 1 classes are not told apart, 2 operations keep counts only, 3 words are not kept apart.
    level: u8,
    raw: u32,
    cap: u32,
}

/// Values of one class below a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Values {
    pub calls: u64,
    pub distinct: Distinct,
    pub node: Node,
}

/// What the subtrees at each depth may charge.
#[derive(Clone, Debug)]
pub(crate) struct Caps([u32; DEEPEST + 1]);

/// A node that gave up everything it can still holds this much beside one subtree.
const RESERVE: u32 = 26 * 1024;
/// The least charge a tree can be bounded to.
pub(crate) const LEAST: u32 = RESERVE * (DEEPEST as u32 + 2);

impl Caps {
    pub(crate) fn new(root: u32) -> Caps {
        let mut caps = [0; DEEPEST + 1];
        let mut share = f64::from(root.max(LEAST) - RESERVE * (DEEPEST as u32 + 1));
        for (depth, cap) in caps.iter_mut().enumerate() {
            *cap = share as u32 + RESERVE * (DEEPEST - depth + 1) as u32;
            share *= 0.85;
        }
        Caps(caps)
    }

    fn at(&self, depth: usize) -> u32 {
        self.0[depth.min(DEEPEST)]
    }
}

fn word_bound(cap: u32) -> Bound {
    Bound {
        charge: cap.saturating_sub(RESERVE),
        entries: 384,
    }
}

impl Node {
    pub(crate) fn learn(
        &mut self,
        method: Method,
        path: &[Segment<'_>],
        depth: usize,
        caps: &Caps,
        o: &Observation<'_>,
        identities: &mut Seen,
    ) {
        self.cap = caps.at(depth);
        match path.split_first() {
            None => {
                let evidence = self.methods.entry(method).or_default();
                evidence.learn(o, identities);
                if self.level >= 2 {
                    evidence.fit(BARE);
                }
            }
            Some((Segment::Word(word), rest)) if self.level < 3 => {
                let bound = word_bound(self.cap);
                let slot = self.words.slot(word, bound);
                let child = self.words.at(slot);
                let before = child.charge();
                child.learn(method, rest, depth + 1, caps, o, identities);
                self.words.settle(slot, before, bound);
            }
            Some((segment, rest)) => {
                let (class, text) = match segment {
                    Segment::Word(text) => (Class::Any, text),
                    Segment::Value(class, text) => {
                        (if self.level >= 1 { Class::Any } else { *class }, text)
                    }
                };
                let values = self.values.entry(class).or_default();
                values.calls += 1;
                // Words that were thinned out before are known no more, so what stands for everything does not count them.
                if class != Class::Any {
                    values.distinct.add(text);
                }
                values
                    .node
                    .learn(method, rest, depth + 1, caps, o, identities);
            }
        }
        self.fit();
    }

    fn fit(&mut self) {
        self.recount();
        while self.raw > self.cap && self.level < 3 {
            self.raise(self.level + 1);
        }
    }

    fn raise(&mut self, level: u8) {
        self.level = level;
        if level >= 1 && self.values.keys().any(|c| *c != Class::Any) {
            let mut any = Values::default();
            for (_, values) in std::mem::take(&mut self.values) {
                any.merge(values);
            }
            any.distinct = Distinct::default();
            self.values.insert(Class::Any, any);
        }
        if level >= 2 {
            self.methods.values_mut().for_each(|e| e.fit(BARE));
        }
        if level >= 3 {
            for node in std::mem::take(&mut self.words).into_values() {
                let any = self.values.entry(Class::Any).or_default();
                any.calls += node.calls();
                any.node.merge(node);
            }
        }
        self.recount();
    }

    fn recount(&mut self) {
        let bare = self.level >= 2;
        let methods = self
            .methods
            .values()
            .map(|e| if bare { e.raw_charge() } else { e.charge() });
        let values = self
            .values
            .values()
            .map(|v| (size_of::<Values>() as u32 + 192) + v.node.charge());
        self.raw = methods
            .chain(values)
            .chain([self.words.charge()])
            .fold(64, u32::saturating_add);
    }

    /// Calls at this node and below.
    pub(crate) fn calls(&self) -> u64 {
        let words = self.words.iter().map(|(_, n)| n.calls()).sum::<u64>()
            + self.words.rest().map_or(0, Node::calls);
        self.methods.values().map(|e| e.calls).sum::<u64>()
            + words
            + self.values.values().map(|v| v.calls).sum::<u64>()
    }
}

impl Entry for Node {
    fn merge(&mut self, mut other: Node) {
        self.cap = if self.cap == 0 {
            other.cap
        } else if other.cap == 0 {
            self.cap
        } else {
            self.cap.min(other.cap)
        };
        let level = self.level.max(other.level);
        for side in [&mut *self, &mut other] {
            if side.level < level {
                side.raise(level);
            }
        }
        for (method, evidence) in other.methods {
            self.methods.entry(method).or_default().merge(evidence);
        }
        for (class, values) in other.values {
            self.values.entry(class).or_default().merge(values);
        }
        self.words.merge(other.words);
        if self.cap > 0 {
            self.fit();
        }
    }

    fn charge(&self) -> u32 {
        if self.level > 0 {
            self.cap.max(self.raw)
        } else {
            self.raw.max(64)
        }
    }

    fn heap(&self) -> usize {
        let methods: usize = self
            .methods
            .values()
            .map(|e| size_of::<Evidence>() + 16 + e.heap())
            .sum();
        let values: usize = self
            .values
            .values()
            .map(|v| size_of::<Values>() + 16 + v.distinct.heap() + v.node.heap())
            .sum();
        methods + values + self.words.heap()
    }
}

impl Values {
    fn merge(&mut self, other: Values) {
        self.calls += other.calls;
        self.distinct.merge(other.distinct);
        self.node.merge(other.node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let drawn: Vec<String> = segments(path)
            .iter()
            .map(|s| match s {
                Segment::Word(w) => w.to_string(),
                Segment::Value(class, _) => format!("<{class:?}>"),
            })
            .collect();
        assert_eq!(drawn.join("/"), expected, "{path}");
    }

    #[test]
    fn paths_become_segments() {
        check("/", "");
        check("/users/42/", "users/<Integer>");
        check("//a///b", "a/b");
        check("/caf%C3%A9/x%2Fy/%00", "<Text>/<Text>/<Text>");
        check("/a/b/c/d/e/f/g/h/i/j/k/l", "a/b/c/d/e/f/g/h/i/j/k/l");
        check(
            "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/",
            "a/b/c/d/e/f/g/h/i/j/k/<Text>",
        );
        check("no/slash", "no/slash");
    }
}
