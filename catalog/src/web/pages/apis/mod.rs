//! Discovery and the catalog, and what can be done to APIs there: linked, unlinked, hidden, shown.

mod catalog;
mod discovery;
mod filters;
mod hiding;
mod linking;
mod lookup;

pub(super) use catalog::{catalog, endpoints};
pub(super) use discovery::discovery;
pub(super) use hiding::{hide, hide_one, show, show_one};
pub(super) use linking::{create, create_form, link, link_form, unlink};
pub(super) use lookup::{source_names, target_names};

use axum::response::Response;

use crate::Millis;
use crate::ids::ApiId;
use crate::inventory::{self, Api, DriftClass, SeverityCounts};
use crate::web::answer::{no_such, refused};
use crate::web::person::Person;
use crate::web::views::apis::{ApiRow, Named};
use crate::web::views::{Severities, When, count};

pub(in crate::web::pages) fn severities(counts: &SeverityCounts) -> Severities {
    Severities {
        critical: counts.critical,
        high: counts.high,
        medium: counts.medium,
        low: counts.low,
        informational: counts.informational,
    }
}

/// An API as a row.
pub(in crate::web::pages) fn row(api: Api, now: Millis) -> ApiRow {
    let mut sources: Vec<String> = api.sources.into_iter().map(|source| source.name).collect();
    sources.dedup();
    ApiRow {
        id: api.id.to_string(),
        name: api.name,
        base_url: api.base_url.to_string(),
        hidden: api.hidden_at.is_some(),
        operations: api.operations,
        shadow: api.drift.shadow,
        zombie: api.drift.zombie,
        orphan: api.drift.orphan,
        sources,
        updated: When::new(api.updated_at, now),
        discovered: When::new(api.first_discovered_at, now),
        target: api
            .target
            .map(|target| (target.id.to_string(), target.name, target.url.to_string())),
        severities: severities(&api.findings),
        scanned: api.scanned_at.map(|at| When::new(at, now)),
    }
}

/// Tone and word of a kind of drift.
pub(in crate::web::pages) fn drift_badge(class: DriftClass) -> (&'static str, &'static str) {
    match class {
        DriftClass::Shadow => ("violet", "shadow"),
        DriftClass::Zombie => ("bad", "zombie"),
        DriftClass::Orphan => ("", "orphan"),
        DriftClass::Contradiction => ("warn", "contradiction"),
        DriftClass::Undocumented => ("info", "undocumented detail"),
    }
}

pub(in crate::web::pages) fn parse(id: &str) -> Result<ApiId, Response> {
    ApiId::parse(id).map_err(|_| no_such("API", id))
}

/// The chosen ones, each once, and what pages show of them.
async fn chosen<'a>(
    person: &Person,
    ids: impl Iterator<Item = &'a str>,
) -> Result<(Vec<ApiId>, Vec<Named>), Response> {
    let mut apis: Vec<ApiId> = Vec::new();
    for id in ids.take(inventory::MAX_APIS + 1) {
        let id = parse(id)?;
        if !apis.contains(&id) {
            apis.push(id);
        }
    }
    let mut named = Vec::with_capacity(apis.len());
    for id in &apis {
        let api = inventory::api(&person.app().store, &person.actor, id)
            .await
            .map_err(refused)?;
        named.push(Named {
            id: id.to_string(),
            name: api.name,
            base_url: api.base_url.to_string(),
        });
    }
    Ok((apis, named))
}

fn asked(raw: Option<&str>) -> Vec<String> {
    form_urlencoded::parse(raw.unwrap_or_default().as_bytes())
        .filter(|(name, _)| name == "api")
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn are(named: &[Named]) -> String {
    match named {
        [one] => format!("“{}” is", one.name),
        several => format!("{} are", count(several.len() as u64, "API", "APIs")),
    }
}
