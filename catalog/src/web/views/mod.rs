//! What pages show: plain structs and the templates over them.
//!
//! In: values a handler looked up and put into words. Out: HTML. A view asks nothing and decides nothing; every text in it is
//! escaped by its template.

pub(crate) mod api;
pub(crate) mod apis;
pub(crate) mod chart;
pub(crate) mod door;
pub(crate) mod filter_form;
mod icon;
pub(crate) mod operation;
pub(crate) mod overview;
mod parts;
pub(crate) mod scans;
pub(crate) mod settings;
pub(crate) mod shell;
pub(crate) mod sources;
pub(crate) mod targets;

pub(crate) use parts::{
    Choice, Empty, Field, Heading, Method, Pager, PathText, Severities, Status, When, count, span,
    thousands,
};

/// Filters that templates use.
pub(crate) mod filters {
    // The macro makes types of the functions, whose visibility is the functions' own.
    #![allow(clippy::unnecessary_wraps, unreachable_pub, missing_docs)]

    use askama::Values;

    use super::icon::Icon;

    #[askama::filter_fn]
    pub(crate) fn icon(name: &'static str, _: &dyn Values) -> askama::Result<Icon> {
        Ok(Icon(name))
    }

    #[askama::filter_fn]
    pub(crate) fn asset(file: &str, _: &dyn Values) -> askama::Result<String> {
        Ok(crate::web::assets::url(file))
    }

    #[askama::filter_fn]
    pub(crate) fn thousands(number: &u64, _: &dyn Values) -> askama::Result<String> {
        Ok(super::thousands(*number))
    }
}
