//! Settings: what its parts have in common, and the organisation.

use http::StatusCode;

use super::form::blame;
use crate::access::{Permission, organisations};
use crate::web::answer::{Answer, correctable, done, page_with, refused};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::api::Tab;
use crate::web::views::settings::OrganisationPart;
use crate::web::views::{Field, When};

/// The parts one may look at; `here` is the address of the one that is shown.
pub(super) fn tabs(person: &Person, here: &str) -> Vec<Tab> {
    let users = person.may(Permission::ViewUsers);
    let keys = users || person.may(Permission::OwnKeys);
    [
        ("/settings", "Profile", true),
        ("/settings/users", "Users", users),
        ("/settings/roles", "Roles", users),
        ("/settings/keys", "API keys", keys),
        (
            "/settings/organisation",
            "Organisation",
            !person.session.must_change_password,
        ),
    ]
    .into_iter()
    .filter(|(_, _, shown)| *shown)
    .map(|(href, name, _)| Tab {
        href: href.to_owned(),
        name,
        count: 0,
        here: href == here,
    })
    .collect()
}

/// The organisation's name.
pub(super) async fn organisation(person: Person) -> Answer {
    show(&person, None, String::new(), StatusCode::OK).await
}

async fn show(person: &Person, name: Option<Field>, error: String, status: StatusCode) -> Answer {
    let organisation = organisations::current(&person.app().store, &person.actor)
        .await
        .map_err(refused)?;
    let view = OrganisationPart {
        shell: person.shell("/settings").await?,
        tabs: tabs(person, "/settings/organisation"),
        error,
        id: organisation.id.to_string(),
        created: When::new(organisation.created_at, person.now),
        name: name.unwrap_or_else(|| Field::new(organisation.name)),
        manage: person.may(Permission::ManageOrganisation),
    };
    Ok(page_with(status, &view))
}

/// Gives it another name.
pub(super) async fn rename(Posted { person, fields, .. }: Posted) -> Answer {
    let mut name = Field::new(fields.get("name"));
    let store = &person.app().store;
    let renamed = organisations::rename(store, &person.actor, &name.value, person.now).await;
    match correctable(renamed)? {
        Ok(()) => Ok(done(
            &person,
            "/settings/organisation",
            "The organisation has a new name.",
        )),
        Err(refusal) => {
            let error = blame(&refusal, &mut [(&["name"], &mut name)]);
            show(&person, Some(name), error, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}
