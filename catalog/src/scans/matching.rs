//! Which API and operation a finding is about.
//!
//! In: what a scanner says of the place – a URL, a path, a method – and the APIs there are. Out: the API whose base URL covers the
//! place, of several the one with the longest base path; and in it the operation whose path template takes the path, of several the
//! one with constants first. What fits nothing is said to fit nothing, never guessed.

use std::collections::HashMap;

use silhouette_openapi::Template;
use sqlx::{AnyConnection, Row as _};
use url::Url;

use crate::Refusal;
use crate::ids::OrganisationId;
use crate::inventory::BaseUrl;

/// The APIs of an organisation, and the operations of those that were asked for.
pub(super) struct Places {
    /// By host.
    apis: HashMap<String, Vec<Place>>,
    /// Where each stands, as it is stored.
    bases: HashMap<String, String>,
    operations: HashMap<String, Vec<Operation>>,
    /// What was looked up before, by API, method and path: scanners report many things of one place.
    looked_up: HashMap<(String, String, String), Option<usize>>,
}

struct Place {
    id: String,
    base: BaseUrl,
}

struct Operation {
    method: String,
    path: String,
    shape: String,
    template: Template,
}

/// What a finding is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Match {
    /// The API's id.
    pub(super) api: Option<String>,
    /// The operation's method, path template and shape, or empty.
    pub(super) method: String,
    pub(super) path: String,
    pub(super) shape: String,
    /// The URL that matched, or the best there is.
    pub(super) url: String,
}

impl Places {
    pub(super) async fn of(
        connection: &mut AnyConnection,
        organisation: &OrganisationId,
    ) -> Result<Places, Refusal> {
        let rows =
            sqlx::query("SELECT id, base_url FROM apis WHERE organisation_id = $1 ORDER BY id")
                .bind(organisation.as_str())
                .fetch_all(connection)
                .await?;
        let mut apis: HashMap<String, Vec<Place>> = HashMap::new();
        let mut bases = HashMap::with_capacity(rows.len());
        for row in &rows {
            let url: String = row.try_get(1)?;
            let base = BaseUrl::parse(&url)
                .map_err(|error| Refusal::Internal(format!("a stored base URL: {error}")))?;
            let id: String = row.try_get(0)?;
            bases.insert(id.clone(), url);
            apis.entry(base.host().to_owned())
                .or_default()
                .push(Place { id, base });
        }
        Ok(Places {
            apis,
            bases,
            operations: HashMap::new(),
            looked_up: HashMap::new(),
        })
    }

    /// Where an API stands, as it is stored.
    pub(super) fn base_of(&self, api: &str) -> Option<&str> {
        self.bases.get(api).map(String::as_str)
    }

    /// The API at a URL, and the path of the URL.
    pub(super) fn api(&self, place: &str) -> Option<(String, String)> {
        let url = absolute(place)?;
        let here = BaseUrl::of(&url)?;
        let known = self.apis.get(here.host())?;
        let covering = known.iter().filter(|api| {
            api.base.is_on_server_of(&here)
                && here
                    .with_path(here.path())
                    .lies_under(&here.with_path(api.base.path()))
        });
        // The first of equals is the oldest.
        let mut best: Option<&Place> = None;
        for api in covering {
            if best.is_none_or(|best| api.base.path().len() > best.base.path().len()) {
                best = Some(api);
            }
        }
        best.map(|api| (api.id.clone(), here.path().to_owned()))
    }

