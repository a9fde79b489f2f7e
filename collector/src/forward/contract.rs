//! What of a document is its contract: everything but what only counts.
//!
//! In: a document as it was emitted. Out: a hash that changes when the API looks different, and stays when it was merely called
//! more often, so that traffic of the same kind makes no new revision. It hashes JSON with its members sorted, so that
//! the order in which they are written does not matter either.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Members of `x-silhouette`, of the document and of its operations, that say what calls are like and not only how many there
/// were: these are part of the contract.
const LASTING: [&str; 7] = [
    "clientCertificate",
    "graphql",
    "internal",
    "jsonRpc",
    "otherCase",
    "soapActions",
    "trailingSlash",
];

/// SHA-256 of a document without what only counts: `info.description` and, of the `x-silhouette` of the document and of its
/// operations, all but [`LASTING`].
pub fn contract(document: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    walk(document, Place::Document, &mut hash);
    hash.finalize().into()
}

/// A hash as it is sent: hexadecimal.
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where in a document an object stands: a member of a body may be called `x-silhouette`, too.
#[derive(Clone, Copy)]
enum Place {
    Document,
    Info,
    Paths,
    PathItem,
    Operation,
    Extension,
    Other,
}

impl Place {
    /// Where the member of this name stands; `None` when it only counts.
    fn member(self, name: &str) -> Option<Place> {
        Some(match (self, name) {
            (Place::Document, "info") => Place::Info,
            (Place::Document, "paths") => Place::Paths,
            (Place::Document | Place::Operation, "x-silhouette") => Place::Extension,
            (Place::Info, "description") => return None,
            (Place::Paths, _) => Place::PathItem,
            (Place::PathItem, _) => Place::Operation,
            (Place::Extension, name) if !LASTING.contains(&name) => return None,
            _ => Place::Other,
        })
    }
}

fn walk(value: &Value, place: Place, hash: &mut Sha256) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            hash.update(b"{");
            for (name, value) in members {
                if let Some(place) = place.member(name) {
                    text(name, hash);
                    walk(value, place, hash);
                }
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                walk(item, Place::Other, hash);
            }
            hash.update(b"]");
        }
        Value::String(string) => text(string, hash),
        // No text begins with these, and each ends where the next value begins.
        scalar => hash.update(format!("#{scalar},")),
    }
}

/// A text with its length before it, so that no two sequences of texts are the same bytes.
fn text(text: &str, hash: &mut Sha256) {
    hash.update(format!("\"{}:", text.len()));
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {"title": "h", "version": "1.0.0", "description": "from 3 observed exchanges"},
            "paths": {"/a": {"get": {
                "summary": "List a",
                "parameters": [{"name": "x-silhouette", "in": "query"}],
                "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": {
                    "type": "object", "properties": {"x-silhouette": {"type": "integer"}, "description": {"type": "string"}}}}}}},
                "x-silhouette": {"calls": 3, "lastSeen": "2026-01-01T00:00:00Z", "shims": ["nginx"], "confidence": 0.8}
            }}},
            "x-silhouette": {"exchanges": 3, "leftOut": {"page": 1}, "lastSeen": "2026-01-01T00:00:00Z"}
        })
    }

    #[test]
    fn more_calls_are_the_same_contract() {
        let (old, mut new) = (document(), document());
        new["info"]["description"] = json!("from 4 observed exchanges");
        new["x-silhouette"] = json!({"exchanges": 4, "agedOut": 1});
        let operation = &mut new["paths"]["/a"]["get"]["x-silhouette"];
        operation["calls"] = json!(4);
        operation["stale"] = json!(true);
        operation["latencyMicros"] = json!({"p50": 7, "p95": 9});
        assert_eq!(contract(&old), contract(&new));
        let text = old.to_string();
        let reordered: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(contract(&old), contract(&reordered));
        let mut turned = document();
        let info = turned["info"].as_object_mut().unwrap();
        let title = info.shift_remove("title").unwrap();
        info.insert("title".into(), title);
        assert_eq!(contract(&old), contract(&turned));
    }

    #[test]
    fn every_other_change_is_another_contract() {
        let old = contract(&document());
        let mut seen = vec![old];
        for (pointer, value) in [
            ("/openapi", json!("3.0.3")),
            ("/info/title", json!("other")),
            ("/paths/~1a/get/summary", json!("List b")),
            ("/paths/~1a/get/responses/200/description", json!("Fine")),
            ("/paths/~1a/get/parameters/0/in", json!("header")),
            (
                "/paths/~1a/get/responses/200/content/application~1json/schema/properties/x-silhouette",
                json!({"type": "string"}),
            ),
            (
                "/paths/~1a/get/responses/200/content/application~1json/schema/properties/description",
                json!({"type": "integer"}),
            ),
            (
                "/paths/~1a/get/responses/200/content/application~1json/schema/type",
                json!(["object", "null"]),
            ),
            (
                "/paths/~1a/get/x-silhouette",
                json!({"calls": 3, "graphql": {"queries": ["me"]}}),
            ),
            ("/x-silhouette", json!({"exchanges": 3, "internal": true})),
            ("/paths", json!({})),
        ] {
            let mut new = document();
            *new.pointer_mut(pointer).unwrap() = value;
            let new = contract(&new);
            assert!(!seen.contains(&new), "{pointer}");
            seen.push(new);
        }
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let mut seen = Vec::new();
        for value in [
            json!(["a", "b"]),
            json!(["ab"]),
            json!(["a\"1:b"]),
            json!([1, 2]),
            json!([12]),
            json!(["1", "2"]),
            json!([[1], 2]),
            json!([[1, 2]]),
            json!({"a": "b"}),
            json!({"a": {"b": null}}),
            json!([null]),
            json!([]),
            json!({}),
            json!(["#null,"]),
        ] {
            let hash = contract(&value);
            assert!(!seen.contains(&hash), "{value}");
            seen.push(hash);
        }
    }

    #[test]
    fn hashes_are_written_in_hexadecimal() {
        let mut hash = [0; 32];
        hash[0] = 0xa5;
        assert!(hex(&hash).starts_with("a500") && hex(&hash).len() == 64);
    }
}
