//! The collector: takes telemetry from capture shims, keeps it durable, learns, and serves an OpenAPI document per host.
//!
//! In: batches of exchanges over gRPC and gRPC-Web, or a recording. Out: acknowledgements that mean durable, documents,
//! metrics, a live page. It never acknowledges what is not on disk, never counts a batch twice, never holds more in
//! memory than its settings allow, and never contacts anybody but the catalog it was registered with.

pub mod admin;
pub mod budget;
pub mod callers;
pub mod check;
pub mod cli;
pub mod config;
pub mod decode;
pub mod described;
pub mod diff;
pub mod emission;
pub mod envelope;
pub mod explain;
pub mod findings;
pub mod forward;
pub mod gate;
pub mod har;
pub mod hosts;
pub mod hsl;
pub mod ingest;
pub mod journal;
pub mod learn;
pub mod learners;
pub mod metrics;
pub mod private_file;
pub mod rules;
pub mod serve;
pub mod shims;
pub mod stdout;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod windows;
pub mod writer;

/// The time, for everything that is not given one: Unix milliseconds.
pub fn unix_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
