//! Equal object schemas become one named component.
//!
//! In: the bodies of a document with every schema written out, each with what it is likely to be called. Out: the same with
//! `$ref`s, and the components. What occurs once stays where it is, unless it refers to itself.

use super::schema::RECURSIVE;
use super::{names, resources};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Objects with fewer members are clearer where they stand.
const LEAST_MEMBERS: usize = 2;

/// What a schema may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// `Address`.
    pub short: String,
    /// `UserAddress`, where there is another `Address`.
    pub long: String,
}

/// The text of each object schema that occurred, how often, and the names it might have.
#[derive(Default)]
pub(crate) struct Components {
    found: BTreeMap<String, Found>,
    chosen: BTreeMap<String, String>,
}

struct Found {
    count: usize,
    /// Which one was found first.
    order: usize,
    name: Name,
    /// What refers to itself and what a discriminator refers to are components even if they occur once.
    referred: bool,
}

impl Components {
    /// Counts the object schemas in `schema`; `name` is what the outermost is likely to be.
    pub(crate) fn count(&mut self, schema: &Value, name: &Name) {
        self.count_as(schema, name, false);
    }

    /// `kind` says that it is one of the kinds a discriminator tells apart.
    fn count_as(&mut self, schema: &Value, name: &Name, kind: bool) {
        let Value::Object(map) = schema else { return };
        let resource = resources::name(map);
        let name = resource.as_ref().unwrap_or(name);
        let outward = outward(schema);
        let target = kind || inward(map).contains(&0);
        if kind || is_candidate(map, &outward) {
            let order = self.found.len();
            let own = own_name(map, name);
            let found = self.found.entry(schema.to_string()).or_insert(Found {
                count: 0,
                order,
                name: own.clone(),
                referred: target,
            });
            found.count += 1;
            found.referred |= target;
            if (own.short.len(), &own.short) < (found.name.short.len(), &found.name.short) {
                found.name = own;
            }
            if found.count > 1 {
                // Everything inside was counted the first time and stands inside one component.
                return;
            }
        }
        for (child, hint) in children(map, name) {
            self.count(child, &hint);
        }
        for (word, kind) in kinds(map) {
            self.count_as(kind, &of_kind(name, word), true);
        }
    }

    /// Chooses names: in the order in which schemas were found the short one, the long one where that is taken, and a number
    /// where both are.
    pub(crate) fn choose(&mut self) {
        let mut wanted: Vec<(&String, &Found)> = self
            .found
            .iter()
            .filter(|(_, f)| f.count >= 2 || f.referred)
            .collect();
        wanted.sort_by_key(|(_, f)| f.order);
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut chosen = BTreeMap::new();
        for (text, found) in wanted {
            let numbered = (2..).map(|n| format!("{}{n}", found.name.long));
            let name = [found.name.short.clone(), found.name.long.clone()]
                .into_iter()
                .chain(numbered)
                .find(|n| !taken.contains(n));
            if let Some(name) = name {
                taken.insert(name.clone());
                chosen.insert(text.clone(), name);
            }
        }
        self.chosen = chosen;
    }

    /// The schema with every chosen object replaced by a reference.
    pub(crate) fn refer(&self, schema: &Value) -> Value {
        self.refer_below(schema, &mut Vec::new())
    }

    /// `around`: the references to the objects the schema stands in, the innermost last.
    fn refer_below(&self, schema: &Value, around: &mut Vec<Option<String>>) -> Value {
        let Value::Object(map) = schema else {
            return schema.clone();
        };
        if let Some(up) = map.get(RECURSIVE).and_then(Value::as_u64) {
            let target = around.iter().rev().nth(up as usize).cloned().flatten();
            return target.map_or_else(|| json!({}), |t| json!({"$ref": t}));
        }
        match self.chosen.get(&schema.to_string()) {
            Some(name) => json!({"$ref": reference(name)}),
            None => self.inside(map, None, around),
        }
    }

    fn inside(
        &self,
        map: &Map<String, Value>,
        own: Option<String>,
        around: &mut Vec<Option<String>>,
    ) -> Value {
        let object = is_object(map);
        if object {
            around.push(own);
        }
        let each = |(k, v): (&String, &Value)| {
            let v = match (k.as_str(), v) {
                ("properties", Value::Object(members)) => Value::Object(
                    members
                        .iter()
                        .map(|(n, m)| (n.clone(), self.refer_below(m, around)))
                        .collect(),
                ),
                ("items" | "additionalProperties", v) => self.refer_below(v, around),
                ("anyOf" | "oneOf" | "prefixItems", Value::Array(all)) => {
                    Value::Array(all.iter().map(|a| self.refer_below(a, around)).collect())
                }
                (_, v) => v.clone(),
            };
            (k.clone(), v)
        };
        let mut out: Map<String, Value> = map.iter().map(each).collect();
        if object {
            around.pop();
        }
        if let Some(Value::Object(discriminator)) = out.get_mut("discriminator") {
            let reference = |kind: &Value| self.chosen.get(&kind.to_string()).map(|n| reference(n));
            let mapping: Map<String, Value> = kinds(map)
                .filter_map(|(word, kind)| Some((word.to_owned(), json!(reference(kind)?))))
                .collect();
            discriminator.insert("mapping".into(), Value::Object(mapping));
        }
        Value::Object(out)
    }

