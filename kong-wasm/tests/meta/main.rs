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

use samples::{BAD, GOOD, Verdict, samples};
use schema::{OWN, schema, shared};

mod patterns;
mod samples;
mod schema;
#[path = "../../src/settings.rs"]
#[allow(
    dead_code,
    reason = "what the filter does with a configuration is not asked here"
)]
mod settings;
mod written;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn updating() -> bool {
    std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some()
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
