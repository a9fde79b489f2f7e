//! `cargo xtask filter`: the proxy-wasm filter for Kong, Envoy and Istio, as it ships.
//!
//! In: `kong-wasm/`, the Rust target `wasm32-wasip1`, the pinned wasm-opt. Out: `target/filter/silhouette.wasm`, which tests,
//! benchmarks and the package all use, and `target/filter/nothing.wasm`, the filter that does nothing. They are replaced at once
//! and only when what they are made of has changed, so that who reads them meanwhile is not disturbed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{command, install, workspace};

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
    command::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped()))?;
    let built = workspace::target().join(TARGET).join(PROFILE);
    let out = workspace::target().join("filter");
    std::fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let silhouette = out.join("silhouette.wasm");
    let bytes = shrink(&built.join("silhouette.wasm"), &silhouette)?;
    shrink(
        &built.join("examples/nothing.wasm"),
        &out.join("nothing.wasm"),
    )?;
    Ok(Built { silhouette, bytes })
}

/// The compiler's flags under which no path of this machine gets into the module, so that everybody builds the same bytes.
fn remapped() -> String {
    let home = |variable: &str, below: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below)))
    };
    let root = std::fs::canonicalize(workspace::root()).unwrap_or_else(|_| workspace::root());
    let paths = [
        (Some(root), "silhouette"),
        (home("CARGO_HOME", ".cargo"), "cargo"),
        (home("RUSTUP_HOME", ".rustup"), "rustup"),
    ];
    let flags: Vec<String> = paths
        .into_iter()
        .filter_map(|(path, name)| Some(format!("--remap-path-prefix={}={name}", path?.display())))
        .collect();
    flags.join("\x1f")
}

/// What the module may use beyond WebAssembly 1.0: what Kong 3.4's Wasmtime and every V8 of an Envoy know. wasm-opt refuses a
/// module that uses more, and has to be told, because a stripped module does not say it itself.
const FEATURES: &[&str] = &[
    "--mvp-features",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
];

const OPTIONS: &[&str] = &["-O3", "--strip-debug", "--strip-producers"];

/// Optimises `from` into `to`, unless that was done; the size of `to`.
fn shrink(from: &Path, to: &Path) -> Result<u64> {
    let module = std::fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    let mut hasher = DefaultHasher::new();
    (&module, OPTIONS, FEATURES, install::BINARYEN).hash(&mut hasher);
    let what = format!("{:016x}\n", hasher.finish());
    let stamp = to.with_extension("made-of");
    if !to.exists() && stamp.exists() {
        std::fs::remove_file(&stamp)?;
    }
    install::stamped(&stamp, &what, || {
        let fresh = to.with_extension("fresh");
        let mut tool = Command::new("node");
        tool.arg(workspace::wasm_opt())
            .args(OPTIONS)
            .args(FEATURES)
            .arg(from)
            .arg("-o")
            .arg(&fresh);
        command::output(&mut tool)?;
        std::fs::rename(&fresh, to).with_context(|| format!("replacing {}", to.display()))
    })?;
    let bytes = std::fs::metadata(to)
        .with_context(|| format!("asking what {} weighs", to.display()))?
        .len();
    println!(
        "{}: {bytes} bytes ({} KiB; {} before wasm-opt)",
        to.display(),
        bytes.div_ceil(1024),
        module.len()
    );
    Ok(bytes)
}

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
