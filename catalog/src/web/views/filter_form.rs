//! The filters above a list.

use super::Choice;

/// What `filters.html` shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterForm {
    /// The list's address.
    pub(crate) action: String,
    /// What the search looks into: `Search name or URL`.
    pub(crate) search_label: &'static str,
    /// What is searched for.
    pub(crate) text: String,
    pub(crate) selects: Vec<Select>,
    pub(crate) dates: Vec<Date>,
    pub(crate) switches: Vec<Switch>,
    /// Parameters that stay: the order.
    pub(crate) kept: Vec<(&'static str, String)>,
    /// Whether anything is filtered.
    pub(crate) any: bool,
}

/// One of several.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) choices: Vec<Choice>,
}

/// A day.
#[derive(Debug, Clone)]
pub(crate) struct Date {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
}

/// On or off.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) chosen: bool,
}
