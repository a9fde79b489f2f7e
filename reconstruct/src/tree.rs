//! The tree of path segments as they were seen, bounded.
//!
//! In: observations with their paths. Out: nodes with evidence per method, words (which may turn out constants or values),
//! and values by class. Nothing is decided here; a bound is kept by thinning, see [`crate::bounded`].

use crate::body::decode;
use crate::bounded::{Bound, Distinct, Entry, Seen, Thinned};
use crate::class::{self, Class};
use crate::kept::Kept;
use crate::observation::Observation;
use crate::pattern;
use crate::rank;
use crate::sorted::Sorted;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
    /// May be a constant; or the pattern of a segment that holds a value, see [`crate::pattern`].
    Word(Cow<'a, str>),
    /// Surely a value.
    Value(Class, Cow<'a, str>),
}

/// Longer paths end in one value that stands for all the rest. Of 85,000 published paths 44 are longer.
pub(crate) const DEEPEST: usize = 16;

/// The segments of a raw path. Empty ones are left out: servers treat `//` and a trailing slash as they like. Only at the
/// front one is kept, until it is known whether the path is called without it, too.
pub(crate) fn segments(path: &str) -> Vec<Segment<'_>> {
    let mut out = Vec::new();
    if path.starts_with("//") && path.contains(|c| c != '/') {
        out.push(Segment::Word(Cow::Borrowed("")));
    }
    let mut rest = path;
    while let Some(from) = rest.find(|c| c != '/') {
        let tail = rest.get(from..).unwrap_or("");
        if out.len() + 1 == DEEPEST && tail.trim_end_matches('/').contains('/') {
            out.push(Segment::Value(Class::Text, Cow::Borrowed(tail)));
            break;
        }
        let end = tail.find('/').unwrap_or(tail.len());
        let text = decode(tail.get(..end).unwrap_or(""), false);
        if may_be_version(&text) && is_front(&out) {
            out.push(Segment::Word(text));
            rest = tail.get(end..).unwrap_or("");
            continue;
        }
        out.push(match (pattern::of(&text), Class::of(&text)) {
            (Some(pattern), _) => Segment::Word(Cow::Owned(pattern)),
            (None, Some(class)) => Segment::Value(class, text),
            (None, None) => Segment::Word(text),
        });
        rest = tail.get(end..).unwrap_or("");
    }
    out
}

/// Numbers that may be the version of an API at the front of its paths: `/2/users`. Published are 1 to 3.
fn may_be_version(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'])
}

/// Whether nothing but the address of an API stands before a segment.
fn is_front(before: &[Segment<'_>]) -> bool {
    before.iter().all(|segment| match segment {
        Segment::Word(word) => {
            matches!(&**word, "" | "api" | "apis" | "rest") || class::is_version(word)
        }
        Segment::Value(..) => false,
    })
}

/// What was seen at one path prefix and below it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Node {
    pub methods: Sorted<Method, Kept>,
    pub words: Thinned<Node>,
    pub values: Sorted<Class, Values>,
    /// How much was given up to fit, see [`halvings`] and [`thinning`].
    level: u8,
    /// Charge of what is held.
    raw: u32,
    /// What it may charge; 0 before that is known.
    cap: u32,
}

/// Values of one class below a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Values {
    pub calls: u64,
    pub distinct: Distinct,
    pub node: Node,
}

/// Words kept apart below one node.
const MOST_WORDS: usize = 384;
/// No child is cut down below this.
const LEAST_CHILD: u32 = 4 * 1024;
/// What one more level gives up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Words, see [`Thinned::thin`].
    Words,
    /// Half of what one child may charge: what takes too much is cut down, and small siblings stay whole.
    Halves,
    Both,
}

/// The order in which things are given up, with the number of levels. Odd words first: whoever fills a tree with paths that are all
/// new mostly invents such, and nothing else has suffered by then. A few subtrees that take too much are cut down before
/// any word goes that may be somebody's. Then the words go that published APIs do not have, random letters first: there
/// were more than can be kept apart, and what their children hold is left as it is. The API's own words go when everything
/// is cut down.
const LOSSES: [(u8, Loss); 6] = [
    (rank::ODD, Loss::Words),
    (4, Loss::Halves),
    (rank::UNLIKELY + rank::UNKNOWN, Loss::Words),
    (4, Loss::Halves),
    (rank::HIGHEST - KNOWN + 26, Loss::Words),
    (LAST, Loss::Both),
];
/// Words that published APIs have are safe up to here.
const KNOWN: u8 = rank::ODD + rank::UNLIKELY + rank::UNKNOWN;
/// How many levels there are in which words and subtrees go.
const LAST: u8 = 16;
/// Here nothing is told apart but methods.
const LAST_LEVEL: u8 = rank::HIGHEST + 26 + 4 + 4 + LAST;
/// From here on classes are not told apart.
const CLASSLESS: u8 = LAST_LEVEL - LAST / 2;

