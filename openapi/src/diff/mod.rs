//! What changed from one description to the next, and whom it breaks.
//!
//! In: two descriptions. Out: a [`Report`] whose `first` is the old and whose `second` is the new document. Operations are the
//! same when method and path are, base paths of the servers included and names of parameters left out. Direction matters: what
//! a request may hold must not become less, what a response may hold must not become more. It compares what documents say, not
//! how: order, wording, examples, `$ref` or not, and the version of the specification make no difference.

mod contents;
mod security;
mod shapes;
mod values;

use std::collections::{BTreeMap, HashMap};

use crate::description::{Description, Operation, Parameter, Place};
use crate::report::{Concerned, Draft, Operations, Report, Told};
use crate::rule::Rule;
use crate::servers::bases;
use crate::template::Template;
pub(crate) use contents::{covering, media_of};
use shapes::{Direction, Shapes};

/// Compares two descriptions of one API.
pub fn diff(old: &Description, new: &Description) -> Report {
    let mut differ = Differ {
        old,
        new,
        drafts: Vec::new(),
        shapes: Shapes::new(old, new),
        operations: Operations::default(),
    };
    let pairs = pairs(old, new);
    let mut taken = vec![false; new.operations.len()];
    for (before, partner) in old.operations.iter().zip(&pairs) {
        match partner.and_then(|at| Some((at, new.operations.get(at)?))) {
            Some((at, after)) => {
                if let Some(taken) = taken.get_mut(at) {
                    *taken = true;
                }
                differ.operation(before, after);
            }
            None => differ.removed(before),
        }
    }
    for (after, taken) in new.operations.iter().zip(&taken) {
        if !taken {
            let message = "it is new".to_owned();
            differ.found(
                Rule::OperationAdded,
                after,
                message,
                "",
                ("", &after.pointer),
            );
        }
    }
    differ.servers();
    let Differ {
        mut drafts,
        shapes,
        operations,
        ..
    } = differ;
    drafts.extend(shapes.drafts());
    for draft in &mut drafts {
        draft.first = old.existing(&draft.first);
        draft.second = new.existing(&draft.second);
    }
    Report {
        first_operations: old.operations.len(),
        second_operations: new.operations.len(),
        matched: pairs.iter().flatten().count(),
        ..Report::of_drafts(drafts, &operations)
    }
}

/// For each old operation the new one with the same method and path.
fn pairs(old: &Description, new: &Description) -> Vec<Option<usize>> {
    let mut pairs: Vec<Option<usize>> = vec![None; old.operations.len()];
    let mut taken = vec![false; new.operations.len()];
    // Some descriptions have a template twice but for the names of its parameters, so names count first. Last come those whose
    // base path changed, and the path below it did not.
    let passes: [fn(&Operation) -> Vec<String>; 3] = [
        |operation| {
            let path = |base: &String| format!("{} {base}{}", operation.method, operation.path);
            operation.bases.iter().map(path).collect()
        },
        |operation| {
            let shape = |base: &String| operation.template.below(base).shape();
            let named = |base| format!("{} {}", operation.method, shape(base));
            operation.bases.iter().map(named).collect()
        },
        |operation| {
            vec![format!(
                "{} {}",
                operation.method,
                operation.template.shape()
            )]
        },
    ];
    for keys in passes {
        let mut known: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, operation) in new.operations.iter().enumerate() {
            for key in keys(operation) {
                known.entry(key).or_default().push(at);
            }
        }
        for (operation, pair) in old.operations.iter().zip(&mut pairs) {
            if pair.is_some() {
                continue;
            }
            let keys = keys(operation);
            let mut found = keys
                .iter()
                .flat_map(|key| known.get(key).into_iter().flatten());
            *pair = found.find(|at| taken.get(**at) == Some(&false)).copied();
            if let Some(taken) = pair.and_then(|at| taken.get_mut(at)) {
                *taken = true;
            }
        }
    }
    pairs
}

/// Comparing two descriptions.
struct Differ<'a> {
    old: &'a Description,
    new: &'a Description,
    drafts: Vec<Draft>,
    shapes: Shapes<'a>,
    operations: Operations,
}

