//! What happened in the strict host, for tests to look at.
//!
//! In: every step of the worker. Out: log lines, broken rules, traps, counts. Never judges: a test says what must be empty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

/// A line of the gateway's error log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

/// nginx's levels, as far as a filter or its host can cause them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// Everything that is kept. Counts are of the whole worker, over all instances.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub log: Vec<Line>,
    /// Rules of the host that the filter broke, whether the host traps for it or not.
    pub violations: Vec<String>,
    /// Why instances were lost: a broken rule, a panic of the filter, a trap that the test asked for.
    pub traps: Vec<String>,
    /// Instances made.
    pub instances: usize,
    /// Runs of `on_configure`.
    pub configured: usize,
    pub ticks: u64,
    /// Those of them that a lost instance's timer has caused.
    pub inherited_ticks: u64,
    /// Requests that were answered with 500 because of the filter.
    pub refused: u64,
    /// Requests whose context the filter was told is over.
    pub logged: u64,
    /// Calls that were handed over to the network.
    pub calls: u64,
    /// Calls that were answered, whatever the answer.
    pub answered: u64,
    /// Calls that came to nothing: no connection, no answer in time, an answer that is no HTTP.
    pub failed: u64,
    /// Reads of a request body that lies in a file.
    pub spooled_reads: u64,
    /// Properties that the host does not have and logs an error about.
    pub refused_properties: u64,
    /// Largest linear memory of any instance, in bytes.
    pub memory: usize,
    /// By the name the filter gave.
    pub metrics: BTreeMap<String, Metric>,
}

/// A metric of this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub kind: u32,
    pub value: i64,
}

/// Shared between the worker's thread and the test.
#[derive(Debug, Clone, Default)]
pub struct Record(Arc<Mutex<Contents>>);

impl Record {
    pub fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of everything.
    pub fn contents(&self) -> Contents {
        self.lock().clone()
    }

    pub fn log(&self, level: Level, text: impl Into<String>) {
        let text = text.into();
        self.lock().log.push(Line { level, text });
    }

    pub fn violation(&self, what: impl Into<String>) {
        self.lock().violations.push(what.into());
    }

    /// Lines at `level` or above.
    pub fn lines(&self, level: Level) -> Vec<String> {
        let contents = self.lock();
        let lines = contents.log.iter().filter(|line| line.level >= level);
        lines.map(|line| line.text.clone()).collect()
    }

    /// A metric's value; 0 when there is none of that name.
    pub fn metric(&self, name: &str) -> i64 {
        self.lock().metrics.get(name).map_or(0, |m| m.value)
    }

    /// Waits until `done` says so.
    ///
    /// # Errors
    /// After `patience`, with what there is instead.
    pub fn wait(
        &self,
        what: &str,
        patience: Duration,
        done: impl Fn(&Contents) -> bool,
    ) -> Result<()> {
        let begin = Instant::now();
        while !done(&self.lock()) {
            if begin.elapsed() > patience {
                bail!(
                    "waited {patience:?} in vain: {what}: {:#?}",
                    self.contents()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The filter broke no rule, was never lost, and made nobody's request fail.
    pub fn is_clean(&self) -> Result<()> {
        let contents = self.lock();
        ensure!(
            contents.violations.is_empty() && contents.traps.is_empty() && contents.refused == 0,
            "violations: {:?}, traps: {:?}, {} requests refused, log: {:#?}",
            contents.violations,
            contents.traps,
            contents.refused,
            contents.log
        );
        ensure!(
            contents.refused_properties == 0,
            "properties that Kong refuses: {:#?}",
            contents.log
        );
        Ok(())
    }
}
