//! Coming in: with a password or a session. With an API key: [`super::entry`].
//!
//! In: what a request brings along. Out: an [`Actor`], or a refusal that does not tell what was wrong with it. Only hashes of
//! secrets are looked up, so that a lookup's time tells nothing of a secret.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;

use super::keys::NOTE_USE_EVERY;
use super::member::{self, Member};
use super::password::{self, Passwords};
use super::throttle::Throttle;
use super::{Actor, Permissions, Via, organisations, users};
use crate::audit::{self, Entry};
use crate::ids::{OrganisationId, UserId};
use crate::store::Store;
use crate::{Millis, Refusal, random};

pub use super::entry::WithKey;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Without use.
    pub idle: Duration,
    /// At most, however much they are used.
    pub absolute: Duration,
}

impl Default for Lifetimes {
    fn default() -> Lifetimes {
        Lifetimes {
            idle: Duration::from_secs(12 * 3600),
            absolute: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Lets in who may come in. One for the whole service: it remembers who tried.
#[derive(Debug)]
pub struct Door {
    passwords: Passwords,
    throttle: Throttle,
    lifetimes: Lifetimes,
}

/// What a sign-in brings along.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// As it was typed.
    pub email: &'a str,
    /// As it was typed.
    pub password: &'a str,
    /// The peer's address, behind trusted proxies the client's.
    pub address: &'a str,
    /// `User-Agent`, for people to recognise their sessions by.
    pub agent: &'a str,
}

/// A session, as the pages need it.
#[derive(Debug, Clone)]
pub struct Session {
    /// What every form must carry.
    pub csrf: String,
    /// The user.
    pub user: UserId,
    /// Its address.
    pub email: String,
    /// What people call it.
    pub name: String,
    /// Which organisation it is in at the moment.
    pub organisation: OrganisationId,
    /// Whether the password was made by somebody else: until it is changed the actor may do nothing.
    pub must_change_password: bool,
    /// When it ends whatever happens.
    pub expires_at: Millis,
}

/// Somebody who signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// For the cookie, and nowhere else.
    pub secret: String,
    /// The session.
    pub session: Session,
}

/// Where a user is signed in.
#[derive(Debug, Clone)]
pub struct Place {
    /// Since when.
    pub created_at: Millis,
    /// When it was last used, to the minute.
    pub seen_at: Millis,
    /// From where it was begun.
    pub address: String,
    /// With what.
    pub agent: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl Door {
    /// A door that remembers nobody.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when passwords cannot be hashed here.
    pub fn new(lifetimes: Lifetimes) -> Result<Door, Refusal> {
        Ok(Door {
            passwords: Passwords::new()?,
            throttle: Throttle::default(),
            lifetimes,
        })
    }

    /// What hashes passwords.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Signs a user in, to the organisation it joined first of those where it is active.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`], the same whatever was wrong; [`Refusal::TooMany`].
    pub async fn sign_in(
        &self,
        store: &Store,
        attempt: Attempt<'_>,
        now: Millis,
    ) -> Result<SignedIn, Refusal> {
        let Attempt {
            email,
            password,
            address,
            agent,
        } = attempt;
        let email = email.trim().to_lowercase();
        self.throttle
            .begin(&email, address, now)
            .map_err(|wait| Refusal::TooMany {
                seconds: wait.as_secs().max(1),
            })?;
        let account = sqlx::query("SELECT id, password_hash FROM users WHERE email = $1")
            .bind(&email)
            .fetch_optional(store.pool())
            .await?;
        let account = match &account {
            Some(row) => Some((UserId::read(row.try_get(0)?)?, row.try_get::<String, _>(1)?)),
            None => None,
        };
        let kept = account.as_ref().map(|(_, hash)| hash.as_str());
        let fits = self.passwords.fits(password, kept).await?;
        let Some((user, _)) = account else {
            tracing::warn!(address, "a sign-in failed: there is no such account");
            return Err(wrong());
        };
        let organisation = organisations::of_user(store, &user)
            .await?
            .into_iter()
            .next();
        let Some(organisation) = organisation.filter(|_| fits) else {
            tracing::warn!(address, %email, "a sign-in failed");
            // Beside the answer: how long it takes must not tell that there is such an account.
            let noting = note_failure(store.clone(), user, email, address.to_owned(), now);
            tokio::spawn(async move {
                if let Err(error) = noting.await {
                    tracing::error!(%error, "a sign-in that failed cannot be written to the audit log");
                }
            });
            return Err(wrong());
        };
        self.throttle.succeeded(&email, address);

        let secret = random::secret("");
        let csrf = random::secret("");
        let agent: String = agent.chars().take(200).collect();
        let expires_at = now.plus(self.lifetimes.absolute);
        let mut write = store.write().await?;
        let member = member::member(&mut write, &organisation.id, &user)
            .await?
            .filter(|member| member.active)
            .ok_or_else(wrong)?;
        // Sessions nobody ended are cleared away by those who begin one.
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR seen_at <= $2")
            .bind(now.0)
            .bind(now.0.saturating_sub(millis(self.lifetimes.idle)))
            .execute(&mut *write)
            .await?;
        sqlx::query(
            "INSERT INTO sessions (hash, user_id, organisation_id, csrf, created_at, seen_at, expires_at, address, agent) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(random::fingerprint(&secret))
        .bind(user.as_str())
        .bind(organisation.id.as_str())
        .bind(&csrf)
        .bind(now.0)
        .bind(now.0)
        .bind(expires_at.0)
        .bind(address)
        .bind(&agent)
        .execute(&mut *write)
        .await?;
        sqlx::query("UPDATE users SET signed_in_at = $1 WHERE id = $2")
            .bind(now.0)
            .bind(user.as_str())
            .execute(&mut *write)
            .await?;
        let session = Session {
            csrf,
            user: user.clone(),
            email: member.email.clone(),
            name: member.name.clone(),
            organisation: organisation.id.clone(),
            must_change_password: member.must_change_password,
            expires_at,
        };
        let actor = actor_of(&member, &organisation.id, Via::Session, "", address);
        let details = json!({ "agent": agent });
        record(
            &mut write,
            &actor,
            "session.begin",
            &user,
            &email,
            details,
            now,
        )
        .await?;
        write.commit().await?;
        Ok(SignedIn { secret, session })
    }

    /// Whose session it is, and what they may do. Until a password that somebody else made is changed they may do nothing.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] when it is none, has ended, or its user may no longer come in.
    pub async fn actor_of_session(
        &self,
        store: &Store,
        secret: &str,
        correlation: &str,
        address: &str,
        now: Millis,
    ) -> Result<(Actor, Session), Refusal> {
        let ended =
            || Refusal::Unauthenticated("nobody is signed in, or the session has ended".to_owned());
        let hash = random::fingerprint(secret);
        let row = sqlx::query("SELECT user_id, organisation_id, csrf, seen_at, expires_at FROM sessions WHERE hash = $1")
            .bind(&hash)
            .fetch_optional(store.pool())
            .await?
            .ok_or_else(ended)?;
        let user = UserId::read(row.try_get(0)?)?;
        let organisation = OrganisationId::read(row.try_get(1)?)?;
        let (seen_at, expires_at) = (Millis(row.try_get(3)?), Millis(row.try_get(4)?));
        if now >= expires_at || now.since(seen_at) >= self.lifetimes.idle {
            return Err(ended());
        }
        let member = active(store, &organisation, &user)
            .await?
            .ok_or_else(ended)?;
        if now.since(seen_at) >= NOTE_USE_EVERY {
            let mut write = store.write().await?;
            sqlx::query("UPDATE sessions SET seen_at = $1 WHERE hash = $2 AND seen_at < $1")
                .bind(now.0)
                .bind(&hash)
                .execute(&mut *write)
                .await?;
            write.commit().await?;
        }
        let mut actor = actor_of(&member, &organisation, Via::Session, correlation, address);
        if member.must_change_password {
            actor.permissions = Permissions::default();
            "user whose password is to be changed first".clone_into(&mut actor.role);
        }
        let session = Session {
            csrf: row.try_get(2)?,
            user,
            email: member.email,
            name: member.name,
            organisation,
            must_change_password: member.must_change_password,
            expires_at,
        };
        Ok((actor, session))
    }

    /// Ends a session. Ending what has ended is no error.
    ///
    /// # Errors
    /// When the database says no.
    pub async fn sign_out(
        &self,
        store: &Store,
        actor: &Actor,
        secret: &str,
        now: Millis,
    ) -> Result<(), Refusal> {
        self.end(store, actor, Some(secret), "session.end", now)
            .await
    }

    /// Ends all sessions of the actor's user, this one too.
    ///
    /// # Errors
    /// When the database says no.
    pub async fn sign_out_everywhere(
        &self,
        store: &Store,
        actor: &Actor,
        now: Millis,
    ) -> Result<(), Refusal> {
        self.end(store, actor, None, "session.end-all", now).await
    }

    async fn end(
        &self,
        store: &Store,
        actor: &Actor,
        secret: Option<&str>,
        action: &'static str,
        now: Millis,
    ) -> Result<(), Refusal> {
        let user = organisations::oneself(actor)?;
        let mut write = store.write().await?;
        let ended = match secret {
            Some(secret) => {
                sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND hash = $2")
                    .bind(user.as_str())
                    .bind(random::fingerprint(secret))
                    .execute(&mut *write)
                    .await?
            }
            None => {
                sqlx::query("DELETE FROM sessions WHERE user_id = $1")
                    .bind(user.as_str())
                    .execute(&mut *write)
                    .await?
            }
        };
        if ended.rows_affected() > 0 {
            let details = json!({ "sessions": ended.rows_affected() });
            record(&mut write, actor, action, user, &actor.name, details, now).await?;
            write.commit().await?;
        }
        Ok(())
    }

    /// Where the actor's user is signed in, the latest first; at most 100.
    ///
    /// # Errors
    /// [`Refusal::Denied`] in another's name.
    pub async fn places(
        &self,
        store: &Store,
        actor: &Actor,
        secret: &str,
        now: Millis,
    ) -> Result<Vec<Place>, Refusal> {
        let user = organisations::oneself(actor)?;
        let current = random::fingerprint(secret);
        let rows = sqlx::query(
            "SELECT created_at, seen_at, address, agent, hash FROM sessions WHERE user_id = $1 AND expires_at > $2 \
             AND seen_at > $3 ORDER BY seen_at DESC, hash LIMIT 100",
        )
        .bind(user.as_str())
        .bind(now.0)
        .bind(now.0.saturating_sub(millis(self.lifetimes.idle)))
        .fetch_all(store.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Place {
                    created_at: Millis(row.try_get(0)?),
                    seen_at: Millis(row.try_get(1)?),
                    address: row.try_get(2)?,
                    agent: row.try_get(3)?,
                    current: row.try_get::<String, _>(4)? == current,
                })
            })
            .collect()
    }

