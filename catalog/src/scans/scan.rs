//! Scans: reports that were imported, one for each run of a tool.
//!
//! In: a report in SARIF 2.1.0. Out: open findings. A finding that a later scan of the same tool, covering the same API, no longer
//! has is closed; one that comes back is open again. The same report twice changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::matching::{Match, Places};
use super::sarif::{self, Reported, Run};
use crate::access::{Actor, Permission};
use crate::audit::{self, Entry};
use crate::ids::{ApiId, FindingId, OrganisationId, ScanId};
use crate::inventory;
use crate::store::{
    Conditions, Direction, Listing, Page, PageOf, Store, Value, Write, insert_rows,
};
use crate::{Millis, Refusal};

/// How often a report is matched anew before nobody else may change APIs meanwhile.
const TRIES: usize = 3;
/// Results after which others get a turn.
const BETWEEN_PAUSES: usize = 64;

/// A scan that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Its id.
    pub id: ScanId,
    /// The scanner.
    pub tool: String,
    /// Its version, or empty.
    pub tool_version: String,
    /// When it ran; when it was imported, where the report does not say.
    pub scanned_at: Millis,
    /// When it was imported.
    pub imported_at: Millis,
    /// By whom.
    pub imported_by: String,
    /// How many results it has.
    pub results: u64,
    /// How many of them are about an API that is known.
    pub matched: u64,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedScan {
    /// The scan.
    pub scan: Scan,
    /// Findings that were not there before.
    pub new: u64,
    /// Findings that were closed, and are there again.
    pub reopened: u64,
    /// Findings of earlier scans that are gone.
    pub closed: u64,
    /// Results that passed, or were suppressed, or cannot be read.
    pub left_out: u64,
    /// The APIs it covered.
    pub apis: Vec<ApiId>,
}

/// Imports a report; gives one scan for each of its runs. `api`: the report is about this API, so that paths alone are enough
/// and an empty report closes what was open there.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`] for the API, [`Refusal::TooLarge`], [`Refusal::Invalid`] on `report`.
pub async fn import(
    store: &Store,
    actor: &Actor,
    report: Bytes,
    api: Option<&ApiId>,
    now: Millis,
) -> Result<Vec<ImportedScan>, Refusal> {
    actor.may(Permission::ImportScans)?;
    let size = report.len();
    if size as u64 > sarif::MAX_BYTES {
        sarif::read(&report)?;
    }
    let report = inventory::apart(4 * size, move || sarif::read(&report)).await??;
    if report.runs.is_empty() {
        return Err(Refusal::invalid(
            "report",
            "it has no runs, so nothing was scanned",
        ));
    }
    // Matching takes long for large reports, and SQLite has one writer: it is done before, and again when an API it counts on is gone or
    // has moved meanwhile.
    for _ in 0..TRIES {
        let mut read = store.pool().acquire().await?;
        let (places, runs) = matching(&mut read, &actor.organisation, &report.runs, api).await?;
        drop(read);
        let mut write = store.write().await?;
        store.serialise(&mut write, &actor.organisation).await?;
        if still_stand(&mut write, &actor.organisation, &runs).await? {
            return keep_all(write, actor, &places, runs, now).await;
        }
    }
    // Somebody changes them all the time: nobody does while this is matched.
    let mut write = store.write().await?;
    store.serialise(&mut write, &actor.organisation).await?;
    let (places, runs) = matching(&mut write, &actor.organisation, &report.runs, api).await?;
    keep_all(write, actor, &places, runs, now).await
}

async fn keep_all(
    mut write: Write,
    actor: &Actor,
    places: &Places,
    runs: Vec<Matched>,
    now: Millis,
) -> Result<Vec<ImportedScan>, Refusal> {
    let mut imported = Vec::with_capacity(runs.len());
    for run in runs {
        imported.push(keep(&mut write, actor, places, run, now).await?);
    }
    write.commit().await?;
    Ok(imported)
}

/// A run, with what its results are about.
struct Matched {
    tool: String,
    tool_version: String,
    at: Option<Millis>,
    results: u64,
    matched: u64,
    left_out: u64,
    /// The APIs it covers, and where each stood when it was matched.
    covered: BTreeMap<String, String>,
    /// By API (or empty) and fingerprint.
    found: BTreeMap<(String, String), (Reported, Match)>,
}

