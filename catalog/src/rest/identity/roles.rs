//! Roles, built-in and custom, and the permissions they are made of.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Permissions, roles};
use crate::app::App;
use crate::ids::RoleId;
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging, page_of};
use crate::rest::problem::Problem;
use crate::rest::values::sorts;
use crate::rest::{Created, created};
use crate::store::Direction;
use crate::{Millis, Refusal};

/// One thing that can be allowed.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Permission {
    /// As roles name it.
    #[schema(value_type = String, example = "apis:view")]
    name: &'static str,
    /// As people read it.
    #[schema(value_type = String, example = "View APIs")]
    title: &'static str,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Role {
    /// `owner`, `administrator`, `security-manager`, `security-analyst`, or the id of a custom role.
    #[schema(example = "security-analyst")]
    id: String,
    /// As people read it.
    #[schema(example = "Security Analyst")]
    name: String,
    /// Whether it is always there and cannot be changed.
    built_in: bool,
    /// What it allows.
    #[schema(example = json!(["apis:view"]))]
    permissions: Vec<String>,
    /// Users who have it.
    users: u64,
}

impl From<roles::Role> for Role {
    fn from(role: roles::Role) -> Role {
        Role {
            id: role.key,
            name: role.title,
            built_in: role.built_in,
            permissions: role
                .permissions
                .iter()
                .map(|permission| permission.name().to_owned())
                .collect(),
            users: role.users,
        }
    }
}

/// A custom role, as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RoleWrite {
    /// As people read it; no other role of this organisation has it.
    #[schema(min_length = 1, max_length = 100, example = "API inventory reader")]
    name: String,
    /// What it allows: names from the list of permissions.
    #[schema(min_items = 1, max_items = 100, example = json!(["apis:view"]))]
    permissions: Vec<String>,
}

/// Which roles to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct RoleFilter {
    /// A part of the name, without case.
    text: Option<String>,
    /// Built-in ones, or custom ones.
    built_in: Option<bool>,
    /// In which order; without it, built-in roles first, the mightiest first.
    #[param(inline)]
    sort: Option<RoleSort>,
}

/// Which permissions to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct PermissionFilter {
    /// A part of name or title, without case.
    text: Option<String>,
    /// In which order.
    #[param(inline)]
    sort: Option<PermissionSort>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::rest) enum By {
    Name,
    Users,
}

sorts! {
    /// The order of roles.
    RoleSort: By, default "name" { "name" => By::Name, "users" => By::Users, }
}

sorts! {
    /// The order of permissions.
    PermissionSort: (), default "name" { "name" => (), }
}

/// List roles
///
/// Needs the permission `users:view`.
#[utoipa::path(get, path = "/api/v1/roles", tag = "Roles", params(Paging, RoleFilter),
    responses((status = 200, description = "A page of roles.", body = ListOf<Role>)))]
pub(super) async fn list_roles(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<RoleFilter>,
) -> Result<Json<ListOf<Role>>, Problem> {
    let mut all = roles::list(&app.store, &actor).await?;
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        all.retain(|role| role.title.to_lowercase().contains(&text));
    }
    if let Some(built_in) = filter.built_in {
        all.retain(|role| role.built_in == built_in);
    }
    let mut way = Direction::Ascending;
    if let Some(RoleSort(by, direction)) = filter.sort {
        way = direction;
        all.sort_by_key(|role| match by {
            By::Name => (0, role.title.to_lowercase()),
            By::Users => (role.users, String::new()),
        });
    }
    Ok(Json(ListOf::from_page(page_of(all, way, page))))
}

/// Make a custom role
///
/// Nobody makes a role that allows more than their own. Needs the permission `users:manage`.
#[utoipa::path(post, path = "/api/v1/roles", tag = "Roles", request_body = RoleWrite, responses(
    (status = 201, description = "The role.", body = Role),
    (status = 409, description = "`name-taken`: another role has this name. `too-many`: there are as many as can be.")))]
