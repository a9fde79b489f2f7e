//! The live page and the numbers it polls.
//!
//! The page is one file without anything from outside; its policy allows exactly its own script and style, by hash. It
//! writes what it is told as text, never as markup: host names are what strangers sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use silhouette_reconstruct::OpenApi;

use super::{Shown, blocking, described, forwarding, hsl, totals};
use crate::metrics::Metrics;

const PAGE: &str = include_str!("live.html");

/// Seconds of the page's chart.
const SECONDS: usize = 120;
/// Rows of a table on the page.
const ROWS: usize = 200;

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash_of("script"),
        hash_of("style"),
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The policy's name for the page's one inline element of this kind.
fn hash_of(element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = PAGE
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once(&close))
        .map_or("", |(text, _)| text);
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    format!("sha256-{hash}")
}

/// Exchanges received per second, for the last two minutes.
#[derive(Debug, Default)]
pub struct Pulse {
    last: AtomicU64,
    seconds: Mutex<VecDeque<u64>>,
}

impl Pulse {
    /// Beats once a second, for ever.
    pub async fn run(&self, metrics: &Metrics) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            second.tick().await;
            self.beat(metrics.received.get());
        }
    }

    fn beat(&self, received: u64) {
        let before = self.last.swap(received, Relaxed);
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        seconds.push_back(received.saturating_sub(before));
        while seconds.len() > SECONDS {
            seconds.pop_front();
        }
    }

    fn seconds(&self) -> Vec<u64> {
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        seconds.iter().copied().collect()
    }
}

pub(super) async fn page() -> Response {
    (
        [
            (
                CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (CONTENT_SECURITY_POLICY, POLICY.clone()),
        ],
        PAGE,
    )
        .into_response()
}

pub(super) async fn live(State(admin): Shown) -> Response {
    blocking(move || {
        let now = crate::unix_millis();
        let mut hosts: Vec<_> = admin
            .hosts
            .list()
            .iter()
            .filter(|host| !admin.emission.leaves_out(&host.name))
            .map(|host| {
                let options = admin.options(host, OpenApi::default());
                // Not newer than the page can show: counting operations costs.
                let summary = host.recent_summary(&options, Duration::from_secs(2));
                (
                    summary.operations,
                    summary.exchanges,
                    described(host, &summary),
                )
            })
            .collect();
        let operations: usize = hosts.iter().map(|host| host.0).sum();
        hosts.sort_by_key(|host| std::cmp::Reverse((host.0, host.1)));
        let count = hosts.len();
        hosts.truncate(ROWS);
        let hosts: Vec<Value> = hosts.into_iter().map(|host| host.2).collect();
        let mut shims = admin.shims.list();
        let active = shims.iter().filter(|shim| shim.is_active(now)).count();
        shims.truncate(ROWS);
        Json(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": now,
            "uptime_seconds": admin.started.elapsed().as_secs(),
            "problem": admin.health.problem().as_deref(),
            "telemetry_url": admin.telemetry_url,
            "per_second": admin.pulse.seconds(),
            "totals": totals(&admin),
            "shims_active": active,
            "shims": shims,
            "forwarding": forwarding::summary(&admin, now),
            "hsl": hsl::summary(&admin, ROWS),
            "host_count": count,
            "operation_count": operations,
            "hosts": hosts,
        }))
        .into_response()
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_page_as_it_is() {
        assert_eq!(PAGE.matches("<script>").count(), 1);
        assert_eq!(PAGE.matches("<style>").count(), 1);
        let policy = POLICY.to_str().unwrap();
        assert!(policy.contains("script-src 'sha256-") && policy.contains("style-src 'sha256-"));
        let empty = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(""));
        assert!(!policy.contains(&empty));
    }

    #[test]
    fn the_page_takes_nothing_from_outside_and_writes_text_only() {
        for outside in [
            "http://", "https://", "//cdn", "url(", "@import", " src=", " style=",
        ] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!PAGE.contains(markup), "{markup}");
        }
    }

    #[test]
    fn the_pulse_keeps_two_minutes() {
        let pulse = Pulse::default();
        for n in 0..200 {
            pulse.beat(n * n);
        }
        let seconds = pulse.seconds();
        assert_eq!(seconds.len(), SECONDS);
        assert_eq!(seconds.last(), Some(&(199 * 199 - 198 * 198)));
    }
}
