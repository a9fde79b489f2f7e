//! APIs with a target, and their endpoints.

use axum::extract::{Path, RawQuery};

use super::filters::ApiList;
use super::{drift_badge, parse, severities};
use crate::access::Permission;
use crate::inventory::{self, OperationFilter, OperationSort};
use crate::store::{Direction, Page};
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::api::address;
use crate::web::person::Person;
use crate::web::views::apis::{Catalog, EndpointRow, Endpoints};
use crate::web::views::{Empty, Method, PathText};

const HERE: &str = "/catalog";

/// Endpoints that a row of the catalog shows; the API's own page has all.
const ENDPOINTS: u32 = 100;

/// APIs with a target.
pub(in crate::web::pages) async fn catalog(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let orders = ["name", "target", "vulnerabilities", "scanned", "drift"];
    let apis = ApiList::read(&person, HERE, raw.as_deref(), true, &orders).await?;
    let list = &apis.list;
    let none = Empty::new(
        "catalog",
        "The catalog is empty",
        "An API comes here when it is linked to a target. Discovery lists those that wait for one.",
        &[("/discovery", "To discovery")],
    );
    let view = Catalog {
        filters: apis.filters(),
        headings: list.headings(&[
            ("API", "name", ""),
            ("Source", "", ""),
            ("Target", "target", ""),
            ("Vulnerabilities", "vulnerabilities", ""),
            ("Last scanned", "scanned", ""),
        ]),
        pager: list.pager(&apis.found),
        apis: apis.rows(person.now),
        manage: person.may(Permission::ManageApis),
        empty: list.empty("No API fits these filters", none),
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}

/// The endpoints of one API, as a row below it.
pub(in crate::web::pages) async fn endpoints(Path(id): Path<String>, person: Person) -> Answer {
    let api = parse(&id)?;
    let store = &person.app().store;
    let name = inventory::api(store, &person.actor, &api)
        .await
        .map_err(refused)?
        .name;
    let found = inventory::operations(
        store,
        &person.actor,
        &api,
        &OperationFilter::default(),
        OperationSort::Path,
        Direction::Ascending,
        Page::new(1, ENDPOINTS).map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let view = Endpoints {
        id,
        name,
        columns: if person.may(Permission::ManageApis) {
            6
        } else {
            5
        },
        total: found.total,
        rows: found
            .items
            .into_iter()
            .map(|operation| EndpointRow {
                href: address(api.as_str(), &operation.method, &operation.path),
                method: Method::new(&operation.method),
                path: PathText::new(&operation.path),
                drift: operation.drift.map(drift_badge).into_iter().collect(),
                deprecated: operation.deprecated,
                calls: operation.calls,
                severities: severities(&operation.findings),
            })
            .collect(),
    };
    Ok(page(&view))
}
