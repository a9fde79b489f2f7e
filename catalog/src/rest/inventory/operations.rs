//! Operations of an API, and who calls them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::apis::{Severity, Vulnerabilities};
use super::drift::DriftClass;
use crate::app::App;
use crate::ids::{ApiId, DefinitionId};
use crate::inventory;
use crate::inventory::{CallerKind as CoreKind, OperationSort as By};
use crate::rest::caller;
use crate::rest::extract::{List, Path};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts, words};

/// An operation of an API: a method and a path template.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    #[schema(example = "GET")]
    method: String,
    /// The whole path template, base path included; the documented one where there is one.
    #[schema(example = "/v1/books/{bookId}")]
    path: String,
    /// `operationId`, or empty.
    #[schema(example = "getBook")]
    operation_id: String,
    /// What it is for, or empty.
    #[schema(example = "Get a book")]
    summary: String,
    deprecated: bool,
    /// Seen in traffic.
    observed: bool,
    documented: bool,
    /// How often it was called; missing where it was not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first_seen_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_seen_at: Option<Time>,
    /// When the catalog first heard of it.
    discovered_at: Time,
    /// Where what is documented and what is seen part; the gravest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    drift: Option<DriftClass>,
    vulnerabilities: Vulnerabilities,
}

impl From<inventory::Operation> for Operation {
    fn from(operation: inventory::Operation) -> Operation {
        Operation {
            method: operation.method,
            path: operation.path,
            operation_id: operation.name,
            summary: operation.summary,
            deprecated: operation.deprecated,
            observed: operation.observed,
            documented: operation.documented,
            calls: operation.calls,
            first_seen_at: operation.seen_first_at.map(Into::into),
            last_seen_at: operation.seen_last_at.map(Into::into),
            discovered_at: operation.discovered_at.into(),
            drift: operation.drift.map(Into::into),
            vulnerabilities: operation.findings.into(),
        }
    }
}

/// Which operations to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct OperationFilter {
    /// A part of the path, the operationId or the summary, without case.
    text: Option<String>,
    /// This method, whole.
    #[param(example = "GET")]
    method: Option<String>,
    /// Deprecated, or not.
    deprecated: Option<bool>,
    /// Seen in traffic, or not.
    observed: Option<bool>,
    /// Documented, or not.
    documented: Option<bool>,
    /// With this drift.
    #[param(inline)]
    drift: Option<DriftClass>,
    /// With open findings of this severity or a graver one.
    #[param(inline)]
    severity: Option<Severity>,
    /// In which order.
    #[param(inline)]
    sort: Option<OperationSort>,
}

sorts! {
    /// The order of operations.
    OperationSort: By, default "path" {
        "path" => By::Path, "method" => By::Method, "calls" => By::Calls, "firstSeenAt" => By::FirstSeen,
        "lastSeenAt" => By::LastSeen, "discoveredAt" => By::Discovered, "vulnerabilities" => By::Vulnerabilities,
    }
}

words! {
    /// How a caller is known: by the shim it came through, as the gateway's consumer, or by what it calls itself.
    CallerKind: CoreKind {
        "shim" => CoreKind::Shim, "consumer" => CoreKind::Consumer, "client" => CoreKind::Client,
    }
}

/// Who calls an API.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Caller)]
pub(super) struct CallerOf {
    /// The definition whose traffic it is.
    definition_id: DefinitionId,
    kind: CallerKind,
    #[schema(example = "mobile-app")]
    name: String,
    calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_seen_at: Option<Time>,
}

impl From<inventory::Caller> for CallerOf {
    fn from(caller: inventory::Caller) -> CallerOf {
        CallerOf {
            definition_id: caller.definition,
            kind: caller.kind.into(),
            name: caller.name,
            calls: caller.calls,
            last_seen_at: caller.seen_last_at.map(Into::into),
        }
    }
}

/// Which callers to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct CallerFilter {
    /// Known in this way.
    #[param(inline)]
    kind: Option<CallerKind>,
}

/// List operations of an API
///
/// Those of all definitions' latest revisions, each once.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}/operations", tag = "APIs",
    params(("apiId" = ApiId, Path, description = "Of which API."), Paging, OperationFilter),
    responses((status = 200, description = "A page of operations.", body = ListOf<Operation>)))]
pub(super) async fn list_operations(
    State(app): State<Arc<App>>,
    caller::Caller(actor): caller::Caller,
    Path(api): Path<ApiId>,
    List { page, filter }: List<OperationFilter>,
) -> Result<Json<ListOf<Operation>>, Problem> {
    let OperationSort(sort, direction) = filter.sort.unwrap_or_default();
    let filter = inventory::OperationFilter {
        text: filter.text,
        method: filter.method,
        deprecated: filter.deprecated,
        observed: filter.observed,
        documented: filter.documented,
        drift: filter.drift.map(|drift| drift.0),
        severity: filter.severity.map(|severity| severity.0),
    };
    let page =
        inventory::operations(&app.store, &actor, &api, &filter, sort, direction, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// List callers of an API
///
/// Those with the most calls first.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}/callers", tag = "APIs",
    params(("apiId" = ApiId, Path, description = "Of which API."), Paging, CallerFilter),
    responses((status = 200, description = "A page of callers.", body = ListOf<CallerOf>)))]
pub(super) async fn list_callers(
    State(app): State<Arc<App>>,
    caller::Caller(actor): caller::Caller,
    Path(api): Path<ApiId>,
    List { page, filter }: List<CallerFilter>,
) -> Result<Json<ListOf<CallerOf>>, Problem> {
    let kind = filter.kind.map(|kind| kind.0);
    let page = inventory::callers(&app.store, &actor, &api, kind, page).await?;
    Ok(Json(ListOf::from_page(page)))
}
