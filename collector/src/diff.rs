//! `silhouette-collector diff`: what changed from one description to the next, and whom it breaks.
//!
//! In: two OpenAPI or Swagger documents, from files, stdin, or a running collector. Out: a report, and an exit code for CI. It
//! changes neither, and follows no reference out of a document.

use std::path::PathBuf;
use std::process::ExitCode;

use silhouette_openapi::{Class, diff};

use crate::described::{Collector, Described, DescribedError};
use crate::findings::{self, Findings, Kind, Shown};

/// Flags of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The old description: OpenAPI 3.0, 3.1 or Swagger 2.0, JSON or YAML; `-` for stdin
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The new description; left out where --host names it
    #[arg(
        value_name = "NEW",
        required_unless_present = "host",
        conflicts_with = "host"
    )]
    pub new: Option<PathBuf>,
    /// Instead of NEW the document that a running collector has of this host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Exit with 1 if there is a change that is at least so serious
    #[arg(long, value_name = "CLASS", default_value = "breaking")]
    pub fail_on: FailOn,
    /// How findings are shown.
    #[command(flatten)]
    pub shown: Shown,
    /// Where the collector is.
    #[command(flatten)]
    pub collector: Collector,
}

/// The least serious class that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// Clients stop working
    Breaking,
    /// Clients may stop working
    PotentiallyBreaking,
    /// Any change
    Any,
    /// Nothing: the report is all
    None,
}

const HELP: &str = "\
What a request may hold must not become less, what a response may hold must not become more:
that breaks clients. Order, wording, examples, $ref or not, and the version of the
specification make no difference. docs/check.md lists the rules.

Exit code: 0 when nothing is as serious as --fail-on, 1 when something is, 2 when it could not
be done.

Examples:
  silhouette-collector diff openapi-1.yaml openapi-2.yaml
  git show main:openapi.yaml | silhouette-collector diff - openapi.yaml
  silhouette-collector diff main.json openapi.json --format sarif --output diff.sarif
  silhouette-collector diff last-week.json --host api.example.com --fail-on potentially-breaking";

/// Compares, reports, and gives the exit code.
pub fn run(args: &Args) -> ExitCode {
    let (old, new) = match read(args) {
        Ok(both) => both,
        Err(error) => return findings::failed(&error),
    };
    findings::warn(&old);
    findings::warn(&new);
    let report = diff(&old.description, &new.description);
    let fail_on = match args.fail_on {
        FailOn::None => vec![],
        FailOn::Breaking => vec![Class::Breaking],
        FailOn::PotentiallyBreaking => vec![Class::Breaking, Class::PotentiallyBreaking],
        FailOn::Any => vec![
            Class::Breaking,
            Class::PotentiallyBreaking,
            Class::Compatible,
            Class::Informational,
        ],
    };
    let ignored = &args.shown.ignored;
    Findings::new(Kind::Diff, (&old, &new), report, ignored, fail_on).write(&args.shown)
}

fn read(args: &Args) -> Result<(Described, Described), DescribedError> {
    let old = Described::file(&args.old)?;
    let new = match (&args.new, &args.host) {
        (Some(path), _) => Described::file(path)?,
        (None, host) => Described::host(host.as_deref().unwrap_or_default(), &args.collector)?,
    };
    Ok((old, new))
}
