//! Many exchanges through two, four and eight TMMs while their log traffic is disturbed: what was captured came, or is reported
//! missing; and no client ever notices.

use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use serde_json::json;
use silhouette_e2e::bigip::{BigIp, Fault, Setup};
use silhouette_e2e::flood::{Call, flood};
use silhouette_e2e::process::wait_until;
use silhouette_e2e::{Collector, Origin, curl};

const LONG: Duration = Duration::from_secs(180);
const NAME: &str = "bigip-1";

fn calls(n: u64) -> Call {
    match n % 4 {
        0 => (Method::GET, format!("/echo/items/{n}"), None),
        1 => (Method::GET, format!("/json?size={}", 64 + n % 200), None),
        2 => {
            let body = json!({ "name": format!("item {n}"), "amount": n, "note": null });
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

fn captured_is_received_and_gaps(tmms: usize, count: u64) -> Result<()> {
    let origin = Origin::start()?;
    let (collector, key) = Collector::start_with_hsl_key(NAME, &[])?;
    let mut setup = Setup::capturing(collector.hsl()?, (NAME, &key), origin.address(), &[]);
    setup.tmms = tmms;
    let bigip = BigIp::start(&setup.with(&["--hsl-connections", "2"]))?;
    for (fault, n) in [
        (Fault::Lose, 97),
        (Fault::Refuse, 101),
        (Fault::Double, 89),
        (Fault::Reorder, 53),
        (Fault::Delay, 211),
        (Fault::Cut, 1009),
    ] {
        bigip.every(fault, n)?;
    }
    let done = flood(&bigip.authority(), count, 16, calls)?;
    assert_eq!(
        (done.answered, done.failed),
        (count, 0),
        "{:?}",
        done.reasons
    );
    bigip.no_faults()?;
    // A TMM's last record shows what it lost before: each TMM takes one connection in turn.
    for _ in 0..tmms {
        curl([bigip.url("/json?last")])?;
    }
    let captured: u64 = bigip
        .statics("sil_seq")?
        .iter()
        .filter_map(|n| n.parse::<u64>().ok())
        .sum();
    assert_eq!(captured, bigip.stat("hsl_sends")?);
    assert_eq!(captured, count + tmms as u64);
    let sum = |member: &str| collector.hsl_sum(member);
    let stats = bigip.stats()?;
    let stat = |name: &str| stats.get(name).copied().unwrap_or(0);
    let broken = stat("hsl_lost") + stat("hsl_refused") + stat("hsl_cut");
    for fault in ["hsl_lost", "hsl_refused", "hsl_cut", "hsl_doubled"] {
        assert!(stat(fault) > count / 2_500, "{stats:?}");
    }
    // Second copies, and what was delayed for longer than it takes to be called lost, may come at the very last.
    wait_until("every record came, or is lost", LONG, || {
        let all = || -> Result<bool> {
            Ok(sum("captured")? == captured
                && sum("late")? == 0
                && sum("received")? + broken == captured
                && sum("lost")? == broken
                && sum("doubled")? == stat("hsl_doubled"))
        };
        all().unwrap_or(false)
    })
    .with_context(|| {
        let told = collector.get("/v1/hsl").map(|answer| answer.text());
        format!("{captured} captured: {told:?}\n{stats:?}")
    })?;
    let refused = stat("hsl_refused");
    assert_eq!(sum("refused_by_hsl")?, refused, "{stats:?}");
    let received = sum("received")?;
    wait_until("what came is learnt, once", LONG, || {
        let hosts = collector.get("/v1/hosts").and_then(|answer| answer.json());
        hosts.is_ok_and(|hosts| {
            let hosts = hosts["hosts"].as_array().into_iter().flatten();
            hosts
                .filter_map(|host| host["exchanges"].as_u64())
                .sum::<u64>()
                == received
        })
    })?;
    for operation in [
        "GET /echo/items/{}",
        "PUT /echo/items/{}",
        "POST /echo/items",
    ] {
        let found = collector.operations(&bigip.authority())?;
        assert!(found.contains(operation), "{operation}: {found:?}");
    }
    bigip.clean()
}

#[test]
fn six_thousand_over_two_tmms() -> Result<()> {
    captured_is_received_and_gaps(2, 6_000)
}

#[test]
fn six_thousand_over_four_tmms() -> Result<()> {
    captured_is_received_and_gaps(4, 6_000)
}

#[test]
fn twenty_thousand_over_eight_tmms() -> Result<()> {
    captured_is_received_and_gaps(8, 20_000)
}
