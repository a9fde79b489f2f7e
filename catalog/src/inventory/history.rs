//! A definition's history: where the next revision goes, whoever brings it.
//!
//! In: a document that was read, of a source and under a key. Out: the revision, the operations of the definition, and the API they
//! belong to, in the caller's transaction.

use sqlx::{AnyConnection, Row as _};

use super::base_url::BaseUrl;
use super::columns::{base_url, count, id, maybe_id, stored, text};
use super::definition::{self, DefinitionKind, Join};
use super::document::{self, Document};
use super::drift;
use super::operation::{self, Owner, Rows};
use crate::ids::{ApiId, CollectorId, DefinitionId, OrganisationId, RevisionId, SourceId};
use crate::store::{Store, Write};
use crate::{Millis, Refusal};

/// Drift is looked for when what it is about is kept already; what goes wrong is looked for again at the next start.
pub(super) async fn refresh_drift(store: &Store, api: &ApiId) {
    if let Err(error) = drift::refresh(store, api).await {
        tracing::error!(%api, %error, "looking for drift failed");
    }
}

pub(super) fn empty() -> Refusal {
    Refusal::invalid(
        "document",
        "it has no operations, and the source leaves empty specifications out (“Exclude empty specifications”)",
    )
}

/// A definition that is there, and its latest revision.
#[derive(Debug, Clone)]
pub(super) struct KnownDefinition {
    pub(super) id: DefinitionId,
    pub(super) api: ApiId,
    pub(super) revision: RevisionId,
    pub(super) number: i64,
    pub(super) contract: String,
    pub(super) base_url: BaseUrl,
    /// What its operations say, or empty.
    operations: String,
}

/// What a revision is compared with: the definition that it goes to, and the operations of its latest one.
#[derive(Debug)]
pub(super) struct Before {
    /// What the new one's operations say.
    operations: String,
    known: Option<KnownDefinition>,
    /// Empty where the new one says the same of them.
    rows: Rows,
}

impl Before {
    /// Nothing is known yet.
    pub(super) fn new(document: &Document, kind: DefinitionKind) -> Before {
        Before {
            operations: operation::fingerprint(&document.operations, kind),
            known: None,
            rows: Rows::default(),
        }
    }

    /// Reads it outside of the transaction, which others wait for.
    pub(super) async fn read(
        &mut self,
        store: &Store,
        known: Option<&KnownDefinition>,
    ) -> Result<(), Refusal> {
        if known.is_some_and(|known| known.operations != self.operations) {
            let mut connection = store.pool().acquire().await?;
            self.renew(&mut connection, known).await?;
        }
        Ok(())
    }

    /// Reads it again where another revision is the latest now: only a revision changes which operations there are.
    pub(super) async fn renew(
        &mut self,
        connection: &mut AnyConnection,
        known: Option<&KnownDefinition>,
    ) -> Result<(), Refusal> {
        let revision = |known: Option<&KnownDefinition>| known.map(|known| known.revision.clone());
        if revision(self.known.as_ref()) != revision(known) {
            self.rows = match known {
                Some(known) if known.operations != self.operations => {
                    operation::rows(connection, known.id.as_str()).await?
                }
                _ => Rows::default(),
            };
        }
        self.known = known.cloned();
        Ok(())
    }
}

/// A source, and what it already says under a key.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) source_name: String,
    pub(super) exclude_empty: bool,
    pub(super) definition: Option<KnownDefinition>,
}

pub(super) async fn origin(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    source: &SourceId,
    key: &str,
) -> Result<Origin, Refusal> {
    let row = sqlx::query(
        "SELECT s.name, s.exclude_empty, d.id, d.api_id, d.base_url, d.operations_hash, d.revision_id, r.number, r.contract_hash FROM sources s \
         LEFT JOIN definitions d ON d.source_id = s.id AND d.key = $1 LEFT JOIN revisions r ON r.id = d.revision_id \
         WHERE s.id = $2 AND s.organisation_id = $3",
    )
    .bind(key)
    .bind(source.as_str())
    .bind(organisation.as_str())
    .fetch_optional(connection)
    .await?
    .ok_or_else(|| Refusal::not_found("source", source.as_str()))?;
    let definition = match maybe_id(&row, "id", DefinitionId::parse)? {
        None => None,
        Some(definition) => Some(KnownDefinition {
            id: definition,
            api: id(&row, "api_id", ApiId::parse)?,
            revision: id(&row, "revision_id", RevisionId::parse)?,
            number: row.try_get("number")?,
            contract: text(&row, "contract_hash")?,
            base_url: base_url(&row, "base_url")?,
            operations: text(&row, "operations_hash")?,
        }),
    };
    Ok(Origin {
        source_name: text(&row, "name")?,
        exclude_empty: count(&row, "exclude_empty")? != 0,
        definition,
    })
}

