//! Definitions: what one source says of an API, observed (traffic) or documented (uploads).
//!
//! In: a base URL and what a source calls the thing. Out: the API it belongs to. A definition joins an API on the same server
//! whose base path covers its own or is covered by it, by whole segments; of several the one with the longest common base. It can be
//! moved to another API, or into one of its own.

use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::api::{self, Known};
use super::base_url::BaseUrl;
use super::columns::{base_url, count, id, maybe_count, maybe_id, maybe_time, text, time};
use super::{document, drift};
use crate::access::{Actor, Permission};
use crate::ids::{ApiId, DefinitionId, OrganisationId, RevisionId, SourceId};
use crate::store::Store;
use crate::{Millis, Refusal, problems};

/// How a definition came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKind {
    /// Reconstructed from traffic.
    Observed,
    /// Written by somebody.
    Documented,
}

impl DefinitionKind {
    /// As it is stored and as the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DefinitionKind::Observed => "observed",
            DefinitionKind::Documented => "documented",
        }
    }

    pub(super) fn stored(text: &str) -> Result<DefinitionKind, sqlx::Error> {
        match text {
            "observed" => Ok(DefinitionKind::Observed),
            "documented" => Ok(DefinitionKind::Documented),
            other => Err(sqlx::Error::Decode(
                format!("`{other}` is no kind of definition").into(),
            )),
        }
    }
}

/// A definition and its latest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its id.
    pub id: DefinitionId,
    /// The API it is of.
    pub api: ApiId,
    /// Where it comes from, unless the source was deleted.
    pub source: Option<SourceId>,
    /// The source's name.
    pub source_name: String,
    /// Seen or documented.
    pub kind: DefinitionKind,
    /// What the source calls it: a collector's host, an upload's name.
    pub key: String,
    /// Where the document says the API is.
    pub base_url: BaseUrl,
    /// The latest revision.
    pub revision: RevisionId,
    /// Its number.
    pub number: u64,
    /// `OpenAPI 3.1`, `Swagger 2.0`.
    pub specification: String,
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub api_version: String,
    /// Operations of the latest revision.
    pub operations: u64,
    /// The first revision came.
    pub created_at: Millis,
    /// The latest revision came.
    pub updated_at: Millis,
    /// Exchanges that were seen, as the collector counts.
    pub exchanges: Option<u64>,
    /// The first of them.
    pub seen_first_at: Option<Millis>,
    /// The last of them.
    pub seen_last_at: Option<Millis>,
}

const SELECT: &str = "SELECT d.id, d.api_id, d.source_id, COALESCE(s.name, d.source_name) AS source_name, d.kind, d.key, \
     d.base_url, d.revision_id, r.number, r.specification, r.title, r.api_version, r.operations, d.created_at, d.updated_at, \
     d.exchanges, d.seen_first_at, d.seen_last_at FROM definitions d JOIN revisions r ON r.id = d.revision_id \
     LEFT JOIN sources s ON s.id = d.source_id";

fn read(row: &AnyRow) -> Result<Definition, sqlx::Error> {
    Ok(Definition {
        id: id(row, "id", DefinitionId::parse)?,
        api: id(row, "api_id", ApiId::parse)?,
        source: maybe_id(row, "source_id", SourceId::parse)?,
        source_name: text(row, "source_name")?,
        kind: DefinitionKind::stored(&text(row, "kind")?)?,
        key: text(row, "key")?,
        base_url: base_url(row, "base_url")?,
        revision: id(row, "revision_id", RevisionId::parse)?,
        number: count(row, "number")?,
        specification: text(row, "specification")?,
        title: text(row, "title")?,
        api_version: text(row, "api_version")?,
        operations: count(row, "operations")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        exchanges: maybe_count(row, "exchanges")?,
        seen_first_at: maybe_time(row, "seen_first_at")?,
        seen_last_at: maybe_time(row, "seen_last_at")?,
    })
}

