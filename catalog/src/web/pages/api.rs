//! One API: its operations, schema, revisions, drift and callers.

use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::super::answer::{
    Answer, done, is_correctable, no_such, page, page_with, refused, sentence, status_of,
};
use super::super::person::Person;
use super::super::posted::Posted;
use super::super::query::Query;
use super::super::reading;
use super::super::views::api::{
    ApiHead, CallerRow, CallersTab, Change, DefinitionBlock, Detail, DiffTab, DocumentHead,
    DocumentTab, DriftGroup, DriftRow, DriftTab, OperationRow, Operations, RevisionRow, Revisions,
    SchemaOperation, SchemaTab, Tab,
};
use super::super::views::apis::Rename;
use super::super::views::filter_form::{FilterForm, Select};
use super::super::views::shell::Shell;
use super::super::views::{Choice, Empty, Field, Method, PathText, When, count};
use super::apis::{drift_badge, parse, severities};
use super::form::{blame, headings, pager};
use crate::Refusal;
use crate::access::Permission;
use crate::ids::RevisionId;
use crate::inventory::{
    self, Api, CallerKind, Definition, DefinitionKind, DriftClass, Format, OperationFilter,
    OperationSort, Revision, RevisionsOf,
};
use crate::scans::Severity;
use crate::store::{Page, PageOf};

/// Documents above this are not laid out: they can be downloaded.
const READABLE: u64 = 8 * 1024 * 1024;
/// Characters of a document that its page shows.
const SHOWN: usize = 400_000;
/// Operations of a document on one page.
const OPERATIONS: usize = 100;

/// What every tab has.
pub(super) struct Frame {
    pub(super) shell: Shell,
    pub(super) api: ApiHead,
    pub(super) tabs: Vec<Tab>,
    pub(super) manage: bool,
}

