//! Writing parameters.
//!
//! In: a path and what calls carried. Out: parameter objects, sorted by place and name. No value appears but members of
//! closed vocabularies.

use super::OpenApi;
use super::roles::{self, Type};
use super::schema::{Dialect, Values};
use super::security::Keys;
use crate::evidence::Evidence;
use crate::keys;
use crate::parameter::{Parameter, Reading, Separator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Query parameters and headers that some successful call to the host carried. A name that only calls carried which the
/// server refused to understand may be anybody's invention, unless it is one of these.
#[derive(Default)]
pub(crate) struct Vocabulary<'a> {
    query: BTreeMap<&'a str, &'a Parameter>,
    headers: BTreeMap<&'a str, &'a Parameter>,
}

impl<'a> Vocabulary<'a> {
    /// Adds what successful calls of an operation carried.
    pub(crate) fn add(&mut self, good: &'a Evidence) {
        for (into, from) in [
            (&mut self.query, &good.query),
            (&mut self.headers, &good.headers),
        ] {
            for (name, p) in from.iter() {
                let best = into.entry(name).or_insert(p);
                if p.calls > best.calls {
                    *best = p;
                }
            }
        }
    }
}

/// A parameter as calls carried it, and whether all successful ones did.
#[derive(Clone, Copy)]
struct Given<'a> {
    parameter: &'a Parameter,
    always: bool,
}

/// The parameters of an operation but those of its path: query, header, cookie, each sorted by name.
pub(crate) fn list(
    openapi: OpenApi,
    good: &Evidence,
    failed: Option<&Evidence>,
    vocabulary: &Vocabulary<'_>,
    keys: &Keys<'_>,
) -> Vec<Value> {
    let mut out = Vec::new();
    let none = BTreeMap::new();
    let writer = Writer { openapi };
    // Header names are case-insensitive and arrive in lower case; a query parameter and a header may share a name.
    for (place, mine, theirs, known) in [
        (
            Place::Query,
            &good.query,
            failed.map(|f| &f.query),
            &vocabulary.query,
        ),
        (
            Place::Header,
            &good.headers,
            failed.map(|f| &f.headers),
            &vocabulary.headers,
        ),
        (
            Place::Cookie,
            &good.cookies,
            failed.map(|f| &f.cookies),
            &none,
        ),
    ] {
        let mut all: BTreeMap<&str, Given<'_>> = BTreeMap::new();
        for (name, parameter) in mine.iter() {
            let always = parameter.calls == good.calls;
            all.insert(name, Given { parameter, always });
        }
        // What failed tells of names; its values may be what it failed for.
        for (name, p) in theirs.iter().flat_map(|f| f.iter()) {
            let parameter = if p.calls > 0 {
                Some(p)
            } else {
                known.get(name).copied()
            };
            if let Some(parameter) = parameter {
                let always = false;
                all.entry(name).or_insert(Given { parameter, always });
            }
        }
        if place == Place::Header {
            all.retain(|name, _| !keys.contains(name));
        }
        if place == Place::Query {
            out.extend(writer.query(&all));
        } else {
            out.extend(
                all.iter()
                    .map(|(name, given)| writer.parameter(place, name, *given)),
            );
        }
    }
    out
}

/// Where a parameter stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Query,
    Header,
    Cookie,
}

struct Writer {
    openapi: OpenApi,
}

impl Writer {
    /// Query parameters; those with brackets in their names together as objects.
    fn query(&self, all: &BTreeMap<&str, Given<'_>>) -> Vec<Value> {
        let mut objects: BTreeMap<&str, Vec<Member<'_>>> = BTreeMap::new();
        let mut written: BTreeMap<&str, Value> = BTreeMap::new();
        for (name, given) in all {
            match keys(name) {
                Some((base, keys)) if !all.contains_key(base) => {
                    objects.entry(base).or_default().push((keys, *given));
                }
                _ => {
                    written.insert(name, self.parameter(Place::Query, name, *given));
                }
            }
        }
        for (base, members) in objects {
            let mut out = Map::from_iter([
                ("name".to_owned(), json!(base)),
                ("in".to_owned(), json!("query")),
            ]);
            if let Some(description) = roles::query(base, Type::Object) {
                out.insert("description".into(), json!(description));
            }
            if members.iter().any(|m| m.1.always) {
                out.insert("required".into(), json!(true));
            }
            out.insert("style".into(), json!("deepObject"));
            out.insert("explode".into(), json!(true));
            out.insert("schema".into(), self.object(&members));
            written.insert(base, Value::Object(out));
        }
        written.into_values().collect()
    }

