//! Answers of handlers: a page, a way on, or why not.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};

use super::cookie;
use super::person::Person;
use crate::Refusal;

/// Why there is no page. The envelope makes an error page of it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) detail: String,
    pub(super) retry_after: Option<u64>,
    /// For the log alone.
    pub(super) inside: Option<String>,
}

/// What a handler gives.
pub(super) type Answer = Result<Response, Response>;

impl Fault {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Fault {
        Fault {
            status,
            title,
            detail: detail.into(),
            retry_after: None,
            inside: None,
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The status of a refusal on a page.
pub(super) fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden { .. } | Refusal::Denied(_) => StatusCode::FORBIDDEN,
        Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
        Refusal::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Conflict { .. } => StatusCode::CONFLICT,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let status = status_of(&refusal);
        let title = match status {
            StatusCode::UNAUTHORIZED => "Not signed in",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::CONFLICT => "Something stands in the way",
            StatusCode::PAYLOAD_TOO_LARGE => "Too large",
            StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
            StatusCode::SERVICE_UNAVAILABLE => "Too much at once",
            StatusCode::INTERNAL_SERVER_ERROR => "Something went wrong here",
            _ => "Not understood",
        };
        let retry_after = match &refusal {
            Refusal::TooMany { seconds } | Refusal::Busy { seconds } => Some(*seconds),
            _ => None,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return Fault {
                status,
                title,
                detail: "The catalog could not do this. Its log says why, under the correlation id below.".to_owned(),
                retry_after,
                inside: Some(refusal.to_string()),
            };
        }
        Fault {
            status,
            title,
            detail: sentence(&refusal.to_string()),
            retry_after,
            inside: None,
        }
    }
}

/// With a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => return String::new(),
    };
    if !out.ends_with(['.', '!', '?', ')']) {
        out.push('.');
    }
    out
}

/// The field a refusal blames, and the sentence beside it.
pub(super) fn blamed(refusal: &Refusal) -> (&'static str, String) {
    match refusal {
        Refusal::Invalid { field, message } => (field, sentence(message)),
        Refusal::Conflict { field, message, .. } => (field, sentence(message)),
        other => ("", sentence(&other.to_string())),
    }
}

/// Whether a form can be shown again with it: something of what was sent has to change.
fn is_correctable(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Invalid { .. }
            | Refusal::Conflict { .. }
            | Refusal::Denied(_)
            | Refusal::TooLarge { .. }
            | Refusal::TooMany { .. }
    )
}

/// What was done, or what has to change in the form for it; any other refusal ends the handler.
pub(super) fn correctable<T>(outcome: Result<T, Refusal>) -> Result<Result<T, Refusal>, Response> {
    match outcome {
        Err(refusal) if !is_correctable(&refusal) => Err(refused(refusal)),
        other => Ok(other),
    }
}

/// Ends a handler with a refusal: `.map_err(refused)?`.
pub(super) fn refused(refusal: Refusal) -> Response {
    Fault::from(refusal).into_response()
}

/// There is no such thing: for ids that are none.
pub(super) fn no_such(what: &'static str, id: &str) -> Response {
    refused(Refusal::not_found(what, id))
}

/// A page.
pub(super) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// A page with a status.
pub(super) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => refused(Refusal::Internal(format!("a template: {error}"))),
    }
}

/// On to another page, after something was done. Scripts are told to go there, browsers go.
pub(super) fn go(person: &Person, to: &str) -> Response {
    let mut response = if person.htmx {
        let mut response = StatusCode::OK.into_response();
        insert(&mut response, HeaderName::from_static("hx-redirect"), to);
        response
    } else {
        redirect(to)
    };
    // Whatever came before, the next page is asked for anew.
    response.headers_mut().insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    response
}

/// 303 See Other (RFC 9110, 15.4.4).
pub(super) fn redirect(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    insert(&mut response, LOCATION, to);
    response
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(name, value);
}

/// As [`go`], with a message on the next page.
pub(super) fn done(person: &Person, to: &str, text: &str) -> Response {
    tell(person, to, "good", text)
}

/// As [`done`], for what did not work.
pub(super) fn failed(person: &Person, to: &str, text: &str) -> Response {
    tell(person, to, "bad", text)
}

/// On to `to`, with what was done or why not.
pub(super) fn told(person: &Person, to: &str, outcome: Result<(), Refusal>, text: &str) -> Answer {
    Ok(match correctable(outcome)? {
        Ok(()) => done(person, to, text),
        Err(refusal) => failed(person, to, &sentence(&refusal.to_string())),
    })
}

fn tell(person: &Person, to: &str, tone: &str, text: &str) -> Response {
    let mut response = go(person, to);
    let short: String = text.chars().take(600).collect();
    let value: String = form_urlencoded::byte_serialize(short.as_bytes()).collect();
    response.headers_mut().append(
        SET_COOKIE,
        cookie::set(
            cookie::FLASH,
            &format!("{tone}.{value}"),
            Some(std::time::Duration::from_secs(60)),
            person.https,
        ),
    );
    response
}

/// An address of ours to go to, from outside: a path that cannot lead elsewhere. Anything else leads to `otherwise`.
pub(super) fn own_path(given: &str, otherwise: &str) -> String {
    let fine = given.starts_with('/')
        && !given.starts_with("//")
        && !given.contains('\\')
        && given.len() <= 2_000
        && given.bytes().all(|byte| (0x21..0x7f).contains(&byte))
        // What a browser would make of it has to be of the same origin.
        && url::Url::parse("http://own.invalid/")
            .and_then(|base| base.join(given))
            .is_ok_and(|url| url.host_str() == Some("own.invalid") && url.scheme() == "http");
    if fine {
        given.to_owned()
    } else {
        otherwise.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_gone_to() {
        for fine in ["/", "/discovery?q=a&sort=-name", "/apis/1#x"] {
            assert_eq!(own_path(fine, "/other"), fine);
        }
        for evil in [
            "",
            "discovery",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/%0d%0aSet-Cookie:x\r\n",
            "javascript:alert(1)",
            "/ü",
        ] {
            assert_eq!(own_path(evil, "/other"), "/other", "{evil}");
        }
    }

    #[test]
    fn sentences_begin_large_and_end() {
        assert_eq!(sentence("it is empty"), "It is empty.");
        assert_eq!(sentence(""), "");
    }
}