impl<'a> Differ<'a> {
    fn found(
        &mut self,
        rule: Rule,
        operation: &Operation,
        message: String,
        subject: &str,
        at: (&str, &str),
    ) {
        let number = self.number(operation);
        self.drafts.push(Draft {
            rule,
            message,
            subject: subject.to_owned(),
            concerned: Concerned::One(number),
            first: at.0.to_owned(),
            second: at.1.to_owned(),
            seen: Told::This(None),
        });
    }

    /// Of the operation in reports.
    fn number(&mut self, operation: &Operation) -> u32 {
        self.operations.number(operation.name(), "", None)
    }

    fn removed(&mut self, operation: &Operation) {
        let (rule, message) = if operation.deprecated {
            let message = "it is gone; it was deprecated before".to_owned();
            (Rule::DeprecatedOperationRemoved, message)
        } else {
            (Rule::OperationRemoved, "it is gone".to_owned())
        };
        // The new document has the path at best: the nearest place that is left.
        let at = (operation.pointer.clone(), operation.pointer.clone());
        self.found(rule, operation, message, "", (&at.0, &at.1));
    }

    fn operation(&mut self, old: &'a Operation, new: &'a Operation) {
        let at = (old.pointer.as_str(), new.pointer.as_str());
        if new.deprecated && !old.deprecated {
            self.found(
                Rule::OperationDeprecated,
                new,
                "it is now deprecated".into(),
                "",
                at,
            );
        }
        if old.deprecated && !new.deprecated {
            let message = "it is no longer deprecated".into();
            self.found(Rule::OperationUndeprecated, new, message, "", at);
        }
        if let Some(before) = &old.id
            && new.id.as_ref() != Some(before)
        {
            let message = match &new.id {
                Some(after) => format!("its operationId is `{after}`, was `{before}`"),
                None => format!("its operationId `{before}` is gone"),
            };
            self.found(Rule::OperationIdChanged, new, message, "", at);
        }
        self.base_paths(old, new);
        self.security(old, new);
        self.parameters(old, new);
        self.body(old, new);
        self.responses(old, new);
    }

    fn base_paths(&mut self, old: &Operation, new: &Operation) {
        let shapes = |operation: &Operation| -> Vec<String> {
            let shape = |base: &String| operation.template.below(base).shape();
            operation.bases.iter().map(shape).collect()
        };
        // Whole paths: a base path may have moved into the paths.
        let (before, after) = (shapes(old), shapes(new));
        let pairs = old.bases.iter().zip(&before);
        let lost: Vec<&String> = pairs
            .filter(|(_, shape)| !after.contains(shape))
            .map(|(base, _)| base)
            .collect();
        if lost.is_empty() {
            return;
        }
        let list = |bases: &[&String]| {
            let shown: Vec<String> = bases
                .iter()
                .map(|base| format!("`{}`", if base.is_empty() { "/" } else { base }))
                .collect();
            shown.join(", ")
        };
        let all: Vec<&String> = new.bases.iter().collect();
        let message = format!(
            "it is below {}, no longer below {}",
            list(&all),
            list(&lost)
        );
        self.found(
            Rule::BasePathChanged,
            new,
            message,
            "base path",
            ("/servers", "/servers"),
        );
    }

    fn servers(&mut self) {
        let (old, new) = (self.old.servers(), self.new.servers());
        let known = bases(new);
        let mut document = |rule, message: String, subject: &str| {
            self.drafts.push(Draft {
                rule,
                message,
                subject: subject.to_owned(),
                concerned: Concerned::Nobody,
                first: "/servers".to_owned(),
                second: "/servers".to_owned(),
                seen: Told::This(None),
            });
        };
        for url in old.iter().filter(|url| !new.contains(url)) {
            // Where the base path changed, that is said of the operations.
            if bases(std::slice::from_ref(url))
                .iter()
                .all(|base| known.contains(base))
            {
                document(Rule::ServerRemoved, format!("server `{url}` is gone"), url);
            }
        }
        for url in new.iter().filter(|url| !old.contains(url)) {
            if !old.is_empty() {
                document(Rule::ServerAdded, format!("server `{url}` is new"), url);
            }
        }
    }

