//! Which operation of the description an observed one is.
//!
//! In: two descriptions. Out: a verdict on each observed operation.
//!
//! * The same template, names of parameters aside, is the same operation.
//! * An observed constant below a documented parameter (`/users/me` and `/users/{id}`) is that operation, if the constant is a
//!   value the parameter admits; of several templates the one with the constants further left (OpenAPI, "Path Templating
//!   Matching"). A word where the description wants an integer, a UUID or one of an enum is not.
//! * Templates that a description has twice but for names of parameters, queries or fragments cannot be told apart either.
//! * An observed parameter over documented constants (`/reports/{name}` and `/reports/daily`): the traffic does not tell which were
//!   called, so none of them is an orphan for sure, and nothing is compared.
//! * `HEAD` is documented where `GET` is (RFC 9110, 9.3.2), `OPTIONS` wherever the path is (9.3.7).
//! * Base paths of the servers count. If less than half of the traffic is below any, and more than twice as much elsewhere, it is taken without one, and below what the observed
//!   paths begin with: gateways add and strip prefixes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::description::{Description, Operation, Place};
use crate::schema::{Schemas, Types};
use crate::template::{Cover, Template};

/// What an observed operation is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An operation of the description, by index; and whether its contents can be compared.
    Documented { index: usize, compare: bool },
    /// Some of these.
    Among(Vec<usize>),
    /// The path of this one, with another method.
    OtherMethods(usize),
    /// None.
    Unknown,
}

/// The verdicts on all observed operations.
pub(super) struct Pairing {
    pub(super) verdicts: Vec<Verdict>,
    /// Operations of the description that an observed one covers which is another by its verdict: by index, the observed one.
    pub(super) covered: BTreeMap<usize, usize>,
    /// The base path that was found in the traffic, where the servers' fit nothing.
    pub(super) other_base: Option<String>,
}

/// Prefixes of observed paths are tried up to here.
const MAX_PREFIX: usize = 3;
const MAX_TRIED: usize = 16;

/// All described operations at all their paths, found by their segments: a constant can only be covered by itself or by what is no
/// constant. Templates that take any number of segments are looked at always.
struct Candidates<'a> {
    all: Vec<Candidate<'a>>,
    /// The first node is the root.
    nodes: Vec<Node>,
    greedy: Vec<usize>,
}

/// Where templates that begin alike go on.
#[derive(Default)]
struct Node {
    constants: HashMap<String, usize>,
    /// Parameters, and constants with parameters in them.
    others: Option<usize>,
    /// Candidates that end here.
    ends: Vec<usize>,
}

impl<'a> Candidates<'a> {
    fn new() -> Self {
        Self {
            all: Vec::new(),
            nodes: vec![Node::default()],
            greedy: Vec::new(),
        }
    }

    fn add(&mut self, candidate: Candidate<'a>) {
        let at = self.all.len();
        if candidate.template.is_greedy() {
            self.greedy.push(at);
            self.all.push(candidate);
            return;
        }
        let mut node = 0;
        for constant in candidate.template.constants() {
            let next = self.nodes.len();
            let Some(known) = self.nodes.get_mut(node) else {
                break;
            };
            node = match constant {
                Some(text) => match known.constants.get(text) {
                    Some(child) => *child,
                    None => *known.constants.entry(text.to_owned()).or_insert(next),
                },
                None => *known.others.get_or_insert(next),
            };
            if node == next {
                self.nodes.push(Node::default());
            }
        }
        if let Some(node) = self.nodes.get_mut(node) {
            node.ends.push(at);
        }
        self.all.push(candidate);
    }

    /// All that could cover a template or be covered by it, in the order of the document.
    fn near(&self, template: &Template) -> Vec<&Candidate<'a>> {
        if template.is_greedy() {
            return self.all.iter().collect();
        }
        let mut level = vec![0];
        for constant in template.constants() {
            let nodes = level.iter().filter_map(|at| self.nodes.get(*at));
            let mut below = Vec::new();
            for node in nodes {
                match constant {
                    Some(text) => below.extend(node.constants.get(text)),
                    None => below.extend(node.constants.values()),
                }
                below.extend(node.others);
            }
            level = below;
        }
        let nodes = level.iter().filter_map(|at| self.nodes.get(*at));
        let mut found: Vec<usize> = nodes.flat_map(|node| &node.ends).copied().collect();
        found.sort_unstable();
        let found = found.iter().chain(&self.greedy);
        found.filter_map(|at| self.all.get(*at)).collect()
    }
}

