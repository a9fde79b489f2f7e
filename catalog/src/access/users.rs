//! The users of an organisation.
//!
//! In: addresses and roles. Out: members, and passwords that are shown once. Nobody manages who may do more than they; the last
//! active owner stays; nobody shuts themselves out. An account that is in other organisations too keeps its password: one
//! organisation does not decide for another.

use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::member::{self, Member, RoleName};
use super::organisations::{self, hold, name_of};
use super::password::{self, Passwords};
use super::{Actor, BuiltInRole, Permission, roles};
use crate::audit::{self, Entry};
use crate::ids::{OrganisationId, UserId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store};
use crate::{Millis, Refusal, problems};

/// Which users to list; what is `None` takes all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of name or address.
    pub text: Option<String>,
    /// `owner`, …, or the id of a custom role.
    pub role: Option<String>,
    /// Active or not.
    pub active: Option<bool>,
}

/// What users are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Name.
    #[default]
    Name,
    /// Address.
    Email,
    /// When they joined.
    Joined,
    /// When they last signed in.
    SignedIn,
}

/// A user that was invited.
#[derive(Debug)]
pub struct Invited {
    /// The user.
    pub user: UserId,
    /// The password to hand over, to be changed at the first sign-in. `None` where the account was there already: then its
    /// password is the one it had.
    pub password: Option<String>,
}

/// Users of the actor's organisation.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &Filter,
    order: (Order, Direction),
    page: Page,
) -> Result<PageOf<Member>, Refusal> {
    actor.may(Permission::ViewUsers)?;
    let mut conditions = Conditions::default();
    conditions.and(
        "m.organisation_id = ?",
        [actor.organisation.to_string().into()],
    );
    if let Some(text) = &filter.text {
        conditions.and_like(
            "lower(u.name) LIKE ? ESCAPE '!' OR u.email LIKE ? ESCAPE '!'",
            text,
        );
    }
    if let Some(role) = &filter.role {
        conditions.and("m.role = ?", [role.as_str().into()]);
    }
    if let Some(active) = filter.active {
        conditions.and("m.active = ?", [active.into()]);
    }
    let listing = Listing {
        columns: member::COLUMNS,
        from: member::FROM,
        conditions,
        order: match order.0 {
            Order::Name => "lower(u.name)",
            Order::Email => "u.email",
            Order::Joined => "m.created_at",
            Order::SignedIn => "COALESCE(u.signed_in_at, 0)",
        },
        direction: order.1,
        tie: "u.id",
    };
    listing.page(store, page, member::read).await
}

/// One user of the actor's organisation. Everybody may look at themselves.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(store: &Store, actor: &Actor, user: &UserId) -> Result<Member, Refusal> {
    if actor.user.as_ref() != Some(user) {
        actor.may(Permission::ViewUsers)?;
    }
    let mut connection = store.pool().acquire().await?;
    found(&mut connection, &actor.organisation, user).await
}

/// Adds a user: a new account with a password that is shown once, or an account that is there already.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`], [`Refusal::Invalid`], [`Refusal::Conflict`] `already-member`.
pub async fn invite(
    store: &Store,
    passwords: &Passwords,
    actor: &Actor,
    new: New<'_>,
    now: Millis,
) -> Result<Invited, Refusal> {
    actor.may(Permission::ManageUsers)?;
    let email = email_of(new.email)?;
    let name = name_of(
        "name",
        if new.name.trim().is_empty() {
            &email
        } else {
            new.name
        },
    )?;
    let role = RoleName::parse(new.role)?;
    let (password, change) = match new.password {
        Some(password) => {
            password::check("password", password, &email)?;
            (password.to_owned(), false)
        }
        None => (crate::random::secret(""), true),
    };
    let hash = passwords.hash(&password).await?;

    let mut write = store.write().await?;
    let account = Account {
        email: &email,
        name: &name,
        hash: &hash,
        change,
    };
    let (user, made) = admit(&mut write, actor, account, &role, now).await?;
    write.commit().await?;
    Ok(Invited {
        user,
        password: (made && change).then_some(password),
    })
}

/// An account to be made where there is none of its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account<'a> {
    pub(super) email: &'a str,
    pub(super) name: &'a str,
    pub(super) hash: &'a str,
    /// Whether the password is to be changed.
    pub(super) change: bool,
}

