//! Where the things under test were built: next to the running test or binary, in the same profile.
//!
//! In: the path of the running executable. Out: paths of the collector, the module, the filter, the Worker and the small programs, or an error
//! that says how to build what is missing. Never builds anything, never falls back to something that is installed.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// File name of nginx's dynamic module.
pub const MODULE: &str = "libngx_http_silhouette_module.so";
/// File name of the collector.
pub const COLLECTOR: &str = "silhouette-collector";
/// File name of the catalog.
pub const CATALOG: &str = "silhouette-catalog";

/// File name of the proxy-wasm filter.
pub const FILTER: &str = "silhouette.wasm";

/// File name of the Cloudflare Worker's entry.
pub const WORKER: &str = "index.js";

/// The profile's directory, e.g. `target/debug`.
pub fn directory() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("path of the running program")?;
    let mut dir = exe.parent().context("directory of the running program")?;
    if dir.ends_with("deps") || dir.ends_with("examples") {
        dir = dir.parent().context("directory above deps/")?;
    }
    Ok(dir.to_owned())
}

/// A file that cargo built beside the running program.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = directory()?.join(name);
    if !path.exists() {
        bail!(
            "{} is not built: run `cargo xtask test`, which builds everything once, or \
             `cargo build -p silhouette-collector -p silhouette-catalog -p silhouette-nginx -p silhouette-e2e`",
            path.display()
        );
    }
    Ok(path)
}

/// nginx's dynamic module.
pub fn module() -> Result<PathBuf> {
    built(MODULE)
}

/// The catalog's binary.
pub fn catalog() -> Result<PathBuf> {
    built(CATALOG)
}

/// The collector's binary.
pub fn collector() -> Result<PathBuf> {
    built(COLLECTOR)
}

/// The proxy-wasm filter for Kong and Envoy, as it ships.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn filter() -> Result<PathBuf> {
    Ok(beside("filter", FILTER, "filter")?.join(FILTER))
}

/// Directory of the Cloudflare Worker's modules, as it ships.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn worker() -> Result<PathBuf> {
    beside("worker", WORKER, "worker")
}

/// The same, built so that a request with `x-silhouette-fault: panic` makes its WebAssembly panic.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn worker_fault() -> Result<PathBuf> {
    beside("worker-fault", WORKER, "worker")
}

/// A directory beside the profile's, if `file` is in it.
fn beside(directory_name: &str, file: &str, task: &str) -> Result<PathBuf> {
    let profile = directory()?;
    let target = profile.parent().context("directory above the profile's")?;
    let path = target.join(directory_name);
    if !path.join(file).exists() {
        bail!(
            "{} is not built: run `cargo xtask {task}`, which builds it",
            path.join(file).display()
        );
    }
    Ok(path)
}
