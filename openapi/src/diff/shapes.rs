//! Schemas, before and after.
//!
//! In: pairs of schemas, with direction and where they are used. Out: findings. Each pair of schemas is compared once, however
//! many operations lead to it; what leads where is a graph, so recursive schemas end, and a change in a shared schema is one
//! finding with all the operations it reaches.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::values::{formats, limits, types, values};
use crate::description::Description;
use crate::reach::{leading_to, reaching};
use crate::report::{Concerned, Draft, Told};
use crate::rule::Rule;
use crate::schema::{Additional, Flat, SchemaId, Types, is_named, label};

/// Which way values go. Clients break when less is taken or more comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Direction {
    fn pick(self, request: Rule, response: Rule) -> Rule {
        match self {
            Self::Request => request,
            Self::Response => response,
        }
    }
}

/// All pairs that were asked for.
pub(super) struct Shapes<'a> {
    old: &'a Description,
    new: &'a Description,
    flats: HashMap<(bool, SchemaId), Rc<Flat>>,
    known: HashMap<(SchemaId, SchemaId, Direction), usize>,
    pairs: Vec<Pair>,
    uses: Vec<Use>,
}

#[derive(Default)]
struct Pair {
    changes: Vec<Change>,
    leads_to: Vec<usize>,
}

/// A change, still without the place it is told with.
struct Change {
    direction: Direction,
    rule: Rule,
    /// Follows the place: `is string, was integer`.
    says: String,
    label: String,
    first: String,
    second: String,
}

struct Use {
    pair: usize,
    /// Its number in reports.
    operation: u32,
    context: String,
}

impl<'a> Shapes<'a> {
    pub(super) fn new(old: &'a Description, new: &'a Description) -> Self {
        Self {
            old,
            new,
            flats: HashMap::new(),
            known: HashMap::new(),
            pairs: Vec::new(),
            uses: Vec::new(),
        }
    }

    /// Compares two schemas and all they lead to, on behalf of an operation. `context` names the place for schemas without a name:
    /// `the response 200`.
    pub(super) fn compare(
        &mut self,
        old: SchemaId,
        new: SchemaId,
        direction: Direction,
        operation: u32,
        context: String,
    ) {
        let mut todo = Vec::new();
        let pair = self.pair((old, new, direction), &mut todo);
        while let Some((at, (old, new, direction))) = todo.pop() {
            let mut found = Comparison {
                direction,
                pair: Pair::default(),
                children: Vec::new(),
                first: self.old.schemas.get(old).pointer.clone(),
                second: self.new.schemas.get(new).pointer.clone(),
            };
            self.schemas(old, new, &mut found);
            let mut pair = found.pair;
            for (old, new) in found.children {
                pair.leads_to
                    .push(self.pair((old, new, direction), &mut todo));
            }
            if let Some(place) = self.pairs.get_mut(at) {
                *place = pair;
            }
        }
        self.uses.push(Use {
            pair,
            operation,
            context,
        });
    }

    fn pair(
        &mut self,
        key: (SchemaId, SchemaId, Direction),
        todo: &mut Vec<(usize, (SchemaId, SchemaId, Direction))>,
    ) -> usize {
        if let Some(at) = self.known.get(&key) {
            return *at;
        }
        let at = self.pairs.len();
        self.pairs.push(Pair::default());
        self.known.insert(key, at);
        todo.push((at, key));
        at
    }

    fn flat(&mut self, is_new: bool, id: SchemaId) -> Rc<Flat> {
        let schemas = if is_new {
            &self.new.schemas
        } else {
            &self.old.schemas
        };
        self.flats
            .entry((is_new, id))
            .or_insert_with(|| Rc::new(schemas.flat(id)))
            .clone()
    }

    /// Whether both are arrays or objects, so that the way several values are written matters.
    pub(super) fn both_hold_several(&mut self, old: SchemaId, new: SchemaId) -> bool {
        let several = |flat: Rc<Flat>| flat.types == Types::ARRAY || flat.types == Types::OBJECT;
        several(self.flat(false, old)) && several(self.flat(true, new))
    }

