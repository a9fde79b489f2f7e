//! Operations of an API: those of all its definitions' latest revisions, each once.
//!
//! In: the operations of a document. Out: rows kept by difference, and lists of an API's operations with their calls, drift and
//! findings. What has the same method and the same path but for the names of parameters is one operation.

use std::collections::HashMap;
use std::fmt::Write as _;

use silhouette_openapi::Template;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::api::{self, SeverityCounts};
use super::columns::{count, id, maybe_count, maybe_time, stored, text, time};
use super::definition::DefinitionKind;
use super::document::DescribedOperation;
use super::drift::DriftClass;
use crate::access::Actor;
use crate::hash::sha256;
use crate::ids::{ApiId, DefinitionId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store, Value, insert_rows};
use crate::{Millis, Refusal};

/// An operation of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `GET`.
    pub method: String,
    /// The whole path template, base path included; the documented one where there is one.
    pub path: String,
    /// The path without the names of its parameters: with the method, what tells it from others.
    pub shape: String,
    /// `operationId`, or empty.
    pub name: String,
    /// `summary`, or empty.
    pub summary: String,
    /// Whether it should no longer be called.
    pub deprecated: bool,
    /// Seen in traffic.
    pub observed: bool,
    /// Documented.
    pub documented: bool,
    /// How often it was called.
    pub calls: Option<u64>,
    /// When first.
    pub seen_first_at: Option<Millis>,
    /// When last.
    pub seen_last_at: Option<Millis>,
    /// When the catalog first heard of it.
    pub discovered_at: Millis,
    /// Where what is documented and what is seen part; the gravest.
    pub drift: Option<DriftClass>,
    /// Open findings.
    pub findings: SeverityCounts,
}

/// Which operations to list; what is not said takes all.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// A part of the path, the operationId or the summary.
    pub text: Option<String>,
    /// The method, whole.
    pub method: Option<String>,
    /// Deprecated or not.
    pub deprecated: Option<bool>,
    /// Seen in traffic or not.
    pub observed: Option<bool>,
    /// Documented or not.
    pub documented: Option<bool>,
    /// With this drift.
    pub drift: Option<DriftClass>,
    /// With open findings of this severity or a graver one.
    pub severity: Option<crate::scans::Severity>,
}

/// What operations are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperationSort {
    /// The path, then the method.
    #[default]
    Path,
    /// The method, then the path.
    Method,
    /// How often it was called.
    Calls,
    /// When it was first called.
    FirstSeen,
    /// When it was last called.
    LastSeen,
    /// When the catalog first heard of it.
    Discovered,
    /// Open findings, the gravest first to count.
    Vulnerabilities,
}

impl OperationSort {
    fn column(self) -> &'static str {
        match self {
            OperationSort::Path => "o.path",
            OperationSort::Method => "o.method",
            OperationSort::Calls => "COALESCE(o.calls, -1)",
            OperationSort::FirstSeen => "COALESCE(o.seen_first_at, 0)",
            OperationSort::LastSeen => "COALESCE(o.seen_last_at, 0)",
            OperationSort::Discovered => "o.discovered_at",
            OperationSort::Vulnerabilities => {
                "(((o.critical * 100000 + o.high) * 100000 + o.medium) * 10000 + o.low)"
            }
        }
    }
}

