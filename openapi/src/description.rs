//! A description as data: what an API's operations take and give.
//!
//! In: nothing; these are the types that [`Description::read`] fills and that comparing looks at. They hold what all versions
//! of OpenAPI and Swagger say alike; where versions differ, the reader has made them one.

use std::collections::{BTreeMap, BTreeSet};

use crate::problem::{Problem, Problems};
use crate::schema::{SchemaId, Schemas};
use crate::template::Template;
use crate::tree::Node;

/// Which specification a document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Swagger 2.0.
    Swagger20,
    /// OpenAPI 3.0.x.
    OpenApi30,
    /// OpenAPI 3.1.x and later.
    OpenApi31,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Swagger20 => "Swagger 2.0",
            Self::OpenApi30 => "OpenAPI 3.0",
            Self::OpenApi31 => "OpenAPI 3.1",
        })
    }
}

/// A document that was read.
#[derive(Debug)]
pub struct Description {
    pub(crate) version: Version,
    pub(crate) title: String,
    pub(crate) api_version: String,
    pub(crate) servers: Vec<String>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) schemas: Schemas,
    pub(crate) problems: Problems,
    pub(crate) tree: Node,
}

impl Description {
    /// The specification it follows.
    pub fn version(&self) -> Version {
        self.version
    }

    /// `info.title`, or empty.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// `info.version`: the API's, not the specification's; or empty.
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The URLs of the document's own servers, variables replaced by their defaults.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The operations, in the order of the document.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What is wrong with it, up to a bound.
    pub fn problems(&self) -> &[Problem] {
        self.problems.list()
    }

    /// How many problems there are beyond those of [`Description::problems`].
    pub fn more_problems(&self) -> usize {
        self.problems.more()
    }

    /// The line (from 1) of what a JSON pointer names, or of the nearest thing above it.
    pub fn line(&self, pointer: &str) -> u32 {
        self.tree.nearest(pointer).line
    }

    /// The part of a JSON pointer that exists here.
    pub fn existing(&self, pointer: &str) -> String {
        let mut node = &self.tree;
        let mut found = String::new();
        for step in crate::tree::steps(pointer) {
            match node.child(&step) {
                Some(child) => node = child,
                None => break,
            }
            found = crate::tree::join(&found, &step);
        }
        found
    }
}

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as the document has it, without the servers' base path.
    pub path: String,
    /// [`Operation::path`] taken apart.
    pub template: Template,
    /// Base paths of the servers that hold for it, without a slash at the end; at least one, possibly empty.
    pub bases: Vec<String>,
    /// `operationId`.
    pub id: Option<String>,
    /// `summary`, or empty.
    pub summary: String,
    /// Whether it should no longer be called.
    pub deprecated: bool,
    /// Path, query, header and cookie parameters.
    pub parameters: Vec<Parameter>,
    /// The request body.
    pub body: Option<Body>,
    /// The responses.
    pub responses: Vec<Response>,
    /// What a caller must present.
    pub security: Security,
    /// What `x-silhouette` says of the traffic.
    pub seen: Option<Seen>,
    /// Where it is: a JSON pointer.
    pub pointer: String,
}

impl Operation {
    /// `GET /books/{isbn}`
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with the base path of its first server: `/v1/users/{id}`.
    pub fn whole_path(&self) -> String {
        let base = self.bases.first().map_or("", String::as_str);
        format!("{base}{}", self.path)
    }

    /// Parameters in one place.
    pub fn parameters_in(&self, place: Place) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(move |parameter| parameter.place == place)
    }
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the path template.
    Path,
    /// In the query.
    Query,
    /// A request header.
    Header,
    /// A cookie.
    Cookie,
}

impl Place {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// A parameter, or a header of a response.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Where it stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Whether it is always there.
    pub required: bool,
    /// Whether it should no longer be sent.
    pub deprecated: bool,
    /// How several values are written: `form`, `form exploded`, `csv`, …
    pub style: String,
    /// What values it takes.
    pub schema: Option<SchemaId>,
    /// Where it is: a JSON pointer.
    pub pointer: String,
}

impl Parameter {
    /// How two spellings of its name compare: header names have no case (RFC 9110, 5.1).
    pub(crate) fn key(&self) -> (Place, String) {
        match self.place {
            Place::Header => (self.place, self.name.to_ascii_lowercase()),
            _ => (self.place, self.name.clone()),
        }
    }

