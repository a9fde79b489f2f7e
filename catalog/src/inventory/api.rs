//! An API: what stands at one base URL, whoever told of it.
//!
//! In: who asks, and which one. Out: the API with its counts, sources and target; renamed, hidden, shown or deleted. Lists are in
//! [`super::api_list`], how APIs come to be in [`super::definition`].

use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::base_url::BaseUrl;
use super::columns::{base_url, count, id, maybe_id, maybe_time, text, time};
use super::definition::DefinitionKind;
use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::{ApiId, OrganisationId, SourceId, TargetId};
use crate::store::{Store, Write};
use crate::{Millis, Refusal};

/// An API and what lists show of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Its id.
    pub id: ApiId,
    /// As people call it.
    pub name: String,
    /// Where it stands.
    pub base_url: BaseUrl,
    /// What it is linked to: with a target it is in the catalog, without in discovery.
    pub target: Option<LinkedTarget>,
    /// When it was linked.
    pub linked_at: Option<Millis>,
    /// By whom.
    pub linked_by: Option<String>,
    /// When it was hidden; such APIs are shown only when asked for.
    pub hidden_at: Option<Millis>,
    /// By whom.
    pub hidden_by: Option<String>,
    /// When the catalog first heard of it.
    pub first_discovered_at: Millis,
    /// When the last new revision of any of its definitions came.
    pub updated_at: Millis,
    /// Operations of all definitions together, each once.
    pub operations: u64,
    /// Operations that were seen in traffic.
    pub observed: u64,
    /// Operations that are documented.
    pub documented: u64,
    /// Where the two part.
    pub drift: DriftCounts,
    /// Open findings of scanners.
    pub findings: SeverityCounts,
    /// When a scan last covered it.
    pub scanned_at: Option<Millis>,
    /// Who told of it, by name.
    pub sources: Vec<Provenance>,
}

/// The target an API is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedTarget {
    /// Its id.
    pub id: TargetId,
    /// As people call it.
    pub name: String,
    /// Its URL.
    pub url: BaseUrl,
}

/// One source that told of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The source, unless it was deleted.
    pub source: Option<SourceId>,
    /// Its name; the last it had when it was deleted.
    pub name: String,
    /// Seen or documented.
    pub kind: DefinitionKind,
}

/// How many operations part in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DriftCounts {
    /// Seen, not documented.
    pub shadow: u64,
    /// Deprecated, still called.
    pub zombie: u64,
    /// Documented, never called.
    pub orphan: u64,
    /// Findings that say that traffic is not as documented.
    pub contradictions: u64,
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeverityCounts {
    /// CVSS 9.0 to 10.
    pub critical: u64,
    /// CVSS 7.0 to 8.9.
    pub high: u64,
    /// CVSS 4.0 to 6.9.
    pub medium: u64,
    /// CVSS 0.1 to 3.9.
    pub low: u64,
    /// Nothing to mend.
    pub informational: u64,
}

impl SeverityCounts {
    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.informational
    }
}

/// Columns of `apis a LEFT JOIN targets t` that [`read`] takes.
pub(super) const COLUMNS: &str = "a.id, a.name, a.base_url, a.target_id, t.name AS target_name, t.url AS target_url, a.linked_at, \
     a.linked_by, a.hidden_at, a.hidden_by, a.first_discovered_at, a.updated_at, a.operations, a.observed, a.documented, a.shadow, \
     a.zombie, a.orphan, a.contradictions, a.critical, a.high, a.medium, a.low, a.informational, a.scanned_at";

/// The API of a row, its sources not yet known.
pub(super) fn read(row: &AnyRow) -> Result<Api, sqlx::Error> {
    let target = match maybe_id(row, "target_id", TargetId::parse)? {
        None => None,
        Some(id) => Some(LinkedTarget {
            id,
            name: text(row, "target_name")?,
            url: base_url(row, "target_url")?,
        }),
    };
    Ok(Api {
        id: id(row, "id", ApiId::parse)?,
        name: text(row, "name")?,
        base_url: base_url(row, "base_url")?,
        target,
        linked_at: maybe_time(row, "linked_at")?,
        linked_by: row.try_get("linked_by")?,
        hidden_at: maybe_time(row, "hidden_at")?,
        hidden_by: row.try_get("hidden_by")?,
        first_discovered_at: time(row, "first_discovered_at")?,
        updated_at: time(row, "updated_at")?,
        operations: count(row, "operations")?,
        observed: count(row, "observed")?,
        documented: count(row, "documented")?,
        drift: DriftCounts {
            shadow: count(row, "shadow")?,
            zombie: count(row, "zombie")?,
            orphan: count(row, "orphan")?,
            contradictions: count(row, "contradictions")?,
        },
        findings: SeverityCounts {
            critical: count(row, "critical")?,
            high: count(row, "high")?,
            medium: count(row, "medium")?,
            low: count(row, "low")?,
            informational: count(row, "informational")?,
        },
        scanned_at: maybe_time(row, "scanned_at")?,
        sources: Vec::new(),
    })
}

/// One API.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(store: &Store, actor: &Actor, api: &ApiId) -> Result<Api, Refusal> {
    actor.may(Permission::ViewApis)?;
    let row = sqlx::query(
        "SELECT a.id, a.name, a.base_url, a.target_id, t.name AS target_name, t.url AS target_url, a.linked_at, \
         a.linked_by, a.hidden_at, a.hidden_by, a.first_discovered_at, a.updated_at, a.operations, a.observed, a.documented, \
         a.shadow, a.zombie, a.orphan, a.contradictions, a.critical, a.high, a.medium, a.low, a.informational, a.scanned_at \
         FROM apis a LEFT JOIN targets t ON t.id = a.target_id WHERE a.id = $1 AND a.organisation_id = $2",
    )
    .bind(api.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("API", api.as_str()))?;
    let mut found = [read(&row)?];
    super::api_list::add_sources(store, &mut found).await?;
    let [found] = found;
    Ok(found)
}

