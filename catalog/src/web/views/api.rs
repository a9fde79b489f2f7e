//! One API and its tabs.

use askama::Template;

use super::filter_form::FilterForm;
use super::shell::Shell;
use super::{Choice, Empty, Heading, Method, Pager, PathText, Severities, When, filters};

/// What stands above every tab.
#[derive(Debug)]
pub(crate) struct ApiHead {
    pub(crate) tabs: Vec<Tab>,
    /// Whether the person may change it.
    pub(crate) manage: bool,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) base_url: String,
    pub(crate) hidden: bool,
    pub(crate) observed: bool,
    pub(crate) documented: bool,
    pub(crate) operations: u64,
    pub(crate) severities: Severities,
    pub(crate) scanned: Option<When>,
    pub(crate) discovered: When,
    pub(crate) updated: When,
    /// Between when and when calls were seen.
    pub(crate) seen: Option<(When, When)>,
    pub(crate) sources: Vec<String>,
    /// Id, name, URL.
    pub(crate) target: Option<(String, String, String)>,
}

/// A tab.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) href: String,
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    pub(crate) here: bool,
}

/// Operations.
#[derive(Debug, Template)]
#[template(path = "api-operations.html")]
pub(crate) struct Operations {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) rows: Vec<OperationRow>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct OperationRow {
    pub(crate) href: String,
    pub(crate) method: Method,
    pub(crate) path: PathText,
    pub(crate) summary: String,
    pub(crate) deprecated: bool,
    pub(crate) drift: Vec<(&'static str, &'static str)>,
    pub(crate) calls: Option<u64>,
    pub(crate) first: Option<When>,
    pub(crate) last: Option<When>,
    pub(crate) severities: Severities,
}

/// A document, readable.
#[derive(Debug, Template)]
#[template(path = "api-schema.html")]
pub(crate) struct SchemaTab {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) text: String,
    pub(crate) documents: Vec<Choice>,
    pub(crate) document: Option<DocumentHead>,
    pub(crate) operations: Vec<SchemaOperation>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// Which document it is.
#[derive(Debug)]
pub(crate) struct DocumentHead {
    pub(crate) specification: String,
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) number: u64,
    pub(crate) created: When,
    /// Without `.json` or `.yaml`.
    pub(crate) href: String,
    pub(crate) warnings: Vec<String>,
}

/// An operation in a document.
#[derive(Debug)]
pub(crate) struct SchemaOperation {
    pub(crate) method: Method,
    pub(crate) path: PathText,
    pub(crate) summary: String,
    pub(crate) deprecated: bool,
    pub(crate) open: bool,
    /// The page on which it is open.
    pub(crate) href: String,
    pub(crate) detail: Detail,
}

/// What the document says of an operation.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    pub(crate) description: String,
    pub(crate) parts: Vec<Part>,
}

/// Parameters, a request body, a response.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) lines: Vec<Line>,
}

/// One line of a schema, `depth` levels inside.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) depth: usize,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) required: bool,
    pub(crate) note: String,
}

/// A document as text.
#[derive(Debug, Template)]
#[template(path = "api-document.html")]
pub(crate) struct DocumentTab {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) number: u64,
    pub(crate) href: String,
    pub(crate) text: String,
    pub(crate) cut: String,
}

/// Definitions with their revisions.
#[derive(Debug, Template)]
#[template(path = "api-revisions.html")]
pub(crate) struct Revisions {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) definitions: Vec<DefinitionBlock>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// What one source says of the API.
#[derive(Debug)]
pub(crate) struct DefinitionBlock {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) key: String,
    pub(crate) observed: bool,
    pub(crate) revisions: Vec<RevisionRow>,
}

/// One revision.
#[derive(Debug)]
pub(crate) struct RevisionRow {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) created: When,
    pub(crate) by: String,
    pub(crate) specification: String,
    pub(crate) title: String,
    pub(crate) version: String,
    pub(crate) operations: u64,
    pub(crate) warnings: u64,
    /// The revision before, or empty.
    pub(crate) before: String,
    pub(crate) old: bool,
    pub(crate) new: bool,
}

/// What differs between two revisions.
#[derive(Debug, Template)]
#[template(path = "api-diff.html")]
pub(crate) struct DiffTab {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) verdict: String,
    pub(crate) findings: Vec<Change>,
    /// Class of the row and the line.
    pub(crate) lines: Vec<(&'static str, String)>,
    pub(crate) cut: String,
}

/// One change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) tone: &'static str,
    pub(crate) class: &'static str,
    pub(crate) subject: String,
    pub(crate) message: String,
    pub(crate) rule: String,
    pub(crate) operations: Vec<String>,
    pub(crate) more: usize,
}

/// Where what is documented and what is seen part.
#[derive(Debug, Template)]
#[template(path = "api-drift.html")]
pub(crate) struct DriftTab {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) groups: Vec<DriftGroup>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// One kind of drift.
#[derive(Debug)]
pub(crate) struct DriftGroup {
    pub(crate) class: &'static str,
    pub(crate) title: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) rows: Vec<DriftRow>,
}

/// One place.
#[derive(Debug)]
pub(crate) struct DriftRow {
    /// Its operation's page, or empty.
    pub(crate) href: String,
    pub(crate) method: Option<Method>,
    pub(crate) path: PathText,
    pub(crate) message: String,
    pub(crate) rule: String,
}

/// Who calls it.
#[derive(Debug, Template)]
#[template(path = "api-callers.html")]
pub(crate) struct CallersTab {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) rows: Vec<CallerRow>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// One caller.
#[derive(Debug)]
pub(crate) struct CallerRow {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) calls: u64,
    pub(crate) last: Option<When>,
}

/// What scanners found in it.
#[derive(Debug, Template)]
#[template(path = "api-findings.html")]
pub(crate) struct FindingsTab {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    pub(crate) filters: FilterForm,
    pub(crate) rows: Vec<FindingRow>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// One finding.
#[derive(Debug)]
pub(crate) struct FindingRow {
    pub(crate) severity: &'static str,
    pub(crate) severity_title: &'static str,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) method: Option<Method>,
    pub(crate) path: PathText,
    /// Its operation's page, or empty.
    pub(crate) href: String,
    pub(crate) url: String,
    pub(crate) tool: String,
    pub(crate) rule: String,
    pub(crate) first: When,
    pub(crate) last: When,
    pub(crate) closed: bool,
}