    /// ``query parameter `page` ``, without the space.
    pub(crate) fn shown(&self) -> String {
        match self.place {
            Place::Path => format!("path parameter `{}`", self.name),
            Place::Query => format!("query parameter `{}`", self.name),
            Place::Header => format!("header `{}`", self.name),
            Place::Cookie => format!("cookie `{}`", self.name),
        }
    }
}

/// What a request carries.
#[derive(Debug, Clone)]
pub struct Body {
    /// Whether there always is one.
    pub required: bool,
    /// Schemas by media type, lower case, without parameters.
    pub content: BTreeMap<String, Content>,
    /// Where it is: a JSON pointer.
    pub pointer: String,
}

/// One media type of a body.
#[derive(Debug, Clone)]
pub struct Content {
    /// What is in it.
    pub schema: Option<SchemaId>,
    /// Where it is: a JSON pointer.
    pub pointer: String,
}

/// What comes back with one status.
#[derive(Debug, Clone)]
pub struct Response {
    /// `200`, `4XX`, `default`.
    pub status: String,
    /// Schemas by media type, lower case, without parameters.
    pub content: BTreeMap<String, Content>,
    /// Its headers.
    pub headers: Vec<Parameter>,
    /// Where it is: a JSON pointer.
    pub pointer: String,
}

impl Response {
    /// Whether it says that the request was carried out.
    pub fn is_success(&self) -> bool {
        self.status.starts_with(['1', '2', '3'])
    }
}

/// What a caller must present: one of several sets of credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// The sets; none means that nothing is needed, an empty one that nothing is needed either.
    pub alternatives: Vec<BTreeMap<Credential, BTreeSet<String>>>,
}

impl Security {
    /// Whether a call without any credentials is let in.
    pub fn is_open(&self) -> bool {
        self.alternatives.is_empty() || self.alternatives.iter().any(BTreeMap::is_empty)
    }

    /// All kinds of credentials in any alternative.
    pub fn credentials(&self) -> BTreeSet<&Credential> {
        self.alternatives
            .iter()
            .flat_map(|set| set.keys())
            .collect()
    }
}

/// A kind of credential, whatever the document calls the scheme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// `Authorization` with this scheme, lower case: `bearer`, `basic`.
    Http(String),
    /// A key in a header, query parameter or cookie of this name.
    Key(Place, String),
    /// OAuth 2.
    OAuth2,
    /// OpenID Connect.
    OpenIdConnect,
    /// A client certificate.
    MutualTls,
    /// A scheme the document does not define.
    Unknown(String),
}

impl Credential {
    /// Whether two are sent alike: OAuth 2 and OpenID Connect tokens are bearer tokens (RFC 6750).
    pub fn is_sent_like(&self, other: &Credential) -> bool {
        fn sent(credential: &Credential) -> Credential {
            match credential {
                Credential::OAuth2 | Credential::OpenIdConnect => {
                    Credential::Http("bearer".to_owned())
                }
                Credential::Key(Place::Header, name) => {
                    Credential::Key(Place::Header, name.to_ascii_lowercase())
                }
                other => other.clone(),
            }
        }
        sent(self) == sent(other)
    }
}

impl std::fmt::Display for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(scheme) => write!(f, "HTTP {scheme} authentication"),
            Self::Key(place, name) => write!(f, "an API key in {} `{name}`", place.as_str()),
            Self::OAuth2 => f.write_str("OAuth 2"),
            Self::OpenIdConnect => f.write_str("OpenID Connect"),
            Self::MutualTls => f.write_str("a client certificate"),
            Self::Unknown(name) => write!(f, "`{name}`"),
        }
    }
}

/// What was seen of an operation, as `x-silhouette` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Calls, errors included.
    pub calls: u64,
    /// Start of the first call, RFC 3339.
    pub first: Option<String>,
    /// Start of the last call, RFC 3339.
    pub last: Option<String>,
}

impl Seen {
    /// Counts what was seen elsewhere as well.
    pub fn add(&mut self, more: &Seen) {
        self.calls = self.calls.saturating_add(more.calls);
        // RFC 3339 in UTC, all of one length: text order is time order.
        self.last = self.last.take().max(more.last.clone());
        self.first = match (self.first.take(), more.first.clone()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
