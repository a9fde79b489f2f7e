//! Roles an organisation makes itself.
//!
//! In: a name and permissions. Out: a role that users can be given. Nobody makes, changes or gives a role that allows more than
//! their own.

use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::member::RoleName;
use super::organisations::name_of;
use super::{Actor, BuiltInRole, Permission, Permissions};
use crate::audit::{self, Entry};
use crate::ids::RoleId;
use crate::store::{Store, is_taken};
use crate::{Millis, Refusal, problems};

/// Custom roles of one organisation.
const MOST: i64 = 100;

/// A role that users can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `owner`, …, or the id of a custom role: what [`super::users::change_role`] takes.
    pub key: String,
    /// As people read it.
    pub title: String,
    /// Whether it is always there and cannot be changed.
    pub built_in: bool,
    /// What it allows.
    pub permissions: Permissions,
    /// Users who have it.
    pub users: u64,
}

/// Whether the actor may give, take or change what allows this much.
///
/// # Errors
/// [`Refusal::Denied`] naming what the actor itself may not do.
pub(super) fn within(actor: &Actor, permissions: &Permissions) -> Result<(), Refusal> {
    let beyond: Vec<&str> = permissions
        .iter()
        .filter(|permission| !actor.permissions.has(*permission))
        .map(Permission::title)
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    Err(Refusal::Denied(format!(
        "nobody can give, take or change more than they may do themselves; {} may not: {}",
        actor.role,
        beyond.join(", ")
    )))
}

/// All roles: the built-in ones, the mightiest first, then custom ones by name.
///
/// # Errors
/// [`Refusal::Forbidden`] without the permission to view users.
pub async fn list(store: &Store, actor: &Actor) -> Result<Vec<Role>, Refusal> {
    actor.may(Permission::ViewUsers)?;
    let organisation = actor.organisation.as_str();
    let counted = sqlx::query(
        "SELECT role, COUNT(*) FROM memberships WHERE organisation_id = $1 GROUP BY role",
    )
    .bind(organisation)
    .fetch_all(store.pool())
    .await?;
    let mut users = std::collections::HashMap::new();
    for row in &counted {
        users.insert(row.try_get::<String, _>(0)?, row.try_get::<i64, _>(1)?);
    }
    let mut count = |key: &str| u64::try_from(users.remove(key).unwrap_or(0)).unwrap_or(0);
    let mut roles: Vec<Role> = BuiltInRole::ALL
        .into_iter()
        .map(|role| Role {
            key: role.name().to_owned(),
            title: role.title().to_owned(),
            built_in: true,
            permissions: role.permissions(),
            users: count(role.name()),
        })
        .collect();
    let custom = sqlx::query("SELECT id, name, permissions FROM roles WHERE organisation_id = $1 ORDER BY lower(name), id")
        .bind(organisation)
        .fetch_all(store.pool())
        .await?;
    for row in &custom {
        let key: String = row.try_get(0)?;
        roles.push(Role {
            title: row.try_get(1)?,
            built_in: false,
            permissions: Permissions::from_text(row.try_get(2)?),
            users: count(&key),
            key,
        });
    }
    Ok(roles)
}

/// Makes a custom role.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`], [`Refusal::Invalid`], [`Refusal::Conflict`] `name-taken`.
pub async fn create(
    store: &Store,
    actor: &Actor,
    name: &str,
    permissions: &Permissions,
    now: Millis,
) -> Result<RoleId, Refusal> {
    actor.may(Permission::ManageUsers)?;
    within(actor, permissions)?;
    let name = title_of(name, permissions)?;
    let id = RoleId::make(now);
    let mut write = store.write().await?;
    let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM roles WHERE organisation_id = $1")
        .bind(actor.organisation.as_str())
        .fetch_one(&mut *write)
        .await?;
    if there >= MOST {
        return Err(Refusal::conflict(
            problems::TOO_MANY,
            "",
            format!("there are {there} custom roles; an organisation has at most {MOST}"),
        ));
    }
    free(&mut write, actor, &name, None).await?;
    sqlx::query("INSERT INTO roles (id, organisation_id, name, permissions, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(id.as_str())
        .bind(actor.organisation.as_str())
        .bind(&name)
        .bind(permissions.to_text())
        .bind(now.0)
        .execute(&mut *write)
        .await
        .map_err(|error| if is_taken(&error) { taken(&name) } else { error.into() })?;
    let details = json!({ "permissions": permissions.to_text() });
    record(&mut write, actor, "role.create", &id, &name, details, now).await?;
    write.commit().await?;
    Ok(id)
}

/// Changes name and permissions of a custom role; who has it may do so much from now on.
///
/// # Errors
/// As [`create`], and [`Refusal::NotFound`].
pub async fn update(
    store: &Store,
    actor: &Actor,
    id: &RoleId,
    name: &str,
    permissions: &Permissions,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageUsers)?;
    let name = title_of(name, permissions)?;
    let mut write = store.write().await?;
    let (before_name, before) = custom(&mut write, actor, id).await?;
    within(actor, &before)?;
    within(actor, permissions)?;
    free(&mut write, actor, &name, Some(id)).await?;
    sqlx::query(
        "UPDATE roles SET name = $1, permissions = $2 WHERE id = $3 AND organisation_id = $4",
    )
    .bind(&name)
    .bind(permissions.to_text())
    .bind(id.as_str())
    .bind(actor.organisation.as_str())
    .execute(&mut *write)
    .await
    .map_err(|error| {
        if is_taken(&error) {
            taken(&name)
        } else {
            error.into()
        }
    })?;
    let details = json!({
        "permissions": permissions.to_text(), "before": { "name": before_name, "permissions": before.to_text() }
    });
    record(&mut write, actor, "role.update", id, &name, details, now).await?;
    write.commit().await?;
    Ok(())
}