pub(super) async fn frame(
    person: &Person,
    id: &str,
    here: &'static str,
) -> Result<(Api, Frame), Response> {
    let api = inventory::api(&person.app().store, &person.actor, &parse(id)?)
        .await
        .map_err(refused)?;
    let definitions = inventory::definitions(&person.app().store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let when = |at| When::new(at, person.now);
    let first = definitions.iter().filter_map(|d| d.seen_first_at).min();
    let last = definitions.iter().filter_map(|d| d.seen_last_at).max();
    let mut sources: Vec<String> = api
        .sources
        .iter()
        .map(|source| source.name.clone())
        .collect();
    sources.dedup();
    let kinds = |kind| definitions.iter().any(|definition| definition.kind == kind);
    let head = ApiHead {
        id: api.id.to_string(),
        name: api.name.clone(),
        base_url: api.base_url.to_string(),
        hidden: api.hidden_at.is_some(),
        observed: kinds(DefinitionKind::Observed),
        documented: kinds(DefinitionKind::Documented),
        operations: api.operations,
        severities: severities(&api.findings),
        scanned: api.scanned_at.map(when),
        discovered: when(api.first_discovered_at),
        updated: when(api.updated_at),
        seen: first
            .zip(last)
            .map(|(first, last)| (when(first), when(last))),
        sources,
        target: api.target.as_ref().map(|target| {
            (
                target.id.to_string(),
                target.name.clone(),
                target.url.to_string(),
            )
        }),
    };
    let drift = api.drift.shadow + api.drift.zombie + api.drift.orphan + api.drift.contradictions;
    let base = format!("/apis/{}", api.id);
    let tabs = [
        ("", "Operations", api.operations),
        ("/schema", "Schema", 0),
        ("/revisions", "Revisions", 0),
        ("/drift", "Drift", drift),
        ("/callers", "Who calls it", 0),
        ("/findings", "Findings", api.findings.total()),
    ]
    .into_iter()
    .map(|(end, name, count)| Tab {
        href: format!("{base}{end}"),
        name,
        count,
        here: end == here,
    })
    .collect();
    let area = if api.target.is_some() {
        "/catalog"
    } else {
        "/discovery"
    };
    let frame = Frame {
        shell: person.shell(area).await?,
        api: head,
        tabs,
        manage: person.may(Permission::ManageApis),
    };
    Ok((api, frame))
}

/// Operations.
pub(super) async fn operations(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, frame) = frame(&person, &id, "").await?;
    let names = &["q", "method", "seen", "drift", "severity", "sort"];
    let query = Query::read(format!("/apis/{}", api.id), raw.as_deref(), names);
    let sorted = query.sort(&[
        "path",
        "method",
        "-calls",
        "first",
        "-last",
        "vulnerabilities",
    ]);
    let sort = match sorted.0 {
        "method" => OperationSort::Method,
        "calls" => OperationSort::Calls,
        "first" => OperationSort::FirstSeen,
        "last" => OperationSort::LastSeen,
        "vulnerabilities" => OperationSort::Vulnerabilities,
        _ => OperationSort::Path,
    };
    let (observed, documented, deprecated) = match query.get("seen") {
        "seen" => (Some(true), None, None),
        "documented" => (None, Some(true), None),
        "deprecated" => (None, None, Some(true)),
        _ => (None, None, None),
    };
    let filter = OperationFilter {
        text: query.some("q"),
        method: query.some("method"),
        deprecated,
        observed,
        documented,
        drift: DriftClass::parse(query.get("drift")),
        severity: match query.get("severity") {
            "any" => Some(Severity::Informational),
            name => Severity::parse(name),
        },
    };
    let found = inventory::operations(
        &person.app().store,
        &person.actor,
        &api.id,
        &filter,
        sort,
        sorted.1,
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let select = |name: &'static str, label: &'static str, given: &[(&str, &str)]| Select {
        name,
        label,
        choices: given
            .iter()
            .map(|(value, title)| Choice::new(*value, *title, query.get(name)))
            .collect(),
    };
    let mut methods = vec![("", "Any method")];
    methods.extend(
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].map(|method| (method, method)),
    );
    let filters = FilterForm {
        action: query.path().to_owned(),
        search_label: "Search paths and names",
        text: query.get("q").to_owned(),
        selects: vec![
            select("method", "Method", &methods),
            select(
                "seen",
                "Known from",
                &[
                    ("", "Seen or documented"),
                    ("seen", "Seen in traffic"),
                    ("documented", "Documented"),
                    ("deprecated", "Deprecated"),
                ],
            ),
            select(
                "drift",
                "Drift",
                &[
                    ("", "Any drift or none"),
                    ("shadow", "Shadow"),
                    ("zombie", "Zombie"),
                    ("orphan", "Orphan"),
                    ("contradiction", "Contradiction"),
                ],
            ),
        ],
        kept: query
            .some("sort")
            .map(|sort| ("sort", sort))
            .into_iter()
            .collect(),
        any: query.filtered(),
        ..FilterForm::default()
    };
    let when = |at| When::new(at, person.now);
    let view = Operations {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        filters,
        headings: headings(
            &query,
            sorted,
            &[
                ("Method", "method", "tight"),
                ("Path", "path", ""),
                ("Calls", "calls", "num"),
                ("First seen", "first", ""),
                ("Last seen", "last", ""),
                ("Vulnerabilities", "vulnerabilities", ""),
            ],
        ),
        pager: pager(&query, &found),
        rows: found
            .items
            .into_iter()
            .map(|operation| OperationRow {
                method: Method::new(&operation.method),
                path: PathText::new(&operation.path),
                summary: operation.summary,
                deprecated: operation.deprecated,
                drift: operation.drift.map(drift_badge).into_iter().collect(),
                calls: operation.calls,
                first: operation.seen_first_at.map(when),
                last: operation.seen_last_at.map(when),
                severities: severities(&operation.findings),
            })
            .collect(),
        empty: Empty {
            icon: "search",
            title: "No operation fits these filters",
            text: "Fewer filters show more.",
            actions: Vec::new(),
        },
    };
    Ok(page(&view))
}

