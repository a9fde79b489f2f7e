//! Schemas of elements: OpenAPI's `xml` hints (3.1, XML Object).
//!
//! In: a schema of [`crate::xml::values`], where attributes are `@name` and texts `#text`, and what is known of namespaces. Out: the
//! schema of the root with names as a program has them, and hints where the document differs from them: attributes, the root's
//! name, namespaces, and lists whose entries stand in an element of their own.

use super::components;
use crate::notes::Notes;
use crate::xml::{self, TEXT};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The schema of a document; the outermost object of `schema` only holds the root.
pub(crate) fn hinted(schema: Value, notes: &Notes) -> Value {
    let mut schema = schema;
    let Some(Value::Object(roots)) = schema.get_mut("properties").map(Value::take) else {
        return json!({});
    };
    let mut all: Vec<Value> = roots
        .into_iter()
        .map(|(name, mut root)| {
            hint(&mut root, notes);
            qualify(&mut root, &name, notes);
            describe(&mut root, |xml| {
                xml.insert("name".into(), json!(name));
            });
            root
        })
        .collect();
    match (all.len(), schema.get("additionalProperties")) {
        (1, None) => all.remove(0),
        (_, None) => json!({"anyOf": all}),
        _ => json!({}),
    }
}

/// Adds to the `xml` of a schema, unless it only refers to another one.
fn describe(schema: &mut Value, add: impl FnOnce(&mut Map<String, Value>)) {
    if let Value::Object(map) = schema
        && map.contains_key("type")
        && let Value::Object(xml) = map.entry("xml").or_insert_with(|| json!({}))
    {
        add(xml);
    }
}

/// Adds namespace and prefix of an element or an attribute.
fn qualify(schema: &mut Value, name: &str, notes: &Notes) {
    let (Some(namespace), prefix) = xml::names_of(notes, name) else {
        return;
    };
    describe(schema, |xml| {
        xml.insert("namespace".into(), json!(namespace));
        if let Some(prefix) = prefix {
            xml.insert("prefix".into(), json!(prefix));
        }
    });
}

fn hint(schema: &mut Value, notes: &Notes) {
    let Value::Object(map) = schema else { return };
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            hint(inner, notes);
        }
    }
    if let Some(Value::Array(all)) = map.get_mut("anyOf") {
        all.iter_mut().for_each(|s| hint(s, notes));
    }
    let Some(Value::Object(members)) = map.get_mut("properties").map(Value::take) else {
        return;
    };
    let mut taken: BTreeSet<String> = members
        .keys()
        .filter(|n| !n.starts_with(['@', '#']))
        .cloned()
        .collect();
    let mut renamed: Vec<(String, String)> = Vec::new();
    let mut out = Map::new();
    for (member, mut inner) in members {
        hint(&mut inner, notes);
        let name = match member.strip_prefix('@') {
            None if member == TEXT => free("text", &mut taken),
            None => member.clone(),
            Some(attribute) => {
                let name = free(attribute, &mut taken);
                describe(&mut inner, |xml| {
                    xml.insert("attribute".into(), json!(true));
                    if name != attribute {
                        xml.insert("name".into(), json!(attribute));
                    }
                });
                name
            }
        };
        if member == TEXT {
            if let Value::Object(text) = &mut inner {
                text.insert("description".into(), json!("The text of the element."));
            }
        } else {
            qualify(entry(&mut inner), &member, notes);
        }
        renamed.push((member, name.clone()));
        out.insert(name, inner);
    }
    map.insert("properties".into(), Value::Object(out));
    if let Some(Value::Array(required)) = map.get_mut("required") {
        for name in required {
            if let Some((_, new)) = renamed.iter().find(|(old, _)| name == old) {
                *name = json!(new);
            }
        }
    }
    if let Some(list) = unwrapped(schema) {
        *schema = list;
    }
}

/// What an element of a name stands for: the entry where the element is repeated.
fn entry(schema: &mut Value) -> &mut Value {
    let is_list = schema.get("type").is_some_and(|t| t == "array")
        && schema.pointer("/xml/wrapped").is_none();
    if is_list {
        &mut schema["items"]
    } else {
        schema
    }
}

