//! What stands around every page: the places one may go to, who one is, the message of what was just done.

use super::Choice;

/// The frame of a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shell {
    pub(crate) places: Vec<PlaceLink>,
    /// The person's name.
    pub(crate) user: String,
    /// The role, as people read it.
    pub(crate) role: String,
    /// The organisation's name.
    pub(crate) organisation: String,
    /// Those one may switch to; shown when there are several.
    pub(crate) organisations: Vec<Choice>,
    /// `light`, `dark`, or empty for the system's.
    pub(crate) theme: &'static str,
    /// The session's token against forged requests.
    pub(crate) csrf: String,
    /// This page's own address, to come back to.
    pub(crate) here: String,
    /// What was just done.
    pub(crate) flash: Option<Flash>,
}

/// A place one may go to.
#[derive(Debug, Clone)]
pub(crate) struct PlaceLink {
    pub(crate) href: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) name: &'static str,
    pub(crate) here: bool,
    /// How many things wait there.
    pub(crate) count: u64,
    /// Whether a line sets it apart from those before.
    pub(crate) rule: bool,
}

/// What was just done, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    /// `good`, `bad`, `warn` or `info`.
    pub(crate) tone: &'static str,
    pub(crate) text: String,
}
