//! What is known of one host: in, observations and other models; out, a document, a summary, bytes.
//!
//! It never grows beyond its limits and never depends on the order in which it learnt.

use crate::bounded::{Entry, Seen};
use crate::document::{self, Document, DocumentOptions};
use crate::explain::{self, Explanation};
use crate::fold::{self, Folded};
use crate::host::HostName;
use crate::noise::Noise;
use crate::observation::Observation;
use crate::rules::Rules;
use crate::tree::{LEAST, Method, Node, segments};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Bounds of one host's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The ceiling for [`Model::memory_bytes`]. Default 16 MiB; less than 3 MiB counts as 3 MiB.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 16 << 20,
        }
    }
}

/// The least ceiling that leaves room for a tree of the deepest paths.
const LEAST_MEMORY: usize = 3 << 20;

/// What became of an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the model.
    Learnt,
    /// It was counted under this reason and is in no document.
    LeftOut(Noise),
}

/// Counts of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Everything observed.
    pub exchanges: u64,
    /// Exchanges left out, by reason; only reasons that occurred.
    pub left_out: BTreeMap<Noise, u64>,
    /// Start of the first exchange, Unix milliseconds.
    pub first_seen: Option<u64>,
    /// Start of the last exchange, Unix milliseconds.
    pub last_seen: Option<u64>,
    /// How many operations a document emitted now would have.
    pub operations: usize,
}

/// Why bytes are no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Nothing there.
    #[error("the model has {0} bytes; expected a version byte, a checksum of 8 bytes and a body")]
    TooShort(usize),
    /// Written by another version.
    #[error("the model has format version {0}; this build reads version {1}")]
    Version(u8, u8),
    /// The checksum does not fit.
    #[error("the model is damaged: its checksum is {found}, expected {expected}")]
    Checksum {
        /// Of the bytes there are.
        found: String,
        /// As it was written.
        expected: String,
    },
    /// The checksum fits and the body does not.
    #[error("the model is damaged: {0}")]
    Damaged(String),
}

/// Counts over a whole host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub exchanges: u64,
    pub left_out: BTreeMap<Noise, u64>,
    pub seen: Option<(u64, u64)>,
    pub schemes: BTreeSet<String>,
    /// Methods gRPC calls named.
    pub grpc: Seen,
}

/// The model of one host.
#[derive(Clone, Debug)]
pub struct Model {
    limits: Limits,
    /// What the trees may charge; computed from the limits.
    caps: [u32; 3],
    /// Operations that do not rest. No part of what is known.
    ready: usize,
    state: State,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    counts: Counts,
    /// Paths at which something succeeded.
    succeeded: Node,
    /// Everything else: it can add responses to what succeeded, and fill up without harming it.
    failed: Node,
    /// Pages and pictures that succeeded: operations where they stand below a value of the API.
    doubtful: Node,
    /// Values of identifying members in bodies.
    identities: Seen,
}

const FORMAT: u8 = 3;

impl Model {
    /// A model that has seen nothing.
    pub fn new(limits: Limits) -> Model {
        let caps = caps(&limits);
        Model {
            limits,
            caps,
            ready: 0,
            state: State::default(),
        }
    }

    /// Folds one observation in.
    pub fn observe(&mut self, o: &Observation<'_>) -> Outcome {
        let State {
            counts,
            succeeded,
            failed,
            doubtful,
            identities,
        } = &mut self.state;
        counts.exchanges += 1;
        counts.see(o.unix_millis, o.unix_millis);
        let noise = Noise::of(o);
        let good = o.status == 101 || (200..=299).contains(&o.status);
        let Some(method) = Method::parse(o.method).filter(|_| noise.is_none()) else {
            let noise = noise.unwrap_or(Noise::Method);
            *counts.left_out.entry(noise).or_default() += 1;
            if noise == Noise::Grpc {
                counts.grpc.add(o.path);
            }
            if let Some(method) = Method::parse(o.method).filter(|_| good && noise.is_doubtful(o)) {
                let cap = self.caps[2];
                let seen = &mut Seen::default();
                self.ready += usize::from(doubtful.learn(method, &segments(o.path), cap, o, seen));
            }
            return Outcome::LeftOut(noise);
        };
        if matches!(o.scheme, "http" | "https" | "ws" | "wss") && !counts.schemes.contains(o.scheme)
        {
            counts.schemes.insert(o.scheme.to_owned());
        }
        let path = segments(o.path);
        let (tree, cap) = if good {
            (succeeded, self.caps[0])
        } else {
            (failed, self.caps[1])
        };
        self.ready += usize::from(tree.learn(method, &path, cap, o, identities));
        Outcome::Learnt
    }

    /// Folds another model of the same host in. The smaller limits hold from then on.
    pub fn merge(&mut self, other: Model) {
        if other.limits.memory_bytes < self.limits.memory_bytes {
            self.limits = other.limits;
            self.caps = caps(&self.limits);
        }
        // What is merged was made ready; how much of it is the same is not worth counting.
        self.ready += other.ready;
        let (mine, theirs) = (&mut self.state, other.state);
        mine.counts.merge(theirs.counts);
        mine.succeeded.merge(theirs.succeeded);
        mine.failed.merge(theirs.failed);
        mine.doubtful.merge(theirs.doubtful);
        mine.succeeded.bind(self.caps[0]);
        mine.failed.bind(self.caps[1]);
        mine.doubtful.bind(self.caps[2]);
        mine.identities.merge(theirs.identities);
    }

