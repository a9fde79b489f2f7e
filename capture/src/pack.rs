//! Exchanges gathered one after another, for a shim whose requests and connection live on different threads.
//!
//! In: [`Sealed`] exchanges. Out: one buffer that [`Outbox::push_pack`](crate::Outbox::push_pack) takes over without a
//! copy. The thread of the requests then hands over one thing per many exchanges, and whatever it allocates for an
//! exchange it frees itself. Like `Sealed`, nothing unredacted can get in.

use crate::recorder::Sealed;
use crate::wire::{put_bytes_always, varint_len};

/// Encoded `exchanges` of a future `ExportRequest`.
#[derive(Default)]
pub struct Pack {
    pub(crate) bytes: Vec<u8>,
    pub(crate) exchanges: u64,
}

impl Pack {
    /// An empty pack that holds so many bytes before it allocates again.
    pub fn with_capacity(bytes: usize) -> Pack {
        Pack {
            bytes: Vec::with_capacity(bytes),
            exchanges: 0,
        }
    }

    /// Appends an exchange.
    pub fn push(&mut self, sealed: &Sealed) {
        put_bytes_always(&mut self.bytes, 3, sealed.as_bytes());
        self.exchanges += 1;
    }

    /// How many bytes an exchange takes in a pack, and counts against `queue_bytes`.
    pub fn weight(sealed: &Sealed) -> usize {
        1 + varint_len(sealed.size() as u64) + sealed.size()
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// How many exchanges.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exchanges == 0
    }
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Pack({} exchanges, {} bytes)",
            self.exchanges,
            self.bytes.len()
        )
    }
}