/// The list that an element holds which has nothing but repeats of another one.
fn unwrapped(schema: &Value) -> Option<Value> {
    let Value::Object(map) = schema else {
        return None;
    };
    let members = map.get("properties").and_then(Value::as_object)?;
    let (name, list) = members.iter().next().filter(|_| members.len() == 1)?;
    let mut items = list
        .get("items")
        .filter(|_| list["type"] == "array")?
        .clone();
    // What refers to this or something around it counts the objects in between, and only a schema of its own can be given a name.
    if list.pointer("/xml/wrapped").is_some()
        || map.contains_key("additionalProperties")
        || items.get("type").is_none()
        || !components::inward(map).is_empty()
    {
        return None;
    }
    describe(&mut items, |xml| {
        xml.insert("name".into(), json!(name));
    });
    let mut out = map.clone();
    out.retain(|key, _| !matches!(key.as_str(), "properties" | "required"));
    let kind = match out.get("type")? {
        Value::Array(_) => json!(["array", "null"]),
        _ => json!("array"),
    };
    out.insert("type".into(), kind);
    out.insert("items".into(), items);
    out.insert("xml".into(), json!({"wrapped": true}));
    Some(Value::Object(out))
}

/// A name no other member has.
fn free(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    while taken.contains(&name) {
        name.push_str("Attribute");
    }
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expected: Value) {
        let mut notes = Notes::default();
        notes.add("book\nurn:books\nb", 0);
        notes.add("entry\nurn:books\n", 0);
        notes.add("entry\nurn:books\nb", 0);
        notes.add("@href\nurn:links\nl", 0);
        notes.add("@id\nurn:links\nl", 0);
        notes.add("@id\nurn:ids\nl", 0);
        assert_eq!(hinted(schema, &notes), expected);
    }

    #[test]
    fn schemas_say_what_is_an_attribute() {
        check(
            json!({"type": "object", "properties": {"author": {
                "type": "object",
                "properties": {"#text": {"type": "string"}, "@id": {"type": "integer"}, "id": {"type": "string"}},
                "required": ["@id"],
            }}, "required": ["author"]}),
            json!({
                "type": "object",
                "properties": {
                    "text": {"type": "string", "description": "The text of the element."},
                    "idAttribute": {"type": "integer", "xml": {"attribute": true, "name": "id"}},
                    "id": {"type": "string"},
                },
                "required": ["idAttribute"],
                "xml": {"name": "author"},
            }),
        );
    }

    #[test]
    fn what_only_holds_repeats_is_a_wrapped_list() {
        let root = |inner: Value| json!({"type": "object", "properties": {"shop": inner}, "required": ["shop"]});
        let list = json!({"type": "array", "items": {"type": "string"}});
        check(
            root(json!({"type": "object", "properties": {"tag": list}})),
            json!({
                "type": "array",
                "items": {"type": "string", "xml": {"name": "tag"}},
                "xml": {"wrapped": true, "name": "shop"},
            }),
        );
        check(
            root(json!({"type": "object", "properties": {"tags": {
                "type": ["object", "null"], "properties": {"tag": list}, "required": ["tag"],
            }}})),
            json!({
                "type": "object",
                "properties": {"tags": {
                    "type": ["array", "null"],
                    "items": {"type": "string", "xml": {"name": "tag"}},
                    "xml": {"wrapped": true},
                }},
                "xml": {"name": "shop"},
            }),
        );
        // What refers to the element around it stays where it is.
        let inside = json!({"type": "object", "properties": {"node": {"type": "array", "items": {
            "type": "object", "properties": {"shop": {"$recursive": 1}},
        }}}});
        let mut outside = inside.clone();
        outside["xml"] = json!({"name": "shop"});
        check(root(inside), outside);
    }

    #[test]
    fn namespaces_stand_where_all_agree() {
        check(
            json!({"type": "object", "properties": {"book": {"type": "object", "properties": {
                "@href": {"type": "string"},
                "@id": {"type": "string"},
                "entry": {"type": "array", "items": {"type": "integer"}},
                "title": {"type": "string"},
            }}}}),
            json!({
                "type": "object",
                "properties": {
                    "href": {"type": "string", "xml": {"attribute": true, "namespace": "urn:links", "prefix": "l"}},
                    "id": {"type": "string", "xml": {"attribute": true}},
                    "entry": {"type": "array", "items": {"type": "integer", "xml": {"namespace": "urn:books"}}},
                    "title": {"type": "string"},
                },
                "xml": {"namespace": "urn:books", "prefix": "b", "name": "book"},
            }),
        );
    }
}
