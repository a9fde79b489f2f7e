//! `cargo xtask fuzz`: every parser that meets the network, each for a while.
//!
//! In: the targets in `fuzz/fuzz_targets/`. Out: a verdict each; what broke one lies in `fuzz/artifacts/`. Needs Rust's
//! nightly toolchain and cargo-fuzz, and installs both, saying so.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::tally::Tally;
use crate::{command, workspace};

/// Flags of `fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target is fuzzed
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u64,
    /// Only these targets
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Fuzzes one target after another.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let known = targets()?;
    if let Some(unknown) = args.targets.iter().find(|target| !known.contains(target)) {
        anyhow::bail!(
            "there is no fuzz target {unknown:?}; there are {}",
            known.join(", ")
        );
    }
    if command::output(command::program("cargo").args(["+nightly", "--version"])).is_err() {
        println!("Installing Rust's nightly toolchain: libFuzzer's instrumentation needs it.");
        command::run(command::program("rustup").args([
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
        ]))?;
    }
    let fuzz = workspace::tools().join("fuzz");
    if !fuzz.join("bin/cargo-fuzz").exists() {
        println!("Installing cargo-fuzz into {}", fuzz.display());
        command::run(
            command::cargo()
                .args(["install", "--locked", "--quiet", "cargo-fuzz", "--root"])
                .arg(&fuzz),
        )?;
    }
    let mut tally = Tally::default();
    for target in known
        .iter()
        .filter(|target| args.targets.is_empty() || args.targets.contains(target))
    {
        println!("\n== {target}, {} s", args.seconds);
        let mut run = command::program("rustup");
        run.args(["run", "nightly"])
            .arg(fuzz.join("bin/cargo-fuzz"))
            .args(["run", target]);
        run.args([
            "--",
            &format!("-max_total_time={}", args.seconds),
            "-print_final_stats=1",
            "-verbosity=0",
        ]);
        let verdict = command::run(&mut run);
        tally.one(verdict.is_ok());
        if let Err(error) = verdict {
            println!("{error:#}");
        }
    }
    println!("\n{tally}");
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn targets() -> Result<Vec<String>> {
    let dir = workspace::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".rs")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}
