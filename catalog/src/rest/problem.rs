//! What went wrong, as problem documents (RFC 9457).
//!
//! In: refusals of the core, and requests that cannot be read. Out: a status and a JSON document whose `type` is a stable
//! relative URI, with the field that is to blame. A handler's [`Problem`] travels in the response's extensions and is written by
//! [`super::envelope`], which knows the correlation id and the method. Never shows what went wrong inside: that is logged.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Refusal;
use crate::bodies::{BodyError, Busy};
use crate::problems::{
    self, BAD_REQUEST, BUSY, FORBIDDEN, INTERNAL, INVALID_FIELD, INVALID_PARAMETER, KINDS, Kind,
    MALFORMED_BODY, NOT_FOUND, TIMEOUT, TOO_LARGE, TOO_MANY_REQUESTS, UNAUTHENTICATED,
};

/// A problem on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(super) status: StatusCode,
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: Box<str>,
    pub(super) errors: Vec<FieldError>,
    pub(super) retry_after: Option<u64>,
    /// A field of which only the method tells whether it is one of the body or a parameter.
    pub(super) either: bool,
    /// What the log gets and nobody else.
    pub(super) inside: Option<Box<str>>,
    /// Members of this problem alone, such as `latest` of a conflict.
    pub(super) more: Box<serde_json::Map<String, serde_json::Value>>,
}

