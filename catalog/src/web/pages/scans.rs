//! Imported scans, and what they found in an API.

use axum::extract::RawQuery;
use http::StatusCode;

use super::api;
use super::form::bytes;
use super::list::List;
use crate::access::Permission;
use crate::scans::{self, FindingFilter, MAX_REPORT_BYTES, ScanFilter};
use crate::web::answer::{Answer, blamed, correctable, done, page, page_with, refused, status_of};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::scans::{ImportScan, ScanRow, Scans, Unmatched};
use crate::web::views::{Empty, When, count};

const HERE: &str = "/scans";

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let list = List::read(HERE, raw.as_deref(), &["q"], &[]);
    let filter = ScanFilter {
        text: list.some("q"),
        ..ScanFilter::default()
    };
    let found = scans::scans(&person.app().store, &person.actor, &filter, list.page()?)
        .await
        .map_err(refused)?;
    let import = person.may(Permission::ImportScans);
    let actions: &[(&str, &str)] = if import {
        &[("/scans/import", "Import results")]
    } else {
        &[]
    };
    let none = Empty::new(
        "scans",
        "No scan was imported yet",
        "Most scanners write SARIF. Import it here or with the External Scan API; its results are matched to APIs and their \
         operations.",
        actions,
    );
    let view = Scans {
        filters: list.filters("Search scanners", Vec::new()),
        headings: list.headings(&[
            ("Scanner", "", ""),
            ("Scanned", "", ""),
            ("Imported", "", ""),
            ("Results", "", "num"),
            ("Matched", "", "num"),
        ]),
        pager: list.pager(&found),
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
        empty: list.empty("No scan fits this search", none),
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}

/// What scanners found where no API is known.
pub(super) async fn unmatched(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let filters = ["q", "severity", "state"];
    let list = List::read("/scans/unmatched", raw.as_deref(), &filters, &[]);
    let filter = FindingFilter {
        matched: Some(false),
        ..api::finding_filter(&list)
    };
    let found = api::gravest_first(&person, &filter, list.page()?).await?;
    let none = Empty::new(
        "good",
        "Every finding fits an API",
        "What scanners report is matched by its URL. What lies under no API that is known would be listed here.",
        &[(HERE, "To the scans")],
    );
    let view = Unmatched {
        filters: list.filters(
            "Search rules, messages and URLs",
            api::finding_selects(&list),
        ),
        pager: list.pager(&found),
        rows: found
            .items
            .into_iter()
            .map(|finding| api::finding_row(finding, person.now))
            .collect(),
        empty: list.empty("No finding fits these filters", none),
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
    let store = &person.app().store;
    let imported = scans::import_scan(store, &person.actor, report, None, person.now).await;
    match correctable(imported)? {
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
        Err(refusal) => {
            let error = blamed(&refusal).1;
            form(&person, error, status_of(&refusal)).await
        }
    }
}
