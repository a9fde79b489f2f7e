//! `silhouette.meta.json`, which Kong reads beside the filter, and what `docs/` and `deploy/` say of its configuration.
//!
//! In: capture's table of settings, how the filter itself reads a configuration, samples of good and bad ones, the pages and
//! the examples. Out: the file and the tables of the pages are what follows from the settings, and the schema takes and refuses
//! what the filter does. A validator nobody here wrote judges by the schema (Python's jsonschema under `target/tools`).
//!
//! `SILHOUETTE_UPDATE_GENERATED=1 cargo test -p silhouette-kong-wasm --test meta` writes the file and the tables anew.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use silhouette_capture::{DropReason, Setting, Settings, Skip};

#[path = "../src/settings.rs"]
#[allow(
    dead_code,
    reason = "what the filter does with a configuration is not asked here"
)]
mod settings;

/// What only this shim has: name, default, what is accepted, what it does, and whether Kong may have it.
const OWN: &[(&str, &str, &str, &str, bool)] = &[
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
fn default_of(setting: &Setting) -> &'static str {
    match setting.name {
        "queue_bytes" => "2m",
        _ => setting.default,
    }
}

/// The table without what a filter cannot do: read a file.
fn shared() -> impl Iterator<Item = &'static Setting> {
    Settings::TABLE
        .iter()
        .filter(|setting| setting.name != "tls_ca")
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn updating() -> bool {
    std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some()
}

// --- The file -------------------------------------------------------------------------------------------------------------

/// JSON with its members in the order given, whatever a `Map` would make of it.
fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}: {value}", text(name)))
        .collect();
    format!("{{{}}}", members.join(", "))
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn anchored(pattern: &str) -> String {
    text(&format!("^({pattern})$"))
}

/// A pattern for the decimal numbers from `low` to `high`, without leading zeros.
fn numbers(low: u64, high: u64) -> String {
    let mut parts = Vec::new();
    let mut from = low;
    while from <= high {
        let longest = 10_u64.pow(from.to_string().len() as u32) - 1;
        let to = high.min(longest);
        parts.push(same_length(&from.to_string(), &to.to_string()));
        from = to + 1;
    }
    parts.join("|")
}

/// The same for numbers that have as many digits.
fn same_length(low: &str, high: &str) -> String {
    let split = |number: &str| {
        let (first, rest) = number.split_at(1);
        (first.parse::<u32>().unwrap(), rest.to_owned())
    };
    if low.is_empty() {
        return String::new();
    }
    let ((mut first, low), (mut last, high)) = (split(low), split(high));
    if first == last {
        return format!("{first}{}", group(&same_length(&low, &high)));
    }
    let (mut before, mut after) = (None, None);
    if low.bytes().any(|digit| digit != b'0') {
        let nines = "9".repeat(low.len());
        before = Some(format!("{first}{}", group(&same_length(&low, &nines))));
        first += 1;
    }
    if high.bytes().any(|digit| digit != b'9') {
        let zeros = "0".repeat(high.len());
        after = Some(format!("{last}{}", group(&same_length(&zeros, &high))));
        last -= 1;
    }
    let middle = (first <= last).then(|| {
        let digits = match first == last {
            true => first.to_string(),
            false => format!("[{first}-{last}]"),
        };
        match low.len() {
            0 => digits,
            1 => format!("{digits}[0-9]"),
            more => format!("{digits}[0-9]{{{more}}}"),
        }
    });
    let parts: Vec<String> = [before, middle, after].into_iter().flatten().collect();
    parts.join("|")
}

fn group(pattern: &str) -> String {
    match pattern.contains('|') {
        true => format!("({pattern})"),
        false => pattern.to_owned(),
    }
}

