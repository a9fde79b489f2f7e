//! The real collector as a child process on free loopback ports.
//!
//! In: arguments for `serve`. Out: its two addresses, its admin answers, and every way of ending it. Keeps its data
//! directory and its ports across [`Collector::restart`], as a service on a machine would.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, Process, Signal};
use crate::{Answer, artifacts, curl};

/// A running (or just killed) collector.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    args: Vec<String>,
    data_dir: PathBuf,
    listening: Listening,
    log: PathBuf,
    _dir: TempDir,
}

/// What its one line on stdout says: where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listening {
    telemetry: SocketAddr,
    admin: SocketAddr,
    hsl: Option<SocketAddr>,
    hsl_udp: Option<SocketAddr>,
}

impl Collector {
    /// `silhouette-collector serve` with these further arguments, on a fresh data directory.
    pub fn start(args: &[&str]) -> Result<Collector> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-collector-")
            .tempdir()?;
        let data_dir = dir.path().join("data");
        Self::launch(dir, data_dir, args)
    }

    /// The same on a data directory of the caller's.
    pub fn start_in(data_dir: &Path, args: &[&str]) -> Result<Collector> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-collector-")
            .tempdir()?;
        Self::launch(dir, data_dir.to_owned(), args)
    }

    /// The same with `--hsl-listen` on a free port, and a key that was created before; and that key.
    pub fn start_with_hsl_key(name: &str, args: &[&str]) -> Result<(Collector, String)> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-collector-")
            .tempdir()?;
        let data_dir = dir.path().join("data");
        let key = create_hsl_key(&data_dir, name)?;
        let listen = process::free_address()?.to_string();
        let args = [&["--hsl-listen", &listen], args].concat();
        Ok((Self::launch(dir, data_dir, &args)?, key))
    }

    fn launch(dir: TempDir, data_dir: PathBuf, args: &[&str]) -> Result<Collector> {
        let log = dir.path().join("collector.log");
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let (telemetry, admin) = (process::free_address()?, process::free_address()?);
        let (process, listening) = serve(&data_dir, &log, &args, telemetry, admin)?;
        Ok(Collector {
            process,
            args,
            data_dir,
            listening,
            log,
            _dir: dir,
        })
    }

    /// Where shims send to.
    pub fn telemetry(&self) -> SocketAddr {
        self.listening.telemetry
    }

    /// Where people look.
    pub fn admin(&self) -> SocketAddr {
        self.listening.admin
    }

    /// Where BIG-IPs send records to by TCP.
    ///
    /// # Errors
    /// When it was started without `--hsl-listen`.
    pub fn hsl(&self) -> Result<SocketAddr> {
        self.listening.hsl.context("there is no --hsl-listen")
    }

    /// The same by UDP.
    ///
    /// # Errors
    /// When it was started without `--hsl-udp-listen`.
    pub fn hsl_udp(&self) -> Result<SocketAddr> {
        self.listening
            .hsl_udp
            .context("there is no --hsl-udp-listen")
    }

    /// The telemetry address as a URL for `silhouette_collector`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listening.telemetry)
    }

    /// The same for TLS, by a name that [`crate::tls`]'s certificates carry.
    pub fn tls_url(&self) -> String {
        format!("https://localhost:{}", self.listening.telemetry.port())
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Everything it has logged, over all restarts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// GET on the admin address.
    pub fn get(&self, path: &str) -> Result<Answer> {
        curl([format!("http://{}{path}", self.listening.admin)])
    }

    /// Sum over all lines of a metric whose name is `name` and whose labels contain `labels` (a part of the text between
    /// the braces, or empty). 0 when there is none.
    pub fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let text = curl::get_ok(&format!("http://{}/metrics", self.listening.admin))?.text();
        Ok(sum_of(&text, name, labels))
    }

    /// The reconstructed document of a host.
    pub fn document(&self, host: &str) -> Result<Value> {
        curl::get_ok(&format!(
            "http://{}/v1/hosts/{host}/openapi.json",
            self.listening.admin
        ))?
        .json()
    }

    /// `METHOD template` of every operation in a host's document, parameters written `{}`.
    pub fn operations(&self, host: &str) -> Result<BTreeSet<String>> {
        Ok(operations_of(&self.document(host)?))
    }

    /// Creates a token in its data directory, as an operator does: for a shim, or with `admin` for the admin listener. A
    /// running collector notices within a second.
    pub fn token(&self, name: &str, admin: bool) -> Result<String> {
        let mut command = std::process::Command::new(artifacts::collector()?);
        command.args(["token", "create", "--name", name, "--data-dir"]);
        command.arg(&self.data_dir);
        if admin {
            command.arg("--admin");
        }
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let token = said
            .split_whitespace()
            .find(|word| word.starts_with("sil_"));
        token.map(str::to_owned).with_context(|| {
            let error = String::from_utf8_lossy(&output.stderr);
            format!("no token in {said:?} {error}")
        })
    }

    /// Creates a key for a BIG-IP in its data directory, as an operator does. A running collector notices within a second.
    pub fn hsl_key(&self, name: &str) -> Result<String> {
        create_hsl_key(&self.data_dir, name)
    }

    /// Revokes it. A running collector notices within a second.
    pub fn revoke_hsl_key(&self, name: &str) -> Result<()> {
        hsl_keys(&self.data_dir, &["revoke", name]).map(|_| ())
    }

    /// How the records of BIG-IPs stand, summed over all TMMs: a member of the senders in `/v1/hsl`, such as `received`.
    pub fn hsl_sum(&self, member: &str) -> Result<u64> {
        let all = self.get("/v1/hsl")?.json()?;
        let senders = all["senders"].as_array().context("senders")?;
        Ok(senders.iter().filter_map(|one| one[member].as_u64()).sum())
    }

    /// How many records were refused for a reason.
    pub fn hsl_refused(&self, reason: &str) -> Result<u64> {
        let all = self.get("/v1/hsl")?.json()?;
        let kinds = all["refused"].as_array().context("refused")?;
        let kinds = kinds.iter().filter(|kind| kind["reason"] == reason);
        Ok(kinds.filter_map(|kind| kind["count"].as_u64()).sum())
    }

    /// SIGKILL: the power cut.
    pub fn kill_9(&mut self) {
        self.process.kill_9();
    }

    /// SIGSTOP: hangs with its sockets open.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// SIGTERM, and waits for the graceful end.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.wait(process::PATIENCE)?;
        if !status.success() {
            bail!("the collector ended with {status}:\n{}", self.log());
        }
        Ok(())
    }

    /// Starts it again after it was ended: same data, same ports.
    pub fn restart(&mut self) -> Result<()> {
        (self.process, self.listening) = serve(
            &self.data_dir,
            &self.log,
            &self.args,
            self.listening.telemetry,
            self.listening.admin,
        )?;
        Ok(())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Also ends one that a test has left stopped.
        self.process.kill_9();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the collector's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// `METHOD template` of every operation in a document, the servers' base path included, parameters written `{}`: names are not part of the comparison.
pub fn operations_of(document: &Value) -> BTreeSet<String> {
    const METHODS: [&str; 8] = [
        "get", "put", "post", "delete", "options", "head", "patch", "trace",
    ];
    let base = document["servers"][0]["url"]
        .as_str()
        .and_then(|url| url.split_once("://"))
        .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or("");
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in item
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .filter(|k| METHODS.contains(&k.as_str()))
        {
            found.insert(format!(
                "{} {}",
                method.to_uppercase(),
                anonymous(&format!("{base}{path}"))
            ));
        }
    }
    found
}

