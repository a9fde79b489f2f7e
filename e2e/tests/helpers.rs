//! The helpers themselves, so that a fault in them is not taken for one in what they test.

use std::io::{BufRead as _, BufReader, Write as _};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use silhouette_collector::hsl::record::signed;
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::recording::Behaviour;
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Nginx, Origin, Recording, curl};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{Exchange, ExportRequest, Shim};

fn proxy_to(origin: &Origin) -> impl FnOnce(&silhouette_e2e::nginx::Layout) -> String + use<> {
    let target = origin.url("");
    move |layout| {
        format!(
            "server {{ listen 127.0.0.1:{}; location / {{ proxy_pass {target}; }} }}",
            layout.port
        )
    }
}

#[test]
fn nginx_starts_reloads_and_quits() -> Result<()> {
    let origin = Origin::start()?;
    let mut nginx = Nginx::start_without_module(2, proxy_to(&origin))?;
    let answer = curl([nginx.url("/json?size=1024")])?;
    assert_eq!(answer.status, 200, "{}", answer.error);
    assert!(
        (900..1100).contains(&answer.body.len()),
        "{} bytes",
        answer.body.len()
    );
    let before = nginx.worker_pids();
    nginx.reload()?;
    assert!(nginx.worker_pids().iter().all(|pid| !before.contains(pid)));
    assert_eq!(curl([nginx.url("/status/404")])?.status, 404);
    nginx.quit()?;
    assert_eq!(
        curl([nginx.url("/json")])?.exit,
        7,
        "refused once it is gone"
    );
    Ok(())
}

#[test]
fn origin_answers_oddly() -> Result<()> {
    let origin = Origin::start()?;
    let reset = curl([origin.url("/reset")])?;
    assert_eq!((reset.status, reset.exit, reset.body.len()), (200, 18, 500));
    assert_eq!(curl([format!("http://{}/", origin.hangup())])?.exit, 52);
    assert_eq!(
        curl(["-r", "0-9", &origin.url("/range")])?.body,
        b"abcdefghij"
    );
    assert_eq!(
        curl(["-H", "If-None-Match: \"v1\"", &origin.url("/etag")])?.status,
        304
    );
    let mut endless = std::net::TcpStream::connect(origin.address())?;
    endless.set_read_timeout(Some(PATIENCE))?;
    endless.write_all(b"GET /sse HTTP/1.1\r\nHost: o.example\r\n\r\n")?;
    let mut events = BufReader::new(endless).lines();
    let fourth = events.find(|line| !matches!(line, Ok(line) if line != "data: {\"n\":3}"));
    fourth.context("events without end")??;
    assert_eq!(
        curl(["--compressed", &origin.url("/gzip")])?.json()?["by"],
        "origin"
    );
    assert_eq!(
        curl(["-d", "x=1", &origin.url("/echo/a?b=c")])?.json()?["body"],
        "x=1"
    );
    assert!(origin.requests() >= 6);
    Ok(())
}

#[test]
fn recording_keeps_each_batch_once_and_misbehaves_on_demand() -> Result<()> {
    let recording = Recording::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut client = TelemetryServiceClient::new(
            tonic::transport::Endpoint::new(recording.url())?
                .connect()
                .await?,
        );
        let batch = ExportRequest {
            shim: Some(Shim {
                instance: vec![7; 16].into(),
                ..Default::default()
            }),
            sequence: 1,
            exchanges: vec![Exchange::default(), Exchange::default()],
            ..Default::default()
        };
        for _ in 0..2 {
            let answer = client.export(batch.clone()).await?.into_inner();
            assert_eq!(answer.acknowledged_sequence, 1);
        }
        recording.behave(Behaviour::Unauthenticated);
        let refused = client.export(batch).await.expect_err("refused");
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        anyhow::Ok(())
    })?;
    assert_eq!(recording.wait_for(2, PATIENCE)?.len(), 2);
    assert_eq!(recording.received_with_resends(), 4);
    Ok(())
}

#[test]
fn recording_takes_records_of_bigips() -> Result<()> {
    let recording = Recording::start()?;
    let hsl = recording.hsl()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = now.as_secs();
    let head = base64::engine::general_purpose::STANDARD
        .encode("GET /books HTTP/1.1\r\nhost: shop\r\n\r\n");
    let record = |sequence: u64| {
        let fields = format!(
            "{now:08x}00000001 0 {sequence} - - {now} 1 2 - - - - - - - 1.1 - - - {head} - - -"
        );
        signed(&hsl.key_id, &hsl.secret, fields.as_bytes())
    };
    recording.behave(Behaviour::Unavailable);
    let mut stream = std::net::TcpStream::connect(hsl.address)?;
    stream.write_all(&[record(1), record(3), record(1), b"junk\n".to_vec()].concat())?;
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
    socket.send_to(&record(4), hsl.address)?;
    recording.behave(Behaviour::Accept);
    let exchanges = recording.wait_for(3, PATIENCE)?;
    assert!(
        exchanges
            .iter()
            .all(|exchange| exchange.authority == "shop")
    );
    // What is late is lost when it has been late for long.
    let sent = || {
        let sent = hsl.sent().pop()?;
        let missing = sent.late + sent.lost;
        Some((sent.captured, sent.received, missing, sent.doubled))
    };
    wait_until("all are accounted for", PATIENCE, || {
        sent() == Some((4, 3, 1, 1)) && !hsl.refused().is_empty()
    })
    .with_context(|| format!("{:?} {:?}", sent(), hsl.refused()))?;
    assert_eq!(hsl.refused()[0].reason, "not_a_record");
    Ok(())
}

#[test]
fn certificates_are_good_expired_or_of_another_authority() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let good = Recording::start_tls(&authority.server()?)?;
    let expired = Recording::start_tls(&authority.expired_server()?)?;
    let ca = authority.ca_file().display().to_string();
    let url = format!("{}/", good.tls_url());
    assert_eq!(curl(["--cacert", &ca, &url])?.http_version, "2");
    assert_eq!(
        curl(["--cacert", &other.ca_file().display().to_string(), &url])?.exit,
        60
    );
    let answer = curl(["--cacert", &ca, &format!("{}/", expired.tls_url())])?;
    assert_eq!(answer.exit, 60);
    assert!(answer.error.contains("expired"), "{}", answer.error);
    Ok(())
}
