//! Registration tokens, and collectors that register with them.
//!
//! In: a source, then a token in a collector's hand. Out: a credential of the collector's own. A token lives 48 hours (a setting)
//! and is for one collector; that one may use it again while it lives, for an answer that was lost. Only hashes are kept.

use std::time::Duration;

use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::Kind;
use super::source::{named, record};
use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::{CollectorId, OrganisationId, SourceId, TokenId};
use crate::store::Store;
use crate::{Millis, Refusal, problems, random};

/// What tokens begin with.
const TOKEN: &str = "slr_";
/// What credentials begin with.
pub(super) const CREDENTIAL: &str = "slc_";
/// Tokens of one source that are kept, used ones too.
const MOST: i64 = 100;

/// A token, without the secret.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Since when.
    pub created_at: Millis,
    /// By whom, as they were called then.
    pub created_by: String,
    /// Until when.
    pub expires_at: Millis,
    /// When a collector used it first.
    pub used_at: Option<Millis>,
}

/// A token that was just made.
#[derive(Debug)]
pub struct MadeToken {
    /// Its id.
    pub id: TokenId,
    /// The token itself: shown this once.
    pub secret: String,
    /// Until when it can be used.
    pub expires_at: Millis,
}

/// Makes a token for one collector.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Conflict`] `no-collectors` for sources that have none.
pub async fn make(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    lifetime: Duration,
    now: Millis,
) -> Result<MadeToken, Refusal> {
    actor.may(Permission::ManageSources)?;
    let mut write = store.write().await?;
    let (name, kind) = named(&mut write, actor, source).await?;
    if kind != Kind::TrafficAnalyzer {
        return Err(Refusal::conflict(
            problems::NO_COLLECTORS,
            "",
            format!(
                "{name} is of the kind {}; collectors register with a traffic analyzer",
                kind.title()
            ),
        ));
    }
    // The oldest that are of no use any more make room.
    sqlx::query(
        "DELETE FROM registration_tokens WHERE source_id = $1 AND id NOT IN \
         (SELECT id FROM registration_tokens WHERE source_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)",
    )
    .bind(source.as_str())
    .bind(MOST - 1)
    .execute(&mut *write)
    .await?;
    let (id, secret, expires_at) = (
        TokenId::make(now),
        random::secret(TOKEN),
        now.plus(lifetime),
    );
    sqlx::query(
        "INSERT INTO registration_tokens (id, hash, source_id, created_at, created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.as_str())
    .bind(random::fingerprint(&secret))
    .bind(source.as_str())
    .bind(now.0)
    .bind(&actor.name)
    .bind(expires_at.0)
    .execute(&mut *write)
    .await?;
    let details = json!({ "token": id, "expiresAt": expires_at.rfc3339() });
    record(
        &mut write,
        actor,
        "source.token.create",
        (source, &name),
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(MadeToken {
        id,
        secret,
        expires_at,
    })
}

/// The tokens of a source, newest first; at most 100 are kept.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn tokens(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
) -> Result<Vec<Token>, Refusal> {
    actor.may(Permission::ViewSources)?;
    let mut connection = store.pool().acquire().await?;
    named(&mut connection, actor, source).await?;
    let rows = sqlx::query(
        "SELECT id, created_at, created_by, expires_at, used_at FROM registration_tokens WHERE source_id = $1 \
         ORDER BY created_at DESC, id DESC",
    )
    .bind(source.as_str())
    .fetch_all(&mut *connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Token {
                id: TokenId::read(row.try_get(0)?)?,
                created_at: Millis(row.try_get(1)?),
                created_by: row.try_get(2)?,
                expires_at: Millis(row.try_get(3)?),
                used_at: row.try_get::<Option<i64>, _>(4)?.map(Millis),
            })
        })
        .collect()
}

/// Makes a token useless. What registered with it stays registered.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn revoke(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    id: &TokenId,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageSources)?;
    let mut write = store.write().await?;
    let (name, _) = named(&mut write, actor, source).await?;
    let gone = sqlx::query("DELETE FROM registration_tokens WHERE id = $1 AND source_id = $2")
        .bind(id.as_str())
        .bind(source.as_str())
        .execute(&mut *write)
        .await?;
    if gone.rows_affected() == 0 {
        return Err(Refusal::not_found("registration token", id.as_str()));
    }
    record(
        &mut write,
        actor,
        "source.token.revoke",
        (source, &name),
        json!({ "token": id }),
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// A collector that wants to register.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The token in its hand.
    pub token: &'a str,
    /// The UUID it made once for its data directory.
    pub instance: &'a str,
    /// What it calls itself: its host name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The peer's address.
    pub address: &'a str,
    /// `X-Correlation-ID` of the request, or one made for it.
    pub correlation: &'a str,
}

/// A collector that has registered.
#[derive(Debug)]
pub struct Registration {
    /// Its id.
    pub collector: CollectorId,
    /// Its source.
    pub source: SourceId,
    /// What people call that.
    pub source_name: String,
    /// The credential: handed out this once.
    pub credential: String,
}

