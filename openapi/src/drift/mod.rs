//! Where a description and the traffic part.
//!
//! In: the description somebody wrote, and the one that was reconstructed from traffic. Out: a [`Report`] whose `first` is the
//! description and whose `second` is the traffic's document. The traffic shows what succeeded; it never shows that something
//! does not exist, and a recording is never all traffic. So every rule reports what was seen against what is written, and says
//! nothing where the traffic cannot tell.

mod contents;
mod pairing;
mod shapes;

use std::collections::BTreeMap;

use crate::description::{Description, Operation, Seen};
use crate::report::{Concerned, Draft, Operations, Report, Told};
use crate::rule::Rule;
use crate::tree::join;
use pairing::{Pairing, Verdict};
use shapes::Shapes;

/// Compares a description with the document of observed traffic.
pub fn drift(documented: &Description, observed: &Description) -> Report {
    let pairing = Pairing::of(documented, observed);
    let mut drift = Drift {
        documented,
        credentials_seen: observed
            .operations
            .iter()
            .any(|operation| !operation.security.credentials().is_empty()),
        shapes: Shapes::new(documented, observed),
        operations: Operations::default(),
        drafts: Vec::new(),
    };
    drift.base_path(&pairing);
    let mut called: BTreeMap<usize, Seen> = BTreeMap::new();
    let mut uncertain: BTreeMap<usize, &Operation> = BTreeMap::new();
    for (operation, verdict) in observed.operations.iter().zip(&pairing.verdicts) {
        match verdict {
            Verdict::Documented { index, compare } => {
                let Some(partner) = documented.operations.get(*index) else {
                    continue;
                };
                let sum = called.entry(*index).or_default();
                if let Some(seen) = &operation.seen {
                    sum.add(seen);
                }
                if *compare {
                    drift.contents(partner, operation);
                }
            }
            Verdict::Among(indices) => {
                for index in indices {
                    uncertain.entry(*index).or_insert(operation);
                }
            }
            Verdict::OtherMethods(index) => drift.shadow_method(operation, *index),
            Verdict::Unknown => drift.shadow(operation),
        }
    }
    for (index, operation) in documented.operations.iter().enumerate() {
        let covered = pairing.covered.get(&index).copied();
        let covered = covered.and_then(|at| observed.operations.get(at));
        match (
            called.get(&index),
            uncertain.get(&index).copied().or(covered),
        ) {
            (Some(seen), _) if operation.deprecated => drift.zombie(operation, seen),
            (Some(_), _) => {}
            (None, Some(wider)) => drift.uncertain(operation, wider),
            (None, None) => drift.orphan(operation),
        }
    }
    let Drift {
        mut drafts,
        shapes,
        operations,
        ..
    } = drift;
    drafts.extend(shapes.drafts());
    for draft in &mut drafts {
        draft.first = documented.existing(&draft.first);
        draft.second = observed.existing(&draft.second);
    }
    Report {
        first_operations: documented.operations.len(),
        second_operations: observed.operations.len(),
        matched: called.len(),
        ..Report::of_drafts(drafts, &operations)
    }
}

/// ` (12 calls, last 2026-03-02T08:00:00Z)`, or nothing where the document does not say.
fn times(seen: Option<&Seen>) -> String {
    match seen {
        Some(Seen { calls, last, .. }) if *calls > 0 => {
            let calls = match calls {
                1 => "1 call".to_owned(),
                calls => format!("{calls} calls"),
            };
            match last {
                Some(last) => format!(" ({calls}, last {last})"),
                None => format!(" ({calls})"),
            }
        }
        _ => String::new(),
    }
}

/// Comparing a description with traffic.
struct Drift<'a> {
    documented: &'a Description,
    /// Whether any traffic carries credentials at all: some recorders leave them out.
    credentials_seen: bool,
    shapes: Shapes<'a>,
    operations: Operations,
    drafts: Vec<Draft>,
}

