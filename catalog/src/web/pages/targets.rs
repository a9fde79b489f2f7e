//! Targets.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::StatusCode;

use super::super::answer::{
    Answer, done, is_correctable, no_such, page, page_with, refused, sentence, status_of,
};
use super::super::person::Person;
use super::super::posted::Posted;
use super::super::query::Query;
use super::super::views::filter_form::FilterForm;
use super::super::views::targets::{DeleteTarget, TargetForm, TargetRow, Targets};
use super::super::views::{Empty, Field, When};
use super::form::{blame, headings, pager};
use crate::access::Permission;
use crate::ids::TargetId;
use crate::inventory::{self, TargetSort};

const HERE: &str = "/targets";

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(HERE, raw.as_deref(), &["q", "sort"]);
    let sorted = query.sort(&["name", "url", "apis", "created"]);
    let sort = match sorted.0 {
        "url" => TargetSort::Url,
        "apis" => TargetSort::Apis,
        "created" => TargetSort::Created,
        _ => TargetSort::Name,
    };
    let text = query.some("q");
    let found = inventory::targets(
        &person.app().store,
        &person.actor,
        text.as_deref(),
        sort,
        sorted.1,
        query.page().map_err(refused)?,
    )
    .await
    .map_err(refused)?;
    let manage = person.may(Permission::ManageApis);
    let empty = if query.filtered() {
        Empty {
            icon: "search",
            title: "No target fits this search",
            text: "Another word, or none, shows more.",
            actions: vec![(HERE, "Show all")],
        }
    } else {
        Empty {
            icon: "targets",
            title: "No target yet",
            text: "A target is what is scanned: an origin, or a part of one. APIs are linked to the target they lie under. Discovery \
                   can create the right ones for many APIs at once.",
            actions: if manage {
                vec![
                    ("/targets/new", "Create a target"),
                    ("/discovery", "To discovery"),
                ]
            } else {
                Vec::new()
            },
        }
    };
    let view = Targets {
        filters: FilterForm {
            action: HERE.to_owned(),
            search_label: "Search name or URL",
            text: query.get("q").to_owned(),
            kept: query
                .some("sort")
                .map(|sort| ("sort", sort))
                .into_iter()
                .collect(),
            any: query.filtered(),
            ..FilterForm::default()
        },
        headings: headings(
            &query,
            sorted,
            &[
                ("Name", "name", ""),
                ("URL", "url", ""),
                ("APIs", "apis", "num"),
                ("Created", "created", ""),
            ],
        ),
        pager: pager(&query, &found),
        targets: found
            .items
            .into_iter()
            .map(|target| TargetRow {
                id: target.id.to_string(),
                name: target.name,
                url: target.url.to_string(),
                apis: target.apis,
                created: When::new(target.created_at, person.now),
            })
            .collect(),
        manage,
        empty,
        shell: person.shell(HERE).await?,
    };
    Ok(page(&view))
}

fn parse(id: &str) -> Result<TargetId, Response> {
    TargetId::parse(id).map_err(|_| no_such("target", id))
}

/// What the form is for: a new target, or one that is there.
enum Of<'a> {
    New,
    There(&'a TargetId),
}

async fn form(
    person: &Person,
    of: Of<'_>,
    name: Field,
    url: Field,
    error: String,
    status: StatusCode,
) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    let (title, action, submit) = match of {
        Of::New => ("Create target", "/targets/new".to_owned(), "Create target"),
        Of::There(id) => ("Edit target", format!("/targets/{id}/edit"), "Save"),
    };
    let view = TargetForm {
        shell: person.shell(HERE).await?,
        title,
        action,
        submit,
        name,
        url,
        error,
    };
    Ok(page_with(status, &view))
}

/// Asks for a new one.
pub(super) async fn new_form(person: Person) -> Answer {
    let (name, url) = (Field::default(), Field::default());
    form(&person, Of::New, name, url, String::new(), StatusCode::OK).await
}

/// Makes one.
pub(super) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let mut name = Field::new(fields.get("name"));
    let mut url = Field::new(fields.get("url"));
    let called = if name.value.trim().is_empty() {
        &url.value
    } else {
        &name.value
    };
    let store = &person.app().store;
    match inventory::create_target(store, &person.actor, called, &url.value, person.now).await {
        Ok(target) => Ok(done(
            &person,
            HERE,
            &format!("The target “{}” is there to link APIs to.", target.name),
        )),
        Err(refusal) if is_correctable(&refusal) => {
            let error = blame(
                &refusal,
                &mut [(&["name"], &mut name), (&["url"], &mut url)],
            );
            form(&person, Of::New, name, url, error, status_of(&refusal)).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Asks what to change.
pub(super) async fn edit_form(Path(id): Path<String>, person: Person) -> Answer {
    let id = parse(&id)?;
    let target = inventory::target(&person.app().store, &person.actor, &id)
        .await
        .map_err(refused)?;
    let (name, url) = (Field::new(target.name), Field::new(target.url.to_string()));
    form(
        &person,
        Of::There(&id),
        name,
        url,
        String::new(),
        StatusCode::OK,
    )
    .await
}

/// Changes one.
pub(super) async fn edit(Path(id): Path<String>, Posted { person, fields, .. }: Posted) -> Answer {
    let id = parse(&id)?;
    let mut name = Field::new(fields.get("name"));
    let mut url = Field::new(fields.get("url"));
    let called = if name.value.trim().is_empty() {
        &url.value
    } else {
        &name.value
    };
    let store = &person.app().store;
    match inventory::edit_target(store, &person.actor, &id, called, &url.value, person.now).await {
        Ok(_) => Ok(done(&person, HERE, "The target is changed.")),
        Err(refusal) if is_correctable(&refusal) => {
            let error = blame(
                &refusal,
                &mut [(&["name"], &mut name), (&["url"], &mut url)],
            );
            form(
                &person,
                Of::There(&id),
                name,
                url,
                error,
                status_of(&refusal),
            )
            .await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// Asks first.
pub(super) async fn delete_form(Path(id): Path<String>, person: Person) -> Answer {
    person.actor.may(Permission::ManageApis).map_err(refused)?;
    delete_view(&person, &parse(&id)?, String::new(), StatusCode::OK).await
}

async fn delete_view(person: &Person, id: &TargetId, error: String, status: StatusCode) -> Answer {
    let target = inventory::target(&person.app().store, &person.actor, id)
        .await
        .map_err(refused)?;
    let view = DeleteTarget {
        shell: person.shell(HERE).await?,
        id: target.id.to_string(),
        name: target.name,
        apis: target.apis,
        error,
    };
    Ok(page_with(status, &view))
}

/// Deletes one; its APIs go back to discovery when that was said.
pub(super) async fn delete(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let unlink = fields.has("unlink");
    let store = &person.app().store;
    match inventory::delete_target(store, &person.actor, &id, unlink, person.now).await {
        Ok(()) => Ok(done(&person, HERE, "The target is deleted.")),
        Err(refusal) if is_correctable(&refusal) => {
            let error = sentence(&super::super::answer::blamed(&refusal).1);
            delete_view(&person, &id, error, status_of(&refusal)).await
        }
        Err(refusal) => Err(refused(refusal)),
    }
}
