//! The filter under Kong's rules: what it captures there, and how it behaves when the collector, the instance or the
//! configuration is not well.
//!
//! In: the filter as `cargo xtask filter` has built it, the strict host, a real origin, real curl, a recording or a real
//! collector. Out: what was recorded, and that no rule was broken on the way.

mod strict;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use prost::Message;
use serde_json::{Value, json};
use silhouette_e2e::process::wait_until;
use silhouette_e2e::recording::{Behaviour, Recording};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Answer, Collector, Origin, curl};
use silhouette_proto::telemetry::v1::{Body, Exchange, ExportRequest, ExportResponse, Shim};
use strict::{Gateway, Kong, Level, Options};

const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration: a collector and further settings.
fn configuration(collector: &str, settings: &Value) -> String {
    let mut all = json!({ "collector": collector, "flush_interval_ms": 20 });
    if let (Some(all), Some(settings)) = (all.as_object_mut(), settings.as_object()) {
        all.extend(settings.clone());
    }
    all.to_string()
}

/// The strict host with one chain for everything, a recording collector, an origin.
struct Stand {
    gateway: Gateway,
    recording: Recording,
    origin: Origin,
}

impl Stand {
    fn new() -> Result<Stand> {
        Stand::with(Kong::V3_10, &json!({}))
    }

    fn with(kong: Kong, settings: &Value) -> Result<Stand> {
        let (recording, origin) = (Recording::start()?, Origin::start()?);
        let options = Options {
            kong,
            ..Options::new(origin.address())
        };
        let options = options.chain("/", configuration(&recording.url(), settings));
        let gateway = Gateway::start_module(strict::module()?, options)?;
        Ok(Stand {
            gateway,
            recording,
            origin,
        })
    }

    /// curl on a path, and the one exchange that it makes.
    fn exchange(&self, path: &str, arguments: &[&str]) -> Result<(Answer, Exchange)> {
        self.recording.clear();
        let url = self.gateway.url(path);
        let answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
        let mut exchanges = self.recording.wait_for(1, PATIENCE)?;
        ensure!(
            exchanges.len() == 1,
            "{} exchanges instead of one",
            exchanges.len()
        );
        Ok((answer, exchanges.pop().context("one")?))
    }

    /// `count` requests, one after another over one connection; all of them are answered.
    fn requests(&self, count: usize) -> Result<()> {
        requests(&self.gateway, count)
    }

    /// Everything captured was acknowledged or counted as dropped, and no rule was broken.
    fn adds_up(&self, captured: i64) -> Result<()> {
        let record = self.gateway.record();
        let settled = || {
            let dropped = dropped(&self.gateway);
            let acknowledged = record.metric("silhouette_acknowledged");
            record.metric("silhouette_captured") == captured && acknowledged + dropped == captured
        };
        wait_until("all is accounted for", PATIENCE, settled)
            .with_context(|| format!("{:#?}", record.contents().metrics))?;
        record.is_clean()
    }
}

fn requests(gateway: &Gateway, count: usize) -> Result<()> {
    let url = gateway.url(&format!("/json?n=[1-{count}]"));
    let answer = curl(["-f", url.as_str()])?;
    ensure!(answer.exit == 0, "curl: {}", answer.error);
    Ok(())
}

fn dropped(gateway: &Gateway) -> i64 {
    let contents = gateway.record().contents();
    let metrics = contents.metrics.iter();
    let dropped = metrics.filter(|(name, _)| name.starts_with("silhouette_dropped_reason="));
    dropped.map(|(_, metric)| metric.value).sum()
}

fn request_body(exchange: &Exchange) -> Body {
    let request = exchange.request.as_ref();
    request.and_then(|r| r.body.clone()).unwrap_or_default()
}

fn response_body(exchange: &Exchange) -> Body {
    let response = exchange.response.as_ref();
    response.and_then(|r| r.body.clone()).unwrap_or_default()
}

fn request_headers(exchange: &Exchange) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = exchange.request.iter().flat_map(|request| &request.headers);
    headers.map(|h| (text(&h.name), text(&h.value))).collect()
}

/// Waits for a line of the log with all of these words.
fn logged(gateway: &Gateway, words: &[&str]) -> Result<String> {
    let find = || {
        let lines = gateway.record().lines(Level::Info);
        lines
            .into_iter()
            .find(|line| words.iter().all(|word| line.contains(word)))
    };
    wait_until(&format!("{words:?} in the log"), PATIENCE, || {
        find().is_some()
    })
    .with_context(|| format!("{:#?}", gateway.record().lines(Level::Info)))?;
    find().context("the line")
}

