//! Who changed what.
//!
//! In: an actor and what it did, inside the transaction that does it. Out: a list, newest first. Never keeps a secret, and never
//! loses an entry of a change that lasts: both are committed together.

use sqlx::{AnyConnection, Row as _};

use crate::access::{Actor, Permission};
use crate::ids::AuditId;
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store};
use crate::{Millis, Refusal};

/// What was done.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// What, as `source.create`: the kind of thing and a verb.
    pub action: &'static str,
    /// The kind of thing: `source`, `user`, …
    pub subject: &'static str,
    /// Its id.
    pub id: &'a str,
    /// What people called it then.
    pub name: &'a str,
    /// What else there is to say, as an object; never a secret.
    pub details: serde_json::Value,
}

/// Writes an entry.
///
/// # Errors
/// When the database says no.
pub async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    entry: Entry<'_>,
    now: Millis,
) -> Result<(), Refusal> {
    /// Names come from outside; a longer one is cut.
    const NAME: usize = 300;
    let cut = |text: &str| text.chars().take(NAME).collect::<String>();
    sqlx::query(
        "INSERT INTO audit (id, organisation_id, at, user_id, actor, via, action, subject, subject_id, subject_name, details, \
         correlation_id, address) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(String::from(AuditId::make(now)))
    .bind(actor.organisation.as_str())
    .bind(now.0)
    .bind(actor.user.as_ref().map(ToString::to_string))
    .bind(cut(&actor.name))
    .bind(actor.via.name())
    .bind(entry.action)
    .bind(entry.subject)
    .bind(entry.id)
    .bind(cut(entry.name))
    .bind(entry.details.to_string())
    .bind(cut(&actor.correlation))
    .bind(cut(&actor.address))
    .execute(connection)
    .await?;
    Ok(())
}

/// Which entries to list; what is `None` takes all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of the actor's name.
    pub actor: Option<String>,
    /// The action, whole: `source.create`.
    pub action: Option<String>,
    /// The kind of thing, whole: `source`.
    pub subject: Option<String>,
    /// The thing's id, whole.
    pub subject_id: Option<String>,
    /// Not before.
    pub from: Option<Millis>,
    /// Before.
    pub to: Option<Millis>,
    /// A part of the thing's name, the details or the correlation id.
    pub text: Option<String>,
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Millis,
    /// Who, as it was called then.
    pub actor: String,
    /// How it came in: `session`, `key`, …
    pub via: String,
    /// `source.create`
    pub action: String,
    /// The kind of thing.
    pub subject: String,
    /// Its id.
    pub subject_id: String,
    /// What it was called then.
    pub subject_name: String,
    /// What else there is to say.
    pub details: serde_json::Value,
    /// Of the request.
    pub correlation: String,
    /// The peer's address, or empty.
    pub address: String,
}

/// The entries of the actor's organisation, newest first.
///
/// # Errors
/// [`Refusal::Forbidden`] without the permission to view them.
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &Filter,
    page: Page,
) -> Result<PageOf<Logged>, Refusal> {
    actor.may(Permission::ViewAudit)?;
    let mut conditions = Conditions::default();
    conditions.and(
        "organisation_id = ?",
        [actor.organisation.to_string().into()],
    );
    if let Some(name) = &filter.actor {
        conditions.and_like("lower(actor) LIKE ? ESCAPE '!'", name);
    }
    for (clause, value) in [
        ("action = ?", &filter.action),
        ("subject = ?", &filter.subject),
        ("subject_id = ?", &filter.subject_id),
    ] {
        if let Some(value) = value {
            conditions.and(clause, [value.as_str().into()]);
        }
    }
    if let Some(from) = filter.from {
        conditions.and("at >= ?", [from.into()]);
    }
    if let Some(to) = filter.to {
        conditions.and("at < ?", [to.into()]);
    }
    if let Some(text) = &filter.text {
        conditions.and_like(
            "lower(subject_name) LIKE ? ESCAPE '!' OR lower(details) LIKE ? ESCAPE '!' \
             OR lower(correlation_id) LIKE ? ESCAPE '!'",
            text,
        );
    }
    let listing = Listing {
        columns: "id, at, actor, via, action, subject, subject_id, subject_name, details, correlation_id, address",
        from: "audit",
        conditions,
        order: "at",
        direction: Direction::Descending,
        tie: "id",
    };
    listing
        .page(store, page, |row| {
            Ok(Logged {
                id: AuditId::read(row.try_get(0)?)?,
                at: Millis(row.try_get(1)?),
                actor: row.try_get(2)?,
                via: row.try_get(3)?,
                action: row.try_get(4)?,
                subject: row.try_get(5)?,
                subject_id: row.try_get(6)?,
                subject_name: row.try_get(7)?,
                details: serde_json::from_str(row.try_get(8)?).unwrap_or_default(),
                correlation: row.try_get(9)?,
                address: row.try_get(10)?,
            })
        })
        .await
}

/// The actions that are in the log of an organisation, for a filter to offer.
///
/// # Errors
/// [`Refusal::Forbidden`] without the permission to view the log.
pub async fn actions(store: &Store, actor: &Actor) -> Result<Vec<String>, Refusal> {
    actor.may(Permission::ViewAudit)?;
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT action FROM audit WHERE organisation_id = $1 ORDER BY action",
    )
    .bind(actor.organisation.as_str())
    .fetch_all(store.pool())
    .await?)
}
