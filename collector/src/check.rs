//! `silhouette-collector check`: where a description and the traffic part.
//!
//! In: a description, and traffic: a recording, learnt as `learn` does, or a host of a running collector, or a document that was
//! reconstructed before. Out: a report of shadow, zombie and orphan operations and of what contradicts, and an exit code for
//! CI. It changes nothing, and calls nobody but the collector.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use silhouette_openapi::{Class, Description, drift};

use crate::described::{Collector, Described, DescribedError};
use crate::findings::{self, Findings, Kind, Shown};
use crate::learn::{LearnError, recorded};

/// Flags of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The description: OpenAPI 3.0, 3.1 or Swagger 2.0, JSON or YAML
    #[arg(value_name = "OPENAPI")]
    pub description: PathBuf,
    /// The traffic: a HAR recording (plain or gzip, `-` for stdin), a directory of them, a host that a running collector has
    /// learnt, or a document that `learn` or the collector wrote
    #[arg(long, value_name = "HAR|HOST", required = true)]
    pub against: PathBuf,
    /// Which host of a recording with several [default: the one of the description's servers]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Exit with 1 if there is a finding of these classes: shadow, contradiction, undocumented, zombie, orphan; any; none
    #[arg(
        long,
        value_name = "CLASS,…",
        value_delimiter = ',',
        default_value = "shadow,contradiction,undocumented,zombie"
    )]
    pub fail_on: Vec<FailOn>,
    /// Rules for the recording (TOML): what is a parameter or a constant, what to ignore; see docs/rules.md
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Learn what can be read of a broken recording
    #[arg(short, long)]
    pub keep_going: bool,
    /// How findings are shown.
    #[command(flatten)]
    pub shown: Shown,
    /// Where the collector is.
    #[command(flatten)]
    pub collector: Collector,
}

/// Classes that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// Seen, not documented
    Shadow,
    /// The traffic is not what the description says
    Contradiction,
    /// Details that are not documented
    Undocumented,
    /// Deprecated, still called
    Zombie,
    /// Documented, never called
    Orphan,
    /// Any finding
    Any,
    /// Nothing: the report is all
    None,
}

const HELP: &str = "\
Shadow: seen, not documented. Zombie: deprecated, still called. Orphan: documented, never
called, which a short recording cannot prove, so orphans do not count unless --fail-on says so.
Names of path parameters do not matter; /users/me is /users/{id} unless it is documented itself.
docs/check.md lists the rules.

Exit code: 0 when nothing of the classes of --fail-on is found, 1 when something is, 2 when it
could not be done.

Examples:
  silhouette-collector check openapi.yaml --against traffic.har
  silhouette-collector check openapi.yaml --against recordings/ --host api.example.com
  silhouette-collector check openapi.yaml --against api.example.com --collector http://10.0.0.7:4321
  silhouette-collector check openapi.yaml --against traffic.har --fail-on shadow,zombie \\
      --format sarif --output silhouette.sarif";

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A description could not be had.
    #[error(transparent)]
    Described(#[from] DescribedError),
    /// The recording could not be learnt.
    #[error("{0}")]
    Learn(#[from] LearnError),
    /// The recording has several hosts.
    #[error(
        "{against} has {count} hosts with operations, and none of them is a server of {description}:\n{hosts}choose one with --host"
    )]
    SeveralHosts {
        /// The recording.
        against: String,
        /// The description.
        description: String,
        /// How many.
        count: usize,
        /// One line each.
        hosts: String,
    },
    /// The recording does not have the host.
    #[error("{against} has no operations of a host {host}; it has\n{hosts}")]
    NoHost {
        /// The recording.
        against: String,
        /// What was asked for.
        host: String,
        /// One line each.
        hosts: String,
    },
    /// Not a file, and not a host's name either.
    #[error(
        "--against {against}: there is no such file; give a recording, or the host name that a running collector knows"
    )]
    Missing {
        /// What was given.
        against: String,
    },
    /// stdin cannot be both.
    #[error("the description and the traffic cannot both come from stdin")]
    BothStdin,
}

/// Compares, reports, and gives the exit code.
pub fn run(args: &Args) -> ExitCode {
    let (description, traffic) = match read(args) {
        Ok(both) => both,
        Err(error) => return findings::failed(&error),
    };
    findings::warn(&description);
    let report = drift(&description.description, &traffic.description);
    let both = (&description, &traffic);
    let fail_on = classes(&args.fail_on);
    Findings::new(Kind::Check, both, report, &args.shown.ignored, fail_on).write(&args.shown)
}