    /// What a finding is about. `only`: the report was brought for this API, so that a path alone is enough.
    pub(super) async fn find(
        &mut self,
        connection: &mut AnyConnection,
        method: &str,
        places: &[String],
        only: Option<&str>,
    ) -> Result<Match, Refusal> {
        let mut found = Match {
            method: method.to_owned(),
            url: places.first().cloned().unwrap_or_default(),
            ..Match::default()
        };
        for place in places {
            let (api, path) = match (self.api(place), only) {
                (Some((api, path)), None) => (api, path),
                (Some((api, path)), Some(only)) if api == only => (api, path),
                (_, Some(only)) if place.starts_with('/') && !place.starts_with("//") => {
                    let path = place.split(['?', '#']).next().unwrap_or_default();
                    (only.to_owned(), path.to_owned())
                }
                _ => continue,
            };
            let first = found.api.is_none();
            if first {
                found.url.clone_from(place);
                found.api = Some(api.clone());
            }
            if let Some(operation) = self.operation(connection, &api, method, &path).await? {
                return Ok(Match {
                    api: Some(api),
                    method: operation.method.clone(),
                    path: operation.path.clone(),
                    shape: operation.shape.clone(),
                    url: place.clone(),
                });
            }
        }
        if found.api.is_none() {
            found.api = only.map(str::to_owned);
        }
        found.method = String::new();
        Ok(found)
    }

    async fn operation(
        &mut self,
        connection: &mut AnyConnection,
        api: &str,
        method: &str,
        path: &str,
    ) -> Result<Option<&Operation>, Refusal> {
        if !self.operations.contains_key(api) {
            let loaded = load(connection, api).await?;
            self.operations.insert(api.to_owned(), loaded);
        }
        let all = self.operations.get(api).map_or(&[][..], Vec::as_slice);
        let key = (api.to_owned(), method.to_owned(), path.to_owned());
        let at = self
            .looked_up
            .entry(key)
            .or_insert_with(|| taking(all, method, path));
        Ok(at.and_then(|at| all.get(at)))
    }
}

/// Which operation takes a path: of several templates the one with constants first; without a method only where there is one
/// method at that template.
fn taking(all: &[Operation], method: &str, path: &str) -> Option<usize> {
    let mut taking: Vec<(usize, &Operation)> = all
        .iter()
        .enumerate()
        .filter(|(_, operation)| method.is_empty() || operation.method == method)
        .filter(|(_, operation)| operation.template.takes(path))
        .collect();
    taking.sort_by(|(_, a), (_, b)| {
        let order = a.template.by_precedence(&b.template);
        order
            .then_with(|| a.shape.cmp(&b.shape))
            .then_with(|| a.method.cmp(&b.method))
    });
    match taking.as_slice() {
        [(first, one), (_, other), ..] if !method.is_empty() || one.shape != other.shape => {
            Some(*first)
        }
        [(only, _)] => Some(*only),
        _ => None,
    }
}

/// The operations of an API, each once, under the path lists show.
async fn load(connection: &mut AnyConnection, api: &str) -> Result<Vec<Operation>, Refusal> {
    let rows = sqlx::query(
        "SELECT method, shape, COALESCE(MIN(CASE kind WHEN 'documented' THEN path END), MIN(path)) AS path FROM operations \
         WHERE api_id = $1 GROUP BY method, shape",
    )
    .bind(api)
    .fetch_all(connection)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let path: String = row.try_get("path")?;
        all.push(Operation {
            method: row.try_get("method")?,
            shape: row.try_get("shape")?,
            template: Template::parse(&path),
            path,
        });
    }
    Ok(all)
}

/// A URL as scanners write one: whole, without a scheme, or a host and a path.
fn absolute(place: &str) -> Option<Url> {
    if place.contains("://") {
        return Url::parse(place).ok();
    }
    if let Some(rest) = place.strip_prefix("//") {
        return Url::parse(&format!("https://{rest}")).ok();
    }
    // `api.example.com:8443/v1`: a host has a dot or a port; a file of sources (`src/main.rs`) has neither before its slash.
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    let looks = !host.is_empty()
        && (host.contains('.') || host.contains(':') || host == "localhost")
        && !host.starts_with('.');
    looks
        .then(|| Url::parse(&format!("https://{place}")).ok())
        .flatten()
}
