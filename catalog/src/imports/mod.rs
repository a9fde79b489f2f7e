//! Imports: documents that people bring.
//!
//! In: a file, a paste or a URL. Out: definitions that are documented. What is fetched comes from where the rules allow, no further
//! than the size and time they allow; what a document refers to is never fetched.

mod address;
mod fetch;
mod upload;

pub use fetch::{FetchRules, Fetched, fetch};
pub use upload::{Imported, Outcome, Upload, document};
