//! `silhouette-collector explain`: why a path became the template it is in the document.
//!
//! In: a method, a path, and a recording or a running collector that learnt the host. Out: segment by segment what it was
//! taken for and the evidence, as text or JSON. It changes nothing; what would change it is said at the end.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use silhouette_reconstruct::{Explanation, Reason};

use crate::described::{Collector, DescribedError, encoded};
use crate::findings;
use crate::learn::{LearnError, recorded};
use crate::stdout;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The method of a call
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The path of a call as a client sends it, such as /users/42/orders; a query is ignored
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Where it was learnt: a HAR recording (plain or gzip, `-` for stdin), a directory of them, or a host that a running
    /// collector has learnt
    #[arg(long, value_name = "HAR|HOST", required = true)]
    pub against: PathBuf,
    /// Which host of a recording with several
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Rules for the recording (TOML); a running collector uses its own
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Where the collector is.
    #[command(flatten)]
    pub collector: Collector,
}

/// How an explanation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

const HELP: &str = "\
Each piece of evidence is a figure in log-odds: +0.7 makes a parameter twice as likely, -0.7 half
as likely. What adds up to more than 0 is a parameter. A rule changes the outcome; see docs/rules.md.

Exit code: 0 when the path is an operation, 1 when it is none, 2 when it could not be found out.

Examples:
  silhouette-collector explain GET /users/42/orders --against traffic.har
  silhouette-collector explain POST /login --against api.example.com
  silhouette-collector explain GET /a/b --against api.example.com --collector http://10.0.0.7:4321";

/// Why nothing could be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The path is none.
    #[error("`{0}` is no path; want one that begins with a slash, such as /users/42")]
    Path(String),
    /// The method is none.
    #[error("`{0}` is no method; want one such as GET")]
    Method(String),
    /// The collector.
    #[error(transparent)]
    Collector(#[from] DescribedError),
    /// The recording.
    #[error("{0}")]
    Learn(#[from] LearnError),
    /// The collector's answer is none.
    #[error("the collector's answer cannot be read, is it of another version? {0}")]
    Answer(#[from] serde_json::Error),
    /// Which host?
    #[error("{against} has {count} hosts with operations; choose one with --host:\n{hosts}")]
    Host {
        /// The recording.
        against: String,
        /// How many.
        count: usize,
        /// One line each.
        hosts: String,
    },
    /// No such file, and nothing like a host.
    #[error(
        "--against {0}: there is no such file; give a recording, or the host name that a running collector knows"
    )]
    Missing(String),
}

/// Explains, and gives the exit code.
pub fn run(args: &Args) -> ExitCode {
    let told = match explained(args) {
        Ok(told) => told,
        Err(error) => return findings::failed(&error),
    };
    let text = match args.format {
        Format::Text => told.text(),
        Format::Json => serde_json::to_string_pretty(&told).unwrap_or_default() + "\n",
    };
    if let Err(error) = stdout::write(&text) {
        return findings::failed(&format!("cannot write the answer: {error}"));
    }
    ExitCode::from(u8::from(told.calls.is_none()))
}

fn explained(args: &Args) -> Result<Explained, ExplainError> {
    let method = args.method.to_ascii_uppercase();
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(ExplainError::Method(args.method.clone()));
    }
    let path = args.path.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(ExplainError::Path(args.path.clone()));
    }
    let against = args.against.display().to_string();
    if args.against == Path::new("-") || args.against.exists() {
        return recording(args, &method, path, &against);
    }
    if against.contains('/') || against.ends_with(".har") || against.ends_with(".har.gz") {
        return Err(ExplainError::Missing(against));
    }
    let what = format!("explain?method={method}&path={}", encoded(path));
    let answer = args.collector.ask(&against, &what);
    let answer = answer.map_err(|error| error.or_file(&against))?;
    Ok(serde_json::from_str(&answer)?)
}

fn recording(
    args: &Args,
    method: &str,
    path: &str,
    against: &str,
) -> Result<Explained, ExplainError> {
    let wanted: Vec<String> = args.host.iter().cloned().collect();
    let files = std::slice::from_ref(&args.against);
    let recorded = recorded(files, &wanted, true, args.rules.as_ref())?;
    for warning in &recorded.warnings {
        eprintln!("silhouette-collector: {warning}");
    }
    let [(host, _)] = recorded.hosts.as_slice() else {
        let lines = recorded.hosts.iter().map(|(host, document)| {
            format!("  {host} (operations: {})\n", document.operations().len())
        });
        return Err(ExplainError::Host {
            against: against.to_owned(),
            count: recorded.hosts.len(),
            hosts: lines.collect(),
        });
    };
    let told = match recorded.models.get(host) {
        Some((model, options)) => model.explain(method, path, options),
        None => return Err(ExplainError::Missing(against.to_owned())),
    };
    Ok(Explained::new(host.as_str(), method, path, told))
}

