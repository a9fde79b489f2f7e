//! Findings for people: by class, then by operation, with the line in the file, and a table at the end.

use std::collections::HashMap;
use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};
use silhouette_openapi::{Class, Finding, Level};

use super::{Findings, Kind};

/// Operations that one finding names.
const MAX_NAMED: usize = 3;

/// Escape sequences, or nothing.
struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn class(&self, class: Class, text: &str) -> String {
        let code = match class.level() {
            Level::Error => "1;31",
            Level::Warning => "1;33",
            Level::Note if class == Class::Compatible => "1;32",
            Level::Note => "1;36",
        };
        self.with(code, text)
    }
}

/// The whole report.
pub(super) fn render(findings: &Findings<'_>, color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    let _ = writeln!(out, "{}", paint.with("1", &heading(findings)));
    for class in Class::ALL {
        let mut all = findings.report.of(class).peekable();
        if all.peek().is_none() {
            continue;
        }
        let title = title(class);
        let _ = writeln!(out, "\n{}: {}", paint.class(class, &title), class.meaning());
        // The same operations once, where they come first.
        let mut groups: Vec<(String, Vec<&Finding>)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for finding in all {
            let names = names(finding);
            let at = *known.entry(names.clone()).or_insert(groups.len());
            match groups.get_mut(at) {
                Some((_, group)) => group.push(finding),
                None => groups.push((names, vec![finding])),
            }
        }
        for (names, group) in groups {
            let _ = writeln!(out, "  {}", paint.with("1", &names));
            for finding in group {
                let _ = writeln!(out, "    {}", finding.message);
                let _ = writeln!(out, "      {}", paint.with("2", &tail(findings, finding)));
            }
        }
    }
    if !findings.report.findings.is_empty() {
        let _ = writeln!(out, "\n{}", table(findings));
    }
    let _ = writeln!(out, "{}", conclusion(findings));
    out
}

/// Where it is and which rule.
fn tail(findings: &Findings<'_>, finding: &Finding) -> String {
    let (place, subject) = (findings.place(finding), findings.subject());
    let at = if !subject.is_file {
        place.pointer
    } else if place.line == 1 && !place.pointer.is_empty() {
        // A file of one long line: the pointer says more than the line.
        format!("{}#{}", subject.name, place.pointer)
    } else {
        format!("{}:{}", subject.name, place.line)
    };
    format!("{at}  {}", finding.rule)
}

fn heading(findings: &Findings<'_>) -> String {
    let report = &findings.report;
    let (first, second) = (&findings.first.name, &findings.second.name);
    match findings.kind {
        Kind::Diff => format!(
            "{first} → {second}: operations {} → {}, in both {}",
            report.first_operations, report.second_operations, report.matched
        ),
        Kind::Check => format!(
            "{first} against the traffic of {second}: operations described {}, seen {}, described and seen {}",
            report.first_operations, report.second_operations, report.matched
        ),
    }
}

fn title(class: Class) -> String {
    let mut name = class.as_str().replace('-', " ");
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}

fn names(finding: &Finding) -> String {
    let names = &finding.operations;
    match names.len() {
        0 => "the document".to_owned(),
        many if many > MAX_NAMED + 1 => {
            let few: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
            format!("{} and {} more", few.join(", "), many - MAX_NAMED)
        }
        _ => names.join(", "),
    }
}

fn table(findings: &Findings<'_>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["class", "findings", "what it means"]);
    for (class, count) in findings.report.counts() {
        table.add_row([
            Cell::new(class.as_str()),
            Cell::new(count).set_alignment(CellAlignment::Right),
            Cell::new(class.meaning()),
        ]);
    }
    table
}

/// The last line: what counts, and what does not.
pub(super) fn conclusion(findings: &Findings<'_>) -> String {
    let all = findings.report.findings.len();
    let mut line = match (all, findings.kind) {
        (0, Kind::Diff) => "no difference that matters to a client".to_owned(),
        (0, Kind::Check) => "the description and the traffic agree".to_owned(),
        (1, _) => "1 finding".to_owned(),
        (all, _) => format!("{all} findings"),
    };
    if all > 0 {
        let classes: Vec<&str> = findings
            .fail_on
            .iter()
            .map(|class| class.as_str())
            .collect();
        match (findings.counted(), classes.is_empty()) {
            (_, true) => line.push_str("; none counts (--fail-on none)"),
            (counted, false) => {
                let _ = write!(line, ", of which {counted} count ({})", classes.join(", "));
            }
        }
    }
    if findings.ignored > 0 {
        let _ = write!(line, "; {} more left out by --ignore", findings.ignored);
    }
    line
}