/// A size in bytes as a number, or as a text with a unit.
fn size(low: u64, high: u64, units: &[(char, u32)]) -> Vec<(&'static str, String)> {
    let mut pattern = numbers(low, high);
    for (unit, shift) in units {
        let least = low.div_ceil(1 << shift);
        let upper = unit.to_ascii_uppercase();
        pattern += &format!("|({})[{unit}{upper}]", numbers(least, high >> shift));
    }
    vec![
        ("type", r#"["string", "integer"]"#.to_owned()),
        ("pattern", anchored(&pattern)),
        ("minimum", low.to_string()),
        ("maximum", high.to_string()),
    ]
}

/// A list as one text or as an array. Either all entries have a `+` in front or none.
fn list(entry: &str) -> Vec<(&'static str, String)> {
    let several = |entry: &str| format!(r"({entry})([, \t\r\n]+({entry}))*");
    let (plain, added) = (several(entry), several(&format!(r"\+({entry})")));
    let one = format!(r"\+?({entry})");
    let items = |pattern: &str| object(&[("items", object(&[("pattern", text(pattern))]))]);
    let unmixed = [items("^[^+]"), items(r"^\+")];
    let item = [
        ("type", text("string")),
        ("pattern", anchored(&one)),
        ("maxLength", "1024".to_owned()),
    ];
    vec![
        ("type", r#"["string", "array"]"#.to_owned()),
        ("pattern", anchored(&format!("off|{plain}|{added}"))),
        ("items", object(&item)),
        ("minItems", "1".to_owned()),
        ("anyOf", format!("[{}]", unmixed.join(", "))),
    ]
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

fn schema() -> Value {
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
fn ranges_of_numbers_as_patterns() {
    assert_eq!(numbers(0, 9), "[0-9]");
    assert_eq!(numbers(1, 16), "[1-9]|1[0-6]");
    assert_eq!(
        numbers(10, 60_000),
        "[1-9][0-9]|[1-9][0-9]{2}|[1-9][0-9]{3}|[1-5][0-9]{4}|60000"
    );
    assert_eq!(
        numbers(64, 1024),
        "6[4-9]|[7-9][0-9]|[1-9][0-9]{2}|1(0([0-1][0-9]|2[0-4]))"
    );
    assert_eq!(numbers(1, 1), "1");
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

// --- What it takes --------------------------------------------------------------------------------------------------------

/// What a configuration is to the schema, and to the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    schema: bool,
    filter: bool,
}

const GOOD: Verdict = Verdict {
    schema: true,
    filter: true,
};
const BAD: Verdict = Verdict {
    schema: false,
    filter: false,
};
/// Kong asks for more than the filter: what is not for Kong, and what would not be clear.
const STRICTER: Verdict = Verdict {
    schema: false,
    filter: true,
};
/// What JSON Schema cannot say.
const UNSAID: Verdict = Verdict {
    schema: true,
    filter: false,
};

/// A setting beside a collector.
fn with(name: &str, value: Value) -> Value {
    json!({ "collector": "http://collector:4320", name: value })
}

fn samples() -> Vec<(Value, Verdict)> {
    let collectors = [
        ("http://collector", GOOD),
        ("https://collector.example.com:4320", GOOD),
        ("HTTP://10.0.0.7:65535/", GOOD),
        ("http://[::1]:4320", GOOD),
        ("http://my_collector:1", GOOD),
        ("", BAD),
        ("collector:4320", BAD),
        ("grpc://collector:4320", BAD),
        ("http://collector:0", BAD),
        ("http://collector:65536", BAD),
        ("http://collector:port", BAD),
        ("http://collector:4320/v1", BAD),
        ("http://user:pass@collector:4320", BAD),
        ("http://-collector", BAD),
        ("http://collector..example", BAD),
    ];
    let mut samples: Vec<(Value, Verdict)> = collectors
        .into_iter()
        .map(|(url, verdict)| (json!({ "collector": url }), verdict))
        .collect();
    samples.extend([
        (json!({}), BAD),
        (json!([]), BAD),
        (json!("collector=http://collector:4320"), BAD),
        (json!({ "collector": null }), BAD),
        (with("colector", json!("x")), BAD),
        (with("Sample_rate", json!(1)), BAD),
        (with("tls_ca", json!("/etc/ca.pem")), BAD),
        (with("cluster", json!("silhouette_collector")), STRICTER),
    ]);
    let texts: &[(&str, &[&str], &[&str])] = &[
        (
            "token",
            &["s3cret", "a.b-c_d~+/="],
            &["with space", "mit-ü", "tab\t."],
        ),
        ("name", &["edge-1", "Kante ü"], &[""]),
        ("metrics", &["auto", "on", "off"], &["", "ON", "yes"]),
        (
            "max_request_body",
            &[
                "0", "1", "262144", "16777216", "256k", "16384K", "1m", "16m",
            ],
            &[
                "17m", "16385k", "16777217", "-1", "1.5k", "1 m", "10g", "k", "0x10",
            ],
        ),
        (
            "max_response_body",
            &["0k", "16m"],
            &["lots", "99999999999999999999"],
        ),
        (
            "queue_bytes",
            &["64k", "65536", "1g", "1024m", "1048576k"],
            &["63k", "65535", "2g", "1025m", "0"],
        ),
        (
            "flush_interval_ms",
            &["10", "999", "60000"],
            &["9", "60001", "200ms", "1.5"],
        ),
        (
            "sample_rate",
            &["0", "1", "0.25", "1.0", ".5"],
            &["1.1", "-0.1", "50%", "", "all"],
        ),
        (
            "excluded_statuses",
            &["404", "5xx", "1XX,500-599", "404, 410  429", "+404", "off"],
            &["6000", "0xx", "99", "abc", "5x", "404;410", "404,+410"],
        ),
        (
            "excluded_methods",
            &["CONNECT,TRACE", "+PURGE,+BAN", "off"],
            &["P(T", "GET,P T(", "+PURGE,BAN"],
        ),
        (
            "excluded_headers",
            &["x-no-capture", "X-A x-b"],
            &["x:y", "größe"],
        ),
        (
            "include_hosts",
            &["*", "api.example.com", "*.example.com:8443,[::1]:80", "a_b"],
            &[
                "y/z",
                "*.",
                "a..b",
                "example.com:0",
                "example.com:70000",
                "*.[::1]",
                "-a",
            ],
        ),
        ("exclude_hosts", &["off", "+internal"], &["http://a"]),
        (
            "include_paths",
            &["/api/*", "*.css", "/a /b", "+/c"],
            &["health", "/a?b"],
        ),
        ("exclude_paths", &["/internal/*,*.css", "off"], &["/ok,no"]),
        (
            "content_types",
            &[
                "application/json",
                "*/*",
                "*",
                "*+json",
                "application/*",
                "application/*+xml",
                "*/*+json",
                "+application/vnd.example+cbor",
                "off",
            ],
            &[
                "json",
                "application/",
                "*/json",
                "application/*json",
                "text/html;q=1",
                "a/b/c",
            ],
        ),
        (
            "redact_headers",
            &["authorization,*token", "+X-Internal-User", "_a", "off"],
            &["token*", "*", "*ab", "a.b", "*-_-"],
        ),
        ("redact_query", &["*token"], &["a=b"]),
        (
            "redact_json",
            &["+dateOfBirth, +*-pin-", "*a-b-c"],
            &["user.name", "größe"],
        ),
    ];
    for (name, good, bad) in texts {
        samples.extend(good.iter().map(|text| (with(name, json!(text)), GOOD)));
        samples.extend(bad.iter().map(|text| (with(name, json!(text)), BAD)));
    }
    samples.extend([
        (with("token", json!("x".repeat(4096))), GOOD),
        (with("token", json!("x".repeat(4097))), BAD),
        (with("token", json!("")), STRICTER),
        (with("name", json!("x".repeat(256))), GOOD),
        (with("name", json!("x".repeat(257))), BAD),
        (with("name", json!(7)), BAD),
        (with("metrics", json!(true)), BAD),
        (with("max_request_body", json!(0)), GOOD),
        (with("max_request_body", json!(16_777_216)), GOOD),
        (with("max_request_body", json!(16_777_217)), BAD),
        (with("max_request_body", json!(-1)), BAD),
        (with("max_request_body", json!(1.5)), BAD),
        (with("max_request_body", json!(true)), BAD),
        (with("max_request_body", json!({ "bytes": 1 })), BAD),
        (with("queue_bytes", json!(65_536)), GOOD),
        (with("queue_bytes", json!(65_535)), BAD),
        (with("flush_interval_ms", json!(200)), GOOD),
        (with("flush_interval_ms", json!(5)), BAD),
        (with("sample_rate", json!(0.1)), GOOD),
        (with("sample_rate", json!(1)), GOOD),
        (with("sample_rate", json!(2)), BAD),
        (with("sample_rate", json!(false)), BAD),
        (with("excluded_statuses", json!(["1xx", "404", 500])), GOOD),
        (with("excluded_statuses", json!([99])), BAD),
        (with("excluded_statuses", json!([true])), BAD),
        (with("excluded_methods", json!(["CONNECT", "PURGE"])), GOOD),
        (with("excluded_methods", json!(["+PURGE", "+BAN"])), GOOD),
        (with("excluded_methods", json!(["+PURGE", "BAN"])), BAD),
        (with("excluded_methods", json!(["off"])), GOOD),
        (with("excluded_methods", json!(["P(T"])), BAD),
        (with("excluded_methods", json!([["GET"]])), BAD),
        (with("exclude_paths", json!(["/healthz", "*.css"])), GOOD),
        (
            with("exclude_paths", json!([format!("/{}", "x".repeat(1024))])),
            BAD,
        ),
        (with("redact_json", json!(["+dateOfBirth"])), GOOD),
        // `false` is what YAML makes of an `off` without quotes.
        (with("redact_json", json!(false)), BAD),
        // Lua does not tell an empty list from an empty object: `off` is clear.
        (with("redact_json", json!([])), STRICTER),
        (with("excluded_statuses", json!("")), STRICTER),
        // A range that ends before it begins.
        (with("excluded_statuses", json!("599-500")), UNSAID),
        (with("include_hosts", json!("[:::1]")), UNSAID),
    ]);
    let defaults = shared().filter(|setting| !default_of(setting).is_empty());
    samples.extend(defaults.map(|setting| (with(setting.name, json!(default_of(setting))), GOOD)));
    samples
}

/// What jsonschema says of each, by draft 4, which is Kong's.
fn judged(schema: &Value, samples: &[&Value]) -> Vec<bool> {
    const VALIDATE: &str = "
import json, sys
from jsonschema import Draft4Validator
given = json.load(sys.stdin)
Draft4Validator.check_schema(given['schema'])
validator = Draft4Validator(given['schema'])
json.dump([validator.is_valid(sample) for sample in given['samples']], sys.stdout)
";
    let given = json!({ "schema": schema, "samples": samples });
    let said = python(VALIDATE, &[], &given.to_string());
    serde_json::from_str(&said).unwrap()
}

/// Runs a script with the Python that `cargo xtask install` has made.
fn python(script: &str, arguments: &[&Path], input: &str) -> String {
    let python = checkout().join("target/tools/python/bin/python");
    let mut child = Command::new(&python)
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask install`", python.display()));
    // It reads all of it before it writes anything.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn read(configuration: &Value) -> Result<(), String> {
    settings::read(
        configuration.to_string().as_bytes(),
        settings::Gateway::Kong,
    )
    .map(drop)
    .map_err(|refused| refused.text)
}

#[test]
fn the_schema_and_the_filter_agree() {
    let samples = samples();
    let texts: Vec<&Value> = samples.iter().map(|(sample, _)| sample).collect();
    let schema = judged(&schema(), &texts);
    assert_eq!(schema.len(), samples.len());
    let mut wrong = Vec::new();
    for ((sample, wanted), schema) in samples.iter().zip(schema) {
        let read = read(sample);
        let found = Verdict {
            schema,
            filter: read.is_ok(),
        };
        if found != *wanted {
            wrong.push(format!(
                "{sample}: {found:?} ({read:?}), and not {wanted:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Kong reads the configuration and writes it again, by a library that escapes slashes.
#[test]
fn the_filter_reads_what_kong_writes() {
    for written in [
        r#"{"collector":"http:\/\/collector:4320","exclude_paths":["\/healthz","*.css"],"sample_rate":0.1,"queue_bytes":65536}"#,
        r#"{ "name" : "K\u00fcste", "collector" : "http:\/\/collector" }"#,
        "\n{\"collector\":\"http://collector:4320\"}\n",
    ] {
        let read = settings::read(written.as_bytes(), settings::Gateway::Kong);
        assert!(read.is_ok(), "{written}: {}", read.err().unwrap().text);
    }
    let written = r#"{"collector":"http:\/\/collector:4320\/v1"}"#;
    let refused = settings::read(written.as_bytes(), settings::Gateway::Kong).err();
    let text = refused.unwrap().text;
    assert!(
        text.contains("collector: `http://collector:4320/v1` is not accepted"),
        "{text}"
    );
}

/// Every setting was in a sample, good and bad.
#[test]
fn samples_leave_nothing_out() {
    let samples = samples();
    let own = OWN.iter().filter(|own| own.4).map(|own| own.0);
    for name in shared().map(|setting| setting.name).chain(own) {
        for verdict in [GOOD, BAD] {
            let one = |(sample, found): &(Value, Verdict)| {
                sample.get(name).is_some() && *found == verdict
            };
            assert!(samples.iter().any(one), "{name}: no sample is {verdict:?}");
        }
    }
}

// --- What is written about it ---------------------------------------------------------------------------------------------

fn rows(kong: bool) -> String {
    let mut table = String::from("\n| setting | default | accepts | |\n|---|---|---|---|\n");
    let mut add = |name: &str, default: &str, accepts: &str, help: &str| {
        let default = match default {
            "" => "–".to_owned(),
            long if long.len() > 60 => {
                "built-in list, see [nginx.md](nginx.md#directives)".to_owned()
            }
            short => format!("`{short}`"),
        };
        let accepts = accepts.replace('|', "\\|");
        table += &format!("| `{name}` | {default} | {accepts} | {help} |\n");
    };
    for setting in shared() {
        add(
            setting.name,
            default_of(setting),
            setting.accepts,
            setting.help,
        );
    }
    for (name, default, accepts, help, in_kong) in OWN {
        if *in_kong || !kong {
            add(name, default, accepts, help);
        }
    }
    table
}

#[test]
fn the_documentation_has_every_setting() {
    for (page, kong) in [("kong.md", true), ("envoy.md", false)] {
        let path = checkout().join("docs").join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("meta.rs -->\n").unwrap();
        let (have, after) = rest.split_once("\n<!-- /settings -->").unwrap();
        if updating() {
            let text = format!(
                "{before}meta.rs -->\n{}\n<!-- /settings -->{after}",
                rows(kong)
            );
            std::fs::write(path, text).unwrap();
        } else {
            assert_eq!(have, rows(kong), "docs/{page}");
        }
    }
}

/// Every configuration of the filter in files of YAML and JSON, with the file's name.
const CONFIGURATIONS: &str = "
import json, sys, yaml
found = []
def walk(file, value):
    if isinstance(value, list):
        for item in value:
            walk(file, item)
    if isinstance(value, dict):
        if value.get('name') == 'silhouette' and 'config' in value:
            found.append((file, value['config']))
        if value.get('plugin') == 'silhouette':
            found.append((file, value['config']))
        if value.get('kind') == 'WasmPlugin':
            found.append((file, value['spec']['pluginConfig']))
        if str(value.get('@type', '')).endswith('protobuf.StringValue'):
            found.append((file, json.loads(value['value'])))
        for item in value.values():
            walk(file, item)
        for item in value.values():
            if isinstance(item, str) and '_format_version' in item:
                walk(file, yaml.safe_load(item))
for file in sys.argv[1:]:
    for document in yaml.safe_load_all(open(file)):
        walk(file, document)
json.dump(found, sys.stdout)
";

fn configurations(folder: &str) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(checkout().join("deploy").join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yml" | "yaml" | "json"))
        })
        .collect();
    files.sort();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    serde_json::from_str(&python(CONFIGURATIONS, &files, "")).unwrap()
}

#[test]
fn examples_for_kong_are_accepted() {
    let found = configurations("kong");
    let values: Vec<&Value> = found.iter().map(|(_, value)| value).collect();
    for ((file, value), good) in found.iter().zip(judged(&schema(), &values)) {
        assert!(good, "{file}: the schema refuses {value}");
        read(value).unwrap_or_else(|refused| panic!("{file}: {refused}"));
    }
    // One shows everything there is.
    for name in shared()
        .map(|setting| setting.name)
        .chain(OWN.iter().filter(|own| own.4).map(|own| own.0))
    {
        let shown = found
            .iter()
            .any(|(file, value)| file.ends_with("/kong.yml") && value.get(name).is_some());
        assert!(shown, "deploy/kong/kong.yml does not show `{name}`");
    }
}

#[test]
fn examples_for_envoy_and_istio_are_accepted() {
    for folder in ["envoy", "istio"] {
        let found = configurations(folder);
        assert!(!found.is_empty(), "deploy/{folder} configures no filter");
        for (file, value) in found {
            read(&value).unwrap_or_else(|refused| panic!("{file}: {refused}"));
            assert!(
                value.get("cluster").is_some(),
                "{file}: without `cluster` it is Kong's"
            );
        }
    }
}

/// The filter as it ships, beside the profile's directory in which this test is.
fn filter() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let filter = target.join("filter/silhouette.wasm");
    assert!(
        filter.exists(),
        "{}: `cargo xtask filter` builds it",
        filter.display()
    );
    filter
}

#[test]
fn envoy_takes_the_example_and_refuses_a_spoilt_one() {
    let example = std::fs::read_to_string(checkout().join("deploy/envoy/envoy.yaml")).unwrap();
    let filter = filter().canonicalize().unwrap();
    let path = "/etc/envoy/silhouette.wasm";
    assert!(example.contains(path));
    let example = example.replace(path, filter.to_str().unwrap());
    let spoilt = example.replace("\"cluster\":", "\"sample_rate\": 2, \"cluster\":");
    assert_ne!(example, spoilt);
    let envoy = checkout().join("target/tools/envoy/bin/envoy");
    let judge = |yaml: &str| {
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--config-yaml", yaml])
            .output()
            .unwrap_or_else(|error| {
                panic!("{}: {error}: run `cargo xtask install`", envoy.display())
            });
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (good, said) = judge(&example);
    assert!(good, "{said}");
    let (good, said) = judge(&spoilt);
    assert!(!good, "{said}");
    assert!(said.contains("sample_rate: `2` is not accepted"), "{said}");
}
