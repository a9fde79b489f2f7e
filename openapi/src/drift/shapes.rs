//! Schemas: as described, and as seen.
//!
//! In: two schemas. Out: where values were seen that the description does not admit, or does not mention. The observed schema
//! speaks of values that were there, so what it has is evidence; what it lacks is none, but for `required`, which speaks of
//! presence. Alternatives (`oneOf`, `anyOf`) are taken as all that any of them admits: what is reported holds for each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::description::Description;
use crate::reach::reaching;
use crate::report::{Concerned, Draft, Told};
use crate::rule::Rule;
use crate::schema::{Additional, Flat, SchemaId, Schemas, Types, is_named, label};

/// Where values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// A parameter: all values are text.
    Parameter,
    /// A form: the members' values are text.
    Form,
    Request,
    Response,
}

/// A finding without its operation.
struct Found {
    rule: Rule,
    message: String,
    subject: String,
    first: String,
    second: String,
}

/// A schema with its `allOf` and its alternatives laid together.
pub(super) struct Whole {
    flat: Flat,
    /// Properties that several alternatives have, each its own way: which one holds cannot be told.
    unsure: BTreeSet<String>,
}

/// Compares described with observed schemas. What has a name is called by it, whoever leads there: such pairs are compared
/// once, and what leads to what is a graph. What has none is compared for each place.
pub(super) struct Shapes<'a> {
    documented: &'a Schemas,
    observed: &'a Schemas,
    /// Schemas laid together, by document and id, since many lead to the same ones.
    laid: HashMap<(bool, SchemaId), Rc<Whole>>,
    known: HashMap<Named, usize>,
    pairs: Vec<Pair>,
    /// Named pairs that are still to be compared.
    todo: Vec<(usize, Named)>,
    /// Which pair an operation leads to.
    uses: Vec<(usize, u32)>,
    /// What was found without a name.
    drafts: Vec<Draft>,
}

/// A described component, or a place in one, and what was observed of it.
type Named = (Way, SchemaId, SchemaId);

/// What was found of a named pair, and the named pairs below it.
#[derive(Default)]
struct Pair {
    found: Vec<Found>,
    leads_to: Vec<usize>,
}

/// A walk over the pairs without a name below one place.
struct Walk<'p> {
    way: Way,
    /// What the place is called: `the response 200`.
    place: &'p str,
    /// Pairs still to be compared, and what messages call them.
    todo: Vec<(SchemaId, SchemaId, String)>,
    seen: HashSet<(SchemaId, SchemaId)>,
    pair: Pair,
}

