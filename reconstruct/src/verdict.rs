//! Which of the words below one node are values of a parameter.
//!
//! In: a profile per word and what stands beside them. Out: the words that are values. Words are clustered by likeness;
//! each cluster is judged by evidence that adds up, in log-odds: positive is a parameter.

use crate::bounded::Seen;
use crate::class::{self, Class};
use crate::likeness::{Profile, likeness_of};
use crate::tree::Method;
use std::collections::{BTreeMap, BTreeSet};

/// What stands beside the words.
pub(crate) struct Siblings<'a> {
    /// Profile of what is below segments that surely are values.
    pub values: Option<Profile>,
    pub classes: &'a BTreeSet<Class>,
    /// Members of the items the parent lists.
    pub listed: &'a [BTreeSet<u64>],
    pub identities: &'a Seen,
    pub before: Before,
}

/// What stands before a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing but prefixes and versions.
    Front,
    /// A constant in the plural.
    Plural,
    /// Another constant.
    Word,
    /// A value.
    Value,
}

impl Before {
    pub(crate) fn after(word: &str, before: Before) -> Before {
        if before == Before::Front
            && (class::is_version(word)
                || matches!(word, "api" | "apis" | "rest")
                || word.bytes().all(|b| b.is_ascii_digit()))
        {
            Before::Front
        } else if is_plural(word) {
            Before::Plural
        } else {
            Before::Word
        }
    }
}

fn is_plural(word: &str) -> bool {
    word.len() >= 4
        && (word.ends_with('s')
            && !word.ends_with("ss")
            && !word.ends_with("us")
            && !word.ends_with("is"))
        || matches!(word, "people" | "children" | "data" | "media")
}

struct Cluster<'a> {
    words: Vec<&'a str>,
    calls: Vec<u64>,
    /// How many of the words have sure values below.
    before_values: usize,
    profile: Profile,
    members: Vec<&'a Profile>,
    /// Sum of the likeness at which each word joined.
    likeness: f64,
}

/// Words of different clusters are different things above this.
const ALIKE: f64 = 0.15;

/// Members of a cluster that a word is compared with.
const MOST_COMPARED: usize = 16;

/// Words that mean something in a path whatever stands beside them.
const SPOKEN: [&str; 24] = [
    "me", "self", "current", "search", "count", "new", "latest", "all", "login", "logout",
    "health", "status", "export", "import", "batch", "bulk", "stats", "query", "default", "upload",
    "download", "metadata", "schema", "validate",
];

/// The words that are values.
pub(crate) fn values_among<'a>(
    profiles: &'a BTreeMap<&'a str, Profile>,
    siblings: &Siblings<'_>,
) -> BTreeSet<&'a str> {
    let mut values = BTreeSet::new();
    let open: Vec<(&'a str, &'a Profile)> = profiles
        .iter()
        .map(|(w, p)| (*w, p))
        .filter(|(w, _)| !class::is_version(w) && !SPOKEN.contains(w))
        .collect();
    let (yes, no): (Vec<Cluster<'_>>, Vec<Cluster<'_>>) = clusters(&open)
        .into_iter()
        .partition(|c| judge(c, siblings) > 0.0);
    for cluster in &yes {
        values.extend(cluster.words.iter().copied());
    }
    // What was too seldom called to be judged, and only does what values do here, is one more value.
    for cluster in no.iter().filter(|c| c.words.len() <= 2) {
        if yes.iter().any(|y| {
            y.words.len() >= 3
                && cluster.profile.within(&y.profile)
                && y.likeness_between(cluster) >= 0.0
        }) {
            values.extend(cluster.words.iter().copied());
        }
    }
    values
}

