//! The first start: an organisation and its owner.
//!
//! In: an empty store. Out: somebody who can sign in. Does nothing where there is an organisation already.

use super::member::RoleName;
use super::password::Passwords;
use super::users::{self, Account};
use super::{Actor, BuiltInRole, organisations};
use crate::store::Store;
use crate::{Millis, Refusal, random};

/// Who the first owner is.
#[derive(Debug)]
pub struct Owner {
    /// What to sign in with.
    pub email: String,
    /// The password that was made; `None` where one was given.
    pub password: Option<String>,
}

/// Makes an organisation and its owner, unless there is an organisation.
///
/// # Errors
/// [`Refusal::Invalid`] when address or password cannot be taken; nothing is made then.
pub async fn owner(
    store: &Store,
    passwords: &Passwords,
    organisation: &str,
    email: &str,
    password: Option<&str>,
    now: Millis,
) -> Result<Option<Owner>, Refusal> {
    if !organisations::all(store).await?.is_empty() {
        return Ok(None);
    }
    with_owner(store, passwords, organisation, email, password, now)
        .await
        .map(Some)
}

/// Makes one more organisation, with its owner. Only on the machine itself.
///
/// # Errors
/// As [`owner`].
pub async fn with_owner(
    store: &Store,
    passwords: &Passwords,
    organisation: &str,
    email: &str,
    password: Option<&str>,
    now: Millis,
) -> Result<Owner, Refusal> {
    let email = users::email_of(email)?;
    if let Some(password) = password {
        super::password::check("password", password, &email)?;
    }
    let made = password.is_none().then(|| random::secret(""));
    let hash = passwords
        .hash(password.or(made.as_deref()).unwrap_or_default())
        .await?;
    // In one transaction: an organisation without an owner would be of no use.
    let mut write = store.write().await?;
    let organisation = organisations::insert(&mut write, organisation, now).await?;
    let actor = Actor::command_line(organisation.id);
    let account = Account {
        email: &email,
        name: &email,
        hash: &hash,
        change: made.is_some(),
    };
    let role = RoleName::BuiltIn(BuiltInRole::Owner);
    let (_, new) = users::admit(&mut write, &actor, account, &role, now).await?;
    write.commit().await?;
    Ok(Owner {
        email,
        password: made.filter(|_| new),
    })
}
