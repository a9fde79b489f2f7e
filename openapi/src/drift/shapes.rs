//! Schemas: as described, and as seen.
//!
//! In: two schemas. Out: where values were seen that the description does not admit, or does not mention. The observed schema
//! speaks of values that were there, so what it has is evidence; what it lacks is none, but for `required`, which speaks of
//! presence. Alternatives (`oneOf`, `anyOf`) are taken as all that any of them admits: what is reported holds for each.

use std::collections::{BTreeMap, HashSet};

use crate::description::Description;
use crate::rule::Rule;
use crate::schema::{Additional, Flat, SchemaId, Schemas, Types, label};

/// Where values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A parameter: all values are text.
    Parameter,
    /// A form: the members' values are text.
    Form,
    Request,
    Response,
}

/// A finding without its operation.
pub(super) struct Found {
    pub(super) rule: Rule,
    pub(super) message: String,
    pub(super) subject: String,
    pub(super) first: String,
    pub(super) second: String,
}

/// Compares described with observed schemas.
pub(super) struct Shapes<'a> {
    documented: &'a Schemas,
    observed: &'a Schemas,
    way: Way,
    pub(super) found: Vec<Found>,
}

/// A pair still to be compared, and what messages call it.
type Todo = (SchemaId, SchemaId, String);

/// Alternatives within alternatives.
const MAX_NESTED: usize = 8;

/// Formats of which no value can have two. Others (`password`, `int32`, a company's own) say nothing that could be seen.
const EXCLUSIVE: [&str; 9] = [
    "date-time", "date", "time", "duration", "uuid", "email", "ipv4", "ipv6", "uri",
];

impl<'a> Shapes<'a> {
    pub(super) fn new(documented: &'a Description, observed: &'a Description, way: Way) -> Self {
        Self {
            documented: &documented.schemas,
            observed: &observed.schemas,
            way,
            found: Vec::new(),
        }
    }

    /// Compares two schemas and all below them. `place` names them: `the response 200`.
    pub(super) fn compare(&mut self, first: SchemaId, second: SchemaId, place: &str) {
        let mut seen = HashSet::new();
        let mut todo: Vec<Todo> = vec![(first, second, String::new())];
        while let Some((first, second, path)) = todo.pop() {
            if seen.insert((first, second)) {
                self.pair((first, second, path), place, &mut todo);
            }
        }
    }

    fn pair(&mut self, (first, second, path): Todo, place: &str, todo: &mut Vec<Todo>) {
        let described = merged(self.documented, first, 0);
        let seen = merged(self.observed, second, 0);
        let (pointer, other) = (
            self.documented.get(first).pointer.clone(),
            self.observed.get(second).pointer.clone(),
        );
        // A component is called by its name from here on, whoever refers to it.
        let named = pointer.starts_with("/components/schemas/") || pointer.starts_with("/definitions/");
        let path = if named { label(&pointer) } else { path };
        let at = At {
            path,
            place,
            pointer,
            other,
        };
        // Nothing was ever seen in it, or anything was.
        if seen.types == Types::ANY {
            return;
        }
        let textual = self.way == Way::Parameter || (self.way == Way::Form && !at.path.is_empty());
        if !self.types(&described, &seen, textual, &at) {
            return;
        }
        self.values(&described, &seen, textual, &at);
        self.members(&described, &seen, &at, todo);
        if let (Some(first), Some(second)) = (described.items, seen.items) {
            todo.push((first, second, format!("{}[]", at.path)));
        }
    }

    /// Whether the types agree, so that looking further makes sense.
    fn types(&mut self, described: &Flat, seen: &Flat, textual: bool, at: &At<'_>) -> bool {
        let (may, is) = (
            described.types.without(Types::NULL),
            seen.types.without(Types::NULL),
        );
        let several = may.has(Types::ARRAY) || may.has(Types::OBJECT);
        // Texts of digits are texts; several values may be written as one text.
        let free = textual && (may.has(Types::STRING) || several);
        let beyond = is.without(may);
        if !free && !beyond.is_none() {
            let message = format!("is {}, and {} is described", seen.types, described.types);
            self.add(Rule::ContradictoryType, at, &message);
            return false;
        }
        if !textual && seen.types.has(Types::NULL) && !described.types.has(Types::NULL) {
            self.add(Rule::ContradictoryNull, at, "is null in some, which is not described");
        }
        !(textual && several && is.has(Types::STRING))
    }

    fn values(&mut self, described: &Flat, seen: &Flat, textual: bool, at: &At<'_>) {
        if let (Some(may), Some(is)) = (&described.values, &seen.values) {
            let bare = |value: &String| match textual {
                true => value.trim_matches('"').to_owned(),
                false => value.clone(),
            };
            let known: Vec<String> = may.iter().map(bare).collect();
            let beyond: Vec<String> = is
                .iter()
                .map(bare)
                .filter(|value| !known.contains(value))
                .collect();
            if !beyond.is_empty() {
                let message = format!("is {} in some, which is not in the enum", beyond.join(", "));
                self.add(Rule::ContradictoryValue, at, &message);
            }
        }
        let known = |format: &Option<String>| {
            let format = match format.as_deref() {
                Some("url") => Some("uri"),
                other => other,
            };
            format.filter(|format| EXCLUSIVE.contains(format)).map(str::to_owned)
        };
        if let (Some(may), Some(is)) = (known(&described.format), known(&seen.format))
            && may != is
        {
            let message = format!("has the format {is}, and {may} is described");
            self.add(Rule::ContradictoryFormat, at, &message);
        }
    }

