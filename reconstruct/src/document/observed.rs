//! What the traffic of an operation was like: the extension `x-silhouette`.
//!
//! In: evidence. Out: counts, times and quantiles. Never a value of the traffic but names of shims.

use crate::evidence::Evidence;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The extension `x-silhouette` of an operation.
pub(crate) fn extension(
    good: &Evidence,
    failed: Option<&Evidence>,
    calls: u64,
    errors: u64,
    first: u64,
    last: u64,
) -> Value {
    let mut shims: BTreeSet<&str> = BTreeSet::new();
    let mut latency: BTreeMap<u8, u64> = BTreeMap::new();
    for evidence in [Some(good), failed].into_iter().flatten() {
        shims.extend(evidence.shims.iter().map(|(s, _)| s));
        evidence
            .latency
            .iter()
            .for_each(|(bucket, n)| *latency.entry(*bucket).or_default() += n);
    }
    let mut out = Map::new();
    out.insert("calls".into(), json!(calls));
    out.insert(
        "errorShare".into(),
        json!((errors * 10_000).checked_div(calls).unwrap_or(0) as f64 / 10_000.0),
    );
    out.insert("firstSeen".into(), json!(timestamp(first)));
    out.insert("lastSeen".into(), json!(timestamp(last)));
    if let (Some(p50), Some(p95)) = (quantile(&latency, 50), quantile(&latency, 95)) {
        out.insert("latencyMicros".into(), json!({"p50": p50, "p95": p95}));
    }
    out.insert("shims".into(), json!(shims));
    // Linters refuse templates that end in a slash; whoever calls it has to know all the same.
    if good.slashes == good.calls {
        out.insert("trailingSlash".into(), json!(true));
    }
    Value::Object(out)
}

/// The upper end of the bucket in which the quantile lies.
fn quantile(latency: &BTreeMap<u8, u64>, percent: u64) -> Option<u64> {
    let total: u64 = latency.values().sum();
    let mut left = (total * percent).div_ceil(100);
    for (bucket, n) in latency {
        if left <= *n {
            return Some((1u64.checked_shl(u32::from(*bucket) + 1)).unwrap_or(u64::MAX) - 1);
        }
        left -= n;
    }
    None
}

/// RFC 3339 in UTC, from Unix milliseconds.
pub(crate) fn timestamp(millis: u64) -> String {
    // No clock is off by more than this; a wild value must not make a wild year.
    let seconds = (millis / 1000).min(253_402_300_799);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the civil calendar, after Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (
        day_of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        },
    );
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_follow_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_772_438_399_999, "2026-03-02T07:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(millis), text);
        }
    }
}
