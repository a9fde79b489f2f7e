//! The real catalog as a child process on a free loopback port, and its REST API as a client sees it.
//!
//! In: arguments for `serve`, and which database. Out: its address, its owner, an API key, and every way of ending it. Keeps
//! its data directory and its port across [`Catalog::restart`], as a service on a machine would.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use silhouette_test_postgres::Database;
use tempfile::TempDir;

use crate::process::{self, Process, Signal};
use crate::tls::{Authority, Identity};
use crate::{Collector, Rest, artifacts};

/// Whom the first start makes.
pub const OWNER: &str = "owner@example.com";
/// Their password.
pub const PASSWORD: &str = "tram orchid gravel nine";

/// A running (or just killed) catalog.
#[derive(Debug)]
pub struct Catalog {
    process: Process,
    args: Vec<String>,
    data_dir: PathBuf,
    address: SocketAddr,
    log: PathBuf,
    rest: Rest,
    /// Whom clients have to trust, when it speaks TLS.
    authority: Option<PathBuf>,
    /// Before the directory: nobody uses it any more when it goes.
    _database: Option<Database>,
    _dir: TempDir,
}

impl Catalog {
    /// `silhouette-catalog serve` with these further arguments, on SQLite in a fresh data directory.
    pub fn start(args: &[&str]) -> Result<Catalog> {
        Self::launch(None, None, args)
    }

    /// The same on a fresh database of PostgreSQL.
    pub fn start_on_postgres(args: &[&str]) -> Result<Catalog> {
        let database = Database::create()?;
        Self::launch(Some(database), None, args)
    }

    /// On SQLite, with TLS by a certificate of `authority`.
    pub fn start_with_tls(
        authority: &Authority,
        identity: &Identity,
        args: &[&str],
    ) -> Result<Catalog> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path in UTF-8");
        let (certificate, key) = (text(&identity.certificate)?, text(&identity.key)?);
        let tls = ["--tls-cert", &certificate, "--tls-key", &key];
        Self::launch(None, Some(authority.ca_file()), &[&tls, args].concat())
    }

    fn launch(
        database: Option<Database>,
        authority: Option<&Path>,
        args: &[&str],
    ) -> Result<Catalog> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-catalog-")
            .tempdir()?;
        let data_dir = dir.path().join("data");
        let log = dir.path().join("catalog.log");
        let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        if let Some(database) = &database {
            args.extend(["--database-url".to_owned(), database.url().to_owned()]);
        }
        let listen = process::free_address()?;
        let (process, address) = serve(&data_dir, &log, &args, listen)?;
        let mut catalog = Catalog {
            process,
            args,
            data_dir,
            address,
            log,
            rest: Rest::new("", ""),
            authority: authority.map(Path::to_owned),
            _database: database,
            _dir: dir,
        };
        let rest = Rest::new(&catalog.url(), &catalog.make_key(OWNER)?);
        catalog.rest = match authority {
            Some(authority) => rest.trusting(authority),
            None => rest,
        };
        Ok(catalog)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL without a path; for TLS by a name that [`crate::tls`]'s certificates carry.
    pub fn url(&self) -> String {
        match self.authority {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
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

    /// A key for a user, made on the machine itself.
    pub fn make_key(&self, email: &str) -> Result<String> {
        let said = self.run(&["key", "create", "--user", email, "--name", "tests"])?;
        let key = said
            .split_whitespace()
            .find(|word| word.starts_with("slk_"));
        key.map(str::to_owned)
            .with_context(|| format!("no key in {said:?}"))
    }

    /// One of its other commands on its data; what it prints.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(artifacts::catalog()?);
        command.args(args).arg("--data-dir").arg(&self.data_dir);
        if let Some(at) = self.args.iter().position(|arg| arg == "--database-url") {
            command.args(self.args.iter().skip(at).take(2));
        }
        let output = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "`silhouette-catalog {}` ({}): {said}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(said)
    }

    /// Its REST API, asked by the owner.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Adds a source and registers a collector with it; the source's id.
    pub fn register(&self, collector: &Collector, name: &str) -> Result<String> {
        let source = self.rest.add_source(name)?;
        let token = self.rest.registration_token(&source)?;
        self.register_by(collector, &token)?;
        Ok(source)
    }

    /// Registers a collector by a token of a source.
    pub fn register_by(&self, collector: &Collector, token: &str) -> Result<()> {
        register_trusting(collector, &self.url(), token, self.authority.as_deref())
    }

    /// SIGKILL: the power cut.
    pub fn kill_9(&mut self) {
        self.process.kill_9();
    }

    /// SIGTERM, and waits for the graceful end.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.process.wait(process::PATIENCE)?;
        ensure!(
            status.success(),
            "the catalog ended with {status}:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Starts it again after it was ended: same data, same port.
    pub fn restart(&mut self) -> Result<()> {
        let (process, address) = serve(&self.data_dir, &self.log, &self.args, self.address)?;
        (self.process, self.address) = (process, address);
        Ok(())
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        self.process.kill_9();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the catalog's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// `silhouette-collector register`, beside a running collector.
///
/// # Errors
/// When it refuses, with what it said.
pub fn register(collector: &Collector, url: &str, token: &str) -> Result<()> {
    register_trusting(collector, url, token, None)
}

/// The same, with an authority (PEM) that the catalog's certificate may come from.
///
/// # Errors
/// When it refuses, with what it said.
pub fn register_trusting(
    collector: &Collector,
    url: &str,
    token: &str,
    authority: Option<&Path>,
) -> Result<()> {
    let mut command = Command::new(artifacts::collector()?);
    command.args(["register", "--catalog", url, "--token", token]);
    if let Some(authority) = authority {
        command.arg("--tls-ca").arg(authority);
    }
    let output = command
        .arg("--data-dir")
        .arg(collector.data_dir())
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "registering the collector ({}): {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn serve(
    data_dir: &Path,
    log: &Path,
    args: &[String],
    listen: SocketAddr,
) -> Result<(Process, SocketAddr)> {
    let mut command = process::tied(artifacts::catalog()?);
    command.arg("serve").arg("--data-dir").arg(data_dir);
    command.args(["--listen", &listen.to_string()]);
    command.args(["--owner-email", OWNER]).args(args);
    let password = log.with_extension("password");
    std::fs::write(&password, PASSWORD)?;
    command.env("SILHOUETTE_CATALOG_OWNER_PASSWORD_FILE", password);
    let stderr = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr);
    let mut process = Process::spawn("silhouette-catalog", &mut command)?;
    let mut stdout = BufReader::new(process.stdout().context("its standard output is piped")?);
    let mut line = String::new();
    loop {
        line.clear();
        if stdout
            .read_line(&mut line)
            .context("reading the catalog's address")?
            == 0
        {
            let status = process.wait(Duration::from_secs(5));
            bail!(
                "the catalog ended at once ({status:?}):\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
        }
        if let Some(url) = line.trim().strip_prefix("listening ") {
            let (_, address) = url.split_once("://").with_context(|| format!("{line:?}"))?;
            let address = address.trim_end_matches('/').parse();
            let address = address.with_context(|| format!("{line:?}"))?;
            // Whatever else it prints must not fill the pipe.
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
            return Ok((process, address));
        }
    }
}