/// An API's operations, each once; `$1` is the API. Sums are cast because PostgreSQL's are NUMERIC.
const FROM: &str = "(SELECT p.*, COALESCE(d.rank, 9) AS rank, COALESCE(f.critical, 0) AS critical, COALESCE(f.high, 0) AS high, \
     COALESCE(f.medium, 0) AS medium, COALESCE(f.low, 0) AS low, COALESCE(f.informational, 0) AS informational FROM \
     (SELECT method, shape, COALESCE(MIN(CASE kind WHEN 'documented' THEN path END), MIN(path)) AS path, MAX(name) AS name, \
     MAX(summary) AS summary, MAX(deprecated) AS deprecated, MAX(CASE kind WHEN 'observed' THEN 1 ELSE 0 END) AS observed, \
     MAX(CASE kind WHEN 'documented' THEN 1 ELSE 0 END) AS documented, CAST(SUM(calls) AS BIGINT) AS calls, \
     MIN(seen_first_at) AS seen_first_at, MAX(seen_last_at) AS seen_last_at, MIN(discovered_at) AS discovered_at \
     FROM operations WHERE api_id = $1 GROUP BY method, shape) p \
     LEFT JOIN (SELECT method, shape, MIN(CASE class WHEN 'shadow' THEN 0 WHEN 'contradiction' THEN 1 WHEN 'zombie' THEN 2 \
     WHEN 'orphan' THEN 3 ELSE 4 END) AS rank FROM drift WHERE api_id = $1 GROUP BY method, shape) d \
     ON d.method = p.method AND d.shape = p.shape \
     LEFT JOIN (SELECT method, shape, COUNT(CASE severity WHEN 'critical' THEN 1 END) AS critical, \
     COUNT(CASE severity WHEN 'high' THEN 1 END) AS high, COUNT(CASE severity WHEN 'medium' THEN 1 END) AS medium, \
     COUNT(CASE severity WHEN 'low' THEN 1 END) AS low, COUNT(CASE severity WHEN 'informational' THEN 1 END) AS informational \
     FROM findings WHERE api_id = $1 AND closed_at IS NULL GROUP BY method, shape) f \
     ON f.method = p.method AND f.shape = p.shape) o";

const COLUMNS: &str = "o.method, o.path, o.shape, o.name, o.summary, o.deprecated, o.observed, o.documented, o.calls, \
     o.seen_first_at, o.seen_last_at, o.discovered_at, o.rank, o.critical, o.high, o.medium, o.low, o.informational";

/// The same in the order in which [`FROM`] ranks.
const RANKS: [DriftClass; 5] = [
    DriftClass::Shadow,
    DriftClass::Contradiction,
    DriftClass::Zombie,
    DriftClass::Orphan,
    DriftClass::Undocumented,
];

fn read(row: &AnyRow) -> Result<Operation, sqlx::Error> {
    let rank = usize::try_from(count(row, "rank")?).unwrap_or(usize::MAX);
    Ok(Operation {
        method: text(row, "method")?,
        path: text(row, "path")?,
        shape: text(row, "shape")?,
        name: text(row, "name")?,
        summary: text(row, "summary")?,
        deprecated: count(row, "deprecated")? != 0,
        observed: count(row, "observed")? != 0,
        documented: count(row, "documented")? != 0,
        calls: maybe_count(row, "calls")?,
        seen_first_at: maybe_time(row, "seen_first_at")?,
        seen_last_at: maybe_time(row, "seen_last_at")?,
        discovered_at: time(row, "discovered_at")?,
        drift: RANKS.get(rank).copied(),
        findings: SeverityCounts {
            critical: count(row, "critical")?,
            high: count(row, "high")?,
            medium: count(row, "medium")?,
            low: count(row, "low")?,
            informational: count(row, "informational")?,
        },
    })
}

