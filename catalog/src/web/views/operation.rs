//! One operation of an API.

use askama::Template;

use super::api::{ApiHead, CallerRow, Detail, FindingRow};
use super::shell::Shell;
use super::{Method, PathText, Severities, When, filters};

/// The page.
#[derive(Debug, Template)]
#[template(path = "api-operation.html")]
pub(crate) struct OperationPage {
    pub(crate) shell: Shell,
    pub(crate) api: ApiHead,
    /// `GET /books`.
    pub(crate) name: String,
    pub(crate) method: Method,
    pub(crate) path: PathText,
    pub(crate) summary: String,
    /// `operationId`, or empty.
    pub(crate) operation_id: String,
    pub(crate) deprecated: bool,
    pub(crate) observed: bool,
    pub(crate) documented: bool,
    /// Tone and word: `violet`, `shadow`.
    pub(crate) badges: Vec<(&'static str, &'static str)>,
    pub(crate) calls: Option<u64>,
    pub(crate) first: Option<When>,
    pub(crate) last: Option<When>,
    pub(crate) discovered: When,
    pub(crate) severities: Severities,
    pub(crate) documents: Vec<DocumentLink>,
    pub(crate) detail: Detail,
    /// Why nothing of the document can be shown, or empty.
    pub(crate) cannot: &'static str,
    pub(crate) mentions: Vec<MentionRow>,
    pub(crate) drift: Vec<DriftLine>,
    pub(crate) findings: Vec<FindingRow>,
    pub(crate) callers: Vec<CallerRow>,
    pub(crate) more_callers: bool,
}

/// A document that has the operation.
#[derive(Debug)]
pub(crate) struct DocumentLink {
    pub(crate) href: String,
    pub(crate) label: String,
    pub(crate) key: String,
    pub(crate) here: bool,
}

/// What one source says of the operation.
#[derive(Debug)]
pub(crate) struct MentionRow {
    pub(crate) source: String,
    pub(crate) key: String,
    pub(crate) observed: bool,
    pub(crate) path: PathText,
    /// The revision that had it first.
    pub(crate) since: u64,
    pub(crate) calls: Option<u64>,
    pub(crate) first: Option<When>,
    pub(crate) last: Option<When>,
}

/// One thing in which document and traffic part.
#[derive(Debug)]
pub(crate) struct DriftLine {
    pub(crate) tone: &'static str,
    pub(crate) word: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) message: String,
    pub(crate) rule: String,
}
