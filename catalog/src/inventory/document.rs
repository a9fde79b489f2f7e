//! Documents: what one says of an API, and the text of it, kept once.
//!
//! In: bytes from a collector, an upload or a fetch. Out: the facts the inventory is made of, and the text compressed under its
//! hash. Reading happens on threads of its own and in bounded memory, never inside a transaction. What a document refers to
//! outside of itself is never fetched.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::json;
use silhouette_openapi::{Description, ReadError, Template};
use sqlx::{AnyConnection, Row as _};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::base_url::BaseUrl;
use crate::store::Store;
use crate::{Millis, Refusal};

/// The largest document that is taken unless a setting says otherwise: 16 MiB, above nearly all published ones.
pub const DEFAULT_MAX_BYTES: u64 = 16 << 20;
/// Operations of one document; the rest is left out with a warning.
const MAX_OPERATIONS: usize = 20_000;
/// The longest path and operation id, in bytes: PostgreSQL indexes no longer rows.
const MAX_PATH: usize = 1_000;
/// The longest title and summary, in characters.
const MAX_TEXT: usize = 300;
/// Warnings that are kept of one document.
const MAX_WARNINGS: usize = 200;
/// Bytes of text that are taken apart at one time: a tree takes several times its text.
const READING: usize = 32 << 20;

/// What is odd about a document that was taken all the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Warning {
    /// Where: a JSON pointer (RFC 6901), or empty where only the line is known.
    pub pointer: String,
    /// From 1.
    pub line: u32,
    /// What is there, and what would be right.
    pub message: String,
}

/// An operation as a document has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedOperation {
    /// `GET`.
    pub method: String,
    /// The whole path template, base path included.
    pub path: String,
    /// The path without the names of its parameters.
    pub shape: String,
    /// `operationId`, or empty.
    pub name: String,
    /// `summary`, or empty.
    pub summary: String,
    /// Whether it should no longer be called.
    pub deprecated: bool,
    /// How often it was called, as the collector counts.
    pub calls: Option<u64>,
    /// The first call.
    pub seen_first_at: Option<Millis>,
    /// The last call.
    pub seen_last_at: Option<Millis>,
}

/// A document that was read.
#[derive(Debug)]
pub struct Document {
    /// SHA-256 of the text, hexadecimal.
    pub hash: String,
    /// Bytes of the text.
    pub size: u64,
    /// The text, gzip.
    pub body: Vec<u8>,
    /// `OpenAPI 3.1`, `Swagger 2.0`.
    pub specification: String,
    /// `info.title`, or empty.
    pub title: String,
    /// `info.version`, or empty.
    pub api_version: String,
    /// Its first absolute server.
    pub base_url: Option<BaseUrl>,
    /// Base path of its first server, where that is relative.
    pub relative_base: String,
    /// Its operations, each method and path once.
    pub operations: Vec<DescribedOperation>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
}

impl Document {
    /// Reads one. Takes time in proportion to the text; call [`read`] from async code.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], and [`Refusal::Invalid`] with line, column and reason for what is no OpenAPI document.
    pub fn parse(text: &[u8], limit: u64, field: &'static str) -> Result<Document, Refusal> {
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if size > limit {
            return Err(Refusal::TooLarge {
                what: "the document",
                size,
                limit,
            });
        }
        let plain = plain(text, field)?;
        let description =
            Description::read(plain).map_err(|error| Refusal::invalid(field, shown(&error)))?;
        let mut document = Document {
            hash: crate::hash::sha256(text),
            size,
            body: pack(text),
            specification: description.version().to_string(),
            title: clean(description.title(), MAX_TEXT),
            api_version: clean(description.api_version(), 100),
            base_url: None,
            relative_base: String::new(),
            operations: Vec::new(),
            warnings: Vec::new(),
        };
        document.base_url = absolute(&description);
        document.relative_base = relative(&description);
        document.read_operations(&description);
        for problem in description.problems() {
            document.warn(&problem.pointer, problem.line, problem.message.clone());
        }
        let more = description.more_problems();
        if more > 0 {
            document.warn("", 1, format!("{more} more problems are not listed"));
        }
        Ok(document)
    }

