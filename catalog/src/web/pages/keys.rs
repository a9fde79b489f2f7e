//! API keys: one's own, and for those who manage users everybody's.

use std::time::Duration;

use axum::extract::{Path, RawQuery};
use http::StatusCode;

use super::form::blame;
use super::list::List;
use super::settings::tabs;
use crate::access::Permission;
use crate::access::keys::{self, Filter, Order};
use crate::ids::KeyId;
use crate::web::answer::{Answer, correctable, done, no_such, page_with, refused, status_of};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::settings::{KeyRow, Keys, Secret};
use crate::web::views::{Empty, Field, When};

const HERE: &str = "/settings/keys";

#[derive(Default)]
struct Typed {
    name: Field,
    error: String,
    made: Option<Secret>,
}

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    view(&person, raw.as_deref(), Typed::default(), StatusCode::OK).await
}

async fn view(person: &Person, raw: Option<&str>, typed: Typed, status: StatusCode) -> Answer {
    let list = List::read(HERE, raw, &[], &["-created", "name", "expires", "-used"]);
    let order = match list.sorted.0 {
        "name" => Order::Name,
        "expires" => Order::Expires,
        "used" => Order::Used,
        _ => Order::Created,
    };
    let found = keys::list(
        &person.app().store,
        &person.actor,
        &Filter::default(),
        (order, list.sorted.1),
        list.page()?,
    )
    .await
    .map_err(refused)?;
    let view = Keys {
        shell: person.shell("/settings").await?,
        tabs: tabs(person, HERE),
        error: typed.error,
        made: typed.made,
        headings: list.headings(&[
            ("Name", "name", ""),
            ("User", "", ""),
            ("Made", "created", ""),
            ("Expires", "expires", ""),
            ("Last used", "used", ""),
        ]),
        pager: list.pager(&found),
        keys: found
            .items
            .into_iter()
            .map(|key| {
                let own = key.user == person.session.user;
                KeyRow {
                    id: key.id.to_string(),
                    state: if key.revoked_at.is_some() {
                        "revoked"
                    } else if key.valid(person.now) {
                        ""
                    } else {
                        "expired"
                    },
                    revocable: key.revoked_at.is_none()
                        && (own && person.may(Permission::OwnKeys)
                            || person.may(Permission::ManageUsers)),
                    name: key.name,
                    prefix: key.prefix,
                    email: key.email,
                    created: When::new(key.created_at, person.now),
                    expires: key.expires_at.map(|at| When::new(at, person.now)),
                    used: key.used_at.map(|at| When::new(at, person.now)),
                }
            })
            .collect(),
        may_make: person.may(Permission::OwnKeys),
        name: typed.name,
        empty: Empty::new(
            "key",
            "No API key yet",
            "A key lets a program use the REST API in your name.",
            &[],
        ),
    };
    Ok(page_with(status, &view))
}

/// Makes one; the page that answers shows it once.
pub(super) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let mut name = Field::new(fields.get("name"));
    let expires = match fields.get("days") {
        "" => None,
        text => {
            let days = text.parse::<u32>().unwrap_or(90).clamp(1, 3_650);
            Some(
                person
                    .now
                    .plus(Duration::from_secs(u64::from(days) * 86_400)),
            )
        }
    };
    let store = &person.app().store;
    let made = keys::create(store, &person.actor, &name.value, expires, person.now).await;
    match correctable(made)? {
        Ok(made) => {
            let typed = Typed {
                made: Some(Secret {
                    title: format!("The key “{}”", name.value.trim()),
                    text: "Keep it now: it is shown this once, only its hash stays here."
                        .to_owned(),
                    secret: made.secret,
                }),
                ..Typed::default()
            };
            view(&person, None, typed, StatusCode::OK).await
        }
        Err(refusal) => {
            let error = blame(&refusal, &mut [(&["name"], &mut name)]);
            let typed = Typed {
                name,
                error,
                made: None,
            };
            view(&person, None, typed, status_of(&refusal)).await
        }
    }
}

/// Revokes one.
pub(super) async fn revoke(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let key = KeyId::parse(&id).map_err(|_| no_such("key", &id))?;
    keys::revoke(&person.app().store, &person.actor, &key, person.now)
        .await
        .map_err(refused)?;
    Ok(done(
        &person,
        HERE,
        "The key is revoked; what uses it is refused from now on.",
    ))
}
