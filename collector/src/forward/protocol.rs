//! What collector and catalog say to each other, as types: JSON over HTTP/1.1 under `/collector/v1`.
//!
//! Times are RFC 3339 in UTC. Refusals are problem documents (RFC 9457). Members that are not known are passed over, so that a newer
//! catalog may say more.

use serde::{Deserialize, Serialize};

use crate::callers::CallerKind;

/// What registration tokens start with.
pub const TOKEN_PREFIX: &str = "slr_";
/// What credentials start with.
pub const CREDENTIAL_PREFIX: &str = "slc_";

/// `POST registrations`.
#[derive(Debug, Clone, Serialize)]
pub struct Register<'a> {
    /// UUID of the data directory.
    pub instance: &'a str,
    /// What people call the machine.
    pub name: &'a str,
    /// Of the collector.
    pub version: &'a str,
}

/// Its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// What the catalog calls this collector.
    pub collector_id: String,
    /// The source it feeds.
    pub source_id: String,
    /// What people call that source.
    pub source_name: String,
    /// From now on.
    pub credential: String,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u64,
    /// Bytes of the largest document the catalog takes.
    pub document_bytes: u64,
}

/// `POST heartbeats`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Of the collector.
    pub version: &'static str,
    /// The collector's clock.
    pub sent_at: String,
    /// How many hosts.
    pub hosts: HostCounts,
    /// How much waits.
    pub outbox: OutboxCounts,
    /// What went wrong last, if it has not gone well since.
    pub last_error: Option<String>,
    /// The synchronisation that runs or has ended.
    pub sync: Option<SyncReport>,
}

/// Hosts of a collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HostCounts {
    /// That may be forwarded.
    pub known: u64,
    /// Of these, with too few operations yet.
    pub waiting: u64,
}

/// The outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxCounts {
    /// Revisions that wait.
    pub pending: u64,
    /// Since when the oldest of them does, in seconds.
    pub oldest_seconds: Option<u64>,
    /// Revisions folded into newer ones because it was full.
    pub merged: u64,
}

/// How a synchronisation stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// The catalog's name for it.
    pub id: String,
    /// How far it is.
    pub state: SyncState,
    /// Why it failed.
    pub error: Option<String>,
}

/// How far a synchronisation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncState {
    /// Under way.
    Running,
    /// Everything that waited is in the catalog.
    Completed,
    /// Something could not be sent.
    Failed,
}

/// What the catalog says to a heartbeat.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pulse {
    /// The catalog's clock.
    pub server_time: String,
    /// Seconds until the next one.
    pub heartbeat_seconds: u64,
    /// Whether revisions are pushed as they come.
    pub auto_sync: bool,
    /// The synchronisation that is wanted.
    pub sync: Option<String>,
    /// Whether to ask for a new credential.
    #[serde(default)]
    pub rotate_credential: bool,
    /// Bytes of the largest document the catalog takes.
    pub document_bytes: u64,
}

/// `POST credential` answers.
#[derive(Debug, Clone, Deserialize)]
pub struct NewCredential {
    /// Takes the place of the one it was asked with, once it is used.
    pub credential: String,
}

/// `PUT hosts/{host}/seen`: what was called, as of now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// When these figures were taken.
    pub at: String,
    /// Calls of the API that were observed.
    pub exchanges: u64,
    /// The first of them.
    pub first_seen: Option<String>,
    /// The last of them.
    pub last_seen: Option<String>,
    /// Each operation.
    pub operations: Vec<SeenOperation>,
    /// Who called, or through what.
    pub callers: Vec<Caller>,
}

/// What was seen of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenOperation {
    /// `GET`, …
    pub method: String,
    /// The whole path template.
    pub path: String,
    /// Errors included.
    pub calls: u64,
    /// The first call.
    pub first_seen: String,
    /// The last call.
    pub last_seen: String,
}

/// Who called, or through what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// What it is.
    pub kind: CallerKind,
    /// What it is called.
    pub name: String,
    /// How often.
    pub calls: u64,
    /// When last.
    pub last_seen: String,
}

/// A refusal (RFC 9457).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// `/problems/token-expired`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub detail: String,
    /// The member that is to blame.
    pub field: Option<String>,
    /// Of `/problems/sequence-conflict`: the highest number the catalog keeps of that host.
    pub latest: Option<u64>,
}

impl Problem {
    /// The last segment of its type.
    pub fn name(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }

    /// What it says, for people: bounded, in one line.
    pub fn words(&self) -> String {
        let said = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        let line: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
        match self.field.as_deref() {
            Some(field) if !line.contains(field) => format!("{field}: {line}"),
            _ => line,
        }
    }
}

/// Unix milliseconds as RFC 3339.
pub fn timestamp(unix_millis: u64) -> String {
    let millis = i64::try_from(unix_millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}