/// A path template without its parameters' names: `/books/{id}` → `/books/{}`.
pub fn anonymous(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut inside = false;
    for c in template.chars() {
        match c {
            '{' => {
                inside = true;
                out.push_str("{}");
            }
            '}' => inside = false,
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

fn create_hsl_key(data_dir: &Path, name: &str) -> Result<String> {
    let said = hsl_keys(data_dir, &["create", "--name", name])?;
    let key = said
        .split_whitespace()
        .find(|word| word.starts_with("silk_"));
    key.map(str::to_owned)
        .with_context(|| format!("no key in {said:?}"))
}

/// `silhouette-collector hsl-key` with these arguments; what it says on stdout.
fn hsl_keys(data_dir: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = std::process::Command::new(artifacts::collector()?);
    command.arg("hsl-key").args(arguments);
    command.arg("--data-dir").arg(data_dir);
    let output = command.output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("hsl-key {arguments:?}: {error}");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn sum_of(text: &str, name: &str, labels: &str) -> f64 {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, braces) = series.split_once('{').unwrap_or((series, ""));
            (metric == name && braces.contains(labels)).then(|| value.parse::<f64>().ok())?
        })
        .sum()
}

fn serve(
    data_dir: &Path,
    log: &Path,
    args: &[String],
    telemetry: SocketAddr,
    admin: SocketAddr,
) -> Result<(Process, Listening)> {
    let mut command = process::tied(artifacts::collector()?);
    command.arg("serve").arg("--data-dir").arg(data_dir);
    command
        .arg("--listen")
        .arg(telemetry.to_string())
        .arg("--admin-listen")
        .arg(admin.to_string())
        .args(args);
    let stderr = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr);
    let mut process = Process::spawn("silhouette-collector", &mut command)?;
    let mut stdout = BufReader::new(process.stdout().context("its standard output is piped")?);
    let mut line = String::new();
    loop {
        line.clear();
        if stdout
            .read_line(&mut line)
            .context("reading the collector's addresses")?
            == 0
        {
            let status = process.wait(Duration::from_secs(5));
            bail!(
                "the collector ended at once ({status:?}):\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
        }
        if let Some(listening) = addresses(&line) {
            // Whatever else it prints must not fill the pipe.
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
            return Ok((process, listening));
        }
    }
}

/// `listening telemetry=ADDR admin=ADDR hsl=ADDR hsl_udp=ADDR`, the last two where there are such.
fn addresses(line: &str) -> Option<Listening> {
    let rest = line.trim().strip_prefix("listening ")?;
    let value = |key: &str| {
        rest.split_whitespace()
            .find_map(|w| w.strip_prefix(key))?
            .parse()
            .ok()
    };
    Some(Listening {
        telemetry: value("telemetry=")?,
        admin: value("admin=")?,
        hsl: value("hsl="),
        hsl_udp: value("hsl_udp="),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_addresses_line() {
        let found = addresses(
            "listening telemetry=127.0.0.1:4320 admin=127.0.0.1:4321 hsl_udp=127.0.0.1:4322\n",
        )
        .unwrap();
        assert_eq!(found.telemetry.port(), 4320);
        assert_eq!(found.admin.port(), 4321);
        assert_eq!(
            (found.hsl, found.hsl_udp.map(|udp| udp.port())),
            (None, Some(4322))
        );
        assert_eq!(addresses("something else"), None);
    }

    #[test]
    fn sums_metrics_by_name_and_label() {
        let text =
            "# TYPE a counter\na_total{reason=\"x\"} 2\na_total{reason=\"y\"} 3\na_totals 9\nb 1\n";
        assert_eq!(sum_of(text, "a_total", ""), 5.0);
        assert_eq!(sum_of(text, "a_total", "reason=\"y\""), 3.0);
        assert_eq!(sum_of(text, "b", ""), 1.0);
        assert_eq!(sum_of(text, "c", ""), 0.0);
    }

    #[test]
    fn templates_are_compared_by_position() {
        assert_eq!(anonymous("/a/{id}/b/{x}.pdf"), "/a/{}/b/{}.pdf");
    }
}
