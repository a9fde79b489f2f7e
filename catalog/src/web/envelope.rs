//! What every answer of the pages has around it: security headers, the correlation id, an error page where something went wrong.
//!
//! In: a request, and whatever a handler answered. Out: the answer, complete, and a line in the log.

use std::sync::Arc;
use std::time::Instant;

use askama::Template as _;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::answer::Fault;
use super::person::theme;
use super::views::door::ErrorPage;
use super::{Web, cookie};

/// Nothing but our own files; no inline script, no inline style, no frame around us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// By which a request is found in the log.
#[derive(Debug, Clone)]
pub(super) struct Correlation(pub(super) String);

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// Its own where it is printable and short, else a new one.
fn correlation(headers: &HeaderMap) -> String {
    headers
        .get(CORRELATION)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=128).contains(&text.len()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(
            || {
                let mut random = [0_u8; 16];
                crate::random::fill(&mut random);
                uuid::Builder::from_random_bytes(random)
                    .into_uuid()
                    .as_hyphenated()
                    .to_string()
            },
            str::to_owned,
        )
}

/// Around every request of the pages.
pub(super) async fn wrap(
    State(web): State<Arc<Web>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let correlation = correlation(request.headers());
    let theme = theme(request.headers(), web.https());
    request
        .extensions_mut()
        .insert(Correlation(correlation.clone()));
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(200).collect();
    // Scripts take parts of pages, in which the message of what was just done does not stand.
    let told = !request.headers().contains_key("hx-request")
        && cookie::get(request.headers(), cookie::FLASH, web.https()).is_some();
    let mut response = next.run(request).await;
    let fault = response
        .extensions_mut()
        .remove::<Fault>()
        .or_else(|| Fault::of(&response));
    let mut inside = None;
    if let Some(fault) = fault {
        inside.clone_from(&fault.inside);
        let allow = response.headers().get(http::header::ALLOW).cloned();
        let page = ErrorPage {
            theme,
            title: fault.title,
            detail: fault.detail,
            status: fault.status.as_u16(),
            correlation: correlation.clone(),
        };
        response = (
            fault.status,
            Html(page.render().unwrap_or_else(|_| "error".to_owned())),
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(allow) = allow {
            headers.insert(http::header::ALLOW, allow);
        }
        if fault.status == StatusCode::REQUEST_TIMEOUT {
            // RFC 9110, 15.5.9.
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = fault.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    let shown = told && inside.is_none() && is_page(&response);
    let headers = response.headers_mut();
    if shown {
        headers.append(SET_COOKIE, cookie::forget(cookie::FLASH, web.https()));
    }
    if let Ok(value) = HeaderValue::from_str(&correlation) {
        headers.insert(CORRELATION, value);
    }
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Our own addresses may be told to ourselves: without that browsers send forms with the origin `null`.
        (REFERRER_POLICY, "same-origin"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
        (HeaderName::from_static("x-frame-options"), "DENY"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    let status = response.status().as_u16();
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    match inside {
        Some(reason) => {
            tracing::error!(%method, path, status, micros, correlation, reason, "page failed inside");
        }
        None => tracing::info!(%method, path, status, micros, correlation, "page"),
    }
    response
}

/// Whether a whole page is answered, which shows what was just done.
fn is_page(response: &Response) -> bool {
    response.status().is_success()
        && response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

impl Fault {
    /// An answer without words: no such path, no such method, a body that cannot be read.
    fn of(response: &Response) -> Option<Fault> {
        let status = response.status();
        let wordless = response
            .headers()
            .get(CONTENT_TYPE)
            .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
        let failed = status.is_client_error() || status.is_server_error();
        (failed && wordless).then(|| Fault::plain(status))
    }

    pub(super) fn plain(status: StatusCode) -> Fault {
        let (title, detail) = match status {
            StatusCode::NOT_FOUND => ("Not found", "There is no such page."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("Not possible", "This address does not take such a request.")
            }
            StatusCode::REQUEST_TIMEOUT => (
                "It took too long",
                "What was sent did not come in time, or the answer was not made in time. Send it again.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("Too large", "What was sent is larger than is taken.")
            }
            _ => ("Not understood", "What was sent cannot be read."),
        };
        Fault {
            status,
            title,
            detail: detail.to_owned(),
            retry_after: None,
            inside: None,
        }
    }
}
