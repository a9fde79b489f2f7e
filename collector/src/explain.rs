//! `silhouette-collector explain`: why a path became the template it is in the document.
//!
//! In: a method, a path, and a recording or a running collector that learnt the host. Out: segment by segment what it was
//! taken for and the evidence, as text or JSON. It changes nothing; what would change it is said at the end.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use silhouette_reconstruct::{Explanation, Reason};

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
            for piece in segment.evidence.iter().filter(|piece| piece.odds != 0.0) {
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
