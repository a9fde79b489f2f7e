//! Counters of the whole service, and their Prometheus text.
//!
//! In: events. Out: numbers that add up: `received = duplicate + unacknowledged + acknowledged`, and
//! `acknowledged + replayed = learnt + left out + rejected + pending`. Labels come from closed sets or are bounded here.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use silhouette_serving::listen;
use silhouette_serving::refusals::Refusal;

/// Different reasons a shim may report; further ones are counted as `other`.
const MAX_REASONS: usize = 64;

/// A label set of one reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Why.
    pub reason: String,
}

/// What a shim says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShimReason {
    /// `nginx`, …
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// A kind of shim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// `nginx`, …
    pub kind: String,
}

/// All counters. Cheap to clone is not needed: share it in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reasons: Mutex<BTreeSet<String>>,
    /// Exchanges learnt, left out or rejected.
    pub done: AtomicU64,
    /// Exchanges in batches that came in, resent ones too.
    pub received: Counter,
    /// Batches that came in.
    pub batches: Counter,
    /// Bytes of those batches.
    pub bytes: Counter,
    /// Exchanges in batches that were in already.
    pub duplicate: Counter,
    /// Exchanges made durable and acknowledged.
    pub acknowledged: Counter,
    /// Exchanges in batches that could not be made durable; the shim sends them again.
    pub unacknowledged: Counter,
    /// Exchanges learnt from the journal that were acknowledged before this process started.
    pub replayed: Counter,
    /// Whether batches from before this start may still be unread.
    pub replaying: AtomicBool,
    /// Exchanges folded into a model.
    pub learnt: Counter,
    /// Exchanges that are no API calls.
    pub left_out: Family<Reason, Counter>,
    /// Exchanges that cannot be learnt.
    pub rejected: Family<Reason, Counter>,
    /// Bodies whose content coding could not be undone.
    pub undecoded: Family<Reason, Counter>,
    /// Connections and calls refused.
    pub refused: Family<Refusal, Counter>,
    /// Connections accepted.
    pub connections: Family<listen::Name, Counter>,
    /// Batches refused after authentication: malformed, too large, over budget.
    pub batches_refused: Family<Reason, Counter>,
    /// Exchanges the shims say they captured.
    pub shim_captured: Family<Kind, Counter>,
    /// Exchanges the shims say they lost.
    pub shim_dropped: Family<ShimReason, Counter>,
    /// Exchanges the shims say their settings excluded.
    pub shim_skipped: Family<ShimReason, Counter>,
    /// HSL records accepted.
    pub hsl_accepted: Family<listen::Name, Counter>,
    /// HSL records refused.
    pub hsl_refused: Family<Refusal, Counter>,
    /// HSL records that are known to be lost.
    pub hsl_lost: Counter,
    /// Header lines in HSL records that are no headers.
    pub hsl_odd_header_lines: Counter,
    /// Checkpoints written.
    pub checkpoints: Counter,
    /// Checkpoints that failed.
    pub checkpoint_failures: Counter,
    /// Milliseconds the last checkpoint took.
    pub checkpoint_millis: Gauge,
    /// Group commits of the journal.
    pub commits: Counter,
    /// Hosts known.
    pub hosts: Gauge,
    /// Bytes of models.
    pub model_bytes: Gauge,
    /// Bytes of journal.
    pub journal_bytes: Gauge,
    /// Exchanges acknowledged and not learnt yet.
    pub pending: Gauge,
    /// Shims with a connection or a batch in the last minute.
    pub shims: Gauge,
    /// 1 when telemetry is accepted.
    pub ready: Gauge,
    /// Damaged journal ranges found at start.
    pub journal_damages: Counter,
    /// Hosts that gave way to others.
    pub hosts_evicted: Counter,
    /// 1 while the catalog answers.
    pub forward_connected: Gauge,
    /// Revisions that wait for the catalog.
    pub forward_pending: Gauge,
    /// Bytes they take.
    pub forward_bytes: Gauge,
    /// Seconds the oldest of them has waited.
    pub forward_oldest: Gauge,
    /// Hosts with too few operations yet.
    pub forward_hosts_waiting: Gauge,
    /// Revisions the catalog took.
    pub forward_delivered: Counter,
    /// Revisions folded into newer ones.
    pub forward_merged: Gauge,
    /// Calls of the catalog that failed.
    pub forward_failures: Family<Reason, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("silhouette");
        macro_rules! metric {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                register(&mut registry, $name, $help, &metric);
                metric
            }};
        }
        let metrics = Metrics {
            reasons: Mutex::default(),
            done: AtomicU64::new(0),
            replaying: AtomicBool::new(false),
            received: metric!(
                "exchanges_received",
                "Exchanges in batches from shims, resent ones too"
            ),
            batches: metric!("batches_received", "Batches from shims, resent ones too"),
            bytes: metric!(
                "batch_bytes_received",
                "Bytes of those batches, after decompression"
            ),
            duplicate: metric!(
                "exchanges_duplicate",
                "Exchanges in batches that were in already"
            ),
            acknowledged: metric!(
                "exchanges_acknowledged",
                "Exchanges made durable and acknowledged"
            ),
            unacknowledged: metric!(
                "exchanges_unacknowledged",
                "Exchanges that could not be made durable; the shim sends them again"
            ),
            replayed: metric!(
                "exchanges_replayed",
                "Exchanges acknowledged before this start, learnt from the journal"
            ),
            learnt: metric!("exchanges_learnt", "Exchanges folded into a model"),
            left_out: metric!(
                "exchanges_left_out",
                "Exchanges that are no calls of an API"
            ),
            rejected: metric!("exchanges_rejected", "Exchanges that cannot be learnt"),
            undecoded: metric!(
                "bodies_undecoded",
                "Bodies whose content coding could not be undone, or not wholly"
            ),
            refused: metric!("connections_refused", "Connections and calls refused"),
            connections: metric!("connections_accepted", "Connections accepted, by listener"),
            batches_refused: metric!("batches_refused", "Batches refused after authentication"),
            shim_captured: metric!(
                "shim_exchanges_captured",
                "Exchanges shims say they captured"
            ),
            shim_dropped: metric!(
                "shim_exchanges_dropped",
                "Exchanges shims say they captured and lost"
            ),
            shim_skipped: metric!(
                "shim_exchanges_skipped",
                "Exchanges shims say their settings exclude"
            ),
            hsl_accepted: metric!(
                "hsl_records_accepted",
                "Records of BIG-IPs that are signed and whole, resent ones too, by listener"
            ),
            hsl_refused: metric!(
                "hsl_records_refused",
                "Records of BIG-IPs refused, by listener and reason"
            ),
            hsl_lost: metric!(
                "hsl_records_lost",
                "Records that BIG-IPs numbered and that had not come ten seconds after later ones"
            ),
            hsl_odd_header_lines: metric!(
                "hsl_header_lines_left_out",
                "Lines in heads of accepted records that are no headers"
            ),
            checkpoints: metric!("checkpoints", "Checkpoints written"),
            checkpoint_failures: metric!(
                "checkpoint_failures",
                "Checkpoints that could not be written"
            ),
            checkpoint_millis: metric!(
                "checkpoint_milliseconds",
                "How long the last checkpoint took"
            ),
            commits: metric!(
                "journal_commits",
                "Groups of batches written and synchronised at once"
            ),
            hosts: metric!("hosts", "Hosts known"),
            model_bytes: metric!("model_bytes", "Memory of all models"),
            journal_bytes: metric!("journal_bytes", "Size of the journal"),
            pending: metric!(
                "exchanges_pending",
                "Exchanges acknowledged and not learnt yet"
            ),
            shims: metric!(
                "shims_active",
                "Shims that are connected or sent something in the last minute"
            ),
            ready: metric!("ready", "1 when telemetry is accepted"),
            journal_damages: metric!(
                "journal_damages",
                "Damaged ranges found in the journal at start"
            ),
            hosts_evicted: metric!(
                "hosts_evicted",
                "Hosts without any success that gave way to others"
            ),
            forward_connected: metric!("forward_connected", "1 while the catalog answers"),
            forward_pending: metric!(
                "forward_revisions_pending",
                "Revisions that wait for the catalog"
            ),
            forward_bytes: metric!("forward_outbox_bytes", "Size of the revisions that wait"),
            forward_oldest: metric!(
                "forward_oldest_seconds",
                "How long the oldest revision has waited"
            ),
            forward_hosts_waiting: metric!(
                "forward_hosts_waiting",
                "Hosts that have too few operations to be forwarded"
            ),
            forward_delivered: metric!("forward_revisions_delivered", "Revisions the catalog took"),
            forward_merged: metric!(
                "forward_revisions_merged",
                "Revisions folded into newer ones because the outbox was full"
            ),
            forward_failures: metric!(
                "forward_failures",
                "Calls of the catalog that failed, and documents it refused"
            ),
            registry: Registry::default(),
        };
        Metrics {
            registry,
            ..metrics
        }
    }
}

