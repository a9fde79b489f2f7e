//! What scanners found, by API and operation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use silhouette_openapi::Template;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::ids::{ApiId, FindingId, ScanId};
use crate::rest::caller::Caller;
use crate::rest::extract::{List, Path};
use crate::rest::inventory::Severity;
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};
use crate::scans::{self, FindingSort as By};

/// What a scanner found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    id: FindingId,
    /// The scan that reported it last.
    scan_id: ScanId,
    /// The API it is about; missing where none fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_id: Option<ApiId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bookshop")]
    api_name: Option<String>,
    /// The scanner.
    #[schema(example = "ZAP")]
    tool: String,
    severity: Severity,
    /// The rule's id, as the scanner has it.
    #[schema(example = "40018")]
    rule: String,
    #[schema(example = "SQL Injection")]
    rule_name: String,
    /// What was found.
    message: String,
    /// The operation's method, or empty.
    #[schema(example = "GET")]
    method: String,
    /// The operation's whole path template, or empty.
    #[schema(example = "/v1/books/{bookId}")]
    path: String,
    /// Where it was found, as the scanner wrote it.
    #[schema(example = "https://api.example.com/v1/books/42")]
    url: String,
    first_seen_at: Time,
    last_seen_at: Time,
    /// When a scan no longer reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    closed_at: Option<Time>,
}

impl From<scans::Finding> for Finding {
    fn from(finding: scans::Finding) -> Finding {
        let (api_id, api_name) = finding.api.unzip();
        Finding {
            id: finding.id,
            scan_id: finding.scan,
            api_id,
            api_name,
            tool: finding.tool,
            severity: finding.severity.into(),
            rule: finding.rule,
            rule_name: finding.rule_name,
            message: finding.message,
            method: finding.method,
            path: finding.path,
            url: finding.url,
            first_seen_at: finding.first_seen_at.into(),
            last_seen_at: finding.last_seen_at.into(),
            closed_at: finding.closed_at.map(Into::into),
        }
    }
}

/// Which findings to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct FindingFilter {
    /// About this API.
    api_id: Option<ApiId>,
    /// About the operation with this method; needs `path` and `apiId`.
    #[param(example = "GET")]
    method: Option<String>,
    /// About the operation with this whole path template; needs `method` and `apiId`.
    #[param(example = "/v1/books/{bookId}")]
    path: Option<String>,
    /// About an API that is known, or about none.
    matched: Option<bool>,
    /// Open ones, or closed ones.
    open: Option<bool>,
    /// Of this severity alone.
    #[param(inline)]
    severity: Option<Severity>,
    /// Of this scanner, whole.
    #[param(example = "ZAP")]
    tool: Option<String>,
    /// A part of the rule, the message or the place, without case.
    text: Option<String>,
    /// In which order; the gravest come first in `severity`.
    #[param(inline)]
    sort: Option<FindingSort>,
}

sorts! {
    /// The order of findings.
    FindingSort: By, default "severity" {
        "severity" => By::Severity, "firstSeenAt" => By::FirstSeen, "lastSeenAt" => By::LastSeen, "path" => By::Path,
        "rule" => By::Rule,
    }
}

/// List findings
///
/// Of all scanners, open and closed ones. Needs the permission `apis:view`.
#[utoipa::path(get, path = "/api/v1/findings", tag = "Findings", params(Paging, FindingFilter),
    responses((status = 200, description = "A page of findings.", body = ListOf<Finding>)))]
pub(super) async fn list_findings(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<FindingFilter>,
) -> Result<Json<ListOf<Finding>>, Problem> {
    let FindingSort(sort, direction) = filter.sort.unwrap_or_default();
    let operation = match (filter.method, filter.path, &filter.api_id) {
        (None, None, _) => None,
        (Some(method), Some(path), Some(_)) => {
            Some((method.to_uppercase(), Template::parse(&path).shape()))
        }
        (None, ..) => return Err(Problem::parameter("method", "missing; `path` needs it")),
        (_, None, _) => return Err(Problem::parameter("path", "missing; `method` needs it")),
        _ => {
            return Err(Problem::parameter(
                "apiId",
                "missing; `method` and `path` need it",
            ));
        }
    };
    let filter = scans::FindingFilter {
        api: filter.api_id,
        operation,
        matched: filter.matched,
        open: filter.open,
        severity: filter.severity.map(|severity| severity.0),
        tool: filter.tool,
        text: filter.text,
    };
    let page = scans::findings(&app.store, &actor, &filter, sort, direction, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Show a finding
///
/// With the API and the operation it is about.
#[utoipa::path(get, path = "/api/v1/findings/{findingId}", tag = "Findings",
    params(("findingId" = FindingId, Path, description = "Which one.")),
    responses((status = 200, description = "The finding.", body = Finding)))]
pub(super) async fn get_finding(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(finding): Path<FindingId>,
) -> Result<Json<Finding>, Problem> {
    let found = scans::finding(&app.store, &actor, &finding).await?;
    Ok(Json(found.into()))
}