/// The definition a page is about: the one that is asked for, else the first.
fn asked<'a>(definitions: &'a [Definition], query: &Query) -> Option<&'a Definition> {
    let given = query.get("definition");
    definitions
        .iter()
        .find(|definition| definition.id.as_str() == given)
        .or_else(|| definitions.first())
}

async fn json_of(person: &Person, revision: &Revision) -> Result<serde_json::Value, Refusal> {
    let store = &person.app().store;
    let text = inventory::document_of(store, &person.actor, &revision.id, Format::Json).await?;
    tokio::task::spawn_blocking(move || serde_json::from_slice(&text))
        .await
        .map_err(|error| Refusal::Internal(format!("reading a document: {error}")))?
        .map_err(|error| Refusal::invalid("document", format!("it cannot be laid out: {error}")))
}

/// A document, readable.
pub(super) async fn schema(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, frame) = frame(&person, &id, "/schema").await?;
    let store = &person.app().store;
    let path = format!("/apis/{}/schema", api.id);
    let query = Query::read(path, raw.as_deref(), &["q", "definition", "op"]);
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let chosen = asked(&definitions, &query);
    let label = |definition: &Definition| {
        let kind = match definition.kind {
            DefinitionKind::Observed => "seen",
            DefinitionKind::Documented => "documented",
        };
        format!("{} ({kind}): {}", definition.source_name, definition.key)
    };
    let mut view = SchemaTab {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        text: query.get("q").to_owned(),
        documents: definitions
            .iter()
            .map(|definition| {
                let here = chosen.map_or("", |chosen| chosen.id.as_str());
                Choice::new(definition.id.as_str(), label(definition), here)
            })
            .collect(),
        document: None,
        operations: Vec::new(),
        pager: pager(&query, &page_of::<()>(0, query.page().map_err(refused)?)),
        empty: Empty {
            icon: "file",
            title: "No document",
            text: "No source has told of this API yet.",
            actions: Vec::new(),
        },
    };
    let Some(chosen) = chosen else {
        return Ok(page(&view));
    };
    let revision = inventory::revision(store, &person.actor, &chosen.revision)
        .await
        .map_err(refused)?;
    view.document = Some(DocumentHead {
        specification: revision.specification.clone(),
        title: revision.title.clone(),
        version: revision.api_version.clone(),
        number: revision.number,
        created: When::new(revision.created_at, person.now),
        href: format!("/apis/{}/revisions/{}/document", api.id, revision.id),
        warnings: revision
            .warnings
            .iter()
            .map(|warning| format!("line {}: {}", warning.line, warning.message))
            .collect(),
    });
    if revision.size > READABLE {
        view.empty.title = "Too large to lay out";
        view.empty.text = "The document can be downloaded.";
        return Ok(page(&view));
    }
    let document = match json_of(&person, &revision).await {
        Ok(document) => document,
        Err(refusal) if is_correctable(&refusal) => {
            view.empty.title = "The document cannot be laid out";
            view.empty.text =
                "It is nested too deep, or no JSON can be made of it. Its text can be downloaded.";
            return Ok(page(&view));
        }
        Err(refusal) => return Err(refused(refusal)),
    };
    let word = query.get("q").trim().to_lowercase();
    let op = query.get("op");
    let all: Vec<reading::Found<'_>> = reading::operations(&document)
        .into_iter()
        .filter(|found| op.is_empty() || found.key() == op)
        .filter(|found| word.is_empty() || reading::mentions(&document, found, &word))
        .collect();
    let asked = query.page().map_err(refused)?;
    let sized = Page::new(asked.number(), OPERATIONS as u32).map_err(refused)?;
    let skip = (sized.number() as usize - 1).saturating_mul(OPERATIONS);
    view.pager = pager(&query, &page_of::<()>(all.len() as u64, sized));
    view.operations = all
        .iter()
        .skip(skip)
        .take(OPERATIONS)
        .map(|found| SchemaOperation {
            method: Method::new(found.method),
            path: PathText::new(found.path),
            summary: found.summary(),
            deprecated: found.deprecated(),
            open: !op.is_empty(),
            href: query.with("op", &found.key()),
            detail: if op.is_empty() {
                Detail::default()
            } else {
                reading::detail(&document, found)
            },
        })
        .collect();
    view.empty.title = "Nothing in the document fits";
    view.empty.text = "Another word, or none, shows more.";
    view.empty.icon = "search";
    Ok(page(&view))
}

