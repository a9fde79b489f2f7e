//! Many requests through two threads of Envoy: nothing is lost, or what is lost is counted; and no client ever notices.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};
use silhouette_e2e::envoy::{Envoy, Setup};
use silhouette_e2e::flood::{Call, Flooding, flood};
use silhouette_e2e::process::{resident_bytes, wait_until};
use silhouette_e2e::{Collector, Origin};

const LONG: Duration = Duration::from_secs(180);

/// Reads, lists with queries, and writes with a body that comes back.
fn calls(n: u64) -> Call {
    match n % 4 {
        0 => (Method::GET, format!("/echo/items/{n}"), None),
        1 => (Method::GET, format!("/json?size={}", 64 + n % 200), None),
        2 => {
            let body = json!({ "name": format!("item {n}"), "amount": n, "tags": ["a", "b"], "note": null });
            (
                Method::POST,
                "/echo/items".to_owned(),
                Some(body.to_string()),
            )
        }
        _ => (
            Method::PUT,
            format!("/echo/items/{n}"),
            Some(json!({ "amount": n }).to_string()),
        ),
    }
}

fn start(collector: &Collector, origin: &Origin, more: &Value) -> Result<Envoy> {
    let mut setup = Setup::capturing(collector.telemetry(), origin.address(), more);
    setup.concurrency = 2;
    Envoy::start(setup)
}

fn exchanges_in_models(collector: &Collector) -> Result<u64> {
    let hosts = collector.get("/v1/hosts")?.json()?;
    let list = hosts["hosts"].as_array().context("a list of hosts")?;
    Ok(list
        .iter()
        .filter_map(|host| host["exchanges"].as_u64())
        .sum())
}

#[test]
fn fifty_thousand_requests_are_captured_acknowledged_and_learnt() -> Result<()> {
    const COUNT: u64 = 50_000;
    let origin = Origin::start()?;
    let collector = Collector::start(&[])?;
    // The queue holds what the machine at hand makes faster than it learns.
    let envoy = start(&collector, &origin, &json!({ "queue_bytes": "64m" }))?;
    let done = flood(&envoy.authority(), COUNT, 32, calls)?;
    assert_eq!(
        (done.answered, done.failed),
        (COUNT, 0),
        "{:?}",
        done.reasons
    );
    assert_eq!(origin.requests(), COUNT);
    let counters = envoy.drained(COUNT, LONG)?;
    assert_eq!(
        (counters.get("acknowledged"), counters.dropped()),
        (COUNT, 0),
        "{counters:?}"
    );
    wait_until("everything is learnt, once", LONG, || {
        exchanges_in_models(&collector).is_ok_and(|n| n == COUNT)
    })
    .with_context(|| {
        format!(
            "{:?} in the models, {counters:?}",
            exchanges_in_models(&collector)
        )
    })?;
    assert_eq!(
        collector.metric("silhouette_exchanges_rejected_total", "")?,
        0.0
    );
    let found = collector.operations(&envoy.authority())?;
    for operation in [
        "GET /echo/items/{}",
        "PUT /echo/items/{}",
        "POST /echo/items",
        "GET /json",
    ] {
        assert!(
            found.contains(operation),
            "{operation} is not among {found:?}"
        );
    }
    let known = collector.get("/v1/shims")?.text();
    assert!(known.contains("\"envoy\""), "{known}");
    Ok(())
}

#[test]
fn a_collector_killed_in_the_middle_loses_nothing_it_acknowledged() -> Result<()> {
    let origin = Origin::start()?;
    let mut collector = Collector::start(&["--checkpoint-interval", "1s"])?;
    let envoy = start(&collector, &origin, &json!({}))?;
    let clients = Flooding::start(&envoy.authority(), 16, calls);
    wait_until("a part is acknowledged", LONG, || {
        collector
            .metric("silhouette_exchanges_acknowledged_total", "")
            .is_ok_and(|n| n > 3000.0)
    })?;
    let before = resident_bytes(envoy.pid()).context("envoy lives")?;
    collector.kill_9();
    let dropped = envoy.counters()?.dropped_for("queue_full");
    envoy.wait_counters("more than two queues of 2 MiB can hold", LONG, |counters| {
        counters.dropped_for("queue_full") > dropped
    })?;
    let done = clients.stop()?;
    assert_eq!(done.failed, 0, "{:?}", done.reasons);
    let after = resident_bytes(envoy.pid()).context("envoy lives")?;
    assert!(
        after < before + (48 << 20),
        "{before} bytes resident before, {after} with two queues of 2 MiB full"
    );
    collector.restart()?;
    let counters = envoy.drained(done.answered, LONG)?;
    assert_eq!(counters.dropped(), counters.dropped_for("queue_full"));
    wait_until(
        "everything acknowledged is in the models, once",
        LONG,
        || exchanges_in_models(&collector).is_ok_and(|n| n == counters.get("acknowledged")),
    )
    .with_context(|| {
        format!(
            "{:?} in the models, {counters:?}",
            exchanges_in_models(&collector)
        )
    })?;
    // The shim tells the collector what was lost: each thread with its next batch, and any may take the next call.
    wait_until("the collector knows what was dropped", LONG, || {
        silhouette_e2e::curl([envoy.url("/json")]).is_ok_and(|more| more.status == 200)
            && collector
                .metric("silhouette_shim_exchanges_dropped_total", "queue_full")
                .is_ok_and(|n| n as u64 == counters.dropped())
    })
}
