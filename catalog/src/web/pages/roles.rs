//! Roles and what they allow.

use axum::extract::Path;
use http::StatusCode;

use super::super::answer::{
    Answer, done, failed, is_correctable, no_such, page_with, refused, sentence, status_of,
};
use super::super::person::Person;
use super::super::posted::{Fields, Posted};
use super::super::views::settings::{RoleRow, Roles};
use super::super::views::{Choice, Field, count};
use super::form::blame;
use super::settings::tabs;
use crate::access::{Permission, Permissions, roles};
use crate::ids::RoleId;

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
    match roles::create(store, &person.actor, &name.value, &permissions, person.now).await {
        Ok(_) => Ok(done(&person, HERE, "The role is there to be given.")),
        Err(refusal) if is_correctable(&refusal) => {
            let error = blame(&refusal, &mut [(&["name"], &mut name)]);
            view(&person, name, &permissions, error, status_of(&refusal)).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Changes one.
pub(super) async fn update(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let role = RoleId::parse(&id).map_err(|_| no_such("role", &id))?;
    let store = &person.app().store;
    let name = fields.get("name");
    match roles::update(
        store,
        &person.actor,
        &role,
        name,
        &ticked(&fields),
        person.now,
    )
    .await
    {
        Ok(()) => Ok(done(
            &person,
            HERE,
            "The role is changed; who has it may do so much from now on.",
        )),
        Err(refusal) if is_correctable(&refusal) => {
            Ok(failed(&person, HERE, &sentence(&refusal.to_string())))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Deletes one.
pub(super) async fn delete(Path(id): Path<String>, Posted { person, .. }: Posted) -> Answer {
    let role = RoleId::parse(&id).map_err(|_| no_such("role", &id))?;
    match roles::delete(&person.app().store, &person.actor, &role, person.now).await {
        Ok(()) => Ok(done(&person, HERE, "The role is deleted.")),
        Err(refusal) if is_correctable(&refusal) => {
            Ok(failed(&person, HERE, &sentence(&refusal.to_string())))
        }
        Err(refusal) => Err(refused(refusal)),
    }
}
