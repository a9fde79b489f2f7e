//! Sources that are documents at URLs, fetched from a real server on loopback, on both databases.

mod people;
mod stores;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use people::{at, door, organisation};
use serde_json::json;
use silhouette_catalog::access::Actor;
use silhouette_catalog::bodies::{Bodies, Meters};
use silhouette_catalog::ids::SourceId;
use silhouette_catalog::imports::FetchRules;
use silhouette_catalog::inventory::{ApiFilter, ApiSort, apis};
use silhouette_catalog::sources::{self, Fetching, Kind, New, Status, fetch_due};
use silhouette_catalog::store::{Direction, Page, Store};
use stores::on_each;

const OFFLINE: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);
const LIMIT: u64 = 10_000;

/// What was asked for, in order. Who asks for `/slow…` waits until `/quick` was asked for.
#[derive(Default)]
struct Asked {
    paths: Mutex<Vec<String>>,
    changed: Condvar,
}

fn document(name: &str) -> String {
    let path = json!({ "get": { "responses": { "200": { "description": "OK" } } } });
    json!({
        "openapi": "3.1.0", "info": { "title": name, "version": "1" },
        "servers": [{ "url": format!("https://{name}.example.com") }], "paths": { "/books": path },
    })
    .to_string()
}

fn answer(mut stream: TcpStream, asked: &Asked) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    while lines.next()?.ok()?.trim() != "" {}
    let mut paths = asked.paths.lock().unwrap();
    paths.push(path.clone());
    asked.changed.notify_all();
    if path.starts_with("/slow") {
        let quick = |paths: &mut Vec<String>| !paths.iter().any(|path| path == "/quick");
        let patience = Duration::from_secs(30);
        drop(
            asked
                .changed
                .wait_timeout_while(paths, patience, quick)
                .unwrap(),
        );
    } else {
        drop(paths);
    }
    let (status, more, body) = match path.as_str() {
        "/moved" => ("302 Found", "Location: /found\r\n", String::new()),
        "/inside" => (
            "302 Found",
            "Location: http://169.254.169.254/\r\n",
            String::new(),
        ),
        "/broken" => ("500 Internal Server Error", "", "no".to_owned()),
        "/large" => ("200 OK", "", "x".repeat(LIMIT as usize + 1)),
        "/page" => ("200 OK", "", "<html></html>".to_owned()),
        "/closed" => return None,
        other => ("200 OK", "", document(other.trim_matches('/'))),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()
}

/// A server that lives as long as the program.
fn server() -> (String, Arc<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Asked>::default();
    let here = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = Arc::clone(&here);
            std::thread::spawn(move || answer(stream, &asked));
        }
    });
    (url, asked)
}

async fn source(
    store: &Store,
    actor: &Actor,
    (url, path): (&str, &str),
    auto_sync: bool,
) -> SourceId {
    let new = New {
        name: path,
        kind: Kind::Url,
        settings: json!({ "url": format!("{url}{path}") }),
        exclude_empty: true,
        auto_sync,
    };
    sources::create(store, actor, new, at(0)).await.unwrap()
}

async fn report(store: &Store, actor: &Actor, source: &SourceId) -> (Status, String) {
    let found = sources::get(store, actor, source, (OFFLINE, at(10_000)))
        .await
        .unwrap();
    (found.report.status, found.report.reason)
}

fn how(private_addresses: bool) -> Fetching {
    Fetching {
        rules: FetchRules {
            max_bytes: LIMIT,
            timeout: Duration::from_secs(20),
            private_addresses,
            ..FetchRules::default()
        },
        bodies: Bodies::new(64 << 20, Meters::default()),
        every: HOUR,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_fetched_and_who_is_slow_holds_up_nobody() {
    on_each(async |store: Store| {
        let acme = organisation(&store, &door(), "Acme", "owner@acme.example").await;
        let (url, asked) = server();
        let of = async |path, auto_sync| source(&store, &acme, (&url, path), auto_sync).await;
        // The oldest come first: fetched one after the other, the slow ones would never hear of the quick one.
        let slow = [of("/slow1", true).await, of("/slow2", true).await];
        let quick = of("/quick", true).await;
        let moved = of("/moved", true).await;
        let still = of("/still", false).await;
        let wanted = of("/wanted", false).await;
        sources::sync(&store, &acme, &wanted, at(1)).await.unwrap();
        let fetched = fetch_due(&store, &how(true), || at(10)).await.unwrap();
        assert_eq!(fetched, 5);
        for source in slow.iter().chain([&quick, &moved, &wanted]) {
            let (status, reason) = report(&store, &acme, source).await;
            assert_eq!(status, Status::SyncCompleted, "{reason}");
        }
        assert_eq!(report(&store, &acme, &still).await.0, Status::AwaitingSync);
        let filter = ApiFilter::default();
        let all = async || {
            apis(
                &store,
                &acme,
                &filter,
                ApiSort::default(),
                Direction::Ascending,
                Page::default(),
            )
            .await
            .unwrap()
            .items
        };
        assert_eq!(all().await.len(), 5);

        // Not due yet; then due, and the same as before: nothing new is kept.
        assert_eq!(fetch_due(&store, &how(true), || at(11)).await.unwrap(), 0);
        let before = asked.paths.lock().unwrap().len();
        assert_eq!(
            fetch_due(&store, &how(true), || at(10 + 3_600))
                .await
                .unwrap(),
            4
        );
        assert!(asked.paths.lock().unwrap().len() > before);
        assert!(
            !asked
                .paths
                .lock()
                .unwrap()
                .iter()
                .any(|path| path == "/still")
        );
        for api in all().await {
            assert_eq!(api.updated_at, at(10), "{}", api.name);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_fetched_is_its_sources_status_and_nobody_elses() {
    on_each(async |store: Store| {
        let acme = organisation(&store, &door(), "Acme", "owner@acme.example").await;
        let (url, _) = server();
        let cases = [
            ("/broken", "500"),
            ("/large", "10001 bytes"),
            ("/page", "document"),
            ("/closed", "/closed"),
            ("/inside", "clouds hand out credentials"),
        ];
        let mut failing = Vec::new();
        for (path, says) in cases {
            failing.push((source(&store, &acme, (&url, path), true).await, says));
        }
        let fine = source(&store, &acme, (&url, "/fine"), true).await;
        assert_eq!(fetch_due(&store, &how(true), || at(10)).await.unwrap(), 6);
        for (source, says) in &failing {
            let (status, reason) = report(&store, &acme, source).await;
            assert_eq!(status, Status::SyncFailed, "{reason}");
            assert!(reason.contains(says), "{says} in {reason}");
        }
        assert_eq!(report(&store, &acme, &fine).await.0, Status::SyncCompleted);
        // Without the setting nothing inside of the network is fetched.
        assert_eq!(
            fetch_due(&store, &how(false), || at(10 + 3_600))
                .await
                .unwrap(),
            6
        );
        let (status, reason) = report(&store, &acme, &fine).await;
        assert_eq!(status, Status::SyncFailed);
        assert!(reason.contains("inside of a network"), "{reason}");
    })
    .await;
}
