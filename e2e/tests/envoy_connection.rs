//! The filter and its collector when things are not well: down, slow, refusing, restarted, misconfigured, replaced. A real
//! Envoy, a recording collector that misbehaves on demand, a real one that is killed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use silhouette_e2e::envoy::{Envoy, Setup, settings};
use silhouette_e2e::process::{PATIENCE, free_port, wait_until};
use silhouette_e2e::recording::{Behaviour, Recording};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Collector, Origin, curl, flood};

const TOKEN: &str = "shim-4f0c9d-token";

fn start(collector: SocketAddr, origin: &Origin, more: Value) -> Result<Envoy> {
    let mut all = json!({ "flush_interval_ms": 20 });
    for (name, value) in more.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    Envoy::start(Setup::capturing(collector, origin.address(), &all))
}

/// So many requests, each answered as it should be.
fn requests(envoy: &Envoy, count: u64) -> Result<()> {
    let done = flood(&envoy.authority(), count, 4, |n| {
        (Method::GET, format!("/json?n={n}"), None)
    })?;
    ensure!(
        (done.answered, done.failed) == (count, 0),
        "{} of {count} answered: {:?}",
        done.answered,
        done.reasons
    );
    Ok(())
}

fn nobody() -> Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}

#[test]
fn a_collector_that_is_down_is_said_once_and_clients_do_not_notice() -> Result<()> {
    let origin = Origin::start()?;
    let nobody = nobody()?;
    let mut envoy = start(nobody, &origin, json!({ "queue_bytes": "64k" }))?;
    requests(&envoy, 2000)?;
    let counters = envoy.wait_counters("all are accounted for", PATIENCE, |counters| {
        counters.get("captured") == 2000
            && counters.get("queued") + counters.dropped() == 2000
            && counters.get("calls_failed") >= 3
    })?;
    assert!(counters.dropped_for("queue_full") > 0, "{counters:?}");
    assert!(counters.get("queue_bytes") <= 64 << 10, "{counters:?}");
    assert_eq!(counters.get("acknowledged"), 0);
    let line = envoy.logged(&["warning", &nobody.to_string()], PATIENCE)?;
    assert_eq!(
        envoy.log().matches("could not reach the collector").count(),
        1,
        "one line a minute: {line}\n{}",
        envoy.log()
    );
    // Stopping does not wait for it either.
    envoy.stop()
}

#[test]
fn a_refused_token_is_said_once_and_nothing_is_lost() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Unauthenticated);
    let envoy = start(recording.address(), &origin, json!({ "token": TOKEN }))?;
    requests(&envoy, 3)?;
    envoy.logged(&["warning", "token", "token is not known"], PATIENCE)?;
    wait_until("several attempts", PATIENCE, || recording.exports() >= 4)?;
    assert_eq!(envoy.log().matches("refuses the token").count(), 1);
    assert!(
        recording
            .authorizations()
            .iter()
            .all(|value| value == &format!("Bearer {TOKEN}"))
    );
    recording.behave(Behaviour::Accept);
    assert_eq!(recording.wait_for(3, PATIENCE)?.len(), 3);
    envoy.drained(3, PATIENCE)?;
    let stats = format!("{:?}", envoy.stats("silhouette")?);
    assert!(!envoy.log().contains(TOKEN) && !stats.contains(TOKEN));
    Ok(())
}

#[test]
fn a_slow_collector_gets_everything_once() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Slow(Duration::from_millis(700)));
    let envoy = start(recording.address(), &origin, json!({}))?;
    for _ in 0..4 {
        requests(&envoy, 100)?;
    }
    recording.wait_for(400, PATIENCE)?;
    let counters = envoy.drained(400, PATIENCE)?;
    assert_eq!(counters.get("acknowledged"), 400, "{counters:?}");
    assert_eq!(recording.received_with_resends(), 400);
    Ok(())
}

#[test]
fn calls_without_an_answer_are_given_up_and_sent_again() -> Result<()> {
    for behaviour in [
        Behaviour::NeverAcknowledge,
        Behaviour::Silent,
        Behaviour::Garbage,
        Behaviour::Close,
        Behaviour::Unavailable,
    ] {
        let origin = Origin::start()?;
        let recording = Recording::start()?;
        recording.behave(behaviour.clone());
        let envoy = start(recording.address(), &origin, json!({}))?;
        requests(&envoy, 50)?;
        envoy
            .wait_counters("a call failed", PATIENCE, |counters| {
                counters.get("calls_failed") >= 1 && counters.get("captured") == 50
            })
            .with_context(|| format!("{behaviour:?}"))?;
        recording.behave(Behaviour::Accept);
        requests(&envoy, 50)?;
        let counters = envoy
            .drained(100, PATIENCE)
            .with_context(|| format!("{behaviour:?}"))?;
        assert_eq!(
            (counters.get("acknowledged"), recording.exchanges().len()),
            (100, 100),
            "{behaviour:?}"
        );
    }
    Ok(())
}

