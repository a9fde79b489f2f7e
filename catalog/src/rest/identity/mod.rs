//! The Identity API: who may do what, and who did.

mod audit_log;
mod keys;
mod me;
mod organisations;
mod roles;
mod users;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// Its operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(me::get_me, me::update_me))
        .routes(routes!(users::list_users, users::invite_user))
        .routes(routes!(users::get_user, users::remove_user))
        .routes(routes!(users::set_role_of_user))
        .routes(routes!(users::set_user_active))
        .routes(routes!(users::reset_password_of_user))
        .routes(routes!(roles::list_roles, roles::create_role))
        .routes(routes!(
            roles::get_role,
            roles::update_role,
            roles::delete_role
        ))
        .routes(routes!(roles::list_permissions))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::get_key, keys::revoke_key))
        .routes(routes!(organisations::list_organisations))
        .routes(routes!(
            organisations::get_organisation,
            organisations::update_organisation
        ))
        .routes(routes!(audit_log::list_audit_log))
        .routes(routes!(audit_log::list_audit_actions))
}
