//! Sources as people set them up.
//!
//! In: a name, a kind and its settings. Out: sources with their statuses. There are at most [`MAX_SOURCES`] in an organisation, so
//! that a status, which no index knows, can be filtered and sorted by.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::status::{CollectorFacts, Report, SourceFacts, Status, status};
use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::SourceId;
use crate::store::{Direction, Page, PageOf, Store, is_taken};
use crate::{Millis, Refusal, problems};

/// Sources of one organisation.
pub const MAX_SOURCES: usize = 1000;

/// What a source takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Collectors that see traffic.
    TrafficAnalyzer,
    /// People who upload documents.
    Upload,
    /// A document at a URL.
    Url,
}

impl Kind {
    /// All.
    pub const ALL: [Kind; 3] = [Kind::TrafficAnalyzer, Kind::Upload, Kind::Url];

    /// As it is stored and as the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::TrafficAnalyzer => "traffic-analyzer",
            Kind::Upload => "upload",
            Kind::Url => "url",
        }
    }

    /// As people read it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::TrafficAnalyzer => "Traffic analyzer",
            Kind::Upload => "Manual upload",
            Kind::Url => "Document at a URL",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// What people call it; one in an organisation.
    pub name: String,
    /// What it takes from.
    pub kind: Kind,
    /// Of its kind: `{"url": …}` for [`Kind::Url`].
    pub settings: Json,
    /// Whether documents without operations are left out.
    pub exclude_empty: bool,
    /// Whether it takes in what is new by itself.
    pub auto_sync: bool,
    /// Since when.
    pub created_at: Millis,
    /// By whom, as they were called then.
    pub created_by: String,
    /// When it was last edited.
    pub updated_at: Millis,
    /// What is going on, and why.
    pub report: Report,
    /// When something was last taken in, or a sync was over.
    pub last_sync_at: Option<Millis>,
    /// Definitions that came from it.
    pub definitions: u64,
    /// Collectors registered.
    pub collectors: u64,
}

/// Which sources to list; what is `None` takes all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of the name.
    pub text: Option<String>,
    /// The kind.
    pub kind: Option<Kind>,
    /// The status.
    pub status: Option<Status>,
    /// Whether it syncs by itself.
    pub auto_sync: Option<bool>,
}

/// What sources are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Name.
    #[default]
    Name,
    /// Kind.
    Kind,
    /// Status, those that need somebody first.
    Status,
    /// Last sync; those without come first.
    LastSync,
    /// When they were made.
    Created,
}

/// A source to be.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What it takes from.
    pub kind: Kind,
    /// Of its kind: `{"url": …}` for [`Kind::Url`], else empty or null.
    pub settings: Json,
    /// Whether documents without operations are left out; people expect that they are.
    pub exclude_empty: bool,
    /// Whether it takes in what is new by itself.
    pub auto_sync: bool,
}

/// What is to change; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Edit<'a> {
    /// What people call it.
    pub name: Option<&'a str>,
    /// Of its kind.
    pub settings: Option<Json>,
    /// Whether documents without operations are left out.
    pub exclude_empty: Option<bool>,
    /// Whether it takes in what is new by itself.
    pub auto_sync: Option<bool>,
}

/// Sources of the actor's organisation.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &Filter,
    order: (Order, Direction),
    page: Page,
    clock: (Duration, Millis),
) -> Result<PageOf<Source>, Refusal> {
    actor.may(Permission::ViewSources)?;
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    let mut all = read(store, actor, None, clock).await?;
    all.retain(|source| {
        text.as_ref()
            .is_none_or(|text| source.name.to_lowercase().contains(text))
            && filter.kind.is_none_or(|kind| source.kind == kind)
            && filter
                .status
                .is_none_or(|status| source.report.status == status)
            && filter.auto_sync.is_none_or(|on| source.auto_sync == on)
    });
    all.sort_by(|a, b| {
        let order = match order.0 {
            Order::Name => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
            Order::Kind => a.kind.title().cmp(b.kind.title()),
            Order::Status => a.report.status.urgency().cmp(&b.report.status.urgency()),
            Order::LastSync => a.last_sync_at.cmp(&b.last_sync_at),
            Order::Created => a.created_at.cmp(&b.created_at),
        };
        order.then_with(|| a.id.cmp(&b.id))
    });
    if order.1 == Direction::Descending {
        all.reverse();
    }
    let total = all.len() as u64;
    let skip = (page.number() as usize - 1).saturating_mul(page.size() as usize);
    let items = all
        .into_iter()
        .skip(skip)
        .take(page.size() as usize)
        .collect();
    Ok(PageOf { items, total, page })
}

