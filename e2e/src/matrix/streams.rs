//! What goes on for a while: tunnels, event streams, trailers, gRPC.

use std::io::{Read, Write};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{self as telemetry, ExportRequest, Shim};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use super::{PATIENCE, Stand};
use crate::exchange::{header, path, request_body, response_body, status};
use crate::recording::Behaviour;

/// The tunnel works, and is one exchange.
pub fn websocket_is_recorded_when_it_closes(stand: &Stand<'_>) -> Result<()> {
    if !stand.front.traits.websocket {
        return Ok(());
    }
    stand.recording.clear();
    let upgrade =
        b"GET /ws HTTP/1.1\r\nHost: w.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut socket = stand.connect()?;
    socket.write_all(upgrade)?;
    let mut part = [0; 1024];
    let n = socket.read(&mut part)?;
    assert!(part[..n].starts_with(b"HTTP/1.1 101"));
    // A masked text frame "hi" (RFC 6455 §5.2), echoed unmasked: the tunnel works through the shim.
    socket.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])?;
    let n = socket.read(&mut part)?;
    assert_eq!(&part[..n], [0x81, 2, b'h', b'i']);
    drop(socket);
    let exchange = stand.only()?;
    assert_eq!((status(&exchange), path(&exchange).as_str()), (101, "/ws"));
    assert!(!exchange.unfinished);
    assert_eq!(header(&exchange, "upgrade").as_deref(), Some("websocket"));
    Ok(())
}

/// Server-sent events reach the client one by one; leaving is not the end.
pub fn without_end_is_unfinished_when_the_client_leaves(stand: &Stand<'_>) -> Result<()> {
    stand.recording.clear();
    let request = b"GET /sse HTTP/1.1\r\nHost: s.example\r\n\r\n";
    stand.raw(request, |read| ticks(read) >= 2)?;
    events(stand, &stand.front.http, &[])
}

/// The same when the client resets its stream.
pub fn http2_without_end_is_unfinished_when_the_client_leaves(stand: &Stand<'_>) -> Result<()> {
    match &stand.front.h2c {
        Some(h2c) => {
            stand.recording.clear();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let leave = leave_http2(h2c.trim_start_matches("http://"));
            runtime.block_on(async { tokio::time::timeout(PATIENCE, leave).await })??;
            events(stand, h2c, &["--http2-prior-knowledge"])
        }
        None => Ok(()),
    }
}

fn ticks(read: &[u8]) -> usize {
    String::from_utf8_lossy(read).matches("event: tick").count()
}

/// Resets the stream when the second event is there.
async fn leave_http2(authority: &str) -> Result<()> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(format!("http://{authority}/sse"));
    let request = request.body(Empty::<Bytes>::new())?;
    let mut response = sender.send_request(request).await?;
    let mut read = Vec::new();
    while ticks(&read) < 2 {
        let frame = response.frame().await.context("events without end")??;
        read.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
    }
    drop(response);
    // Ends when all is said that is to be said, the reset included.
    drop(sender);
    connection.await??;
    Ok(())
}

/// One was left when the second event had come, though more do: so events reach the client one by one.
fn events(stand: &Stand<'_>, base: &str, arguments: &[&str]) -> Result<()> {
    let exchange = stand.only()?;
    assert_eq!(path(&exchange), "/sse");
    // Event streams are not kept.
    let seen = stand.front.traits.whole_bodies;
    assert_eq!(exchange.unfinished, seen);
    assert_eq!(status(&exchange), 200);
    assert!(response_body(&exchange).original_size > 0);
    let (answer, exchange) = stand.exchange_at(&format!("{base}/sse/3"), arguments)?;
    assert_eq!(answer.text().matches("event: tick").count(), 3);
    let kept = response_body(&exchange);
    let counted = if seen { answer.body.len() } else { 1 };
    assert_eq!(kept.original_size, counted as u64);
    assert!(!exchange.unfinished);
    Ok(())
}

/// The body of an answer in chunks, whichever these are.
fn unchunked(answer: &str) -> String {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let mut lines = body.split("\r\n");
    let mut plain = String::new();
    while let (Some(size), Some(data)) = (lines.next(), lines.next()) {
        if usize::from_str_radix(size, 16) != Ok(data.len()) {
            break;
        }
        plain.push_str(data);
    }
    plain
}

