//! The OpenAPI document: in, folded templates and counts; out, a document as JSON or YAML.
//!
//! Emission is a pure function; it never changes a model and never writes a value of the traffic that is no constant path
//! word and no member of a closed vocabulary.

mod base;
mod bodies;
mod components;
mod elements;
mod emit;
mod entities;
mod media;
mod names;
mod observed;
mod operation;
mod parameters;
mod phrase;
mod places;
mod recursion;
mod resources;
mod responses;
mod roles;
mod schema;
mod security;
mod template;
mod union;
mod vocabulary;
mod wording;

pub(crate) use emit::emit;
pub(crate) use places::operations;
pub(crate) use template::written;

use crate::noise::Noise;
use crate::rules::Rules;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which OpenAPI version a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OpenApi {
    /// OpenAPI 3.0.3.
    V30,
    /// OpenAPI 3.1.0 (JSON Schema 2020-12).
    #[default]
    V31,
}

/// How to emit a document.
#[derive(Clone, Debug)]
pub struct DocumentOptions {
    /// The version to write. Default 3.1.0.
    pub openapi: OpenApi,
    /// How many operations make a document worth passing on, see [`Document::is_sufficient`]. Default 3.
    pub min_operations: usize,
    /// What operators know better. Default none.
    pub rules: Arc<Rules>,
    /// What time it is, Unix milliseconds. Default none: nothing is stale.
    pub now_unix_millis: Option<u64>,
    /// Operations without a success for so many milliseconds are marked `stale`. Default none: never.
    pub stale_after: Option<u64>,
    /// Operations without a success for so many milliseconds are left out of the document. The model keeps what it knows of them,
    /// see [`crate::Model::forget`]. Default none: never.
    pub drop_after: Option<u64>,
}

impl DocumentOptions {
    /// Whether `last_success` is longer ago than `after`.
    fn is_past(&self, last_success: u64, after: Option<u64>) -> bool {
        let age = self
            .now_unix_millis
            .map(|now| now.saturating_sub(last_success));
        age.zip(after).is_some_and(|(age, after)| age > after)
    }
}

impl Default for DocumentOptions {
    fn default() -> Self {
        DocumentOptions {
            openapi: OpenApi::V31,
            min_operations: 3,
            rules: Arc::default(),
            now_unix_millis: None,
            stale_after: None,
            drop_after: None,
        }
    }
}

/// One operation of a document, for tables and pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationSummary {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole path template, the base path in the document's `servers` included, e.g. `/v1/books/{bookId}`.
    pub path: String,
    /// The document's `operationId`.
    pub operation_id: String,
    /// How often it was called, errors included.
    pub calls: u64,
    /// How many of the calls were answered with 400 or above.
    pub errors: u64,
    /// Start of the first call, Unix milliseconds.
    pub first_seen: u64,
    /// Start of the last call, Unix milliseconds.
    pub last_seen: u64,
    /// Whether it had no success for [`DocumentOptions::stale_after`].
    pub stale: bool,
    /// The status codes seen, ascending.
    pub statuses: Vec<u16>,
}

/// An OpenAPI document.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) root: Value,
    pub(crate) operations: Vec<OperationSummary>,
    pub(crate) sufficient: bool,
    pub(crate) left_out: BTreeMap<Noise, u64>,
}

impl Document {
    /// The document as indented JSON with a final line feed; keys in a stable order.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", self.root)
    }

    /// The document as YAML 1.2, same keys in the same order.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(&self.root).unwrap_or_default()
    }

    /// The operations in the order of the document: the more concrete path first, then by method.
    pub fn operations(&self) -> &[OperationSummary] {
        &self.operations
    }

    /// Exchanges left out because they are no calls of an API, by reason; only reasons that occurred.
    pub fn left_out(&self) -> &BTreeMap<Noise, u64> {
        &self.left_out
    }

    /// Whether it has at least [`DocumentOptions::min_operations`] operations.
    pub fn is_sufficient(&self) -> bool {
        self.sufficient
    }

    /// The document as a JSON tree.
    pub fn as_value(&self) -> &Value {
        &self.root
    }
}
