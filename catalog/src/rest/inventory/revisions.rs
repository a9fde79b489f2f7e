//! Revisions of definitions: their documents, and what differs between two of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use silhouette_openapi::Class;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::ids::{ApiId, DefinitionId, RevisionId};
use crate::inventory::{self, Format as CoreFormat, RevisionsOf};
use crate::rest::caller::Caller;
use crate::rest::extract::{List, Path, Query};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, words};

/// A revision of a definition: a document whose contract differs from the one before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct Revision {
    id: RevisionId,
    definition_id: DefinitionId,
    api_id: ApiId,
    /// From 1 in each definition.
    #[schema(minimum = 1)]
    number: u64,
    /// The collector's own number, where it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sequence: Option<u64>,
    /// SHA-256 of the document, hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// Bytes of the document.
    size: u64,
    /// When the catalog took it.
    created_at: Time,
    /// Who brought it.
    #[schema(example = "collector edge-1")]
    created_by: String,
    /// When the collector emitted it, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    emitted_at: Option<Time>,
    #[schema(example = "OpenAPI 3.1")]
    specification: String,
    /// `info.title` of the document.
    #[schema(example = "Bookshop")]
    title: String,
    /// `info.version` of the document.
    #[schema(example = "1.4.0")]
    api_version: String,
    operations: u64,
    /// What is odd about the document.
    warnings: Vec<Warning>,
}

/// Something odd about a document that was taken all the same.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct Warning {
    /// Where: a JSON pointer (RFC 6901).
    #[schema(example = "/paths/~1books/get")]
    pointer: String,
    /// The line it stands in, from 1; 0 where that is not known.
    line: u32,
    /// What, and what would be right.
    message: String,
}

impl From<inventory::Warning> for Warning {
    fn from(warning: inventory::Warning) -> Warning {
        Warning {
            pointer: warning.pointer,
            line: warning.line,
            message: warning.message,
        }
    }
}

impl From<inventory::Revision> for Revision {
    fn from(revision: inventory::Revision) -> Revision {
        Revision {
            id: revision.id,
            definition_id: revision.definition,
            api_id: revision.api,
            number: revision.number,
            sequence: revision.sequence,
            sha256: revision.hash,
            size: revision.size,
            created_at: revision.created_at.into(),
            created_by: revision.created_by,
            emitted_at: revision.emitted_at.map(Into::into),
            specification: revision.specification,
            title: revision.title,
            api_version: revision.api_version,
            operations: revision.operations,
            warnings: revision.warnings.into_iter().map(Into::into).collect(),
        }
    }
}

words! {
    /// How a document is given out: as it came, as JSON, or as YAML.
    Format: CoreFormat {
        "original" => CoreFormat::Original, "json" => CoreFormat::Json, "yaml" => CoreFormat::Yaml,
    }
}

/// How to give out a document.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct FormatOf {
    /// In this format; without it, as it came.
    #[param(inline)]
    format: Option<Format>,
}

/// No filters: revisions are listed from the newest to the oldest.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFilter {}

words! {
    /// How much a change matters to clients.
    ChangeClass: Class {
        "breaking" => Class::Breaking, "potentially-breaking" => Class::PotentiallyBreaking, "shadow" => Class::Shadow,
        "contradiction" => Class::Contradiction, "undocumented" => Class::Undocumented, "zombie" => Class::Zombie,
        "orphan" => Class::Orphan, "compatible" => Class::Compatible, "informational" => Class::Informational,
    }
}

/// What differs between two revisions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    from: Revision,
    to: Revision,
    /// The gravest first.
    changes: Vec<Change>,
    /// How many more there are than are listed.
    more: u64,
}

/// A change of what an API promises.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    class: ChangeClass,
    /// The rule's name, which never changes.
    #[schema(example = "operation-removed")]
    rule: String,
    /// What the rule means.
    meaning: String,
    /// A sentence about it.
    message: String,
    /// The operations it concerns.
    #[schema(example = json!(["GET /books"]))]
    operations: Vec<String>,
    from: Place,
    to: Place,
}

/// A place in a document.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// A JSON pointer (RFC 6901), or empty.
    #[schema(example = "/paths/~1books/get")]
    pointer: String,
    /// The line, from 1; 0 where that is not known.
    line: u32,
}

impl From<inventory::Comparison> for Comparison {
    fn from(comparison: inventory::Comparison) -> Comparison {
        Comparison {
            from: comparison.from.into(),
            to: comparison.to.into(),
            changes: comparison
                .changes
                .into_iter()
                .map(|change| Change {
                    class: change.class.into(),
                    rule: change.rule.to_owned(),
                    meaning: change.meaning.to_owned(),
                    message: change.message,
                    operations: change.operations,
                    from: place(change.from),
                    to: place(change.to),
                })
                .collect(),
            more: comparison.more as u64,
        }
    }
}