#[test]
fn a_batch_the_collector_never_takes_does_not_block_the_rest() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::InvalidArgument);
    let envoy = start(recording.address(), &origin, json!({}))?;
    requests(&envoy, 5)?;
    envoy.wait_counters("they are given up", PATIENCE, |counters| {
        counters.dropped_for("rejected") == 5
    })?;
    recording.behave(Behaviour::Accept);
    recording.clear();
    requests(&envoy, 4)?;
    assert_eq!(recording.wait_for(4, PATIENCE)?.len(), 4);
    envoy.drained(9, PATIENCE)?;
    Ok(())
}

#[test]
fn a_hint_to_wait_is_followed_and_nothing_is_lost() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let hint = Duration::from_secs(2);
    recording.behave(Behaviour::RetryAfter(hint));
    let envoy = start(recording.address(), &origin, json!({}))?;
    requests(&envoy, 10)?;
    recording.wait_for(10, PATIENCE)?;
    // The last of them is acknowledged, with the hint, after this.
    let told = Instant::now();
    requests(&envoy, 10)?;
    recording.wait_for(20, PATIENCE)?;
    let waited = told.elapsed();
    assert!(waited >= hint * 9 / 10, "only {waited:?}");
    envoy.drained(20, PATIENCE)?;
    Ok(())
}

#[test]
fn a_collector_that_is_killed_and_restarted_learns_what_waited() -> Result<()> {
    let origin = Origin::start()?;
    let mut collector = Collector::start(&[])?;
    let envoy = start(collector.telemetry(), &origin, json!({}))?;
    requests(&envoy, 100)?;
    envoy.drained(100, PATIENCE)?;
    collector.kill_9();
    requests(&envoy, 100)?;
    envoy.wait_counters("it is missed", PATIENCE, |counters| {
        counters.get("calls_failed") >= 1 && counters.get("queued") == 100
    })?;
    collector.restart()?;
    let counters = envoy.drained(200, PATIENCE)?;
    assert_eq!(counters.get("acknowledged"), 200, "{counters:?}");
    envoy.logged(&["info", "silhouette", "again"], PATIENCE)?;
    // Hangs, as a machine does that swaps; then goes on.
    collector.pause()?;
    requests(&envoy, 100)?;
    envoy.wait_counters("a call is given up", PATIENCE, |now| {
        now.get("calls_failed") > counters.get("calls_failed")
    })?;
    collector.resume()?;
    let counters = envoy.drained(300, PATIENCE)?;
    assert_eq!(counters.get("acknowledged"), 300, "{counters:?}");
    wait_until("all is learnt, each once", PATIENCE, || {
        collector
            .metric("silhouette_exchanges_learnt_total", "")
            .is_ok_and(|learnt| learnt == 200.0 || learnt == 300.0)
            && collector
                .get("/v1/hosts")
                .and_then(|answer| answer.json())
                .is_ok_and(|hosts| hosts["hosts"][0]["exchanges"] == 300)
    })
    .with_context(|| format!("{:?}", collector.get("/v1/hosts").map(|a| a.text())))
}

#[test]
fn a_collector_behind_tls() -> Result<()> {
    let origin = Origin::start()?;
    let (ours, other) = (Authority::new()?, Authority::new()?);
    let recording = Recording::start_tls(&ours.server()?)?;
    for (authority, arrives) in [(&other, false), (&ours, true)] {
        let more = json!({ "collector": recording.tls_url(), "flush_interval_ms": 20 });
        let mut setup = Setup::capturing(recording.address(), origin.address(), &more);
        setup.collector_ca = Some(authority.ca_file().to_owned());
        let envoy = Envoy::start(setup)?;
        requests(&envoy, 5)?;
        if arrives {
            assert_eq!(recording.wait_for(5, PATIENCE)?.len(), 5);
            envoy.drained(5, PATIENCE)?;
        } else {
            envoy.wait_counters("it is not trusted", PATIENCE, |counters| {
                counters.get("calls_failed") >= 1 && counters.get("queued") == 5
            })?;
            assert!(recording.exchanges().is_empty());
        }
    }
    Ok(())
}

