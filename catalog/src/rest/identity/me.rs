//! Who the key belongs to, and what it may do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::organisations::Organisation;
use crate::Millis;
use crate::access::{Actor, organisations, users};
use crate::app::App;
use crate::ids::UserId;
use crate::rest::caller::Caller;
use crate::rest::extract;
use crate::rest::problem::Problem;

/// Who calls, where, and what they may do there.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Me {
    /// The user; where one acts for another: the other.
    user_id: UserId,
    /// What the user signs in with.
    #[schema(example = "ada@example.com")]
    email: String,
    /// What people call the user.
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// The role, as people read it.
    #[schema(example = "Security Manager")]
    role: String,
    /// What may be done with this key in this organisation.
    #[schema(example = json!(["apis:view", "keys:own"]))]
    permissions: Vec<String>,
    organisation: Organisation,
}

/// What one may change of oneself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MeUpdate {
    /// What people shall call you.
    #[schema(min_length = 1, max_length = 100, example = "Ada Lovelace")]
    name: String,
}

/// Show who the key belongs to
///
/// The key's user, its organisation, and what may be done there.
#[utoipa::path(get, path = "/api/v1/me", tag = "Me", responses((status = 200, description = "Who calls.", body = Me)))]
pub(super) async fn get_me(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
) -> Result<Json<Me>, Problem> {
    me(&app, &actor).await.map(Json)
}

/// Change one's own name
///
/// Not in another's name.
#[utoipa::path(put, path = "/api/v1/me", tag = "Me", request_body = MeUpdate,
    responses((status = 200, description = "As it is now.", body = Me)))]
pub(super) async fn update_me(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(update): extract::Json<MeUpdate>,
) -> Result<Json<Me>, Problem> {
    users::rename_oneself(&app.store, &actor, &update.name, Millis::now()).await?;
    me(&app, &actor).await.map(Json)
}

async fn me(app: &App, actor: &Actor) -> Result<Me, Problem> {
    let user = actor.user.clone().ok_or_else(|| {
        crate::Refusal::Denied("this is for users; nobody is one here".to_owned())
    })?;
    let member = users::get(&app.store, actor, &user).await?;
    let organisation = organisations::current(&app.store, actor).await?;
    Ok(Me {
        user_id: user,
        email: member.email,
        name: member.name,
        role: actor.role.clone(),
        permissions: actor
            .permissions
            .iter()
            .map(|permission| permission.name().to_owned())
            .collect(),
        organisation: organisation.into(),
    })
}
