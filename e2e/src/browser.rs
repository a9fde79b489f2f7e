//! Scripts in a real browser: Debian's chromium, driven by the pinned playwright-core under `target/tools`.
//!
//! In: the name of a script in `e2e/browser/`, what it is given, and what to do when it asks for something that no browser
//! can do (start a collector, send traffic). Out: every step passed, or an error with each that did not, and pictures in
//! `target/screenshots/`. Ends with its caller; a script that hangs is ended after a bounded time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::process::{self, Process, Signal};

/// How long a script may take in all, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(420);

/// Runs `e2e/browser/<script>.mjs`; `given` (an object) is what it finds in `session.given`. `answer` is called with what
/// the script asks for and returns what it is told; an error fails the script's step.
///
/// # Errors
/// When a step failed (all that did, with the page's own words), when the tools are missing, when the script breaks.
pub fn run(
    script: &str,
    mut given: Value,
    mut answer: impl FnMut(&str, &Value) -> Result<Value>,
) -> Result<()> {
    let root = checkout()?;
    let tools = root.join("target/tools/node");
    for needed in ["node_modules/playwright-core", "node_modules/axe-core"] {
        let path = tools.join(needed);
        ensure!(
            path.exists(),
            "{} is missing: `cargo xtask install` brings it",
            path.display()
        );
    }
    given["screenshots"] = json!(root.join("target/screenshots").join(script));
    let mut command = process::tied("node");
    command
        .arg(root.join("e2e/browser").join(format!("{script}.mjs")))
        .env("SILHOUETTE_NODE_TOOLS", &tools)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .context("running node: is it installed? `cargo xtask install` does it")?;
    let mut stdin = child.stdin.take().context("its standard input is piped")?;
    let stdout = child
        .stdout
        .take()
        .context("its standard output is piped")?;
    let mut node = Process::from_child(script, child);
    let pid = node.pid();
    let (done, running) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = running.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = process::signal_pid(pid, Signal::KILL);
        }
        late
    });
    let result = converse(BufReader::new(stdout), &mut stdin, &given, &mut answer);
    drop(done);
    let late = watch.join().unwrap_or(false);
    if late {
        node.kill_9();
        bail!("{script}.mjs did not end within {PATIENCE:?}; it came as far as: {result:?}");
    }
    let outcome = result?;
    let status = node.wait(process::PATIENCE)?;
    ensure!(
        outcome.ended && status.success(),
        "{script}.mjs broke off ({status}) after {:?}; what it printed on standard error says why",
        outcome.passed
    );
    ensure!(
        !outcome.passed.is_empty() || !outcome.failed.is_empty(),
        "{script}.mjs has no step"
    );
    for name in &outcome.passed {
        println!("{script}: {name}: ok");
    }
    ensure!(
        outcome.failed.is_empty(),
        "{} of {} steps of {script}.mjs failed:\n\n{}",
        outcome.failed.len(),
        outcome.failed.len() + outcome.passed.len(),
        outcome.failed.join("\n\n")
    );
    Ok(())
}

#[derive(Debug, Default)]
struct Outcome {
    passed: Vec<String>,
    failed: Vec<String>,
    ended: bool,
}

fn converse(
    lines: impl BufRead,
    script: &mut impl Write,
    given: &Value,
    answer: &mut impl FnMut(&str, &Value) -> Result<Value>,
) -> Result<Outcome> {
    let mut tell = |value: &Value| -> Result<()> {
        writeln!(script, "{value}")?;
        Ok(script.flush()?)
    };
    tell(given)?;
    let mut outcome = Outcome::default();
    for line in lines.lines() {
        let line = line?;
        let said: Value = serde_json::from_str(&line)
            .with_context(|| format!("a line that is no JSON: {line}"))?;
        let text = |member: &str| said[member].as_str().map(str::to_owned);
        if let Some(name) = text("passed") {
            outcome.passed.push(name);
        } else if let Some(name) = text("failed") {
            let why = text("why").unwrap_or_default().replace('\n', "\n    ");
            outcome.failed.push(format!("{name}:\n    {why}"));
        } else if let Some(what) = text("ask") {
            let reply = match answer(&what, &said["with"]) {
                Ok(value) => json!({ "value": value }),
                Err(error) => json!({ "error": format!("{error:#}") }),
            };
            tell(&reply)?;
        } else if said["end"] == true {
            outcome.ended = true;
        } else {
            bail!("a line that means nothing: {line}");
        }
    }
    Ok(outcome)
}

/// The checkout this was compiled in.
pub fn checkout() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.map(Path::to_owned).context("e2e lies in the checkout")
}
