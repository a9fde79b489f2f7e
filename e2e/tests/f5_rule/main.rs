//! The iRule on an emulated BIG-IP, down to the bytes it gives to HSL: what is in a record, what never is, and that no client
//! ever notices.

mod hazards;
mod secrets;
mod settings;

use std::time::Instant;

use anyhow::{Context, Result};
use silhouette_e2e::bigip::Setup;
use silhouette_e2e::logpool::{KEY, Line};
use silhouette_e2e::matrix::PATIENCE;
use silhouette_e2e::{Answer, BigIp, LogPool, Origin, curl};

/// A BIG-IP whose records are read as they are.
struct Bench {
    bigip: BigIp,
    log: LogPool,
    origin: Origin,
}

impl Bench {
    /// With these settings beside pool and key.
    fn start(more: &[(&str, &str)]) -> Result<Bench> {
        Self::with(more, |_, _| {})
    }

    /// The same, and whatever else is changed in the setup.
    fn with(more: &[(&str, &str)], change: impl FnOnce(&mut Setup, &Origin)) -> Result<Bench> {
        let (log, origin) = (LogPool::start()?, Origin::start()?);
        let mut setup = Setup::capturing(log.address(), KEY, origin.address(), more);
        change(&mut setup, &origin);
        let bigip = BigIp::start(&setup)?;
        Ok(Bench { bigip, log, origin })
    }

    fn get(&self, path: &str, arguments: &[&str]) -> Result<Answer> {
        let url = self.bigip.url(path);
        curl(arguments.iter().copied().chain([url.as_str()]))
    }

    /// Makes the rule read its settings again with the next request.
    fn settle(&self) -> Result<()> {
        self.bigip.forward(6)
    }

    fn records(&self, count: usize) -> Result<Vec<Line>> {
        self.log.wait_for(count, PATIENCE)
    }

    /// Waits for the next record and returns the last.
    fn last(&self, count: usize) -> Result<Line> {
        let mut records = self.records(count)?;
        assert_eq!(records.len(), count);
        records.pop().context("a record")
    }
}

