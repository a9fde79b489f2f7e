//! Who calls an API.

use axum::extract::{Path, RawQuery};

use super::head_of;
use crate::Millis;
use crate::inventory::{self, Caller, CallerKind};
use crate::web::answer::{Answer, page, refused};
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::views::api::{CallerRow, CallersTab};
use crate::web::views::{Empty, When};

/// Who calls it.
pub(in crate::web::pages) async fn callers(
    Path(id): Path<String>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    let (api, shell, head) = head_of(&person, &id, "/callers").await?;
    let here = format!("/apis/{}/callers", api.id);
    let list = List::read(here, raw.as_deref(), &[], &[]);
    let store = &person.app().store;
    let found = inventory::callers(store, &person.actor, &api.id, None, list.page()?)
        .await
        .map_err(refused)?;
    let view = CallersTab {
        shell,
        api: head,
        pager: list.pager(&found),
        rows: found
            .items
            .into_iter()
            .map(|caller| row(caller, person.now))
            .collect(),
        empty: Empty::new(
            "users",
            "No caller known",
            "Collectors tell who calls what they see. Documents alone tell nothing of callers.",
            &[],
        ),
    };
    Ok(page(&view))
}

/// A caller as a row.
pub(super) fn row(caller: Caller, now: Millis) -> CallerRow {
    CallerRow {
        name: caller.name,
        kind: match caller.kind {
            CallerKind::Shim => "Shim it came through",
            CallerKind::Consumer => "Consumer of the gateway",
            CallerKind::Client => "What the client calls itself",
        },
        calls: caller.calls,
        last: caller.seen_last_at.map(|at| When::new(at, now)),
    }
}
