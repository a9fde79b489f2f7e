//! `silhouette.meta.json`: the schema of the filter's configuration, and what of its metrics' names is a label.
//!
//! In: capture's table of settings, and those that only this shim has. Out: the file's text.

use serde_json::Value;
use silhouette_capture::{DropReason, Setting, Settings, Skip};

use crate::patterns::{anchored, list, numbers, object, size, text};
use crate::updating;

/// What only this shim has: name, default, what is accepted, what it does, and whether Kong may have it.
pub(crate) const OWN: &[(&str, &str, &str, &str, bool)] = &[
    (
        "cluster",
        "",
        "the name of a cluster of Envoy's, 1 to 256 bytes",
        "The cluster that leads to the collector. It also tells the filter that it runs in Envoy.",
        false,
    ),
    (
        "name",
        "",
        "a text of 1 to 256 bytes",
        "What this gateway is called in the collector.",
        true,
    ),
    (
        "metrics",
        "auto",
        "`auto`, `on` or `off`",
        "Whether counters become the gateway's metrics.",
        true,
    ),
];

/// What a filter has otherwise than the table: memory of WebAssembly grows and never shrinks.
pub(crate) fn default_of(setting: &Setting) -> &'static str {
    match setting.name {
        "queue_bytes" => "2m",
        _ => setting.default,
    }
}

/// The table without what a filter cannot do: read a file.
pub(crate) fn shared() -> impl Iterator<Item = &'static Setting> {
    Settings::TABLE
        .iter()
        .filter(|setting| setting.name != "tls_ca")
}

const TOKEN: &str = r"[A-Za-z0-9!#$\x25&'*.^_`|~-][A-Za-z0-9!#$\x25&'*+.^_`|~-]*";
const LABEL: &str = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";

fn host() -> String {
    format!(r"{LABEL}(\.{LABEL})*")
}

fn port() -> String {
    format!("(:({}))?", numbers(1, 65_535))
}

/// What a setting may be, beside its description and default.
fn accepts(setting: &Setting) -> Vec<(&'static str, String)> {
    const V6: &str = r"\[[0-9A-Fa-f:.]+\]";
    let (host, port) = (host(), port());
    // Names of media types; a star stands for all only by itself and before a `+`.
    let media = r"[A-Za-z0-9!#$\x25&'.^_`|~-][A-Za-z0-9!#$\x25&'+.^_`|~-]*";
    match setting.name {
        "collector" => vec![
            ("type", text("string")),
            (
                "pattern",
                anchored(&format!("[Hh][Tt][Tt][Pp][Ss]?://({host}|{V6}){port}/?")),
            ),
        ],
        "token" => vec![
            ("type", text("string")),
            ("pattern", anchored("[!-~]+")),
            ("maxLength", "4096".to_owned()),
        ],
        "max_request_body" | "max_response_body" => size(0, 16 << 20, &[('k', 10), ('m', 20)]),
        "queue_bytes" => size(64 << 10, 1 << 30, &[('k', 10), ('m', 20), ('g', 30)]),
        "flush_interval_ms" => size(10, 60_000, &[]),
        "sample_rate" => vec![
            ("type", r#"["string", "number"]"#.to_owned()),
            ("pattern", anchored(r"0(\.[0-9]*)?|\.[0-9]+|1(\.0*)?")),
            ("minimum", "0".to_owned()),
            ("maximum", "1".to_owned()),
        ],
        "excluded_statuses" => {
            let mut list = list("[1-9][0-9]{2}(-[1-9][0-9]{2})?|[1-9](xx|XX)");
            for (name, value) in &mut list {
                if *name == "items" {
                    *value = value.replacen(
                        r#""type": "string""#,
                        r#""type": ["string", "integer"], "minimum": 100, "maximum": 999"#,
                        1,
                    );
                }
            }
            list
        }
        "excluded_methods" | "excluded_headers" => list(TOKEN),
        "include_hosts" | "exclude_hosts" => list(&format!(r"\*|((\*\.)?{host}|{V6}){port}")),
        "include_paths" | "exclude_paths" => list(r"[/*][^?, \t\r\n]*"),
        "content_types" => list(&format!(
            r"\*|\*/\*|\*\+({media})|(\*|{media})/\*\+({media})|({media})/(\*|{media})"
        )),
        "redact_headers" | "redact_query" | "redact_json" => {
            list(r"[_-]*([A-Za-z0-9][_-]*){1,64}|\*[_-]*([A-Za-z0-9][_-]*){3,64}")
        }
        other => panic!("say what the schema of `{other}` is"),
    }
}

/// What Kong's Prometheus plugin makes a label of: it takes the second capture for the value, and what stands before the first
/// for the metric's name (kong/plugins/prometheus/wasmx.lua).
const REASON: &str = "(_reason=([a-z_]+);)";

fn meta() -> String {
    let mut properties: Vec<String> = Vec::new();
    let mut add = |name: &str, help: &str, accepted: &str, default: &str, rest: Vec<_>| {
        let mut members = vec![("description", text(&format!("{help} Give {accepted}.")))];
        if !default.is_empty() {
            members.push(("default", text(default)));
        }
        members.extend(rest);
        properties.push(format!("      {}: {}", text(name), object(&members)));
    };
    for setting in shared() {
        let default = default_of(setting);
        add(
            setting.name,
            setting.help,
            setting.accepts,
            default,
            accepts(setting),
        );
    }
    for (name, default, accepted, help, _) in OWN.iter().filter(|own| own.4) {
        let rest = match *name {
            "name" => vec![
                ("type", text("string")),
                ("minLength", "1".to_owned()),
                ("maxLength", "256".to_owned()),
            ],
            _ => vec![("enum", r#"["auto", "on", "off"]"#.to_owned())],
        };
        add(name, help, accepted, default, rest);
    }
    let label = object(&[("label", text("reason")), ("pattern", text(REASON))]);
    format!(
        r#"{{
  "config_schema": {{
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["collector"],
    "additionalProperties": false,
    "properties": {{
{}
    }}
  }},
  "metrics": {{
    "label_patterns": [{label}]
  }}
}}
"#,
        properties.join(",\n")
    )
}

pub(crate) fn schema() -> Value {
    let mut meta: Value = serde_json::from_str(&meta()).unwrap();
    meta["config_schema"].take()
}

#[test]
fn the_file_is_what_the_settings_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/silhouette.meta.json");
    if updating() {
        std::fs::write(path, meta()).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        have,
        meta(),
        "SILHOUETTE_UPDATE_GENERATED=1 writes it anew, see above"
    );
}

/// Kong's validator (lua-resty-ljsonschema) takes patterns as formats of its messages: a `%` would make the refusal itself fail.
#[test]
fn patterns_can_be_shown_by_kong() {
    fn walk(value: &Value, patterns: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, patterns)),
            Value::Object(members) => {
                for (name, value) in members {
                    if let ("pattern", Value::String(pattern)) = (name.as_str(), value) {
                        patterns.push(pattern.clone());
                    }
                    walk(value, patterns);
                }
            }
            _ => {}
        }
    }
    let mut patterns = Vec::new();
    walk(&schema(), &mut patterns);
    assert!(patterns.len() > 20, "{}", patterns.len());
    for pattern in patterns {
        assert!(!pattern.contains('%'), "{pattern}");
    }
}

#[test]
fn every_reason_becomes_a_label() {
    let reasons = DropReason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .chain(Skip::ALL.iter().map(|reason| reason.as_str()));
    for reason in reasons {
        let fits = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(
            reason.chars().all(fits),
            "{reason}: {REASON} does not take it"
        );
    }
}
