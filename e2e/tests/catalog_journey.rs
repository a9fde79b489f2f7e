//! From traffic to a known API through real parts – nginx with the module, collector, catalog – as the REST API tells it, on SQLite
//! and on PostgreSQL.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use silhouette_e2e::estate::{Estate, HOST};
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{Rest, bookshop, catalog, process};

/// Ids of the APIs that a filter lists.
fn listed(rest: &Rest, filter: &str) -> Result<Vec<Value>> {
    let apis = rest.all(&format!("/api/v1/apis?{filter}"))?;
    Ok(apis.into_iter().map(|api| api["id"].clone()).collect())
}

fn status(rest: &Rest, source: &str) -> Result<Value> {
    Ok(rest.get(&format!("/api/v1/sources/{source}"))?["statusTitle"].clone())
}

fn becomes(rest: &Rest, source: &str, expected: &str) -> Result<()> {
    let mut last = Value::Null;
    process::wait_until(expected, PATIENCE, || {
        last = status(rest, source).unwrap_or_else(|error| json!(format!("{error:#}")));
        last == expected
    })
    .with_context(|| format!("the source is {last}"))
}

fn journey(mut estate: Estate) -> Result<()> {
    let rest = estate.catalog.rest().clone();
    let rest = &rest;

    // A source, and a collector that uses its token.
    let source = rest.add_source("Gateway")?;
    assert_eq!(status(rest, &source)?, "Awaiting setup");
    let token = rest.registration_token(&source)?;
    catalog::register(&estate.collector, &estate.catalog.url(), &token)?;
    becomes(rest, &source, "Awaiting for sync")?;

    // Traffic, and what became of it: one API with exactly the bookshop's operations.
    estate.traffic()?;
    let api = estate.discovered()?;
    let differences = bookshop::differences(&rest.observed_document(&api)?);
    assert!(differences.is_empty(), "{differences:?}");
    becomes(rest, &source, "Sync completed")?;
    let (id, name) = (
        api["id"].as_str().context("id")?,
        std::slice::from_ref(&api["id"]),
    );
    let base = api["baseUrl"].as_str().context("base URL")?;
    assert!(base.contains(HOST), "{base}");
    assert_eq!(listed(rest, "linked=false")?, name);
    assert_eq!(api["sources"][0]["name"], "Gateway");

    // Who called it, and how often.
    let operations = rest.all(&format!("/api/v1/apis/{id}/operations"))?;
    assert_eq!(operations.len(), bookshop::OPERATIONS.len());
    process::wait_until("calls are counted", PATIENCE, || {
        rest.all(&format!("/api/v1/apis/{id}/operations"))
            .is_ok_and(|all| {
                all.iter()
                    .all(|operation| operation["calls"].as_u64() > Some(0))
            })
    })?;

    // A target has to cover the base URL by whole segments.
    let target = |url: String| -> Result<Value> {
        let made = rest.done("POST", "/api/v1/targets", Some(&json!({ "url": url })))?;
        Ok(made["id"].clone())
    };
    let path = format!("/api/v1/apis/{id}/target");
    let wrong = target(format!("http://{HOST}/ap"))?;
    let refused = rest.ask("PUT", &path, Some(&json!({ "targetId": wrong })))?;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let problem = refused.json()?;
    assert_eq!(problem["type"], "/problems/not-under-target", "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|text| text.contains(base)),
        "{problem}"
    );
    let right = target(format!("http://{HOST}"))?;
    rest.done("PUT", &path, Some(&json!({ "targetId": right })))?;
    assert_eq!(listed(rest, "linked=true")?, name);
    assert!(listed(rest, "linked=false")?.is_empty());

    // The catalog ends without warning and comes back: nothing is lost, and the collector goes on by itself.
    estate.catalog.kill_9();
    estate.catalog.restart()?;
    assert_eq!(listed(rest, "linked=true")?, name);
    rest.done("POST", &format!("/api/v1/sources/{source}/sync"), None)?;
    becomes(rest, &source, "Sync completed")?;

    // Back to discovery, hidden, shown again.
    rest.done("DELETE", &path, None)?;
    assert_eq!(listed(rest, "linked=false")?, name);
    let hide = format!("/api/v1/apis/{id}/hidden");
    rest.done("PUT", &hide, Some(&json!({ "hidden": true })))?;
    assert!(listed(rest, "linked=false&hidden=false")?.is_empty());
    assert_eq!(listed(rest, "hidden=true")?, name);
    rest.done("PUT", &hide, Some(&json!({ "hidden": false })))?;

    // Deleting the source keeps the API.
    rest.done("DELETE", &format!("/api/v1/sources/{source}"), None)?;
    assert_eq!(listed(rest, "linked=false")?, name);

    // Every decision is in the audit log.
    let audit = rest.all("/api/v1/audit-log")?;
    let actions: Vec<&str> = audit
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    for action in [
        "source.create",
        "target.create",
        "api.link",
        "api.unlink",
        "api.hide",
        "api.show",
        "source.delete",
    ] {
        assert!(
            actions.contains(&action),
            "{action} is not among {actions:?}"
        );
    }
    estate.catalog.terminate()
}

#[test]
fn traffic_becomes_a_known_api_on_sqlite() -> Result<()> {
    journey(Estate::start()?)
}

#[test]
fn traffic_becomes_a_known_api_on_postgresql() -> Result<()> {
    journey(Estate::start_on_postgres()?)
}
