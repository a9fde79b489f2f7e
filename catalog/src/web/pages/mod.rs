//! The handlers, a module for each place.
//!
//! In: a person and what was asked. Out: calls of the core in that person's name, and a view of what they gave.

mod audit;
mod door;
mod form;
mod keys;
mod profile;
mod roles;
mod settings;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::{Web, assets};

/// Every address of the pages.
pub(super) fn routes(_web: &Arc<Web>) -> Router<Arc<Web>> {
    Router::new()
        .route("/assets/{hash}/{*file}", get(assets::serve))
        .route("/sign-in", get(door::show).post(door::sign_in))
        .route("/sign-out", post(door::sign_out))
        .route("/theme", post(door::theme))
        .route("/organisation", post(door::organisation))
        .route("/audit", get(audit::list))
        .route("/settings", get(profile::show))
        .route("/settings/name", post(profile::name))
        .route("/settings/password", post(profile::password))
        .route(
            "/settings/sign-out-everywhere",
            post(profile::sign_out_everywhere),
        )
        .route("/settings/users", get(users::list).post(users::add))
        .route("/settings/users/{id}/role", post(users::role))
        .route("/settings/users/{id}/active", post(users::active))
        .route("/settings/users/{id}/password", post(users::password))
        .route("/settings/users/{id}/remove", post(users::remove))
        .route("/settings/roles", get(roles::list).post(roles::create))
        .route("/settings/roles/{id}", post(roles::update))
        .route("/settings/roles/{id}/delete", post(roles::delete))
        .route("/settings/keys", get(keys::list).post(keys::create))
        .route("/settings/keys/{id}/revoke", post(keys::revoke))
        .route(
            "/settings/organisation",
            get(settings::organisation).post(settings::rename),
        )
}
