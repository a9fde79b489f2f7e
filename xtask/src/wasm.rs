//! WebAssembly as it ships: the same bytes from everybody's machine, and small.
//!
//! In: what cargo has built, and the pinned wasm-opt. Out: the compiler's flags under which no path of this machine gets into a
//! module, and optimised modules, which are replaced at once and only when what they are made of has changed, so that who
//! reads them meanwhile is not disturbed. What may be in a module, and what it may weigh, whoever builds it says.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{command, install, workspace};

/// The compiler's flags under which no path of this machine gets into a module, for `CARGO_ENCODED_RUSTFLAGS`.
pub(crate) fn remapped() -> String {
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

const OPTIONS: &[&str] = &["-O3", "--strip-debug", "--strip-producers"];

/// Optimises `from` into `to`, unless that was done; the size of `to`. `features` are wasm-opt's flags for what the module may
/// use: wasm-opt refuses a module that uses more, and has to be told, because a stripped module does not say it itself.
///
/// # Errors
/// When there is no such module, or wasm-opt does not take it.
pub(crate) fn shrink(from: &Path, to: &Path, features: &[&str]) -> Result<u64> {
    let module = std::fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    let mut hasher = DefaultHasher::new();
    (&module, OPTIONS, features, install::BINARYEN).hash(&mut hasher);
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
            .args(features)
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
