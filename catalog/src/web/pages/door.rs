//! Signing in and out, and what belongs to the frame: appearance, and which organisation one is in.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::super::answer::{
    Answer, go, own_path, page_with, redirect, refused, sentence, status_of,
};
use super::super::person::{self, Person};
use super::super::posted::{self, Posted};
use super::super::views::door::SignIn;
use super::super::{Web, cookie, origin};
use crate::access::door::Attempt;
use crate::ids::OrganisationId;
use crate::{Millis, Refusal, random};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The form, or on to where one wanted.
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    person: Option<Person>,
) -> Answer {
    let next = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "next")
        .map_or_else(|| "/".to_owned(), |(_, value)| own_path(&value, "/"));
    if person.is_some() {
        return Ok(redirect(&next));
    }
    Ok(form(
        &web,
        &headers,
        StatusCode::OK,
        next,
        String::new(),
        String::new(),
    ))
}

/// The form with a token of its own in a cookie: nobody else’s page can sign a browser in.
fn form(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    next: String,
    email: String,
    error: String,
) -> Response {
    let https = web.https();
    let kept = cookie::get(headers, cookie::DOOR, https).filter(|token| token.len() == 43);
    let fresh = kept.is_none();
    let csrf = kept.unwrap_or_else(|| random::secret(""));
    let view = SignIn {
        theme: person::theme(headers, https),
        csrf: csrf.clone(),
        next,
        email,
        error,
    };
    let mut response = page_with(status, &view);
    if fresh {
        response
            .headers_mut()
            .append(SET_COOKIE, cookie::set(cookie::DOOR, &csrf, None, https));
    }
    response
}

/// Takes address and password.
pub(super) async fn sign_in(State(web): State<Arc<Web>>, request: Request) -> Answer {
    let https = web.https();
    let (parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    let address = person::address(&parts, &web);
    if !origin::is_own(&headers, web.public.as_ref()) {
        return Err(posted::forged());
    }
    let fields = posted::fields(&web.app.bodies, Request::from_parts(parts, body)).await?;
    let next = own_path(fields.get("next"), "/");
    let email: String = fields.get("email").chars().take(254).collect();
    let kept = cookie::get(&headers, cookie::DOOR, https).unwrap_or_default();
    if !posted::same(fields.get("csrf"), &kept) {
        let error = "The form was old, or the browser keeps no cookies. Try again.".to_owned();
        return Ok(form(
            &web,
            &headers,
            StatusCode::FORBIDDEN,
            next,
            email,
            error,
        ));
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let attempt = Attempt {
        email: &email,
        password: fields.get("password"),
        address: &address,
        agent,
    };
    let app = &web.app;
    match app.door.sign_in(&app.store, attempt, Millis::now()).await {
        Ok(signed_in) => {
            let mut response = redirect(&next);
            let headers = response.headers_mut();
            headers.append(
                SET_COOKIE,
                cookie::set(cookie::SESSION, &signed_in.secret, None, https),
            );
            headers.append(SET_COOKIE, cookie::forget(cookie::DOOR, https));
            Ok(response)
        }
        Err(refusal @ (Refusal::Unauthenticated(_) | Refusal::TooMany { .. })) => {
            let mut response = form(
                &web,
                &headers,
                status_of(&refusal),
                next,
                email,
                sentence(&refusal.to_string()),
            );
            if let Refusal::TooMany { seconds } = refusal {
                response
                    .headers_mut()
                    .insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
        Err(other) => Err(refused(other)),
    }
}

/// Ends the session.
pub(super) async fn sign_out(Posted { person, .. }: Posted) -> Answer {
    let app = person.app();
    app.door
        .sign_out(&app.store, &person.actor, &person.secret, person.now)
        .await
        .map_err(refused)?;
    Ok(signed_out(&person))
}

/// The way to the sign-in page, without cookies and without anything the browser kept.
pub(super) fn signed_out(person: &Person) -> Response {
    let mut response = redirect("/sign-in");
    let headers = response.headers_mut();
    for name in [cookie::SESSION, cookie::FLASH] {
        headers.append(SET_COOKIE, cookie::forget(name, person.https));
    }
    headers.insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    response.into_response()
}

/// Light, dark, or as the system has it.
pub(super) async fn theme(Posted { person, fields, .. }: Posted) -> Answer {
    let mut response = go(&person, &own_path(fields.get("back"), "/"));
    let value = match fields.get("theme") {
        "light" => cookie::set(cookie::THEME, "light", Some(YEAR), person.https),
        "dark" => cookie::set(cookie::THEME, "dark", Some(YEAR), person.https),
        _ => cookie::forget(cookie::THEME, person.https),
    };
    response.headers_mut().append(SET_COOKIE, value);
    Ok(response)
}

/// Into another organisation of the person's.
pub(super) async fn organisation(Posted { person, fields, .. }: Posted) -> Answer {
    let given = fields.get("organisation");
    let id = OrganisationId::parse(given)
        .map_err(|_| refused(Refusal::not_found("organisation", given)))?;
    let app = person.app();
    app.door
        .switch_organisation(&app.store, &person.actor, &person.secret, &id, person.now)
        .await
        .map_err(refused)?;
    Ok(redirect("/"))
}
