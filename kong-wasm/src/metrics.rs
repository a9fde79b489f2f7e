//! The filter's counters as metrics of the gateway: Envoy's `/stats`, Kong's Prometheus plugin.
//!
//! In: totals of one queue. Out: what was added since the last time, to metrics that all workers and queues share. A reason
//! is part of the name (`silhouette_dropped_reason=queue_full;`), where label patterns and stats tags find it.

use silhouette_capture::{Counters, DropReason, Skip};

use crate::host::{self, Kind};
use crate::settings::Gateway;

struct Metric {
    id: u32,
    kind: Kind,
    last: u64,
}

/// Metrics that are known to the host; in the order of [`names`].
pub(crate) struct Metrics {
    all: Vec<Option<Metric>>,
    gateway: Gateway,
}

const PLAIN: [(&str, Kind); 6] = [
    ("captured", Kind::Counter),
    ("sent", Kind::Counter),
    ("acknowledged", Kind::Counter),
    ("calls_failed", Kind::Counter),
    ("queued", Kind::Gauge),
    ("queue_bytes", Kind::Gauge),
];

fn names() -> impl Iterator<Item = (String, Kind)> {
    let reason = |what, reason| {
        let name = format!("silhouette_{what}_reason={reason};");
        (name, Kind::Counter)
    };
    let plain = PLAIN.map(|(name, kind)| (format!("silhouette_{name}"), kind));
    let dropped = DropReason::ALL
        .iter()
        .map(move |it| reason("dropped", it.as_str()));
    let skipped = Skip::ALL
        .iter()
        .map(move |it| reason("skipped", it.as_str()));
    plain.into_iter().chain(dropped).chain(skipped)
}

/// In the order of [`names`].
fn totals(counters: &Counters, failed: u64) -> impl Iterator<Item = u64> {
    let plain = [
        counters.captured,
        counters.sent,
        counters.acknowledged,
        failed,
        counters.queued,
        counters.queue_bytes,
    ];
    plain
        .into_iter()
        .chain(counters.dropped)
        .chain(counters.skipped)
}

impl Metrics {
    /// Makes all of them known. A host without metrics may trap: whoever calls this knows that there are.
    pub(crate) fn define(gateway: Gateway) -> Metrics {
        let all = names()
            .map(|(name, kind)| {
                let id = host::define_metric(kind, &name)?;
                Some(Metric { id, kind, last: 0 })
            })
            .collect();
        Metrics { all, gateway }
    }

    /// Brings them up to date.
    pub(crate) fn publish(&mut self, counters: &Counters, failed: u64) {
        for (metric, value) in self.all.iter_mut().zip(totals(counters, failed)) {
            let Some(metric) = metric else { continue };
            if metric.last == value {
                continue;
            }
            match (metric.kind, self.gateway) {
                // Kong has no difference for gauges.
                (Kind::Gauge, Gateway::Kong) => host::set_metric(metric.id, value),
                _ => {
                    let by = value.wrapping_sub(metric.last).cast_signed();
                    host::add_to_metric(metric.id, by);
                }
            }
            metric.last = value;
        }
    }
}
