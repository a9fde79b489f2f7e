//! Coming in with an API key.
//!
//! In: what a request brings along in its head. Out: an [`Actor`], or a refusal that does not tell what was wrong with the key, nor
//! whether an organisation or a user that is not theirs to see is there.

use sqlx::Row as _;

use super::door::{active, actor_of};
use super::keys::NOTE_USE_EVERY;
use super::{Actor, Door, Permission, Via};
use crate::ids::{OrganisationId, UserId};
use crate::store::Store;
use crate::{Millis, Refusal, random};

/// What a request with an API key brings along.
#[derive(Debug, Clone, Copy)]
pub struct WithKey<'a> {
    /// `X-Auth`.
    pub key: Option<&'a str>,
    /// `X-Invicti-OrganizationId`.
    pub organisation: Option<&'a str>,
    /// `X-Invicti-UserId`.
    pub user: Option<&'a str>,
    /// `X-Correlation-ID`, or one made for the request.
    pub correlation: &'a str,
    /// The peer's address, behind trusted proxies the client's.
    pub address: &'a str,
}

impl Door {
    /// Whose key it is, in which organisation and for whom, and what they may do there.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] when the key does not work; [`Refusal::NotFound`] for an organisation or a user that is not
    /// there or not theirs to see; [`Refusal::Forbidden`] without the permission to act for others.
    pub async fn actor_of_key(
        &self,
        store: &Store,
        with: WithKey<'_>,
        now: Millis,
    ) -> Result<Actor, Refusal> {
        let Some(key) = with.key.filter(|key| !key.is_empty()) else {
            return Err(Refusal::Unauthenticated(
                "no API key: send one in the header X-Auth; keys are made under Settings, API keys"
                    .to_owned(),
            ));
        };
        let useless = || {
            Refusal::Unauthenticated(
                "the API key in X-Auth is not known, was revoked, or has expired".to_owned(),
            )
        };
        let row = sqlx::query("SELECT id, organisation_id, user_id, expires_at, used_at, revoked_at FROM api_keys WHERE hash = $1")
            .bind(random::fingerprint(key))
            .fetch_optional(store.pool())
            .await?
            .ok_or_else(useless)?;
        let expires_at: Option<i64> = row.try_get(3)?;
        if row.try_get::<Option<i64>, _>(5)?.is_some() || expires_at.is_some_and(|at| now.0 >= at) {
            return Err(useless());
        }
        let own = OrganisationId::read(row.try_get(1)?)?;
        let user = UserId::read(row.try_get(2)?)?;
        // Where the key was made its user must still be active: else whoever removed them there left a way in elsewhere.
        let at_home = active(store, &own, &user).await?.ok_or_else(useless)?;
        let (organisation, member) = match with.organisation.filter(|text| !text.is_empty()) {
            None => (own, at_home),
            Some(text) => {
                let missing = || Refusal::not_found("organisation", text);
                let organisation = OrganisationId::parse(text).map_err(|_| missing())?;
                let member = active(store, &organisation, &user)
                    .await?
                    .ok_or_else(missing)?;
                (organisation, member)
            }
        };
        let used_at: Option<i64> = row.try_get(4)?;
        if used_at.is_none_or(|at| now.since(Millis(at)) >= NOTE_USE_EVERY) {
            let mut write = store.write().await?;
            sqlx::query("UPDATE api_keys SET used_at = $1 WHERE id = $2 AND (used_at IS NULL OR used_at < $1)")
                .bind(now.0)
                .bind(row.try_get::<String, _>(0)?)
                .execute(&mut *write)
                .await?;
            write.commit().await?;
        }
        let actor = actor_of(
            &member,
            &organisation,
            Via::Key,
            with.correlation,
            with.address,
        );
        match with.user.filter(|text| !text.is_empty()) {
            None => Ok(actor),
            Some(text) => for_another(store, actor, text).await,
        }
    }
}

/// The actor in the name of another user: with what both may do, and with both names.
async fn for_another(store: &Store, actor: Actor, user: &str) -> Result<Actor, Refusal> {
    actor.may(Permission::ActAs)?;
    let missing = || Refusal::not_found("user", user);
    let id = UserId::parse(user).map_err(|_| missing())?;
    let other = active(store, &actor.organisation, &id)
        .await?
        .ok_or_else(missing)?;
    Ok(Actor {
        user: Some(id),
        name: format!("{} (by {})", other.email, actor.name),
        role: format!("{} (by {})", other.role_title, actor.role),
        permissions: other.permissions.and(&actor.permissions),
        via: Via::KeyForAnother,
        ..actor
    })
}
