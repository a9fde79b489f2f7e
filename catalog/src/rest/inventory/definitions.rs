//! What one source says of an API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::apis::DefinitionKind;
use crate::Millis;
use crate::app::App;
use crate::ids::{ApiId, DefinitionId, RevisionId, SourceId};
use crate::inventory::{self, Join};
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging, page_of};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};

/// What one source says of an API, as of its latest revision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    id: DefinitionId,
    api_id: ApiId,
    /// Where it comes from, unless the source was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source_id: Option<SourceId>,
    #[schema(example = "Edge gateways")]
    source_name: String,
    kind: DefinitionKind,
    /// What the source calls it: a collector's host, an upload's name.
    #[schema(example = "api.example.com")]
    key: String,
    /// Where the document says the API is.
    #[schema(example = "https://api.example.com/v1")]
    base_url: String,
    latest_revision_id: RevisionId,
    /// The number of that revision, from 1.
    #[schema(minimum = 1)]
    latest_revision: u64,
    #[schema(example = "OpenAPI 3.1")]
    specification: String,
    /// `info.title` of the document.
    #[schema(example = "Bookshop")]
    title: String,
    /// `info.version` of the document.
    #[schema(example = "1.4.0")]
    api_version: String,
    operations: u64,
    created_at: Time,
    /// When the latest revision came.
    updated_at: Time,
    /// Exchanges that were seen; missing where it was not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exchanges: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first_seen_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_seen_at: Option<Time>,
}

impl From<inventory::Definition> for Definition {
    fn from(definition: inventory::Definition) -> Definition {
        Definition {
            id: definition.id,
            api_id: definition.api,
            source_id: definition.source,
            source_name: definition.source_name,
            kind: definition.kind.into(),
            key: definition.key,
            base_url: definition.base_url.to_string(),
            latest_revision_id: definition.revision,
            latest_revision: definition.number,
            specification: definition.specification,
            title: definition.title,
            api_version: definition.api_version,
            operations: definition.operations,
            created_at: definition.created_at.into(),
            updated_at: definition.updated_at.into(),
            exchanges: definition.exchanges,
            first_seen_at: definition.seen_first_at.map(Into::into),
            last_seen_at: definition.seen_last_at.map(Into::into),
        }
    }
}

/// Which definitions to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct DefinitionFilter {
    /// Seen in traffic, or documented.
    #[param(inline)]
    kind: Option<DefinitionKind>,
    /// A part of the source's name, the key or the title, without case.
    text: Option<String>,
    /// In which order; without it, observed ones first.
    #[param(inline)]
    sort: Option<DefinitionSort>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::rest) enum By {
    Source,
    Operations,
    Updated,
}

sorts! {
    /// The order of definitions.
    DefinitionSort: By, default "source" {
        "source" => By::Source, "operations" => By::Operations, "updatedAt" => By::Updated,
    }
}

/// Where a definition shall go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Move {
    /// To this API; without it, to an API of its own.
    #[serde(default)]
    #[schema(nullable = false)]
    api_id: Option<ApiId>,
}

/// Where a definition went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Moved {
    /// The API it is of now.
    api_id: ApiId,
}

/// List definitions of an API
///
/// What each source says of it.
#[utoipa::path(get, path = "/api/v1/apis/{apiId}/definitions", tag = "Definitions",
    params(("apiId" = ApiId, Path, description = "Of which API."), Paging, DefinitionFilter),
    responses((status = 200, description = "A page of definitions.", body = ListOf<Definition>)))]
pub(super) async fn list_definitions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(api): Path<ApiId>,
    List { page, filter }: List<DefinitionFilter>,
) -> Result<Json<ListOf<Definition>>, Problem> {
    let mut all = inventory::definitions(&app.store, &actor, &api).await?;
    if let Some(kind) = filter.kind {
        all.retain(|definition| definition.kind == kind.0);
    }
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        all.retain(|definition| {
            [&definition.source_name, &definition.key, &definition.title]
                .iter()
                .any(|part| part.to_lowercase().contains(&text))
        });
    }
    let mut way = crate::store::Direction::Ascending;
    if let Some(DefinitionSort(by, direction)) = filter.sort {
        way = direction;
        all.sort_by_key(|definition| match by {
            By::Source => (definition.source_name.to_lowercase(), 0),
            By::Operations => (
                String::new(),
                i64::try_from(definition.operations).unwrap_or(i64::MAX),
            ),
            By::Updated => (String::new(), definition.updated_at.0),
        });
    }
    Ok(Json(ListOf::from_page(page_of(all, way, page))))
}

/// Show a definition
///
/// As of its latest revision.
#[utoipa::path(get, path = "/api/v1/definitions/{definitionId}", tag = "Definitions",
    params(("definitionId" = DefinitionId, Path, description = "Which one.")),
    responses((status = 200, description = "The definition.", body = Definition)))]
pub(super) async fn get_definition(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(definition): Path<DefinitionId>,
) -> Result<Json<Definition>, Problem> {
    let found = inventory::definition(&app.store, &actor, &definition).await?;
    Ok(Json(found.into()))
}

/// Delete a definition
///
/// With its revisions; with the last one the API goes.
#[utoipa::path(delete, path = "/api/v1/definitions/{definitionId}", tag = "Definitions",
    params(("definitionId" = DefinitionId, Path, description = "Which one.")),
    responses((status = 204, description = "Deleted.")))]
pub(super) async fn delete_definition(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(definition): Path<DefinitionId>,
) -> Result<StatusCode, Problem> {
    inventory::delete_definition(&app.store, &actor, &definition, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Move a definition
///
/// To another API, or into one of its own. An API that has none left goes.
#[utoipa::path(post, path = "/api/v1/definitions/{definitionId}/move", tag = "Definitions", request_body = Move,
    params(("definitionId" = DefinitionId, Path, description = "Which one.")), responses(
    (status = 200, description = "Where it is now.", body = Moved),
    (status = 409, description = "`only-definition`: it is alone in its API already.")))]
pub(super) async fn move_definition(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(definition): Path<DefinitionId>,
    extract::Json(to): extract::Json<Move>,
) -> Result<Json<Moved>, Problem> {
    let join = to.api_id.map_or(Join::New, Join::Api);
    let now = Millis::now();
    let api_id = inventory::move_definition(&app.store, &actor, &definition, &join, now).await?;
    Ok(Json(Moved { api_id }))
}
