//! What the traffic of an operation was like: the extension `x-silhouette`.
//!
//! In: evidence. Out: counts, times, quantiles and how sure the description is. Never a value of the traffic but
//! names of shims and of procedures.

use super::OpenApi;
use crate::body::Bodies;
use crate::evidence::Evidence;
use crate::latency::Latency;
use crate::procedures::{self, Protocol};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Counts over the calls of one operation, failed ones included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub calls: u64,
    /// Answered with 400 or above.
    pub errors: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    pub stale: bool,
    /// How likely the template is right, 0 to 1.
    pub sure: f64,
}

/// The extension `x-silhouette` of an operation.
pub(crate) fn extension(
    openapi: OpenApi,
    good: &Evidence,
    failed: Option<&Evidence>,
    calls: Calls,
) -> Value {
    let mut shims: BTreeSet<&str> = BTreeSet::new();
    let mut latency = Latency::default();
    for evidence in [Some(good), failed].into_iter().flatten() {
        shims.extend(evidence.shims.iter().map(|(s, _)| s));
        latency.merge(&evidence.latency);
    }
    let mut out = Map::new();
    out.insert("calls".into(), json!(calls.calls));
    out.insert("errorShare".into(), json!(share(calls.errors, calls.calls)));
    out.insert("firstSeen".into(), json!(timestamp(calls.first_seen)));
    out.insert("lastSeen".into(), json!(timestamp(calls.last_seen)));
    out.insert("lastSuccess".into(), json!(timestamp(good.last_seen)));
    if calls.stale {
        out.insert("stale".into(), json!(true));
    }
    if let (Some(p50), Some(p95)) = (latency.quantile(50), latency.quantile(95)) {
        out.insert("latencyMicros".into(), json!({"p50": p50, "p95": p95}));
    }
    out.insert("shims".into(), json!(shims));
    out.insert("confidence".into(), json!(confidence(good, calls.sure)));
    // Linters refuse templates that end in a slash; whoever calls it has to know all the same.
    if good.slashes == good.calls {
        out.insert("trailingSlash".into(), json!(true));
    }
    procedures(good, &mut out);
    if openapi == OpenApi::V30 {
        let certified: u64 = good
            .credentials
            .iter()
            .filter(|(kinds, _)| kinds.split('\n').any(|k| k == "mtls"))
            .map(|(_, n)| n.0)
            .sum();
        if certified > 0 {
            let always = certified == good.calls;
            out.insert(
                "clientCertificate".into(),
                json!(if always { "required" } else { "optional" }),
            );
        }
    }
    Value::Object(out)
}

/// What calls named behind this one path: GraphQL operations by their kind, JSON-RPC methods, SOAP actions.
fn procedures(good: &Evidence, out: &mut Map<String, Value>) {
    let mut graphql = Map::new();
    for protocol in Protocol::ALL {
        let all = || {
            good.procedures
                .iter()
                .filter_map(|(key, _)| procedures::read(key))
                .filter(move |(p, _)| *p == protocol)
        };
        if all().next().is_none() {
            continue;
        }
        let names: Vec<&str> = all().map(|(_, n)| n).filter(|n| !n.is_empty()).collect();
        match protocol {
            Protocol::JsonRpc => out.insert("jsonRpc".into(), json!(names)),
            Protocol::Soap => out.insert("soapActions".into(), json!(names)),
            Protocol::Query => graphql.insert("queries".into(), json!(names)),
            Protocol::Mutation => graphql.insert("mutations".into(), json!(names)),
            Protocol::Subscription => graphql.insert("subscriptions".into(), json!(names)),
            Protocol::Persisted => graphql.insert("persisted".into(), json!(names)),
        };
    }
    if !graphql.is_empty() {
        out.insert("graphql".into(), Value::Object(graphql));
    }
}

/// How sure the description is, 0 to 1: the chance that the next call fits it, after as many successful calls as there were
/// all did (Laplace's rule of succession), times the share of bodies that were what their media type says, times how likely the
/// template is right.
fn confidence(good: &Evidence, sure: f64) -> f64 {
    let bodies = |bodies: &Bodies| {
        bodies
            .media
            .iter()
            .map(|(_, c)| c)
            .chain(bodies.media.rest())
            .fold((0, 0), |(n, bad), c| (n + c.count, bad + c.malformed))
    };
    let (mut all, mut malformed) = bodies(&good.request);
    for (_, response) in good.responses.iter() {
        let (n, bad) = bodies(&response.bodies);
        all += n;
        malformed += bad;
    }
    let fits = (good.calls + 1) as f64 / (good.calls + 2) as f64;
    let read = 1.0 - malformed.min(all) as f64 / all.max(1) as f64;
    (fits * read * sure * 100.0).round() / 100.0
}

/// A share with four digits.
fn share(part: u64, whole: u64) -> f64 {
    (part.saturating_mul(10_000))
        .checked_div(whole)
        .unwrap_or(0) as f64
        / 10_000.0
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
