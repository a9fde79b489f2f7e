//! A user's membership in one organisation, with what its role allows.
//!
//! In: ids. Out: a [`Member`] as the tables have it. Asks for no permission: it is what permissions are found by.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{BuiltInRole, Permissions};
use crate::ids::{OrganisationId, RoleId, UserId};
use crate::{Millis, Refusal};

/// A role as a membership names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    /// One that every organisation has.
    BuiltIn(BuiltInRole),
    /// One an organisation made.
    Custom(RoleId),
}

impl RoleName {
    /// As it is stored and as the REST API writes it: `owner`, …, or the id of a custom role.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for what is neither.
    pub fn parse(text: &str) -> Result<RoleName, Refusal> {
        if let Some(role) = BuiltInRole::parse(text) {
            return Ok(RoleName::BuiltIn(role));
        }
        RoleId::parse(text).map(RoleName::Custom).map_err(|_| {
            let names: Vec<&str> = BuiltInRole::ALL.iter().map(|role| role.name()).collect();
            let text: String = text.chars().take(80).collect();
            Refusal::invalid(
                "role",
                format!(
                    "`{text}` is no role; want {} or the id of a custom role",
                    names.join(", ")
                ),
            )
        })
    }

    /// As [`RoleName::parse`] reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            RoleName::BuiltIn(role) => role.name(),
            RoleName::Custom(id) => id.as_str(),
        }
    }
}

/// A user in an organisation.
#[derive(Debug, Clone)]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// Its address, lower case; what it signs in with.
    pub email: String,
    /// What people call it.
    pub name: String,
    /// `owner`, …, or the id of a custom role.
    pub role: String,
    /// The role as people read it.
    pub role_title: String,
    /// What the role allows.
    pub permissions: Permissions,
    /// Whether it may come in. Only this organisation's decision.
    pub active: bool,
    /// Whether the password was made by somebody else and is to be changed.
    pub must_change_password: bool,
    /// When it joined.
    pub joined_at: Millis,
    /// When it last signed in, to whichever organisation.
    pub signed_in_at: Option<Millis>,
}

pub(super) const COLUMNS: &str = "u.id, u.email, u.name, m.role, m.active, u.change_password, m.created_at, u.signed_in_at, r.name, \
     r.permissions";
pub(super) const FROM: &str = "memberships m JOIN users u ON u.id = m.user_id \
     LEFT JOIN roles r ON r.id = m.role AND r.organisation_id = m.organisation_id";

pub(super) fn read(row: &AnyRow) -> Result<Member, sqlx::Error> {
    let role: String = row.try_get(3)?;
    let (role_title, permissions) = match BuiltInRole::parse(&role) {
        Some(built_in) => (built_in.title().to_owned(), built_in.permissions()),
        None => {
            let permissions: Option<String> = row.try_get(9)?;
            (
                row.try_get::<Option<String>, _>(8)?.unwrap_or_default(),
                Permissions::from_text(&permissions.unwrap_or_default()),
            )
        }
    };
    Ok(Member {
        user: UserId::read(row.try_get(0)?)?,
        email: row.try_get(1)?,
        name: row.try_get(2)?,
        role,
        role_title,
        permissions,
        active: row.try_get::<i64, _>(4)? != 0,
        must_change_password: row.try_get::<i64, _>(5)? != 0,
        joined_at: Millis(row.try_get(6)?),
        signed_in_at: row.try_get::<Option<i64>, _>(7)?.map(Millis),
    })
}

/// A user of an organisation, active or not.
///
/// # Errors
/// When the database says no.
pub async fn member(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    user: &UserId,
) -> Result<Option<Member>, Refusal> {
    let text =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE m.organisation_id = $1 AND m.user_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(organisation.as_str())
        .bind(user.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}
