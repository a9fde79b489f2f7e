//! What the collector and the catalog have at their edges.
//!
//! In: sockets, PEM files, and settings as operators write them. Out: a [`listen::Listener`] that bounds what a client can take,
//! TLS that follows renewed certificates, refusals counted by reason, [`quantity::Size`]s and [`quantity::Span`]s, and private
//! directories. It knows nothing of what is served: it is a crate of its own because two services stand on it that meet only over HTTP.

pub mod directory;
pub mod listen;
pub mod quantity;
pub mod refusals;
pub mod tls;
