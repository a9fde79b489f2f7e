//! Documents that people bring: as a file, as a text, or from a URL.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Millis;
use crate::access::Permission;
use crate::app::App;
use crate::bodies::{self, BodyError, Room};
use crate::ids::{ApiId, RevisionId, SourceId};
use crate::imports::{self, FetchRules, Imported, Outcome, Upload};
use crate::inventory::{BaseUrl, Join};
use crate::problems::MALFORMED_BODY;
use crate::rest::caller::Caller;
use crate::rest::created;
use crate::rest::extract::{is_json, media_type, read_json, unsupported};
use crate::rest::inventory::Warning;
use crate::rest::problem::Problem;

/// Fetching, redirects included.
const FETCH_TIME: Duration = Duration::from_secs(10);
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Bytes of a form besides its file, and of each of its texts.
const FORM: usize = 64 << 10;

/// A document as a text, or where it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Import {
    /// The source it belongs to: of the kind `upload`, or `url`.
    source_id: SourceId,
    /// The document itself, JSON or YAML; this or `url`.
    #[serde(default)]
    #[schema(
        nullable = false,
        example = "openapi: 3.1.0\ninfo: {title: Bookshop, version: '1'}\npaths: {/books: {get: {}}}\n"
    )]
    text: Option<String>,
    /// Where the document is; this or `text`.
    #[serde(default)]
    #[schema(nullable = false, max_length = 2000)]
    url: Option<String>,
    /// What the source calls it: the next document of this name is the next revision. Without it: its title.
    #[serde(default)]
    #[schema(max_length = 200, example = "bookshop")]
    name: String,
    /// Where the API stands; it goes before what the document says.
    #[serde(default)]
    #[schema(nullable = false, max_length = 1024)]
    base_url: Option<String>,
    /// The API to join, whatever its base URL.
    #[serde(default)]
    #[schema(nullable = false)]
    api_id: Option<ApiId>,
    /// `true`: it becomes an API of its own.
    #[serde(default)]
    #[schema(default = false)]
    new_api: bool,
}

/// What else is said of a document.
#[derive(Debug, Default)]
struct About {
    name: String,
    base_url: Option<String>,
    api_id: Option<ApiId>,
    new_api: bool,
}

/// A document as a file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "it describes a form, which is read part by part")]
pub(super) struct ImportForm {
    /// The source it belongs to: of the kind `upload`, or `url`.
    source_id: SourceId,
    /// The document, JSON or YAML.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// What the source calls it: the next document of this name is the next revision. Without it: its title.
    #[serde(default)]
    #[schema(nullable = false, max_length = 200, example = "bookshop")]
    name: Option<String>,
    /// Where the API stands; it goes before what the document says.
    #[serde(default)]
    #[schema(nullable = false, max_length = 1024)]
    base_url: Option<String>,
    /// The API to join, whatever its base URL.
    #[serde(default)]
    #[schema(nullable = false)]
    api_id: Option<ApiId>,
    /// `true`: it becomes an API of its own.
    #[serde(default)]
    #[schema(nullable = false, default = false)]
    new_api: Option<bool>,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ImportOutcome {
    /// It is kept as a new revision.
    Created,
    /// The latest revision is the same.
    Same,
    /// It is left out.
    Skipped,
}

/// A document that was imported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportResult {
    outcome: ImportOutcome,
    /// Why it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The name it has now.
    #[schema(example = "bookshop")]
    name: String,
    /// The API it is of, unless it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    api_id: Option<ApiId>,
    /// The revision it is, unless it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revision_id: Option<RevisionId>,
    operations: u64,
    /// What is odd about it.
    warnings: Vec<Warning>,
}

/// Import a document
///
/// OpenAPI 3 or Swagger 2, JSON or YAML: as a file in a form, or as JSON with the text or with the URL to fetch it from. What it
/// refers to is never fetched. Needs the permission `sources:manage`.
#[utoipa::path(post, path = "/api/v1/imports", tag = "Imports",
    request_body(content((Import = "application/json"), (ImportForm = "multipart/form-data"))), responses(
    (status = 201, description = "It is a new revision.", body = ImportResult),
    (status = 200, description = "It is the same as the latest revision, or is left out.", body = ImportResult),
    (status = 409, description = "`source-kind`: the source takes no documents. `name-elsewhere`: its document of this name stands on another server.")))]
pub(super) async fn import_document(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    request: Request,
) -> Result<Response, Problem> {
    // Before anything is fetched in somebody's name.
    actor.may(Permission::ManageSources)?;
    let limit = app.config.max_document;
    let (source, about, document, mut room) = if is_json(&request) {
        // What is escaped takes up to twice as much.
        let most = limit.saturating_mul(2).saturating_add(FORM);
        let (bytes, room) = app.bodies.read(request, most, 2).await?;
        of_json(bytes, room)?
    } else if media_type(&request) == "multipart/form-data" {
        of_form(&app, request, limit).await?
    } else {
        let taken = "application/json or multipart/form-data";
        return Err(unsupported(&request, taken));
    };
    let base_url = match about.base_url.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => {
            let parsed = BaseUrl::parse(text);
            Some(parsed.map_err(|error| Problem::field("baseUrl", error.to_string()))?)
        }
    };
    let join = match (about.api_id, about.new_api) {
        (Some(_), true) => {
            return Err(Problem::field(
                "newApi",
                "it cannot join an API and be a new one",
            ));
        }
        (Some(api), false) => Join::Api(api),
        (None, true) => Join::New,
        (None, false) => Join::Fitting,
    };
    let (text, fetched_from) = match document {
        Document::Text(text) => (text, None),
        Document::At(url) => {
            let rules = FetchRules {
                max_bytes: limit as u64,
                timeout: FETCH_TIME,
                private_addresses: app.config.allow_private_imports,
                redirects: REDIRECTS,
            };
            let fetched = imports::fetch(&url, &rules, &app.bodies).await?;
            room = fetched.room.unwrap_or(room);
            (fetched.text, Some(fetched.url))
        }
    };
    let upload = Upload {
        source,
        name: about.name,
        text,
        base_url,
        fetched_from,
        join,
        limit: limit as u64,
    };
    let imported = imports::document(&app.store, &actor, upload, Millis::now()).await?;
    drop(room);
    Ok(answered(imported))
}