    /// `components.schemas`, sorted by name.
    pub(crate) fn schemas(&self) -> Map<String, Value> {
        let mut out: BTreeMap<&str, Value> = BTreeMap::new();
        for (text, name) in &self.chosen {
            if let Ok(Value::Object(map)) = serde_json::from_str(text) {
                let own = Some(reference(name));
                out.insert(name, self.inside(&map, own, &mut Vec::new()));
            }
        }
        out.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
    }
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// The kinds a discriminator tells apart, with their words.
fn kinds(map: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let name = map
        .get("discriminator")
        .and_then(|d| d.get("propertyName"))
        .and_then(Value::as_str);
    let all = map.get("oneOf").and_then(Value::as_array);
    name.zip(all).into_iter().flat_map(|(name, all)| {
        all.iter().filter_map(move |kind| {
            let word = kind.get("properties")?.get(name)?.get("enum")?.get(0)?;
            Some((word.as_str()?, kind))
        })
    })
}

/// `CardPayment` for the payments that are cards.
fn of_kind(name: &Name, word: &str) -> Name {
    let own = names::nested(word);
    let with = |base: &str| {
        if own.ends_with(base) {
            own.clone()
        } else {
            format!("{own}{base}")
        }
    };
    Name {
        short: with(&name.short),
        long: with(&name.long),
    }
}

fn is_object(map: &Map<String, Value>) -> bool {
    match map.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|k| k == "object"),
        _ => false,
    }
}

/// Nullable objects stay where they are: a reference cannot add `null` in OpenAPI 3.0. What refers to something around it means
/// something else elsewhere.
fn is_candidate(map: &Map<String, Value>, outward: &BTreeSet<u64>) -> bool {
    if map.contains_key("discriminator") {
        return outward.is_empty();
    }
    map.get("type").is_some_and(|t| t == "object")
        && !map.contains_key("nullable")
        && outward.is_empty()
        && map
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|p| p.len() >= LEAST_MEMBERS)
}

/// How far out the references to objects go, seen from outside of `schema`.
fn outward(schema: &Value) -> BTreeSet<u64> {
    let Value::Object(map) = schema else {
        return BTreeSet::new();
    };
    if let Some(up) = map.get(RECURSIVE).and_then(Value::as_u64) {
        return BTreeSet::from([up]);
    }
    let inward = inward(map);
    if is_object(map) {
        inward.iter().filter_map(|up| up.checked_sub(1)).collect()
    } else {
        inward
    }
}

/// The same, seen from inside.
pub(super) fn inward(map: &Map<String, Value>) -> BTreeSet<u64> {
    parts(map).flat_map(|(_, part)| outward(part)).collect()
}

/// The schemas right inside, with the member they describe.
fn parts(map: &Map<String, Value>) -> impl Iterator<Item = (Option<&str>, &Value)> {
    let members = map.get("properties").and_then(Value::as_object);
    let lists = ["anyOf", "prefixItems"]
        .into_iter()
        .filter_map(|k| map.get(k).and_then(Value::as_array));
    members
        .into_iter()
        .flatten()
        .map(|(n, v)| (Some(n.as_str()), v))
        .chain(
            ["items", "additionalProperties"]
                .into_iter()
                .filter_map(|k| map.get(k))
                .chain(lists.flatten())
                .map(|v| (None, v)),
        )
}

/// Members that hold what the object they stand in is about.
fn is_envelope(member: &str) -> bool {
    matches!(
        member,
        "data"
            | "items"
            | "results"
            | "result"
            | "entries"
            | "records"
            | "rows"
            | "docs"
            | "content"
            | "values"
            | "list"
            | "nodes"
            | "edges"
            | "hits"
            | "elements"
            | "resources"
    )
}

/// Members whose name says nothing without the object they stand in.
fn is_vague(member: &str) -> bool {
    matches!(
        member,
        "attributes"
            | "relationships"
            | "links"
            | "_links"
            | "meta"
            | "metadata"
            | "properties"
            | "params"
            | "options"
            | "settings"
            | "config"
            | "details"
            | "info"
            | "node"
            | "value"
            | "object"
            | "item"
            | "_embedded"
            | "parent"
            | "children"
            | "source"
            | "target"
            | "state"
            | "summary"
    )
}

