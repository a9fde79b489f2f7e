//! A document of an API as text and as a file.

use axum::extract::Path;
use axum::response::IntoResponse as _;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::{head_of, revision_of};
use crate::inventory::{self, Format};
use crate::web::answer::{Answer, no_such, page, refused};
use crate::web::person::Person;
use crate::web::views::api::DocumentTab;

/// Characters of a document that its page shows.
const SHOWN: usize = 400_000;

/// A document as text, or as a file to keep: `document`, `document.json`, `document.yaml`.
pub(in crate::web::pages) async fn document(
    Path((id, revision, file)): Path<(String, String, String)>,
    person: Person,
) -> Answer {
    let store = &person.app().store;
    let (api, shell, head) = head_of(&person, &id, "/schema").await?;
    let revision = revision_of(&person, &api, &revision).await?;
    let text = |format| inventory::document_of(store, &person.actor, &revision.id, format);
    let (format, kind, end) = match file.as_str() {
        "document" => {
            let text = text(Format::Original).await.map_err(refused)?;
            let text = String::from_utf8_lossy(&text);
            let shown: String = text.chars().take(SHOWN).collect();
            let cut = if shown.len() < text.len() {
                "The document is long: this is its beginning. The whole of it can be downloaded."
                    .to_owned()
            } else {
                String::new()
            };
            let view = DocumentTab {
                shell,
                api: head,
                number: revision.number,
                href: format!("/apis/{}/revisions/{}/document", api.id, revision.id),
                text: shown,
                cut,
            };
            return Ok(page(&view));
        }
        "document.json" => (Format::Json, "application/json", "json"),
        "document.yaml" => (Format::Yaml, "application/yaml", "yaml"),
        other => return Err(no_such("document", other)),
    };
    let bytes = text(format).await.map_err(refused)?;
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // A file to keep, never a page to show: whatever is in it, it does nothing here.
    let name: String = api
        .base_url
        .host()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
                c
            } else {
                '-'
            }
        })
        .take(80)
        .collect();
    let disposition = format!("attachment; filename=\"{name}-{}.{end}\"", revision.number);
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment")),
    );
    Ok(response)
}
