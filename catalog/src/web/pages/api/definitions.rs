//! Definitions of an API that are moved to another one, or made one of their own.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::StatusCode;

use crate::access::Permission;
use crate::ids::DefinitionId;
use crate::inventory::{self, Api, ApiFilter, ApiSort, Definition, Join};
use crate::store::{Direction, Page};
use crate::web::answer::{
    Answer, blamed, correctable, done, no_such, page_with, refused, status_of,
};
use crate::web::pages::apis::parse;
use crate::web::pages::list::List;
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::Choice;
use crate::web::views::apis::MoveDefinition;

/// APIs to choose from; the search finds the others.
const MOST: u32 = 100;

/// The definition, which has to be of the API that the address names.
async fn known(
    person: &Person,
    api: &str,
    definition: &str,
) -> Result<(Api, Definition), Response> {
    let store = &person.app().store;
    let api = inventory::api(store, &person.actor, &parse(api)?)
        .await
        .map_err(refused)?;
    let id = DefinitionId::parse(definition).map_err(|_| no_such("definition", definition))?;
    let found = inventory::definition(store, &person.actor, &id)
        .await
        .map_err(refused)?;
    if found.api != api.id {
        return Err(no_such("definition", definition));
    }
    Ok((api, found))
}

/// Asks where to.
pub(in crate::web::pages) async fn move_form(
    Path((api, definition)): Path<(String, String)>,
    person: Person,
    RawQuery(raw): RawQuery,
) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let (api, definition) = known(&person, &api, &definition).await?;
    let here = address(&api, &definition);
    let list = List::read(here, raw.as_deref(), &["q"], &[]);
    view(
        &person,
        &api,
        &definition,
        &list,
        String::new(),
        StatusCode::OK,
    )
    .await
}

fn address(api: &Api, definition: &Definition) -> String {
    format!("/apis/{}/definitions/{}/move", api.id, definition.id)
}

async fn view(
    person: &Person,
    api: &Api,
    definition: &Definition,
    list: &List,
    error: String,
    status: StatusCode,
) -> Answer {
    let store = &person.app().store;
    // Without a search those on the same host: where it most likely belongs.
    let filter = ApiFilter {
        text: list.some("q"),
        host: list
            .some("q")
            .is_none()
            .then(|| definition.base_url.host().to_owned()),
        ..ApiFilter::default()
    };
    let page = Page::new(1, MOST).map_err(refused)?;
    let (sort, way) = (ApiSort::Name, Direction::Ascending);
    let found = inventory::apis(store, &person.actor, &filter, sort, way, page)
        .await
        .map_err(refused)?;
    let definitions = inventory::definitions(store, &person.actor, &api.id)
        .await
        .map_err(refused)?;
    let choices = found
        .items
        .iter()
        .filter(|other| other.id != api.id)
        .map(|other| {
            let url = other.base_url.to_string();
            let label = if url.ends_with(&other.name) {
                url
            } else {
                format!("{} – {url}", other.name)
            };
            Choice::new(other.id.as_str(), label, "")
        });
    let view = MoveDefinition {
        shell: person.shell("/discovery").await?,
        id: api.id.to_string(),
        name: api.name.clone(),
        source: definition.source_name.clone(),
        key: definition.key.clone(),
        base_url: definition.base_url.to_string(),
        action: address(api, definition),
        text: list.get("q").to_owned(),
        apis: choices.collect(),
        more: found.total > u64::from(MOST),
        alone: definitions.len() == 1,
        error,
    };
    Ok(page_with(status, &view))
}

/// Moves it to the API that was chosen, or to one of its own.
pub(in crate::web::pages) async fn move_definition(
    Path((api, definition)): Path<(String, String)>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let (api, definition) = known(&person, &api, &definition).await?;
    let join = match fields.get("to") {
        "new" => Join::New,
        other => Join::Api(parse(other)?),
    };
    let store = &person.app().store;
    let moved =
        inventory::move_definition(store, &person.actor, &definition.id, &join, person.now).await;
    match correctable(moved)? {
        Ok(to) => {
            let text = match join {
                Join::New => format!("“{}” is an API of its own now.", definition.key),
                _ => format!("“{}” belongs to this API now.", definition.key),
            };
            Ok(done(&person, &format!("/apis/{to}"), &text))
        }
        Err(refusal) => {
            let list = List::read(address(&api, &definition), None, &["q"], &[]);
            let error = blamed(&refusal).1;
            view(
                &person,
                &api,
                &definition,
                &list,
                error,
                status_of(&refusal),
            )
            .await
        }
    }
}
