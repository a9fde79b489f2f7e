//! The REST API, and the documents that describe it.
//!
//! In: HTTP requests with a key. Out: calls of the core in the name of that key's user, and their results as JSON; refusals as
//! problem documents. It decides nothing: permissions, organisations and the audit log are the core's.
//!
//! Every route is an operation of exactly one of the four [`DEFINITIONS`], which are gathered from the handlers themselves. The
//! types here are what callers rely on; the core's may change without them.

mod caller;
mod collectors;
mod definitions;
mod envelope;
mod extract;
mod identity;
mod importers;
mod inventory;
mod keys;
mod paging;
mod problem;
mod query;
mod scans;
mod swagger;
mod values;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Extension};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router, middleware};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::serve::in_time;

pub use definitions::{DEFINITIONS, Definition};
pub use envelope::correlation;
pub use problem::{FieldError, Problem};

/// The REST API, its documents, and Swagger UI.
pub fn router(app: Arc<App>) -> Router {
    let mut routes = Router::new();
    for definition in &DEFINITIONS {
        let (operations, gathered) = operations(definition).split_for_parts();
        let text = definitions::document(definition, &gathered).to_string();
        let text: bytes::Bytes = text.into();
        let path = format!("/openapi/{}.json", definition.name);
        let document = get(move || async move {
            let headers = [
                (CONTENT_TYPE, "application/json"),
                (CACHE_CONTROL, "no-cache"),
            ];
            (headers, text)
        });
        routes = routes.merge(operations).route(&path, document);
    }
    routes
        .merge(swagger::router())
        .merge(collectors::router())
        .route("/collector/{*rest}", any(nothing))
        .route("/api", any(nothing))
        .route("/api/{*rest}", any(nothing))
        .layer(Extension(Arc::<keys::UnknownKeys>::default()))
        .layer(middleware::from_fn_with_state(app.clone(), in_time))
        .layer(middleware::from_fn(envelope::wrap))
        .with_state(app)
}

/// The documents, in the order of [`DEFINITIONS`].
#[must_use]
pub fn documents() -> Vec<(&'static str, serde_json::Value)> {
    let document = |definition: &Definition| {
        let gathered = operations(definition).into_openapi();
        (
            definition.name,
            definitions::document(definition, &gathered),
        )
    };
    DEFINITIONS.iter().map(document).collect()
}

fn operations(definition: &Definition) -> OpenApiRouter<Arc<App>> {
    match definition.name {
        "inventory" => inventory::router(),
        "importers" => importers::router(),
        "scans" => scans::router(),
        "identity" => identity::router(),
        _ => OpenApiRouter::new(),
    }
}

async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Something that was made, and where it can be found.
#[derive(Debug)]
struct Created<T> {
    location: String,
    body: T,
}

fn created<T>(location: String, body: T) -> Created<T> {
    Created { location, body }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, Json(self.body)).into_response();
        if let Ok(location) = HeaderValue::from_str(&self.location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// The peer's address, behind trusted proxies the client's.
fn address(app: &App, parts: &http::request::Parts) -> String {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or_else(String::new, |peer| {
        app.address(peer.0, &parts.headers).to_string()
    })
}
