//! The collector: takes telemetry from capture shims, keeps it durable, learns, and serves an OpenAPI document per host.
//!
//! In: batches of exchanges over gRPC and gRPC-Web, or a recording. Out: acknowledgements that mean durable, documents,
//! metrics, a live page. It never acknowledges what is not on disk, never counts a batch twice, never holds more in
//! memory than its settings allow, and never looks up or contacts anybody.

pub mod cli;
pub mod config;
pub mod decode;
pub mod har;
pub mod learn;
pub mod quantity;
pub mod envelope;
pub mod journal;
pub mod windows;
