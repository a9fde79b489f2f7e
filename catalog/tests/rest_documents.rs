//! The OpenAPI documents of the REST API, as files to look at, and what holds for all of them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use silhouette_catalog::{problems, rest};

/// The documents are those in `tests/openapi`: a change of the API is a change of a file.
#[test]
fn the_documents_are_those_that_are_committed() {
    for (name, document) in rest::documents() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/openapi/{name}.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
        if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is not what the handlers say; run this test with SILHOUETTE_UPDATE_GENERATED=1 and look at the difference",
            path.display()
        );
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation))
    });
    operations.collect()
}

#[test]
fn every_operation_says_what_callers_need() {
    let (mut routes, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for (name, document) in rest::documents() {
        let tags: BTreeSet<&str> = document["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["name"].as_str().unwrap())
            .collect();
        let mut used = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let what = format!("{name}: {method} {path}");
            assert!(
                routes.insert((path.clone(), method.clone())),
                "{what} is in two documents"
            );
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{what}: {id} is there twice");
            for text in ["summary", "description"] {
                let text = operation[text].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{what}: no summary or description");
            }
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(tags.contains(tag), "{what}: the tag {tag} is not described");
            used.insert(tag.to_owned());
            for status in ["400", "401", "403", "404", "429"] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{what}: {status}"
                );
            }
            if let Some(body) = operation.get("requestBody") {
                assert_eq!(body["required"], true, "{what}: the body is optional");
                for status in ["413", "415", "422"] {
                    assert!(
                        operation["responses"][status].is_object(),
                        "{what}: {status}"
                    );
                }
                closed(&document, body, &what);
            }
            if method == "POST" && operation["responses"]["201"].is_object() {
                let headers = &operation["responses"]["201"]["headers"];
                assert!(headers["Location"].is_object(), "{what}: no Location");
            }
            for parameter in operation["parameters"].as_array().unwrap() {
                let described = parameter.get("$ref").is_some()
                    || parameter["description"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty());
                assert!(described, "{what}: {parameter} is not described");
            }
        }
        let unused: Vec<_> = tags.iter().filter(|tag| !used.contains(**tag)).collect();
        assert!(unused.is_empty(), "{name}: tags nobody has: {unused:?}");
    }
}

/// What requests consist of takes no member it does not know.
fn closed(document: &Value, value: &Value, what: &str) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.trim_start_matches('#');
                let schema = document.pointer(pointer).unwrap();
                closed(document, schema, what);
            }
            // SARIF is not ours: OASIS says what else is in a report.
            let foreign = value["description"] == "A report in SARIF 2.1.0.";
            if members.contains_key("properties") && !foreign {
                let more = members.get("additionalProperties");
                assert_eq!(more, Some(&Value::Bool(false)), "{what}: {value}");
            }
            for value in members.values() {
                closed(document, value, what);
            }
        }
        Value::Array(items) => {
            for item in items {
                closed(document, item, what);
            }
        }
        _ => {}
    }
}

/// The page people read says the same as the definitions: every kind of problem, and every conflict.
#[test]
fn the_documentation_has_all_kinds_of_problems() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rest-api.md");
    let page = std::fs::read_to_string(path).unwrap();
    for kind in problems::KINDS {
        let row = format!(
            "| `/problems/{}` | {} | {} |",
            kind.name, kind.status, kind.meaning
        );
        assert!(page.contains(&row), "no row {row}");
    }
    let mut conflicts = BTreeSet::new();
    for (_, document) in rest::documents() {
        for (_, _, operation) in operations(&document) {
            let description = operation["responses"]["409"]["description"].as_str();
            // `name-taken`: another role has this name. `too-many`: …
            let words = description
                .unwrap_or_default()
                .split('`')
                .skip(1)
                .step_by(2);
            conflicts.extend(words.filter(|word| !word.contains(' ')).map(str::to_owned));
        }
    }
    assert!(conflicts.len() > 10, "{conflicts:?}");
    for conflict in conflicts {
        let kind = problems::named(&conflict).unwrap_or_else(|| panic!("no kind {conflict}"));
        assert_eq!(kind.status, 409, "{conflict}");
    }
}