/// Alternatives within alternatives.
const MAX_NESTED: usize = 64;

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
    pub(super) fn new(documented: &'a Description, observed: &'a Description) -> Self {
        Self {
            documented: &documented.schemas,
            observed: &observed.schemas,
            laid: HashMap::new(),
            known: HashMap::new(),
            pairs: Vec::new(),
            todo: Vec::new(),
            uses: Vec::new(),
            drafts: Vec::new(),
        }
    }

    /// Compares two schemas and all below them on behalf of an operation, which has a number in reports. `place` names them:
    /// `the response 200`.
    pub(super) fn compare(
        &mut self,
        way: Way,
        (first, second): (SchemaId, SchemaId),
        place: &str,
        operation: u32,
    ) {
        let Pair { found, leads_to } = self.walk(way, (first, second, String::new()), place);
        let own = found.into_iter();
        let own = own.map(|found| found.draft(Concerned::One(operation)));
        self.drafts.extend(own);
        self.uses
            .extend(leads_to.iter().map(|pair| (*pair, operation)));
        while let Some((at, (way, first, second))) = self.todo.pop() {
            let path = label(&self.documented.get(first).pointer);
            let pair = self.walk(way, (first, second, path), "");
            if let Some(place) = self.pairs.get_mut(at) {
                *place = pair;
            }
        }
    }

    /// What was found, with the operations it concerns.
    pub(super) fn drafts(self) -> Vec<Draft> {
        let mut drafts = self.drafts;
        let wanted: Vec<bool> = (self.pairs.iter())
            .map(|pair| !pair.found.is_empty())
            .collect();
        let (leads_to, found): (Vec<_>, Vec<_>) = (self.pairs.into_iter())
            .map(|pair| (pair.leads_to, pair.found))
            .unzip();
        let reached = reaching(&leads_to, &wanted, &self.uses);
        for (found, operations) in found.into_iter().zip(reached) {
            let Some(operations) = operations else {
                continue;
            };
            for found in found {
                drafts.push(found.draft(Concerned::Many(operations.clone())));
            }
        }
        drafts
    }

    /// Compares a pair and those below it up to the next that have a name. A path that is not empty says that the first one is
    /// compared by its name.
    fn walk(&mut self, way: Way, start: (SchemaId, SchemaId, String), place: &str) -> Pair {
        let mut walk = Walk {
            way,
            place,
            seen: HashSet::new(),
            pair: Pair::default(),
            todo: Vec::new(),
        };
        if start.2.is_empty() {
            walk.todo.push(start);
        } else {
            walk.seen.insert((start.0, start.1));
            self.pair(start, &mut walk);
        }
        while let Some((first, second, path)) = walk.todo.pop() {
            if !walk.seen.insert((first, second)) {
                continue;
            }
            // A parameter is called by its own name.
            if way == Way::Parameter || !is_named(&self.documented.get(first).pointer) {
                self.pair((first, second, path), &mut walk);
                continue;
            }
            let next = self.pairs.len();
            let at = *self.known.entry((way, first, second)).or_insert(next);
            if at == next {
                self.pairs.push(Pair::default());
                self.todo.push((at, (way, first, second)));
            }
            walk.pair.leads_to.push(at);
        }
        walk.pair
    }

    fn laid(&mut self, documented: bool, id: SchemaId) -> Rc<Whole> {
        let schemas = if documented {
            self.documented
        } else {
            self.observed
        };
        let laid = self.laid.entry((documented, id));
        laid.or_insert_with(|| Rc::new(whole(schemas, id))).clone()
    }

    fn pair(&mut self, (first, second, path): (SchemaId, SchemaId, String), walk: &mut Walk<'_>) {
        let described = self.laid(true, first);
        let seen = self.laid(false, second);
        let (pointer, other) = (
            self.documented.get(first).pointer.clone(),
            self.observed.get(second).pointer.clone(),
        );
        // A component is called by its name from here on, whoever refers to it.
        let path = if is_named(&pointer) {
            label(&pointer)
        } else {
            path
        };
        let at = At {
            path,
            pointer,
            other,
        };
        // Nothing was ever seen in it, or anything was; or the description contradicts itself.
        if seen.flat.types == Types::ANY || described.flat.types.is_none() {
            return;
        }
        let textual = walk.way == Way::Parameter || (walk.way == Way::Form && !at.path.is_empty());
        let (unsure, described, seen) = (&described.unsure, &described.flat, &seen.flat);
        if !types(described, seen, textual, &at, walk) {
            return;
        }
        values(described, seen, textual, &at, walk);
        self.members((described, unsure), seen, &at, walk);
        if let (Some(first), Some(second)) = (described.items, seen.items) {
            walk.todo.push((first, second, format!("{}[]", at.path)));
        }
    }

    fn members(
        &mut self,
        (described, unsure): (&Flat, &BTreeSet<String>),
        seen: &Flat,
        at: &At,
        walk: &mut Walk<'_>,
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
                walk.todo.push((*first, *second, below(name)));
                continue;
            }
            let rule = match (&described.additional, walk.way) {
                (Additional::Of(first), _) => {
                    walk.todo.push((*first, *second, below(name)));
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
                pointer: at.pointer.clone(),
                other: self.observed.get(*second).pointer.clone(),
            };
            let message = match rule {
                Rule::ForbiddenProperty => {
                    "is there, and the description rules out what it does not name"
                }
                _ => "is there, and not described",
            };
            walk.add(rule, &member, message);
        }
        if let (Additional::Of(first), Additional::Of(second)) =
            (&described.additional, &seen.additional)
        {
            walk.todo.push((*first, *second, format!("{}.*", at.path)));
        }
        // Bodies that were cut never teach what is required: then nothing is, and nothing follows.
        if seen.required.is_empty() || seen.additional != Additional::Open {
            return;
        }
        for name in &described.required {
            if seen.required.contains(name) || !self.counts(described, name, walk.way) {
                continue;
            }
            let pointer = described.properties.get(name);
            let member = At {
                path: below(name),
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
            walk.add(Rule::MissingProperty, &member, message);
        }
    }

    /// Whether a required property must be there in this direction.
    fn counts(&mut self, described: &Flat, name: &str, way: Way) -> bool {
        // Required and nowhere named: a slip of the description's, mostly a misspelt name.
        let Some(id) = described.properties.get(name) else {
            return false;
        };
        let whole = self.laid(true, *id);
        match way {
            Way::Response => !whole.flat.write_only,
            _ => !whole.flat.read_only,
        }
    }
}

