//! Where what is documented and what is seen part.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::ids::{ApiId, DefinitionId};
use crate::inventory;
use crate::inventory::DriftClass as CoreClass;
use crate::rest::caller::Caller;
use crate::rest::extract::{List, Path};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, words};

words! {
    /// In which way what is documented and what is seen part.
    DriftClass: CoreClass {
        "shadow" => CoreClass::Shadow, "contradiction" => CoreClass::Contradiction, "zombie" => CoreClass::Zombie,
        "orphan" => CoreClass::Orphan, "undocumented" => CoreClass::Undocumented,
    }
}

/// A difference between what is documented and what is seen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Drift {
    /// Stays the same as long as it is the same thing.
    fingerprint: String,
    class: DriftClass,
    /// The rule's name, which never changes.
    #[schema(example = "shadow-operation")]
    rule: String,
    /// The method of the (first) operation it concerns, or empty.
    #[schema(example = "GET")]
    method: String,
    /// The whole path template of that operation, or empty.
    #[schema(example = "/v1/debug")]
    path: String,
    /// A sentence about it.
    message: String,
    /// How many operations it concerns.
    operation_count: u64,
    /// The documented definition it was found against; missing for shadows, which no document has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    definition_id: Option<DefinitionId>,
    /// How often the operation was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_seen_at: Option<Time>,
}

impl From<inventory::Drift> for Drift {
    fn from(drift: inventory::Drift) -> Drift {
        Drift {
            fingerprint: drift.fingerprint,
            class: drift.class.into(),
            rule: drift.rule,
            method: drift.method,
            path: drift.path,
            message: drift.message,
            operation_count: drift.operation_count,
            definition_id: drift.definition,
            calls: drift.calls,
            last_seen_at: drift.seen_last_at.map(Into::into),
        }
    }
}

/// Which drift to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct DriftOfApi {
    /// Of this class.
    #[param(inline)]
    class: Option<DriftClass>,
}

/// List drift of an API
///
/// Shadow, zombie and orphan operations, contradictions, and details that are not documented; the gravest first.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}/drift", tag = "APIs",
    params(("apiId" = ApiId, Path, description = "Of which API."), Paging, DriftOfApi),
    responses((status = 200, description = "A page of differences.", body = ListOf<Drift>)))]
pub(super) async fn list_drift(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
    List { page, filter }: List<DriftOfApi>,
) -> Result<Json<ListOf<Drift>>, Problem> {
    let class = filter.class.map(|class| class.0);
    let page = inventory::drift(&app.store, &actor, &api, class, None, page).await?;
    Ok(Json(ListOf::from_page(page)))
}