    /// What was found, with the operations it concerns.
    pub(super) fn drafts(self) -> Vec<Draft> {
        let leads_to: Vec<Vec<usize>> =
            (self.pairs.iter().map(|pair| pair.leads_to.clone())).collect();
        let changed = |named: bool| -> Vec<bool> {
            let is = |change: &Change| change.is_named() == named;
            let pairs = self.pairs.iter();
            pairs.map(|pair| pair.changes.iter().any(is)).collect()
        };
        let mut drafts = Vec::new();
        // What has a name is called by it, whoever leads there.
        let uses: Vec<(usize, u32)> = (self.uses.iter())
            .map(|usage| (usage.pair, usage.operation))
            .collect();
        let reached = reaching(&leads_to, &changed(true), &uses);
        for (pair, operations) in self.pairs.iter().zip(reached) {
            let Some(operations) = operations else {
                continue;
            };
            for change in pair.changes.iter().filter(|change| change.is_named()) {
                drafts.push(change.draft("", Concerned::Many(operations.clone())));
            }
        }
        // What has none is called by the place that leads there: mostly one, and few lead to such.
        let relevant = leading_to(&leads_to, &changed(false));
        for usage in &self.uses {
            let mut seen = HashSet::new();
            let mut todo = vec![usage.pair];
            while let Some(at) = todo.pop() {
                let Some(pair) = self.pairs.get(at) else {
                    continue;
                };
                if relevant.get(at) != Some(&true) || !seen.insert(at) {
                    continue;
                }
                todo.extend(&pair.leads_to);
                for change in pair.changes.iter().filter(|change| !change.is_named()) {
                    drafts.push(change.draft(&usage.context, Concerned::One(usage.operation)));
                }
            }
        }
        drafts
    }

    /// Compares two schemas, and names the pairs below them.
    fn schemas(&mut self, old: SchemaId, new: SchemaId, found: &mut Comparison) {
        let (before, after) = (self.flat(false, old), self.flat(true, new));
        if !before.alternatives.is_empty() || !after.alternatives.is_empty() {
            self.alternatives((old, &before), (new, &after), found);
            // What stands beside the alternatives is compared only where both have them.
            if before.alternatives.is_empty() || after.alternatives.is_empty() {
                return;
            }
        } else {
            types(&before, &after, found);
        }
        let null = (
            self.old.schemas.types(&before).has(Types::NULL),
            self.new.schemas.types(&after).has(Types::NULL),
        );
        // "Any type" has null in it: where that changed, it is said already.
        let any = before.types == Types::ANY || after.types == Types::ANY;
        if null.0 != null.1 && !any {
            let (request, response, says) = if null.1 {
                (
                    Rule::RequestNullAccepted,
                    Rule::ResponseNullPossible,
                    "may now be null",
                )
            } else {
                (
                    Rule::RequestNullRefused,
                    Rule::ResponseNullGone,
                    "can no longer be null",
                )
            };
            found.change(request, response, says.to_owned());
        }
        if !before
            .types
            .both(after.types)
            .without(Types::NULL)
            .is_none()
        {
            values(&before, &after, found);
            formats(&before, &after, found);
            limits(&before, &after, found);
        }
        self.properties(&before, &after, found);
        additional(&before, &after, found);
        if let (Some(before), Some(after)) = (before.items, after.items) {
            found.children.push((before, after));
        }
        if let (Some(old), Some(new)) = (&before.discriminator, &after.discriminator)
            && old != new
        {
            let says = format!("is told apart by `{new}`, was by `{old}`");
            found.change(Rule::DiscriminatorChanged, Rule::DiscriminatorChanged, says);
        }
        if found.direction == Direction::Request
            && let Some(old) = &before.default
            && after.default.as_ref() != Some(old)
        {
            let says = match &after.default {
                Some(new) => format!("left out means {new}, meant {old}"),
                None => format!("has no default, which was {old}"),
            };
            found.change(Rule::DefaultChanged, Rule::DefaultChanged, says);
        }
    }

