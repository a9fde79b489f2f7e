//! The wire contract between capture shims and the collector: the messages of `silhouette.telemetry.v1` and, with the
//! feature `grpc`, the tonic client and server of its `TelemetryService`.
//!
//! In: nothing. Out: types that prost encodes and decodes. The bindings under `gen/` are generated from
//! `proto/silhouette/telemetry/v1/telemetry.proto` and committed; a test fails when they drift, and
//! `SILHOUETTE_UPDATE_GENERATED=1 cargo test -p silhouette-proto` rewrites them.
//!
//! This crate never interprets a message, never redacts, and never does I/O.

/// `silhouette.telemetry.v1`: exchanges, batches and their acknowledgement.
pub mod telemetry {
    /// Version 1 of the contract. Fields are added, never changed.
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        include!("gen/silhouette.telemetry.v1.rs");
    }
}
