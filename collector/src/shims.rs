//! Which shims there are: what each says of itself and when it was last heard of.
//!
//! In: opened batches and streams coming and going. Out: a table for people, and the shims' own counters as metrics that
//! only grow. Bounded: the instance heard of longest ago is forgotten first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use silhouette_proto::telemetry::v1::Count;

use crate::envelope::{Envelope, Instance};
use crate::metrics::{Kind, Metrics, ShimReason};

/// Instances remembered.
const MAX_SHIMS: usize = 10_000;
/// Characters of any text a shim sends.
const MAX_TEXT: usize = 128;
/// How long an instance without a stream counts as there, milliseconds.
const ACTIVE_MILLIS: u64 = 60_000;

/// One instance of a shim.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Shim {
    /// `nginx`, …
    pub kind: String,
    /// What the operator calls it.
    pub name: String,
    /// Of the shim.
    pub version: String,
    /// Of the gateway.
    pub gateway_version: String,
    /// Host name or the like.
    pub node: String,
    /// Hexadecimal.
    pub instance: String,
    /// Where it connects from.
    pub address: String,
    /// Name of the token it presents; empty when none is needed.
    pub token: String,
    /// Open streams.
    pub streams: u32,
    /// Unix milliseconds.
    pub first_seen: u64,
    /// Unix milliseconds.
    pub last_seen: u64,
    /// Exchanges received from it since this collector started, resent ones too.
    pub received: u64,
    /// Exchanges it says it captured.
    pub captured: u64,
    /// Exchanges it says it lost, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Exchanges it says its settings excluded, by reason.
    pub skipped: BTreeMap<String, u64>,
}

/// What batches say of their sender.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Which running shim.
    pub instance: Instance,
    /// What it says of itself.
    pub shim: &'a silhouette_proto::telemetry::v1::Shim,
    /// Exchanges that came.
    pub exchanges: u64,
    /// Its total.
    pub captured: u64,
    /// Its totals.
    pub dropped: &'a [Count],
    /// Its totals.
    pub skipped: &'a [Count],
}

impl<'a> From<&'a Envelope> for Heard<'a> {
    fn from(envelope: &'a Envelope) -> Heard<'a> {
        Heard {
            instance: envelope.instance,
            shim: &envelope.shim,
            exchanges: envelope.exchanges.len() as u64,
            captured: envelope.captured,
            dropped: &envelope.dropped,
            skipped: &envelope.skipped,
        }
    }
}

/// All shims.
#[derive(Debug, Default)]
pub struct Shims {
    table: Mutex<HashMap<Instance, Shim>>,
}

impl Shims {
    fn lock(&self) -> MutexGuard<'_, HashMap<Instance, Shim>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what came; `token` is the name of what it showed. `now` is in Unix milliseconds.
    pub fn heard(
        &self,
        heard: &Heard<'_>,
        address: IpAddr,
        token: Option<&str>,
        now: u64,
        metrics: &Metrics,
    ) {
        let mut table = self.lock();
        if !table.contains_key(&heard.instance) && table.len() >= MAX_SHIMS {
            make_room(&mut table);
        }
        let shim = table.entry(heard.instance).or_insert_with(|| Shim {
            first_seen: now,
            instance: hex(&heard.instance),
            ..Shim::default()
        });
        let said = heard.shim;
        for (kept, said) in [
            (&mut shim.kind, &said.kind),
            (&mut shim.name, &said.name),
            (&mut shim.version, &said.version),
            (&mut shim.gateway_version, &said.gateway_version),
            (&mut shim.node, &said.node),
        ] {
            if kept != said {
                *kept = said.chars().take(MAX_TEXT).collect();
            }
        }
        shim.address = address.to_string();
        shim.token = token.unwrap_or_default().to_owned();
        shim.last_seen = now;
        shim.received += heard.exchanges;
        let kind = metrics.reason(&shim.kind);
        let more = heard.captured.saturating_sub(shim.captured);
        if more > 0 {
            shim.captured = heard.captured;
            let kind = Kind { kind: kind.clone() };
            metrics.shim_captured.get_or_create(&kind).inc_by(more);
        }
        for (kept, said, family) in [
            (&mut shim.dropped, heard.dropped, &metrics.shim_dropped),
            (&mut shim.skipped, heard.skipped, &metrics.shim_skipped),
        ] {
            for (reason, more) in grown(kept, said, metrics) {
                let kind = kind.clone();
                family
                    .get_or_create(&ShimReason { kind, reason })
                    .inc_by(more);
            }
        }
    }

    /// A stream of this instance begins (`+1`) or is over (`-1`).
    pub fn stream(&self, instance: &Instance, change: i32) {
        if let Some(shim) = self.lock().get_mut(instance) {
            shim.streams = shim.streams.saturating_add_signed(change);
        }
    }

