//! What the tests of bad input to the catalog share: callers that send what they like, and what must never come of it.
//!
//! In: a running catalog. Out: answers, checked for what all refusals have in common; and the end of each test: nothing failed
//! inside, and the memory stayed within bounds.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use silhouette_e2e::{Answer, Catalog, curl, process};

/// What a collector says of a document, in place of a hash of its contract.
pub(crate) const CONTRACT: &str =
    "00000000000000000000000000000000000000000000000000000000000000aa";

/// A source for uploads; its id.
pub(crate) fn uploads(catalog: &Catalog, name: &str) -> Result<String> {
    let source = json!({ "name": name, "kind": "upload" });
    let made = catalog
        .rest()
        .done("POST", "/api/v1/sources", Some(&source))?;
    Ok(made["id"].as_str().context("no id")?.to_owned())
}

/// A file in a directory.
pub(crate) fn file(dir: &Path, name: &str, contents: &[u8]) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, contents)?;
    Ok(path)
}

/// A request to the REST API with the owner's key, as curl's own arguments say.
pub(crate) fn ask(catalog: &Catalog, path: &str, more: &[&str]) -> Result<Answer> {
    let key = format!("X-Auth: {}", catalog.rest().key());
    let url = format!("{}{path}", catalog.url());
    let mut args = vec!["--max-time", "120", "-H", &key];
    args.extend(more);
    args.push(&url);
    curl(args)
}

/// A document as a file.
pub(crate) fn import(catalog: &Catalog, source: &str, contents: &[u8]) -> Result<Answer> {
    let dir = tempfile::tempdir()?;
    let path = file(dir.path(), "document", contents)?;
    let source = format!("sourceId={source}");
    let part = format!("file=@{}", path.display());
    ask(catalog, "/api/v1/imports", &["-F", &source, "-F", &part])
}

/// A document as JSON text.
pub(crate) fn import_text(catalog: &Catalog, source: &str, text: &str) -> Result<Answer> {
    let dir = tempfile::tempdir()?;
    let body = json!({ "sourceId": source, "text": text }).to_string();
    let path = file(dir.path(), "body", body.as_bytes())?;
    let body = format!("@{}", path.display());
    let json = "Content-Type: application/json";
    ask(
        catalog,
        "/api/v1/imports",
        &["-H", json, "--data-binary", &body],
    )
}

/// A request as a collector makes it.
pub(crate) fn collector(
    catalog: &Catalog,
    secret: &str,
    (method, path): (&str, &str),
    body: &[u8],
    more: &[&str],
) -> Result<Answer> {
    let dir = tempfile::tempdir()?;
    let path_of_body = file(dir.path(), "body", body)?;
    let body = format!("@{}", path_of_body.display());
    let bearer = format!("Authorization: Bearer {secret}");
    let url = format!("{}/collector/v1/{path}", catalog.url());
    let mut args = vec!["--max-time", "120", "-X", method, "-H", &bearer];
    args.extend(["-H", "Content-Type: application/json"]);
    args.extend(more);
    args.extend(["--data-binary", &body, &url]);
    curl(args)
}

/// Registers by hand what would be a collector; its credential.
pub(crate) fn register(catalog: &Catalog, source: &str) -> Result<String> {
    let token = catalog.rest().registration_token(source)?;
    let body = json!({ "instance": "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0b", "name": "edge", "version": "0.1.0" });
    let answer = collector(
        catalog,
        &token,
        ("POST", "registrations"),
        body.to_string().as_bytes(),
        &[],
    )?;
    ensure!(
        answer.status == 201,
        "registering: {} {}",
        answer.status,
        answer.text()
    );
    let made = answer.json()?;
    Ok(made["credential"]
        .as_str()
        .context("no credential")?
        .to_owned())
}

/// Pushes a revision.
pub(crate) fn push(
    catalog: &Catalog,
    secret: &str,
    (host, sequence): (&str, u64),
    body: &[u8],
    more: &[&str],
) -> Result<Answer> {
    let contract = format!("Silhouette-Contract: {CONTRACT}");
    let mut headers = vec!["-H", &contract];
    headers.extend(more);
    let path = format!("hosts/{host}/revisions/{sequence}");
    collector(catalog, secret, ("PUT", &path), body, &headers)
}

/// The problem document of a refusal, which must be of this status and type.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    let shown = format!("{} {} {:.2000}", answer.status, answer.error, answer.text());
    assert_eq!(answer.status, status, "{shown}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{shown}"
    );
    let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(document["type"], format!("/problems/{kind}"), "{shown}");
    assert!(answer.body.len() < 16 << 10, "a refusal is short: {shown}");
    document
}

/// A request over a plain socket; what came back until the other side closed, or until it said nothing for so long.
pub(crate) fn raw(catalog: &Catalog, parts: &[&[u8]], patience: Duration) -> Result<String> {
    let mut stream = TcpStream::connect(catalog.address())?;
    stream.set_read_timeout(Some(patience))?;
    for part in parts {
        stream.write_all(part)?;
    }
    Ok(answer_of(&mut stream))
}

/// What comes back until the other side closes, or says nothing for the socket's time-out.
pub(crate) fn answer_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A number from `/metrics`, 0 where there is none.
pub(crate) fn metric(catalog: &Catalog, name: &str) -> Result<i64> {
    let text = curl::get_ok(&format!("{}/metrics", catalog.url()))?.text();
    let name = format!("silhouette_catalog_{name}");
    let mut sum = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        if series.split('{').next() == Some(name.as_str()) {
            sum += value.parse::<i64>()?;
        }
    }
    Ok(sum)
}

/// The end of a test: it lives, nothing failed inside or panicked, no answer was a 5xx but 503, and it never took more memory.
pub(crate) fn unharmed(catalog: &Catalog, most: u64) -> Result<()> {
    curl::get_ok(&format!("{}/readyz", catalog.url()))?;
    let log = catalog.log();
    for word in ["panicked", "failed inside", " ERROR ", "stack overflow"] {
        let line = log.lines().find(|line| line.contains(word));
        ensure!(line.is_none(), "the log says: {line:?}");
    }
    let peak = process::peak_bytes(catalog.pid()).context("it is gone")?;
    eprintln!("peak memory: {} MiB", peak >> 20);
    ensure!(peak <= most, "{} MiB were taken", peak >> 20);
    Ok(())
}
