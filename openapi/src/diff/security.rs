//! Credentials that are needed, before and after.
//!
//! In: two operations. Out: findings. Schemes count by what they are, not by what the document calls them.

use super::Differ;
use crate::description::{Operation, Security};
use crate::rule::Rule;

type Set = std::collections::BTreeMap<crate::Credential, std::collections::BTreeSet<String>>;

impl Differ<'_> {
    pub(super) fn security(&mut self, old: &Operation, new: &Operation) {
        let at = (
            format!("{}/security", old.pointer),
            format!("{}/security", new.pointer),
        );
        let at = (at.0.as_str(), at.1.as_str());
        let (before, after) = (&old.security, &new.security);
        match (before.is_open(), after.is_open()) {
            (true, true) => return,
            (true, false) => {
                let message = format!("it now needs {}", needs(after));
                self.found(Rule::SecurityAdded, new, message, "", at);
                return;
            }
            (false, true) => {
                let message = format!("it no longer needs {}", needs(before));
                self.found(Rule::SecurityRemoved, new, message, "", at);
                return;
            }
            (false, false) => {}
        }
        for set in &before.alternatives {
            // Whoever has more than is needed is let in as well.
            let enough = after.alternatives.iter().any(|other| within(other, set));
            if !enough {
                let message = format!(
                    "{} is no longer enough; it needs {}",
                    shown(set),
                    needs(after)
                );
                self.found(Rule::CredentialRefused, new, message, &shown(set), at);
            }
        }
        for set in &after.alternatives {
            if !before.alternatives.iter().any(|other| within(other, set)) {
                let message = format!("{} is now enough", shown(set));
                self.found(Rule::CredentialAccepted, new, message, &shown(set), at);
            }
        }
        for set in &before.alternatives {
            let same = |other: &&Set| other.keys().eq(set.keys());
            let no_more = |other: &&Set| {
                other.iter().all(|(credential, scopes)| {
                    set.get(credential).is_some_and(|had| scopes.is_subset(had))
                })
            };
            let exactly = |other: &&Set| *other == set;
            let all = || after.alternatives.iter().filter(same);
            let Some(other) = all()
                .find(exactly)
                .or_else(|| all().find(no_more))
                .or_else(|| all().next())
            else {
                continue;
            };
            for (credential, scopes) in set {
                let now = other.get(credential).cloned().unwrap_or_default();
                for scope in now.difference(scopes) {
                    let message = format!("{credential} now needs the scope `{scope}`");
                    self.found(Rule::ScopeAdded, new, message, scope, at);
                }
                for scope in scopes.difference(&now) {
                    let message = format!("{credential} no longer needs the scope `{scope}`");
                    self.found(Rule::ScopeRemoved, new, message, scope, at);
                }
            }
        }
    }
}

fn within(small: &Set, large: &Set) -> bool {
    small
        .keys()
        .all(|credential| large.contains_key(credential))
}

fn shown(set: &Set) -> String {
    let names: Vec<String> = set.keys().map(ToString::to_string).collect();
    names.join(" with ")
}

fn needs(security: &Security) -> String {
    let mut all: Vec<String> = security.alternatives.iter().map(shown).collect();
    all.dedup();
    all.join(", or ")
}
