//! `silhouette-collector learn`: reconstructs documents offline, from recordings.

use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `learn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recordings to read
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Reads the recordings.
pub fn run(args: &Args) -> ExitCode {
    eprintln!("cannot read {:?}", args.files);
    ExitCode::FAILURE
}
