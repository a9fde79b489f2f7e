//! Calls of a small API as a shim would report them, for tests in which no gateway matters.
//!
//! In: a host and what was called. Out: telemetry, and a collector that has acknowledged it.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{
    Body, Exchange, ExportRequest, Header, Request, Response, Shim,
};
use tonic::transport::Endpoint;

use crate::Collector;

fn unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// A call that is answered with JSON, now. `id` tells it from others.
pub fn call(host: &str, id: u128, method: &str, path: &str, status: u32, body: &str) -> Exchange {
    Exchange {
        id: Bytes::copy_from_slice(&id.to_be_bytes()),
        start_unix_nanos: unix_nanos(),
        scheme: "https".into(),
        authority: Bytes::copy_from_slice(host.as_bytes()),
        http_version: "1.1".into(),
        request: Some(Request {
            method: method.into(),
            path: Bytes::copy_from_slice(path.as_bytes()),
            ..Default::default()
        }),
        response: Some(Response {
            status,
            headers: vec![Header {
                name: Bytes::from_static(b"content-type"),
                value: Bytes::from_static(b"application/json"),
            }],
            body: Some(Body {
                data: Bytes::copy_from_slice(body.as_bytes()),
                original_size: body.len() as u64,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Calls of all four operations of a bookshop, whose books have `book` for their JSON; `id` and the three after it tell them apart.
pub fn bookshop(host: &str, id: u128, book: &str) -> [Exchange; 4] {
    [
        call(host, id, "GET", "/books", 200, "[{\"id\":1}]"),
        call(host, id + 1, "POST", "/books", 201, book),
        call(host, id + 2, "GET", "/books/17", 200, "{\"id\":17}"),
        call(host, id + 3, "DELETE", "/books/17", 204, ""),
    ]
}

/// What one shim sends, under a number that it uses once.
pub fn batch(sequence: u64, exchanges: Vec<Exchange>) -> ExportRequest {
    ExportRequest {
        shim: Some(Shim {
            kind: "nginx".into(),
            version: "0.1.0".into(),
            node: "test".into(),
            instance: vec![7; 16].into(),
            ..Default::default()
        }),
        sequence,
        exchanges,
        ..Default::default()
    }
}

/// Sends batches; each is acknowledged then.
///
/// # Errors
/// When the collector does not answer.
pub fn export(
    collector: &Collector,
    batches: impl IntoIterator<Item = ExportRequest>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(collector.url())?;
        let mut client = TelemetryServiceClient::new(endpoint.connect().await?);
        for batch in batches {
            client.export(batch).await?;
        }
        Ok(())
    })
}

/// Calls of a bookshop at this host, as the shim's batch of this number.
///
/// # Errors
/// When the collector does not answer.
pub fn send(collector: &Collector, host: &str, sequence: u64) -> Result<()> {
    let calls = bookshop(host, u128::from(sequence) * 10, "{\"id\":1}");
    export(collector, [batch(sequence, calls.into())])
}
