//! One's own name, password and sessions.

use http::StatusCode;

use super::door::signed_out;
use super::form::blame;
use super::settings::tabs;
use crate::access::users;
use crate::web::answer::{Answer, correctable, done, page_with, refused, status_of};
use crate::web::person::Person;
use crate::web::posted::Posted;
use crate::web::views::settings::{PlaceRow, Profile};
use crate::web::views::{Field, When};

/// What was typed, with what is wrong with it.
#[derive(Debug, Default)]
struct Typed {
    name: Option<Field>,
    current: Field,
    new: Field,
    again: Field,
    error: String,
}

/// The page.
pub(super) async fn show(person: Person) -> Answer {
    view(&person, Typed::default(), StatusCode::OK).await
}

async fn view(person: &Person, typed: Typed, status: StatusCode) -> Answer {
    let app = person.app();
    let places = app
        .door
        .places(&app.store, &person.actor, &person.secret, person.now)
        .await
        .map_err(refused)?;
    let view = Profile {
        shell: person.shell("/settings").await?,
        tabs: tabs(person, "/settings"),
        error: typed.error,
        must_change: person.session.must_change_password,
        email: person.session.email.clone(),
        name: typed
            .name
            .unwrap_or_else(|| Field::new(person.session.name.as_str())),
        current: typed.current,
        new: typed.new,
        again: typed.again,
        places: places
            .into_iter()
            .map(|place| PlaceRow {
                agent: browser(&place.agent),
                address: place.address,
                since: When::new(place.created_at, person.now),
                used: When::new(place.seen_at, person.now),
                current: place.current,
            })
            .collect(),
    };
    Ok(page_with(status, &view))
}

/// `Firefox on Linux`, where that can be told, else what the browser says of itself.
fn browser(agent: &str) -> String {
    let find = |known: &[(&str, &'static str)]| {
        known
            .iter()
            .find(|(mark, _)| agent.contains(mark))
            .map(|(_, name)| *name)
    };
    let name = find(&[
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        _ if agent.is_empty() => "A browser that says nothing of itself".to_owned(),
        _ => agent.to_owned(),
    }
}

/// One's name.
pub(super) async fn name(Posted { person, fields, .. }: Posted) -> Answer {
    let mut name = Field::new(fields.get("name"));
    let store = &person.app().store;
    let renamed = users::rename_oneself(store, &person.actor, &name.value, person.now).await;
    match correctable(renamed)? {
        Ok(()) => Ok(done(&person, "/settings", "Your name is saved.")),
        Err(refusal) => {
            let error = blame(&refusal, &mut [(&["name"], &mut name)]);
            let typed = Typed {
                name: Some(name),
                error,
                ..Typed::default()
            };
            view(&person, typed, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

/// One's password.
pub(super) async fn password(Posted { person, fields, .. }: Posted) -> Answer {
    let mut typed = Typed::default();
    if fields.get("new") != fields.get("again") {
        typed.again.error = "This is not the same as above.".to_owned();
        return view(&person, typed, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let app = person.app();
    let changed = app
        .door
        .change_password(
            &app.store,
            &person.actor,
            &person.secret,
            fields.get("current"),
            fields.get("new"),
            person.now,
        )
        .await;
    match correctable(changed)? {
        Ok(()) => Ok(done(&person, "/settings", "Your password is changed.")),
        Err(refusal) => {
            let status = status_of(&refusal);
            let Typed { current, new, .. } = &mut typed;
            let error = blame(
                &refusal,
                &mut [(&["currentPassword"], current), (&["newPassword"], new)],
            );
            typed.error = error;
            view(&person, typed, status).await
        }
    }
}

/// Ends all sessions.
pub(super) async fn sign_out_everywhere(Posted { person, .. }: Posted) -> Answer {
    let app = person.app();
    app.door
        .sign_out_everywhere(&app.store, &person.actor, person.now)
        .await
        .map_err(refused)?;
    Ok(signed_out(&person))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_recognised() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(browser(firefox), "Firefox on Linux");
        assert_eq!(browser("curl/8"), "curl/8");
    }
}