/// Trailers are no part of the body and do not leave the exchange open.
pub fn trailers_pass(stand: &Stand<'_>) -> Result<()> {
    stand.recording.clear();
    let answer = stand.raw(
        b"GET /trailers HTTP/1.1\r\nHost: t.example\r\nTE: trailers\r\nConnection: close\r\n\r\n",
        |_| false,
    )?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 200") && unchunked(&answer) == "{\"trailers\":true}",
        "{answer}"
    );
    assert_eq!(
        answer.contains("x-checksum: abc"),
        stand.front.traits.trailers,
        "{answer}"
    );
    let exchange = stand.only()?;
    assert_eq!(response_body(&exchange).data[..], *b"{\"trailers\":true}");
    assert!(!exchange.unfinished);
    Ok(())
}

fn batch(sequence: u64, size: usize) -> ExportRequest {
    let exchange = telemetry::Exchange {
        id: vec![7; 16].into(),
        authority: vec![b'a'; size].into(),
        ..Default::default()
    };
    ExportRequest {
        shim: Some(Shim {
            kind: "test".to_owned(),
            instance: vec![3; 16].into(),
            ..Default::default()
        }),
        sequence,
        exchanges: vec![exchange],
        ..Default::default()
    }
}

/// A unary call, a conversation, a refusal: messages, metadata and trailers arrive as they were sent.
pub fn grpc_passes_untouched(stand: &Stand<'_>) -> Result<()> {
    let (Some(h2c), true) = (&stand.front.h2c, stand.front.traits.grpc) else {
        return Ok(());
    };
    stand.recording.clear();
    let service = stand.origin.grpc();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let url = h2c.clone();
    let talk = async {
        let mut client = TelemetryServiceClient::new(Endpoint::from_shared(url)?.connect().await?);
        // Larger than a frame and a window of HTTP/2.
        let mut request = Request::new(batch(1, 200_000));
        let token = MetadataValue::from_static("Bearer grpc-token");
        request.metadata_mut().insert("authorization", token);
        let answer = client.export(request).await?.into_inner();
        assert_eq!(answer.acknowledged_sequence, 1);

        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut answers = client.stream(ReceiverStream::new(receiver)).await?;
        for sequence in 2..=4 {
            // The next is only said after the last was answered: nothing on the way waits for the end.
            sender.send(batch(sequence, 100)).await?;
            let answer = answers.get_mut().message().await?.context("an answer")?;
            assert_eq!(answer.acknowledged_sequence, sequence);
        }
        drop(sender);
        assert!(answers.get_mut().message().await?.is_none(), "the end");

        service.behave(Behaviour::InvalidArgument);
        let refused = client.export(batch(5, 100)).await;
        let refused = refused.err().context("a refusal")?;
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::InvalidArgument, "this batch is not understood")
        );
        anyhow::Ok(())
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, talk).await })??;

    let wanted = [
        batch(1, 200_000),
        batch(2, 100),
        batch(3, 100),
        batch(4, 100),
    ];
    assert!(service.batches() == wanted, "the service got what was sent");
    assert_eq!(
        service.authorizations().first().map(String::as_str),
        Some("Bearer grpc-token")
    );
    let exchanges = stand.recording.wait_for(3, PATIENCE)?;
    let called: Vec<String> = exchanges.iter().map(path).collect();
    let method = |name: &str| format!("/silhouette.telemetry.v1.TelemetryService/{name}");
    assert_eq!(
        called,
        [method("Export"), method("Stream"), method("Export")]
    );
    for exchange in &exchanges {
        assert_eq!(
            (exchange.http_version.as_str(), status(exchange)),
            ("2", 200)
        );
        assert_eq!(
            header(exchange, "content-type").as_deref(),
            Some("application/grpc")
        );
        let sent = request_body(exchange);
        assert!(sent.data.is_empty() && sent.omitted == "content_type");
        assert!(sent.original_size > 100, "{}", sent.original_size);
        assert!(!exchange.unfinished, "{}", path(exchange));
    }
    Ok(())
}
