//! Names of sources.
//!
//! In: an id, or a part of a name. Out: names, without the statuses that a whole source takes to look up.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::Refusal;
use crate::access::{Actor, Permission};
use crate::ids::SourceId;
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store};

/// Sources by name, without their statuses: those with `text` in their name, in the order of names.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn names(
    store: &Store,
    actor: &Actor,
    text: &str,
    page: Page,
) -> Result<PageOf<(SourceId, String)>, Refusal> {
    actor.may(Permission::ViewSources)?;
    let mut conditions = Conditions::default();
    conditions.and("organisation_id = ?", [actor.organisation.as_str().into()]);
    if !text.trim().is_empty() {
        conditions.and_like("lower(name) LIKE ? ESCAPE '!'", text.trim());
    }
    let listing = Listing {
        columns: "id, name",
        from: "sources",
        conditions,
        order: "lower(name)",
        direction: Direction::Ascending,
        tie: "id",
    };
    let read = |row: &AnyRow| {
        let id: String = row.try_get("id")?;
        let id = SourceId::parse(&id).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((id, row.try_get("name")?))
    };
    listing.page(store, page, read).await
}

/// The name of a source, if it is there.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn name(store: &Store, actor: &Actor, id: &SourceId) -> Result<Option<String>, Refusal> {
    actor.may(Permission::ViewSources)?;
    let found =
        sqlx::query_scalar("SELECT name FROM sources WHERE id = $1 AND organisation_id = $2")
            .bind(id.as_str())
            .bind(actor.organisation.as_str())
            .fetch_optional(store.pool())
            .await?;
    Ok(found)
}
