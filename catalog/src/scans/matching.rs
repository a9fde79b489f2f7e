//! Which API and operation a finding is about.
//!
//! In: what a scanner says of the place – a URL, a path, a method – and the APIs there are. Out: the API whose base URL covers the
//! place, of several the one with the longest base path; and in it the operation whose path template takes the path, of several the
//! one with constants first. What fits nothing is said to fit nothing, never guessed. However many APIs a report names, the operations
//! of a bounded number are in memory.

use std::collections::HashMap;

use silhouette_openapi::Template;
use sqlx::{AnyConnection, Row as _};
use url::Url;

use crate::Refusal;
use crate::ids::OrganisationId;
use crate::inventory::BaseUrl;

/// Operations that are in memory at once, of all APIs together; one API alone may have as many as a document.
const MOST: usize = 20_000;

/// The APIs of an organisation, and the operations of those that were asked for last.
pub(super) struct Places {
    /// By host.
    apis: HashMap<String, Vec<Place>>,
    /// Where each stands, as it is stored.
    bases: HashMap<String, String>,
    operations: Operations,
}

/// Operations by API.
#[derive(Default)]
struct Operations {
    by_api: HashMap<String, Vec<Operation>>,
    /// Of all of them.
    count: usize,
    /// What was looked up before, by API, method and path: scanners report many things of one place.
    looked_up: HashMap<(String, String, String), Option<usize>>,
}

impl Operations {
    /// Keeps those of an API, and forgets all others where there would be too many: most reports go through one API after another.
    fn keep(&mut self, api: &str, loaded: Vec<Operation>) {
        if self.count + loaded.len() > MOST {
            *self = Operations::default();
        }
        self.count += loaded.len();
        self.by_api.insert(api.to_owned(), loaded);
    }

    /// The operation of an API that takes a path.
    fn find(&mut self, api: &str, method: &str, path: &str) -> Option<&Operation> {
        let all = self.by_api.get(api)?;
        let key = (api.to_owned(), method.to_owned(), path.to_owned());
        let at = self
            .looked_up
            .entry(key)
            .or_insert_with(|| taking(all, method, path));
        at.and_then(|at| all.get(at))
    }
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
            operations: Operations::default(),
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
        if !self.operations.by_api.contains_key(api) {
            let loaded = load(connection, api).await?;
            self.operations.keep(api, loaded);
        }
        Ok(self.operations.find(api, method, path))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(path: &str) -> Operation {
        let template = Template::parse(path);
        Operation {
            method: "GET".to_owned(),
            path: path.to_owned(),
            shape: template.shape(),
            template,
        }
    }

    #[test]
    fn a_bounded_number_of_operations_is_in_memory() {
        let mut operations = Operations::default();
        let some = |count: usize| (0..count).map(|n| operation(&format!("/{n}/{{id}}")));
        for api in 0..30 {
            let api = api.to_string();
            operations.keep(&api, some(3_000).collect());
            let found = operations.find(&api, "GET", "/2999/7").map(|one| &one.path);
            assert_eq!(found.map(String::as_str), Some("/2999/{id}"));
            let all: usize = operations.by_api.values().map(Vec::len).sum();
            assert!(all <= MOST && all == operations.count, "{all}");
            assert!(operations.looked_up.len() <= operations.by_api.len());
        }
        assert!(operations.find("0", "GET", "/1/7").is_none());
        // One that alone has more is looked at all the same.
        operations.keep("large", some(MOST + 1).collect());
        assert!(operations.find("large", "GET", "/20000/7").is_some());
    }
}
