//! Revisions of an API, and what differs between two.

use axum::extract::{Path, RawQuery};

use super::{head_of, revision_of};
use crate::inventory::{self, DefinitionKind, Revision, RevisionsOf};
use crate::web::answer::{Answer, correctable, page, refused, sentence};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::query::Query;
use crate::web::views::api::{Change, DefinitionBlock, DiffTab, RevisionRow, Revisions};
use crate::web::views::{Empty, When, count};

/// Definitions with their revisions.
pub(in crate::web::pages) async fn revisions(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "/revisions").await?;
    let store = &person.app().store;
    let here = format!("/apis/{}/revisions", api.id);
    let list = List::read(here, raw.as_deref(), &[], &[]);
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let found = inventory::revisions(
        store,
        &person.actor,
        &RevisionsOf::Api(api.id.clone()),
        list.page()?,
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
                id: definition.id.to_string(),
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
                        before: revision
                            .before
                            .as_ref()
                            .map_or_else(String::new, ToString::to_string),
                        old: at == 1,
                        new: at == 0,
                    })
                    .collect(),
            }
        })
        .filter(|block| !block.revisions.is_empty())
        .collect();
    let view = Revisions {
        shell,
        api: head,
        definitions: blocks,
        pager: list.pager(&found),
        empty: Empty::new(
            "file",
            "No revision",
            "No source has told of this API yet.",
            &[],
        ),
    };
    Ok(page(&view))
}

/// What differs between two revisions.
pub(in crate::web::pages) async fn diff(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    use silhouette_openapi::Class;
    let (api, shell, head) = head_of(&person, &id, "/revisions").await?;
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
    let texts = inventory::compare_texts(store, &person.actor, &old.id, &new.id).await;
    let (lines, cut) = match correctable(texts)? {
        Ok(text) => (text.lines().map(diff_line).collect(), String::new()),
        Err(refusal) => (Vec::new(), sentence(&refusal.to_string())),
    };
    let view = DiffTab {
        shell,
        api: head,
        old: format!("Revision {}", old.number),
        new: format!("revision {}", new.number),
        verdict,
        findings,
        lines,
        cut,
    };
    Ok(page(&view))
}

/// A line of the difference with the class of its row.
fn diff_line(line: &str) -> (&'static str, String) {
    let class = match line.as_bytes().first() {
        Some(b'+') => "added",
        Some(b'-') => "removed",
        Some(b'@') => "hunk",
        _ => "",
    };
    (class, format!("{line}\n"))
}
