//! A [`Shape`] as JSON Schema.
//!
//! In: a shape and the dialect to write. Out: a schema that every value the shape was learnt from satisfies. Values appear
//! only as members of closed vocabularies of words.

use super::entities::Entities;
use super::union::Union;
use super::{OpenApi, resources, vocabulary};
use crate::format;
use crate::likeness;
use crate::shape::{Arrays, Objects, Shape};
use crate::strings::Strings;
use crate::tuple::{self, Position};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Stands for a schema that is the one of an object further out: 0 is the object it stands in, 1 the one around that. Components
/// replace it by a reference.
pub(crate) const RECURSIVE: &str = "$recursive";

/// How to write schemas.
#[derive(Clone, Copy)]
pub(crate) struct Dialect<'e> {
    pub openapi: OpenApi,
    /// Which objects speak for others of the same kind, in bodies.
    pub entities: Option<&'e Entities<'e>>,
    pub values: Values,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// JSON: they have types.
    Typed,
    /// Texts whose type is read off the text, as in queries and elements.
    Text,
    /// A form: its fields are such texts, and what is inside of one is JSON.
    Fields,
    /// JSON:API (1.1): they have types, and the `type` of a resource is a name.
    Resources,
}

impl Dialect<'_> {
    fn is_textual(self) -> bool {
        matches!(self.values, Values::Text | Values::Fields)
    }

    /// The schema of a form, which is an object of its fields.
    pub(crate) fn form(self, shape: &Shape) -> Value {
        match &shape.objects {
            Some(fields) if shape.unknown == 0 => Value::Object(self.object(fields, "")),
            _ => self.schema(shape, ""),
        }
    }

    /// The schema of everything the shape saw. `name` is the member the value stands in, if any.
    pub(crate) fn schema(self, shape: &Shape, name: &str) -> Value {
        if shape.unknown > 0 || shape.seen() == 0 {
            return json!({});
        }
        let inside = match self.values {
            Values::Fields => Dialect {
                values: Values::Typed,
                ..self
            },
            _ => self,
        };
        let mut alternatives: Vec<Map<String, Value>> = Vec::new();
        if let Some(objects) = &shape.objects {
            alternatives.push(inside.object(objects, name));
        }
        if let Some(arrays) = &shape.arrays {
            alternatives.push(inside.array(arrays, name));
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
            (1, _) if null && !alternatives.iter().all(|a| a.contains_key("type")) => {
                // A reference cannot be made nullable, nor can a union.
                json!({"anyOf": [alternatives.remove(0), self.union(Vec::new(), true)]})
            }
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
                let first = |a: &&mut Map<String, Value>| a.contains_key("type");
                if null && let Some(first) = alternatives.iter_mut().find(first) {
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

    fn array(self, arrays: &Arrays, name: &str) -> Map<String, Value> {
        let mut schema = Map::from_iter([("type".to_owned(), json!("array"))]);
        let known = |_: &&[Position]| arrays.items.unknown == 0;
        let tuple = arrays.tuples.positions().filter(known);
        match (tuple, self.openapi) {
            (Some(positions), OpenApi::V31) => {
                let all: Vec<Value> = (0..positions.len())
                    .map(|at| self.position(positions, at, &arrays.items, name))
                    .collect();
                schema.insert("prefixItems".into(), Value::Array(all));
            }
            // OpenAPI 3.0 cannot say which value stands where.
            _ => {
                schema.insert("items".into(), self.schema(&arrays.items, name));
            }
        }
        if let Some(positions) = tuple {
            schema.insert("minItems".into(), json!(positions.len()));
            schema.insert("maxItems".into(), json!(positions.len()));
        }
        schema
    }

    /// What stands at a position of a tuple; `items` is what stands at any.
    fn position(self, positions: &[Position], at: usize, items: &Shape, name: &str) -> Value {
        let Some(position) = positions.get(at) else {
            return json!({});
        };
        let has = |kinds: u8| position.kinds & kinds != 0;
        let null = has(tuple::NULL);
        if has(tuple::OBJECT) {
            let all = items.objects.as_ref().map(|o| self.object(o, name));
            return self.union(all.into_iter().collect(), null);
        }
        if has(tuple::ARRAY) {
            let all = items.arrays.as_ref().map(|a| self.array(a, name));
            return self.union(all.into_iter().collect(), null);
        }
        let only = |kind: u8| positions.iter().filter(|p| p.kinds & kind != 0).count() == 1;
        let strings = has(tuple::STRING).then(|| {
            let mut strings = Strings::default();
            strings.learn_opaque(position.formats());
            match &items.strings {
                Some(all) if only(tuple::STRING) => all.clone(),
                _ => Box::new(strings),
            }
        });
        let shape = Shape {
            nulls: u8::from(null),
            booleans: u8::from(has(tuple::BOOLEAN)),
            integers: u8::from(has(tuple::INTEGER | tuple::WIDE)),
            numbers: u8::from(has(tuple::NUMBER)),
            wide: has(tuple::WIDE),
            strings,
            ..Shape::default()
        };
        self.schema(&shape, name)
    }

    fn object(self, objects: &Objects, name: &str) -> Map<String, Value> {
        if objects.up > 0 {
            return Map::from_iter([(RECURSIVE.to_owned(), json!(objects.up - 1))]);
        }
        let objects = self.entities.map_or(objects, |e| e.speaker(objects));
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
        let mut properties: Map<String, Value> = objects
            .members
            .iter()
            .map(|(name, p)| (name.to_owned(), self.schema(&p.shape, name)))
            .collect();
        if self.values == Values::Resources
            && let Some(name) = resources::type_of(objects)
            && let Some(of_type) = properties.get_mut("type")
        {
            *of_type = json!({"type": "string", "enum": [name]});
        }
        if let Some(union) = Union::of(objects).filter(|_| !self.is_textual()) {
            return kinds(&union, &properties);
        }
        let required: Vec<&str> = objects
            .members
            .iter()
            .map(|(n, _)| n)
            .filter(|n| objects.requires(n))
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
            f if !self.is_textual() || !seen => ("string", f),
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
        } else if let Some(words) = vocabulary::enumeration(strings, name) {
            // In queries and forms an empty text is a parameter without a value.
            let empty = (strings.empty > 0 && !self.is_textual()).then_some("");
            if strings.empty == 0 || empty.is_some() {
                let members: Vec<&str> = empty.into_iter().chain(words).collect();
                schema.insert("enum".into(), json!(members));
            }
        } else if strings.empty == 0 && strings.count >= 2 && format::is_octets(kind.1) {
            match self.openapi {
                OpenApi::V30 => schema.insert("format".into(), json!("byte")),
                OpenApi::V31 => schema.insert("contentEncoding".into(), json!("base64")),
            };
        }
        if let Some(list) = vocabulary::hint(strings, name) {
            schema.insert("x-silhouette-hint".into(), json!(list));
        }
        schema
    }
}

/// One schema for each kind; components put the references into the discriminator.
fn kinds(union: &Union<'_>, properties: &Map<String, Value>) -> Map<String, Value> {
    let kind = |kind: &super::union::Kind<'_>| {
        let mut own: Map<String, Value> = properties
            .iter()
            .filter(|(name, _)| kind.members.contains(&name.as_str()))
            .map(|(name, schema)| (name.clone(), schema.clone()))
            .collect();
        let word = json!({"type": "string", "enum": [kind.word]});
        own.insert(union.discriminator.to_owned(), word);
        json!({"type": "object", "properties": own, "required": kind.required})
    };
    let all: Vec<Value> = union.kinds.iter().map(kind).collect();
    Map::from_iter([
        ("oneOf".to_owned(), Value::Array(all)),
        (
            "discriminator".to_owned(),
            json!({"propertyName": union.discriminator}),
        ),
    ])
}

/// Whether the names of members are data: too many to keep, mostly ids, or many, seldom and all alike.
pub(crate) fn is_dictionary(objects: &Objects) -> bool {
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