/// A described operation at one whole path.
struct Candidate<'a> {
    index: usize,
    operation: &'a Operation,
    template: Template,
}

impl Pairing {
    pub(super) fn of(documented: &Description, observed: &Description) -> Pairing {
        let seen: Vec<Template> = observed
            .operations
            .iter()
            .map(|operation| {
                let base = operation.bases.first().map_or("", String::as_str);
                operation.template.below(base)
            })
            .collect();
        let declared = candidates(documented, None);
        let matched = count(documented, &declared, observed, &seen);
        // A template such as `/{path}` fits something anywhere.
        if 2 * matched >= observed.operations.len() {
            return Self::with(documented, &declared, observed, &seen, None);
        }
        let mut best: Option<(usize, String)> = None;
        for base in prefixes(&seen) {
            let all = candidates(documented, Some(&base));
            let matched = count(documented, &all, observed, &seen);
            if matched > best.as_ref().map_or(0, |(most, _)| *most) {
                best = Some((matched, base));
            }
        }
        match best {
            Some((most, base)) if most > 2 * matched => {
                let all = candidates(documented, Some(&base));
                Self::with(documented, &all, observed, &seen, Some(base))
            }
            _ => Self::with(documented, &declared, observed, &seen, None),
        }
    }

    fn with(
        documented: &Description,
        candidates: &Candidates<'_>,
        observed: &Description,
        seen: &[Template],
        other_base: Option<String>,
    ) -> Pairing {
        let mut verdicts = Vec::new();
        let mut covered = BTreeMap::new();
        for (at, (operation, template)) in observed.operations.iter().zip(seen).enumerate() {
            verdicts.push(verdict(
                &documented.schemas,
                candidates,
                operation,
                template,
            ));
            for candidate in candidates.near(template) {
                if candidate.operation.method == operation.method
                    && template.covers(&candidate.template) == Some(Cover::Wider)
                {
                    covered.entry(candidate.index).or_insert(at);
                }
            }
        }
        Pairing {
            verdicts,
            covered,
            other_base,
        }
    }
}

fn candidates<'a>(documented: &'a Description, base: Option<&str>) -> Candidates<'a> {
    let mut out = Candidates::new();
    for (index, operation) in documented.operations.iter().enumerate() {
        let bases: Vec<&str> = match base {
            Some(base) => vec![base],
            None => operation.bases.iter().map(String::as_str).collect(),
        };
        for base in bases {
            let template = operation.template.below(base);
            out.add(Candidate {
                index,
                operation,
                template,
            });
        }
    }
    out
}

/// How many observed operations are documented.
fn count(
    documented: &Description,
    candidates: &Candidates<'_>,
    observed: &Description,
    seen: &[Template],
) -> usize {
    let pairs = observed.operations.iter().zip(seen);
    pairs
        .filter(|(operation, template)| {
            let verdict = verdict(&documented.schemas, candidates, operation, template);
            matches!(verdict, Verdict::Documented { .. } | Verdict::Among(_))
        })
        .count()
}

/// No base path, and the constants that observed paths begin with, in an order that does not depend on theirs.
fn prefixes(seen: &[Template]) -> Vec<String> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for template in seen {
        let mut prefix = String::new();
        for constant in template.leading_constants().take(MAX_PREFIX) {
            prefix.push('/');
            prefix.push_str(constant);
            *found.entry(prefix.clone()).or_default() += 1;
        }
    }
    let mut sorted: Vec<(String, usize)> = found.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = sorted.into_iter().map(|(prefix, _)| prefix);
    std::iter::once(String::new())
        .chain(most)
        .take(MAX_TRIED)
        .collect()
}