fn page_of<T>(total: u64, page: Page) -> PageOf<T> {
    PageOf {
        items: Vec::new(),
        total,
        page,
    }
}

async fn revision_of(person: &Person, api: &Api, id: &str) -> Result<Revision, Response> {
    let id = RevisionId::parse(id).map_err(|_| no_such("revision", id))?;
    let revision = inventory::revision(&person.app().store, &person.actor, &id)
        .await
        .map_err(refused)?;
    if revision.api != api.id {
        return Err(no_such("revision", id.as_str()));
    }
    Ok(revision)
}

/// A document as text, or as a file to keep: `document`, `document.json`, `document.yaml`.
pub(super) async fn document(
    Path((id, revision, file)): Path<(String, String, String)>,
    person: Person,
) -> Answer {
    let store = &person.app().store;
    let (api, frame) = frame(&person, &id, "/schema").await?;
    let revision = revision_of(&person, &api, &revision).await?;
    let text = |format| inventory::document_of(store, &person.actor, &revision.id, format);
    let (format, kind, end) = match file.as_str() {
        "document" => {
            let text = text(Format::Original).await.map_err(refused)?;
            let text = String::from_utf8_lossy(&text);
            let shown: String = text.chars().take(SHOWN).collect();
            let cut = if shown.len() < text.len() {
                "The document is long: this is its beginning. The whole of it can be downloaded."
                    .to_owned()
            } else {
                String::new()
            };
            let view = DocumentTab {
                shell: frame.shell,
                api: frame.api,
                tabs: frame.tabs,
                manage: frame.manage,
                number: revision.number,
                href: format!("/apis/{}/revisions/{}/document", api.id, revision.id),
                text: shown,
                cut,
            };
            return Ok(page(&view));
        }
        "document.json" => (Format::Json, "application/json", "json"),
        "document.yaml" => (Format::Yaml, "application/yaml", "yaml"),
        other => return Err(no_such("document", other)),
    };
    let bytes = text(format).await.map_err(refused)?;
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // A file to keep, never a page to show: whatever is in it, it does nothing here.
    let name: String = api
        .base_url
        .host()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
                c
            } else {
                '-'
            }
        })
        .take(80)
        .collect();
    let disposition = format!("attachment; filename=\"{name}-{}.{end}\"", revision.number);
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment")),
    );
    Ok(response)
}

/// Definitions with their revisions.
pub(super) async fn revisions(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, frame) = frame(&person, &id, "/revisions").await?;
    let store = &person.app().store;
    let query = Query::read(format!("/apis/{}/revisions", api.id), raw.as_deref(), &[]);
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let found = inventory::revisions(
        store,
        &person.actor,
        &RevisionsOf::Api(api.id.clone()),
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let blocks = definitions
        .into_iter()
        .map(|definition| {
            let own: Vec<&Revision> = found
                .items
                .iter()
                .filter(|revision| revision.definition == definition.id)
                .collect();
            DefinitionBlock {
                source: definition.source_name,
                key: definition.key,
                observed: definition.kind == DefinitionKind::Observed,
                revisions: own
                    .iter()
                    .enumerate()
                    .map(|(at, revision)| RevisionRow {
                        id: revision.id.to_string(),
                        number: revision.number,
                        created: When::new(revision.created_at, person.now),
                        by: revision.created_by.clone(),
                        specification: revision.specification.clone(),
                        title: revision.title.clone(),
                        version: revision.api_version.clone(),
                        operations: revision.operations,
                        warnings: revision.warnings.len() as u64,
                        before: own
                            .get(at + 1)
                            .map_or_else(String::new, |before| before.id.to_string()),
                        old: at == 1,
                        new: at == 0,
                    })
                    .collect(),
            }
        })
        .filter(|block| !block.revisions.is_empty())
        .collect();
    let view = Revisions {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        definitions: blocks,
        pager: pager(&query, &found),
        empty: Empty {
            icon: "file",
            title: "No revision",
            text: "No source has told of this API yet.",
            actions: Vec::new(),
        },
    };
    Ok(page(&view))
}

