//! One segment of a path template.
//!
//! In: what the fold decided about a segment. Out: a [`Part`]: constant text, a parameter, or both in a row, with what the
//! parameter's values look like. It knows which observed segments it stands for and never decides anything itself.

use crate::class::Class;
use crate::pattern::{self, Run};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text that never varies.
    Constant(String),
    /// The whole segment is one parameter.
    Parameter(Kinds),
    /// Text and parameters in a row, at least one of each or several parameters: `{bookId}.json`.
    Mixed(Vec<Fragment>),
}

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fragment {
    Text(String),
    Parameter(Kinds),
}

/// What a piece of a segment means to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// Constant text that names a thing or an action: `lists` of `lists.{format}`, `cancel` of `{id}:cancel`.
    Name(&'a str),
    /// A parameter that picks one of many.
    Value,
    /// A parameter that says in which form the thing is wanted.
    Format,
}

/// What the values of a parameter look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub classes: BTreeSet<Class>,
    /// Whether there were values without a class.
    pub words: bool,
    /// The formats of things that the calls asked for, with how many did; other calls may have named none.
    pub formats: BTreeMap<String, u64>,
    /// The parameter's name, where an operator gave it one.
    pub name: Option<String>,
}

impl Kinds {
    /// Values of one class.
    pub(crate) fn of(class: Class) -> Kinds {
        Kinds {
            classes: BTreeSet::from([class]),
            ..Kinds::default()
        }
    }

    /// Values without a class.
    pub(crate) fn of_words() -> Kinds {
        Kinds {
            words: true,
            ..Kinds::default()
        }
    }

    /// The class of all values, when there is one.
    pub(crate) fn only(&self) -> Option<Class> {
        match (self.words, self.classes.len()) {
            (false, 1) => self.classes.first().copied(),
            _ => None,
        }
    }

    /// Whether all values are numbers that JSON has.
    pub(crate) fn is_numeric(&self) -> bool {
        let number = |c: &Class| matches!(c, Class::Integer | Class::Number);
        !self.words && !self.classes.is_empty() && self.classes.iter().all(number)
    }

    /// Whether a value of this class is taken for one of these.
    pub(crate) fn accepts(&self, class: Class) -> bool {
        let text = self.takes_words()
            || self.classes.contains(&Class::Token)
            || self.classes.contains(&Class::Text);
        self.classes.contains(&class) || (text && class != Class::Text)
    }

    /// Whether a word that has no class is taken for one of these.
    pub(crate) fn takes_words(&self) -> bool {
        self.words || self.classes.contains(&Class::Any)
    }

    /// Notes a value as the tree has it: a word, or a pattern with a value inside.
    pub(crate) fn take(&mut self, word: &str) {
        self.words = true;
        for run in pattern::runs(word) {
            if let Run::Value(class) = run {
                self.classes.insert(class);
            }
        }
    }

    /// The same, as so many calls had them.
    pub(crate) fn of_calls(&self, calls: u64) -> Kinds {
        let mut kinds = self.clone();
        kinds.formats.values_mut().for_each(|n| *n = calls);
        kinds
    }

    pub(crate) fn merge(&mut self, other: Kinds) {
        self.classes.extend(other.classes);
        self.words |= other.words;
        for (format, calls) in other.formats {
            *self.formats.entry(format).or_default() += calls;
        }
        if self.name.is_none() {
            self.name = other.name;
        }
    }
}

impl Part {
    /// The part that a pattern of the tree stands for.
    pub(crate) fn of_pattern(pattern: &str) -> Part {
        Part::Mixed(
            pattern::runs(pattern)
                .into_iter()
                .map(|run| match run {
                    Run::Text(text) => Fragment::Text(text.to_owned()),
                    Run::Value(class) => Fragment::Parameter(Kinds::of(class)),
                })
                .collect(),
        )
    }