/// How many of the levels up to `level` give up something of this kind.
fn given_up(level: u8, what: Loss) -> u8 {
    let (mut left, mut sum) = (level, 0);
    for (levels, loss) in LOSSES {
        let here = left.min(levels);
        if loss == what || loss == Loss::Both {
            sum += here;
        }
        left -= here;
    }
    sum
}

/// How often a level halves what one child may charge.
fn halvings(level: u8) -> u8 {
    given_up(level, Loss::Halves).min(20)
}

/// How far a level thins out words, see [`Thinned::thin`].
fn thinning(level: u8) -> u8 {
    given_up(level, Loss::Words)
}

/// The least charge a tree can be bounded to: the deepest path, nothing told apart at any node of it.
pub(crate) const LEAST: u32 = 26 * 1024 * (DEEPEST as u32 + 2);
/// Words are bounded by the node's level, not by the map that holds them.
const FREE: Bound = Bound {
    charge: u32::MAX,
    entries: usize::MAX,
};

impl Node {
    /// Folds one observation in at `path` below this node. `cap` is what the node may charge. Returns whether the operation was not
    /// ready before, see [`Kept`].
    pub(crate) fn learn(
        &mut self,
        method: Method,
        path: &[Segment<'_>],
        cap: u32,
        o: &Observation<'_>,
        identities: &mut Seen,
    ) -> bool {
        self.bind(cap);
        let child_cap = self.child_cap();
        let woken = match path.split_first() {
            None => {
                let whole = self.whole();
                self.methods.or_default(method).learn(o, whole, identities)
            }
            Some((Segment::Word(word), rest)) if self.level < LAST_LEVEL => {
                let slot = self.words.slot(word, FREE);
                let child = self.words.at(slot);
                let before = child.charge();
                let woken = child.learn(method, rest, child_cap, o, identities);
                self.words.settle(slot, before, FREE);
                woken
            }
            Some((segment, rest)) => {
                let (class, text) = match segment {
                    Segment::Word(text) => (Class::Any, text),
                    Segment::Value(class, text) => (
                        if self.level >= CLASSLESS {
                            Class::Any
                        } else {
                            *class
                        },
                        text,
                    ),
                };
                let values = self.values.or_default(class);
                values.calls += 1;
                // Words that were thinned out before are known no more, so what stands for everything does not count them.
                if class != Class::Any {
                    values.distinct.add(text);
                }
                values.node.learn(method, rest, child_cap, o, identities)
            }
        };
        self.fit();
        woken
    }

    /// Sets what the node may charge.
    pub(crate) fn bind(&mut self, cap: u32) {
        if self.cap != cap {
            self.cap = cap;
            self.tighten();
            self.fit();
        }
    }

    fn child_cap(&self) -> u32 {
        ((self.cap / 16 * 15) >> halvings(self.level)).max(LEAST_CHILD)
    }

    /// What one operation at the node may charge.
    fn whole(&self) -> u32 {
        (self.cap / 2) >> halvings(self.level)
    }

    fn fit(&mut self) {
        self.recount();
        while self.cap > 0
            && (self.raw > self.cap || self.words.len() > MOST_WORDS)
            && self.level < LAST_LEVEL
        {
            self.level += 1;
            self.tighten();
        }
    }

    /// Applies level and cap to everything below.
    fn tighten(&mut self) {
        let (level, whole, child_cap) = (self.level, self.whole(), self.child_cap());
        self.methods.values_mut().for_each(|e| e.bind(whole));
        self.words.thin(thinning(level));
        if level >= CLASSLESS && self.values.keys().any(|c| *c != Class::Any) {
            let mut any = Values::default();
            for (_, values) in std::mem::take(&mut self.values) {
                any.merge(values);
            }
            any.distinct = Distinct::default();
            *self.values.or_default(Class::Any) = any;
        }
        if level >= LAST_LEVEL {
            for node in std::mem::take(&mut self.words).into_values() {
                let any = self.values.or_default(Class::Any);
                any.calls += node.calls();
                any.node.merge(node);
            }
        }
        self.words.each(|n| n.bind(child_cap));
        self.values
            .values_mut()
            .for_each(|v| v.node.bind(child_cap));
        self.recount();
    }

    fn recount(&mut self) {
        let methods = self.methods.values().map(Kept::charge);
        let values = self
            .values
            .values()
            .map(|v| (size_of::<Values>() as u32 + 192) + v.node.charge());
        self.raw = methods
            .chain(values)
            .chain([self.words.held()])
            .fold(64, u32::saturating_add);
    }

    /// Drops the operations last called before that time, Unix milliseconds, and the nodes left without any. Returns how many
    /// operations went. What was given up to keep a bound stays given up where something else is left.
    pub(crate) fn forget(&mut self, before: u64) -> u64 {
        let had = self.methods.len();
        self.methods.retain(|_, e| e.last_seen() >= before);
        let mut gone = (had - self.methods.len()) as u64;
        self.words.retain(|n| {
            gone += n.forget(before);
            !n.is_empty()
        });
        self.values.retain(|_, v| {
            gone += v.node.forget(before);
            !v.node.is_empty()
        });
        if self.is_empty() {
            *self = Node {
                cap: self.cap,
                ..Node::default()
            };
        }
        self.recount();
        gone
    }

    /// Lets the operations rest that did not learn since this was last called. Returns how many are still ready.
    pub(crate) fn rest(&mut self) -> usize {
        let mut ready = 0;
        self.every(&mut |kept| {
            kept.rest();
            ready += usize::from(!kept.rests());
        });
        ready
    }

    /// The node with all operations ready to be read many times.
    pub(crate) fn awake(&self) -> Cow<'_, Node> {
        if !self.rests() {
            return Cow::Borrowed(self);
        }
        let mut node = self.clone();
        node.every(&mut Kept::wake);
        Cow::Owned(node)
    }

