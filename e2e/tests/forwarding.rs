//! Forwarding between the real collector and the real catalog, while either is killed again and again: nothing is lost, nothing is doubled.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use silhouette_catalog::Millis;
use silhouette_catalog::access::{Actor, organisations};
use silhouette_catalog::inventory::{self, ApiFilter, ApiSort, RevisionsOf};
use silhouette_catalog::sources;
use silhouette_catalog::store::{Direction, Page, Store};
use silhouette_e2e::process::{self, Process};
use silhouette_e2e::{Collector, artifacts};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{
    Body, Exchange, ExportRequest, Header, Request, Response, Shim,
};
use tonic::transport::Endpoint;

const HOSTS: u64 = 250;
/// Revisions of each host: 1,000 pushes.
const REVISIONS: u64 = 4;
/// Either side is killed, on average, so often.
const BETWEEN_KILLS: std::ops::Range<u64> = 300..1500;
/// For everything to arrive, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A real catalog that keeps its address.
struct Catalog {
    process: Process,
    address: String,
}

impl Catalog {
    fn start(dir: &Path, address: &str) -> Result<Catalog> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("catalog.log"))?;
        let mut command = process::tied(artifacts::built("silhouette-catalog")?);
        command
            .args([
                "serve",
                "--heartbeat",
                "1s",
                "--listen",
                address,
                "--data-dir",
            ])
            .arg(dir.join("catalog"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = Process::spawn("silhouette-catalog", &mut command)?;
        let mut stdout = BufReader::new(process.stdout().context("its standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let Some(address) = line.trim().strip_prefix("listening http://") else {
            let log = std::fs::read_to_string(dir.join("catalog.log"))?;
            bail!("the catalog did not start: {line}\n{log}");
        };
        Ok(Catalog {
            process,
            address: address.trim_end_matches('/').to_owned(),
        })
    }
}

fn store_of(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("catalog/catalog.db").display())
}

/// Adds a source, as a person does; a registration token for it.
async fn token(dir: &Path) -> Result<String> {
    let store = Store::open(&store_of(dir), 1).await?;
    let organisation = organisations::all(&store).await?.remove(0).id;
    let actor = Actor::command_line(organisation);
    let new = sources::New {
        name: "edge",
        kind: sources::Kind::TrafficAnalyzer,
        settings: serde_json::Value::Null,
        exclude_empty: true,
        auto_sync: true,
    };
    let now = Millis::now();
    let source = sources::create(&store, &actor, new, now).await?;
    let lifetime = Duration::from_secs(3600);
    let made = sources::make_token(&store, &actor, &source, lifetime, now).await?;
    store.close().await;
    Ok(made.secret)
}

/// Every revision the catalog keeps, by API: its number and the collector's, oldest first.
async fn kept(dir: &Path) -> Result<BTreeMap<String, Vec<(u64, Option<u64>)>>> {
    let store = Store::open(&store_of(dir), 1).await?;
    let organisation = organisations::all(&store).await?.remove(0).id;
    let actor = Actor::command_line(organisation);
    let mut kept = BTreeMap::new();
    for number in 1.. {
        let page = Page::new(number, Page::MAX_SIZE)?;
        let filter = ApiFilter::default();
        let (sort, direction) = (ApiSort::Name, Direction::Ascending);
        let apis = inventory::apis(&store, &actor, &filter, sort, direction, page).await?;
        if apis.items.is_empty() {
            break;
        }
        for api in apis.items {
            let of = RevisionsOf::Api(api.id);
            let page = Page::new(1, Page::MAX_SIZE)?;
            let mut all = inventory::revisions(&store, &actor, &of, page).await?.items;
            all.sort_by_key(|revision| revision.number);
            let all = all.into_iter().map(|it| (it.number, it.sequence));
            kept.insert(api.base_url.to_string(), all.collect());
        }
    }
    store.close().await;
    Ok(kept)
}

