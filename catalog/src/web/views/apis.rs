//! Discovery, the catalog, and the dialogs that link APIs to targets.

use askama::Template;

use super::filter_form::FilterForm;
use super::shell::Shell;
use super::{Choice, Empty, Field, Heading, Method, Pager, PathText, Severities, When, filters};

/// An API as a row of a list.
#[derive(Debug, Clone)]
pub(crate) struct ApiRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) hidden: bool,
    pub(crate) operations: u64,
    pub(crate) shadow: u64,
    pub(crate) zombie: u64,
    pub(crate) orphan: u64,
    pub(crate) sources: Vec<String>,
    pub(crate) updated: When,
    pub(crate) discovered: When,
    /// Id, name and URL.
    pub(crate) target: Option<(String, String, String)>,
    pub(crate) severities: Severities,
    pub(crate) scanned: Option<When>,
}

impl ApiRow {
    fn drifts(&self) -> bool {
        self.shadow + self.zombie + self.orphan > 0
    }
}

/// APIs without a target.
#[derive(Debug, Template)]
#[template(path = "discovery.html")]
pub(crate) struct Discovery {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) apis: Vec<ApiRow>,
    pub(crate) pager: Pager,
    pub(crate) manage: bool,
    pub(crate) hidden_shown: bool,
    pub(crate) empty: Empty,
}

/// APIs with a target.
#[derive(Debug, Template)]
#[template(path = "catalog.html")]
pub(crate) struct Catalog {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) apis: Vec<ApiRow>,
    pub(crate) pager: Pager,
    pub(crate) manage: bool,
    pub(crate) empty: Empty,
}

/// The endpoints of one API, as rows inside the catalog.
#[derive(Debug, Template)]
#[template(path = "endpoints.html")]
pub(crate) struct Endpoints {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) columns: usize,
    pub(crate) rows: Vec<EndpointRow>,
    pub(crate) total: u64,
}

/// One endpoint.
#[derive(Debug, Clone)]
pub(crate) struct EndpointRow {
    pub(crate) href: String,
    pub(crate) method: Method,
    pub(crate) path: PathText,
    /// Tone and word: `violet`, `shadow`.
    pub(crate) drift: Vec<(&'static str, &'static str)>,
    pub(crate) deprecated: bool,
    pub(crate) calls: Option<u64>,
    pub(crate) severities: Severities,
}

/// Links one or many APIs to a target.
#[derive(Debug, Template)]
#[template(path = "link.html")]
pub(crate) struct Link {
    pub(crate) shell: Shell,
    pub(crate) apis: Vec<Named>,
    pub(crate) targets: Vec<Choice>,
    /// What would fit, when there is such a target.
    pub(crate) suggested: String,
    /// Why it was refused.
    pub(crate) error: String,
    /// The target that would have been right, offered to be created.
    pub(crate) offer: Vec<Proposal>,
}

/// An API by name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) base_url: String,
}

/// A target that could be created.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    pub(crate) url: String,
    /// How many of the chosen APIs would lie under it.
    pub(crate) apis: u64,
}

/// Creates targets for APIs and links them.
#[derive(Debug, Template)]
#[template(path = "create-targets.html")]
pub(crate) struct CreateTargets {
    pub(crate) shell: Shell,
    pub(crate) apis: Vec<Named>,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) error: String,
}

/// Gives an API another name.
#[derive(Debug, Template)]
#[template(path = "rename.html")]
pub(crate) struct Rename {
    pub(crate) shell: Shell,
    pub(crate) id: String,
    pub(crate) name: Field,
}

/// Asks before an API is deleted.
#[derive(Debug, Template)]
#[template(path = "api-delete.html")]
pub(crate) struct DeleteApi {
    pub(crate) shell: Shell,
    pub(crate) id: String,
    pub(crate) name: String,
    /// `2 definitions`.
    pub(crate) definitions: String,
    pub(crate) revisions: String,
    pub(crate) operations: String,
    /// `3 open findings`, or empty.
    pub(crate) findings: String,
    pub(crate) observed: bool,
    pub(crate) linked: bool,
}

/// Asks where a definition belongs.
#[derive(Debug, Template)]
#[template(path = "definition-move.html")]
pub(crate) struct MoveDefinition {
    pub(crate) shell: Shell,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) key: String,
    pub(crate) base_url: String,
    pub(crate) action: String,
    /// What APIs are searched for.
    pub(crate) text: String,
    pub(crate) apis: Vec<Choice>,
    /// Whether there are more than are shown.
    pub(crate) more: bool,
    /// Whether the API has no other definition.
    pub(crate) alone: bool,
    pub(crate) error: String,
}