#[test]
fn an_exchange_has_everything_that_kong_knows() -> Result<()> {
    for kong in [Kong::V3_4, Kong::V3_9, Kong::V3_10] {
        let (recording, origin) = (Recording::start()?, Origin::start()?);
        let added = [
            ("X-Consumer-ID", "c-1"),
            ("X-Consumer-Username", "alice"),
            ("X-Credential-Identifier", "key-1"),
        ];
        let options = Options {
            kong,
            added: added
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Options::new(origin.address())
        };
        let settings = json!({ "name": "edge", "token": "secret-token" });
        let options = options.chain("/", configuration(&recording.url(), &settings));
        let gateway = Gateway::start_module(strict::module()?, options)?;
        let stand = Stand {
            gateway,
            recording,
            origin,
        };
        let arguments = [
            "--path-as-is",
            "-H",
            "X-Twice: one",
            "-H",
            "X-Twice: two",
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"n\":1}",
        ];
        let (answer, exchange) = stand.exchange("/echo/a%20b/../c?x=1&y=%2F", &arguments)?;
        assert_eq!(answer.status, 200);
        let request = exchange.request.clone().context("request")?;
        assert_eq!(
            &request.path[..],
            b"/echo/a%20b/../c",
            "as sent, before decoding"
        );
        assert_eq!(request.query.as_deref(), Some(&b"x=1&y=%2F"[..]));
        assert_eq!(
            (
                request.method.as_str(),
                exchange.scheme.as_str(),
                exchange.http_version.as_str()
            ),
            ("POST", "http", "1.1")
        );
        assert_eq!(
            exchange.authority,
            stand.gateway.address().to_string().into_bytes(),
            "as sent, not the machine's"
        );
        let headers = request_headers(&exchange);
        assert_eq!(headers.first().map(|(name, _)| name.as_str()), Some("host"));
        let twice: Vec<&str> = headers
            .iter()
            .filter(|(n, _)| n == "x-twice")
            .map(|(_, v)| v.as_str())
            .collect();
        assert_eq!(twice, ["one", "two"]);
        let kongs = headers
            .iter()
            .filter(|(name, _)| name.starts_with(':') || name.starts_with("x-c"));
        assert_eq!(
            kongs.count(),
            0,
            "neither pseudo-headers nor what Kong has added: {headers:?}"
        );
        assert_eq!(&request_body(&exchange).data[..], b"{\"n\":1}");
        assert_eq!(response_body(&exchange).data, answer.body);
        assert!(!exchange.unfinished);
        let (client, server) = (
            exchange.client.clone().context("client")?,
            exchange.server.clone().context("server")?,
        );
        assert_eq!(
            (&client.ip[..], server.port),
            (
                &[127, 0, 0, 1][..],
                u32::from(stand.gateway.address().port())
            )
        );
        let gateway = exchange.gateway.clone().context("gateway")?;
        let ids = [
            "00000000-0000-4000-8000-000000000005",
            "00000000-0000-4000-8000-000000000007",
        ];
        let names = if kong.all_properties {
            ["route-0", "service-0"]
        } else {
            ids
        };
        assert_eq!(
            [gateway.route.as_str(), gateway.service.as_str()],
            names,
            "{}",
            kong.version
        );
        assert_eq!(gateway.consumer, "alice");
        let upstream = gateway.upstream_address.context("upstream")?;
        assert_eq!(upstream.port, u32::from(stand.origin.address().port()));
        assert!(gateway.upstream_micros.is_some());
        let shim = stand
            .recording
            .batches()
            .pop()
            .context("batch")?
            .shim
            .context("shim")?;
        assert_eq!(
            (shim.kind.as_str(), shim.instance.len(), shim.name.as_str()),
            ("kong", 16, "edge")
        );
        let node = if kong.all_properties {
            "6e9d1b2c-0000-4000-8000-00000000000a"
        } else {
            ""
        };
        assert_eq!(shim.node, node);
        let version = if kong.all_properties {
            format!("kong/{}", kong.version)
        } else {
            String::new()
        };
        assert_eq!(shim.gateway_version, version);
        assert!(
            stand
                .recording
                .authorizations()
                .iter()
                .all(|value| value == "Bearer secret-token")
        );
        stand.gateway.record().is_clean()?;
        let errors = stand.gateway.record().lines(Level::Warn);
        assert!(errors.is_empty(), "{errors:?}");
    }
    Ok(())
}

