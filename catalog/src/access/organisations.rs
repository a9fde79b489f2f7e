//! Organisations: worlds of their own on one catalog.
//!
//! In: names. Out: organisations, and which of them a user is in. They are made on the machine itself; nobody of one organisation
//! learns that there is another.

use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::{Actor, Permission, Via};
use crate::audit::{self, Entry};
use crate::ids::{OrganisationId, UserId};
use crate::store::Store;
use crate::{Millis, Refusal};

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its id.
    pub id: OrganisationId,
    /// What people call it.
    pub name: String,
    /// Since when it is there.
    pub created_at: Millis,
}

/// A name that people give: trimmed, 1 to 100 characters, on one line.
///
/// # Errors
/// [`Refusal::Invalid`] with what is wrong.
pub(crate) fn name_of(field: &'static str, name: &str) -> Result<String, Refusal> {
    const LONGEST: usize = 100;
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 {
        return Err(Refusal::invalid(field, "it is empty"));
    }
    if length > LONGEST {
        return Err(Refusal::invalid(
            field,
            format!("it has {length} characters; at most {LONGEST} are taken"),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            field,
            "it has line breaks or other control characters",
        ));
    }
    Ok(name.to_owned())
}

/// Makes one, within the transaction that makes its owner too.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    name: &str,
    now: Millis,
) -> Result<Organisation, Refusal> {
    let name = name_of("name", name)?;
    let id = OrganisationId::make(now);
    sqlx::query("INSERT INTO organisations (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.as_str())
        .bind(&name)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    let actor = Actor::command_line(id.clone());
    let entry = Entry {
        action: "organisation.create",
        subject: "organisation",
        id: id.as_str(),
        name: &name,
        details: json!({}),
    };
    audit::record(connection, &actor, entry, now).await?;
    Ok(Organisation {
        id,
        name,
        created_at: now,
    })
}

/// Whether there is one, within the transaction that makes the first.
pub(super) async fn is_any(connection: &mut AnyConnection) -> Result<bool, Refusal> {
    let row = sqlx::query("SELECT id FROM organisations LIMIT 1")
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// All of them. Only on the machine itself.
///
/// # Errors
/// When the database says no.
pub async fn all(store: &Store) -> Result<Vec<Organisation>, Refusal> {
    let rows =
        sqlx::query("SELECT id, name, created_at FROM organisations ORDER BY created_at, id")
            .fetch_all(store.pool())
            .await?;
    rows.iter().map(read).collect()
}

/// Those a user may come into.
///
/// # Errors
/// When the database says no.
pub async fn of_user(store: &Store, user: &UserId) -> Result<Vec<Organisation>, Refusal> {
    let rows = sqlx::query(
        "SELECT o.id, o.name, o.created_at FROM organisations o JOIN memberships m ON m.organisation_id = o.id \
         WHERE m.user_id = $1 AND m.active = 1 ORDER BY m.created_at, o.id",
    )
    .bind(user.as_str())
    .fetch_all(store.pool())
    .await?;
    rows.iter().map(read).collect()
}

/// The actor's own.
///
/// # Errors
/// When the database says no.
pub async fn current(store: &Store, actor: &Actor) -> Result<Organisation, Refusal> {
    let row = sqlx::query("SELECT id, name, created_at FROM organisations WHERE id = $1")
        .bind(actor.organisation.as_str())
        .fetch_optional(store.pool())
        .await?;
    row.as_ref().map_or_else(
        || {
            Err(Refusal::not_found(
                "organisation",
                actor.organisation.as_str(),
            ))
        },
        read,
    )
}

/// Gives it another name.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Invalid`].
pub async fn rename(store: &Store, actor: &Actor, name: &str, now: Millis) -> Result<(), Refusal> {
    actor.may(Permission::ManageOrganisation)?;
    let name = name_of("name", name)?;
    let before = current(store, actor).await?;
    let mut write = store.write().await?;
    sqlx::query("UPDATE organisations SET name = $1 WHERE id = $2")
        .bind(&name)
        .bind(actor.organisation.as_str())
        .execute(&mut *write)
        .await?;
    let entry = Entry {
        action: "organisation.rename",
        subject: "organisation",
        id: actor.organisation.as_str(),
        name: &name,
        details: json!({ "before": before.name }),
    };
    audit::record(&mut write, actor, entry, now).await?;
    write.commit().await?;
    Ok(())
}

/// Holds an organisation for the rest of the transaction: what is decided by counting its members stays true until it ends.
pub(super) async fn hold(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
) -> Result<(), Refusal> {
    sqlx::query("UPDATE organisations SET name = name WHERE id = $1")
        .bind(organisation.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

fn read(row: &sqlx::any::AnyRow) -> Result<Organisation, Refusal> {
    Ok(Organisation {
        id: OrganisationId::read(row.try_get(0)?)?,
        name: row.try_get(1)?,
        created_at: Millis(row.try_get(2)?),
    })
}

/// That somebody acts for themselves: what is made here would outlive who acts in another's name.
pub(super) fn oneself(actor: &Actor) -> Result<&UserId, Refusal> {
    match (&actor.user, actor.via) {
        (Some(user), Via::Session | Via::Key) => Ok(user),
        _ => Err(Refusal::Denied(
            "this is for users themselves; nobody can do it in another's name".to_owned(),
        )),
    }
}
