//! What an operator knows better than the traffic shows.
//!
//! In: templates, globs and flags as an operator writes them, checked one by one. Out: answers to "is this segment a
//! constant or a parameter here", "is this operation left out". Rules are applied when a document is emitted and never
//! when something is learnt: they can be changed afterwards and survive any traffic. Nothing here reads a file.

use crate::part::{Fragment, Kinds, Part};
use std::collections::BTreeSet;

/// Rules for the document of one host. Empty by default: everything is decided by evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    templates: Vec<Template>,
    ignored: Vec<Ignored>,
    internal: bool,
}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a path.
    #[error(
        "`{0}` is no path template; want something like /teams/{{team}}/members, which begins with a slash"
    )]
    NoPath(String),
    /// A brace without its partner, or an odd name between two.
    #[error(
        "`{segment}` in `{template}` is no segment of a template; want a word, {{name}}, {{}} for a parameter of any name, both in a row such as {{name}}.json, or * for whatever is there"
    )]
    Segment {
        /// The segment.
        segment: String,
        /// The whole template.
        template: String,
    },
    /// The same name twice.
    #[error("`{template}` has two parameters of the name `{name}`; want each name once")]
    Twice {
        /// The name.
        name: String,
        /// The whole template.
        template: String,
    },
    /// No method of HTTP.
    #[error("`{0}` is no method; want GET, PUT, POST, DELETE, OPTIONS, HEAD or PATCH")]
    Method(String),
}

/// A path as the operator says it is; it may go on below. No part: as the evidence says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Option<Part>>);

/// Operations to be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ignored {
    /// Upper case; empty for all.
    methods: BTreeSet<String>,
    /// Segments; `*` is one of any kind, `**` any number of them.
    pattern: Vec<String>,
}

impl Rules {
    /// This is what a path looks like: `/teams/{team}/members/{member}`, `/users/me`, `/*/files/{file}`. Words are
    /// constants, `{name}` and `{}` are parameters, `*` is left to the evidence, as is everything below the last segment.
    pub fn template(&mut self, text: &str) -> Result<(), RuleError> {
        let rest = text
            .strip_prefix('/')
            .filter(|rest| !rest.is_empty() && !rest.contains(['?', '#']));
        let Some(rest) = rest else {
            return Err(RuleError::NoPath(text.to_owned()));
        };
        let mut names = BTreeSet::new();
        let mut parts = Vec::new();
        for segment in rest.trim_end_matches('/').split('/') {
            if segment == "*" {
                parts.push(None);
                continue;
            }
            let part = part(segment).ok_or_else(|| RuleError::Segment {
                segment: segment.to_owned(),
                template: text.to_owned(),
            })?;
            for name in part.parameters().filter_map(|kinds| kinds.name.as_ref()) {
                if !names.insert(name.clone()) {
                    return Err(RuleError::Twice {
                        name: name.clone(),
                        template: text.to_owned(),
                    });
                }
            }
            parts.push(Some(part));
        }
        self.templates.push(Template(parts));
        Ok(())
    }

    /// Operations whose template matches leave the document: `/internal/**`, `/users/*/debug`. `*` stands for one segment
    /// (a parameter, too), `**` for any number. No methods means all of them.
    pub fn ignore(&mut self, methods: &[&str], pattern: &str) -> Result<(), RuleError> {
        let Some(rest) = pattern.strip_prefix('/') else {
            return Err(RuleError::NoPath(pattern.to_owned()));
        };
        let methods = methods
            .iter()
            .map(|m| {
                let upper = m.to_ascii_uppercase();
                crate::tree::Method::parse(&upper)
                    .map(|_| upper)
                    .ok_or_else(|| RuleError::Method((*m).to_owned()))
            })
            .collect::<Result<_, _>>()?;
        self.ignored.push(Ignored {
            methods,
            pattern: rest
                .split('/')
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect(),
        });
        Ok(())
    }

    /// The host serves the organisation itself: the document says so in `x-silhouette.internal`.
    pub fn internal(&mut self) {
        self.internal = true;
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.internal
    }

