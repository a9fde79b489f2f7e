//! The catalog's REST API keeps to its own documents: schemathesis, which nobody here wrote, reads each of them and asks
//! everything it can think of, right and wrong, of the real service.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use silhouette_e2e::{Catalog, browser, curl};

/// Cases per operation and phase; the same ones each time.
const EXAMPLES: &str = "25";

/// What an answer must be, whatever was asked: no 5xx, documented status, media type, headers and body, and no answer at all
/// without a key.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,ignored_auth,missing_required_header,unsupported_method";

fn keeps_to(definition: &str, catalog: &Catalog) -> Result<()> {
    furnish(catalog)?;
    let document = format!("{}/openapi/{definition}.json", catalog.url());
    let answer = curl::get_ok(&document)?;
    let operations: usize = answer.json()?["paths"]
        .as_object()
        .context("paths")?
        .values()
        .filter_map(|item| Some(item.as_object()?.len()))
        .sum();
    ensure!(operations > 0, "{definition} has no operation");
    let tool = browser::checkout()?.join("target/tools/python/bin/schemathesis");
    ensure!(
        Path::new(&tool).exists(),
        "{} is missing: `cargo xtask install` brings it",
        tool.display()
    );
    let scratch = tempfile::tempdir()?;
    let mut run = Command::new(tool);
    run.current_dir(scratch.path()).stdin(Stdio::null());
    run.args([
        "run",
        &document,
        "--header",
        &format!("X-Auth: {}", catalog.rest().key()),
    ]);
    run.args(["--checks", CHECKS, "--max-examples", EXAMPLES]);
    run.args(["--generation-deterministic", "--no-color"]);
    run.args([
        "--continue-on-failure",
        "--request-timeout",
        "30",
        "--warnings",
        "off",
    ]);
    let output = run.output().context("running schemathesis")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(
        output.status.success(),
        "{definition}: schemathesis objects, see above"
    );
    ensure!(
        catalog.rest().get("/api/v1/me").is_ok(),
        "the key does not work any more: the rest was asked in vain"
    );
    Ok(())
}

/// Something to ask for: a source, an API that was imported, a target, a finding.
fn furnish(catalog: &Catalog) -> Result<()> {
    let source = catalog.rest().add_source("Gateway")?;
    catalog.rest().registration_token(&source)?;
    let text = json!({
        "openapi": "3.1.0",
        "info": {"title": "Books", "version": "1"},
        "servers": [{"url": "https://books.example/v1"}],
        "paths": {"/books": {"get": {"responses": {"200": {"description": "All."}}}}}
    });
    let documents = json!({ "name": "Documents", "kind": "upload" });
    let documents = catalog
        .rest()
        .done("POST", "/api/v1/sources", Some(&documents))?;
    let import = json!({ "sourceId": documents["id"], "name": "Books", "text": text.to_string() });
    catalog
        .rest()
        .done("POST", "/api/v1/imports", Some(&import))?;
    let target = json!({ "name": "Books", "url": "https://books.example" });
    catalog
        .rest()
        .done("POST", "/api/v1/targets", Some(&target))?;
    Ok(())
}

/// The same questions on either database.
fn on_each(definition: &str) -> Result<()> {
    println!("on SQLite:");
    keeps_to(definition, &Catalog::start(&[])?)?;
    println!("on PostgreSQL:");
    keeps_to(definition, &Catalog::start_on_postgres(&[])?)
}

#[test]
fn inventory() -> Result<()> {
    on_each("inventory")
}

#[test]
fn importers() -> Result<()> {
    on_each("importers")
}

#[test]
fn scans() -> Result<()> {
    on_each("scans")
}

#[test]
fn identity() -> Result<()> {
    on_each("identity")
}
