//! Sources that are added, changed and deleted.

use axum::extract::Path;
use http::StatusCode;
use serde_json::json;

use super::connection::token_page;
use super::{HERE, one, parse, row};
use crate::access::Permission;
use crate::sources::{self, Edit, Kind, New};
use crate::web::answer::{Answer, correctable, done, page, page_with, refused, status_of, told};
use crate::web::pages::form::blame;
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::Field;
use crate::web::views::sources::{DeleteSource, EditSource, KindCard, NewSource, SourceRow};

/// Asks what to add.
pub(in crate::web::pages) async fn new_form(person: Person) -> Answer {
    person
        .actor
        .may(Permission::ManageSources)
        .map_err(refused)?;
    new_view(
        &person,
        Kind::TrafficAnalyzer,
        (Field::default(), Field::default()),
        true,
        String::new(),
        StatusCode::OK,
    )
    .await
}

async fn new_view(
    person: &Person,
    chosen: Kind,
    (name, url): (Field, Field),
    exclude_empty: bool,
    error: String,
    status: StatusCode,
) -> Answer {
    let card = |kind: Kind, icon, text| KindCard {
        value: kind.name(),
        icon,
        title: kind.title(),
        text,
        chosen: kind == chosen,
    };
    let view = NewSource {
        shell: person.shell(HERE).await?,
        kinds: vec![
            card(
                Kind::TrafficAnalyzer,
                "traffic",
                "A collector reconstructs APIs from the traffic of NGINX, Kong, Envoy, Istio, Cloudflare or F5.",
            ),
            card(
                Kind::Upload,
                "upload",
                "OpenAPI 3 or Swagger 2 documents, as files or pasted.",
            ),
            card(
                Kind::Url,
                "globe",
                "A document that is fetched from a URL, again with each sync.",
            ),
        ],
        name,
        url,
        show_url: true,
        exclude_empty,
        error,
    };
    Ok(page_with(status, &view))
}

/// Adds one. A traffic analyzer's page shows its first token.
pub(in crate::web::pages) async fn create(Posted { person, fields, .. }: Posted) -> Answer {
    let kind = Kind::parse(fields.get("kind")).unwrap_or(Kind::TrafficAnalyzer);
    let mut name = Field::new(fields.get("name"));
    let mut url = Field::new(fields.get("url"));
    let exclude_empty = fields.has("exclude_empty");
    let settings = if kind == Kind::Url {
        json!({ "url": url.value.trim() })
    } else {
        json!({})
    };
    let new = New {
        name: &name.value,
        kind,
        settings,
        exclude_empty,
        auto_sync: true,
    };
    let store = &person.app().store;
    let id = match correctable(sources::create(store, &person.actor, new, person.now).await)? {
        Ok(id) => id,
        Err(refusal) => {
            let error = blame(
                &refusal,
                &mut [
                    (&["name"], &mut name),
                    (&["url", "settings.url", "settings"], &mut url),
                ],
            );
            let status = status_of(&refusal);
            return new_view(&person, kind, (name, url), exclude_empty, error, status).await;
        }
    };
    match kind {
        Kind::TrafficAnalyzer => token_page(&person, &id).await,
        Kind::Upload => Ok(done(
            &person,
            &format!("{HERE}/{id}"),
            "The source is there; add its first document below.",
        )),
        Kind::Url => {
            let asked = sources::sync(store, &person.actor, &id, person.now).await;
            told(
                &person,
                &format!("{HERE}/{id}"),
                asked.map(|_| ()),
                "The source is there, and its document is being fetched.",
            )
        }
    }
}

/// Asks what to change.
pub(in crate::web::pages) async fn edit_form(Path(id): Path<String>, person: Person) -> Answer {
    person
        .actor
        .may(Permission::ManageSources)
        .map_err(refused)?;
    let source = row(one(&person, &parse(&id)?).await?, person.now);
    let (name, url) = (
        Field::new(source.name.as_str()),
        Field::new(source.url.as_str()),
    );
    edit_view(&person, source, (name, url), String::new(), StatusCode::OK).await
}

async fn edit_view(
    person: &Person,
    source: SourceRow,
    (name, url): (Field, Field),
    error: String,
    status: StatusCode,
) -> Answer {
    let of_url = source.kind == Kind::Url.title();
    let view = EditSource {
        shell: person.shell(HERE).await?,
        exclude_empty: source.exclude_empty,
        source,
        name,
        url: of_url.then_some(url),
        error,
    };
    Ok(page_with(status, &view))
}

/// Changes one.
pub(in crate::web::pages) async fn edit(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let before = one(&person, &id).await?;
    let mut name = Field::new(fields.get("name"));
    let mut url = Field::new(fields.get("url"));
    let change = Edit {
        name: Some(&name.value),
        settings: (before.kind == Kind::Url).then(|| json!({ "url": url.value.trim() })),
        exclude_empty: Some(fields.has("exclude_empty")),
        auto_sync: (before.kind != Kind::Upload).then(|| fields.has("auto_sync")),
    };
    let changed = sources::edit(&person.app().store, &person.actor, &id, change, person.now);
    match correctable(changed.await)? {
        Ok(()) => Ok(done(
            &person,
            &format!("{HERE}/{id}"),
            "The source is changed.",
        )),
        Err(refusal) => {
            let error = blame(
                &refusal,
                &mut [
                    (&["name"], &mut name),
                    (&["url", "settings.url", "settings"], &mut url),
                ],
            );
            let status = status_of(&refusal);
            edit_view(&person, row(before, person.now), (name, url), error, status).await
        }
    }
}

/// Asks first.
pub(in crate::web::pages) async fn delete_form(Path(id): Path<String>, person: Person) -> Answer {
    person
        .actor
        .may(Permission::ManageSources)
        .map_err(refused)?;
    let source = one(&person, &parse(&id)?).await?;
    let view = DeleteSource {
        shell: person.shell(HERE).await?,
        source: row(source, person.now),
    };
    Ok(page(&view))
}

/// Deletes one; what it found stays.
pub(in crate::web::pages) async fn delete(
    Path(id): Path<String>,
    Posted { person, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let outcome = sources::delete(&person.app().store, &person.actor, &id, person.now).await;
    told(
        &person,
        HERE,
        outcome,
        "The source is deleted; the APIs it found stay.",
    )
}
