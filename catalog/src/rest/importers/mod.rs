//! The API Importers API: where definitions come from.

mod collectors;
mod imports;
mod sources;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// Its operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(sources::list_sources, sources::create_source))
        .routes(routes!(
            sources::get_source,
            sources::update_source,
            sources::delete_source
        ))
        .routes(routes!(sources::sync_source))
        .routes(routes!(
            collectors::list_registration_tokens,
            collectors::create_registration_token
        ))
        .routes(routes!(collectors::revoke_registration_token))
        .routes(routes!(collectors::list_collectors))
        .routes(routes!(collectors::revoke_collector))
        .routes(routes!(imports::import_document))
}
