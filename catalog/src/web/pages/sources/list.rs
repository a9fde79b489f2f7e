//! The list of sources, and what other pages say of them.

use axum::extract::RawQuery;
use axum::response::Response;

use super::{HERE, clock, row};
use crate::access::Permission;
use crate::sources::{self, Filter, Kind, Order, Source, Status};
use crate::store::{Direction, Page};
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::overview::Health;
use crate::web::views::sources::Sources;
use crate::web::views::{Empty, count};

async fn some(person: &Person, filter: &Filter, order: Order) -> Result<Vec<Source>, Response> {
    let page = Page::new(1, Page::MAX_SIZE).map_err(refused)?;
    let order = (order, Direction::Ascending);
    let store = &person.app().store;
    let found = sources::list(store, &person.actor, filter, order, page, clock(person))
        .await
        .map_err(refused)?;
    Ok(found.items)
}

/// How sources are, those that need somebody first; and in a word how many do.
pub(in crate::web::pages) async fn health(
    person: &Person,
) -> Result<(Vec<Health>, String), Response> {
    if !person.may(Permission::ViewSources) {
        return Ok((Vec::new(), String::new()));
    }
    let all = some(person, &Filter::default(), Order::Status).await?;
    let wrong = all
        .iter()
        .filter(|source| {
            matches!(
                source.report.status,
                Status::SyncFailed | Status::Offline | Status::TokenExpired
            )
        })
        .count();
    let word = match (all.len(), wrong) {
        (0, _) => "none yet".to_owned(),
        (_, 0) => "all well".to_owned(),
        (_, wrong) => count(wrong as u64, "needs a look", "need a look"),
    };
    let shown = all
        .into_iter()
        .take(8)
        .map(|source| {
            let row = row(source, person.now);
            Health {
                id: row.id,
                name: row.name,
                kind: row.kind,
                status: row.status,
            }
        })
        .collect();
    Ok((shown, word))
}

/// The list.
pub(in crate::web::pages) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let filters = ["q", "kind", "status"];
    let orders = ["name", "kind", "status", "-synced"];
    let list = List::read(HERE, raw.as_deref(), &filters, &orders);
    let order = match list.sorted.0 {
        "kind" => Order::Kind,
        "status" => Order::Status,
        "synced" => Order::LastSync,
        _ => Order::Name,
    };
    let filter = Filter {
        text: list.some("q"),
        kind: Kind::parse(list.get("kind")),
        status: Status::parse(list.get("status")),
        auto_sync: None,
    };
    let found = sources::list(
        &person.app().store,
        &person.actor,
        &filter,
        (order, list.sorted.1),
        list.page()?,
        clock(&person),
    )
    .await
    .map_err(refused)?;
    let manage = person.may(Permission::ManageSources);
    let kinds = Kind::ALL.iter().map(|kind| (kind.name(), kind.title()));
    let statuses = Status::ALL
        .iter()
        .map(|status| (status.name(), status.title()));
    let add: &[(&str, &str)] = if manage {
        &[("/sources/new", "Add source")]
    } else {
        &[]
    };
    let none = Empty::new(
        "sources",
        "No source yet",
        "A source brings APIs: a collector that watches traffic, documents that are uploaded, or one that is fetched from a URL.",
        add,
    );
    let view = Sources {
        filters: list.filters(
            "Search names",
            vec![
                list.select("kind", "Type", [("", "Any type")].into_iter().chain(kinds)),
                list.select(
                    "status",
                    "Status",
                    [("", "Any status")].into_iter().chain(statuses),
                ),
            ],
        ),
        headings: list.headings(&[
            ("Name", "name", ""),
            ("Type", "kind", ""),
            ("Status", "status", ""),
            ("Last sync", "synced", ""),
            ("APIs", "", "num"),
            ("Auto-sync", "", ""),
        ]),
        pager: list.pager(&found),
        sources: found
            .items
            .into_iter()
            .map(|source| row(source, person.now))
            .collect(),
        manage,
        empty: list.empty("No source fits these filters", none),
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}
