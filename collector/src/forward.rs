//! Forwarding to the catalog.

pub mod backoff;
pub mod client;
pub mod contract;
pub mod outbox;
pub mod protocol;
pub mod registration;
