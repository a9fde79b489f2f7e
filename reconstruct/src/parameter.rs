//! One query, header or cookie parameter.
//!
//! In: the texts calls carried. Out: what they have in common as they stand, as lists joined by a separator, and as JSON. What it is
//! written as is decided when a document is emitted: one text that is no list of words makes all of them plain texts.

use crate::bounded::{Entry, Seen};
use crate::format;
use crate::json;
use crate::shape::{OPAQUE, Scale, Shape};
use crate::strings::Strings;
use serde::{Deserialize, Serialize};

/// What is known of one parameter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Parameter {
    /// Calls that carried it and were understood.
    pub calls: u64,
    /// Calls that carried it and that the server refused to understand: they tell of a name, not of what it may be.
    pub refused: u64,
    /// Calls that carried it more than once.
    pub repeated: u64,
    /// Every text as it stands.
    pub values: Strings,
    /// Texts that neither are a list nor could be the only item of one.
    prose: u64,
    joined: Option<Box<Joined>>,
    json: Option<Box<Json>>,
}

/// Texts that are several values with a separator between.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Joined {
    /// How many there were by separator, in the order of [`Separator::ALL`].
    counts: [u64; 3],
    /// Texts without any separator.
    single: Strings,
    items: Strings,
}

/// Texts that are JSON objects or arrays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Json {
    count: u64,
    shape: Shape,
    /// The shape grew too large and was given up.
    full: bool,
}

/// What stands between the items of a list (OpenAPI's styles `form`, `pipeDelimited` and `spaceDelimited`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    Comma,
    Pipe,
    Space,
}

/// What a parameter's texts are.
#[derive(Debug)]
pub(crate) enum Reading<'a> {
    /// Each is one value.
    Plain,
    /// Each is any number of items with a separator between.
    List(Separator, Strings),
    /// Each is a JSON object or array.
    Json(&'a Shape),
}

impl Separator {
    const ALL: [Separator; 3] = [Separator::Comma, Separator::Pipe, Separator::Space];

    fn character(self) -> char {
        match self {
            Separator::Comma => ',',
            Separator::Pipe => '|',
            Separator::Space => ' ',
        }
    }
}

/// More items of one list are not looked at.
const MOST_ITEMS: usize = 64;
/// Beyond this charge a JSON parameter is only known to be JSON.
const MOST_JSON: u32 = 4 * 1024;

impl Parameter {
    /// Learns one text.
    pub(crate) fn learn(&mut self, text: &str, scale: Scale) {
        let separator = separator(text);
        match separator {
            Some(separator) => {
                let joined = self.joined.get_or_insert_with(|| {
                    Box::new(Joined {
                        single: self.values.clone(),
                        ..Joined::default()
                    })
                });
                joined.counts[separator as usize] += 1;
                for item in text.split(separator.character()).take(MOST_ITEMS) {
                    joined.items.learn(item);
                }
            }
            None => {
                if let Some(joined) = &mut self.joined {
                    joined.single.learn(text);
                }
                self.prose += u64::from(!text.is_empty() && !is_item(text));
            }
        }
        self.values.learn(text);
        if text.starts_with(['{', '[']) {
            self.learn_json(text, scale);
        }
    }

    /// Learns a value that is no text.
    pub(crate) fn learn_opaque(&mut self) {
        self.prose += 1;
        if let Some(joined) = &mut self.joined {
            joined.single.learn_opaque(0);
        }
        self.values.learn_opaque(0);
    }

    fn learn_json(&mut self, text: &str, scale: Scale) {
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            return;
        }
        let json = self.json.get_or_insert_default();
        json.count += 1;
        if !json.full {
            // What identifies something in a filter is no evidence of what exists.
            let mut nothing = Seen::default();
            json::learn(
                &mut json.shape,
                text.as_bytes(),
                true,
                scale.min(OPAQUE - 1),
                &mut nothing,
            );
            json.fit();
        }
    }

    /// What the texts are, as far as all of them agree.
    pub(crate) fn reading(&self) -> Reading<'_> {
        let filled = self.values.count - self.values.empty;
        if let Some(json) = &self.json
            && json.count == filled
        {
            return Reading::Json(&json.shape);
        }
        if let Some(joined) = &self.joined {
            let mut kinds = Separator::ALL
                .into_iter()
                .filter(|s| joined.counts[*s as usize] > 0);
            let lists: u64 = joined.counts.iter().sum();
            if let (Some(separator), None, true) =
                (kinds.next(), kinds.next(), self.prose == 0 && lists >= 2)
            {
                let mut items = joined.items.clone();
                if joined.single.count > joined.single.empty {
                    items.merge(joined.single.clone());
                    // A list without items is no empty item.
                    items.count -= items.empty;
                    items.empty = 0;
                }
                return Reading::List(separator, items);
            }
        }
        Reading::Plain
    }
}

impl Json {
    fn fit(&mut self) {
        if !self.full && self.shape.charge() > MOST_JSON {
            self.full = true;
        }
        if self.full {
            self.shape = Shape {
                unknown: 1,
                ..Shape::default()
            };
        }
    }

    fn merge(&mut self, other: Json) {
        self.count += other.count;
        self.full |= other.full;
        if !self.full {
            self.shape.merge(other.shape);
        }
        self.fit();
    }

    fn charge(&self) -> u32 {
        let shape = if self.full {
            MOST_JSON
        } else {
            self.shape.charge()
        };
        size_of::<Json>() as u32 + shape
    }
}

