//! CPU time as the kernel accounts it.
//!
//! In: process numbers. Out: nanoseconds on a CPU, by thread. Read from `/proc/PID/task/TID/schedstat`, whose first field is
//! exact to the nanosecond, unlike the ticks in `stat`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// Time spent on a CPU so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    /// The thread that serves requests.
    pub(super) main: u64,
    /// All other threads of the process.
    pub(super) others: u64,
}

impl Spent {
    /// Of one process so far.
    pub(super) fn of(pid: u32) -> Result<Spent> {
        let mut spent = Spent::default();
        let tasks = PathBuf::from(format!("/proc/{pid}/task"));
        for entry in
            std::fs::read_dir(&tasks).with_context(|| format!("reading {}", tasks.display()))?
        {
            let path = entry?.path();
            let schedstat = match std::fs::read_to_string(path.join("schedstat")) {
                // The thread ended after it was listed.
                Err(_) if !path.exists() => continue,
                read => read.context("schedstat: is this kernel built with CONFIG_SCHED_INFO?")?,
            };
            let nanos: u64 = schedstat
                .split_whitespace()
                .next()
                .context("schedstat is empty")?
                .parse()?;
            if path.ends_with(pid.to_string()) {
                spent.main += nanos;
            } else {
                spent.others += nanos;
            }
        }
        Ok(spent)
    }

    /// What was spent since `before`.
    pub(super) fn since(self, before: Spent) -> Spent {
        Spent {
            main: self.main - before.main,
            others: self.others.saturating_sub(before.others),
        }
    }

    /// Of all threads.
    pub(super) fn total(self) -> u64 {
        self.main + self.others
    }
}

/// The one worker of an nginx master.
pub(super) fn only_worker(master: u32) -> Result<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(master) {
            found.push(pid);
        }
    }
    ensure!(
        found.len() == 1,
        "nginx (pid {master}) has {} workers, not one",
        found.len()
    );
    found.first().copied().context("a worker")
}

/// The middle of some figures.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => figures[n / 2],
        n => (figures[n / 2 - 1] + figures[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_spends_time() -> Result<()> {
        let before = Spent::of(std::process::id())?;
        // Runs in a test thread: the time shows among the others.
        let sum = (0..20_000_000u64).fold(0u64, |sum, n| std::hint::black_box(sum.wrapping_add(n)));
        assert!(sum > 0);
        assert!(Spent::of(std::process::id())?.since(before).total() > 0);
        Ok(())
    }

    #[test]
    fn the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