/// One page of an API's operations.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    api: &ApiId,
    filter: &OperationFilter,
    sort: OperationSort,
    direction: Direction,
    page: Page,
) -> Result<PageOf<Operation>, Refusal> {
    api::get(store, actor, api).await?;
    let mut all = Conditions::default();
    // The first value is the API: the list itself asks for it as $1.
    all.and("? <> ''", [api.as_str().into()]);
    if let Some(text) = filter.text.as_deref().map(str::trim)
        && !text.is_empty()
    {
        all.and_like(
            "lower(o.path) LIKE ? ESCAPE '!' OR lower(o.name) LIKE ? ESCAPE '!' OR lower(o.summary) LIKE ? ESCAPE '!'",
            text,
        );
    }
    if let Some(method) = &filter.method {
        all.and("o.method = ?", [method.trim().to_uppercase().into()]);
    }
    for (asked, clause) in [
        (filter.deprecated, "o.deprecated = ?"),
        (filter.observed, "o.observed = ?"),
        (filter.documented, "o.documented = ?"),
    ] {
        if let Some(asked) = asked {
            all.and(clause, [Value::from(asked)]);
        }
    }
    if let Some(drift) = filter.drift {
        all.and(
            "EXISTS (SELECT 1 FROM drift x WHERE x.api_id = $1 AND x.method = o.method AND x.shape = o.shape AND x.class = ?)",
            [drift.name().into()],
        );
    }
    if let Some(severity) = filter.severity {
        use crate::scans::Severity;
        let clause = match severity {
            Severity::Critical => "o.critical > 0",
            Severity::High => "o.critical + o.high > 0",
            Severity::Medium => "o.critical + o.high + o.medium > 0",
            Severity::Low => "o.critical + o.high + o.medium + o.low > 0",
            Severity::Informational => {
                "o.critical + o.high + o.medium + o.low + o.informational > 0"
            }
        };
        all.and(clause, []);
    }
    let listing = Listing {
        columns: COLUMNS,
        from: FROM,
        conditions: all,
        order: sort.column(),
        direction,
        tie: match sort {
            OperationSort::Path => "o.method",
            _ => "o.path || ' ' || o.method",
        },
    };
    listing.page(store, page, read).await
}

/// What one definition says of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Which one.
    pub definition: DefinitionId,
    /// The whole path template as it has it.
    pub path: String,
    /// The number of the revision that had it first.
    pub first_revision: u64,
    /// How often it was called.
    pub calls: Option<u64>,
    /// When first.
    pub seen_first_at: Option<Millis>,
    /// When last.
    pub seen_last_at: Option<Millis>,
}

/// One operation by its method and its whole path – the names of parameters do not matter – and what each definition says of it,
/// documented ones first, at most 100.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn get(
    store: &Store,
    actor: &Actor,
    api: &ApiId,
    method: &str,
    path: &str,
) -> Result<(Operation, Vec<Mention>), Refusal> {
    api::get(store, actor, api).await?;
    let method = method.trim().to_uppercase();
    let shape = Template::parse(path).shape();
    let mut conditions = Conditions::default();
    conditions.and("? <> ''", [api.as_str().into()]);
    conditions.and(
        "o.method = ? AND o.shape = ?",
        [method.as_str().into(), shape.as_str().into()],
    );
    let listing = Listing {
        columns: COLUMNS,
        from: FROM,
        conditions,
        order: "o.path",
        direction: Direction::Ascending,
        tie: "o.method",
    };
    let found = listing.page(store, Page::new(1, 1)?, read).await?;
    let Some(operation) = found.items.into_iter().next() else {
        return Err(Refusal::not_found("operation", format!("{method} {path}")));
    };
    let rows = sqlx::query(
        "SELECT definition_id, path, first_revision, calls, seen_first_at, seen_last_at FROM operations \
         WHERE api_id = $1 AND method = $2 AND shape = $3 ORDER BY kind, definition_id LIMIT 100",
    )
    .bind(api.as_str())
    .bind(method)
    .bind(shape)
    .fetch_all(store.pool())
    .await?;
    let mentions = rows.iter().map(read_mention).collect::<Result<_, _>>()?;
    Ok((operation, mentions))
}

fn read_mention(row: &AnyRow) -> Result<Mention, sqlx::Error> {
    Ok(Mention {
        definition: id(row, "definition_id", DefinitionId::parse)?,
        path: text(row, "path")?,
        first_revision: count(row, "first_revision")?,
        calls: maybe_count(row, "calls")?,
        seen_first_at: maybe_time(row, "seen_first_at")?,
        seen_last_at: maybe_time(row, "seen_last_at")?,
    })
}