    /// All of them, the last heard first.
    pub fn list(&self) -> Vec<Shim> {
        let mut shims: Vec<_> = self.lock().values().cloned().collect();
        shims.sort_unstable_by(|a, b| (b.last_seen, &a.instance).cmp(&(a.last_seen, &b.instance)));
        shims
    }

    /// How many are connected or were heard of in the last minute.
    pub fn active(&self, now: u64) -> usize {
        let table = self.lock();
        table.values().filter(|shim| shim.is_active(now)).count()
    }
}

impl Shim {
    /// Connected, or heard of in the last minute.
    pub fn is_active(&self, now: u64) -> bool {
        self.streams > 0 || self.last_seen + ACTIVE_MILLIS > now
    }
}

/// Takes totals over and gives what they grew by. A total that shrank is a reordered batch: ignored.
fn grown(
    kept: &mut BTreeMap<String, u64>,
    said: &[Count],
    metrics: &Metrics,
) -> Vec<(String, u64)> {
    let mut grown = Vec::new();
    for count in said {
        let reason = metrics.reason(&count.reason);
        let before = kept.entry(reason.clone()).or_default();
        let more = count.count.saturating_sub(*before);
        if more > 0 {
            *before = count.count;
            grown.push((reason, more));
        }
    }
    grown
}

/// Forgets a sixteenth, those without a stream and heard of longest ago.
fn make_room(table: &mut HashMap<Instance, Shim>) {
    let mut ages: Vec<_> = table
        .iter()
        .map(|(instance, shim)| (shim.streams > 0, shim.last_seen, *instance))
        .collect();
    ages.sort_unstable();
    for (_, _, instance) in ages.into_iter().take(MAX_SHIMS / 16) {
        table.remove(&instance);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn envelope(instance: u8, captured: u64, dropped: &[(&str, u64)]) -> Envelope {
        Envelope {
            shim: silhouette_proto::telemetry::v1::Shim {
                kind: "nginx".into(),
                ..Default::default()
            },
            instance: [instance; 16],
            sequence: 1,
            exchanges: vec![Bytes::new(); 2],
            dropped: dropped
                .iter()
                .map(|(reason, count)| Count {
                    reason: (*reason).into(),
                    count: *count,
                })
                .collect(),
            skipped: vec![],
            captured,
        }
    }

    #[test]
    fn totals_of_instances_become_one_growing_counter() {
        let (shims, metrics) = (Shims::default(), Metrics::default());
        let heard = |envelope: &Envelope, now| {
            shims.heard(
                &envelope.into(),
                [127, 0, 0, 1].into(),
                Some("edge"),
                now,
                &metrics,
            )
        };
        heard(&envelope(1, 10, &[("queue_full", 3)]), 1);
        heard(&envelope(1, 25, &[("queue_full", 4)]), 2);
        heard(&envelope(1, 20, &[("queue_full", 3)]), 3); // overtaken
        heard(&envelope(2, 5, &[("queue_full", 1), ("no\nname", 2)]), 4);
        let text = metrics.text();
        for line in [
            "silhouette_shim_exchanges_captured_total{kind=\"nginx\"} 30",
            "silhouette_shim_exchanges_dropped_total{kind=\"nginx\",reason=\"queue_full\"} 5",
            "silhouette_shim_exchanges_dropped_total{kind=\"nginx\",reason=\"other\"} 2",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
        let list = shims.list();
        assert_eq!(list.len(), 2);
        assert_eq!((list[1].received, list[1].captured), (6, 25));
        assert_eq!(list[0].token, "edge");
    }

    #[test]
    fn who_is_there() {
        let (shims, metrics) = (Shims::default(), Metrics::default());
        shims.heard(
            &Heard::from(&envelope(1, 0, &[])),
            [127, 0, 0, 1].into(),
            None,
            1000,
            &metrics,
        );
        assert_eq!(shims.active(1000 + ACTIVE_MILLIS - 1), 1);
        assert_eq!(shims.active(1000 + ACTIVE_MILLIS), 0);
        shims.stream(&[1; 16], 1);
        assert_eq!(shims.active(u64::MAX / 2), 1);
        shims.stream(&[1; 16], -1);
        shims.stream(&[9; 16], 1); // forgotten meanwhile
        assert_eq!(shims.active(u64::MAX / 2), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let (shims, metrics) = (Shims::default(), Metrics::default());
        for n in 0..MAX_SHIMS as u32 + 5 {
            let mut one = envelope(0, 0, &[]);
            one.instance[..4].copy_from_slice(&n.to_le_bytes());
            shims.heard(
                &Heard::from(&one),
                [127, 0, 0, 1].into(),
                None,
                u64::from(n),
                &metrics,
            );
        }
        assert!(shims.list().len() <= MAX_SHIMS);
    }
}
