//! Where what is documented of an API and what is seen part.

use axum::extract::{Path, RawQuery};

use super::head_of;
use super::operation::address;
use crate::inventory::{self, DriftClass};
use crate::store::Page;
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::api::{DriftGroup, DriftRow, DriftTab};
use crate::web::views::{Empty, Method, PathText};

/// Where what is documented and what is seen part.
pub(in crate::web::pages) async fn drift(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "/drift").await?;
    let here = format!("/apis/{}/drift", api.id);
    let list = List::read(here, raw.as_deref(), &[], &[]);
    let sized = list.page_of(Page::MAX_SIZE)?;
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
                        href: if drift.method.is_empty() || drift.shape.is_empty() {
                            String::new()
                        } else {
                            address(api.id.as_str(), &drift.method, &drift.path)
                        },
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
    let both = head.observed && head.documented;
    let view = DriftTab {
        shell,
        api: head,
        groups,
        pager: list.pager(&found),
        empty: if both {
            Empty::new(
                "good",
                "No drift",
                "What is documented and what is seen agree.",
                &[],
            )
        } else {
            Empty::new(
                "info",
                "Nothing to compare yet",
                "Drift is found between a document and traffic. Import the document of an API that is seen, or let a collector see \
                 the traffic of one that is documented.",
                &[("/sources", "To the sources")],
            )
        },
    };
    Ok(page(&view))
}
