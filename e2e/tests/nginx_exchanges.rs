//! What clients send and get over HTTP, as the module reports it: the exchange matrix on a real nginx, and what only nginx does
//! with files, compression and buffers.

mod stand;

use anyhow::{Context, Result};
use silhouette_e2e::exchange_matrix;
use silhouette_e2e::matrix::{bodies, holds};
use stand::{Bench, CAP, header, request_body, response_body, status, tempfile_with};

exchange_matrix!(stand::Bench::run);

#[test]
fn a_log_variable_says_what_became_of_a_request() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, _) = bench.exchange("/echo/a%20b/../c?x=1&y=%2F", &["--path-as-is"])?;
    assert_eq!(answer.status, 200);
    bench.logged("/echo/a%20b/../c?x=1&y=%2F 200 captured")
}

#[test]
fn gzip_at_nginx() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange("/gzip-here", &["-H", "Accept-Encoding: gzip"])?;
    assert_eq!(
        answer.header("content-encoding"),
        Some("gzip"),
        "the client gets it compressed"
    );
    assert_eq!(
        header(&exchange, "content-encoding"),
        None,
        "the module saw it before"
    );
    let seen = response_body(&exchange);
    serde_json::from_slice::<serde_json::Value>(&seen.data)?;
    Ok(())
}

#[test]
fn a_body_that_is_spooled_to_a_file() -> Result<()> {
    let bench = Bench::start()?;
    let body = "7".repeat(100 * CAP);
    let file = tempfile_with(&body)?;
    let data = format!("@{}", file.path().display());
    let (answer, exchange) = bench.exchange(
        "/upload",
        &["-H", "Content-Type: text/plain", "--data-binary", &data],
    )?;
    assert_eq!(answer.json()?["bytes"], body.len());
    // Beyond client_body_buffer_size nginx spools to a file: what was seen came before that.
    assert!(
        bench
            .nginx
            .error_log()
            .contains("buffered to a temporary file")
    );
    holds(&request_body(&exchange), body.as_bytes())
}

#[test]
fn files_without_a_body() -> Result<()> {
    let bench = Bench::start()?;
    let (_, exchange) = bench.exchange("/files/page.json", &["--head"])?;
    assert_eq!(
        (status(&exchange), response_body(&exchange).original_size),
        (200, 0)
    );
    assert!(!exchange.unfinished);
    let (_, exchange) = bench.exchange("/files/page.json", &[])?;
    let modified = header(&exchange, "last-modified").context("last-modified")?;
    assert!(header(&exchange, "etag").is_some());
    let (answer, exchange) = bench.exchange(
        "/files/page.json",
        &["-H", &format!("If-Modified-Since: {modified}")],
    )?;
    assert_eq!(
        (answer.status, status(&exchange)),
        (304, 304),
        "by nginx itself"
    );
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn ranges_of_files() -> Result<()> {
    let bench = Bench::start()?;
    // nginx makes this one of a static file, in a filter after the module's.
    let (answer, exchange) = bench.exchange("/files/page.json", &["-H", "Range: bytes=2-11"])?;
    assert_eq!((answer.status, status(&exchange)), (206, 206));
    assert_eq!(
        header(&exchange, "content-range").as_deref(),
        answer.header("content-range")
    );
    assert_eq!(response_body(&exchange).data, answer.body);
    assert_eq!(answer.body.len(), 10);
    let (answer, exchange) = bench.exchange("/files/page.json", &["-H", "Range: bytes=90000-"])?;
    assert_eq!((answer.status, status(&exchange)), (416, 416));
    Ok(())
}

#[test]
fn unbuffered_both_ways() -> Result<()> {
    let bench = Bench::start()?;
    bodies::uploads(&bench.stand(), "/unbuffered/upload")?;
    let (answer, exchange) =
        bench.exchange(&format!("/unbuffered/json?size={}", 100 * CAP), &[])?;
    holds(&response_body(&exchange), &answer.body)?;
    assert!(!exchange.unfinished);
    Ok(())
}
