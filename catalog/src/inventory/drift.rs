//! Drift: where what is documented and what is seen part.
//!
//! In: the latest documents of an API's definitions. Out: shadow, zombie and orphan operations, contradictions and undocumented
//! details, counted on the API. An operation is a shadow when no document has it, and an orphan when no traffic shows it.
//! Documents are compared outside of transactions, and kept only if the definitions are still those that were compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use silhouette_openapi::{Class, Description, Finding};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::api;
use super::base_url::BaseUrl;
use super::columns::{base_url, count, maybe_count, maybe_time, text};
use super::definition::DefinitionKind;
use super::document::{apart, clean, described, load, names};
use crate::access::Actor;
use crate::ids::{ApiId, DefinitionId};
use crate::store::{Conditions, Direction, Listing, Page, PageOf, Store, Value, insert_rows};
use crate::{Millis, Refusal};

/// Findings that are kept of one API, the gravest first.
const MAX_FINDINGS: usize = 2_000;
/// Definitions of one kind that are compared, those with the latest revisions.
const MAX_COMPARED: i64 = 8;

/// In which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftClass {
    /// Seen, not documented.
    Shadow,
    /// The traffic is not what is documented.
    Contradiction,
    /// Deprecated, still called.
    Zombie,
    /// Documented, never called.
    Orphan,
    /// A detail that was seen of a documented operation, not documented.
    Undocumented,
}

impl DriftClass {
    /// All, the gravest first.
    pub const ALL: [DriftClass; 5] = [
        DriftClass::Shadow,
        DriftClass::Contradiction,
        DriftClass::Zombie,
        DriftClass::Orphan,
        DriftClass::Undocumented,
    ];

    /// As it is stored and as the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DriftClass::Shadow => "shadow",
            DriftClass::Contradiction => "contradiction",
            DriftClass::Zombie => "zombie",
            DriftClass::Orphan => "orphan",
            DriftClass::Undocumented => "undocumented",
        }
    }

    /// What it means, in half a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            DriftClass::Shadow => Class::Shadow.meaning(),
            DriftClass::Contradiction => Class::Contradiction.meaning(),
            DriftClass::Zombie => Class::Zombie.meaning(),
            DriftClass::Orphan => Class::Orphan.meaning(),
            DriftClass::Undocumented => Class::Undocumented.meaning(),
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<DriftClass> {
        DriftClass::ALL
            .into_iter()
            .find(|class| class.name() == name)
    }

    fn of(class: Class) -> Option<DriftClass> {
        match class {
            Class::Shadow => Some(DriftClass::Shadow),
            Class::Contradiction => Some(DriftClass::Contradiction),
            Class::Zombie => Some(DriftClass::Zombie),
            Class::Orphan => Some(DriftClass::Orphan),
            Class::Undocumented => Some(DriftClass::Undocumented),
            Class::Breaking
            | Class::PotentiallyBreaking
            | Class::Compatible
            | Class::Informational => None,
        }
    }
}

/// One thing in which documents and traffic part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Stays the same as long as it is the same thing.
    pub fingerprint: String,
    /// In which way.
    pub class: DriftClass,
    /// The rule's name, which never changes: `shadow-operation`.
    pub rule: String,
    /// The (first) operation it concerns, or empty: `GET`.
    pub method: String,
    /// Its whole path template, or empty.
    pub path: String,
    /// The path without the names of parameters, or empty.
    pub shape: String,
    /// A sentence about it.
    pub message: String,
    /// How many operations it concerns.
    pub operation_count: u64,
    /// The documented definition it was found against; `None` for shadows, which no document has.
    pub definition: Option<DefinitionId>,
    /// How often it was called.
    pub calls: Option<u64>,
    /// When last.
    pub seen_last_at: Option<Millis>,
}

fn read(row: &AnyRow) -> Result<Drift, sqlx::Error> {
    let class = text(row, "class")?;
    let class = DriftClass::parse(&class)
        .ok_or_else(|| sqlx::Error::Decode(format!("`{class}` is no class of drift").into()))?;
    Ok(Drift {
        fingerprint: text(row, "fingerprint")?,
        class,
        rule: text(row, "rule")?,
        method: text(row, "method")?,
        path: text(row, "path")?,
        shape: text(row, "shape")?,
        message: text(row, "message")?,
        operation_count: count(row, "operation_count")?,
        definition: DefinitionId::parse(&text(row, "definition_id")?).ok(),
        calls: maybe_count(row, "calls")?,
        seen_last_at: maybe_time(row, "seen_last_at")?,
    })
}

