//! `cargo xtask worker`: the Cloudflare Worker, as it ships.
//!
//! In: `cloudflare-worker/`, the Rust target `wasm32-unknown-unknown`, the pinned wasm-opt. Out: the folder `target/worker/`, which tests,
//! benchmarks and the package all use: the JavaScript as it is written, the WebAssembly, `wrangler.toml`. Nothing is bundled:
//! what is deployed is what was tested. And `target/worker-fault/`, the same with a module that panics when a request asks for it,
//! which only tests use. Files are replaced one by one, at once, and only when they have changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::{command, install, wasm, workspace};

/// What the Worker may weigh at most, compressed as Cloudflare counts it: 200 KiB.
pub(crate) const MOST_GZIP: u64 = 200 << 10;

const PACKAGE: &str = "silhouette-cloudflare-worker";
const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "cloudflare";
/// As cargo calls it, and as it ships.
const CARGO_MODULE: &str = "silhouette_cloudflare_worker.wasm";
const MODULE: &str = "silhouette.wasm";
/// What wrangler reads; the other files are the Worker.
pub(crate) const WRANGLER: &str = "wrangler.toml";

/// The Worker as a folder.
pub(crate) struct Built {
    pub(crate) folder: PathBuf,
    /// Names of the files in it, sorted, all of which ship.
    pub(crate) files: Vec<String>,
    /// Bytes of what is uploaded, compressed.
    pub(crate) gzip: u64,
}

/// `cargo xtask worker`.
pub(crate) fn run() -> Result<ExitCode> {
    build()?.weigh()?;
    build_faulty()?;
    Ok(ExitCode::SUCCESS)
}

/// Installs what that needs, builds the Worker, and says what it weighs.
///
/// # Errors
/// When something cannot be installed, does not compile, or wasm-opt does not take it.
pub(crate) fn build() -> Result<Built> {
    install::for_worker()?;
    let mut cargo = command::cargo();
    cargo
        .args(["build", "-p", PACKAGE, "--lib"])
        .args(["--target", TARGET, "--profile", PROFILE]);
    command::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", wasm::remapped()))?;
    let folder = workspace::target().join("worker");
    let mut files = sources(&folder)?;
    let module = workspace::target()
        .join(TARGET)
        .join(PROFILE)
        .join(CARGO_MODULE);
    wasm::shrink(&module, &folder.join(MODULE), FEATURES)?;
    files.push(MODULE.to_owned());
    files.sort();
    let built = Built {
        gzip: compressed(&folder, &files)?,
        folder,
        files,
    };
    println!(
        "{}: {} bytes ({} KiB) compressed, of {MOST_GZIP} it may have",
        built.folder.display(),
        built.gzip,
        built.gzip.div_ceil(1024)
    );
    Ok(built)
}

/// Builds the Worker that panics when a request asks for it, in cargo's usual profile; its folder.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build_faulty() -> Result<PathBuf> {
    install::for_worker()?;
    command::run(
        command::cargo()
            .args(["build", "-p", PACKAGE, "--lib", "--target", TARGET])
            .args(["--features", "fault"]),
    )?;
    let folder = workspace::target().join("worker-fault");
    sources(&folder)?;
    let module = workspace::target()
        .join(TARGET)
        .join("debug")
        .join(CARGO_MODULE);
    replace(&module, &folder.join(MODULE))?;
    Ok(folder)
}

/// What the module may use: what rustc takes for granted on this target, which every V8 at Cloudflare's knows.
const FEATURES: &[&str] = &[
    "--mvp-features",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Brings `folder` up to what `cloudflare-worker/` has beside the Rust: the JavaScript, its types, `wrangler.toml`; their names.
/// What is not among these any more goes, since wrangler uploads all the JavaScript it finds.
fn sources(folder: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let crate_ = workspace::root().join("cloudflare-worker");
    let mut from = vec![crate_.join(WRANGLER)];
    from.extend(files_in(&crate_.join("js"))?);
    let mut names = Vec::new();
    for path in from {
        let name = path.file_name().unwrap_or_default().to_owned();
        replace(&path, &folder.join(&name))?;
        names.push(name.to_string_lossy().into_owned());
    }
    for path in files_in(folder)? {
        let known = path
            .file_name()
            .is_some_and(|name| names.iter().any(|known| OsStr::new(known) == name));
        if !known && path.extension().is_some_and(|e| e == "js" || e == "ts") {
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(names)
}

/// The files of a folder, and not what lies in folders in it.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Copies a file by renaming it into its place, unless it is there already.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let content = std::fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if std::fs::read(to).is_ok_and(|before| before == content) {
        return Ok(());
    }
    let mut fresh = to.as_os_str().to_owned();
    fresh.push(".fresh");
    std::fs::write(&fresh, content).with_context(|| format!("writing {}", to.display()))?;
    std::fs::rename(&fresh, to).with_context(|| format!("replacing {}", to.display()))
}

/// What is uploaded of `files`.
pub(crate) fn uploaded(files: &[String]) -> impl Iterator<Item = &String> {
    files
        .iter()
        .filter(|name| name.ends_with(".js") || name.ends_with(".wasm"))
}

/// Bytes of what is uploaded of `files`, compressed together.
fn compressed(folder: &Path, files: &[String]) -> Result<u64> {
    let mut shell = command::program("sh");
    shell
        .current_dir(folder)
        .args(["-c", "cat -- \"$@\" | gzip -6 | wc -c", "sh"])
        .args(uploaded(files));
    let counted = command::output(&mut shell)?;
    counted
        .trim()
        .parse()
        .with_context(|| format!("`{}` is no number of bytes", counted.trim()))
}

impl Built {
    /// Refuses a Worker that is heavier than it may be.
    pub(crate) fn weigh(&self) -> Result<()> {
        if self.gzip > MOST_GZIP {
            bail!(
                "{} has {} bytes compressed: it may have {MOST_GZIP}",
                self.folder.display(),
                self.gzip
            );
        }
        Ok(())
    }
}

/// Cloudflare's own command, as it is installed here: it tells nobody of itself, asks for no update, and keeps what it remembers
/// under `target/`.
pub(crate) fn wrangler() -> std::process::Command {
    let modules = workspace::tools().join("cloudflare/node_modules");
    let home = workspace::tools().join("cloudflare/home");
    let mut command = command::program(workspace::node_22());
    command
        .arg("--no-warnings")
        .arg(modules.join("wrangler/wrangler-dist/cli.js"))
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_HIDE_BANNER", "true")
        .env("WRANGLER_NO_SKILLS_UPDATE_PROMPTS", "true")
        .env("WRANGLER_LOG_PATH", home.join("logs"))
        .env("XDG_CONFIG_HOME", &home)
        .env("CI", "true");
    command
}
