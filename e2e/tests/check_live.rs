//! `check` and `diff` against a collector that learns from a real gateway, behind TLS and a token.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::Result;
use serde_json::Value;
use silhouette_e2e::bookshop::Bookshop;
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Collector, Nginx, artifacts, curl};

const HOST: &str = "shop.example";

/// What is documented of the bookshop: a list, an item that nobody should ask for any more, and something nobody calls. The
/// search is forgotten.
const DESCRIPTION: &str = r#"openapi: 3.0.3
info: { title: Shop, version: "1" }
servers:
  - url: https://shop.example/api/v1
paths:
  /books:
    get:
      responses: { "200": { description: A page of books } }
  /books/{isbn}:
    get:
      deprecated: true
      parameters:
        - { name: isbn, in: path, required: true, schema: { type: string } }
      responses: { "200": { description: A book } }
  /shelves:
    get:
      responses: { "200": { description: Shelves } }
"#;

/// Runs the program as in CI: where the collector is and its token come from the environment.
fn run(directory: &Path, url: &str, token: Option<&str>, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(artifacts::collector()?);
    command.args(args).current_dir(directory);
    command.env("SILHOUETTE_COLLECTOR", url);
    command.env_remove("SILHOUETTE_ADMIN_TOKEN");
    if let Some(token) = token {
        command.env("SILHOUETTE_ADMIN_TOKEN", token);
    }
    Ok(command.stdin(Stdio::null()).output()?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn live_traffic_shows_what_is_not_documented() -> Result<()> {
    let (shop, authority, other) = (Bookshop::start()?, Authority::new()?, Authority::new()?);
    let identity = authority.server()?;
    let [certificate, key] =
        [&identity.certificate, &identity.key].map(|p| p.display().to_string());
    let collector = Collector::start(&[
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--admin-tls",
        "true",
    ])?;
    let (shim, admin) = (
        collector.token("edge-1", false)?,
        collector.token("ci", true)?,
    );
    let ca = authority.ca_file().display().to_string();
    let more = format!("silhouette_tls_ca {ca}; silhouette_token {shim};");
    let nginx = Nginx::start(1, |layout| {
        capturing(layout, &collector.tls_url(), &shop.url(), &more)
    })?;
    let said = format!("Host: {HOST}");
    let sent = std::cell::Cell::new(0);
    let call = |path: &str| {
        sent.set(sent.get() + 1);
        curl(["-H", &said, &nginx.url(path)])
    };
    let list = call("/api/v1/books?perPage=5")?;
    assert_eq!(list.status, 200, "{}", list.text());
    let books = list.json()?;
    for book in books["items"].as_array().into_iter().flatten() {
        let isbn = book["isbn"].as_str().unwrap_or_default();
        assert_eq!(call(&format!("/api/v1/books/{isbn}"))?.status, 200);
    }
    for query in ["dune", "night", "sea"] {
        assert_eq!(call(&format!("/api/v1/search?q={query}"))?.status, 200);
    }
    nginx.drained(sent.get(), PATIENCE)?;

    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("openapi.yaml"), DESCRIPTION)?;
    let url = format!("https://localhost:{}", collector.admin().port());
    let check = ["check", "openapi.yaml", "--against", HOST, "--tls-ca", &ca];
    let with = |token: Option<&str>, more: &[&str]| {
        run(directory.path(), &url, token, &[&check[..], more].concat())
    };
    wait_until("the tokens are in force", PATIENCE, || {
        with(None, &[]).is_ok_and(|output| stderr(&output).contains("SILHOUETTE_ADMIN_TOKEN"))
    })?;
    // What was acknowledged is learnt a moment later.
    wait_until("the search is learnt", PATIENCE, || {
        let output = with(Some(&admin), &["--format", "json"]);
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("/search"))
    })?;

    let output = with(Some(&admin), &["--format", "json"])?;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let found = |rule: &str| -> Vec<&str> {
        let findings = report["findings"].as_array().into_iter().flatten();
        let of_rule = findings.filter(|finding| finding["rule"] == rule);
        of_rule
            .filter_map(|finding| finding["operations"][0].as_str())
            .collect()
    };
    assert_eq!(
        found("shadow-operation"),
        ["GET /api/v1/search"],
        "{report:#}"
    );
    assert_eq!(found("zombie-operation"), ["GET /books/{isbn}"]);
    assert_eq!(found("orphan-operation"), ["GET /shelves"]);

    // Documented meanwhile: what the collector has is the new description, and `check` finds nothing to say.
    let document = with_document(directory.path(), &url, &admin, &ca)?;
    assert_eq!(document.status.code(), Some(0), "{}", stderr(&document));

    for (token, authority, expected) in [
        (None, &ca, "SILHOUETTE_ADMIN_TOKEN"),
        (Some(shim.as_str()), &ca, "answers 401"),
        (
            Some(admin.as_str()),
            &other.ca_file().display().to_string(),
            "certificate",
        ),
    ] {
        let args = [
            "check",
            "openapi.yaml",
            "--against",
            HOST,
            "--tls-ca",
            authority,
        ];
        let output = run(directory.path(), &url, token, &args)?;
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(
            !error.contains(&shim) && !error.contains(&admin),
            "a token is told: {error}"
        );
    }
    let plain = url.replace("https", "http");
    let output = run(directory.path(), &plain, Some(&admin), &check)?;
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(
        error.contains("This port speaks TLS: use https://"),
        "{error}"
    );
    Ok(())
}

/// Fetches the collector's own document with curl, as people do, and checks it against the collector.
fn with_document(directory: &Path, url: &str, admin: &str, ca: &str) -> Result<Output> {
    let bearer = format!("Authorization: Bearer {admin}");
    let path = format!("{url}/v1/hosts/{HOST}/openapi.yaml");
    let answer = curl(["--cacert", ca, "-H", &bearer, &path])?;
    assert_eq!(answer.status, 200, "{}", answer.error);
    std::fs::write(directory.join("observed.yaml"), &answer.body)?;
    let args = [
        "check",
        "observed.yaml",
        "--against",
        HOST,
        "--tls-ca",
        ca,
        "--fail-on",
        "any",
    ];
    run(directory, url, Some(admin), &args)
}
