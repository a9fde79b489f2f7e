//! One API: what stands above all of its tabs, and the tabs.

mod callers;
mod definitions;
mod delete;
mod document;
mod drift;
mod findings;
mod name;
mod operation;
mod operations;
mod revisions;
mod schema;

pub(super) use callers::callers;
pub(super) use definitions::{move_definition, move_form};
pub(super) use delete::{delete, delete_form};
pub(super) use document::document;
pub(super) use drift::drift;
pub(super) use findings::{
    filter_of as finding_filter, finding_row, findings, gravest_first, selects as finding_selects,
};
pub(super) use name::{rename, rename_form};
pub(super) use operation::{address, operation};
pub(super) use operations::operations;
pub(super) use revisions::{diff, revisions};
pub(super) use schema::schema;

use axum::response::Response;

use crate::access::Permission;
use crate::ids::RevisionId;
use crate::inventory::{self, Api, DefinitionKind, Revision};
use crate::web::answer::{no_such, refused};
use crate::web::pages::apis::{parse, severities};
use crate::web::person::Person;
use crate::web::views::When;
use crate::web::views::api::{ApiHead, Tab};
use crate::web::views::shell::Shell;

/// The API, the frame of its pages and what stands above the tab `here`.
async fn head_of(
    person: &Person,
    id: &str,
    here: &'static str,
) -> Result<(Api, Shell, ApiHead), Response> {
    let api = inventory::api(&person.app().store, &person.actor, &parse(id)?)
        .await
        .map_err(refused)?;
    let definitions = inventory::definitions(&person.app().store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let when = |at| When::new(at, person.now);
    let first = definitions.iter().filter_map(|d| d.seen_first_at).min();
    let last = definitions.iter().filter_map(|d| d.seen_last_at).max();
    // Documents tell of calls as well, before the first report of a collector does.
    let seen = match first.zip(last) {
        Some(seen) => Some(seen),
        None => inventory::seen_between(&person.app().store, &person.actor, &api.id)
            .await
            .map_err(refused)?,
    };
    let mut sources: Vec<String> = api
        .sources
        .iter()
        .map(|source| source.name.clone())
        .collect();
    sources.dedup();
    let kinds = |kind| definitions.iter().any(|definition| definition.kind == kind);
    let drift = api.drift.shadow + api.drift.zombie + api.drift.orphan + api.drift.contradictions;
    let base = format!("/apis/{}", api.id);
    let tabs = [
        ("", "Operations", api.operations),
        ("/schema", "Schema", 0),
        ("/revisions", "Revisions", 0),
        ("/drift", "Drift", drift),
        ("/callers", "Who calls it", 0),
        ("/findings", "Findings", api.findings.total()),
    ]
    .into_iter()
    .map(|(end, name, count)| Tab {
        href: format!("{base}{end}"),
        name,
        count,
        here: end == here,
    })
    .collect();
    let head = ApiHead {
        tabs,
        manage: person.may(Permission::ManageApis),
        id: api.id.to_string(),
        name: api.name.clone(),
        base_url: api.base_url.to_string(),
        hidden: api.hidden_at.is_some(),
        observed: kinds(DefinitionKind::Observed),
        documented: kinds(DefinitionKind::Documented),
        operations: api.operations,
        severities: severities(&api.findings),
        scanned: api.scanned_at.map(when),
        discovered: when(api.first_discovered_at),
        updated: when(api.updated_at),
        seen: seen.map(|(first, last)| (when(first), when(last))),
        sources,
        target: api.target.as_ref().map(|target| {
            (
                target.id.to_string(),
                target.name.clone(),
                target.url.to_string(),
            )
        }),
    };
    let area = if api.target.is_some() {
        "/catalog"
    } else {
        "/discovery"
    };
    Ok((api, person.shell(area).await?, head))
}

async fn revision_of(person: &Person, api: &Api, id: &str) -> Result<Revision, Response> {
    let id = RevisionId::parse(id).map_err(|_| no_such("revision", id))?;
    let revision = inventory::revision(&person.app().store, &person.actor, &id)
        .await
        .map_err(refused)?;
    if revision.api != api.id {
        return Err(no_such("revision", id.as_str()));
    }
    Ok(revision)
}
