//! A real workerd, the open-source runtime of Cloudflare Workers (npm's `workerd`), with the built Worker, in a directory of
//! its own.
//!
//! In: a [`Setup`]: vars, secrets and bindings as `wrangler.toml` would have them, and what lies behind the Worker's `fetch`.
//! Out: a running workerd on free loopback ports, what the Worker says of itself, its log. Gone when dropped. What Cloudflare
//! does around a Worker (HTTP/2, `request.cf`, its headers) is not here but in [`crate::zone`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, Process, Signal};
use crate::tls::Identity;
use crate::{artifacts, curl};

/// Where the Worker shows what it has counted, to who knows [`STATUS_TOKEN`].
pub const STATUS_PATH: &str = "/.well-known/silhouette";
/// See [`STATUS_PATH`].
pub const STATUS_TOKEN: &str = "status-51f09a-token";
/// The header in which `request.cf` comes, as JSON.
pub const CF_HEADER: &str = "x-test-cf";
/// The header in which the scheme comes that the client used.
pub const SCHEME_HEADER: &str = "x-test-scheme";
/// The Worker's compatibility date, as in its `wrangler.toml`.
const COMPATIBILITY_DATE: &str = "2026-11-01";

const START: Duration = process::PATIENCE;

/// What a `fetch` of the Worker reaches.
#[derive(Debug, Clone)]
pub enum Way {
    /// Any loopback address, by the URL's host and port; over TLS with certificates of this authority.
    Loopback(Option<PathBuf>),
    /// Always this server, whatever the URL says, as a zone's origin.
    Server(SocketAddr),
    /// The same over TLS: its address, the authority that signed its certificate for `localhost`, and what is shown to it.
    Tls(SocketAddr, PathBuf, Option<Identity>),
    /// Another Worker of this source, an ECMAScript module, which has this for its own `fetch`.
    Worker(String, Box<Way>),
}

/// What a workerd is for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Directory with the Worker's modules.
    pub worker: PathBuf,
    /// Source of a module that wraps the Worker's, and is the entry in place of its `index.js`.
    pub entry: Option<String>,
    /// Vars and secrets.
    pub vars: BTreeMap<String, Value>,
    /// Bindings with a `fetch`.
    pub bindings: BTreeMap<String, Way>,
    /// What the global `fetch` reaches.
    pub outbound: Way,
    /// For the TLS port; without, there is none.
    pub identity: Option<Identity>,
    /// Flags for V8, such as `--expose-gc`.
    pub v8_flags: Vec<String>,
}

impl Setup {
    /// Everything to one origin by its URL, as from a custom domain; captured and sent to `collector`, a URL. `more` are
    /// further settings without the `SILHOUETTE_` in front; `null` takes one away.
    ///
    /// # Errors
    /// When the Worker is not built.
    pub fn capturing(collector: &str, origin: SocketAddr, more: &Value) -> Result<Setup> {
        let mut setup = Setup {
            worker: artifacts::worker()?,
            entry: None,
            vars: BTreeMap::new(),
            bindings: BTreeMap::new(),
            outbound: Way::Loopback(None),
            identity: None,
            v8_flags: Vec::new(),
        };
        setup.set("collector", collector);
        setup.set("origin", &format!("http://{origin}"));
        setup.set("status_path", STATUS_PATH);
        setup.set("status_token", STATUS_TOKEN);
        for (name, value) in more.as_object().into_iter().flatten() {
            match value {
                Value::Null => setup.vars.remove(&variable(name)),
                value => setup.vars.insert(variable(name), value.clone()),
            };
        }
        Ok(setup)
    }

    /// Sets a setting, named without the `SILHOUETTE_` in front.
    pub fn set(&mut self, name: &str, value: &str) {
        self.vars.insert(variable(name), value.into());
    }
}

fn variable(name: &str) -> String {
    format!("SILHOUETTE_{}", name.to_uppercase())
}

/// A running workerd.
#[derive(Debug)]
pub struct Workerd {
    process: Process,
    port: u16,
    tls_port: Option<u16>,
    dir: TempDir,
}

