//! Who asks: connections that are kept, with a credential, a key or a session.
//!
//! In: a method, a path, headers, a body. Out: what came back. A status that was not expected is an error.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Headers of a request.
pub(crate) type Headers = Vec<(&'static str, String)>;

#[derive(Debug, Clone)]
pub(crate) struct Client {
    base: String,
    headers: Headers,
    connections: Connections<HttpConnector, Full<Bytes>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(base: &str, headers: Headers) -> Client {
        let connections = Connections::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(HttpConnector::new());
        Client {
            base: base.to_owned(),
            headers,
            connections,
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: Headers,
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in self.headers.iter().chain(&headers) {
            request = request.header(*name, value);
        }
        let asked = async {
            let answer = self
                .connections
                .request(request.body(Full::new(body))?)
                .await?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        asked.await.with_context(|| format!("{method} {path}"))
    }

    /// The same, which must succeed.
    pub(crate) async fn done(
        &self,
        method: Method,
        path: &str,
        headers: Headers,
        body: Bytes,
    ) -> Result<Bytes> {
        let answer = self.send(method.clone(), path, headers, body).await?;
        ensure!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.body)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Bytes> {
        self.done(Method::GET, path, Vec::new(), Bytes::new()).await
    }

    /// JSON there and back.
    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let headers = vec![("content-type", "application/json".to_owned())];
        let body = self
            .done(method, path, headers, body.to_string().into())
            .await?;
        Ok(if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body)?
        })
    }
}
