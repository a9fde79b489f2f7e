//! The server: its directory, its start, and its end with the test program.
//!
//! In: PostgreSQL's programs. Out: a running server on a Unix socket. A small shell script (`keeper.sh`) stands between the
//! test program and the server: a pipe tells it that the test program is gone, also when that was killed; it then ends the
//! server by its number and removes the directory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::programs::{self, User};

/// PostgreSQL is installed, but its server does not run.
#[derive(Debug, thiserror::Error)]
#[error("starting a private PostgreSQL in {}: {step}: {said}", directory.display())]
pub struct StartError {
    directory: PathBuf,
    step: &'static str,
    said: String,
}

/// What connects, and owns every database.
const ROLE: &str = "silhouette";
const KEEPER: &str = include_str!("keeper.sh");
/// A start takes a second; a machine that does ten other things may take long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; the keeper ends it when the last handle is gone, or this process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    programs: PathBuf,
    directory: PathBuf,
    /// The pipe whose end the keeper waits for.
    _alive: Arc<ChildStdin>,
}

impl Server {
    pub(crate) fn start() -> Result<Server, Error> {
        let (programs, user) = (programs::directory()?, programs::user());
        let directory = tempfile::Builder::new()
            .prefix("silhouette-postgres-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|error| StartError {
                directory: std::env::temp_dir(),
                step: "making a directory",
                said: error.to_string(),
            })?;
        let failed = |step, said: String| StartError {
            directory: directory.path().to_owned(),
            step,
            said,
        };
        if let Some(User { uid, gid }) = user {
            chown(directory.path(), Some(uid), Some(gid))
                .map_err(|error| failed("giving the directory to its user", error.to_string()))?;
        }
        initialise(&programs, directory.path(), user).map_err(|said| failed("initdb", said))?;
        let (pid, alive) =
            keep(&programs, directory.path(), user).map_err(|said| failed("its keeper", said))?;
        let server = Server {
            programs,
            directory: directory.path().to_owned(),
            _alive: Arc::new(alive),
        };
        server
            .ready(pid)
            .map_err(|said| failed("the server", said))?;
        // From here on the keeper removes it.
        let _ = directory.keep();
        Ok(server)
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        // A socket's directory stands in the query: a URL's authority has no place for slashes.
        format!(
            "postgres://{ROLE}@localhost/{database}?host={}",
            self.directory.display()
        )
    }

    /// Runs one of PostgreSQL's client programs against it; what it prints.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Result<String, String> {
        output(&mut self.client(program, args), Stdio::null())
    }

    /// The same with a file to read.
    pub(crate) fn run_on(
        &self,
        program: &str,
        args: &[&str],
        input: File,
    ) -> Result<String, String> {
        output(&mut self.client(program, args), input.into())
    }

    fn client(&self, program: &str, args: &[&str]) -> Command {
        let mut command = programs::command(&self.programs.join(program), programs::user());
        command.arg("--host").arg(&self.directory);
        command.args(["--username", ROLE]).args(args);
        command
    }

    /// Waits until it takes connections.
    fn ready(&self, pid: u32) -> Result<(), String> {
        let (begin, process) = (Instant::now(), PathBuf::from(format!("/proc/{pid}")));
        let said = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        loop {
            if self.run("psql", &["-c", "", "postgres"]).is_ok() {
                return Ok(());
            }
            if !process.exists() {
                return Err(format!("it has ended:\n{}", said()));
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("no answer within {PATIENCE:?}:\n{}", said()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn initialise(programs: &Path, directory: &Path, user: Option<User>) -> Result<(), String> {
    let mut initdb = programs::command(&programs.join("initdb"), user);
    initdb.args([
        "--no-sync",
        "--auth=trust",
        "--encoding=UTF8",
        "--username",
        ROLE,
    ]);
    initdb.args(["--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]);
    output(initdb.arg("-D").arg(directory.join("data")), Stdio::null()).map(drop)
}

/// Starts keeper and server: the server's pid, and the pipe that holds them.
fn keep(
    programs: &Path,
    directory: &Path,
    user: Option<User>,
) -> Result<(u32, ChildStdin), String> {
    let mut keeper = programs::command(Path::new("/bin/sh"), user);
    keeper
        .args(["-c", KEEPER, "keeper"])
        .arg(programs)
        .arg(directory);
    // A group of its own: Ctrl-C is for the tests, and the keeper still has to clean up then.
    keeper.process_group(0);
    keeper
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = keeper.spawn().map_err(|error| error.to_string())?;
    let (alive, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(alive), Some(stdout)) = (alive, stdout) else {
        return Err("its standard streams are pipes".to_owned());
    };
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    let pid = line
        .trim()
        .parse()
        .map_err(|_| format!("it says {line:?}, not the server's number"))?;
    Ok((pid, alive))
}

fn output(command: &mut Command, input: Stdio) -> Result<String, String> {
    let output = command
        .stdin(input)
        .output()
        .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}