/// What differs between two revisions.
pub(super) async fn diff(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    use silhouette_openapi::Class;
    let (api, frame) = frame(&person, &id, "/revisions").await?;
    let store = &person.app().store;
    let query = Query::read(
        format!("/apis/{}/diff", api.id),
        raw.as_deref(),
        &["old", "new"],
    );
    let old = revision_of(&person, &api, query.get("old")).await?;
    let new = revision_of(&person, &api, query.get("new")).await?;
    let compared = inventory::compare_revisions(store, &person.actor, &old.id, &new.id)
        .await
        .map_err(refused)?;
    let breaking = compared
        .changes
        .iter()
        .filter(|change| change.class == Class::Breaking)
        .count();
    let verdict = match (compared.changes.len() + compared.more, breaking) {
        (0, _) => "Nothing changed for clients.".to_owned(),
        (all, 0) => format!(
            "{}, none of them breaking.",
            count(all as u64, "change", "changes")
        ),
        (all, some) => format!(
            "{}, {some} of them breaking.",
            count(all as u64, "change", "changes")
        ),
    };
    let findings = compared
        .changes
        .into_iter()
        .map(|change| {
            let (tone, class) = match change.class {
                Class::Breaking => ("bad", "breaking"),
                Class::PotentiallyBreaking => ("warn", "may break"),
                Class::Compatible => ("good", "compatible"),
                _ => ("info", "informational"),
            };
            let more = change.operations.len().saturating_sub(6);
            Change {
                tone,
                class,
                subject: change.meaning.to_owned(),
                message: change.message,
                rule: change.rule.to_owned(),
                operations: change.operations.into_iter().take(6).collect(),
                more,
            }
        })
        .collect();
    let (lines, cut) = match inventory::compare_texts(store, &person.actor, &old.id, &new.id).await
    {
        Ok(text) => (
            text.lines()
                .map(|line| {
                    let class = match line.as_bytes().first() {
                        Some(b'+') => "added",
                        Some(b'-') => "removed",
                        Some(b'@') => "hunk",
                        _ => "",
                    };
                    (class, format!("{line}\n"))
                })
                .collect(),
            String::new(),
        ),
        Err(refusal) if is_correctable(&refusal) => (Vec::new(), sentence(&refusal.to_string())),
        Err(refusal) => return Err(refused(refusal)),
    };
    let view = DiffTab {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        old: format!("Revision {}", old.number),
        new: format!("revision {}", new.number),
        verdict,
        findings,
        lines,
        cut,
    };
    Ok(page(&view))
}

