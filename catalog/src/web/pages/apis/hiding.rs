//! APIs are hidden, and shown again.

use axum::extract::Path;

use super::{are, chosen, parse};
use crate::inventory;
use crate::web::answer::{Answer, told};
use crate::web::person::Person;
use crate::web::posted::{Fields, Posted};

async fn set_hidden(person: &Person, fields: &Fields, hidden: bool) -> Answer {
    let (apis, named) = chosen(person, fields.all("api")).await?;
    let store = &person.app().store;
    let outcome = inventory::set_hidden(store, &person.actor, &apis, hidden, person.now).await;
    let text = if hidden {
        format!("{} hidden. “Show hidden APIs” shows what is.", are(&named))
    } else {
        format!("{} shown again.", are(&named))
    };
    told(person, "/discovery", outcome, &text)
}

/// Hides the chosen ones.
pub(in crate::web::pages) async fn hide(Posted { person, fields, .. }: Posted) -> Answer {
    set_hidden(&person, &fields, true).await
}

/// Shows the chosen ones again.
pub(in crate::web::pages) async fn show(Posted { person, fields, .. }: Posted) -> Answer {
    set_hidden(&person, &fields, false).await
}

/// Hides one, or shows it again.
pub(in crate::web::pages) async fn hide_one(
    Path(id): Path<String>,
    Posted { person, .. }: Posted,
) -> Answer {
    one_hidden(&person, &id, true).await
}

/// See [`hide_one`].
pub(in crate::web::pages) async fn show_one(
    Path(id): Path<String>,
    Posted { person, .. }: Posted,
) -> Answer {
    one_hidden(&person, &id, false).await
}

async fn one_hidden(person: &Person, id: &str, hidden: bool) -> Answer {
    let api = parse(id)?;
    let back = format!("/apis/{api}");
    let store = &person.app().store;
    let outcome = inventory::set_hidden(store, &person.actor, &[api], hidden, person.now).await;
    let text = if hidden {
        "The API is hidden: lists show it only when asked for."
    } else {
        "The API is shown again."
    };
    told(person, &back, outcome, text)
}