    /// Drops the evidence of operations last called before that time, so that its memory is free for others. Returns how many
    /// went, counting what succeeded and what failed at a place apart. Counts of the host stay.
    ///
    /// What is left is a model like any other, and learns and merges under the same laws; but it is no longer the model of all
    /// traffic: what was dropped is unknown from then on, and models that forgot at different times merge to what either remembers.
    pub fn forget(&mut self, before_unix_millis: u64) -> u64 {
        self.state.doubtful.forget(before_unix_millis);
        self.state.succeeded.forget(before_unix_millis)
            + self.state.failed.forget(before_unix_millis)
    }

    /// Lets operations rest that were not called since this was last called: one at rest takes about a third of the memory, and its
    /// next call a little longer. Nothing else changes by it, neither what is learnt nor what is emitted. For a collector to call now
    /// and then; a model just read from bytes rests as a whole.
    pub fn rest(&mut self) {
        self.ready = [
            &mut self.state.succeeded,
            &mut self.state.failed,
            &mut self.state.doubtful,
        ]
        .map(Node::rest)
        .iter()
        .sum();
    }

    /// How many operations learnt since they last rested, what succeeded, what failed and what is a page at a place apart.
    /// [`Model::rest`] brings it down.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Emits the document. A pure function of the model, the host and the options.
    pub fn document(&self, host: &HostName, options: &DocumentOptions) -> Document {
        let folded = self.folded(&options.rules);
        document::emit(&folded, &self.state.counts, host, options)
    }

    /// Why the path of a call became the template it is in the document, and what is known of the operation.
    pub fn explain(&self, method: &str, path: &str, options: &DocumentOptions) -> Explanation {
        explain::explain(&self.folded(&options.rules), method, path)
    }

    fn folded(&self, rules: &Rules) -> Folded {
        fold::fold(
            &self.state.succeeded.awake(),
            &self.state.failed.awake(),
            &self.state.doubtful.awake(),
            &self.state.identities,
            rules.start(),
        )
    }

    /// Counts. Counting the operations decides about every path, as emitting a document does: not for every exchange.
    pub fn summary(&self, options: &DocumentOptions) -> Summary {
        let counts = &self.state.counts;
        let folded = self.folded(&options.rules);
        Summary {
            exchanges: counts.exchanges,
            left_out: folded.left_out(&counts.left_out),
            first_seen: counts.seen.map(|s| s.0),
            last_seen: counts.seen.map(|s| s.1),
            operations: document::operations(&folded, options),
        }
    }

    /// The memory held, by walking it: bytes of values, capacities and texts, without the allocator's overhead.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Model>()
            + self.state.succeeded.heap()
            + self.state.failed.heap()
            + self.state.doubtful.heap()
            + self.state.identities.heap()
            + self.state.counts.grpc.heap()
    }

    /// The model as bytes: a format version, a checksum, the state.
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = postcard::to_stdvec(&(&self.limits, &self.state)).unwrap_or_default();
        let mut out = Vec::with_capacity(body.len() + 9);
        out.push(FORMAT);
        out.extend_from_slice(&checksum(&body));
        out.extend_from_slice(&body);
        out
    }

    /// Reads what [`Model::to_bytes`] wrote. Damaged bytes are refused by their checksum before anything is built.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
        let (Some(&version), Some(expected), Some(body)) =
            (bytes.first(), bytes.get(1..9), bytes.get(9..))
        else {
            return Err(ModelError::TooShort(bytes.len()));
        };
        if version != FORMAT {
            return Err(ModelError::Version(version, FORMAT));
        }
        let found = checksum(body);
        if found != expected {
            return Err(ModelError::Checksum {
                found: hex(&found),
                expected: hex(expected),
            });
        }
        let (limits, state): (Limits, State) =
            postcard::from_bytes(body).map_err(|e| ModelError::Damaged(e.to_string()))?;
        Ok(Model {
            caps: caps(&limits),
            limits,
            ready: 0,
            state,
        })
    }
}

/// Charges leave out small vocabularies and the allocator, so the trees get three quarters of the ceiling between them. Most of
/// that is for what succeeded: what failed only adds responses, and those are small; pages and pictures that belong to an
/// API are few.
fn caps(limits: &Limits) -> [u32; 3] {
    let room = (limits.memory_bytes.max(LEAST_MEMORY) / 4 * 3).min(1 << 30) as u32;
    [room / 16 * 11, room / 4, room / 16].map(|cap| cap.max(LEAST))
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    for (to, from) in out.iter_mut().zip(Sha256::digest(body)) {
        *to = from;
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Counts {
    fn see(&mut self, first: u64, last: u64) {
        let seen = self.seen.get_or_insert((first, last));
        *seen = (seen.0.min(first), seen.1.max(last));
    }

    fn merge(&mut self, other: Counts) {
        self.exchanges += other.exchanges;
        for (noise, n) in other.left_out {
            *self.left_out.entry(noise).or_default() += n;
        }
        if let Some((first, last)) = other.seen {
            self.see(first, last);
        }
        self.schemes.extend(other.schemes);
        self.grpc.merge(other.grpc);
    }
}