/// One source. `clock`: silence after which a collector is offline, and the time.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(
    store: &Store,
    actor: &Actor,
    id: &SourceId,
    clock: (Duration, Millis),
) -> Result<Source, Refusal> {
    actor.may(Permission::ViewSources)?;
    read(store, actor, Some(id), clock)
        .await?
        .pop()
        .ok_or_else(|| Refusal::not_found("source", id.as_str()))
}

/// Sets a source up.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::Invalid`], [`Refusal::Conflict`] `name-taken` or `too-many`.
pub async fn create(
    store: &Store,
    actor: &Actor,
    new: New<'_>,
    now: Millis,
) -> Result<SourceId, Refusal> {
    actor.may(Permission::ManageSources)?;
    let name = crate::access::organisations::name_of("name", new.name)?;
    let settings = settings_of(new.kind, new.settings)?;
    let id = SourceId::make(now);
    let mut write = store.write().await?;
    let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sources WHERE organisation_id = $1")
        .bind(actor.organisation.as_str())
        .fetch_one(&mut *write)
        .await?;
    if usize::try_from(there).unwrap_or(0) >= MAX_SOURCES {
        return Err(Refusal::conflict(
            problems::TOO_MANY,
            "",
            format!("there are {there} sources; an organisation has at most {MAX_SOURCES}"),
        ));
    }
    free(&mut write, actor, &name, None).await?;
    sqlx::query(
        "INSERT INTO sources (id, organisation_id, name, kind, settings, exclude_empty, auto_sync, created_at, created_by, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.as_str())
    .bind(actor.organisation.as_str())
    .bind(&name)
    .bind(new.kind.name())
    .bind(settings.to_string())
    .bind(i64::from(new.exclude_empty))
    .bind(i64::from(new.auto_sync))
    .bind(now.0)
    .bind(&actor.name)
    .bind(now.0)
    .execute(&mut *write)
    .await
    .map_err(|error| if is_taken(&error) { taken(&name) } else { error.into() })?;
    let details = json!({
        "kind": new.kind.name(), "settings": settings, "excludeEmpty": new.exclude_empty, "autoSync": new.auto_sync
    });
    record(
        &mut write,
        actor,
        "source.create",
        (&id, &name),
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(id)
}

/// Changes a source.
///
/// # Errors
/// As [`create`], and [`Refusal::NotFound`].
pub async fn edit(
    store: &Store,
    actor: &Actor,
    id: &SourceId,
    edit: Edit<'_>,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageSources)?;
    let mut write = store.write().await?;
    let row = sqlx::query(
        "SELECT name, kind, settings, exclude_empty, auto_sync FROM sources WHERE id = $1 AND organisation_id = $2",
    )
    .bind(id.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(&mut *write)
    .await?
    .ok_or_else(|| Refusal::not_found("source", id.as_str()))?;
    let before_name: String = row.try_get(0)?;
    let kind = kind_of(row.try_get(1)?)?;
    let before_settings: Json = serde_json::from_str(row.try_get(2)?).unwrap_or_default();
    let name = match edit.name {
        Some(name) => crate::access::organisations::name_of("name", name)?,
        None => before_name.clone(),
    };
    let settings = match edit.settings {
        Some(settings) => settings_of(kind, settings)?,
        None => before_settings.clone(),
    };
    let flag = |given: Option<bool>, column: usize| {
        Ok::<_, sqlx::Error>(given.map_or(row.try_get::<i64, _>(column)?, i64::from))
    };
    let (exclude_empty, auto_sync) = (flag(edit.exclude_empty, 3)?, flag(edit.auto_sync, 4)?);
    free(&mut write, actor, &name, Some(id)).await?;
    sqlx::query(
        "UPDATE sources SET name = $1, settings = $2, exclude_empty = $3, auto_sync = $4, updated_at = $5 WHERE id = $6",
    )
    .bind(&name)
    .bind(settings.to_string())
    .bind(exclude_empty)
    .bind(auto_sync)
    .bind(now.0)
    .bind(id.as_str())
    .execute(&mut *write)
    .await
    .map_err(|error| if is_taken(&error) { taken(&name) } else { error.into() })?;
    let details = json!({
        "settings": settings, "excludeEmpty": exclude_empty != 0, "autoSync": auto_sync != 0,
        "before": {
            "name": before_name, "settings": before_settings,
            "excludeEmpty": row.try_get::<i64, _>(3)? != 0, "autoSync": row.try_get::<i64, _>(4)? != 0,
        },
    });
    record(&mut write, actor, "source.edit", (id, &name), details, now).await?;
    write.commit().await?;
    Ok(())
}

/// Deletes a source with its tokens and collectors' credentials. The APIs it found stay.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn delete(
    store: &Store,
    actor: &Actor,
    id: &SourceId,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageSources)?;
    let mut write = store.write().await?;
    let (name, kind) = named(&mut write, actor, id).await?;
    sqlx::query("DELETE FROM sources WHERE id = $1")
        .bind(id.as_str())
        .execute(&mut *write)
        .await?;
    let details = json!({ "kind": kind.name() });
    record(
        &mut write,
        actor,
        "source.delete",
        (id, &name),
        details,
        now,
    )
    .await?;
    write.commit().await?;
    Ok(())
}

/// Name and kind of a source of the actor's organisation.
pub(super) async fn named(
    connection: &mut AnyConnection,
    actor: &Actor,
    id: &SourceId,
) -> Result<(String, Kind), Refusal> {
    let row = sqlx::query("SELECT name, kind FROM sources WHERE id = $1 AND organisation_id = $2")
        .bind(id.as_str())
        .bind(actor.organisation.as_str())
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| Refusal::not_found("source", id.as_str()))?;
    Ok((row.try_get(0)?, kind_of(row.try_get(1)?)?))
}

