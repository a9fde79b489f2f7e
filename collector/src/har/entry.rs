//! The shape of one entry as HAR 1.2 lays it down, read as forgivingly as clear meaning allows.
//!
//! In: JSON text. Out: the fields that tell of an exchange, borrowed where they need no unescaping. A field of another
//! type than it should have counts as absent, a number where text should be as its digits; what is not needed is passed
//! over. Source: the HAR 1.2 specification (Jan Odvarko), and what browsers and proxies really write.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize as Derive;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One element of `log.entries`.
#[derive(Debug, Default, Derive)]
#[serde(default)]
pub(super) struct Entry<'a> {
    #[serde(borrow, rename = "startedDateTime")]
    pub(super) started: Text<'a>,
    /// Milliseconds.
    pub(super) time: Number,
    #[serde(borrow)]
    pub(super) request: Maybe<Request<'a>>,
    #[serde(borrow)]
    pub(super) response: Maybe<Response<'a>>,
}

#[derive(Debug, Default, Derive)]
#[serde(default)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub(super) method: Text<'a>,
    #[serde(borrow)]
    pub(super) url: Text<'a>,
    #[serde(borrow)]
    pub(super) headers: Pairs<'a>,
    #[serde(borrow, rename = "postData")]
    pub(super) post: Maybe<PostData<'a>>,
    #[serde(rename = "bodySize")]
    pub(super) body_size: Number,
}

#[derive(Debug, Default, Derive)]
#[serde(default)]
pub(super) struct Response<'a> {
    pub(super) status: Number,
    #[serde(borrow)]
    pub(super) headers: Pairs<'a>,
    #[serde(borrow)]
    pub(super) content: Maybe<Content<'a>>,
    #[serde(borrow, rename = "redirectURL")]
    pub(super) redirect: Text<'a>,
}

#[derive(Debug, Default, Derive)]
#[serde(default)]
pub(super) struct PostData<'a> {
    #[serde(borrow, rename = "mimeType")]
    pub(super) mime: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    /// Not in the specification, and written by several recorders.
    #[serde(borrow)]
    pub(super) encoding: Text<'a>,
    #[serde(borrow, rename = "_encoding")]
    pub(super) custom_encoding: Text<'a>,
    #[serde(borrow)]
    pub(super) params: Maybe<Vec<Param<'a>>>,
}

#[derive(Debug, Default, Derive)]
#[serde(default)]
pub(super) struct Content<'a> {
    /// Bytes of the decoded body.
    pub(super) size: Number,
    #[serde(borrow, rename = "mimeType")]
    pub(super) mime: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) encoding: Text<'a>,
}

#[derive(Debug, Default, Derive)]
#[serde(default)]
pub(super) struct Param<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) value: Text<'a>,
    #[serde(borrow, rename = "fileName")]
    pub(super) file_name: Text<'a>,
    #[serde(borrow, rename = "contentType")]
    pub(super) content_type: Text<'a>,
}

#[derive(Debug, Default, Derive)]
#[serde(default)]
struct Pair<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
}

/// A string; absent when it is null or something else.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn into_inner(self) -> Cow<'a, str> {
        self.0.unwrap_or_default()
    }
}

/// A number; absent when it is null or something else.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Number(pub(super) Option<f64>);

impl Number {
    /// As a size or a duration: recorders write -1 for "unknown".
    pub(super) fn not_negative(self) -> Option<f64> {
        self.0.filter(|number| *number >= 0.0)
    }
}

/// An object or an array; absent when it is null or something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Maybe<T>(pub(super) Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// Headers: an array of `{name, value}`, or, as some tools write, an object of name to value.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Pairs<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Passes over whatever the wanted type is not, giving the default.
macro_rules! absent {
    ($($method:ident($type:ty)),*) => {
        $(fn $method<E: Error>(self, _: $type) -> Result<Self::Value, E> { Ok(Self::Value::default()) })*
    };
}

fn absent_map<'de, A: MapAccess<'de>, T: Default>(mut map: A) -> Result<T, A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(T::default())
}

