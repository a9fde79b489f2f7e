//! `silhouette-collector learn`: reconstructs documents offline, from HAR recordings.
//!
//! In: files, directories or stdin. Out: one OpenAPI document per host, and a summary on stderr. Recordings stream
//! through: memory depends on how many APIs there are, not on how much traffic. It never changes its input, never
//! writes a document over a recording, never leaves out a host without saying so, and never contacts anybody.

mod fold;
mod output;
mod report;
mod source;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use silhouette_reconstruct::{Document, DocumentOptions, HostName, Model, OpenApi};
use wildmatch::WildMatch;

use crate::har::HarError;
use crate::rules::{RuleFile, RuleFileError};
use fold::{Fold, HostModel};
use output::Output;

/// More threads than this only cost memory: one thread finds entries for all.
const MAX_THREADS: usize = 64;

/// Flags of `learn`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// HAR 1.2 files, plain or gzip; a directory for every *.har and *.har.gz in it; `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the document goes: a file (.json, .yaml), a directory for one file per host, or a name with {host} in it;
    /// stdout when left out
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Only this host; may be given several times, * stands for anything (*.example.com). Without a port: any port
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Rules (TOML): what is a parameter or a constant, what to ignore; see docs/rules.md
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// OpenAPI version to write
    #[arg(long, value_name = "VERSION", default_value = "3.1")]
    pub openapi: Version,
    /// Leave out hosts with fewer operations
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN, value_parser = at_least_one)]
    pub min_operations: NonZeroUsize,
    /// Format of the document [default: by the name given to --output, else json]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Learn what can be read: pass over broken entries, and take what comes before a cut
    #[arg(short, long)]
    pub keep_going: bool,
    /// Threads that learn [default: one per processor]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub threads: Option<NonZeroUsize>,
    /// No progress, no summary; errors only
    #[arg(short, long)]
    pub quiet: bool,
}

const HELP: &str = "\
With several hosts, `--output openapi.json` holds the host with the most exchanges, and every
other host is written beside it as openapi.HOST.json. What belongs to no API (pages, assets,
preflights, scanners' probes) is counted and left out; so are hosts without a single operation.

Exit code: 0 when every document is written, 1 when a recording is broken or nothing was learnt.
Without --keep-going a broken recording writes no document at all.

Examples:
  silhouette-collector learn traffic.har --output openapi.yaml
  silhouette-collector learn monday.har tuesday.har.gz --host api.example.com --output api.json
  silhouette-collector learn recordings/ --output documents/
  mitmdump -nr flows --set hardump=- | silhouette-collector learn - > openapi.json";

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "want a whole number from 1 on".to_owned())
}

/// An OpenAPI version as it is given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// OpenAPI 3.0.3
    #[value(name = "3.0", alias = "3.0.3")]
    V30,
    /// OpenAPI 3.1.0
    #[value(name = "3.1", alias = "3.1.0")]
    V31,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JSON
    Json,
    /// YAML
    #[value(alias = "yml")]
    Yaml,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
        }
    }

    fn write(self, document: &Document) -> String {
        match self {
            Self::Json => document.to_json(),
            Self::Yaml => document.to_yaml(),
        }
    }
}