pub(super) async fn create_role(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(role): extract::Json<RoleWrite>,
) -> Result<Created<Role>, Problem> {
    let permissions = permissions(&role.permissions)?;
    let id = roles::create(&app.store, &actor, &role.name, &permissions, Millis::now()).await?;
    let body = found(&app, &actor, id.as_str()).await?;
    Ok(created(format!("/api/v1/roles/{id}"), body))
}

/// Show a role
///
/// By the name of a built-in role or the id of a custom one.
#[utoipa::path(get, path = "/api/v1/roles/{roleId}", tag = "Roles",
    params(("roleId" = String, Path, description = "`owner`, …, or the id of a custom role.", example = "owner")),
    responses((status = 200, description = "The role.", body = Role)))]
pub(super) async fn get_role(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Json<Role>, Problem> {
    found(&app, &actor, &id).await.map(Json)
}

/// Change a custom role
///
/// Who has it may do so much from now on.
#[utoipa::path(put, path = "/api/v1/roles/{roleId}", tag = "Roles", request_body = RoleWrite,
    params(("roleId" = RoleId, Path, description = "Which one.")), responses(
    (status = 200, description = "As it is now.", body = Role),
    (status = 409, description = "`name-taken`: another role has this name.")))]
pub(super) async fn update_role(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<RoleId>,
    extract::Json(role): extract::Json<RoleWrite>,
) -> Result<Json<Role>, Problem> {
    let permissions = permissions(&role.permissions)?;
    let now = Millis::now();
    roles::update(&app.store, &actor, &id, &role.name, &permissions, now).await?;
    found(&app, &actor, id.as_str()).await.map(Json)
}

/// Delete a custom role
///
/// One that nobody has.
#[utoipa::path(delete, path = "/api/v1/roles/{roleId}", tag = "Roles",
    params(("roleId" = RoleId, Path, description = "Which one.")), responses(
    (status = 204, description = "Deleted."),
    (status = 409, description = "`role-in-use`: users have it.")))]
pub(super) async fn delete_role(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<RoleId>,
) -> Result<StatusCode, Problem> {
    roles::delete(&app.store, &actor, &id, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List permissions
///
/// Everything that can be allowed.
#[utoipa::path(get, path = "/api/v1/permissions", tag = "Roles", params(Paging, PermissionFilter),
    responses((status = 200, description = "A page of permissions.", body = ListOf<Permission>)))]
pub(super) async fn list_permissions(
    _caller: Caller,
    List { page, filter }: List<PermissionFilter>,
) -> Json<ListOf<Permission>> {
    let mut all: Vec<Permission> = crate::access::Permission::ALL
        .iter()
        .map(|permission| Permission {
            name: permission.name(),
            title: permission.title(),
        })
        .collect();
    if let Some(text) = filter.text.map(|text| text.to_lowercase()) {
        all.retain(|one| one.name.contains(&text) || one.title.to_lowercase().contains(&text));
    }
    let mut way = Direction::Ascending;
    if let Some(PermissionSort((), direction)) = filter.sort {
        way = direction;
        all.sort_by_key(|permission| permission.name);
    }
    Json(ListOf::from_page(page_of(all, way, page)))
}

async fn found(app: &App, actor: &crate::access::Actor, id: &str) -> Result<Role, Problem> {
    let all = roles::list(&app.store, actor).await?;
    let role = all.into_iter().find(|role| role.key == id);
    role.map(Into::into)
        .ok_or_else(|| Refusal::not_found("role", id).into())
}

fn permissions(names: &[String]) -> Result<Permissions, Problem> {
    let parsed = names.iter().enumerate().map(|(at, name)| {
        crate::access::Permission::parse(name).ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            Problem::field(
                format!("permissions[{at}]"),
                format!("`{name}` is no permission; GET /api/v1/permissions lists them"),
            )
        })
    });
    parsed.collect()
}
