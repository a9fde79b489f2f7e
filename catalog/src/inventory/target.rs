//! Targets: what APIs are linked to, and what scanners are pointed at.
//!
//! In: a name and a URL. Out: targets, each URL once in an organisation. A target is never changed such that an API that is linked
//! to it would no longer lie under it.

use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::api::name_of;
use super::base_url::BaseUrl;
use super::columns::{base_url, count, id, text, time};
use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::{OrganisationId, TargetId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store, Write, is_taken};
use crate::{Millis, Refusal, problems};

/// A target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: TargetId,
    /// As people call it.
    pub name: String,
    /// What must cover the base URLs of its APIs.
    pub url: BaseUrl,
    /// When it was made.
    pub created_at: Millis,
    /// By whom.
    pub created_by: String,
    /// How many APIs are linked to it.
    pub apis: u64,
}

/// What targets are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetSort {
    /// The name, without case.
    #[default]
    Name,
    /// The URL.
    Url,
    /// When it was made.
    Created,
    /// How many APIs are linked to it.
    Apis,
}

const COLUMNS: &str = "t.id, t.name, t.url, t.created_at, t.created_by, \
     (SELECT COUNT(*) FROM apis a WHERE a.target_id = t.id) AS apis";

fn read(row: &AnyRow) -> Result<Target, sqlx::Error> {
    Ok(Target {
        id: id(row, "id", TargetId::parse)?,
        name: text(row, "name")?,
        url: base_url(row, "url")?,
        created_at: time(row, "created_at")?,
        created_by: text(row, "created_by")?,
        apis: count(row, "apis")?,
    })
}

/// One page of targets. `text`: a part of the name or the URL.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    text: Option<&str>,
    sort: TargetSort,
    direction: Direction,
    page: Page,
) -> Result<PageOf<Target>, Refusal> {
    actor.may(Permission::ViewApis)?;
    let mut conditions = Conditions::default();
    conditions.and(
        "t.organisation_id = ?",
        [actor.organisation.as_str().into()],
    );
    if let Some(text) = text.map(str::trim)
        && !text.is_empty()
    {
        conditions.and_like(
            "lower(t.name) LIKE ? ESCAPE '!' OR lower(t.url) LIKE ? ESCAPE '!'",
            text,
        );
    }
    let listing = Listing {
        columns: COLUMNS,
        from: "targets t",
        conditions,
        order: match sort {
            TargetSort::Name => "lower(t.name)",
            TargetSort::Url => "t.url",
            TargetSort::Created => "t.created_at",
            TargetSort::Apis => "(SELECT COUNT(*) FROM apis a WHERE a.target_id = t.id)",
        },
        direction,
        tie: "t.id",
    };
    listing.page(store, page, read).await
}

/// The targets an API may be linked to: those its base URL lies under, the closest first.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn fitting(
    store: &Store,
    actor: &Actor,
    api: &crate::ids::ApiId,
) -> Result<Vec<Target>, Refusal> {
    let api = super::api::get(store, actor, api).await?;
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM targets t WHERE t.organisation_id = $1 AND t.host = $2"
    )))
    .bind(actor.organisation.as_str())
    .bind(api.base_url.host())
    .fetch_all(store.pool())
    .await?;
    let mut all = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    all.retain(|target| api.base_url.lies_under(&target.url));
    all.sort_by_key(|target| std::cmp::Reverse(target.url.path().len()));
    Ok(all)
}

/// One target.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(store: &Store, actor: &Actor, target: &TargetId) -> Result<Target, Refusal> {
    actor.may(Permission::ViewApis)?;
    let mut connection = store.pool().acquire().await?;
    known(&mut connection, &actor.organisation, target).await
}

pub(super) async fn known(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    target: &TargetId,
) -> Result<Target, Refusal> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM targets t WHERE t.id = $1 AND t.organisation_id = $2"
    )))
    .bind(target.as_str())
    .bind(organisation.as_str())
    .fetch_optional(connection)
    .await?
    .ok_or_else(|| Refusal::not_found("target", target.as_str()))?;
    Ok(read(&row)?)
}

