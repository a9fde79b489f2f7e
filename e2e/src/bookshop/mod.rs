//! A bookshop: a small real API to try things on, with what real APIs have.
//!
//! Lists with pages, filters and sorting; ids of several kinds (ISBN, slug, integer, UUID); a constant beside a parameter
//! (`/books/bestsellers`); a login that gives a JWT, roles, errors as problem documents (RFC 9457), 201 with Location, 204,
//! 409, a file upload; and, as everywhere, a home page, assets and preflights that are no API.
//!
//! In: a listener and a signal to end. Out: responses. Everything is in memory and begins anew with each start.

mod answers;
mod auth;
mod catalogue;
mod orders;
mod shop;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::collector::{anonymous, operations_of};

use answers::Problem;
use shop::Shop;
pub(crate) use shop::isbn;

/// What the bookshop has, and so what a document of it must have: method and path template.
pub const OPERATIONS: &[(&str, &str)] = &[
    ("GET", "/api/v1/health"),
    ("POST", "/api/v1/auth/login"),
    ("GET", "/api/v1/me"),
    ("GET", "/api/v1/books"),
    ("POST", "/api/v1/books"),
    ("GET", "/api/v1/books/bestsellers"),
    ("GET", "/api/v1/books/{isbn}"),
    ("PUT", "/api/v1/books/{isbn}"),
    ("PATCH", "/api/v1/books/{isbn}"),
    ("DELETE", "/api/v1/books/{isbn}"),
    ("GET", "/api/v1/books/{isbn}/reviews"),
    ("POST", "/api/v1/books/{isbn}/reviews"),
    ("POST", "/api/v1/books/{isbn}/cover"),
    ("GET", "/api/v1/authors"),
    ("GET", "/api/v1/authors/{slug}"),
    ("GET", "/api/v1/search"),
    ("GET", "/api/v1/customers/{customerId}"),
    ("GET", "/api/v1/orders"),
    ("POST", "/api/v1/orders"),
    ("GET", "/api/v1/orders/{orderId}"),
    ("DELETE", "/api/v1/orders/{orderId}"),
];

/// The e-mail and password of a customer and of a member of staff who may change the catalogue.
pub const CUSTOMER: (&str, &str) = ("ada@example.com", "correct horse battery staple");
/// See [`CUSTOMER`].
pub const STAFF: (&str, &str) = ("grace@bookshop.example", "hunter2 but longer");

/// What a document says that is not so, and what it does not say: nothing when it has exactly the bookshop's operations.
/// Parameters are compared by position, not by name.
pub fn differences(document: &Value) -> Vec<String> {
    let expected: BTreeSet<String> = OPERATIONS
        .iter()
        .map(|(method, template)| format!("{method} {}", anonymous(template)))
        .collect();
    let found = operations_of(document);
    let missing = expected
        .difference(&found)
        .map(|operation| format!("missing:    {operation}"));
    let surplus = found
        .difference(&expected)
        .map(|operation| format!("unexpected: {operation}"));
    missing.chain(surplus).collect()
}

#[derive(Clone)]
struct App(Arc<Mutex<Shop>>);

impl App {
    fn shop(&self) -> MutexGuard<'_, Shop> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the bookshop until `shutdown` is ready.
///
/// # Errors
/// When the listener fails.
pub async fn run(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router())
        .with_graceful_shutdown(shutdown)
        .await
}

/// A bookshop on a free loopback port, on a thread of its own; closed when dropped.
#[derive(Debug)]
pub struct Bookshop {
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Bookshop {
    /// Opens it.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub fn start() -> std::io::Result<Bookshop> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(run(listener, std::future::pending()));
        Ok(Bookshop {
            address,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Bookshop {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn router() -> Router {
    let api = Router::new()
        .route("/health", get(orders::health))
        .route("/auth/login", post(auth::login))
        .route("/me", get(auth::me))
        .route("/books", get(catalogue::list).post(catalogue::create))
        .route("/books/bestsellers", get(catalogue::bestsellers))
        .route(
            "/books/{isbn}",
            get(catalogue::show)
                .put(catalogue::replace)
                .patch(catalogue::change)
                .delete(catalogue::remove),
        )
        .route(
            "/books/{isbn}/reviews",
            get(catalogue::reviews).post(catalogue::review),
        )
        .route("/books/{isbn}/cover", post(catalogue::cover))
        .route("/authors", get(catalogue::authors))
        .route("/authors/{slug}", get(catalogue::author))
        .route("/search", get(catalogue::search))
        .route("/customers/{id}", get(orders::customer))
        .route("/orders", get(orders::list).post(orders::create))
        .route("/orders/{id}", get(orders::show).delete(orders::cancel));
    Router::new()
        .nest("/api/v1", api)
        .route("/", get(|| async { Html(HOME) }))
        .route(
            "/assets/app.css",
            get(|| async { ([(header::CONTENT_TYPE, "text/css")], "body{margin:2rem}") }),
        )
        .route(
            "/assets/app.js",
            get(|| async {
                (
                    [(header::CONTENT_TYPE, "text/javascript")],
                    "console.log('hi')",
                )
            }),
        )
        .route("/home", get(|| async { Redirect::temporary("/") }))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        })
        .layer(axum::middleware::from_fn(cors))
        .with_state(App(Arc::new(Mutex::new(Shop::stocked()))))
}

const HOME: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Bookshop</title>\
    <link rel=stylesheet href=/assets/app.css><script src=/assets/app.js></script><h1>Bookshop</h1>\
    <p>The API is at <a href=/api/v1/books>/api/v1/books</a>.</html>";

/// Answers preflights (Fetch, "CORS-preflight request"), and lets every page read the answers.
async fn cors(request: Request, next: Next) -> Response {
    const ALLOW: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, PATCH, DELETE",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type",
        ),
    ];
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if preflight {
        return (StatusCode::NO_CONTENT, ALLOW).into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        axum::http::HeaderValue::from_static("*"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_both_ways() {
        let mut paths = serde_json::Map::new();
        for (method, template) in OPERATIONS {
            let path = template.replace("{isbn}", "{bookId}");
            paths.entry(path).or_insert_with(|| serde_json::json!({}))[method.to_lowercase()] =
                Value::Null;
        }
        assert_eq!(
            differences(&serde_json::json!({ "paths": paths })),
            Vec::<String>::new()
        );
        paths.remove("/api/v1/me");
        paths.insert("/wp-login.php".to_owned(), serde_json::json!({ "get": {} }));
        let found = differences(&serde_json::json!({ "paths": paths }));
        assert_eq!(
            found,
            [
                "missing:    GET /api/v1/me",
                "unexpected: GET /wp-login.php"
            ]
        );
    }

    /// Every operation of the list is routed: it is answered by something other than 404 "nothing here" or 405.
    #[test]
    fn operations_are_what_is_routed() -> anyhow::Result<()> {
        let shop = Bookshop::start()?;
        let base = shop.url();
        for (method, template) in OPERATIONS {
            let url = format!("{base}{}", template.replace("{isbn}", "9780141439518"));
            let answer = crate::curl(["-X", method, &url])?;
            assert!(
                !answer.text().contains("nothing here"),
                "{method} {template}: {}",
                answer.text()
            );
            assert_ne!(answer.status, 405, "{method} {template}");
            assert_ne!(answer.status, 0, "{method} {template}: {}", answer.error);
        }
        assert_eq!(crate::curl([format!("{base}/api/v1/nothing")])?.status, 404);
        assert_eq!(
            crate::curl(["-X", "PUT", &format!("{base}/api/v1/books")])?.status,
            405
        );
        Ok(())
    }
}
