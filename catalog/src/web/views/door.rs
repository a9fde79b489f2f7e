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

/// Says what refusals mean: one, or all.
#[derive(Debug, Template)]
#[template(path = "problems.html")]
pub(crate) struct ProblemKinds {
    pub(crate) theme: &'static str,
    pub(crate) kinds: Vec<ProblemKind>,
}

/// A kind of refusal.
#[derive(Debug)]
pub(crate) struct ProblemKind {
    pub(crate) name: &'static str,
    pub(crate) status: u16,
    pub(crate) title: &'static str,
    /// In pieces; `true` for those that are code.
    pub(crate) meaning: Vec<(bool, &'static str)>,
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
