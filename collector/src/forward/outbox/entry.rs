//! What the outbox tells of hosts and revisions.

use serde::{Deserialize, Serialize};

/// What is remembered of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The last number given to a revision.
    pub sequence: u64,
    /// Contract of the newest revision, sent or not. `None`: the next document is a new revision whatever it is.
    pub contract: Option<[u8; 32]>,
    /// The last one the catalog has taken.
    pub delivered: Option<Delivered>,
    /// The last one it never will, if none was taken since.
    pub refused: Option<Refused>,
    /// Revisions folded into newer ones.
    pub merged: u64,
}

/// A revision the catalog has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Its number.
    pub sequence: u64,
    /// Unix milliseconds.
    pub at: u64,
}

/// A revision the catalog will never take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number.
    pub sequence: u64,
    /// HTTP status; 0 when it was not even sent.
    pub status: u16,
    /// What the catalog said.
    pub why: String,
    /// Unix milliseconds.
    pub at: u64,
}

/// A revision that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// What the document is like.
    pub contract: [u8; 32],
    /// When it was emitted, Unix milliseconds.
    pub emitted: u64,
    /// Bytes of the document.
    pub plain: u64,
    /// Bytes kept.
    pub stored: u64,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// A revision with this number waits.
    Kept(u64),
    /// Its contract is that of the host's newest revision.
    Known,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Revisions.
    pub pending: u64,
    /// Bytes they take on disk.
    pub bytes: u64,
    /// When the oldest was emitted, Unix milliseconds.
    pub oldest: Option<u64>,
    /// Folded into newer ones since the file was made.
    pub merged: u64,
    /// Hosts with a revision, sent or not.
    pub hosts: u64,
}

/// A host for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub host: String,
    /// What is remembered.
    pub record: Record,
    /// Revisions that wait.
    pub pending: u64,
    /// When the oldest of them was emitted, Unix milliseconds.
    pub oldest: Option<u64>,
}
