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
use crate::report::{Finding, Report};
use crate::rule::Rule;
use crate::tree::join;
use pairing::{Pairing, Verdict};
use shapes::Laid;

/// Compares a description with the document of observed traffic.
pub fn drift(documented: &Description, observed: &Description) -> Report {
    let pairing = Pairing::of(documented, observed);
    let mut drift = Drift {
        documented,
        observed,
        credentials_seen: observed
            .operations
            .iter()
            .any(|operation| !operation.security.credentials().is_empty()),
        laid: Laid::new(),
        findings: Vec::new(),
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
    let mut findings = drift.findings;
    for finding in &mut findings {
        finding.first = documented.existing(&finding.first);
        finding.second = observed.existing(&finding.second);
    }
    Report {
        first_operations: documented.operations.len(),
        second_operations: observed.operations.len(),
        matched: called.len(),
        ..Report::of_findings(findings)
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
    observed: &'a Description,
    /// Whether any traffic carries credentials at all: some recorders leave them out.
    credentials_seen: bool,
    laid: Laid,
    findings: Vec<Finding>,
}

impl Drift<'_> {
    /// Something about an operation of the description.
    fn found(
        &mut self,
        rule: Rule,
        (operation, seen): (&Operation, Option<&Seen>),
        message: String,
        subject: &str,
        at: (&str, &str),
    ) {
        self.findings.push(Finding {
            rule,
            message,
            subject: subject.to_owned(),
            operations: vec![operation.name()],
            first: at.0.to_owned(),
            second: at.1.to_owned(),
            seen: seen.cloned(),
        });
    }

    /// Something about an operation that only the traffic has. It is named by its whole path: which part of it the
    /// observed document has in `servers` says nothing about the described one.
    fn undescribed(&mut self, rule: Rule, operation: &Operation, message: String, at: &str) {
        self.findings.push(Finding {
            rule,
            message,
            subject: String::new(),
            operations: vec![format!("{} {}", operation.method, operation.whole_path())],
            first: at.to_owned(),
            second: operation.pointer.clone(),
            seen: operation.seen.clone(),
        });
    }

    fn shadow(&mut self, operation: &Operation) {
        let seen = operation.seen.as_ref();
        let message = format!("it is called{} and is not in the description", times(seen));
        // The path may be written all the same, without a method.
        let at = join("/paths", &operation.path);
        self.undescribed(Rule::ShadowOperation, operation, message, &at);
    }

    fn shadow_method(&mut self, operation: &Operation, index: usize) {
        let Some(sibling) = self.documented.operations.get(index) else {
            return;
        };
        let seen = operation.seen.as_ref();
        let message = format!(
            "it is called{}; the description has the path `{}`, not with {}",
            times(seen),
            sibling.path,
            operation.method
        );
        let at = join("/paths", &sibling.path);
        self.undescribed(Rule::ShadowMethod, operation, message, &at);
    }

    fn zombie(&mut self, operation: &Operation, seen: &Seen) {
        let message = format!("it is deprecated and still called{}", times(Some(seen)));
        let at = (operation.pointer.clone(), operation.pointer.clone());
        self.found(
            Rule::ZombieOperation,
            (operation, Some(seen)),
            message,
            "",
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
        self.found(
            Rule::OrphanOperation,
            (operation, None),
            message,
            "",
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
        self.found(
            Rule::UncertainOperation,
            (operation, seen),
            message,
            "",
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
        self.findings.push(Finding {
            rule: Rule::BasePathDiffers,
            message: format!(
                "the traffic has the described paths below `{}`, the servers say `{}`",
                shown(base),
                servers.join("`, `")
            ),
            subject: "base path".to_owned(),
            operations: Vec::new(),
            first: "/servers".to_owned(),
            second: "/servers".to_owned(),
            seen: None,
        });
    }
}
