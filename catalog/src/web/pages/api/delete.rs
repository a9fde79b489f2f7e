//! An API is deleted, with all that is known of it.

use axum::extract::Path;

use crate::access::Permission;
use crate::inventory::{self, DefinitionKind};
use crate::web::answer::{Answer, page, refused, told};
use crate::web::pages::apis::parse;
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::apis::DeleteApi;
use crate::web::views::count;

/// Asks first, and says what goes along.
pub(in crate::web::pages) async fn delete_form(Path(id): Path<String>, person: Person) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let store = &person.app().store;
    let api = inventory::api(store, &person.actor, &parse(&id)?)
        .await
        .map_err(refused)?;
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let revisions = definitions.iter().map(|definition| definition.number).sum();
    let view = DeleteApi {
        shell: person.shell("/discovery").await?,
        id: api.id.to_string(),
        name: api.name,
        definitions: count(definitions.len() as u64, "definition", "definitions"),
        revisions: count(revisions, "revision", "revisions"),
        operations: count(api.operations, "operation", "operations"),
        findings: match api.findings.total() {
            0 => String::new(),
            some => count(some, "open finding", "open findings"),
        },
        observed: definitions
            .iter()
            .any(|definition| definition.kind == DefinitionKind::Observed),
        linked: api.target.is_some(),
    };
    Ok(page(&view))
}

/// Deletes it.
pub(in crate::web::pages) async fn delete(
    Path(id): Path<String>,
    Posted { person, .. }: Posted,
) -> Answer {
    let api = parse(&id)?;
    let store = &person.app().store;
    let known = inventory::api(store, &person.actor, &api)
        .await
        .map_err(refused)?;
    let list = if known.target.is_some() {
        "/catalog"
    } else {
        "/discovery"
    };
    let outcome = inventory::delete_api(store, &person.actor, &api, person.now).await;
    told(
        &person,
        list,
        outcome,
        &format!("“{}” is deleted.", known.name),
    )
}
