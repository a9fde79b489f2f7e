//! The overview: totals, what was found over time, what is new.
//!
//! In: who asks, and which span of time. Out: a handful of numbers; each costs one pass over an organisation's APIs at most.

use sqlx::Row as _;

use super::api::{Api, DriftCounts, SeverityCounts};
use super::api_list::{self, ApiFilter, ApiSort};
use super::columns::count;
use crate::access::{Actor, Permission};
use crate::store::{Direction, Page, Store};
use crate::{Millis, Refusal};

const DAY: i64 = 86_400_000;

/// What the overview shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// APIs in discovery, hidden ones left out.
    pub discovery: u64,
    /// APIs in the catalog, hidden ones left out.
    pub catalog: u64,
    /// Hidden APIs.
    pub hidden: u64,
    /// Targets.
    pub targets: u64,
    /// Sources.
    pub sources: u64,
    /// Operations of all APIs.
    pub operations: u64,
    /// Operations seen in traffic.
    pub observed: u64,
    /// Documented operations.
    pub documented: u64,
    /// Drift of all APIs.
    pub drift: DriftCounts,
    /// Of them in APIs without a target that are not hidden.
    pub drift_in_discovery: DriftCounts,
    /// Of them in APIs with a target that are not hidden.
    pub drift_in_catalog: DriftCounts,
    /// Open findings of all APIs.
    pub findings: SeverityCounts,
    /// The newest APIs, hidden ones left out.
    pub newest: Vec<Api>,
}

/// What was found in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// When it begins, UTC: a day, or a week's Monday.
    pub from: Millis,
    /// APIs that were found.
    pub apis: u64,
    /// Operations that were found.
    pub operations: u64,
}

/// How long a span of the picture over time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A day, UTC.
    Day,
    /// Monday to Sunday, UTC.
    Week,
}

/// The numbers.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn overview(store: &Store, actor: &Actor) -> Result<Overview, Refusal> {
    actor.may(Permission::ViewApis)?;
    // Sums are NUMERIC on PostgreSQL.
    let row = sqlx::query(
        "SELECT COUNT(CASE WHEN hidden_at IS NULL AND target_id IS NULL THEN 1 END) AS discovery, \
         COUNT(CASE WHEN hidden_at IS NULL AND target_id IS NOT NULL THEN 1 END) AS catalog, \
         COUNT(hidden_at) AS hidden, \
         CAST(COALESCE(SUM(operations), 0) AS BIGINT) AS operations, \
         CAST(COALESCE(SUM(observed), 0) AS BIGINT) AS observed, \
         CAST(COALESCE(SUM(documented), 0) AS BIGINT) AS documented, \
         CAST(COALESCE(SUM(shadow), 0) AS BIGINT) AS shadow, \
         CAST(COALESCE(SUM(zombie), 0) AS BIGINT) AS zombie, \
         CAST(COALESCE(SUM(orphan), 0) AS BIGINT) AS orphan, \
         CAST(COALESCE(SUM(contradictions), 0) AS BIGINT) AS contradictions, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NULL THEN shadow END), 0) AS BIGINT) AS open_shadow, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NULL THEN zombie END), 0) AS BIGINT) AS open_zombie, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NULL THEN orphan END), 0) AS BIGINT) AS open_orphan, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NULL THEN contradictions END), 0) AS BIGINT) \
         AS open_contradictions, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NOT NULL THEN shadow END), 0) AS BIGINT) AS known_shadow, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NOT NULL THEN zombie END), 0) AS BIGINT) AS known_zombie, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NOT NULL THEN orphan END), 0) AS BIGINT) AS known_orphan, \
         CAST(COALESCE(SUM(CASE WHEN hidden_at IS NULL AND target_id IS NOT NULL THEN contradictions END), 0) AS BIGINT) \
         AS known_contradictions, \
         CAST(COALESCE(SUM(critical), 0) AS BIGINT) AS critical, \
         CAST(COALESCE(SUM(high), 0) AS BIGINT) AS high, \
         CAST(COALESCE(SUM(medium), 0) AS BIGINT) AS medium, \
         CAST(COALESCE(SUM(low), 0) AS BIGINT) AS low, \
         CAST(COALESCE(SUM(informational), 0) AS BIGINT) AS informational, \
         (SELECT COUNT(*) FROM targets t WHERE t.organisation_id = $1) AS targets, \
         (SELECT COUNT(*) FROM sources s WHERE s.organisation_id = $1) AS sources \
         FROM apis WHERE organisation_id = $1",
    )
    .bind(actor.organisation.as_str())
    .fetch_one(store.pool())
    .await?;
    let shown = ApiFilter {
        hidden: Some(false),
        ..ApiFilter::default()
    };
    let newest = api_list::list(
        store,
        actor,
        &shown,
        ApiSort::FirstDiscovered,
        Direction::Descending,
        Page::new(1, 8)?,
    )
    .await?;
    Ok(Overview {
        discovery: count(&row, "discovery")?,
        catalog: count(&row, "catalog")?,
        hidden: count(&row, "hidden")?,
        targets: count(&row, "targets")?,
        sources: count(&row, "sources")?,
        operations: count(&row, "operations")?,
        observed: count(&row, "observed")?,
        documented: count(&row, "documented")?,
        drift: DriftCounts {
            shadow: count(&row, "shadow")?,
            zombie: count(&row, "zombie")?,
            orphan: count(&row, "orphan")?,
            contradictions: count(&row, "contradictions")?,
        },
        drift_in_discovery: DriftCounts {
            shadow: count(&row, "open_shadow")?,
            zombie: count(&row, "open_zombie")?,
            orphan: count(&row, "open_orphan")?,
            contradictions: count(&row, "open_contradictions")?,
        },
        drift_in_catalog: DriftCounts {
            shadow: count(&row, "known_shadow")?,
            zombie: count(&row, "known_zombie")?,
            orphan: count(&row, "known_orphan")?,
            contradictions: count(&row, "known_contradictions")?,
        },
        findings: SeverityCounts {
            critical: count(&row, "critical")?,
            high: count(&row, "high")?,
            medium: count(&row, "medium")?,
            low: count(&row, "low")?,
            informational: count(&row, "informational")?,
        },
        newest: newest.items,
    })
}

