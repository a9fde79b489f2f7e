//! APIs: lists for discovery and catalog, one API, and what can be decided about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::targets::Target;
use crate::Millis;
use crate::access::Actor;
use crate::app::App;
use crate::ids::{ApiId, SourceId, TargetId};
use crate::inventory;
use crate::inventory::{ApiSort as By, DefinitionKind as CoreKind, DriftFilter as CoreDrift};
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging, page_of};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts, words};
use crate::scans::Severity as CoreSeverity;
use crate::store::Direction;

words! {
    /// How a definition came to be: seen in traffic, or written by somebody.
    DefinitionKind: CoreKind { "observed" => CoreKind::Observed, "documented" => CoreKind::Documented, }
}

words! {
    /// How grave a finding is.
    Severity: CoreSeverity {
        "critical" => CoreSeverity::Critical, "high" => CoreSeverity::High, "medium" => CoreSeverity::Medium,
        "low" => CoreSeverity::Low, "informational" => CoreSeverity::Informational,
    }
}

words! {
    /// Which drift an API must have.
    DriftFilter: CoreDrift {
        "any" => CoreDrift::Any, "none" => CoreDrift::None, "shadow" => CoreDrift::Shadow, "zombie" => CoreDrift::Zombie,
        "orphan" => CoreDrift::Orphan, "contradiction" => CoreDrift::Contradiction,
    }
}

/// An API: what stands at one base URL, whoever told of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct Api {
    id: ApiId,
    /// As people call it.
    #[schema(example = "Bookshop")]
    name: String,
    /// Where it stands.
    #[schema(example = "https://api.example.com/v1")]
    base_url: String,
    /// What it is linked to: with a target it is in the catalog, without in discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<LinkedTarget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    linked_at: Option<Time>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    linked_by: Option<String>,
    /// Whether lists leave it out unless it is asked for.
    hidden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hidden_at: Option<Time>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hidden_by: Option<String>,
    /// When the catalog first heard of it.
    first_discovered_at: Time,
    /// When the last new revision of any of its definitions came.
    updated_at: Time,
    /// Operations of all definitions together, each once.
    operations: u64,
    /// Operations that were seen in traffic.
    observed_operations: u64,
    /// Operations that are documented.
    documented_operations: u64,
    drift: DriftCounts,
    vulnerabilities: Vulnerabilities,
    /// When a scan last covered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_scanned_at: Option<Time>,
    /// Who told of it.
    sources: Vec<Provenance>,
}

/// The target an API is linked to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkedTarget {
    id: TargetId,
    /// As people call it.
    #[schema(example = "Shop")]
    name: String,
    #[schema(example = "https://api.example.com")]
    url: String,
}

/// A source that told of an API.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Provenance {
    /// The source, unless it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source_id: Option<SourceId>,
    /// Its name; the last one it had where it was deleted.
    #[schema(example = "Edge gateways")]
    name: String,
    kind: DefinitionKind,
}

/// Where what is documented and what is seen part.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DriftCounts {
    /// Operations that were seen and are not documented.
    shadow: u64,
    /// Operations that are deprecated and still called.
    zombie: u64,
    /// Operations that are documented and were never called.
    orphan: u64,
    /// Findings that say that traffic is not as documented.
    contradictions: u64,
}

/// Open findings of scanners by severity.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct Vulnerabilities {
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    informational: u64,
}

impl From<inventory::DriftCounts> for DriftCounts {
    fn from(counts: inventory::DriftCounts) -> DriftCounts {
        DriftCounts {
            shadow: counts.shadow,
            zombie: counts.zombie,
            orphan: counts.orphan,
            contradictions: counts.contradictions,
        }
    }
}

impl From<inventory::SeverityCounts> for Vulnerabilities {
    fn from(counts: inventory::SeverityCounts) -> Vulnerabilities {
        Vulnerabilities {
            critical: counts.critical,
            high: counts.high,
            medium: counts.medium,
            low: counts.low,
            informational: counts.informational,
        }
    }
}

impl From<inventory::Api> for Api {
    fn from(api: inventory::Api) -> Api {
        Api {
            id: api.id,
            name: api.name,
            base_url: api.base_url.to_string(),
            target: api.target.map(|target| LinkedTarget {
                id: target.id,
                name: target.name,
                url: target.url.to_string(),
            }),
            linked_at: api.linked_at.map(Into::into),
            linked_by: api.linked_by,
            hidden: api.hidden_at.is_some(),
            hidden_at: api.hidden_at.map(Into::into),
            hidden_by: api.hidden_by,
            first_discovered_at: api.first_discovered_at.into(),
            updated_at: api.updated_at.into(),
            operations: api.operations,
            observed_operations: api.observed,
            documented_operations: api.documented,
            drift: api.drift.into(),
            vulnerabilities: api.findings.into(),
            last_scanned_at: api.scanned_at.map(Into::into),
            sources: api
                .sources
                .into_iter()
                .map(|source| Provenance {
                    source_id: source.source,
                    name: source.name,
                    kind: source.kind.into(),
                })
                .collect(),
        }
    }
}

