//! The status route's answer: what this instance of the core has counted, as JSON.
//!
//! In: counters. Out: text. Nothing of any request is in it.

use serde_json::{Map, Value, json};
use silhouette_capture::{Counters, DropReason, Identity, Skip};

/// How the way to the collector is.
pub(crate) struct Health {
    shim: Value,
    instances: u32,
    calls_failed: u64,
    last_failure: String,
}

impl Health {
    /// `instances`: how many there were in this isolate, with this one.
    pub(crate) fn new(identity: &Identity, instances: u32) -> Health {
        let instance: String = identity
            .instance
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Health {
            shim: json!({
                "version": identity.version,
                "instance": instance,
                "node": identity.node,
                "name": identity.name,
            }),
            instances,
            calls_failed: 0,
            last_failure: String::new(),
        }
    }

    /// A call did not succeed.
    pub(crate) fn failed(&mut self, why: String) {
        self.calls_failed += 1;
        self.last_failure = why;
    }

    pub(crate) fn report(&self, counters: &Counters) -> String {
        let counted = |reasons: Vec<(&str, u64)>| -> Map<String, Value> {
            let counted = reasons.into_iter().filter(|(_, count)| *count > 0);
            counted
                .map(|(reason, count)| (reason.to_owned(), count.into()))
                .collect()
        };
        let dropped = DropReason::ALL.iter();
        let skipped = Skip::ALL.iter();
        json!({
            "state": "capturing",
            "shim": self.shim,
            "instances": self.instances,
            "captured": counters.captured,
            "sent": counters.sent,
            "acknowledged": counters.acknowledged,
            "queued": counters.queued,
            "queue_bytes": counters.queue_bytes,
            "dropped": counted(dropped.map(|it| (it.as_str(), counters.dropped(*it))).collect()),
            "skipped": counted(skipped.map(|it| (it.as_str(), counters.skipped(*it))).collect()),
            "calls_failed": self.calls_failed,
            "last_failure": self.last_failure,
        })
        .to_string()
    }
}