/// One page of an API's drift, the gravest first. `class`: only this one; `operation`: only of this method and shape.
///
/// # Errors
/// [`Refusal::Forbidden`], [`Refusal::NotFound`].
pub async fn list(
    store: &Store,
    actor: &Actor,
    api: &ApiId,
    class: Option<DriftClass>,
    operation: Option<(&str, &str)>,
    page: Page,
) -> Result<PageOf<Drift>, Refusal> {
    api::get(store, actor, api).await?;
    let mut conditions = Conditions::default();
    conditions.and("f.api_id = ?", [api.as_str().into()]);
    if let Some(class) = class {
        conditions.and("f.class = ?", [class.name().into()]);
    }
    if let Some((method, shape)) = operation {
        conditions.and(
            "f.method = ? AND f.shape = ?",
            [method.into(), shape.into()],
        );
    }
    let listing = Listing {
        columns: "f.fingerprint, f.class, f.rule, f.method, f.path, f.shape, f.message, f.operation_count, f.definition_id, \
                  f.calls, f.seen_last_at",
        from: "drift f",
        conditions,
        order: "CASE f.class WHEN 'shadow' THEN 0 WHEN 'contradiction' THEN 1 WHEN 'zombie' THEN 2 WHEN 'orphan' THEN 3 \
                ELSE 4 END",
        direction: Direction::Ascending,
        tie: "f.path || ' ' || f.method || f.fingerprint",
    };
    listing.page(store, page, read).await
}

/// A definition whose latest document is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Input {
    definition: String,
    kind: DefinitionKind,
    base_url: BaseUrl,
    revision: String,
    hash: String,
    size: i64,
}

async fn inputs(connection: &mut sqlx::AnyConnection, api: &ApiId) -> Result<Vec<Input>, Refusal> {
    let mut all = Vec::new();
    for kind in [DefinitionKind::Observed, DefinitionKind::Documented] {
        let rows = sqlx::query(
            "SELECT d.id, d.revision_id, r.document_hash, t.size, d.base_url FROM definitions d JOIN revisions r ON r.id = d.revision_id \
             JOIN documents t ON t.hash = r.document_hash WHERE d.api_id = $1 AND d.kind = $2 \
             ORDER BY d.updated_at DESC, d.id LIMIT $3",
        )
        .bind(api.as_str())
        .bind(kind.name())
        .bind(MAX_COMPARED)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            all.push(Input {
                definition: row.try_get(0)?,
                kind,
                revision: row.try_get(1)?,
                hash: row.try_get(2)?,
                size: row.try_get(3)?,
                base_url: base_url(row, "base_url")?,
            });
        }
    }
    Ok(all)
}

/// Looks for drift where an API's definitions changed since it was last looked for.
///
/// # Errors
/// When the database says no, or a document that was read before cannot be read.
pub(super) async fn refresh(store: &Store, api: &ApiId) -> Result<(), Refusal> {
    /// Revisions that come while documents are compared make it begin again; in the end somebody else's turn looks.
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let due = sqlx::query("SELECT drift_due FROM apis WHERE id = $1")
            .bind(api.as_str())
            .fetch_optional(store.pool())
            .await?;
        match due {
            Some(row) if row.try_get::<i64, _>(0)? != 0 => {}
            _ => return Ok(()),
        }
        let mut connection = store.pool().acquire().await?;
        let compared = inputs(&mut connection, api).await?;
        drop(connection);
        let mut texts = Vec::new();
        for input in &compared {
            texts.push((input.clone(), load(store, &input.hash).await?));
        }
        let bytes: i64 = compared.iter().map(|input| input.size).sum();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let found = apart(bytes, move || compare(&texts)).await??;
        let mut write = store.write().await?;
        if inputs(&mut write, api).await? != compared {
            continue;
        }
        keep(&mut write, api, found).await?;
        write.commit().await?;
        return Ok(());
    }
    Ok(())
}

/// Looks for drift wherever it is due: what a stop of the catalog left undone. Gives how many APIs were looked at.
///
/// # Errors
/// When the database says no.
pub async fn catch_up(store: &Store) -> Result<u64, Refusal> {
    let rows = sqlx::query("SELECT id FROM apis WHERE drift_due <> 0")
        .fetch_all(store.pool())
        .await?;
    let mut done = 0;
    for row in &rows {
        let id: String = row.try_get(0)?;
        let Ok(api) = ApiId::parse(&id) else { continue };
        refresh(store, &api).await?;
        done += 1;
    }
    Ok(done)
}