#[test]
fn tls_of_the_client_and_http2() -> Result<()> {
    let authority = Authority::new()?;
    let (recording, origin) = (Recording::start()?, Origin::start()?);
    let options = Options {
        identity: Some(authority.server()?),
        ..Options::new(origin.address())
    };
    let options = options.chain("/", configuration(&recording.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let stand = Stand {
        gateway,
        recording,
        origin,
    };
    let answer = curl(["-k", "--http2", &stand.gateway.tls_url("/json")])?;
    assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
    let exchange = stand
        .recording
        .wait_for(1, PATIENCE)?
        .pop()
        .context("one")?;
    let tls = exchange.tls.clone().context("tls")?;
    assert_eq!(
        (tls.version.as_str(), tls.server_name.as_str()),
        ("1.3", "localhost")
    );
    assert!(
        tls.cipher.starts_with("TLS_") && !tls.client_certificate,
        "{tls:?}"
    );
    assert_eq!(
        (exchange.scheme.as_str(), exchange.http_version.as_str()),
        ("https", "2")
    );
    let (_, plain) = stand.exchange("/json", &[])?;
    assert!(plain.tls.is_none());
    stand.gateway.record().is_clean()
}

#[test]
fn a_websocket_passes_and_is_recorded_when_it_closes() -> Result<()> {
    let stand = Stand::new()?;
    let upgrade =
        b"GET /ws HTTP/1.1\r\nHost: w.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut socket = TcpStream::connect(stand.gateway.address())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(upgrade)?;
    let mut part = [0; 1024];
    let n = socket.read(&mut part)?;
    assert!(part[..n].starts_with(b"HTTP/1.1 101"));
    // A masked text frame "hi" (RFC 6455, 5.2), echoed unmasked.
    socket.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])?;
    let n = socket.read(&mut part)?;
    assert_eq!(&part[..n], [0x81, 2, b'h', b'i']);
    drop(socket);
    let exchange = stand
        .recording
        .wait_for(1, PATIENCE)?
        .pop()
        .context("one")?;
    assert_eq!(exchange.response.as_ref().map(|r| r.status), Some(101));
    assert!(!exchange.unfinished);
    stand.gateway.record().is_clean()
}