    /// Whether the operation is to be left out.
    pub(crate) fn ignores(&self, method: &str, template: &str) -> bool {
        let segments: Vec<&str> = template.split('/').filter(|s| !s.is_empty()).collect();
        self.ignored.iter().any(|rule| {
            (rule.methods.is_empty() || rule.methods.contains(&method.to_ascii_uppercase()))
                && fits(&rule.pattern, &segments)
        })
    }

    /// Where all templates begin.
    pub(crate) fn start(&self) -> Position<'_> {
        Position(self.templates.iter().map(|t| t.0.as_slice()).collect())
    }
}

/// What the rules say of the segments below one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position<'r>(Vec<&'r [Option<Part>]>);

/// What the rules say of one word or pattern of the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ruled<'r> {
    /// It is an instance of this part: constant text, or text around parameters.
    Part(&'r Part),
    /// It is a value of a parameter that is the whole segment.
    Parameter,
}

impl<'r> Position<'r> {
    /// What a word is here; the more concrete rule wins, as in every router.
    pub(crate) fn of(&self, word: &str) -> Option<Ruled<'r>> {
        let fitting = self.parts().filter(|part| match part {
            Part::Parameter(_) => true,
            part => part.fits(word),
        });
        Some(match fitting.min_by_key(|part| part.concreteness())? {
            Part::Parameter(_) => Ruled::Parameter,
            part => Ruled::Part(part),
        })
    }

    /// The name of the parameter that is the whole segment, where a rule gives one.
    pub(crate) fn name(&self) -> Option<&'r str> {
        self.parts().find_map(|part| match part {
            Part::Parameter(kinds) => kinds.name.as_deref(),
            _ => None,
        })
    }

    fn parts(&self) -> impl Iterator<Item = &'r Part> {
        self.0.iter().filter_map(|rest| rest.first()?.as_ref())
    }

    /// What they say below a part.
    pub(crate) fn below(&self, part: &Part) -> Position<'r> {
        let next = |rest: &&'r [Option<Part>]| {
            let (first, rest) = rest.split_first()?;
            let fits = first
                .as_ref()
                .is_none_or(|first| first.shape() == part.shape());
            (fits && !rest.is_empty()).then_some(rest)
        };
        Position(self.0.iter().filter_map(next).collect())
    }
}

/// A segment of a rule's template.
fn part(segment: &str) -> Option<Part> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while let Some(open) = rest.find('{') {
        let text = rest.get(..open)?;
        let close = open + rest.get(open..)?.find('}')?;
        let name = rest.get(open + 1..close)?;
        if !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return None;
        }
        if !text.is_empty() {
            pieces.push(Fragment::Text(
                crate::body::decode(text, false).into_owned(),
            ));
        } else if matches!(pieces.last(), Some(Fragment::Parameter(_))) {
            // Nobody could tell where one value ends and the next begins.
            return None;
        }
        pieces.push(Fragment::Parameter(Kinds {
            name: (!name.is_empty()).then(|| name.to_owned()),
            ..Kinds::default()
        }));
        rest = rest.get(close + 1..)?;
    }
    if segment.is_empty() || rest.contains(['}', '*']) {
        return None;
    }
    if !rest.is_empty() {
        pieces.push(Fragment::Text(
            crate::body::decode(rest, false).into_owned(),
        ));
    }
    if pieces.len() > 1 {
        return Some(Part::Mixed(pieces));
    }
    pieces.pop().map(|piece| match piece {
        Fragment::Text(text) => Part::Constant(text),
        Fragment::Parameter(kinds) => Part::Parameter(kinds),
    })
}

fn fits(pattern: &[String], segments: &[&str]) -> bool {
    match pattern.split_first() {
        None => segments.is_empty(),
        Some((first, rest)) if first == "**" => {
            // One `**` after another would only repeat the same search.
            let rest = rest
                .iter()
                .position(|p| p != "**")
                .map_or(&[][..], |at| &rest[at..]);
            (0..=segments.len()).any(|from| fits(rest, segments.get(from..).unwrap_or(&[])))
        }
        Some((first, rest)) => segments.split_first().is_some_and(|(segment, others)| {
            (first == "*" || first == segment || is_parameter(first) && is_parameter(segment))
                && fits(rest, others)
        }),
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}
