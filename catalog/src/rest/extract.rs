//! What handlers take from a request: ids in the path, a page and filters in the query, JSON in the body.
//!
//! In: requests as they come. Out: values that are right in form. What is not becomes a problem document that names the
//! parameter or field; a path that cannot be the id of anything is not found.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::query::Pairs;
use crate::app::App;
use crate::bodies;
use crate::problems::{INVALID_PARAMETER, MALFORMED_BODY, NOT_FOUND, UNSUPPORTED_MEDIA_TYPE};
use crate::store::Page;

/// Bytes of a body, unless an operation takes documents.
pub(super) const MAX_BODY: usize = bodies::SMALL;

/// The variable segments of the path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(PathRejection::FailedToDeserializePathParams(rejection)) => {
                use axum::extract::path::ErrorKind;
                match rejection.kind() {
                    ErrorKind::InvalidUtf8InPathParam { key } => {
                        Err(Problem::parameter(key.clone(), "no UTF-8"))
                    }
                    kind => Err(Problem::new(
                        NOT_FOUND,
                        kind.to_string().chars().take(200).collect::<String>(),
                    )),
                }
            }
            Err(_) => Err(Problem::new(INVALID_PARAMETER, "the path cannot be read")),
        }
    }
}

/// The parameters of an operation that is no list.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Problem> {
        Pairs::parse(parts.uri.query())?.read().map(Query)
    }
}

/// Which page of a list, and its filters and order.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) page: Page,
    pub(super) filter: T,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for List<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<List<T>, Problem> {
        let mut pairs = Pairs::parse(parts.uri.query())?;
        let page = super::paging::page(&mut pairs)?;
        Ok(List {
            page,
            filter: pairs.read()?,
        })
    }
}

/// A JSON body.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Json<T>, Problem> {
        if !is_json(&request) {
            return Err(unsupported(&request, "application/json"));
        }
        let (bytes, _room) = app.bodies.read(request, MAX_BODY, 1).await?;
        read_json(&bytes).map(Json)
    }
}

/// The media type of a body, in lower case and without parameters.
pub(super) fn media_type(request: &Request) -> String {
    let value = request.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("").trim();
    kind.to_ascii_lowercase()
}

/// Whether it says that it is JSON.
pub(super) fn is_json(request: &Request) -> bool {
    let kind = media_type(request);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Another media type than is taken.
pub(super) fn unsupported(request: &Request, taken: &str) -> Problem {
    let kind: String = media_type(request).chars().take(80).collect();
    let message = if kind.is_empty() {
        format!("Content-Type is missing; {taken} is taken")
    } else {
        format!("Content-Type `{kind}` is not taken; {taken} is")
    };
    Problem::new(UNSUPPORTED_MEDIA_TYPE, message)
}

/// JSON as a type that knows each of its fields.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::new(
            MALFORMED_BODY,
            "the body is empty; JSON is expected",
        ));
    }
    if let Some(at) = nul(bytes) {
        return Err(Problem::new(
            MALFORMED_BODY,
            format!("byte {at}: the character NUL (\\u0000) is in no name and no text"),
        ));
    }
    // serde would take an array for the fields in order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::field("", "an array; a JSON object is expected"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        let place = format!("line {}, column {}", error.line(), error.column());
        if !error.is_data() {
            return Problem::new(MALFORMED_BODY, format!("no JSON: {error}"));
        }
        let text = error.to_string();
        let text = text
            .strip_suffix(&format!(" at {}", place.replace(',', "")))
            .unwrap_or(&text);
        let message: String = text.chars().take(400).collect();
        Problem::field(blamed(&path, &message), message)
    })?;
    reader
        .end()
        .map_err(|error| Problem::new(MALFORMED_BODY, format!("no JSON: {error}")))?;
    Ok(value)
}

/// The field to blame: serde says `missing field `name`` of the object it is missing from.
fn blamed(path: &str, message: &str) -> String {
    let path = if path == "." { "" } else { path };
    let inner = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    let whole = match inner {
        // An unknown field is in the path already.
        Some(inner) if path == inner || path.ends_with(&format!(".{inner}")) => path.to_owned(),
        Some(inner) if path.is_empty() => inner.to_owned(),
        Some(inner) => format!("{path}.{inner}"),
        None => path.to_owned(),
    };
    whole.chars().take(200).collect()
}

/// Where `\u0000` stands in a JSON text, or a NUL itself.
fn nul(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            0 => return Some(at),
            b'\\' => {
                if bytes.get(at + 1..at + 6) == Some(b"u0000") {
                    return Some(at);
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[allow(dead_code)]
    struct Link {
        api_ids: Vec<crate::ids::ApiId>,
        note: Option<String>,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        count: u32,
    }

    #[test]
    fn bodies_that_cannot_be_taken_are_refused_where_they_are_wrong() {
        let check = |body: &str, status: u16, field: Option<&str>, says: &str| {
            let problem = read_json::<Link>(body.as_bytes()).unwrap_err();
            let document = problem.into_document("c", false);
            assert_eq!(
                (document.status, document.field.as_deref()),
                (status, field),
                "{body:.200}: {:.200}",
                document.detail
            );
            assert!(
                document.detail.contains(says),
                "{body:.200}: {:.200}",
                document.detail
            );
        };
        check("", 400, None, "empty");
        check(" \n", 400, None, "empty");
        check("{", 400, None, "line 1 column 1");
        check(r#"{"apiIds":[]} x"#, 400, None, "trailing characters");
        check("[]", 422, None, "an array");
        check("\"x\"", 422, None, "invalid type: string");
        check("{}", 422, Some("apiIds"), "missing field");
        check(r#"{"apiIds":[],"x":1}"#, 422, Some("x"), "unknown field");
        check(
            r#"{"apiIds":[],"apiIds":[]}"#,
            422,
            Some("apiIds"),
            "duplicate field",
        );
        check(
            r#"{"apiIds":["1"]}"#,
            422,
            Some("apiIds[0]"),
            "`1` is no id",
        );
        check(r#"{"apiIds":null}"#, 422, Some("apiIds"), "null");
        check(
            r#"{"apiIds":[],"inner":{}}"#,
            422,
            Some("inner.count"),
            "missing",
        );
        check(
            r#"{"apiIds":[],"inner":{"count":-1}}"#,
            422,
            Some("inner.count"),
            "-1",
        );
        check(
            r#"{"apiIds":[],"inner":{"count":1,"y":2}}"#,
            422,
            Some("inner.y"),
            "unknown",
        );
        check(r#"{"apiIds":[],"note":"a\u0000b"}"#, 400, None, "NUL");
        check(r#"{"apiIds":[],"note":"\ud800"}"#, 400, None, "no JSON");
        check(&"[".repeat(100_000), 422, None, "an array");
        let deep = format!(r#"{{"note":{}"#, "[".repeat(100_000));
        check(&deep, 422, Some("note"), "invalid type");
        assert!(read_json::<Link>(b"{\"apiIds\":[],\"note\":\"\xff\"}").is_err());
        assert!(read_json::<Link>(br#"{"apiIds":[],"note":"\\u0000 is fine"}"#).is_ok());
    }
}