impl Workerd {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends, or refuses the configuration; with what it says.
    pub fn start(setup: &Setup) -> Result<Workerd> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-workerd-")
            .tempdir()?;
        std::fs::write(dir.path().join("workerd.capnp"), write(setup, dir.path())?)?;
        let mut command = process::tied(program()?);
        command.arg("serve").arg(dir.path().join("workerd.capnp"));
        // It says on its standard output which port it took for which socket.
        command.arg("--control-fd=1");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(dir.path().join("stderr.log"))?);
        let mut process = Process::spawn("workerd", &mut command)?;
        let said = BufReader::new(process.stdout().context("its standard output is piped")?);
        let listening = follow(said, &dir.path().join("stdout.log"))?;
        let mut workerd = Workerd {
            process,
            port: 0,
            tls_port: None,
            dir,
        };
        while workerd.port == 0 || setup.identity.is_some() && workerd.tls_port.is_none() {
            let Ok((socket, port)) = listening.recv_timeout(START) else {
                let ended = workerd.process.ended()?;
                bail!("workerd does not listen ({ended:?}):\n{}", workerd.log());
            };
            match socket.as_str() {
                "https" => workerd.tls_port = Some(port),
                _ => workerd.port = port,
            }
        }
        Ok(workerd)
    }

    /// `http://127.0.0.1:PORT` + path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority())
    }

    /// `https://localhost:TLS_PORT` + path; nobody listens there when the setup has no identity.
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls_port.unwrap_or(0))
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything it has logged, `console.log` and the like included.
    pub fn log(&self) -> String {
        ["stdout.log", "stderr.log"]
            .map(|name| std::fs::read(self.dir.path().join(name)).unwrap_or_default())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }

    /// Waits for a line of the log with all of these words.
    pub fn logged(&self, words: &[&str], timeout: Duration) -> Result<String> {
        process::wait_logged(words, timeout, || self.log())
    }

    /// What the Worker says of itself on its status route.
    pub fn status(&self) -> Result<Status> {
        let authorization = format!("Authorization: Bearer {STATUS_TOKEN}");
        let answer = curl(["-H", authorization.as_str(), self.url(STATUS_PATH).as_str()])?;
        anyhow::ensure!(
            answer.status == 200,
            "the status route answers {}: {}",
            answer.status,
            answer.text()
        );
        Ok(Status(answer.json()?))
    }

    /// Waits until `ready` says yes to the status.
    ///
    /// # Errors
    /// After `timeout`, with what it was last.
    pub fn wait_status(
        &self,
        what: &str,
        timeout: Duration,
        ready: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        let mut last = Status::default();
        process::wait_until(what, timeout, || {
            last = self.status().unwrap_or_default();
            ready(&last)
        })
        .with_context(|| format!("{last:?}\n{}", self.log()))?;
        Ok(last)
    }

    /// Waits until the Worker has captured `count` and holds nothing any more: all is acknowledged, or dropped and counted.
    pub fn drained(&self, count: u64, timeout: Duration) -> Result<Status> {
        self.wait_status("the Worker's queue is empty", timeout, |status| {
            status.get("captured") == count
                && status.get("queued") == 0
                && count == status.get("acknowledged") + status.dropped()
        })
    }

    /// SIGTERM, and waits until it is gone.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process
            .wait(process::PATIENCE)
            .with_context(|| self.log())?;
        Ok(())
    }
}

impl Drop for Workerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("workerd's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The JSON of the Worker's status route.
#[derive(Debug, Clone, Default)]
pub struct Status(pub Value);

impl Status {
    /// A total or gauge: `captured`, `sent`, `acknowledged`, `calls_failed`, `queued`, `queue_bytes`.
    pub fn get(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or(0)
    }

    /// Dropped, over all reasons.
    pub fn dropped(&self) -> u64 {
        let reasons = self.0["dropped"].as_object().into_iter().flatten();
        reasons.filter_map(|(_, count)| count.as_u64()).sum()
    }

    /// Dropped for one reason.
    pub fn dropped_for(&self, reason: &str) -> u64 {
        self.0["dropped"][reason].as_u64().unwrap_or(0)
    }

    /// Not captured because the settings say so, for one reason.
    pub fn skipped(&self, reason: &str) -> u64 {
        self.0["skipped"][reason].as_u64().unwrap_or(0)
    }
}

/// Keeps what workerd writes to its standard output in a file, apart from the sockets and ports it listens on, which come back.
fn follow(
    mut said: BufReader<std::process::ChildStdout>,
    log: &Path,
) -> Result<mpsc::Receiver<(String, u16)>> {
    let (sender, listening) = mpsc::channel();
    let mut log = std::fs::File::create(log)?;
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while said.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            match listens(&line) {
                Some(socket) => drop(sender.send(socket)),
                None => drop(log.write_all(&line)),
            }
            line.clear();
        }
    });
    Ok(listening)
}

/// `{"event":"listen","socket":"http","port":43369}`
fn listens(line: &[u8]) -> Option<(String, u16)> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let port = u16::try_from(event["port"].as_u64()?).ok()?;
    (event["event"] == "listen").then(|| (event["socket"].as_str().unwrap_or("").to_owned(), port))
}

