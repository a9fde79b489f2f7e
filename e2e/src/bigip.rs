//! An emulated BIG-IP (`f5-irule/bench`, run by `tclsh`) with the real iRule on its virtual server, in a directory of its own.
//!
//! In: a [`Setup`]: the pool member, other paths' members, the log pool, the data-group, further rules. Out: a running virtual
//! server on a free loopback port; its data-group can be changed and its log traffic disturbed while it runs. Gone when dropped.
//! What a real BIG-IP would have refused is in [`BigIp::violations`].

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, PATIENCE, Process};

/// Name of the log pool, in the data-group and on the BIG-IP.
pub const LOG_POOL: &str = "/Common/silhouette_log";
/// Name of the data-group with the rule's settings, where nothing else is said.
pub const GROUP: &str = "silhouette_settings";
/// Name of the virtual server.
pub const VIRTUAL: &str = "/Common/vs_books";
/// Name of the pool behind it.
pub const POOL: &str = "/Common/books";
/// The BIG-IP's name.
pub const HOSTNAME: &str = "bigip-1.example.com";
/// Its version.
pub const VERSION: &str = "16.1.4";

/// What a BIG-IP is for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The file of the rule that captures.
    pub rule: PathBuf,
    /// The data-group that this reads, without `/Common/`.
    pub group: String,
    /// How many TMMs share the connections.
    pub tmms: usize,
    /// The pool member.
    pub origin: SocketAddr,
    /// Path prefixes that lead elsewhere.
    pub routes: Vec<(String, SocketAddr)>,
    /// Where the log pool leads.
    pub log_pool: SocketAddr,
    /// The rule's settings; `None`: there is no data-group.
    pub settings: Option<Vec<(String, String)>>,
    /// Further rules on the virtual server: name and text.
    pub rules: Vec<(String, String)>,
    /// Further arguments of `bigip.tcl`.
    pub arguments: Vec<String>,
}

impl Setup {
    /// Everything to one origin, captured by the rule, which sends to `log_pool` under a key; `more` are further settings.
    pub fn capturing(
        log_pool: SocketAddr,
        (key_id, key): (&str, &str),
        origin: SocketAddr,
        more: &[(&str, &str)],
    ) -> Setup {
        let own = [("pool", LOG_POOL), ("key_id", key_id), ("key", key)];
        let settings = own.iter().chain(more);
        Setup {
            rule: rule(),
            group: GROUP.to_owned(),
            tmms: 1,
            origin,
            routes: Vec::new(),
            log_pool,
            settings: Some(
                settings
                    .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            ),
            rules: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// The same with a further argument and its value.
    pub fn with(mut self, arguments: &[&str]) -> Setup {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }
}

/// What happens to the next records on their way to the log pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `HSL::send` says 0.
    Refuse,
    /// It says 1, and nothing arrives.
    Lose,
    /// It arrives twice.
    Double,
    /// Half of it arrives, then the connection ends.
    Cut,
    /// It arrives 50 ms later.
    Delay,
    /// It arrives after the one behind it.
    Reorder,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Fault::Refuse => "refuse",
            Fault::Lose => "lose",
            Fault::Double => "double",
            Fault::Cut => "cut",
            Fault::Delay => "delay",
            Fault::Reorder => "reorder",
        }
    }
}

/// A running BIG-IP.
#[derive(Debug)]
pub struct BigIp {
    process: Process,
    port: u16,
    control: u16,
    dir: TempDir,
}

impl BigIp {
    /// Starts it and waits until clients are taken.
    ///
    /// # Errors
    /// When it refuses a rule, or `tclsh` or one of its packages is missing; with what it says.
    pub fn start(setup: &Setup) -> Result<BigIp> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-bigip-")
            .tempdir()?;
        let bench = bench();
        let mut command = process::tied("tclsh");
        command.arg(bench.join("bigip.tcl"));
        command.arg("--rule").arg(&setup.rule);
        for (name, text) in &setup.rules {
            let path = dir.path().join(format!("{name}.tcl"));
            std::fs::write(&path, text)?;
            command.arg("--rule").arg(path);
        }
        command.args(["--tmms", &setup.tmms.to_string()]);
        command.args(["--origin", &setup.origin.to_string()]);
        for (prefix, address) in &setup.routes {
            command.args(["--route", &format!("{prefix}={address}")]);
        }
        command.args(["--log-pool", &format!("{LOG_POOL}={}", setup.log_pool)]);
        if let Some(settings) = &setup.settings {
            let path = dir.path().join("data-group");
            let lines = settings
                .iter()
                .map(|(name, value)| format!("{name} {value}\n"));
            std::fs::write(&path, lines.collect::<String>())?;
            let group = format!("{}={}", setup.group, path.display());
            command.args(["--data-group", &group]);
        }
        command.args(["--virtual", VIRTUAL, "--pool-name", POOL]);
        command.args(["--hostname", HOSTNAME, "--version", VERSION]);
        command.args(&setup.arguments);
        let log = std::fs::File::create(dir.path().join("ltm.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = Process::spawn("the emulated BIG-IP", &mut command)?;
        let stdout = process.stdout().context("its output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ports = line
            .trim()
            .strip_prefix("listening ")
            .and_then(|rest| rest.split_once(" control="));
        let Some((port, control)) = ports else {
            let _ = process.wait(PATIENCE);
            let said = std::fs::read_to_string(dir.path().join("ltm.log")).unwrap_or_default();
            bail!("the emulated BIG-IP did not start:\n{said}");
        };
        Ok(BigIp {
            process,
            port: port.parse()?,
            control: control.parse()?,
            dir,
        })
    }

    /// `http://127.0.0.1:PORT` + path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority())
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What the rules have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("ltm.log")).unwrap_or_default()
    }