/// Makes an account a member, and the account where there is none; tells whether there was none.
pub(super) async fn admit(
    connection: &mut AnyConnection,
    actor: &Actor,
    account: Account<'_>,
    role: &RoleName,
    now: Millis,
) -> Result<(UserId, bool), Refusal> {
    let Account {
        email,
        name,
        hash,
        change,
    } = account;
    hold(connection, &actor.organisation).await?;
    let (title, permissions) = roles::resolve(connection, actor, role)
        .await
        .map_err(no_such_role)?;
    roles::within(actor, &permissions)?;
    let there: Option<String> = sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
        .bind(email)
        .fetch_optional(&mut *connection)
        .await?;
    let made = there.is_none();
    let user = match there {
        Some(id) => UserId::read(&id)?,
        None => {
            let user = UserId::make(now);
            sqlx::query(
                "INSERT INTO users (id, email, name, password_hash, change_password, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(user.as_str())
            .bind(email)
            .bind(name)
            .bind(hash)
            .bind(i64::from(change))
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
            user
        }
    };
    if !made
        && member::member(connection, &actor.organisation, &user)
            .await?
            .is_some()
    {
        return Err(Refusal::conflict(
            problems::ALREADY_MEMBER,
            "email",
            format!("{email} is a user of this organisation already"),
        ));
    }
    sqlx::query("INSERT INTO memberships (user_id, organisation_id, role, active, created_at) VALUES ($1, $2, $3, 1, $4)")
        .bind(user.as_str())
        .bind(actor.organisation.as_str())
        .bind(role.as_str())
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    let details = json!({ "role": title });
    record(connection, actor, "user.invite", &user, email, details, now).await?;
    Ok((user, made))
}

/// A user to be.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Its address.
    pub email: &'a str,
    /// What people call it; empty: the address.
    pub name: &'a str,
    /// `owner`, …, or the id of a custom role.
    pub role: &'a str,
    /// A password that is known already, such as from a file on the machine; `None`: one is made, and is to be changed.
    pub password: Option<&'a str>,
}