enum Document {
    Text(Bytes),
    At(String),
}

/// What was sent with a document, and the room it takes.
type Sent = (SourceId, About, Document, Room);

fn of_json(bytes: Bytes, mut room: Room) -> Result<Sent, Problem> {
    let import: Import = read_json(&bytes)?;
    drop(bytes);
    room.shrink(import.text.as_ref().map_or(0, String::len));
    let document = match (import.text, import.url) {
        (Some(text), None) => Document::Text(text.into()),
        (None, Some(url)) => Document::At(url),
        (None, None) => {
            return Err(Problem::field(
                "text",
                "missing; send the document, or its `url`",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::field(
                "url",
                "send the document or its URL, not both",
            ));
        }
    };
    let about = About {
        name: import.name,
        base_url: import.base_url,
        api_id: import.api_id,
        new_api: import.new_api,
    };
    Ok((import.source_id, about, document, room))
}

async fn of_form(app: &App, request: Request, limit: usize) -> Result<Sent, Problem> {
    let whole = limit.saturating_add(FORM);
    let (mut request, room) = app.bodies.let_in(request, whole, 1).await?;
    // It is bounded already.
    DefaultBodyLimit::disable().apply(&mut request);
    let unreadable = |error: MultipartError| match bodies::stopped(&error) {
        Some(stopped) => stopped.into(),
        None => Problem::new(MALFORMED_BODY, format!("no form: {}", error.body_text())),
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::new(MALFORMED_BODY, error.body_text()))?;
    let (mut source, mut about, mut document) = (None, About::default(), None);
    let mut seen: Vec<String> = Vec::new();
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name: String = field.name().unwrap_or_default().chars().take(80).collect();
        if seen.contains(&name) {
            return Err(Problem::field(name, "given twice"));
        }
        seen.push(name.clone());
        let id = |text: &str| text.trim().to_owned();
        match name.as_str() {
            "file" => document = Some(field.bytes().await.map_err(unreadable)?),
            "sourceId" => {
                let parsed = SourceId::parse(&id(&text_of(field, &name).await?));
                source = Some(parsed.map_err(|error| Problem::field(name, error.to_string()))?);
            }
            "apiId" => {
                let text = text_of(field, &name).await?;
                if !text.trim().is_empty() {
                    let parsed = ApiId::parse(&id(&text));
                    about.api_id =
                        Some(parsed.map_err(|error| Problem::field(name, error.to_string()))?);
                }
            }
            "name" => about.name = text_of(field, &name).await?,
            "baseUrl" => about.base_url = Some(text_of(field, &name).await?),
            "newApi" => {
                about.new_api = match text_of(field, &name).await?.trim() {
                    "true" => true,
                    "false" | "" => false,
                    _ => return Err(Problem::field(name, "it is not true or false")),
                }
            }
            _ => {
                return Err(Problem::field(
                    name,
                    "not known here; known are sourceId, file, name, baseUrl, apiId and newApi",
                ));
            }
        }
    }
    let source = source.ok_or_else(|| Problem::field("sourceId", "missing"))?;
    let document = document.ok_or_else(|| Problem::field("file", "missing"))?;
    Ok((source, about, Document::Text(document), room))
}

async fn text_of(mut field: Field<'_>, name: &str) -> Result<String, Problem> {
    let broken =
        |error: MultipartError| Problem::from(bodies::stopped(&error).unwrap_or(BodyError::Cut));
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > FORM {
            return Err(Problem::field(name, format!("longer than {FORM} bytes")));
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| Problem::field(name, "no UTF-8"))?;
    if text.contains('\0') {
        return Err(Problem::field(name, "it holds the character NUL"));
    }
    Ok(text)
}

fn answered(imported: Imported) -> Response {
    let (outcome, reason) = match imported.outcome {
        Outcome::Created => (ImportOutcome::Created, None),
        Outcome::Same => (ImportOutcome::Same, None),
        Outcome::Skipped { reason } => (ImportOutcome::Skipped, Some(reason)),
    };
    let (api_id, revision_id) = imported.kept.unzip();
    let location = revision_id
        .as_ref()
        .map(|revision| format!("/api/v1/revisions/{revision}"));
    let result = ImportResult {
        outcome,
        reason,
        name: imported.name,
        api_id,
        revision_id,
        operations: imported.operations,
        warnings: imported.warnings.into_iter().map(Into::into).collect(),
    };
    match location {
        Some(location) if outcome == ImportOutcome::Created => {
            created(location, result).into_response()
        }
        _ => Json(result).into_response(),
    }
}
