//! How long to leave somebody alone who does not answer, or cannot.
//!
//! In: failures, what `Retry-After` said, the time and a random number. Out: when to try again. Twice as long after each failure
//! in a row, up to a ceiling, and by chance between half and the whole of it, so that collectors that were
//! turned away together do not come back together. No clock of its own.

/// After the first failure, milliseconds.
const FIRST: u64 = 1_000;
/// However many there were, milliseconds.
const CEILING: u64 = 300_000;
/// What `Retry-After` may ask for at most, milliseconds.
const MOST_ASKED: u64 = 3_600_000;

/// Failures in a row, and the time before which nothing is tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until: u64,
}

impl Backoff {
    /// One more failure at `now` (monotonic milliseconds); `asked` is what the other side wants to be left alone for, in
    /// milliseconds; `random` is any number.
    pub fn failed(&mut self, now: u64, asked: Option<u64>, random: u64) {
        let whole = FIRST
            .saturating_mul(1 << self.failures.min(20))
            .min(CEILING);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        let own = half + random % (whole - half + 1);
        let asked = asked.unwrap_or(0).min(MOST_ASKED);
        self.until = now.saturating_add(own.max(asked));
    }

    /// It went well.
    pub fn succeeded(&mut self) {
        *self = Backoff::default();
    }

    /// May be tried at once; failures before still count.
    pub fn again(&mut self) {
        self.until = 0;
    }

    /// Whether it may be tried at `now`.
    pub fn may(&self, now: u64) -> bool {
        now >= self.until
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The time before which nothing is tried.
    pub fn until(&self) -> u64 {
        self.until
    }
}

/// What a `Retry-After` header asks for, in milliseconds: seconds, or an HTTP date (RFC 9110, 10.2.3) seen from `now` (Unix
/// milliseconds).
pub fn retry_after(value: &str, now: u64) -> Option<u64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?;
    let at = u64::try_from(at.as_millisecond()).ok()?;
    Some(at.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_with_jitter_up_to_a_ceiling_and_begins_anew() {
        let mut backoff = Backoff::default();
        assert!(backoff.may(0));
        let mut whole = FIRST;
        for n in 0..40 {
            let now = n * 10_000_000;
            for random in [0, u64::MAX, 12_345] {
                let mut one = backoff;
                one.failed(now, None, random);
                let wait = one.until() - now;
                assert!((whole / 2..=whole).contains(&wait), "{n}: {wait}");
                assert!(!one.may(now + wait - 1) && one.may(now + wait));
            }
            backoff.failed(now, None, 0);
            assert_eq!(u64::from(backoff.failures()), n + 1);
            whole = (whole * 2).min(CEILING);
        }
        backoff.again();
        assert!(backoff.may(0) && backoff.failures() == 40);
        backoff.succeeded();
        assert_eq!(backoff, Backoff::default());
    }

    #[test]
    fn what_is_asked_for_is_kept_to_and_bounded() {
        let mut backoff = Backoff::default();
        backoff.failed(5, Some(60_000), 0);
        assert_eq!(backoff.until(), 60_005);
        backoff.failed(5, Some(u64::MAX), 0);
        assert_eq!(backoff.until(), 5 + MOST_ASKED);
        backoff.failed(5, Some(1), 0);
        assert_eq!(backoff.until(), 5 + 2_000, "no sooner than without");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, want) in [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 1970 00:00:10 GMT", Some(8_000)),
            ("Thu, 01 Jan 1970 00:00:01 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, 2_000), want, "{value:?}");
        }
    }
}