#[test]
fn a_record_says_what_passed() -> Result<()> {
    let bench = Bench::start(&[])?;
    let asked = Instant::now();
    let answer = bench.get(
        "/echo/a%20b?x=1",
        &["-H", "Content-Type: application/json", "-d", "{\"n\":1}"],
    )?;
    assert_eq!(answer.status, 200);
    let waited = u64::try_from(asked.elapsed().as_millis())? + 1;
    let record = bench.log.only(PATIENCE)?;
    let (boot, tmm, sequence) = record.number()?;
    assert_eq!((boot.len(), tmm, sequence), (16, 0, 1));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let began = u64::from_str_radix(boot.get(..8).context("eight digits")?, 16)?;
    assert!(now.as_secs().abs_diff(began) < 60, "{boot}");
    assert!(now.as_secs().abs_diff(record.field(6).parse()?) < 60);
    let (head, whole): (u64, u64) = (record.field(7).parse()?, record.field(8).parse()?);
    assert!(head <= whole && whole <= waited);
    assert_eq!(
        (record.field(4), record.field(5), record.field(9)),
        ("-", "-", "-")
    );
    assert_eq!(record.field(10), "127.0.0.1");
    let vip = format!("{}:{}", record.field(12), record.field(13));
    assert_eq!(vip, bench.bigip.authority());
    let member = format!("{}:{}", record.field(14), record.field(15));
    assert_eq!(member, bench.origin.address().to_string());
    assert_eq!(record.field(16), "1.1");
    assert_eq!(record.field(17), "7");
    assert_eq!(record.field(18), answer.body.len().to_string());
    let facts = record.facts()?;
    for (name, value) in [
        ("host", "bigip-1.example.com"),
        ("tmos", "16.1.4"),
        ("virtual", "/Common/vs_books"),
        ("pool", "/Common/books"),
        ("rule", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(
            facts.get(name).map(String::as_str),
            Some(value),
            "{facts:?}"
        );
    }
    let head = record.request_head()?;
    assert!(
        head.starts_with("POST /echo/a%20b?x=1 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.ends_with("\r\n\r\n"), "{head:?}");
    assert_eq!(record.request_body()?.as_deref(), Some(&b"{\"n\":1}"[..]));
    let head = record.response_head()?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(record.response_body()?.as_deref(), Some(&answer.body[..]));
    bench.bigip.clean()
}

#[test]
fn records_go_by_udp_too() -> Result<()> {
    let (log, origin) = (LogPool::start_udp()?, Origin::start()?);
    let setup = Setup::capturing(
        log.address(),
        KEY,
        origin.address(),
        &[("transport", "udp")],
    );
    let bigip = BigIp::start(&setup)?;
    for n in 0..5 {
        curl([bigip.url(&format!("/json?n={n}"))])?;
    }
    let records = log.wait_for(5, PATIENCE)?;
    let lines: Vec<u64> = records
        .iter()
        .filter_map(|r| Some(r.number().ok()?.2))
        .collect();
    assert_eq!(lines, [1, 2, 3, 4, 5]);
    bigip.clean()
}

#[test]
fn a_datagram_that_would_be_too_long_goes_without_its_bodies() -> Result<()> {
    let (log, origin) = (LogPool::start_udp()?, Origin::start()?);
    let more = [("transport", "udp"), ("max_response_body", "64k")];
    let setup = Setup::capturing(log.address(), KEY, origin.address(), &more);
    let bigip = BigIp::start(&setup)?;
    let answer = curl([bigip.url("/json?size=60000")])?;
    let record = log.only(PATIENCE)?;
    assert_eq!(record.field(18), answer.body.len().to_string());
    assert_eq!(record.response_body()?, None);
    assert!(record.response_head()?.starts_with("HTTP/1.1 200"));
    bigip.clean()
}

#[test]
fn each_tmm_counts_its_own_and_nothing_twice() -> Result<()> {
    let bench = Bench::with(&[], |setup, _| setup.tmms = 4)?;
    for n in 0..20 {
        bench.get(&format!("/json?n={n}"), &[])?;
    }
    let mut numbers = Vec::new();
    for record in bench.records(20)? {
        let (_, tmm, sequence) = record.number()?;
        numbers.push((tmm, sequence));
    }
    numbers.sort_unstable();
    let wanted: Vec<(u64, u64)> = (0..4)
        .flat_map(|tmm| (1..=5).map(move |n| (tmm, n)))
        .collect();
    assert_eq!(numbers, wanted);
    bench.bigip.clean()
}

#[test]
fn tls_facts_are_the_clients() -> Result<()> {
    let facts = "version=TLSv1.3,cipher=TLS_AES_128_GCM_SHA256,bits=128,sni=shop.example,cert=ok";
    for (given, certificate) in [
        (facts.to_owned(), true),
        (facts.replace("=ok", "=bad"), false),
    ] {
        let bench = Bench::with(&[], |setup, _| {
            *setup = setup.clone().with(&["--tls", &given]);
        })?;
        bench.get("/json", &[])?;
        let record = bench.log.only(PATIENCE)?;
        assert!(record.flag('s'));
        let facts = record.facts()?;
        let fact = |name: &str| facts.get(name).cloned().unwrap_or_default();
        assert_eq!(
            (fact("tls"), fact("cipher"), fact("sni")),
            (
                "TLSv1.3".to_owned(),
                "TLS_AES_128_GCM_SHA256".to_owned(),
                "shop.example".to_owned()
            )
        );
        assert_eq!(fact("cert") == "1", certificate);
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn http2_as_before_14_1_loses_no_exchange() -> Result<()> {
    let bench = Bench::with(&[], |setup, _| *setup = setup.clone().with(&["--http2"]))?;
    let two = [bench.bigip.url("/json?n=1"), bench.bigip.url("/json?n=2")];
    let answer = curl(&two)?;
    assert_eq!(answer.exit, 0);
    let records = bench.records(2)?;
    for (n, record) in records.iter().enumerate() {
        assert_eq!(record.field(16), "2");
        let wanted = format!("GET /json?n={} HTTP/", n + 1);
        assert!(record.request_head()?.starts_with(&wanted));
        assert_eq!(record.field(10), "127.0.0.1");
    }
    bench.bigip.clean()
}

#[test]
fn server_connections_that_clients_share_are_told_apart() -> Result<()> {
    let bench = Bench::with(&[], |setup, _| {
        *setup = setup.clone().with(&["--oneconnect"])
    })?;
    for n in 0..6 {
        bench.get(&format!("/echo?n={n}"), &[])?;
    }
    assert_eq!(bench.bigip.stat("server_connections")?, 1);
    for (n, record) in bench.records(6)?.iter().enumerate() {
        assert!(record.request_head()?.contains(&format!("/echo?n={n} ")));
        let body = record.response_body()?.unwrap_or_default();
        let told = String::from_utf8_lossy(&body).into_owned();
        assert!(told.contains(&format!("n={n}")), "{told}");
    }
    bench.bigip.clean()
}
