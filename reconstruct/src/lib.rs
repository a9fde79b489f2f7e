//! Observed HTTP exchanges → a bounded model → an OpenAPI document.
//!
//! In: [`Observation`]s of one host, in any order, from any number of shims. Out: [`Model::document`], an OpenAPI 3.0.3 or
//! 3.1.0 document of the operations that were really called, and [`Model::summary`]. Models of the same host merge.
//!
//! It never does I/O, never reads a clock or a random number, never keeps more than its [`Limits`] allow, and never lets a
//! value out of the traffic into a document unless it is a constant path word or a member of a closed vocabulary.
//! Nothing here panics on what a client or a server sent.
//!
//! A path is decided late: the model keeps what was seen, and only the emission of a document decides which segments are
//! parameters. See "Reconstruction" in ARCHITECTURE.md.

#![forbid(unsafe_code)]

mod address;
mod affixes;
mod arguments;
mod body;
mod bounded;
mod class;
mod cluster;
mod codes;
mod credentials;
mod discriminator;
mod document;
mod doubtful;
mod endings;
mod evidence;
mod explain;
mod fold;
mod format;
mod forms;
mod graphql;
mod groups;
mod headers;
mod host;
mod json;
mod judgement;
mod kept;
mod keys;
mod latency;
mod lexicon;
mod likeness;
mod looks;
mod model;
mod name;
mod noise;
mod notes;
mod observation;
mod parameter;
mod part;
mod pattern;
mod place;
mod procedures;
mod rank;
mod rules;
mod shape;
mod sorted;
mod strings;
mod table;
mod tokens;
mod tree;
mod tuple;
mod verdict;
mod words;
mod xml;

pub use document::{Document, DocumentOptions, OpenApi, OperationSummary};
pub use explain::{Counts, Explanation, Piece, Reason, Step, Weighed};
pub use host::{HostError, HostName};
pub use model::{Limits, Model, ModelError, Outcome, Summary};
pub use noise::Noise;
pub use observation::{Body, Message, Observation};
pub use rules::{RuleError, Rules};
