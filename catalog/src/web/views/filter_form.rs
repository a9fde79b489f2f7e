//! The filters above a list.

use askama::Template;

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
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) selects: Vec<Select>,
    pub(crate) dates: Vec<Date>,
    pub(crate) switches: Vec<Switch>,
    /// Parameters that stay: the order.
    pub(crate) kept: Vec<(&'static str, String)>,
    /// Whether anything is filtered.
    pub(crate) any: bool,
}

/// One of many, by its name: what fits is looked up while one types.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    pub(crate) name: &'static str,
    /// What is chosen: `Source`.
    pub(crate) label: &'static str,
    pub(crate) value: String,
    /// Where names are looked up.
    pub(crate) href: &'static str,
}

/// Names that fit, as options: what to type, and what else it is called.
#[derive(Debug, Template)]
#[template(
    source = r#"{% for (value, label) in names %}<option value="{{ value }}"{% if !label.is_empty() %} label="{{ label }}"{% endif %}></option>{% endfor %}"#,
    ext = "html"
)]
pub(crate) struct Names {
    pub(crate) names: Vec<(String, String)>,
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
