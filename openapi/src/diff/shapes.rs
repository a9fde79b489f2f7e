//! Schemas, before and after.
//!
//! In: pairs of schemas, with direction and where they are used. Out: findings. Each pair of schemas is compared once, however
//! many operations lead to it; what leads where is a graph, so recursive schemas end, and a change in a shared schema is one
//! finding with all the operations it reaches.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::description::Description;
use crate::report::Finding;
use crate::rule::Rule;
use crate::schema::{Additional, Flat, LOWER_BOUNDS, SchemaId, Types, UPPER_BOUNDS, label};

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
    rule: Rule,
    /// Follows the place: `is string, was integer`.
    says: String,
    label: String,
    first: String,
    second: String,
}

struct Use {
    pair: usize,
    direction: Direction,
    operation: String,
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
        operation: String,
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
            direction,
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

    /// The findings of all uses.
    pub(super) fn findings(self) -> Vec<Finding> {
        // Most pairs lead to no change: what does is found once, backwards.
        let mut from: Vec<Vec<usize>> = vec![Vec::new(); self.pairs.len()];
        for (at, pair) in self.pairs.iter().enumerate() {
            for to in &pair.leads_to {
                if let Some(list) = from.get_mut(*to) {
                    list.push(at);
                }
            }
        }
        let mut changed: HashSet<usize> = HashSet::new();
        let mut todo: Vec<usize> = (self.pairs.iter().enumerate())
            .filter(|(_, pair)| !pair.changes.is_empty())
            .map(|(at, _)| at)
            .collect();
        while let Some(at) = todo.pop() {
            if changed.insert(at) {
                todo.extend(from.get(at).into_iter().flatten());
            }
        }
        let mut findings = Vec::new();
        for usage in &self.uses {
            let mut seen = HashSet::new();
            let mut todo = vec![usage.pair];
            while let Some(at) = todo.pop() {
                if !changed.contains(&at) || !seen.insert(at) {
                    continue;
                }
                let Some(pair) = self.pairs.get(at) else {
                    continue;
                };
                todo.extend(&pair.leads_to);
                findings.extend(pair.changes.iter().map(|change| change.finding(usage)));
            }
        }
        findings
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
    fn alike(&self, old: SchemaId, new: SchemaId) -> bool {
        let (a, b) = (self.old.schemas.flat(old), self.new.schemas.flat(new));
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
    fn finding(&self, usage: &Use) -> Finding {
        let named = is_named(&self.second) || is_named(&self.first);
        let place = match (named, self.label.is_empty()) {
            (true, _) if usage.direction == Direction::Request => {
                format!("`{}` in requests", self.label)
            }
            (true, _) => format!("`{}` in responses", self.label),
            (false, false) => format!("`{}` in {}", self.label, usage.context),
            (false, true) => usage.context.clone(),
        };
        Finding {
            rule: self.rule,
            message: format!("{place} {}", self.says),
            subject: place,
            operations: vec![usage.operation.clone()],
            first: self.first.clone(),
            second: self.second.clone(),
            seen: None,
        }
    }
}

/// Whether a schema is a component or below one.
fn is_named(pointer: &str) -> bool {
    pointer.starts_with("/components/schemas/") || pointer.starts_with("/definitions/")
}

/// One pair while it is compared.
struct Comparison {
    direction: Direction,
    pair: Pair,
    children: Vec<(SchemaId, SchemaId)>,
    first: String,
    second: String,
}

impl Comparison {
    fn change(&mut self, request: Rule, response: Rule, says: String) {
        self.pair.changes.push(Change {
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
            rule,
            says: says.to_owned(),
            label,
            first: first.unwrap_or_else(|| self.first.clone()),
            second: second.unwrap_or_else(|| self.second.clone()),
        });
    }
}

fn types(before: &Flat, after: &Flat, found: &mut Comparison) {
    let (old, new) = (
        before.types.without(Types::NULL),
        after.types.without(Types::NULL),
    );
    if old == new {
        return;
    }
    let says = format!("is {new}, was {old}");
    let (request, response) = if old.has(new) {
        (Rule::RequestTypeNarrowed, Rule::ResponseTypeNarrowed)
    } else if new.has(old) {
        (Rule::RequestTypeWidened, Rule::ResponseTypeWidened)
    } else {
        (Rule::RequestTypeChanged, Rule::ResponseTypeChanged)
    };
    found.change(request, response, says);
}

fn formats(before: &Flat, after: &Flat, found: &mut Comparison) {
    if before.format == after.format {
        return;
    }
    let shown = |format: &Option<String>| {
        format
            .as_ref()
            .map_or("none".to_owned(), |format| format!("`{format}`"))
    };
    let says = format!(
        "has format {}, had {}",
        shown(&after.format),
        shown(&before.format)
    );
    let request = match after.format {
        None => Rule::RequestFormatRemoved,
        Some(_) => Rule::RequestFormatChanged,
    };
    let response = match before.format {
        None => Rule::ResponseFormatAdded,
        Some(_) => Rule::ResponseFormatChanged,
    };
    found.change(request, response, says);
}

fn values(before: &Flat, after: &Flat, found: &mut Comparison) {
    const SHOWN: usize = 6;
    let list = |values: &[&String]| {
        let mut texts: Vec<String> = values.iter().take(SHOWN).map(|v| (*v).clone()).collect();
        if values.len() > SHOWN {
            texts.push(format!("{} more", values.len() - SHOWN));
        }
        texts.join(", ")
    };
    let empty = BTreeSet::new();
    let all = |flat: &'_ Flat| flat.values.clone();
    let (removed, added) = match (all(before), all(after)) {
        (None, None) => return,
        (None, Some(new)) => {
            let says = format!("can only be {}", list(&new.iter().collect::<Vec<_>>()));
            found.change(Rule::RequestValueRemoved, Rule::ResponseValueRemoved, says);
            return;
        }
        (Some(_), None) => {
            let says = "can be any value, was one of a list".to_owned();
            found.change(Rule::RequestValueAdded, Rule::ResponseValueAdded, says);
            return;
        }
        (Some(old), Some(new)) => (
            old.difference(&new).cloned().collect::<BTreeSet<_>>(),
            new.difference(&old).cloned().collect::<BTreeSet<_>>(),
        ),
    };
    if removed != empty {
        let says = format!(
            "can no longer be {}",
            list(&removed.iter().collect::<Vec<_>>())
        );
        found.change(Rule::RequestValueRemoved, Rule::ResponseValueRemoved, says);
    }
    if added != empty {
        let says = format!("can also be {}", list(&added.iter().collect::<Vec<_>>()));
        found.change(Rule::RequestValueAdded, Rule::ResponseValueAdded, says);
    }
}

fn limits(before: &Flat, after: &Flat, found: &mut Comparison) {
    let mut change = |tightened: bool, says: String| {
        let (request, response) = if tightened {
            (Rule::RequestLimitTightened, Rule::ResponseLimitTightened)
        } else {
            (Rule::RequestLimitLoosened, Rule::ResponseLimitLoosened)
        };
        found.change(request, response, says);
    };
    let names = LOWER_BOUNDS
        .into_iter()
        .chain(UPPER_BOUNDS)
        .chain(["multipleOf"]);
    for name in names {
        let (old, new) = (before.bounds.get(name), after.bounds.get(name));
        match (old, new) {
            (Some(old), Some(new)) if old != new => {
                let tightened = if LOWER_BOUNDS.contains(&name) {
                    new > old
                } else if UPPER_BOUNDS.contains(&name) {
                    new < old
                } else {
                    (old / new).fract() != 0.0
                };
                change(tightened, format!("has {name} {new}, had {old}"));
            }
            (None, Some(new)) => change(true, format!("has {name} {new}, had none")),
            (Some(old), None) => change(false, format!("has no {name}, had {old}")),
            _ => {}
        }
    }
    if before.unique != after.unique {
        let says = if after.unique {
            "must have no item twice"
        } else {
            "may have an item twice"
        };
        change(after.unique, says.to_owned());
    }
    if before.pattern != after.pattern {
        let (request, says) = match (&before.pattern, &after.pattern) {
            (_, Some(new)) => (Rule::RequestPatternChanged, format!("must match `{new}`")),
            (Some(old), None) => (
                Rule::RequestPatternRemoved,
                format!("need no longer match `{old}`"),
            ),
            (None, None) => return,
        };
        found.change(request, Rule::ResponsePatternChanged, says);
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
