//! Schemas: as described, and as seen.
//!
//! In: two schemas. Out: where values were seen that the description does not admit, or does not mention. The observed schema
//! speaks of values that were there, so what it has is evidence; what it lacks is none, but for `required`, which speaks of
//! presence. Alternatives (`oneOf`, `anyOf`) are taken as all that any of them admits: what is reported holds for each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

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

/// Schemas laid together, by document and id, since many operations lead to the same ones.
pub(super) type Laid = HashMap<(bool, SchemaId), Rc<Whole>>;

/// A schema with its `allOf` and its alternatives laid together.
pub(super) struct Whole {
    flat: Flat,
    /// Properties that several alternatives have, each its own way: which one holds cannot be told.
    unsure: BTreeSet<String>,
}

/// Compares described with observed schemas.
pub(super) struct Shapes<'a> {
    documented: &'a Schemas,
    observed: &'a Schemas,
    laid: &'a mut Laid,
    way: Way,
    pub(super) found: Vec<Found>,
}

/// A pair still to be compared, and what messages call it.
type Todo = (SchemaId, SchemaId, String);

/// Alternatives within alternatives.
const MAX_NESTED: usize = 8;

/// Formats of which no value can have two. Others (`password`, `int32`, a company's own) say nothing that could be seen.
const EXCLUSIVE: [&str; 9] = [
    "date-time",
    "date",
    "time",
    "duration",
    "uuid",
    "email",
    "ipv4",
    "ipv6",
    "uri",
];

impl<'a> Shapes<'a> {
    pub(super) fn new(
        (documented, observed): (&'a Description, &'a Description),
        laid: &'a mut Laid,
        way: Way,
    ) -> Self {
        Self {
            documented: &documented.schemas,
            observed: &observed.schemas,
            laid,
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

    fn laid(&mut self, documented: bool, id: SchemaId) -> Rc<Whole> {
        let schemas = if documented {
            self.documented
        } else {
            self.observed
        };
        let laid = self.laid.entry((documented, id));
        laid.or_insert_with(|| Rc::new(whole(schemas, id, 0)))
            .clone()
    }

    fn pair(&mut self, (first, second, path): Todo, place: &str, todo: &mut Vec<Todo>) {
        let described = self.laid(true, first);
        let seen = self.laid(false, second);
        let (pointer, other) = (
            self.documented.get(first).pointer.clone(),
            self.observed.get(second).pointer.clone(),
        );
        // A component is called by its name from here on, whoever refers to it.
        let named =
            pointer.starts_with("/components/schemas/") || pointer.starts_with("/definitions/");
        let path = if named { label(&pointer) } else { path };
        let at = At {
            path,
            place,
            pointer,
            other,
        };
        // Nothing was ever seen in it, or anything was; or the description contradicts itself.
        if seen.flat.types == Types::ANY || described.flat.types.is_none() {
            return;
        }
        let textual = self.way == Way::Parameter || (self.way == Way::Form && !at.path.is_empty());
        let (unsure, described, seen) = (&described.unsure, &described.flat, &seen.flat);
        if !self.types(described, seen, textual, &at) {
            return;
        }
        self.values(described, seen, textual, &at);
        self.members((described, unsure), seen, &at, todo);
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
            self.add(
                Rule::ContradictoryNull,
                at,
                "is null in some, which is not described",
            );
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
            format
                .filter(|format| EXCLUSIVE.contains(format))
                .map(str::to_owned)
        };
        if let (Some(may), Some(is)) = (known(&described.format), known(&seen.format))
            && may != is
        {
            let message = format!("has the format {is}, and {may} is described");
            self.add(Rule::ContradictoryFormat, at, &message);
        }
    }

    fn members(
        &mut self,
        (described, unsure): (&Flat, &BTreeSet<String>),
        seen: &Flat,
        at: &At<'_>,
        todo: &mut Vec<Todo>,
    ) {
        let below = |name: &str| match at.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        for (name, second) in &seen.properties {
            if unsure.contains(name) {
                continue;
            }
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
                Rule::ForbiddenProperty => {
                    "is there, and the description rules out what it does not name"
                }
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
    fn counts(&mut self, described: &Flat, name: &str) -> bool {
        // Required and nowhere named: a slip of the description's, mostly a misspelt name.
        let Some(id) = described.properties.get(name) else {
            return false;
        };
        let whole = self.laid(true, *id);
        match self.way {
            Way::Response => !whole.flat.write_only,
            _ => !whole.flat.read_only,
        }
    }

    fn add(&mut self, rule: Rule, at: &At<'_>, message: &str) {
        let named = at.pointer.starts_with("/components/schemas/")
            || at.pointer.starts_with("/definitions/");
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
fn whole(schemas: &Schemas, id: SchemaId, depth: usize) -> Whole {
    let mut flat = schemas.flat(id);
    let mut unsure = BTreeSet::new();
    if flat.alternatives.is_empty() || depth >= MAX_NESTED {
        return Whole { flat, unsure };
    }
    let parts: Vec<Whole> = (flat.alternatives.iter())
        .map(|alternative| whole(schemas, *alternative, depth + 1))
        .collect();
    let mut types = Types::NONE;
    let mut properties: BTreeMap<String, SchemaId> = BTreeMap::new();
    let mut required = parts.first().map(|part| part.flat.required.clone());
    let mut values = Some(BTreeSet::new());
    for part in &parts {
        unsure.extend(part.unsure.iter().cloned());
        let part = &part.flat;
        types = types.with(part.types);
        for (name, id) in &part.properties {
            if properties
                .insert(name.clone(), *id)
                .is_some_and(|other| other != *id)
            {
                unsure.insert(name.clone());
            }
        }
        if let Some(required) = &mut required {
            required.retain(|name| part.required.contains(name));
        }
        values = match (values.take(), &part.values) {
            (Some(all), Some(more)) => Some(all.union(more).cloned().collect()),
            _ => None,
        };
        flat.items = flat.items.or(part.items);
    }
    let items: BTreeSet<_> = parts.iter().filter_map(|part| part.flat.items).collect();
    if items.len() > 1 {
        flat.items = None;
    }
    let narrowed = flat.types.both(types);
    flat.types = if flat.nullable {
        narrowed.with(Types::NULL)
    } else {
        narrowed
    };
    properties.extend(std::mem::take(&mut flat.properties));
    flat.properties = properties;
    flat.required.extend(required.unwrap_or_default());
    flat.values = flat.values.take().or(values);
    let closed = |part: &Whole| part.flat.additional == Additional::Closed;
    flat.additional = if parts.iter().all(closed) {
        Additional::Closed
    } else {
        Additional::Open
    };
    flat.format = None;
    flat.alternatives.clear();
    Whole { flat, unsure }
}
