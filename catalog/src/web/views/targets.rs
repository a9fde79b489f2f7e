//! Targets: the list and its dialogs.

use askama::Template;

use super::filter_form::FilterForm;
use super::shell::Shell;
use super::{Empty, Field, Heading, Pager, When, filters};

/// All of them.
#[derive(Debug, Template)]
#[template(path = "targets.html")]
pub(crate) struct Targets {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) targets: Vec<TargetRow>,
    pub(crate) pager: Pager,
    pub(crate) manage: bool,
    pub(crate) empty: Empty,
}

/// One.
#[derive(Debug)]
pub(crate) struct TargetRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) apis: u64,
    pub(crate) created: When,
}

/// Creates or changes one.
#[derive(Debug, Template)]
#[template(path = "target-form.html")]
pub(crate) struct TargetForm {
    pub(crate) shell: Shell,
    pub(crate) title: &'static str,
    pub(crate) action: String,
    pub(crate) submit: &'static str,
    pub(crate) name: Field,
    pub(crate) url: Field,
    pub(crate) error: String,
}

/// Asks before one is deleted.
#[derive(Debug, Template)]
#[template(path = "target-delete.html")]
pub(crate) struct DeleteTarget {
    pub(crate) shell: Shell,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) apis: u64,
    pub(crate) error: String,
}
