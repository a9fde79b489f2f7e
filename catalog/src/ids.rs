//! Identifiers: one type for each kind of thing, so that a target's id is never taken for an API's.
//!
//! In: text from outside, or randomness. Out: ids that are UUIDs in lower case. Version 7 (RFC 9562): they sort by the time
//! they were made.

/// A text that is no id of this catalog: whatever it was meant to name is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id; one looks like 0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b")]
pub struct IdError(pub String);

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

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

fn make(now: crate::Millis) -> String {
    let mut random = [0_u8; 10];
    crate::random::fill(&mut random);
    let millis = u64::try_from(now.0).unwrap_or_default();
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
    fn what_is_no_id_is_refused() {
        for text in ["", "1", "' OR 1=1 --", "../../etc/passwd"] {
            assert!(ApiId::parse(text).is_err(), "{text}");
        }
    }
}