/// Why nothing, or not everything, was learnt.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// A recording cannot be opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The file or directory.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A directory without recordings.
    #[error("{path} is a directory without *.har or *.har.gz files")]
    NoRecordings {
        /// The directory.
        path: String,
    },
    /// A recording is no HAR or is damaged.
    #[error("{file}: {source}{hint}")]
    Har {
        /// The recording.
        file: String,
        /// What is wrong.
        source: HarError,
        /// What can be done, led by a line feed; may be empty.
        hint: &'static str,
    },
    /// A pattern that can match no host.
    #[error(
        "--host {pattern:?} can match no host; expected a host name such as api.example.com, *.example.com or 127.0.0.1:8080"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// `--output` and `--format` contradict each other.
    #[error(
        "--format {format} and --output {path} do not go together; leave out --format, or end the name in .{format}"
    )]
    Format {
        /// What was asked for.
        format: &'static str,
        /// Where.
        path: String,
    },
    /// The rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RuleFileError),
    /// The document would replace a recording.
    #[error("--output {path} is one of the recordings; give another name")]
    Overwrite {
        /// Where.
        path: String,
    },
    /// Several documents and one stdout.
    #[error(
        "{count} hosts have a document and there is one stdout:\n{hosts}choose one with --host, or give --output a directory to have them all"
    )]
    SeveralHosts {
        /// How many.
        count: usize,
        /// One line each.
        hosts: String,
    },
    /// There was nothing to learn.
    #[error("no document: {0}")]
    Nothing(String),
    /// A document cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A thread could not be started or did not survive.
    #[error("a learning thread failed: {0}")]
    Thread(String),
}

/// Reads the recordings, writes the documents, and says on stderr what came of it.
pub fn run(args: &Args) -> ExitCode {
    match learn(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("silhouette-collector: {error}");
            ExitCode::FAILURE
        }
    }
}

fn learn(args: &Args) -> Result<(), LearnError> {
    let hosts = HostFilter::new(&args.hosts)?;
    let sources = source::find(&args.files)?;
    let rules = args.rules.as_deref().map(RuleFile::read).transpose()?;
    let output = Output::new(args.output.as_deref(), args.format, &sources)?;
    let available = args
        .threads
        .or_else(|| std::thread::available_parallelism().ok());
    let threads = available.map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    let fold = fold::fold(
        &sources,
        &hosts,
        threads,
        args.keep_going,
        progress(args, &sources),
    )?;
    if !args.quiet {
        for warning in &fold.warnings {
            eprintln!("silhouette-collector: {warning}");
        }
    }
    let options = DocumentOptions {
        openapi: match args.openapi {
            Version::V30 => OpenApi::V30,
            Version::V31 => OpenApi::V31,
        },
        min_operations: args.min_operations.get(),
        ..DocumentOptions::default()
    };
    let learnt = documents(&fold, &options, &rules.unwrap_or_default());
    let qualified = learnt
        .iter()
        .filter(|host| host.document.is_sufficient())
        .collect::<Vec<_>>();
    if qualified.is_empty() {
        if !args.quiet {
            report::print(&fold, &learnt, &[]);
        }
        return Err(LearnError::Nothing(report::why_nothing(
            &fold, &learnt, args,
        )));
    }
    let places = output.places(&qualified)?;
    for (learnt, place) in qualified.iter().zip(&places) {
        output.write(place, &learnt.document)?;
    }
    if !args.quiet {
        report::print(&fold, &learnt, &places);
    }
    Ok(())
}

/// What recordings came to, for comparing.
#[derive(Debug)]
pub struct Recorded {
    /// The hosts with at least one operation and their documents, the one with the most exchanges in operations first.
    pub hosts: Vec<(HostName, Document)>,
    /// Their models, with the options their documents were emitted with.
    pub models: BTreeMap<HostName, (Model, DocumentOptions)>,
    /// What went wrong and did not stop the learning, ready to print.
    pub warnings: Vec<String>,
}

