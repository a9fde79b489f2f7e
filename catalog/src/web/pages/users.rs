//! Users of the organisation.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::StatusCode;

use super::form::blame;
use super::list::List;
use super::settings::tabs;
use crate::access::users::{self, Filter, New, Order};
use crate::access::{Permission, roles};
use crate::ids::UserId;
use crate::web::answer::{Answer, correctable, done, no_such, page_with, refused, status_of, told};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::settings::{Secret, UserRow, Users};
use crate::web::views::{Choice, Field, When};

const HERE: &str = "/settings/users";

#[derive(Default)]
struct Typed {
    email: Field,
    name: Field,
    role: String,
    error: String,
    made: Option<Secret>,
}

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    view(&person, raw.as_deref(), Typed::default(), StatusCode::OK).await
}

async fn view(person: &Person, raw: Option<&str>, typed: Typed, status: StatusCode) -> Answer {
    let store = &person.app().store;
    let list = List::read(
        HERE,
        raw,
        &["q", "role", "active"],
        &["name", "email", "-joined", "-signed"],
    );
    let order = match list.sorted.0 {
        "email" => Order::Email,
        "joined" => Order::Joined,
        "signed" => Order::SignedIn,
        _ => Order::Name,
    };
    let filter = Filter {
        text: list.some("q"),
        role: list.some("role"),
        active: match list.get("active") {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
    };
    let found = users::list(
        store,
        &person.actor,
        &filter,
        (order, list.sorted.1),
        list.page()?,
    )
    .await
    .map_err(refused)?;
    let all = roles::list(store, &person.actor).await.map_err(refused)?;
    let choices = |chosen: &str| -> Vec<Choice> {
        all.iter()
            .filter(|role| {
                role.key == chosen || person.actor.permissions.include(&role.permissions)
            })
            .map(|role| Choice::new(role.key.as_str(), role.title.as_str(), chosen))
            .collect()
    };
    let titles = all
        .iter()
        .map(|role| (role.key.as_str(), role.title.as_str()));
    let selects = vec![
        list.select("role", "Role", [("", "Any role")].into_iter().chain(titles)),
        list.select(
            "active",
            "State",
            [
                ("", "Active or not"),
                ("yes", "Active"),
                ("no", "Deactivated"),
            ],
        ),
    ];
    let view = Users {
        shell: person.shell("/settings").await?,
        tabs: tabs(person, HERE),
        error: typed.error,
        made: typed.made,
        filters: list.filters("Search name or e-mail", selects),
        headings: list.headings(&[
            ("Name", "name", ""),
            ("E-mail", "email", ""),
            ("Role", "", ""),
            ("Joined", "joined", ""),
            ("Last signed in", "signed", ""),
        ]),
        pager: list.pager(&found),
        users: found
            .items
            .into_iter()
            .map(|user| UserRow {
                oneself: user.user == person.session.user,
                id: user.user.to_string(),
                roles: choices(&user.role),
                name: user.name,
                email: user.email,
                role: user.role_title,
                active: user.active,
                must_change: user.must_change_password,
                joined: When::new(user.joined_at, person.now),
                signed_in: user.signed_in_at.map(|at| When::new(at, person.now)),
            })
            .collect(),
        manage: person.may(Permission::ManageUsers),
        email: typed.email,
        name: typed.name,
        roles: choices(if typed.role.is_empty() {
            "security-analyst"
        } else {
            &typed.role
        }),
    };
    Ok(page_with(status, &view))
}

/// Adds one; the page that answers shows the first password once.
pub(super) async fn add(Posted { person, fields, .. }: Posted) -> Answer {
    let mut typed = Typed {
        email: Field::new(fields.get("email")),
        name: Field::new(fields.get("name")),
        role: fields.get("role").to_owned(),
        ..Typed::default()
    };
    let app = person.app();
    let new = New {
        email: &typed.email.value,
        name: &typed.name.value,
        role: &typed.role,
        password: None,
    };
    let passwords = app.door.passwords();
    let invited = users::invite(&app.store, passwords, &person.actor, new, person.now).await;
    match correctable(invited)? {
        Ok(invited) => match invited.password {
            Some(password) => {
                let made = first_password(&typed.email.value, password);
                let typed = Typed {
                    made: Some(made),
                    ..Typed::default()
                };
                view(&person, None, typed, StatusCode::OK).await
            }
            None => Ok(done(
                &person,
                HERE,
                &format!(
                    "{} has an account already and is now in this organisation too; its password is the one it had.",
                    typed.email.value
                ),
            )),
        },
        Err(refusal) => {
            let Typed { email, name, .. } = &mut typed;
            let error = blame(&refusal, &mut [(&["email"], email), (&["name"], name)]);
            typed.error = error;
            view(&person, None, typed, status_of(&refusal)).await
        }
    }
}

fn first_password(email: &str, password: String) -> Secret {
    Secret {
        title: format!("The first password of {email}"),
        text: "Hand it over; it is shown this once, and is changed at the first sign-in."
            .to_owned(),
        secret: password,
    }
}

fn parse(id: &str) -> Result<UserId, Response> {
    UserId::parse(id).map_err(|_| no_such("user", id))
}

/// Gives another role.
pub(super) async fn role(Path(id): Path<String>, Posted { person, fields, .. }: Posted) -> Answer {
    let user = parse(&id)?;
    let store = &person.app().store;
    let outcome =
        users::change_role(store, &person.actor, &user, fields.get("role"), person.now).await;
    told(&person, HERE, outcome, "The role is changed.")
}

/// Deactivates or activates.
pub(super) async fn active(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let user = parse(&id)?;
    let active = fields.get("active") == "true";
    let store = &person.app().store;
    let outcome = users::set_active(store, &person.actor, &user, active, person.now).await;
    let text = if active {
        "The user may come in again."
    } else {
        "The user is deactivated and signed out."
    };
    told(&person, HERE, outcome, text)
}

/// Sets a password that is shown once.
pub(super) async fn password(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let user = parse(&id)?;
    let app = person.app();
    let made = users::reset_password(
        &app.store,
        app.door.passwords(),
        &person.actor,
        &user,
        person.now,
    )
    .await;
    match made {
        Ok(password) => {
            let email = users::get(&app.store, &person.actor, &user)
                .await
                .map_or_else(|_| id, |user| user.email);
            let typed = Typed {
                made: Some(first_password(&email, password)),
                ..Typed::default()
            };
            view(&person, None, typed, StatusCode::OK).await
        }
        Err(refusal) => told(&person, HERE, Err(refusal), ""),
    }
}

/// Takes one out of the organisation.
pub(super) async fn remove(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let user = parse(&id)?;
    let outcome = users::remove(&person.app().store, &person.actor, &user, person.now).await;
    told(
        &person,
        HERE,
        outcome,
        "The user is removed from the organisation.",
    )
}