    fn properties(&mut self, before: &Flat, after: &Flat, found: &mut Comparison) {
        use Direction::{Request, Response};
        let direction = found.direction;
        // `readOnly` comes back only, `writeOnly` is sent only.
        let counts = |flat: &Flat| match direction {
            Request => !flat.read_only,
            Response => !flat.write_only,
        };
        for (name, old) in &before.properties {
            let gone = match after.properties.get(name) {
                None => true,
                Some(new) => {
                    let (old_counts, new_counts) = (
                        counts(&self.flat(false, *old)),
                        counts(&self.flat(true, *new)),
                    );
                    if old_counts && new_counts {
                        found.children.push((*old, *new));
                    }
                    old_counts && !new_counts
                }
            };
            if !gone || !counts(&self.flat(false, *old)) {
                continue;
            }
            let required = before.required.contains(name);
            let response = if required {
                Rule::ResponseRequiredPropertyRemoved
            } else {
                Rule::ResponsePropertyRemoved
            };
            let pointer = self.old.schemas.get(*old).pointer.clone();
            let rule = direction.pick(Rule::RequestPropertyRemoved, response);
            found.property(rule, name, "is gone", Some(pointer), None);
        }
        for (name, new) in &after.properties {
            if !counts(&self.flat(true, *new)) {
                continue;
            }
            let known =
                (before.properties.get(name)).is_some_and(|old| counts(&self.flat(false, *old)));
            let must = after.required.contains(name);
            let pointer = self.new.schemas.get(*new).pointer.clone();
            if !known {
                let must = must && self.flat(true, *new).default.is_none();
                let (rule, says) = match (direction, must) {
                    (Request, true) => (
                        Rule::RequestRequiredPropertyAdded,
                        "is new and must be sent",
                    ),
                    (Request, false) => (Rule::RequestPropertyAdded, "is new"),
                    (Response, _) => (Rule::ResponsePropertyAdded, "is new"),
                };
                found.property(rule, name, says, None, Some(pointer));
                continue;
            }
            let (rule, says) = match (before.required.contains(name), must, direction) {
                (false, true, Request) => (Rule::RequestPropertyBecameRequired, "must now be sent"),
                (false, true, Response) => {
                    (Rule::ResponsePropertyBecameRequired, "now always comes")
                }
                (true, false, Request) => {
                    (Rule::RequestPropertyBecameOptional, "may now be left out")
                }
                (true, false, Response) => {
                    (Rule::ResponsePropertyBecameOptional, "may now be missing")
                }
                _ => continue,
            };
            let old = before.properties.get(name);
            let first = old.map(|old| self.old.schemas.get(*old).pointer.clone());
            found.property(rule, name, says, first, Some(pointer));
        }
    }

    fn alternatives(
        &mut self,
        (old, before): (SchemaId, &Flat),
        (new, after): (SchemaId, &Flat),
        found: &mut Comparison,
    ) {
        let or_itself = |flat: &Flat, id: SchemaId| {
            if flat.alternatives.is_empty() {
                vec![id]
            } else {
                flat.alternatives.clone()
            }
        };
        let mut olds = or_itself(before, old);
        let mut news = or_itself(after, new);
        // By name, then by likeness.
        for pass in 0..2 {
            olds.retain(|old| {
                let partner = news.iter().position(|new| match pass {
                    0 => {
                        let name = |pointer: &str| pointer.rsplit('/').next().map(str::to_owned);
                        let (a, b) = (
                            &self.old.schemas.get(*old).pointer,
                            &self.new.schemas.get(*new).pointer,
                        );
                        is_named(a) && is_named(b) && name(a) == name(b)
                    }
                    _ => self.alike(*old, *new),
                });
                match partner {
                    Some(at) => {
                        found.children.push((*old, news.remove(at)));
                        false
                    }
                    None => true,
                }
            });
        }
        for gone in olds {
            let pointer = self.old.schemas.get(gone).pointer.clone();
            let says = format!("no longer has the form {}", self.form(false, gone));
            found.change(
                Rule::RequestAlternativeRemoved,
                Rule::ResponseAlternativeRemoved,
                says,
            );
            found.last_at(Some(pointer), None);
        }
        for added in news {
            let pointer = self.new.schemas.get(added).pointer.clone();
            let says = format!("may have the form {}", self.form(true, added));
            found.change(
                Rule::RequestAlternativeAdded,
                Rule::ResponseAlternativeAdded,
                says,
            );
            found.last_at(None, Some(pointer));
        }
    }

