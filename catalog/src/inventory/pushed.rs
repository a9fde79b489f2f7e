//! Revisions from collectors.
//!
//! In: what a collector pushes, repeated and out of order as networks have it. Out: each of them once in its definition's history,
//! or what the collector is to do instead. The text is read before the transaction.

use bytes::Bytes;
use sqlx::AnyConnection;

use super::base_url::BaseUrl;
use super::columns::{count, id, stored, text};
use super::definition::{DefinitionKind, Join};
use super::history::{
    Before, KnownDefinition, NewRevision, Origin, empty, keep, origin, refresh_drift,
};
use super::{document, provenance};
use crate::ids::{ApiId, CollectorId, OrganisationId, RevisionId, SourceId};
use crate::store::Store;
use crate::{Millis, Refusal};

/// A revision that a collector pushes.
#[derive(Debug, Clone)]
pub struct AcceptRevision {
    /// The collector's organisation.
    pub organisation: OrganisationId,
    /// Its source.
    pub source: SourceId,
    /// The collector.
    pub collector: CollectorId,
    /// The host, as the collector calls it: `api.example.com:8443`.
    pub host: String,
    /// The collector's number, growing per host.
    pub sequence: u64,
    /// SHA-256 of what does not only count, hexadecimal.
    pub contract: String,
    /// When the collector emitted it, by its own clock.
    pub emitted: Option<Millis>,
    /// The document.
    pub text: Bytes,
    /// The largest document that is taken, in bytes.
    pub limit: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is kept.
    Created {
        /// The revision.
        revision: RevisionId,
        /// The API it is of.
        api: ApiId,
    },
    /// It was there already, or the latest one says the same.
    Same {
        /// The revision that says so.
        revision: RevisionId,
        /// The API it is of.
        api: ApiId,
    },
    /// The number was used for something else, or is below the latest.
    Conflict {
        /// The latest number; the collector goes on above it.
        latest: u64,
    },
}

/// Takes a revision from a collector. The credential was checked before: it says organisation, source and collector.
///
/// # Errors
/// [`Refusal::TooLarge`]; [`Refusal::Invalid`] for what is no document, and for one without operations where the source leaves
/// such out; [`Refusal::NotFound`] when the source is gone.
pub async fn accept(
    store: &Store,
    pushed: AcceptRevision,
    now: Millis,
) -> Result<Accepted, Refusal> {
    let host = host(&pushed.host)?;
    contract(&pushed.contract)?;
    // What was delivered before, or says nothing new, is not read again.
    let mut connection = store.pool().acquire().await?;
    let key = provenance::key(&mut connection, &pushed.source, &host, &pushed.collector).await?;
    let origin = origin(&mut connection, &pushed.organisation, &pushed.source, &key).await?;
    if let Some(answer) = answered(&mut connection, &origin, &pushed).await? {
        return Ok(answer);
    }
    drop(connection);
    let document = document::read(pushed.text.clone(), pushed.limit, "document").await?;
    if document.operations.is_empty() && origin.exclude_empty {
        return Err(empty());
    }
    let base_url = match &document.base_url {
        Some(base) => base.clone(),
        None => BaseUrl::parse(&format!("https://{host}{}", document.relative_base))
            .map_err(|error| Refusal::invalid("host", error.to_string()))?,
    };
    let mut before = Before::new(&document, DefinitionKind::Observed);
    before.read(store, origin.definition.as_ref()).await?;
    let mut write = store.write().await?;
    store.serialise(&mut write, &pushed.organisation).await?;
    // Once more: somebody else may have been here.
    let key = provenance::key(&mut write, &pushed.source, &host, &pushed.collector).await?;
    let origin = self::origin(&mut write, &pushed.organisation, &pushed.source, &key).await?;
    if let Some(answer) = answered(&mut write, &origin, &pushed).await? {
        return Ok(answer);
    }
    before.renew(&mut write, origin.definition.as_ref()).await?;
    let new = NewRevision {
        organisation: &pushed.organisation,
        source: &pushed.source,
        source_name: &origin.source_name,
        kind: DefinitionKind::Observed,
        key: &key,
        document: &document,
        contract: &pushed.contract,
        collector: Some((&pushed.collector, pushed.sequence)),
        emitted: pushed.emitted,
        by: &origin.source_name,
        base_url: &base_url,
        join: &Join::Fitting,
    };
    let (revision, api) = keep(&mut write, &new, before, now).await?;
    write.commit().await?;
    refresh_drift(store, &api).await;
    Ok(Accepted::Created { revision, api })
}

/// The answer to what was delivered before, and to what says the same as the latest revision.
async fn answered(
    connection: &mut AnyConnection,
    origin: &Origin,
    pushed: &AcceptRevision,
) -> Result<Option<Accepted>, Refusal> {
    let Some(known) = &origin.definition else {
        return Ok(None);
    };
    let answer = delivered(connection, known, pushed).await?;
    let same = known.contract == pushed.contract;
    Ok(answer.or_else(|| {
        same.then(|| Accepted::Same {
            revision: known.revision.clone(),
            api: known.api.clone(),
        })
    }))
}

fn host(host: &str) -> Result<String, Refusal> {
    let url = BaseUrl::parse(&format!("https://{host}"));
    match url {
        Ok(url) if url.path().is_empty() && host.len() <= 300 => Ok(host.to_lowercase()),
        _ => Err(Refusal::invalid(
            "host",
            format!(
                "`{}` is no host; one looks like api.example.com or api.example.com:8443",
                document::clean(host, 80)
            ),
        )),
    }
}

fn contract(hash: &str) -> Result<(), Refusal> {
    if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "Silhouette-Contract",
        "it is no SHA-256; one has 64 hexadecimal digits",
    ))
}

/// The answer to what was delivered before, or cannot be any more.
async fn delivered(
    connection: &mut AnyConnection,
    known: &KnownDefinition,
    pushed: &AcceptRevision,
) -> Result<Option<Accepted>, Refusal> {
    let row = sqlx::query(
        "SELECT r.id, r.contract_hash, r.sequence, (SELECT MAX(l.sequence) FROM revisions l WHERE l.definition_id = $1 \
         AND l.collector_id = $2) AS latest FROM revisions r WHERE r.definition_id = $1 AND r.collector_id = $2 \
         AND r.sequence >= $3 ORDER BY r.sequence LIMIT 1",
    )
    .bind(known.id.as_str())
    .bind(pushed.collector.as_str())
    .bind(stored(pushed.sequence))
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let same = count(&row, "sequence")? == pushed.sequence
        && text(&row, "contract_hash")? == pushed.contract;
    Ok(Some(if same {
        Accepted::Same {
            revision: id(&row, "id", RevisionId::parse)?,
            api: known.api.clone(),
        }
    } else {
        Accepted::Conflict {
            latest: count(&row, "latest")?,
        }
    }))
}