/// Gives a user another role.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`], [`Refusal::NotFound`], [`Refusal::Invalid`].
pub async fn change_role(
    store: &Store,
    actor: &Actor,
    user: &UserId,
    role: &str,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageUsers)?;
    let role = RoleName::parse(role)?;
    let mut write = store.write().await?;
    let before = manageable(&mut write, actor, user).await?;
    let (title, permissions) = roles::resolve(&mut write, actor, &role)
        .await
        .map_err(no_such_role)?;
    roles::within(actor, &permissions)?;
    sqlx::query("UPDATE memberships SET role = $1 WHERE user_id = $2 AND organisation_id = $3")
        .bind(role.as_str())
        .bind(user.as_str())
        .bind(actor.organisation.as_str())
        .execute(&mut *write)
        .await?;
    an_owner_stays(&mut write, &actor.organisation).await?;
    let details = json!({ "role": title, "before": before.role_title });
    record(
        &mut write,
        actor,
        "user.role",
        user,
        &before.email,
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// Lets a user in, or no longer: then its sessions here end at once and its keys stop working here.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`], [`Refusal::NotFound`].
pub async fn set_active(
    store: &Store,
    actor: &Actor,
    user: &UserId,
    active: bool,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageUsers)?;
    let mut write = store.write().await?;
    let before = manageable(&mut write, actor, user).await?;
    if before.active == active {
        return Ok(());
    }
    sqlx::query("UPDATE memberships SET active = $1 WHERE user_id = $2 AND organisation_id = $3")
        .bind(i64::from(active))
        .bind(user.as_str())
        .bind(actor.organisation.as_str())
        .execute(&mut *write)
        .await?;
    an_owner_stays(&mut write, &actor.organisation).await?;
    if !active {
        end_sessions(&mut write, &actor.organisation, user).await?;
    }
    let action = if active {
        "user.activate"
    } else {
        "user.deactivate"
    };
    record(
        &mut write,
        actor,
        action,
        user,
        &before.email,
        json!({}),
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// Takes a user out of the organisation, with its sessions and keys here; the account goes with its last membership.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`], [`Refusal::NotFound`].
pub async fn remove(
    store: &Store,
    actor: &Actor,
    user: &UserId,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageUsers)?;
    let mut write = store.write().await?;
    let before = manageable(&mut write, actor, user).await?;
    end_sessions(&mut write, &actor.organisation, user).await?;
    let keys = sqlx::query("DELETE FROM api_keys WHERE user_id = $1 AND organisation_id = $2")
        .bind(user.as_str())
        .bind(actor.organisation.as_str())
        .execute(&mut *write)
        .await?
        .rows_affected();
    sqlx::query("DELETE FROM memberships WHERE user_id = $1 AND organisation_id = $2")
        .bind(user.as_str())
        .bind(actor.organisation.as_str())
        .execute(&mut *write)
        .await?;
    an_owner_stays(&mut write, &actor.organisation).await?;
    if memberships(&mut write, user).await? == 0 {
        for text in [
            "DELETE FROM sessions WHERE user_id = $1",
            "DELETE FROM users WHERE id = $1",
        ] {
            sqlx::query(text)
                .bind(user.as_str())
                .execute(&mut *write)
                .await?;
        }
    }
    let details = json!({ "role": before.role_title, "keys": keys });
    record(
        &mut write,
        actor,
        "user.remove",
        user,
        &before.email,
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// Makes a new password for a user who lost theirs; it is shown once and to be changed. All sessions of the user end.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Denied`] where the account is in another organisation too, unless on
/// the machine itself.
pub async fn reset_password(
    store: &Store,
    passwords: &Passwords,
    actor: &Actor,
    user: &UserId,
    now: Millis,
) -> Result<String, Refusal> {
    actor.may(Permission::ManageUsers)?;
    let password = crate::random::secret("");
    let hash = passwords.hash(&password).await?;
    let mut write = store.write().await?;
    let before = manageable(&mut write, actor, user).await?;
    if actor.via != super::Via::CommandLine && memberships(&mut write, user).await? > 1 {
        return Err(Refusal::Denied(format!(
            "the account {} is not this organisation's alone; its password can be changed by itself, or on the machine with \
             `silhouette-catalog user reset-password`",
            before.email
        )));
    }
    set_password(&mut write, user, &hash, true).await?;
    sqlx::query("DELETE FROM sessions WHERE user_id = $1")
        .bind(user.as_str())
        .execute(&mut *write)
        .await?;
    record(
        &mut write,
        actor,
        "user.reset-password",
        user,
        &before.email,
        json!({}),
        now,
    )
    .await?;
    write.commit().await?;
    Ok(password)
}

/// Changes one's own name.
///
/// # Errors
/// [`Refusal::Denied`] in another's name, [`Refusal::Invalid`].
pub async fn rename_oneself(
    store: &Store,
    actor: &Actor,
    name: &str,
    now: Millis,
) -> Result<(), Refusal> {
    let user = organisations::oneself(actor)?;
    let name = name_of("name", name)?;
    let mut write = store.write().await?;
    let before = found(&mut write, &actor.organisation, user).await?;
    sqlx::query("UPDATE users SET name = $1 WHERE id = $2")
        .bind(&name)
        .bind(user.as_str())
        .execute(&mut *write)
        .await?;
    let details = json!({ "name": name, "before": before.name });
    record(
        &mut write,
        actor,
        "user.rename",
        user,
        &before.email,
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// The id of the account with this address in the actor's organisation.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn by_email(store: &Store, actor: &Actor, email: &str) -> Result<UserId, Refusal> {
    actor.may(Permission::ViewUsers)?;
    let row = sqlx::query(
        "SELECT u.id FROM users u JOIN memberships m ON m.user_id = u.id WHERE u.email = $1 AND m.organisation_id = $2",
    )
    .bind(email.trim().to_lowercase())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("user", email))?;
    Ok(UserId::read(row.try_get(0)?)?)
}

pub(super) async fn set_password(
    connection: &mut AnyConnection,
    user: &UserId,
    hash: &str,
    change: bool,
) -> Result<(), Refusal> {
    sqlx::query("UPDATE users SET password_hash = $1, change_password = $2 WHERE id = $3")
        .bind(hash)
        .bind(i64::from(change))
        .bind(user.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// An e-mail address as it is kept: trimmed, lower case. Only what every address has is asked for: whether mail arrives is not
/// ours to know.
pub(super) fn email_of(text: &str) -> Result<String, Refusal> {
    let email = text.trim().to_lowercase();
    let good = email.len() <= 254
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if good {
        return Ok(email);
    }
    let shown: String = text.trim().chars().take(80).collect();
    Err(Refusal::invalid(
        "email",
        format!("`{shown}` is no e-mail address; one looks like name@example.com"),
    ))
}

async fn found(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    user: &UserId,
) -> Result<Member, Refusal> {
    member::member(connection, organisation, user)
        .await?
        .ok_or_else(|| Refusal::not_found("user", user.as_str()))
}

/// A user whom the actor may manage; holds the organisation for the rest of the transaction.
async fn manageable(
    connection: &mut AnyConnection,
    actor: &Actor,
    user: &UserId,
) -> Result<Member, Refusal> {
    hold(connection, &actor.organisation).await?;
    let member = found(connection, &actor.organisation, user).await?;
    if actor.user.as_ref() == Some(user) {
        return Err(Refusal::Denied(
            "nobody changes their own role or shuts themselves out; another user who manages users can".to_owned(),
        ));
    }
    roles::within(actor, &member.permissions)?;
    Ok(member)
}

async fn an_owner_stays(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
) -> Result<(), Refusal> {
    let owners: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM memberships WHERE organisation_id = $1 AND role = $2 AND active = 1",
    )
    .bind(organisation.as_str())
    .bind(BuiltInRole::Owner.name())
    .fetch_one(connection)
    .await?;
    if owners > 0 {
        return Ok(());
    }
    Err(Refusal::Denied(
        "this is the last active owner; make another user an owner first".to_owned(),
    ))
}

async fn memberships(connection: &mut AnyConnection, user: &UserId) -> Result<i64, Refusal> {
    Ok(
        sqlx::query_scalar("SELECT COUNT(*) FROM memberships WHERE user_id = $1")
            .bind(user.as_str())
            .fetch_one(connection)
            .await?,
    )
}

async fn end_sessions(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    user: &UserId,
) -> Result<(), Refusal> {
    sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND organisation_id = $2")
        .bind(user.as_str())
        .bind(organisation.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// A role in a body that is not there is the body's fault, not a missing page.
fn no_such_role(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotFound { id, .. } => Refusal::invalid("role", format!("there is no role {id}")),
        other => other,
    }
}

async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    user: &UserId,
    email: &str,
    details: serde_json::Value,
    now: Millis,
) -> Result<(), Refusal> {
    let entry = Entry {
        action,
        subject: "user",
        id: user.as_str(),
        name: email,
        details,
    };
    audit::record(connection, actor, entry, now).await
}
