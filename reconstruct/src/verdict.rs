//! Which of the words below one node are values of a parameter.
//!
//! In: a profile per word and what stands beside them. Out: for every word whether it is a value, and why. Words are
//! clustered by likeness; each cluster is judged by evidence that adds up, in log-odds: positive is a parameter.

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

/// One piece of evidence about the words of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(dead_code, reason = "read by explanations")]
pub(crate) struct Piece {
    /// What was looked at, as a phrase: "calls of words seen once".
    pub name: &'static str,
    /// The figure that was found: a count, a share from 0 to 1, a likeness from -1 to 1, or 1 for a plain yes.
    pub seen: f32,
    /// Log-odds it adds: positive speaks for a value, negative for a constant, 0 for neither.
    pub odds: f32,
}

/// The evidence about some words together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Judgement {
    pub pieces: Vec<Piece>,
}

impl Judgement {
    fn add(&mut self, name: &'static str, seen: f64, odds: f64) {
        self.pieces.push(Piece {
            name,
            seen: seen as f32,
            odds: odds as f32,
        });
    }

    /// The sum: above 0 the words are values. Natural logarithm of the odds.
    pub(crate) fn odds(&self) -> f32 {
        self.pieces.iter().map(|p| p.odds).sum()
    }
}

/// What decided about some words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// They name versions of the API: constants.
    Version,
    /// They mean something in a path whatever stands beside them: constants.
    Spoken,
    /// The sum of the evidence.
    Weighed,
    /// Too few to be judged, they do only what the values beside them do: values.
    Company,
}

/// Words below one node that were decided together.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "read by explanations")]
pub(crate) struct Verdict {
    /// In the order of their calls.
    pub words: Vec<String>,
    pub values: bool,
    pub ground: Ground,
    /// Empty where nothing was weighed.
    pub judgement: Judgement,
}

/// Decides about every word, each in exactly one verdict. The order is a function of words and calls alone.
pub(crate) fn decide(profiles: &BTreeMap<&str, Profile>, siblings: &Siblings<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut open: Vec<(&str, &Profile)> = Vec::new();
    for (word, profile) in profiles {
        let ground = if class::is_version(word) {
            Ground::Version
        } else if SPOKEN.contains(word) {
            Ground::Spoken
        } else {
            open.push((*word, profile));
            continue;
        };
        verdicts.push(Verdict {
            words: vec![(*word).to_owned()],
            values: false,
            ground,
            judgement: Judgement::default(),
        });
    }
    let (yes, no): (Vec<_>, Vec<_>) = clusters(&open)
        .into_iter()
        .map(|c| {
            let judgement = judge(&c, siblings);
            (c, judgement)
        })
        .partition(|(_, j)| j.odds() > 0.0);
    // What was too seldom called to be judged, and only does what values do here, is one more value.
    let in_company = |c: &Cluster<'_>| {
        c.words.len() <= 2
            && yes.iter().any(|(y, _)| {
                y.words.len() >= 3 && c.profile.within(&y.profile) && y.likeness_between(c) >= 0.0
            })
    };
    let verdict = |cluster: Cluster<'_>, judgement, values, ground| Verdict {
        words: cluster.words.iter().map(|w| (*w).to_owned()).collect(),
        values,
        ground,
        judgement,
    };
    for (cluster, judgement) in no {
        let company = in_company(&cluster);
        let ground = if company {
            Ground::Company
        } else {
            Ground::Weighed
        };
        verdicts.push(verdict(cluster, judgement, company, ground));
    }
    for (cluster, judgement) in yes {
        verdicts.push(verdict(cluster, judgement, true, Ground::Weighed));
    }
    verdicts
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

