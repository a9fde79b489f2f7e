//! API keys: what programs come in with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Millis;
use crate::access::keys;
use crate::app::App;
use crate::ids::{KeyId, UserId};
use crate::rest::caller::Caller;
use crate::rest::extract::{self, List, Path};
use crate::rest::paging::{ListOf, Paging};
use crate::rest::problem::Problem;
use crate::rest::values::{Time, sorts};
use crate::rest::{Created, created};

/// An API key, without the secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    id: KeyId,
    /// What people call it.
    #[schema(example = "nightly inventory")]
    name: String,
    /// Its first characters.
    #[schema(example = "slk_a1B2c3")]
    prefix: String,
    user_id: UserId,
    /// Whose it is.
    #[schema(example = "ada@example.com")]
    user_email: String,
    created_at: Time,
    /// Until when it works; missing: until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<Time>,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    used_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revoked_at: Option<Time>,
    /// Whether it works now.
    valid: bool,
}

impl From<keys::Key> for Key {
    fn from(key: keys::Key) -> Key {
        Key {
            valid: key.valid(Millis::now()),
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            user_id: key.user,
            user_email: key.email,
            created_at: key.created_at.into(),
            expires_at: key.expires_at.map(Into::into),
            used_at: key.used_at.map(Into::into),
            revoked_at: key.revoked_at.map(Into::into),
        }
    }
}

/// A key to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewKey {
    /// What people shall call it.
    #[schema(min_length = 1, max_length = 100, example = "nightly inventory")]
    name: String,
    /// Until when it works; without it, until it is revoked.
    #[serde(default)]
    #[schema(nullable = false, example = "2100-01-01T00:00:00Z")]
    expires_at: Option<Time>,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MadeKey {
    id: KeyId,
    /// Its first characters, by which it is recognised later.
    prefix: String,
    /// The key itself, for `X-Auth`: shown this once.
    key: String,
}

/// Which keys to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyFilter {
    /// A part of the name, the prefix or the user's address, without case.
    text: Option<String>,
    /// Of this user.
    user_id: Option<UserId>,
    /// `true`: only those that work now.
    valid: Option<bool>,
    /// In which order.
    #[param(inline)]
    sort: Option<KeySort>,
}

sorts! {
    /// The order of keys.
    KeySort: keys::Order, default "-createdAt" {
        "createdAt" => keys::Order::Created, "name" => keys::Order::Name, "usedAt" => keys::Order::Used,
        "expiresAt" => keys::Order::Expires,
    }
}

/// List API keys
///
/// One's own; everybody's with the permission `users:view`.
#[utoipa::path(get, path = "/api/v1/keys", tag = "Keys", params(Paging, KeyFilter),
    responses((status = 200, description = "A page of keys.", body = ListOf<Key>)))]
pub(super) async fn list_keys(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    List { page, filter }: List<KeyFilter>,
) -> Result<Json<ListOf<Key>>, Problem> {
    let KeySort(order, direction) = filter.sort.unwrap_or_default();
    let filter = keys::Filter {
        text: filter.text,
        user: filter.user_id,
        valid_at: (filter.valid == Some(true)).then(Millis::now),
    };
    let page = keys::list(&app.store, &actor, &filter, (order, direction), page).await?;
    Ok(Json(ListOf::from_page(page)))
}

/// Make an API key
///
/// For oneself: it may do what its user may. The secret is shown this once.
#[utoipa::path(post, path = "/api/v1/keys", tag = "Keys", request_body = NewKey, responses(
    (status = 201, description = "The key.", body = MadeKey),
    (status = 409, description = "`too-many`: the user has as many valid keys as can be.")))]
pub(super) async fn create_key(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    extract::Json(new): extract::Json<NewKey>,
) -> Result<Created<MadeKey>, Problem> {
    let expires_at = new.expires_at.map(|at| at.0);
    let made = keys::create(&app.store, &actor, &new.name, expires_at, Millis::now()).await?;
    let location = format!("/api/v1/keys/{}", made.id);
    let body = MadeKey {
        id: made.id,
        prefix: made.prefix,
        key: made.secret,
    };
    Ok(created(location, body))
}

/// Show an API key
///
/// Without its secret, which nobody has but who made it.
#[utoipa::path(get, path = "/api/v1/keys/{keyId}", tag = "Keys", params(("keyId" = KeyId, Path, description = "Which one.")),
    responses((status = 200, description = "The key.", body = Key)))]
pub(super) async fn get_key(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(key): Path<KeyId>,
) -> Result<Json<Key>, Problem> {
    Ok(Json(keys::get(&app.store, &actor, &key).await?.into()))
}

/// Revoke an API key
///
/// It never works again. One's own; anybody's with the permission `users:manage`.
#[utoipa::path(delete, path = "/api/v1/keys/{keyId}", tag = "Keys", params(("keyId" = KeyId, Path, description = "Which one.")),
    responses((status = 204, description = "Revoked.")))]
pub(super) async fn revoke_key(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(key): Path<KeyId>,
) -> Result<StatusCode, Problem> {
    keys::revoke(&app.store, &actor, &key, Millis::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
