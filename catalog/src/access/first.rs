//! The first start: an organisation and its owner.
//!
//! In: an empty store. Out: somebody who can sign in. Does nothing where there is an organisation already.

use super::member::RoleName;
use super::password::Passwords;
use super::users::{self, Account};
use super::{Actor, BuiltInRole, organisations};
use crate::store::{Store, Write};
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
    let candidate = Candidate::new(passwords, email, password).await?;
    let mut write = store.write().await?;
    // Of services that start at once on an empty database one makes it.
    store.serialise_organisations(&mut write).await?;
    if organisations::is_any(&mut write).await? {
        return Ok(None);
    }
    let owner = candidate.admit(&mut write, organisation, now).await?;
    write.commit().await?;
    Ok(Some(owner))
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
    let candidate = Candidate::new(passwords, email, password).await?;
    let mut write = store.write().await?;
    let owner = candidate.admit(&mut write, organisation, now).await?;
    write.commit().await?;
    Ok(owner)
}

/// Who is to become an owner: hashing takes its time, and is done before a transaction begins.
struct Candidate {
    email: String,
    hash: String,
    /// The password, where none was given.
    made: Option<String>,
}

impl Candidate {
    async fn new(
        passwords: &Passwords,
        email: &str,
        password: Option<&str>,
    ) -> Result<Candidate, Refusal> {
        let email = users::email_of(email)?;
        if let Some(password) = password {
            super::password::check("password", password, &email)?;
        }
        let made = password.is_none().then(|| random::secret(""));
        let hash = passwords
            .hash(password.or(made.as_deref()).unwrap_or_default())
            .await?;
        Ok(Candidate { email, hash, made })
    }

    /// In one transaction: an organisation without an owner would be of no use.
    async fn admit(
        self,
        write: &mut Write,
        organisation: &str,
        now: Millis,
    ) -> Result<Owner, Refusal> {
        let organisation = organisations::insert(write, organisation, now).await?;
        let actor = Actor::command_line(organisation.id);
        let account = Account {
            email: &self.email,
            name: &self.email,
            hash: &self.hash,
            change: self.made.is_some(),
        };
        let role = RoleName::BuiltIn(BuiltInRole::Owner);
        let (_, new) = users::admit(write, &actor, account, &role, now).await?;
        Ok(Owner {
            email: self.email,
            password: self.made.filter(|_| new),
        })
    }
}
