//! Sources and targets by name, where there are too many to choose from a list.
//!
//! In: what was typed into a filter, or the id that a link has. Out: which one is meant, and names that fit.

use axum::extract::RawQuery;
use axum::response::Response;

use crate::ids::{SourceId, TargetId};
use crate::inventory::{self, Target, TargetSort};
use crate::sources;
use crate::store::{Direction, Page};
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::filter_form::{Lookup, Names};

/// Names that are offered at once.
const OFFERED: u32 = 50;

/// What a filter by name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked<T> {
    /// Any.
    Any,
    /// This one.
    One(T),
    /// One that is not there.
    Unknown,
}

/// A filter by name: what is asked for, and the field as it is shown.
pub(super) type Named<T> = (Asked<T>, Lookup);

impl<T: Clone> Asked<T> {
    /// The one, if it is one.
    pub(super) fn one(&self) -> Option<T> {
        match self {
            Asked::One(one) => Some(one.clone()),
            _ => None,
        }
    }
}

fn offered() -> Result<Page, Response> {
    Page::new(1, OFFERED).map_err(refused)
}

/// The one of that name, else the only one there is.
fn meant<T>(mut found: Vec<(T, String)>, total: u64, given: &str) -> Option<(T, String)> {
    let same = |name: &str| name.to_lowercase() == given.to_lowercase();
    match found.iter().position(|(_, name)| same(name)) {
        Some(at) => Some(found.swap_remove(at)),
        None if total == 1 => found.pop(),
        None => None,
    }
}

/// The source that `list` is filtered by: by id, by name, or by a part of the name that no other has.
pub(super) async fn source(person: &Person, list: &List) -> Result<Named<SourceId>, Response> {
    let given = list.get("source").trim();
    let mut lookup = Lookup {
        name: "source",
        label: "Source",
        value: given.to_owned(),
        href: "/sources/names",
    };
    if given.is_empty() {
        return Ok((Asked::Any, lookup));
    }
    let store = &person.app().store;
    let by_id = match SourceId::parse(given) {
        Ok(id) => sources::name(store, &person.actor, &id)
            .await
            .map_err(refused)?
            .map(|name| (id, name)),
        Err(_) => None,
    };
    let found = match by_id {
        Some(found) => Some(found),
        None => {
            let found = sources::names(store, &person.actor, given, offered()?)
                .await
                .map_err(refused)?;
            meant(found.items, found.total, given)
        }
    };
    Ok(match found {
        Some((id, name)) => {
            lookup.value = name;
            (Asked::One(id), lookup)
        }
        None => (Asked::Unknown, lookup),
    })
}

async fn targets(person: &Person, text: &str) -> Result<(Vec<Target>, u64), Response> {
    let (sort, way) = (TargetSort::Name, Direction::Ascending);
    let store = &person.app().store;
    let found = inventory::targets(store, &person.actor, Some(text), sort, way, offered()?)
        .await
        .map_err(refused)?;
    Ok((found.items, found.total))
}

/// The target that `list` is filtered by: by id, by URL, or by a part of name or URL that no other has.
pub(super) async fn target(person: &Person, list: &List) -> Result<Named<TargetId>, Response> {
    let given = list.get("target").trim();
    let mut lookup = Lookup {
        name: "target",
        label: "Target",
        value: given.to_owned(),
        href: "/targets/names",
    };
    if given.is_empty() {
        return Ok((Asked::Any, lookup));
    }
    let store = &person.app().store;
    let found = match TargetId::parse(given) {
        Ok(id) => match inventory::target(store, &person.actor, &id).await {
            Ok(target) => Some((id, target.url.to_string())),
            Err(crate::Refusal::NotFound { .. }) => None,
            Err(refusal) => return Err(refused(refusal)),
        },
        Err(_) => {
            let (found, total) = targets(person, given).await?;
            let urls = found
                .into_iter()
                .map(|target| (target.id, target.url.to_string()));
            meant(urls.collect(), total, given)
        }
    };
    Ok(match found {
        Some((id, url)) => {
            lookup.value = url;
            (Asked::One(id), lookup)
        }
        None => (Asked::Unknown, lookup),
    })
}

/// Names of sources that fit what is typed.
pub(in crate::web::pages) async fn source_names(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let list = List::read("/sources/names", raw.as_deref(), &["source"], &[]);
    let store = &person.app().store;
    let found = sources::names(store, &person.actor, list.get("source"), offered()?)
        .await
        .map_err(refused)?;
    let names = found.items.into_iter();
    Ok(page(&Names {
        names: names.map(|(_, name)| (name, String::new())).collect(),
    }))
}

/// URLs and names of targets that fit what is typed.
pub(in crate::web::pages) async fn target_names(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let list = List::read("/targets/names", raw.as_deref(), &["target"], &[]);
    let (found, _) = targets(&person, list.get("target")).await?;
    let names = found.into_iter().map(|target| {
        let url = target.url.to_string();
        let name = if target.name == url {
            String::new()
        } else {
            target.name
        };
        (url, name)
    });
    Ok(page(&Names {
        names: names.collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_is_meant_before_a_part_and_a_part_only_where_no_other_has_it() {
        let all = || vec![(1, "Edge Berlin".to_owned()), (2, "edge".to_owned())];
        assert_eq!(meant(all(), 2, "EDGE").map(|(id, _)| id), Some(2));
        assert_eq!(meant(all(), 2, "edg"), None);
        let one = vec![(1, "Edge Berlin".to_owned())];
        assert_eq!(meant(one.clone(), 1, "berl").map(|(id, _)| id), Some(1));
        // More than were asked for.
        assert_eq!(meant(one, 7, "berl"), None);
    }
}
