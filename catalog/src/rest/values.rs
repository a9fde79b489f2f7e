//! Values that many operations share: times, ids, orders of lists.
//!
//! In: texts of requests, values of the core. Out: the ones as the others, and how they are described. A text that is none is
//! refused with what one looks like.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::Millis;

/// A point in time: RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Time(pub(super) Millis);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Time, String> {
        Millis::parse(&text).map(Time).ok_or_else(|| {
            let text: String = text.chars().take(80).collect();
            format!("`{text}` is no time; one looks like 2026-03-02T08:00:00Z")
        })
    }
}

impl From<Time> for String {
    fn from(time: Time) -> String {
        time.0.rfc3339()
    }
}

impl From<Millis> for Time {
    fn from(at: Millis) -> Time {
        Time(at)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some(
                "A point in time: RFC 3339; in answers in UTC, to the second.",
            ))
            .examples([serde_json::json!("2099-03-02T08:00:00Z")])
            .into()
    }
}

impl ToSchema for Time {}

macro_rules! id_schemas {
    ($($name:ident $what:literal;)*) => {
        $(
            impl PartialSchema for crate::ids::$name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
                        .description(Some(concat!("Of ", $what, ".")))
                        .examples([serde_json::json!("0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b")])
                        .into()
                }
            }

            impl ToSchema for crate::ids::$name {}
        )*

        /// All schemas that parameters may refer to; utoipa gathers those of bodies only.
        pub(super) fn shared() -> Vec<(&'static str, RefOr<Schema>)> {
            vec![$((stringify!($name), crate::ids::$name::schema()),)* ("Time", Time::schema())]
        }
    };
}

id_schemas! {
    OrganisationId "an organisation";
    UserId "a user";
    RoleId "a custom role";
    KeyId "an API key";
    SourceId "a source";
    CollectorId "a collector";
    TargetId "a target";
    ApiId "an API";
    DefinitionId "a definition";
    RevisionId "a revision";
    ScanId "a scan";
    FindingId "a finding";
    AuditId "an entry of the audit log";
    SyncId "a sync";
    TokenId "a registration token";
}

/// A type for the parameter `sort` of a list: a name for ascending, with `-` before it for descending.
macro_rules! sorts {
    ($(#[$meta:meta])* $name:ident: $order:ty, default $default:literal { $($text:literal => $value:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub(in crate::rest) struct $name(pub(in crate::rest) $order, pub(in crate::rest) crate::store::Direction);

        impl Default for $name {
            fn default() -> $name {
                // The text is one of those below, or no test of the documents passes.
                $name::parse($default).unwrap_or_else(|| unreachable!("the default is one of the orders"))
            }
        }

        impl $name {
            fn parse(text: &str) -> Option<$name> {
                use crate::store::Direction;
                let (name, direction) = match text.strip_prefix('-') {
                    Some(name) => (name, Direction::Descending),
                    None => (text, Direction::Ascending),
                };
                match name {
                    $($text => Some($name($value, direction)),)*
                    _ => None,
                }
            }

            const NAMES: &'static [&'static str] = &[$($text),*];
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                $name::parse(&text).ok_or_else(|| {
                    let text: String = text.chars().take(80).collect();
                    serde::de::Error::custom(format!(
                        "`{text}` is none of {}; `-` before one turns the order around",
                        $name::NAMES.join(", ")
                    ))
                })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let names = $name::NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("-{name}")]);
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some(names))
                    .default(Some(serde_json::json!($default)))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(super) use sorts;

/// A type for one of a few words, as the core knows them.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $core:ty { $($text:literal => $value:path,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::rest) struct $name(pub(in crate::rest) $core);

        impl $name {
            const WORDS: &'static [&'static str] = &[$($text),*];
        }

        impl From<$core> for $name {
            fn from(core: $core) -> $name {
                $name(core)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self.0 {
                    $($value => $text,)*
                })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                match text.as_str() {
                    $($text => Ok($name($value)),)*
                    _ => {
                        let text: String = text.chars().take(80).collect();
                        let words = $name::WORDS.join(", ");
                        Err(serde::de::Error::custom(format!("`{text}` is none of {words}")))
                    }
                }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some($name::WORDS.iter().copied()))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(super) use words;
