//! Counters of the service, and their Prometheus text.
//!
//! In: events. Out: numbers. Labels come from closed sets.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use silhouette_serving::listen;
use silhouette_serving::refusals::Refusal;

use crate::bodies::Meters;

/// A class of answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answer {
    /// `2xx`, …
    pub status: &'static str,
}

/// What became of a revision that a collector pushed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `kept`, `same` or `refused`.
    pub outcome: &'static str,
}

/// All counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Connections accepted.
    pub connections: Family<listen::Name, Counter>,
    /// Connections refused.
    pub refused: Family<Refusal, Counter>,
    /// Requests answered.
    pub answers: Family<Answer, Counter>,
    /// Requests being answered.
    pub open: Gauge,
    /// Revisions that collectors pushed.
    pub revisions: Family<Outcome, Counter>,
    /// Heartbeats of collectors.
    pub heartbeats: Counter,
    /// Memory for large bodies.
    pub bodies: Meters,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("silhouette_catalog"),
            connections: Family::default(),
            refused: Family::default(),
            answers: Family::default(),
            open: Gauge::default(),
            revisions: Family::default(),
            heartbeats: Counter::default(),
            bodies: Meters::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "connections",
            "Connections accepted",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused",
            metrics.refused.clone(),
        );
        registry.register(
            "requests",
            "Requests answered, by class of status",
            metrics.answers.clone(),
        );
        registry.register(
            "requests_open",
            "Requests being answered",
            metrics.open.clone(),
        );
        registry.register(
            "revisions",
            "Revisions that collectors pushed",
            metrics.revisions.clone(),
        );
        registry.register(
            "heartbeats",
            "Heartbeats of collectors",
            metrics.heartbeats.clone(),
        );
        let bodies = metrics.bodies.clone();
        registry.register(
            "body_memory_bytes",
            "Memory set aside for large bodies",
            bodies.held,
        );
        registry.register(
            "body_memory_peak_bytes",
            "The most memory that was set aside for large bodies at once",
            bodies.peak,
        );
        registry.register(
            "bodies_waiting",
            "Requests whose large bodies wait for memory",
            bodies.waiting,
        );
        registry.register(
            "bodies_refused",
            "Large bodies that were given up for want of memory",
            bodies.refused,
        );
        metrics
    }
}

impl Metrics {
    /// Prometheus text (OpenMetrics 1.0).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