/// A revision to keep.
#[derive(Debug)]
pub(super) struct NewRevision<'a> {
    pub(super) organisation: &'a OrganisationId,
    pub(super) source: &'a SourceId,
    pub(super) source_name: &'a str,
    pub(super) kind: DefinitionKind,
    pub(super) key: &'a str,
    pub(super) document: &'a Document,
    pub(super) contract: &'a str,
    pub(super) collector: Option<(&'a CollectorId, u64)>,
    pub(super) emitted: Option<Millis>,
    pub(super) by: &'a str,
    pub(super) base_url: &'a BaseUrl,
    pub(super) join: &'a Join,
}

/// Keeps a revision, and makes the definition and the API where there are none.
pub(super) async fn keep(
    write: &mut Write,
    new: &NewRevision<'_>,
    Before {
        operations,
        known,
        rows,
    }: Before,
    now: Millis,
) -> Result<(RevisionId, ApiId), Refusal> {
    let document = new.document;
    let revision = RevisionId::make(now);
    document::keep(write, document).await?;
    let is_new = known.is_none();
    let is_same = known
        .as_ref()
        .is_some_and(|known| known.operations == operations);
    let (definition, api, number, new_api) = match known {
        Some(known) => {
            let statement = "UPDATE definitions SET revision_id = $1, updated_at = $2, base_url = $3, source_name = $4, operations_hash = $5 WHERE id = $6";
            sqlx::query(statement)
                .bind(revision.as_str())
                .bind(now.0)
                .bind(new.base_url.to_string())
                .bind(new.source_name)
                .bind(&operations)
                .bind(known.id.as_str())
                .execute(&mut **write)
                .await?;
            // What has more operations may begin further up.
            definition::widen(write, new.organisation, &known.api, new.base_url).await?;
            (known.id, known.api, known.number + 1, false)
        }
        None => {
            let title = match new.kind {
                DefinitionKind::Documented => document.title.as_str(),
                DefinitionKind::Observed => "",
            };
            let (api, made) =
                definition::place(write, new.organisation, new.base_url, new.join, title, now)
                    .await?;
            let definition = DefinitionId::make(now);
            sqlx::query(
                "INSERT INTO definitions (id, organisation_id, api_id, source_id, source_name, kind, key, base_url, revision_id, \
                 operations_hash, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
            )
            .bind(definition.as_str())
            .bind(new.organisation.as_str())
            .bind(api.as_str())
            .bind(new.source.as_str())
            .bind(new.source_name)
            .bind(new.kind.name())
            .bind(new.key)
            .bind(new.base_url.to_string())
            .bind(revision.as_str())
            .bind(&operations)
            .bind(now.0)
            .execute(&mut **write)
            .await?;
            (definition, api, 1, made)
        }
    };
    sqlx::query(
        "INSERT INTO revisions (id, definition_id, number, collector_id, sequence, contract_hash, document_hash, created_at, \
         created_by, emitted_at, specification, title, api_version, operations, warnings) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(revision.as_str())
    .bind(definition.as_str())
    .bind(number)
    .bind(new.collector.map(|(collector, _)| collector.to_string()))
    .bind(new.collector.map(|(_, sequence)| stored(sequence)))
    .bind(new.contract)
    .bind(document.hash.as_str())
    .bind(now.0)
    .bind(new.by)
    .bind(new.emitted.map(|at| at.0))
    .bind(document.specification.as_str())
    .bind(document.title.as_str())
    .bind(document.api_version.as_str())
    .bind(i64::try_from(document.operations.len()).unwrap_or(i64::MAX))
    .bind(document.warnings_text())
    .execute(&mut **write)
    .await?;
    let owner = Owner {
        definition: definition.as_str(),
        api: api.as_str(),
        kind: new.kind,
    };
    let others = !is_same
        && operation::replace(write, owner, rows, &document.operations, number, now).await?;
    definition::updated(write, &api, now).await?;
    if others || is_new {
        definition::recount(write, new.organisation, &api, i64::from(new_api), now).await?;
    }
    Ok((revision, api))
}
