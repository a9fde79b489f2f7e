//! Forms that were sent.
//!
//! In: a request that changes something. Out: who sent it and its fields, once it is sure that the form was one of ours: the request's origin
//! is ours, and it carries the session's token. Bodies are bounded.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts as _, Multipart, Request};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use subtle::ConstantTimeEq as _;

use super::answer::{Fault, refused};
use super::person::Person;
use super::{Web, origin};
use crate::Refusal;
use crate::bodies::{self, Bodies, BodyError, Room};

/// Bytes of a form without a file.
const FORM: usize = 512 * 1024;
/// Bytes of a form of somebody who is not signed in.
const STRANGERS_FORM: usize = 64 * 1024;
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

    /// As [`Fields::get`], taken out: it may be a whole document.
    pub(super) fn take(&mut self, name: &str) -> String {
        let found = self.0.iter_mut().find(|(there, _)| there == name);
        found.map_or_else(String::new, |(_, value)| std::mem::take(value))
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
    /// The memory they take, held until the handler is done: it leaves this where it is.
    _room: Option<Room>,
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
pub(super) async fn fields(bodies: &Bodies, request: Request) -> Result<Fields, Response> {
    Ok(Fields::parse(&body(bodies, request, STRANGERS_FORM).await?))
}

async fn body(bodies: &Bodies, request: Request, limit: usize) -> Result<Bytes, Response> {
    let (bytes, _room) = bodies.read(request, limit, 1).await.map_err(stopped)?;
    Ok(bytes)
}

fn stopped(error: BodyError) -> Response {
    match error {
        BodyError::TooLarge { limit } => too_large(limit as u64),
        BodyError::Busy(busy) => refused(busy.into()),
        BodyError::Slow => Fault::plain(StatusCode::REQUEST_TIMEOUT).into_response(),
        BodyError::Cut => unreadable(&error.to_string()),
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
        let (fields, file, room) = if multipart {
            several(request, web, header.is_some().then_some(()), &person).await?
        } else {
            let form = body(&web.app.bodies, request, FORM).await?;
            (Fields::parse(&form), None, None)
        };
        if header.is_none() && !same(fields.get("csrf"), &person.session.csrf) {
            return Err(forged());
        }
        Ok(Posted {
            person,
            fields,
            file,
            _room: room,
        })
    }
}

/// Fields, a file's name and contents, and the memory they take.
type Sent = (Fields, Option<(String, Bytes)>, Option<Room>);

/// A form with a file. The token stands before the file, so that nothing large is read for a form that is not ours.
async fn several(
    request: Request,
    web: &Arc<Web>,
    mut sure: Option<()>,
    person: &Person,
) -> Result<Sent, Response> {
    let limit = web.document_bytes();
    let most =
        usize::try_from(limit.saturating_mul(2).saturating_add(BESIDE)).unwrap_or(usize::MAX);
    let let_in = web.app.bodies.let_in(request, most, 1).await;
    let (mut request, room) = let_in.map_err(stopped)?;
    // It is bounded already.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|error| unreadable(&error.body_text()))?;
    let mut fields = Fields::default();
    let mut file = None;
    let broken = |error: MultipartError| match bodies::stopped(&error) {
        Some(error) => stopped(error),
        None => unreadable(&error.body_text()),
    };
    while let Some(mut part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.file_name().map(str::to_owned);
        if name != "csrf" && sure.is_none() {
            return Err(forged());
        }
        let mut contents = Vec::new();
        while let Some(chunk) = part.chunk().await.map_err(broken)? {
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
                let value = text(contents);
                if name == "csrf" && same(&value, &person.session.csrf) {
                    sure = Some(());
                }
                fields.0.push((name, value));
            }
        }
    }
    Ok((fields, file, Some(room)))
}

/// Text without NUL; what is text already is not copied: it may be a whole document.
fn text(bytes: Vec<u8>) -> String {
    let mut text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    text.retain(|character| character != '\0');
    text
}
