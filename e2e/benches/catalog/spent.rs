//! What processes use: CPU time and memory, as the kernel counts them.
//!
//! In: a process. Out: nanoseconds on a CPU of everything it started, and its resident memory. Read from `/proc`.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// Nanoseconds on a CPU of all processes this one started and of what those started: the catalog, and PostgreSQL's.
pub(crate) fn of_children() -> u64 {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // pid (comm) state ppid …; comm may contain anything.
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        if let Some(parent) = after
            .split_whitespace()
            .nth(1)
            .and_then(|pid| pid.parse::<u32>().ok())
        {
            parents.insert(pid, parent);
        }
    }
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
        .map(of)
        .sum()
}

/// Of all threads of one process.
fn of(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
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
