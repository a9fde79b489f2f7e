//! Child processes that end with their handle, and with the program that started them even if it is killed.
//!
//! In: a command. Out: a handle with signals and bounded waits. Only ever signals pids it started.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;

/// How long tests wait for what must come. Long: it only bounds how long a failure takes, and a busy machine is none.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A command that is told to end (SIGTERM) when the thread that starts it ends, so that a killed test leaves nothing.
///
/// `setpriv` (util-linux) sets the parent-death signal and then becomes the program: the pid is the program's own.
pub fn tied(program: impl AsRef<OsStr>) -> Command {
    if Path::new("/usr/bin/setpriv").exists() {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command`; `name` is what errors call it.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Process> {
        let child = command
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Process {
            child,
            name: name.to_owned(),
        })
    }

    /// A child that was started already.
    pub fn from_child(name: &str, child: Child) -> Process {
        Process {
            child,
            name: name.to_owned(),
        }
    }

    /// The operating system's number for it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child's standard output, once, if it was piped.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        signal_pid(self.pid(), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Has it ended, and how?
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it still runs after `timeout`; it is left running.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begin.elapsed() > timeout {
                bail!(
                    "{} (pid {}) still runs after {timeout:?}",
                    self.name,
                    self.pid()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill_9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
    }
}

/// Signals a process by its number.
pub fn signal_pid(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("a pid is positive")?;
    rustix::process::kill_process(pid, signal)
        .with_context(|| format!("{signal:?} to pid {}", pid.as_raw_nonzero()))
}

/// Children of `parent` whose command line contains `needle`.
pub fn children(parent: u32, needle: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // pid (comm) state ppid …; comm may contain anything, so begin after its last parenthesis.
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = after.split_whitespace();
        let alive = fields.next().is_some_and(|state| state != "Z");
        let is_child = fields.next() == Some(parent.to_string().as_str());
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        alive && is_child && String::from_utf8_lossy(&cmdline).contains(needle)
    })
    .collect()
}

/// Is there a process with this number that is not a zombie?
pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| !rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(false)
}

/// Resident memory of a process in bytes; `None` when it is gone.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory a process ever had, in bytes; `None` when it is gone.
pub fn peak_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// A loopback port that nobody listens on. Below the range from which the kernel takes ports for outgoing connections, so
/// that it is still free a moment later, and after whoever listened there was ended and shall come back.
pub fn free_port() -> Result<u16> {
    const FIRST: u32 = 18_000;
    const COUNT: u32 = 14_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let offset = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id().wrapping_mul(61));
        let port = u16::try_from(FIRST + offset % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!(
        "no free port on 127.0.0.1 between {FIRST} and {}",
        FIRST + COUNT
    )
}

/// [`free_port`] with its address.
pub fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// Asks `ready` every few milliseconds until it says yes.
///
/// # Errors
/// After `timeout`, naming `what`.
pub fn wait_until(what: &str, timeout: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !ready() {
        if begin.elapsed() > timeout {
            bail!("waited {timeout:?} in vain: {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Waits for a line of `log` with all of these words.
///
/// # Errors
/// After `timeout`, with the whole log.
pub fn wait_logged(words: &[&str], timeout: Duration, log: impl Fn() -> String) -> Result<String> {
    let mut found = None;
    wait_until(&format!("{words:?} in the log"), timeout, || {
        let log = log();
        let mut lines = log.lines();
        let line = lines.find(|line| words.iter().all(|word| line.contains(word)));
        found = line.map(str::to_owned);
        found.is_some()
    })
    .with_context(&log)?;
    found.context("the line")
}

/// Is this program running as root?
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