    /// The object that members such as `[status]` and `[price][from]` make.
    fn object(&self, members: &[Member<'_>]) -> Value {
        let mut by_key: BTreeMap<&str, Vec<Member<'_>>> = BTreeMap::new();
        let mut data: Option<Parameter> = None;
        for (keys, given) in members {
            let Some((key, rest)) = keys.split_first() else {
                continue;
            };
            if keys::is_data(key) {
                use crate::bounded::Entry;
                data.get_or_insert_default().merge(given.parameter.clone());
            } else {
                by_key.entry(key).or_default().push((rest.to_vec(), *given));
            }
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (key, below) in &by_key {
            let plain = below.iter().find(|m| m.0.is_empty() || m.0 == [""]);
            let schema = match plain {
                Some((keys, given)) => {
                    let item = self.text(&given.parameter.values, key);
                    if keys.is_empty() && given.parameter.repeated == 0 {
                        item
                    } else {
                        json!({"type": "array", "items": item})
                    }
                }
                None => self.object(below),
            };
            if below.iter().any(|m| m.1.always) {
                required.push(*key);
            }
            properties.insert((*key).to_owned(), schema);
        }
        let mut out = Map::from_iter([("type".to_owned(), json!("object"))]);
        if !properties.is_empty() {
            out.insert("properties".into(), Value::Object(properties));
        }
        if !required.is_empty() {
            out.insert("required".into(), json!(required));
        }
        if let Some(data) = data {
            out.insert("additionalProperties".into(), self.text(&data.values, ""));
        }
        Value::Object(out)
    }

    fn parameter(&self, place: Place, name: &str, given: Given<'_>) -> Value {
        let p = given.parameter;
        let query = place == Place::Query;
        let form = self.form(p, name, query);
        let description = match place {
            Place::Query => roles::query(name, form.kind),
            Place::Header => roles::request_header(name),
            Place::Cookie => None,
        };
        let place = match place {
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
        };
        let mut out = Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("in".to_owned(), json!(place)),
        ]);
        if let Some(description) = description {
            out.insert("description".into(), json!(description));
        }
        if given.always {
            out.insert("required".into(), json!(true));
        }
        if query && p.values.empty > 0 {
            out.insert("allowEmptyValue".into(), json!(true));
        }
        if let Some((style, explode)) = form.style.filter(|_| query) {
            out.insert("style".into(), json!(style));
            out.insert("explode".into(), json!(explode));
        }
        if form.json {
            out.insert(
                "content".into(),
                json!({"application/json": {"schema": form.schema}}),
            );
        } else {
            out.insert("schema".into(), form.schema);
        }
        Value::Object(out)
    }

    fn form(&self, p: &Parameter, name: &str, query: bool) -> Form {
        let array = |items: Value, style, explode| Form {
            schema: json!({"type": "array", "items": items}),
            kind: Type::Array,
            style: Some((style, explode)),
            json: false,
        };
        if query && (p.repeated > 0 || name.ends_with("[]")) {
            return array(self.text(&p.values, name), "form", true);
        }
        match p.reading() {
            Reading::List(Separator::Comma, items) => array(self.text(&items, name), "form", false),
            Reading::List(Separator::Pipe, items) if query => {
                array(self.text(&items, name), "pipeDelimited", false)
            }
            Reading::List(Separator::Space, items) if query => {
                array(self.text(&items, name), "spaceDelimited", false)
            }
            Reading::Json(shape) => Form {
                schema: Dialect {
                    openapi: self.openapi,
                    entities: None,
                    values: Values::Typed,
                }
                .schema(shape, name),
                kind: Type::Object,
                style: None,
                json: true,
            },
            Reading::Plain | Reading::List(..) => {
                let schema = self.text(&p.values, name);
                Form {
                    kind: kind(&schema),
                    schema,
                    style: None,
                    json: false,
                }
            }
        }
    }

    fn text(&self, values: &crate::strings::Strings, name: &str) -> Value {
        Value::Object(
            Dialect {
                openapi: self.openapi,
                entities: None,
                values: Values::Text,
            }
            .text(values, name),
        )
    }
}

/// How a parameter's values are written.
struct Form {
    schema: Value,
    kind: Type,
    style: Option<(&'static str, bool)>,
    json: bool,
}

/// The keys below a base name, and what calls carried there.
type Member<'a> = (Vec<&'a str>, Given<'a>);

/// `filter[price][from]` → `filter`, `price`, `from`. `None` for other names, and for `ids[]`, which is a list.
fn keys(name: &str) -> Option<(&str, Vec<&str>)> {
    let (base, rest) = name.split_once('[')?;
    let rest = rest.strip_suffix(']')?;
    let keys: Vec<&str> = rest.split("][").collect();
    let fine = !base.is_empty()
        && keys.len() <= 4
        && !rest.replace("][", "").contains(['[', ']'])
        && keys.split_last().is_some_and(|(last, before)| {
            before.iter().all(|k| !k.is_empty()) && (!last.is_empty() || !before.is_empty())
        });
    fine.then_some((base, keys))
}

fn kind(schema: &Value) -> Type {
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("integer"), _) => Type::Integer,
        (Some("number"), _) => Type::Number,
        (Some("boolean"), _) => Type::Boolean,
        (_, Some("date" | "date-time" | "time")) => Type::Time,
        _ => Type::Text,
    }
}

/// A response header as OpenAPI writes it.
pub(crate) fn response_header(openapi: OpenApi, name: &str, p: &Parameter, always: bool) -> Value {
    let mut schema = Writer { openapi }.form(p, name, false).schema;
    // Relative references are as good as absolute ones here (RFC 9110, 10.2.2).
    if name.ends_with("location") && schema["type"] == "string" {
        schema = json!({"type": "string", "format": "uri-reference"});
    }
    let mut out = Map::new();
    if let Some(description) = roles::response_header(name) {
        out.insert("description".into(), json!(description));
    }
    if always {
        out.insert("required".into(), json!(true));
    }
    out.insert("schema".into(), schema);
    Value::Object(out)
}