    fn parameters(&mut self, old: &'a Operation, new: &'a Operation) {
        let renamed = renamed(&old.template, &new.template);
        for (after, before) in &renamed {
            if after != before {
                let message = format!("path parameter `{before}` is now called `{after}`");
                let at = (old.pointer.as_str(), new.pointer.as_str());
                self.found(Rule::PathParameterRenamed, new, message, before, at);
            }
        }
        let mut before: BTreeMap<(Place, String), &Parameter> = BTreeMap::new();
        for parameter in old
            .parameters
            .iter()
            .filter(|parameter| !is_ignored(parameter))
        {
            before.insert(parameter.key(), parameter);
        }
        for after in new
            .parameters
            .iter()
            .filter(|parameter| !is_ignored(parameter))
        {
            let mut key = after.key();
            if after.place == Place::Path
                && let Some((_, name)) = renamed.iter().find(|(name, _)| *name == after.name)
            {
                key.1.clone_from(name);
            }
            let subject = format!("{} {}", after.place.as_str(), after.name);
            match before.remove(&key) {
                Some(before) => self.parameter(before, after, new, &subject),
                None if after.place == Place::Path => {}
                None => {
                    let (rule, message) = if after.required {
                        let message = format!("{} is new and must be sent", after.shown());
                        (Rule::RequiredParameterAdded, message)
                    } else {
                        (Rule::ParameterAdded, format!("{} is new", after.shown()))
                    };
                    self.found(rule, new, message, &subject, (&old.pointer, &after.pointer));
                }
            }
        }
        for gone in before
            .into_values()
            .filter(|gone| gone.place != Place::Path)
        {
            let subject = format!("{} {}", gone.place.as_str(), gone.name);
            let message = format!("{} is gone", gone.shown());
            let at = (gone.pointer.as_str(), new.pointer.as_str());
            self.found(Rule::ParameterRemoved, new, message, &subject, at);
        }
    }

    fn parameter(
        &mut self,
        old: &'a Parameter,
        new: &'a Parameter,
        operation: &Operation,
        subject: &str,
    ) {
        let at = (old.pointer.as_str(), new.pointer.as_str());
        let shown = new.shown();
        if new.required && !old.required {
            let message = format!("{shown} must now be sent");
            self.found(
                Rule::ParameterBecameRequired,
                operation,
                message,
                subject,
                at,
            );
        }
        if old.required && !new.required {
            let message = format!("{shown} may now be left out");
            self.found(
                Rule::ParameterBecameOptional,
                operation,
                message,
                subject,
                at,
            );
        }
        if new.deprecated && !old.deprecated {
            let message = format!("{shown} is now deprecated");
            self.found(Rule::ParameterDeprecated, operation, message, subject, at);
        }
        let (Some(before), Some(after)) = (old.schema, new.schema) else {
            return;
        };
        if old.style != new.style && self.shapes.both_hold_several(before, after) {
            let message = format!(
                "several values of {shown} are written as {}, were as {}",
                new.style, old.style
            );
            self.found(Rule::ParameterStyleChanged, operation, message, subject, at);
        }
        let number = self.number(operation);
        self.shapes
            .compare(before, after, Direction::Request, number, shown);
    }
}

/// New and old names of path parameters at the same place.
fn renamed(old: &Template, new: &Template) -> Vec<(String, String)> {
    let pairs = new.parameters_of(old).into_iter();
    pairs
        .map(|(new, old)| (new.to_owned(), old.to_owned()))
        .collect()
}

/// OpenAPI 3.1, "Parameter Object": these are described elsewhere, and shall be ignored as parameters.
pub(crate) fn is_ignored(parameter: &Parameter) -> bool {
    parameter.place == Place::Header
        && ["accept", "content-type", "authorization"]
            .iter()
            .any(|name| parameter.name.eq_ignore_ascii_case(name))
}
