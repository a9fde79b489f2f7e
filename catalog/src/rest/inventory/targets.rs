//! Targets: what APIs are linked to.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Millis;
use crate::app::App;
use crate::ids::TargetId;
use crate::inventory::{self, TargetSort as By};
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path, Query};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};
use crate::rest::{Created, created};

/// What APIs are linked to: what is scanned, tested and owned.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    id: TargetId,
    /// As people call it.
    #[schema(example = "Shop")]
    name: String,
    /// What must cover the base URLs of its APIs.
    #[schema(example = "https://api.example.com")]
    url: String,
    created_at: Time,
    /// By whom.
    #[schema(example = "ada@example.com")]
    created_by: String,
    /// How many APIs are linked to it.
    apis: u64,
}

impl From<inventory::Target> for Target {
    fn from(target: inventory::Target) -> Target {
        Target {
            id: target.id,
            name: target.name,
            url: target.url.to_string(),
            created_at: target.created_at.into(),
            created_by: target.created_by,
            apis: target.apis,
        }
    }
}

/// A target, as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TargetWrite {
    /// What people shall call it; without it, its URL.
    #[serde(default)]
    #[schema(max_length = 200, example = "Shop")]
    name: String,
    /// `http` or `https`, a host, and a path or none; no user, query or fragment.
    #[schema(min_length = 1, max_length = 1024, example = "https://api.example.com")]
    url: String,
}

/// Which targets to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct TargetFilter {
    /// A part of the name or the URL, without case.
    text: Option<String>,
    /// In which order.
    #[param(inline)]
    sort: Option<TargetSort>,
}

sorts! {
    /// The order of targets.
    TargetSort: By, default "name" {
        "name" => By::Name, "url" => By::Url, "createdAt" => By::Created, "apis" => By::Apis,
    }
}

/// How to delete a target.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct TargetDelete {
    /// `true`: APIs that are linked to it go back to discovery.
    unlink: Option<bool>,
}

/// List targets
///
/// With how many APIs are linked to each.
#[utoipa::path(get, path = "/api/v1/targets", tag = "Targets", params(Paging, TargetFilter),
    responses((status = 200, description = "A page of targets.", body = ListOf<Target>)))]
pub(super) async fn list_targets(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<TargetFilter>,
) -> Result<Json<ListOf<Target>>, Problem> {
    let TargetSort(sort, direction) = filter.sort.unwrap_or_default();
    let text = filter.text.as_deref();
    let page = inventory::targets(&app.store, &actor, text, sort, direction, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Make a target
///
/// Needs the permission `apis:manage`.
#[utoipa::path(post, path = "/api/v1/targets", tag = "Targets", request_body = TargetWrite, responses(
    (status = 201, description = "The target.", body = Target),
    (status = 409, description = "`url-taken`: there is a target with this URL.")))]
pub(super) async fn create_target(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(new): extract::Json<TargetWrite>,
) -> Result<Created<Target>, Problem> {
    let now = Millis::now();
    let target = inventory::create_target(&app.store, &actor, &new.name, &new.url, now).await?;
    let location = format!("/api/v1/targets/{}", target.id);
    Ok(created(location, target.into()))
}

/// Show a target
///
/// With how many APIs are linked to it; `GET /api/v1/apis?targetId=…` lists them.
#[utoipa::path(get, path = "/api/v1/targets/{targetId}", tag = "Targets",
    params(("targetId" = TargetId, Path, description = "Which one.")),
    responses((status = 200, description = "The target.", body = Target)))]
pub(super) async fn get_target(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(target): Path<TargetId>,
) -> Result<Json<Target>, Problem> {
    let found = inventory::target(&app.store, &actor, &target).await?;
    Ok(Json(found.into()))
}

/// Change a target
///
/// APIs that are linked to it must still lie under its URL.
#[utoipa::path(put, path = "/api/v1/targets/{targetId}", tag = "Targets", request_body = TargetWrite,
    params(("targetId" = TargetId, Path, description = "Which one.")), responses(
    (status = 200, description = "As it is now.", body = Target),
    (status = 409, description = "`url-taken`: there is a target with this URL. `not-under-target`: a linked API would no longer \
        lie under it.")))]
pub(super) async fn update_target(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(target): Path<TargetId>,
    extract::Json(new): extract::Json<TargetWrite>,
) -> Result<Json<Target>, Problem> {
    let (store, now) = (&app.store, Millis::now());
    let edited = inventory::edit_target(store, &actor, &target, &new.name, &new.url, now).await?;
    Ok(Json(edited.into()))
}

/// Delete a target
///
/// While APIs are linked to it only with `unlink=true`.
#[utoipa::path(delete, path = "/api/v1/targets/{targetId}", tag = "Targets",
    params(("targetId" = TargetId, Path, description = "Which one."), TargetDelete), responses(
    (status = 204, description = "Deleted."),
    (status = 409, description = "`target-linked`: APIs are linked to it.")))]
pub(super) async fn delete_target(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(target): Path<TargetId>,
    Query(query): Query<TargetDelete>,
) -> Result<StatusCode, Problem> {
    let unlink = query.unlink.unwrap_or(false);
    inventory::delete_target(&app.store, &actor, &target, unlink, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
