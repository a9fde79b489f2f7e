//! Swagger UI with all definitions in its drop-down.
//!
//! In: paths below `/swagger/`. Out: the vendored files of Swagger UI, and a page of our own around them. Nothing is fetched from
//! anywhere else, and the policy (CSP) would not allow it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use utoipa_swagger_ui::{Config, Url};

use super::definitions::DEFINITIONS;

/// The page. `favicon-32x32.png` and all others are files of Swagger UI.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>REST API · Silhouette</title>
<link rel="stylesheet" href="swagger-ui.css">
<link rel="stylesheet" href="index.css">
<link rel="icon" type="image/png" href="favicon-32x32.png" sizes="32x32">
</head>
<body>
<div id="swagger-ui"></div>
<script src="swagger-ui-bundle.js" charset="utf-8"></script>
<script src="swagger-ui-standalone-preset.js" charset="utf-8"></script>
<script src="swagger-initializer.js" charset="utf-8"></script>
</body>
</html>
"#;

/// Swagger UI sets styles on elements and draws its icons from `data:` URLs; its logo brings one style sheet, which is named here by
/// its hash. It needs nothing else that is not a file of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let urls = DEFINITIONS.map(|definition| Url::new(definition.title, definition.url));
    let config = Config::new(urls)
        .display_request_duration(true)
        .filter(true)
        .validator_url("none");
    let config = Arc::new(config);
    Router::new()
        .route(
            "/swagger",
            get(|| async { Redirect::permanent("swagger/") }),
        )
        .route(
            "/swagger/",
            get(|| async { file_of("text/html; charset=utf-8", PAGE.as_bytes().to_vec()) }),
        )
        .route(
            "/swagger/{file}",
            get(move |Path(name): Path<String>| async move { file(&name, config) }),
        )
}

fn file(name: &str, config: Arc<Config<'static>>) -> Response {
    if name == "index.html" {
        return file_of("text/html; charset=utf-8", PAGE.as_bytes().to_vec());
    }
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) => file_of(&file.content_type, file.bytes.into_owned()),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn file_of(kind: &str, bytes: Vec<u8>) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    for (name, value) in [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
