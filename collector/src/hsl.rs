//! Records of F5 BIG-IPs: what the iRule sends by HSL (high speed logging), over TCP, TLS and UDP.
//!
//! In: connections, each a stream of signed lines, one exchange in each. Out: a batch per record to the writer, and who sent what, what is
//! missing and what was refused. HSL has no acknowledgement, so nothing can be asked for again: what arrived is kept until it is
//! durable, while the disk refuses nothing more is read, and what never arrived is counted by the gaps it leaves.
//!
//! Nothing is taken without the signature of a key that is in force. Whoever has none costs a line's memory per connection and a few
//! signatures per line; nothing of what they sent is kept or logged.

pub mod body;
pub mod exchange;
pub mod gaps;
pub mod head;
pub mod keys;
pub mod listener;
pub mod reader;
pub mod record;
pub mod refused;
pub mod service;
