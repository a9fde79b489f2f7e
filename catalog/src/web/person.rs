//! Who looks at a page: the session behind the cookie.
//!
//! In: a request. Out: a [`Person`], or the way to the sign-in page. The session is looked up anew for each request: who is deactivated is out
//! at once.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::answer::{Fault, redirect, refused};
use super::envelope::Correlation;
use super::views::Choice;
use super::views::shell::{Flash, PlaceLink, Shell};
use super::{Web, cookie};
use crate::access::door::Session;
use crate::access::{Actor, Permission, organisations};
use crate::app::App;
use crate::{Millis, Refusal, inventory};

/// Somebody who is signed in.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) web: Arc<Web>,
    pub(super) actor: Actor,
    pub(super) session: Session,
    /// The cookie's.
    pub(super) secret: String,
    pub(super) now: Millis,
    /// Whether a script asks, which takes a part of the page.
    pub(super) htmx: bool,
    pub(super) https: bool,
    theme: &'static str,
    flash: Option<Flash>,
    /// Path and query of the request.
    here: String,
}

impl Person {
    pub(super) fn app(&self) -> &App {
        &self.web.app
    }

    pub(super) fn may(&self, permission: Permission) -> bool {
        self.actor.permissions.has(permission)
    }

    /// The frame of a page in `area`, the address of one of the places.
    pub(super) async fn shell(&self, area: &'static str) -> Result<Shell, Response> {
        let store = &self.app().store;
        let all = organisations::of_user(store, &self.session.user)
            .await
            .map_err(refused)?;
        let own = self.actor.organisation.as_str();
        let organisation = all
            .iter()
            .find(|one| one.id == self.actor.organisation)
            .map_or_else(String::new, |one| one.name.clone());
        // Parts of pages are shown without the frame.
        let waiting = if self.may(Permission::ViewApis) && !self.htmx {
            inventory::waiting(store, &self.actor)
                .await
                .map_err(refused)?
        } else {
            0
        };
        Ok(Shell {
            places: self.places(area, waiting),
            user: self.session.name.clone(),
            role: self.actor.role.clone(),
            organisation,
            organisations: all
                .iter()
                .map(|one| Choice::new(one.id.as_str(), one.name.as_str(), own))
                .collect(),
            theme: self.theme,
            csrf: self.session.csrf.clone(),
            here: self.here.clone(),
            flash: self.flash.clone(),
        })
    }

    /// The menu; `waiting`: APIs in discovery.
    fn places(&self, area: &'static str, waiting: u64) -> Vec<PlaceLink> {
        use Permission as P;
        let all = [
            ("/", "overview", "Overview", Some(P::ViewApis), false),
            (
                "/sources",
                "sources",
                "API sources",
                Some(P::ViewSources),
                false,
            ),
            (
                "/discovery",
                "discovery",
                "API discovery",
                Some(P::ViewApis),
                false,
            ),
            (
                "/catalog",
                "catalog",
                "API catalog",
                Some(P::ViewApis),
                false,
            ),
            ("/targets", "targets", "Targets", Some(P::ViewApis), false),
            ("/scans", "scans", "Scans", Some(P::ViewApis), false),
            ("/audit", "audit", "Audit log", Some(P::ViewAudit), true),
            ("/settings", "settings", "Settings", None, true),
            ("/swagger/", "book", "REST API", None, false),
        ];
        let mut ruled = false;
        all.into_iter()
            .filter(|(_, _, _, needed, _)| needed.is_none_or(|needed| self.may(needed)))
            .map(|(href, icon, name, _, rule)| {
                let first = rule && !ruled;
                ruled |= rule;
                PlaceLink {
                    href,
                    icon,
                    name,
                    here: href == area,
                    count: if href == "/discovery" { waiting } else { 0 },
                    rule: first,
                }
            })
            .collect()
    }
}

/// Light or dark, as the person chose; empty for the system's.
pub(super) fn theme(headers: &HeaderMap, https: bool) -> &'static str {
    match cookie::get(headers, cookie::THEME, https).as_deref() {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

/// The peer's address, behind trusted proxies the client's.
pub(super) fn address(parts: &Parts, web: &Web) -> String {
    parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(String::new, |peer| {
            web.app.address(peer.0, &parts.headers).to_string()
        })
}

/// The correlation id of a request.
pub(super) fn correlation(parts: &Parts) -> String {
    parts
        .extensions
        .get::<Correlation>()
        .map_or_else(String::new, |correlation| correlation.0.clone())
}

fn flash(headers: &HeaderMap, https: bool) -> Option<Flash> {
    let value = cookie::get(headers, cookie::FLASH, https)?;
    let (tone, text) = value.split_once('.')?;
    let tone = match tone {
        "good" => "good",
        "bad" => "bad",
        _ => return None,
    };
    let text = form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(text, _)| text.into_owned())?;
    Some(Flash { tone, text })
}

/// Who is signed in, if anybody.
async fn look(parts: &Parts, web: &Arc<Web>) -> Result<Person, Refusal> {
    let https = web.https();
    let secret = cookie::get(&parts.headers, cookie::SESSION, https)
        .ok_or_else(|| Refusal::Unauthenticated("nobody is signed in".to_owned()))?;
    let now = Millis::now();
    let (actor, session) = web
        .app
        .door
        .actor_of_session(
            &web.app.store,
            &secret,
            &correlation(parts),
            &address(parts, web),
            now,
        )
        .await?;
    Ok(Person {
        web: Arc::clone(web),
        actor,
        session,
        secret,
        now,
        htmx: parts.headers.contains_key("hx-request"),
        https,
        theme: theme(&parts.headers, https),
        flash: flash(&parts.headers, https),
        here: parts
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
            .to_owned(),
    })
}

impl FromRequestParts<Arc<Web>> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Person, Response> {
        let person = match look(parts, web).await {
            Ok(person) => person,
            Err(Refusal::Unauthenticated(_)) => return Err(to_sign_in(parts)),
            Err(other) => return Err(refused(other)),
        };
        let path = parts.uri.path();
        let allowed = path == "/settings"
            || path == "/settings/password"
            || path == "/sign-out"
            || path == "/theme";
        if person.session.must_change_password && !allowed {
            return Err(redirect("/settings"));
        }
        Ok(person)
    }
}

impl OptionalFromRequestParts<Arc<Web>> for Person {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        web: &Arc<Web>,
    ) -> Result<Option<Person>, Response> {
        match look(parts, web).await {
            Ok(person) => Ok(Some(person)),
            Err(Refusal::Unauthenticated(_)) => Ok(None),
            Err(other) => Err(refused(other)),
        }
    }
}

/// Pages lead to the sign-in page and back; what is sent by a script or a form is not repeated by itself.
fn to_sign_in(parts: &Parts) -> Response {
    if parts.headers.contains_key("hx-request") {
        return Fault::new(
            StatusCode::UNAUTHORIZED,
            "Not signed in",
            "The session has ended. Sign in again.",
        )
        .into_response();
    }
    if parts.method != Method::GET {
        return redirect("/sign-in");
    }
    let here = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    if here == "/" {
        return redirect("/sign-in");
    }
    let next: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
    redirect(&format!("/sign-in?next={next}"))
}
