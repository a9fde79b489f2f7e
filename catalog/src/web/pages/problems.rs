//! What each kind of refusal of the REST API means: where the `type` of a problem document leads to. For everybody, signed in or not.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::answer::{Answer, page};
use super::super::person::theme;
use super::super::views::door::{ProblemKind, ProblemKinds};
use crate::problems::{self, KINDS, Kind};

/// All kinds.
pub(super) async fn list(headers: HeaderMap) -> Answer {
    Ok(answer(
        &headers,
        KINDS,
        &Value::from_iter(KINDS.iter().map(json_of)),
    ))
}

/// One kind.
pub(super) async fn show(Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let Some(kind) = problems::named(&name) else {
        return Err(StatusCode::NOT_FOUND.into_response());
    };
    Ok(answer(&headers, std::slice::from_ref(kind), &json_of(kind)))
}

fn answer(headers: &HeaderMap, kinds: &[Kind], document: &Value) -> Response {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let mut response = if accepted.is_some_and(|accepted| accepted.contains("json")) {
        Json(document).into_response()
    } else {
        page(&ProblemKinds {
            theme: theme(headers, false),
            kinds: kinds.iter().map(view).collect(),
        })
    };
    response
        .headers_mut()
        .insert(VARY, http::HeaderValue::from_static("accept"));
    response
}

fn json_of(kind: &Kind) -> Value {
    json!({ "type": format!("/problems/{}", kind.name), "status": kind.status, "title": kind.title, "meaning": kind.meaning })
}

fn view(kind: &Kind) -> ProblemKind {
    ProblemKind {
        name: kind.name,
        status: kind.status,
        title: kind.title,
        // Every other piece stands between the marks of code.
        meaning: kind
            .meaning
            .split('`')
            .enumerate()
            .map(|(at, piece)| (at % 2 == 1, piece))
            .collect(),
    }
}
