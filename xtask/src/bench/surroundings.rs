//! What stands around a gateway under load: an origin, a collector.
//!
//! In: a directory. Out: running processes that are gone when their handle is dropped.

use std::path::Path;

use anyhow::{Context, Result};

use super::load::json;
use crate::children::{self, Running};

/// A collector of its own, and where it takes telemetry.
pub(super) fn collector(built: &Path, dir: &Path) -> Result<(Running, String)> {
    let mut command = children::tied(built.join("silhouette-collector"));
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(dir.join("collector"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let log = dir.join("collector.log");
    let (running, line) =
        Running::start_and_listen("silhouette-collector", &mut command, &log, "listening ")?;
    let telemetry = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("telemetry="));
    let telemetry = telemetry
        .with_context(|| format!("no telemetry address in {line:?}"))?
        .to_owned();
    Ok((running, telemetry))
}

/// An nginx of one worker with this `http` block.
pub(super) fn nginx(
    dir: &Path,
    name: &str,
    module: Option<&Path>,
    http: &str,
    port: u16,
) -> Result<Running> {
    let dir = dir.join(name);
    std::fs::create_dir_all(&dir)?;
    let preamble = children::nginx_preamble(&dir, 1, module);
    let paths = children::nginx_paths(&dir);
    let config =
        format!("{preamble}events {{ worker_connections 1024; }}\nhttp {{\n{paths}{http}\n}}\n");
    std::fs::write(dir.join("nginx.conf"), config)?;
    children::nginx(&dir, port)
}

/// An nginx that answers everything with 1 KiB of JSON, and its port.
pub(super) fn origin(dir: &Path) -> Result<(Running, u16)> {
    let (port, json) = (children::port(0)?, json());
    let http = format!(

        "access_log off; keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{json}'; }} }}"
    );
    let running = nginx(dir, "origin", None, &http, port)?;
    Ok((running, port))
}
