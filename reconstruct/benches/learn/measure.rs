//! CPU time and memory as the kernel counts them.

use rustix::time::{ClockId, clock_gettime};
use std::fs::read_to_string;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// CPU time of this thread.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Resident memory of this process now, bytes.
pub(crate) fn resident() -> usize {
    let text = read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<usize> = text.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0) * 4096
}

pub(crate) fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Says on a terminal how far it is; nothing anywhere else.
pub(crate) fn progress(what: &str, done: usize, all: usize) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r{what}: {} % ", done * 100 / all.max(1));
        if done >= all {
            let _ = write!(err, "\r\x1b[K");
        }
    }
}
