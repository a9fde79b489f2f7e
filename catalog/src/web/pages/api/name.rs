//! The name of an API.

use axum::extract::Path;

use crate::access::Permission;
use crate::inventory;
use crate::web::answer::{Answer, correctable, done, page, page_with, refused, status_of};
use crate::web::pages::apis::parse;
use crate::web::pages::form::blame;
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::Field;
use crate::web::views::apis::Rename;

/// Asks for another name.
pub(in crate::web::pages) async fn rename_form(Path(id): Path<String>, person: Person) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let api = inventory::api(&person.app().store, &person.actor, &parse(&id)?)
        .await
        .map_err(refused)?;
    let view = Rename {
        shell: person.shell("/discovery").await?,
        id: api.id.to_string(),
        name: Field::new(api.name),
    };
    Ok(page(&view))
}

/// Gives another name.
pub(in crate::web::pages) async fn rename(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let api = parse(&id)?;
    let mut name = Field::new(fields.get("name"));
    let store = &person.app().store;
    let renamed = inventory::rename_api(store, &person.actor, &api, &name.value, person.now).await;
    match correctable(renamed)? {
        Ok(()) => Ok(done(
            &person,
            &format!("/apis/{api}"),
            "The API has a new name.",
        )),
        Err(refusal) => {
            let other = blame(&refusal, &mut [(&["name"], &mut name)]);
            if !other.is_empty() {
                name.error = other;
            }
            let view = Rename {
                shell: person.shell("/discovery").await?,
                id: api.to_string(),
                name,
            };
            Ok(page_with(status_of(&refusal), &view))
        }
    }
}
