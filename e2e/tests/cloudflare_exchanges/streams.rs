//! Bodies on their way: neither direction waits, codings stay, what has no end is let go.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use silhouette_e2e::exchange::{header, request_body, request_header, response_body, status, text};
use silhouette_e2e::matrix::PATIENCE;
use silhouette_e2e::process::wait_until;
use silhouette_e2e::{Answer, curl};
use silhouette_proto::telemetry::v1::Exchange;

use crate::custom::{Custom, one_connection, read_until};

#[test]
fn neither_direction_waits_for_the_other_or_for_us() -> Result<()> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({ "origin": format!("http://{address}") }))?;
    let mut client = TcpStream::connect(custom.workerd.authority())?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(
        b"POST /talk HTTP/1.1\r\nHost: t.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
          6\r\n\"ask1\"\r\n",
    )?;
    let (mut origin, _) = listener.accept()?;
    origin.set_read_timeout(Some(PATIENCE))?;
    read_until(&mut origin, "\"ask1\"")?;
    origin.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n[\"answer1\r\n",
    )?;
    // The client has the first part of the answer before it has sent the last of the question.
    read_until(&mut client, "answer1")?;
    client.write_all(b"6\r\n\"ask2\"\r\n0\r\n\r\n")?;
    read_until(&mut origin, "\"ask2\"")?;
    origin.write_all(b"4\r\nend\"\r\n1\r\n]\r\n0\r\n\r\n")?;
    read_until(&mut client, "end\"")?;
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    let exchange = exchange.context("one")?;
    assert_eq!(text(&request_body(&exchange)), "\"ask1\"\"ask2\"");
    assert_eq!(text(&response_body(&exchange)), "[\"answer1end\"]");
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn codings_pass_byte_by_byte() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let plain = curl([custom.origin.url("/gzip")])?;
    let (answer, exchange) = custom.exchange("/gzip", &["-H", "Accept-Encoding: gzip"])?;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(
        answer.header("content-length"),
        plain.header("content-length")
    );
    assert!(
        answer.body == plain.body,
        "the origin's bytes, not others that say the same"
    );
    let kept: Value = serde_json::from_slice(&response_body(&exchange).data)?;
    assert_eq!(kept["by"], "origin");

    // By `brotli` of a text too short to be compressed.
    let coded = b"\x0b\x15\x80{\"user\":\"ada\",\"password\":\"bodyS3cretValue\"}\x03";
    let (answer, exchange) = coded_as("br", coded)?;
    assert_eq!(answer.header("content-encoding"), Some("br"));
    assert_eq!(answer.body, coded);
    let kept = text(&response_body(&exchange));
    assert!(
        kept.starts_with("{\"user\":\"ada\",\"password\":\"") && !kept.contains("S3cret"),
        "{kept}"
    );

    // What is called gzip and is none is for the client to find out, and a coding nobody knows, too.
    for (coding, body) in [("gzip", b"not gzip!"), ("x-shop", b"not text!")] {
        let (answer, exchange) = coded_as(coding, body)?;
        assert_eq!(answer.body, body);
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(status(&exchange), 200);
        let kept = response_body(&exchange);
        assert!(kept.data.is_empty(), "{coding}: {kept:?}");
    }
    Ok(())
}

/// What comes of JSON that an origin says it has coded like this.
fn coded_as(coding: &str, body: &[u8]) -> Result<(Answer, Exchange)> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({ "origin": format!("http://{address}") }))?;
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend_from_slice(body);
    let origin = std::thread::spawn(move || {
        let (mut origin, _) = listener.accept()?;
        read_until(&mut origin, "\r\n\r\n")?;
        origin.write_all(&response)?;
        anyhow::Ok(())
    });
    let both = custom.exchange("/coded", &[])?;
    origin
        .join()
        .map_err(|_| anyhow::anyhow!("the origin's thread panicked"))??;
    Ok(both)
}