/// Whether the types agree, so that looking further makes sense.
fn types(described: &Flat, seen: &Flat, textual: bool, at: &At, walk: &mut Walk<'_>) -> bool {
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
        walk.add(Rule::ContradictoryType, at, &message);
        return false;
    }
    if !textual && seen.types.has(Types::NULL) && !described.types.has(Types::NULL) {
        walk.add(
            Rule::ContradictoryNull,
            at,
            "is null in some, which is not described",
        );
    }
    !(textual && several && is.has(Types::STRING))
}

fn values(described: &Flat, seen: &Flat, textual: bool, at: &At, walk: &mut Walk<'_>) {
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
            walk.add(Rule::ContradictoryValue, at, &message);
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
        walk.add(Rule::ContradictoryFormat, at, &message);
    }
}

impl Walk<'_> {
    fn add(&mut self, rule: Rule, at: &At, message: &str) {
        let way = match self.way {
            Way::Response => "responses",
            _ => "requests",
        };
        let place = match (is_named(&at.pointer), at.path.as_str()) {
            _ if self.way == Way::Parameter => self.place.to_owned(),
            (true, path) => format!("`{path}` in {way}"),
            (false, "") => self.place.to_owned(),
            (false, path) => format!("`{path}` in {}", self.place),
        };
        self.pair.found.push(Found {
            rule,
            message: format!("{place} {message}"),
            subject: place,
            first: at.pointer.clone(),
            second: at.other.clone(),
        });
    }
}

impl Found {
    fn draft(self, concerned: Concerned) -> Draft {
        Draft {
            rule: self.rule,
            message: self.message,
            subject: self.subject,
            concerned,
            first: self.first,
            second: self.second,
            seen: Told::OfOperations,
        }
    }
}

/// Where a pair is: what messages call it, and the pointers.
struct At {
    path: String,
    pointer: String,
    other: String,
}

/// A schema as all that its alternatives admit together. Alternatives may lead to one another, in circles too: each schema is
/// laid in once, where it comes first, since all that it admits is admitted then.
fn whole(schemas: &Schemas, id: SchemaId) -> Whole {
    lay(schemas, id, 0, &mut HashSet::from([id]))
}

fn lay(schemas: &Schemas, id: SchemaId, depth: usize, taken: &mut HashSet<SchemaId>) -> Whole {
    let mut flat = schemas.flat(id);
    let mut unsure = BTreeSet::new();
    if flat.alternatives.is_empty() || depth >= MAX_NESTED {
        return Whole { flat, unsure };
    }
    // All of these before what they lead to, so that each is met as near as can be.
    let own: Vec<SchemaId> = (flat.alternatives.iter().copied())
        .filter(|alternative| taken.insert(*alternative))
        .collect();
    let parts: Vec<Whole> = (own.into_iter())
        .map(|alternative| lay(schemas, alternative, depth + 1, taken))
        .collect();
    if parts.is_empty() {
        // All of them are laid in elsewhere: nothing is narrowed here.
        flat.alternatives.clear();
        flat.format = None;
        return Whole { flat, unsure };
    }
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