/// The definitions of an API, observed ones first, at most 500.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn list(store: &Store, actor: &Actor, api: &ApiId) -> Result<Vec<Definition>, Refusal> {
    api::get(store, actor, api).await?;
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{SELECT} WHERE d.api_id = $1 ORDER BY d.kind DESC, lower(d.source_name), d.id LIMIT 500"
    )))
    .bind(api.as_str())
    .fetch_all(store.pool())
    .await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// One definition.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(
    store: &Store,
    actor: &Actor,
    definition: &DefinitionId,
) -> Result<Definition, Refusal> {
    actor.may(Permission::ViewApis)?;
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{SELECT} WHERE d.id = $1 AND d.organisation_id = $2"
    )))
    .bind(definition.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("definition", definition.as_str()))?;
    Ok(read(&row)?)
}

/// Where a new definition goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Join {
    /// To the API that stands there; a new one where none does.
    #[default]
    Fitting,
    /// To an API of its own.
    New,
    /// To this one, whatever its base URL.
    Api(ApiId),
}

/// Finds or makes the API of a new definition. Gives the API and whether it is new.
pub(super) async fn place(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    base: &BaseUrl,
    join: &Join,
    name: &str,
    now: Millis,
) -> Result<(ApiId, bool), Refusal> {
    let found = match join {
        Join::New => None,
        Join::Api(api) => Some(api::known(connection, organisation, api).await?),
        Join::Fitting => fitting(connection, organisation, base).await?,
    };
    let Some(found) = found else {
        let api = ApiId::make(now);
        insert(connection, organisation, &api, base, name, now).await?;
        return Ok((api, true));
    };
    widen_known(connection, &found, base).await?;
    Ok((found.id, false))
}

/// The API on the same server whose base path covers this one or is covered by it.
async fn fitting(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    base: &BaseUrl,
) -> Result<Option<Known>, Refusal> {
    let rows = sqlx::query(
        "SELECT id, name, base_url, target_id FROM apis WHERE organisation_id = $1 AND host = $2 ORDER BY id",
    )
    .bind(organisation.as_str())
    .bind(base.host())
    .fetch_all(connection)
    .await?;
    let mut best: Option<((usize, bool), Known)> = None;
    for row in &rows {
        let url = base_url(row, "base_url")?;
        let Some(common) = url.common_base(base) else {
            continue;
        };
        let rank = (common, url.path() == base.path());
        // The oldest of equals: rows come by id, and ids by time.
        if best.as_ref().is_some_and(|(other, _)| *other >= rank) {
            continue;
        }
        let known = Known {
            id: id(row, "id", ApiId::parse)?,
            name: text(row, "name")?,
            base_url: url,
            target: maybe_id(row, "target_id", crate::ids::TargetId::parse)?,
            hidden: false,
        };
        best = Some((rank, known));
    }
    Ok(best.map(|(_, known)| known))
}

/// An API stands at the shortest base URL its definitions say, as long as that lies under the target it is linked to.
pub(super) async fn widen(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    api: &ApiId,
    base: &BaseUrl,
) -> Result<(), Refusal> {
    let known = api::known(connection, organisation, api).await?;
    widen_known(connection, &known, base).await
}

