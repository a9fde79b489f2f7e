//! Configurations, good and bad, and what the schema and the filter are to say of each.
//!
//! In: nothing but the table of settings, whose defaults are among them. Out: samples.

use serde_json::{Value, json};

use crate::schema::{default_of, shared};

/// What a configuration is to the schema, and to the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) schema: bool,
    pub(crate) filter: bool,
}

pub(crate) const GOOD: Verdict = Verdict {
    schema: true,
    filter: true,
};
pub(crate) const BAD: Verdict = Verdict {
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

pub(crate) fn samples() -> Vec<(Value, Verdict)> {
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
