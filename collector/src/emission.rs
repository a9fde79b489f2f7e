//! How documents are emitted now: rules and ageing, for everything that serves or writes documents.
//!
//! In: settings, the rules file, the time. Out: [`DocumentOptions`] for a host. It decides nothing of a document's
//! content itself and never changes a model.

use std::sync::Arc;
use std::time::Duration;

use silhouette_reconstruct::{DocumentOptions, HostName, OpenApi};

use crate::rules::RulesInForce;

/// What every document of this collector is emitted with.
#[derive(Debug, Default)]
pub struct Emission {
    /// What operators know better.
    pub rules: Arc<RulesInForce>,
    /// Unseen for so long: marked stale. `None`: never.
    pub stale_after: Option<Duration>,
    /// Unseen for so long: left out. `None`: never.
    pub drop_after: Option<Duration>,
    /// Documents with fewer operations are not forwarded.
    pub minimum_operations: usize,
}

impl Emission {
    /// The options for one host at a time (Unix milliseconds).
    pub fn options(&self, host: &HostName, openapi: OpenApi, now: u64) -> DocumentOptions {
        DocumentOptions {
            openapi,
            now_unix_millis: Some(now),
            stale_after: self.stale_after.map(millis),
            drop_after: self.drop_after.map(millis),
            min_operations: self.minimum_operations,
            rules: Arc::new(self.rules.current().of(host)),
        }
    }

    /// Whether a rule leaves the host out of everything that is shown.
    pub fn leaves_out(&self, host: &HostName) -> bool {
        self.rules.current().leaves_out(host)
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis().try_into().unwrap_or(u64::MAX)
}
