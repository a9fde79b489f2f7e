//! HAR 1.2 (HTTP Archive) files as a stream of exchanges.
//!
//! In: a reader. Out: one raw entry of `log.entries` after the other ([`Reader`]), and from a raw entry an [`Exchange`]
//! that shows itself as a `reconstruct::Observation`, or the reason it cannot ([`LeftOut`]).
//!
//! Browsers, proxies and API clients write the format each in its own way, so whatever is odd but clear is taken: missing
//! versions and sizes, nulls, numbers as strings, HTTP/2 pseudo headers, base64 bodies, a byte order mark, broken
//! Unicode, several archives one after another. What is not a HAR at all is named for what it is.
//!
//! Never holds more than one entry, never more of one than [`MAX_ENTRY`], never builds a tree of the file, never panics.

mod entry;
mod exchange;
mod mend;
mod scan;
mod shape;

pub use exchange::{Exchange, LeftOut};
pub use scan::{Item, MAX_ENTRY, RawEntry, Reader};

use std::io;

/// Why an archive, or the rest of it, cannot be read. Offsets count bytes (after gzip is undone) from 0, lines from 1.
#[derive(Debug, thiserror::Error)]
pub enum HarError {
    /// The reader failed; for a compressed file also when the compressed data is cut off or corrupt.
    #[error("cannot read on after entry {entries} (byte {offset}): {source}")]
    Read {
        /// Entries read before.
        entries: u64,
        /// Where.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("it is empty; a HAR file is a JSON object with log.entries")]
    Empty,
    /// It is something else.
    #[error("it is {what}, not a HAR file (a JSON object with log.entries){hint}")]
    Shape {
        /// What it is.
        what: String,
        /// What to do about it, beginning with a separator; may be empty.
        hint: &'static str,
    },
    /// It is JSON no longer.
    #[error(
        "byte {offset}, line {line}: expected {expected}, found {found}; whole entries before it: {entries}"
    )]
    Broken {
        /// Where.
        offset: u64,
        /// Where.
        line: u64,
        /// What would have been right.
        expected: &'static str,
        /// What is there.
        found: String,
        /// Entries read before.
        entries: u64,
    },
    /// It ends too early.
    #[error(
        "the file is cut off: it ends at byte {offset}, line {line}, {inside}; whole entries before it: {entries}"
    )]
    Truncated {
        /// Where it ends.
        offset: u64,
        /// Where it ends.
        line: u64,
        /// In the middle of what.
        inside: String,
        /// Entries read before.
        entries: u64,
    },
    /// One entry is not valid; others may be.
    #[error("entry {index} (byte {offset}, line {line}): {reason}")]
    Entry {
        /// Its number, from 1.
        index: u64,
        /// Where it begins.
        offset: u64,
        /// Where it begins.
        line: u64,
        /// What is wrong inside.
        reason: String,
    },
}