    fn warn(&mut self, pointer: &str, line: u32, message: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(Warning {
                pointer: clean(pointer, MAX_TEXT),
                line,
                message: clean(&message, 2 * MAX_TEXT),
            });
        }
    }

    fn read_operations(&mut self, description: &Description) {
        let mut all: BTreeMap<(String, String), DescribedOperation> = BTreeMap::new();
        for operation in description.operations() {
            let path = operation.whole_path();
            let pointer = operation.pointer.as_str();
            if path.len() > MAX_PATH || path.contains('\0') {
                let message = format!(
                    "the path has {} bytes; at most {MAX_PATH} are kept, without U+0000: it is left out",
                    path.len()
                );
                self.warn(pointer, description.line(pointer), message);
                continue;
            }
            if all.len() >= MAX_OPERATIONS {
                self.warn(
                    "/paths",
                    description.line("/paths"),
                    format!(
                        "there are {} operations; the first {MAX_OPERATIONS} are listed",
                        description.operations().len()
                    ),
                );
                break;
            }
            let base = operation.bases.first().map_or("", String::as_str);
            let seen = operation.seen.as_ref();
            let at = |text: Option<&String>| text.and_then(|text| Millis::parse(text));
            let kept = DescribedOperation {
                method: operation.method.clone(),
                shape: operation.template.below(base).shape(),
                path,
                name: clean(operation.id.as_deref().unwrap_or_default(), MAX_TEXT),
                summary: clean(&operation.summary, MAX_TEXT),
                deprecated: operation.deprecated,
                calls: seen.map(|seen| seen.calls),
                seen_first_at: at(seen.and_then(|seen| seen.first.as_ref())),
                seen_last_at: at(seen.and_then(|seen| seen.last.as_ref())),
            };
            all.entry((kept.method.clone(), kept.path.clone()))
                .or_insert(kept);
        }
        self.operations = all.into_values().collect();
    }

    /// Says where the API stands: paths are below its base path instead of the document's own.
    pub fn stand_at(&mut self, base: &BaseUrl) {
        let own = match &self.base_url {
            Some(own) => own.path().to_owned(),
            None => self.relative_base.clone(),
        };
        for operation in &mut self.operations {
            if let Some(path) = rebased(&operation.path, &own, base) {
                operation.shape = Template::parse(&path).shape();
                operation.path = path;
            }
        }
    }

    /// The warnings as they are stored.
    pub(crate) fn warnings_text(&self) -> String {
        json!(self.warnings).to_string()
    }
}

/// The first absolute server.
fn absolute(description: &Description) -> Option<BaseUrl> {
    let mut servers = description.servers().iter();
    servers.find_map(|server| BaseUrl::parse(server).ok())
}

/// The base path of the first server where that is relative, or empty.
fn relative(description: &Description) -> String {
    let first = description.servers().first().map_or("", String::as_str);
    let path = first.trim_end_matches('/');
    if path.starts_with('/') && !path.starts_with("//") {
        path.to_owned()
    } else {
        String::new()
    }
}

/// A whole path below another base path than the document's own; `None` where nothing changes, or where it does not lie below
/// the document's: operations with servers of their own stay where those say.
fn rebased(path: &str, own: &str, base: &BaseUrl) -> Option<String> {
    let rest = path.strip_prefix(own)?;
    if own == base.path() || !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    Some(format!("{}{rest}", base.path()))
}

/// Whole path and shape of each operation by the name that reports have, for a document that stands at a base URL.
pub(super) fn names(
    description: &Description,
    base: &BaseUrl,
) -> HashMap<String, (String, String)> {
    let own = absolute(description).map_or_else(
        || relative(description),
        |absolute| absolute.path().to_owned(),
    );
    let mut names = HashMap::new();
    for operation in description.operations() {
        let path = operation.whole_path();
        let path = rebased(&path, &own, base).unwrap_or(path);
        let shape = Template::parse(&path).shape();
        names.entry(operation.name()).or_insert((path, shape));
    }
    names
}

/// Reads a document on a thread of its own, few at a time.
///
/// # Errors
/// As [`Document::parse`].
pub(crate) async fn read(
    text: Bytes,
    limit: u64,
    field: &'static str,
) -> Result<Document, Refusal> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > limit {
        return Document::parse(&text, limit, field);
    }
    apart(text.len(), move || Document::parse(&text, limit, field)).await?
}

/// Runs what takes texts of so many bytes apart on a thread that does nothing else, when the memory for it is free.
///
/// # Errors
/// [`Refusal::Internal`] when it panics, or there is no thread.
pub(crate) async fn apart<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let internal =
        |error: &dyn std::fmt::Display| Refusal::Internal(format!("reading a document: {error}"));
    let units = (bytes >> 16).clamp(1, READING >> 16);
    let permit = Arc::clone(&MEMORY)
        .acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX))
        .await
        .map_err(|error| internal(&error))?;
    let readers = READERS.as_ref().map_err(|error| internal(error))?;
    let done = readers.spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|error| internal(&error))
}