    /// Waits for a line of the log with all of these words.
    pub fn logged(&self, words: &[&str], timeout: Duration) -> Result<String> {
        process::wait_logged(words, timeout, || self.log())
    }

    /// One line to the control port, words as Tcl reads them; the answer.
    ///
    /// # Errors
    /// When it is not understood.
    pub fn control(&self, words: &[&str]) -> Result<Value> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.control))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        socket.write_all(format!("{}\n", line.join(" ")).as_bytes())?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer)?;
        ensure!(!answer.starts_with("error:"), "{words:?}: {answer}");
        serde_json::from_str(&answer).with_context(|| format!("{words:?}: {answer:?}"))
    }

    /// Changes one setting in the data-group. The rule reads it again 5 s of its clock later: see [`BigIp::forward`].
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.control(&["set", GROUP, name, value]).map(|_| ())
    }

    /// Takes one setting out of the data-group.
    pub fn unset(&self, name: &str) -> Result<()> {
        self.control(&["unset", GROUP, name]).map(|_| ())
    }

    /// Deletes the data-group.
    pub fn drop_group(&self) -> Result<()> {
        self.control(&["drop", GROUP]).map(|_| ())
    }

    /// Puts the rules' clock forward.
    pub fn forward(&self, seconds: u32) -> Result<()> {
        self.control(&["forward", &seconds.to_string()]).map(|_| ())
    }

    /// A fault for the next `count` records.
    pub fn next(&self, fault: Fault, count: u32) -> Result<()> {
        self.control(&["hsl", fault.name(), "next", &count.to_string()])
            .map(|_| ())
    }

    /// A fault for every `n`-th record.
    pub fn every(&self, fault: Fault, n: u32) -> Result<()> {
        self.control(&["hsl", fault.name(), "every", &n.to_string()])
            .map(|_| ())
    }

    /// No faults any more.
    pub fn no_faults(&self) -> Result<()> {
        self.control(&["hsl", "off"]).map(|_| ())
    }

    /// Bytes to the log pool that no rule has sent, on a connection of their own.
    pub fn inject(&self, bytes: &[u8]) -> Result<()> {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.control(&["inject", LOG_POOL, &hex]).map(|_| ())
    }

    /// The last record that a rule has sent, with its newline.
    pub fn last_record(&self) -> Result<Vec<u8>> {
        let answer = self.control(&["last"])?;
        let hex = answer.as_str().context("hexadecimal")?;
        (0..hex.len())
            .step_by(2)
            .map(|at| {
                u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16)
                    .context("hexadecimal")
            })
            .collect()
    }

    /// What the BIG-IP has counted: `requests`, `answered`, `resets`, `errors` (of rules), `server_connections`, `hsl_sends`,
    /// `hsl_refused`, `hsl_lost`, `hsl_doubled`, `hsl_cut` …
    pub fn stats(&self) -> Result<BTreeMap<String, u64>> {
        numbers(&self.control(&["stats"])?)
    }

    /// One of [`BigIp::stats`].
    pub fn stat(&self, name: &str) -> Result<u64> {
        let stats = self.stats()?;
        stats
            .get(name)
            .copied()
            .with_context(|| format!("{name} is not in {stats:?}"))
    }

    /// What a real BIG-IP would have refused, and how often.
    pub fn violations(&self) -> Result<BTreeMap<String, u64>> {
        numbers(&self.control(&["violations"])?)
    }

    /// A `static::` variable on each TMM.
    pub fn statics(&self, name: &str) -> Result<Vec<String>> {
        let values = self.control(&["static", name])?;
        serde_json::from_value(values).context("a list")
    }

    /// Holds it against what must always be true: no rule failed, none did what a BIG-IP refuses.
    ///
    /// # Errors
    /// When one did, with the log.
    pub fn clean(&self) -> Result<()> {
        let (violations, errors) = (self.violations()?, self.stat("errors")?);
        ensure!(
            violations.is_empty() && errors == 0,
            "{errors} errors, {violations:?}\n{}",
            self.log()
        );
        Ok(())
    }
}

impl Drop for BigIp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the BIG-IP's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The directory of the emulated BIG-IP.
pub fn bench() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../f5-irule/bench")
}

/// The rule.
pub fn rule() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../f5-irule/silhouette.tcl")
}

/// A word as Tcl reads it back, whatever is in it.
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\\' | '"' | '$' | '[' | ']' | '{' | '}' => {
                text.push('\\');
                text.push(c);
            }
            _ => text.push(c),
        }
    }
    text.push('"');
    text
}

fn numbers(value: &Value) -> Result<BTreeMap<String, u64>> {
    let members = value.as_object().context("an object")?;
    members
        .iter()
        .map(|(name, value)| {
            let number = value
                .as_u64()
                .with_context(|| format!("{name} is {value}, not a count"))?;
            Ok((name.clone(), number))
        })
        .collect()
}