    /// The text of a segment that never varies.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self {
            Part::Constant(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the last parameter follows a point, as a format does.
    pub(crate) fn ends_with_format(&self) -> bool {
        let Part::Mixed(pieces) = self else {
            return false;
        };
        matches!(pieces.as_slice(), [.., Fragment::Text(text), Fragment::Parameter(_)] if text.ends_with('.'))
    }

    /// The parameters in it, in order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Kinds> {
        let (whole, pieces): (Option<&Kinds>, &[Fragment]) = match self {
            Part::Constant(_) => (None, &[]),
            Part::Parameter(kinds) => (Some(kinds), &[]),
            Part::Mixed(pieces) => (None, pieces),
        };
        whole
            .into_iter()
            .chain(pieces.iter().filter_map(|p| match p {
                Fragment::Parameter(kinds) => Some(kinds),
                Fragment::Text(_) => None,
            }))
    }

    /// What its pieces mean, in order. Constant suffixes such as `.json` mean nothing more than the value before them.
    pub(crate) fn meanings(&self) -> Vec<Meaning<'_>> {
        let pieces = match self {
            Part::Constant(text) => return vec![Meaning::Name(text)],
            Part::Parameter(_) => return vec![Meaning::Value],
            Part::Mixed(pieces) => pieces,
        };
        let mut out = Vec::new();
        let mut format = false;
        for piece in pieces {
            match piece {
                Fragment::Parameter(_) => out.push(if format {
                    Meaning::Format
                } else {
                    Meaning::Value
                }),
                Fragment::Text(text) => {
                    format = text.ends_with('.');
                    let name = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                    if !name.is_empty() && !text.starts_with('.') {
                        out.push(Meaning::Name(name));
                    }
                }
            }
        }
        out
    }

    /// The text with every parameter blank: `{}.json`.
    pub(crate) fn shape(&self) -> String {
        match self {
            Part::Constant(text) => text.clone(),
            Part::Parameter(_) => "{}".to_owned(),
            Part::Mixed(pieces) => pieces
                .iter()
                .map(|p| match p {
                    Fragment::Text(text) => text.as_str(),
                    Fragment::Parameter(_) => "{}",
                })
                .collect(),
        }
    }

    /// Adds what the values of another part of the same shape look like.
    pub(crate) fn merge(&mut self, other: Part) {
        match (self, other) {
            (Part::Parameter(mine), Part::Parameter(more)) => mine.merge(more),
            (Part::Mixed(mine), Part::Mixed(more)) => {
                for (mine, more) in mine.iter_mut().zip(more) {
                    if let (Fragment::Parameter(mine), Fragment::Parameter(more)) = (mine, more) {
                        mine.merge(more);
                    }
                }
            }
            _ => {}
        }
    }

    /// The same, with values that have no class.
    pub(crate) fn of_words(&self) -> Part {
        match self {
            Part::Constant(text) => Part::Constant(text.clone()),
            Part::Parameter(_) => Part::Parameter(Kinds::of_words()),
            Part::Mixed(pieces) => Part::Mixed(
                pieces
                    .iter()
                    .map(|piece| match piece {
                        Fragment::Parameter(_) => Fragment::Parameter(Kinds::of_words()),
                        text => text.clone(),
                    })
                    .collect(),
            ),
        }
    }

    /// The same part with an instance among its values.
    pub(crate) fn taking(&self, word: &str) -> Part {
        let mut part = self.clone();
        part.merge(self.of_words());
        if pattern::is_pattern(word) {
            let seen = Part::of_pattern(word);
            if seen.shape() == part.shape() {
                part.merge(seen);
            }
        }
        part
    }

    /// Sorts the more concrete part first, as a router looks for them: constants, then those that begin with the most text,
    /// then those with the most text.
    pub(crate) fn concreteness(&self) -> (Reverse<bool>, Reverse<[usize; 2]>, String) {
        let text = |p: &Fragment| match p {
            Fragment::Text(text) => text.len(),
            Fragment::Parameter(_) => 0,
        };
        let text = match self {
            Part::Constant(_) | Part::Parameter(_) => [0, 0],
            Part::Mixed(pieces) => [
                pieces.first().map_or(0, text),
                pieces.iter().map(text).sum(),
            ],
        };
        (
            Reverse(self.constant().is_some()),
            Reverse(text),
            self.shape(),
        )
    }

    /// Whether a value stands at its beginning.
    pub(crate) fn starts_with_parameter(&self) -> bool {
        match self {
            Part::Constant(_) => false,
            Part::Parameter(_) => true,
            Part::Mixed(pieces) => matches!(pieces.first(), Some(Fragment::Parameter(_))),
        }
    }

    /// Whether all its text are signs that stand inside single values of a class, too: `{}.{}` beside `1.2.3`.
    pub(crate) fn is_inside(&self, class: Class) -> bool {
        let signs = joints(class);
        match self {
            Part::Mixed(pieces) => pieces.iter().all(|p| match p {
                Fragment::Text(text) => text.chars().all(|c| signs.contains(c)),
                Fragment::Parameter(_) => true,
            }),
            Part::Constant(_) | Part::Parameter(_) => false,
        }
    }

    /// Whether a word or a pattern of the tree is an instance of it, as far as its text tells.
    pub(crate) fn fits(&self, word: &str) -> bool {
        match self {
            Part::Constant(text) => text == word,
            Part::Parameter(kinds) => {
                kinds.takes_words() || Class::of(word).is_some_and(|c| kinds.accepts(c))
            }
            Part::Mixed(pieces) => fits(pieces, word),
        }
    }
}