/// The target with this URL, if there is one.
pub(super) async fn with_url(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    url: &BaseUrl,
) -> Result<Option<Target>, Refusal> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM targets t WHERE t.organisation_id = $1 AND t.url = $2"
    )))
    .bind(organisation.as_str())
    .bind(url.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// A URL as people type it.
///
/// # Errors
/// [`Refusal::Invalid`] on `url`.
fn url_of(text: &str) -> Result<BaseUrl, Refusal> {
    BaseUrl::parse(text).map_err(|error| Refusal::invalid("url", error.to_string()))
}

/// Makes a target. Without a name it is called after its URL.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Invalid`]; [`Refusal::Conflict`] `url-taken` when there is one with this URL.
pub async fn create(
    store: &Store,
    actor: &Actor,
    name: &str,
    url: &str,
    now: Millis,
) -> Result<Target, Refusal> {
    actor.may(Permission::ManageApis)?;
    let url = url_of(url)?;
    let mut write = store.write().await?;
    let target = insert(&mut write, actor, name, &url, now).await?;
    write.commit().await?;
    Ok(target)
}

pub(super) async fn insert(
    write: &mut Write,
    actor: &Actor,
    name: &str,
    url: &BaseUrl,
    now: Millis,
) -> Result<Target, Refusal> {
    let name = if name.trim().is_empty() {
        url.place()
    } else {
        name_of(name)?
    };
    if let Some(other) = with_url(write, &actor.organisation, url).await? {
        return Err(taken(&other.name, url));
    }
    let target = Target {
        id: TargetId::make(now),
        name,
        url: url.clone(),
        created_at: now,
        created_by: actor.name.clone(),
        apis: 0,
    };
    sqlx::query(
        "INSERT INTO targets (id, organisation_id, name, url, scheme, host, port, path, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(target.id.as_str())
    .bind(actor.organisation.as_str())
    .bind(target.name.as_str())
    .bind(url.to_string())
    .bind(url.scheme().name())
    .bind(url.host())
    .bind(i64::from(url.port()))
    .bind(url.path())
    .bind(now.0)
    .bind(target.created_by.as_str())
    .execute(&mut **write)
    .await
    .map_err(|error| match is_taken(&error) {
        true => taken("another one", url),
        false => error.into(),
    })?;
    let details = json!({ "url": url.to_string() });
    record(write, actor, "target.create", &target, details, now).await?;
    Ok(target)
}

fn taken(name: &str, url: &BaseUrl) -> Refusal {
    Refusal::conflict(
        problems::URL_TAKEN,
        "url",
        format!("the target “{name}” has the URL {url} already"),
    )
}

/// Changes name and URL.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Invalid`]; [`Refusal::Conflict`] `url-taken`, and
/// `not-under-target` when an API that is linked would no longer lie under it.
pub async fn edit(
    store: &Store,
    actor: &Actor,
    target: &TargetId,
    name: &str,
    url: &str,
    now: Millis,
) -> Result<Target, Refusal> {
    actor.may(Permission::ManageApis)?;
    let (name, url) = (name_of(name)?, url_of(url)?);
    let mut write = store.write().await?;
    let before = known(&mut write, &actor.organisation, target).await?;
    if before.url != url {
        if let Some(other) = with_url(&mut write, &actor.organisation, &url).await? {
            return Err(taken(&other.name, &url));
        }
        let rows = sqlx::query("SELECT name, base_url FROM apis WHERE target_id = $1 ORDER BY id")
            .bind(target.as_str())
            .fetch_all(&mut *write)
            .await?;
        for row in &rows {
            let base = base_url(row, "base_url")?;
            if !base.lies_under(&url) {
                return Err(Refusal::conflict(
                    problems::NOT_UNDER_TARGET,
                    "url",
                    format!(
                        "“{}” at {base} is linked to this target and does not lie under {url}; unlink it first, or choose a \
                         URL that covers it",
                        text(row, "name")?
                    ),
                ));
            }
        }
    }
    let after = Target {
        name,
        url,
        ..before.clone()
    };
    if after == before {
        return Ok(after);
    }
    sqlx::query(
        "UPDATE targets SET name = $1, url = $2, scheme = $3, host = $4, port = $5, path = $6 WHERE id = $7",
    )
    .bind(after.name.as_str())
    .bind(after.url.to_string())
    .bind(after.url.scheme().name())
    .bind(after.url.host())
    .bind(i64::from(after.url.port()))
    .bind(after.url.path())
    .bind(target.as_str())
    .execute(&mut *write)
    .await
    .map_err(|error| match is_taken(&error) {
        true => taken("another one", &after.url),
        false => error.into(),
    })?;
    let details = json!({
        "before": { "name": before.name, "url": before.url.to_string() },
        "url": after.url.to_string(),
    });
    record(&mut write, actor, "target.edit", &after, details, now).await?;
    write.commit().await?;
    Ok(after)
}

/// Deletes a target. `unlink`: its APIs go back to discovery.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`]; [`Refusal::Conflict`] `target-linked` while APIs are linked and `unlink` is
/// not set.
pub async fn delete(
    store: &Store,
    actor: &Actor,
    target: &TargetId,
    unlink: bool,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    let mut write = store.write().await?;
    let gone = known(&mut write, &actor.organisation, target).await?;
    if gone.apis > 0 && !unlink {
        let are = if gone.apis == 1 { "API is" } else { "APIs are" };
        return Err(Refusal::conflict(
            problems::TARGET_LINKED,
            "targetId",
            format!(
                "{} {are} linked to “{}”; unlink them first, or say that they should be",
                gone.apis, gone.name
            ),
        ));
    }
    sqlx::query(
        "UPDATE apis SET target_id = NULL, linked_at = NULL, linked_by = NULL WHERE target_id = $1",
    )
    .bind(target.as_str())
    .execute(&mut *write)
    .await?;
    sqlx::query("DELETE FROM targets WHERE id = $1")
        .bind(target.as_str())
        .execute(&mut *write)
        .await?;
    let details = json!({ "url": gone.url.to_string(), "unlinked": gone.apis });
    record(&mut write, actor, "target.delete", &gone, details, now).await?;
    Ok(write.commit().await?)
}

async fn record(
    write: &mut Write,
    actor: &Actor,
    action: &'static str,
    target: &Target,
    details: serde_json::Value,
    now: Millis,
) -> Result<(), Refusal> {
    let entry = Entry {
        action,
        subject: "target",
        id: target.id.as_str(),
        name: &target.name,
        details,
    };
    audit::record(write, actor, entry, now).await
}
