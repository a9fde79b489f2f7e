//! What the runners have said: passed and failed, summed over all of them.
//!
//! In: verdicts of steps and the result lines of cargo's tests. Out: one line.

use std::fmt;

/// Counts of checks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One check.
    pub(crate) fn one(&mut self, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Adds a line like `test result: ok. 12 passed; 0 failed; …`, `12 passed, 0 failed` or `…: 12 vectors, 0 failed`; other
    /// lines count nothing.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        let of_cargo = line.strip_prefix("test result: ");
        let digits_first = line.starts_with(|c: char| c.is_ascii_digit());
        if of_cargo.is_none()
            && !(line.ends_with("failed") && (digits_first || line.contains(" vectors, ")))
        {
            return;
        }
        let words: Vec<&str> = line
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|w| !w.is_empty())
            .collect();
        let mut all = 0;
        for pair in words.windows(2) {
            if let [count, what] = pair
                && let Ok(count) = count.parse::<u64>()
            {
                match *what {
                    "passed" => self.passed += count,
                    // Here the first number is all of them.
                    "vectors" => all = count,
                    "failed" => {
                        self.failed += count;
                        self.passed += all.saturating_sub(count);
                    }
                    _ => {}
                }
            }
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_result_lines_only() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out",
            "12 passed, 1 failed",
            "wasm32-unknown-unknown: 40 vectors, 2 failed",
            "he passed, she failed",
        ] {
            tally.read(line);
        }
        assert_eq!(tally.to_string(), "55 passed, 7 failed");
    }
}
