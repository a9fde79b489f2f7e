//! A browser without a window: keeps cookies, fills in the forms' token, asks the router itself.
//!
//! In: paths and fields. Out: answers. Follows nothing by itself.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use silhouette_catalog::access::Door;
use silhouette_catalog::app::App;
use silhouette_catalog::config::Settings;
use silhouette_catalog::store::Store;
use tower::ServiceExt as _;

/// A catalog whose router is asked directly.
pub(crate) struct Service {
    pub(crate) store: Store,
    /// Only to make users with: the service has its own.
    pub(crate) door: Door,
    router: axum::Router,
    pub(crate) dir: tempfile::TempDir,
}

/// One on a store.
pub(crate) fn service(store: Store) -> Service {
    let dir = tempfile::tempdir().unwrap();
    let config = Settings {
        data_dir: Some(dir.path().to_owned()),
        ..Settings::default()
    };
    let bound = "127.0.0.1:4330".parse().unwrap();
    let app = App::new(config.build().unwrap(), store.clone(), bound).unwrap();
    Service {
        store,
        door: super::people::door(),
        router: silhouette_catalog::web::router(Arc::clone(&app)),
        dir,
    }
}

/// One on SQLite alone.
pub(crate) async fn service_on_file() -> Service {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("catalog.db").display());
    let store = Store::open(&url, 4).await.unwrap();
    let mut service = service(store);
    service.dir = dir;
    service
}

/// The owner of a new organisation, signed in.
pub(crate) async fn signed_in(service: &Service) -> Browser {
    super::people::organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
    let mut browser = Browser::new(service);
    browser
        .sign_in("owner@acme.example", super::people::PASSWORD, "/")
        .await;
    browser
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.headers
            .get("location")
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn between(&self, before: &str, end: &str) -> &str {
        let (_, rest) = self.text.split_once(before).unwrap();
        rest.split_once(end).unwrap().0
    }
}

/// What stands after `mark`, up to the end of an attribute or an element.
pub(crate) fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("no {mark} in {text}"));
    let end = rest.find(['"', '<']).unwrap_or(rest.len());
    &rest[..end]
}

/// Somebody's.
pub(crate) struct Browser {
    router: axum::Router,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(service: &Service) -> Browser {
        Browser {
            router: service.router.clone(),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], Body::empty()).await
    }

    /// A form with the token of the session.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf().await;
        let mut all = vec![("csrf", token.as_str())];
        all.extend(fields);
        self.send("POST", path, &all, &[]).await
    }

    /// The session's token, as a page has it.
    pub(crate) async fn csrf(&mut self) -> String {
        let page = self.get("/settings").await;
        page.between("X-CSRF-Token\":\"", "\"").to_owned()
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([kind]).collect();
        self.request(method, path, &headers, body.into()).await
    }

    pub(crate) async fn sign_in(&mut self, email: &str, password: &str, next: &str) -> Answer {
        let form = self.get("/sign-in").await;
        let token = form.between("name=\"csrf\" value=\"", "\"").to_owned();
        let fields = [
            ("csrf", token.as_str()),
            ("email", email),
            ("password", password),
            ("next", next),
        ];
        self.send("POST", "/sign-in", &fields, &[]).await
    }

    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:4330");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", cookies.join("; "));
        }
        let peer: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        let request = request.extension(ConnectInfo(peer)).body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for line in parts.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

impl Browser {
    /// A form with a file, in this order of parts; `file`: field, name, contents.
    pub(crate) async fn upload(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        file: (&str, &str, &[u8]),
    ) -> Answer {
        let token = self.csrf().await;
        let mut all = vec![("csrf", token.as_str())];
        all.extend(fields);
        self.upload_as(path, &all, file).await
    }

    /// The same with the fields that are given and no others.
    pub(crate) async fn upload_as(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        (field, name, contents): (&str, &str, &[u8]),
    ) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let part = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(part.as_bytes());
        body.extend_from_slice(contents);
        body.extend_from_slice(b"\r\n--edge--\r\n");
        let kind = ("content-type", "multipart/form-data; boundary=edge");
        self.request("POST", path, &[kind], body.into()).await
    }
}
