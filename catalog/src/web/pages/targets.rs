//! Targets.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use http::StatusCode;

use super::form::blame;
use super::list::List;
use crate::Refusal;
use crate::access::Permission;
use crate::ids::TargetId;
use crate::inventory::{self, TargetSort};
use crate::web::answer::{
    Answer, blamed, correctable, done, no_such, page, page_with, refused, status_of,
};
use crate::web::person::Person;
use crate::web::posted::{Fields, Posted};
use crate::web::views::targets::{DeleteTarget, TargetForm, TargetRow, Targets};
use crate::web::views::{Empty, Field, When};

const HERE: &str = "/targets";

/// The list.
pub(super) async fn list(person: Person, RawQuery(raw): RawQuery) -> Answer {
    let orders = ["name", "url", "apis", "created"];
    let list = List::read(HERE, raw.as_deref(), &["q"], &orders);
    let sort = match list.sorted.0 {
        "url" => TargetSort::Url,
        "apis" => TargetSort::Apis,
        "created" => TargetSort::Created,
        _ => TargetSort::Name,
    };
    let text = list.some("q");
    let found = inventory::targets(
        &person.app().store,
        &person.actor,
        text.as_deref(),
        sort,
        list.sorted.1,
        list.page()?,
    )
    .await
    .map_err(refused)?;
    let manage = person.may(Permission::ManageApis);
    let actions: &[(&str, &str)] = if manage {
        &[
            ("/targets/new", "Create a target"),
            ("/discovery", "To discovery"),
        ]
    } else {
        &[]
    };
    let none = Empty::new(
        "targets",
        "No target yet",
        "A target is what is scanned: an origin, or a part of one. APIs are linked to the target they lie under. Discovery can create \
         the right ones for many APIs at once.",
        actions,
    );
    let view = Targets {
        filters: list.filters("Search name or URL", Vec::new()),
        headings: list.headings(&[
            ("Name", "name", ""),
            ("URL", "url", ""),
            ("APIs", "apis", "num"),
            ("Created", "created", ""),
        ]),
        pager: list.pager(&found),
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
        empty: list.empty("No target fits this search", none),
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

/// What the form has in it.
#[derive(Default)]
struct Typed {
    name: Field,
    url: Field,
    error: String,
}

impl Typed {
    fn read(fields: &Fields) -> Typed {
        Typed {
            name: Field::new(fields.get("name")),
            url: Field::new(fields.get("url")),
            error: String::new(),
        }
    }

    /// The name; without one the URL is it.
    fn called(&self) -> &str {
        match self.name.value.trim() {
            "" => &self.url.value,
            name => name,
        }
    }

    async fn shown(self, person: &Person, of: Of<'_>, status: StatusCode) -> Answer {
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
            name: self.name,
            url: self.url,
            error: self.error,
        };
        Ok(page_with(status, &view))
    }

    async fn again(mut self, person: &Person, of: Of<'_>, refusal: &Refusal) -> Answer {
        let Typed { name, url, .. } = &mut self;
        self.error = blame(refusal, &mut [(&["name"], name), (&["url"], url)]);
        self.shown(person, of, status_of(refusal)).await
    }
}

/// Asks for a new one.
pub(super) async fn new_form(person: Person) -> Answer {
    Typed::default()
        .shown(&person, Of::New, StatusCode::OK)
        .await
}

/// Makes one.
pub(super) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let typed = Typed::read(&fields);
    let (store, url) = (&person.app().store, &typed.url.value);
    let made = inventory::create_target(store, &person.actor, typed.called(), url, person.now);
    match correctable(made.await)? {
        Ok(target) => Ok(done(
            &person,
            HERE,
            &format!("The target “{}” is there to link APIs to.", target.name),
        )),
        Err(refusal) => typed.again(&person, Of::New, &refusal).await,
    }
}

/// Asks what to change.
pub(super) async fn edit_form(Path(id): Path<String>, person: Person) -> Answer {
    let id = parse(&id)?;
    let target = inventory::target(&person.app().store, &person.actor, &id)
        .await
        .map_err(refused)?;
    let typed = Typed {
        name: Field::new(target.name),
        url: Field::new(target.url.to_string()),
        error: String::new(),
    };
    typed.shown(&person, Of::There(&id), StatusCode::OK).await
}

/// Changes one.
pub(super) async fn edit(Path(id): Path<String>, Posted { person, fields, .. }: Posted) -> Answer {
    let id = parse(&id)?;
    let typed = Typed::read(&fields);
    let (store, url) = (&person.app().store, &typed.url.value);
    let changed =
        inventory::edit_target(store, &person.actor, &id, typed.called(), url, person.now);
    match correctable(changed.await)? {
        Ok(_) => Ok(done(&person, HERE, "The target is changed.")),
        Err(refusal) => typed.again(&person, Of::There(&id), &refusal).await,
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
    let deleted = inventory::delete_target(store, &person.actor, &id, unlink, person.now).await;
    match correctable(deleted)? {
        Ok(()) => Ok(done(&person, HERE, "The target is deleted.")),
        Err(refusal) => {
            let error = blamed(&refusal).1;
            delete_view(&person, &id, error, status_of(&refusal)).await
        }
    }
}