/// What must be known of an API to change it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) id: ApiId,
    pub(crate) name: String,
    pub(crate) base_url: BaseUrl,
    pub(crate) target: Option<TargetId>,
    pub(crate) hidden: bool,
}

/// An API of this organisation, inside a transaction.
pub(crate) async fn known(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    api: &ApiId,
) -> Result<Known, Refusal> {
    let row = sqlx::query(
        "SELECT id, name, base_url, target_id, hidden_at FROM apis WHERE id = $1 AND organisation_id = $2",
    )
    .bind(api.as_str())
    .bind(organisation.as_str())
    .fetch_optional(connection)
    .await?
    .ok_or_else(|| Refusal::not_found("API", api.as_str()))?;
    Ok(Known {
        id: id(&row, "id", ApiId::parse)?,
        name: text(&row, "name")?,
        base_url: base_url(&row, "base_url")?,
        target: maybe_id(&row, "target_id", TargetId::parse)?,
        hidden: maybe_time(&row, "hidden_at")?.is_some(),
    })
}

/// The name of a thing as people give it: not empty, not too long, in one line.
pub(crate) fn name_of(text: &str) -> Result<String, Refusal> {
    const MOST: usize = 200;
    let name: Vec<&str> = text.split_whitespace().collect();
    let name = name.join(" ");
    let length = name.chars().count();
    if length == 0 {
        return Err(Refusal::invalid("name", "it is empty; give it a name"));
    }
    if length > MOST {
        let message = format!("it has {length} characters; at most {MOST} are taken");
        return Err(Refusal::invalid("name", message));
    }
    if name.contains(char::is_control) {
        return Err(Refusal::invalid("name", "it has control characters"));
    }
    Ok(name)
}

/// Calls it something else.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Invalid`].
pub async fn rename(
    store: &Store,
    actor: &Actor,
    api: &ApiId,
    name: &str,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    let name = name_of(name)?;
    let mut write = store.write().await?;
    let known = known(&mut write, &actor.organisation, api).await?;
    if known.name != name {
        sqlx::query("UPDATE apis SET name = $1 WHERE id = $2")
            .bind(name.as_str())
            .bind(api.as_str())
            .execute(&mut *write)
            .await?;
        let details = json!({ "before": known.name });
        record(&mut write, actor, "api.rename", (api, &name), details, now).await?;
    }
    Ok(write.commit().await?)
}

/// Hides APIs or shows them again; what is so already stays so.
///
/// # Errors
/// [`Refusal::Forbidden`]; [`Refusal::NotFound`] for the first that is not there, and then nothing is changed.
pub async fn set_hidden(
    store: &Store,
    actor: &Actor,
    apis: &[ApiId],
    hidden: bool,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    super::link::bounded(apis)?;
    let mut write = store.write().await?;
    for api in apis {
        let known = known(&mut write, &actor.organisation, api).await?;
        if known.hidden == hidden {
            continue;
        }
        sqlx::query("UPDATE apis SET hidden_at = $1, hidden_by = $2 WHERE id = $3")
            .bind(hidden.then_some(now.0))
            .bind(hidden.then(|| actor.name.clone()))
            .bind(api.as_str())
            .execute(&mut *write)
            .await?;
        let action = if hidden { "api.hide" } else { "api.show" };
        record(
            &mut write,
            actor,
            action,
            (api, &known.name),
            json!({}),
            now,
        )
        .await?;
    }
    Ok(write.commit().await?)
}

/// Deletes an API with all definitions, revisions and drift. Findings stay, matched to nothing. A collector that still sees its
/// traffic brings it back with its next revision.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn delete(store: &Store, actor: &Actor, api: &ApiId, now: Millis) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    let mut write = store.write().await?;
    store.serialise(&mut write, &actor.organisation).await?;
    let known = known(&mut write, &actor.organisation, api).await?;
    let rows = sqlx::query("SELECT id FROM definitions WHERE api_id = $1")
        .bind(api.as_str())
        .fetch_all(&mut *write)
        .await?;
    for row in &rows {
        let definition: String = row.try_get(0)?;
        super::definition::erase(&mut write, &definition).await?;
    }
    erase(&mut write, api).await?;
    let details = json!({ "baseUrl": known.base_url.to_string() });
    record(
        &mut write,
        actor,
        "api.delete",
        (api, &known.name),
        details,
        now,
    )
    .await?;
    Ok(write.commit().await?)
}

/// Takes an API without definitions out of all tables.
pub(super) async fn erase(connection: &mut AnyConnection, api: &ApiId) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM drift WHERE api_id = $1",
        "UPDATE findings SET api_id = NULL, method = '', path = '', shape = '' WHERE api_id = $1",
        "DELETE FROM apis WHERE id = $1",
    ] {
        sqlx::query(statement)
            .bind(api.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Writes what was done to an API.
pub(super) async fn record(
    write: &mut Write,
    actor: &Actor,
    action: &'static str,
    (api, name): (&ApiId, &str),
    details: serde_json::Value,
    now: Millis,
) -> Result<(), Refusal> {
    let entry = Entry {
        action,
        subject: "api",
        id: api.as_str(),
        name,
        details,
    };
    audit::record(write, actor, entry, now).await
}
