//! Lists of APIs: discovery, catalog, and all of them.
//!
//! In: filters, an order, a page. Out: one page of APIs with their sources. A page costs one index and one more statement for
//! the sources, however many operations the APIs have.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::api::{self, Api, Provenance};
use super::columns::maybe_id;
use super::definition::DefinitionKind;
use crate::access::{Actor, Permission};
use crate::ids::{SourceId, TargetId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store, Value};
use crate::{Millis, Refusal};

/// Which APIs to list; what is not said takes all.
#[derive(Debug, Clone, Default)]
pub struct ApiFilter {
    /// A part of the name or the base URL.
    pub text: Option<String>,
    /// That this source told of.
    pub source: Option<SourceId>,
    /// Linked to this target.
    pub target: Option<TargetId>,
    /// With a target (the catalog) or without (discovery).
    pub linked: Option<bool>,
    /// Hidden ones or the others.
    pub hidden: Option<bool>,
    /// Seen in traffic or not.
    pub observed: Option<bool>,
    /// Documented or not.
    pub documented: Option<bool>,
    /// With operations that drifted in this way.
    pub drift: Option<DriftFilter>,
    /// With open findings of this severity or a graver one.
    pub severity: Option<crate::scans::Severity>,
    /// This host, whole.
    pub host: Option<String>,
    /// First discovered not before.
    pub discovered_from: Option<Millis>,
    /// First discovered before.
    pub discovered_to: Option<Millis>,
    /// Last updated not before.
    pub updated_from: Option<Millis>,
    /// Last updated before.
    pub updated_to: Option<Millis>,
}

/// Which drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftFilter {
    /// Any that is counted.
    Any,
    /// None that is counted.
    None,
    /// Shadow operations.
    Shadow,
    /// Zombie operations.
    Zombie,
    /// Orphan operations.
    Orphan,
    /// Contradictions.
    Contradiction,
}

/// What APIs are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiSort {
    /// The name, without case.
    Name,
    /// How many operations.
    Operations,
    /// When the last revision came.
    #[default]
    Updated,
    /// When it was first heard of.
    FirstDiscovered,
    /// The target's name.
    Target,
    /// Open findings, the gravest first to count.
    Vulnerabilities,
    /// When it was last scanned.
    LastScanned,
    /// Operations that drifted.
    Drift,
}

impl ApiSort {
    fn column(self) -> &'static str {
        match self {
            ApiSort::Name => "lower(a.name)",
            ApiSort::Operations => "a.operations",
            ApiSort::Updated => "a.updated_at",
            ApiSort::FirstDiscovered => "a.first_discovered_at",
            ApiSort::Target => "COALESCE(lower(t.name), '')",
            ApiSort::Vulnerabilities => {
                "(((a.critical * 100000 + a.high) * 100000 + a.medium) * 10000 + a.low)"
            }
            ApiSort::LastScanned => "COALESCE(a.scanned_at, 0)",
            ApiSort::Drift => "(a.shadow + a.zombie + a.orphan + a.contradictions)",
        }
    }
}

/// One page of APIs.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    filter: &ApiFilter,
    sort: ApiSort,
    direction: Direction,
    page: Page,
) -> Result<PageOf<Api>, Refusal> {
    actor.may(Permission::ViewApis)?;
    // Which ones first, and then what they are: an order is made of narrow rows.
    let listing = Listing {
        columns: "a.id",
        from: match sort {
            ApiSort::Target => "apis a LEFT JOIN targets t ON t.id = a.target_id",
            _ => "apis a",
        },
        conditions: conditions(actor, filter),
        order: sort.column(),
        direction,
        tie: "a.id",
    };
    let page = listing.page(store, page, |row| row.try_get(0)).await?;
    let mut items = with_ids(store, &page.items).await?;
    add_sources(store, &mut items).await?;
    Ok(PageOf {
        items,
        total: page.total,
        page: page.page,
    })
}

/// `$1, $2, …`
fn marks(count: usize) -> String {
    let marks: Vec<String> = (1..=count).map(|number| format!("${number}")).collect();
    marks.join(", ")
}

/// The APIs of these ids, in their order.
async fn with_ids(store: &Store, ids: &[String]) -> Result<Vec<Api>, Refusal> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "SELECT {} FROM apis a LEFT JOIN targets t ON t.id = a.target_id WHERE a.id IN ({})",
        api::COLUMNS,
        marks(ids.len())
    )));
    for id in ids {
        query = query.bind(id.as_str());
    }
    let mut found = HashMap::with_capacity(ids.len());
    for row in query.fetch_all(store.pool()).await? {
        let api = api::read(&row)?;
        found.insert(String::from(api.id.clone()), api);
    }
    // One that was deleted in between is left out.
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

