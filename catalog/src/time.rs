//! Points in time. The clock is read at the edge ([`Millis::now`]) and passed in everywhere else.

use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// What the machine's clock says.
    #[must_use]
    pub fn now() -> Millis {
        Millis(jiff::Timestamp::now().as_millisecond())
    }

    /// RFC 3339, any offset; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Millis> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|at| Millis(at.as_millisecond()))
    }

    /// RFC 3339 in UTC, to the second: `2026-03-02T08:00:01Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let whole = self.0.div_euclid(1000);
        jiff::Timestamp::from_second(whole)
            .unwrap_or_default()
            .to_string()
    }

    /// Later by so much.
    #[must_use]
    pub fn plus(self, span: Duration) -> Millis {
        Millis(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago `earlier` was; nothing where it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Millis) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_alike() {
        let at = Millis::parse("2026-03-02T09:00:01.250+01:00").unwrap();
        assert_eq!(at.rfc3339(), "2026-03-02T08:00:01Z");
        assert_eq!(Millis::parse(&at.rfc3339()), Some(Millis(at.0 - 250)));
        assert_eq!(Millis::parse("yesterday"), None);
        assert_eq!(Millis(i64::MAX).rfc3339(), "1970-01-01T00:00:00Z");
    }
}
