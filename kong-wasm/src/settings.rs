//! The filter's configuration: a JSON object of the settings every shim has, and three of this one.
//!
//! In: the configuration's bytes as the gateway has them. Out: a [`Configuration`], or words that name the setting, the value
//! and what would be right. A token never gets into an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use silhouette_capture::{Policy, Settings};

/// What a filter is told to do.
pub(crate) struct Configuration {
    pub(crate) policy: Arc<Policy>,
    pub(crate) collector: Collector,
    /// What the operator calls this gateway.
    pub(crate) name: String,
    pub(crate) metrics: Metrics,
    pub(crate) gateway: Gateway,
}

/// Which host this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    Kong,
    /// Istio's is one.
    Envoy,
}

impl Gateway {
    /// As telemetry names it.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Gateway::Kong => "kong",
            Gateway::Envoy => "envoy",
        }
    }
}

/// Where batches go.
pub(crate) struct Collector {
    /// What the gateway calls it: Envoy's cluster, or Kong's `host:port`.
    pub(crate) upstream: String,
    /// `host:port`.
    pub(crate) authority: String,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

/// Whether counters become the gateway's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metrics {
    /// Where the gateway is known to have them.
    Auto,
    On,
    Off,
}

/// A configuration that is refused.
pub(crate) struct Refused {
    pub(crate) text: String,
    pub(crate) gateway: Gateway,
}

/// The queue of a filter, unless it is set: memory of WebAssembly grows and never shrinks.
const QUEUE_BYTES: &str = "2m";

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a configuration. What the host looks like is believed unless there is a `cluster`, which only Envoy has.
pub(crate) fn read(bytes: &[u8], looks_like: Gateway) -> Result<Configuration, Refused> {
    let object: Object<'_> = serde_json::from_slice(bytes).map_err(|error| Refused {
        text: format!(
            "the configuration is no JSON object ({error}): give one like {{\"collector\":\"http://collector:4320\"}}"
        ),
        gateway: looks_like,
    })?;
    let gateway = match object.contains_key("cluster") {
        true => Gateway::Envoy,
        false => looks_like,
    };
    configuration(&object, gateway).map_err(|text| Refused { text, gateway })
}

fn configuration(object: &Object<'_>, gateway: Gateway) -> Result<Configuration, String> {
    let mut settings = Settings::default();
    settings
        .set("queue_bytes", QUEUE_BYTES)
        .map_err(|error| error.to_string())?;
    let (mut cluster, mut name, mut metrics) = (String::new(), String::new(), Metrics::Auto);
    for (key, value) in object {
        match key.as_str() {
            "cluster" => cluster = text(key, value, "the name of a cluster of Envoy's")?,
            "name" => name = text(key, value, "what you call this gateway")?,
            "metrics" => {
                metrics = match string(value).as_deref() {
                    Some("auto") => Metrics::Auto,
                    Some("on") => Metrics::On,
                    Some("off") => Metrics::Off,
                    _ => return Err(refused(key, value, "`auto`, `on` or `off`")),
                };
            }
            "tls_ca" => {
                return Err(
                    "tls_ca: a filter cannot read files; whom to trust is set in the gateway: in Envoy in the cluster's \
                     `transport_socket`, in Kong by `nginx_wasm_tls_trusted_certificate`"
                        .to_owned(),
                );
            }
            _ => {
                let value = setting(value)
                    .ok_or_else(|| refused(key, value, "a text, a number or a list of these"))?;
                settings
                    .set(key, &value)
                    .map_err(|error| error.to_string())?;
            }
        }
    }
    let policy = settings.build().map_err(|error| error.to_string())?;
    let Some(collector) = policy.collector() else {
        return Err(
            "collector: is not set: give `http://host[:port]` or `https://host[:port]`".to_owned(),
        );
    };
    if gateway == Gateway::Envoy && cluster.is_empty() {
        return Err(
            "cluster: is not set: give the name of the cluster of Envoy's that leads to the collector"
                .to_owned(),
        );
    }
    let authority = format!("{}:{}", collector.host(), collector.port());
    let collector = Collector {
        upstream: match gateway {
            Gateway::Kong => authority.clone(),
            Gateway::Envoy => cluster,
        },
        authority,
        scheme: if collector.tls() { "https" } else { "http" },
    };
    Ok(Configuration {
        policy: Arc::new(policy),
        collector,
        name,
        metrics,
        gateway,
    })
}

/// A value as an operator would write it in one line; `None` for what no setting is.
fn setting(value: &RawValue) -> Option<String> {
    let raw = value.get();
    if !raw.starts_with('[') {
        return scalar(value);
    }
    let values: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    let values: Vec<String> = values.into_iter().map(scalar).collect::<Option<_>>()?;
    // An empty list is meant as one: nothing would be the default.
    Some(if values.is_empty() {
        "off".to_owned()
    } else {
        values.join(",")
    })
}

/// A text, or a number as it is written.
fn scalar(value: &RawValue) -> Option<String> {
    let raw = value.get();
    if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Some(raw.to_owned());
    }
    string(value)
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn text(key: &str, value: &RawValue, accepts: &str) -> Result<String, String> {
    string(value)
        .filter(|text| (1..=256).contains(&text.len()))
        .ok_or_else(|| refused(key, value, &format!("{accepts}, 1 to 256 bytes")))
}

fn refused(key: &str, value: &RawValue, accepts: &str) -> String {
    // Whatever is no text is no token either, but who knows what is in it.
    let value = match key {
        "token" => "(not shown)".to_owned(),
        _ => value.get().chars().take(128).collect(),
    };
    format!("{key}: `{value}` is not accepted: give {accepts}")
}
