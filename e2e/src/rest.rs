//! The catalog's REST API as a client sees it.
//!
//! In: where it is, and an API key. Out: answers. What tests need again and again (a source, a token, the API of a host) has a
//! function of its own; nothing is done past the API.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Answer, curl};

/// A client with a key.
#[derive(Debug, Clone)]
pub struct Rest {
    url: String,
    key: String,
    authority: Option<PathBuf>,
}

impl Rest {
    /// `url` without a path: `http://127.0.0.1:4330`.
    pub fn new(url: &str, key: &str) -> Rest {
        Rest {
            url: url.trim_end_matches('/').to_owned(),
            key: key.to_owned(),
            authority: None,
        }
    }

    /// The same, over TLS by certificates of this authority (PEM).
    #[must_use]
    pub fn trusting(mut self, authority: &Path) -> Rest {
        self.authority = Some(authority.to_owned());
        self
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A request to the REST API with the owner's key; `body` goes as JSON.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut args = vec!["-X".to_owned(), method.to_owned()];
        args.extend(["-H".to_owned(), format!("X-Auth: {}", self.key)]);
        if let Some(authority) = &self.authority {
            args.extend(["--cacert".to_owned(), authority.display().to_string()]);
        }
        if let Some(body) = body {
            args.extend(["-H".to_owned(), "Content-Type: application/json".to_owned()]);
            args.extend(["--data-binary".to_owned(), body.to_string()]);
        }
        args.push(format!("{}{path}", self.url));
        curl(args)
    }

    /// The same, which must succeed; the JSON that came back, null when nothing did.
    pub fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        ensure!(
            (200..300).contains(&answer.status),
            "{method} {path}: status {} {} {}",
            answer.status,
            answer.error,
            answer.text()
        );
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        answer.json()
    }

    /// GET that must succeed.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.done("GET", path, None)
    }

    /// Every item of a list, page after page.
    pub fn all(&self, path: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        for number in 1.. {
            let page = self.get(&format!("{path}{joint}pageSize=200&pageNumber={number}"))?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            if number >= page["pageInfo"]["totalPages"].as_u64().unwrap_or(0) {
                break;
            }
        }
        Ok(items)
    }

    /// Adds a source of type traffic analyzer; its id.
    pub fn add_source(&self, name: &str) -> Result<String> {
        let source = json!({ "name": name, "kind": "traffic-analyzer" });
        let made = self.done("POST", "/api/v1/sources", Some(&source))?;
        let id = made["id"].as_str().map(str::to_owned);
        id.with_context(|| format!("no id in {made}"))
    }

    /// A registration token for a source.
    pub fn registration_token(&self, source: &str) -> Result<String> {
        let path = format!("/api/v1/sources/{source}/tokens");
        let made = self.done("POST", &path, None)?;
        let token = made["token"].as_str().map(str::to_owned);
        token.with_context(|| format!("no token in {made}"))
    }

    /// The API that stands at a host (`name` or `name:port`), wherever it is: discovery, catalog, hidden.
    pub fn api_of(&self, host: &str) -> Result<Option<Value>> {
        let name = host.split(':').next().unwrap_or(host);
        let all = self.all(&format!("/api/v1/apis?host={name}"))?;
        Ok(all.into_iter().find(|api| {
            let url = api["baseUrl"].as_str().unwrap_or_default();
            url.split('/').nth(2) == Some(host)
        }))
    }

    /// The newest document of what traffic showed of an API.
    pub fn observed_document(&self, api: &Value) -> Result<Value> {
        let id = api["id"].as_str().context("an API has an id")?;
        let definitions = self.all(&format!("/api/v1/apis/{id}/definitions"))?;
        let observed = definitions.iter().find(|d| d["kind"] == "observed");
        let observed = observed.with_context(|| format!("nothing observed in {definitions:?}"))?;
        let revision = observed["latestRevisionId"]
            .as_str()
            .context("its revision")?;
        self.get(&format!("/api/v1/revisions/{revision}/document"))
    }
}