fn call(host: u64, id: u128, method: &str, path: String, status: u32, body: &str) -> Exchange {
    let json = || Header {
        name: Bytes::from_static(b"content-type"),
        value: Bytes::from_static(b"application/json"),
    };
    Exchange {
        id: Bytes::copy_from_slice(&id.to_be_bytes()),
        start_unix_nanos: Millis::now().0 as u64 * 1_000_000,
        scheme: "https".into(),
        authority: format!("h{host}.example.com").into_bytes().into(),
        http_version: "1.1".into(),
        request: Some(Request {
            method: method.into(),
            path: path.into_bytes().into(),
            ..Default::default()
        }),
        response: Some(Response {
            status,
            headers: vec![json()],
            body: Some(Body {
                data: Bytes::copy_from_slice(body.as_bytes()),
                original_size: body.len() as u64,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What makes revision `round` of every host: four operations first, then a member more of what is answered.
fn batches(round: u64) -> Vec<ExportRequest> {
    let hosts: Vec<u64> = (0..HOSTS).collect();
    hosts
        .chunks(50)
        .enumerate()
        .map(|(number, hosts)| ExportRequest {
            shim: Some(Shim {
                kind: "nginx".into(),
                version: "0.1.0".into(),
                node: "test".into(),
                instance: vec![7; 16].into(),
                ..Default::default()
            }),
            sequence: round * 100 + number as u64 + 1,
            exchanges: hosts
                .iter()
                .flat_map(|host| {
                    let id = u128::from((round * HOSTS + host) * 10);
                    let members: String =
                        (0..=round).map(|n| format!(",\"member{n}\":1")).collect();
                    let book = format!("{{\"id\":1{members}}}");
                    [
                        call(*host, id, "GET", "/books".into(), 200, "[{\"id\":1}]"),
                        call(*host, id + 1, "POST", "/books".into(), 201, &book),
                        call(*host, id + 2, "GET", "/books/17".into(), 200, "{\"id\":17}"),
                        call(*host, id + 3, "DELETE", "/books/17".into(), 204, ""),
                    ]
                })
                .collect(),
            ..Default::default()
        })
        .collect()
}

/// Sends a batch until it is acknowledged: the collector is killed meanwhile.
async fn export(collector: &Collector, batch: ExportRequest) -> Result<()> {
    let endpoint = Endpoint::from_shared(collector.url())?;
    TelemetryServiceClient::new(endpoint.connect().await?)
        .export(batch)
        .await?;
    Ok(())
}

#[test]
fn killed_again_and_again_on_either_side_nothing_is_lost_or_doubled() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut catalog = Catalog::start(dir.path(), "127.0.0.1:0")?;
    let token = runtime.block_on(token(dir.path()))?;
    let mut collector = Collector::start(&["--settle", "0s"])?;
    let registered = Command::new(artifacts::collector()?)
        .args(["register", "--token", &token, "--data-dir"])
        .arg(collector.data_dir())
        .args(["--catalog", &format!("http://{}", catalog.address)])
        .output()?;
    ensure!(
        registered.status.success(),
        "{}",
        String::from_utf8_lossy(&registered.stderr)
    );
    let mut random = fastrand::Rng::with_seed(4);
    let (mut kills, begun) = ([0, 0], Instant::now());
    for round in 0..REVISIONS {
        for batch in batches(round) {
            runtime.block_on(export(&collector, batch))?;
        }
        loop {
            std::thread::sleep(Duration::from_millis(random.u64(BETWEEN_KILLS)));
            if random.bool() {
                kills[0] += 1;
                catalog.process.kill_9();
                catalog = Catalog::start(dir.path(), &catalog.address)?;
            } else {
                kills[1] += 1;
                collector.kill_9();
                collector.restart()?;
            }
            // Every host has this revision in the outbox, or beyond it.
            let status: serde_json::Value = collector.get("/v1/forwarding")?.json()?;
            let hosts = status["hosts"].as_array().map_or(&[][..], Vec::as_slice);
            let made = hosts
                .iter()
                .filter(|host| host["sequence"].as_u64() > Some(round));
            if made.count() as u64 == HOSTS {
                break;
            }
            ensure!(begun.elapsed() < PATIENCE, "waited in vain: {status}");
        }
    }
    loop {
        let status: serde_json::Value = collector.get("/v1/forwarding")?.json()?;
        if status["outbox"]["pending"] == 0 && status["state"] == "connected" {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "waited in vain: {status}");
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "{} pushes in {:.0} s; the catalog was killed {} times, the collector {}",
        HOSTS * REVISIONS,
        begun.elapsed().as_secs_f64(),
        kills[0],
        kills[1]
    );
    catalog.process.kill_9();
    let kept = runtime.block_on(kept(dir.path()))?;
    assert_eq!(kept.len() as u64, HOSTS);
    for (api, revisions) in kept {
        let numbers: Vec<u64> = revisions.iter().map(|it| it.0).collect();
        assert_eq!(numbers, (1..=REVISIONS).collect::<Vec<_>>(), "{api}");
        let theirs: Vec<Option<u64>> = revisions.iter().map(|it| it.1).collect();
        assert!(theirs.is_sorted_by(|a, b| a < b), "{api}: {theirs:?}");
    }
    Ok(())
}