/// The configuration, and beside it the modules it names.
fn write(setup: &Setup, dir: &Path) -> Result<String> {
    let mut services = Services::default();
    let modules = modules(setup, dir)?;
    let mut bindings = String::new();
    for (name, value) in &setup.vars {
        let name = quoted(name);
        match value {
            Value::String(text) => writeln!(bindings, "(name={name}, text={}),", quoted(text))?,
            json => writeln!(
                bindings,
                "(name={name}, json={}),",
                quoted(&json.to_string())
            )?,
        }
    }
    for (name, way) in &setup.bindings {
        let service = services.add(way)?;
        writeln!(bindings, "(name={}, service=\"{service}\"),", quoted(name))?;
    }
    let outbound = services.add(&setup.outbound)?;
    let worker = worker(&modules, &bindings, &outbound);
    let flags: Vec<String> = setup.v8_flags.iter().map(|flag| quoted(flag)).collect();
    let http = format!(
        "(cfBlobHeader={}, forwardedProtoHeader={})",
        quoted(CF_HEADER),
        quoted(SCHEME_HEADER)
    );
    let mut sockets =
        format!("(name=\"http\", address=\"127.0.0.1:0\", http={http}, service=\"main\"),\n");
    if let Some(identity) = &setup.identity {
        writeln!(
            sockets,
            "(name=\"https\", address=\"127.0.0.1:0\", service=\"main\", https=(options={http}, tlsOptions=({}))),",
            keypair(identity)?
        )?;
    }
    Ok(format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n\
         services = [ (name=\"main\", worker={worker}),\n{}],\nsockets = [ {sockets}],\nv8Flags = [ {}]\n);\n",
        services.text,
        flags.join(", ")
    ))
}

/// The services behind the Worker, in workerd's terms.
#[derive(Debug, Default)]
struct Services {
    text: String,
    count: u32,
}

impl Services {
    /// Adds one; its name.
    fn add(&mut self, way: &Way) -> Result<String> {
        let service = match way {
            Way::Loopback(authority) => {
                let trusted = authority.as_deref().map(trusted).transpose()?;
                format!(
                    "network=(allow=[\"private\",\"public\",\"local\"], tlsOptions=({}))",
                    trusted.unwrap_or_default()
                )
            }
            Way::Server(address) => format!("external=(address=\"{address}\", http=())"),
            Way::Tls(address, authority, identity) => {
                let shown = identity.as_ref().map(keypair).transpose()?;
                let tls = [trusted(authority)?, shown.unwrap_or_default()].join(" ");
                format!(
                    "external=(address=\"{address}\", https=(options=(), certificateHost=\"localhost\", tlsOptions=({tls})))"
                )
            }
            Way::Worker(source, outbound) => {
                let outbound = self.add(outbound)?;
                let module = format!("(name=\"index.js\", esModule={}),", quoted(source));
                format!("worker={}", worker(&module, "", &outbound))
            }
        };
        self.count += 1;
        let name = format!("service-{}", self.count);
        writeln!(self.text, "(name=\"{name}\", {service}),")?;
        Ok(name)
    }
}

fn worker(modules: &str, bindings: &str, outbound: &str) -> String {
    format!(
        "(modules=[ {modules}], compatibilityDate=\"{COMPATIBILITY_DATE}\",\nbindings=[ {bindings}],\n\
         globalOutbound=\"{outbound}\")"
    )
}

/// The Worker's modules, copied to where the configuration can name them; the entry is first.
fn modules(setup: &Setup, dir: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&setup.worker)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let kind = match path.extension().and_then(|kind| kind.to_str()) {
            Some("js") => "esModule",
            Some("wasm") => "wasm",
            _ => continue,
        };
        let name = name.context("names of modules are text")?.to_owned();
        std::fs::copy(&path, dir.join(&name))?;
        names.push((name, kind));
    }
    if let Some(source) = &setup.entry {
        std::fs::write(dir.join("entry.js"), source)?;
        names.push(("entry.js".to_owned(), "esModule"));
    }
    let entry = if setup.entry.is_some() {
        "entry.js"
    } else {
        "index.js"
    };
    names.sort_by_key(|(name, _)| (name != entry, name.clone()));
    let line =
        |(name, kind): &(String, &str)| format!("(name=\"{name}\", {kind}=embed \"{name}\"),\n");
    Ok(names.iter().map(line).collect())
}

fn trusted(authority: &Path) -> Result<String> {
    let pem = std::fs::read_to_string(authority)?;
    Ok(format!("trustedCertificates=[{}],", quoted(&pem)))
}

fn keypair(identity: &Identity) -> Result<String> {
    let key = std::fs::read_to_string(&identity.key)?;
    let certificate = std::fs::read_to_string(&identity.certificate)?;
    Ok(format!(
        "keypair=(privateKey={}, certificateChain={}),",
        quoted(&key),
        quoted(&certificate)
    ))
}

/// Text as Cap'n Proto writes it, with C's escapes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

fn program() -> Result<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tools/cloudflare/node_modules/@cloudflare");
    let packages = std::fs::read_dir(&tools).into_iter().flatten().flatten();
    let mut found = packages
        .filter(|package| {
            package
                .file_name()
                .to_string_lossy()
                .starts_with("workerd-")
        })
        .map(|package| package.path().join("bin/workerd"));
    found.find(|path| path.exists()).with_context(|| {
        format!(
            "there is no workerd in {}: `cargo xtask install` puts it there",
            tools.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_which_port_is_whose() {
        let said = b"{\"event\":\"listen\",\"socket\":\"https\",\"port\":43369}\n";
        assert_eq!(listens(said), Some(("https".to_owned(), 43369)));
        for other in ["seen 1\n", "{\"event\":\"other\",\"port\":1}\n", "17\n"] {
            assert_eq!(listens(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn text_is_quoted_byte_by_byte() {
        assert_eq!(quoted("a \"b\\\n\u{e9}"), r#""a \"b\\\x0a\xc3\xa9""#);
    }
}
