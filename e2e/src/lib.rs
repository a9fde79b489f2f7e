//! What the tests that cross parts stand on: a real nginx with the built module, an emulated BIG-IP with the real iRule, a real collector, a real catalog, a collector that
//! records, an origin that answers oddly on demand, a bookshop to try things on, and clients that play with it.
//!
//! In: binaries that are built already (see [`artifacts`]). Out: running processes on loopback, free ports, that are gone
//! when their handle is dropped. Everything here is blocking, so that a test is a plain `#[test]`; what needs a runtime
//! brings its own thread.
//!
//! Never reaches beyond 127.0.0.1, never ends a process that it did not start, never replaces the system under test by
//! something simpler.

pub mod artifacts;
pub mod bigip;
pub mod bookshop;
pub mod browser;
pub mod calls;
pub mod catalog;
pub mod collector;
pub mod curl;
pub mod envoy;
pub mod estate;
pub mod exchange;
pub mod flood;
pub mod logpool;
pub mod matrix;
pub mod nginx;
pub mod origin;
pub mod play;
pub mod process;
pub mod recording;
pub mod rest;
pub mod tls;
pub mod visitor;
pub mod workerd;
pub mod zone;

pub use bigip::BigIp;
pub use catalog::Catalog;
pub use collector::Collector;
pub use curl::{Answer, curl};
pub use envoy::Envoy;
pub use flood::flood;
pub use logpool::LogPool;
pub use nginx::Nginx;
pub use origin::Origin;
pub use recording::Recording;
pub use rest::Rest;
pub use visitor::Visitor;
pub use workerd::Workerd;
pub use zone::Zone;
