//! Forms that were sent.
//!
//! In: a request that changes something. Out: who sent it and its fields, once it is sure that the form was one of ours: the request's origin
//! is ours, and it carries the session's token. Bodies are bounded.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Multipart, Request};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use subtle::ConstantTimeEq as _;

use super::answer::{Fault, refused};
use super::person::Person;
use super::{Web, origin};
use crate::Refusal;

/// Bytes of a form without a file.
const FORM: usize = 512 * 1024;
/// Room for the other fields beside a file.
const BESIDE: u64 = 256 * 1024;

/// Fields by name, in order.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(body: &[u8]) -> Fields {
        Fields(
            form_urlencoded::parse(body)
                .take(2_000)
                .map(|(name, value)| (name.into_owned(), value.replace('\0', "")))
                .collect(),
        )
    }

    /// The first of the name, or empty.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(there, _)| there == name)
            .map_or("", |(_, value)| value)
    }

    /// All of the name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(there, _)| there == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }
}

/// A form of somebody who is signed in.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) person: Person,
    pub(super) fields: Fields,
    /// A file's name and contents, when one was sent.
    pub(super) file: Option<(String, Bytes)>,
}

/// What is said to a form that is not one of ours.
pub(super) fn forged() -> Response {
    Fault::new(
        StatusCode::FORBIDDEN,
        "Not from this page",
        "The form does not carry this session’s token: it is of another session or another site. Go back, reload the page, and send \
         it again.",
    )
    .into_response()
}

/// Whether two secrets are the same, in the same time whatever differs.
pub(super) fn same(given: &str, kept: &str) -> bool {
    !kept.is_empty() && bool::from(given.as_bytes().ct_eq(kept.as_bytes()))
}

/// The fields of a form that is not sent by somebody signed in.
pub(super) async fn fields(request: Request) -> Result<Fields, Response> {
    Ok(Fields::parse(&body(request, FORM).await?))
}

async fn body(request: Request, limit: usize) -> Result<Bytes, Response> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit as u64)),
        Err(error) => Err(unreadable(&error.to_string())),
    }
}

fn too_large(limit: u64) -> Response {
    refused(Refusal::TooLarge {
        what: "the form",
        size: limit + 1,
        limit,
    })
}

fn unreadable(why: &str) -> Response {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "Not understood",
        format!("The form cannot be read: {why}."),
    )
    .into_response()
}

impl FromRequest<Arc<Web>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Posted, Response> {
        let (mut parts, payload) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, web).await?;
        if !origin::is_own(&parts.headers, web.public.as_ref()) {
            return Err(forged());
        }
        let header = parts
            .headers
            .get("x-csrf-token")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        // A token in a header is checked before anything is read.
        if let Some(token) = &header
            && !same(token, &person.session.csrf)
        {
            return Err(forged());
        }
        let multipart = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
        let request = Request::from_parts(parts, payload);
        let (fields, file) = if multipart {
            several(request, web, header.is_some().then_some(()), &person).await?
        } else {
            (Fields::parse(&body(request, FORM).await?), None)
        };
        if header.is_none() && !same(fields.get("csrf"), &person.session.csrf) {
            return Err(forged());
        }
        Ok(Posted {
            person,
            fields,
            file,
        })
    }
}

/// A form with a file. The token stands before the file, so that nothing large is read for a form that is not ours.
async fn several(
    request: Request,
    web: &Arc<Web>,
    mut sure: Option<()>,
    person: &Person,
) -> Result<(Fields, Option<(String, Bytes)>), Response> {
    let limit = web.document_bytes();
    let (parts, payload) = request.into_parts();
    let most =
        usize::try_from(limit.saturating_mul(2).saturating_add(BESIDE)).unwrap_or(usize::MAX);
    let payload = axum::body::Body::new(Limited::new(payload, most));
    let request = Request::from_parts(parts, payload);
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| unreadable(&error.body_text()))?;
    let mut fields = Fields::default();
    let mut file = None;
    while let Some(mut part) = parts
        .next_field()
        .await
        .map_err(|error| unreadable(&error.body_text()))?
    {
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(str::to_owned);
        if name != "csrf" && sure.is_none() {
            return Err(forged());
        }
        let mut contents = Vec::new();
        while let Some(chunk) = part
            .chunk()
            .await
            .map_err(|error| unreadable(&error.body_text()))?
        {
            if (contents.len() + chunk.len()) as u64 > limit {
                return Err(too_large(limit));
            }
            contents.extend_from_slice(&chunk);
        }
        match filename {
            Some(filename) if !contents.is_empty() => {
                file = Some((filename, Bytes::from(contents)))
            }
            Some(_) => {}
            None => {
                if fields.0.len() >= 100 {
                    return Err(unreadable("it has too many fields"));
                }
                let value = String::from_utf8_lossy(&contents).replace('\0', "");
                if name == "csrf" && same(&value, &person.session.csrf) {
                    sure = Some(());
                }
                fields.0.push((name, value));
            }
        }
    }
    Ok((fields, file))
}