async fn widen_known(
    connection: &mut AnyConnection,
    api: &Known,
    base: &BaseUrl,
) -> Result<(), Refusal> {
    let wider = api.base_url.with_path(base.path());
    if !api.base_url.is_on_server_of(base)
        || !api.base_url.lies_under(&wider)
        || wider == api.base_url
    {
        return Ok(());
    }
    if let Some(target) = &api.target {
        let row = sqlx::query("SELECT url FROM targets WHERE id = $1")
            .bind(target.as_str())
            .fetch_one(&mut *connection)
            .await?;
        if !wider.lies_under(&base_url(&row, "url")?) {
            return Ok(());
        }
    }
    // A name that nobody gave goes along.
    let name = if api.name == api.base_url.place() {
        wider.place()
    } else {
        api.name.clone()
    };
    sqlx::query("UPDATE apis SET base_url = $1, base_path = $2, name = $3 WHERE id = $4")
        .bind(wider.to_string())
        .bind(wider.path())
        .bind(name)
        .bind(api.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    api: &ApiId,
    base: &BaseUrl,
    name: &str,
    now: Millis,
) -> Result<(), Refusal> {
    let name = if name.trim().is_empty() {
        base.place()
    } else {
        name.to_owned()
    };
    sqlx::query(
        "INSERT INTO apis (id, organisation_id, name, base_url, scheme, host, port, base_path, first_discovered_at, updated_at, \
         operations, observed, documented, shadow, zombie, orphan, contradictions, drift_due, critical, high, medium, low, \
         informational) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
    )
    .bind(api.as_str())
    .bind(organisation.as_str())
    .bind(name)
    .bind(base.to_string())
    .bind(base.scheme().name())
    .bind(base.host())
    .bind(i64::from(base.port()))
    .bind(base.path())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that one of an API's definitions has a new revision: drift is due where there is another kind to compare with.
pub(super) async fn updated(
    connection: &mut AnyConnection,
    api: &ApiId,
    now: Millis,
) -> Result<(), Refusal> {
    sqlx::query(
        "UPDATE apis SET updated_at = $1, drift_due = CASE WHEN EXISTS (SELECT 1 FROM definitions WHERE api_id = $2 \
         AND kind = 'observed') AND EXISTS (SELECT 1 FROM definitions WHERE api_id = $2 AND kind = 'documented') THEN 1 \
         ELSE drift_due END WHERE id = $2",
    )
    .bind(now.0)
    .bind(api.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts an API's operations anew and notes what was found today. `apis`: how many new APIs there are by it.
pub(super) async fn recount(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    api: &ApiId,
    apis: i64,
    now: Millis,
) -> Result<(), Refusal> {
    const DAY: i64 = 86_400_000;
    let before: i64 = sqlx::query("SELECT operations FROM apis WHERE id = $1")
        .bind(api.as_str())
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let after: i64 = sqlx::query(
        "UPDATE apis SET \
         operations = (SELECT COUNT(*) FROM (SELECT DISTINCT o.method, o.shape FROM operations o WHERE o.api_id = $1) x), \
         observed = (SELECT COUNT(*) FROM (SELECT DISTINCT o.method, o.shape FROM operations o WHERE o.api_id = $1 \
         AND o.kind = 'observed') x), \
         documented = (SELECT COUNT(*) FROM (SELECT DISTINCT o.method, o.shape FROM operations o WHERE o.api_id = $1 \
         AND o.kind = 'documented') x), \
         drift_due = CASE WHEN (SELECT COUNT(DISTINCT d.kind) FROM definitions d WHERE d.api_id = $1) > 1 \
         OR EXISTS (SELECT 1 FROM drift f WHERE f.api_id = $1) THEN 1 ELSE 0 END \
         WHERE id = $1 RETURNING operations",
    )
    .bind(api.as_str())
    .fetch_one(&mut *connection)
    .await?
    .try_get(0)?;
    let more = (after - before).max(0);
    if apis > 0 || more > 0 {
        sqlx::query(
            "INSERT INTO found (organisation_id, day, apis, operations) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (organisation_id, day) DO UPDATE SET apis = found.apis + excluded.apis, \
             operations = found.operations + excluded.operations",
        )
        .bind(organisation.as_str())
        .bind(now.0.div_euclid(DAY))
        .bind(apis)
        .bind(more)
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Takes a definition out of all tables, and the texts that nothing else has.
pub(super) async fn erase(
    connection: &mut AnyConnection,
    definition: &str,
) -> Result<(), sqlx::Error> {
    let hashes =
        sqlx::query("SELECT DISTINCT document_hash FROM revisions WHERE definition_id = $1")
            .bind(definition)
            .fetch_all(&mut *connection)
            .await?;
    for statement in [
        "DELETE FROM callers WHERE definition_id = $1",
        "DELETE FROM operations WHERE definition_id = $1",
        "DELETE FROM revisions WHERE definition_id = $1",
        "DELETE FROM definitions WHERE id = $1",
    ] {
        sqlx::query(statement)
            .bind(definition)
            .execute(&mut *connection)
            .await?;
    }
    for row in &hashes {
        document::forget_unused(connection, row.try_get(0)?).await?;
    }
    Ok(())
}

/// Moves a definition to another API ([`Join::Api`]) or into one of its own ([`Join::New`]). An API that has none left goes.
/// Gives the API it is in now.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`]; [`Refusal::Conflict`] `only-definition` when it is alone in its API already.
pub async fn move_to(
    store: &Store,
    actor: &Actor,
    definition: &DefinitionId,
    join: &Join,
    now: Millis,
) -> Result<ApiId, Refusal> {
    actor.may(Permission::ManageApis)?;
    let moved = get(store, actor, definition).await?;
    let mut write = store.write().await?;
    store.serialise(&mut write, &actor.organisation).await?;
    let from = api::known(&mut write, &actor.organisation, &moved.api).await?;
    let others: i64 =
        sqlx::query("SELECT COUNT(*) FROM definitions WHERE api_id = $1 AND id <> $2")
            .bind(from.id.as_str())
            .bind(definition.as_str())
            .fetch_one(&mut *write)
            .await?
            .try_get(0)?;
    if others == 0 && *join == Join::New {
        return Err(Refusal::conflict(
            problems::ONLY_DEFINITION,
            "definitionId",
            format!(
                "“{}” has no other definition; this one is its own already",
                from.name
            ),
        ));
    }
    let name = match moved.kind {
        DefinitionKind::Documented => moved.title.as_str(),
        DefinitionKind::Observed => "",
    };
    let (to, new) = place(
        &mut write,
        &actor.organisation,
        &moved.base_url,
        join,
        name,
        now,
    )
    .await?;
    if to == from.id {
        return Ok(to);
    }
    for statement in [
        "UPDATE definitions SET api_id = $1 WHERE id = $2",
        "UPDATE operations SET api_id = $1 WHERE definition_id = $2",
    ] {
        sqlx::query(statement)
            .bind(to.as_str())
            .bind(definition.as_str())
            .execute(&mut *write)
            .await?;
    }
    recount(&mut write, &actor.organisation, &to, i64::from(new), now).await?;
    let details =
        json!({ "definition": definition.as_str(), "from": from.name, "fromId": from.id.as_str() });
    let target = api::known(&mut write, &actor.organisation, &to).await?;
    if others == 0 {
        api::erase(&mut write, &from.id).await?;
    } else {
        recount(&mut write, &actor.organisation, &from.id, 0, now).await?;
    }
    api::record(
        &mut write,
        actor,
        "definition.move",
        (&to, &target.name),
        details,
        now,
    )
    .await?;
    write.commit().await?;
    drift::refresh(store, &from.id).await?;
    drift::refresh(store, &to).await?;
    Ok(to)
}

/// Deletes a definition with its revisions; with the last one the API goes.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn delete(
    store: &Store,
    actor: &Actor,
    definition: &DefinitionId,
    now: Millis,
) -> Result<(), Refusal> {
    actor.may(Permission::ManageApis)?;
    let gone = get(store, actor, definition).await?;
    let mut write = store.write().await?;
    store.serialise(&mut write, &actor.organisation).await?;
    let api = api::known(&mut write, &actor.organisation, &gone.api).await?;
    erase(&mut write, definition.as_str()).await?;
    let left: i64 = sqlx::query("SELECT COUNT(*) FROM definitions WHERE api_id = $1")
        .bind(api.id.as_str())
        .fetch_one(&mut *write)
        .await?
        .try_get(0)?;
    let details =
        json!({ "definition": definition.as_str(), "source": gone.source_name, "key": gone.key });
    api::record(
        &mut write,
        actor,
        "definition.delete",
        (&api.id, &api.name),
        details,
        now,
    )
    .await?;
    if left == 0 {
        api::erase(&mut write, &api.id).await?;
    } else {
        recount(&mut write, &actor.organisation, &api.id, 0, now).await?;
    }
    write.commit().await?;
    if left > 0 {
        drift::refresh(store, &api.id).await?;
    }
    Ok(())
}
