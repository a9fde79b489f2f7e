//! The same decision about many APIs: all of them, or none.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::targets::Target;
use crate::Millis;
use crate::app::App;
use crate::ids::{ApiId, TargetId};
use crate::inventory;
use crate::rest::caller::Caller;
use crate::rest::extract;
use crate::rest::problem::Problem;

/// Some APIs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SomeApis {
    /// Which ones.
    #[schema(min_items = 1, max_items = 1000)]
    api_ids: Vec<ApiId>,
}

/// Some APIs, and the target to link them to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Links {
    /// Which ones.
    #[schema(min_items = 1, max_items = 1000)]
    api_ids: Vec<ApiId>,
    /// Their base URLs must lie under its URL.
    target_id: TargetId,
}

/// The targets APIs are linked to now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetsOfApis {
    /// Of each API, in their order.
    items: Vec<Target>,
}

/// Link APIs to a target
///
/// All of them, or none. Linking what is linked to it already changes nothing; what is linked elsewhere moves.
#[utoipa::path(post, path = "/api/v1/bulk/link", tag = "Links", request_body = Links, responses(
    (status = 204, description = "All are in the catalog."),
    (status = 404, description = "One of the APIs, or the target, is not there."),
    (status = 409, description = "`not-under-target`: some of the APIs do not lie under the target; the errors name each of them.")))]
pub(super) async fn link_apis(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(links): extract::Json<Links>,
) -> Result<StatusCode, Problem> {
    let now = Millis::now();
    inventory::link(&app.store, &actor, &links.api_ids, &links.target_id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unlink APIs
///
/// All of them, or none. They move back to discovery.
#[utoipa::path(post, path = "/api/v1/bulk/unlink", tag = "Links", request_body = SomeApis, responses(
    (status = 204, description = "All are in discovery."),
    (status = 404, description = "One of the APIs is not there.")))]
pub(super) async fn unlink_apis(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(some): extract::Json<SomeApis>,
) -> Result<StatusCode, Problem> {
    inventory::unlink(&app.store, &actor, &some.api_ids, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make the targets APIs need, and link them
///
/// For each API a target with its base URL, where there is none yet.
#[utoipa::path(post, path = "/api/v1/bulk/create-targets", tag = "Links", request_body = SomeApis, responses(
    (status = 200, description = "The target of each API, in their order.", body = TargetsOfApis),
    (status = 404, description = "One of the APIs is not there.")))]
pub(super) async fn create_targets_for_apis(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(some): extract::Json<SomeApis>,
) -> Result<Json<TargetsOfApis>, Problem> {
    let targets =
        inventory::create_targets(&app.store, &actor, &some.api_ids, Millis::now()).await?;
    Ok(Json(TargetsOfApis {
        items: targets.into_iter().map(Into::into).collect(),
    }))
}

/// Hide APIs
///
/// All of them, or none. Hidden ones are listed only when asked for.
#[utoipa::path(post, path = "/api/v1/bulk/hide", tag = "Links", request_body = SomeApis, responses(
    (status = 204, description = "All are hidden."),
    (status = 404, description = "One of the APIs is not there.")))]
pub(super) async fn hide_apis(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(some): extract::Json<SomeApis>,
) -> Result<StatusCode, Problem> {
    inventory::set_hidden(&app.store, &actor, &some.api_ids, true, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show hidden APIs again
///
/// All of them, or none.
#[utoipa::path(post, path = "/api/v1/bulk/show", tag = "Links", request_body = SomeApis, responses(
    (status = 204, description = "None is hidden."),
    (status = 404, description = "One of the APIs is not there.")))]
pub(super) async fn show_apis(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(some): extract::Json<SomeApis>,
) -> Result<StatusCode, Problem> {
    inventory::set_hidden(&app.store, &actor, &some.api_ids, false, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
