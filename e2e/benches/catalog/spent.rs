//! What processes use: CPU time and memory, as the kernel counts them.
//!
//! In: a process. Out: nanoseconds on a CPU of everything it started, and its resident memory. Read from `/proc`.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// Nanoseconds on a CPU of all that this process started and what those started (the catalog, and PostgreSQL's), by threads that
/// live: exact, but a thread that ends takes its time along.
pub(crate) fn by_threads() -> u64 {
    let threads = children().into_iter().flat_map(|pid| {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        tasks.into_iter().flatten().flatten()
    });
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

/// The same with threads that ended, to the hundredth of a second.
pub(crate) fn in_all() -> u64 {
    const TICK: u64 = 10_000_000;
    let ticks = children().into_iter().filter_map(|pid| {
        let all = fields(pid)?;
        Some(all.get(11)?.parse::<u64>().ok()? + all.get(12)?.parse::<u64>().ok()?)
    });
    ticks.sum::<u64>() * TICK
}

/// What `/proc/PID/stat` says after the program's name, which may contain anything: state, parent, …
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    Some(after.split_whitespace().map(str::to_owned).collect())
}

/// All processes this one started, and those that these started.
fn children() -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: HashMap<u32, u32> = pids
        .filter_map(|pid| Some((pid, fields(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let own = std::process::id();
    let started = |mut pid: u32| {
        while let Some(&parent) = parents.get(&pid) {
            if parent == own {
                return true;
            }
            pid = parent;
        }
        false
    };
    parents
        .keys()
        .copied()
        .filter(|&pid| started(pid))
        .collect()
}

/// Resident memory of a process, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    /// The most it ever was.
    pub(crate) most: u64,
}

pub(crate) fn resident(pid: u32) -> Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| -> Result<u64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .context("a line of status")?;
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .context("a figure")?
            .parse()?;
        Ok(kib / 1024)
    };
    Ok(Resident {
        now: of("VmRSS")?,
        most: of("VmHWM")?,
    })
}
