//! `cargo xtask bench`: ratios, each measured side by side in one run.
//!
//! In: release builds. Out: tables to paste into docs/benchmarks.md. Judges nothing: the targets stand there too.

mod cpu;
mod nginx;

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
    /// Exchanges per second acknowledged and learnt over gRPC, beside learning in the same process; and memory
    Ingest,
    /// What learning costs: a body beside only parsing it, growth, emission, memory, hostile traffic
    Learn(LearnArgs),
    /// Recording one exchange in the shims' core, redaction included
    Record,
}

/// Flags of `bench learn`.
#[derive(Debug, clap::Args)]
struct LearnArgs {
    /// What to measure [default: all of it, two to four minutes]
    #[arg(value_parser = ["bodies", "growth", "emission", "hosts", "hostile"])]
    sections: Vec<String>,
    /// Longer runs, steadier figures
    #[arg(long)]
    full: bool,
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Nginx(args) => {
            install::for_bench()?;
            nginx::run(args)?;
        }
        What::Ingest => cargo_bench("silhouette-collector", "ingest", &[])?,
        What::Learn(args) => {
            let mut flags = args.sections.clone();
            flags.extend(args.full.then(|| "--full".to_owned()));
            cargo_bench("silhouette-reconstruct", "learn", &flags)?;
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
