//! nginx's own life goes on, whatever the collector does: reload and quit within two seconds.

use std::time::Duration;

use anyhow::Result;
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::wait_until;
use silhouette_e2e::recording::Behaviour;
use silhouette_e2e::{Collector, Nginx, Origin, Recording, curl};

/// The promise is two seconds; a loaded machine may take another while for everything around it.
const PROMISED: Duration = Duration::from_millis(3500);

fn some_requests(nginx: &Nginx) -> Result<()> {
    for n in 0..50 {
        let answer = curl(["-d", &"x".repeat(2000), &nginx.url(&format!("/echo/{n}"))])?;
        assert_eq!(answer.status, 200, "{}", answer.error);
    }
    Ok(())
}

/// Reloads and quits while the collector is in whatever state it is.
fn reloads_and_quits(nginx: &mut Nginx) -> Result<()> {
    some_requests(nginx)?;
    let reload = nginx.reload()?;
    assert!(reload < PROMISED, "reload took {reload:?}");
    some_requests(nginx)?;
    let quit = nginx.quit()?;
    assert!(quit < PROMISED, "quit took {quit:?}");
    let log = nginx.error_log();
    assert!(
        !log.contains("exited on signal"),
        "a worker crashed:\n{log}"
    );
    Ok(())
}

fn nginx_to(collector: &str, origin: &Origin) -> Result<Nginx> {
    Nginx::start(2, |layout| {
        capturing(layout, collector, &origin.url(""), "")
    })
}

#[test]
fn with_the_collector_up_what_was_captured_still_arrives() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let mut nginx = nginx_to(&collector.url(), &origin)?;
    reloads_and_quits(&mut nginx)?;
    wait_until("all 100 are acknowledged", Duration::from_secs(20), || {
        collector
            .metric("silhouette_exchanges_acknowledged_total", "")
            .is_ok_and(|n| n == 100.0)
    })
}

#[test]
fn with_the_collector_down() -> Result<()> {
    let origin = Origin::start()?;
    let nobody = silhouette_e2e::process::free_port()?;
    reloads_and_quits(&mut nginx_to(
        &format!("http://127.0.0.1:{nobody}"),
        &origin,
    )?)
}

#[test]
fn with_the_collector_stopped() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let mut nginx = nginx_to(&collector.url(), &origin)?;
    some_requests(&nginx)?;
    wait_until("the stream is up", Duration::from_secs(20), || {
        collector
            .metric("silhouette_exchanges_acknowledged_total", "")
            .is_ok_and(|n| n == 50.0)
    })?;
    collector.pause()?;
    reloads_and_quits(&mut nginx)?;
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
        let mut nginx = nginx_to(&recording.url(), &origin)?;
        reloads_and_quits(&mut nginx).map_err(|error| error.context(format!("{behaviour:?}")))?;
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
    let long = Duration::from_secs(60);
    let shim = nginx.drained(100, long)?;
    assert_eq!(
        (shim.get("acknowledged"), shim.dropped()),
        (100, 0),
        "{shim:?}"
    );
    Ok(())
}
