//! Two linters that nobody here wrote, on documents made by `reconstruct`'s example.
//!
//! In: the pinned tools under `target/tools`. Out: a verdict per tool and document. Errors count, advice does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tally::Tally;
use crate::{command, workspace};

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

/// All at once, because starting a tool is most of the time; one by one when something is wrong, to say what.
fn lint(name: &str, tally: &mut Tally, documents: &[PathBuf], tool: impl Fn() -> Command) {
    if command::output(tool().args(documents)).is_ok() {
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