#[test]
fn a_grpc_call_passes_untouched() -> Result<()> {
    let (recording, origin) = (Recording::start()?, Origin::start()?);
    let options = Options::new(origin.grpc().address())
        .chain("/", configuration(&recording.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let batch = ExportRequest {
        sequence: 1,
        shim: Some(Shim {
            instance: vec![3; 16].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut message = vec![0];
    message.extend(u32::try_from(batch.encoded_len())?.to_be_bytes());
    message.extend(batch.encode_to_vec());
    let file = tempfile(&message)?;
    let path = "/silhouette.telemetry.v1.TelemetryService/Export";
    let data = format!("@{}", file.display());
    let url = gateway.h2c_url(path);
    let answer = curl([
        "--http2-prior-knowledge",
        "-H",
        "Content-Type: application/grpc",
        "-H",
        "TE: trailers",
        "--data-binary",
        &data,
        &url,
    ])?;
    std::fs::remove_file(&file)?;
    assert_eq!((answer.status, answer.exit), (200, 0), "{}", answer.error);
    let response = ExportResponse::decode(answer.body.get(5..).context("a message")?)?;
    assert_eq!(response.acknowledged_sequence, 1);
    let exchange = recording.wait_for(1, PATIENCE)?.pop().context("one")?;
    assert_eq!(
        exchange.request.as_ref().map(|r| &r.path[..]),
        Some(path.as_bytes())
    );
    assert!(!exchange.unfinished);
    gateway.record().is_clean()
}

/// A file with these bytes, of this process.
fn tempfile(bytes: &[u8]) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("silhouette-grpc-{}", std::process::id()));
    std::fs::write(&path, bytes)?;
    Ok(path)
}

#[test]
fn each_chain_has_its_own_configuration_and_queue() -> Result<()> {
    let (first, second, origin) = (Recording::start()?, Recording::start()?, Origin::start()?);
    let options = Options::new(origin.address())
        .chain(
            "/json",
            configuration(&first.url(), &json!({ "name": "first" })),
        )
        .chain(
            "/echo",
            configuration(
                &second.url(),
                &json!({ "name": "second", "excluded_methods": "PUT" }),
            ),
        );
    let gateway = Gateway::start_module(strict::module()?, options)?;
    for n in 0..20 {
        curl([gateway.url(&format!("/json?n={n}"))])?;
        curl([gateway.url(&format!("/echo/{n}"))])?;
        curl(["-X", "PUT", &gateway.url("/echo/put")])?;
        // No chain is there.
        assert_eq!(curl([gateway.url("/empty")])?.status, 200);
    }
    for (recording, name, prefix) in [(&first, "first", "/json"), (&second, "second", "/echo/")] {
        let exchanges = recording.wait_for(20, PATIENCE)?;
        assert_eq!(exchanges.len(), 20, "{name}");
        let own = exchanges.iter().filter_map(|e| e.request.as_ref());
        assert!(
            own.clone()
                .all(|r| r.path.starts_with(prefix.as_bytes()) && r.method == "GET"),
            "{name}"
        );
        let shims: Vec<_> = recording
            .batches()
            .into_iter()
            .filter_map(|b| b.shim)
            .collect();
        assert!(shims.iter().all(|shim| shim.name == name), "{shims:?}");
    }
    let instance = |recording: &Recording| {
        recording
            .batches()
            .pop()
            .and_then(|b| b.shim)
            .map(|s| s.instance)
    };
    assert_ne!(
        instance(&first),
        instance(&second),
        "sequence numbers of one are not the other's"
    );
    assert_eq!(gateway.record().contents().instances, 1);
    gateway.record().is_clean()
}

#[test]
fn one_chain_s_collector_is_not_another_s_worry() -> Result<()> {
    let (well, ill, origin) = (Recording::start()?, Recording::start()?, Origin::start()?);
    ill.behave(Behaviour::Silent);
    let options = Options::new(origin.address())
        .chain("/json", configuration(&ill.url(), &json!({})))
        .chain("/echo", configuration(&well.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    for n in 0..10 {
        curl([gateway.url("/json")])?;
        curl([gateway.url(&format!("/echo/{n}"))])?;
    }
    assert_eq!(well.wait_for(10, PATIENCE)?.len(), 10);
    gateway.record().is_clean()
}

#[test]
fn a_body_in_a_file_is_asked_for_once() -> Result<()> {
    let stand = Stand::new()?;
    let post = |size: usize| -> Result<Body> {
        let body = "7".repeat(size);
        let (answer, exchange) = stand.exchange(
            "/upload",
            &[
                "-H",
                "Expect:",
                "-H",
                "Content-Type: text/plain",
                "-d",
                &body,
            ],
        )?;
        assert_eq!(answer.json()?["bytes"], size, "the origin has all of it");
        Ok(request_body(&exchange))
    };
    let small = post(8192)?;
    assert_eq!((small.data.len(), small.truncated), (8192, false));
    // Each read that fails is an error in Kong's log: one for each size that is smaller than those before.
    for (size, reads) in [
        (20_000, 1),
        (20_000, 1),
        (50_000, 1),
        (9_000, 2),
        (9_500, 2),
        (15_000, 2),
    ] {
        let body = post(size)?;
        assert_eq!(
            (body.data.len(), body.original_size),
            (0, size as u64),
            "{size}"
        );
        assert_eq!(body.omitted, "unavailable", "it is said why");
        assert_eq!(
            stand.gateway.record().contents().spooled_reads,
            reads,
            "{size}"
        );
    }
    assert_eq!(post(8000)?.data.len(), 8000, "smaller ones are there still");
    stand.gateway.record().is_clean()
}

#[test]
fn a_refused_configuration_captures_nothing_and_harms_nobody() -> Result<()> {
    for (configuration, words) in [
        (
            "{\"collector\":\"http://127.0.0.1:9\",\"sample_rate\":7}",
            &["sample_rate", "7"][..],
        ),
        (
            "{\"collector\":\"http://127.0.0.1:9\",\"tls_ca\":\"/etc/ca.pem\"}",
            &["tls_ca", "nginx_wasm_tls_trusted_certificate"],
        ),
        (
            "{\"collector\":\"http://127.0.0.1:9\",\"colour\":\"red\"}",
            &["colour"],
        ),
        ("{\"flush_interval_ms\":20}", &["collector"]),
        ("[1]", &["JSON object"]),
        ("", &["JSON object"]),
    ] {
        let origin = Origin::start()?;
        let options = Options::new(origin.address()).chain("/", configuration);
        let gateway = Gateway::start_module(strict::module()?, options)?;
        let line = logged(&gateway, words)?;
        assert!(line.contains("silhouette"), "{line}");
        requests(&gateway, 5)?;
        assert_eq!(gateway.record().contents().calls, 0);
        gateway.record().is_clean()?;
    }
    Ok(())
}

#[test]
fn whatever_the_collector_does_clients_are_served_and_all_is_accounted_for() -> Result<()> {
    for behaviour in [
        Behaviour::Unavailable,
        Behaviour::Unauthenticated,
        Behaviour::Garbage,
        Behaviour::Close,
        Behaviour::RetryAfter(Duration::from_millis(300)),
        Behaviour::Slow(Duration::from_millis(700)),
    ] {
        let stand = Stand::new()?;
        let waits = matches!(behaviour, Behaviour::RetryAfter(_) | Behaviour::Slow(_));
        stand.recording.behave(behaviour.clone());
        stand.requests(30)?;
        let record = stand.gateway.record();
        record.wait("a call", PATIENCE, |c| c.answered + c.failed > 0)?;
        if !waits {
            stand.requests(30)?;
            assert!(
                !record.lines(Level::Warn).is_empty(),
                "{behaviour:?} is said in the log"
            );
            assert_eq!(record.metric("silhouette_acknowledged"), 0, "{behaviour:?}");
        }
        stand.recording.behave(Behaviour::Accept);
        let captured = if waits { 30 } else { 60 };
        stand
            .recording
            .wait_for(captured, PATIENCE)
            .with_context(|| format!("{behaviour:?}"))?;
        stand.adds_up(captured as i64)?;
        assert_eq!(dropped(&stand.gateway), 0, "{behaviour:?}: nothing is lost");
    }
    Ok(())
}

#[test]
fn a_batch_that_the_collector_will_never_take_is_dropped_and_counted() -> Result<()> {
    let stand = Stand::new()?;
    stand.recording.behave(Behaviour::InvalidArgument);
    stand.requests(10)?;
    stand.adds_up(10)?;
    assert_eq!(
        stand
            .gateway
            .record()
            .metric("silhouette_dropped_reason=rejected;"),
        10
    );
    stand.recording.behave(Behaviour::Accept);
    stand.requests(10)?;
    stand.recording.wait_for(10, PATIENCE)?;
    stand.adds_up(20)
}

#[test]
fn a_collector_that_says_nothing_is_given_up_by_the_clock() -> Result<()> {
    // Kong 3.4 never tells of a call that has failed, 3.10 does after the timeout.
    for kong in [Kong::V3_4, Kong::V3_10] {
        let stand = Stand::with(kong, &json!({}))?;
        stand.recording.behave(Behaviour::Silent);
        stand.requests(10)?;
        let record = stand.gateway.record();
        record.wait("a call", PATIENCE, |c| c.calls == 1)?;
        stand.requests(10)?;
        stand.recording.behave(Behaviour::Accept);
        let exchanges = stand.recording.wait_for(20, PATIENCE)?;
        assert_eq!(exchanges.len(), 20, "{}", kong.version);
        assert!(record.contents().failed >= 1, "{}", kong.version);
        record.is_clean()?;
    }
    Ok(())
}

#[test]
fn without_a_collector_the_queue_is_bounded() -> Result<()> {
    let origin = Origin::start()?;
    let settings = json!({ "queue_bytes": "64k" });
    let options =
        Options::new(origin.address()).chain("/", configuration("http://127.0.0.1:9", &settings));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    requests(&gateway, 500)?;
    let record = gateway.record();
    let full = || record.metric("silhouette_dropped_reason=queue_full;") > 0;
    wait_until("the queue is full", PATIENCE, full)?;
    let all = || record.metric("silhouette_captured") == 500;
    wait_until("all are counted", PATIENCE, all)?;
    assert!(record.metric("silhouette_queue_bytes") <= 64 << 10);
    assert_eq!(record.metric("silhouette_queued") + dropped(&gateway), 500);
    logged(&gateway, &["127.0.0.1:9"])?;
    record.is_clean()
}

#[test]
fn under_load_memory_stays_small_and_nothing_is_lost_uncounted() -> Result<()> {
    let stand = Stand::new()?;
    let url = stand.gateway.url("/json?size=1024&n=[1-2500]");
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || {
                curl([
                    "-f",
                    "-H",
                    "Content-Type: application/json",
                    "-d",
                    "{\"a\":[1,2,3]}",
                    &url,
                    "--max-time",
                    "120",
                ])
            })
        })
        .collect();
    for client in clients {
        let answer = client.join().ok().context("curl")??;
        ensure!(answer.exit == 0, "{}", answer.error);
    }
    stand.adds_up(10_000)?;
    let contents = stand.gateway.record().contents();
    assert!(
        contents.memory <= 8 << 20,
        "{} KiB of linear memory",
        contents.memory >> 10
    );
    assert_eq!(
        stand.recording.exchanges().len() as i64,
        stand.gateway.record().metric("silhouette_acknowledged")
    );
    Ok(())
}

#[test]
fn after_a_lost_instance_all_goes_on() -> Result<()> {
    let stand = Stand::new()?;
    stand.requests(10)?;
    stand.recording.wait_for(10, PATIENCE)?;
    let record = stand.gateway.record();
    for losses in 1..=3 {
        stand.gateway.trap_next();
        // The trap meets a request or a tick.
        let trapped = || {
            let _ = curl([stand.gateway.url("/json")]);
            record.contents().traps.len() == losses
        };
        wait_until("the trap", PATIENCE, trapped)?;
        stand.recording.clear();
        stand.requests(20)?;
        let seen = || stand.recording.exchanges().len() >= 20;
        wait_until("captured again", PATIENCE, seen)?;
    }
    record.wait("ticks of lost timers", PATIENCE, |c| c.inherited_ticks > 10)?;
    let contents = record.contents();
    assert_eq!((contents.instances, contents.configured), (4, 4));
    assert!(
        contents.violations.is_empty(),
        "more ticks, and never two calls at once: {:?}",
        contents.violations
    );
    assert!(contents.refused <= 3, "{}", contents.refused);
    Ok(())
}

#[test]
fn a_real_collector_learns_what_passed_and_may_restart() -> Result<()> {
    let (mut collector, origin) = (Collector::start(&[])?, Origin::start()?);
    let options =
        Options::new(origin.address()).chain("/", configuration(&collector.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    let learnt = |collector: &Collector| {
        collector
            .metric("silhouette_exchanges_received_total", "")
            .unwrap_or(0.0)
    };
    let ask = |count: usize| {
        let url = gateway.url(&format!("/json?n=[1-{count}]"));
        let answer = curl(["-f", "-H", "Host: books.example", &url])?;
        ensure!(answer.exit == 0, "{}", answer.error);
        anyhow::Ok(())
    };
    ask(50)?;
    wait_until("received", PATIENCE, || learnt(&collector) >= 50.0)?;
    collector.kill_9();
    ask(50)?;
    let record = gateway.record();
    record.wait("a call that fails", PATIENCE, |c| c.failed > 0)?;
    collector.restart()?;
    let arrived = || record.metric("silhouette_acknowledged") == 100;
    wait_until("all is acknowledged", PATIENCE, arrived)?;
    logged(&gateway, &["silhouette"])?;
    let document = || collector.document("books.example").is_ok();
    wait_until("the document", PATIENCE, document)?;
    record.is_clean()
}

#[test]
fn a_collector_behind_tls_is_trusted_or_not() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let recording = Recording::start_tls(&authority.server()?)?;
    let origin = Origin::start()?;
    for (trusted, arrives) in [(&authority, true), (&stranger, false)] {
        recording.clear();
        let options = Options {
            trusted: Some(trusted.ca_file().to_owned()),
            ..Options::new(origin.address())
        };
        let options = options.chain("/", configuration(&recording.tls_url(), &json!({})));
        let gateway = Gateway::start_module(strict::module()?, options)?;
        requests(&gateway, 5)?;
        match arrives {
            true => assert_eq!(recording.wait_for(5, PATIENCE)?.len(), 5),
            false => {
                gateway
                    .record()
                    .wait("a call that fails", PATIENCE, |c| c.failed > 0)?;
                assert_eq!(recording.exchanges().len(), 0);
            }
        }
        gateway.record().is_clean()?;
    }
    Ok(())
}

#[test]
fn an_address_that_is_no_collector_is_named_in_the_log() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let _ = socket.read(&mut [0; 4096]);
            let _ =
                socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found");
        }
    });
    let origin = Origin::start()?;
    let options = Options::new(origin.address())
        .chain("/", configuration(&format!("http://{address}"), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    requests(&gateway, 3)?;
    logged(&gateway, &[&address, "404"])?;
    gateway.record().is_clean()
}
