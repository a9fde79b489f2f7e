//! What a collector sees of a host: calls, times, and who calls.
//!
//! In: the latest figures, as often as the collector reports them. Out: figures of the definition and its operations, and callers;
//! each report replaces the one before. No revision comes of it.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::columns::{count, id, maybe_time, stored, text};
use super::operation::{self, Figures};
use super::{api, document, history, provenance};
use crate::access::Actor;
use crate::ids::{ApiId, CollectorId, DefinitionId, OrganisationId, SourceId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store, insert_rows};
use crate::{Millis, Refusal};

/// Callers of one definition that are kept, those with the most calls.
const MAX_CALLERS: usize = 1_000;
/// Operations one report may have.
const MAX_OPERATIONS: usize = 20_000;

/// A collector's report.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Exchanges that were seen.
    pub exchanges: u64,
    /// The first of them.
    pub first: Option<Millis>,
    /// The last of them.
    pub last: Option<Millis>,
    /// By operation.
    pub operations: Vec<SeenOperation>,
    /// Who called.
    pub callers: Vec<SeenCaller>,
}

/// What was seen of an operation.
#[derive(Debug, Clone)]
pub struct SeenOperation {
    /// `GET`.
    pub method: String,
    /// The whole path template.
    pub path: String,
    /// How often it was called.
    pub calls: u64,
    /// When first.
    pub first: Option<Millis>,
    /// When last.
    pub last: Option<Millis>,
}

/// Who called.
#[derive(Debug, Clone)]
pub struct SeenCaller {
    /// Known how.
    pub kind: CallerKind,
    /// By which name.
    pub name: String,
    /// How often.
    pub calls: u64,
    /// When last.
    pub last: Option<Millis>,
}

/// How a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallerKind {
    /// The shim it came through.
    Shim,
    /// The consumer the gateway knows it as.
    Consumer,
    /// What it calls itself.
    Client,
}

impl CallerKind {
    /// All.
    pub const ALL: [CallerKind; 3] = [CallerKind::Shim, CallerKind::Consumer, CallerKind::Client];

    /// As it is stored and as the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CallerKind::Shim => "shim",
            CallerKind::Consumer => "consumer",
            CallerKind::Client => "client",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<CallerKind> {
        CallerKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Keeps a report. The credential was checked before: it says organisation, source and collector.
///
/// # Errors
/// [`Refusal::NotFound`] for a host of which no revision was kept; [`Refusal::Invalid`] for too many operations.
pub async fn report(
    store: &Store,
    organisation: &OrganisationId,
    source: &SourceId,
    collector: &CollectorId,
    host: &str,
    seen: Seen,
) -> Result<(), Refusal> {
    if seen.operations.len() > MAX_OPERATIONS {
        return Err(Refusal::invalid(
            "operations",
            format!(
                "there are {}; at most {MAX_OPERATIONS} are taken",
                seen.operations.len()
            ),
        ));
    }
    let host = host.to_lowercase();
    // What takes time is read before the writer's turn.
    let mut connection = store.pool().acquire().await?;
    let key = provenance::key(&mut connection, source, &host, collector).await?;
    let origin = history::origin(&mut connection, organisation, source, &key).await?;
    let Some(known) = origin.definition.map(|known| known.id) else {
        return Err(Refusal::not_found("host", host));
    };
    let before = State::of(&mut connection, &known).await?;
    let mut rows = operation::rows(&mut connection, known.as_str()).await?;
    drop(connection);
    let mut write = store.write().await?;
    store.serialise(&mut write, organisation).await?;
    if State::of(&mut write, &known).await? != before {
        rows = operation::rows(&mut write, known.as_str()).await?;
    }
    let done = sqlx::query(
        "UPDATE definitions SET exchanges = $1, seen_first_at = $2, seen_last_at = $3 WHERE id = $4",
    )
    .bind(stored(seen.exchanges))
    .bind(seen.first.map(|at| at.0))
    .bind(seen.last.map(|at| at.0))
    .bind(known.as_str())
    .execute(&mut *write)
    .await?;
    if done.rows_affected() == 0 {
        return Err(Refusal::not_found("host", host));
    }
    let mut said = HashMap::new();
    for operation in &seen.operations {
        let new = Figures {
            calls: Some(stored(operation.calls)),
            first: operation.first.map(|at| at.0),
            last: operation.last.map(|at| at.0),
        };
        said.insert(
            (operation.method.to_uppercase(), operation.path.clone()),
            new,
        );
    }
    // Operations that are not in the latest revision come with the next one.
    let changed = rows.figures().filter_map(|(key, old)| {
        let new = said.get(key).filter(|new| **new != old)?;
        Some((key.0.as_str(), key.1.as_str(), *new))
    });
    operation::set_figures(&mut write, known.as_str(), changed.collect()).await?;
    replace_callers(&mut write, known.as_str(), seen.callers).await?;
    Ok(write.commit().await?)
}

/// What changes whenever a definition's operations or their figures do.
#[derive(Debug, PartialEq, Eq)]
struct State {
    revision: Option<String>,
    exchanges: Option<i64>,
    last: Option<i64>,
}

impl State {
    /// `None` when the definition is gone.
    async fn of(
        connection: &mut sqlx::AnyConnection,
        definition: &DefinitionId,
    ) -> Result<Option<State>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT revision_id, exchanges, seen_last_at FROM definitions WHERE id = $1",
        )
        .bind(definition.as_str())
        .fetch_optional(connection)
        .await?;
        let state = |row: AnyRow| {
            Ok(State {
                revision: row.try_get(0)?,
                exchanges: row.try_get(1)?,
                last: row.try_get(2)?,
            })
        };
        row.map(state).transpose()
    }
}

