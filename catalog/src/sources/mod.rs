//! Where definitions come from: traffic that collectors see, uploads, and documents at a URL.
//!
//! In: what people set up, and what collectors report. Out: sources with a status that says what is going on and why. A collector's
//! clock decides nothing here. Deleting a source keeps the APIs it found.

mod collector;
mod fetching;
mod names;
mod registration;
mod source;
mod status;
mod sync;

pub use collector::{
    Beat, Collector, CredentialRefusal, Heard, HostCounts, Outbox, Registered, SyncReport,
    SyncState, authenticate, beat, list as collectors, revoke as revoke_collector,
    rotate as rotate_credential, unregister,
};
pub use fetching::{Fetching, fetch_due};
pub use names::{name, names};
pub use registration::{
    MadeToken, New as NewCollector, Registration, RegistrationRefusal, Token, make as make_token,
    register, revoke as revoke_token, tokens,
};
pub use source::{
    Edit, Filter, Kind, MAX_SOURCES, New, Order, Source, create, delete, edit, get, list,
};
pub use status::{CollectorFacts, Report, SourceFacts, Status, status};
pub use sync::{request as sync, request_due};
