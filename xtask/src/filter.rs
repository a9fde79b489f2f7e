//! `cargo xtask filter`: the proxy-wasm filter for Kong, Envoy and Istio, as it ships.
//!
//! In: `kong-wasm/`, the Rust target `wasm32-wasip1`, the pinned wasm-opt. Out: `target/filter/silhouette.wasm`, which tests,
//! benchmarks and the package all use, and `target/filter/nothing.wasm`, the filter that does nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::{command, install, wasm, workspace};

/// What the filter may weigh at most: 250 KiB.
pub(crate) const MOST_BYTES: u64 = 250 << 10;

const TARGET: &str = "wasm32-wasip1";
const PROFILE: &str = "filter";

/// The two modules and what they weigh.
pub(crate) struct Built {
    pub(crate) silhouette: PathBuf,
    pub(crate) bytes: u64,
}

/// `cargo xtask filter`.
pub(crate) fn run() -> Result<ExitCode> {
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// Installs what that needs, builds both modules, makes them small, and says what they weigh.
///
/// # Errors
/// When something cannot be installed, does not compile, or wasm-opt does not take it.
pub(crate) fn build() -> Result<Built> {
    install::for_filter()?;
    let mut cargo = command::cargo();
    cargo
        .args(["build", "-p", "silhouette-kong-wasm"])
        .args(["--lib", "--example", "nothing"])
        .args(["--target", TARGET, "--profile", PROFILE]);
    command::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", wasm::remapped()))?;
    let built = workspace::target().join(TARGET).join(PROFILE);
    let out = workspace::target().join("filter");
    std::fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let silhouette = out.join("silhouette.wasm");
    let bytes = wasm::shrink(&built.join("silhouette.wasm"), &silhouette, FEATURES)?;
    wasm::shrink(
        &built.join("examples/nothing.wasm"),
        &out.join("nothing.wasm"),
        FEATURES,
    )?;
    Ok(Built { silhouette, bytes })
}

/// What the module may use beyond WebAssembly 1.0: what Kong 3.4's Wasmtime and every V8 of an Envoy know.
const FEATURES: &[&str] = &[
    "--mvp-features",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
];

impl Built {
    /// Refuses a filter that is heavier than it may be.
    pub(crate) fn weigh(&self) -> Result<()> {
        if self.bytes > MOST_BYTES {
            bail!(
                "{} has {} bytes: it may have {MOST_BYTES}",
                self.silhouette.display(),
                self.bytes
            );
        }
        Ok(())
    }
}
