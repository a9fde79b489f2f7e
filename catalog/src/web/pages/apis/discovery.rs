//! APIs without a target.

use axum::extract::RawQuery;

use super::filters::ApiList;
use crate::access::Permission;
use crate::web::answer::{Answer, page};
use crate::web::person::Person;
use crate::web::views::Empty;
use crate::web::views::apis::Discovery;

const HERE: &str = "/discovery";

/// APIs without a target.
pub(in crate::web::pages) async fn discovery(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let orders = ["-updated", "name", "operations", "discovered", "drift"];
    let apis = ApiList::read(&person, HERE, raw.as_deref(), false, &orders).await?;
    let list = &apis.list;
    let to_catalog = ("/catalog", "To the catalog");
    let actions: &[(&str, &str)] = if person.may(Permission::ManageSources) {
        &[("/sources/new", "Add a source"), to_catalog]
    } else {
        &[to_catalog]
    };
    let none = Empty::new(
        "discovery",
        "Nothing waits here",
        "APIs appear here as soon as a source finds them: a collector that sees their traffic, or a document that is imported. Those          with a target are in the catalog.",
        actions,
    );
    let view = Discovery {
        filters: apis.filters(),
        headings: list.headings(&[
            ("API", "name", ""),
            ("Operations", "operations", "num"),
            ("Source", "", ""),
            ("Last updated", "updated", ""),
            ("First discovered", "discovered", ""),
            ("Target", "", "tight"),
        ]),
        pager: list.pager(&apis.found),
        apis: apis.rows(person.now),
        manage: person.may(Permission::ManageApis),
        hidden_shown: list.get("hidden") == "yes",
        empty: list.empty("No API fits these filters", none),
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}
