//! The inventory: APIs, what sources say of them, and what people decide.
//!
//! In: documents from collectors and uploads, and decisions – link, hide, rename, move. Out: discovery and catalog, operations,
//! revisions and what changed between them, drift, targets, and the numbers of the overview. An API is what stands at one base
//! URL; each source's view of it is a definition, observed or documented. It never fetches what a document refers to.

mod api;
mod api_list;
mod base_url;
mod brought;
mod columns;
mod comparison;
mod definition;
mod document;
mod drift;
mod history;
mod link;
mod operation;
mod overview;
mod provenance;
mod pushed;
mod retention;
mod revision;
mod seen;
mod target;

pub(crate) use api::known;
pub use api::{
    Api, DriftCounts, LinkedTarget, Provenance, SeverityCounts, delete as delete_api, get as api,
    rename as rename_api, set_hidden,
};
pub use api_list::{ApiFilter, ApiSort, DriftFilter, hosts, list as apis};
pub use base_url::{BaseUrl, BaseUrlError, Scheme};
pub(crate) use brought::{Name, NewDocument, keep_document};
pub use comparison::{Change, Comparison, compare as compare_revisions, compare_texts};
pub use definition::{
    Definition, DefinitionKind, Join, delete as delete_definition, get as definition,
    list as definitions, move_to as move_definition,
};
pub use document::{DEFAULT_MAX_BYTES, DescribedOperation, Document, Format, Warning};
pub(crate) use document::{apart, read as read_document};
pub use drift::{Drift, DriftClass, catch_up as catch_up_drift, list as drift};
pub use link::{MAX_APIS, create_targets, link, propose as propose_target, unlink};
pub use operation::{
    Mention, Operation, OperationFilter, OperationSort, get as operation, list as operations,
    seen_between,
};
pub use overview::{Found, Overview, Span, found, overview, waiting};
pub use pushed::{AcceptRevision, Accepted, accept as accept_revision};
pub use retention::Thinning;
pub use revision::{
    Revision, RevisionsOf, get as revision, list as revisions, text_of as document_of,
};
pub use seen::{
    Caller, CallerKind, Seen, SeenCaller, SeenOperation, callers, report as report_seen,
};
pub use target::{
    Target, TargetSort, create as create_target, delete as delete_target, edit as edit_target,
    fitting as fitting_targets, get as target, list as targets,
};
