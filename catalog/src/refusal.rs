//! Why something was not done, in terms a caller can act on.
//!
//! In: what the rules and the store say. Out: one [`Refusal`] that the REST API turns into a problem document (RFC 9457) and
//! the pages into a sentence beside the field. What went wrong inside ([`Refusal::Internal`]) is logged, never shown.

use crate::access::Permission;
use crate::problems::Kind;

/// What was not done, and what would have been right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody is signed in, or the key is not known. 401.
    #[error("{0}")]
    Unauthenticated(String),
    /// Not with these permissions. 403.
    #[error("this needs the permission “{}”; {holder} does not have it", .permission.title())]
    Forbidden {
        /// What is missing.
        permission: Permission,
        /// Whose permissions were looked at: `the role Security Analyst`.
        holder: String,
    },
    /// Not allowed whatever the permissions: the last owner, one's own role. 403.
    #[error("{0}")]
    Denied(String),
    /// Not here, or in another organisation: nothing tells the two apart. 404.
    #[error("there is no {what} {id}")]
    NotFound {
        /// `API`, `target`, …
        what: &'static str,
        /// As it was asked for.
        id: String,
    },
    /// A value that cannot be taken. 400 where it is a parameter, 422 where it is a field of a body.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, as the caller wrote it: `name`, `pageSize`.
        field: &'static str,
        /// What is there and what would be right.
        message: String,
    },
    /// Something stands in the way. 409.
    #[error("{message}")]
    Conflict {
        /// The name of its kind in [`crate::problems`]: `name-taken`, `not-under-target`.
        code: &'static str,
        /// What stands in the way and what to do.
        message: String,
        /// The field that would have to change, or empty.
        field: &'static str,
        /// What of a list stands in the way, and why: `apiIds[3]`.
        each: Vec<(String, String)>,
    },
    /// Larger than what is taken. 413.
    #[error("{what} has {size} bytes; at most {limit} are taken")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// Too many tries. 429.
    #[error("too many attempts; try again in {seconds} s")]
    TooMany {
        /// Until then.
        seconds: u64,
    },
    /// No memory for it now. 503.
    #[error("too many large bodies are being taken at once; come again in {seconds} s")]
    Busy {
        /// When to come again.
        seconds: u64,
    },
    /// Our own fault. 500; the text is for the log.
    #[error("inside: {0}")]
    Internal(String),
}

impl Refusal {
    /// There is no such thing.
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Refusal {
        let id: String = id.into();
        Refusal::NotFound {
            what,
            id: id.chars().take(80).collect(),
        }
    }

    /// A field that cannot be taken.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::Invalid {
            field,
            message: message.into(),
        }
    }

    /// Something stands in the way.
    pub fn conflict(kind: Kind, field: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::Conflict {
            code: kind.name,
            message: message.into(),
            field,
            each: Vec::new(),
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Refusal {
        Refusal::Internal(format!("the database: {error}"))
    }
}
