//! A [`Shape`] as JSON Schema.
//!
//! In: a shape and the dialect to write. Out: a schema that every value the shape was learnt from satisfies. Values appear
//! only as members of closed vocabularies of words.

use super::OpenApi;
use crate::format;
use crate::json::is_identifying;
use crate::likeness;
use crate::shape::{Objects, Shape};
use crate::strings::Strings;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// How to write schemas.
#[derive(Clone, Copy)]
pub(crate) struct Dialect {
    pub openapi: OpenApi,
    /// Members are texts whose type is read off the text, as in forms and queries.
    pub textual: bool,
}

impl Dialect {
    /// The schema of everything the shape saw. `name` is the member the value stands in, if any.
    pub(crate) fn schema(self, shape: &Shape, name: &str) -> Value {
        if shape.unknown > 0 || shape.seen() == 0 {
            return json!({});
        }
        let mut alternatives: Vec<Map<String, Value>> = Vec::new();
        if let Some(objects) = &shape.objects {
            alternatives.push(self.object(objects, name));
        }
        if let Some(arrays) = &shape.arrays {
            alternatives.push(Map::from_iter([
                ("type".to_owned(), json!("array")),
                ("items".to_owned(), self.schema(&arrays.items, name)),
            ]));
        }
        if shape.booleans > 0 {
            alternatives.push(Map::from_iter([("type".to_owned(), json!("boolean"))]));
        }
        if shape.numbers > 0 {
            alternatives.push(Map::from_iter([("type".to_owned(), json!("number"))]));
        } else if shape.integers > 0 {
            let mut schema = Map::from_iter([("type".to_owned(), json!("integer"))]);
            if shape.wide {
                schema.insert("format".into(), json!("int64"));
            }
            alternatives.push(schema);
        }
        if let Some(strings) = &shape.strings {
            alternatives.push(self.text(strings, name));
        }
        self.union(alternatives, shape.nulls > 0)
    }

    fn union(self, mut alternatives: Vec<Map<String, Value>>, null: bool) -> Value {
        match (alternatives.len(), self.openapi) {
            (0, OpenApi::V31) => json!({"type": "null"}),
            // OpenAPI 3.0 has no type for null alone, and `nullable` wants one beside it: a nullable string that is only
            // ever null is the nearest.
            (0, OpenApi::V30) => json!({"type": "string", "nullable": true, "enum": [null]}),
            (1, _) => {
                let mut schema = alternatives.remove(0);
                if null {
                    self.allow_null(&mut schema);
                }
                Value::Object(schema)
            }
            (_, OpenApi::V31) => {
                if null {
                    alternatives.push(Map::from_iter([("type".to_owned(), json!("null"))]));
                }
                json!({"anyOf": alternatives})
            }
            (_, OpenApi::V30) => {
                if null && let Some(first) = alternatives.first_mut() {
                    self.allow_null(first);
                }
                json!({"anyOf": alternatives})
            }
        }
    }

    fn allow_null(self, schema: &mut Map<String, Value>) {
        match self.openapi {
            OpenApi::V31 => {
                if let Some(kind) = schema.get("type").cloned() {
                    schema.insert("type".into(), json!([kind, "null"]));
                }
            }
            OpenApi::V30 => {
                schema.insert("nullable".into(), json!(true));
            }
        }
        if let Some(Value::Array(members)) = schema.get_mut("enum") {
            members.push(Value::Null);
        }
    }

    fn object(self, objects: &Objects, name: &str) -> Map<String, Value> {
        let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
        if is_dictionary(objects) {
            let mut all = Shape::default();
            for property in objects
                .members
                .iter()
                .map(|(_, p)| p)
                .chain(objects.members.rest())
            {
                all.merge(property.shape.clone());
            }
            schema.insert("additionalProperties".into(), self.schema(&all, name));
            return schema;
        }
        let properties: Map<String, Value> = objects
            .members
            .iter()
            .map(|(name, p)| (name.to_owned(), self.schema(&p.shape, name)))
            .collect();
        let required: Vec<&str> = objects
            .members
            .iter()
            .filter(|(_, p)| objects.complete > 0 && p.present == objects.complete)
            .map(|(n, _)| n)
            .collect();
        if !properties.is_empty() {
            schema.insert("properties".into(), Value::Object(properties));
        }
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        if let Some(rest) = objects.members.rest() {
            schema.insert(
                "additionalProperties".into(),
                self.schema(&rest.shape, name),
            );
        }
        schema
    }