#[test]
fn a_collector_that_is_spoken_to_in_http2() -> Result<()> {
    let origin = Origin::start()?;
    let collector = Collector::start(&[])?;
    let mut setup = Setup::capturing(collector.telemetry(), origin.address(), &json!({}));
    setup.collector_http2 = true;
    let envoy = Envoy::start(setup)?;
    requests(&envoy, 20)?;
    let counters = envoy.drained(20, PATIENCE)?;
    assert_eq!(counters.get("acknowledged"), 20, "{counters:?}");
    Ok(())
}

#[test]
fn wrong_configurations_are_refused_with_name_and_value_and_the_old_one_holds() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let mut envoy = start(recording.address(), &origin, json!({}))?;
    for (more, words) in [
        (json!({ "sample_rate": 7 }), vec!["sample_rate", "7"]),
        (
            json!({ "max_request_body": "lots" }),
            vec!["max_request_body", "lots", "16m"],
        ),
        (
            json!({ "collector": "ftp://x" }),
            vec!["collector", "ftp://x", "https://host[:port]"],
        ),
        (json!({ "collecter": "http://x" }), vec!["collecter"]),
        (json!({ "queue_bytes": true }), vec!["queue_bytes", "true"]),
        (
            json!({ "exclude_paths": ["/a", 5] }),
            vec!["exclude_paths", "5"],
        ),
        (
            json!({ "tls_ca": "/ca.pem" }),
            vec!["tls_ca", "transport_socket"],
        ),
        (json!({ "metrics": "maybe" }), vec!["metrics", "maybe"]),
        (json!({ "cluster": "" }), vec!["cluster"]),
    ] {
        let said = envoy
            .reconfigure(Some(settings(recording.address(), &more)))?
            .err()
            .with_context(|| format!("{more} is accepted"))?;
        for word in words {
            assert!(said.contains(word), "{more}: no {word:?} in\n{said}");
        }
    }
    // Nor does one without a collector start at all.
    let mut setup = Setup::capturing(recording.address(), origin.address(), &json!({}));
    setup.filter = Some(json!({ "cluster": "collector" }));
    let refused = Envoy::start(setup).err().context("it started")?;
    assert!(format!("{refused:#}").contains("collector"), "{refused:#}");

    requests(&envoy, 3)?;
    assert_eq!(recording.wait_for(3, PATIENCE)?.len(), 3);
    Ok(())
}

#[test]
fn a_cluster_that_does_not_exist_is_said_and_clients_do_not_notice() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let envoy = start(
        recording.address(),
        &origin,
        json!({ "cluster": "no-such-cluster" }),
    )?;
    requests(&envoy, 20)?;
    envoy.wait_counters("calls fail", PATIENCE, |counters| {
        counters.get("calls_failed") >= 2 && counters.get("queued") == 20
    })?;
    envoy.logged(&["warning", "no-such-cluster"], PATIENCE)?;
    assert_eq!(envoy.log().matches("no-such-cluster").count(), 1);
    Ok(())
}

#[test]
fn a_configuration_is_replaced_under_traffic() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let mut envoy = start(recording.address(), &origin, json!({ "name": "first" }))?;
    let (authority, over) = (envoy.authority(), Arc::new(AtomicBool::new(false)));
    let until = over.clone();
    let clients = std::thread::spawn(move || {
        // A connection for ten requests each, so that none is closed by Envoy while a request is on its way.
        let mut sent = 0;
        while !until.load(Ordering::Relaxed) {
            let url = format!("http://{authority}/json?n={sent}-[1-10]");
            let answer = curl(["-f", &url])?;
            ensure!(
                answer.exit == 0,
                "{sent}: {} {}",
                answer.status,
                answer.error
            );
            sent += 10;
        }
        anyhow::Ok(sent)
    });
    for n in 0..4 {
        let more = json!({ "flush_interval_ms": 20, "name": format!("version {n}") });
        let taken = envoy.reconfigure(Some(settings(recording.address(), &more)))?;
        assert_eq!(taken, Ok(()));
        wait_until("the new one sends", PATIENCE, || {
            let batches = recording.batches();
            let names = batches.iter().filter_map(|batch| batch.shim.as_ref());
            names
                .into_iter()
                .any(|shim| shim.name == format!("version {n}"))
        })?;
    }
    over.store(true, Ordering::Relaxed);
    let sent: u64 = clients
        .join()
        .map_err(|_| anyhow::anyhow!("the clients' thread panicked"))??;
    let counters = envoy.drained(sent, PATIENCE)?;
    assert_eq!(
        (counters.get("acknowledged"), counters.get("queue_bytes")),
        (sent, 0),
        "what the old ones had was sent, too: {counters:?}"
    );
    assert_eq!(recording.exchanges().len() as u64, sent);
    Ok(())
}
