//! Documents at a URL, fetched when somebody asks or when it is time.
//!
//! In: sources of the kind [`Kind::Url`] whose sync is asked for or due. Out: their documents, imported; or why not, as the
//! source's status. One at a time: whoever is slow holds up nobody but other URLs.

use std::time::Duration;

use serde_json::Value as Json;
use sqlx::Row as _;

use super::Kind;
use crate::access::Actor;
use crate::ids::{OrganisationId, SourceId};
use crate::imports::{self, FetchRules, Outcome, Upload};
use crate::inventory::Join;
use crate::store::Store;
use crate::{Millis, Refusal};

/// Fetches what is asked for or due. Returns how many sources were looked at.
///
/// # Errors
/// When the database says no; what goes wrong with a document is its source's status.
pub async fn fetch_due(
    store: &Store,
    rules: &FetchRules,
    every: Duration,
    now: impl Fn() -> Millis,
) -> Result<u64, Refusal> {
    let before = now()
        .0
        .saturating_sub(i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
    let rows = sqlx::query(
        "SELECT id, organisation_id, settings FROM sources WHERE kind = $1 \
         AND (sync_id IS NOT NULL OR (auto_sync = 1 AND COALESCE(synced_at, 0) <= $2)) ORDER BY COALESCE(synced_at, 0), id LIMIT 20",
    )
    .bind(Kind::Url.name())
    .bind(before)
    .fetch_all(store.pool())
    .await?;
    for row in &rows {
        let source = SourceId::read(row.try_get(0)?)?;
        let actor = Actor::schedule(OrganisationId::read(row.try_get(1)?)?);
        let settings: Json = serde_json::from_str(row.try_get(2)?).unwrap_or_default();
        let url = settings
            .get("url")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let error = fetch(store, &actor, &source, url, rules, &now).await.err();
        if let Some(refusal @ Refusal::Internal(_)) = &error {
            tracing::error!(source = source.as_str(), %refusal, "a document cannot be imported");
        }
        let said = error.map(|refusal| match refusal {
            Refusal::Internal(_) => {
                "something went wrong inside; the log has the reason".to_owned()
            }
            other => other.to_string().chars().take(1000).collect(),
        });
        let mut write = store.write().await?;
        sqlx::query(
            "UPDATE sources SET sync_id = NULL, sync_requested_at = NULL, sync_started_at = NULL, synced_at = $1, sync_error = $2 \
             WHERE id = $3",
        )
        .bind(now().0)
        .bind(said)
        .bind(source.as_str())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
    }
    Ok(rows.len() as u64)
}

async fn fetch(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    url: &str,
    rules: &FetchRules,
    now: &impl Fn() -> Millis,
) -> Result<(), Refusal> {
    let fetched = imports::fetch(url, rules).await?;
    let upload = Upload {
        source: source.clone(),
        // By its address: the same document stays the same definition whatever its title becomes.
        name: url.to_owned(),
        text: fetched.text,
        base_url: None,
        fetched_from: Some(fetched.url),
        join: Join::Fitting,
        limit: rules.max_bytes,
    };
    match imports::document(store, actor, upload, now())
        .await?
        .outcome
    {
        Outcome::Created | Outcome::Same => Ok(()),
        Outcome::Skipped { reason } => Err(Refusal::conflict(
            "left-out",
            "",
            format!("the document was left out: {reason}"),
        )),
    }
}