/// The separator of a text that is a list of two or more items. Blanks separate only what never contains any: numbers and ids.
fn separator(text: &str) -> Option<Separator> {
    let separator = Separator::ALL
        .into_iter()
        .find(|s| text.contains(s.character()))?;
    let mut items = text.split(separator.character());
    let fine = match separator {
        Separator::Space => items.all(|i| format::is_integer(i) || format::is_uuid(i)),
        _ => items.all(is_item),
    };
    fine.then_some(separator)
}

/// What may stand alone or in a list: a word, a number, an id; nothing with blanks or brackets in it.
fn is_item(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 96
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.:@/+*$~!=<>".contains(&b))
}

impl Entry for Parameter {
    fn merge(&mut self, other: Parameter) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.repeated += other.repeated;
        self.prose += other.prose;
        match (&mut self.joined, other.joined) {
            (Some(mine), Some(more)) => {
                for (n, m) in mine.counts.iter_mut().zip(more.counts) {
                    *n += m;
                }
                mine.single.merge(more.single);
                mine.items.merge(more.items);
            }
            (Some(mine), None) => mine.single.merge(other.values.clone()),
            (mine @ None, Some(mut more)) => {
                more.single.merge(self.values.clone());
                *mine = Some(more);
            }
            (None, None) => {}
        }
        match (&mut self.json, other.json) {
            (Some(mine), Some(more)) => mine.merge(*more),
            (mine @ None, more) => *mine = more,
            _ => {}
        }
        self.values.merge(other.values);
    }

    fn charge(&self) -> u32 {
        let joined = self.joined.as_ref().map_or(0, |j| {
            size_of::<Joined>() as u32 + j.single.charge() + j.items.charge()
        });
        self.values.charge() + joined + self.json.as_ref().map_or(0, |j| j.charge())
    }

    fn heap(&self) -> usize {
        let joined = self.joined.as_ref().map_or(0, |j| {
            size_of::<Joined>() + j.single.heap() + j.items.heap()
        });
        let json = self
            .json
            .as_ref()
            .map_or(0, |j| size_of::<Json>() + j.shape.heap());
        self.values.heap() + joined + json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learnt(texts: &[&str]) -> Parameter {
        let mut parameter = Parameter::default();
        texts.iter().for_each(|t| parameter.learn(t, 0));
        parameter
    }

    fn check(texts: &[&str], expected: &str) {
        let parameter = learnt(texts);
        let reading = match parameter.reading() {
            Reading::Plain => "plain".to_owned(),
            Reading::List(separator, items) => format!(
                "{separator:?} {}",
                if items.formats & format::INTEGER != 0 {
                    "integer"
                } else {
                    "text"
                }
            ),
            Reading::Json(shape) => format!("json {}", shape.objects.is_some()),
        };
        assert_eq!(reading, expected, "{texts:?}");
    }

    #[test]
    fn lists_are_told_from_texts() {
        check(&["1,2,3", "4,5"], "Comma integer");
        check(&["1,2,3", "4,5", "6"], "Comma integer");
        check(&["name,-date", "date", "name,size"], "Comma text");
        check(&["a|b", "c", "a|c"], "Pipe text");
        check(&["1 2", "3 4 5"], "Space integer");
        check(&["new york", "oslo"], "plain");
        check(&["1,2", "hello, world"], "plain");
        check(&["1,2", "3"], "plain");
        check(&["1,2", "3,4", "a|b"], "plain");
        check(&["a,,b", "c,d", "e,f"], "plain");
        check(&["", ""], "plain");
    }

    #[test]
    fn json_is_recognised_when_all_is_json() {
        check(&["{\"a\":1}", "{\"a\":2}", ""], "json true");
        check(&["[1,2]"], "json false");
        check(&["{\"a\":1}", "x"], "plain");
        check(&["{a}"], "plain");
    }

    #[test]
    fn a_large_json_parameter_is_given_up_whatever_the_order() {
        let texts: Vec<String> = (0..40)
            .map(|i| format!("{{\"member{}\":\"{i}\"}}", char::from(b'a' + i % 26)))
            .chain((0..60).map(|i| {
                format!(
                    "{{\"other_{}{}\":1}}",
                    char::from(b'a' + i / 8),
                    char::from(b'a' + i % 26)
                )
            }))
            .collect();
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let one = learnt(&texts);
        texts.reverse();
        let two = learnt(&texts);
        assert!(
            one.json.as_ref().is_some_and(|j| j.full),
            "{}",
            one.charge()
        );
        assert!(one.charge() < MOST_JSON + 2048);
        assert_eq!(postcard::to_stdvec(&one), postcard::to_stdvec(&two));
    }

    proptest! {
        #[test]
        fn order_and_partition_do_not_matter(texts in proptest::collection::vec("([a-c]{1,2}(,[a-c]{1,2}){0,2}|[0-9]{1,3}[| ][0-9]|\\{\"a\":[0-9]\\}|a b|)", 0..30), cut in 0usize..30) {
            let cut = cut.min(texts.len());
            let (mut one, mut a, mut b) = (Parameter::default(), Parameter::default(), Parameter::default());
            texts.iter().for_each(|t| one.learn(t, 0));
            texts.iter().skip(cut).for_each(|t| a.learn(t, 0));
            texts.iter().take(cut).rev().for_each(|t| b.learn(t, 0));
            a.merge(b);
            prop_assert_eq!(postcard::to_stdvec(&one), postcard::to_stdvec(&a));
            prop_assert_eq!(one.charge(), a.charge());
        }
    }
}