/// Why a collector cannot register.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationRefusal {
    /// No such token, or it was revoked.
    #[error("the registration token is not known; make a new one on the page of the source")]
    Unknown,
    /// It is too old.
    #[error("the registration token expired at {}; make a new one on the page of the source", .0.rfc3339())]
    Expired(Millis),
    /// Another collector has used it.
    #[error("the registration token was used by another collector; make one for each")]
    Used,
    /// What it says of itself cannot be taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<sqlx::Error> for RegistrationRefusal {
    fn from(error: sqlx::Error) -> RegistrationRefusal {
        RegistrationRefusal::Refused(error.into())
    }
}

/// Takes a token and gives a credential.
///
/// # Errors
/// [`RegistrationRefusal`].
pub async fn register(
    store: &Store,
    new: New<'_>,
    now: Millis,
) -> Result<Registration, RegistrationRefusal> {
    let instance = uuid::Uuid::try_parse(new.instance)
        .map_err(|_| Refusal::invalid("instance", "it is no UUID"))?
        .as_hyphenated()
        .to_string();
    let name = crate::access::organisations::name_of("name", new.name)?;
    let version = crate::access::organisations::name_of("version", new.version)?;

    let mut write = store.write().await?;
    let row = sqlx::query(
        "SELECT t.id, t.source_id, t.expires_at, t.instance, s.organisation_id, s.name FROM registration_tokens t \
         JOIN sources s ON s.id = t.source_id WHERE t.hash = $1",
    )
    .bind(random::fingerprint(new.token))
    .fetch_optional(&mut *write)
    .await?
    .ok_or(RegistrationRefusal::Unknown)?;
    let expires_at = Millis(row.try_get(2)?);
    if now >= expires_at {
        return Err(RegistrationRefusal::Expired(expires_at));
    }
    let token: String = row.try_get(0)?;
    let source = SourceId::read(row.try_get(1)?)?;
    let used_by: Option<String> = row.try_get(3)?;
    // Only who comes first writes: two at once cannot both have it.
    let taken = sqlx::query(
        "UPDATE registration_tokens SET used_at = COALESCE(used_at, $1), instance = $2 WHERE id = $3 \
         AND (instance IS NULL OR instance = $2)",
    )
    .bind(now.0)
    .bind(&instance)
    .bind(&token)
    .execute(&mut *write)
    .await?;
    if taken.rows_affected() == 0 {
        return Err(RegistrationRefusal::Used);
    }
    let organisation = OrganisationId::read(row.try_get(4)?)?;
    let credential = random::secret(CREDENTIAL);
    let there: Option<String> =
        sqlx::query_scalar("SELECT id FROM collectors WHERE source_id = $1 AND instance = $2")
            .bind(source.as_str())
            .bind(&instance)
            .fetch_optional(&mut *write)
            .await?;
    let collector = match there {
        Some(id) => {
            renew(
                &mut write,
                &id,
                &credential,
                (&name, &version, new.address),
                now,
            )
            .await?;
            CollectorId::read(&id)?
        }
        None => {
            let id = CollectorId::make(now);
            sqlx::query(
                "INSERT INTO collectors (id, organisation_id, source_id, instance, name, version, address, credential_hash, \
                 registered_at, issued_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(id.as_str())
            .bind(organisation.as_str())
            .bind(source.as_str())
            .bind(&instance)
            .bind(&name)
            .bind(&version)
            .bind(new.address)
            .bind(random::fingerprint(&credential))
            .bind(now.0)
            .bind(now.0)
            .execute(&mut *write)
            .await?;
            id
        }
    };
    let actor = Actor {
        correlation: new.correlation.to_owned(),
        ..Actor::collector(organisation, &name, new.address)
    };
    let entry = Entry {
        action: "collector.register",
        subject: "collector",
        id: collector.as_str(),
        name: &name,
        details: json!({ "source": source, "token": token, "version": version, "again": used_by.is_some() }),
    };
    audit::record(&mut write, &actor, entry, now).await?;
    let source_name = row.try_get(5)?;
    write.commit().await?;
    Ok(Registration {
        collector,
        source,
        source_name,
        credential,
    })
}

/// A collector that registers once more: the credential before is dead.
async fn renew(
    connection: &mut AnyConnection,
    id: &str,
    credential: &str,
    (name, version, address): (&str, &str, &str),
    now: Millis,
) -> Result<(), Refusal> {
    sqlx::query(
        "UPDATE collectors SET previous_hash = credential_hash, credential_hash = $1, next_hash = NULL, name = $2, version = $3, \
         address = $4, registered_at = $5, issued_at = $5, revoked_at = NULL, heartbeat_at = NULL, last_error = NULL, \
         sync_id = NULL, sync_state = NULL, sync_error = NULL WHERE id = $6",
    )
    .bind(random::fingerprint(credential))
    .bind(name)
    .bind(version)
    .bind(address)
    .bind(now.0)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}
