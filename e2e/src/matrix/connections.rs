//! Several exchanges on a connection, several connections at a time, and ends nobody wished for.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper::{Method, Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use silhouette_proto::telemetry::v1::Exchange;
use tokio::net::TcpStream;

use super::{PATIENCE, Stand};
use crate::exchange::{path, query, request_body, response_body, status};
use crate::flood::flood;

/// Requests that do not wait for answers.
pub fn pipelined_requests_are_one_exchange_each(stand: &Stand<'_>) -> Result<()> {
    stand.recording.clear();
    let mut requests = Vec::new();
    for n in 0..20 {
        write!(
            requests,
            "GET /json?n={n} HTTP/1.1\r\nHost: pipe.example\r\n\r\n"
        )?;
    }
    write!(
        requests,
        "GET /json?n=last HTTP/1.1\r\nHost: pipe.example\r\nConnection: close\r\n\r\n"
    )?;
    let answers = stand.raw(&requests, |_| false)?;
    let answers = String::from_utf8_lossy(&answers).into_owned();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 21);
    let exchanges = stand.recording.wait_for(21, PATIENCE)?;
    let queries: Vec<String> = exchanges.iter().map(query).collect();
    let wanted: Vec<String> = (0..20)
        .map(|n| format!("n={n}"))
        .chain(["n=last".to_owned()])
        .collect();
    assert_eq!(queries, wanted);
    let ids: BTreeSet<&[u8]> = exchanges.iter().map(|e| &e.id[..]).collect();
    assert_eq!(ids.len(), 21, "ids are unique");
    for exchange in &exchanges {
        assert_eq!(exchange.authority[..], *b"pipe.example");
        assert!(!exchange.unfinished);
    }
    Ok(())
}

/// An exchange whose request and response belong together: the origin's `/echo` says what it was asked.
fn pair(exchange: &Exchange) -> Result<String> {
    let (asked, kept) = (query(exchange), response_body(exchange));
    let told: Value = serde_json::from_slice(&kept.data).context("the echo")?;
    ensure!(
        told["query"] == asked.as_str(),
        "asked {asked}, answered {told}"
    );
    let sent = request_body(exchange);
    ensure!(
        told["body"].as_str().map(str::as_bytes) == Some(&sent.data[..]),
        "sent {:?}, answered {told}",
        sent.data
    );
    Ok(asked)
}

/// Many at a time on many connections.
pub fn exchanges_are_not_mixed_up(stand: &Stand<'_>) -> Result<()> {
    const COUNT: u64 = 400;
    stand.recording.clear();
    let done = flood(stand.authority(), COUNT, 16, |n| {
        let body = format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n as usize % 900));
        (Method::POST, format!("/echo?n={n}"), Some(body))
    })?;
    assert_eq!(
        (done.answered, done.failed),
        (COUNT, 0),
        "{:?}",
        done.reasons
    );
    let exchanges = stand.recording.wait_for(COUNT as usize, PATIENCE)?;
    let seen = exchanges
        .iter()
        .map(pair)
        .collect::<Result<BTreeSet<_>>>()?;
    let wanted: BTreeSet<String> = (0..COUNT).map(|n| format!("n={n}")).collect();
    assert_eq!((seen, exchanges.len()), (wanted, COUNT as usize));
    Ok(())
}

/// Many at a time on one connection.
pub fn http2_streams_are_not_mixed_up(stand: &Stand<'_>) -> Result<()> {
    const COUNT: usize = 60;
    let Some(h2c) = &stand.front.h2c else {
        return Ok(());
    };
    stand.recording.clear();
    let authority = h2c.trim_start_matches("http://");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, together(authority, COUNT)).await })??;
    let exchanges = stand.recording.wait_for(COUNT, PATIENCE)?;
    let seen = exchanges
        .iter()
        .map(pair)
        .collect::<Result<BTreeSet<_>>>()?;
    assert_eq!((seen.len(), exchanges.len()), (COUNT, COUNT));
    let connections: BTreeSet<u32> = exchanges
        .iter()
        .filter_map(|e| Some(e.client.as_ref()?.port))
        .collect();
    assert_eq!(connections.len(), 1, "they shared one: {connections:?}");
    Ok(())
}

/// So many POSTs to `/echo` on one connection; all are sent before any is answered in full.
async fn together(authority: &str, count: usize) -> Result<()> {
    let stream = TcpStream::connect(authority).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..count {
        let mut sender = sender.clone();
        let body = format!("stream {n}{}", "x".repeat(n * 40));
        let request = Request::post(format!("http://{authority}/echo?n={n}"))
            .header(header::CONTENT_TYPE, "text/plain")
            .body(Full::new(Bytes::from(body)))?;
        calls.spawn(async move {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            ensure!(response.status() == 200, "{n}: {}", response.status());
            response.into_body().collect().await?;
            anyhow::Ok(())
        });
    }
    while let Some(call) = calls.join_next().await {
        call.context("a call's task")??;
    }
    Ok(())
}

/// Down, hanging up, breaking in the middle.
pub fn origins_that_break(stand: &Stand<'_>) -> Result<()> {
    let wanted = stand.front.traits.bad_gateway;
    for place in ["/down", "/hangup"] {
        let (answer, exchange) = stand.exchange(place, &[])?;
        assert_eq!(
            (answer.status, status(&exchange), path(&exchange).as_str()),
            (wanted, u32::from(wanted), place)
        );
        assert_eq!(
            response_body(&exchange).original_size,
            answer.body.len() as u64
        );
        assert_eq!(
            exchange.unfinished,
            wanted == 0,
            "{place}: the gateway's own answer is whole"
        );
    }
    for (place, kept) in [("/reset", false), ("/reset?json", true)] {
        let (answer, exchange) = stand.exchange(place, &[])?;
        assert_eq!((answer.status, status(&exchange)), (200, 200));
        assert_ne!(answer.exit, 0, "the client notices, as without a shim");
        // Bytes without a type are not kept.
        let (seen, whole) = (
            response_body(&exchange).original_size,
            stand.front.traits.whole_bodies,
        );
        let shown = stand.front.traits.broken_answers;
        assert_eq!(exchange.unfinished, shown && (kept || whole), "{place}");
        match (kept && shown, whole) {
            (_, true) => assert_eq!(seen, 500, "{place}"),
            (true, false) => assert!(seen <= 500, "{place}: {seen}"),
            (false, false) => assert_eq!(seen, 1000, "{place}: as announced"),
        }
    }
    Ok(())
}

/// A request that never ends well, and one after it that does.
pub fn clients_that_leave_in_the_middle_of_a_request(stand: &Stand<'_>) -> Result<()> {
    stand.recording.clear();
    let mut socket = stand.connect()?;
    socket.write_all(
        b"POST /upload HTTP/1.1\r\nHost: gone.example\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n0123456789",
    )?;
    drop(socket);
    if stand.front.traits.unanswered {
        let exchange = stand.only()?;
        assert_eq!(path(&exchange), "/upload");
        let kept = request_body(&exchange);
        assert!(b"0123456789".starts_with(&kept.data[..]), "{kept:?}");
        assert_ne!(status(&exchange), 200);
    }
    let (answer, exchange) = stand.exchange("/json", &[])?;
    assert_eq!((answer.status, status(&exchange)), (200, 200));
    assert_eq!(response_body(&exchange).data, answer.body);
    Ok(())
}
