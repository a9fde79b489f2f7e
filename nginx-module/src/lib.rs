//! Silhouette's capture shim as a dynamic module for NGINX: `ngx_http_silhouette_module.so`.
//!
//! In: the requests and responses that pass through nginx's workers. Out: redacted, bounded exchanges, streamed to a
//! collector by one thread per worker, and counters of everything that was left out or lost.
//!
//! What is captured and redacted is decided by `silhouette-capture`; this crate shows it nginx's bytes. `module`,
//! `directives`, `hooks`, `request`, `pool` and `log` meet nginx's structures, and `unsafe` is there; `config`,
//! `exchange`, `worker`, `link`, `exporter`, `transport`, `tls`, `counters` and `status` are plain Rust.
//!
//! It fails open: it never delays, changes or refuses a request, makes no system call for one, never waits for the
//! collector, keeps no more than its bounds, catches its own panics, and lets a worker end in time.
#![deny(unsafe_op_in_unsafe_fn)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod config;
mod counters;
mod directives;
mod exchange;
mod exporter;
mod fault;
mod hooks;
mod link;
mod log;
mod module;
mod pool;
mod request;
mod status;
mod tls;
mod transport;
mod worker;