/// Units of 64 KiB.
static MEMORY: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(READING >> 16)));

/// Threads for documents, as many as there are cores: more would be no sooner done. They are no others' threads, because each
/// thread holds on to memory that it used, and a tree takes much.
static READERS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(cores)
        .thread_name("documents")
        .build()
});

/// How a document is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As it came, byte for byte.
    Original,
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

/// A text of a document in a format.
///
/// # Errors
/// [`Refusal::Invalid`] where it cannot be rewritten: nested more than 128 deep, or more expanded than the limit.
pub(super) fn in_format(text: Vec<u8>, format: Format) -> Result<Vec<u8>, Refusal> {
    if format == Format::Original {
        return Ok(text);
    }
    let plain = plain(&text, "format")?;
    let is_json = plain.trim_start().starts_with('{');
    if is_json == (format == Format::Json) && is_json {
        return Ok(text);
    }
    let cannot = |error: String| {
        Refusal::invalid(
            "format",
            format!("the document cannot be rewritten ({error}); ask for the original"),
        )
    };
    let value: serde_json::Value = if is_json {
        serde_json::from_str(plain).map_err(|error| cannot(error.to_string()))?
    } else if format == Format::Yaml {
        return Ok(text);
    } else {
        serde_saphyr::from_str(plain).map_err(|error| cannot(error.to_string()))?
    };
    match format {
        Format::Yaml => serde_saphyr::to_string(&value)
            .map(String::into_bytes)
            .map_err(|error| cannot(error.to_string())),
        _ => serde_json::to_vec_pretty(&value).map_err(|error| cannot(error.to_string())),
    }
}

/// Keeps a text; one that is there already costs nothing.
pub(crate) async fn keep(
    connection: &mut AnyConnection,
    document: &Document,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO documents (hash, size, encoding, body) VALUES ($1, $2, 'gzip', $3) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(document.hash.as_str())
    .bind(i64::try_from(document.size).unwrap_or(i64::MAX))
    .bind(document.body.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes a text out that no revision has any more.
pub(super) async fn forget_unused(
    connection: &mut AnyConnection,
    hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM documents WHERE hash = $1 AND NOT EXISTS (SELECT 1 FROM revisions WHERE document_hash = $1)",
    )
    .bind(hash)
    .execute(connection)
    .await?;
    Ok(())
}

/// A text that was kept.
pub(crate) async fn load(store: &Store, hash: &str) -> Result<Vec<u8>, Refusal> {
    let row = sqlx::query("SELECT body, size FROM documents WHERE hash = $1")
        .bind(hash)
        .fetch_optional(store.pool())
        .await?
        .ok_or_else(|| Refusal::Internal(format!("the document {hash} is missing")))?;
    let body: Vec<u8> = row.try_get(0)?;
    let size: i64 = row.try_get(1)?;
    let size = u64::try_from(size).unwrap_or(0);
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    flate2::read::GzDecoder::new(body.as_slice())
        .take(size)
        .read_to_end(&mut text)
        .map_err(|error| Refusal::Internal(format!("the document {hash}: {error}")))?;
    Ok(text)
}

/// A text that was kept, as data. It was read before, so that it cannot be read is our own fault.
pub(crate) fn described(text: &[u8]) -> Result<Description, Refusal> {
    plain(text, "document").and_then(|plain| {
        Description::read(plain).map_err(|error| Refusal::Internal(error.to_string()))
    })
}

fn pack(text: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(3));
    // Writing to memory does not fail.
    let _ = coder.write_all(text);
    coder.finish().unwrap_or_default()
}

fn plain<'a>(text: &'a [u8], field: &'static str) -> Result<&'a str, Refusal> {
    std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let column = before.len() - start + 1;
        Refusal::invalid(
            field,
            format!(
                "it is not UTF-8: line {line}, column {column}; save it as UTF-8 and send it again"
            ),
        )
    })
}

fn shown(error: &ReadError) -> String {
    let text = error.to_string();
    clean(&text, 1_000)
}

/// Without what no text column takes, and not too long.
pub(crate) fn clean(text: &str, most: usize) -> String {
    text.chars()
        .filter(|c| *c != '\0')
        .take(most)
        .collect::<String>()
}
