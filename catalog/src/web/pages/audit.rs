//! The audit log.

use std::time::Duration;

use axum::extract::RawQuery;

use super::super::answer::{Answer, page, refused};
use super::super::person::Person;
use super::super::query::Query;
use super::super::views::filter_form::{Date, FilterForm, Select};
use super::super::views::settings::{AuditLog, AuditRow};
use super::super::views::{Choice, Empty, When};
use super::form::pager;
use crate::Millis;
use crate::audit::{self, Filter};

/// Midnight of a day, `2026-03-02`, in UTC.
pub(super) fn midnight(day: &str) -> Option<Millis> {
    (day.len() == 10)
        .then(|| Millis::parse(&format!("{day}T00:00:00Z")))
        .flatten()
}

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(
        "/audit",
        raw.as_deref(),
        &["q", "actor", "action", "from", "to"],
    );
    let store = &person.app().store;
    let filter = Filter {
        actor: query.some("actor"),
        action: query.some("action"),
        text: query.some("q"),
        from: midnight(query.get("from")),
        to: midnight(query.get("to")).map(|day| day.plus(Duration::from_secs(86_400))),
        ..Filter::default()
    };
    let found = audit::list(
        store,
        &person.actor,
        &filter,
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let actions = audit::actions(store, &person.actor)
        .await
        .map_err(refused)?;
    let mut choices = vec![Choice::new("", "Any action", query.get("action"))];
    choices.extend(
        actions
            .into_iter()
            .map(|action| Choice::new(action.clone(), action, query.get("action"))),
    );
    let date = |name: &'static str, label: &'static str| Date {
        name,
        label,
        value: query.get(name).to_owned(),
    };
    let view = AuditLog {
        shell: person.shell("/audit").await?,
        filters: FilterForm {
            action: "/audit".to_owned(),
            search_label: "Search names, details, correlation ids",
            text: query.get("q").to_owned(),
            selects: vec![Select {
                name: "action",
                label: "Action",
                choices,
            }],
            dates: vec![date("from", "From"), date("to", "to")],
            any: query.filtered(),
            ..FilterForm::default()
        },
        pager: pager(&query, &found),
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
        empty: Empty {
            icon: "audit",
            title: "No such entry",
            text: "Nothing in the log fits these filters.",
            actions: vec![("/audit", "Show everything")],
        },
    };
    Ok(page(&view))
}
