//! Reports of `diff` and `check` as people and programs read them.
//!
//! In: a [`Report`] and the two documents it is about. Out: text, JSON or SARIF, on stdout or in a file, and whether anything
//! was found that counts. It never changes what was found; what `--ignore` leaves out is counted and said.

mod json;
mod sarif;
mod text;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use silhouette_openapi::{Class, Finding, Report, Rule};

use crate::described::Described;
use crate::stdout;

/// Exit code when something was found that counts.
pub const FOUND: u8 = 1;
/// Exit code when it could not be done. clap uses the same for a wrong command line.
pub const FAILED: u8 = 2;

/// How findings are shown: flags of `diff` and `check`.
#[derive(Debug, Clone, clap::Args)]
pub struct Shown {
    /// How findings are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// File for them [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Rules to leave out, by id; may be given several times, or with commas
    #[arg(long = "ignore", value_name = "RULE", value_delimiter = ',', value_parser = rule)]
    pub ignored: Vec<Rule>,
    /// Colours of the text
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn rule(id: &str) -> Result<Rule, String> {
    Rule::named(id).ok_or_else(|| {
        let like = |rule: &&Rule| rule.id().split('-').any(|word| id.contains(word));
        let some: Vec<&str> =
            (Rule::ALL.iter().filter(like).map(|rule| rule.id()).take(5)).collect();
        format!(
            "there is no such rule; docs/check.md lists them all{}",
            if some.is_empty() {
                String::new()
            } else {
                format!(", among them {}", some.join(", "))
            }
        )
    })
}

/// Which comparison a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `diff`: the second document is the one people work on.
    Diff,
    /// `check`: the first one is.
    Check,
}

/// A report and what it is about.
pub struct Findings<'a> {
    kind: Kind,
    first: &'a Described,
    second: &'a Described,
    report: Report,
    /// How many findings `--ignore` left out.
    ignored: usize,
    /// Classes that make the exit code 1.
    fail_on: Vec<Class>,
}

/// A place in the file that findings point into.
struct Place {
    line: u32,
    pointer: String,
}

impl<'a> Findings<'a> {
    /// Leaves out what is ignored.
    pub fn new(
        kind: Kind,
        (first, second): (&'a Described, &'a Described),
        mut report: Report,
        ignored: &[Rule],
        fail_on: Vec<Class>,
    ) -> Self {
        let before = report.findings.len();
        report
            .findings
            .retain(|finding| !ignored.contains(&finding.rule));
        Self {
            kind,
            first,
            second,
            ignored: before - report.findings.len(),
            report,
            fail_on,
        }
    }

    /// The document that findings point into: for `diff` the new one, for `check` the description.
    fn subject(&self) -> &'a Described {
        match self.kind {
            Kind::Diff => self.second,
            Kind::Check => self.first,
        }
    }

    fn place(&self, finding: &Finding) -> Place {
        let pointer = match self.kind {
            Kind::Diff => &finding.second,
            Kind::Check => &finding.first,
        };
        Place {
            line: self.subject().description.line(pointer),
            pointer: pointer.clone(),
        }
    }

    /// How many findings count.
    fn counted(&self) -> usize {
        let counts = |finding: &&Finding| self.fail_on.contains(&finding.class());
        self.report.findings.iter().filter(counts).count()
    }

    /// Writes the report, says on stderr where it went, and gives the exit code.
    pub fn write(&self, shown: &Shown) -> ExitCode {
        let color = match shown.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                shown.output.is_none()
                    && io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        let text = match shown.format {
            Format::Text => text::render(self, color),
            Format::Json => json::render(self),
            Format::Sarif => sarif::render(self),
        };
        let written = match &shown.output {
            Some(path) if path.as_os_str() != "-" => fs::write(path, text.as_bytes())
                .map_err(|error| format!("cannot write {}: {error}", path.display())),
            _ => stdout::write(&text).map_err(|error| format!("cannot write to stdout: {error}")),
        };
        if let Err(why) = written {
            eprintln!("silhouette-collector: {why}");
            return ExitCode::from(FAILED);
        }
        if shown.format != Format::Text || shown.output.is_some() {
            eprintln!("{}", text::conclusion(self));
        }
        if self.counted() > 0 {
            ExitCode::from(FOUND)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Prints what failed; the exit code for it.
pub fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("silhouette-collector: {error}");
    ExitCode::from(FAILED)
}

/// Says on stderr what is wrong with a document that could be read all the same.
pub fn warn(described: &Described) {
    const SHOWN: usize = 5;
    let problems = described.description.problems();
    for problem in problems.iter().take(SHOWN) {
        eprintln!("silhouette-collector: {}: {problem}", described.name);
    }
    let more = problems.len().saturating_sub(SHOWN) + described.description.more_problems();
    if more > 0 {
        eprintln!(
            "silhouette-collector: {}: {more} more such problems",
            described.name
        );
    }
}
