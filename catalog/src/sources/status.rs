//! What is going on with a source, and why.
//!
//! In: what is known of a source, as [`SourceFacts`], and the time. Out: one [`Status`] with a sentence and a time. Pure: the same
//! facts at the same time give the same status.

use std::time::Duration;

use super::Kind;
use crate::Millis;

/// The status of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// No collector has registered and reported yet.
    AwaitingSetup,
    /// It is registered and alive, and there is no document yet.
    AwaitingSync,
    /// A sync was asked for and is not over.
    SyncInProgress,
    /// What there was to take is here.
    SyncCompleted,
    /// The last sync did not go well.
    SyncFailed,
    /// The registration token was not used in time.
    TokenExpired,
    /// No collector of it has reported for some time.
    Offline,
}

impl Status {
    /// All, in the order they sort by: what needs somebody first.
    pub const ALL: [Status; 7] = [
        Status::SyncFailed,
        Status::Offline,
        Status::TokenExpired,
        Status::AwaitingSetup,
        Status::AwaitingSync,
        Status::SyncInProgress,
        Status::SyncCompleted,
    ];

    /// As the REST API writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::AwaitingSetup => "awaiting-setup",
            Status::AwaitingSync => "awaiting-sync",
            Status::SyncInProgress => "sync-in-progress",
            Status::SyncCompleted => "sync-completed",
            Status::SyncFailed => "sync-failed",
            Status::TokenExpired => "token-expired",
            Status::Offline => "offline",
        }
    }

    /// As people read it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Status::AwaitingSetup => "Awaiting setup",
            Status::AwaitingSync => "Awaiting for sync",
            Status::SyncInProgress => "Sync in progress",
            Status::SyncCompleted => "Sync completed",
            Status::SyncFailed => "Sync failed",
            Status::TokenExpired => "Token expired",
            Status::Offline => "Offline",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Its place in [`Status::ALL`].
    pub(super) fn urgency(self) -> usize {
        Status::ALL
            .iter()
            .position(|other| *other == self)
            .unwrap_or(usize::MAX)
    }
}

/// What is known of a collector that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorFacts {
    /// What it calls itself.
    pub name: String,
    /// Its last heartbeat, by the catalog's clock.
    pub heartbeat_at: Option<Millis>,
    /// What it last said went wrong.
    pub last_error: Option<String>,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// Which kind.
    pub kind: Kind,
    /// Collectors that are registered.
    pub collectors: Vec<CollectorFacts>,
    /// When the last of its unused tokens expires or expired.
    pub token_expires_at: Option<Millis>,
    /// When the sync was asked for that is not over.
    pub sync_requested_at: Option<Millis>,
    /// When a sync was last over, well or not.
    pub synced_at: Option<Millis>,
    /// Why that did not go well.
    pub sync_error: Option<String>,
    /// When something of it was last taken in.
    pub received_at: Option<Millis>,
}

/// A status, why, and since when or until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The status.
    pub status: Status,
    /// A sentence for people.
    pub reason: String,
    /// The time that belongs to it: of the last sync, of the last heartbeat, of the expiry.
    pub at: Option<Millis>,
}

/// The status of a source. `offline_after`: silence after which a collector counts as offline.
#[must_use]
pub fn status(facts: &SourceFacts, offline_after: Duration, now: Millis) -> Report {
    let report = |status, reason: String, at| Report { status, reason, at };
    if facts.kind == Kind::TrafficAnalyzer
        && let Some(found) = of_collectors(facts, offline_after, now)
    {
        return found;
    }
    if let Some(at) = facts.sync_requested_at {
        return report(
            Status::SyncInProgress,
            "A sync was asked for and is not over yet.".into(),
            Some(at),
        );
    }
    if let Some(error) = &facts.sync_error {
        return report(Status::SyncFailed, error.clone(), facts.synced_at);
    }
    let Some(received) = facts.received_at else {
        let reason = match facts.kind {
            Kind::TrafficAnalyzer => {
                "Its collector is alive; no document has come yet. A host is sent once enough of its operations were seen."
            }
            Kind::Upload => "Nothing was uploaded to it yet.",
            Kind::Url => "Nothing was fetched yet.",
        };
        return report(Status::AwaitingSync, reason.into(), facts.synced_at);
    };
    let at = facts
        .synced_at
        .map_or(received, |synced| synced.max(received));
    let reason = trouble(facts).unwrap_or_else(|| match facts.kind {
        Kind::TrafficAnalyzer => "Everything its collectors found is here.".into(),
        Kind::Upload => "What was uploaded is here.".into(),
        Kind::Url => "What was fetched is here.".into(),
    });
    report(Status::SyncCompleted, reason, Some(at))
}