impl Drift<'_> {
    /// Something about an operation, `named` as it is, with the calls of the observed one.
    fn found(
        &mut self,
        rule: Rule,
        (named, observed): (&Operation, &Operation),
        message: String,
        subject: &str,
        at: (&str, &str),
    ) {
        let number = self.number(named, observed);
        self.drafts.push(Draft {
            rule,
            message,
            subject: subject.to_owned(),
            concerned: Concerned::One(number),
            first: at.0.to_owned(),
            second: at.1.to_owned(),
            seen: Told::OfOperations,
        });
    }

    /// Of the operation in reports, with the calls of the observed one.
    fn number(&mut self, named: &Operation, observed: &Operation) -> u32 {
        self.operations
            .number(named.name(), &observed.pointer, observed.seen.as_ref())
    }

    /// Something about an operation of the description as a whole.
    fn told(
        &mut self,
        rule: Rule,
        (operation, seen): (&Operation, Option<&Seen>),
        message: String,
        at: (&str, &str),
    ) {
        let number = self.operations.number(operation.name(), "", None);
        self.drafts.push(Draft {
            rule,
            message,
            subject: String::new(),
            concerned: Concerned::One(number),
            first: at.0.to_owned(),
            second: at.1.to_owned(),
            seen: Told::This(seen.cloned()),
        });
    }

    /// Something about an operation that only the traffic has. It is named by its whole path: which part of it the
    /// observed document has in `servers` says nothing about the described one.
    fn undescribed(&mut self, rule: Rule, operation: &Operation, message: String, at: &str) {
        let name = format!("{} {}", operation.method, operation.whole_path());
        let seen = operation.seen.as_ref();
        let number = self.operations.number(name, &operation.pointer, seen);
        self.drafts.push(Draft {
            rule,
            message,
            subject: String::new(),
            concerned: Concerned::One(number),
            first: at.to_owned(),
            second: operation.pointer.clone(),
            seen: Told::OfOperations,
        });
    }

    fn shadow(&mut self, operation: &Operation) {
        let times = times(operation.seen.as_ref());
        let message = format!("it is called{times} and is not in the description");
        // The path may be written all the same, without a method.
        let at = join("/paths", &operation.path);
        self.undescribed(Rule::ShadowOperation, operation, message, &at);
    }

    fn shadow_method(&mut self, operation: &Operation, index: usize) {
        let Some(sibling) = self.documented.operations.get(index) else {
            return;
        };
        let message = format!(
            "it is called{}; the description has the path `{}`, not with {}",
            times(operation.seen.as_ref()),
            sibling.path,
            operation.method
        );
        let at = join("/paths", &sibling.path);
        self.undescribed(Rule::ShadowMethod, operation, message, &at);
    }

    fn zombie(&mut self, operation: &Operation, seen: &Seen) {
        let message = format!("it is deprecated and still called{}", times(Some(seen)));
        let at = (operation.pointer.clone(), operation.pointer.clone());
        self.told(
            Rule::ZombieOperation,
            (operation, Some(seen)),
            message,
            (&at.0, &at.1),
        );
    }

    fn orphan(&mut self, operation: &Operation) {
        let message = if operation.deprecated {
            "it is deprecated and was never called".to_owned()
        } else {
            "it was never called".to_owned()
        };
        let at = operation.pointer.clone();
        self.told(
            Rule::OrphanOperation,
            (operation, None),
            message,
            (&at, "/paths"),
        );
    }

    fn uncertain(&mut self, operation: &Operation, wider: &Operation) {
        let message = format!(
            "calls to it may be among those of `{}`{}: the traffic does not tell",
            wider.whole_path(),
            times(wider.seen.as_ref())
        );
        let at = (operation.pointer.clone(), wider.pointer.clone());
        let seen = wider.seen.as_ref();
        self.told(
            Rule::UncertainOperation,
            (operation, seen),
            message,
            (&at.0, &at.1),
        );
    }

    fn base_path(&mut self, pairing: &Pairing) {
        let Some(base) = &pairing.other_base else {
            return;
        };
        let shown = |base: &str| {
            if base.is_empty() {
                "/".to_owned()
            } else {
                base.to_owned()
            }
        };
        let servers: Vec<String> = (self.documented.operations.first())
            .map(|operation| operation.bases.iter().map(|base| shown(base)).collect())
            .unwrap_or_default();
        self.drafts.push(Draft {
            rule: Rule::BasePathDiffers,
            message: format!(
                "the traffic has the described paths below `{}`, the servers say `{}`",
                shown(base),
                servers.join("`, `")
            ),
            subject: "base path".to_owned(),
            concerned: Concerned::Nobody,
            first: "/servers".to_owned(),
            second: "/servers".to_owned(),
            seen: Told::This(None),
        });
    }
}