    /// The schema of texts; types are read off them where everything is text.
    pub(crate) fn text(self, strings: &Strings, name: &str) -> Map<String, Value> {
        let mut schema = Map::new();
        if strings.formats & format::FILE != 0 && strings.count > 0 {
            schema.insert("type".into(), json!("string"));
            match self.openapi {
                OpenApi::V30 => schema.insert("format".into(), json!("binary")),
                OpenApi::V31 => {
                    schema.insert("contentMediaType".into(), json!("application/octet-stream"))
                }
            };
            return schema;
        }
        let seen = strings.count > strings.empty;
        let kind = match strings.formats {
            f if !self.textual || !seen => ("string", f),
            f if f & format::INTEGER != 0 => ("integer", 0),
            f if f & format::NUMBER != 0 => ("number", 0),
            f if f & format::BOOLEAN != 0 => ("boolean", 0),
            f => ("string", f),
        };
        schema.insert("type".into(), json!(kind.0));
        if kind.0 != "string" || !seen {
            return schema;
        }
        if let (Some(format), 0) = (format::name(kind.1), strings.empty) {
            schema.insert("format".into(), json!(format));
        } else if let Some(words) = strings.closed_vocabulary()
            && strings.empty == 0
            && !names_things(name)
        {
            schema.insert("enum".into(), json!(words));
        }
        schema
    }
}

/// Members whose few values are names of things and people all the same, and would grow with more traffic.
fn names_things(member: &str) -> bool {
    let n: String = member
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    is_identifying(member)
        || [
            "name",
            "title",
            "label",
            "city",
            "town",
            "address",
            "street",
            "email",
            "phone",
            "country",
            "currency",
            "locale",
            "language",
            "lang",
            "timezone",
            "tag",
            "tags",
            "author",
            "owner",
            "user",
            "username",
            "password",
            "secret",
            "token",
            "hash",
            "slug",
            "description",
            "comment",
            "message",
            "text",
            "state",
            "province",
            "region",
            "place",
            "company",
            "organization",
        ]
        .iter()
        .any(|w| {
            n == *w
                || (w.len() >= 4
                    && n.ends_with(w)
                    && !matches!(*w, "state" | "text" | "region" | "user" | "message"))
        })
}

/// Whether the names of members are data: too many to keep, mostly ids, or many, seldom and all alike.
fn is_dictionary(objects: &Objects) -> bool {
    let members = &objects.members;
    if members.is_thinned() {
        return true;
    }
    let (n, seldom) = (members.len(), |share: f64| {
        members
            .iter()
            .all(|(_, p)| (p.present as f64) < objects.complete as f64 * share)
    });
    if members.rest().is_some() {
        return n == 0 || seldom(0.5);
    }
    if n < 4 || objects.complete < 4 {
        return false;
    }
    let kinds: BTreeSet<(bool, bool, bool, bool)> = members
        .iter()
        .map(|(_, p)| {
            (
                p.shape.objects.is_some(),
                p.shape.arrays.is_some(),
                p.shape.strings.is_some(),
                p.shape.integers + p.shape.numbers > 0,
            )
        })
        .collect();
    if kinds.len() != 1 {
        return false;
    }
    if members.iter().all(|(_, p)| p.shape.objects.is_some()) {
        let sets: Vec<BTreeSet<u64>> = members
            .iter()
            .map(|(_, p)| {
                let mut set = BTreeSet::new();
                likeness::members(&p.shape, 0, 2, &mut set);
                set
            })
            .collect();
        return seldom(0.6)
            && sets.windows(2).all(
                |w| matches!(w, [a, b] if likeness::likeness_of(a, b).is_some_and(|l| l >= 0.7)),
            );
    }
    n >= 24 && seldom(0.25)
}
