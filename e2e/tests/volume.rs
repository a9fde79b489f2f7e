//! Many requests through two workers: nothing is lost, or what is lost is counted; and no client ever notices.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};
use silhouette_e2e::flood::{Call, Flood, Flooding, flood};
use silhouette_e2e::nginx::{Counters, capturing};
use silhouette_e2e::process::{resident_bytes, wait_until};
use silhouette_e2e::{Collector, Nginx, Origin};

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

/// Exchanges in all models together.
fn exchanges_in_models(collector: &Collector) -> Result<u64> {
    let hosts = collector.get("/v1/hosts")?.json()?;
    let list = hosts["hosts"]
        .as_array()
        .with_context(|| format!("a list of hosts in {hosts}"))?;
    Ok(list
        .iter()
        .filter_map(|host| host["exchanges"].as_u64())
        .sum())
}

fn all_answered(flood: &Flood, count: u64) {
    assert_eq!(
        (flood.answered, flood.failed),
        (count, 0),
        "{:?}",
        flood.reasons
    );
}

#[test]
fn a_hundred_thousand_requests_are_captured_acknowledged_and_learnt() -> Result<()> {
    const COUNT: u64 = 100_000;
    let origin = Origin::start()?;
    let collector = Collector::start(&[])?;
    // The queue holds what the machine at hand makes faster than it learns.
    let nginx = Nginx::start(2, |layout| {
        capturing(
            layout,
            &collector.url(),
            &origin.url(""),
            "access_log off; silhouette_queue_bytes 128m;",
        )
    })?;
    let done = flood(
        &format!("127.0.0.1:{}", nginx.layout().port),
        COUNT,
        32,
        calls,
    )?;
    all_answered(&done, COUNT);
    assert_eq!(origin.requests(), COUNT);

    let shim = nginx.drained(COUNT, LONG)?;
    assert_eq!(
        (
            shim.get("captured"),
            shim.get("acknowledged"),
            shim.dropped()
        ),
        (COUNT, COUNT, 0),
        "{shim:?}"
    );
    assert_eq!(shim.get("faults"), 0);
    assert_eq!(
        collector.metric("silhouette_exchanges_acknowledged_total", "")? as u64,
        COUNT
    );
    wait_until("everything is learnt", LONG, || {
        collector
            .metric("silhouette_exchanges_pending", "")
            .is_ok_and(|pending| pending == 0.0)
    })?;
    assert_eq!(
        collector.metric("silhouette_exchanges_learnt_total", "")? as u64,
        COUNT
    );
    assert_eq!(
        collector.metric("silhouette_exchanges_rejected_total", "")?,
        0.0
    );
    assert_eq!(exchanges_in_models(&collector)?, COUNT);

    let host = format!("127.0.0.1:{}", nginx.layout().port);
    let found = collector.operations(&host)?;
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
    Ok(())
}

#[test]
fn a_collector_killed_in_the_middle_loses_nothing_it_acknowledged() -> Result<()> {
    let origin = Origin::start()?;
    let mut collector = Collector::start(&["--checkpoint-interval", "1s"])?;
    // A small queue: while the collector is away it fills, and what does not fit must be counted.
    let nginx = Nginx::start(2, |layout| {
        capturing(
            layout,
            &collector.url(),
            &origin.url(""),
            "access_log off; silhouette_queue_bytes 2m;",
        )
    })?;
    let authority = format!("127.0.0.1:{}", nginx.layout().port);
    let clients = Flooding::start(&authority, 16, calls);
    wait_until("a part is acknowledged", LONG, || {
        collector
            .metric("silhouette_exchanges_acknowledged_total", "")
            .is_ok_and(|n| n > 3000.0)
    })?;
    collector.kill_9();
    let full = |shim: &Counters| shim.0["dropped"]["queue_full"].as_u64();
    let before = full(&nginx.counters()?);
    wait_until("more than a queue of 2 MiB can hold", LONG, || {
        nginx.counters().is_ok_and(|shim| full(&shim) > before)
    })?;
    let done = clients.stop()?;
    let count = done.answered;
    all_answered(&done, count);
    for pid in nginx.worker_pids() {
        let resident = resident_bytes(pid).context("the worker lives")?;
        assert!(
            resident < 64 << 20,
            "worker {pid} holds {resident} bytes with a queue of 2 MiB"
        );
    }

    collector.restart()?;
    let shim = nginx.drained(count, LONG)?;
    assert_eq!(shim.get("captured"), count, "{shim:?}");
    assert_eq!(shim.get("acknowledged") + shim.dropped(), count, "{shim:?}");
    wait_until(
        "everything acknowledged is in the models, once",
        LONG,
        || exchanges_in_models(&collector).is_ok_and(|n| n == shim.get("acknowledged")),
    )
    .with_context(|| {
        format!(
            "{:?} in the models, {shim:?}",
            exchanges_in_models(&collector)
        )
    })?;
    // The shim tells the collector what was lost.
    let told = |collector: &Collector| {
        collector.metric("silhouette_shim_exchanges_dropped_total", "queue_full")
    };
    // Each worker does with its next batch, and any may take the next call.
    wait_until("the collector knows what was dropped", LONG, || {
        silhouette_e2e::curl([nginx.url("/json")]).is_ok_and(|more| more.status == 200)
            && told(&collector).is_ok_and(|n| n as u64 == shim.dropped())
    })?;
    let known: Value = collector.get("/v1/shims")?.json()?;
    assert!(known.to_string().contains("nginx"), "{known}");
    Ok(())
}

#[test]
fn without_a_collector_requests_go_on_and_memory_is_bounded() -> Result<()> {
    const COUNT: u64 = 20_000;
    let origin = Origin::start()?;
    let nobody = silhouette_e2e::process::free_port()?;
    let nginx = Nginx::start(1, |layout| {
        let collector = format!("http://127.0.0.1:{nobody}");
        capturing(
            layout,
            &collector,
            &origin.url(""),
            "access_log off; silhouette_queue_bytes 1m;",
        )
    })?;
    let done = flood(
        &format!("127.0.0.1:{}", nginx.layout().port),
        COUNT,
        8,
        calls,
    )?;
    all_answered(&done, COUNT);
    wait_until("all are counted", LONG, || {
        nginx
            .counters()
            .is_ok_and(|c| c.get("captured") == COUNT && c.get("queued") + c.dropped() == COUNT)
    })?;
    let shim = nginx.counters()?;
    assert!(shim.get("queue_bytes") <= 1 << 20, "{shim:?}");
    assert!(
        shim.dropped() > 0 && shim.get("acknowledged") == 0,
        "{shim:?}"
    );
    let worker = nginx.worker_pids().into_iter().next().context("a worker")?;
    assert!(resident_bytes(worker).context("the worker lives")? < 64 << 20);
    Ok(())
}
