//! Findings for code scanning: SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format).
//!
//! Results point into the file people edit: the new document of a `diff`, the description of a `check`. What is gone is pointed to
//! at the nearest place that is left. Fingerprints stay when lines move, so that an alert is not new with each change.

use serde_json::{Value, json};
use silhouette_openapi::{Finding, Rule};

use super::{Findings, Kind};
use crate::described::Described;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole report as indented JSON.
pub(super) fn render(findings: &Findings<'_>) -> String {
    // Rules that a clean run had as well, so that a viewer can tell what was looked for.
    let of_kind = |rule: &&Rule| rule.is_drift() == (findings.kind == Kind::Check);
    let rules: Vec<Rule> = Rule::ALL.iter().filter(of_kind).copied().collect();
    let results: Vec<Value> = findings
        .report
        .findings
        .iter()
        .map(|finding| result(findings, finding, &rules))
        .collect();
    let value = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Silhouette",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| described(*rule)).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": match findings.kind {
                Kind::Diff => "silhouette/diff/",
                Kind::Check => "silhouette/check/",
            }},
            "invocations": [{ "executionSuccessful": true }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{value:#}\n")
}

fn described(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "name": format!("{rule:?}"),
        "shortDescription": { "text": rule.id().replace('-', " ") },
        "fullDescription": { "text": rule.meaning() },
        "help": { "text": format!("{} Class: {}, {}.", rule.meaning(), rule.class().as_str(), rule.class().meaning()) },
        "defaultConfiguration": { "level": rule.class().level().as_str() },
        "properties": { "tags": ["api", rule.class().as_str()] },
    })
}

fn result(findings: &Findings<'_>, finding: &Finding, rules: &[Rule]) -> Value {
    let place = findings.place(finding);
    let text = match finding.operations.as_slice() {
        [] => finding.message.clone(),
        [one] => format!("{one}: {}", finding.message),
        [one, rest @ ..] => format!("{one} and {} more: {}", rest.len(), finding.message),
    };
    let logical: Vec<Value> = finding
        .operations
        .iter()
        .map(|name| json!({ "fullyQualifiedName": name, "kind": "function" }))
        .collect();
    let mut location = physical(findings.subject(), place.line);
    if !logical.is_empty() {
        location["logicalLocations"] = json!(logical);
    }
    let mut value = json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
        "level": finding.class().level().as_str(),
        "message": { "text": text },
        "locations": [location],
        "partialFingerprints": { "silhouette/v1": finding.fingerprint() },
        "properties": { "class": finding.class().as_str(), "pointer": place.pointer },
    });
    if findings.kind == Kind::Diff && findings.first.is_file {
        let mut before = physical(
            findings.first,
            findings.first.description.line(&finding.first),
        );
        before["id"] = json!(1);
        before["message"] = json!({ "text": "before" });
        value["relatedLocations"] = json!([before]);
    }
    if let Some(seen) = &finding.seen {
        value["properties"]["calls"] = json!(seen.calls);
        value["properties"]["lastSeen"] = json!(seen.last);
    }
    value
}

/// A line of a document. What came from stdin or a collector has no file; its name stands for it.
fn physical(described: &Described, line: u32) -> Value {
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(&described.name) },
        "region": { "startLine": line.max(1) },
    }})
}

/// A path as a URI reference (RFC 3986, 4.1): relative ones stay so, since code scanning resolves them in the repository.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut out = String::new();
    if path.starts_with('/') {
        out.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_references() {
        for (path, expected) in [
            ("openapi.yaml", "openapi.yaml"),
            ("./docs/my api.json", "docs/my%20api.json"),
            ("/srv/a.yaml", "file:///srv/a.yaml"),
            ("127.0.0.1:8080", "127.0.0.1%3A8080"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
