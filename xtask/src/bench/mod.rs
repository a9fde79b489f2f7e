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
    /// Learning a JSON body, beside only parsing it
    Learn,
    /// Recording one exchange in the shims' core, redaction included
    Record,
}

/// Runs one of them.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Nginx(args) => {
            install::for_bench()?;
            nginx::run(args)?;
        }
        What::Ingest => cargo_bench("silhouette-collector", "ingest")?,
        What::Learn => cargo_bench("silhouette-reconstruct", "learn")?,
        What::Record => cargo_bench("silhouette-capture", "record")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo_bench(package: &str, bench: &str) -> Result<()> {
    command::run(command::cargo().args(["bench", "-p", package, "--bench", bench]))
}