/// Learns recordings as `learn` does, and gives the documents instead of writing them.
pub fn recorded(
    files: &[PathBuf],
    hosts: &[String],
    keep_going: bool,
    rules: Option<&PathBuf>,
) -> Result<Recorded, LearnError> {
    let args = Args {
        rules: rules.cloned(),
        files: files.to_vec(),
        output: None,
        hosts: hosts.to_vec(),
        openapi: Version::V31,
        min_operations: NonZeroUsize::MIN,
        format: None,
        keep_going,
        threads: None,
        quiet: false,
    };
    let rules = args.rules.as_deref().map(RuleFile::read).transpose()?;
    let rules = rules.unwrap_or_default();
    let filter = HostFilter::new(&args.hosts)?;
    let sources = source::find(&args.files)?;
    let available = std::thread::available_parallelism();
    let threads = available.map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    let bar = progress(&args, &sources);
    let fold = fold::fold(&sources, &filter, threads, keep_going, bar)?;
    let options = DocumentOptions {
        openapi: OpenApi::V31,
        min_operations: 1,
        ..DocumentOptions::default()
    };
    let learnt = documents(&fold, &options, &rules);
    if !learnt.iter().any(|host| host.document.is_sufficient()) {
        return Err(LearnError::Nothing(report::why_nothing(
            &fold, &learnt, &args,
        )));
    }
    let hosts: Vec<_> = learnt
        .into_iter()
        .filter(|host| host.document.is_sufficient())
        .map(|host| (host.host.clone(), host.document))
        .collect();
    let models = fold.hosts.into_iter().map(|(host, counts)| {
        let options = options_of(&host, &options, &rules);
        (host, (counts.model, options))
    });
    Ok(Recorded {
        models: models.collect(),
        hosts,
        warnings: fold.warnings,
    })
}

/// What was learnt of one host.
struct Learnt<'a> {
    host: &'a HostName,
    counts: &'a HostModel,
    document: Document,
}

/// The documents of all hosts, sufficient or not, the one with the most exchanges in operations first.
fn documents<'a>(fold: &'a Fold, options: &DocumentOptions, rules: &RuleFile) -> Vec<Learnt<'a>> {
    let mut learnt = Vec::new();
    for (host, counts) in &fold.hosts {
        if rules.leaves_out(host) {
            continue;
        }
        let options = options_of(host, options, rules);
        learnt.push(Learnt {
            host,
            counts,
            document: counts.model.document(host, &options),
        });
    }
    learnt.sort_by_key(|learnt| {
        let calls = report::calls(&learnt.document);
        (
            !learnt.document.is_sufficient(),
            Reverse((calls, learnt.counts.exchanges)),
            learnt.host,
        )
    });
    learnt
}

fn options_of(host: &HostName, options: &DocumentOptions, rules: &RuleFile) -> DocumentOptions {
    DocumentOptions {
        rules: Arc::new(rules.of(host)),
        ..options.clone()
    }
}

/// A bar by bytes where somebody watches.
fn progress(args: &Args, sources: &[source::Source]) -> indicatif::ProgressBar {
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
    if args.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total = sources
        .iter()
        .map(|source| source.size)
        .sum::<Option<u64>>();
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:16} {bytes} of {total_bytes}, {bytes_per_sec}, {prefix}, {eta} left  {wide_msg}",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {bytes}, {bytes_per_sec}, {prefix}  {wide_msg}",
        ),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    bar.set_prefix("0 entries/s");
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Which hosts are wanted.
#[derive(Debug)]
struct HostFilter {
    patterns: Vec<WildMatch>,
}

impl HostFilter {
    fn new(patterns: &[String]) -> Result<Self, LearnError> {
        let wrong = |pattern: &String| {
            pattern.trim().is_empty()
                || pattern.contains(|c: char| c == '/' || c == '@' || c == ',' || c.is_whitespace())
        };
        if let Some(pattern) = patterns.iter().find(|pattern| wrong(pattern)) {
            return Err(LearnError::Pattern {
                pattern: pattern.clone(),
            });
        }
        Ok(Self {
            patterns: patterns
                .iter()
                .map(|pattern| WildMatch::new(&pattern.to_lowercase()))
                .collect(),
        })
    }

    fn wants(&self, host: &HostName) -> bool {
        let full = host.as_str();
        let bare = match full.rsplit_once(':') {
            Some((bare, port)) if !port.ends_with(']') => bare,
            _ => full,
        };
        self.patterns.is_empty()
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(full) || pattern.matches(bare))
    }
}

impl fmt::Display for HostFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .patterns
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        f.write_str(&shown.join(", "))
    }
}

#[cfg(test)]
mod tests;
