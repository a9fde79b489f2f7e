//! What scanners found in an API.

use axum::extract::{Path, RawQuery};
use axum::response::Response;

use super::head_of;
use crate::Millis;
use crate::scans::{self, Finding, FindingFilter, FindingSort, Severity};
use crate::store::{Direction, Page, PageOf};
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::api::{FindingRow, FindingsTab};
use crate::web::views::filter_form::Select;
use crate::web::views::{Empty, Method, PathText, When};

/// What scanners found in an API.
pub(in crate::web::pages) async fn findings(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "/findings").await?;
    let here = format!("/apis/{}/findings", api.id);
    let list = List::read(here, raw.as_deref(), &["q", "severity", "state"], &[]);
    let filter = FindingFilter {
        api: Some(api.id.clone()),
        ..filter_of(&list)
    };
    let found = gravest_first(&person, &filter, list.page()?).await?;
    let view = FindingsTab {
        shell,
        api: head,
        filters: list.filters("Search rules and messages", selects(&list)),
        pager: list.pager(&found),
        rows: found
            .items
            .into_iter()
            .map(|finding| finding_row(finding, person.now))
            .collect(),
        empty: Empty::new(
            "scans",
            "No finding",
            "Scanners found nothing here, or no scan of it was imported.",
            &[("/scans", "To the scans")],
        ),
    };
    Ok(page(&view))
}

/// Findings that fit, the gravest first.
pub(in crate::web::pages) async fn gravest_first(
    person: &Person,
    filter: &FindingFilter,
    page: Page,
) -> Result<PageOf<Finding>, Response> {
    let (sort, way) = (FindingSort::Severity, Direction::Ascending);
    scans::findings(&person.app().store, &person.actor, filter, sort, way, page)
        .await
        .map_err(refused)
}

/// A finding as a row; it leads to its operation, where that is known.
pub(in crate::web::pages) fn finding_row(finding: Finding, now: Millis) -> FindingRow {
    let href = match &finding.api {
        Some((api, _)) if !finding.path.is_empty() && !finding.method.is_empty() => {
            super::operation::address(api.as_str(), &finding.method, &finding.path)
        }
        _ => String::new(),
    };
    FindingRow {
        severity: finding.severity.name(),
        severity_title: title(finding.severity),
        name: if finding.rule_name.is_empty() {
            finding.rule.clone()
        } else {
            finding.rule_name
        },
        message: finding.message,
        method: (!finding.method.is_empty()).then(|| Method::new(&finding.method)),
        path: PathText::new(&finding.path),
        href,
        url: finding.url,
        tool: finding.tool,
        rule: finding.rule,
        first: When::new(finding.first_seen_at, now),
        last: When::new(finding.last_seen_at, now),
        closed: finding.closed_at.is_some(),
    }
}

/// Filters of findings.
pub(in crate::web::pages) fn selects(list: &List) -> Vec<Select> {
    vec![
        list.select(
            "severity",
            "Severity",
            [
                ("", "Any severity"),
                ("critical", "Critical"),
                ("high", "High"),
                ("medium", "Medium"),
                ("low", "Low"),
                ("informational", "Informational"),
            ],
        ),
        list.select(
            "state",
            "State",
            [
                ("", "Open"),
                ("closed", "Closed"),
                ("all", "Open and closed"),
            ],
        ),
    ]
}

/// What the filters in `list` ask for.
pub(in crate::web::pages) fn filter_of(list: &List) -> FindingFilter {
    FindingFilter {
        open: match list.get("state") {
            "closed" => Some(false),
            "all" => None,
            _ => Some(true),
        },
        severity: Severity::parse(list.get("severity")),
        text: list.some("q"),
        ..FindingFilter::default()
    }
}

fn title(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Informational => "Info",
    }
}