/// Finds what each result is about. Changes nothing.
async fn matching(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    runs: &[Run],
    only: Option<&ApiId>,
) -> Result<(Places, Vec<Matched>), Refusal> {
    if let Some(api) = only {
        inventory::known(connection, organisation, api).await?;
    }
    let mut places = Places::of(connection, organisation).await?;
    let only = only.map(ApiId::as_str);
    let mut all = Vec::with_capacity(runs.len());
    for run in runs {
        let mut covered: BTreeSet<String> = only.map(str::to_owned).into_iter().collect();
        for url in &run.covered {
            if let Some((api, _)) = places.api(url)
                && only.is_none_or(|only| only == api)
            {
                covered.insert(api);
            }
        }
        let mut matched = 0;
        let mut found: BTreeMap<(String, String), (Reported, Match)> = BTreeMap::new();
        for (at, result) in run.results.iter().enumerate() {
            if at % BETWEEN_PAUSES == 0 {
                tokio::task::yield_now().await;
            }
            let about = places
                .find(connection, &result.method, &result.places, only)
                .await?;
            if let Some(api) = &about.api {
                matched += 1;
                covered.insert(api.clone());
            }
            let fingerprint = fingerprint(result, &about);
            let api = about.api.clone().unwrap_or_default();
            let entry = found
                .entry((api, fingerprint))
                .or_insert_with(|| (result.clone(), about));
            entry.0.severity = entry.0.severity.min(result.severity);
        }
        all.push(Matched {
            tool: run.tool.clone(),
            tool_version: run.tool_version.clone(),
            at: run.at,
            results: run.results.len() as u64,
            matched,
            left_out: run.left_out as u64,
            covered: covered
                .into_iter()
                .map(|api| {
                    let base = places.base_of(&api).unwrap_or_default().to_owned();
                    (api, base)
                })
                .collect(),
            found,
        });
    }
    Ok((places, all))
}