/// What collectors make of it; `None` when at least one is alive.
fn of_collectors(facts: &SourceFacts, offline_after: Duration, now: Millis) -> Option<Report> {
    let report = |status, reason: String, at| Some(Report { status, reason, at });
    if facts.collectors.is_empty() {
        return match facts.token_expires_at {
            Some(at) if at <= now => report(
                Status::TokenExpired,
                "The registration token was not used in time. Make a new one and register the collector with it.".into(),
                Some(at),
            ),
            Some(at) => report(
                Status::AwaitingSetup,
                "No collector has registered with the token yet.".into(),
                Some(at),
            ),
            None => report(
                Status::AwaitingSetup,
                "No collector is registered. Make a registration token and register one with it.".into(),
                None,
            ),
        };
    }
    let Some(last) = facts
        .collectors
        .iter()
        .filter_map(|collector| collector.heartbeat_at)
        .max()
    else {
        return report(
            Status::AwaitingSetup,
            "A collector has registered and sent no heartbeat yet. Is it running?".into(),
            None,
        );
    };
    if now.since(last) < offline_after {
        return None;
    }
    let names: Vec<&str> = facts
        .collectors
        .iter()
        .map(|collector| collector.name.as_str())
        .take(5)
        .collect();
    let told = facts
        .collectors
        .iter()
        .find_map(|collector| collector.last_error.as_deref())
        .map(|error| format!(" The last it said: {error}"))
        .unwrap_or_default();
    report(
        Status::Offline,
        format!(
            "No heartbeat of {} since {}.{told}",
            names.join(", "),
            last.rfc3339()
        ),
        Some(last),
    )
}

/// What collectors that are alive say is wrong although the last sync went well.
fn trouble(facts: &SourceFacts) -> Option<String> {
    facts.collectors.iter().find_map(|collector| {
        let error = collector.last_error.as_deref()?;
        Some(format!("{} says: {error}", collector.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFLINE: Duration = Duration::from_secs(300);
    const NOW: Millis = Millis(10_000_000);

    fn ago(seconds: i64) -> Option<Millis> {
        Some(Millis(NOW.0 - seconds * 1000))
    }

    fn collector(heartbeat_at: Option<Millis>) -> CollectorFacts {
        CollectorFacts {
            name: "edge-1".into(),
            heartbeat_at,
            last_error: None,
        }
    }

    fn facts(collectors: Vec<CollectorFacts>) -> SourceFacts {
        SourceFacts {
            kind: Kind::TrafficAnalyzer,
            collectors,
            token_expires_at: None,
            sync_requested_at: None,
            synced_at: None,
            sync_error: None,
            received_at: None,
        }
    }

    fn check(facts: SourceFacts, expected: Status, at: Option<Millis>, word: &str) {
        let found = status(&facts, OFFLINE, NOW);
        assert_eq!((found.status, found.at), (expected, at), "{facts:?}");
        assert!(found.reason.contains(word), "{}", found.reason);
    }

    #[test]
    fn each_status_comes_when_it_should() {
        let alive = || facts(vec![collector(ago(30))]);
        check(
            facts(vec![]),
            Status::AwaitingSetup,
            None,
            "Make a registration token",
        );
        check(
            SourceFacts {
                token_expires_at: ago(-60),
                ..facts(vec![])
            },
            Status::AwaitingSetup,
            ago(-60),
            "No collector has registered",
        );
        check(
            SourceFacts {
                token_expires_at: ago(0),
                ..facts(vec![])
            },
            Status::TokenExpired,
            ago(0),
            "not used in time",
        );
        check(
            facts(vec![collector(None)]),
            Status::AwaitingSetup,
            None,
            "no heartbeat yet",
        );
        // Once registered, a token's expiry means nothing any more.
        check(
            SourceFacts {
                token_expires_at: ago(60),
                ..alive()
            },
            Status::AwaitingSync,
            None,
            "no document",
        );
        check(
            SourceFacts {
                received_at: ago(900),
                ..facts(vec![collector(ago(300)), collector(ago(400))])
            },
            Status::Offline,
            ago(300),
            "No heartbeat of edge-1, edge-1 since",
        );
        check(
            facts(vec![collector(ago(299)), collector(ago(4000))]),
            Status::AwaitingSync,
            None,
            "alive",
        );
        check(
            SourceFacts {
                sync_requested_at: ago(5),
                sync_error: Some("before".into()),
                ..alive()
            },
            Status::SyncInProgress,
            ago(5),
            "asked for",
        );
        check(
            SourceFacts {
                sync_error: Some("disk full".into()),
                synced_at: ago(7),
                received_at: ago(900),
                ..alive()
            },
            Status::SyncFailed,
            ago(7),
            "disk full",
        );
        check(
            SourceFacts {
                synced_at: ago(7),
                received_at: ago(900),
                ..alive()
            },
            Status::SyncCompleted,
            ago(7),
            "is here",
        );
        check(
            SourceFacts {
                received_at: ago(900),
                ..alive()
            },
            Status::SyncCompleted,
            ago(900),
            "is here",
        );
        let mut troubled = alive();
        troubled.collectors[0].last_error = Some("one revision refused".into());
        troubled.received_at = ago(900);
        check(
            troubled,
            Status::SyncCompleted,
            ago(900),
            "edge-1 says: one revision refused",
        );
    }

    #[test]
    fn uploads_know_no_collectors() {
        let upload = || SourceFacts {
            kind: Kind::Upload,
            ..facts(vec![])
        };
        check(upload(), Status::AwaitingSync, None, "Nothing was uploaded");
        check(
            SourceFacts {
                received_at: ago(3),
                ..upload()
            },
            Status::SyncCompleted,
            ago(3),
            "uploaded is here",
        );
        let url = SourceFacts {
            kind: Kind::Url,
            sync_error: Some("404".into()),
            synced_at: ago(2),
            ..facts(vec![])
        };
        check(url, Status::SyncFailed, ago(2), "404");
    }
}