/// Which APIs to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ApiFilter {
    /// A part of the name or the base URL, without case.
    text: Option<String>,
    /// `true`: the catalog (APIs with a target); `false`: discovery (APIs without); without it, both.
    linked: Option<bool>,
    /// `true`: hidden ones only; `false`: the others only; without it, both.
    hidden: Option<bool>,
    /// Of which this source told.
    source_id: Option<SourceId>,
    /// Linked to this target.
    target_id: Option<TargetId>,
    /// Seen in traffic, or not.
    observed: Option<bool>,
    /// Documented, or not.
    documented: Option<bool>,
    /// With this drift.
    #[param(inline)]
    drift: Option<DriftFilter>,
    /// With open findings of this severity or a graver one.
    #[param(inline)]
    severity: Option<Severity>,
    /// At this host, whole.
    #[param(example = "api.example.com")]
    host: Option<String>,
    /// First discovered not before.
    discovered_from: Option<Time>,
    /// First discovered before.
    discovered_to: Option<Time>,
    /// Last updated not before.
    updated_from: Option<Time>,
    /// Last updated before.
    updated_to: Option<Time>,
    /// In which order.
    #[param(inline)]
    sort: Option<ApiSort>,
}

sorts! {
    /// The order of APIs.
    ApiSort: By, default "-updatedAt" {
        "name" => By::Name, "operations" => By::Operations, "updatedAt" => By::Updated,
        "firstDiscoveredAt" => By::FirstDiscovered, "target" => By::Target, "vulnerabilities" => By::Vulnerabilities,
        "lastScannedAt" => By::LastScanned, "drift" => By::Drift,
    }
}

/// Which hosts to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct HostFilter {
    /// A part of the host, without case.
    text: Option<String>,
}

/// Another name for an API.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ApiRename {
    /// What people shall call it.
    #[schema(min_length = 1, max_length = 200, example = "Bookshop")]
    name: String,
}

/// Whether lists shall leave an API out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ApiHidden {
    hidden: bool,
}

/// The target to link to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Link {
    /// The API's base URL must lie under its URL.
    target_id: TargetId,
}

/// What an API can be linked to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FittingTargets {
    /// Targets whose URL covers the API's base URL, the closest first.
    items: Vec<Target>,
    /// The URL a new target would need.
    #[schema(example = "https://api.example.com/v1")]
    proposed_url: String,
}

/// List APIs
///
/// Discovery with `linked=false`, the catalog with `linked=true`. Needs the permission `apis:view`, like all that shows APIs.
#[utoipa::path(get, path = "/api/v1/apis", tag = "APIs", params(Paging, ApiFilter),
    responses((status = 200, description = "A page of APIs.", body = ListOf<Api>)))]
pub(super) async fn list_apis(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<ApiFilter>,
) -> Result<Json<ListOf<Api>>, Problem> {
    let ApiSort(sort, direction) = filter.sort.unwrap_or_default();
    let filter = inventory::ApiFilter {
        text: filter.text,
        source: filter.source_id,
        target: filter.target_id,
        linked: filter.linked,
        hidden: filter.hidden,
        observed: filter.observed,
        documented: filter.documented,
        drift: filter.drift.map(|drift| drift.0),
        severity: filter.severity.map(|severity| severity.0),
        host: filter.host,
        discovered_from: filter.discovered_from.map(|at| at.0),
        discovered_to: filter.discovered_to.map(|at| at.0),
        updated_from: filter.updated_from.map(|at| at.0),
        updated_to: filter.updated_to.map(|at| at.0),
    };
    let page = inventory::apis(&app.store, &actor, &filter, sort, direction, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// List hosts of APIs
///
/// Those that are there, to filter by; the first 1,000.
#[utoipa::path(get, path = "/api/v1/api-hosts", tag = "APIs", params(Paging, HostFilter),
    responses((status = 200, description = "A page of hosts.", body = ListOf<String>)))]
pub(super) async fn list_api_hosts(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<HostFilter>,
) -> Result<Json<ListOf<String>>, Problem> {
    let mut hosts = inventory::hosts(&app.store, &actor).await?;
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        hosts.retain(|host| host.contains(&text));
    }
    let page = page_of(hosts, Direction::Ascending, page);
    Ok(Json(ListOf::from_page(page)))
}

