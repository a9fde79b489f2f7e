//! Organisations: separate worlds. They are made on the machine itself (`silhouette-catalog organisation add`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Actor, organisations};
use crate::app::App;
use crate::ids::OrganisationId;
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging, page_of};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};
use crate::{Millis, Refusal};

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Organisation {
    id: OrganisationId,
    /// What people call it.
    #[schema(example = "Acme")]
    name: String,
    created_at: Time,
}

impl From<organisations::Organisation> for Organisation {
    fn from(organisation: organisations::Organisation) -> Organisation {
        Organisation {
            id: organisation.id,
            name: organisation.name,
            created_at: organisation.created_at.into(),
        }
    }
}

/// What can be changed of an organisation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrganisationUpdate {
    /// What people shall call it.
    #[schema(min_length = 1, max_length = 100, example = "Acme")]
    name: String,
}

/// Which organisations to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct OrganisationFilter {
    /// A part of the name, without case.
    text: Option<String>,
    /// In which order.
    #[param(inline)]
    sort: Option<OrganisationSort>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::rest) enum By {
    Name,
    Created,
}

sorts! {
    /// The order of organisations.
    OrganisationSort: By, default "name" { "name" => By::Name, "createdAt" => By::Created, }
}

/// List organisations
///
/// Those the key's user may come into. `X-Invicti-OrganizationId` chooses one of them.
#[utoipa::path(get, path = "/api/v1/organisations", tag = "Organisations", params(Paging, OrganisationFilter),
    responses((status = 200, description = "A page of organisations.", body = ListOf<Organisation>)))]
pub(super) async fn list_organisations(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<OrganisationFilter>,
) -> Result<Json<ListOf<Organisation>>, Problem> {
    let mut all = match &actor.user {
        Some(user) => organisations::of_user(&app.store, user).await?,
        None => vec![organisations::current(&app.store, &actor).await?],
    };
    // Who acts for another sees what both may see: the one it acts in.
    if actor.via == crate::access::Via::KeyForAnother {
        all.retain(|organisation| organisation.id == actor.organisation);
    }
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        all.retain(|organisation| organisation.name.to_lowercase().contains(&text));
    }
    let OrganisationSort(by, direction) = filter.sort.unwrap_or_default();
    all.sort_by_key(|organisation| match by {
        By::Name => (organisation.name.to_lowercase(), Millis::default()),
        By::Created => (String::new(), organisation.created_at),
    });
    Ok(Json(ListOf::from_page(page_of(all, direction, page))))
}

/// Show an organisation
///
/// The one the key works in.
#[utoipa::path(get, path = "/api/v1/organisations/{organisationId}", tag = "Organisations",
    params(("organisationId" = OrganisationId, Path, description = "Which one.")),
    responses((status = 200, description = "The organisation.", body = Organisation)))]
pub(super) async fn get_organisation(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<OrganisationId>,
) -> Result<Json<Organisation>, Problem> {
    current(&app, &actor, &id).await.map(Json)
}

/// Rename an organisation
///
/// The one the key works in. Needs the permission `organisation:manage`.
#[utoipa::path(put, path = "/api/v1/organisations/{organisationId}", tag = "Organisations", request_body = OrganisationUpdate,
    params(("organisationId" = OrganisationId, Path, description = "Which one.")),
    responses((status = 200, description = "As it is now.", body = Organisation)))]
pub(super) async fn update_organisation(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<OrganisationId>,
    extract::Json(update): extract::Json<OrganisationUpdate>,
) -> Result<Json<Organisation>, Problem> {
    current(&app, &actor, &id).await?;
    organisations::rename(&app.store, &actor, &update.name, Millis::now()).await?;
    current(&app, &actor, &id).await.map(Json)
}

async fn current(app: &App, actor: &Actor, id: &OrganisationId) -> Result<Organisation, Problem> {
    if actor.organisation != *id {
        return Err(Refusal::not_found("organisation", id.as_str()).into());
    }
    Ok(organisations::current(&app.store, actor).await?.into())
}
