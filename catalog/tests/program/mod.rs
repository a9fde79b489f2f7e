//! The real program on loopback.
//!
//! In: a directory and flags. Out: a running `silhouette-catalog serve`, killed when dropped, or what it said instead.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The program, with no settings from where the tests run.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silhouette-catalog"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SILHOUETTE_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running catalog.
pub(crate) struct Catalog {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// `http://127.0.0.1:…`
    pub(crate) url: String,
    log: PathBuf,
}

impl Catalog {
    pub(crate) fn start(dir: &Path, args: &[&str]) -> Catalog {
        Catalog::try_start(dir, args)
            .unwrap_or_else(|log| panic!("the catalog did not start:\n{log}"))
    }

    /// What it said instead of starting.
    pub(crate) fn try_start(dir: &Path, args: &[&str]) -> Result<Catalog, String> {
        let log = dir.join("log");
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut child = binary()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.join("data"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        match line.trim().strip_prefix("listening ") {
            Some(url) => Ok(Catalog {
                child,
                stdout,
                url: url.to_owned(),
                log,
            }),
            None => {
                let _ = child.wait();
                Err(std::fs::read_to_string(log).unwrap())
            }
        }
    }

    /// The next line it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> bool {
        let told = Command::new("kill")
            .args(["-TERM", &self.pid()])
            .status()
            .unwrap();
        assert!(told.success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one command to its end: whether it went well, stdout, stderr.
pub(crate) fn run(data: &Path, args: &[&str]) -> (bool, String, String) {
    let output = binary()
        .args(args)
        .arg("--data-dir")
        .arg(data)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
