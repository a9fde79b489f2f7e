//! The operations of an API.

use axum::extract::{Path, RawQuery};

use super::head_of;
use crate::inventory::{self, DriftClass, OperationFilter, OperationSort};
use crate::scans::Severity;
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::apis::{drift_badge, severities};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::api::{OperationRow, Operations};
use crate::web::views::{Empty, Method, PathText, When};

/// Operations.
pub(in crate::web::pages) async fn operations(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "").await?;
    let filters = ["q", "method", "seen", "drift", "severity"];
    let orders = [
        "path",
        "method",
        "-calls",
        "first",
        "-last",
        "vulnerabilities",
    ];
    let here = format!("/apis/{}", api.id);
    let list = List::read(here, raw.as_deref(), &filters, &orders);
    let sort = match list.sorted.0 {
        "method" => OperationSort::Method,
        "calls" => OperationSort::Calls,
        "first" => OperationSort::FirstSeen,
        "last" => OperationSort::LastSeen,
        "vulnerabilities" => OperationSort::Vulnerabilities,
        _ => OperationSort::Path,
    };
    let (observed, documented, deprecated) = match list.get("seen") {
        "seen" => (Some(true), None, None),
        "documented" => (None, Some(true), None),
        "deprecated" => (None, None, Some(true)),
        _ => (None, None, None),
    };
    let filter = OperationFilter {
        text: list.some("q"),
        method: list.some("method"),
        deprecated,
        observed,
        documented,
        drift: DriftClass::parse(list.get("drift")),
        severity: match list.get("severity") {
            "any" => Some(Severity::Informational),
            name => Severity::parse(name),
        },
    };
    let found = inventory::operations(
        &person.app().store,
        &person.actor,
        &api.id,
        &filter,
        sort,
        list.sorted.1,
        list.page()?,
    )
    .await
    .map_err(refused)?;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let methods = methods.map(|method| (method, method));
    let selects = vec![
        list.select(
            "method",
            "Method",
            [("", "Any method")].into_iter().chain(methods),
        ),
        list.select(
            "seen",
            "Known from",
            [
                ("", "Seen or documented"),
                ("seen", "Seen in traffic"),
                ("documented", "Documented"),
                ("deprecated", "Deprecated"),
            ],
        ),
        list.select(
            "drift",
            "Drift",
            [
                ("", "Any drift or none"),
                ("shadow", "Shadow"),
                ("zombie", "Zombie"),
                ("orphan", "Orphan"),
                ("contradiction", "Contradiction"),
            ],
        ),
    ];
    let when = |at| When::new(at, person.now);
    let view = Operations {
        shell,
        api: head,
        filters: list.filters("Search paths and names", selects),
        headings: list.headings(&[
            ("Method", "method", "tight"),
            ("Path", "path", ""),
            ("Calls", "calls", "num"),
            ("First seen", "first", ""),
            ("Last seen", "last", ""),
            ("Vulnerabilities", "vulnerabilities", ""),
        ]),
        pager: list.pager(&found),
        rows: found
            .items
            .into_iter()
            .map(|operation| OperationRow {
                href: super::operation::address(
                    api.id.as_str(),
                    &operation.method,
                    &operation.path,
                ),
                method: Method::new(&operation.method),
                path: PathText::new(&operation.path),
                summary: operation.summary,
                deprecated: operation.deprecated,
                drift: operation.drift.map(drift_badge).into_iter().collect(),
                calls: operation.calls,
                first: operation.seen_first_at.map(when),
                last: operation.seen_last_at.map(when),
                severities: severities(&operation.findings),
            })
            .collect(),
        empty: Empty::new(
            "search",
            "No operation fits these filters",
            "Fewer filters show more.",
            &[],
        ),
    };
    Ok(page(&view))
}
