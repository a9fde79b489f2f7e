//! The Inventory REST API: what is there, and what people decide about it.

mod apis;
mod bulk;
mod definitions;
mod drift;
mod operations;
mod overview;
mod revisions;
mod targets;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(super) use apis::Severity;
pub(super) use revisions::Warning;

/// Its operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(apis::list_apis))
        .routes(routes!(apis::list_api_hosts))
        .routes(routes!(apis::get_api, apis::rename_api, apis::delete_api))
        .routes(routes!(apis::set_api_hidden))
        .routes(routes!(apis::link_api, apis::unlink_api))
        .routes(routes!(apis::list_fitting_targets))
        .routes(routes!(operations::list_operations))
        .routes(routes!(operations::list_callers))
        .routes(routes!(drift::list_drift))
        .routes(routes!(definitions::list_definitions))
        .routes(routes!(
            definitions::get_definition,
            definitions::delete_definition
        ))
        .routes(routes!(definitions::move_definition))
        .routes(routes!(revisions::list_revisions_of_api))
        .routes(routes!(revisions::list_revisions_of_definition))
        .routes(routes!(revisions::get_revision))
        .routes(routes!(revisions::get_document))
        .routes(routes!(revisions::compare_revisions))
        .routes(routes!(revisions::compare_documents))
        .routes(routes!(bulk::link_apis))
        .routes(routes!(bulk::unlink_apis))
        .routes(routes!(bulk::create_targets_for_apis))
        .routes(routes!(bulk::hide_apis))
        .routes(routes!(bulk::show_apis))
        .routes(routes!(targets::list_targets, targets::create_target))
        .routes(routes!(
            targets::get_target,
            targets::update_target,
            targets::delete_target
        ))
        .routes(routes!(overview::get_overview))
        .routes(routes!(overview::list_found))
}
