//! Writing parameters.
//!
//! In: a path and what calls carried. Out: parameter objects, sorted by place and name. No value appears but members of
//! closed vocabularies.

use super::OpenApi;
use super::schema::Dialect;
use crate::class::Class;
use crate::evidence::{Evidence, Parameter};
use crate::fold::{Kinds, Part};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The parameters of an operation: path, query, header, each sorted by name.
pub(crate) fn list(
    openapi: OpenApi,
    path: &[Part],
    path_names: &[String],
    good: &Evidence,
    failed: Option<&Evidence>,
) -> Vec<Value> {
    let mut out = Vec::new();
    let kinds = path.iter().filter_map(|p| match p {
        Part::Parameter(kinds) => Some(kinds),
        Part::Constant(_) => None,
    });
    for (name, kinds) in path_names.iter().zip(kinds) {
        out.push(
            json!({"name": name, "in": "path", "required": true, "schema": path_schema(kinds)}),
        );
    }
    // Header names are case-insensitive and arrive in lower case; a query parameter and a header may share a name.
    for (place, of) in [
        ("query", (&good.query, failed.map(|f| &f.query))),
        ("header", (&good.headers, failed.map(|f| &f.headers))),
    ] {
        let mut all: BTreeMap<&str, Parameter> = BTreeMap::new();
        for (name, p) in of.0.iter() {
            all.insert(name, p.clone());
        }
        for (name, p) in of.1.iter().flat_map(|f| f.iter()) {
            use crate::bounded::Entry;
            all.entry(name).or_default().values.merge(p.values.clone());
        }
        for (name, p) in all {
            let mut parameter = Map::from_iter([
                ("name".to_owned(), json!(name)),
                ("in".to_owned(), json!(place)),
            ]);
            if p.calls == good.calls {
                parameter.insert("required".into(), json!(true));
            }
            if place == "query" && p.values.empty > 0 {
                parameter.insert("allowEmptyValue".into(), json!(true));
            }
            parameter.insert("schema".into(), schema(openapi, name, &p));
            out.push(Value::Object(parameter));
        }
    }
    out
}

/// The schema of a parameter or a response header.
pub(crate) fn schema(openapi: OpenApi, name: &str, p: &Parameter) -> Value {
    let schema = Value::Object(
        Dialect {
            openapi,
            textual: true,
        }
        .text(&p.values, name),
    );
    if p.repeated > 0 {
        json!({"type": "array", "items": schema})
    } else {
        schema
    }
}

fn path_schema(kinds: &Kinds) -> Value {
    let only = if kinds.words || kinds.classes.len() != 1 {
        None
    } else {
        kinds.classes.first()
    };
    match only {
        Some(Class::Integer) => json!({"type": "integer", "format": "int64"}),
        Some(Class::Uuid) => json!({"type": "string", "format": "uuid"}),
        Some(Class::Date) => json!({"type": "string", "format": "date"}),
        Some(Class::DateTime) => json!({"type": "string", "format": "date-time"}),
        Some(Class::Email) => json!({"type": "string", "format": "email"}),
        _ => json!({"type": "string"}),
    }
}
