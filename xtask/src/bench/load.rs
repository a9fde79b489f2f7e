//! The load: `wrk`, which posts 1 KiB of JSON again and again, or only asks.
//!
//! In: a process that serves, its port. Out: how many requests it answered in a second, what each cost it, how long each took.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::cpu::Spent;
use crate::command;

/// One variant under load for a moment.
pub(super) struct Sample {
    pub(super) requests_per_second: f64,
    /// CPU time per request of the thread that serves, in microseconds.
    pub(super) main_micros: f64,
    /// The same of all threads.
    pub(super) total_micros: f64,
    /// Half of the requests took no longer, in microseconds.
    pub(super) median_micros: f64,
    /// 99 of 100 took no longer, in microseconds.
    pub(super) p99_micros: f64,
}

/// A load of so many connections.
pub(super) struct Load {
    /// Makes the requests posts.
    script: Option<PathBuf>,
    connections: u32,
}

impl Load {
    /// Its script is written into `dir`.
    pub(super) fn new(dir: &Path, connections: u32) -> Result<Load> {
        let script = dir.join("post.lua");
        let text = format!(
            "wrk.method = 'POST'\nwrk.body = '{}'\nwrk.headers['Content-Type'] = 'application/json'\n\
             wrk.headers['Accept'] = 'application/json'\nwrk.headers['User-Agent'] = 'silhouette-bench/1'\n",
            json()
        );
        std::fs::write(&script, text)?;
        Ok(Load {
            script: Some(script),
            connections,
        })
    }

    /// Requests without a body.
    pub(super) fn asking(connections: u32) -> Load {
        Load {
            script: None,
            connections,
        }
    }

    /// Loads `http://127.0.0.1:PORT/PATH`, which the process `pid` serves.
    ///
    /// # Errors
    /// When a request is not answered well: then the figures would be those of errors.
    pub(super) fn run(&self, pid: u32, port: u16, path: &str, seconds: u32) -> Result<Sample> {
        let before = Spent::of(pid)?;
        let mut wrk = command::program("wrk");
        wrk.args([
            "-t",
            "1",
            "-c",
            &self.connections.to_string(),
            "-d",
            &format!("{seconds}s"),
            "--latency",
        ]);
        if let Some(script) = &self.script {
            wrk.arg("-s").arg(script);
        }
        let said = command::output(wrk.arg(format!("http://127.0.0.1:{port}{path}")))?;
        let spent = Spent::of(pid)?.since(before);
        ensure!(
            !said.contains("Non-2xx") && !said.contains("Socket errors"),
            "the load met errors:\n{said}"
        );
        let figure = |line: &str, word: usize| {
            let line = said.lines().find(|text| text.contains(line));
            line.and_then(|text| text.split_whitespace().nth(word)?.parse::<f64>().ok())
        };
        let requests = figure("requests in", 0).with_context(|| format!("no count in:\n{said}"))?;
        let requests_per_second =
            figure("Requests/sec:", 1).with_context(|| format!("no rate in:\n{said}"))?;
        let latency = |share: &str| {
            let line = said.lines().find(|line| line.trim().starts_with(share));
            let text = line.and_then(|line| line.split_whitespace().nth(1));
            text.and_then(micros)
                .with_context(|| format!("no latency of {share} in:\n{said}"))
        };
        Ok(Sample {
            median_micros: latency("50%")?,
            p99_micros: latency("99%")?,
            requests_per_second,
            main_micros: spent.main as f64 / 1000.0 / requests,
            total_micros: spent.total() as f64 / 1000.0 / requests,
        })
    }
}

/// A time as wrk writes it.
fn micros(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(number.len()..)? {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

/// A JSON text of 1 KiB, as an API would send it.
pub(super) fn json() -> String {
    let mut text = String::from(
        r#"{"id":4711,"title":"The Silent River","price":12.9,"inStock":true,"tags":["gift","signed"],"about":""#,
    );
    while text.len() < 1022 {
        text.push_str("river ");
    }
    text.truncate(1022);
    text.push_str("\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let times = ["433.00us", "1.21ms", "2.00s", "1.2x"].map(micros);
        assert_eq!(times, [Some(433.0), Some(1210.0), Some(2e6), None]);
    }

    #[test]
    fn bodies_are_one_kibibyte() {
        assert_eq!(json().len(), 1024);
        assert!(
            !json().contains('\''),
            "it stands in quotes in two configurations"
        );
    }
}