fn verdict(
    schemas: &Schemas,
    candidates: &Candidates<'_>,
    operation: &Operation,
    template: &Template,
) -> Verdict {
    let fits = |candidate: &&Candidate<'_>| {
        candidate.template.covers(template).is_some() && admits(schemas, candidate, template)
    };
    let same_method = |candidate: &&Candidate<'_>| candidate.operation.method == operation.method;
    let near = candidates.near(template);
    let near = || near.iter().copied();
    if let Some((index, as_good)) = best(near().filter(same_method).filter(fits)) {
        // Told apart by the names of parameters, or by a query or fragment in the path: only text that is the same decides.
        if as_good.len() > 1 {
            let exact = |candidate: &&Candidate<'_>| {
                as_good.contains(&candidate.index) && candidate.template == *template
            };
            return match near().find(exact) {
                Some(candidate) => Verdict::Documented {
                    index: candidate.index,
                    compare: true,
                },
                None => Verdict::Among(as_good.into_iter().collect()),
            };
        }
        return Verdict::Documented {
            index,
            compare: true,
        };
    }
    let within: BTreeSet<usize> = near()
        .filter(same_method)
        .filter(|candidate| template.covers(&candidate.template).is_some())
        .map(|candidate| candidate.index)
        .collect();
    if !within.is_empty() {
        return Verdict::Among(within.into_iter().collect());
    }
    match best(near().filter(fits)) {
        None => Verdict::Unknown,
        Some((index, as_good)) => {
            let get = near()
                .filter(|candidate| as_good.contains(&candidate.index))
                .find(|candidate| candidate.operation.method == "GET")
                .map(|candidate| candidate.index);
            match (operation.method.as_str(), get) {
                ("HEAD", Some(index)) => Verdict::Documented {
                    index,
                    compare: false,
                },
                ("OPTIONS", _) => Verdict::Documented {
                    index,
                    compare: false,
                },
                _ => Verdict::OtherMethods(index),
            }
        }
    }
}

/// The candidate that is tried first, and all that are tried no later, by index.
fn best<'c, 'd: 'c>(
    all: impl Iterator<Item = &'c Candidate<'d>>,
) -> Option<(usize, BTreeSet<usize>)> {
    let mut best: Option<&Candidate<'_>> = None;
    let mut as_good = BTreeSet::new();
    for candidate in all {
        let order = best.map_or(Ordering::Less, |best| {
            candidate.template.by_precedence(&best.template)
        });
        match order {
            Ordering::Less => {
                best = Some(candidate);
                as_good = BTreeSet::from([candidate.index]);
            }
            Ordering::Equal => {
                as_good.insert(candidate.index);
            }
            Ordering::Greater => {}
        }
    }
    best.map(|best| (best.index, as_good))
}

/// Whether the constants of an observed template are values that the documented parameters in their place admit.
fn admits(schemas: &Schemas, candidate: &Candidate<'_>, template: &Template) -> bool {
    candidate
        .template
        .constants_of(template)
        .iter()
        .all(|(name, constant)| {
            let mut parameters = candidate.operation.parameters_in(Place::Path);
            let schema = parameters
                .find(|parameter| parameter.name == *name)
                .and_then(|parameter| parameter.schema);
            schema.is_none_or(|schema| {
                let flat = schemas.flat(schema);
                let types = schemas.types(&flat);
                let listed = flat.values.as_ref().is_none_or(|values| {
                    values
                        .iter()
                        .any(|value| value.trim_matches('"') == *constant)
                });
                listed && admitted(constant, types, flat.format.as_deref())
            })
        })
}

fn admitted(constant: &str, types: Types, format: Option<&str>) -> bool {
    if types.has(Types::STRING) {
        return match format {
            Some("uuid") => {
                constant.len() == 36 && constant.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
            }
            Some("date" | "date-time") => constant.starts_with(|c: char| c.is_ascii_digit()),
            _ => true,
        };
    }
    let number = types.has(Types::NUMBER) && constant.parse::<f64>().is_ok();
    let integer = types.has(Types::INTEGER) && constant.parse::<i128>().is_ok();
    let boolean = types.has(Types::BOOLEAN) && matches!(constant, "true" | "false");
    let several = types.has(Types::ARRAY) || types.has(Types::OBJECT);
    number || integer || boolean || several
}
