//! People and their roles in one organisation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Millis;
use crate::access::member::Member;
use crate::access::users;
use crate::app::App;
use crate::ids::UserId;
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};
use crate::rest::{Created, created};

/// A user in this organisation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    id: UserId,
    /// What the user signs in with.
    #[schema(example = "ada@example.com")]
    email: String,
    /// What people call the user.
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// `owner`, `administrator`, `security-manager`, `security-analyst`, or the id of a custom role.
    #[schema(example = "security-analyst")]
    role: String,
    /// The role, as people read it.
    #[schema(example = "Security Analyst")]
    role_title: String,
    /// Whether the user may come in.
    active: bool,
    /// Whether the password is to be changed at the next sign-in.
    must_change_password: bool,
    joined_at: Time,
    /// When the user last signed in; missing if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    signed_in_at: Option<Time>,
}

impl From<Member> for User {
    fn from(member: Member) -> User {
        User {
            id: member.user,
            email: member.email,
            name: member.name,
            role: member.role,
            role_title: member.role_title,
            active: member.active,
            must_change_password: member.must_change_password,
            joined_at: member.joined_at.into(),
            signed_in_at: member.signed_in_at.map(Into::into),
        }
    }
}

/// A user to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Invitation {
    /// What the user will sign in with.
    #[schema(min_length = 3, max_length = 254, example = "grace@example.com")]
    email: String,
    /// What people call the user; without it, the address.
    #[serde(default)]
    #[schema(max_length = 100, example = "Grace Hopper")]
    name: String,
    /// `owner`, `administrator`, `security-manager`, `security-analyst`, or the id of a custom role.
    #[schema(example = "security-analyst")]
    role: String,
}

/// A user that was invited.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invited {
    id: UserId,
    /// To hand over, and to be changed at the first sign-in: shown this once. Missing where the account was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    password: Option<String>,
}

/// Another role for a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RoleOfUser {
    /// `owner`, `administrator`, `security-manager`, `security-analyst`, or the id of a custom role.
    #[schema(example = "security-manager")]
    role: String,
}

/// Whether a user may come in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ActiveUser {
    /// `false`: the user's sessions end, and keys stop working.
    active: bool,
}

/// A password that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewPassword {
    /// To hand over, and to be changed at the next sign-in: shown this once.
    password: String,
}

/// Which users to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct UserFilter {
    /// A part of name or address, without case.
    text: Option<String>,
    /// `owner`, …, or the id of a custom role.
    #[param(example = "owner")]
    role: Option<String>,
    /// Those who may come in, or the others.
    active: Option<bool>,
    /// In which order.
    #[param(inline)]
    sort: Option<UserSort>,
}

sorts! {
    /// The order of users.
    UserSort: users::Order, default "name" {
        "name" => users::Order::Name, "email" => users::Order::Email, "joinedAt" => users::Order::Joined,
        "signedInAt" => users::Order::SignedIn,
    }
}

/// List users
///
/// Needs the permission `users:view`.
#[utoipa::path(get, path = "/api/v1/users", tag = "Users", params(Paging, UserFilter),
    responses((status = 200, description = "A page of users.", body = ListOf<User>)))]
pub(super) async fn list_users(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<UserFilter>,
) -> Result<Json<ListOf<User>>, Problem> {
    let UserSort(order, direction) = filter.sort.unwrap_or_default();
    let filter = users::Filter {
        text: filter.text,
        role: filter.role,
        active: filter.active,
    };
    let page = users::list(&app.store, &actor, &filter, (order, direction), page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Invite a user
///
/// Makes an account with a password that is shown once, or takes in an account that another organisation has already. Needs
/// the permission `users:manage`; nobody gives a role that allows more than their own.
#[utoipa::path(post, path = "/api/v1/users", tag = "Users", request_body = Invitation, responses(
    (status = 201, description = "The user and a password to hand over.", body = Invited),
    (status = 409, description = "`already-member`: the user is in this organisation already.")))]
pub(super) async fn invite_user(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(invitation): extract::Json<Invitation>,
) -> Result<Created<Invited>, Problem> {
    let new = users::New {
        email: &invitation.email,
        name: &invitation.name,
        role: &invitation.role,
        password: None,
    };
    let passwords = app.door.passwords();
    let invited = users::invite(&app.store, passwords, &actor, new, Millis::now()).await?;
    let location = format!("/api/v1/users/{}", invited.user);
    let body = Invited {
        id: invited.user,
        password: invited.password,
    };
    Ok(created(location, body))
}

/// Show a user
///
/// Everybody may look at themselves; others need the permission `users:view`.
#[utoipa::path(get, path = "/api/v1/users/{userId}", tag = "Users", params(("userId" = UserId, Path, description = "Whom.")),
    responses((status = 200, description = "The user.", body = User)))]
pub(super) async fn get_user(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(user): Path<UserId>,
) -> Result<Json<User>, Problem> {
    Ok(Json(users::get(&app.store, &actor, &user).await?.into()))
}

/// Remove a user
///
/// From this organisation, with sessions and keys here; the account goes with its last membership. The last owner stays.
#[utoipa::path(delete, path = "/api/v1/users/{userId}", tag = "Users", params(("userId" = UserId, Path, description = "Whom.")),
    responses((status = 204, description = "Removed.")))]
pub(super) async fn remove_user(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(user): Path<UserId>,
) -> Result<StatusCode, Problem> {
    users::remove(&app.store, &actor, &user, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a user another role
///
/// Nobody gives or takes a role that allows more than their own, and the last owner stays.
#[utoipa::path(put, path = "/api/v1/users/{userId}/role", tag = "Users", request_body = RoleOfUser,
    params(("userId" = UserId, Path, description = "Whom.")),
    responses((status = 200, description = "As the user is now.", body = User)))]
pub(super) async fn set_role_of_user(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(user): Path<UserId>,
    extract::Json(change): extract::Json<RoleOfUser>,
) -> Result<Json<User>, Problem> {
    users::change_role(&app.store, &actor, &user, &change.role, Millis::now()).await?;
    Ok(Json(users::get(&app.store, &actor, &user).await?.into()))
}

/// Let a user in, or no longer
///
/// A user who may no longer come in loses sessions at once, and keys do not work.
#[utoipa::path(put, path = "/api/v1/users/{userId}/active", tag = "Users", request_body = ActiveUser,
    params(("userId" = UserId, Path, description = "Whom.")),
    responses((status = 200, description = "As the user is now.", body = User)))]
pub(super) async fn set_user_active(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(user): Path<UserId>,
    extract::Json(change): extract::Json<ActiveUser>,
) -> Result<Json<User>, Problem> {
    users::set_active(&app.store, &actor, &user, change.active, Millis::now()).await?;
    Ok(Json(users::get(&app.store, &actor, &user).await?.into()))
}

/// Make a new password for a user
///
/// For who lost theirs; all sessions of the user end. Not for accounts that are in other organisations too.
#[utoipa::path(post, path = "/api/v1/users/{userId}/password-reset", tag = "Users",
    params(("userId" = UserId, Path, description = "Whom.")),
    responses((status = 200, description = "The password, shown this once.", body = NewPassword)))]
pub(super) async fn reset_password_of_user(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(user): Path<UserId>,
) -> Result<Json<NewPassword>, Problem> {
    let passwords = app.door.passwords();
    let password =
        users::reset_password(&app.store, passwords, &actor, &user, Millis::now()).await?;
    Ok(Json(NewPassword { password }))
}
