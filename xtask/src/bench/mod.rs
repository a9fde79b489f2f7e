//! `cargo xtask bench`: ratios, each measured side by side in one run.
//!
//! In: release builds. Out: tables to paste into docs/benchmarks.md. Judges nothing: the targets stand there too.

mod cloudflare;
mod cpu;
mod envoy;
mod load;
mod nginx;
mod surroundings;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::{command, install};

/// Flags of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What the module costs nginx: CPU per request and throughput, beside no module and beside access_log
    Nginx(nginx::Args),
    /// What the proxy-wasm filter costs Envoy: CPU per request beside no filter and beside one that does nothing, memory, size,
    /// work per callback
    Envoy(envoy::Args),
    /// What the Worker costs workerd: CPU per request beside a Worker that does nothing, latency, memory, starting
    Cloudflare(cloudflare::Args),
    /// What the iRule does per exchange beside rules that make JSON, in Tcl; and records per second on the collector's side
    F5(F5Args),
    /// Exchanges per second acknowledged and learnt over gRPC, beside learning in the same process; and memory
    Ingest(IngestArgs),
    /// What learning costs: a body beside only parsing it, growth, emission, memory, hostile traffic
    Learn(LearnArgs),
    /// `learn` on recordings of 100 MB and 1 GB, on one core and on all: speed and memory
    Recordings(RecordingsArgs),
    /// A large inventory: revisions accepted per second, CPU of each page and REST answer, memory
    Catalog(CatalogArgs),
    /// Recording one exchange in the shims' core, redaction included
    Record,
}

/// Flags of `bench f5`.
#[derive(Debug, clap::Args)]
struct F5Args {
    /// How many exchanges each rule makes a record of
    #[arg(long, value_name = "N", default_value_t = 40_000)]
    rounds: u32,
}

/// Flags of `bench ingest`.
#[derive(Debug, clap::Args)]
struct IngestArgs {
    /// How many hosts the traffic is for; a host belongs to one learner
    #[arg(long, value_name = "N", default_value_t = 4)]
    hosts: u64,
}

/// Flags of `bench learn`.
#[derive(Debug, clap::Args)]
struct LearnArgs {
    /// What to measure [default: all of it, two to four minutes]
    #[arg(value_parser = ["bodies", "growth", "emission", "hosts", "rest", "hostile"])]
    sections: Vec<String>,
    /// Longer runs, steadier figures
    #[arg(long)]
    full: bool,
}

/// Flags of `bench recordings`.
#[derive(Debug, clap::Args)]
struct RecordingsArgs {
    /// The HAR file whose entries are repeated [default: a browser's, of a small shop]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// How large the recordings are, in megabytes
    #[arg(long, value_name = "MB,…", default_value = "100,1000")]
    sizes: String,
    /// How often each is learnt; medians are shown
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
}

/// Flags of `bench catalog`.
#[derive(Debug, clap::Args)]
struct CatalogArgs {
    /// How many APIs
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    apis: u32,
    /// Operations of each
    #[arg(long, value_name = "N", default_value_t = 100)]
    operations: u32,
    /// Revisions of each
    #[arg(long, value_name = "N", default_value_t = 5)]
    revisions: u32,
    /// On PostgreSQL instead of SQLite
    #[arg(long)]
    postgres: bool,
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Nginx(args) => {
            install::for_bench()?;
            nginx::run(args)?;
        }
        What::Envoy(args) => {
            install::for_bench()?;
            install::envoy()?;
            envoy::run(args)?;
            // It counts instructions and times nothing: what the tests have built will do.
            let mut command = command::cargo();
            command.args([
                "bench",
                "-p",
                "silhouette-kong-wasm",
                "--bench",
                "callbacks",
            ]);
            command::run(command.args(["--profile", "dev"]))?;
        }
        What::Cloudflare(args) => {
            install::for_bench()?;
            cloudflare::run(args)?;
        }
        What::F5(args) => {
            install::tcl()?;
            let mut tclsh = command::program("tclsh");
            command::run(tclsh.args(["f5-irule/bench/cost.tcl", &args.rounds.to_string()]))?;
            cargo_bench("silhouette-collector", "hsl", &[])?;
        }
        What::Ingest(args) => {
            let flags = ["--hosts".to_owned(), args.hosts.to_string()];
            cargo_bench("silhouette-collector", "ingest", &flags)?;
        }
        What::Learn(args) => {
            let mut flags = args.sections.clone();
            flags.extend(args.full.then(|| "--full".to_owned()));
            cargo_bench("silhouette-reconstruct", "learn", &flags)?;
        }
        What::Recordings(args) => {
            let mut flags = vec!["--sizes".to_owned(), args.sizes.clone()];
            flags.extend(["--rounds".to_owned(), args.rounds.to_string()]);
            if let Some(from) = &args.from {
                // The bench runs in its crate's directory.
                let path = std::path::absolute(from)?;
                flags.extend(["--from".to_owned(), path.display().to_string()]);
            }
            cargo_bench("silhouette-collector", "recordings", &flags)?;
        }
        What::Catalog(args) => {
            if args.postgres {
                install::postgresql()?;
            }
            let mut build = command::cargo();
            command::run(build.args(["build", "--release", "-p", "silhouette-catalog"]))?;
            let mut flags = Vec::new();
            for (flag, number) in [
                ("--apis", args.apis),
                ("--operations", args.operations),
                ("--revisions", args.revisions),
            ] {
                flags.extend([flag.to_owned(), number.to_string()]);
            }
            flags.extend(args.postgres.then(|| "--postgres".to_owned()));
            cargo_bench("silhouette-e2e", "catalog", &flags)?;
        }
        What::Record => cargo_bench("silhouette-capture", "record", &[])?,
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo_bench(package: &str, bench: &str, flags: &[String]) -> Result<()> {
    let mut command = command::cargo();
    command.args(["bench", "-p", package, "--bench", bench, "--"]);
    command::run(command.args(flags))
}
