//! The audit log.

use std::time::Duration;

use axum::extract::RawQuery;

use super::list::List;
use crate::Millis;
use crate::audit::{self, Filter};
use crate::web::answer::{Answer, page, refused};
use crate::web::person::Person;
use crate::web::views::filter_form::{Date, FilterForm};
use crate::web::views::settings::{AuditLog, AuditRow};
use crate::web::views::{Empty, When};

/// Midnight of a day, `2026-03-02`, in UTC.
pub(super) fn midnight(day: &str) -> Option<Millis> {
    (day.len() == 10)
        .then(|| Millis::parse(&format!("{day}T00:00:00Z")))
        .flatten()
}

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let filters = ["q", "actor", "action", "from", "to"];
    let list = List::read("/audit", raw.as_deref(), &filters, &[]);
    let store = &person.app().store;
    let filter = Filter {
        actor: list.some("actor"),
        action: list.some("action"),
        text: list.some("q"),
        from: midnight(list.get("from")),
        to: midnight(list.get("to")).map(|day| day.plus(Duration::from_secs(86_400))),
        ..Filter::default()
    };
    let found = audit::list(store, &person.actor, &filter, list.page()?)
        .await
        .map_err(refused)?;
    let actions = audit::actions(store, &person.actor)
        .await
        .map_err(refused)?;
    let actions = actions.into_iter().map(|action| (action.clone(), action));
    let any = std::iter::once((String::new(), "Any action".to_owned()));
    let choices = list.select("action", "Action", any.chain(actions));
    let date = |name: &'static str, label: &'static str| Date {
        name,
        label,
        value: list.get(name).to_owned(),
    };
    let view = AuditLog {
        shell: person.shell("/audit").await?,
        filters: FilterForm {
            dates: vec![date("from", "From"), date("to", "to")],
            ..list.filters("Search names, details, correlation ids", vec![choices])
        },
        pager: list.pager(&found),
        entries: found
            .items
            .into_iter()
            .map(|entry| AuditRow {
                at: When::new(entry.at, person.now),
                actor: entry.actor,
                via: entry.via,
                address: entry.address,
                action: entry.action,
                subject: entry.subject,
                name: entry.subject_name,
                details: entry
                    .details
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| {
                        let text = value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned);
                        (name.clone(), text)
                    })
                    .collect(),
                correlation: entry.correlation,
            })
            .collect(),
        empty: Empty::new(
            "audit",
            "No such entry",
            "Nothing in the log fits these filters.",
            &[("/audit", "Show everything")],
        ),
    };
    Ok(page(&view))
}
