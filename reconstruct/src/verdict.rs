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
    pub depth: usize,
}

struct Cluster<'a> {
    words: Vec<&'a str>,
    calls: Vec<u64>,
    profile: Profile,
    /// Sum of the likeness at which each word joined.
    likeness: f64,
}

/// Words of different clusters are different things above this.
const ALIKE: f64 = 0.3;

/// Words that mean something in a path whatever stands beside them.
const SPOKEN: [&str; 24] = [
    "me", "self", "current", "search", "count", "new", "latest", "all", "login", "logout",
    "health", "status", "export", "import", "batch", "bulk", "stats", "query", "default", "upload",
    "download", "metadata", "schema", "validate",
];

/// The words that are values.
pub(crate) fn values_among<'a>(
    profiles: &BTreeMap<&'a str, Profile>,
    siblings: &Siblings<'_>,
) -> BTreeSet<&'a str> {
    let mut values = BTreeSet::new();
    let open: Vec<(&'a str, &Profile)> = profiles
        .iter()
        .map(|(w, p)| (*w, p))
        .filter(|(w, _)| !class::is_version(w) && !SPOKEN.contains(w))
        .collect();
    for cluster in clusters(&open) {
        if judge(&cluster, siblings) > 0.0 {
            values.extend(cluster.words.iter().copied());
        }
    }
    values
}

/// Greedy: the most called words first, each to the cluster it is most like; then clusters that turn out alike are joined.
fn clusters<'a>(words: &[(&'a str, &Profile)]) -> Vec<Cluster<'a>> {
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(words[*i].1.calls), words[*i].0));
    let mut out: Vec<Cluster<'a>> = Vec::new();
    for (word, profile) in order.iter().map(|i| words[*i]) {
        let best = out
            .iter()
            .enumerate()
            .map(|(i, c)| (i, c.profile.likeness(profile)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((i, likeness)) if likeness >= ALIKE => out[i].join(Cluster {
                words: vec![word],
                calls: vec![profile.calls],
                profile: profile.clone(),
                likeness,
            }),
            _ => out.push(Cluster {
                words: vec![word],
                calls: vec![profile.calls],
                profile: profile.clone(),
                likeness: 0.0,
            }),
        }
    }
    let mut i = 0;
    while i < out.len() {
        let found = (i + 1..out.len()).find(|j| out[i].profile.likeness(&out[*j].profile) >= ALIKE);
        match found {
            Some(j) => {
                let mut other = out.remove(j);
                other.likeness += out[i].profile.likeness(&other.profile);
                out[i].join(other);
            }
            None => i += 1,
        }
    }
    out
}

impl<'a> Cluster<'a> {
    fn join(&mut self, other: Cluster<'a>) {
        self.words.extend(other.words);
        self.calls.extend(other.calls);
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
    odds += if n >= 2.0 {
        (n - 1.0).ln() * 1.1 + (cluster.likeness / (n - 1.0)).clamp(0.0, 1.0) * 1.2
    } else {
        0.0
    };
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
        let likeness = values.likeness(&cluster.profile);
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
    // The front of a path names collections.
    if siblings.depth == 0 {
        odds -= 1.0;
    }
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
