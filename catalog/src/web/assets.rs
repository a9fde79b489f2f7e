//! Files the browser gets as they are: the stylesheet, the scripts, the mark.
//!
//! In: a path of the form `/assets/<hash>/<file>`. Out: the file, to be kept for ever: other contents have another hash. Embedded in the
//! program; nothing is read from disk and nothing is fetched from elsewhere.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// Where a file is found: `/assets/5c1d…/catalog.css`.
pub(super) fn url(file: &str) -> String {
    let hash = Files::get(file).map_or_else(String::new, |found| hash(&found));
    format!("/assets/{hash}/{file}")
}

fn hash(file: &rust_embed::EmbeddedFile) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(16);
    for byte in file.metadata.sha256_hash().iter().take(8) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Answers with a file.
pub(super) async fn serve(Path((given, file)): Path<(String, String)>) -> Response {
    let Some(found) = Files::get(&file) else {
        return (StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let kind = match file.rsplit_once('.').map(|(_, kind)| kind) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    // A page of another version asks for another hash: it gets what there is, and does not keep it.
    let keep = if given == hash(&found) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = found.data.into_owned().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pages_ask_for_is_there() {
        for file in [
            "catalog.css",
            "catalog.js",
            "mark.svg",
            "vendor/htmx.min.js",
        ] {
            assert!(Files::get(file).is_some(), "{file}");
            assert!(url(file).starts_with("/assets/"), "{file}");
            assert!(!url(file).contains("//"), "{file}");
        }
    }
}