fn register<M>(registry: &mut Registry, name: &str, help: &str, metric: &M)
where
    M: Clone + prometheus_client::registry::Metric,
{
    registry.register(name, help, metric.clone());
}

impl Metrics {
    /// The text of `/metrics`. Gauges are set by the caller.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A reason as reported by a shim, or `other` when it is none or there are too many.
    pub fn reason(&self, reported: &str) -> String {
        let fine = (1..=48).contains(&reported.len())
            && reported
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let mut known = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if !fine || (known.len() >= MAX_REASONS && !known.contains(reported)) {
            return "other".to_owned();
        }
        known.insert(reported.to_owned());
        reported.to_owned()
    }

    /// Exchanges acknowledged, here or before, and not learnt yet. What is still unread of before this start is not known: as long
    /// as there may be something, it counts as one.
    pub fn pending(&self) -> u64 {
        let read =
            (self.acknowledged.get() + self.replayed.get()).saturating_sub(self.done.load(Relaxed));
        read.max(u64::from(self.replaying.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.received.inc_by(3);
        let label = Refusal {
            listener: "telemetry",
            reason: "token_missing",
        };
        metrics.refused.get_or_create(&label).inc();
        let text = metrics.text();
        for line in [
            "silhouette_exchanges_received_total 3",
            "silhouette_connections_refused_total{listener=\"telemetry\",reason=\"token_missing\"} 1",
            "# TYPE silhouette_hosts gauge",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
        }
    }

    #[test]
    fn every_metric_is_explained_in_the_documentation() {
        let page = include_str!("../../docs/collector.md");
        let text = Metrics::default().text();
        let mut seen = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(page.contains(name), "{name} is not in docs/collector.md");
            seen += 1;
        }
        assert!(seen > 10, "{text}");
    }

    #[test]
    fn what_shims_report_cannot_flood_the_labels() {
        let metrics = Metrics::default();
        assert_eq!(metrics.reason("queue_full"), "queue_full");
        for odd in ["", "a b", "x\"} 1", &"x".repeat(49), "Ü"] {
            assert_eq!(metrics.reason(odd), "other");
        }
        for n in 0..1000 {
            metrics.reason(&format!("r{n}"));
        }
        assert_eq!(metrics.reason("r1000"), "other");
        assert_eq!(metrics.reason("queue_full"), "queue_full");
    }

    #[test]
    fn pending_is_what_is_left() {
        let metrics = Metrics::default();
        metrics.acknowledged.inc_by(10);
        metrics.replayed.inc_by(5);
        metrics.done.store(9, Relaxed);
        assert_eq!(metrics.pending(), 6);
        metrics.replaying.store(true, Relaxed);
        metrics.done.fetch_add(6, Relaxed);
        assert_eq!(metrics.pending(), 1, "more may come");
        metrics.replaying.store(false, Relaxed);
        assert_eq!(metrics.pending(), 0);
    }
}
