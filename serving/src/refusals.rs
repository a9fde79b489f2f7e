//! What is refused at the door: every one counted, some of them logged.
//!
//! In: a listener, a reason, a sentence. Out: `silhouette_connections_refused_total{listener,reason}`, and at most one
//! log line per listener and reason in [`QUIET`], with how many there were since. Never logs what a stranger sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Between two log lines of the same reason.
const QUIET: Duration = Duration::from_secs(60);

/// Listener and reason.
type Kind = (&'static str, &'static str);

/// Why a connection or a call was refused, and by which listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refusal {
    /// Such as `telemetry`, `admin`, `hsl` or `catalog`.
    pub listener: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Counts and logs refusals.
#[derive(Debug)]
pub struct Refusals {
    counts: Family<Refusal, Counter>,
    logged: Mutex<HashMap<Kind, (Instant, u64)>>,
}

impl Refusals {
    /// None yet.
    pub fn new(counts: Family<Refusal, Counter>) -> Refusals {
        Refusals {
            counts,
            logged: Mutex::default(),
        }
    }

    /// Counts one, and logs it if none of its kind was logged lately.
    pub fn count(
        &self,
        listener: &'static str,
        reason: &'static str,
        peer: SocketAddr,
        detail: &dyn std::fmt::Display,
    ) {
        self.counts
            .get_or_create(&Refusal { listener, reason })
            .inc();
        if let Some(more) = self.log_now(listener, reason, Instant::now()) {
            tracing::warn!(listener, reason, %peer, since_last_line = more, "refused: {detail}");
        }
    }

    /// How many were not logged since the last line, when it is time for another one.
    fn log_now(&self, listener: &'static str, reason: &'static str, now: Instant) -> Option<u64> {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        match logged.get_mut(&(listener, reason)) {
            Some((last, more)) if now.duration_since(*last) < QUIET => {
                *more += 1;
                None
            }
            Some(entry) => Some(std::mem::replace(entry, (now, 0)).1),
            None => {
                logged.insert((listener, reason), (now, 0));
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_and_reason() {
        let refusals = Refusals::new(Family::default());
        let start = Instant::now();
        let at = |seconds, reason| {
            refusals.log_now("telemetry", reason, start + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, "not_http"), Some(0));
        assert_eq!(at(1, "not_http"), None);
        assert_eq!(at(1, "token_missing"), Some(0));
        assert_eq!(at(59, "not_http"), None);
        assert_eq!(at(60, "not_http"), Some(2));
        assert_eq!(at(61, "not_http"), None);
    }
}
