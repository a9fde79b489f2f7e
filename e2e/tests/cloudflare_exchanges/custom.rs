//! A Worker at a custom domain, without a zone around it.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use silhouette_e2e::matrix::PATIENCE;
use silhouette_e2e::workerd::Setup;
use silhouette_e2e::{Answer, Origin, Recording, Workerd, curl};
use silhouette_proto::telemetry::v1::Exchange;

/// These settings, and `more` over them.
pub(crate) fn with(mut settings: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    settings
}

/// A Worker at a custom domain: no zone around it, everything goes to one origin.
pub(crate) struct Custom {
    pub(crate) workerd: Workerd,
    pub(crate) recording: Recording,
    pub(crate) origin: Origin,
}

impl Custom {
    /// Captures everything, with `more` settings.
    pub(crate) fn start(more: &Value) -> Result<Custom> {
        Custom::start_with(more, |_, _| {})
    }

    /// The same, changed before it starts.
    pub(crate) fn start_with(
        more: &Value,
        change: impl FnOnce(&mut Setup, &Origin),
    ) -> Result<Custom> {
        let (recording, origin) = (Recording::start()?, Origin::start()?);
        let settings = with(json!({ "flush_interval_ms": 20 }), more);
        let mut setup = Setup::capturing(&recording.url(), origin.address(), &settings)?;
        change(&mut setup, &origin);
        Ok(Custom {
            workerd: Workerd::start(&setup)?,
            recording,
            origin,
        })
    }

    /// Runs curl on a path with further arguments, and waits for the one exchange this makes.
    pub(crate) fn exchange(&self, path: &str, arguments: &[&str]) -> Result<(Answer, Exchange)> {
        self.recording.clear();
        let url = self.workerd.url(path);
        let answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
        let mut exchanges = self
            .recording
            .wait_for(1, PATIENCE)
            .with_context(|| format!("{url}: {} {}", answer.status, answer.text()))?;
        ensure!(
            exchanges.len() == 1,
            "{} exchanges instead of one",
            exchanges.len()
        );
        Ok((answer, exchanges.pop().context("one")?))
    }
}

/// An origin that takes one connection and hands it over.
pub(crate) fn one_connection() -> Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((listener.local_addr()?, listener))
}

pub(crate) fn read_until(socket: &mut TcpStream, words: &str) -> Result<String> {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    loop {
        let seen = String::from_utf8_lossy(&read).into_owned();
        if seen.contains(words) {
            return Ok(seen);
        }
        let n = socket.read(&mut part)?;
        ensure!(n > 0, "{words:?} never came: {seen}");
        read.extend_from_slice(&part[..n]);
    }
}
