//! Everything in numbers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::apis::{Api, DriftCounts, Vulnerabilities};
use crate::Millis;
use crate::app::App;
use crate::inventory::{self, Span as CoreSpan};
use crate::rest::caller::Caller;
use crate::rest::extract::Query;
use crate::rest::problem::Problem;
use crate::rest::values::{Time, words};

/// Everything in numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    /// APIs in discovery, hidden ones left out.
    discovery: u64,
    /// APIs in the catalog, hidden ones left out.
    catalog: u64,
    /// Hidden APIs.
    hidden: u64,
    targets: u64,
    sources: u64,
    /// Operations of all APIs.
    operations: u64,
    observed_operations: u64,
    documented_operations: u64,
    drift: DriftCounts,
    vulnerabilities: Vulnerabilities,
    /// The newest APIs, hidden ones left out.
    newest: Vec<Api>,
}

/// What was found in a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// When it begins, UTC: a day, or a week's Monday.
    from: Time,
    /// APIs that were found.
    apis: u64,
    /// Operations that were found.
    operations: u64,
}

/// What was found over time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundOverTime {
    /// The oldest first, spans without anything included.
    items: Vec<Found>,
}

words! {
    /// A span of time, UTC: a day, or Monday to Sunday.
    Span: CoreSpan { "day" => CoreSpan::Day, "week" => CoreSpan::Week, }
}

/// Which spans to count.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Spans {
    /// How long each is; without it, a day.
    #[param(inline)]
    span: Option<Span>,
    /// How many, the current one included; without it, 30.
    #[param(minimum = 1, maximum = 400, default = 30, example = 30)]
    spans: Option<u16>,
}

/// Show everything in numbers
///
/// How many APIs and operations there are, their drift and findings, and the newest APIs.
#[utoipa::path(get, path = "/api/v1/overview", tag = "Overview",
    responses((status = 200, description = "The numbers.", body = Overview)))]
pub(super) async fn get_overview(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
) -> Result<Json<Overview>, Problem> {
    let overview = inventory::overview(&app.store, &actor).await?;
    Ok(Json(Overview {
        discovery: overview.discovery,
        catalog: overview.catalog,
        hidden: overview.hidden,
        targets: overview.targets,
        sources: overview.sources,
        operations: overview.operations,
        observed_operations: overview.observed,
        documented_operations: overview.documented,
        drift: overview.drift.into(),
        vulnerabilities: overview.findings.into(),
        newest: overview.newest.into_iter().map(Into::into).collect(),
    }))
}

/// Show what was found over time
///
/// How many APIs and operations were found in each day or week.
#[utoipa::path(get, path = "/api/v1/overview/found", tag = "Overview", params(Spans),
    responses((status = 200, description = "By span.", body = FoundOverTime)))]
pub(super) async fn list_found(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<Spans>,
) -> Result<Json<FoundOverTime>, Problem> {
    let span = query.span.map_or(CoreSpan::Day, |span| span.0);
    let spans = query.spans.unwrap_or(30);
    if !(1..=400).contains(&spans) {
        return Err(Problem::parameter(
            "spans",
            format!("{spans} is not between 1 and 400"),
        ));
    }
    let found = inventory::found(&app.store, &actor, span, spans, Millis::now()).await?;
    let items = found
        .into_iter()
        .map(|found| Found {
            from: found.from.into(),
            apis: found.apis,
            operations: found.operations,
        })
        .collect();
    Ok(Json(FoundOverTime { items }))
}