fn absent_seq<'de, A: SeqAccess<'de>, T: Default>(mut seq: A) -> Result<T, A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(T::default())
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Taker<'a> {
            type Value = Text<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(if truth {
                    "true"
                } else {
                    "false"
                }))))
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                absent_map(map)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                absent_seq(seq)
            }
        }
        deserializer.deserialize_any(Taker(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker;
        impl<'de> Visitor<'de> for Taker {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Number(Some(number)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Number(
                    text.trim()
                        .parse()
                        .ok()
                        .filter(|number: &f64| number.is_finite()),
                ))
            }
            absent!(visit_bool(bool));
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Number(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                absent_map(map)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                absent_seq(seq)
            }
        }
        deserializer.deserialize_any(Taker)
    }
}

impl<'de, T: Deserialize<'de> + Container> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Container> Visitor<'de> for Taker<T> {
            type Value = Maybe<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(if T::ARRAY { "an array" } else { "an object" })
            }
            absent!(
                visit_bool(bool),
                visit_u64(u64),
                visit_i64(i64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Maybe(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                if T::ARRAY {
                    return absent_map(map);
                }
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Maybe(Some(value)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                if !T::ARRAY {
                    return absent_seq(seq);
                }
                T::deserialize(SeqAccessDeserializer::new(seq)).map(|value| Maybe(Some(value)))
            }
        }
        deserializer.deserialize_any(Taker(PhantomData))
    }
}

/// Whether a type is written as an array or as an object.
pub(super) trait Container {
    const ARRAY: bool = false;
}
impl Container for Request<'_> {}
impl Container for Response<'_> {}
impl Container for PostData<'_> {}
impl Container for Content<'_> {}
impl Container for Param<'_> {}
impl Container for Pair<'_> {}
impl<T> Container for Vec<T> {
    const ARRAY: bool = true;
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Taker<'a> {
            type Value = Pairs<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of name and value")
            }
            absent!(
                visit_bool(bool),
                visit_u64(u64),
                visit_i64(i64),
                visit_f64(f64),
                visit_str(&str)
            );
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Maybe(pair)) = seq.next_element::<Maybe<Pair<'a>>>()? {
                    pairs
                        .extend(pair.map(|pair| (pair.name.into_inner(), pair.value.into_inner())));
                }
                Ok(Pairs(pairs))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'a>, Text<'a>>()? {
                    pairs.push((name.into_inner(), value.into_inner()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(Taker(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Entry<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn fields_of_the_wrong_type_count_as_absent() {
        for json in [
            "{}",
            r#"{"request":null,"response":"none","time":"soon","startedDateTime":{"a":[1]}}"#,
            r#"{"request":[{"url":"x"}],"response":7,"time":null,"startedDateTime":null}"#,
        ] {
            let entry = parse(json);
            assert!(
                entry.request.0.is_none() && entry.response.0.is_none(),
                "{json}"
            );
            assert!(
                entry.time.0.is_none() && entry.started.0.is_none(),
                "{json}"
            );
        }
        let entry = parse(r#"{"time":"12.5","request":{"postData":"","headers":null,"method":1}}"#);
        assert_eq!(entry.time.0, Some(12.5));
        let request = entry.request.0.unwrap();
        assert!(request.post.0.is_none() && request.headers.0.is_empty());
        assert_eq!(request.method.as_str(), "1");
    }

    #[test]
    fn headers_are_taken_as_an_array_or_an_object() {
        for headers in [
            r#"[{"name":"A","value":"1","comment":""},null,{"name":"B","value":2}]"#,
            r#"{"A":"1","B":2}"#,
        ] {
            let json = format!(r#"{{"response":{{"headers":{headers}}}}}"#);
            let response = parse(&json).response.0.unwrap();
            let pairs = response
                .headers
                .0
                .iter()
                .map(|(n, v)| (&**n, &**v))
                .collect::<Vec<_>>();
            assert_eq!(pairs, [("A", "1"), ("B", "2")]);
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let json = r#"{"request":{"url":"https://a.test/","method":"G\u0045T"}}"#;
        let request = parse(json).request.0.unwrap();
        assert!(matches!(
            request.url.0,
            Some(Cow::Borrowed("https://a.test/"))
        ));
        assert_eq!(request.method.as_str(), "GET");
    }
}
