//! Reports of scanners, in SARIF 2.1.0.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Millis;
use crate::access::Permission;
use crate::app::App;
use crate::ids::{ApiId, ScanId};
use crate::rest::caller::Caller;
use crate::rest::extract::{List, Path, Query, is_json, unsupported};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::Time;
use crate::scans;

/// A report that was imported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scan {
    id: ScanId,
    /// The scanner.
    #[schema(example = "ZAP")]
    tool: String,
    /// Its version, or empty.
    #[schema(example = "2.16.0")]
    tool_version: String,
    /// When it ran; when it was imported, where the report does not say.
    scanned_at: Time,
    imported_at: Time,
    /// By whom.
    #[schema(example = "ada@example.com")]
    imported_by: String,
    /// How many results it has.
    results: u64,
    /// How many of them are about an API that is known.
    matched: u64,
}

impl From<scans::Scan> for Scan {
    fn from(scan: scans::Scan) -> Scan {
        Scan {
            id: scan.id,
            tool: scan.tool,
            tool_version: scan.tool_version,
            scanned_at: scan.scanned_at.into(),
            imported_at: scan.imported_at.into(),
            imported_by: scan.imported_by,
            results: scan.results,
            matched: scan.matched,
        }
    }
}

/// What a run of a report changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportedScan {
    scan: Scan,
    /// Findings that were not there before.
    new: u64,
    /// Findings that were closed, and are there again.
    reopened: u64,
    /// Findings of earlier scans of this tool that are gone.
    closed: u64,
    /// Results that passed, were suppressed, or cannot be read.
    left_out: u64,
    /// The APIs it covered.
    api_ids: Vec<ApiId>,
}

/// What a report changed, run by run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportedReport {
    items: Vec<ImportedScan>,
}

/// A report in SARIF 2.1.0.
#[derive(Debug, ToSchema)]
#[allow(
    dead_code,
    reason = "it describes what is taken; the report is read by the core"
)]
#[schema(as = Sarif, example = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "ZAP"}}, "results": []}]}))]
pub(super) struct Sarif {
    #[schema(example = "2.1.0")]
    version: String,
    /// As SARIF says; what is not needed is passed over.
    runs: Vec<serde_json::Value>,
}

/// Which scans to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ScanFilter {
    /// Of this scanner, whole.
    #[param(example = "ZAP")]
    tool: Option<String>,
}

/// What a report is about.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct About {
    /// This API: then paths alone are enough, and an empty report closes what was open there.
    api_id: Option<ApiId>,
}

/// List scans
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/scans", tag = "Scans", params(Paging, ScanFilter),
    responses((status = 200, description = "A page of scans.", body = ListOf<Scan>)))]
pub(super) async fn list_scans(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<ScanFilter>,
) -> Result<Json<ListOf<Scan>>, Problem> {
    let filter = scans::ScanFilter {
        tool: filter.tool,
        ..scans::ScanFilter::default()
    };
    let page = scans::scans(&app.store, &actor, &filter, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Import a report
///
/// In SARIF 2.1.0, from any scanner. Results are matched to APIs and operations by their URLs; what a later report of the same tool no
/// longer has is closed for the APIs it covers. Needs the permission `scans:import`.
#[utoipa::path(post, path = "/api/v1/scans", tag = "Scans", params(About),
    request_body(content((Sarif = "application/sarif+json"), (Sarif = "application/json"))),
    responses((status = 201, description = "What it changed, run by run.", body = ImportedReport)))]
pub(super) async fn import_scan(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(about): Query<About>,
    request: Request,
) -> Result<Response, Problem> {
    actor.may(Permission::ImportScans)?;
    if !is_json(&request) {
        return Err(unsupported(
            &request,
            "application/sarif+json or application/json",
        ));
    }
    let limit = usize::try_from(scans::MAX_REPORT_BYTES).unwrap_or(usize::MAX);
    let (report, _room) = app.bodies.read(request, limit, 1).await?;
    let (api, now) = (about.api_id.as_ref(), Millis::now());
    let imported = scans::import_scan(&app.store, &actor, report, api, now).await?;
    let location = match imported.as_slice() {
        [one] => format!("/api/v1/scans/{}", one.scan.id),
        _ => "/api/v1/scans".to_owned(),
    };
    let items = imported
        .into_iter()
        .map(|imported| ImportedScan {
            scan: imported.scan.into(),
            new: imported.new,
            reopened: imported.reopened,
            closed: imported.closed,
            left_out: imported.left_out,
            api_ids: imported.apis,
        })
        .collect();
    Ok(crate::rest::created(location, ImportedReport { items }).into_response())
}

/// Show a scan
///
/// How much it found, and how much of that is about APIs that are known.
#[utoipa::path(get, path = "/api/v1/scans/{scanId}", tag = "Scans", params(("scanId" = ScanId, Path, description = "Which one.")),
    responses((status = 200, description = "The scan.", body = Scan)))]
pub(super) async fn get_scan(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(scan): Path<ScanId>,
) -> Result<Json<Scan>, Problem> {
    let found = scans::scan(&app.store, &actor, &scan).await?;
    Ok(Json(found.into()))
}