    /// Takes a session into another organisation of its user.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when it is not there or the user is not in it: nothing tells the two apart.
    pub async fn switch_organisation(
        &self,
        store: &Store,
        actor: &Actor,
        secret: &str,
        organisation: &OrganisationId,
        now: Millis,
    ) -> Result<(), Refusal> {
        let user = organisations::oneself(actor)?;
        let member = active(store, organisation, user)
            .await?
            .ok_or_else(|| Refusal::not_found("organisation", organisation.as_str()))?;
        let mut write = store.write().await?;
        sqlx::query("UPDATE sessions SET organisation_id = $1 WHERE hash = $2 AND user_id = $3")
            .bind(organisation.as_str())
            .bind(random::fingerprint(secret))
            .bind(user.as_str())
            .execute(&mut *write)
            .await?;
        let there = actor_of(
            &member,
            organisation,
            actor.via,
            &actor.correlation,
            &actor.address,
        );
        record(
            &mut write,
            &there,
            "session.switch",
            user,
            &member.email,
            json!({}),
            now,
        )
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Changes the password of the actor's user. All other sessions of the user end; `secret`, the one that asks, stays.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for `currentPassword` or `newPassword`, [`Refusal::TooMany`], [`Refusal::Denied`] in another's name.
    pub async fn change_password(
        &self,
        store: &Store,
        actor: &Actor,
        secret: &str,
        current: &str,
        new: &str,
        now: Millis,
    ) -> Result<(), Refusal> {
        let user = organisations::oneself(actor)?;
        let row = sqlx::query("SELECT email, password_hash FROM users WHERE id = $1")
            .bind(user.as_str())
            .fetch_one(store.pool())
            .await?;
        let (email, kept): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        // Who found an open session is not to guess the password by it.
        self.throttle
            .begin(&email, &actor.address, now)
            .map_err(|wait| Refusal::TooMany {
                seconds: wait.as_secs().max(1),
            })?;
        if !self.passwords.fits(current, Some(&kept)).await? {
            return Err(Refusal::invalid(
                "currentPassword",
                "it is not the current password",
            ));
        }
        self.throttle.succeeded(&email, &actor.address);
        password::check("newPassword", new, &email)?;
        if current == new {
            return Err(Refusal::invalid(
                "newPassword",
                "it is the current password; choose another one",
            ));
        }
        let hash = self.passwords.hash(new).await?;
        let mut write = store.write().await?;
        users::set_password(&mut write, user, &hash, false).await?;
        sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND hash <> $2")
            .bind(user.as_str())
            .bind(random::fingerprint(secret))
            .execute(&mut *write)
            .await?;
        record(
            &mut write,
            actor,
            "user.change-password",
            user,
            &email,
            json!({}),
            now,
        )
        .await?;
        write.commit().await?;
        Ok(())
    }
}

/// Writes a sign-in that failed into the log of each organisation the account is in.
async fn note_failure(
    store: Store,
    user: UserId,
    email: String,
    address: String,
    now: Millis,
) -> Result<(), Refusal> {
    let rows = sqlx::query("SELECT organisation_id FROM memberships WHERE user_id = $1")
        .bind(user.as_str())
        .fetch_all(store.pool())
        .await?;
    let mut write = store.write().await?;
    for row in rows {
        let actor = Actor {
            organisation: OrganisationId::read(row.try_get(0)?)?,
            user: None,
            name: "somebody not signed in".to_owned(),
            via: Via::Session,
            role: String::new(),
            permissions: Permissions::default(),
            correlation: String::new(),
            address: address.clone(),
        };
        record(
            &mut write,
            &actor,
            "session.refuse",
            &user,
            &email,
            json!({}),
            now,
        )
        .await?;
    }
    write.commit().await?;
    Ok(())
}

/// A user of an organisation who may come in there.
pub(super) async fn active(
    store: &Store,
    organisation: &OrganisationId,
    user: &UserId,
) -> Result<Option<Member>, Refusal> {
    let mut connection = store.pool().acquire().await?;
    let member = member::member(&mut connection, organisation, user).await?;
    Ok(member.filter(|member| member.active))
}

pub(super) fn actor_of(
    member: &Member,
    organisation: &OrganisationId,
    via: Via,
    correlation: &str,
    address: &str,
) -> Actor {
    Actor {
        organisation: organisation.clone(),
        user: Some(member.user.clone()),
        name: member.email.clone(),
        via,
        role: member.role_title.clone(),
        permissions: member.permissions.clone(),
        correlation: correlation.to_owned(),
        address: address.to_owned(),
    }
}

fn wrong() -> Refusal {
    Refusal::Unauthenticated("the e-mail address or the password is not right".to_owned())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

async fn record(
    connection: &mut sqlx::AnyConnection,
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