/// A field or parameter and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field as the caller wrote it: `name`, `pageSize`, `apiIds[3]`.
    #[schema(example = "name")]
    pub field: String,
    /// What is there and what would be right.
    #[schema(example = "empty; a name has 1 to 200 characters")]
    pub message: String,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// Which kind of problem, stable: a URI reference relative to the catalog.
    #[schema(format = "uri-reference", example = "/problems/invalid-field")]
    pub(super) r#type: String,
    /// The kind in words.
    #[schema(example = "A field cannot be taken")]
    pub(super) title: String,
    /// The status code.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    pub(super) status: u16,
    /// What is wrong in this very case, and what would be right.
    #[schema(example = "name: empty; a name has 1 to 200 characters")]
    pub detail: String,
    /// The field or parameter to blame, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "name")]
    pub field: Option<String>,
    /// All fields to blame.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
    /// The request's `X-Correlation-ID`, under which the log has it.
    #[schema(example = "0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b")]
    pub correlation_id: String,
    /// What this kind of problem says beyond that.
    #[serde(flatten)]
    #[schema(ignore)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// One of a kind.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem {
            status: StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            name: kind.name,
            title: kind.title,
            detail: detail.into().into(),
            errors: Vec::new(),
            retry_after: None,
            either: false,
            inside: None,
            more: Box::default(),
        }
    }

    /// A parameter of the query, the path or the head that cannot be taken.
    #[must_use]
    pub fn parameter(field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem::blaming(INVALID_PARAMETER, field, message)
    }

    /// A field of the body that cannot be taken.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem::blaming(INVALID_FIELD, field, message)
    }

    /// With a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// To be tried again then.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds);
        self
    }

    fn blaming(kind: Kind, field: impl Into<String>, message: impl Into<String>) -> Problem {
        let (field, message) = (field.into(), message.into());
        let detail = if field.is_empty() {
            message.clone()
        } else {
            format!("{field}: {message}")
        };
        let mut problem = Problem::new(kind, detail);
        if !field.is_empty() {
            problem.errors.push(FieldError { field, message });
        }
        problem
    }

    /// For a status that something below answered without a word.
    pub(super) fn of_status(status: StatusCode) -> Problem {
        let kind = KINDS.iter().find(|kind| kind.status == status.as_u16());
        match status {
            StatusCode::NOT_FOUND => Problem::new(NOT_FOUND, "there is nothing at this path"),
            StatusCode::REQUEST_TIMEOUT => Problem::new(
                TIMEOUT,
                "the body did not come, or the answer was not made, within the time for a request (the setting `request_timeout`)",
            ),
            _ => match kind {
                Some(kind) => Problem::new(*kind, kind.title),
                None if status.is_client_error() => Problem {
                    status,
                    ..Problem::new(BAD_REQUEST, status.canonical_reason().unwrap_or_default())
                },
                None => Problem::new(INTERNAL, INTERNAL.title),
            },
        }
    }

    /// The document. `bodiless`: the method has no body, so that what a caller wrote is a parameter.
    pub(super) fn into_document(mut self, correlation: &str, bodiless: bool) -> ProblemDocument {
        if self.either && bodiless {
            self.status = StatusCode::BAD_REQUEST;
            (self.name, self.title) = (INVALID_PARAMETER.name, INVALID_PARAMETER.title);
        }
        ProblemDocument {
            r#type: format!("/problems/{}", self.name),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.into(),
            field: self.errors.first().map(|error| error.field.clone()),
            errors: self.errors,
            correlation_id: correlation.to_owned(),
            more: *self.more,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let text = refusal.to_string();
        match refusal {
            Refusal::Unauthenticated(_) => Problem::new(UNAUTHENTICATED, text),
            Refusal::Forbidden { .. } | Refusal::Denied(_) => Problem::new(FORBIDDEN, text),
            Refusal::NotFound { .. } => Problem::new(NOT_FOUND, text),
            Refusal::Invalid { field, message } => Problem {
                either: true,
                ..Problem::field(field, message)
            },
            Refusal::Conflict {
                code,
                message,
                field,
                each,
            } => {
                let kind = problems::named(code).copied().unwrap_or(INTERNAL);
                let mut blamed = Problem::field(field, message.clone());
                blamed.errors.extend(
                    each.into_iter()
                        .map(|(field, message)| FieldError { field, message }),
                );
                Problem {
                    errors: blamed.errors,
                    ..Problem::new(kind, message)
                }
            }
            Refusal::TooLarge { .. } => Problem::new(TOO_LARGE, text),
            Refusal::TooMany { seconds } => {
                Problem::new(TOO_MANY_REQUESTS, text).retry_after(seconds)
            }
            Refusal::Busy { seconds } => Problem::new(BUSY, text).retry_after(seconds),
            Refusal::Internal(inside) => Problem {
                inside: Some(inside.into()),
                ..Problem::new(
                    INTERNAL,
                    "it is not your fault; the log has the reason under the correlation id",
                )
            },
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Problem {
        let text = error.to_string();
        match error {
            BodyError::TooLarge { .. } => Problem::new(TOO_LARGE, text),
            BodyError::Busy(Busy { seconds }) => Problem::new(BUSY, text).retry_after(seconds),
            BodyError::Slow => Problem::new(TIMEOUT, text),
            BodyError::Cut => Problem::new(MALFORMED_BODY, text),
        }
    }
}

impl IntoResponse for Problem {
    /// The status with nothing in it: [`super::envelope`] writes the document.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Permission;

    fn check(refusal: Refusal, bodiless: bool, expected: serde_json::Value) {
        let document = Problem::from(refusal).into_document("c1", bodiless);
        assert_eq!(serde_json::to_value(document).unwrap(), expected);
    }

    #[test]
    fn refusals_become_documents() {
        check(
            Refusal::invalid("name", "empty"),
            false,
            serde_json::json!({"type": "/problems/invalid-field", "title": "A field cannot be taken", "status": 422,
                "detail": "name: empty", "field": "name", "errors": [{"field": "name", "message": "empty"}], "correlationId": "c1"}),
        );
        check(
            Refusal::invalid("sort", "no"),
            true,
            serde_json::json!({"type": "/problems/invalid-parameter", "title": "A parameter cannot be taken", "status": 400,
                "detail": "sort: no", "field": "sort", "errors": [{"field": "sort", "message": "no"}], "correlationId": "c1"}),
        );
        check(
            Refusal::conflict(problems::NAME_TAKEN, "", "there is one"),
            false,
            serde_json::json!({"type": "/problems/name-taken", "title": "Something stands in the way", "status": 409,
                "detail": "there is one", "correlationId": "c1"}),
        );
    }

    #[test]
    fn each_refusal_has_its_status_and_the_inside_stays_inside() {
        let all = [
            (Refusal::Unauthenticated("no key".to_owned()), 401),
            (
                Refusal::Forbidden {
                    permission: Permission::ManageApis,
                    holder: "the role Security Analyst".to_owned(),
                },
                403,
            ),
            (Refusal::Denied("the last owner".to_owned()), 403),
            (Refusal::not_found("API", "x"), 404),
            (
                Refusal::TooLarge {
                    what: "the document",
                    size: 2,
                    limit: 1,
                },
                413,
            ),
            (Refusal::TooMany { seconds: 3 }, 429),
            (Refusal::Busy { seconds: 3 }, 503),
            (Refusal::Internal("password=hunter2".to_owned()), 500),
        ];
        for (refusal, status) in all {
            let shown = format!("{refusal:?}");
            let document = Problem::from(refusal).into_document("c1", false);
            assert_eq!(document.status, status, "{shown}");
            let text = serde_json::to_string(&document).unwrap();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
