//! Why a path became the template it is.
//!
//! In: a folded model and a call as somebody made it. Out: segment by segment what it was taken for, what decided, and
//! the evidence with its weight. It is made for the operator who asks; it is no part of a document and shows no words
//! of the traffic but those that the document has as constants.

use crate::class::Class;
use crate::document::written;
use crate::fold::Folded;
use crate::part::Part;
use crate::pattern::is_pattern;
use crate::tree::{Method, Segment, segments};
use crate::verdict::{Ground, Verdict};

/// The answer to `explain METHOD PATH`.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The template as far as the path is known, e.g. `/users/{userId}`.
    pub template: String,
    /// One per segment of the path; ends at the first that is not known.
    pub steps: Vec<Step>,
    /// Whether every segment is known.
    pub known: bool,
    /// The methods of the operations at the template, in OpenAPI's order; empty when it is only on the way to others.
    pub methods: Vec<String>,
    /// The operation asked for, if it is there.
    pub operation: Option<Counts>,
}

/// What is known of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Successful calls.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
}

/// One segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// As it was asked for.
    pub segment: String,
    /// What it is in the template: `users`, `{userId}`, `{reportId}.json`. Empty when it is not known.
    pub part: String,
    /// What decided.
    pub ground: Reason,
    /// What else stands in its place: the templates' segments, constants first, at most [`Step::MOST_BESIDE`].
    pub beside: Vec<String>,
}

impl Step {
    /// Segments of other templates that are listed.
    pub const MOST_BESIDE: usize = 12;
}

/// What decided about a segment.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Nothing like it was seen here in a successful call.
    Unknown,
    /// A rule of the operator.
    Rule,
    /// What it looks like is never a constant: an integer, a UUID, a hash, a token, a date, …
    Looks(&'static str),
    /// A number or date that never varies at the front of all paths: part of the API's address.
    Fixed,
    /// It is the version of an API.
    Version,
    /// It means something in a path whatever stands beside it.
    CommonWord,
    /// Seldom called, it does only what the values beside it do.
    Company,
    /// It was thinned out to keep the memory's bound and stands with everything that was.
    ThinnedOut,
    /// The evidence added up.
    Weighed(Weighed),
}

/// Evidence that added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// How many words were judged together because they are alike.
    pub together: usize,
    /// The sum, natural logarithm of the odds: above 0 a parameter, else a constant.
    pub odds: f32,
    /// Each piece.
    pub pieces: Vec<Piece>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// What was looked at, as a phrase.
    pub name: &'static str,
    /// The figure that was found: a count, a share from 0 to 1, a likeness from -1 to 1, or 1 for a plain yes.
    pub seen: f32,
    /// What it adds: positive speaks for a parameter, negative for a constant.
    pub odds: f32,
}

pub(crate) fn explain(folded: &Folded, method: &str, path: &str) -> Explanation {
    let mut here = folded;
    let mut parts: Vec<Part> = Vec::new();
    let mut found: Vec<(String, Option<usize>, Reason, Vec<Part>)> = Vec::new();
    for segment in segments(path) {
        let (at, text, reason) = match &segment {
            Segment::Word(word) => {
                let at = here.child(word).or_else(|| here.parameter(|_| true));
                (at, word.to_string(), reason_of(here, word))
            }
            Segment::Value(class, text) => match here.constant(text) {
                Some(at) => (Some(at), text.to_string(), Reason::Fixed),
                None => {
                    let at = here.parameter(|kinds| kinds.accepts(*class));
                    (at, text.to_string(), Reason::Looks(looks(*class)))
                }
            },
        };
        let reason = if at.is_none() {
            Reason::Unknown
        } else {
            reason
        };
        let beside: Vec<Part> = here
            .children
            .iter()
            .enumerate()
            .filter(|(i, _)| Some(*i) != at)
            .map(|(_, (part, _))| part.clone())
            .take(Step::MOST_BESIDE)
            .collect();
        found.push((text, at, reason, beside));
        match at.and_then(|at| here.children.get(at)) {
            Some((part, child)) => {
                parts.push(part.clone());
                here = child;
            }
            None => break,
        }
    }
    let known = found.iter().all(|(_, at, ..)| at.is_some());
    let template = written(&parts);
    let segments: Vec<&str> = template.split('/').skip(1).collect();
    let steps = found
        .into_iter()
        .enumerate()
        .map(|(i, (segment, _, ground, beside))| Step {
            segment,
            part: segments
                .get(i)
                .map_or_else(String::new, |s| (*s).to_owned()),
            ground,
            beside: beside
                .into_iter()
                .map(|part| {
                    let mut other: Vec<Part> = parts.iter().take(i).cloned().collect();
                    other.push(part);
                    let written = written(&other);
                    written.rsplit('/').next().unwrap_or("").to_owned()
                })
                .collect(),
        })
        .collect();
    let operation = Method::parse(method)
        .filter(|_| known)
        .and_then(|m| here.methods.get(&m));
    Explanation {
        steps,
        template: template.clone(),
        known,
        methods: if known {
            here.methods
                .keys()
                .map(|m| m.as_str().to_ascii_uppercase())
                .collect()
        } else {
            Vec::new()
        },
        operation: operation.map(|o| Counts {
            succeeded: o.good.calls,
            failed: o.failed.as_ref().map_or(0, |f| f.calls),
        }),
    }
}

fn reason_of(here: &Folded, word: &str) -> Reason {
    let verdict = here
        .verdicts
        .iter()
        .find(|v| v.words.iter().any(|w| w == word))
        .or_else(|| {
            // Words that differ in their endings alone were judged as one.
            let judged = |w: &String| is_pattern(w) && Part::of_pattern(w).fits(word);
            here.verdicts.iter().find(|v| v.words.iter().any(judged))
        });
    let Some(Verdict {
        words,
        ground,
        judgement,
        ..
    }) = verdict
    else {
        return if is_pattern(word) {
            Reason::Looks("a value with text around it")
        } else if let Some(class) = Class::of(word) {
            // A number at the front.
            if here.constant(word).is_some() {
                Reason::Fixed
            } else {
                Reason::Looks(looks(class))
            }
        } else {
            Reason::ThinnedOut
        };
    };
    match ground {
        Ground::Version => Reason::Version,
        Ground::Spoken => Reason::CommonWord,
        Ground::Company => Reason::Company,
        Ground::Rule => Reason::Rule,
        Ground::Weighed => Reason::Weighed(Weighed {
            together: words.len(),
            odds: judgement.odds(),
            pieces: judgement
                .pieces
                .iter()
                .map(|p| Piece {
                    name: p.name,
                    seen: p.seen,
                    odds: p.odds,
                })
                .collect(),
        }),
    }
}

fn looks(class: Class) -> &'static str {
    match class {
        Class::Integer => "an integer",
        Class::Number => "a number",
        Class::Digits => "digits",
        Class::Uuid => "a UUID",
        Class::Hex => "a hash",
        Class::Token => "a token",
        Class::Date => "a date",
        Class::DateTime => "a date and time",
        Class::Email => "an e-mail address",
        Class::Address => "an IP address",
        Class::Semver => "a version number of three parts",
        Class::List => "a list",
        Class::Text => "text somebody typed",
        Class::Any => "one of too many to keep apart",
    }
}
