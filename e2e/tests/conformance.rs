//! The same traffic through every gateway gives the same document, byte for byte, apart from what `x-silhouette` says about the
//! evidence.
//!
//! In: the bookshop, played by one person with one seed, so that the shop is asked the same and answers the same each time. A
//! gateway more is one row in [`GATEWAYS`].

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use silhouette_e2e::bookshop::Bookshop;
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::play::{Play, play};
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::workerd::Setup;
use silhouette_e2e::{BigIp, Collector, Envoy, Nginx, Workerd, bigip};

const HOST: &str = "shop.example";
const BIGIP: &str = "bigip-1";
const REQUESTS: u64 = 3000;

/// Starts a gateway with its shim in front of the shop, with the collector's key for a BIG-IP: its base URL, and what keeps it running.
type Start = fn(&Collector, SocketAddr, &str) -> Result<(String, Box<dyn Any>)>;

const GATEWAYS: [(&str, Start); 4] = [
    ("nginx", nginx),
    ("envoy", envoy),
    ("cloudflare", cloudflare),
    ("f5", f5),
];

/// The play is as fast as it can be; here nothing may be lost, or the documents stand on other evidence.
const QUEUE_BYTES: &str = "32m";

fn nginx(collector: &Collector, shop: SocketAddr, _: &str) -> Result<(String, Box<dyn Any>)> {
    let shop = format!("http://{shop}");
    let nginx = Nginx::start(1, |layout| {
        let more = format!("access_log off; silhouette_queue_bytes {QUEUE_BYTES};");
        capturing(layout, &collector.url(), &shop, &more)
    })?;
    Ok((nginx.url(""), Box::new(nginx)))
}

fn envoy(collector: &Collector, shop: SocketAddr, _: &str) -> Result<(String, Box<dyn Any>)> {
    let more = json!({ "queue_bytes": QUEUE_BYTES });
    let envoy = Envoy::start(silhouette_e2e::envoy::Setup::capturing(
        collector.telemetry(),
        shop,
        &more,
    ))?;
    Ok((envoy.url(""), Box::new(envoy)))
}

fn cloudflare(collector: &Collector, shop: SocketAddr, _: &str) -> Result<(String, Box<dyn Any>)> {
    let more = json!({ "queue_bytes": QUEUE_BYTES });
    let workerd = Workerd::start(&Setup::capturing(&collector.url(), shop, &more)?)?;
    Ok((workerd.url(""), Box::new(workerd)))
}

fn f5(collector: &Collector, shop: SocketAddr, hsl_key: &str) -> Result<(String, Box<dyn Any>)> {
    // A rule keeps 8 KiB of a body unless told otherwise; the others keep more than the shop ever sends.
    let more = [("max_request_body", "64k"), ("max_response_body", "64k")];
    let setup = bigip::Setup::capturing(collector.hsl()?, (BIGIP, hsl_key), shop, &more);
    let bigip = BigIp::start(&setup)?;
    Ok((bigip.url(""), Box::new(bigip)))
}

/// The document that comes of the play through one gateway, as text, without `x-silhouette`; and how many exchanges it stands on.
fn reconstructed(start: Start) -> Result<(String, u64)> {
    let shop = Bookshop::start()?;
    let (collector, hsl_key) = Collector::start_with_hsl_key(BIGIP, &[])?;
    let address = shop.url().trim_start_matches("http://").parse()?;
    let (base, _gateway) = start(&collector, address, &hsl_key)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let summary = runtime.block_on(play(
        Play {
            base,
            host: Some(HOST.to_owned()),
            people: 1,
            rate: None,
            requests: REQUESTS,
            time: Duration::from_secs(600),
            seed: 7,
        },
        Arc::new(AtomicU64::new(0)),
    ))?;
    assert_eq!(
        (summary.responses, summary.failures),
        (REQUESTS, 0),
        "{:?}",
        summary.reasons
    );
    let mut exchanges = 0;
    wait_until("everything is learnt", PATIENCE, || {
        let hosts = collector.get("/v1/hosts").and_then(|answer| answer.json());
        exchanges = hosts
            .ok()
            .and_then(|hosts| hosts["hosts"][0]["exchanges"].as_u64())
            .unwrap_or(0);
        exchanges == REQUESTS
    })
    .with_context(|| format!("{exchanges} of {REQUESTS}"))?;
    let mut document = collector.document(HOST)?;
    without_evidence(&mut document);
    Ok((serde_json::to_string_pretty(&document)?, exchanges))
}

fn without_evidence(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| name != "x-silhouette");
            members.values_mut().for_each(without_evidence);
        }
        Value::Array(items) => items.iter_mut().for_each(without_evidence),
        _ => {}
    }
}

#[test]
fn documents_are_the_same_whatever_the_gateway() -> Result<()> {
    let [(first, start), others @ ..] = GATEWAYS;
    let (wanted, _) = reconstructed(start).context(first)?;
    let document: Value = serde_json::from_str(&wanted)?;
    let paths = document["paths"].as_object().map_or(0, |paths| paths.len());
    assert!(paths >= 12, "{paths} paths in {wanted}");
    for (name, start) in others {
        let (document, _) = reconstructed(start).context(name)?;
        let differs = wanted.lines().zip(document.lines()).enumerate();
        let differs = differs.filter(|(_, (a, b))| a != b).take(10);
        let differs: Vec<String> = differs
            .map(|(n, (a, b))| format!("line {n}: {first} {a:?}, {name} {b:?}"))
            .collect();
        assert!(
            document == wanted,
            "the documents differ ({} and {} bytes):\n{}",
            wanted.len(),
            document.len(),
            differs.join("\n")
        );
    }
    Ok(())
}
