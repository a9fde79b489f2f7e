//! Documents at a URL, fetched when somebody asks or when it is time.
//!
//! In: sources of the kind [`Kind::Url`] whose sync is asked for or due. Out: their documents, imported; or why not, as the
//! source's status. Few at once, so that who is slow does not hold up the others.

use std::time::Duration;

use serde_json::Value as Json;
use sqlx::Row as _;
use tokio::task::{JoinError, JoinSet};

use super::Kind;
use crate::access::Actor;
use crate::bodies::Bodies;
use crate::ids::{OrganisationId, SourceId};
use crate::imports::{self, FetchRules, Outcome, Upload};
use crate::inventory::Join;
use crate::store::Store;
use crate::{Millis, Refusal};

/// Sources that are fetched at once.
const AT_ONCE: usize = 8;

/// How documents are fetched.
#[derive(Debug, Clone)]
pub struct Fetching {
    /// What may be fetched.
    pub rules: FetchRules,
    /// The memory for large documents.
    pub bodies: Bodies,
    /// Between two fetches of a source that syncs by itself.
    pub every: Duration,
}

/// Fetches what is asked for or due. Returns how many sources were looked at.
///
/// # Errors
/// When the database says no; what goes wrong with a document is its source's status.
pub async fn fetch_due(
    store: &Store,
    how: &Fetching,
    now: impl Fn() -> Millis + Clone + Send + Sync + 'static,
) -> Result<u64, Refusal> {
    let before = now()
        .0
        .saturating_sub(i64::try_from(how.every.as_millis()).unwrap_or(i64::MAX));
    let rows = sqlx::query(
        "SELECT id, organisation_id, settings FROM sources WHERE kind = $1 \
         AND (sync_id IS NOT NULL OR (auto_sync = 1 AND COALESCE(synced_at, 0) <= $2)) ORDER BY COALESCE(synced_at, 0), id LIMIT 20",
    )
    .bind(Kind::Url.name())
    .bind(before)
    .fetch_all(store.pool())
    .await?;
    let mut under_way: JoinSet<Result<(), Refusal>> = JoinSet::new();
    for row in &rows {
        if under_way.len() >= AT_ONCE {
            finished(under_way.join_next().await)?;
        }
        let source = SourceId::read(row.try_get(0)?)?;
        let actor = Actor::schedule(OrganisationId::read(row.try_get(1)?)?);
        let settings: Json = serde_json::from_str(row.try_get(2)?).unwrap_or_default();
        let url = settings
            .get("url")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned();
        let (store, how, now) = (store.clone(), how.clone(), now.clone());
        under_way.spawn(async move {
            let error = fetch(&store, &actor, &source, &url, &how, &now).await.err();
            note(&store, &source, error, now()).await
        });
    }
    while let Some(done) = under_way.join_next().await {
        finished(Some(done))?;
    }
    Ok(rows.len() as u64)
}

fn finished(done: Option<Result<Result<(), Refusal>, JoinError>>) -> Result<(), Refusal> {
    match done {
        None => Ok(()),
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(Refusal::Internal(format!("fetching a document: {error}"))),
    }
}

/// Writes down how it went: the source's status.
async fn note(
    store: &Store,
    source: &SourceId,
    error: Option<Refusal>,
    now: Millis,
) -> Result<(), Refusal> {
    if let Some(refusal @ Refusal::Internal(_)) = &error {
        tracing::error!(source = source.as_str(), %refusal, "a document cannot be imported");
    }
    let said = error.map(|refusal| match refusal {
        Refusal::Internal(_) => "something went wrong inside; the log has the reason".to_owned(),
        other => other.to_string().chars().take(1000).collect(),
    });
    let mut write = store.write().await?;
    sqlx::query(
        "UPDATE sources SET sync_id = NULL, sync_requested_at = NULL, sync_started_at = NULL, synced_at = $1, sync_error = $2 \
         WHERE id = $3",
    )
    .bind(now.0)
    .bind(said)
    .bind(source.as_str())
    .execute(&mut *write)
    .await?;
    write.commit().await?;
    Ok(())
}

async fn fetch(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    url: &str,
    how: &Fetching,
    now: &impl Fn() -> Millis,
) -> Result<(), Refusal> {
    let fetched = imports::fetch(url, &how.rules, &how.bodies).await?;
    let upload = Upload {
        source: source.clone(),
        // By its address: the same document stays the same definition whatever its title becomes.
        name: url.to_owned(),
        text: fetched.text,
        base_url: None,
        fetched_from: Some(fetched.url),
        join: Join::Fitting,
        limit: how.rules.max_bytes,
    };
    match imports::document(store, actor, upload, now())
        .await?
        .outcome
    {
        Outcome::Created | Outcome::Same => Ok(()),
        Outcome::Skipped { reason } => Err(Refusal::Denied(format!(
            "the document was left out: {reason}"
        ))),
    }
}