/// A list with what belongs to turning its pages is a page.
fn own_name(map: &Map<String, Value>, name: &Name) -> Name {
    if let Some(document) = resources::document(map) {
        return document;
    }
    let members = map.get("properties").and_then(Value::as_object);
    let listed = |(member, schema): (&String, &Value)| {
        let item = schema.get("items");
        item.is_some_and(|i| {
            i.get("type").is_some_and(|t| t == "object") || i.get("discriminator").is_some()
        }) && (is_envelope(member) || names::nested(member) == name.short)
    };
    if !members.is_some_and(|m| m.iter().any(listed)) {
        return name.clone();
    }
    let paged = members.is_some_and(|m| {
        m.keys().any(|k| {
            let k = k.to_ascii_lowercase();
            [
                "page", "next", "cursor", "offset", "total", "hasmore", "has_more", "limit",
            ]
            .iter()
            .any(|p| k.contains(p))
        })
    });
    let kind = if paged { "Page" } else { "List" };
    Name {
        short: format!("{}{kind}", name.short),
        long: format!("{}{kind}", name.long),
    }
}

fn children<'a>(map: &'a Map<String, Value>, name: &Name) -> Vec<(&'a Value, Name)> {
    parts(map)
        .map(|(member, part)| {
            let hint = match member {
                None => name.clone(),
                Some(member) if is_envelope(member) => name.clone(),
                Some(member) => {
                    let own = names::nested(member);
                    let long = if own.starts_with(&name.short) {
                        own.clone()
                    } else {
                        format!("{}{own}", name.short)
                    };
                    Name {
                        short: if is_vague(member) { long.clone() } else { own },
                        long,
                    }
                }
            };
            (part, hint)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bodies: &[(&str, Value)], expected: &[&str]) -> (Components, Vec<Value>) {
        let mut components = Components::default();
        for (name, schema) in bodies {
            let name = Name {
                short: (*name).into(),
                long: format!("{name}Request"),
            };
            components.count(schema, &name);
        }
        components.choose();
        let names: Vec<String> = components.schemas().keys().cloned().collect();
        assert_eq!(names, expected);
        let referred = bodies.iter().map(|(_, s)| components.refer(s)).collect();
        (components, referred)
    }

    fn object(members: &[(&str, Value)]) -> Value {
        let members: Map<String, Value> = members
            .iter()
            .map(|(n, s)| ((*n).into(), s.clone()))
            .collect();
        json!({"type": "object", "properties": members})
    }

    fn user() -> Value {
        object(&[
            ("id", json!({"type": "integer"})),
            ("name", json!({"type": "string"})),
        ])
    }

    fn list(of: Value) -> Value {
        json!({"type": "array", "items": of})
    }

    #[test]
    fn what_recurs_gets_the_name_of_what_it_is() {
        let page = object(&[
            ("items", list(user())),
            ("next_cursor", json!({"type": "string"})),
        ]);
        check(
            &[("User", user()), ("User", page.clone()), ("User", page)],
            &["User", "UserPage"],
        );
        check(
            &[("User", user()), ("Order", json!({"type": "boolean"}))],
            &[],
        );
        let order = |extra: &str| {
            object(&[
                ("meta", user()),
                (extra, json!({"type": "string"})),
                ("to", user()),
            ])
        };
        check(&[("Order", order("a")), ("Visit", order("b"))], &["To"]);
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let other = object(&[("id", json!({})), ("email", json!({"type": "string"}))]);
        check(
            &[
                ("User", user()),
                ("User", other.clone()),
                ("User", user()),
                ("User", other),
            ],
            &["User", "UserRequest"],
        );
    }

    #[test]
    fn recursion_becomes_a_reference_to_itself() {
        let comment = object(&[
            ("id", json!({"type": "integer"})),
            ("replies", list(json!({RECURSIVE: 0}))),
        ]);
        let (components, referred) = check(&[("Comment", comment)], &["Comment"]);
        assert_eq!(referred, [json!({"$ref": "#/components/schemas/Comment"})]);
        assert_eq!(
            components.schemas()["Comment"]["properties"]["replies"]["items"],
            json!({"$ref": "#/components/schemas/Comment"})
        );
        // Over an object in between.
        let thread = object(&[
            ("id", json!({"type": "integer"})),
            (
                "author",
                object(&[("x", json!({})), ("thread", json!({RECURSIVE: 1}))]),
            ),
        ]);
        let (components, _) = check(&[("Thread", thread)], &["Thread"]);
        assert_eq!(
            components.schemas()["Thread"]["properties"]["author"]["properties"]["thread"],
            json!({"$ref": "#/components/schemas/Thread"})
        );
    }
}
