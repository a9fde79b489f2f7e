//! nginx's own life goes on, whatever the collector does: reload and quit within two seconds.

use std::time::Duration;

use anyhow::{Result, bail};
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::recording::Behaviour;
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Collector, Nginx, Origin, Recording, curl};

/// What an operator may expect of `nginx -s quit` and `-s reload`.
const PROMISED: Duration = Duration::from_secs(2);
/// What the module waits for it waits for each time; a busy machine is late now and then.
const TRIES: usize = 8;

fn some_requests(nginx: &Nginx) -> Result<()> {
    for n in 0..50 {
        let answer = curl(["-d", &"x".repeat(100), &nginx.url(&format!("/echo/{n}"))])?;
        assert_eq!(answer.status, 200, "{}", answer.error);
    }
    Ok(())
}

/// Reloads and quits while the collector is in whatever state it is.
fn reloads_and_quits(start: impl Fn() -> Result<Nginx>) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..TRIES {
        let mut nginx = start()?;
        some_requests(&nginx)?;
        let reload = nginx.reload()?;
        some_requests(&nginx)?;
        let quit = nginx.quit()?;
        let log = nginx.error_log();
        assert!(
            !log.contains("exited on signal"),
            "a worker crashed:\n{log}"
        );
        if reload.max(quit) < PROMISED {
            return Ok(());
        }
        took.push((reload, quit));
    }
    bail!("not once within {PROMISED:?}; reload and quit took {took:?}")
}

fn nginx_to(collector: &str, origin: &Origin) -> Result<Nginx> {
    Nginx::start(2, |layout| {
        capturing(layout, collector, &origin.url(""), "")
    })
}

/// Waits until each worker has its stream to the collector.
fn connected(nginx: &Nginx) -> Result<()> {
    wait_until("both workers are connected", PATIENCE, || {
        nginx.counters().is_ok_and(|counters| {
            counters
                .0
                .to_string()
                .matches("\"state\":\"connected\"")
                .count()
                == 2
        })
    })
}

#[test]
fn with_the_collector_up() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    reloads_and_quits(|| nginx_to(&collector.url(), &origin))
}

#[test]
fn what_was_captured_before_a_reload_or_the_end_still_arrives() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let mut nginx = nginx_to(&collector.url(), &origin)?;
    connected(&nginx)?;
    some_requests(&nginx)?;
    nginx.reload()?;
    connected(&nginx)?;
    some_requests(&nginx)?;
    nginx.quit()?;
    wait_until("all 100 are acknowledged", PATIENCE, || {
        collector
            .metric("silhouette_exchanges_acknowledged_total", "")
            .is_ok_and(|n| n == 100.0)
    })
}

#[test]
fn with_the_collector_down() -> Result<()> {
    let origin = Origin::start()?;
    let nobody = format!("http://127.0.0.1:{}", silhouette_e2e::process::free_port()?);
    reloads_and_quits(|| nginx_to(&nobody, &origin))
}

#[test]
fn with_a_collector_that_is_not_trusted() -> Result<()> {
    let (origin, authority, other) = (Origin::start()?, Authority::new()?, Authority::new()?);
    let recording = Recording::start_tls(&authority.server()?)?;
    let ca = format!("silhouette_tls_ca {};", other.ca_file().display());
    reloads_and_quits(|| {
        Nginx::start(2, |layout| {
            capturing(layout, &recording.tls_url(), &origin.url(""), &ca)
        })
    })
}

#[test]
fn with_the_collector_stopped() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    reloads_and_quits(|| {
        collector.resume()?;
        let nginx = nginx_to(&collector.url(), &origin)?;
        connected(&nginx)?;
        collector.pause()?;
        Ok(nginx)
    })?;
    collector.resume()?;
    assert_eq!(collector.get("/healthz")?.status, 200);
    Ok(())
}

#[test]
fn with_a_collector_that_never_acknowledges_or_never_speaks() -> Result<()> {
    let origin = Origin::start()?;
    for behaviour in [
        Behaviour::NeverAcknowledge,
        Behaviour::Silent,
        Behaviour::Garbage,
        Behaviour::Close,
    ] {
        let recording = Recording::start()?;
        recording.behave(behaviour.clone());
        reloads_and_quits(|| nginx_to(&recording.url(), &origin))
            .map_err(|error| error.context(format!("{behaviour:?}")))?;
    }
    Ok(())
}

#[test]
fn after_a_stop_the_collector_catches_up() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let nginx = nginx_to(&collector.url(), &origin)?;
    some_requests(&nginx)?;
    collector.pause()?;
    some_requests(&nginx)?;
    collector.resume()?;
    let shim = nginx.drained(100, PATIENCE)?;
    assert_eq!(
        (shim.get("acknowledged"), shim.dropped()),
        (100, 0),
        "{shim:?}"
    );
    Ok(())
}