/// Between when and when operations of an API were called, as far as it is known.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn seen_between(
    store: &Store,
    actor: &Actor,
    api: &ApiId,
) -> Result<Option<(Millis, Millis)>, Refusal> {
    api::get(store, actor, api).await?;
    let row = sqlx::query(
        "SELECT MIN(seen_first_at) AS first, MAX(seen_last_at) AS last FROM operations WHERE api_id = $1",
    )
    .bind(api.as_str())
    .fetch_one(store.pool())
    .await?;
    Ok(maybe_time(&row, "first")?.zip(maybe_time(&row, "last")?))
}

/// What a row says that may change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    name: String,
    summary: String,
    deprecated: bool,
    figures: Figures,
}

/// How often an operation was called, and when, as the tables have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) calls: Option<i64>,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
}

impl Kept {
    /// Whether all but the figures is the same.
    fn says_like(&self, other: &Kept) -> bool {
        (&self.name, &self.summary, self.deprecated)
            == (&other.name, &other.summary, other.deprecated)
    }
}

/// Rows of a definition by method and path, with the number of the revision that brought them, and when.
#[derive(Debug, Default)]
pub(super) struct Rows(HashMap<(String, String), (Kept, i64, i64)>);

impl Rows {
    /// How often an operation was called, and when.
    pub(super) fn figures(&self) -> impl Iterator<Item = (&(String, String), Figures)> {
        self.0.iter().map(|(key, (kept, _, _))| (key, kept.figures))
    }
}

/// A definition as its operations have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) definition: &'a str,
    pub(super) api: &'a str,
    pub(super) kind: DefinitionKind,
}

/// SHA-256 of what [`replace`] would keep of operations, hexadecimal: the same operations have the same.
pub(super) fn fingerprint(operations: &[DescribedOperation], kind: DefinitionKind) -> String {
    let mut said = String::new();
    for operation in operations {
        let texts = [
            &operation.method,
            &operation.path,
            &operation.shape,
            &operation.name,
            &operation.summary,
        ];
        for text in texts {
            said.push_str(text);
            said.push('\0');
        }
        said.push(if operation.deprecated { '1' } else { '0' });
        if kind == DefinitionKind::Documented {
            let figures = (
                operation.calls,
                operation.seen_first_at,
                operation.seen_last_at,
            );
            let _ = write!(said, "{figures:?}");
        }
        said.push('\0');
    }
    sha256(said.as_bytes())
}

