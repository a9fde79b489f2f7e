//! The values of two schemas, before and after: types, formats, enumerations, limits.
//!
//! In: two schemas laid flat. Out: changes, added to the comparison they belong to. It never looks below a schema: properties, items
//! and alternatives are pairs of their own.

use std::collections::BTreeSet;

use super::shapes::Comparison;
use crate::rule::Rule;
use crate::schema::{Flat, LOWER_BOUNDS, Types, UPPER_BOUNDS};

pub(super) fn types(before: &Flat, after: &Flat, found: &mut Comparison) {
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

pub(super) fn formats(before: &Flat, after: &Flat, found: &mut Comparison) {
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

pub(super) fn values(before: &Flat, after: &Flat, found: &mut Comparison) {
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

pub(super) fn limits(before: &Flat, after: &Flat, found: &mut Comparison) {
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
