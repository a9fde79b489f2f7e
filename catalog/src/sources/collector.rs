//! Collectors that have registered: their credentials, and what they report.
//!
//! In: a credential and a heartbeat. Out: who it is, and what the catalog wants of it. What a collector says of its clock is shown
//! and decides nothing. A credential that is dead is told from an unknown one, and its use is written to the audit log.

use std::time::Duration;

use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::registration::CREDENTIAL;
use super::source::named;
use super::sync;
use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::{CollectorId, OrganisationId, SourceId, SyncId};
use crate::store::Store;
use crate::{Millis, Refusal, random};

/// Between two entries of the audit log on the same collector's dead credential.
const NOTE_MISUSE_EVERY: Duration = Duration::from_secs(60);
/// Characters of a collector's text that are kept.
const LONGEST: usize = 1000;

/// Whose credential it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The collector.
    pub id: CollectorId,
    /// What it calls itself.
    pub name: String,
    /// Its organisation.
    pub organisation: OrganisationId,
    /// Its source.
    pub source: SourceId,
    /// Its last heartbeat before this call.
    pub heard_at: Option<Millis>,
}

/// Why a credential is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CredentialRefusal {
    /// There is no such credential.
    #[error("the credential is not known; register the collector again")]
    Unknown,
    /// It was withdrawn or replaced.
    #[error("the credential was revoked or replaced; register the collector again")]
    Revoked,
    /// Our own fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<sqlx::Error> for CredentialRefusal {
    fn from(error: sqlx::Error) -> CredentialRefusal {
        CredentialRefusal::Refused(error.into())
    }
}

/// Whose credential it is. One that was handed out as the next is used for the first time: the one before is dead from now on.
///
/// # Errors
/// [`CredentialRefusal`].
pub async fn authenticate(
    store: &Store,
    credential: &str,
    address: &str,
    now: Millis,
) -> Result<Registered, CredentialRefusal> {
    let hash = random::fingerprint(credential);
    let row = sqlx::query(
        "SELECT id, name, organisation_id, source_id, revoked_at, credential_hash, heartbeat_at FROM collectors \
         WHERE credential_hash = $1 OR next_hash = $1",
    )
    .bind(&hash)
    .fetch_optional(store.pool())
    .await?;
    let Some(row) = row else {
        return Err(dead_or_unknown(store, &hash, address, now).await?);
    };
    let found = Registered {
        id: CollectorId::read(row.try_get(0)?)?,
        name: row.try_get(1)?,
        organisation: OrganisationId::read(row.try_get(2)?)?,
        source: SourceId::read(row.try_get(3)?)?,
        heard_at: row.try_get::<Option<i64>, _>(6)?.map(Millis),
    };
    if row.try_get::<Option<i64>, _>(4)?.is_some() {
        note_misuse(store, &found, address, now).await?;
        return Err(CredentialRefusal::Revoked);
    }
    if row.try_get::<&str, _>(5)? != hash {
        let mut write = store.write().await?;
        sqlx::query(
            "UPDATE collectors SET previous_hash = credential_hash, credential_hash = next_hash, next_hash = NULL, issued_at = $1 \
             WHERE id = $2 AND next_hash = $3",
        )
        .bind(now.0)
        .bind(found.id.as_str())
        .bind(&hash)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
    }
    Ok(found)
}

async fn dead_or_unknown(
    store: &Store,
    hash: &str,
    address: &str,
    now: Millis,
) -> Result<CredentialRefusal, CredentialRefusal> {
    let row = sqlx::query(
        "SELECT id, name, organisation_id, source_id FROM collectors WHERE previous_hash = $1",
    )
    .bind(hash)
    .fetch_optional(store.pool())
    .await?;
    let Some(row) = row else {
        return Ok(CredentialRefusal::Unknown);
    };
    let found = Registered {
        id: CollectorId::read(row.try_get(0)?)?,
        name: row.try_get(1)?,
        organisation: OrganisationId::read(row.try_get(2)?)?,
        source: SourceId::read(row.try_get(3)?)?,
        heard_at: None,
    };
    note_misuse(store, &found, address, now).await?;
    Ok(CredentialRefusal::Revoked)
}

