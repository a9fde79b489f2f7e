//! Which of the words below one node are values of a parameter.
//!
//! In: a profile per word and what stands beside them. Out: for every word whether it is a value, and why. Words are
//! clustered by likeness; each cluster is judged by evidence that adds up, in log-odds: positive is a parameter.

use crate::bounded::Seen;
use crate::class::{self, Class};
use crate::cluster::{Cluster, clusters};
use crate::judgement::{Judgement, Totals, judge};
use crate::likeness::Profile;
use crate::looks;
use std::collections::{BTreeMap, BTreeSet};

/// What stands beside the words.
pub(crate) struct Siblings<'a> {
    /// Profile of what is below segments that surely are values.
    pub values: Option<Profile>,
    pub classes: &'a BTreeSet<Class>,
    pub identities: &'a Seen,
    pub before: Before,
}

impl Siblings<'_> {
    /// Numbers or hashes stand beside the words.
    pub(crate) fn plain_values(&self) -> bool {
        let plain = |c: &Class| matches!(c, Class::Integer | Class::Uuid | Class::Hex);
        self.classes.iter().any(plain)
    }

    /// Values that words may be the like of stand beside them.
    pub(crate) fn mixed_values(&self) -> bool {
        let mixed =
            |c: &Class| matches!(c, Class::Token | Class::Any | Class::Text | Class::Semver);
        self.classes.iter().any(mixed)
    }
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
        } else if looks::is_plural(word) {
            Before::Plural
        } else {
            Before::Word
        }
    }
}

/// Words that mean something in a path whatever stands beside them.
const SPOKEN: [&str; 24] = [
    "me", "self", "current", "search", "count", "new", "latest", "all", "login", "logout",
    "health", "status", "export", "import", "batch", "bulk", "stats", "query", "default", "upload",
    "download", "metadata", "schema", "validate",
];

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
    /// An operator's rule.
    Rule,
}

/// Words below one node that were decided together.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// In the order of their calls.
    pub words: Vec<String>,
    pub values: bool,
    pub ground: Ground,
    /// Empty where nothing was weighed.
    pub judgement: Judgement,
}

impl Verdict {
    /// What an operator's rule says of a word.
    pub(crate) fn by_rule(word: &str, values: bool) -> Verdict {
        Verdict {
            words: vec![word.to_owned()],
            values,
            ground: Ground::Rule,
            judgement: Judgement::default(),
        }
    }
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
    let all = Totals::of(profiles.iter().map(|(w, p)| (*w, p)), siblings.identities);
    let (yes, no): (Vec<_>, Vec<_>) = clusters(&open)
        .into_iter()
        .map(|c| {
            let own = c.words.iter().copied().zip(c.members.iter().copied());
            let own = Totals::of(own, siblings.identities);
            let judgement = judge(&c, siblings, own, all);
            (c, judgement)
        })
        .partition(|(_, j)| j.odds() > 0.0);
    // What was too seldom called to be judged, and only does what values do here, is one more value. All values together are
    // asked as well as each: the few that it is compared with may not have been called in the same way.
    let in_company = |c: &Cluster<'_>| {
        c.words.len() <= 2
            && yes.iter().any(|(y, _)| {
                y.words.len() >= 3
                    && c.profile.within(&y.profile)
                    && y.likeness_between(c) >= 0.0
                    && y.profile.likeness(&c.profile) >= 0.0
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
                Ground::Rule => panic!("nobody made a rule"),
            }
        }
        assert!(
            verdicts
                .iter()
                .any(|v| v.values && v.words.contains(&"amber-1.md".to_owned()))
        );
    }
}