/// How many APIs wait in discovery.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn waiting(store: &Store, actor: &Actor) -> Result<u64, Refusal> {
    actor.may(Permission::ViewApis)?;
    let row = sqlx::query(
        "SELECT COUNT(*) AS waiting FROM apis WHERE organisation_id = $1 AND target_id IS NULL AND hidden_at IS NULL",
    )
    .bind(actor.organisation.as_str())
    .fetch_one(store.pool())
    .await?;
    Ok(count(&row, "waiting")?)
}

/// What was found in each span, the oldest first, spans without anything included; `spans` at most 400, the last holds `now`.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn found(
    store: &Store,
    actor: &Actor,
    span: Span,
    spans: u16,
    now: Millis,
) -> Result<Vec<Found>, Refusal> {
    actor.may(Permission::ViewApis)?;
    let days = match span {
        Span::Day => 1,
        Span::Week => 7,
    };
    let today = now.0.div_euclid(DAY);
    let last = match span {
        Span::Day => today,
        // 1970-01-01 was a Thursday, so Mondays are four days after multiples of seven.
        Span::Week => today - (today - 4).rem_euclid(7),
    };
    let spans = i64::from(spans.clamp(1, 400));
    let first = last - (spans - 1) * days;
    let mut all: Vec<Found> = (0..spans)
        .map(|at| Found {
            from: Millis((first + at * days) * DAY),
            apis: 0,
            operations: 0,
        })
        .collect();
    let rows = sqlx::query(
        "SELECT day, apis, operations FROM found WHERE organisation_id = $1 AND day >= $2 ORDER BY day",
    )
    .bind(actor.organisation.as_str())
    .bind(first)
    .fetch_all(store.pool())
    .await?;
    for row in &rows {
        let day: i64 = row.try_get("day")?;
        let at = usize::try_from((day - first) / days).unwrap_or(usize::MAX);
        if let Some(span) = all.get_mut(at) {
            span.apis += count(row, "apis")?;
            span.operations += count(row, "operations")?;
        }
    }
    Ok(all)
}