async fn keep(
    write: &mut sqlx::AnyConnection,
    api: &ApiId,
    found: Vec<Drift>,
) -> Result<(), Refusal> {
    sqlx::query("DELETE FROM drift WHERE api_id = $1")
        .bind(api.as_str())
        .execute(&mut *write)
        .await?;
    let mut counts: HashMap<DriftClass, i64> = HashMap::new();
    let mut rows = Vec::new();
    for drift in found {
        *counts.entry(drift.class).or_default() += 1;
        if rows.len() >= MAX_FINDINGS {
            continue;
        }
        let stored = |count: Option<u64>| count.map(super::columns::stored);
        rows.push(vec![
            api.as_str().into(),
            drift.fingerprint.into(),
            drift.class.name().into(),
            drift.rule.into(),
            drift.method.into(),
            drift.path.into(),
            drift.shape.into(),
            drift.message.into(),
            super::columns::stored(drift.operation_count).into(),
            drift
                .definition
                .map_or(Value::from(""), |id| String::from(id).into()),
            stored(drift.calls).into(),
            drift.seen_last_at.map(|at| at.0).into(),
        ]);
    }
    insert_rows(
        write,
        "INSERT INTO drift (api_id, fingerprint, class, rule, method, path, shape, message, operation_count, definition_id, \
         calls, seen_last_at)",
        "",
        rows,
    )
    .await?;
    let of = |class| counts.get(&class).copied().unwrap_or(0);
    sqlx::query(
        "UPDATE apis SET shadow = $1, zombie = $2, orphan = $3, contradictions = $4, drift_due = 0 WHERE id = $5",
    )
    .bind(of(DriftClass::Shadow))
    .bind(of(DriftClass::Zombie))
    .bind(of(DriftClass::Orphan))
    .bind(of(DriftClass::Contradiction))
    .bind(api.as_str())
    .execute(write)
    .await?;
    Ok(())
}

/// Compares each documented text with each observed one.
fn compare(texts: &[(Input, Vec<u8>)]) -> Result<Vec<Drift>, Refusal> {
    let mut documented: Vec<(&Input, Description)> = Vec::new();
    let mut observed: Vec<(&Input, Description)> = Vec::new();
    for (input, text) in texts {
        let list = match input.kind {
            DefinitionKind::Observed => &mut observed,
            DefinitionKind::Documented => &mut documented,
        };
        list.push((input, described(text)?));
    }
    if documented.is_empty() || observed.is_empty() {
        return Ok(Vec::new());
    }
    let mut all: BTreeMap<(DriftClass, String), Drift> = BTreeMap::new();
    // Whether each pair says so: a shadow must be one against every document, an orphan against all traffic.
    let mut shadows: HashMap<(usize, String), (usize, Drift)> = HashMap::new();
    for (input, document) in &documented {
        let names = names(document, &input.base_url);
        let mut orphans: HashMap<String, (usize, Drift)> = HashMap::new();
        for (at, (_, traffic)) in observed.iter().enumerate() {
            let report = silhouette_openapi::drift(document, traffic);
            let mut seen_here: BTreeSet<String> = BTreeSet::new();
            for finding in &report.findings {
                let Some(class) = DriftClass::of(finding.class()) else {
                    continue;
                };
                let drift = drift_of(finding, class, &names, &input.definition);
                let own = drift.fingerprint.clone();
                match class {
                    // A rule may name it twice: as a path and as a method. It counts once for each pair.
                    DriftClass::Shadow => {
                        let key = format!("{} {}", drift.method, drift.shape);
                        if seen_here.insert(key.clone()) {
                            let entry = shadows.entry((at, key)).or_insert((0, drift));
                            entry.0 += 1;
                        }
                    }
                    DriftClass::Orphan => orphans.entry(own).or_insert((0, drift)).0 += 1,
                    _ => {
                        all.entry((class, own)).or_insert(drift);
                    }
                }
            }
        }
        for (own, (times, drift)) in orphans {
            if times == observed.len() {
                all.entry((DriftClass::Orphan, own)).or_insert(drift);
            }
        }
    }
    for (times, mut drift) in shadows.into_values() {
        if times == documented.len() {
            drift.definition = None;
            all.entry((DriftClass::Shadow, drift.fingerprint.clone()))
                .or_insert(drift);
        }
    }
    // One fingerprint has one rule, and one rule one class.
    Ok(all.into_values().collect())
}

fn drift_of(
    finding: &Finding,
    class: DriftClass,
    names: &HashMap<String, (String, String)>,
    definition: &str,
) -> Drift {
    let name = finding.operations.first().map_or("", String::as_str);
    let (method, path) = name.split_once(' ').unwrap_or(("", ""));
    let whole = match class {
        DriftClass::Shadow => None,
        _ => names.get(name).cloned(),
    };
    let (path, shape) = whole.unwrap_or_else(|| {
        let shape = silhouette_openapi::Template::parse(path).shape();
        let none = path.is_empty();
        (path.to_owned(), if none { String::new() } else { shape })
    });
    let seen = finding.seen.as_ref();
    let last = seen.and_then(|seen| seen.last.as_ref());
    Drift {
        fingerprint: finding.fingerprint(),
        class,
        rule: finding.rule.id().to_owned(),
        method: method.to_owned(),
        path: clean(&path, 1_000),
        shape: clean(&shape, 1_000),
        message: clean(&finding.message, 600),
        operation_count: finding.operations.len() as u64,
        definition: DefinitionId::parse(definition).ok(),
        calls: seen.map(|seen| seen.calls).filter(|calls| *calls > 0),
        seen_last_at: last.and_then(|at| Millis::parse(at)),
    }
}
