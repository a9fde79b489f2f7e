//! The External Scan API: what scanners found.

mod findings;
mod reports;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// Its operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(reports::list_scans, reports::import_scan))
        .routes(routes!(reports::get_scan))
        .routes(routes!(findings::list_findings))
        .routes(routes!(findings::get_finding))
}
