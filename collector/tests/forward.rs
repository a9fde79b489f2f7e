//! Forwarding: the real collector, and a catalog that keeps to the protocol and fails when it is told to.

mod catalog;
mod collector;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use catalog::{Catalog, Fault, Kept, TOKEN};
use silhouette_proto::telemetry::v1::{Gateway, Header};

use collector::{Collector, batch, binary, exchange};

/// Everything at once.
const ARGS: [&str; 4] = ["--settle", "0s", "--seen-interval", "1s"];

fn run(dir: &Path, args: &[&str]) -> (bool, String) {
    let output = binary()
        .args(args)
        .arg("--data-dir")
        .arg(dir.join("data"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn register(dir: &Path, catalog: &Catalog) {
    let (fine, text) = run(
        dir,
        &["register", "--catalog", &catalog.url(), "--token", TOKEN],
    );
    assert!(fine && text.contains("source `Edge`"), "{text}");
}

/// Calls of the four operations of a small API.
async fn learn(collector: &Collector, sequence: u64, host: &str) {
    let mut client = collector.client().await;
    client.export(batch(1, sequence, host, 8)).await.unwrap();
    collector.learnt();
}

/// A call of one operation more.
async fn learn_more(collector: &Collector, sequence: u64, host: &str, path: &str) {
    let mut batch = batch(1, sequence, host, 0);
    let mut call = exchange(host, 4 * sequence);
    let request = call.request.as_mut().unwrap();
    request.path = path.to_owned().into_bytes().into();
    request.headers.push(Header {
        name: "User-Agent".into(),
        value: "shop-app/2.1 (linux)".into(),
    });
    call.gateway = Some(Gateway {
        consumer: "alice".into(),
        ..Default::default()
    });
    batch.exchanges = vec![call];
    let mut client = collector.client().await;
    client.export(batch).await.unwrap();
    collector.learnt();
}

fn has(kept: &Kept, host: &str, count: usize) -> bool {
    kept.revisions
        .get(host)
        .is_some_and(|all| all.len() == count)
}

fn sequences(kept: &Kept, host: &str) -> Vec<u64> {
    kept.revisions[host].iter().map(|it| it.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_teaches_and_a_running_collector_takes_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    let url = catalog.url();
    for (args, want) in [
        (
            vec!["--catalog", "catalog.example", "--token", TOKEN],
            "no address of a catalog",
        ),
        (
            vec!["--catalog", "http://catalog.example", "--token", TOKEN],
            "--insecure-http",
        ),
        (
            vec!["--catalog", &url, "--token", "sil_x"],
            "silhouette-collector token create",
        ),
        (
            vec!["--catalog", &url, "--token", "slr_expired"],
            "live 48 hours",
        ),
        (
            vec!["--catalog", &url, "--token", "slr_other"],
            "is it the whole token",
        ),
        (
            vec!["--catalog", "http://127.0.0.1:1", "--token", TOKEN],
            "nothing listens there",
        ),
        (
            vec!["--catalog", &url.replace("http", "https"), "--token", TOKEN],
            "cannot reach the catalog",
        ),
        (
            vec!["--catalog", &url, "--token-file", "/nowhere/token"],
            "/nowhere/token",
        ),
        (vec!["--catalog", &url], "--token"),
    ] {
        let (fine, text) = run(dir.path(), &[&["register"], args.as_slice()].concat());
        assert!(!fine && text.contains(want), "{args:?}: {text}");
    }
    assert_eq!(catalog.kept().registrations, 0);

    let collector = Collector::start(dir.path(), &ARGS);
    let elsewhere = format!("http://{}", collector.admin);
    let (fine, text) = run(
        dir.path(),
        &["register", "--catalog", &elsewhere, "--token", TOKEN],
    );
    assert!(!fine && text.contains("is no Silhouette catalog"), "{text}");
    let (fine, text) = run(dir.path(), &["unregister"]);
    assert!(!fine && text.contains("no registration"), "{text}");
    assert_eq!(collector.json("/v1/forwarding")["state"], "not_registered");
    assert!(!dir.path().join("data/outbox.redb").exists());

    // An answer that is lost: the same command again.
    catalog.fail("registrations", [Fault::Mute]);
    let token = dir.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let file = token.to_str().unwrap();
    let again = ["register", "--catalog", &url, "--token-file", file];
    let (fine, text) = run(dir.path(), &again);
    assert!(!fine && text.contains("cannot reach"), "{text}");
    let (fine, text) = run(dir.path(), &again);
    assert!(fine, "{text}");
    let mode = std::fs::metadata(dir.path().join("data/registration.json")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    catalog
        .wait("a heartbeat", |kept| !kept.beats.is_empty())
        .await;
    let beat = catalog.kept().beats[0].clone();
    assert_eq!(beat["version"], env!("CARGO_PKG_VERSION"));
    collector.wait("it is connected", || {
        collector.json("/v1/forwarding")["state"] == "connected"
    });
    let status = collector.json("/v1/forwarding");
    assert!(status["clock_skew"].as_i64().unwrap() < 0, "{status}");
    assert!(!status.to_string().contains("slc_") && !collector.log().contains("slc_"));
    let admin = format!("http://{}", collector.admin);
    let (fine, text) = run(dir.path(), &["forward", "status", "--collector", &admin]);
    assert!(fine && text.contains("the catalog answers"), "{text}");

    // Another machine with the same token.
    let other = tempfile::tempdir().unwrap();
    let (fine, text) = run(other.path(), &again);
    assert!(!fine && text.contains("has registered another"), "{text}");

    let (fine, text) = run(dir.path(), &["unregister"]);
    assert!(fine, "{text}");
    assert!(catalog.kept().left);
    collector.wait("it has left", || {
        collector.json("/v1/forwarding")["state"] == "not_registered"
    });
    collector.terminate();
    let (fine, text) = run(dir.path(), &["forward", "status"]);
    assert!(fine && text.contains("Not registered"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_pushed_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    std::fs::write(
        &rules,
        "[[host]]\nhosts = [\"ours.example\"]\nignore = true\n",
    )
    .unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let args = [&ARGS[..], &["--rules", rules.to_str().unwrap()]].concat();
    let collector = Collector::start(dir.path(), &args);
    learn(&collector, 1, "shop.example").await;
    learn(&collector, 2, "ours.example").await;
    learn_more(&collector, 3, "few.example", "/books").await;
    catalog
        .wait("the first revision", |kept| has(kept, "shop.example", 1))
        .await;
    catalog
        .wait("figures", |kept| kept.seen.contains_key("shop.example"))
        .await;
    {
        let kept = catalog.kept();
        let document = &kept.revisions["shop.example"][0].document;
        assert_eq!(document["openapi"], "3.1.0");
        let seen = &kept.seen["shop.example"][0];
        assert_eq!(
            (
                &seen["exchanges"],
                seen["operations"].as_array().unwrap().len()
            ),
            (&8.into(), 4)
        );
        assert_eq!(seen["operations"][0]["path"], "/books");
        let callers: Vec<_> = seen["callers"].as_array().unwrap().iter().collect();
        let called = |kind: &str, name: &str| {
            let mut all = callers.iter().filter(|it| it["kind"] == kind);
            all.find(|it| it["name"] == name)
                .map(|it| it["calls"].clone())
        };
        assert_eq!(called("shim", "nginx"), Some(8.into()));
        assert_eq!(called("client", "(no User-Agent)"), Some(8.into()));
        assert_eq!(callers.len(), 2);
    }
    // More of the same: figures, and no revision.
    learn(&collector, 4, "shop.example").await;
    catalog
        .wait("newer figures", |kept| {
            kept.seen["shop.example"].last().unwrap()["exchanges"] == 16
        })
        .await;
    learn_more(&collector, 5, "shop.example", "/authors").await;
    catalog
        .wait("the second revision", |kept| has(kept, "shop.example", 2))
        .await;
    catalog
        .wait("hosts are counted", |kept| {
            let hosts = &kept.beats.last().unwrap()["hosts"];
            hosts["known"] == 2 && hosts["waiting"] == 1
        })
        .await;
    {
        let kept = catalog.kept();
        assert_eq!(sequences(&kept, "shop.example"), [1, 2]);
        assert_eq!(
            kept.revisions.len(),
            1,
            "neither ignored hosts nor small ones"
        );
        assert_eq!(kept.repeated, 0);
    }
    // The catalog knows before the collector has its answer.
    collector.wait("both are delivered", || {
        collector.metric("silhouette_forward_revisions_delivered_total") == 2
    });
    assert_eq!(collector.metric("silhouette_forward_hosts_waiting"), 1);
    // A restart sends nothing again.
    collector.kill();
    let beats = catalog.kept().beats.len();
    let collector = Collector::start(dir.path(), &args);
    learn_more(&collector, 6, "shop.example", "/publishers").await;
    catalog
        .wait("the third revision", |kept| has(kept, "shop.example", 3))
        .await;
    assert!(catalog.kept().beats.len() > beats);
    assert_eq!(catalog.kept().repeated, 0);
    // Callers are kept with the models: each call counts once, over the kill too.
    catalog
        .wait("who called", |kept| {
            let seen = kept.seen["shop.example"].last().unwrap();
            let callers = seen["callers"].as_array().unwrap();
            let calls = |name: &str| {
                let caller = callers.iter().find(|it| it["name"] == name);
                caller.map(|it| (it["kind"].clone(), it["calls"].clone()))
            };
            calls("nginx") == Some(("shim".into(), 18.into()))
                && calls("alice") == Some(("consumer".into(), 2.into()))
                && calls("shop-app") == Some(("client".into(), 2.into()))
        })
        .await;
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_absence_neither_lose_nor_double_anything() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = Collector::start(dir.path(), &ARGS);
    catalog.fail(
        "/revisions/",
        [
            Fault::Mute,
            Fault::Deaf,
            Fault::Refuse(503, "busy", Some(1)),
            Fault::Mute,
        ],
    );
    learn(&collector, 1, "a.example").await;
    learn(&collector, 2, "b.example").await;
    catalog
        .wait("both", |kept| {
            kept.revisions.len() == 2 && kept.repeated >= 2
        })
        .await;
    // Away: what changes waits, in order.
    catalog.kept().down = true;
    collector.wait("it is noticed", || {
        collector.json("/v1/forwarding")["state"] == "away"
    });
    for (sequence, path) in [(3, "/authors"), (4, "/publishers")] {
        learn_more(&collector, sequence, "a.example", path).await;
        collector.wait("it waits", || {
            collector.json("/v1/forwarding")["outbox"]["pending"] == sequence - 2
        });
    }
    let status = collector.json("/v1/forwarding");
    let last = status["last_error"].as_str().unwrap();
    assert!(last.contains("cannot reach the catalog"), "{last}");
    let waits = &status["hosts"][0];
    assert_eq!(
        (&waits["host"], &waits["pending"]),
        (&"a.example".into(), &2.into())
    );
    // The collector is killed, too, and the catalog comes back later than it.
    collector.kill();
    let (fine, text) = run(dir.path(), &["forward", "status", "--json"]);
    assert!(
        fine && text.contains("\"state\": \"not_running\"") && text.contains("\"pending\": 2"),
        "{text}"
    );
    let collector = Collector::start(dir.path(), &ARGS);
    collector.wait("it tries", || {
        collector.json("/v1/forwarding")["state"] == "away"
    });
    catalog.kept().down = false;
    catalog.wait("all", |kept| has(kept, "a.example", 3)).await;
    assert_eq!(sequences(&catalog.kept(), "a.example"), [1, 2, 3]);
    collector.wait("all is well", || {
        let status = collector.json("/v1/forwarding");
        status["last_error"].is_null() && status["outbox"]["pending"] == 0
    });
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_document_does_not_hold_up_those_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = Collector::start(dir.path(), &ARGS);
    catalog.fail(
        "/a.example/revisions/",
        [Fault::Refuse(422, "no-document", None)],
    );
    catalog.fail(
        "/b.example/revisions/",
        [Fault::Refuse(500, "broken", None)],
    );
    learn(&collector, 1, "a.example").await;
    collector.wait("the refusal is shown", || {
        let hosts = &collector.json("/v1/forwarding")["hosts"];
        hosts[0]["refused"]["status"] == 422 && hosts[0]["pending"] == 0
    });
    catalog
        .wait("the catalog hears of it", |kept| {
            let last = kept
                .beats
                .last()
                .and_then(|beat| beat["lastError"].as_str());
            last.is_some_and(|last| last.contains("a.example") && last.contains("422"))
        })
        .await;
    learn(&collector, 2, "b.example").await;
    catalog
        .wait("the other host", |kept| has(kept, "b.example", 1))
        .await;
    learn_more(&collector, 3, "a.example", "/authors").await;
    catalog
        .wait("the next one", |kept| has(kept, "a.example", 1))
        .await;
    assert_eq!(sequences(&catalog.kept(), "a.example"), [2]);
    collector.wait("it is well", || {
        collector.json("/v1/forwarding")["last_error"].is_null()
    });
    assert_eq!(
        collector.metric("silhouette_forward_failures_total{reason=\"no_document\"}"),
        1
    );
    assert_eq!(
        collector.metric("silhouette_forward_failures_total{reason=\"catalog_error\"}"),
        1
    );

    // Too large: not even sent, until a synchronisation finds more room.
    catalog.kept().document_bytes = 100;
    // A second heartbeat has taken up the answer to the one before.
    let beats = catalog.kept().beats.len();
    catalog
        .wait("it is told", |kept| kept.beats.len() > beats + 1)
        .await;
    learn(&collector, 4, "large.example").await;
    collector.wait("it is too large", || {
        collector.metric("silhouette_forward_failures_total{reason=\"too_large\"}") == 1
    });
    assert!(!catalog.kept().revisions.contains_key("large.example"));
    {
        let mut kept = catalog.kept();
        kept.document_bytes = 10 << 20;
        kept.sync = Some("s1".into());
    }
    catalog
        .wait("it is taken", |kept| has(kept, "large.example", 1))
        .await;
    catalog
        .wait("the outcome", |kept| kept.sync.is_none())
        .await;
    let report = |kept: &Kept| {
        let ended = kept
            .beats
            .iter()
            .rev()
            .find(|beat| beat["sync"]["state"] != "running" && !beat["sync"].is_null());
        ended.map(|beat| beat["sync"].clone()).unwrap()
    };
    assert_eq!(report(&catalog.kept())["state"], "completed");
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auto_sync_revisions_wait_for_a_synchronisation() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    catalog.kept().auto_sync = false;
    register(dir.path(), &catalog);
    // Nothing would settle while this test runs.
    let collector = Collector::start(dir.path(), &["--settle", "1h", "--settle-limit", "1h"]);
    learn(&collector, 1, "a.example").await;
    learn(&collector, 2, "b.example").await;
    collector.wait("the hosts are known", || {
        collector.json("/v1/forwarding")["hosts_known"] == 2
    });
    // It learns so with its first heartbeat.
    collector.wait("it knows to wait", || {
        collector.json("/v1/forwarding")["auto_sync"] == false
    });
    catalog.kept().sync = Some("s1".into());
    catalog
        .wait("everything", |kept| {
            kept.revisions.len() == 2 && kept.sync.is_none()
        })
        .await;
    let running = catalog
        .kept()
        .beats
        .iter()
        .any(|beat| beat["sync"]["id"] == "s1");
    assert!(running);
    assert_eq!(
        collector.json("/v1/forwarding")["sync"]["state"],
        "completed"
    );
    // What cannot be sent is named.
    learn_more(&collector, 3, "a.example", "/authors").await;
    catalog.fail("/revisions/", vec![Fault::Refuse(500, "broken", None); 9]);
    catalog.kept().sync = Some("s2".into());
    catalog
        .wait("it has failed", |kept| kept.sync.is_none())
        .await;
    let failed = catalog
        .kept()
        .beats
        .iter()
        .rev()
        .find(|beat| beat["sync"]["id"] == "s2")
        .unwrap()["sync"]
        .clone();
    assert_eq!(failed["state"], "failed");
    let why = failed["error"].as_str().unwrap();
    assert!(
        why.contains("a.example") && why.contains("it is broken"),
        "{why}"
    );
    assert!(has(&catalog.kept(), "a.example", 1));
    catalog.kept().faults.clear();
    catalog.kept().sync = Some("s3".into());
    catalog
        .wait("the rest", |kept| {
            has(kept, "a.example", 2) && kept.sync.is_none()
        })
        .await;
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_replaced_though_answers_get_lost() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = Collector::start(dir.path(), &ARGS);
    catalog
        .wait("a heartbeat", |kept| !kept.beats.is_empty())
        .await;
    let first = catalog.kept().credential.clone();
    catalog.fail("/credential", [Fault::Mute, Fault::Deaf]);
    catalog.kept().rotate = true;
    catalog
        .wait("the first answer is lost", |kept| kept.next.is_some())
        .await;
    catalog.kept().rotate = true;
    catalog
        .wait("another one is in use", |kept| {
            kept.credential != first && kept.next.is_none()
        })
        .await;
    learn(&collector, 1, "a.example").await;
    catalog
        .wait("a revision", |kept| has(kept, "a.example", 1))
        .await;
    let file = || std::fs::read_to_string(dir.path().join("data/registration.json")).unwrap();
    collector.wait("it is written down", || {
        file().contains(&catalog.kept().credential) && file().contains("\"next_credential\": null")
    });
    // The answer of its first use is lost, and the collector is killed before it knows.
    let second = catalog.kept().credential.clone();
    {
        let mut kept = catalog.kept();
        kept.rotate = true;
        kept.faults.push(("/credential", [].into()));
    }
    catalog
        .wait("a third is given", |kept| {
            kept.credential != second || kept.next.is_some()
        })
        .await;
    collector.kill();
    let collector = Collector::start(dir.path(), &ARGS);
    catalog
        .wait("it is in use", |kept| {
            kept.credential != second && kept.next.is_none()
        })
        .await;
    learn_more(&collector, 2, "a.example", "/authors").await;
    catalog
        .wait("another revision", |kept| has(kept, "a.example", 2))
        .await;
    assert_eq!(catalog.kept().uses_of_dead, 0);
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_credential_ends_it_until_it_is_registered_again() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = Collector::start(dir.path(), &ARGS);
    learn(&collector, 1, "a.example").await;
    catalog
        .wait("a revision", |kept| has(kept, "a.example", 1))
        .await;
    catalog.kept().credential = "slc_revoked".into();
    collector.wait("it is told", || {
        collector.json("/v1/forwarding")["state"] == "refused"
    });
    let status = collector.json("/v1/forwarding");
    let last = status["last_error"].as_str().unwrap();
    assert!(
        last.contains("silhouette-collector register --catalog"),
        "{last}"
    );
    let dead = catalog.kept().uses_of_dead;
    assert!((1..=3).contains(&dead), "{dead}");
    learn_more(&collector, 2, "a.example", "/authors").await;
    collector.wait("it waits", || {
        collector.json("/v1/forwarding")["outbox"]["pending"] == 1
    });
    assert_eq!(catalog.kept().uses_of_dead, dead, "it keeps quiet");
    register(dir.path(), &catalog);
    catalog
        .wait("it goes on", |kept| has(kept, "a.example", 2))
        .await;
    // Another source of the same catalog has nothing yet: everything is sent anew.
    let token = format!("{TOKEN}2");
    let url = catalog.url();
    catalog.kept().revisions.clear();
    let (fine, text) = run(
        dir.path(),
        &["register", "--catalog", &url, "--token", &token],
    );
    assert!(fine && text.contains("takes the place"), "{text}");
    catalog
        .wait("everything", |kept| has(kept, "a.example", 1))
        .await;
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_data_directory_and_a_restored_catalog_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = Collector::start(dir.path(), &ARGS);
    learn(&collector, 1, "a.example").await;
    catalog
        .wait("a revision", |kept| has(kept, "a.example", 1))
        .await;
    collector.terminate();
    let copy = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(dir.path().join("data"))
        .arg(copy.path())
        .status();
    assert!(copied.unwrap().success());
    let collector = Collector::start(dir.path(), &ARGS);
    for (sequence, path) in [(2, "/authors"), (3, "/publishers")] {
        learn_more(&collector, sequence, "a.example", path).await;
        catalog
            .wait("it goes on", |kept| {
                has(kept, "a.example", sequence as usize)
            })
            .await;
    }
    collector.terminate();
    // The copy knows of one revision, the catalog has three.
    let collector = Collector::start(copy.path(), &ARGS);
    learn_more(&collector, 2, "a.example", "/shelves").await;
    catalog
        .wait("the copy's", |kept| has(kept, "a.example", 4))
        .await;
    assert_eq!(sequences(&catalog.kept(), "a.example"), [1, 2, 3, 4]);
    // The catalog was restored from before the host: it says so when it is told what was called.
    catalog.kept().revisions.clear();
    learn(&collector, 3, "a.example").await;
    catalog
        .wait("it has the host again", |kept| has(kept, "a.example", 1))
        .await;
    catalog.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_while_it_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::start().await;
    register(dir.path(), &catalog);
    let collector = Collector::start(dir.path(), &ARGS);
    let hosts = 200;
    for n in 0..hosts {
        let mut client = collector.client().await;
        let host = format!("h{n}.example");
        client.export(batch(1, n + 1, &host, 8)).await.unwrap();
    }
    collector.learnt();
    let mut collector = Some(collector);
    for round in 0..200_u64 {
        let before = catalog.kept().revisions.len();
        if before == hosts as usize {
            break;
        }
        catalog.fail("/revisions/", [Fault::Mute]);
        catalog
            .wait("some more", |kept| kept.revisions.len() > before)
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(13 * (round % 5))).await;
        collector.take().unwrap().kill();
        collector = Some(Collector::start(dir.path(), &ARGS));
    }
    let collector = collector.unwrap();
    collector.wait("all is sent", || {
        let status = collector.json("/v1/forwarding");
        status["outbox"]["pending"] == 0 && catalog.kept().revisions.len() == hosts as usize
    });
    let kept = catalog.kept();
    for (host, all) in &kept.revisions {
        assert_eq!(all.len(), 1, "{host}");
    }
    drop(kept);
    catalog.check();
}
