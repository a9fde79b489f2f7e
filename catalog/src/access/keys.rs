//! API keys: what programs come in with.
//!
//! In: a name and until when. Out: a secret that is shown once; only its hash is kept. A key is its user's: it may do what the
//! user may, and stops working with the user.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;

use super::organisations::{name_of, oneself};
use super::{Actor, Permission, Via, member};
use crate::audit::{self, Entry};
use crate::ids::{KeyId, UserId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store};
use crate::{Millis, Refusal, problems, random};

/// What keys begin with, so that scanners for leaked secrets and people recognise them.
const PREFIX: &str = "slk_";
/// Keys of one user that are valid at once.
const MOST: i64 = 50;
/// Between two notes of a key's use.
pub(super) const NOTE_USE_EVERY: Duration = Duration::from_secs(60);

/// A key, without the secret.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// Whose it is.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Since when.
    pub created_at: Millis,
    /// Until when; `None`: until it is revoked.
    pub expires_at: Option<Millis>,
    /// When it was last used, to the minute.
    pub used_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl Key {
    /// Whether it works.
    #[must_use]
    pub fn valid(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// A key that was just made.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub id: KeyId,
    /// Its first characters.
    pub prefix: String,
    /// The key itself: shown this once.
    pub secret: String,
}

/// Which keys to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of its name, its prefix or its user's address.
    pub text: Option<String>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Those that work at this time.
    pub valid_at: Option<Millis>,
}

/// What keys are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// When they were made.
    #[default]
    Created,
    /// Name.
    Name,
    /// When they were last used.
    Used,
    /// When they expire; those that never do come last.
    Expires,
}

/// Makes a key for the actor.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Denied`] in another's name, [`Refusal::Invalid`], [`Refusal::Conflict`] `too-many`.
pub async fn create(
    store: &Store,
    actor: &Actor,
    name: &str,
    expires_at: Option<Millis>,
    now: Millis,
) -> Result<Made, Refusal> {
    actor.may(Permission::OwnKeys)?;
    let user = oneself(actor)?.clone();
    insert(store, actor, &user, name, expires_at, now).await
}

/// Makes a key for a user. Only on the machine itself.
///
/// # Errors
/// As [`create`], and [`Refusal::NotFound`].
pub async fn create_for(
    store: &Store,
    actor: &Actor,
    user: &UserId,
    name: &str,
    expires_at: Option<Millis>,
    now: Millis,
) -> Result<Made, Refusal> {
    if actor.via != Via::CommandLine {
        return Err(Refusal::Denied(
            "a key for another user can be made on the machine itself only".to_owned(),
        ));
    }
    insert(store, actor, user, name, expires_at, now).await
}

async fn insert(
    store: &Store,
    actor: &Actor,
    user: &UserId,
    name: &str,
    expires_at: Option<Millis>,
    now: Millis,
) -> Result<Made, Refusal> {
    let name = name_of("name", name)?;
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Refusal::invalid("expiresAt", "it lies in the past"));
    }
    let secret = random::secret(PREFIX);
    let prefix: String = secret.chars().take(PREFIX.len() + 6).collect();
    let id = KeyId::make(now);
    let mut write = store.write().await?;
    let member = member::member(&mut write, &actor.organisation, user)
        .await?
        .ok_or_else(|| Refusal::not_found("user", user.as_str()))?;
    let there: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM api_keys WHERE user_id = $1 AND organisation_id = $2 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $3)",
    )
    .bind(user.as_str())
    .bind(actor.organisation.as_str())
    .bind(now.0)
    .fetch_one(&mut *write)
    .await?;
    if there >= MOST {
        return Err(Refusal::conflict(
            problems::TOO_MANY,
            "",
            format!(
                "{} has {there} keys that work; revoke one first, {MOST} are the most",
                member.email
            ),
        ));
    }
    sqlx::query(
        "INSERT INTO api_keys (id, organisation_id, user_id, name, prefix, hash, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.as_str())
    .bind(actor.organisation.as_str())
    .bind(user.as_str())
    .bind(&name)
    .bind(&prefix)
    .bind(random::fingerprint(&secret))
    .bind(now.0)
    .bind(expires_at.map(|at| at.0))
    .execute(&mut *write)
    .await?;
    let entry = Entry {
        action: "key.create",
        subject: "key",
        id: id.as_str(),
        name: &name,
        details: json!({ "user": member.email, "prefix": prefix, "expiresAt": expires_at.map(Millis::rfc3339) }),
    };
    audit::record(&mut write, actor, entry, now).await?;
    write.commit().await?;
    Ok(Made { id, prefix, secret })
}