/// Whether each API that runs were matched to is still there, where it was.
async fn still_stand(
    write: &mut Write,
    organisation: &OrganisationId,
    runs: &[Matched],
) -> Result<bool, Refusal> {
    let all: BTreeMap<&str, &str> = runs
        .iter()
        .flat_map(|run| &run.covered)
        .map(|(api, base)| (api.as_str(), base.as_str()))
        .collect();
    for (api, base) in all {
        let now: Option<String> =
            sqlx::query_scalar("SELECT base_url FROM apis WHERE id = $1 AND organisation_id = $2")
                .bind(api)
                .bind(organisation.as_str())
                .fetch_optional(&mut **write)
                .await?;
        if now.as_deref() != Some(base) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An open or closed finding that is there already.
struct Known {
    id: String,
    /// Where it was.
    url: String,
    closed: bool,
}

async fn keep(
    write: &mut Write,
    actor: &Actor,
    places: &Places,
    run: Matched,
    now: Millis,
) -> Result<ImportedScan, Refusal> {
    // A scanner's clock may be ahead; nothing was scanned in the future.
    let at = run.at.unwrap_or(now).min(now);
    let covered: BTreeSet<String> = run.covered.into_keys().collect();
    let scan = Scan {
        id: ScanId::make(now),
        tool: run.tool,
        tool_version: run.tool_version,
        scanned_at: at,
        imported_at: now,
        imported_by: actor.name.clone(),
        results: run.results,
        matched: run.matched,
    };
    insert(write, actor, &scan).await?;
    let mut known = known(write, &actor.organisation, &scan.tool).await?;
    let mut done = ImportedScan {
        new: 0,
        reopened: 0,
        closed: 0,
        left_out: run.left_out,
        apis: covered
            .iter()
            .filter_map(|api| ApiId::parse(api).ok())
            .collect(),
        scan,
    };
    let mut rows = Vec::new();
    for ((api, fingerprint), (result, about)) in run.found {
        let key = (api, fingerprint);
        match known.remove(&key) {
            Some(before) => {
                if before.closed {
                    done.reopened += 1;
                }
                refresh(write, &before.id, &done.scan, &result, &about, at).await?;
            }
            None => {
                done.new += 1;
                rows.push(row(actor, &done.scan, key, result, about, at, now));
            }
        }
    }
    insert_rows(
        write,
        "INSERT INTO findings (id, organisation_id, scan_id, api_id, tool, fingerprint, severity, rule, rule_name, message, method, \
         path, shape, url, first_seen_at, last_seen_at)",
        "",
        rows,
    )
    .await?;
    // What is left was there and is not any more, where this scan looked.
    for ((api, _), before) in known {
        if before.closed {
            continue;
        }
        // What fitted no API is found again in the one that is there now, or is gone with what was looked at.
        let looked_at = match places.api(&before.url) {
            Some((now_there, _)) if api.is_empty() => covered.contains(&now_there),
            _ => covered.contains(&api),
        };
        if !looked_at {
            continue;
        }
        done.closed += 1;
        sqlx::query("UPDATE findings SET closed_at = $1 WHERE id = $2 AND last_seen_at <= $1")
            .bind(at.0)
            .bind(before.id)
            .execute(&mut **write)
            .await?;
    }
    for api in &covered {
        recount(write, api, at).await?;
    }
    let entry = Entry {
        action: "scan.import",
        subject: "scan",
        id: done.scan.id.as_str(),
        name: &done.scan.tool,
        details: json!({
            "results": done.scan.results,
            "matched": done.scan.matched,
            "new": done.new,
            "closed": done.closed,
        }),
    };
    audit::record(write, actor, entry, now).await?;
    Ok(done)
}

/// What stays the same from scan to scan: the tool's own fingerprint, or rule and place.
fn fingerprint(result: &Reported, about: &Match) -> String {
    let text = if result.fingerprint.is_empty() {
        let place = if about.shape.is_empty() {
            // Queries hold what the scanner sent this time.
            let url = about.url.split(['?', '#']).next().unwrap_or_default();
            format!("{url}\n{}", result.message)
        } else {
            format!("{} {}", about.method, about.shape)
        };
        format!("{}\n{place}", result.rule)
    } else {
        format!("{}\n{}", result.rule, result.fingerprint)
    };
    crate::hash::sha256(text.as_bytes())
}

async fn insert(write: &mut Write, actor: &Actor, scan: &Scan) -> Result<(), Refusal> {
    sqlx::query(
        "INSERT INTO scans (id, organisation_id, tool, tool_version, scanned_at, imported_at, imported_by, results, matched) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(scan.id.as_str())
    .bind(actor.organisation.as_str())
    .bind(scan.tool.as_str())
    .bind(scan.tool_version.as_str())
    .bind(scan.scanned_at.0)
    .bind(scan.imported_at.0)
    .bind(scan.imported_by.as_str())
    .bind(i64::try_from(scan.results).unwrap_or(i64::MAX))
    .bind(i64::try_from(scan.matched).unwrap_or(i64::MAX))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// A tool's findings, by API (or empty) and fingerprint.
async fn known(
    connection: &mut AnyConnection,
    organisation: &OrganisationId,
    tool: &str,
) -> Result<HashMap<(String, String), Known>, Refusal> {
    let rows = sqlx::query(
        "SELECT id, COALESCE(api_id, '') AS api, fingerprint, url, closed_at FROM findings WHERE organisation_id = $1 AND tool = $2",
    )
    .bind(organisation.as_str())
    .bind(tool)
    .fetch_all(connection)
    .await?;
    let mut all = HashMap::with_capacity(rows.len());
    for row in &rows {
        let closed: Option<i64> = row.try_get("closed_at")?;
        let known = Known {
            id: row.try_get("id")?,
            url: row.try_get("url")?,
            closed: closed.is_some(),
        };
        all.insert((row.try_get("api")?, row.try_get("fingerprint")?), known);
    }
    Ok(all)
}

async fn refresh(
    write: &mut Write,
    finding: &str,
    scan: &Scan,
    result: &Reported,
    about: &Match,
    at: Millis,
) -> Result<(), Refusal> {
    // An older report that comes late does not open what a newer one closed.
    sqlx::query(
        "UPDATE findings SET scan_id = $1, severity = $2, message = $3, rule_name = $4, method = $5, path = $6, shape = $7, \
         url = $8, last_seen_at = $9, closed_at = CASE WHEN closed_at > $9 THEN closed_at ELSE NULL END \
         WHERE id = $10 AND last_seen_at <= $9",
    )
    .bind(scan.id.as_str())
    .bind(result.severity.name())
    .bind(result.message.as_str())
    .bind(result.rule_name.as_str())
    .bind(about.method.as_str())
    .bind(about.path.as_str())
    .bind(about.shape.as_str())
    .bind(about.url.as_str())
    .bind(at.0)
    .bind(finding)
    .execute(&mut **write)
    .await?;
    Ok(())
}

fn row(
    actor: &Actor,
    scan: &Scan,
    (api, fingerprint): (String, String),
    result: Reported,
    about: Match,
    at: Millis,
    now: Millis,
) -> Vec<Value> {
    vec![
        String::from(FindingId::make(now)).into(),
        actor.organisation.as_str().into(),
        scan.id.as_str().into(),
        (!api.is_empty()).then_some(api).into(),
        scan.tool.as_str().into(),
        fingerprint.into(),
        result.severity.name().into(),
        result.rule.into(),
        result.rule_name.into(),
        result.message.into(),
        about.method.into(),
        about.path.into(),
        about.shape.into(),
        about.url.into(),
        at.into(),
        at.into(),
    ]
}

/// Counts an API's open findings anew.
async fn recount(write: &mut Write, api: &str, at: Millis) -> Result<(), Refusal> {
    sqlx::query(
        "UPDATE apis SET \
         critical = (SELECT COUNT(*) FROM findings WHERE api_id = $1 AND closed_at IS NULL AND severity = 'critical'), \
         high = (SELECT COUNT(*) FROM findings WHERE api_id = $1 AND closed_at IS NULL AND severity = 'high'), \
         medium = (SELECT COUNT(*) FROM findings WHERE api_id = $1 AND closed_at IS NULL AND severity = 'medium'), \
         low = (SELECT COUNT(*) FROM findings WHERE api_id = $1 AND closed_at IS NULL AND severity = 'low'), \
         informational = (SELECT COUNT(*) FROM findings WHERE api_id = $1 AND closed_at IS NULL AND severity = 'informational'), \
         scanned_at = CASE WHEN scanned_at > $2 THEN scanned_at ELSE $2 END WHERE id = $1",
    )
    .bind(api)
    .bind(at.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Which scans to list; what is not said takes all.
#[derive(Debug, Clone, Default)]
pub struct ScanFilter {
    /// Of this scanner.
    pub tool: Option<String>,
    /// A part of the scanner's name.
    pub text: Option<String>,
}

/// One page of scans, the newest first.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &ScanFilter,
    page: Page,
) -> Result<PageOf<Scan>, Refusal> {
    actor.may(Permission::ViewApis)?;
    let mut conditions = Conditions::default();
    conditions.and("organisation_id = ?", [actor.organisation.as_str().into()]);
    if let Some(tool) = &filter.tool {
        conditions.and("tool = ?", [tool.as_str().into()]);
    }
    if let Some(text) = filter
        .text
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        conditions.and_like("lower(tool) LIKE ? ESCAPE '!'", text);
    }
    let listing = Listing {
        columns: "id, tool, tool_version, scanned_at, imported_at, imported_by, results, matched",
        from: "scans",
        conditions,
        order: "scanned_at",
        direction: Direction::Descending,
        tie: "id",
    };
    listing.page(store, page, read).await
}

/// One scan.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(store: &Store, actor: &Actor, scan: &ScanId) -> Result<Scan, Refusal> {
    actor.may(Permission::ViewApis)?;
    let row = sqlx::query(
        "SELECT id, tool, tool_version, scanned_at, imported_at, imported_by, results, matched FROM scans \
         WHERE id = $1 AND organisation_id = $2",
    )
    .bind(scan.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("scan", scan.as_str()))?;
    Ok(read(&row)?)
}

fn read(row: &AnyRow) -> Result<Scan, sqlx::Error> {
    let id: String = row.try_get("id")?;
    let count = |column| {
        let count: i64 = row.try_get(column)?;
        Ok::<_, sqlx::Error>(u64::try_from(count).unwrap_or(0))
    };
    Ok(Scan {
        id: ScanId::parse(&id).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        tool: row.try_get("tool")?,
        tool_version: row.try_get("tool_version")?,
        scanned_at: Millis(row.try_get("scanned_at")?),
        imported_at: Millis(row.try_get("imported_at")?),
        imported_by: row.try_get("imported_by")?,
        results: count("results")?,
        matched: count("matched")?,
    })
}
