//! What we write, judged by what nobody here wrote: documents by two linters, reports by the schema of their format.
//!
//! In: the pinned tools and the schema under `target/tools`, and the built collector. Out: a verdict per tool and document.
//! Errors count, advice does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tally::Tally;
use crate::{command, install, workspace};

/// Writes the sample documents and lints each with each tool.
pub(crate) fn run(tally: &mut Tally) -> Result<()> {
    let dir = workspace::target().join("samples");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let mut emit = command::cargo();
    emit.args([
        "run",
        "--quiet",
        "-p",
        "silhouette-reconstruct",
        "--example",
        "emit_samples",
        "--",
    ])
    .arg(&dir);
    command::run(&mut emit)?;
    let mut documents: Vec<PathBuf> = std::fs::read_dir(&dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| format!("reading {}", dir.display()))?;
    documents.sort();
    if documents.is_empty() {
        bail!(
            "the example emit_samples has written no document into {}",
            dir.display()
        );
    }
    lint("openapi-spec-validator", tally, &documents, || {
        command::program(workspace::tools().join("python/bin/openapi-spec-validator"))
    });
    lint("redocly lint", tally, &documents, || {
        let mut redocly =
            command::program(workspace::tools().join("node/node_modules/.bin/redocly"));
        redocly
            .env("REDOCLY_TELEMETRY", "off")
            .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
        redocly.args(["lint", "--extends=recommended", "--format=stylish"]);
        redocly
    });
    Ok(())
}

/// Validates a file against a schema; says what is wrong, where there are alternatives of the likeliest, and exits 1.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
schema, file = sys.argv[1:]
error = best_match(Draft7Validator(json.load(open(schema))).iter_errors(json.load(open(file))))
if error:
    sys.exit(f'{error.json_path}: {error.message[:300]}')
";

/// Whether a schema (draft 7) takes a file.
///
/// # Errors
/// When it does not, with what is wrong.
pub(crate) fn valid(schema: &Path, file: &Path) -> Result<()> {
    let mut python = command::program(workspace::tools().join("installers/bin/python"));
    python.args(["-c", VALIDATE]).args([schema, file]);
    command::output(&mut python).map(drop)
}

/// Reports of `check` and `diff` against the schema OASIS publishes of SARIF 2.1.0; and one that is no SARIF, so that it is
/// known that the schema refuses.
pub(crate) fn sarif(tally: &mut Tally) -> Result<()> {
    let dir = workspace::target().join("reports");
    std::fs::create_dir_all(&dir)?;
    let validate = |file: &Path| valid(&install::sarif_schema(), file);
    let program = workspace::built("dev").join("silhouette-collector");
    let descriptions = workspace::root().join("collector/tests/check");
    let runs: [(&str, &[&str]); 5] = [
        ("check", &["shop.yaml", "--against", "../har/chrome.har"]),
        ("check", &["shop.yaml", "--against", "seen.yaml"]),
        ("check", &["seen.yaml", "--against", "seen.yaml"]),
        ("diff", &["shop.yaml", "shop-2.yaml"]),
        ("diff", &["shop.yaml", "shop.yaml"]),
    ];
    let mut text = String::new();
    for (number, (kind, args)) in runs.iter().enumerate() {
        let file = dir.join(format!("{number}-{kind}.sarif"));
        let mut report = command::program(&program);
        report.current_dir(&descriptions).arg(kind).args(*args);
        report.args(["--fail-on", "none", "--format", "sarif", "--output"]);
        command::output(report.arg(&file))?;
        let verdict = validate(&file);
        tally.one(verdict.is_ok());
        match verdict {
            Ok(()) => println!("{kind} {}: valid SARIF", args.join(" ")),
            Err(error) => println!("{kind} {}: {error:#}", args.join(" ")),
        }
        text = std::fs::read_to_string(&file)?;
    }
    let spoilt = dir.join("spoilt.sarif");
    std::fs::write(&spoilt, text.replace("\"driver\"", "\"rider\""))?;
    let refused = validate(&spoilt).is_err();
    tally.one(refused);
    if !refused {
        println!("the schema takes a tool without a driver");
    }
    Ok(())
}

/// As many at once as there are cores, because starting a tool takes long and none uses a second core; one by one when something
/// is wrong, to say what.
fn lint(name: &str, tally: &mut Tally, documents: &[PathBuf], tool: impl Fn() -> Command + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let good = std::thread::scope(|scope| {
        let tool = &tool;
        let parts: Vec<_> = documents
            .chunks(documents.len().div_ceil(cores))
            .map(|part| scope.spawn(move || command::output(tool().args(part)).is_ok()))
            .collect();
        parts.into_iter().all(|part| part.join().unwrap_or(false))
    });
    if good {
        tally.passed += documents.len() as u64;
        println!("{name}: {} documents without an error", documents.len());
        return;
    }
    for document in documents {
        let verdict = command::output(tool().arg(document));
        tally.one(verdict.is_ok());
        if let Err(error) = verdict {
            println!("{name}: {}: {error:#}", shown(document));
        }
    }
}

fn shown(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
