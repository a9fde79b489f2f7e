//! What connects a source to what it brings: tokens, collectors, syncs.

use axum::extract::Path;
use http::StatusCode;

use super::source::view;
use super::{HERE, one, parse, row};
use crate::ids::{CollectorId, SourceId, TokenId};
use crate::sources::{self, Edit};
use crate::web::answer::{Answer, done, no_such, own_path, page, refused, told};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::When;
use crate::web::views::sources::{AutoSync, ImportForm, NewToken};

/// A new token: the page that answers shows it, and the command it is for, this once.
pub(in crate::web::pages) async fn token(
    Path(id): Path<String>,
    Posted { person, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    token_page(&person, &id).await
}

pub(super) async fn token_page(person: &Person, id: &SourceId) -> Answer {
    let app = person.app();
    let lifetime = app.config.token_lifetime;
    let made = sources::make_token(&app.store, &person.actor, id, lifetime, person.now)
        .await
        .map_err(refused)?;
    let token = NewToken {
        command: format!(
            "silhouette-collector register --catalog {} --token {}",
            app.public_url, made.secret
        ),
        secret: made.secret,
        expires: When::new(made.expires_at, person.now),
    };
    let source = one(person, id).await?;
    view(
        person,
        source,
        Some(token),
        ImportForm::default(),
        StatusCode::OK,
    )
    .await
}

/// Withdraws a token.
pub(in crate::web::pages) async fn revoke_token(
    Path((id, token)): Path<(String, String)>,
    Posted { person, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let token = TokenId::parse(&token).map_err(|_| no_such("token", &token))?;
    let store = &person.app().store;
    let outcome = sources::revoke_token(store, &person.actor, &id, &token, person.now).await;
    told(
        &person,
        &format!("{HERE}/{id}"),
        outcome,
        "The token is withdrawn.",
    )
}

/// Withdraws a collector's credential.
pub(in crate::web::pages) async fn revoke_collector(
    Path((id, collector)): Path<(String, String)>,
    Posted { person, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let collector = CollectorId::parse(&collector).map_err(|_| no_such("collector", &collector))?;
    let app = person.app();
    let outcome = sources::revoke_collector(
        &app.store,
        &person.actor,
        &id,
        &collector,
        app.config.offline_after,
        person.now,
    )
    .await;
    told(
        &person,
        &format!("{HERE}/{id}"),
        outcome,
        "The collector’s credential is withdrawn; it has to register again.",
    )
}

/// Asks for a sync.
pub(in crate::web::pages) async fn sync(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let back = own_path(fields.get("back"), &format!("{HERE}/{id}"));
    let asked = sources::sync(&person.app().store, &person.actor, &id, person.now).await;
    told(
        &person,
        &back,
        asked.map(|_| ()),
        "A sync is asked for; the status shows how it goes.",
    )
}

/// Whether it syncs by itself. A script gets the switch alone.
pub(in crate::web::pages) async fn auto_sync(
    Path(id): Path<String>,
    Posted { person, fields, .. }: Posted,
) -> Answer {
    let id = parse(&id)?;
    let on = fields.get("on") == "true";
    let edit = Edit {
        auto_sync: Some(on),
        ..Edit::default()
    };
    sources::edit(&person.app().store, &person.actor, &id, edit, person.now)
        .await
        .map_err(refused)?;
    if !person.htmx {
        let word = if on { "on" } else { "off" };
        return Ok(done(&person, HERE, &format!("Auto-sync is {word}.")));
    }
    let source = one(&person, &id).await?;
    let view = AutoSync {
        shell: person.shell(HERE).await?,
        source: row(source, person.now),
        manage: true,
    };
    Ok(page(&view))
}
