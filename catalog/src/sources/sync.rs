//! Syncs: asked for by people, or due.
//!
//! In: a source. Out: the id of a sync, which its collectors are told with their next heartbeat. A sync is over when each collector
//! that is registered has reported its outcome.

use std::time::Duration;

use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::Kind;
use super::source::{named, record};
use crate::access::{Actor, Permission};
use crate::ids::{OrganisationId, SourceId, SyncId};
use crate::store::Store;
use crate::{Millis, Refusal, problems};

/// Asks for a sync. One that is under way goes on: its id comes back.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Conflict`] `no-collector`, or `nothing-to-sync` for uploads.
pub async fn request(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    now: Millis,
) -> Result<SyncId, Refusal> {
    actor.may(Permission::ManageSources)?;
    let mut write = store.write().await?;
    let (name, kind) = named(&mut write, actor, source).await?;
    match kind {
        Kind::Upload => {
            return Err(Refusal::conflict(
                problems::NOTHING_TO_SYNC,
                "",
                "documents are uploaded to this source by people; there is nothing to fetch",
            ));
        }
        Kind::TrafficAnalyzer if registered(&mut write, source).await? == 0 => {
            return Err(Refusal::conflict(
                problems::NO_COLLECTOR,
                "",
                "no collector is registered with this source; make a registration token and register one first",
            ));
        }
        Kind::TrafficAnalyzer | Kind::Url => {}
    }
    let under_way: Option<String> = sqlx::query_scalar("SELECT sync_id FROM sources WHERE id = $1")
        .bind(source.as_str())
        .fetch_one(&mut *write)
        .await?;
    if let Some(id) = under_way {
        return Ok(SyncId::read(&id)?);
    }
    let id = begin(&mut write, source, now).await?;
    record(
        &mut write,
        actor,
        "source.sync",
        (source, &name),
        json!({ "sync": id }),
        now,
    )
    .await?;
    write.commit().await?;
    Ok(id)
}

/// Begins the syncs that are due: of sources that sync by themselves, `every` so often. Returns how many.
///
/// # Errors
/// When the database says no.
pub async fn request_due(store: &Store, every: Duration, now: Millis) -> Result<u64, Refusal> {
    let before = now
        .0
        .saturating_sub(i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
    let due = "SELECT s.id, s.name, s.organisation_id FROM sources s WHERE s.auto_sync = 1 AND s.sync_id IS NULL \
         AND COALESCE(s.synced_at, s.created_at) <= $1 AND s.kind = $2 \
         AND EXISTS (SELECT 1 FROM collectors c WHERE c.source_id = s.id AND c.revoked_at IS NULL)";
    let rows = sqlx::query(due)
        .bind(before)
        .bind(Kind::TrafficAnalyzer.name())
        .fetch_all(store.pool())
        .await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut write = store.write().await?;
    let mut begun = 0;
    for row in &rows {
        let source = SourceId::read(row.try_get(0)?)?;
        let actor = Actor::schedule(OrganisationId::read(row.try_get(2)?)?);
        let id = begin(&mut write, &source, now).await?;
        record(
            &mut write,
            &actor,
            "source.sync",
            (&source, row.try_get(1)?),
            json!({ "sync": id }),
            now,
        )
        .await?;
        begun += 1;
    }
    write.commit().await?;
    Ok(begun)
}

async fn begin(
    connection: &mut AnyConnection,
    source: &SourceId,
    now: Millis,
) -> Result<SyncId, Refusal> {
    let id = SyncId::make(now);
    sqlx::query("UPDATE sources SET sync_id = $1, sync_requested_at = $2, sync_started_at = NULL WHERE id = $3")
        .bind(id.as_str())
        .bind(now.0)
        .bind(source.as_str())
        .execute(connection)
        .await?;
    Ok(id)
}

/// Ends the sync that is under way when no collector has still to report on it. Those that fell silent are not waited for.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    source: &SourceId,
    offline_after: Duration,
    now: Millis,
) -> Result<(), Refusal> {
    let sync: Option<String> = sqlx::query_scalar("SELECT sync_id FROM sources WHERE id = $1")
        .bind(source.as_str())
        .fetch_optional(&mut *connection)
        .await?
        .flatten();
    let Some(sync) = sync else { return Ok(()) };
    let rows = sqlx::query(
        "SELECT name, sync_id, sync_state, sync_error, heartbeat_at FROM collectors WHERE source_id = $1 AND revoked_at IS NULL ORDER BY name, id",
    )
    .bind(source.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let (mut open, mut errors) = (0, Vec::new());
    for row in &rows {
        let ours = row.try_get::<Option<String>, _>(1)?.as_ref() == Some(&sync);
        let state: Option<String> = row.try_get(2)?;
        match state.as_deref().filter(|_| ours) {
            Some("completed") => {}
            Some("failed") => {
                let error: Option<String> = row.try_get(3)?;
                let error = error.unwrap_or_else(|| "it did not say why".to_owned());
                errors.push(format!("{}: {error}", row.try_get::<String, _>(0)?));
            }
            _ => {
                let heard: Option<i64> = row.try_get(4)?;
                if heard.is_some_and(|at| now.since(Millis(at)) < offline_after) {
                    open += 1;
                } else {
                    errors.push(format!("{}: it is offline", row.try_get::<String, _>(0)?));
                }
            }
        }
    }
    if open > 0 {
        return Ok(());
    }
    // Nobody is left to report: what was asked for is not going to happen.
    let abandoned = rows.is_empty();
    let error =
        (!errors.is_empty()).then(|| errors.join("; ").chars().take(1000).collect::<String>());
    sqlx::query(
        "UPDATE sources SET sync_id = NULL, sync_requested_at = NULL, sync_started_at = NULL, \
         synced_at = CASE WHEN $1 = 1 THEN synced_at ELSE $2 END, sync_error = $3 WHERE id = $4",
    )
    .bind(i64::from(abandoned))
    .bind(now.0)
    .bind(error)
    .bind(source.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Collectors registered with a source.
async fn registered(connection: &mut AnyConnection, source: &SourceId) -> Result<i64, Refusal> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM collectors WHERE source_id = $1 AND revoked_at IS NULL",
    )
    .bind(source.as_str())
    .fetch_one(connection)
    .await?)
}
