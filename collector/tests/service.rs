//! The service end to end: the real program, real connections, what it keeps and what it tells.

mod collector;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use bytes::Bytes;
use collector::{Collector, answer, batch, binary, exchange, get, talk};
use http::uri::PathAndQuery;
use prost::Message;
use silhouette_proto::telemetry::v1::{ExportRequest, ExportResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const WEB: &str = "/silhouette.telemetry.v1.TelemetryService/Export";

fn with_token(request: ExportRequest, token: &str) -> Request<ExportRequest> {
    let mut request = Request::new(request);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_become_a_document_and_are_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let mut client = collector.client().await;

    let mut first = batch(1, 1, "api.example.com", 40);
    first.exchanges.push(exchange("user@bad host", 1));
    first.exchanges.push(Default::default());
    let answered = client.export(first.clone()).await.unwrap().into_inner();
    assert_eq!(answered.acknowledged_sequence, 1);
    assert_eq!(answered.rejected.len(), 1, "{answered:?}");
    assert_eq!(answered.rejected[0].reason, "no_request");
    // Sent again, as after a lost answer: acknowledged again, counted once.
    let again = client.export(first).await.unwrap().into_inner();
    assert_eq!(again.acknowledged_sequence, 1);

    let (send, requests) = mpsc::channel(8);
    let mut responses = client
        .stream(ReceiverStream::new(requests))
        .await
        .unwrap()
        .into_inner();
    for sequence in 2..=11 {
        send.send(batch(1, sequence, "api.example.com:8080", 20))
            .await
            .unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < 11 {
        let response = responses.message().await.unwrap().unwrap();
        assert!(response.acknowledged_sequence > acknowledged);
        acknowledged = response.acknowledged_sequence;
    }
    let shims = collector.json("/v1/shims");
    assert_eq!(shims["shims"][0]["streams"], 1);
    assert_eq!(shims["shims"][0]["captured"], 220);
    drop(send);
    assert!(responses.message().await.unwrap().is_none());

    assert_eq!(collector.learnt(), 240);
    let metric = |name: &str| collector.metric(&format!("silhouette_exchanges_{name}"));
    assert_eq!(metric("received_total"), 42 + 42 + 200);
    assert_eq!(metric("duplicate_total"), 42);
    assert_eq!(metric("acknowledged_total"), 242);
    assert_eq!(metric("learnt_total"), 240);
    assert_eq!(metric("rejected_total{reason=\"bad_host\"}"), 1);
    assert_eq!(metric("rejected_total{reason=\"no_request\"}"), 1);

    let document = collector.json("/v1/hosts/api.example.com/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(
        paths.contains_key("/books") && paths.keys().any(|path| path.starts_with("/books/{")),
        "{paths:?}"
    );
    let older = collector.json("/v1/hosts/api.example.com/openapi.json?openapi=3.0");
    assert_eq!(older["openapi"], "3.0.3");
    let yaml = collector.get("/v1/hosts/api.example.com%3A8080/openapi.yaml");
    assert!(yaml.body.starts_with("openapi: "), "{}", yaml.body);
    let none = collector.get("/v1/hosts/api.example.org/openapi.json");
    assert_eq!(none.status, 404);
    assert!(none.body.contains("api.example.com"), "{}", none.body);
    let odd = collector.get("/v1/hosts/api.example.com/openapi.json?openapi=2.0");
    assert!(odd.body.contains("want 3.0 or 3.1"), "{}", odd.body);

    // The same after an orderly end and a start.
    collector.terminate();
    let collector = Collector::start(dir.path(), &[]);
    assert_eq!(collector.learnt(), 240);
    assert_eq!(
        collector.json("/v1/hosts/api.example.com/openapi.json"),
        document
    );
    assert_eq!(collector.json("/v1/hosts")["totals"]["accepted"], 242);
    let mut client = collector.client().await;
    client
        .export(batch(1, 11, "api.example.com:8080", 20))
        .await
        .unwrap();
    assert_eq!(collector.learnt(), 240, "still known as a duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_web_over_http_1_is_the_same_call() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let message = batch(2, 1, "web.example.com", 5).encode_to_vec();
    let post = |body: &[u8]| {
        let head = format!(
            "POST {WEB} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        talk(collector.telemetry, &[head.as_bytes(), body].concat())
    };
    let framed = |message: &[u8]| {
        let length = (message.len() as u32).to_be_bytes();
        [&[0], length.as_slice(), message].concat()
    };
    let raw = post(&framed(&message));
    let text = answer(&raw);
    assert_eq!(text.status, 200, "{text:?}");
    assert!(
        text.head.contains("application/grpc-web+proto"),
        "{}",
        text.head
    );
    assert!(text.body.contains("grpc-status:0"), "{text:?}");
    assert_eq!(text.bytes[..5], [0, 0, 0, 0, 2]);
    let response = ExportResponse::decode(&text.bytes[5..7]).unwrap();
    assert_eq!(response.acknowledged_sequence, 1);
    assert_eq!(collector.learnt(), 5);

    // A client that does not know the length beforehand sends chunks; their borders are not those of the frames.
    let second = framed(&batch(2, 2, "web.example.com", 5).encode_to_vec());
    let mut chunked = format!(
        "POST {WEB} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    .into_bytes();
    for chunk in second.chunks(3) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let text = answer(&talk(collector.telemetry, &chunked));
    assert!(
        text.status == 200 && text.body.contains("grpc-status:0"),
        "{text:?}"
    );
    assert_eq!(collector.learnt(), 10);

    let garbage = answer(&post(&framed(b"garbage")));
    assert!(
        (garbage.head.clone() + &garbage.body).contains("grpc-status"),
        "{garbage:?}"
    );
    // Whoever looks at the port with something else is told what it is.
    let look = get(collector.telemetry, "/", "");
    assert!(
        look.status == 200 && look.body.contains("telemetry port"),
        "{look:?}"
    );
    let post = answer(&talk(
        collector.telemetry,
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ));
    assert_eq!(post.status, 415);
    assert_eq!(
        collector.metric("silhouette_batches_refused_total{reason=\"malformed\"}"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_cannot_be_taken_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--max-message", "64k"]);
    let mut client = collector.client().await;
    let mut refused = async |change: fn(&mut ExportRequest)| {
        let mut request = batch(3, 1, "h.example", 1);
        change(&mut request);
        client.export(request).await.unwrap_err()
    };
    let status = refused(|request| request.sequence = 0).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("count from 1"), "{status}");
    let status = refused(|request| request.shim = None).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    let large = |request: &mut ExportRequest| {
        let body = request.exchanges[0]
            .response
            .as_mut()
            .unwrap()
            .body
            .as_mut();
        body.unwrap().data = Bytes::from(vec![b'x'; 100_000]);
    };
    let status = refused(large).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(
        collector.metric("silhouette_batches_refused_total{reason=\"too_large\"}"),
        1
    );
    // The connection and the collector are none the worse for it.
    client.export(batch(3, 1, "h.example", 3)).await.unwrap();
    // Compressed, a batch is judged by what is in it.
    let mut zipped = client
        .clone()
        .send_compressed(tonic::codec::CompressionEncoding::Gzip);
    zipped.export(batch(3, 2, "h.example", 3)).await.unwrap();
    let mut bomb = batch(3, 3, "h.example", 1);
    large(&mut bomb);
    let status = zipped.export(bomb).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(collector.learnt(), 6);
}

/// An `Export` of these messages whose end follows them only after a while, as on a slow network.
async fn export_that_ends_late(
    channel: Channel,
    messages: Vec<ExportRequest>,
) -> Result<ExportResponse, Status> {
    let (send, requests) = mpsc::channel(4);
    let sender = tokio::spawn(async move {
        for message in messages {
            // Refused already, perhaps.
            let _ = send.send(message).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<ExportRequest, ExportResponse>::default();
    let request = Request::new(ReceiverStream::new(requests));
    let answer = grpc
        .client_streaming(request, PathAndQuery::from_static(WEB), codec)
        .await;
    sender.await.unwrap();
    Ok(answer?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_bears_any_number_of_unary_calls_however_late_they_end() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let channel = collector.channel().await;
    // More than the 1,024 resets after which HTTP/2 gives a connection up.
    const CALLS: u64 = 1_500;
    for first in (1..=CALLS).step_by(50) {
        let mut calls = tokio::task::JoinSet::new();
        for sequence in first..first + 50 {
            let message = batch(1, sequence, "h.example", 1);
            calls.spawn(export_that_ends_late(channel.clone(), vec![message]));
        }
        for answer in calls.join_all().await {
            answer.unwrap();
        }
    }
    assert_eq!(collector.learnt(), CALLS);

    let two = [1, 2].map(|sequence| batch(2, sequence, "h.example", 1));
    for (messages, says) in [(two.to_vec(), "more than one"), (Vec::new(), "no message")] {
        let status = export_that_ends_late(channel.clone(), messages)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(says), "{status}");
    }
    assert_eq!(collector.learnt(), CALLS, "nothing of what was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_asked_for_as_soon_as_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let token = |args: &[&str]| {
        let output = binary()
            .arg("token")
            .args(args)
            .arg("--data-dir")
            .arg(&data)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text.trim().to_owned()
    };
    let collector = Collector::start(dir.path(), &[]);
    assert!(collector.log().contains("no token has been created"));
    let mut client = collector.client().await;
    client.export(batch(4, 1, "h.example", 1)).await.unwrap();

    let edge = token(&["create", "--name", "edge-1"]);
    assert!(edge.starts_with("sil_"));
    collector.wait("the token is asked for", || {
        let attempt = client.export(batch(4, 1, "h.example", 1));
        let status =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(attempt));
        status.is_err_and(|status| status.code() == Code::Unauthenticated)
    });
    client
        .export(with_token(batch(4, 2, "h.example", 1), &edge))
        .await
        .unwrap();
    let status = client
        .export(with_token(batch(4, 3, "h.example", 1), "sil_wrong"))
        .await
        .unwrap_err();
    assert!(status.message().contains("not known"), "{status}");
    let refusals = |reason: &str| {
        collector.metric(&format!(
            "silhouette_connections_refused_total{{listener=\"telemetry\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(
        (refusals("token_missing"), refusals("token_unknown")),
        (1, 1)
    );
    assert_eq!(collector.json("/v1/shims")["shims"][0]["token"], "edge-1");
    assert!(token(&["list"]).contains("edge-1"));
    token(&["revoke", "edge-1"]);
    collector.wait("the token is revoked", || {
        let attempt = client.export(with_token(batch(4, 2, "h.example", 1), &edge));
        let status =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(attempt));
        status.is_err_and(|status| status.message().contains("revoked"))
    });

    // An admin token closes the admin listener to everybody else, but not to probes.
    let ops = token(&["create", "--name", "ops", "--admin"]);
    collector.wait("the page asks for it", || {
        collector.get("/v1/hosts").status == 401
    });
    assert_eq!(collector.get("/healthz").status, 200);
    let bearer = format!("authorization: Bearer {ops}\r\n");
    assert_eq!(get(collector.admin, "/v1/hosts", &bearer).status, 200);
    let text = std::fs::read_to_string(data.join("tokens.json")).unwrap() + &collector.log();
    for secret in [&edge, &ops] {
        assert!(!text.contains(secret.as_str()) && !text.contains(&secret[4..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_is_said_so_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--checkpoint-interval", "1s"]);
    let mut client = collector.client().await;
    client.export(batch(5, 1, "h.example", 4)).await.unwrap();
    collector.terminate();

    let collector = Collector::start(dir.path(), &["--disk-reserve", "1000000g"]);
    let mut client = collector.client().await;
    let status = client
        .export(batch(5, 2, "h.example", 4))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("disk_reserve"), "{status}");
    assert_eq!(
        status.metadata().get("grpc-retry-pushback-ms").unwrap(),
        "1000"
    );
    let ready = collector.get("/readyz");
    assert!(
        ready.status == 503 && ready.body.contains("disk_reserve"),
        "{ready:?}"
    );
    assert_eq!(collector.get("/healthz").status, 200);
    // What is known needs no room: acknowledged again.
    client.export(batch(5, 1, "h.example", 4)).await.unwrap();

    // On a stream: asked to wait, then the end, and nothing after the failure is acknowledged.
    let batches = [1, 2, 3].map(|sequence| batch(5, sequence, "h.example", 4));
    let mut responses = client
        .stream(tokio_stream::iter(batches))
        .await
        .unwrap()
        .into_inner();
    let first = responses.message().await.unwrap().unwrap();
    assert_eq!((first.acknowledged_sequence, first.retry_after_ms), (1, 0));
    let wait = responses.message().await.unwrap().unwrap();
    assert_eq!((wait.acknowledged_sequence, wait.retry_after_ms), (1, 1000));
    let status = responses.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(collector.learnt(), 4);
    collector.terminate();

    let collector = Collector::start(dir.path(), &[]);
    let mut client = collector.client().await;
    client.export(batch(5, 2, "h.example", 4)).await.unwrap();
    assert_eq!(collector.learnt(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_costs_what_is_damaged_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--checkpoint-interval", "1h"]);
    let mut client = collector.client().await;
    for sequence in 1..=10 {
        client
            .export(batch(6, sequence, "h.example", 10))
            .await
            .unwrap();
    }
    assert_eq!(collector.learnt(), 100);
    collector.kill();
    let segment = dir.path().join("data/journal/00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    bytes.extend_from_slice(b"SJf1 and then the power went");
    std::fs::write(&segment, &bytes).unwrap();

    let collector = Collector::start(dir.path(), &[]);
    assert_eq!(collector.learnt(), 90);
    assert_eq!(collector.metric("silhouette_journal_damages_total"), 2);
    let log = collector.log();
    assert!(log.contains("a part of the journal is damaged") && log.contains(".corrupt-"));
    // The shim of the lost batch would know it as acknowledged; one that does not, sends it again.
    let mut client = collector.client().await;
    for sequence in 1..=11 {
        client
            .export(batch(6, sequence, "h.example", 10))
            .await
            .unwrap();
    }
    assert_eq!(collector.learnt(), 110);
}

#[test]
fn one_data_directory_has_one_collector() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    // What passed through gateways is in it.
    let mode = std::fs::metadata(dir.path().join("data")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o700);
    let refused = Collector::try_start(dir.path(), &[]);
    let Err(log) = refused else { panic!() };
    let pid = format!("pid {}", collector.pid());
    assert!(
        log.contains("in use by another collector") && log.contains(&pid),
        "{log}"
    );
    collector.terminate();
    Collector::start(dir.path(), &[]).terminate();
}
