//! What comparing found.
//!
//! In: findings as they come. Out: a [`Report`]: the most serious first, in an order that does not depend on how it was found,
//! what several operations share said once.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::description::Seen;
use crate::reach::Set;
use crate::rule::{Class, Rule};
use crate::schema::is_named;

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

    /// 16 hexadecimal digits that stay the same as long as the finding is the same thing, whatever lines move and calls come.
    pub fn fingerprint(&self) -> String {
        // FNV-1a, 64 bits: no secret is protected here, and it must never change.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        // What operations share stays the same when another operation comes to share it.
        let own = self.operations.first();
        let own = own.filter(|_| !is_shared(&self.first, &self.second));
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

    /// Puts what was found in order. What says the same of the same place is one finding, with the operations of all.
    pub(crate) fn of_drafts(drafts: Vec<Draft>, operations: &Operations) -> Report {
        let ranks = operations.ranks();
        let rank = |number: u32| ranks.get(number as usize).copied().unwrap_or(0);
        let mut merged: BTreeMap<(Rule, String, String, Option<u32>), Draft> = BTreeMap::new();
        for draft in drafts {
            // What operations share is one finding; what is an operation's own is never another's.
            let own = match &draft.concerned {
                Concerned::One(number) if !is_shared(&draft.first, &draft.second) => {
                    Some(rank(*number))
                }
                _ => None,
            };
            let key = (draft.rule, draft.first.clone(), draft.message.clone(), own);
            match merged.get_mut(&key) {
                Some(known) => known.add(draft),
                None => {
                    merged.insert(key, draft);
                }
            }
        }
        let mut names: Vec<&str> = vec![""; ranks.len()];
        for (entry, rank) in operations.entries.iter().zip(&ranks) {
            if let Some(name) = names.get_mut(*rank as usize) {
                *name = &entry.name;
            }
        }
        let mut findings: Vec<(Option<u32>, Finding)> = Vec::new();
        for mut draft in merged.into_values() {
            let numbers = draft.concerned.numbers();
            // By path, and each name once.
            let mut ranked = Set::default();
            numbers
                .iter()
                .for_each(|number| ranked.insert(rank(number)));
            let named = ranked.iter().filter_map(|rank| names.get(rank as usize));
            let finding = Finding {
                rule: draft.rule,
                message: draft.message,
                subject: draft.subject,
                operations: named.map(|name| (*name).to_owned()).collect(),
                first: draft.first,
                second: draft.second,
                seen: match draft.seen {
                    Told::This(seen) => seen,
                    Told::OfOperations => operations.seen(&numbers),
                },
            };
            findings.push((ranked.iter().next(), finding));
        }
        findings.sort_by(|(first, a), (second, b)| {
            (a.class().cmp(&b.class()))
                .then_with(|| first.cmp(second))
                .then_with(|| a.rule.cmp(&b.rule))
                .then_with(|| a.message.cmp(&b.message))
                .then_with(|| a.first.cmp(&b.first))
        });
        Report {
            findings: findings.into_iter().map(|(_, finding)| finding).collect(),
            ..Report::default()
        }
    }
}

/// Something that was found, before it is known what else says the same.
pub(crate) struct Draft {
    pub(crate) rule: Rule,
    pub(crate) message: String,
    pub(crate) subject: String,
    pub(crate) concerned: Concerned,
    pub(crate) first: String,
    pub(crate) second: String,
    pub(crate) seen: Told,
}

/// The operations a draft is about, by their numbers in [`Operations`].
#[derive(Clone)]
pub(crate) enum Concerned {
    /// It is about the document.
    Nobody,
    One(u32),
    Many(Rc<Set>),
}

/// What a draft says of calls.
pub(crate) enum Told {
    /// Those of the operations it concerns, together.
    OfOperations,
    This(Option<Seen>),
}

impl Draft {
    /// The same, found elsewhere as well.
    fn add(&mut self, mut other: Draft) {
        // In any order the same: the pointer that comes first stays.
        if other.second < self.second {
            self.second = other.second;
        }
        let mut all = self.concerned.numbers();
        Rc::make_mut(&mut all).add(&other.concerned.numbers());
        self.concerned = Concerned::Many(all);
    }
}

impl Concerned {
    fn numbers(&mut self) -> Rc<Set> {
        match self {
            Self::Nobody => Rc::default(),
            Self::One(number) => {
                let mut set = Set::default();
                set.insert(*number);
                Rc::new(set)
            }
            // Taken, so that adding to it copies nothing.
            Self::Many(set) => std::mem::take(set),
        }
    }
}

/// The operations that drafts are about, numbered as they come.
#[derive(Default)]
pub(crate) struct Operations {
    entries: Vec<Entry>,
    numbers: HashMap<(String, String), u32>,
}

struct Entry {
    name: String,
    seen: Option<Seen>,
}

impl Operations {
    /// The number of an operation by name; `pointer` tells several apart that are reported under one name, each with calls of its
    /// own.
    pub(crate) fn number(&mut self, name: String, pointer: &str, seen: Option<&Seen>) -> u32 {
        let next = self.entries.len() as u32;
        let entries = &mut self.entries;
        *self
            .numbers
            .entry((name, pointer.to_owned()))
            .or_insert_with_key(|(name, _)| {
                let (name, seen) = (name.clone(), seen.cloned());
                entries.push(Entry { name, seen });
                next
            })
    }

    /// For each number its place in the order by path; one place for one name.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        let name = |at: &usize| self.entries.get(*at).map_or("", |entry| &entry.name);
        order.sort_by(|a, b| by_path(name(a), name(b)));
        let mut ranks = vec![0; order.len()];
        let mut rank = 0;
        for (at, number) in order.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| order.get(before));
            if before.is_some_and(|before| name(before) != name(number)) {
                rank += 1;
            }
            if let Some(place) = ranks.get_mut(*number) {
                *place = rank;
            }
        }
        ranks
    }

    fn seen(&self, numbers: &Set) -> Option<Seen> {
        let all = numbers.iter().filter_map(|number| {
            let entry = self.entries.get(number as usize)?;
            entry.seen.as_ref()
        });
        all.fold(None, |sum: Option<Seen>, seen| {
            let mut sum = sum.unwrap_or_default();
            sum.add(seen);
            Some(sum)
        })
    }
}

/// Whether pointers are of something that several operations use.
fn is_shared(first: &str, second: &str) -> bool {
    let shared = |pointer: &str| is_named(pointer) || pointer.starts_with("/servers");
    shared(first) || shared(second)
}

/// `GET /a` and `POST /a` side by side.
fn by_path(a: &str, b: &str) -> std::cmp::Ordering {
    fn key(text: &str) -> (&str, &str) {
        let (method, path) = text.split_once(' ').unwrap_or(("", text));
        (path, method)
    }
    key(a).cmp(&key(b))
}