fn place((pointer, line): (String, u32)) -> Place {
    Place { pointer, line }
}

/// List revisions of an API
///
/// Of all its definitions, the newest first.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}/revisions", tag = "Definitions",
    params(("apiId" = ApiId, Path, description = "Of which API."), Paging),
    responses((status = 200, description = "A page of revisions.", body = ListOf<Revision>)))]
pub(super) async fn list_revisions_of_api(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
    List { page, .. }: List<NoFilter>,
) -> Result<Json<ListOf<Revision>>, Problem> {
    let of = RevisionsOf::Api(api);
    let page = inventory::revisions(&app.store, &actor, &of, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// List revisions of a definition
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/definitions/{definitionId}/revisions", tag = "Definitions",
    params(("definitionId" = DefinitionId, Path, description = "Of which definition."), Paging),
    responses((status = 200, description = "A page of revisions.", body = ListOf<Revision>)))]
pub(super) async fn list_revisions_of_definition(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(definition): Path<DefinitionId>,
    List { page, .. }: List<NoFilter>,
) -> Result<Json<ListOf<Revision>>, Problem> {
    let of = RevisionsOf::Definition(definition);
    let page = inventory::revisions(&app.store, &actor, &of, page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Show a revision
///
/// With what is odd about its document.
#[utoipa::path(get, path = "/api/v1/revisions/{revisionId}", tag = "Definitions",
    params(("revisionId" = RevisionId, Path, description = "Which one.")),
    responses((status = 200, description = "The revision.", body = Revision)))]
pub(super) async fn get_revision(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(revision): Path<RevisionId>,
) -> Result<Json<Revision>, Problem> {
    let found = inventory::revision(&app.store, &actor, &revision).await?;
    Ok(Json(found.into()))
}

/// Get the document of a revision
///
/// As it came, byte for byte, or rewritten as JSON or YAML.
#[utoipa::path(get, path = "/api/v1/revisions/{revisionId}/document", tag = "Definitions",
    params(("revisionId" = RevisionId, Path, description = "Of which revision."), FormatOf),
    responses((status = 200, description = "The document.", content(
        (serde_json::Value = "application/json"), (serde_json::Value = "application/yaml")))))]
pub(super) async fn get_document(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(revision): Path<RevisionId>,
    Query(query): Query<FormatOf>,
) -> Result<Response, Problem> {
    let format = query.format.map_or(CoreFormat::Original, |format| format.0);
    let text = inventory::document_of(&app.store, &actor, &revision, format).await?;
    let is_json = match format {
        CoreFormat::Json => true,
        CoreFormat::Yaml => false,
        CoreFormat::Original => text.trim_ascii_start().starts_with(b"{"),
    };
    let (kind, name) = if is_json {
        ("application/json", "openapi.json")
    } else {
        ("application/yaml", "openapi.yaml")
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // A browser never renders what others wrote: it is saved.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok((headers, text).into_response())
}

/// Compare two revisions
///
/// What changed from the first to the second, and whom it breaks. They may be of different definitions.
#[utoipa::path(get, path = "/api/v1/revisions/{revisionId}/diff/{otherId}", tag = "Definitions", params(
    ("revisionId" = RevisionId, Path, description = "From this one."),
    ("otherId" = RevisionId, Path, description = "To this one.")),
    responses((status = 200, description = "What differs.", body = Comparison)))]
pub(super) async fn compare_revisions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((from, to)): Path<(RevisionId, RevisionId)>,
) -> Result<Json<Comparison>, Problem> {
    let comparison = inventory::compare_revisions(&app.store, &actor, &from, &to).await?;
    Ok(Json(comparison.into()))
}

/// Compare the documents of two revisions
///
/// A unified diff of both as YAML.
#[utoipa::path(get, path = "/api/v1/revisions/{revisionId}/text-diff/{otherId}", tag = "Definitions", params(
    ("revisionId" = RevisionId, Path, description = "From this one."),
    ("otherId" = RevisionId, Path, description = "To this one.")), responses(
    (status = 200, description = "A unified diff; empty where nothing differs.", body = String, content_type = "text/x-diff"),
    (status = 413, description = "The documents are too large to be compared line by line.")))]
pub(super) async fn compare_documents(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((from, to)): Path<(RevisionId, RevisionId)>,
) -> Result<Response, Problem> {
    let text = inventory::compare_texts(&app.store, &actor, &from, &to).await?;
    Ok(([(CONTENT_TYPE, "text/x-diff; charset=utf-8")], text).into_response())
}