/// Makes the rows of a definition, which were `before`, what the latest document says, touching only what differs. `revision`:
/// its number. Gives whether there are other operations than before.
///
/// What was observed keeps its figures: reports of what was seen bring them, far more often than documents change.
pub(super) async fn replace(
    connection: &mut AnyConnection,
    owner: Owner<'_>,
    Rows(mut before): Rows,
    operations: &[DescribedOperation],
    revision: i64,
    now: Millis,
) -> Result<bool, Refusal> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    let mut others = false;
    for operation in operations {
        let mut kept = Kept {
            name: operation.name.clone(),
            summary: operation.summary.clone(),
            deprecated: operation.deprecated,
            figures: Figures {
                calls: operation.calls.map(stored),
                first: operation.seen_first_at.map(|at| at.0),
                last: operation.seen_last_at.map(|at| at.0),
            },
        };
        let old = before.remove(&(operation.method.clone(), operation.path.clone()));
        if let (DefinitionKind::Observed, Some((old, _, _))) = (owner.kind, &old) {
            kept.figures = old.figures;
        }
        let (first, discovered) = match old {
            Some((old, _, _)) if old == kept => continue,
            // Calls come all the time, names hardly ever change.
            Some((old, _, _)) if old.says_like(&kept) => {
                figures.push((
                    operation.method.as_str(),
                    operation.path.as_str(),
                    kept.figures,
                ));
                continue;
            }
            Some((_, first, discovered)) => (first, discovered),
            None => {
                others = true;
                (revision, now.0)
            }
        };
        rows.push(vec![
            owner.definition.into(),
            operation.method.as_str().into(),
            operation.path.as_str().into(),
            operation.shape.as_str().into(),
            owner.api.into(),
            owner.kind.name().into(),
            kept.name.into(),
            kept.summary.into(),
            kept.deprecated.into(),
            first.into(),
            discovered.into(),
            kept.figures.calls.into(),
            kept.figures.first.into(),
            kept.figures.last.into(),
        ]);
    }
    let gone = before
        .into_keys()
        .map(|(method, path)| vec![owner.definition.into(), method.into(), path.into()]);
    let gone: Vec<Vec<Value>> = gone.collect();
    others |= !gone.is_empty();
    insert_rows(
        connection,
        "DELETE FROM operations WHERE (definition_id, method, path) IN (",
        ")",
        gone,
    )
    .await?;
    insert_rows(
        connection,
        "INSERT INTO operations (definition_id, method, path, shape, api_id, kind, name, summary, deprecated, first_revision, \
         discovered_at, calls, seen_first_at, seen_last_at)",
        match owner.kind {
            DefinitionKind::Observed => {
                "ON CONFLICT (definition_id, method, path) DO UPDATE SET name = excluded.name, summary = excluded.summary, \
                 deprecated = excluded.deprecated"
            }
            DefinitionKind::Documented => {
                "ON CONFLICT (definition_id, method, path) DO UPDATE SET name = excluded.name, summary = excluded.summary, \
                 deprecated = excluded.deprecated, calls = excluded.calls, seen_first_at = excluded.seen_first_at, \
                 seen_last_at = excluded.seen_last_at"
            }
        },
        rows,
    )
    .await?;
    set_figures(connection, owner.definition, figures).await?;
    Ok(others)
}

/// Writes figures of operations by method and path.
pub(super) async fn set_figures(
    connection: &mut AnyConnection,
    definition: &str,
    figures: Vec<(&str, &str, Figures)>,
) -> Result<(), Refusal> {
    let rows = figures.into_iter().map(|(method, path, figures)| {
        vec![
            definition.into(),
            method.into(),
            path.into(),
            figures.calls.into(),
            figures.first.into(),
            figures.last.into(),
        ]
    });
    insert_rows(
        connection,
        "UPDATE operations SET calls = CAST(v.column4 AS BIGINT), seen_first_at = CAST(v.column5 AS BIGINT), \
         seen_last_at = CAST(v.column6 AS BIGINT) FROM (",
        ") AS v WHERE operations.definition_id = v.column1 AND operations.method = v.column2 AND operations.path = v.column3",
        rows.collect(),
    )
    .await?;
    Ok(())
}

/// A definition's rows.
pub(super) async fn rows(
    connection: &mut AnyConnection,
    definition: &str,
) -> Result<Rows, Refusal> {
    let rows = sqlx::query(
        "SELECT method, path, name, summary, deprecated, calls, seen_first_at, seen_last_at, first_revision, discovered_at \
         FROM operations WHERE definition_id = $1",
    )
    .bind(definition)
    .fetch_all(connection)
    .await?;
    let mut all = HashMap::with_capacity(rows.len());
    for row in &rows {
        let deprecated: i64 = row.try_get(4)?;
        let kept = Kept {
            name: row.try_get(2)?,
            summary: row.try_get(3)?,
            deprecated: deprecated != 0,
            figures: Figures {
                calls: row.try_get(5)?,
                first: row.try_get(6)?,
                last: row.try_get(7)?,
            },
        };
        all.insert(
            (row.try_get(0)?, row.try_get(1)?),
            (kept, row.try_get(8)?, row.try_get(9)?),
        );
    }
    Ok(Rows(all))
}
