//! Settings: profile, users, roles, API keys, the organisation; and the audit log.

use askama::Template;

use super::api::Tab;
use super::filter_form::FilterForm;
use super::shell::Shell;
use super::{Choice, Empty, Field, Heading, Pager, When, filters};

/// One's own name, password and sessions.
#[derive(Debug, Template)]
#[template(path = "settings-profile.html")]
pub(crate) struct Profile {
    pub(crate) shell: Shell,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) error: String,
    pub(crate) must_change: bool,
    pub(crate) email: String,
    pub(crate) name: Field,
    pub(crate) current: Field,
    pub(crate) new: Field,
    pub(crate) again: Field,
    pub(crate) places: Vec<PlaceRow>,
}

/// Where one is signed in.
#[derive(Debug)]
pub(crate) struct PlaceRow {
    pub(crate) agent: String,
    pub(crate) address: String,
    pub(crate) since: When,
    pub(crate) used: When,
    pub(crate) current: bool,
}

/// A secret that is shown once.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) secret: String,
}

/// Users.
#[derive(Debug, Template)]
#[template(path = "settings-users.html")]
pub(crate) struct Users {
    pub(crate) shell: Shell,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) error: String,
    pub(crate) made: Option<Secret>,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) users: Vec<UserRow>,
    pub(crate) pager: Pager,
    pub(crate) manage: bool,
    pub(crate) email: Field,
    pub(crate) name: Field,
    pub(crate) roles: Vec<Choice>,
}

/// One user.
#[derive(Debug)]
pub(crate) struct UserRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) roles: Vec<Choice>,
    pub(crate) oneself: bool,
    pub(crate) active: bool,
    pub(crate) must_change: bool,
    pub(crate) joined: When,
    pub(crate) signed_in: Option<When>,
}

/// Roles.
#[derive(Debug, Template)]
#[template(path = "settings-roles.html")]
pub(crate) struct Roles {
    pub(crate) shell: Shell,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) error: String,
    pub(crate) roles: Vec<RoleRow>,
    pub(crate) manage: bool,
    pub(crate) name: Field,
    pub(crate) permissions: Vec<Choice>,
}

/// One role.
#[derive(Debug)]
pub(crate) struct RoleRow {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) built_in: bool,
    pub(crate) users: String,
    pub(crate) permissions: Vec<Choice>,
}

/// API keys.
#[derive(Debug, Template)]
#[template(path = "settings-keys.html")]
pub(crate) struct Keys {
    pub(crate) shell: Shell,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) error: String,
    pub(crate) made: Option<Secret>,
    pub(crate) headings: Vec<Heading>,
    pub(crate) keys: Vec<KeyRow>,
    pub(crate) pager: Pager,
    pub(crate) may_make: bool,
    pub(crate) name: Field,
    pub(crate) empty: Empty,
}

/// One key.
#[derive(Debug)]
pub(crate) struct KeyRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) email: String,
    pub(crate) created: When,
    pub(crate) expires: Option<When>,
    pub(crate) used: Option<When>,
    /// `revoked`, `expired` or empty.
    pub(crate) state: &'static str,
    pub(crate) revocable: bool,
}

/// The organisation.
#[derive(Debug, Template)]
#[template(path = "settings-organisation.html")]
pub(crate) struct OrganisationPart {
    pub(crate) shell: Shell,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) error: String,
    pub(crate) id: String,
    pub(crate) created: When,
    pub(crate) name: Field,
    pub(crate) manage: bool,
}

/// The audit log.
#[derive(Debug, Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditLog {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) entries: Vec<AuditRow>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// One entry.
#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) at: When,
    pub(crate) actor: String,
    pub(crate) via: String,
    pub(crate) address: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) details: Vec<(String, String)>,
    pub(crate) correlation: String,
}
