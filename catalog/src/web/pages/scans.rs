//! Imported scans, and what they found in an API.

use axum::extract::{Path, RawQuery};
use http::StatusCode;

use super::super::answer::{
    Answer, done, is_correctable, page, page_with, refused, sentence, status_of,
};
use super::super::person::Person;
use super::super::posted::Posted;
use super::super::query::Query;
use super::super::views::api::{FindingRow, FindingsTab};
use super::super::views::filter_form::{FilterForm, Select};
use super::super::views::scans::{ImportScan, ScanRow, Scans};
use super::super::views::{Choice, Empty, Method, PathText, When, count};
use super::api::frame;
use super::form::{bytes, headings, pager};
use crate::access::Permission;
use crate::scans::{self, FindingFilter, FindingSort, MAX_REPORT_BYTES, Severity};
use crate::store::Direction;

const HERE: &str = "/scans";

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(HERE, raw.as_deref(), &["q"]);
    let tool = query.some("q");
    let found = scans::scans(
        &person.app().store,
        &person.actor,
        tool.as_deref(),
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let import = person.may(Permission::ImportScans);
    let view = Scans {
        filters: FilterForm {
            action: HERE.to_owned(),
            search_label: "Scanner, by its whole name",
            text: query.get("q").to_owned(),
            any: query.filtered(),
            ..FilterForm::default()
        },
        headings: headings(
            &query,
            ("", Direction::Descending),
            &[
                ("Scanner", "", ""),
                ("Scanned", "", ""),
                ("Imported", "", ""),
                ("Results", "", "num"),
                ("Matched", "", "num"),
            ],
        ),
        pager: pager(&query, &found),
        scans: found
            .items
            .into_iter()
            .map(|scan| ScanRow {
                tool: scan.tool,
                version: scan.tool_version,
                scanned: When::new(scan.scanned_at, person.now),
                imported: When::new(scan.imported_at, person.now),
                by: scan.imported_by,
                results: scan.results,
                matched: scan.matched,
            })
            .collect(),
        import,
        empty: Empty {
            icon: "scans",
            title: "No scan was imported yet",
            text: "Most scanners write SARIF. Import it here or with the External Scan API; its results are matched to APIs and their \
                   operations.",
            actions: if import {
                vec![("/scans/import", "Import results")]
            } else {
                Vec::new()
            },
        },
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}

async fn form(person: &Person, error: String, status: StatusCode) -> Answer {
    person.actor.may(Permission::ImportScans).map_err(refused)?;
    let limit = MAX_REPORT_BYTES.min(person.web.document_bytes());
    let view = ImportScan {
        shell: person.shell(HERE).await?,
        error,
        limit: bytes(limit),
    };
    Ok(page_with(status, &view))
}

/// Asks for a report.
pub(super) async fn import_form(person: Person) -> Answer {
    form(&person, String::new(), StatusCode::OK).await
}

/// Takes one.
pub(super) async fn import(Posted { person, file, .. }: Posted) -> Answer {
    let Some((_, report)) = file else {
        let error = "Choose a file.".to_owned();
        return form(&person, error, StatusCode::UNPROCESSABLE_ENTITY).await;
    };
    match scans::import_scan(&person.app().store, &person.actor, report, None, person.now).await {
        Ok(imported) => {
            let sum = |of: fn(&scans::ImportedScan) -> u64| imported.iter().map(of).sum::<u64>();
            let text = format!(
                "{} imported: {} new, {} closed, {} fit no API.",
                count(sum(|scan| scan.scan.results), "result is", "results are"),
                sum(|scan| scan.new),
                sum(|scan| scan.closed),
                sum(|scan| scan.scan.results.saturating_sub(scan.scan.matched)),
            );
            Ok(done(&person, HERE, &text))
        }
        Err(refusal) if is_correctable(&refusal) => {
            let error = sentence(&super::super::answer::blamed(&refusal).1);
            form(&person, error, status_of(&refusal)).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// What scanners found in an API.
pub(super) async fn findings(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, frame) = frame(&person, &id, "/findings").await?;
    let query = Query::read(
        format!("/apis/{}/findings", api.id),
        raw.as_deref(),
        &["q", "severity", "state"],
    );
    let filter = FindingFilter {
        api: Some(api.id.clone()),
        open: match query.get("state") {
            "closed" => Some(false),
            "all" => None,
            _ => Some(true),
        },
        severity: Severity::parse(query.get("severity")),
        text: query.some("q"),
        ..FindingFilter::default()
    };
    let found = scans::findings(
        &person.app().store,
        &person.actor,
        &filter,
        FindingSort::Severity,
        Direction::Ascending,
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let choices = |name: &str, given: &[(&str, &str)]| -> Vec<Choice> {
        given
            .iter()
            .map(|(value, label)| Choice::new(*value, *label, query.get(name)))
            .collect()
    };
    let view = FindingsTab {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        filters: FilterForm {
            action: query.path().to_owned(),
            search_label: "Search rules and messages",
            text: query.get("q").to_owned(),
            selects: vec![
                Select {
                    name: "severity",
                    label: "Severity",
                    choices: choices(
                        "severity",
                        &[
                            ("", "Any severity"),
                            ("critical", "Critical"),
                            ("high", "High"),
                            ("medium", "Medium"),
                            ("low", "Low"),
                            ("informational", "Informational"),
                        ],
                    ),
                },
                Select {
                    name: "state",
                    label: "State",
                    choices: choices(
                        "state",
                        &[
                            ("", "Open"),
                            ("closed", "Closed"),
                            ("all", "Open and closed"),
                        ],
                    ),
                },
            ],
            any: query.filtered(),
            ..FilterForm::default()
        },
        pager: pager(&query, &found),
        rows: found
            .items
            .into_iter()
            .map(|finding| FindingRow {
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
                url: finding.url,
                tool: finding.tool,
                rule: finding.rule,
                first: When::new(finding.first_seen_at, person.now),
                last: When::new(finding.last_seen_at, person.now),
                closed: finding.closed_at.is_some(),
            })
            .collect(),
        empty: Empty {
            icon: "scans",
            title: "No finding",
            text: "Scanners found nothing here, or no scan of it was imported.",
            actions: vec![("/scans", "To the scans")],
        },
    };
    Ok(page(&view))
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
