//! What a document is about: the operations at each template.
//!
//! In: the folded tree, and what operators and ageing leave out. Out: places in the order documents list them, and how much
//! was left out. It looks at no evidence but times and calls, and writes nothing.

use super::{DocumentOptions, template};
use crate::fold::{Folded, Operation};
use crate::part::Part;
use crate::tree::Method;
use std::collections::BTreeMap;

/// The operations at one template.
pub(super) struct Place<'a> {
    pub path: Vec<Part>,
    /// Of the parameters, in order.
    pub names: Vec<String>,
    pub methods: BTreeMap<Method, &'a Operation>,
    /// How likely the template is right, 0 to 1.
    pub sure: f64,
}

/// All of them with their templates, each before what stands below it, and the more concrete first: a reader who takes the
/// first template that a path is an instance of finds the right one.
#[derive(Default)]
pub(super) struct Places<'a> {
    pub places: Vec<(String, Place<'a>)>,
    /// Operations without a success for too long.
    pub dropped: u64,
    /// Calls of operations that rules leave out.
    pub ignored: u64,
}

impl<'a> Places<'a> {
    pub(super) fn of(folded: &'a Folded, options: &DocumentOptions) -> Places<'a> {
        let mut out = Places::default();
        folded.walk(&mut Vec::new(), &mut |path, methods, sure| {
            let names = template::names(path);
            let template = template::template(path, &names);
            let mut kept = BTreeMap::new();
            for (method, operation) in methods {
                if options.rules.ignores(method.as_str(), &template) {
                    out.ignored += operation.calls();
                } else if options.is_past(operation.good.last_seen, options.drop_after) {
                    out.dropped += 1;
                } else {
                    kept.insert(*method, operation);
                }
            }
            if !kept.is_empty() {
                let place = Place {
                    path: path.to_vec(),
                    names,
                    methods: kept,
                    sure,
                };
                out.places.push((template, place));
            }
        });
        out
    }

    /// For each template the others that differ from it in the case of letters alone. Paths are told apart by case (RFC 3986,
    /// 6.2.2.1), and so are those of a document; what the server thinks shows nowhere, so it is said and not decided.
    pub(super) fn other_cases(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (template, place) in &self.places {
            let blank: Vec<String> = place.path.iter().map(Part::shape).collect();
            let key = blank.join("/").to_ascii_lowercase();
            alike.entry(key).or_default().push(template);
        }
        let several = alike.into_values().filter(|templates| templates.len() > 1);
        several
            .flat_map(|templates| {
                templates.clone().into_iter().map(move |template| {
                    let others = templates.iter().filter(|t| **t != template);
                    (template, others.copied().collect())
                })
            })
            .collect()
    }

    /// How many operations there are.
    pub(super) fn operations(&self) -> usize {
        self.places.iter().map(|(_, p)| p.methods.len()).sum()
    }
}

/// How many operations the document would have.
pub(crate) fn operations(folded: &Folded, options: &DocumentOptions) -> usize {
    Places::of(folded, options).operations()
}
