//! Sources: the list, one of them, and the forms that add, change and delete one.

use askama::Template;

use super::filter_form::FilterForm;
use super::shell::Shell;
use super::{Empty, Field, Heading, Pager, Status, When, filters};

/// A source as pages show it.
#[derive(Debug, Clone)]
pub(crate) struct SourceRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) status: Status,
    /// The reason in full, for the source's own page.
    pub(crate) reason_shown: String,
    pub(crate) synced: Option<When>,
    pub(crate) created: When,
    pub(crate) apis: u64,
    pub(crate) auto_sync: bool,
    pub(crate) exclude_empty: bool,
    /// Whether there is anything to sync: uploads have nothing.
    pub(crate) can_sync: bool,
    pub(crate) analyzer: bool,
    pub(crate) uploads: bool,
    pub(crate) url: String,
}

/// All of them.
#[derive(Debug, Template)]
#[template(path = "sources.html")]
pub(crate) struct Sources {
    pub(crate) shell: Shell,
    pub(crate) filters: FilterForm,
    pub(crate) headings: Vec<Heading>,
    pub(crate) sources: Vec<SourceRow>,
    pub(crate) pager: Pager,
    pub(crate) manage: bool,
    pub(crate) empty: Empty,
}

/// The switch alone, after it was pressed.
#[derive(Debug, Template)]
#[template(path = "auto-sync-cell.html")]
pub(crate) struct AutoSync {
    pub(crate) shell: Shell,
    pub(crate) source: SourceRow,
    pub(crate) manage: bool,
}

/// A type one can add.
#[derive(Debug)]
pub(crate) struct KindCard {
    pub(crate) value: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) chosen: bool,
}

/// Adds one.
#[derive(Debug, Template)]
#[template(path = "source-new.html")]
pub(crate) struct NewSource {
    pub(crate) shell: Shell,
    pub(crate) kinds: Vec<KindCard>,
    pub(crate) name: Field,
    pub(crate) url: Field,
    pub(crate) show_url: bool,
    pub(crate) exclude_empty: bool,
    pub(crate) error: String,
}

/// Changes one.
#[derive(Debug, Template)]
#[template(path = "source-edit.html")]
pub(crate) struct EditSource {
    pub(crate) shell: Shell,
    pub(crate) source: SourceRow,
    pub(crate) name: Field,
    pub(crate) url: Option<Field>,
    pub(crate) exclude_empty: bool,
    pub(crate) error: String,
}

/// Asks before one is deleted.
#[derive(Debug, Template)]
#[template(path = "source-delete.html")]
pub(crate) struct DeleteSource {
    pub(crate) shell: Shell,
    pub(crate) source: SourceRow,
}

/// One source.
#[derive(Debug, Template)]
#[template(path = "source.html")]
pub(crate) struct SourcePage {
    pub(crate) shell: Shell,
    pub(crate) source: SourceRow,
    /// A token that was just made: shown this once.
    pub(crate) token: Option<NewToken>,
    /// Whether the page looks again by itself.
    pub(crate) live: bool,
    pub(crate) collectors: Vec<CollectorRow>,
    pub(crate) tokens: Vec<TokenRow>,
    pub(crate) import: ImportForm,
    pub(crate) manage: bool,
    pub(crate) may_import: bool,
}

/// A registration token in clear.
#[derive(Debug)]
pub(crate) struct NewToken {
    pub(crate) secret: String,
    pub(crate) command: String,
    pub(crate) expires: When,
}

/// A token that was made before.
#[derive(Debug)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) created: When,
    pub(crate) by: String,
    /// `Expires`, `Expired`, `Used by edge-1`.
    pub(crate) state: String,
    pub(crate) until: Option<When>,
    pub(crate) revocable: bool,
}

/// A collector that registered.
#[derive(Debug)]
pub(crate) struct CollectorRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) address: String,
    pub(crate) revoked: bool,
    pub(crate) heartbeat: Option<When>,
    pub(crate) skew: String,
    pub(crate) hosts: u64,
    pub(crate) waiting: u64,
    pub(crate) pending: u64,
    pub(crate) oldest: String,
    pub(crate) error: String,
}

/// The form that takes a document.
#[derive(Debug, Default)]
pub(crate) struct ImportForm {
    pub(crate) text: String,
    pub(crate) name: Field,
    pub(crate) base_url: Field,
    pub(crate) limit: String,
    pub(crate) error: String,
    /// Lines around the one that is wrong: number, text, whether it is the one.
    pub(crate) excerpt: Vec<(u64, String, bool)>,
}
