//! Forwarding between the real collector and the real catalog, while either is killed again and again: nothing is lost, nothing is doubled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use silhouette_e2e::{Catalog, Collector, Rest, calls};
use silhouette_proto::telemetry::v1::ExportRequest;

const HOSTS: u64 = 250;
/// Revisions of each host: 1,000 pushes.
const REVISIONS: u64 = 4;
/// Either side is killed, on average, so often.
const BETWEEN_KILLS: std::ops::Range<u64> = 300..1500;
/// For everything to arrive, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Every revision the catalog keeps, by API: its number and the collector's, oldest first.
fn kept(rest: &Rest) -> Result<BTreeMap<String, Vec<(u64, u64)>>> {
    let mut kept = BTreeMap::new();
    for api in rest.all("/api/v1/apis")? {
        let (id, name) = (&api["id"], &api["baseUrl"]);
        let (id, name) = (
            id.as_str().context("no id")?,
            name.as_str().context("no URL")?,
        );
        let revisions = rest.all(&format!("/api/v1/apis/{id}/revisions"))?;
        let mut numbers = Vec::new();
        for revision in revisions {
            let number = |name: &str| {
                revision[name]
                    .as_u64()
                    .with_context(|| format!("no {name}: {revision}"))
            };
            numbers.push((number("number")?, number("sequence")?));
        }
        numbers.sort_unstable();
        kept.insert(name.to_owned(), numbers);
    }
    Ok(kept)
}

/// What makes revision `round` of every host: four operations first, then a member more of what is answered.
fn batches(round: u64) -> Vec<ExportRequest> {
    let hosts: Vec<u64> = (0..HOSTS).collect();
    hosts
        .chunks(50)
        .enumerate()
        .map(|(number, hosts)| {
            let calls = hosts.iter().flat_map(|host| {
                let id = u128::from((round * HOSTS + host) * 10);
                let members: String = (0..=round).map(|n| format!(",\"member{n}\":1")).collect();
                let book = format!("{{\"id\":1{members}}}");
                calls::bookshop(&format!("h{host}.example.com"), id, &book)
            });
            calls::batch(round * 100 + number as u64 + 1, calls.collect())
        })
        .collect()
}

#[test]
fn killed_again_and_again_on_either_side_nothing_is_lost_or_doubled() -> Result<()> {
    let mut catalog = Catalog::start(&["--heartbeat", "1s"])?;
    let mut collector = Collector::start(&["--settle", "0s"])?;
    catalog.register(&collector, "edge")?;
    let mut random = fastrand::Rng::with_seed(4);
    let (mut kills, begun) = ([0, 0], Instant::now());
    for round in 0..REVISIONS {
        calls::export(&collector, batches(round))?;
        loop {
            std::thread::sleep(Duration::from_millis(random.u64(BETWEEN_KILLS)));
            if random.bool() {
                kills[0] += 1;
                catalog.kill_9();
                catalog.restart()?;
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
    catalog.kill_9();
    catalog.restart()?;
    let kept = kept(catalog.rest())?;
    assert_eq!(kept.len() as u64, HOSTS);
    for (api, revisions) in kept {
        let numbers: Vec<u64> = revisions.iter().map(|it| it.0).collect();
        assert_eq!(numbers, (1..=REVISIONS).collect::<Vec<_>>(), "{api}");
        let theirs: Vec<u64> = revisions.iter().map(|it| it.1).collect();
        assert!(theirs.is_sorted_by(|a, b| a < b), "{api}: {theirs:?}");
    }
    Ok(())
}