const COLUMNS: &str = "k.id, k.name, k.prefix, k.user_id, u.email, k.created_at, k.expires_at, k.used_at, k.revoked_at";
const FROM: &str = "api_keys k JOIN users u ON u.id = k.user_id";

fn read(row: &sqlx::any::AnyRow) -> Result<Key, sqlx::Error> {
    let at =
        |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Millis));
    Ok(Key {
        id: KeyId::read(row.try_get(0)?)?,
        name: row.try_get(1)?,
        prefix: row.try_get(2)?,
        user: UserId::read(row.try_get(3)?)?,
        email: row.try_get(4)?,
        created_at: Millis(row.try_get(5)?),
        expires_at: at(6)?,
        used_at: at(7)?,
        revoked_at: at(8)?,
    })
}

/// Keys: everybody's for who may view users, else one's own.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &Filter,
    order: (Order, Direction),
    page: Page,
) -> Result<PageOf<Key>, Refusal> {
    let mut conditions = Conditions::default();
    conditions.and(
        "k.organisation_id = ?",
        [actor.organisation.to_string().into()],
    );
    if !actor.permissions.has(Permission::ViewUsers) {
        actor.may(Permission::OwnKeys)?;
        let own = actor.user.as_ref().map_or("", UserId::as_str);
        conditions.and("k.user_id = ?", [own.into()]);
    }
    if let Some(user) = &filter.user {
        conditions.and("k.user_id = ?", [user.as_str().into()]);
    }
    if let Some(text) = &filter.text {
        conditions.and_like(
            "lower(k.name) LIKE ? ESCAPE '!' OR lower(k.prefix) LIKE ? ESCAPE '!' OR u.email LIKE ? ESCAPE '!'",
            text,
        );
    }
    if let Some(now) = filter.valid_at {
        conditions.and(
            "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?)",
            [now.into()],
        );
    }
    let listing = Listing {
        columns: COLUMNS,
        from: FROM,
        conditions,
        order: match order.0 {
            Order::Created => "k.created_at",
            Order::Name => "lower(k.name)",
            Order::Used => "COALESCE(k.used_at, 0)",
            Order::Expires => "COALESCE(k.expires_at, 9223372036854775807)",
        },
        direction: order.1,
        tie: "k.id",
    };
    listing.page(store, page, read).await
}

/// One key: one's own, or any for who may view users.
///
/// # Errors
/// [`Refusal::NotFound`], for those of others too where they may not be viewed.
pub async fn get(store: &Store, actor: &Actor, id: &KeyId) -> Result<Key, Refusal> {
    let missing = || Refusal::not_found("key", id.as_str());
    let text = format!("SELECT {COLUMNS} FROM {FROM} WHERE k.id = $1 AND k.organisation_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(id.as_str())
        .bind(actor.organisation.as_str())
        .fetch_optional(store.pool())
        .await?
        .ok_or_else(missing)?;
    let key = read(&row)?;
    if actor.user.as_ref() != Some(&key.user) && !actor.permissions.has(Permission::ViewUsers) {
        return Err(missing());
    }
    Ok(key)
}

/// Makes a key useless, from now on and for ever. One's own, or any for who manages users.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn revoke(store: &Store, actor: &Actor, id: &KeyId, now: Millis) -> Result<(), Refusal> {
    let key = get(store, actor, id).await?;
    if actor.user.as_ref() == Some(&key.user) {
        actor.may(Permission::OwnKeys)?;
    } else {
        actor.may(Permission::ManageUsers)?;
    }
    let mut write = store.write().await?;
    let revoked =
        sqlx::query("UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
            .bind(now.0)
            .bind(id.as_str())
            .execute(&mut *write)
            .await?;
    if revoked.rows_affected() > 0 {
        let entry = Entry {
            action: "key.revoke",
            subject: "key",
            id: id.as_str(),
            name: &key.name,
            details: json!({ "user": key.email, "prefix": key.prefix }),
        };
        audit::record(&mut write, actor, entry, now).await?;
        write.commit().await?;
    }
    Ok(())
}
