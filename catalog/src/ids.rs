//! Identifiers: one type for each kind of thing, so that a target's id is never taken for an API's.
//!
//! In: text from outside, or randomness. Out: ids that are UUIDs in lower case. Version 7 (RFC 9562): they sort by the time
//! they were made.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A text that is no id of this catalog: whatever it was meant to name is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id; one looks like 0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b")]
pub struct IdError(pub String);

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl $name {
            /// A new one.
            #[must_use]
            pub fn make(now: crate::Millis) -> Self {
                Self(make(now))
            }

            /// One that was made before.
            ///
            /// # Errors
            /// When it is no UUID.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                uuid::Uuid::try_parse(text)
                    .map(|id| Self(id.as_hyphenated().to_string()))
                    .map_err(|_| IdError(text.chars().take(80).collect()))
            }

            /// One from a column.
            ///
            /// # Errors
            /// When what is in it is no UUID.
            pub fn read(text: &str) -> Result<Self, sqlx::Error> {
                Self::parse(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
            }

            /// As it is stored and shown.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Of an organisation: a world of its own.
    OrganisationId;
    /// Of a user.
    UserId;
    /// Of a custom role.
    RoleId;
    /// Of an API key.
    KeyId;
    /// Of a source.
    SourceId;
    /// Of a registration token.
    TokenId;
    /// Of a collector that registered.
    CollectorId;
    /// Of a target.
    TargetId;
    /// Of an API.
    ApiId;
    /// Of a definition.
    DefinitionId;
    /// Of a revision.
    RevisionId;
    /// Of a scan.
    ScanId;
    /// Of a finding.
    FindingId;
    /// Of an entry of the audit log.
    AuditId;
    /// Of a sync that was asked for.
    SyncId;
}

/// Milliseconds and, in the low 12 bits, how many ids were made in that millisecond.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Ids of one millisecond are told apart by a counter in the bits after the time, so that they sort as they were made
/// (RFC 9562, 6.2, method 1); what comes after it is random.
fn make(now: crate::Millis) -> String {
    const COUNT: u64 = 0xfff;
    let millis = u64::try_from(now.0).unwrap_or_default() & 0xffff_ffff_ffff;
    let next = |last: u64| match (last >> 12 == millis, last & COUNT == COUNT) {
        (true, false) => last + 1,
        (true, true) => last,
        (false, _) => millis << 12,
    };
    let before = LAST.fetch_update(Relaxed, Relaxed, |last| Some(next(last)));
    let count = next(before.unwrap_or_else(|last| last)) & COUNT;
    let mut random = [0_u8; 10];
    crate::random::fill(&mut random);
    // The first 12 bits of these follow the time and the version.
    if let Some(first) = random.first_chunk_mut::<2>() {
        let rest = u64::from(u16::from_be_bytes(*first)) & !COUNT;
        *first = u16::try_from(rest | count)
            .unwrap_or_default()
            .to_be_bytes();
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .as_hyphenated()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Millis;

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let (earlier, later) = (ApiId::make(Millis(1_000)), ApiId::make(Millis(2_000)));
        assert!(earlier < later);
        assert_eq!(ApiId::parse(earlier.as_str()), Ok(earlier));
    }

    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        // Other tests make ids meanwhile: then the counter begins anew.
        let sorted = (0..20).any(|_| {
            let ids: Vec<ApiId> = (0..100).map(|_| ApiId::make(Millis(77_000))).collect();
            ids.is_sorted()
        });
        assert!(sorted);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "1", "' OR 1=1 --", "../../etc/passwd"] {
            assert!(ApiId::parse(text).is_err(), "{text}");
        }
    }
}
