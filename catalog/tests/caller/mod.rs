//! Callers of the REST API for tests: requests that go through the whole router, and what it answers.
//!
//! In: a store. Out: keys, and answers as they would leave the service. No socket is opened.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use silhouette_catalog::access::{Actor, keys};
use silhouette_catalog::app::App;
use silhouette_catalog::config::Settings;
use silhouette_catalog::store::Store;
use silhouette_catalog::{Millis, rest};
use tower::ServiceExt as _;

/// The REST API on a store.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    router: Router,
    pub(crate) app: Arc<App>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&self.bytes));
        })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Panics unless it is a problem document of this status and type.
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        let document = self.json();
        assert_eq!(self.status.as_u16(), status, "{document}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(document["type"], format!("/problems/{name}"), "{document}");
        assert_eq!(document["status"], status, "{document}");
        assert_eq!(document["correlationId"], self.header("x-correlation-id"));
        document
    }
}

impl Api {
    pub(crate) fn new(store: &Store) -> Api {
        let config = Settings::default().build().unwrap();
        let app = App::new(config, store.clone(), ([127, 0, 0, 1], 0).into()).unwrap();
        Api {
            router: rest::router(Arc::clone(&app)),
            app,
        }
    }

    /// A key of an actor that is a user.
    pub(crate) async fn key(&self, actor: &Actor) -> String {
        let made = keys::create(&self.app.store, actor, "test", None, Millis::now()).await;
        made.unwrap().secret
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            bytes: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// A request with headers and a body as they are.
    pub(crate) async fn raw(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.raw(("GET", path), &[("x-auth", key)], "").await
    }

    pub(crate) async fn send(&self, key: &str, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("x-auth", key), ("content-type", "application/json")];
        self.raw((method, path), &headers, body.to_string()).await
    }

    pub(crate) async fn delete(&self, key: &str, path: &str) -> Answer {
        self.raw(("DELETE", path), &[("x-auth", key)], "").await
    }
}
