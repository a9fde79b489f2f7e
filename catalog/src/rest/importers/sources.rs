//! Sources: traffic analyzers, uploads, and documents at URLs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Millis;
use crate::access::Actor;
use crate::app::App;
use crate::ids::{SourceId, SyncId};
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts, words};
use crate::rest::{Created, created};
use crate::sources::{self, Kind, Order, Status};

words! {
    /// What a source takes from: traffic that collectors see, documents people upload, or a document at a URL.
    SourceKind: Kind { "traffic-analyzer" => Kind::TrafficAnalyzer, "upload" => Kind::Upload, "url" => Kind::Url, }
}

words! {
    /// What is going on with a source.
    SourceStatus: Status {
        "awaiting-setup" => Status::AwaitingSetup, "awaiting-sync" => Status::AwaitingSync,
        "sync-in-progress" => Status::SyncInProgress, "sync-completed" => Status::SyncCompleted,
        "sync-failed" => Status::SyncFailed, "token-expired" => Status::TokenExpired, "offline" => Status::Offline,
    }
}

/// Where definitions come from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    id: SourceId,
    /// What people call it; one in an organisation.
    #[schema(example = "Edge gateways")]
    name: String,
    kind: SourceKind,
    /// Where the document is, for the kind `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://api.example.com/openapi.json")]
    url: Option<String>,
    /// Whether documents without operations are left out.
    exclude_empty: bool,
    /// Whether it takes in what is new by itself.
    auto_sync: bool,
    status: SourceStatus,
    /// The status as people read it.
    #[schema(example = "Sync completed")]
    status_title: String,
    /// Why it has this status.
    status_reason: String,
    /// The time that belongs to the status: of the last sync, of the last heartbeat, of the token's expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status_at: Option<Time>,
    /// When something was last taken in, or a sync was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_sync_at: Option<Time>,
    /// Definitions that came from it.
    definitions: u64,
    /// Collectors that are registered.
    collectors: u64,
    created_at: Time,
    /// By whom.
    #[schema(example = "ada@example.com")]
    created_by: String,
    updated_at: Time,
}

impl From<sources::Source> for Source {
    fn from(source: sources::Source) -> Source {
        let url = source.settings.get("url");
        Source {
            url: url.and_then(|url| url.as_str()).map(str::to_owned),
            id: source.id,
            name: source.name,
            kind: source.kind.into(),
            exclude_empty: source.exclude_empty,
            auto_sync: source.auto_sync,
            status: source.report.status.into(),
            status_title: source.report.status.title().to_owned(),
            status_reason: source.report.reason,
            status_at: source.report.at.map(Into::into),
            last_sync_at: source.last_sync_at.map(Into::into),
            definitions: source.definitions,
            collectors: source.collectors,
            created_at: source.created_at.into(),
            created_by: source.created_by,
            updated_at: source.updated_at.into(),
        }
    }
}

/// A source to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewSource {
    /// What people shall call it.
    #[schema(min_length = 1, max_length = 100, example = "Edge gateways")]
    name: String,
    kind: SourceKind,
    /// Where the document is: for the kind `url`, and for no other.
    #[serde(default)]
    #[schema(
        nullable = false,
        max_length = 2000,
        example = "https://api.example.com/openapi.json"
    )]
    url: Option<String>,
    /// Whether documents without operations are left out.
    #[serde(default = "yes")]
    #[schema(default = true)]
    exclude_empty: bool,
    /// Whether it takes in what is new by itself.
    #[serde(default = "yes")]
    #[schema(default = true)]
    auto_sync: bool,
}

fn yes() -> bool {
    true
}

/// What is to change of a source; what is missing stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SourceUpdate {
    /// What people shall call it.
    #[serde(default)]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 100,
        example = "Edge gateways"
    )]
    name: Option<String>,
    /// Where the document is: for the kind `url`, and for no other.
    #[serde(default)]
    #[schema(
        nullable = false,
        max_length = 2000,
        example = "https://api.example.com/openapi.json"
    )]
    url: Option<String>,
    /// Whether documents without operations are left out.
    #[serde(default)]
    #[schema(nullable = false)]
    exclude_empty: Option<bool>,
    /// Whether it takes in what is new by itself.
    #[serde(default)]
    #[schema(nullable = false)]
    auto_sync: Option<bool>,
}

/// A sync that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sync {
    /// The sync; one that was under way already keeps its id.
    sync_id: SyncId,
}

/// Which sources to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct SourceFilter {
    /// A part of the name, without case.
    text: Option<String>,
    /// Of this kind.
    #[param(inline)]
    kind: Option<SourceKind>,
    /// With this status.
    #[param(inline)]
    status: Option<SourceStatus>,
    /// Which take in what is new by themselves, or the others.
    auto_sync: Option<bool>,
    /// In which order.
    #[param(inline)]
    sort: Option<SourceSort>,
}

sorts! {
    /// The order of sources.
    SourceSort: Order, default "name" {
        "name" => Order::Name, "kind" => Order::Kind, "status" => Order::Status, "lastSyncAt" => Order::LastSync,
        "createdAt" => Order::Created,
    }
}

