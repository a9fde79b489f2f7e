//! A disk that takes nothing while revisions are to be kept: the reason is shown on both sides, and nothing is lost or doubled.
//!
//! The limit on the size of files stands for the disk (RLIMIT_FSIZE, which needs no rights): writes past it fail, from one moment to
//! the next, and work again when it is lifted.

mod catalog;
mod collector;

use std::process::Command;

use catalog::{Catalog, Fault, TOKEN};
use collector::{Collector, batch, binary};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// So many bytes of every file can still be written: nothing of a database.
const FULL: Option<u64> = Some(4096);

fn limit(collector: &Collector, bytes: Option<u64>) {
    let pid = Pid::from_raw(collector.pid() as i32);
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// A collector to whom a write past the limit is an error and no signal.
fn start(dir: &std::path::Path) -> Collector {
    // Nothing settles while a test runs: revisions are made when a synchronisation asks for them.
    let args = ["--settle", "1h", "--settle-limit", "1h"];
    let mut program = Command::new("env");
    program.arg("--ignore-signal=XFSZ");
    match Collector::try_start_by(program, dir, &args) {
        Ok(collector) => collector,
        Err(log) => panic!("the collector did not start:\n{log}"),
    }
}

fn register(dir: &std::path::Path, catalog: &Catalog) {
    let url = catalog.url();
    let output = binary()
        .args(["register", "--catalog", &url, "--token", TOKEN])
        .arg("--data-dir")
        .arg(dir.join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn learn(collector: &Collector, sequence: u64, host: &str) {
    let mut client = collector.client().await;
    client.export(batch(1, sequence, host, 8)).await.unwrap();
    collector.learnt();
}

/// Asks for everything, and waits for the outcome.
async fn synchronise(catalog: &Catalog, id: &str) -> serde_json::Value {
    catalog.kept().sync = Some(id.into());
    let outcome = |kept: &catalog::Kept| {
        let mut syncs = kept.beats.iter().rev().map(|beat| &beat["sync"]);
        let ended = syncs.find(|sync| sync["id"] == id && sync["state"] != "running");
        ended.cloned()
    };
    catalog
        .wait("the outcome", |kept| outcome(kept).is_some())
        .await;
    outcome(&catalog.kept()).unwrap()
}

/// What is shown on the collector's side, and was told to the catalog.
async fn is_shown_on_both_sides(collector: &Collector, catalog: &Catalog) {
    collector.wait("the reason is shown", || {
        let last = collector.json("/v1/forwarding")["last_error"].to_string();
        last.contains("outbox.redb") && last.contains("File too large")
    });
    catalog
        .wait("the catalog is told", |kept| {
            let last = kept.beats.last();
            last.is_some_and(|beat| beat["lastError"].to_string().contains("outbox.redb"))
        })
        .await;
}

async fn all_is_well(collector: &Collector, catalog: &Catalog, hosts: &[&str]) {
    collector.wait("all is sent", || {
        let status = collector.json("/v1/forwarding");
        status["last_error"].is_null() && status["outbox"]["pending"] == 0
    });
    let kept = catalog.kept();
    assert!(kept.revisions.keys().eq(hosts), "{:?}", kept.revisions);
    for (host, all) in &kept.revisions {
        assert_eq!(all.len(), 1, "{host}");
    }
    drop(kept);
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_cannot_be_made_is_made_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    let collector = start(dir.path());
    learn(&collector, 1, "a.example").await;
    limit(&collector, FULL);
    register(dir.path(), &catalog);
    is_shown_on_both_sides(&collector, &catalog).await;
    assert!(catalog.kept().revisions.is_empty());
    limit(&collector, None);
    let outcome = synchronise(&catalog, "s1").await;
    assert_eq!(outcome["state"], "completed", "{outcome}");
    all_is_well(&collector, &catalog, &["a.example"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_outbox_loses_nothing_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = start(dir.path());
    // The first waits in the outbox already, the second is learnt and not yet in it. More often than anything tries: by
    // itself, too, the first is pushed.
    catalog.fail("/revisions/", vec![Fault::Refuse(500, "broken", None); 30]);
    learn(&collector, 1, "a.example").await;
    let outcome = synchronise(&catalog, "s1").await;
    assert_eq!(outcome["state"], "failed", "{outcome}");
    learn(&collector, 2, "b.example").await;

    limit(&collector, FULL);
    catalog.kept().faults.clear();
    let outcome = synchronise(&catalog, "s2").await;
    assert_eq!(outcome["state"], "failed", "{outcome}");
    let why = outcome["error"].as_str().unwrap();
    assert!(why.contains("outbox.redb"), "{why}");
    is_shown_on_both_sides(&collector, &catalog).await;
    assert!(!catalog.kept().revisions.contains_key("b.example"));

    // Killed in this state, too: what was in the outbox is in it.
    limit(&collector, None);
    collector.kill();
    let collector = start(dir.path());
    let outcome = synchronise(&catalog, "s3").await;
    assert_eq!(outcome["state"], "completed", "{outcome}");
    all_is_well(&collector, &catalog, &["a.example", "b.example"]).await;

    // And without a restart.
    limit(&collector, FULL);
    let outcome = synchronise(&catalog, "s4").await;
    println!("{outcome}");
    limit(&collector, None);
    learn(&collector, 3, "c.example").await;
    let outcome = synchronise(&catalog, "s5").await;
    assert_eq!(outcome["state"], "completed", "{outcome}");
    all_is_well(
        &collector,
        &catalog,
        &["a.example", "b.example", "c.example"],
    )
    .await;
}