/// Somebody uses a dead credential: a collector that was not told, or a thief.
async fn note_misuse(
    store: &Store,
    collector: &Registered,
    address: &str,
    now: Millis,
) -> Result<(), Refusal> {
    const ACTION: &str = "collector.dead-credential";
    let since = now
        .0
        .saturating_sub(i64::try_from(NOTE_MISUSE_EVERY.as_millis()).unwrap_or(0));
    let lately: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM audit WHERE organisation_id = $1 AND at > $2 AND action = $3 AND subject_id = $4",
    )
    .bind(collector.organisation.as_str())
    .bind(since)
    .bind(ACTION)
    .bind(collector.id.as_str())
    .fetch_one(store.pool())
    .await?;
    if lately > 0 {
        return Ok(());
    }
    let mut write = store.write().await?;
    let details = json!({ "source": collector.source });
    record(
        &mut write,
        &actor_of(collector, address),
        ACTION,
        collector,
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// A heartbeat, as a collector sends it.
#[derive(Debug, Clone, Default)]
pub struct Beat {
    /// Its version.
    pub version: String,
    /// What its clock said.
    pub sent_at: Option<Millis>,
    /// Hosts it sees.
    pub hosts: HostCounts,
    /// What waits to be sent.
    pub outbox: Outbox,
    /// What went wrong last, while that lasts.
    pub last_error: Option<String>,
    /// The sync it was told of.
    pub sync: Option<SyncReport>,
}

/// Hosts of a collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// All it sees.
    pub known: u64,
    /// Those with fewer operations than it sends a host from.
    pub waiting: u64,
}

/// What waits at a collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Revisions.
    pub pending: u64,
    /// The age of the oldest.
    pub oldest_seconds: Option<u64>,
    /// Revisions folded into newer ones because there were too many.
    pub merged: u64,
}

/// How a sync goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReport {
    /// Which.
    pub id: String,
    /// How.
    pub state: SyncState,
    /// Why not well.
    pub error: Option<String>,
}

/// How a sync goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// It is under way.
    Running,
    /// Everything was sent.
    Completed,
    /// Something could not be sent.
    Failed,
}

