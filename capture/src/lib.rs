//! What every capture shim does, whatever its gateway: decide by a [`Policy`] what is captured, record one exchange
//! with a [`Recorder`], redact it, and hand it in batches to the collector through an [`Outbox`].
//!
//! In: plain values – bytes, addresses, times, a seed. Out: [`Sealed`] exchanges and encoded `ExportRequest`s of
//! `silhouette.telemetry.v1`, or a [`Skip`] or [`DropReason`] that is counted.
//!
//! It never opens a socket, reads a clock, starts a thread or draws a random number; never waits; never keeps more of a
//! message than its caps; and never panics, whatever the bytes: a shim runs inside somebody's gateway. A [`Sealed`] can
//! only come from [`Recorder::finish`], which redacts, and an outbox takes nothing else, so that what the policy wants
//! redacted cannot leave by mistake.
//!
//! The same code and the same test vectors run natively and on both wasm targets.
#![forbid(unsafe_code)]
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

mod body;
mod coding;
mod counters;
mod exchange;
pub mod grpc_web;
mod head;
mod jitter;
mod notices;
mod outbox;
mod pack;
mod pattern;
mod policy;
mod recorder;
mod redact;
pub mod reply;
mod sampler;
mod settings;
mod steady;
mod wire;

pub use counters::{Counters, DropReason, Skip};
pub use exchange::{Clock, End, Gateway, Peers, RequestHead, Tls};
pub use notices::{Notice, Notices};
pub use outbox::{Identity, OutBatch, Outbox, OutboxLimits};
pub use pack::Pack;
pub use policy::{Collector, Policy};
pub use recorder::{Recorder, Sealed};
pub use sampler::Sampler;
pub use settings::{Setting, SettingError, Settings};
pub use steady::SteadyClock;

/// The redaction functions by themselves, for fuzzing and for measuring. A shim never needs them: [`Recorder`] calls them.
#[doc(hidden)]
pub mod redaction {
    pub use crate::redact::{Format, Redaction};
}
