//! The page of `silhouette_status`: the counters of all workers as JSON, or as Prometheus text.
//!
//! In: [`Totals`] and the collectors' URLs. Out: text. Never shows a token.

use std::fmt::Write as _;

use silhouette_capture::{DropReason, Skip};

use crate::counters::Totals;

/// How the page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// Prometheus' text exposition format 0.0.4.
    Prometheus,
}

impl Format {
    /// What the client asks for – `?format=…` first, then `Accept` – or else what the directive says. `None` for a
    /// format there is not.
    pub(crate) fn choose(self, arguments: &[u8], accept: &[u8]) -> Option<Format> {
        if let Some(format) = arguments
            .split(|b| *b == b'&')
            .find_map(|pair| pair.strip_prefix(b"format="))
        {
            return match format {
                b"json" => Some(Format::Json),
                b"prometheus" => Some(Format::Prometheus),
                _ => None,
            };
        }
        let names = |what: &[u8]| {
            accept
                .windows(what.len())
                .any(|part| part.eq_ignore_ascii_case(what))
        };
        Some(if names(b"application/json") {
            Format::Json
        } else if names(b"text/plain") || names(b"openmetrics") {
            Format::Prometheus
        } else {
            self
        })
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The page. `collectors` are the URLs of the configuration's links, in order.
pub(crate) fn page(format: Format, totals: &Totals, collectors: &[String]) -> String {
    match format {
        Format::Json => json(totals, collectors),
        Format::Prometheus => prometheus(totals, collectors),
    }
}

fn json(totals: &Totals, collectors: &[String]) -> String {
    let reasons = |names: &mut dyn Iterator<Item = (&'static str, u64)>| -> String {
        names
            .map(|(name, count)| format!("\"{name}\":{count}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let dropped = reasons(
        &mut DropReason::ALL
            .iter()
            .map(|r| r.as_str())
            .zip(totals.dropped),
    );
    let skipped = reasons(&mut Skip::ALL.iter().map(|r| r.as_str()).zip(totals.skipped));
    let workers: Vec<String> = totals
        .workers
        .iter()
        .map(|worker| {
            let links: Vec<String> = collectors
                .iter()
                .zip(&worker.links)
                .filter(|_| worker.current)
                .map(|(url, link)| {
                    let state = link.state.as_str();
                    format!(
                        "{{\"collector\":{},\"state\":\"{state}\",\"queued\":{},\"queue_bytes\":{}}}",
                        quoted(url),
                        link.queued,
                        link.queue_bytes
                    )
                })
                .collect();
            format!("{{\"pid\":{},\"current\":{},\"links\":[{}]}}", worker.pid, worker.current, links.join(","))
        })
        .collect();
    format!(
        "{{\"version\":\"{}\",\"captured\":{},\"sent\":{},\"acknowledged\":{},\"queued\":{},\"queue_bytes\":{},\
         \"dropped\":{{{dropped}}},\"skipped\":{{{skipped}}},\"faults\":{},\"connects\":{},\"workers\":[{}]}}\n",
        env!("CARGO_PKG_VERSION"),
        totals.captured,
        totals.sent,
        totals.acknowledged,
        totals.queued,
        totals.queue_bytes,
        totals.faults,
        totals.connects,
        workers.join(",")
    )
}

/// URLs are checked when they are read: nothing in them needs more than this.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\\'], ""))
}

fn prometheus(totals: &Totals, collectors: &[String]) -> String {
    let mut out = String::new();
    let mut metric =
        |name: &str, kind: &str, help: &str, samples: &mut dyn Iterator<Item = (String, u64)>| {
            let _ = write!(
                out,
                "# HELP silhouette_nginx_{name} {help}\n# TYPE silhouette_nginx_{name} {kind}\n"
            );
            for (labels, value) in samples {
                let _ = writeln!(out, "silhouette_nginx_{name}{labels} {value}");
            }
        };
    let one = |value| std::iter::once((String::new(), value));
    metric(
        "captured_total",
        "counter",
        "Exchanges recorded, whatever became of them.",
        &mut one(totals.captured),
    );
    metric(
        "sent_total",
        "counter",
        "Exchanges sent to the collector at least once.",
        &mut one(totals.sent),
    );
    metric(
        "acknowledged_total",
        "counter",
        "Exchanges the collector has durably.",
        &mut one(totals.acknowledged),
    );
    metric(
        "dropped_total",
        "counter",
        "Exchanges captured and lost, by reason.",
        &mut DropReason::ALL
            .iter()
            .zip(totals.dropped)
            .map(|(r, n)| (format!("{{reason=\"{r}\"}}"), n)),
    );
    metric(
        "skipped_total",
        "counter",
        "Exchanges the settings leave out, by reason.",
        &mut Skip::ALL
            .iter()
            .zip(totals.skipped)
            .map(|(r, n)| (format!("{{reason=\"{r}\"}}"), n)),
    );
    metric(
        "faults_total",
        "counter",
        "Failures of the module that it caught.",
        &mut one(totals.faults),
    );
    metric(
        "connects_total",
        "counter",
        "Connections to a collector that were established.",
        &mut one(totals.connects),
    );
    metric(
        "queued",
        "gauge",
        "Exchanges that wait or are not acknowledged.",
        &mut one(totals.queued),
    );
    metric(
        "queue_bytes",
        "gauge",
        "Bytes that wait or are not acknowledged.",
        &mut one(totals.queue_bytes),
    );
    let current = || totals.workers.iter().filter(|worker| worker.current);
    metric(
        "workers",
        "gauge",
        "Workers that run this configuration.",
        &mut one(current().count() as u64),
    );
    metric(
        "connected_workers",
        "gauge",
        "Workers connected to the collector.",
        &mut collectors.iter().enumerate().map(|(index, url)| {
            let is_up = |link: &crate::counters::LinkGauges| {
                link.state == crate::link::LinkState::Connected
            };
            let up = current()
                .filter(|worker| worker.links.get(index).is_some_and(is_up))
                .count();
            (format!("{{collector={}}}", quoted(url)), up as u64)
        }),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::WorkerGauges;
    use crate::link::LinkState;

    fn totals() -> Totals {
        let mut totals = Totals {
            captured: 12,
            sent: 11,
            acknowledged: 9,
            queued: 1,
            ..Totals::default()
        };
        totals.dropped[DropReason::QueueFull.index()] = 2;
        totals.skipped[Skip::ExcludedPath.index()] = 3;
        let mut worker = WorkerGauges {
            pid: 77,
            current: true,
            ..WorkerGauges::default()
        };
        worker.links[0].state = LinkState::Connected;
        totals.workers = vec![
            worker,
            WorkerGauges {
                pid: 78,
                ..WorkerGauges::default()
            },
        ];
        totals
    }

    #[test]
    fn json_is_json() {
        let page = page(
            Format::Json,
            &totals(),
            &["http://127.0.0.1:4317".to_owned()],
        );
        let value: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(value["captured"], 12);
        assert_eq!(value["dropped"]["queue_full"], 2);
        assert_eq!(value["skipped"]["excluded_path"], 3);
        assert_eq!(value["workers"][0]["links"][0]["state"], "connected");
        assert_eq!(value["workers"][1]["links"], serde_json::json!([]));
    }

    #[test]
    fn prometheus_has_one_type_per_metric_and_one_sample_per_line() {
        let page = page(
            Format::Prometheus,
            &totals(),
            &["http://127.0.0.1:4317".to_owned()],
        );
        for line in [
            "silhouette_nginx_captured_total 12",
            "silhouette_nginx_dropped_total{reason=\"queue_full\"} 2",
            "silhouette_nginx_workers 1",
            "silhouette_nginx_connected_workers{collector=\"http://127.0.0.1:4317\"} 1",
        ] {
            assert!(page.lines().any(|have| have == line), "{line} in\n{page}");
        }
        let mut types: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let all = types.len();
        types.dedup();
        assert_eq!(types.len(), all);
    }

    #[test]
    fn the_client_chooses_the_format() {
        assert_eq!(Format::Json.choose(b"", b"*/*"), Some(Format::Json));
        assert_eq!(
            Format::Prometheus.choose(b"", b""),
            Some(Format::Prometheus)
        );
        assert_eq!(
            Format::Json.choose(b"a=b&format=prometheus", b"application/json"),
            Some(Format::Prometheus)
        );
        assert_eq!(
            Format::Json.choose(b"", b"application/openmetrics-text;version=1.0.0"),
            Some(Format::Prometheus)
        );
        assert_eq!(
            Format::Prometheus.choose(b"", b"application/json"),
            Some(Format::Json)
        );
        assert_eq!(Format::Json.choose(b"format=xml", b""), None);
    }
}
