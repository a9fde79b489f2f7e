//! What comparing found.
//!
//! In: findings as they come. Out: a [`Report`]: the most serious first, in an order that does not depend on how it was found,
//! what several operations share said once.

use std::collections::BTreeMap;

use crate::description::Seen;
use crate::rule::{Class, Rule};

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// A sentence without the operation: ``query parameter `page` must now be sent``.
    pub message: String,
    /// What it is about, without counts and times, so that the same finding has the same subject tomorrow: `query page`.
    pub subject: String,
    /// The operations it concerns, `GET /books`; several where they share a schema. Empty for the document as a whole.
    pub operations: Vec<String>,
    /// JSON pointer into the first document (the old one, the description): the thing, or what is nearest to it.
    pub first: String,
    /// JSON pointer into the second document (the new one, the traffic's): the thing, or what is nearest to it.
    pub second: String,
    /// For drift, how often the operation was called and when.
    pub seen: Option<Seen>,
}

impl Finding {
    /// How much it matters.
    pub fn class(&self) -> Class {
        self.rule.class()
    }

    /// The same, found elsewhere as well.
    fn add(&mut self, other: Finding) {
        // In any order the same: the pointer that comes first stays.
        if other.second < self.second {
            self.second = other.second;
        }
        if other
            .operations
            .iter()
            .all(|name| self.operations.contains(name))
        {
            return;
        }
        self.operations.extend(other.operations);
        if let (Some(seen), Some(more)) = (&mut self.seen, &other.seen) {
            seen.add(more);
        }
    }

    /// 16 hexadecimal digits that stay the same as long as the finding is the same thing, whatever lines move and calls come.
    pub fn fingerprint(&self) -> String {
        // FNV-1a, 64 bits: no secret is protected here, and it must never change.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        // What operations share stays the same when another operation comes to share it.
        let own = self.operations.first().filter(|_| !is_shared(self));
        let operation = own.map_or("", String::as_str);
        for text in [self.rule.id(), operation, &self.subject] {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}

/// All that was found in comparing two documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The most serious first, then by operation.
    pub findings: Vec<Finding>,
    /// Operations of the first document.
    pub first_operations: usize,
    /// Operations of the second document.
    pub second_operations: usize,
    /// Operations of the first that have a counterpart in the second.
    pub matched: usize,
}

impl Report {
    /// How many findings each class has; classes without are left out.
    pub fn counts(&self) -> BTreeMap<Class, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.class()).or_default() += 1;
        }
        counts
    }

    /// Findings of one class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.class() == class)
    }

    /// Puts findings in order. Those that say the same of the same place are one, with the operations of all.
    pub(crate) fn of_findings(findings: Vec<Finding>) -> Report {
        let mut merged: BTreeMap<(Rule, String, String, String), Finding> = BTreeMap::new();
        for finding in findings {
            // What operations share is one finding; what is an operation's own is never another's.
            let own = finding.operations.first().filter(|_| !is_shared(&finding));
            let own = own.cloned().unwrap_or_default();
            let key = (
                finding.rule,
                finding.first.clone(),
                finding.message.clone(),
                own,
            );
            match merged.get_mut(&key) {
                Some(known) => known.add(finding),
                None => {
                    merged.insert(key, finding);
                }
            }
        }
        let mut findings: Vec<Finding> = merged.into_values().collect();
        for finding in &mut findings {
            finding.operations.sort_by(by_path);
            finding.operations.dedup();
        }
        findings.sort_by(|a, b| {
            let path = |finding: &Finding| finding.operations.first().cloned().unwrap_or_default();
            (a.class().cmp(&b.class()))
                .then_with(|| by_path(&path(a), &path(b)))
                .then_with(|| a.rule.cmp(&b.rule))
                .then_with(|| a.message.cmp(&b.message))
                .then_with(|| a.first.cmp(&b.first))
        });
        Report {
            findings,
            ..Report::default()
        }
    }
}

/// Whether a finding is about something that several operations use.
fn is_shared(finding: &Finding) -> bool {
    let shared = |pointer: &str| {
        ["/components/schemas/", "/definitions/", "/servers"]
            .iter()
            .any(|start| pointer.starts_with(start))
    };
    shared(&finding.first) || shared(&finding.second)
}

/// `GET /a` and `POST /a` side by side.
#[allow(clippy::ptr_arg)]
fn by_path(a: &String, b: &String) -> std::cmp::Ordering {
    let key = |text: &str| {
        let (method, path) = text.split_once(' ').unwrap_or(("", text));
        (path.to_owned(), method.to_owned())
    };
    key(a).cmp(&key(b))
}
