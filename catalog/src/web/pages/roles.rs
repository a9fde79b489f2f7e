//! Roles and what they allow.

use axum::extract::Path;
use http::StatusCode;

use super::form::blame;
use super::settings::tabs;
use crate::access::{Permission, Permissions, roles};
use crate::ids::RoleId;
use crate::web::answer::{Answer, correctable, done, no_such, page_with, refused, status_of, told};
use crate::web::person::Person;
use crate::web::posted::{Fields, Posted};
use crate::web::views::settings::{RoleRow, Roles};
use crate::web::views::{Choice, Field, count};

const HERE: &str = "/settings/roles";

/// The list.
pub(super) async fn list(person: Person) -> Answer {
    view(
        &person,
        Field::default(),
        &Permissions::default(),
        String::new(),
        StatusCode::OK,
    )
    .await
}

fn boxes(person: &Person, chosen: &Permissions) -> Vec<Choice> {
    Permission::ALL
        .iter()
        .filter(|permission| chosen.has(**permission) || person.may(**permission))
        .map(|permission| Choice {
            value: permission.name().to_owned(),
            label: permission.title().to_owned(),
            chosen: chosen.has(*permission),
        })
        .collect()
}

async fn view(
    person: &Person,
    name: Field,
    permissions: &Permissions,
    error: String,
    status: StatusCode,
) -> Answer {
    let all = roles::list(&person.app().store, &person.actor)
        .await
        .map_err(refused)?;
    let view = Roles {
        shell: person.shell("/settings").await?,
        tabs: tabs(person, HERE),
        error,
        roles: all
            .into_iter()
            .map(|role| RoleRow {
                permissions: boxes(person, &role.permissions),
                key: role.key,
                title: role.title,
                built_in: role.built_in,
                users: count(role.users, "user", "users"),
            })
            .collect(),
        manage: person.may(Permission::ManageUsers),
        name,
        permissions: boxes(person, permissions),
    };
    Ok(page_with(status, &view))
}

fn ticked(fields: &Fields) -> Permissions {
    fields
        .all("permission")
        .filter_map(Permission::parse)
        .collect()
}

/// Makes one.
pub(super) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let mut name = Field::new(fields.get("name"));
    let permissions = ticked(&fields);
    let store = &person.app().store;
    let made = roles::create(store, &person.actor, &name.value, &permissions, person.now).await;
    match correctable(made)? {
        Ok(_) => Ok(done(&person, HERE, "The role is there to be given.")),
        Err(refusal) => {
            let error = blame(&refusal, &mut [(&["name"], &mut name)]);
            view(&person, name, &permissions, error, status_of(&refusal)).await
        }
    }
}

/// Changes one.
pub(super) async fn update(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let role = RoleId::parse(&id).map_err(|_| no_such("role", &id))?;
    let store = &person.app().store;
    let (name, permissions) = (fields.get("name"), ticked(&fields));
    let outcome = roles::update(store, &person.actor, &role, name, &permissions, person.now).await;
    told(
        &person,
        HERE,
        outcome,
        "The role is changed; who has it may do so much from now on.",
    )
}

/// Deletes one.
pub(super) async fn delete(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let role = RoleId::parse(&id).map_err(|_| no_such("role", &id))?;
    let outcome = roles::delete(&person.app().store, &person.actor, &role, person.now).await;
    told(&person, HERE, outcome, "The role is deleted.")
}
