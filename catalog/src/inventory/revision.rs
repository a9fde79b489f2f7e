//! Revisions: each change of what a definition says.
//!
//! In: documents from collectors, repeated and out of order as networks have it, and from people. Out: a history that has each of
//! them once, the operations of the latest one, and the API they belong to. One transaction for each; the text is read before.

use bytes::Bytes;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::base_url::BaseUrl;
use super::columns::{base_url, count, id, maybe_count, maybe_id, maybe_time, stored, text, time};
use super::definition::{self, DefinitionKind, Join};
use super::document::{self, Document, Format, Warning};
use super::operation::{self, Owner, Rows};
use super::{api, drift, provenance};
use crate::access::{Actor, Permission};
use crate::ids::{ApiId, CollectorId, DefinitionId, OrganisationId, RevisionId, SourceId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store, Write};
use crate::{Millis, Refusal, problems};

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
    let mut before = Before::read(store, origin.definition.as_ref()).await?;
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

/// A definition that is there, and its latest revision.
#[derive(Debug, Clone)]
pub(super) struct KnownDefinition {
    pub(super) id: DefinitionId,
    pub(super) api: ApiId,
    pub(super) revision: RevisionId,
    pub(super) number: i64,
    pub(super) contract: String,
    pub(super) base_url: BaseUrl,
}

/// A definition that gets a new revision, and the operations of its latest one.
#[derive(Debug, Default)]
pub(super) struct Before {
    known: Option<KnownDefinition>,
    rows: Rows,
}

impl Before {
    /// Reads it outside of the transaction, which others wait for.
    async fn read(store: &Store, known: Option<&KnownDefinition>) -> Result<Before, Refusal> {
        let mut before = Before::default();
        if known.is_some() {
            let mut connection = store.pool().acquire().await?;
            before.renew(&mut connection, known).await?;
        }
        Ok(before)
    }

    /// Reads it again where another revision is the latest now: only a revision changes which operations there are.
    async fn renew(
        &mut self,
        connection: &mut AnyConnection,
        known: Option<&KnownDefinition>,
    ) -> Result<(), Refusal> {
        let revision = |known: Option<&KnownDefinition>| known.map(|known| known.revision.clone());
        if revision(self.known.as_ref()) != revision(known) {
            self.rows = match known {
                Some(known) => operation::rows(connection, known.id.as_str()).await?,
                None => Rows::default(),
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
        "SELECT s.name, s.exclude_empty, d.id, d.api_id, d.base_url, d.revision_id, r.number, r.contract_hash FROM sources s \
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
        }),
    };
    Ok(Origin {
        source_name: text(&row, "name")?,
        exclude_empty: count(&row, "exclude_empty")? != 0,
        definition,
    })
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

/// A document that a person brings, to keep as a documented definition.
#[derive(Debug)]
pub(crate) struct NewDocument<'a> {
    pub(crate) organisation: &'a OrganisationId,
    pub(crate) source: &'a SourceId,
    /// What the source calls it.
    pub(crate) name: Name<'a>,
    pub(crate) document: &'a Document,
    pub(crate) by: &'a str,
    pub(crate) base_url: &'a BaseUrl,
    /// Whether a person said so, and not the document.
    pub(crate) placed: bool,
    pub(crate) join: &'a Join,
}

/// What a source calls a document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name<'a> {
    /// A person said so.
    Given(&'a str),
    /// It is made of the document's title: several may have the same.
    Made(&'a str),
}

/// A document that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// Whether it was not there before.
    pub(crate) created: bool,
    pub(crate) revision: RevisionId,
    pub(crate) api: ApiId,
    /// What the source calls it.
    pub(crate) key: String,
}

/// Keeps a document as the next revision of its definition, unless the latest is the same text; `note` writes down what was
/// done in the same transaction. What stands on another server is no revision of the same, whatever its name.
pub(crate) async fn keep_document(
    store: &Store,
    new: &NewDocument<'_>,
    now: Millis,
    note: impl AsyncFnOnce(&mut Write, &Kept) -> Result<(), Refusal>,
) -> Result<Kept, Refusal> {
    let mut write = store.write().await?;
    store.serialise(&mut write, new.organisation).await?;
    let (Name::Given(name) | Name::Made(name)) = new.name;
    let mut key = name.to_owned();
    let mut origin = self::origin(&mut write, new.organisation, new.source, &key).await?;
    let elsewhere = |origin: &Origin| {
        let known = origin.definition.as_ref().map(|known| &known.base_url);
        known
            .filter(|known| !new.placed && !known.is_on_server_of(new.base_url))
            .cloned()
    };
    if let Some(place) = elsewhere(&origin) {
        if let Name::Given(name) = new.name {
            return Err(Refusal::conflict(
                problems::NAME_ELSEWHERE,
                "name",
                format!(
                    "“{name}” stands at {place}, and this document says that it stands at {}; give it another name, or say the \
                     base URL if the API has moved",
                    new.base_url
                ),
            ));
        }
        key = format!("{key} ({})", new.base_url.place());
        origin = self::origin(&mut write, new.organisation, new.source, &key).await?;
    }
    if let Some(known) = &origin.definition
        && known.contract == new.document.hash
    {
        return Ok(Kept {
            created: false,
            revision: known.revision.clone(),
            api: known.api.clone(),
            key,
        });
    }
    let revision = NewRevision {
        organisation: new.organisation,
        source: new.source,
        source_name: &origin.source_name,
        kind: DefinitionKind::Documented,
        key: &key,
        document: new.document,
        contract: &new.document.hash,
        collector: None,
        emitted: None,
        by: new.by,
        base_url: new.base_url,
        join: new.join,
    };
    let mut before = Before::default();
    before.renew(&mut write, origin.definition.as_ref()).await?;
    let (revision, api) = keep(&mut write, &revision, before, now).await?;
    let kept = Kept {
        created: true,
        revision,
        api,
        key,
    };
    note(&mut write, &kept).await?;
    write.commit().await?;
    refresh_drift(store, &kept.api).await;
    Ok(kept)
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
    Before { known, rows }: Before,
    now: Millis,
) -> Result<(RevisionId, ApiId), Refusal> {
    let document = new.document;
    let revision = RevisionId::make(now);
    document::keep(write, document).await?;
    let is_new = known.is_none();
    let (definition, api, number, new_api) = match known {
        Some(known) => {
            let statement = "UPDATE definitions SET revision_id = $1, updated_at = $2, base_url = $3, source_name = $4 WHERE id = $5";
            sqlx::query(statement)
                .bind(revision.as_str())
                .bind(now.0)
                .bind(new.base_url.to_string())
                .bind(new.source_name)
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
                 created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
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
    let others = operation::replace(write, owner, rows, &document.operations, number, now).await?;
    definition::updated(write, &api, now).await?;
    if others || is_new {
        definition::recount(write, new.organisation, &api, i64::from(new_api), now).await?;
    }
    Ok((revision, api))
}

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
