//! The capture shim for Cloudflare Workers: the core that the Worker's JavaScript calls.
//!
//! In: what the JavaScript saw of requests and responses, variables and the time. Out: batches for the collector as gRPC-Web
//! messages, verdicts, counters, lines for the log.
//!
//! It does no I/O and never waits: fetching, reading bodies and timers are the JavaScript's, which calls it inside `waitUntil`
//! alone, where no client waits. A panic ends this instance and with it what it has buffered, nothing else: the JavaScript goes on
//! with a new one.
//!
//! | module | what it is |
//! |---|---|
//! | [`abi`] | the functions JavaScript calls, and the one it is called by |
//! | [`core`] | one configuration in one isolate: policy, outbox, the call in flight |
//! | [`exchanges`] | exchanges that are being recorded |
//! | [`settings`] | variables of the Worker as settings |
//! | [`edge`] | what Cloudflare knows of a request |
//! | [`status`] | the status route's answer |
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]
#![cfg_attr(not(feature = "fault"), deny(clippy::panic))]

mod abi;
mod core;
mod edge;
mod exchanges;
mod settings;
mod status;