async fn replace_callers(
    connection: &mut sqlx::AnyConnection,
    definition: &str,
    callers: Vec<SeenCaller>,
) -> Result<(), Refusal> {
    let mut all: HashMap<(CallerKind, String), (u64, Option<Millis>)> = HashMap::new();
    for caller in callers {
        let name = document::clean(&caller.name, 200);
        let entry = all.entry((caller.kind, name)).or_default();
        entry.0 = entry.0.saturating_add(caller.calls);
        entry.1 = entry.1.max(caller.last);
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    all.truncate(MAX_CALLERS);
    sqlx::query("DELETE FROM callers WHERE definition_id = $1")
        .bind(definition)
        .execute(&mut *connection)
        .await?;
    let rows = all.into_iter().map(|((kind, name), (calls, last))| {
        vec![
            definition.into(),
            kind.name().into(),
            name.into(),
            stored(calls).into(),
            last.map(|at| at.0).into(),
        ]
    });
    insert_rows(
        connection,
        "INSERT INTO callers (definition_id, kind, name, calls, seen_last_at)",
        "",
        rows.collect(),
    )
    .await?;
    Ok(())
}

/// Who calls an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The definition whose traffic it is.
    pub definition: DefinitionId,
    /// Known how.
    pub kind: CallerKind,
    /// By which name.
    pub name: String,
    /// How often.
    pub calls: u64,
    /// When last.
    pub seen_last_at: Option<Millis>,
}

/// One page of who calls an API, those with the most calls first.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn callers(
    store: &Store,
    actor: &Actor,
    api: &ApiId,
    kind: Option<CallerKind>,
    page: Page,
) -> Result<PageOf<Caller>, Refusal> {
    api::get(store, actor, api).await?;
    let mut conditions = Conditions::default();
    conditions.and("d.api_id = ?", [api.as_str().into()]);
    if let Some(kind) = kind {
        conditions.and("c.kind = ?", [kind.name().into()]);
    }
    let listing = Listing {
        columns: "c.definition_id, c.kind, c.name, c.calls, c.seen_last_at",
        from: "callers c JOIN definitions d ON d.id = c.definition_id",
        conditions,
        order: "c.calls",
        direction: Direction::Descending,
        tie: "c.kind || ' ' || c.name",
    };
    listing.page(store, page, read).await
}

fn read(row: &AnyRow) -> Result<Caller, sqlx::Error> {
    let kind = text(row, "kind")?;
    Ok(Caller {
        definition: id(row, "definition_id", DefinitionId::parse)?,
        kind: CallerKind::parse(&kind)
            .ok_or_else(|| sqlx::Error::Decode(format!("`{kind}` is no kind of caller").into()))?,
        name: text(row, "name")?,
        calls: count(row, "calls")?,
        seen_last_at: maybe_time(row, "seen_last_at")?,
    })
}
