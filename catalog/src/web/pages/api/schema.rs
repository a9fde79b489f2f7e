//! A document of an API, laid out.

use axum::extract::{Path, RawQuery};

use super::head_of;
use crate::Refusal;
use crate::inventory::{self, Definition, DefinitionKind, Format, Revision};
use crate::web::answer::{Answer, correctable, page, refused};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::reading;
use crate::web::views::api::{Detail, DocumentHead, SchemaOperation, SchemaTab};
use crate::web::views::{Choice, Empty, Method, PathText, When};

/// Documents above this are not laid out: they can be downloaded.
pub(super) const READABLE: u64 = 8 * 1024 * 1024;
/// Operations of a document on one page.
const OPERATIONS: u32 = 100;

/// The definition a page is about: the one that is asked for, else the first.
fn asked<'a>(definitions: &'a [Definition], given: &str) -> Option<&'a Definition> {
    definitions
        .iter()
        .find(|definition| definition.id.as_str() == given)
        .or_else(|| definitions.first())
}

pub(super) async fn json_of(
    person: &Person,
    revision: &Revision,
) -> Result<serde_json::Value, Refusal> {
    let store = &person.app().store;
    let text = inventory::document_of(store, &person.actor, &revision.id, Format::Json).await?;
    inventory::apart(text.len(), move || serde_json::from_slice(&text))
        .await?
        .map_err(|error| Refusal::invalid("document", format!("it cannot be laid out: {error}")))
}

/// A document, readable.
pub(in crate::web::pages) async fn schema(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "/schema").await?;
    let store = &person.app().store;
    let path = format!("/apis/{}/schema", api.id);
    let list = List::read(path, raw.as_deref(), &["q", "definition", "op"], &[]);
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let chosen = asked(&definitions, list.get("definition"));
    let label = |definition: &Definition| {
        let kind = match definition.kind {
            DefinitionKind::Observed => "seen",
            DefinitionKind::Documented => "documented",
        };
        format!("{} ({kind}): {}", definition.source_name, definition.key)
    };
    let asked_page = list.page_of(OPERATIONS)?;
    let mut view = SchemaTab {
        shell,
        api: head,
        text: list.get("q").to_owned(),
        documents: definitions
            .iter()
            .map(|definition| {
                let here = chosen.map_or("", |chosen| chosen.id.as_str());
                Choice::new(definition.id.as_str(), label(definition), here)
            })
            .collect(),
        document: None,
        operations: Vec::new(),
        pager: list.pager_of(asked_page, 0),
        empty: Empty::new(
            "file",
            "No document",
            "No source has told of this API yet.",
            &[],
        ),
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
    let document = match correctable(json_of(&person, &revision).await)? {
        Ok(document) => document,
        Err(_) => {
            view.empty.title = "The document cannot be laid out";
            view.empty.text =
                "It is nested too deep, or no JSON can be made of it. Its text can be downloaded.";
            return Ok(page(&view));
        }
    };
    let word = list.get("q").trim().to_lowercase();
    let op = list.get("op");
    let all: Vec<reading::Found<'_>> = reading::operations(&document)
        .into_iter()
        .filter(|found| op.is_empty() || found.key() == op)
        .filter(|found| word.is_empty() || reading::mentions(&document, found, &word))
        .collect();
    let skip = (asked_page.number() as usize - 1).saturating_mul(OPERATIONS as usize);
    view.pager = list.pager_of(asked_page, all.len() as u64);
    view.operations = all
        .iter()
        .skip(skip)
        .take(OPERATIONS as usize)
        .map(|found| SchemaOperation {
            method: Method::new(found.method),
            path: PathText::new(found.path),
            summary: found.summary(),
            deprecated: found.deprecated(),
            open: !op.is_empty(),
            href: list.query.with("op", &found.key()),
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
