//! Why records are refused: every refusal counted, the last ones of each reason described.
//!
//! In: a [`Refusal`], how long the line was, where it came from. Out: counters, a log line per reason and minute, and samples for the
//! administrator, which have lengths, names of fields and of keys, and nothing else of what was sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use silhouette_serving::refusals::Refusals;

use super::keys::KeyId;

/// Samples kept of each reason.
const MAX_SAMPLES: usize = 5;

/// Why a record is not taken. Its text names what is wrong and what would be right; nothing of what was sent but a key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A line beyond the bound.
    #[error("a line of {0} bytes or more without an end; want at most 262144")]
    TooLong(usize),
    /// Not this format.
    #[error("{0}; want `SIL1 length key-id mac fields`")]
    NotARecord(&'static str),
    /// Cut, or two of them run together.
    #[error("the record says that its fields have {announced} bytes, and {there} follow")]
    Length {
        /// In the record.
        announced: usize,
        /// Up to the end of the line.
        there: usize,
    },
    /// No such key.
    #[error(
        "there is no key named `{0}`; `silhouette-collector hsl-key create --name {0}` creates one"
    )]
    UnknownKey(KeyId),
    /// A key that was revoked.
    #[error("the key `{0}` was revoked")]
    RevokedKey(KeyId),
    /// The signature is not the key's.
    #[error(
        "the signature is not that of the key `{0}`: the rule has another secret, or somebody else signed"
    )]
    Forged(KeyId),
    /// A field.
    #[error("the field `{field}` {what}")]
    Fields {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A head that is no HTTP.
    #[error("the {whose} head {what}")]
    Head {
        /// `request` or `response`.
        whose: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// From another day.
    #[error(
        "the exchange began {seconds} s {direction} this collector's clock; want at most a day: look at both clocks"
    )]
    Clock {
        /// How far away.
        seconds: u64,
        /// `before` or `after`.
        direction: &'static str,
    },
    /// Nothing more can be kept in memory, and UDP cannot wait.
    #[error("the ingest buffer is full and UDP cannot wait; TCP does")]
    Busy,
}

impl Refusal {
    /// Every reason there is.
    pub const REASONS: [&str; 10] = [
        "too_long",
        "not_a_record",
        "length",
        "unknown_key",
        "revoked_key",
        "forged",
        "fields",
        "head",
        "clock",
        "busy",
    ];

    /// What it is counted under.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::TooLong(_) => "too_long",
            Refusal::NotARecord(_) => "not_a_record",
            Refusal::Length { .. } => "length",
            Refusal::UnknownKey(_) => "unknown_key",
            Refusal::RevokedKey(_) => "revoked_key",
            Refusal::Forged(_) => "forged",
            Refusal::Fields { .. } => "fields",
            Refusal::Head { .. } => "head",
            Refusal::Clock { .. } => "clock",
            Refusal::Busy => "busy",
        }
    }
}

/// One refused record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Unix milliseconds.
    pub at: u64,
    /// `hsl`, `hsl_tls` or `hsl_udp`.
    pub listener: &'static str,
    /// Who sent it.
    pub from: String,
    /// Bytes of its line.
    pub line_bytes: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// Refusals of one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// See [`Refusal::REASONS`].
    pub reason: &'static str,
    /// Since the start.
    pub count: u64,
    /// The last ones, the latest first.
    pub samples: VecDeque<Sample>,
}

/// All of them.
#[derive(Debug)]
pub struct Refused {
    counts: Refusals,
    kinds: Mutex<[Kind; Refusal::REASONS.len()]>,
}

impl Refused {
    /// None yet; counted by `counts` too.
    pub fn new(counts: Refusals) -> Refused {
        let kinds = Refusal::REASONS.map(|reason| Kind {
            reason,
            ..Kind::default()
        });
        Refused {
            counts,
            kinds: Mutex::new(kinds),
        }
    }

    /// Counts one. `now` is in Unix milliseconds.
    pub fn count(
        &self,
        listener: &'static str,
        refusal: &Refusal,
        line_bytes: usize,
        peer: SocketAddr,
        now: u64,
    ) {
        let reason = refusal.reason();
        self.counts.count(listener, reason, peer, refusal);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kind) = kinds.iter_mut().find(|kind| kind.reason == reason) else {
            return;
        };
        kind.count += 1;
        kind.samples.truncate(MAX_SAMPLES - 1);
        kind.samples.push_front(Sample {
            at: now,
            listener,
            from: peer.to_string(),
            line_bytes,
            problem: refusal.to_string(),
        });
    }

    /// The reasons for which something was refused.
    pub fn list(&self) -> Vec<Kind> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds
            .iter()
            .filter(|kind| kind.count > 0)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::family::Family;

    #[test]
    fn every_one_is_counted_and_the_last_ones_are_described() {
        let counts = Family::default();
        let refused = Refused::new(Refusals::new(counts.clone()));
        let peer = ([10, 0, 0, 1], 5).into();
        for n in 0..20 {
            refused.count("hsl", &Refusal::TooLong(n), n, peer, n as u64);
        }
        let refusal = Refusal::Fields {
            field: "boot",
            what: "is empty",
        };
        refused.count("hsl_udp", &refusal, 9, peer, 99);
        let list = refused.list();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].reason, list[0].count), ("too_long", 20));
        let at: Vec<_> = list[0].samples.iter().map(|sample| sample.at).collect();
        assert_eq!(at, [19, 18, 17, 16, 15]);
        let sample = &list[1].samples[0];
        assert_eq!(sample.problem, "the field `boot` is empty");
        assert_eq!(
            (sample.from.as_str(), sample.listener),
            ("10.0.0.1:5", "hsl_udp")
        );
        let label = silhouette_serving::refusals::Refusal {
            listener: "hsl",
            reason: "too_long",
        };
        assert_eq!(counts.get_or_create(&label).get(), 20);
    }
}
