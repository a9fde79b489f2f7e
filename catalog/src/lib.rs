//! The catalog: where discovered APIs become known ones.
//!
//! In: revisions of documents from collectors, uploads, scanners' reports, and what people decide. Out: an inventory – discovery,
//! catalog, targets, drift, findings – as web pages and a REST API. It knows no telemetry: what reaches it are documents.
//!
//! Every operation is done by an [`access::Actor`] in one organisation: it asks for the permission, sees nothing of other
//! organisations, and what it changes is in the audit log in the same transaction. Never fetches what a document refers to, never
//! calls an API it knows of.

pub mod access;
pub mod app;
pub mod audit;
pub mod bodies;
pub mod cli;
pub mod config;
pub mod hash;
pub mod ids;
pub mod imports;
pub mod inventory;
pub mod metrics;
pub mod problems;
pub mod random;
mod refusal;
pub mod rest;
pub mod scans;
pub mod serve;
pub mod sources;
pub mod store;
mod time;
pub mod web;

pub use refusal::Refusal;
pub use time::Millis;