/// The evidence that the words of a cluster are values.
fn judge(cluster: &Cluster<'_>, siblings: &Siblings<'_>) -> Judgement {
    let n = cluster.words.len() as f64;
    let calls: u64 = cluster.calls.iter().sum();
    let share =
        |test: &dyn Fn(&str) -> bool| cluster.words.iter().filter(|w| test(w)).count() as f64 / n;
    let mut j = Judgement::default();
    j.add("any word of a path", 1.0, -1.6);
    // Many things of the same kind: constants that alike are few, values keep coming.
    let likeness = (cluster.likeness / (n - 1.0).max(1.0)).clamp(0.0, 1.0);
    if n >= 2.0 {
        j.add("words of this kind", n, (n - 1.0).ln() * (0.4 + likeness));
        j.add("likeness among them", likeness, likeness * 1.2);
    }
    // New words still turn up: the share of words seen once estimates the chance that the next call brings another one.
    let once = cluster.calls.iter().filter(|c| **c == 1).count() as f64;
    if n >= 3.0 {
        let fresh = once / calls.max(1) as f64;
        j.add(
            "share of calls that brought a word seen once",
            fresh,
            fresh * 2.0,
        );
    }
    if n <= 5.0 && calls as f64 / n >= 10.0 {
        j.add("few words, calls per word", calls as f64 / n, -1.0);
    }
    let made = share(&looks_made);
    j.add("share that a machine seems to have made", made, made * 2.2);
    let compound = share(&is_compound_value);
    j.add(
        "share that looks like a handle, slug or file",
        compound,
        compound * 0.6,
    );
    let code = share(&is_code_name);
    j.add("share that looks like a name in code", code, -code);
    if n >= 2.0 && common_end(&cluster.words) {
        j.add("a common beginning or end", 1.0, -1.0);
    }
    // The very word was the id, name or slug of something in a body.
    let known: Vec<bool> = cluster
        .words
        .iter()
        .filter_map(|w| siblings.identities.contains(w))
        .collect();
    if !known.is_empty() {
        let hits = known.iter().filter(|k| **k).count() as f64 / known.len() as f64;
        j.add(
            "share that was an id, name or slug in a body",
            hits,
            hits * 2.4,
        );
    }
    // What is changed or deleted under a word is one of many; what the parent lists is what stands under a word.
    if cluster
        .profile
        .methods()
        .any(|m| matches!(m, Method::Put | Method::Delete | Method::Patch))
    {
        j.add("changed or deleted", 1.0, 0.5);
    }
    if let Some(item) = cluster.profile.item()
        && siblings
            .listed
            .iter()
            .any(|l| likeness_of(item, l).is_some_and(|s| s >= 0.55))
    {
        j.add("the parent lists such items", 1.0, 1.2);
    }
    // Beside sure values: of their family when it looks like them, else a constant among them.
    if let Some(values) = &siblings.values {
        let likeness = cluster.likeness_to(values);
        let odds = if likeness >= ALIKE {
            0.4 + likeness
        } else if likeness < -0.2 {
            -1.5
        } else {
            0.0
        };
        j.add("likeness to sure values beside them", likeness, odds);
        let family = siblings
            .classes
            .iter()
            .any(|c| matches!(c, Class::Token | Class::Any | Class::Text | Class::Semver))
            && share(&|w| looks_made(w) || is_compound_value(w)) > 0.5;
        if family {
            j.add("looks like the sure values beside them", 1.0, 1.0);
        } else if siblings
            .classes
            .iter()
            .any(|c| matches!(c, Class::Integer | Class::Uuid | Class::Hex))
        {
            j.add("looks unlike the sure values beside them", 1.0, -1.0);
        }
    }
    // A number below a word is an item of the collection that the word names.
    let above = cluster.before_values as f64 / n;
    j.add("share with sure values right below", above, above * -2.0);
    let plural = share(&is_plural);
    j.add("share of nouns in the plural", plural, plural * -0.8);
    // The front of a path names collections; a value stands after a noun, best in the plural, and seldom after a value.
    let (name, odds) = match siblings.before {
        Before::Front => ("at the front of the path", -1.5),
        Before::Plural => ("after a noun in the plural", 0.6),
        Before::Word => ("after a word", 0.0),
        Before::Value => ("after a value", -1.2),
    };
    j.add(name, 1.0, odds);
    j
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_decided_once_and_by_the_sum_of_its_evidence() {
        let words = [
            "v2",
            "me",
            "orders",
            "amber-1.md",
            "birch-2.md",
            "cedar-3.md",
        ];
        let profiles: BTreeMap<&str, Profile> =
            words.iter().map(|w| (*w, Profile::default())).collect();
        let mut identities = Seen::default();
        identities.add("amber-1.md");
        let verdicts = decide(
            &profiles,
            &Siblings {
                values: None,
                classes: &BTreeSet::new(),
                listed: &[],
                identities: &identities,
                before: Before::Plural,
            },
        );
        let mut decided: Vec<&str> = verdicts
            .iter()
            .flat_map(|v| v.words.iter().map(String::as_str))
            .collect();
        decided.sort_unstable();
        let mut all = words.to_vec();
        all.sort_unstable();
        assert_eq!(decided, all);
        for v in &verdicts {
            match v.ground {
                Ground::Version => assert_eq!(v.words, ["v2"]),
                Ground::Spoken => assert_eq!(v.words, ["me"]),
                Ground::Weighed => assert_eq!(v.values, v.judgement.odds() > 0.0, "{v:?}"),
                Ground::Company => assert!(v.values && v.judgement.odds() <= 0.0),
            }
        }
        assert!(
            verdicts
                .iter()
                .any(|v| v.values && v.words.contains(&"amber-1.md".to_owned()))
        );
    }
}