    fn members(&mut self, described: &Flat, seen: &Flat, at: &At<'_>, todo: &mut Vec<Todo>) {
        let below = |name: &str| match at.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        for (name, second) in &seen.properties {
            if let Some(first) = described.properties.get(name) {
                todo.push((*first, *second, below(name)));
                continue;
            }
            let rule = match (&described.additional, self.way) {
                (Additional::Of(first), _) => {
                    todo.push((*first, *second, below(name)));
                    continue;
                }
                (Additional::Closed, _) => Rule::ForbiddenProperty,
                // An object of which nothing is said may hold anything.
                (Additional::Open, _) if described.properties.is_empty() => continue,
                (Additional::Open, Way::Response) => Rule::UndocumentedResponseProperty,
                (Additional::Open, _) => Rule::UndocumentedRequestProperty,
            };
            let member = At {
                path: below(name),
                place: at.place,
                pointer: at.pointer.clone(),
                other: self.observed.get(*second).pointer.clone(),
            };
            let message = match rule {
                Rule::ForbiddenProperty => "is there, and the description rules out what it does not name",
                _ => "is there, and not described",
            };
            self.add(rule, &member, message);
        }
        if let (Additional::Of(first), Additional::Of(second)) =
            (&described.additional, &seen.additional)
        {
            todo.push((*first, *second, format!("{}.*", at.path)));
        }
        // Bodies that were cut never teach what is required: then nothing is, and nothing follows.
        if seen.required.is_empty() || seen.additional != Additional::Open {
            return;
        }
        for name in &described.required {
            if seen.required.contains(name) || !self.counts(described, name) {
                continue;
            }
            let pointer = described.properties.get(name);
            let member = At {
                path: below(name),
                place: at.place,
                pointer: pointer.map_or(at.pointer.clone(), |id| {
                    self.documented.get(*id).pointer.clone()
                }),
                other: at.other.clone(),
            };
            let message = if seen.properties.contains_key(name) {
                "is required by the description, and missing in some"
            } else {
                "is required by the description, and never there"
            };
            self.add(Rule::MissingProperty, &member, message);
        }
    }

    /// Whether a required property must be there in this direction.
    fn counts(&self, described: &Flat, name: &str) -> bool {
        let Some(id) = described.properties.get(name) else {
            return true;
        };
        let flat = self.documented.flat(*id);
        match self.way {
            Way::Response => !flat.write_only,
            _ => !flat.read_only,
        }
    }

    fn add(&mut self, rule: Rule, at: &At<'_>, message: &str) {
        let named =
            at.pointer.starts_with("/components/schemas/") || at.pointer.starts_with("/definitions/");
        let way = match self.way {
            Way::Response => "responses",
            _ => "requests",
        };
        let place = match (named && self.way != Way::Parameter, at.path.as_str()) {
            (true, path) => format!("`{path}` in {way}"),
            (false, "") => at.place.to_owned(),
            (false, _) if self.way == Way::Parameter => at.place.to_owned(),
            (false, path) => format!("`{path}` in {}", at.place),
        };
        self.found.push(Found {
            rule,
            message: format!("{place} {message}"),
            subject: place,
            first: at.pointer.clone(),
            second: at.other.clone(),
        });
    }
}

/// Where a pair is: what messages call it, and the pointers.
struct At<'p> {
    path: String,
    place: &'p str,
    pointer: String,
    other: String,
}

/// A schema as all that its alternatives admit together.
fn merged(schemas: &Schemas, id: SchemaId, depth: usize) -> Flat {
    let mut flat = schemas.flat(id);
    if flat.alternatives.is_empty() || depth >= MAX_NESTED {
        return flat;
    }
    let parts: Vec<Flat> = (flat.alternatives.iter())
        .map(|alternative| merged(schemas, *alternative, depth + 1))
        .collect();
    let mut types = Types::NONE;
    let mut properties = BTreeMap::new();
    let mut required = parts.first().map(|part| part.required.clone()).unwrap_or_default();
    let mut values = Some(std::collections::BTreeSet::new());
    for part in &parts {
        types = types.with(part.types);
        for (name, id) in &part.properties {
            properties.entry(name.clone()).or_insert(*id);
        }
        required.retain(|name| part.required.contains(name));
        values = match (values.take(), &part.values) {
            (Some(all), Some(more)) => Some(all.union(more).cloned().collect()),
            _ => None,
        };
        flat.items = flat.items.or(part.items);
    }
    let narrowed = flat.types.both(types);
    flat.types = if flat.nullable { narrowed.with(Types::NULL) } else { narrowed };
    properties.extend(std::mem::take(&mut flat.properties));
    flat.properties = properties;
    flat.required.extend(required);
    flat.values = flat.values.take().or(values);
    if !parts.iter().all(|part| part.additional == Additional::Closed) {
        flat.additional = Additional::Open;
    } else {
        flat.additional = Additional::Closed;
    }
    flat.format = None;
    flat.alternatives.clear();
    flat
}
