//! A real nginx (Debian's binary) with the built module, in a directory of its own.
//!
//! In: the text of its `http` block. Out: a running master with its workers on free loopback ports; logs, pid file and
//! temporary paths inside the directory. Gone when dropped. Never touches the system's nginx or its files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{self, PATIENCE, Process, Signal};

/// Where things are; given to whoever writes the configuration.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The instance's directory, also nginx's prefix: `html/`, `access.log`, `error.log` live here.
    pub dir: PathBuf,
    /// A free port meant for plain HTTP.
    pub port: u16,
    /// A second free port, for TLS or whatever else.
    pub tls_port: u16,
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    layout: Layout,
    workers: usize,
    module: bool,
    _dir: TempDir,
}

impl Nginx {
    /// Starts nginx with the module loaded. `http` writes what stands inside `http { }`; it should listen on
    /// `127.0.0.1:{layout.port}`.
    pub fn start(workers: usize, http: impl FnOnce(&Layout) -> String) -> Result<Nginx> {
        Self::start_with(workers, true, http)
    }

    /// The same without the module: what a request looks like and costs without us.
    pub fn start_without_module(
        workers: usize,
        http: impl FnOnce(&Layout) -> String,
    ) -> Result<Nginx> {
        Self::start_with(workers, false, http)
    }

    fn start_with(
        workers: usize,
        module: bool,
        http: impl FnOnce(&Layout) -> String,
    ) -> Result<Nginx> {
        let (dir, layout) = prepare()?;
        write_config(&layout, workers, module, &http(&layout))?;
        let mut command = process::tied(program());
        command
            .arg("-p")
            .arg(&layout.dir)
            .arg("-c")
            .arg(layout.dir.join("nginx.conf"));
        command.arg("-e").arg(layout.dir.join("error.log"));
        let stderr = std::fs::File::create(layout.dir.join("stderr.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let mut process = Process::spawn("nginx", &mut command)?;
        let begin = Instant::now();
        loop {
            if let Some(status) = process.ended()? {
                let said =
                    std::fs::read_to_string(layout.dir.join("stderr.log")).unwrap_or_default();
                let log = std::fs::read_to_string(layout.dir.join("error.log")).unwrap_or_default();
                bail!("nginx ended at once ({status}):\n{said}{log}");
            }
            if process::children(process.pid(), "worker process").len() >= workers {
                break;
            }
            if begin.elapsed() > PATIENCE {
                bail!("nginx has not started its {workers} workers within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Nginx {
            process,
            layout,
            workers,
            module,
            _dir: dir,
        })
    }

    /// `nginx -t` on a configuration with the module: `Ok` with its warnings, or `Err` with what nginx says.
    pub fn check(http: impl FnOnce(&Layout) -> String) -> Result<Result<String, String>> {
        let (_dir, layout) = prepare()?;
        write_config(&layout, 1, true, &http(&layout))?;
        let config = layout.dir.join("nginx.conf");
        let output = Command::new(program())
            .arg("-t")
            .arg("-p")
            .arg(&layout.dir)
            .arg("-c")
            .arg(config)
            .arg("-e")
            .arg(layout.dir.join("error.log"))
            .output()
            .context("running nginx -t")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(if output.status.success() {
            Ok(said)
        } else {
            Err(said)
        })
    }

    /// Its directory and ports.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// `http://127.0.0.1:PORT` + path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.layout.port)
    }

    /// `https://localhost:TLS_PORT` + path.
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.layout.tls_port)
    }

    /// Pid of the master.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Pids of all workers, those shutting down included.
    pub fn worker_pids(&self) -> Vec<u32> {
        process::children(self.pid(), "worker process")
    }

    /// What the module has counted, summed over the workers: the JSON of `silhouette_status`, which [`capturing`] serves.
    pub fn counters(&self) -> Result<Counters> {
        Ok(Counters(
            crate::curl::get_ok(&self.url("/silhouette-status"))?.json()?,
        ))
    }

    /// Waits until the module has captured `count` at least – the last ones may still be on their way to the exporter, which
    /// counts – and holds nothing any more: all is acknowledged, or dropped and counted.
    pub fn drained(&self, count: u64, timeout: Duration) -> Result<Counters> {
        let mut last = self.counters()?;
        process::wait_until("the module's queue is empty", timeout, || {
            self.counters().is_ok_and(|counters| {
                last = counters;
                last.get("captured") >= count
                    && last.get("queued") == 0
                    && last.get("captured") == last.get("acknowledged") + last.dropped()
            })
        })
        .with_context(|| format!("{:?}", last.0))?;
        Ok(last)
    }

    /// Everything in the error log so far.
    pub fn error_log(&self) -> String {
        std::fs::read_to_string(self.layout.dir.join("error.log")).unwrap_or_default()
    }