/// Greedy: the most called words first, each to the cluster it is most like; then clusters that turn out alike are joined.
fn clusters<'a>(words: &[(&'a str, &'a Profile)]) -> Vec<Cluster<'a>> {
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(words[*i].1.calls), words[*i].0));
    let mut out: Vec<Cluster<'a>> = Vec::new();
    for (word, profile) in order.iter().map(|i| words[*i]) {
        let best = out
            .iter()
            .enumerate()
            .map(|(i, c)| (i, c.likeness_to(profile)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((i, likeness)) if likeness >= ALIKE => {
                out[i].join(Cluster::new(word, profile, likeness))
            }
            _ => out.push(Cluster::new(word, profile, 0.0)),
        }
    }
    let mut i = 0;
    while i < out.len() {
        let found = (i + 1..out.len()).find(|j| out[i].likeness_between(&out[*j]) >= ALIKE);
        match found {
            Some(j) => {
                let mut other = out.remove(j);
                other.likeness += out[i].likeness_between(&other);
                out[i].join(other);
            }
            None => i += 1,
        }
    }
    out
}

impl<'a> Cluster<'a> {
    fn new(word: &'a str, profile: &'a Profile, likeness: f64) -> Cluster<'a> {
        Cluster {
            words: vec![word],
            calls: vec![profile.calls],
            before_values: usize::from(profile.before_values),
            profile: profile.clone(),
            members: vec![profile],
            likeness,
        }
    }

    /// The mean over those of its members that can be compared: a union of all would be like everything.
    fn likeness_to(&self, other: &Profile) -> f64 {
        let comparable: Vec<f64> = self
            .members
            .iter()
            .take(MOST_COMPARED)
            .map(|m| m.likeness(other))
            .filter(|l| *l != 0.0)
            .collect();
        if comparable.is_empty() {
            0.0
        } else {
            comparable.iter().sum::<f64>() / comparable.len() as f64
        }
    }

    fn likeness_between(&self, other: &Cluster<'_>) -> f64 {
        let comparable: Vec<f64> = other
            .members
            .iter()
            .take(MOST_COMPARED)
            .map(|m| self.likeness_to(m))
            .filter(|l| *l != 0.0)
            .collect();
        if comparable.is_empty() {
            0.0
        } else {
            comparable.iter().sum::<f64>() / comparable.len() as f64
        }
    }

    fn join(&mut self, other: Cluster<'a>) {
        self.words.extend(other.words);
        self.calls.extend(other.calls);
        self.before_values += other.before_values;
        self.members.extend(other.members);
        self.profile.absorb(&other.profile);
        self.likeness += other.likeness;
    }
}