pub(super) async fn record(
    connection: &mut AnyConnection,
    actor: &Actor,
    action: &'static str,
    (id, name): (&SourceId, &str),
    details: Json,
    now: Millis,
) -> Result<(), Refusal> {
    let entry = Entry {
        action,
        subject: "source",
        id: id.as_str(),
        name,
        details,
    };
    audit::record(connection, actor, entry, now).await
}

fn kind_of(name: &str) -> Result<Kind, Refusal> {
    Kind::parse(name).ok_or_else(|| {
        Refusal::Internal(format!(
            "a source has the kind {name}, which this version does not know"
        ))
    })
}

fn settings_of(kind: Kind, settings: Json) -> Result<Json, Refusal> {
    let empty = settings.is_null() || settings.as_object().is_some_and(serde_json::Map::is_empty);
    match kind {
        Kind::TrafficAnalyzer | Kind::Upload if empty => Ok(json!({})),
        Kind::TrafficAnalyzer | Kind::Upload => Err(Refusal::invalid(
            "settings",
            format!("a source of the kind {} has none", kind.name()),
        )),
        Kind::Url => {
            const LONGEST: usize = 2000;
            let text = settings
                .get("url")
                .and_then(Json::as_str)
                .unwrap_or_default()
                .trim();
            let url = url::Url::parse(text).ok().filter(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.host_str().is_some()
                    && url.username().is_empty()
                    && url.password().is_none()
                    && text.len() <= LONGEST
            });
            let url = url.ok_or_else(|| {
                Refusal::invalid(
                    "url",
                    "it is no address of a document; one looks like https://api.example.com/openapi.json, without user and password",
                )
            })?;
            Ok(json!({ "url": url.as_str() }))
        }
    }
}