/// Deletes a custom role that nobody has.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`], [`Refusal::NotFound`], [`Refusal::Conflict`] `role-in-use`.
pub async fn delete(store: &Store, actor: &Actor, id: &RoleId, now: Millis) -> Result<(), Refusal> {
    actor.may(Permission::ManageUsers)?;
    let mut write = store.write().await?;
    super::organisations::hold(&mut write, &actor.organisation).await?;
    let (name, permissions) = custom(&mut write, actor, id).await?;
    within(actor, &permissions)?;
    let users: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM memberships WHERE organisation_id = $1 AND role = $2",
    )
    .bind(actor.organisation.as_str())
    .bind(id.as_str())
    .fetch_one(&mut *write)
    .await?;
    if users > 0 {
        return Err(Refusal::conflict(
            problems::ROLE_IN_USE,
            "",
            format!("the role {name} is given to {users} users; give them another one first"),
        ));
    }
    sqlx::query("DELETE FROM roles WHERE id = $1 AND organisation_id = $2")
        .bind(id.as_str())
        .bind(actor.organisation.as_str())
        .execute(&mut *write)
        .await?;
    record(&mut write, actor, "role.delete", id, &name, json!({}), now).await?;
    write.commit().await?;
    Ok(())
}

/// Title and permissions of a role of the actor's organisation.
pub(super) async fn resolve(
    connection: &mut AnyConnection,
    actor: &Actor,
    role: &RoleName,
) -> Result<(String, Permissions), Refusal> {
    match role {
        RoleName::BuiltIn(role) => Ok((role.title().to_owned(), role.permissions())),
        RoleName::Custom(id) => custom(connection, actor, id).await,
    }
}

async fn custom(
    connection: &mut AnyConnection,
    actor: &Actor,
    id: &RoleId,
) -> Result<(String, Permissions), Refusal> {
    let row =
        sqlx::query("SELECT name, permissions FROM roles WHERE id = $1 AND organisation_id = $2")
            .bind(id.as_str())
            .bind(actor.organisation.as_str())
            .fetch_optional(connection)
            .await?
            .ok_or_else(|| Refusal::not_found("role", id.as_str()))?;
    Ok((row.try_get(0)?, Permissions::from_text(row.try_get(1)?)))
}

fn title_of(name: &str, permissions: &Permissions) -> Result<String, Refusal> {
    let name = name_of("name", name)?;
    if BuiltInRole::ALL.iter().any(|role| {
        role.title().eq_ignore_ascii_case(&name) || role.name().eq_ignore_ascii_case(&name)
    }) {
        return Err(taken(&name));
    }
    if permissions.iter().next().is_none() {
        return Err(Refusal::invalid(
            "permissions",
            "there is none; a role allows something, users who may do nothing are deactivated",
        ));
    }
    Ok(name)
}

/// Names differ by more than case: they are told apart by people.
async fn free(
    connection: &mut AnyConnection,
    actor: &Actor,
    name: &str,
    except: Option<&RoleId>,
) -> Result<(), Refusal> {
    let others: Vec<String> =
        sqlx::query_scalar("SELECT name FROM roles WHERE organisation_id = $1 AND id <> $2")
            .bind(actor.organisation.as_str())
            .bind(except.map_or("", RoleId::as_str))
            .fetch_all(connection)
            .await?;
    if others
        .iter()
        .any(|other| other.to_lowercase() == name.to_lowercase())
    {
        return Err(taken(name));
    }
    Ok(())
}

fn taken(name: &str) -> Refusal {
    Refusal::conflict(
        problems::NAME_TAKEN,
        "name",
        format!("there is a role {name} already; choose another name"),
    )
}

async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    id: &RoleId,
    name: &str,
    details: serde_json::Value,
    now: Millis,
) -> Result<(), Refusal> {
    let entry = Entry {
        action,
        subject: "role",
        id: id.as_str(),
        name,
        details,
    };
    audit::record(connection, actor, entry, now).await
}