fn classes(wanted: &[FailOn]) -> Vec<Class> {
    let mut all = Vec::new();
    for class in wanted {
        match class {
            FailOn::Shadow => all.push(Class::Shadow),
            FailOn::Contradiction => all.push(Class::Contradiction),
            FailOn::Undocumented => all.push(Class::Undocumented),
            FailOn::Zombie => all.push(Class::Zombie),
            FailOn::Orphan => all.push(Class::Orphan),
            FailOn::Any => all.extend([
                Class::Shadow,
                Class::Contradiction,
                Class::Undocumented,
                Class::Zombie,
                Class::Orphan,
                Class::Informational,
            ]),
            FailOn::None => {}
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn read(args: &Args) -> Result<(Described, Described), CheckError> {
    let is_stdin = |path: &Path| path.as_os_str() == "-";
    if is_stdin(&args.description) && is_stdin(&args.against) {
        return Err(CheckError::BothStdin);
    }
    let description = Described::file(&args.description)?;
    let traffic = if is_stdin(&args.against) || args.against.exists() {
        match document(&args.against) {
            Some(traffic) => traffic,
            None => recording(args, &description)?,
        }
    } else {
        let host = args.against.to_string_lossy();
        let lower = host.to_lowercase();
        let like_file = host.contains('/')
            || [".har", ".har.gz", ".json", ".yaml", ".yml"]
                .iter()
                .any(|ending| lower.ends_with(ending));
        if like_file {
            let against = host.into_owned();
            return Err(CheckError::Missing { against });
        }
        Described::host(&host, &args.collector).map_err(|error| error.or_file(&host))?
    };
    Ok((description, traffic))
}

/// A document that was written before, by its name and by what is in it.
fn document(path: &Path) -> Option<Described> {
    let ending = path.extension()?.to_string_lossy().to_lowercase();
    if !["json", "yaml", "yml"].contains(&ending.as_str()) {
        return None;
    }
    Described::file(path).ok()
}

/// The host of a recording that the description is about.
fn recording(args: &Args, description: &Described) -> Result<Described, CheckError> {
    let recorded = recorded(
        std::slice::from_ref(&args.against),
        &[],
        args.keep_going,
        args.rules.as_ref(),
    )?;
    for warning in &recorded.warnings {
        eprintln!("silhouette-collector: {warning}");
    }
    let list = || {
        let lines = recorded.hosts.iter().map(|(host, document)| {
            format!("  {host} (operations: {})\n", document.operations().len())
        });
        lines.collect::<String>()
    };
    let against = args.against.display().to_string();
    let matching = |wanted: &dyn Fn(&str) -> bool| {
        let all = recorded
            .hosts
            .iter()
            .filter(|(host, _)| wanted(host.as_str()));
        all.collect::<Vec<_>>()
    };
    let chosen = match &args.host {
        Some(wanted) => {
            let found = matching(&|host| is_host(wanted, host));
            if found.is_empty() {
                return Err(CheckError::NoHost {
                    against,
                    host: wanted.clone(),
                    hosts: list(),
                });
            }
            found
        }
        None if recorded.hosts.len() == 1 => matching(&|_| true),
        None => {
            let servers = servers(&description.description);
            matching(&|host| servers.iter().any(|server| is_host(server, host)))
        }
    };
    let [(host, document)] = chosen.as_slice() else {
        return Err(CheckError::SeveralHosts {
            against,
            description: description.name.clone(),
            count: recorded.hosts.len(),
            hosts: list(),
        });
    };
    let name = format!("{host} ({against})");
    Ok(Described::text(&document.to_json(), name, false)?)
}

/// Whether a host is meant: with the port where one is given, else with any.
fn is_host(wanted: &str, host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    host.eq_ignore_ascii_case(wanted) || bare.eq_ignore_ascii_case(wanted)
}

/// The hosts of the description's servers.
fn servers(description: &Description) -> Vec<String> {
    let authority = |url: &String| {
        let (_, rest) = url.split_once("://")?;
        Some(rest.split(['/', '?', '#']).next()?.to_owned())
    };
    description.servers().iter().filter_map(authority).collect()
}