/// Names differ by more than case: they are told apart by people.
async fn free(
    connection: &mut AnyConnection,
    actor: &Actor,
    name: &str,
    except: Option<&SourceId>,
) -> Result<(), Refusal> {
    let others: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sources WHERE organisation_id = $1 AND id <> $2")
            .bind(actor.organisation.as_str())
            .bind(except.map_or("", SourceId::as_str))
            .fetch_all(connection)
            .await?;
    if others
        .iter()
        .any(|other| other.to_lowercase() == name.to_lowercase())
    {
        return Err(taken(name));
    }
    Ok(())
}

fn taken(name: &str) -> Refusal {
    Refusal::conflict(
        problems::NAME_TAKEN,
        "name",
        format!("there is a source {name} already; choose another name"),
    )
}

async fn read(
    store: &Store,
    actor: &Actor,
    id: Option<&SourceId>,
    (offline_after, now): (Duration, Millis),
) -> Result<Vec<Source>, Refusal> {
    let organisation = actor.organisation.as_str();
    // An id or all: an empty text is no id.
    let id = id.map_or("", SourceId::as_str);
    let rows = sqlx::query(
        "SELECT s.id, s.name, s.kind, s.settings, s.exclude_empty, s.auto_sync, s.created_at, s.created_by, s.updated_at, \
         s.sync_requested_at, s.synced_at, s.sync_error, \
         (SELECT COUNT(*) FROM definitions d WHERE d.source_id = s.id), \
         (SELECT MAX(d.updated_at) FROM definitions d WHERE d.source_id = s.id), \
         (SELECT MAX(t.expires_at) FROM registration_tokens t WHERE t.source_id = s.id AND t.used_at IS NULL) \
         FROM sources s WHERE s.organisation_id = $1 AND ($2 = '' OR s.id = $2)",
    )
    .bind(organisation)
    .bind(id)
    .fetch_all(store.pool())
    .await?;
    let collectors = sqlx::query(
        "SELECT source_id, name, heartbeat_at, last_error FROM collectors \
         WHERE organisation_id = $1 AND ($2 = '' OR source_id = $2) AND revoked_at IS NULL ORDER BY name, id",
    )
    .bind(organisation)
    .bind(id)
    .fetch_all(store.pool())
    .await?;
    let mut by_source: HashMap<String, Vec<CollectorFacts>> = HashMap::new();
    for row in &collectors {
        by_source
            .entry(row.try_get(0)?)
            .or_default()
            .push(CollectorFacts {
                name: row.try_get(1)?,
                heartbeat_at: row.try_get::<Option<i64>, _>(2)?.map(Millis),
                last_error: row.try_get(3)?,
            });
    }
    rows.iter()
        .map(|row| {
            let collectors = by_source
                .remove(row.try_get::<&str, _>(0)?)
                .unwrap_or_default();
            source(row, collectors, offline_after, now)
        })
        .collect()
}

fn source(
    row: &AnyRow,
    collectors: Vec<CollectorFacts>,
    offline_after: Duration,
    now: Millis,
) -> Result<Source, Refusal> {
    let at =
        |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Millis));
    let kind = kind_of(row.try_get(2)?)?;
    let count = collectors.len() as u64;
    let facts = SourceFacts {
        kind,
        collectors,
        token_expires_at: at(14)?,
        sync_requested_at: at(9)?,
        synced_at: at(10)?,
        sync_error: row.try_get(11)?,
        received_at: at(13)?,
    };
    Ok(Source {
        id: SourceId::read(row.try_get(0)?)?,
        name: row.try_get(1)?,
        kind,
        settings: serde_json::from_str(row.try_get(3)?).unwrap_or_default(),
        exclude_empty: row.try_get::<i64, _>(4)? != 0,
        auto_sync: row.try_get::<i64, _>(5)? != 0,
        created_at: Millis(row.try_get(6)?),
        created_by: row.try_get(7)?,
        updated_at: Millis(row.try_get(8)?),
        last_sync_at: facts.synced_at.max(facts.received_at),
        report: status(&facts, offline_after, now),
        definitions: u64::try_from(row.try_get::<i64, _>(12)?).unwrap_or(0),
        collectors: count,
    })
}