/// Log-odds that the words of a cluster are values.
fn judge(cluster: &Cluster<'_>, siblings: &Siblings<'_>) -> f64 {
    let n = cluster.words.len() as f64;
    let calls: u64 = cluster.calls.iter().sum();
    let share =
        |test: &dyn Fn(&str) -> bool| cluster.words.iter().filter(|w| test(w)).count() as f64 / n;
    let mut odds = -1.6;
    // Many things of the same kind: constants that alike are few, values keep coming.
    let likeness = (cluster.likeness / (n - 1.0).max(1.0)).clamp(0.0, 1.0);
    if n >= 2.0 {
        odds += (n - 1.0).ln() * (0.4 + likeness) + likeness * 1.2;
    }
    // New words still turn up: the share of words seen once estimates the chance that the next call brings another one.
    let once = cluster.calls.iter().filter(|c| **c == 1).count() as f64;
    if n >= 3.0 {
        odds += (once / calls.max(1) as f64) * 2.0;
    }
    // Few words, called over and over.
    if n <= 5.0 && calls as f64 / n >= 10.0 {
        odds -= 1.0;
    }
    // Looks.
    odds += share(&looks_made) * 2.2;
    odds += share(&is_compound_value) * 0.6;
    odds -= share(&is_code_name) * 1.0;
    if n >= 2.0 && common_end(&cluster.words) {
        odds -= 1.0;
    }
    // The very word was the id, name or slug of something in a body.
    let known: Vec<bool> = cluster
        .words
        .iter()
        .filter_map(|w| siblings.identities.contains(w))
        .collect();
    if !known.is_empty() {
        let hits = known.iter().filter(|k| **k).count() as f64 / known.len() as f64;
        odds += hits * 2.4;
    }
    // What is changed or deleted under a word is one of many; what the parent lists is what stands under a word.
    if cluster
        .profile
        .methods()
        .any(|m| matches!(m, Method::Put | Method::Delete | Method::Patch))
    {
        odds += 0.5;
    }
    if let Some(item) = cluster.profile.item()
        && siblings
            .listed
            .iter()
            .any(|l| likeness_of(item, l).is_some_and(|s| s >= 0.55))
    {
        odds += 1.2;
    }
    // Beside sure values: of their family when it looks like them, else a constant among them.
    if let Some(values) = &siblings.values {
        let likeness = cluster.likeness_to(values);
        let family = siblings
            .classes
            .iter()
            .any(|c| matches!(c, Class::Token | Class::Any | Class::Text | Class::Semver))
            && share(&|w| looks_made(w) || is_compound_value(w)) > 0.5;
        odds += if likeness >= ALIKE {
            0.4 + likeness
        } else if likeness < -0.2 {
            -1.5
        } else {
            0.0
        };
        odds += if family {
            1.0
        } else if siblings
            .classes
            .iter()
            .any(|c| matches!(c, Class::Integer | Class::Uuid | Class::Hex))
        {
            -1.0
        } else {
            0.0
        };
    }
    // A number below a word is an item of the collection that the word names.
    odds -= cluster.before_values as f64 / n * 2.0;
    odds -= share(&is_plural) * 0.8;
    // The front of a path names collections; a value stands after a noun, best in the plural, and seldom after a value.
    odds += match siblings.before {
        Before::Front => -1.5,
        Before::Plural => 0.6,
        Before::Word => 0.0,
        Before::Value => -1.2,
    };
    odds
}

/// Digits among letters or changing case: made by a machine or numbered, and no version.
fn looks_made(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let turns = bytes
        .windows(2)
        .filter(|w| matches!(w, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        .count();
    let uppers = bytes
        .windows(2)
        .filter(|w| matches!(w, [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase()))
        .count();
    let mixed =
        bytes.iter().any(u8::is_ascii_lowercase) && bytes.iter().any(u8::is_ascii_uppercase);
    digits >= 2 && digits * 5 >= bytes.len()
        || (mixed && bytes.len() <= 12 && turns >= 2 && uppers >= 1)
        || (digits >= 1 && mixed && turns >= 1 && bytes.len() <= 10)
}

/// A handle, a slug of several words, a file.
fn is_compound_value(word: &str) -> bool {
    let dots = word.contains('.') && !word.starts_with('.');
    dots || word.starts_with(['@', '~', '$'])
        || (word.contains('-') && word.bytes().any(|b| b.is_ascii_digit()))
}

/// `getUserById`, `FindByStatus`, `_search`: names programmers give.
fn is_code_name(word: &str) -> bool {
    let camel = word
        .as_bytes()
        .windows(2)
        .any(|w| matches!(w, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        && word.bytes().all(|b| b.is_ascii_alphabetic());
    let vowels = word.bytes().filter(|b| b"aeiouAEIOU".contains(b)).count();
    (camel && vowels * 5 >= word.len()) || word.starts_with('_') || word.starts_with('.')
}

/// Whether all words share a long beginning or end, as names of variants do (`int32s`, `int64s`).
fn common_end(words: &[&str]) -> bool {
    let Some(first) = words.first() else {
        return false;
    };
    let shared = |suffix: bool| {
        words.iter().fold(first.len(), |n, w| {
            let same = |(a, b): &(u8, u8)| a == b;
            let common = if suffix {
                first
                    .bytes()
                    .rev()
                    .zip(w.bytes().rev())
                    .take_while(same)
                    .count()
            } else {
                first.bytes().zip(w.bytes()).take_while(same).count()
            };
            n.min(common)
        })
    };
    shared(true) >= 4 || shared(false) >= 4
}
