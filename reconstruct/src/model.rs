//! What is known of one host: in, observations and other models; out, a document, a summary, bytes.

use crate::document::{Document, DocumentOptions};
use crate::host::HostName;
use crate::noise::Noise;
use crate::observation::Observation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bounds of one host's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The ceiling for [`Model::memory_bytes`]. Default 8 MiB; at least 64 KiB is used.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 8 << 20,
        }
    }
}

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
    #[error("the model is empty; expected a version byte and a body")]
    Empty,
    /// Written by another version.
    #[error("the model has format version {0}; this build reads version {1}")]
    Version(u8, u8),
    /// Damaged.
    #[error("the model is damaged: {0}")]
    Damaged(String),
}

/// The model of one host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    limits: Limits,
    exchanges: u64,
    left_out: BTreeMap<Noise, u64>,
    seen: Option<(u64, u64)>,
}

const FORMAT: u8 = 1;

impl Model {
    /// A model that has seen nothing.
    pub fn new(limits: Limits) -> Model {
        Model {
            limits,
            exchanges: 0,
            left_out: BTreeMap::new(),
            seen: None,
        }
    }

    /// Folds one observation in.
    pub fn observe(&mut self, o: &Observation<'_>) -> Outcome {
        self.exchanges += 1;
        let (first, last) = self.seen.unwrap_or((o.unix_millis, o.unix_millis));
        self.seen = Some((first.min(o.unix_millis), last.max(o.unix_millis)));
        match Noise::of(o) {
            Some(noise) => {
                *self.left_out.entry(noise).or_default() += 1;
                Outcome::LeftOut(noise)
            }
            None => Outcome::Learnt,
        }
    }

    /// Folds another model of the same host in. The smaller limits hold from then on.
    pub fn merge(&mut self, other: Model) {
        self.exchanges += other.exchanges;
        for (noise, count) in other.left_out {
            *self.left_out.entry(noise).or_default() += count;
        }
    }

    /// Emits the document. A pure function of the model, the host and the options.
    pub fn document(&self, host: &HostName, options: &DocumentOptions) -> Document {
        let root = serde_json::json!({"openapi": "3.1.0", "info": {"title": host.as_str(), "version": "1"}, "paths": {}});
        Document {
            root,
            operations: Vec::new(),
            sufficient: options.min_operations == 0,
        }
    }

    /// Counts. Counting operations folds the tree, as emission does.
    pub fn summary(&self) -> Summary {
        Summary {
            exchanges: self.exchanges,
            left_out: self.left_out.clone(),
            first_seen: self.seen.map(|s| s.0),
            last_seen: self.seen.map(|s| s.1),
            operations: 0,
        }
    }

    /// An upper estimate of the memory held.
    pub fn memory_bytes(&self) -> usize {
        std::mem::size_of::<Model>()
    }

    /// The model as bytes, led by a format version.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend(postcard::to_stdvec(self).unwrap_or_default());
        out
    }

    /// Reads what [`Model::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
        let (version, body) = bytes.split_first().ok_or(ModelError::Empty)?;
        if *version != FORMAT {
            return Err(ModelError::Version(*version, FORMAT));
        }
        postcard::from_bytes(body).map_err(|e| ModelError::Damaged(e.to_string()))
    }
}
