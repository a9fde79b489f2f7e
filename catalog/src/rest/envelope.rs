//! What every answer of the REST API has around it: the correlation id, headers, a problem document where something went wrong,
//! and a line in the log.
//!
//! In: a request, and whatever a handler answered. Out: the answer, complete. Also what no handler saw (no such path, no such
//! method) becomes a problem document here. It never answers in a handler's place.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::problem::Problem;

/// The header by which a caller finds its request in the log.
const CORRELATION: &str = "x-correlation-id";

/// Characters of a correlation id.
const MAX_CORRELATION: usize = 128;

/// What is known of a request beyond what it says.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// Sent with the request, or made for it.
    pub(super) correlation: String,
    /// Who made it, once that is known: for the log.
    pub(super) actor: Arc<OnceLock<String>>,
    callers: Callers,
}

/// Who calls a part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callers {
    /// Programs of people, with a key; now and then.
    Programs,
    /// Collectors, with a credential; all the time.
    Collectors,
}

impl Callers {
    fn of(path: &str) -> Callers {
        match path.strip_prefix("/collector") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Callers::Collectors,
            _ => Callers::Programs,
        }
    }

    /// What a caller has to show.
    fn challenge(self) -> &'static str {
        match self {
            Callers::Programs => "xAuth realm=\"Silhouette catalog\"",
            // RFC 6750, 3.
            Callers::Collectors => "Bearer realm=\"Silhouette catalog\"",
        }
    }
}

/// The correlation id of a request: its own where it is printable and of at most 128 characters, else a new one.
#[must_use]
pub fn correlation(headers: &HeaderMap) -> String {
    headers
        .get(CORRELATION)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=MAX_CORRELATION).contains(&text.len()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(made, str::to_owned)
}

fn made() -> String {
    let mut random = [0_u8; 16];
    crate::random::fill(&mut random);
    uuid::Builder::from_random_bytes(random)
        .into_uuid()
        .as_hyphenated()
        .to_string()
}

/// Around every request of the REST API and of collectors.
pub(super) async fn wrap(mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let context = Context {
        correlation: correlation(request.headers()),
        actor: Arc::default(),
        callers: Callers::of(request.uri().path()),
    };
    request.extensions_mut().insert(context.clone());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let path: String = request.uri().path().chars().take(200).collect();
    let mut response = next.run(request).await;
    let problem = response
        .extensions_mut()
        .remove::<Problem>()
        .or_else(|| wordless(&response));
    let mut inside = None;
    if let Some(problem) = problem {
        inside.clone_from(&problem.inside);
        response = written(problem, &context, &method, response.headers());
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&context.correlation) {
        headers.insert(HeaderName::from_static(CORRELATION), value);
    }
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    let status = response.status().as_u16();
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let actor = context.actor.get().map_or("", String::as_str);
    let route = route.as_deref().unwrap_or("");
    let correlation = context.correlation.as_str();
    match inside {
        Some(reason) => {
            tracing::error!(%method, path, route, status, micros, actor, correlation, reason, "request failed inside");
        }
        // They do so all the time; what is news is said where it happens.
        None if is_routine(&path) && status < 400 => {
            tracing::debug!(%method, path, route, status, micros, actor, correlation, "request");
        }
        None => {
            tracing::info!(%method, path, route, status, micros, actor, correlation, "request");
        }
    }
    response
}

/// What collectors send all the time: heartbeats, revisions, what was seen.
fn is_routine(path: &str) -> bool {
    path == "/collector/v1/heartbeats" || path.starts_with("/collector/v1/hosts/")
}

/// A problem for an answer that says nothing but a status.
fn wordless(response: &Response) -> Option<Problem> {
    let status = response.status();
    let has_words = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
    ((status.is_client_error() || status.is_server_error()) && !has_words)
        .then(|| Problem::of_status(status))
}

/// The problem as an answer; headers that belong to the status (`Allow`) stay.
fn written(problem: Problem, context: &Context, method: &Method, headers: &HeaderMap) -> Response {
    let retry_after = problem.retry_after;
    let bodiless = matches!(*method, Method::GET | Method::HEAD | Method::DELETE);
    let document = problem.into_document(&context.correlation, bodiless);
    let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = serde_json::to_vec(&document).unwrap_or_default();
    let mut response = (status, Body::from(text)).into_response();
    let out = response.headers_mut();
    if let Some(allow) = headers.get(http::header::ALLOW) {
        out.insert(http::header::ALLOW, allow.clone());
    }
    out.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(seconds) = retry_after {
        out.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, 15.5.2: a 401 says what would have been right.
        out.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static(context.callers.challenge()),
        );
    }
    if status == StatusCode::REQUEST_TIMEOUT {
        // RFC 9110, 15.5.9: what else comes on this connection would not be understood.
        out.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_show_a_bearer_token_and_others_a_key() {
        for (path, scheme) in [
            ("/collector/v1/heartbeats", "Bearer "),
            ("/collector", "Bearer "),
            ("/collectors", "xAuth "),
            ("/api/v1/apis", "xAuth "),
        ] {
            assert!(Callers::of(path).challenge().starts_with(scheme), "{path}");
        }
    }

    #[test]
    fn correlation_ids_are_echoed_when_they_are_printable_and_short() {
        let check = |sent: Option<&[u8]>, echoed: bool| {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(CORRELATION, HeaderValue::from_bytes(sent).unwrap());
            }
            let got = correlation(&headers);
            assert_eq!(sent == Some(got.as_bytes()), echoed, "{got}");
            assert!(!got.is_empty());
        };
        check(Some(b"a-1"), true);
        check(Some(&[b'x'; MAX_CORRELATION]), true);
        check(Some(&[b'x'; MAX_CORRELATION + 1]), false);
        check(Some(b""), false);
        check(Some(b"with space"), false);
        check(Some("ümlaut".as_bytes()), false);
        check(None, false);
    }
}
