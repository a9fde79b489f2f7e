//! Sources: the list, one of them, its tokens and collectors, and documents that are imported into it.

mod connection;
mod edit;
mod list;
mod source;
mod upload;

pub(super) use connection::{auto_sync, revoke_collector, revoke_token, sync, token};
pub(super) use edit::{create, delete, delete_form, edit, edit_form, new_form};
pub(super) use list::{health, list};
pub(super) use source::show;
pub(super) use upload::import;

use axum::response::Response;

use crate::Millis;
use crate::ids::SourceId;
use crate::sources::{self, Kind, Source, Status};
use crate::web::answer::{no_such, refused};
use crate::web::person::Person;
use crate::web::views::sources::SourceRow;
use crate::web::views::{Status as Pill, When};

const HERE: &str = "/sources";

fn tone(status: Status) -> &'static str {
    match status {
        Status::SyncCompleted => "good",
        Status::SyncInProgress => "busy",
        Status::SyncFailed | Status::TokenExpired => "bad",
        Status::Offline => "warn",
        Status::AwaitingSetup | Status::AwaitingSync => "info",
    }
}

fn row(source: Source, now: Millis) -> SourceRow {
    let report = source.report;
    let mut reason = report.reason;
    if let Some(at) = report.at {
        reason.push_str(" (");
        reason.push_str(&at.rfc3339().replace('T', " ").replace('Z', " UTC"));
        reason.push(')');
    }
    SourceRow {
        status: Pill {
            id: source.id.to_string(),
            label: report.status.title().to_owned(),
            tone: tone(report.status),
            reason: reason.clone(),
        },
        reason_shown: reason,
        kind: source.kind.title(),
        synced: source.last_sync_at.map(|at| When::new(at, now)),
        created: When::new(source.created_at, now),
        apis: source.definitions,
        auto_sync: source.auto_sync,
        exclude_empty: source.exclude_empty,
        can_sync: source.kind != Kind::Upload,
        analyzer: source.kind == Kind::TrafficAnalyzer,
        uploads: source.kind == Kind::Upload,
        url: source
            .settings
            .get("url")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        id: source.id.to_string(),
        name: source.name,
    }
}

fn clock(person: &Person) -> (std::time::Duration, Millis) {
    (person.app().config.offline_after, person.now)
}

fn parse(id: &str) -> Result<SourceId, Response> {
    SourceId::parse(id).map_err(|_| no_such("source", id))
}

async fn one(person: &Person, id: &SourceId) -> Result<Source, Response> {
    sources::get(&person.app().store, &person.actor, id, clock(person))
        .await
        .map_err(refused)
}
