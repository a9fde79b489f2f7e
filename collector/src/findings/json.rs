//! Findings for programs. The names of members stay; new ones may come.

use serde_json::{Map, Value, json};
use silhouette_openapi::Finding;

use super::{Findings, Kind};
use crate::described::Described;

/// The whole report as indented JSON.
pub(super) fn render(findings: &Findings<'_>) -> String {
    let report = &findings.report;
    let (kind, first, second) = names(findings.kind);
    let counts: Map<String, Value> = report
        .counts()
        .iter()
        .map(|(class, count)| (class.as_str().to_owned(), json!(count)))
        .collect();
    let fail_on: Vec<&str> = findings
        .fail_on
        .iter()
        .map(|class| class.as_str())
        .collect();
    let all: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| self::finding(findings, finding))
        .collect();
    let value = json!({
        "kind": kind,
        first: document(findings.first, report.first_operations),
        second: document(findings.second, report.second_operations),
        "matchedOperations": report.matched,
        "failOn": fail_on,
        "failed": findings.counted() > 0,
        "ignored": findings.ignored,
        "counts": counts,
        "findings": all,
    });
    format!("{value:#}\n")
}

/// What the report and its two documents are called.
fn names(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::Diff => ("diff", "old", "new"),
        Kind::Check => ("check", "description", "traffic"),
    }
}

fn document(described: &Described, operations: usize) -> Value {
    json!({
        "name": described.name,
        "title": described.description.title(),
        "specification": described.description.version().to_string(),
        "operations": operations,
    })
}

fn finding(findings: &Findings<'_>, finding: &Finding) -> Value {
    let (_, first, second) = names(findings.kind);
    let place = |described: &Described, pointer: &str| {
        let mut place = json!({ "pointer": pointer });
        if described.is_file {
            place["line"] = json!(described.description.line(pointer));
        }
        place
    };
    let mut value = json!({
        "rule": finding.rule.id(),
        "class": finding.class().as_str(),
        "level": finding.class().level().as_str(),
        "operations": finding.operations,
        "subject": finding.subject,
        "message": finding.message,
        first: place(findings.first, &finding.first),
        second: place(findings.second, &finding.second),
        "fingerprint": finding.fingerprint(),
    });
    if let Some(seen) = &finding.seen {
        value["seen"] = json!({
            "calls": seen.calls,
            "firstSeen": seen.first,
            "lastSeen": seen.last,
        });
    }
    value
}