    /// How an alternative is called: its name, or its types.
    fn form(&mut self, is_new: bool, id: SchemaId) -> String {
        let schemas = if is_new {
            &self.new.schemas
        } else {
            &self.old.schemas
        };
        let pointer = schemas.get(id).pointer.clone();
        if is_named(&pointer) {
            return format!("`{}`", label(&pointer));
        }
        let flat = self.flat(is_new, id);
        let names: Vec<&str> = flat.properties.keys().take(4).map(String::as_str).collect();
        if names.is_empty() {
            flat.types.to_string()
        } else {
            format!("{} with {}", flat.types, names.join(", "))
        }
    }

    /// Whether two alternatives are likely the same one: the same types, and for objects half of the names in common.
    fn alike(&mut self, old: SchemaId, new: SchemaId) -> bool {
        let (a, b) = (self.flat(false, old), self.flat(true, new));
        if a.types.without(Types::NULL) != b.types.without(Types::NULL) {
            return false;
        }
        let common = a
            .properties
            .keys()
            .filter(|name| b.properties.contains_key(*name))
            .count();
        2 * common >= a.properties.len().max(b.properties.len())
    }
}

impl Change {
    fn is_named(&self) -> bool {
        is_named(&self.second) || is_named(&self.first)
    }

    /// `context` is what a place without a name is called by.
    fn draft(&self, context: &str, concerned: Concerned) -> Draft {
        let place = match (self.is_named(), self.label.is_empty()) {
            (true, _) if self.direction == Direction::Request => {
                format!("`{}` in requests", self.label)
            }
            (true, _) => format!("`{}` in responses", self.label),
            (false, false) => format!("`{}` in {context}", self.label),
            (false, true) => context.to_owned(),
        };
        Draft {
            rule: self.rule,
            message: format!("{place} {}", self.says),
            subject: place,
            concerned,
            first: self.first.clone(),
            second: self.second.clone(),
            seen: Told::This(None),
        }
    }
}

/// One pair while it is compared.
pub(super) struct Comparison {
    direction: Direction,
    pair: Pair,
    children: Vec<(SchemaId, SchemaId)>,
    first: String,
    second: String,
}

impl Comparison {
    pub(super) fn change(&mut self, request: Rule, response: Rule, says: String) {
        self.pair.changes.push(Change {
            direction: self.direction,
            rule: self.direction.pick(request, response),
            says,
            label: label(&self.second),
            first: self.first.clone(),
            second: self.second.clone(),
        });
    }

    /// Puts the last change where it is.
    fn last_at(&mut self, first: Option<String>, second: Option<String>) {
        if let Some(change) = self.pair.changes.last_mut() {
            change.first = first.unwrap_or_else(|| self.first.clone());
            change.second = second.unwrap_or_else(|| self.second.clone());
        }
    }

    fn property(
        &mut self,
        rule: Rule,
        name: &str,
        says: &str,
        first: Option<String>,
        second: Option<String>,
    ) {
        let parent = label(&self.second);
        let label = if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        };
        self.pair.changes.push(Change {
            direction: self.direction,
            rule,
            says: says.to_owned(),
            label,
            first: first.unwrap_or_else(|| self.first.clone()),
            second: second.unwrap_or_else(|| self.second.clone()),
        });
    }
}

fn additional(before: &Flat, after: &Flat, found: &mut Comparison) {
    if !before.types.has(Types::OBJECT) || !after.types.has(Types::OBJECT) {
        return;
    }
    match (&before.additional, &after.additional) {
        (Additional::Of(old), Additional::Of(new)) => found.children.push((*old, *new)),
        (Additional::Closed, Additional::Closed) => {}
        (_, Additional::Closed) => found.change(
            Rule::RequestAdditionalRefused,
            Rule::ResponseAdditionalGone,
            "can only have the named properties".to_owned(),
        ),
        (Additional::Closed, _) => found.change(
            Rule::RequestAdditionalAccepted,
            Rule::ResponseAdditionalPossible,
            "can have properties other than the named ones".to_owned(),
        ),
        _ => {}
    }
}