    fn every(&mut self, change: &mut impl FnMut(&mut Kept)) {
        self.methods.values_mut().for_each(&mut *change);
        self.words.values_mut().for_each(|n| n.every(change));
        self.values.values_mut().for_each(|v| v.node.every(change));
    }

    /// Whether an operation here or below rests.
    fn rests(&self) -> bool {
        self.methods.values().any(Kept::rests)
            || self.words.iter().any(|(_, n)| n.rests())
            || self.words.rest().is_some_and(Node::rests)
            || self.values.values().any(|v| v.node.rests())
    }

    fn is_empty(&self) -> bool {
        self.methods.is_empty()
            && self.values.is_empty()
            && self.words.len() == 0
            && self.words.rest().is_none()
    }

    /// Calls at this node and below.
    pub(crate) fn calls(&self) -> u64 {
        let words = self.words.iter().map(|(_, n)| n.calls()).sum::<u64>()
            + self.words.rest().map_or(0, Node::calls);
        self.methods.values().map(Kept::calls).sum::<u64>()
            + words
            + self.values.values().map(|v| v.calls).sum::<u64>()
    }
}

impl Entry for Node {
    fn merge(&mut self, mut other: Node) {
        let cap = match (self.cap, other.cap) {
            (0, cap) | (cap, 0) => cap,
            (a, b) => a.min(b),
        };
        let level = self.level.max(other.level);
        for side in [&mut *self, &mut other] {
            if side.level < level || side.cap != cap {
                (side.level, side.cap) = (level, cap);
                side.tighten();
            }
        }
        for (method, evidence) in other.methods {
            self.methods.or_default(method).merge(evidence);
        }
        for (class, values) in other.values {
            self.values.or_default(class).merge(values);
        }
        self.words.merge(other.words);
        self.fit();
    }

    fn charge(&self) -> u32 {
        if self.level > 0 {
            self.cap.max(self.raw)
        } else {
            self.raw
        }
    }

    fn heap(&self) -> usize {
        let methods: usize = self.methods.values().map(Kept::heap).sum();
        let values: usize = self
            .values
            .values()
            .map(|v| v.distinct.heap() + v.node.heap())
            .sum();
        self.methods.heap() + methods + self.values.heap() + values + self.words.heap()
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
        check("//a///b", "/a/b");
        check("//", "");
        check("/caf%C3%A9/x%2Fy/%00", "<Text>/<Text>/<Text>");
        check(
            "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
            "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p",
        );
        check(
            "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/",
            "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/<Text>",
        );
        check("/models/42.json/7:cancel", "models/{i}.json/{i}:cancel");
        check("no/slash", "no/slash");
        check("/2/users/2", "2/users/<Integer>");
        check("/api/12/users", "api/12/users");
        check("/100/users", "<Integer>/users");
        check("/1/2/users", "1/<Integer>/users");
    }
}
