//! Exchanges that are being recorded: between their request's head and their end.
//!
//! In: numbers of exchanges and what was seen of them. Out: recorders that are done. Bounded in number, in the bytes of bodies and in
//! age: Cloudflare may end the JavaScript that records one at any moment, and then nobody ends it here.

use std::collections::BTreeMap;

use silhouette_capture::Recorder;

use crate::edge::Edge;

const MOST: usize = 4096;
/// JavaScript stops watching a body after at most 28 s, and Cloudflare ends it 30 s after the response.
const ABANDONED: u64 = 90_000_000_000;

/// One of them.
pub(crate) struct Recording {
    pub(crate) recorder: Recorder,
    pub(crate) edge: Edge,
    began: u64,
    /// Bytes of its bodies that are here.
    held: usize,
}

/// See the module's documentation.
pub(crate) struct Exchanges {
    /// Numbers rise, so that the first is the oldest.
    all: BTreeMap<u32, Recording>,
    last: u32,
    most_held: usize,
    held: usize,
}

impl Exchanges {
    /// Together they hold at most so many bytes of bodies.
    pub(crate) fn new(most_held: usize) -> Exchanges {
        Exchanges {
            all: BTreeMap::new(),
            last: 0,
            most_held,
            held: 0,
        }
    }

    /// A new one. It leaves a bit of its number for others.
    pub(crate) fn begin(&mut self, recorder: Recorder, edge: Edge, now: u64) -> u32 {
        self.last = self.last % (u32::MAX >> 1) + 1;
        let recording = Recording {
            recorder,
            edge,
            began: now,
            held: 0,
        };
        self.all.insert(self.last, recording);
        self.last
    }

    /// Gives a chunk of a body to `take`, which says whether more are of use. Not when there is no room for it.
    pub(crate) fn chunk(
        &mut self,
        exchange: u32,
        chunk: &[u8],
        take: impl FnOnce(&mut Recorder, &[u8]) -> bool,
    ) -> bool {
        let Some(recording) = self.all.get_mut(&exchange) else {
            return false;
        };
        if self.held.saturating_add(chunk.len()) > self.most_held {
            return false;
        }
        self.held += chunk.len();
        recording.held += chunk.len();
        take(&mut recording.recorder, chunk)
    }

    pub(crate) fn get_mut(&mut self, exchange: u32) -> Option<&mut Recording> {
        self.all.get_mut(&exchange)
    }

    /// Takes one out.
    pub(crate) fn end(&mut self, exchange: u32) -> Option<Recording> {
        let recording = self.all.remove(&exchange)?;
        self.held = self.held.saturating_sub(recording.held);
        Some(recording)
    }

    /// Takes out one that nobody will end any more, or the oldest of too many.
    pub(crate) fn abandoned(&mut self, now: u64) -> Option<Recording> {
        let (exchange, oldest) = self.all.first_key_value()?;
        let old = now.saturating_sub(oldest.began) > ABANDONED;
        let exchange = *exchange;
        (old || self.all.len() > MOST)
            .then(|| self.end(exchange))
            .flatten()
    }
}