/// Where what is documented and what is seen part.
pub(super) async fn drift(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, frame) = frame(&person, &id, "/drift").await?;
    let query = Query::read(format!("/apis/{}/drift", api.id), raw.as_deref(), &[]);
    let page_asked = query.page().map_err(refused)?;
    let sized = Page::new(page_asked.number(), Page::MAX_SIZE).map_err(refused)?;
    let store = &person.app().store;
    let found = inventory::drift(store, &person.actor, &api.id, None, None, sized)
        .await
        .map_err(refused)?;
    let groups = DriftClass::ALL
        .into_iter()
        .map(|class| {
            let (title, tone) = match class {
                DriftClass::Shadow => ("Shadow", "violet"),
                DriftClass::Contradiction => ("Contradictions", "warn"),
                DriftClass::Zombie => ("Zombie", "bad"),
                DriftClass::Orphan => ("Orphan", ""),
                DriftClass::Undocumented => ("Undocumented details", "info"),
            };
            DriftGroup {
                class: class.name(),
                title,
                tone,
                meaning: class.meaning(),
                rows: found
                    .items
                    .iter()
                    .filter(|drift| drift.class == class)
                    .map(|drift| DriftRow {
                        method: (!drift.method.is_empty()).then(|| Method::new(&drift.method)),
                        path: PathText::new(&drift.path),
                        message: drift.message.clone(),
                        rule: drift.rule.clone(),
                    })
                    .collect(),
            }
        })
        .filter(|group| !group.rows.is_empty())
        .collect();
    let both = frame.api.observed && frame.api.documented;
    let view = DriftTab {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        groups,
        pager: pager(&query, &found),
        empty: if both {
            Empty {
                icon: "good",
                title: "No drift",
                text: "What is documented and what is seen agree.",
                actions: Vec::new(),
            }
        } else {
            Empty {
                icon: "info",
                title: "Nothing to compare yet",
                text: "Drift is found between a document and traffic. Import the document of an API that is seen, or let a collector \
                       see the traffic of one that is documented.",
                actions: vec![("/sources", "To the sources")],
            }
        },
    };
    Ok(page(&view))
}

/// Who calls it.
pub(super) async fn callers(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, frame) = frame(&person, &id, "/callers").await?;
    let query = Query::read(format!("/apis/{}/callers", api.id), raw.as_deref(), &[]);
    let store = &person.app().store;
    let page_asked = query.page().map_err(refused)?;
    let found = inventory::callers(store, &person.actor, &api.id, None, page_asked)
        .await
        .map_err(refused)?;
    let view = CallersTab {
        shell: frame.shell,
        api: frame.api,
        tabs: frame.tabs,
        manage: frame.manage,
        pager: pager(&query, &found),
        rows: found
            .items
            .into_iter()
            .map(|caller| CallerRow {
                name: caller.name,
                kind: match caller.kind {
                    CallerKind::Shim => "Shim it came through",
                    CallerKind::Consumer => "Consumer of the gateway",
                    CallerKind::Client => "What the client calls itself",
                },
                calls: caller.calls,
                last: caller.seen_last_at.map(|at| When::new(at, person.now)),
            })
            .collect(),
        empty: Empty {
            icon: "users",
            title: "No caller known",
            text: "Collectors tell who calls what they see. Documents alone tell nothing of callers.",
            actions: Vec::new(),
        },
    };
    Ok(page(&view))
}

/// Asks for another name.
pub(super) async fn rename_form(Path(id): Path<String>, person: Person) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let api = inventory::api(&person.app().store, &person.actor, &parse(&id)?)
        .await
        .map_err(refused)?;
    let view = Rename {
        shell: person.shell("/discovery").await?,
        id: api.id.to_string(),
        name: Field::new(api.name),
    };
    Ok(page(&view))
}

/// Gives another name.
pub(super) async fn rename(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let api = parse(&id)?;
    let mut name = Field::new(fields.get("name"));
    let store = &person.app().store;
    match inventory::rename_api(store, &person.actor, &api, &name.value, person.now).await {
        Ok(()) => Ok(done(
            &person,
            &format!("/apis/{api}"),
            "The API has a new name.",
        )),
        Err(refusal) if is_correctable(&refusal) => {
            let other = blame(&refusal, &mut [(&["name"], &mut name)]);
            if !other.is_empty() {
                name.error = other;
            }
            let view = Rename {
                shell: person.shell("/discovery").await?,
                id: api.to_string(),
                name,
            };
            Ok(page_with(status_of(&refusal), &view))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}
