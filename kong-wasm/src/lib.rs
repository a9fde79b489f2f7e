//! The capture shim for Kong, Envoy and Istio: one proxy-wasm filter.
//!
//! In: what the gateway shows of requests and responses, call by call, and the filter's configuration. Out: batches of
//! sealed exchanges to the collector, as gRPC-Web calls that the gateway makes; counters as metrics of the gateway.
//!
//! It never holds up or changes a request: every call answers `Continue`, and it imports no function of the host's that sets,
//! adds, removes or answers anything, so that it could not. It never panics, because a panic would answer the client with
//! 500: what can fail gives a `Result` or an `Option`. It calls out from ticks alone, with one call in flight.
//!
//! | module | what it is |
//! |---|---|
//! | [`abi`] | the functions the host calls, and the contexts it calls them for |
//! | [`host`] | the functions of the host's that are called |
//! | [`settings`] | the configuration as JSON |
//! | [`root`] | one configuration in one worker: ticks, the collector's answers |
//! | [`queue`] | what it has: outbox, call in flight, clock |
//! | [`stream`] | one exchange |
//! | [`surroundings`] | what Kong and Envoy know of an exchange, each in its own words |
//! | [`sender`] | the call in flight |
//! | [`metrics`] | counters for the gateway's metrics |
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod abi;
mod host;
mod metrics;
mod queue;
mod root;
mod sender;
mod settings;
mod stream;
mod surroundings;
