//! Parameters of the query, strictly.
//!
//! In: the query as it was sent. Out: values of a type that names every parameter it knows. What is not known, given twice, no
//! UTF-8, or holds NUL (which PostgreSQL does not keep) is refused under its name; nothing is guessed.

use std::borrow::Cow;

use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};

use super::problem::Problem;

/// More parameters than any operation knows.
const MAX_PARAMETERS: usize = 64;
/// Characters of a value.
const MAX_VALUE: usize = 2_000;

/// The pairs of a query, each name once.
#[derive(Debug)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Reads a query.
    pub(super) fn parse(query: Option<&str>) -> Result<Pairs, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let pieces = query.unwrap_or_default().split('&');
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let name = decoded(name).map_err(|why| {
                Problem::parameter("", format!("a parameter's name cannot be read: {why}"))
            })?;
            let value = decoded(value).map_err(|why| Problem::parameter(shortened(&name), why))?;
            if value.chars().count() > MAX_VALUE {
                return Err(Problem::parameter(
                    shortened(&name),
                    format!("longer than {MAX_VALUE} characters"),
                ));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Problem::parameter(shortened(&name), "given twice"));
            }
            pairs.push((name, value));
            if pairs.len() > MAX_PARAMETERS {
                return Err(Problem::parameter(
                    "",
                    format!("more than {MAX_PARAMETERS} parameters"),
                ));
            }
        }
        Ok(Pairs(pairs))
    }

    /// Takes one out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// All that are left, as a type that knows each of them.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let pairs = self
            .0
            .into_iter()
            .map(|(name, value)| (name.clone(), Parameter { name, value }));
        T::deserialize(MapDeserializer::new(pairs))
            .map_err(|Wrong { field, message }| Problem::parameter(shortened(&field), message))
    }
}

/// Percent-decoded (`+` is a space, as forms write it).
fn decoded(text: &str) -> Result<String, String> {
    let bytes: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    let bytes: Cow<'_, [u8]> = percent_decoded(&bytes);
    let text = String::from_utf8(bytes.into_owned()).map_err(|_| "no UTF-8".to_owned())?;
    if text.contains('\0') {
        return Err("holds the character NUL, which is in no name and no text".to_owned());
    }
    Ok(text)
}

fn percent_decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(hex.unwrap_or(byte));
        at += if hex.is_some() { 3 } else { 1 };
    }
    Cow::Owned(plain)
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

/// A value with its name, so that what is wrong with it can be said under that name.
struct Parameter {
    name: String,
    value: String,
}

/// What is wrong with which parameter.
#[derive(Debug)]
struct Wrong {
    field: String,
    message: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: std::fmt::Display>(message: T) -> Wrong {
        Wrong {
            field: String::new(),
            message: message.to_string(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Wrong {
        let expected = expected.join(", ");
        Wrong {
            field: field.to_owned(),
            message: format!(
                "not known here; known are {expected}, pageNumber and pageSize where lists are"
            ),
        }
    }

    fn missing_field(field: &'static str) -> Wrong {
        Wrong {
            field: field.to_owned(),
            message: "missing".to_owned(),
        }
    }
}

impl Parameter {
    fn parsed<T: std::str::FromStr>(&self, expected: &str) -> Result<T, Wrong> {
        self.value.parse().map_err(|_| {
            let value: String = self.value.chars().take(80).collect();
            Wrong {
                field: self.name.clone(),
                message: format!("`{value}` is not {expected}"),
            }
        })
    }

    /// Whatever the type says about the value is said under the name.
    fn named<T>(name: String, result: Result<T, Wrong>) -> Result<T, Wrong> {
        result.map_err(|wrong| Wrong {
            field: if wrong.field.is_empty() {
                name
            } else {
                wrong.field
            },
            message: wrong.message,
        })
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let number: $type = self.parsed(&format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX))?;
            visitor.$visit(number)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Parameter {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        Parameter::named(self.name, visitor.visit_string(self.value))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        Parameter::named(self.name.clone(), visitor.visit_some(self))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bool(self.parsed("true or false")?)
    }

    numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if !variants.contains(&self.value.as_str()) {
            let value: String = self.value.chars().take(80).collect();
            return Err(Wrong {
                field: self.name,
                message: format!("`{value}` is none of {}", variants.join(", ")),
            });
        }
        visitor.visit_enum(self.value.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

impl IntoDeserializer<'_, Wrong> for Parameter {
    type Deserializer = Parameter;

    fn into_deserializer(self) -> Parameter {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Severity {
        High,
        VeryLow,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    struct Filter {
        text: Option<String>,
        hidden: Option<bool>,
        severity: Option<Severity>,
        target_id: Option<crate::ids::TargetId>,
        at_least: Option<u32>,
    }

    fn read(query: &str) -> Result<Filter, String> {
        Pairs::parse(Some(query))
            .and_then(Pairs::read)
            .map_err(|problem| problem.detail.into())
    }

    #[test]
    fn parameters_become_values() {
        assert_eq!(read(""), Ok(Filter::default()));
        assert_eq!(
            read("text=a%20b+c%2B%26%3C%27--&hidden=true&&severity=very-low&atLeast=7"),
            Ok(Filter {
                text: Some("a b c+&<'--".to_owned()),
                hidden: Some(true),
                severity: Some(Severity::VeryLow),
                at_least: Some(7),
                ..Filter::default()
            })
        );
        assert_eq!(read("text=100%").unwrap().text.as_deref(), Some("100%"));
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        for (query, expected) in [
            ("text=a&text=b", "text: given twice"),
            ("text=%ff", "text: no UTF-8"),
            ("%ff=1", "a parameter's name cannot be read: no UTF-8"),
            ("text=%00", "text: holds the character NUL"),
            ("hidden=1", "hidden: `1` is not true or false"),
            ("severity=low", "severity: `low` is none of high, very-low"),
            ("severity=", "severity: `` is none of high, very-low"),
            (
                "atLeast=99999999999999999999",
                "atLeast: `99999999999999999999` is not a whole number from 0 to 4294967295",
            ),
            ("atLeast=-1", "atLeast: `-1` is not a whole number"),
            ("targetId=' OR 1=1", "targetId: `' OR 1=1` is no id"),
            (
                "page=1",
                "page: not known here; known are text, hidden, severity, targetId, atLeast",
            ),
        ] {
            let detail = read(query).unwrap_err();
            assert!(detail.starts_with(expected), "{query}: {detail}");
        }
        let long = format!("text={}", "x".repeat(MAX_VALUE + 1));
        assert!(read(&long).unwrap_err().contains("longer than"));
        let many: Vec<String> = (0..100).map(|n| format!("p{n}=1")).collect();
        assert!(read(&many.join("&")).unwrap_err().contains("more than"));
    }
}
