//! The filter under Kong's rules: what it captures there, and how it behaves when the collector, the instance or the
//! configuration is not well.
//!
//! In: the filter as `cargo xtask filter` has built it, the strict host, a real origin, real curl, a recording or a real
//! collector. Out: what was recorded, and that no rule was broken on the way.

mod chains;
mod collector;
mod seen;
#[path = "../strict/mod.rs"]
mod strict;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use prost::Message;
use serde_json::{Value, json};
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::recording::{Behaviour, Recording};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Answer, Collector, Origin, curl};
use silhouette_proto::telemetry::v1::{Body, Exchange, ExportRequest, ExportResponse, Shim};
use strict::{Gateway, Kong, Level, Options};

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
