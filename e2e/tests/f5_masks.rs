//! What the iRule masks before anything leaves the BIG-IP is what every other shim would have masked: the same headers, with
//! placeholders of the same class, so that documents come out the same; and nothing of a secret is left.
//!
//! In: header values, given to the procedures of the real rule in tclsh and to `silhouette_capture`. Out: the two compared.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use prost::Message as _;
use silhouette_capture::{Clock, End, Recorder, RequestHead, Sampler, Settings};
use silhouette_proto::telemetry::v1::Exchange;

/// Loads the rule with its defaults and answers each line `NAME VALUE`, in hexadecimal, with the masked value, or with `-` when the
/// header is not on the deny-list.
const DRIVER: &str = r#"
namespace eval static {}
namespace eval TMM { proc cmp_unit {} { return 0 } }
array set static::tcl_platform {machine bigip-1 osVersion 16.1.4}
proc when {event args} { if {$event eq "RULE_INIT"} { uplevel #0 [lindex $args end] } }
proc call {name args} { tailcall $name {*}$args }
proc log {where text} { puts stderr $text; exit 1 }
source [lindex $argv 0]
proc class {what args} { dict get $::settings [lindex $args 0] }
set problem [sil_apply {pool /Common/log key_id bigip-1 key silk_x}]
if {$problem ne ""} { puts stderr $problem; exit 1 }
fconfigure stdout -buffering line
while {[gets stdin line] >= 0} {
    set name [binary format H* [lindex $line 0]]
    set value [binary format H* [lindex $line 1]]
    if {[sil_is_secret $name]} {
        # Each value is a head of its own.
        set static::sil_parts $static::sil_most_parts
        binary scan [sil_mask [string tolower $name] $value] H* masked
        puts "=$masked"
    } else {
        puts "-"
    }
}
"#;

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What the rule makes of each: `None` where it sends the value as it is.
fn by_the_rule(headers: &[(String, String)]) -> Result<Vec<Option<String>>> {
    let rule = Path::new(env!("CARGO_MANIFEST_DIR")).join("../f5-irule/silhouette.tcl");
    let dir = tempfile::tempdir()?;
    let driver = dir.path().join("driver.tcl");
    std::fs::write(&driver, DRIVER)?;
    let mut child = Command::new("tclsh")
        .arg(&driver)
        .arg(&rule)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("tclsh (Debian's `tcl`)")?;
    let mut stdin = child.stdin.take().context("stdin")?;
    let lines: String = headers
        .iter()
        // An empty word would be none.
        .map(|(name, value)| format!("{} {{{}}}\n", hex(name), hex(value)))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().ok().context("the writer")??;
    ensure!(output.status.success(), "tclsh failed");
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| {
            let Some(masked) = line.strip_prefix('=') else {
                return Ok(None);
            };
            let bytes: Vec<u8> = (0..masked.len() / 2)
                .map(|at| u8::from_str_radix(&masked[2 * at..2 * at + 2], 16))
                .collect::<Result<_, _>>()?;
            Ok(Some(String::from_utf8(bytes)?))
        })
        .collect()
}

/// What is recorded of a header.
fn recorded(name: &str, value: &str) -> Result<String> {
    let policy = Arc::new(Settings::default().build()?);
    let head = RequestHead {
        scheme: "https",
        authority: b"api.example.com",
        method: b"GET",
        path: b"/",
        query: None,
        http_version: "1.1",
    };
    let recorder = Recorder::begin(
        &policy,
        &mut Sampler::new(1),
        [1; 16],
        &head,
        [(name.as_bytes(), value.as_bytes())],
        Clock::default(),
    )
    .ok()
    .context("skipped")?;
    let sealed = recorder.finish(&End::default()).ok().context("skipped")?;
    let exchange = Exchange::decode(sealed.as_bytes())?;
    let header = exchange
        .request
        .context("request")?
        .headers
        .pop()
        .context("header")?;
    Ok(String::from_utf8(header.value.to_vec())?)
}

const NAMES: &[&str] = &[
    "Authorization",
    "proxy-authorization",
    "X-Api-Key",
    "x_api_key",
    "APIKEY",
    "Cookie",
    "Set-Cookie",
    "X-Auth-Token",
    "X-CSRF-Token",
    "x-client-secret",
    "X-Session-Id",
    "X-Session_Id",
    "X-Amz-Security-Token",
    "x-functions-key",
    "X-Forwarded-Client-Cert",
    "Content-Type",
    "Accept",
    "X-Request-Id",
    "Token-Kind",
    "X-Keyed",
    "Host",
    "Set-Cookie2",
    "Cookies",
    "Date",
];

const VALUES: &[&str] = &[
    "",
    "x",
    "hunter2",
    "Bearer hunter2",
    "bearer  two  blanks",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "eyJ.not.one!",
    "Basic aHVudGVyMg==",
    "Digest username=\"ada\", realm=\"x\"",
    "Hunter two",
    "ApiKey 0123456789",
    "AWS4-HMAC-SHA256 Credential=AKIA/x",
    "4111 1111-2222",
    "+49 (151) 2.3",
    "deadbeef01",
    "DEADBEEF0",
    "abcdef",
    "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
    "2024-02-29",
    "2024-02-29T12:00:00.123+01:00",
    "2024-02-29 12:00",
    "ada@lovelace.org",
    "not an@email",
    "a@b@c.org",
    "https://me:pw@host/x?token=1",
    "HTTPS://host/x",
    "gopher://host/",
    "a=1; b=two",
    "sid=\"hunter2\"; empty=; bare",
    "a=b;c=d ; e",
    "sid=hunter2; Path=/; HttpOnly; Max-Age=60; odd=value",
    "Path=secret",
    "sid=hunter2; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Lax",
    "=hunter2; =x",
    "a=b=c",
    ";;",
    "{braces} [brackets] $dollars \\ \"",
    "tab\tinside",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz",
];

#[test]
fn the_rule_masks_as_every_shim_does() -> Result<()> {
    let headers: Vec<(String, String)> = NAMES
        .iter()
        .flat_map(|name| {
            VALUES
                .iter()
                .map(|value| (name.to_string(), value.to_string()))
        })
        .collect();
    let masked = by_the_rule(&headers)?;
    assert_eq!(masked.len(), headers.len());
    let mut wrong = BTreeMap::new();
    for ((name, value), masked) in headers.iter().zip(&masked) {
        let wanted = recorded(name, value)?;
        let sent = masked.as_ref().unwrap_or(value);
        // What was masked once stays as it is when the collector does it again.
        let seen = recorded(name, sent)?;
        if seen != wanted || masked.as_ref().is_some_and(|masked| *masked != wanted) {
            wrong.insert((name, value), (masked, seen, wanted));
        }
    }
    assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
    let secrets = masked
        .iter()
        .flatten()
        .filter(|masked| masked.contains("hunter2"));
    assert_eq!(secrets.count(), 0);
    assert!(
        masked.iter().flatten().count() > 10 * VALUES.len(),
        "most of the names are on the list"
    );
    Ok(())
}

#[test]
fn the_rules_defaults_are_those_of_every_shim() -> Result<()> {
    let rule = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../f5-irule/silhouette.tcl"),
    )?;
    for name in [
        "content_types",
        "redact_headers",
        "excluded_methods",
        "excluded_statuses",
        "excluded_headers",
        "include_hosts",
        "exclude_hosts",
        "include_paths",
        "exclude_paths",
        "sample_rate",
    ] {
        let setting = Settings::TABLE
            .iter()
            .find(|setting| setting.name == name)
            .context(name)?;
        let row = rule
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{{{name} ")))
            .context(name)?;
        let default: String = setting.default.split_whitespace().collect();
        let wanted = if default.is_empty() {
            " {} {".to_owned()
        } else {
            default
        };
        ensure!(
            row.contains(&wanted),
            "{name}: {row} does not have {wanted}"
        );
    }
    Ok(())
}
