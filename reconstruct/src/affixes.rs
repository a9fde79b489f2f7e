//! Text that values of one parameter have in common: `amber.json` and `birch.json` are `{name}.json`, `@ada` is `@{handle}`.
//!
//! In: the words below some nodes that are values. Out: for each word the part of the template that it is an instance of,
//! or `None` when the whole segment is one value. An affix is constant when it never varies over several stems; file names
//! with endings of many kinds are values as a whole.

use crate::class::Class;
use crate::endings::{OTHER, cut};
use crate::part::{Fragment, Kinds, Part};
use crate::pattern::is_pattern;
use std::collections::{BTreeMap, BTreeSet};

/// The affixes of the values below one node.
#[derive(Debug, Default)]
pub(crate) struct Affixes {
    /// `.json`, `:cancel`.
    suffixes: BTreeSet<String>,
    /// `@`.
    sigil: Option<char>,
}

/// An ending that names no format is a constant suffix from this many stems on.
const MANY: usize = 8;

/// Ends of host names, whose stems vary more often than their ends do.
const DOMAINS: [&str; 14] = [
    "com", "org", "net", "edu", "gov", "io", "co", "dev", "app", "info", "eu", "local", "test",
    "example",
];

impl Affixes {
    /// Of words that are values; `alone` when no other values stand beside them.
    pub(crate) fn of(values: &BTreeSet<&str>, alone: bool) -> Affixes {
        let mut stems: BTreeMap<String, (bool, BTreeSet<&str>)> = BTreeMap::new();
        let mut points = 0;
        for word in values.iter().filter(|w| !is_pattern(w)) {
            if let Some(cut) = cut(word) {
                points += usize::from(cut.joint == '.');
                let found = stems.entry(cut.suffix()).or_default();
                found.0 = cut.is_format();
                found.1.insert(cut.stem);
            }
        }
        let bare = alone && points == values.len();
        let suffixes = stems
            .into_iter()
            .filter(|(suffix, (format, stems))| {
                let overlap = stems.iter().any(|s| values.contains(s));
                let domain = suffix.get(1..).is_some_and(|e| DOMAINS.contains(&e));
                if suffix.starts_with(':') {
                    overlap || stems.len() >= 2
                } else {
                    let never_varies = stems.len() == points;
                    *format && (overlap || never_varies && stems.len() >= 2)
                        || never_varies && bare && stems.len() >= MANY && !domain
                }
            })
            .map(|(suffix, _)| suffix)
            .collect();
        let mut sigils = values.iter().map(|w| w.chars().next());
        let sigil = sigils
            .next()
            .flatten()
            .filter(|s| matches!(s, '@' | '$' | '~') && alone && values.len() >= 2)
            .filter(|s| sigils.all(|other| other == Some(*s)));
        Affixes { suffixes, sigil }
    }

    /// The part that a value is an instance of, when there is constant text or a second parameter in it.
    pub(crate) fn part(&self, word: &str) -> Option<Part> {
        let words = || Fragment::Parameter(Kinds::of_words());
        if let Some(sigil) = self.sigil
            && word.starts_with(sigil)
        {
            return Some(Part::Mixed(vec![Fragment::Text(sigil.into()), words()]));
        }
        let cut = cut(word)?;
        // Where a stem and an ending that is no format both vary, they are one value: `ada.lovelace`.
        if is_pattern(cut.ending) && cut.joint == '.' && cut.ending != OTHER {
            return Some(Part::Mixed(vec![
                words(),
                Fragment::Text(".".into()),
                Fragment::Parameter(Kinds::of(Class::Any)),
            ]));
        }
        let suffix = cut.suffix();
        self.suffixes
            .contains(&suffix)
            .then(|| Part::Mixed(vec![words(), Fragment::Text(suffix)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], alone: bool, expected: &[&str]) {
        let all: BTreeSet<&str> = values.iter().copied().collect();
        let affixes = Affixes::of(&all, alone);
        let shapes: Vec<String> = values
            .iter()
            .map(|w| affixes.part(w).map_or("{}".into(), |p| p.shape()))
            .collect();
        assert_eq!(shapes, expected, "{values:?}");
    }

    #[test]
    fn an_affix_that_never_varies_is_constant() {
        check(&["amber.json", "birch.json"], true, &["{}.json", "{}.json"]);
        check(
            &["amber", "birch", "birch.zip"],
            true,
            &["{}", "{}", "{}.zip"],
        );
        check(
            &["amber:cancel", "birch:cancel"],
            true,
            &["{}:cancel", "{}:cancel"],
        );
        check(&["@ada", "@alan"], true, &["@{}", "@{}"]);
        check(&["amber.{w}", "birch.{w}"], true, &["{}.{}", "{}.{}"]);
    }

    #[test]
    fn an_affix_that_varies_is_part_of_the_value() {
        check(&["amber-birch.md", "report-2024.pdf"], true, &["{}", "{}"]);
        check(&["amber.json"], true, &["{}"]);
        check(
            &["ada.lovelace", "alan.turing", "joan-clarke"],
            true,
            &["{}", "{}", "{}"],
        );
        check(&["ada.{x}", "alan.{x}"], true, &["{}", "{}"]);
        check(&["@ada", "alan"], true, &["{}", "{}"]);
        check(&["user:ada", "user:alan"], true, &["{}", "{}"]);
        let hosts = [
            "a.com", "b.com", "c.com", "d.com", "e.com", "f.com", "g.com", "h.com",
        ];
        check(&hosts, true, &["{}"; 8]);
    }
}
