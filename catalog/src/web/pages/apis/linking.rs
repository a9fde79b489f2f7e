//! APIs are linked to targets and unlinked.

use axum::extract::{Path, RawQuery};
use http::StatusCode;

use super::{are, asked, chosen, parse};
use crate::access::Permission;
use crate::ids::{ApiId, TargetId};
use crate::inventory::{self, TargetSort};
use crate::store::{Direction, Page};
use crate::web::answer::{
    Answer, blamed, correctable, done, failed, no_such, own_path, page, page_with, refused,
    status_of, told,
};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::Choice;
use crate::web::views::apis::{CreateTargets, Link, Named, Proposal};

/// Asks for the target.
pub(in crate::web::pages) async fn link_form(person: Person, RawQuery(raw): RawQuery) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let ids = asked(raw.as_deref());
    let (apis, named) = chosen(&person, ids.iter().map(String::as_str)).await?;
    if apis.is_empty() {
        return Ok(failed(
            &person,
            "/discovery",
            "Select at least one API first.",
        ));
    }
    link_view(&person, &apis, named, "", String::new(), StatusCode::OK).await
}

async fn link_view(
    person: &Person,
    apis: &[ApiId],
    named: Vec<Named>,
    chosen: &str,
    error: String,
    status: StatusCode,
) -> Answer {
    let store = &person.app().store;
    // A target that fits the first of them comes first; the longest path fits best.
    let fitting = match apis.first() {
        Some(first) => inventory::fitting_targets(store, &person.actor, first)
            .await
            .map_err(refused)?,
        None => Vec::new(),
    };
    let suggested = fitting
        .iter()
        .max_by_key(|target| target.url.path().len())
        .map(|target| (target.id.to_string(), target.url.to_string()));
    let chosen = match (&suggested, chosen) {
        (Some((id, _)), "") => id.clone(),
        (_, given) => given.to_owned(),
    };
    let targets = inventory::targets(
        store,
        &person.actor,
        None,
        TargetSort::Name,
        Direction::Ascending,
        Page::new(1, Page::MAX_SIZE).map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let mut choices: Vec<Choice> = fitting
        .iter()
        .chain(
            targets
                .items
                .iter()
                .filter(|target| fitting.iter().all(|fits| fits.id != target.id)),
        )
        .map(|target| {
            let url = target.url.to_string();
            let label = if target.name == url {
                url
            } else {
                format!("{} – {url}", target.name)
            };
            Choice::new(target.id.as_str(), label, &chosen)
        })
        .collect();
    choices.truncate(400);
    let offer = if !error.is_empty() || suggested.is_none() {
        proposals(&named)
    } else {
        Vec::new()
    };
    let view = Link {
        shell: person.shell("/discovery").await?,
        apis: named,
        targets: choices,
        suggested: suggested.map(|(_, url)| url).unwrap_or_default(),
        error,
        offer,
    };
    Ok(page_with(status, &view))
}

/// The targets that APIs need, each once.
fn proposals(apis: &[Named]) -> Vec<Proposal> {
    let mut all: Vec<Proposal> = Vec::new();
    for api in apis {
        match all.iter_mut().find(|there| there.url == api.base_url) {
            Some(there) => there.apis += 1,
            None => all.push(Proposal {
                url: api.base_url.clone(),
                apis: 1,
            }),
        }
    }
    all
}

/// Links. A target the APIs do not lie under is refused, and the right one offered.
pub(in crate::web::pages) async fn link(Posted { person, fields, .. }: Posted) -> Answer {
    let (apis, named) = chosen(&person, fields.all("api")).await?;
    let given = fields.get("target").to_owned();
    let target = TargetId::parse(&given).map_err(|_| no_such("target", &given))?;
    let store = &person.app().store;
    let linked = inventory::link(store, &person.actor, &apis, &target, person.now).await;
    match correctable(linked)? {
        Ok(()) => Ok(done(
            &person,
            "/catalog",
            &format!("{} in the catalog now.", are(&named)),
        )),
        Err(refusal) => {
            let error = blamed(&refusal).1;
            link_view(&person, &apis, named, &given, error, status_of(&refusal)).await
        }
    }
}

/// Asks before targets are made.
pub(in crate::web::pages) async fn create_form(person: Person, RawQuery(raw): RawQuery) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let ids = asked(raw.as_deref());
    let (_, named) = chosen(&person, ids.iter().map(String::as_str)).await?;
    if named.is_empty() {
        return Ok(failed(
            &person,
            "/discovery",
            "Select at least one API first.",
        ));
    }
    let view = CreateTargets {
        shell: person.shell("/discovery").await?,
        proposals: proposals(&named),
        apis: named,
        error: String::new(),
    };
    Ok(page(&view))
}

/// Makes the target of each and links.
pub(in crate::web::pages) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let (apis, named) = chosen(&person, fields.all("api")).await?;
    let store = &person.app().store;
    let made = inventory::create_targets(store, &person.actor, &apis, person.now).await;
    match correctable(made)? {
        Ok(_) => Ok(done(
            &person,
            "/catalog",
            &format!(
                "{} in the catalog now, with targets of their own.",
                are(&named)
            ),
        )),
        Err(refusal) => {
            let view = CreateTargets {
                shell: person.shell("/discovery").await?,
                proposals: proposals(&named),
                apis: named,
                error: blamed(&refusal).1,
            };
            Ok(page_with(status_of(&refusal), &view))
        }
    }
}

/// Takes one back to discovery.
pub(in crate::web::pages) async fn unlink(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let api = parse(&id)?;
    let back = own_path(fields.get("back"), &format!("/apis/{api}"));
    told(
        &person,
        &back,
        inventory::unlink(&person.app().store, &person.actor, &[api], person.now).await,
        "The API is back in discovery.",
    )
}
