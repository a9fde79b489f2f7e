//! The project's chores: `cargo xtask up`, `test`, `filter`, `worker`, `bench`, `package`, `fuzz`, `proto`.
//!
//! In: a checkout and a Debian machine. Out: running programs, a verdict, figures, packages. Installs what is missing and
//! says so; everything it makes lies under `target/`. Never stops a process that it did not start, never leaves one behind.

mod bench;
mod catalog;
mod children;
mod command;
mod filter;
mod fuzz;
mod install;
mod installers;
mod linters;
mod package;
mod package_f5;
mod package_service;
mod suite;
mod tally;
mod up;
mod wasm;
mod worker;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Silhouette's chores.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "\
Begin with `cargo xtask up`: on a fresh Debian 12 with Rust it installs what is missing (saying so), builds, and shows the
whole of Silhouette at work on a small real API. `cargo xtask test` is everything that must hold before a change is merged.

Everything runs again at once: what is installed, configured or built already is not done twice."
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show it at work: collector, nginx with the module, a bookshop behind it, a minute of varied clients
    Up(up::Args),
    /// Build once, then everything that must hold: format, lints, tests, wasm, linters, `up --check`
    Test(suite::Args),
    /// Only install what `up` and `test` need
    Install,
    /// Build the proxy-wasm filter for Kong, Envoy and Istio, as it ships
    Filter,
    /// Build the Cloudflare Worker, as it ships
    Worker,
    /// Measure, and print a table for docs/benchmarks.md
    Bench(bench::Args),
    /// Fuzz every parser that meets the network
    Fuzz(fuzz::Args),
    /// Package the module for nginx, the collector or the catalog for Debian, the filter for Kong, Envoy and Istio, the Worker for Cloudflare, or the iRule for F5 BIG-IP
    Package(package::Args),
    /// Regenerate the bindings of the wire contract after a change of the .proto
    Proto,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Up(args) => up::run(&args),
        Task::Test(args) => suite::run(&args),
        Task::Install => {
            install::everything()?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Filter => filter::run(),
        Task::Worker => worker::run(),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Package(args) => package::run(&args),
        Task::Proto => {
            let mut command = command::cargo();
            command.args(["test", "-p", "silhouette-proto", "--test", "drift"]);
            command::run(command.env("SILHOUETTE_UPDATE_GENERATED", "1"))?;
            println!("proto/src/gen/ is what proto/proto/ says.");
            Ok(ExitCode::SUCCESS)
        }
    }
}
