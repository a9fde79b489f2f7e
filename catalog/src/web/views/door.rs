//! Pages for those who are not signed in, and errors.

use askama::Template;

use super::filters;

/// Asks for address and password.
#[derive(Debug, Template)]
#[template(path = "sign-in.html")]
pub(crate) struct SignIn {
    pub(crate) theme: &'static str,
    pub(crate) csrf: String,
    pub(crate) next: String,
    pub(crate) email: String,
    pub(crate) error: String,
}

/// Says what went wrong.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) theme: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    pub(crate) status: u16,
    pub(crate) correlation: String,
}
