//! What tests ask a recorded exchange.
//!
//! In: an exchange as it came over the wire. Out: its parts as plain values, empty where there is none.

use anyhow::Result;
use silhouette_proto::telemetry::v1::{Body, Exchange, Header};

/// The request's body.
pub fn request_body(exchange: &Exchange) -> Body {
    let request = exchange.request.as_ref();
    request.and_then(|r| r.body.clone()).unwrap_or_default()
}

/// The response's body.
pub fn response_body(exchange: &Exchange) -> Body {
    let response = exchange.response.as_ref();
    response.and_then(|r| r.body.clone()).unwrap_or_default()
}

/// The response's status; 0 when the gateway never answered.
pub fn status(exchange: &Exchange) -> u32 {
    exchange.response.as_ref().map_or(0, |r| r.status)
}

/// First response header of this (lower-case) name.
pub fn header(exchange: &Exchange, name: &str) -> Option<String> {
    first(&exchange.response.as_ref()?.headers, name)
}

/// First request header of this (lower-case) name.
pub fn request_header(exchange: &Exchange, name: &str) -> Option<String> {
    first(&exchange.request.as_ref()?.headers, name)
}

fn first(headers: &[Header], name: &str) -> Option<String> {
    let found = headers.iter().find(|h| h.name == name.as_bytes())?;
    Some(String::from_utf8_lossy(&found.value).into_owned())
}

/// Every value of this (lower-case) name, in order.
pub fn values(headers: &[Header], name: &str) -> Vec<Vec<u8>> {
    let found = headers.iter().filter(|h| h.name == name.as_bytes());
    found.map(|h| h.value.to_vec()).collect()
}

/// The path as sent.
pub fn path(exchange: &Exchange) -> String {
    let request = exchange.request.clone().unwrap_or_default();
    String::from_utf8_lossy(&request.path).into_owned()
}

/// The query as sent, empty when there is none.
pub fn query(exchange: &Exchange) -> String {
    let request = exchange.request.clone().unwrap_or_default();
    String::from_utf8_lossy(&request.query.unwrap_or_default()).into_owned()
}

/// What was kept of a body, as text.
pub fn text(body: &Body) -> String {
    String::from_utf8_lossy(&body.data).into_owned()
}

/// A file with this text, for curl's `@`.
pub fn tempfile_with(text: &str) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}
