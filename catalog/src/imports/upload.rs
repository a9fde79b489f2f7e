//! Documents that people bring.
//!
//! In: a text, what the source calls it, and where it is to go. Out: a documented definition with one more revision. Under the same
//! name it is the next revision of the same definition; without a server of its own it stands where the person says, or where it
//! was fetched from.

use bytes::Bytes;
use serde_json::json;
use url::Url;

use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::{ApiId, RevisionId, SourceId};
use crate::inventory::{BaseUrl, Join, Name, NewDocument, Warning, keep_document, read_document};
use crate::store::Store;
use crate::{Millis, Refusal, problems};

/// A document to import.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The source it belongs to, of kind `upload` or `url`.
    pub source: SourceId,
    /// What the source calls it; empty: its title, or where it stands.
    pub name: String,
    /// The document, JSON or YAML.
    pub text: Bytes,
    /// Where the API stands, if the person says so; it goes before what the document says.
    pub base_url: Option<BaseUrl>,
    /// Where it was fetched from.
    pub fetched_from: Option<Url>,
    /// Where a new definition goes.
    pub join: Join,
    /// The largest document that is taken, in bytes.
    pub limit: u64,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept as a new revision.
    Created,
    /// The latest revision is the same.
    Same,
    /// It is left out.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// What became of it.
    pub outcome: Outcome,
    /// The name it has now.
    pub name: String,
    /// Its API and revision, unless it was left out.
    pub kept: Option<(ApiId, RevisionId)>,
    /// How many operations it has.
    pub operations: u64,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

/// Imports a document.
///
/// # Errors
/// [`Refusal::Forbidden`]; [`Refusal::NotFound`] for the source or the API it is to join; [`Refusal::TooLarge`];
/// [`Refusal::Invalid`] on `document` with line, column and reason, or on `baseUrl` where nothing says where the API stands;
/// [`Refusal::Conflict`] `source-kind` for a source that takes no documents, `name-elsewhere` for a name that stands on another server.
pub async fn document(
    store: &Store,
    actor: &Actor,
    upload: Upload,
    now: Millis,
) -> Result<Imported, Refusal> {
    actor.may(Permission::ManageSources)?;
    let source = source(store, actor, &upload.source).await?;
    let mut document = read_document(upload.text.clone(), upload.limit, "document").await?;
    let base_url = match upload
        .base_url
        .clone()
        .or_else(|| document.base_url.clone())
    {
        Some(base) => base,
        None => fetched(&upload, &document.relative_base)?,
    };
    document.stand_at(&base_url);
    let name = [upload.name.trim(), document.title.trim()]
        .into_iter()
        .find(|name| !name.is_empty())
        .map_or_else(|| base_url.place(), str::to_owned);
    let name: String = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let mut imported = Imported {
        outcome: Outcome::Created,
        name,
        kept: None,
        operations: document.operations.len() as u64,
        warnings: document.warnings.clone(),
    };
    if document.operations.is_empty() && source.exclude_empty {
        imported.outcome = Outcome::Skipped {
            reason: "it has no operations, and the source leaves empty specifications out (“Exclude empty specifications”)"
                .to_owned(),
        };
        return Ok(imported);
    }
    let new = NewDocument {
        organisation: &actor.organisation,
        source: &upload.source,
        name: if upload.name.trim().is_empty() {
            Name::Made(&imported.name)
        } else {
            Name::Given(&imported.name)
        },
        document: &document,
        by: &actor.name,
        base_url: &base_url,
        placed: upload.base_url.is_some(),
        join: &upload.join,
    };
    let details = |api: &ApiId| {
        json!({
            "source": source.name,
            "sourceId": upload.source,
            "apiId": api,
            "fetchedFrom": upload.fetched_from.as_ref().map(origin_of),
        })
    };
    let kept = keep_document(store, &new, now, async |write, kept| {
        let entry = Entry {
            action: "document.import",
            subject: "revision",
            id: kept.revision.as_str(),
            name: &kept.key,
            details: details(&kept.api),
        };
        audit::record(write, actor, entry, now).await
    })
    .await?;
    if !kept.created {
        imported.outcome = Outcome::Same;
    }
    imported.name = kept.key;
    imported.kept = Some((kept.api, kept.revision));
    Ok(imported)
}

/// Without query: it may hold a token.
fn origin_of(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

struct Source {
    name: String,
    exclude_empty: bool,
}

async fn source(store: &Store, actor: &Actor, source: &SourceId) -> Result<Source, Refusal> {
    use sqlx::Row as _;
    let row = sqlx::query(
        "SELECT name, kind, exclude_empty FROM sources WHERE id = $1 AND organisation_id = $2",
    )
    .bind(source.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("source", source.as_str()))?;
    let kind: String = row.try_get("kind")?;
    let name: String = row.try_get("name")?;
    if !matches!(kind.as_str(), "upload" | "url") {
        return Err(Refusal::conflict(
            problems::SOURCE_KIND,
            "sourceId",
            format!(
                "the source “{name}” takes no documents from people; choose or add one for uploads"
            ),
        ));
    }
    let exclude_empty: i64 = row.try_get("exclude_empty")?;
    Ok(Source {
        name,
        exclude_empty: exclude_empty != 0,
    })
}

/// Where a document without an absolute server stands: relative servers are relative to where it is (OpenAPI 3.1, "Server
/// Object").
fn fetched(upload: &Upload, relative: &str) -> Result<BaseUrl, Refusal> {
    let relative = if relative.is_empty() { "/" } else { relative };
    let joined = upload
        .fetched_from
        .as_ref()
        .and_then(|url| url.join(relative).ok());
    joined.as_ref().and_then(BaseUrl::of).ok_or_else(|| {
        Refusal::invalid(
            "baseUrl",
            "the document does not say where the API stands (it has no absolute server URL); say it here, as \
             https://api.example.com/v1",
        )
    })
}