impl SyncState {
    /// As it is stored and as collectors write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SyncState::Running => "running",
            SyncState::Completed => "completed",
            SyncState::Failed => "failed",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<SyncState> {
        [SyncState::Running, SyncState::Completed, SyncState::Failed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// What the catalog wants of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Whether it may push outside of syncs.
    pub auto_sync: bool,
    /// A sync it has still to do.
    pub sync: Option<SyncId>,
    /// Whether its credential is old enough to be replaced.
    pub rotate: bool,
}

/// Keeps a heartbeat. `offline_after`: silence after which other collectors are no longer waited for; `rotate_every`: age at which a
/// credential is replaced.
///
/// # Errors
/// When the database says no, or the collector is gone.
pub async fn beat(
    store: &Store,
    collector: &Registered,
    beat: Beat,
    address: &str,
    (offline_after, rotate_every): (Duration, Option<Duration>),
    now: Millis,
) -> Result<Heard, Refusal> {
    let cut = |text: String| text.chars().take(LONGEST).collect::<String>();
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut write = store.write().await?;
    sqlx::query(
        "UPDATE collectors SET version = $1, address = $2, heartbeat_at = $3, skew_millis = $4, hosts_known = $5, hosts_waiting = $6, \
         outbox_pending = $7, outbox_oldest_seconds = $8, outbox_merged = $9, last_error = $10 WHERE id = $11",
    )
    .bind(cut(beat.version))
    .bind(address)
    .bind(now.0)
    .bind(beat.sent_at.map(|at| at.0.saturating_sub(now.0)))
    .bind(number(beat.hosts.known))
    .bind(number(beat.hosts.waiting))
    .bind(number(beat.outbox.pending))
    .bind(beat.outbox.oldest_seconds.map(number))
    .bind(number(beat.outbox.merged))
    .bind(beat.last_error.map(cut))
    .bind(collector.id.as_str())
    .execute(&mut *write)
    .await?;
    let under_way: Option<String> = sqlx::query_scalar("SELECT sync_id FROM sources WHERE id = $1")
        .bind(collector.source.as_str())
        .fetch_optional(&mut *write)
        .await?
        .flatten();
    // Reports on a sync that is over, or of somebody else, change nothing.
    if let Some(report) = beat
        .sync
        .filter(|report| under_way.as_ref() == Some(&report.id))
    {
        sqlx::query(
            "UPDATE collectors SET sync_id = $1, sync_state = $2, sync_error = $3 WHERE id = $4",
        )
        .bind(&report.id)
        .bind(report.state.name())
        .bind(report.error.map(cut))
        .bind(collector.id.as_str())
        .execute(&mut *write)
        .await?;
        sqlx::query(
            "UPDATE sources SET sync_started_at = COALESCE(sync_started_at, $1) WHERE id = $2",
        )
        .bind(now.0)
        .bind(collector.source.as_str())
        .execute(&mut *write)
        .await?;
        sync::settle(&mut write, &collector.source, offline_after, now).await?;
    }
    let row = sqlx::query(
        "SELECT s.auto_sync, s.sync_id, c.sync_id, c.sync_state, c.issued_at FROM collectors c JOIN sources s ON s.id = c.source_id \
         WHERE c.id = $1",
    )
    .bind(collector.id.as_str())
    .fetch_optional(&mut *write)
    .await?
    .ok_or_else(|| Refusal::not_found("collector", collector.id.as_str()))?;
    let wanted: Option<String> = row.try_get(1)?;
    let reported: Option<String> = row.try_get(2)?;
    let over = matches!(
        row.try_get::<Option<&str>, _>(3)?,
        Some("completed" | "failed")
    );
    let sync = wanted.filter(|wanted| !(over && reported.as_ref() == Some(wanted)));
    let issued_at = Millis(row.try_get(4)?);
    let heard = Heard {
        auto_sync: row.try_get::<i64, _>(0)? != 0,
        sync: sync.as_deref().map(SyncId::read).transpose()?,
        rotate: rotate_every.is_some_and(|every| now.since(issued_at) >= every),
    };
    drop(row);
    write.commit().await?;
    Ok(heard)
}

/// Hands out the next credential; it takes the place of the present one when it is used first. Asked again, another one.
///
/// # Errors
/// When the database says no.
pub async fn rotate(
    store: &Store,
    collector: &Registered,
    address: &str,
    now: Millis,
) -> Result<String, Refusal> {
    let credential = random::secret(CREDENTIAL);
    let mut write = store.write().await?;
    sqlx::query("UPDATE collectors SET next_hash = $1 WHERE id = $2")
        .bind(random::fingerprint(&credential))
        .bind(collector.id.as_str())
        .execute(&mut *write)
        .await?;
    record(
        &mut write,
        &actor_of(collector, address),
        "collector.rotate",
        collector,
        json!({}),
        now,
    )
    .await?;
    write.commit().await?;
    Ok(credential)
}

/// A collector takes its leave.
///
/// # Errors
/// When the database says no.
pub async fn unregister(
    store: &Store,
    collector: &Registered,
    address: &str,
    offline_after: Duration,
    now: Millis,
) -> Result<(), Refusal> {
    let actor = actor_of(collector, address);
    end(
        store,
        &actor,
        collector,
        "collector.unregister",
        offline_after,
        now,
    )
    .await
}

/// Withdraws a collector's credential: from now on nothing is taken from it.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn revoke(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    id: &CollectorId,
    offline_after: Duration,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageSources)?;
    let name: Option<String> = sqlx::query_scalar(
        "SELECT name FROM collectors WHERE id = $1 AND source_id = $2 AND organisation_id = $3 AND revoked_at IS NULL",
    )
    .bind(id.as_str())
    .bind(source.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?;
    let collector = Registered {
        id: id.clone(),
        name: name.ok_or_else(|| Refusal::not_found("collector", id.as_str()))?,
        organisation: actor.organisation.clone(),
        source: source.clone(),
        heard_at: None,
    };
    end(
        store,
        actor,
        &collector,
        "collector.revoke",
        offline_after,
        now,
    )
    .await
}

async fn end(
    store: &Store,
    actor: &Actor,
    collector: &Registered,
    action: &'static str,
    offline_after: Duration,
    now: Millis,
) -> Result<(), Refusal> {
    let mut write = store.write().await?;
    sqlx::query("UPDATE collectors SET revoked_at = $1, next_hash = NULL WHERE id = $2 AND revoked_at IS NULL")
        .bind(now.0)
        .bind(collector.id.as_str())
        .execute(&mut *write)
        .await?;
    // Who is gone is not waited for.
    sync::settle(&mut write, &collector.source, offline_after, now).await?;
    record(
        &mut write,
        actor,
        action,
        collector,
        json!({ "source": collector.source }),
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// A collector, as people see it.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Its id.
    pub id: CollectorId,
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it last came from.
    pub address: String,
    /// Since when it is registered.
    pub registered_at: Millis,
    /// Since when it has its present credential.
    pub issued_at: Millis,
    /// Its last heartbeat.
    pub heartbeat_at: Option<Millis>,
    /// Whether it has been silent for too long.
    pub offline: bool,
    /// Its clock minus ours at the last heartbeat, in milliseconds, the way included.
    pub skew_millis: Option<i64>,
    /// Hosts it sees.
    pub hosts: HostCounts,
    /// What waits there.
    pub outbox: Outbox,
    /// What it last said went wrong.
    pub last_error: Option<String>,
    /// When it was revoked or took its leave.
    pub revoked_at: Option<Millis>,
}

/// The collectors of a source, those that left too, by name.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    offline_after: Duration,
    now: Millis,
) -> Result<Vec<Collector>, Refusal> {
    actor.may(Permission::ViewSources)?;
    let mut connection = store.pool().acquire().await?;
    named(&mut connection, actor, source).await?;
    let rows = sqlx::query(
        "SELECT id, name, version, address, registered_at, issued_at, heartbeat_at, skew_millis, hosts_known, hosts_waiting, \
         outbox_pending, outbox_oldest_seconds, outbox_merged, last_error, revoked_at FROM collectors WHERE source_id = $1 \
         ORDER BY CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, name, id LIMIT 1000",
    )
    .bind(source.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    rows.iter()
        .map(|row| {
            let at = |column: usize| {
                Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Millis))
            };
            let heartbeat_at = at(6)?;
            Ok(Collector {
                id: CollectorId::read(row.try_get(0)?)?,
                name: row.try_get(1)?,
                version: row.try_get(2)?,
                address: row.try_get(3)?,
                registered_at: Millis(row.try_get(4)?),
                issued_at: Millis(row.try_get(5)?),
                heartbeat_at,
                offline: heartbeat_at.is_some_and(|at| now.since(at) >= offline_after),
                skew_millis: row.try_get(7)?,
                hosts: HostCounts {
                    known: number(row.try_get(8)?),
                    waiting: number(row.try_get(9)?),
                },
                outbox: Outbox {
                    pending: number(row.try_get(10)?),
                    oldest_seconds: row.try_get::<Option<i64>, _>(11)?.map(number),
                    merged: number(row.try_get(12)?),
                },
                last_error: row.try_get(13)?,
                revoked_at: at(14)?,
            })
        })
        .collect()
}

fn actor_of(collector: &Registered, address: &str) -> Actor {
    Actor::collector(collector.organisation.clone(), &collector.name, address)
}

async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    collector: &Registered,
    details: serde_json::Value,
    now: Millis,
) -> Result<(), Refusal> {
    let entry = Entry {
        action,
        subject: "collector",
        id: collector.id.as_str(),
        name: &collector.name,
        details,
    };
    audit::record(connection, actor, entry, now).await
}
