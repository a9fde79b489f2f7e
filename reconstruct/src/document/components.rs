//! Equal object schemas become one named component.
//!
//! In: the paths of a document with every schema written out, each with a hint of a name. Out: the same paths with `$ref`s,
//! and the components. What occurs once stays where it is.

use super::names;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Objects with fewer members are clearer where they stand.
const LEAST_MEMBERS: usize = 2;

/// The text of each object schema that occurred, how often, and the names it might have.
#[derive(Default)]
pub(crate) struct Components {
    found: BTreeMap<String, Found>,
    chosen: BTreeMap<String, String>,
}

#[derive(Default)]
struct Found {
    count: usize,
    names: BTreeSet<String>,
}

impl Components {
    /// Counts the object schemas in `schema`; `name` is what the outermost is likely to be.
    pub(crate) fn count(&mut self, schema: &Value, name: &str) {
        let Value::Object(map) = schema else { return };
        if is_candidate(map) {
            let found = self.found.entry(schema.to_string()).or_default();
            found.count += 1;
            found.names.insert(name.to_owned());
            if found.count > 1 {
                // Everything inside was counted the first time and stands inside one component.
                return;
            }
        }
        for (child, hint) in children(map, name) {
            self.count(child, &hint);
        }
    }

    /// Chooses names: the shortest hint, numbered where two different schemas want the same.
    pub(crate) fn choose(&mut self) {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (text, found) in &self.found {
            if found.count >= 2
                && let Some(name) = found.names.iter().min_by_key(|n| (n.len(), n.as_str()))
            {
                wanted.entry(name).or_default().push(text);
            }
        }
        let mut taken: BTreeSet<String> = wanted.keys().map(|k| (*k).to_owned()).collect();
        let mut chosen = BTreeMap::new();
        for (name, texts) in wanted {
            for (i, text) in texts.into_iter().enumerate() {
                let mut unique = name.to_owned();
                let mut number = i + 1;
                while i > 0 && !taken.insert(unique.clone()) {
                    number += 1;
                    unique = format!("{name}{number}");
                }
                chosen.insert(text.to_owned(), unique);
            }
        }
        self.chosen = chosen;
    }

    /// The schema with every chosen object replaced by a reference.
    pub(crate) fn refer(&self, schema: &Value) -> Value {
        let Value::Object(map) = schema else {
            return schema.clone();
        };
        if is_candidate(map)
            && let Some(name) = self.chosen.get(&schema.to_string())
        {
            return json!({"$ref": format!("#/components/schemas/{name}")});
        }
        self.inside(map)
    }

    fn inside(&self, map: &Map<String, Value>) -> Value {
        let each = |(k, v): (&String, &Value)| {
            let v = match (k.as_str(), v) {
                ("properties", Value::Object(members)) => Value::Object(
                    members
                        .iter()
                        .map(|(n, m)| (n.clone(), self.refer(m)))
                        .collect(),
                ),
                ("items" | "additionalProperties", v) => self.refer(v),
                ("anyOf", Value::Array(all)) => {
                    Value::Array(all.iter().map(|a| self.refer(a)).collect())
                }
                (_, v) => v.clone(),
            };
            (k.clone(), v)
        };
        Value::Object(map.iter().map(each).collect())
    }

    /// `components.schemas`, sorted by name.
    pub(crate) fn schemas(&self) -> Map<String, Value> {
        let mut out: BTreeMap<&str, Value> = BTreeMap::new();
        for (text, name) in &self.chosen {
            if let Ok(Value::Object(map)) = serde_json::from_str(text) {
                out.insert(name, self.inside(&map));
            }
        }
        out.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
    }
}

/// Nullable objects stay where they are: a reference cannot add `null` in OpenAPI 3.0.
fn is_candidate(map: &Map<String, Value>) -> bool {
    map.get("type").is_some_and(|t| t == "object")
        && !map.contains_key("nullable")
        && map
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|p| p.len() >= LEAST_MEMBERS)
}

fn children<'a>(map: &'a Map<String, Value>, name: &str) -> Vec<(&'a Value, String)> {
    let mut out = Vec::new();
    if let Some(Value::Object(members)) = map.get("properties") {
        for (member, schema) in members {
            // An envelope's list holds what the path is about.
            let hint = match member.as_str() {
                "data" | "items" | "results" | "entries" | "records" | "rows" | "docs"
                | "content" | "values" | "list" => name.trim_end_matches("List").to_owned(),
                _ => names::nested(member),
            };
            out.push((schema, hint));
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(schema) = map.get(key) {
            out.push((schema, name.to_owned()));
        }
    }
    if let Some(Value::Array(all)) = map.get("anyOf") {
        out.extend(all.iter().map(|a| (a, name.to_owned())));
    }
    out
}
