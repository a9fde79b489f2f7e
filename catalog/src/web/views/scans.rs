//! Imported scans.

use askama::Template;

use super::api::FindingRow;
use super::filter_form::FilterForm;
use super::shell::Shell;
use super::{Empty, Heading, Pager, When, filters};

/// All of them.
#[derive(Debug, Template)]
#[template(path = "scans.html")]
pub(crate) struct Scans {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) scans: Vec<ScanRow>,
    pub(crate) pager: Pager,
    pub(crate) import: bool,
    pub(crate) empty: Empty,
}

/// One.
#[derive(Debug)]
pub(crate) struct ScanRow {
    pub(crate) tool: String,
    pub(crate) version: String,
    pub(crate) scanned: When,
    pub(crate) imported: When,
    pub(crate) by: String,
    pub(crate) results: u64,
    pub(crate) matched: u64,
}

/// What scanners found where no API is known.
#[derive(Debug, Template)]
#[template(path = "scans-unmatched.html")]
pub(crate) struct Unmatched {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) rows: Vec<FindingRow>,
    pub(crate) pager: Pager,
    pub(crate) empty: Empty,
}

/// Takes a report.
#[derive(Debug, Template)]
#[template(path = "scan-import.html")]
pub(crate) struct ImportScan {
    pub(crate) shell: Shell,
    pub(crate) error: String,
    pub(crate) limit: String,
}
