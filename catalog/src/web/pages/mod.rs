//! The handlers, a module for each place.
//!
//! In: a person and what was asked. Out: calls of the core in that person's name, and a view of what they gave.

mod api;
mod apis;
mod audit;
mod door;
mod form;
mod keys;
mod list;
mod overview;
mod problems;
mod profile;
mod roles;
mod scans;
mod settings;
mod sources;
mod targets;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use http::StatusCode;

use super::{Web, assets};

/// Every address of the pages.
pub(super) fn routes(_web: &Arc<Web>) -> Router<Arc<Web>> {
    Router::new()
        .route("/assets/{hash}/{*file}", get(assets::serve))
        .route("/sign-in", get(door::show).post(door::sign_in))
        .route("/sign-out", post(door::sign_out))
        .route("/problems", get(problems::list))
        .route("/problems/{name}", get(problems::show))
        .route("/theme", post(door::theme))
        .route("/organisation", post(door::organisation))
        .route("/", get(overview::show))
        .route("/discovery", get(apis::discovery))
        .route("/discovery/link", get(apis::link_form).post(apis::link))
        .route(
            "/discovery/targets",
            get(apis::create_form).post(apis::create),
        )
        .route("/discovery/hide", post(apis::hide))
        .route("/discovery/show", post(apis::show))
        .route("/catalog", get(apis::catalog))
        .route("/catalog/{id}/endpoints", get(apis::endpoints))
        .route("/apis/{id}", get(api::operations))
        .route("/apis/{id}/operation", get(api::operation))
        .route("/apis/{id}/delete", get(api::delete_form).post(api::delete))
        .route(
            "/apis/{id}/definitions/{definition}/move",
            get(api::move_form).post(api::move_definition),
        )
        .route("/apis/{id}/schema", get(api::schema))
        .route("/apis/{id}/revisions", get(api::revisions))
        .route("/apis/{id}/revisions/{revision}/{file}", get(api::document))
        .route("/apis/{id}/diff", get(api::diff))
        .route("/apis/{id}/drift", get(api::drift))
        .route("/apis/{id}/callers", get(api::callers))
        .route("/apis/{id}/findings", get(api::findings))
        .route("/sources", get(sources::list))
        .route("/sources/new", get(sources::new_form).post(sources::create))
        .route("/sources/names", get(apis::source_names))
        .route("/sources/{id}", get(sources::show))
        .route(
            "/sources/{id}/edit",
            get(sources::edit_form).post(sources::edit),
        )
        .route(
            "/sources/{id}/delete",
            get(sources::delete_form).post(sources::delete),
        )
        .route("/sources/{id}/sync", post(sources::sync))
        .route("/sources/{id}/auto-sync", post(sources::auto_sync))
        .route("/sources/{id}/tokens", post(sources::token))
        .route(
            "/sources/{id}/tokens/{token}/revoke",
            post(sources::revoke_token),
        )
        .route(
            "/sources/{id}/collectors/{collector}/revoke",
            post(sources::revoke_collector),
        )
        .route("/sources/{id}/import", post(sources::import))
        .route("/scans", get(scans::list))
        .route("/scans/unmatched", get(scans::unmatched))
        .route("/scans/import", get(scans::import_form).post(scans::import))
        .route("/apis/{id}/rename", get(api::rename_form).post(api::rename))
        .route("/apis/{id}/unlink", post(apis::unlink))
        .route("/apis/{id}/hide", post(apis::hide_one))
        .route("/apis/{id}/show", post(apis::show_one))
        .route("/targets", get(targets::list))
        .route("/targets/new", get(targets::new_form).post(targets::create))
        .route("/targets/names", get(apis::target_names))
        .route(
            "/targets/{id}/edit",
            get(targets::edit_form).post(targets::edit),
        )
        .route(
            "/targets/{id}/delete",
            get(targets::delete_form).post(targets::delete),
        )
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
        .fallback(async || StatusCode::NOT_FOUND)
}