/// An explanation as JSON: what `/v1/hosts/{host}/explain` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The host.
    pub host: String,
    /// The method that was asked for.
    pub method: String,
    /// The path that was asked for.
    pub path: String,
    /// The template, as far as the path is known.
    pub template: String,
    /// Whether all of it is known.
    pub known: bool,
    /// Methods of the operations at the template.
    pub methods: Vec<String>,
    /// Successful and failed calls of the operation; absent when there is none of this method.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub calls: Option<Calls>,
    /// One per segment.
    pub segments: Vec<Segment>,
}

/// Calls of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// Answered with success.
    pub succeeded: u64,
    /// Everything else.
    pub failed: u64,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// As it was asked for.
    pub segment: String,
    /// As it is in the template; empty when it is not known.
    pub part: String,
    /// What decided, as a sentence without its full stop.
    pub because: String,
    /// Natural logarithm of the odds that it is a parameter, where evidence was weighed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub odds: Option<f32>,
    /// How many words were judged together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub together: Option<usize>,
    /// The evidence.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<Evidence>,
    /// Segments of other templates in the same place.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub beside: Vec<String>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was looked at.
    pub what: String,
    /// What was found: a count, a share, a likeness.
    pub seen: f32,
    /// What it adds; positive speaks for a parameter.
    pub odds: f32,
}

impl Explained {
    /// What the model says, made ready to be shown.
    pub fn new(host: &str, method: &str, path: &str, told: Explanation) -> Explained {
        Explained {
            host: host.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            template: told.template,
            known: told.known,
            methods: told.methods,
            calls: told.operation.map(|o| Calls {
                succeeded: o.succeeded,
                failed: o.failed,
            }),
            segments: told
                .steps
                .into_iter()
                .map(|step| {
                    let constant = !step.part.contains('{');
                    let (odds, together, evidence) = match &step.ground {
                        Reason::Weighed(weighed) => (
                            Some(weighed.odds),
                            Some(weighed.together),
                            weighed
                                .pieces
                                .iter()
                                .map(|piece| Evidence {
                                    what: piece.name.to_owned(),
                                    seen: piece.seen,
                                    odds: piece.odds,
                                })
                                .collect(),
                        ),
                        _ => (None, None, Vec::new()),
                    };
                    Segment {
                        because: because(&step.ground, constant),
                        segment: step.segment,
                        part: step.part,
                        odds,
                        together,
                        evidence,
                        beside: step.beside,
                    }
                })
                .collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{} {} on {}", self.method, self.path, self.host);
        if self.known {
            let _ = writeln!(out, "is    {}", self.template);
        } else {
            let _ = writeln!(out, "is no operation; known as far as {}", self.template);
        }
        match (&self.calls, self.methods.as_slice()) {
            (Some(calls), _) => {
                let _ = writeln!(
                    out,
                    "with  {} successful and {} failed calls",
                    calls.succeeded, calls.failed
                );
            }
            (None, []) => {}
            (None, methods) => {
                let _ = writeln!(
                    out,
                    "which nobody called with {} successfully; there are {}",
                    self.method,
                    methods.join(", ")
                );
            }
        }
        for segment in &self.segments {
            let what = if segment.part.is_empty() {
                "not known".to_owned()
            } else if segment.part.contains('{') {
                format!("parameter {}", segment.part)
            } else {
                "constant".to_owned()
            };
            let _ = writeln!(out, "\n/{}   {what}: {}", segment.segment, segment.because);
            // What rounds to nothing says nothing.
            let telling = |piece: &&Evidence| piece.odds.abs() >= 0.05;
            for piece in segment.evidence.iter().filter(telling) {
                let _ = writeln!(
                    out,
                    "    {:>+6.2}  {} ({})",
                    piece.odds,
                    piece.what,
                    figure(piece.seen)
                );
            }
            if let Some(odds) = segment.odds {
                let _ = writeln!(
                    out,
                    "    {odds:>+6.2}  in sum: {}",
                    if odds > 0.0 {
                        "a parameter"
                    } else {
                        "a constant"
                    }
                );
            }
            if !segment.beside.is_empty() {
                let _ = writeln!(out, "    beside it: {}", segment.beside.join(", "));
            }
        }
        let _ = write!(
            out,
            "\nPositive figures speak for a parameter, negative ones for a constant (natural logarithm of the odds).\n\
             A rule changes it: [[path]] template = \"…\" in the rules file, see docs/rules.md\n"
        );
        out
    }
}

/// Two digits after the point at most.
fn figure(seen: f32) -> String {
    let text = format!("{seen:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn because(reason: &Reason, constant: bool) -> String {
    match reason {
        Reason::Unknown => "nothing like it was called with success here".into(),
        Reason::Rule => "a rule says so".into(),
        Reason::Looks(class) => format!("it is {class}, never a constant"),
        Reason::Fixed => {
            "it never varies and all paths go through it: part of the API's address".into()
        }
        Reason::Version => "it is a version of the API".into(),
        Reason::CommonWord => "it means something in a path whatever stands beside it".into(),
        Reason::Company => "seldom called, it does only what the values beside it do".into(),
        Reason::ThinnedOut => "there were too many to keep it apart from the others".into(),
        Reason::Weighed(weighed) => match (weighed.together, constant) {
            (1, _) => "by the evidence about it".into(),
            (n, _) => format!("by the evidence about {n} words that are alike"),
        },
    }
}