/// The signs that values of a class may hold.
fn joints(class: Class) -> &'static str {
    match class {
        Class::Semver => ".-+",
        Class::Number => ".-",
        Class::Email => ".@-_+",
        Class::Address => ".:",
        Class::DateTime => ":.-+",
        Class::Date | Class::Uuid => "-",
        Class::Token => ".-_~:",
        Class::List | Class::Text => ",.:;-_@~$",
        Class::Integer | Class::Digits | Class::Hex | Class::Any => "",
    }
}

fn fits(pieces: &[Fragment], word: &str) -> bool {
    match pieces.split_first() {
        None => word.is_empty(),
        Some((Fragment::Text(text), rest)) => word
            .strip_prefix(text.as_str())
            .is_some_and(|word| fits(rest, word)),
        Some((Fragment::Parameter(_), rest)) => word
            .char_indices()
            .skip(1)
            .map(|(at, _)| at)
            .chain([word.len()])
            .any(|at| at > 0 && fits(rest, word.get(at..).unwrap_or(""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_knows_its_instances() {
        let part = Part::of_pattern("{i}.json");
        assert_eq!(part.shape(), "{}.json");
        for (word, expected) in [
            ("42.json", true),
            ("{u}.json", true),
            ("a.b.json", true),
            (".json", false),
            ("42.json2", false),
            ("", false),
        ] {
            assert_eq!(part.fits(word), expected, "{word}");
        }
        let two = Part::of_pattern("{i}.{w}");
        assert!(two.fits("a.b") && !two.fits("a.") && !two.fits("ab"));
    }

    #[test]
    fn a_part_is_read_as_a_person_reads_it() {
        use Meaning::{Format, Name, Value};
        for (pattern, expected) in [
            ("{i}.json", vec![Value]),
            ("{i}.{w}", vec![Value, Format]),
            ("lists.{w}", vec![Name("lists"), Format]),
            ("{i}:cancel", vec![Value, Name("cancel")]),
            ("isbn:{i}", vec![Name("isbn"), Value]),
            ("@{i}", vec![Value]),
            ("{f},{f}", vec![Value, Value]),
        ] {
            assert_eq!(Part::of_pattern(pattern).meanings(), expected, "{pattern}");
        }
    }

    #[test]
    fn a_joint_may_stand_inside_a_value() {
        let two = Part::of_pattern("{i}.{w}");
        assert!(two.is_inside(Class::Semver) && two.is_inside(Class::Email));
        assert!(!two.is_inside(Class::Integer));
        assert!(!Part::of_pattern("{i}.json").is_inside(Class::Semver));
        assert!(Part::of_pattern("{u}:{i}").is_inside(Class::DateTime));
    }

    #[test]
    fn the_more_concrete_part_comes_first() {
        let mut parts = [
            Part::Parameter(Kinds::default()),
            Part::of_pattern("{i}.{w}"),
            Part::Constant("b".into()),
            Part::of_pattern("{i}.json"),
            Part::Constant("a".into()),
        ];
        parts.sort_by_key(Part::concreteness);
        let shapes: Vec<String> = parts.iter().map(Part::shape).collect();
        assert_eq!(shapes, ["a", "b", "{}.json", "{}.{}", "{}"]);
    }
}
