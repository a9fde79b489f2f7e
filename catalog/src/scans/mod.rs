//! Scans: what scanners found, matched to APIs and operations.
//!
//! In: reports in SARIF 2.1.0. Out: findings with a severity, counted on APIs and operations; what a later scan of the same tool no
//! longer reports is closed. It never runs a scanner.

mod severity;

pub use severity::Severity;