    /// Everything in the access log so far.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.layout.dir.join("access.log")).unwrap_or_default()
    }

    /// Replaces the `http` block's text; takes effect at the next [`Nginx::reload`].
    pub fn rewrite(&self, http: impl FnOnce(&Layout) -> String) -> Result<()> {
        write_config(&self.layout, self.workers, self.module, &http(&self.layout))
    }

    /// Reloads and waits until every worker of before is gone and the new ones are there; how long that took.
    ///
    /// # Errors
    /// After a minute, or when nginx refuses the configuration.
    pub fn reload(&self) -> Result<Duration> {
        let before = self.worker_pids();
        let begin = Instant::now();
        self.process.signal(Signal::HUP)?;
        process::wait_until("nginx replaces its workers", PATIENCE, || {
            before.iter().all(|pid| !process::alive(*pid))
                && self.worker_pids().len() >= self.workers
        })
        .with_context(|| self.error_log())?;
        Ok(begin.elapsed())
    }

    /// Graceful end (`nginx -s quit`); how long until the master was gone.
    ///
    /// # Errors
    /// After a minute.
    pub fn quit(&mut self) -> Result<Duration> {
        self.end(Signal::QUIT)
    }

    /// Fast end (`nginx -s stop`); how long until the master was gone.
    pub fn stop(&mut self) -> Result<Duration> {
        self.end(Signal::TERM)
    }

    fn end(&mut self, signal: Signal) -> Result<Duration> {
        let begin = Instant::now();
        self.process.signal(signal)?;
        self.process
            .wait(PATIENCE)
            .with_context(|| self.error_log())?;
        Ok(begin.elapsed())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if matches!(self.process.ended(), Ok(None)) {
            let workers = self.worker_pids();
            let _ = self.process.signal(Signal::TERM);
            if self.process.wait(Duration::from_secs(5)).is_err() {
                self.process.kill_9();
                for pid in workers {
                    let _ = process::signal_pid(pid, Signal::KILL);
                }
            }
        }
        if std::thread::panicking() {
            let log = self.error_log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("nginx's error log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The module's counters.
#[derive(Debug, Clone)]
pub struct Counters(pub serde_json::Value);

impl Counters {
    /// A total or gauge: `captured`, `sent`, `acknowledged`, `queued`, `queue_bytes`, `faults`.
    pub fn get(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or(0)
    }

    /// Dropped, over all reasons.
    pub fn dropped(&self) -> u64 {
        let reasons = self.0["dropped"].as_object().into_iter().flatten();
        reasons.filter_map(|(_, count)| count.as_u64()).sum()
    }
}

/// The text of an `http` block that captures everything and sends it to `collector`, proxies `/` to `origin` and shows the
/// counters at `/silhouette-status`. `more` stands at http level.
pub fn capturing(layout: &Layout, collector: &str, origin: &str, more: &str) -> String {
    format!(
        "silhouette on; silhouette_collector {collector};\n{more}\n\
         upstream origin {{ server {}; keepalive 64; }}\n\
         server {{ listen 127.0.0.1:{};\n\
         location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_set_header Host $http_host; }}\n\
         location = /silhouette-status {{ silhouette off; access_log off; silhouette_status; }} }}",
        origin.trim_start_matches("http://"),
        layout.port
    )
}

fn program() -> &'static str {
    "/usr/sbin/nginx"
}

fn prepare() -> Result<(TempDir, Layout)> {
    if !Path::new(program()).exists() {
        bail!(
            "{} is missing: `apt-get install nginx`, or `cargo xtask test`, which installs it",
            program()
        );
    }
    let dir = tempfile::Builder::new()
        .prefix("silhouette-nginx-")
        .tempdir()?;
    let layout = Layout {
        dir: dir.path().to_owned(),
        port: process::free_port()?,
        tls_port: process::free_port()?,
    };
    std::fs::create_dir(layout.dir.join("html"))?;
    Ok((dir, layout))
}

fn write_config(layout: &Layout, workers: usize, module: bool, http: &str) -> Result<()> {
    let dir = layout.dir.display();
    let mut text = String::new();
    if module {
        writeln!(
            text,
            "load_module {};",
            crate::artifacts::module()?.display()
        )?;
    }
    if process::is_root() {
        // Workers of another user could not enter the temporary directory.
        writeln!(text, "user root root;")?;
    }
    writeln!(
        text,
        "daemon off;\nworker_processes {workers};\npid {dir}/nginx.pid;\nerror_log {dir}/error.log info;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n\
         client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;\n\
         uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
         include /etc/nginx/mime.types; default_type application/octet-stream;\n\
         access_log {dir}/access.log;\n{http}\n}}"
    )?;
    std::fs::write(layout.dir.join("nginx.conf"), text).context("writing nginx.conf")
}
