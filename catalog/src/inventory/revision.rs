//! Revisions: each change of what a definition says.
//!
//! In: an API, a definition, or a revision. Out: its revisions, the newest first, and their documents. Never changes one.

use sqlx::any::AnyRow;

use super::columns::{count, id, maybe_count, maybe_id, maybe_time, text, time};
use super::document::{self, Format, Warning};
use super::{api, definition};
use crate::access::{Actor, Permission};
use crate::ids::{ApiId, DefinitionId, RevisionId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store};
use crate::{Millis, Refusal};

/// A revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its id.
    pub id: RevisionId,
    /// The definition it is of.
    pub definition: DefinitionId,
    /// The API that is of.
    pub api: ApiId,
    /// From 1 in each definition.
    pub number: u64,
    /// The one before it in its definition.
    pub before: Option<RevisionId>,
    /// The collector's number.
    pub sequence: Option<u64>,
    /// SHA-256 of the text, hexadecimal.
    pub hash: String,
    /// Bytes of the text.
    pub size: u64,
    /// When the catalog took it.
    pub created_at: Millis,
    /// Who brought it.
    pub created_by: String,
    /// When the collector emitted it, by its own clock.
    pub emitted_at: Option<Millis>,
    /// `OpenAPI 3.1`, `Swagger 2.0`.
    pub specification: String,
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub api_version: String,
    /// How many operations it has.
    pub operations: u64,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

const COLUMNS: &str = "r.id, r.definition_id, d.api_id, r.number, r.sequence, r.document_hash, t.size, r.created_at, r.created_by, \
     r.emitted_at, r.specification, r.title, r.api_version, r.operations, r.warnings, (SELECT b.id FROM revisions b \
     WHERE b.definition_id = r.definition_id AND b.number < r.number ORDER BY b.number DESC LIMIT 1) AS before_id";
const FROM: &str = "revisions r JOIN definitions d ON d.id = r.definition_id JOIN documents t ON t.hash = r.document_hash";

fn read(row: &AnyRow) -> Result<Revision, sqlx::Error> {
    let warnings = text(row, "warnings")?;
    Ok(Revision {
        id: id(row, "id", RevisionId::parse)?,
        definition: id(row, "definition_id", DefinitionId::parse)?,
        api: id(row, "api_id", ApiId::parse)?,
        number: count(row, "number")?,
        before: maybe_id(row, "before_id", RevisionId::parse)?,
        sequence: maybe_count(row, "sequence")?,
        hash: text(row, "document_hash")?,
        size: count(row, "size")?,
        created_at: time(row, "created_at")?,
        created_by: text(row, "created_by")?,
        emitted_at: maybe_time(row, "emitted_at")?,
        specification: text(row, "specification")?,
        title: text(row, "title")?,
        api_version: text(row, "api_version")?,
        operations: count(row, "operations")?,
        warnings: serde_json::from_str(&warnings)
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
    })
}

/// Whose revisions.
#[derive(Debug, Clone)]
pub enum RevisionsOf {
    /// All definitions of an API.
    Api(ApiId),
    /// One definition.
    Definition(DefinitionId),
}

/// One page of revisions, the newest first.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    of: &RevisionsOf,
    page: Page,
) -> Result<PageOf<Revision>, Refusal> {
    let mut conditions = Conditions::default();
    match of {
        RevisionsOf::Api(api) => {
            api::get(store, actor, api).await?;
            conditions.and("d.api_id = ?", [api.as_str().into()]);
        }
        RevisionsOf::Definition(definition) => {
            definition::get(store, actor, definition).await?;
            conditions.and("r.definition_id = ?", [definition.as_str().into()]);
        }
    }
    let listing = Listing {
        columns: COLUMNS,
        from: FROM,
        conditions,
        order: "r.created_at",
        direction: Direction::Descending,
        tie: "r.id",
    };
    listing.page(store, page, read).await
}

/// One revision.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(store: &Store, actor: &Actor, revision: &RevisionId) -> Result<Revision, Refusal> {
    actor.may(Permission::ViewApis)?;
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE r.id = $1 AND d.organisation_id = $2"
    )))
    .bind(revision.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("revision", revision.as_str()))?;
    Ok(read(&row)?)
}

/// The document of a revision.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`]; [`Refusal::Invalid`] where it cannot be rewritten in the format.
pub async fn text_of(
    store: &Store,
    actor: &Actor,
    revision: &RevisionId,
    format: Format,
) -> Result<Vec<u8>, Refusal> {
    let found = get(store, actor, revision).await?;
    let text = document::load(store, &found.hash).await?;
    document::apart(text.len(), move || document::in_format(text, format)).await?
}
