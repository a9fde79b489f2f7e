//! Scans: what scanners found, matched to APIs and operations.
//!
//! In: reports in SARIF 2.1.0. Out: findings with a severity, counted on APIs and operations; what a later scan of the same tool no
//! longer reports is closed. It never runs a scanner.

mod finding;
mod matching;
mod sarif;
mod scan;
mod severity;

pub use finding::{Finding, FindingFilter, FindingSort, get as finding, list as findings};
pub use sarif::MAX_BYTES as MAX_REPORT_BYTES;
pub use scan::{ImportedScan, Scan, ScanFilter, get as scan, import as import_scan, list as scans};
pub use severity::Severity;