#[test]
fn a_coded_request_is_undone_or_left_out() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"{\"user\":\"ada\",\"password\":\"bodyS3cretValue\"}")?;
    let coded = encoder.finish()?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &coded)?;
    let data = format!("@{}", file.path().display());
    let (answer, exchange) = custom.exchange(
        "/upload",
        &[
            "-H",
            "Content-Type: application/json",
            "-H",
            "Content-Encoding: gzip",
            "--data-binary",
            &data,
        ],
    )?;
    assert_eq!(
        answer.json()?["bytes"],
        coded.len(),
        "the origin gets it as it was"
    );
    let kept = request_body(&exchange);
    assert_eq!(kept.original_size, coded.len() as u64);
    assert!(
        text(&kept).starts_with("{\"user\":\"ada\",\"password\":\""),
        "{kept:?}"
    );
    assert!(!text(&kept).contains("S3cret"));
    assert_eq!(
        request_header(&exchange, "content-encoding"),
        None,
        "what is kept is plain"
    );
    Ok(())
}

#[test]
fn a_body_without_end_is_watched_for_a_while() -> Result<()> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({
        "origin": format!("http://{address}"),
        "content_types": "+text/event-stream",
        "capture_seconds": 1,
    }))?;
    let gone = Arc::new(AtomicBool::new(false));
    let noticed = gone.clone();
    std::thread::spawn(move || {
        let (mut origin, _) = listener.accept()?;
        read_until(&mut origin, "\r\n\r\n")?;
        origin.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
        )?;
        while origin.write_all(b"9\r\ndata: x\n\n\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        noticed.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    });
    let mut client = TcpStream::connect(custom.workerd.authority())?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"GET /events HTTP/1.1\r\nHost: e.example\r\n\r\n")?;
    read_until(&mut client, "data: x")?;
    // It is told of while it goes on.
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    let exchange = exchange.context("one")?;
    assert!(exchange.unfinished);
    assert!(text(&response_body(&exchange)).starts_with("data: x\n\n"));
    read_until(&mut client, "data: x")?;
    assert!(
        !gone.load(Ordering::Relaxed),
        "the client still gets events"
    );
    drop(client);
    wait_until("the origin notices that nobody listens", PATIENCE, || {
        gone.load(Ordering::Relaxed)
    })
}

#[test]
fn a_client_that_leaves_does_not_keep_the_origin_busy() -> Result<()> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({
        "origin": format!("http://{address}"),
        "content_types": "+text/event-stream",
        "capture_seconds": 1,
    }))?;
    let client = std::thread::spawn({
        let authority = custom.workerd.authority();
        move || {
            let mut client = TcpStream::connect(authority)?;
            client.set_read_timeout(Some(PATIENCE))?;
            client.write_all(b"GET /events HTTP/1.1\r\nHost: e.example\r\n\r\n")?;
            read_until(&mut client, "data: x")
        }
    });
    let (mut origin, _) = listener.accept()?;
    read_until(&mut origin, "\r\n\r\n")?;
    origin.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
    )?;
    client
        .join()
        .map_err(|_| anyhow::anyhow!("the client's thread panicked"))??;
    // The client is gone. Our branch lets go of the connection when its time is over, though the origin is silent.
    wait_until("the origin's connection ends", PATIENCE, || {
        origin.write_all(b"9\r\ndata: x\n\n\r\n").is_err()
    })?;
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    assert!(exchange.context("one")?.unfinished);
    Ok(())
}

#[test]
fn headers_of_a_response_are_the_origins() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    for path in [
        "/json",
        "/cookies",
        "/many-headers",
        "/odd-headers",
        "/etag",
        "/redirect",
        "/gzip",
    ] {
        let direct = curl([custom.origin.url(path)])?;
        let (answer, exchange) = custom.exchange(path, &[])?;
        let sorted = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers.sort();
            headers
        };
        assert_eq!(sorted(&answer), sorted(&direct), "{path}");
        assert!(answer.body == direct.body, "{path}");
        assert_eq!(
            header(&exchange, "content-type").as_deref(),
            direct.header("content-type"),
            "{path}"
        );
    }
    Ok(())
}
