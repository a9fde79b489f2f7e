//! Programs that run beside a task and end with it.
//!
//! In: commands. Out: handles; dropping one ends its program (SIGTERM, then SIGKILL). Each is in a process group of its own,
//! so that Ctrl-C reaches the task alone, and is told to end by the kernel when the task itself is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C (and SIGTERM, SIGHUP) only sets what [`interrupted`] tells.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("catching Ctrl-C")
}

/// Has Ctrl-C been pressed?
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// A command whose program ends with this process.
pub(crate) fn tied(name: impl AsRef<OsStr>) -> Command {
    // setpriv becomes the program, with the parent-death signal set.
    let mut command = command::program("setpriv");
    command
        .args(["--pdeathsig", "TERM", "--"])
        .arg(name)
        .process_group(0);
    command
}

/// A running program.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    /// Starts it, both outputs to `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Running> {
        let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        Self::spawn(name, command.stdout(file.try_clone()?).stderr(file))
    }

    /// Starts it, and waits for the line on its standard output that begins with `prefix`: the rest of that line.
    pub(crate) fn start_and_listen(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        prefix: &str,
    ) -> Result<(Running, String)> {
        let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut running = Self::spawn(name, command.stdout(Stdio::piped()).stderr(file))?;
        let stdout = running
            .child
            .stdout
            .take()
            .context("its standard output is piped")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        loop {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                bail!(
                    "{name} ended at once:\n{}",
                    std::fs::read_to_string(log).unwrap_or_default()
                );
            }
            if let Some(rest) = line.strip_prefix(prefix) {
                let rest = rest.trim().to_owned();
                std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
                return Ok((running, rest));
            }
        }
    }

    /// Starts it with the task's own outputs, as the command has them.
    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> Result<Running> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot run `{}`", command::shown(command)))?;
        Ok(Running { name, child })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and if so whether well.
    pub(crate) fn ended(&mut self) -> Result<Option<bool>> {
        Ok(self.child.try_wait()?.map(|status| status.success()))
    }

    /// Waits for its end; whether it ended well. `None` when Ctrl-C came first.
    pub(crate) fn wait(&mut self) -> Result<Option<bool>> {
        loop {
            if let Some(good) = self.ended()? {
                return Ok(Some(good));
            }
            if interrupted() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Ok(None), Some(pid)) = (
            self.child.try_wait(),
            i32::try_from(self.pid()).ok().and_then(Pid::from_raw),
        ) {
            let _ = kill_process(pid, Signal::TERM);
            let begin = Instant::now();
            while matches!(self.child.try_wait(), Ok(None))
                && begin.elapsed() < Duration::from_secs(10)
            {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `preferred` if nobody listens there, else a port that is free.
pub(crate) fn port(preferred: u16) -> Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, preferred))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no free port on 127.0.0.1")?;
    Ok(free.local_addr()?.port())
}

/// Waits until somebody listens on a loopback port.
pub(crate) fn listening(port: u16, who: &mut Running, log: &Path) -> Result<()> {
    let begin = Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if who.ended()?.is_some() || begin.elapsed() > Duration::from_secs(20) {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            bail!("{} does not listen on port {port}:\n{said}", who.name());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// What stands before nginx's `events` block so that it keeps to its directory and runs as a child.
pub(crate) fn nginx_preamble(dir: &Path, workers: usize, module: Option<&Path>) -> String {
    let load = module
        .map(|path| format!("load_module {};\n", path.display()))
        .unwrap_or_default();
    // Workers of another user could not enter directories under root's home.
    let user = if rustix::process::geteuid().is_root() {
        "user root root;\n"
    } else {
        ""
    };
    let dir = dir.display();
    format!(
        "{load}{user}daemon off;\nworker_processes {workers};\npid {dir}/nginx.pid;\nerror_log {dir}/error.log notice;\n"
    )
}

/// What stands first in its `http` block, for the same reason.
pub(crate) fn nginx_paths(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "  client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n  \
         uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n"
    )
}

/// Starts nginx on `dir/nginx.conf`, and waits until it listens on `port`.
pub(crate) fn nginx(dir: &Path, port: u16) -> Result<Running> {
    let (config, errors) = (dir.join("nginx.conf"), dir.join("error.log"));
    let log = dir.join("nginx.log");
    let mut command = tied("/usr/sbin/nginx");
    command
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(config)
        .arg("-e")
        .arg(errors);
    let mut nginx = Running::start("nginx", &mut command, &log)?;
    listening(port, &mut nginx, &log)?;
    Ok(nginx)
}
