//! The catalog as a task uses it: started beside the others, and asked through its REST API as everybody else asks it.
//!
//! In: the built program, a directory, a port. Out: a running catalog with an owner, an API key, and answers as JSON.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::children::{self, Running};
use crate::command;

/// Whom the first start makes, for the show alone: it listens on loopback.
pub(crate) const OWNER: &str = "owner@example.com";
pub(crate) const PASSWORD: &str = "silhouette-on-loopback";

/// A running catalog.
pub(crate) struct Catalog {
    pub(crate) url: String,
    pub(crate) key: String,
    headers: PathBuf,
}

impl Catalog {
    /// Starts it on an empty data directory, `dir/catalog`, and makes a key.
    pub(crate) fn start(built: &Path, dir: &Path, port: u16) -> Result<(Running, Catalog)> {
        let (program, data) = (built.join("silhouette-catalog"), dir.join("catalog"));
        let mut serve = children::tied(&program);
        serve.arg("serve").arg("--data-dir").arg(&data);
        serve.arg("--listen").arg(format!("127.0.0.1:{port}"));
        serve.args(["--owner-email", OWNER]);
        let password = dir.join("catalog.password");
        std::fs::write(&password, PASSWORD)?;
        serve.env("SILHOUETTE_CATALOG_OWNER_PASSWORD_FILE", password);
        let log = dir.join("catalog.log");
        let (running, _) =
            Running::start_and_listen("silhouette-catalog", &mut serve, &log, "listening ")?;
        let mut make = command::program(&program);
        make.args([
            "key",
            "create",
            "--user",
            OWNER,
            "--name",
            "cargo xtask",
            "--data-dir",
        ]);
        let said = command::output(make.arg(&data))?;
        let key = said
            .split_whitespace()
            .find(|word| word.starts_with("slk_"))
            .with_context(|| format!("no key in {said:?}"))?;
        // Not on a command line, where everybody on the machine could read it.
        let headers = dir.join("catalog.headers");
        std::fs::write(
            &headers,
            format!("X-Auth: {key}\nContent-Type: application/json\n"),
        )?;
        let catalog = Catalog {
            url: format!("http://127.0.0.1:{port}"),
            key: key.to_owned(),
            headers,
        };
        Ok((running, catalog))
    }

    /// A request that must succeed; the JSON it answers with.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut curl = command::program("curl");
        curl.args([
            "-q",
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "-X",
            method,
        ]);
        curl.arg("-H").arg(format!("@{}", self.headers.display()));
        if let Some(body) = body {
            curl.arg("--data-binary").arg(body.to_string());
        }
        curl.args(["-w", "\n%{http_code}"])
            .arg(format!("{}{path}", self.url));
        let said = command::output(&mut curl)?;
        let (body, status) = said
            .rsplit_once('\n')
            .context("curl says the status last")?;
        if !status.starts_with('2') {
            bail!("{method} {path}: status {status}: {body}");
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(body).with_context(|| format!("{method} {path}: no JSON: {body}"))
    }
}