/// List sources
///
/// With their statuses. Needs the permission `sources:view`.
#[utoipa::path(get, path = "/api/v1/sources", tag = "Sources", params(Paging, SourceFilter),
    responses((status = 200, description = "A page of sources.", body = ListOf<Source>)))]
pub(super) async fn list_sources(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<SourceFilter>,
) -> Result<Json<ListOf<Source>>, Problem> {
    let SourceSort(order, direction) = filter.sort.unwrap_or_default();
    let filter = sources::Filter {
        text: filter.text,
        kind: filter.kind.map(|kind| kind.0),
        status: filter.status.map(|status| status.0),
        auto_sync: filter.auto_sync,
    };
    let order = (order, direction);
    let page = sources::list(&app.store, &actor, &filter, order, page, clock(&app)).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Add a source
///
/// A traffic analyzer then needs a registration token for its collector. Needs the permission `sources:manage`, like all that
/// changes sources.
#[utoipa::path(post, path = "/api/v1/sources", tag = "Sources", request_body = NewSource, responses(
    (status = 201, description = "The source.", body = Source),
    (status = 409, description = "`name-taken`: another source has this name. `too-many`: there are as many as can be.")))]
pub(super) async fn create_source(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(new): extract::Json<NewSource>,
) -> Result<Created<Source>, Problem> {
    let kind = new.kind.0;
    if new.url.is_some() && kind != Kind::Url {
        return Err(Problem::field(
            "url",
            format!("a source of the kind {} has none", kind.name()),
        ));
    }
    let new = sources::New {
        name: &new.name,
        kind,
        settings: new.url.map_or(serde_json::Value::Null, settings),
        exclude_empty: new.exclude_empty,
        auto_sync: new.auto_sync,
    };
    let id = sources::create(&app.store, &actor, new, Millis::now()).await?;
    let source = sources::get(&app.store, &actor, &id, clock(&app)).await?;
    Ok(created(format!("/api/v1/sources/{id}"), source.into()))
}

/// Show a source
///
/// With its status, and why it has it.
#[utoipa::path(get, path = "/api/v1/sources/{sourceId}", tag = "Sources",
    params(("sourceId" = SourceId, Path, description = "Which one.")),
    responses((status = 200, description = "The source.", body = Source)))]
pub(super) async fn get_source(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
) -> Result<Json<Source>, Problem> {
    now_is(&app, &actor, &source).await
}

/// Change a source
///
/// What is missing stays as it is; a source's kind never changes.
#[utoipa::path(patch, path = "/api/v1/sources/{sourceId}", tag = "Sources", request_body = SourceUpdate,
    params(("sourceId" = SourceId, Path, description = "Which one.")), responses(
    (status = 200, description = "As it is now.", body = Source),
    (status = 409, description = "`name-taken`: another source has this name.")))]
pub(super) async fn update_source(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
    extract::Json(update): extract::Json<SourceUpdate>,
) -> Result<Json<Source>, Problem> {
    let edit = sources::Edit {
        name: update.name.as_deref(),
        settings: update.url.map(settings),
        exclude_empty: update.exclude_empty,
        auto_sync: update.auto_sync,
    };
    sources::edit(&app.store, &actor, &source, edit, Millis::now()).await?;
    now_is(&app, &actor, &source).await
}

/// Delete a source
///
/// With its tokens and its collectors' credentials. The APIs it found stay.
#[utoipa::path(delete, path = "/api/v1/sources/{sourceId}", tag = "Sources",
    params(("sourceId" = SourceId, Path, description = "Which one.")),
    responses((status = 204, description = "Deleted.")))]
pub(super) async fn delete_source(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
) -> Result<StatusCode, Problem> {
    sources::delete(&app.store, &actor, &source, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sync a source now
///
/// Collectors hand over everything they have, a URL is fetched. How it went is in the source's status.
#[utoipa::path(post, path = "/api/v1/sources/{sourceId}/sync", tag = "Sources",
    params(("sourceId" = SourceId, Path, description = "Which one.")), responses(
    (status = 202, description = "It was asked for.", body = Sync),
    (status = 409, description = "`no-collector`: none is registered. `nothing-to-sync`: documents are uploaded to it.")))]
pub(super) async fn sync_source(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(source): Path<SourceId>,
) -> Result<(StatusCode, Json<Sync>), Problem> {
    let sync_id = sources::sync(&app.store, &actor, &source, Millis::now()).await?;
    Ok((StatusCode::ACCEPTED, Json(Sync { sync_id })))
}

fn settings(url: String) -> serde_json::Value {
    serde_json::json!({ "url": url })
}

/// After how much silence a collector is offline, and the time.
fn clock(app: &App) -> (Duration, Millis) {
    (app.config.offline_after, Millis::now())
}

async fn now_is(app: &App, actor: &Actor, source: &SourceId) -> Result<Json<Source>, Problem> {
    let found = sources::get(&app.store, actor, source, clock(app)).await?;
    Ok(Json(found.into()))
}