fn conditions(actor: &Actor, filter: &ApiFilter) -> Conditions {
    let mut all = Conditions::default();
    all.and(
        "a.organisation_id = ?",
        [actor.organisation.as_str().into()],
    );
    if let Some(text) = filter.text.as_deref().map(str::trim)
        && !text.is_empty()
    {
        all.and_like(
            "lower(a.name) LIKE ? ESCAPE '!' OR lower(a.base_url) LIKE ? ESCAPE '!'",
            text,
        );
    }
    if let Some(source) = &filter.source {
        all.and(
            "a.id IN (SELECT d.api_id FROM definitions d WHERE d.source_id = ?)",
            [source.as_str().into()],
        );
    }
    if let Some(target) = &filter.target {
        all.and("a.target_id = ?", [target.as_str().into()]);
    }
    let mut either = |asked: Option<bool>, yes: &'static str, no: &'static str| {
        if let Some(asked) = asked {
            all.and(if asked { yes } else { no }, []);
        }
    };
    either(
        filter.linked,
        "a.target_id IS NOT NULL",
        "a.target_id IS NULL",
    );
    either(
        filter.hidden,
        "a.hidden_at IS NOT NULL",
        "a.hidden_at IS NULL",
    );
    either(filter.observed, "a.observed > 0", "a.observed = 0");
    either(filter.documented, "a.documented > 0", "a.documented = 0");
    if let Some(drift) = filter.drift {
        let clause = match drift {
            DriftFilter::Any => "a.shadow + a.zombie + a.orphan + a.contradictions > 0",
            DriftFilter::None => "a.shadow + a.zombie + a.orphan + a.contradictions = 0",
            DriftFilter::Shadow => "a.shadow > 0",
            DriftFilter::Zombie => "a.zombie > 0",
            DriftFilter::Orphan => "a.orphan > 0",
            DriftFilter::Contradiction => "a.contradictions > 0",
        };
        all.and(clause, []);
    }
    if let Some(severity) = filter.severity {
        use crate::scans::Severity;
        let clause = match severity {
            Severity::Critical => "a.critical > 0",
            Severity::High => "a.critical + a.high > 0",
            Severity::Medium => "a.critical + a.high + a.medium > 0",
            Severity::Low => "a.critical + a.high + a.medium + a.low > 0",
            Severity::Informational => {
                "a.critical + a.high + a.medium + a.low + a.informational > 0"
            }
        };
        all.and(clause, []);
    }
    if let Some(host) = &filter.host {
        all.and("a.host = ?", [host.trim().to_lowercase().into()]);
    }
    for (clause, at) in [
        ("a.first_discovered_at >= ?", filter.discovered_from),
        ("a.first_discovered_at < ?", filter.discovered_to),
        ("a.updated_at >= ?", filter.updated_from),
        ("a.updated_at < ?", filter.updated_to),
    ] {
        if let Some(at) = at {
            all.and(clause, [Value::Number(at.0)]);
        }
    }
    all
}

/// Fills in who told of the APIs.
pub(super) async fn add_sources(store: &Store, apis: &mut [Api]) -> Result<(), Refusal> {
    if apis.is_empty() {
        return Ok(());
    }
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "SELECT d.api_id, d.source_id, COALESCE(s.name, d.source_name) AS name, d.kind FROM definitions d \
         LEFT JOIN sources s ON s.id = d.source_id WHERE d.api_id IN ({}) ORDER BY lower(COALESCE(s.name, d.source_name)), d.source_id",
        marks(apis.len())
    )));
    for api in apis.iter() {
        query = query.bind(api.id.as_str());
    }
    let mut by_api: HashMap<String, Vec<Provenance>> = HashMap::new();
    for row in query.fetch_all(store.pool()).await? {
        let kind: String = row.try_get("kind")?;
        let provenance = Provenance {
            source: maybe_id(&row, "source_id", SourceId::parse)?,
            name: row.try_get("name")?,
            kind: DefinitionKind::stored(&kind)?,
        };
        let all = by_api.entry(row.try_get("api_id")?).or_default();
        if !all.contains(&provenance) {
            all.push(provenance);
        }
    }
    for api in apis {
        api.sources = by_api.remove(api.id.as_str()).unwrap_or_default();
    }
    Ok(())
}

/// The hosts there are, for a filter to choose from, at most 1,000.
///
/// # Errors
/// [`Refusal::Forbidden`].
pub async fn hosts(store: &Store, actor: &Actor) -> Result<Vec<String>, Refusal> {
    actor.may(Permission::ViewApis)?;
    let rows = sqlx::query(
        "SELECT DISTINCT host FROM apis WHERE organisation_id = $1 ORDER BY host LIMIT 1000",
    )
    .bind(actor.organisation.as_str())
    .fetch_all(store.pool())
    .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
