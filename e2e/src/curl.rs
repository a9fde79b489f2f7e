//! The real `curl` as the tests' client: HTTP/1.1, HTTP/2, TLS, odd requests.
//!
//! In: curl's own arguments. Out: what came back. Never retries, never reads a `.curlrc`, never uses a proxy.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status of the last response; 0 when there was none.
    pub status: u16,
    /// "1.1", "2", …
    pub http_version: String,
    /// Of the last response, in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Content codings are not undone unless curl was told to.
    pub body: Vec<u8>,
    /// curl's exit code: 0 is good, 28 a timeout, 52 an empty reply, 56 a reset.
    pub exit: i32,
    /// curl's complaint, if any.
    pub error: String,
}

impl Answer {
    /// The body as text, lossily.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}, not JSON: {}", self.status, self.text()))
    }

    /// First header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// Runs `curl -sS ARGS`, with a limit of a minute unless `--max-time` is among them.
///
/// # Errors
/// Only when curl itself cannot be run: what the server did is in the [`Answer`].
pub fn curl<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Answer> {
    let dir = tempfile::tempdir()?;
    let (head, body) = (dir.path().join("head"), dir.path().join("body"));
    let mut command = Command::new("curl");
    command.args([
        "-q",
        "-sS",
        "--noproxy",
        "*",
        "--max-time",
        "60",
        "-w",
        "%{http_code} %{http_version}",
    ]);
    command.arg("-D").arg(&head).arg("-o").arg(&body).args(args);
    let output = command.output().context("running curl: is it installed?")?;
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, version) = written.trim().rsplit_once(' ').unwrap_or(("0", "0"));
    let head = std::fs::read(&head).unwrap_or_default();
    let head = String::from_utf8_lossy(&head).replace("\r\n", "\n");
    // 100 Continue and friends come first: the last block is the response itself.
    let last = head.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let headers = last.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    Ok(Answer {
        status: status.parse().unwrap_or(0),
        http_version: version.to_owned(),
        headers,
        body: std::fs::read(&body).unwrap_or_default(),
        exit: output.status.code().unwrap_or(-1),
        error: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// GET that must answer 200.
pub fn get_ok(url: &str) -> Result<Answer> {
    let answer = curl([url])?;
    if answer.status != 200 {
        bail!(
            "GET {url}: status {} {} {}",
            answer.status,
            answer.error,
            answer.text()
        );
    }
    Ok(answer)
}
