//! Findings: what scanners found, open or closed.
//!
//! In: filters and a page. Out: findings with the API and operation they are about; those that fit no API are there too, and can be
//! asked for.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Severity;
use crate::access::{Actor, Permission};
use crate::ids::{ApiId, FindingId, ScanId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store};
use crate::{Millis, Refusal};

/// What a scanner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// The scan that reported it last.
    pub scan: ScanId,
    /// The API it is about, and its name; `None` where none fits.
    pub api: Option<(ApiId, String)>,
    /// The scanner.
    pub tool: String,
    /// How grave it is.
    pub severity: Severity,
    /// The rule's id.
    pub rule: String,
    /// The rule's name.
    pub rule_name: String,
    /// What was found.
    pub message: String,
    /// The operation's method, or empty.
    pub method: String,
    /// The operation's whole path template, or empty.
    pub path: String,
    /// The path without the names of parameters, or empty.
    pub shape: String,
    /// Where it was found, as the scanner wrote it.
    pub url: String,
    /// The first scan that reported it.
    pub first_seen_at: Millis,
    /// The last one.
    pub last_seen_at: Millis,
    /// When a scan no longer reported it.
    pub closed_at: Option<Millis>,
}

/// Which findings to list; what is not said takes all.
#[derive(Debug, Clone, Default)]
pub struct FindingFilter {
    /// About this API.
    pub api: Option<ApiId>,
    /// About this operation of it: method and shape.
    pub operation: Option<(String, String)>,
    /// About an API that is known, or about none.
    pub matched: Option<bool>,
    /// Open or closed.
    pub open: Option<bool>,
    /// This severity alone.
    pub severity: Option<Severity>,
    /// Of this scanner.
    pub tool: Option<String>,
    /// A part of the rule, the message or the place.
    pub text: Option<String>,
}

/// What findings are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FindingSort {
    /// The gravest first when ascending.
    #[default]
    Severity,
    /// When it was first reported.
    FirstSeen,
    /// When it was last reported.
    LastSeen,
    /// The path.
    Path,
    /// The rule.
    Rule,
}

/// One page of findings.
///
/// # Errors
/// [`Refusal::Forbidden`]; [`Refusal::NotFound`] for an API that is not there.
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &FindingFilter,
    sort: FindingSort,
    direction: Direction,
    page: Page,
) -> Result<PageOf<Finding>, Refusal> {
    actor.may(Permission::ViewApis)?;
    if let Some(api) = &filter.api {
        crate::inventory::api(store, actor, api).await?;
    }
    let listing = Listing {
        columns: "f.id, f.scan_id, f.api_id, a.name AS api_name, f.tool, f.severity, f.rule, f.rule_name, f.message, f.method, \
                  f.path, f.shape, f.url, f.first_seen_at, f.last_seen_at, f.closed_at",
        from: "findings f LEFT JOIN apis a ON a.id = f.api_id",
        conditions: conditions(actor, filter),
        order: match sort {
            FindingSort::Severity => {
                "CASE f.severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 4 END"
            }
            FindingSort::FirstSeen => "f.first_seen_at",
            FindingSort::LastSeen => "f.last_seen_at",
            FindingSort::Path => "f.path",
            FindingSort::Rule => "lower(f.rule)",
        },
        direction,
        tie: "f.id",
    };
    listing.page(store, page, read).await
}

fn conditions(actor: &Actor, filter: &FindingFilter) -> Conditions {
    let mut all = Conditions::default();
    all.and(
        "f.organisation_id = ?",
        [actor.organisation.as_str().into()],
    );
    if let Some(api) = &filter.api {
        all.and("f.api_id = ?", [api.as_str().into()]);
    }
    if let Some((method, shape)) = &filter.operation {
        all.and(
            "f.method = ? AND f.shape = ?",
            [method.as_str().into(), shape.as_str().into()],
        );
    }
    if let Some(matched) = filter.matched {
        all.and(
            if matched {
                "f.api_id IS NOT NULL"
            } else {
                "f.api_id IS NULL"
            },
            [],
        );
    }
    if let Some(open) = filter.open {
        all.and(
            if open {
                "f.closed_at IS NULL"
            } else {
                "f.closed_at IS NOT NULL"
            },
            [],
        );
    }
    if let Some(severity) = filter.severity {
        all.and("f.severity = ?", [severity.name().into()]);
    }
    if let Some(tool) = &filter.tool {
        all.and("f.tool = ?", [tool.as_str().into()]);
    }
    if let Some(text) = filter.text.as_deref().map(str::trim)
        && !text.is_empty()
    {
        all.and_like(
            "lower(f.rule) LIKE ? ESCAPE '!' OR lower(f.rule_name) LIKE ? ESCAPE '!' OR lower(f.message) LIKE ? ESCAPE '!' \
             OR lower(f.url) LIKE ? ESCAPE '!'",
            text,
        );
    }
    all
}

/// One finding.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(store: &Store, actor: &Actor, finding: &FindingId) -> Result<Finding, Refusal> {
    actor.may(Permission::ViewApis)?;
    let row = sqlx::query(
        "SELECT f.id, f.scan_id, f.api_id, a.name AS api_name, f.tool, f.severity, f.rule, f.rule_name, f.message, f.method, \
         f.path, f.shape, f.url, f.first_seen_at, f.last_seen_at, f.closed_at FROM findings f LEFT JOIN apis a ON a.id = f.api_id \
         WHERE f.id = $1 AND f.organisation_id = $2",
    )
    .bind(finding.as_str())
    .bind(actor.organisation.as_str())
    .fetch_optional(store.pool())
    .await?
    .ok_or_else(|| Refusal::not_found("finding", finding.as_str()))?;
    Ok(read(&row)?)
}

fn read(row: &AnyRow) -> Result<Finding, sqlx::Error> {
    let (id, scan): (String, String) = (row.try_get("id")?, row.try_get("scan_id")?);
    let api: Option<String> = row.try_get("api_id")?;
    let api = match api {
        None => None,
        Some(id) => Some((ApiId::parse(&id).map_err(decode)?, row.try_get("api_name")?)),
    };
    let severity: String = row.try_get("severity")?;
    let closed_at: Option<i64> = row.try_get("closed_at")?;
    Ok(Finding {
        id: FindingId::parse(&id).map_err(decode)?,
        scan: ScanId::parse(&scan).map_err(decode)?,
        api,
        tool: row.try_get("tool")?,
        severity: Severity::parse(&severity)
            .ok_or_else(|| sqlx::Error::Decode(format!("`{severity}` is no severity").into()))?,
        rule: row.try_get("rule")?,
        rule_name: row.try_get("rule_name")?,
        message: row.try_get("message")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        shape: row.try_get("shape")?,
        url: row.try_get("url")?,
        first_seen_at: Millis(row.try_get("first_seen_at")?),
        last_seen_at: Millis(row.try_get("last_seen_at")?),
        closed_at: closed_at.map(Millis),
    })
}

fn decode(error: crate::ids::IdError) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