/// Show an API
///
/// With its counts, its target and its sources.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}", tag = "APIs", params(("apiId" = ApiId, Path, description = "Which one.")),
    responses((status = 200, description = "The API.", body = Api)))]
pub(super) async fn get_api(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
) -> Result<Json<Api>, Problem> {
    now_is(&app, &actor, &api).await
}

/// Rename an API
///
/// Needs the permission `apis:manage`, like all that changes APIs.
#[utoipa::path(put, path = "/api/v1/apis/{apiId}", tag = "APIs", request_body = ApiRename,
    params(("apiId" = ApiId, Path, description = "Which one.")),
    responses((status = 200, description = "As it is now.", body = Api)))]
pub(super) async fn rename_api(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
    extract::Json(rename): extract::Json<ApiRename>,
) -> Result<Json<Api>, Problem> {
    inventory::rename_api(&app.store, &actor, &api, &rename.name, Millis::now()).await?;
    now_is(&app, &actor, &api).await
}

/// Delete an API
///
/// With all definitions and revisions. A collector that still sees its traffic brings it back with its next revision: hide it
/// to have it out of the way.
#[utoipa::path(delete, path = "/api/v1/apis/{apiId}", tag = "APIs", params(("apiId" = ApiId, Path, description = "Which one.")),
    responses((status = 204, description = "Deleted.")))]
pub(super) async fn delete_api(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
) -> Result<StatusCode, Problem> {
    inventory::delete_api(&app.store, &actor, &api, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hide an API, or show it again
///
/// Hidden ones are listed only when asked for.
#[utoipa::path(put, path = "/api/v1/apis/{apiId}/hidden", tag = "Links", request_body = ApiHidden,
    params(("apiId" = ApiId, Path, description = "Which one.")),
    responses((status = 200, description = "As it is now.", body = Api)))]
pub(super) async fn set_api_hidden(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
    extract::Json(change): extract::Json<ApiHidden>,
) -> Result<Json<Api>, Problem> {
    let apis = std::slice::from_ref(&api);
    inventory::set_hidden(&app.store, &actor, apis, change.hidden, Millis::now()).await?;
    now_is(&app, &actor, &api).await
}

/// Link an API to a target
///
/// It moves from discovery to the catalog. Its base URL must lie under the target's URL: scheme, host, port, and path by
/// segments. `GET …/fitting-targets` says which targets there are for it.
#[utoipa::path(put, path = "/api/v1/apis/{apiId}/target", tag = "Links", request_body = Link,
    params(("apiId" = ApiId, Path, description = "Which one.")), responses(
    (status = 200, description = "As it is now.", body = Api),
    (status = 409, description = "`not-under-target`: the API does not lie under the target; make one that covers it.")))]
pub(super) async fn link_api(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
    extract::Json(link): extract::Json<Link>,
) -> Result<Json<Api>, Problem> {
    let apis = std::slice::from_ref(&api);
    inventory::link(&app.store, &actor, apis, &link.target_id, Millis::now()).await?;
    now_is(&app, &actor, &api).await
}

/// Unlink an API
///
/// It moves back to discovery.
#[utoipa::path(delete, path = "/api/v1/apis/{apiId}/target", tag = "Links",
    params(("apiId" = ApiId, Path, description = "Which one.")),
    responses((status = 204, description = "It is in discovery.")))]
pub(super) async fn unlink_api(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
) -> Result<StatusCode, Problem> {
    let apis = std::slice::from_ref(&api);
    inventory::unlink(&app.store, &actor, apis, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the targets that fit an API
///
/// Those its base URL lies under, and the URL a new one would need.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}/fitting-targets", tag = "Links",
    params(("apiId" = ApiId, Path, description = "Which one.")),
    responses((status = 200, description = "What it can be linked to.", body = FittingTargets)))]
pub(super) async fn list_fitting_targets(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
) -> Result<Json<FittingTargets>, Problem> {
    let fitting = inventory::fitting_targets(&app.store, &actor, &api).await?;
    let proposed = inventory::propose_target(&app.store, &actor, &api).await?;
    Ok(Json(FittingTargets {
        items: fitting.into_iter().map(Into::into).collect(),
        proposed_url: proposed.to_string(),
    }))
}

async fn now_is(app: &App, actor: &Actor, api: &ApiId) -> Result<Json<Api>, Problem> {
    Ok(Json(inventory::api(&app.store, actor, api).await?.into()))
}
