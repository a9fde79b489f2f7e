//! One operation of an API: what documents say of it, and what traffic and scanners showed.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use silhouette_openapi::Template;

use super::findings::{finding_row, gravest_first};
use super::head_of;
use super::schema::json_of;
use crate::inventory::{self, Api, Definition, DefinitionKind, Mention, Operation};
use crate::scans::FindingFilter;
use crate::store::Page;
use crate::web::answer::{Answer, correctable, page, refused};
use crate::web::pages::apis::{drift_badge, severities};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::reading;
use crate::web::views::api::Detail;
use crate::web::views::operation::{DocumentLink, DriftLine, MentionRow, OperationPage};
use crate::web::views::{Method, PathText, When};

/// Rows of what is found in one operation; the tabs have all.
const MOST: u32 = 50;
/// Callers that are shown.
const CALLERS: u32 = 10;

/// The page.
pub(in crate::web::pages) async fn operation(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "").await?;
    let store = &person.app().store;
    let here = format!("/apis/{}/operation", api.id);
    let asked = List::read(here, raw.as_deref(), &["method", "path", "definition"], &[]);
    let (method, path) = (asked.get("method"), asked.get("path"));
    let (operation, mentions) = inventory::operation(store, &person.actor, &api.id, method, path)
        .await
        .map_err(refused)?;
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let known: Vec<(&Mention, &Definition)> = mentions
        .iter()
        .filter_map(|mention| {
            let of = definitions.iter().find(|one| one.id == mention.definition);
            of.map(|definition| (mention, definition))
        })
        .collect();
    let chosen = known
        .iter()
        .find(|(_, definition)| definition.id.as_str() == asked.get("definition"))
        .or_else(|| known.first());
    let (detail, cannot) = match chosen {
        Some((mention, definition)) => described(&person, definition, &operation, mention).await?,
        None => (Detail::default(), ""),
    };
    let place = (operation.method.as_str(), operation.shape.as_str());
    let few = Page::new(1, MOST).map_err(refused)?;
    let drift = inventory::drift(store, &person.actor, &api.id, None, Some(place), few)
        .await
        .map_err(refused)?;
    let findings = findings_of(&person, &api, place, few).await?;
    let callers = Page::new(1, CALLERS).map_err(refused)?;
    let callers = inventory::callers(store, &person.actor, &api.id, None, callers)
        .await
        .map_err(refused)?;
    let when = |at| When::new(at, person.now);
    let view = OperationPage {
        method: Method::new(&operation.method),
        path: PathText::new(&operation.path),
        name: format!("{} {}", operation.method, operation.path),
        summary: operation.summary,
        operation_id: operation.name,
        deprecated: operation.deprecated,
        observed: operation.observed,
        documented: operation.documented,
        badges: operation.drift.map(drift_badge).into_iter().collect(),
        calls: operation.calls,
        first: operation.seen_first_at.map(when),
        last: operation.seen_last_at.map(when),
        discovered: when(operation.discovered_at),
        severities: severities(&operation.findings),
        documents: known
            .iter()
            .map(|(_, definition)| DocumentLink {
                href: asked.query.with("definition", definition.id.as_str()),
                label: definition.source_name.clone(),
                key: definition.key.clone(),
                here: chosen.is_some_and(|(_, chosen)| chosen.id == definition.id),
            })
            .collect(),
        detail,
        cannot,
        mentions: known
            .iter()
            .map(|(mention, definition)| MentionRow {
                source: definition.source_name.clone(),
                key: definition.key.clone(),
                observed: definition.kind == DefinitionKind::Observed,
                path: PathText::new(&mention.path),
                since: mention.first_revision,
                calls: mention.calls,
                first: mention.seen_first_at.map(when),
                last: mention.seen_last_at.map(when),
            })
            .collect(),
        drift: drift
            .items
            .into_iter()
            .map(|drift| {
                let (tone, word) = drift_badge(drift.class);
                DriftLine {
                    tone,
                    word,
                    meaning: drift.class.meaning(),
                    message: drift.message,
                    rule: drift.rule,
                }
            })
            .collect(),
        findings,
        callers: callers
            .items
            .into_iter()
            .map(|caller| super::callers::row(caller, person.now))
            .collect(),
        more_callers: callers.total > u64::from(CALLERS),
        shell,
        api: head,
    };
    Ok(page(&view))
}

/// The address of an operation's page.
pub(in crate::web::pages) fn address(api: &str, method: &str, path: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("method", method)
        .append_pair("path", path)
        .finish();
    format!("/apis/{api}/operation?{query}")
}

/// What the latest document of a definition says of it; else why that cannot be shown.
async fn described(
    person: &Person,
    definition: &Definition,
    operation: &Operation,
    mention: &Mention,
) -> Result<(Detail, &'static str), Response> {
    let store = &person.app().store;
    let revision = inventory::revision(store, &person.actor, &definition.revision)
        .await
        .map_err(refused)?;
    if revision.size > super::schema::READABLE {
        return Ok((
            Detail::default(),
            "The document is too large to be laid out; it can be downloaded.",
        ));
    }
    let Ok(document) = correctable(json_of(person, &revision).await)? else {
        return Ok((
            Detail::default(),
            "The document cannot be laid out; its text can be downloaded.",
        ));
    };
    // Documents have paths below their servers; the longest that the whole path ends with is this one.
    let shape = Template::parse(&mention.path).shape();
    let found = reading::operations(&document)
        .into_iter()
        .filter(|found| found.method.eq_ignore_ascii_case(&operation.method))
        .map(|found| (Template::parse(found.path).shape(), found))
        .filter(|(below, _)| shape.ends_with(below.as_str()))
        .max_by_key(|(below, _)| below.len());
    Ok(match found {
        Some((_, found)) => (reading::detail(&document, &found), ""),
        None => (
            Detail::default(),
            "The latest document does not have it any more.",
        ),
    })
}

async fn findings_of(
    person: &Person,
    api: &Api,
    (method, shape): (&str, &str),
    page: Page,
) -> Result<Vec<crate::web::views::api::FindingRow>, Response> {
    let filter = FindingFilter {
        api: Some(api.id.clone()),
        operation: Some((method.to_owned(), shape.to_owned())),
        open: Some(true),
        ..FindingFilter::default()
    };
    let found = gravest_first(person, &filter, page).await?;
    let rows = found.items.into_iter();
    Ok(rows
        .map(|finding| finding_row(finding, person.now))
        .collect())
}
