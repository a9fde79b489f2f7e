//! Sources, registration tokens, collectors, statuses and syncs, on both databases.

mod people;
mod stores;

use std::time::Duration;

use people::{at, door, organisation, user};
use serde_json::json;
use silhouette_catalog::access::Actor;
use silhouette_catalog::ids::{CollectorId, SourceId};
use silhouette_catalog::sources::{
    self, Beat, CredentialRefusal, Edit, Filter, Kind, New, NewCollector, Order, Registered,
    RegistrationRefusal, Status, SyncReport, SyncState,
};
use silhouette_catalog::store::{Direction, Page, Store};
use silhouette_catalog::{Millis, Refusal, audit};
use stores::on_each;

const OFFLINE: Duration = Duration::from_secs(300);
const LIFETIME: Duration = Duration::from_secs(48 * 3600);
const INSTANCE: &str = "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0b";
const OTHER: &str = "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0c";

fn new(name: &str, kind: Kind) -> New<'_> {
    New {
        name,
        kind,
        settings: json!(null),
        exclude_empty: true,
        auto_sync: true,
    }
}

fn collector<'a>(token: &'a str, instance: &'a str) -> NewCollector<'a> {
    NewCollector {
        token,
        instance,
        name: "edge-1",
        version: "0.1.0",
        address: "192.0.2.7",
        correlation: "c-1",
    }
}

async fn status(store: &Store, actor: &Actor, source: &SourceId, now: Millis) -> Status {
    sources::get(store, actor, source, (OFFLINE, now))
        .await
        .unwrap()
        .report
        .status
}

async fn beat(
    store: &Store,
    who: &Registered,
    sync: Option<(&str, SyncState, Option<&str>)>,
    now: Millis,
) -> sources::Heard {
    let beat = Beat {
        version: "0.1.1".into(),
        sent_at: Some(Millis(now.0 + 90_000)),
        sync: sync.map(|(id, state, error)| SyncReport {
            id: id.to_owned(),
            state,
            error: error.map(ToOwned::to_owned),
        }),
        ..Beat::default()
    };
    let rotate = Some(Duration::from_secs(30 * 86_400));
    sources::beat(store, who, beat, "192.0.2.8", (OFFLINE, rotate), now)
        .await
        .unwrap()
}

async fn enrol(
    store: &Store,
    actor: &Actor,
    source: &SourceId,
    instance: &str,
    now: Millis,
) -> (String, Registered) {
    let token = sources::make_token(store, actor, source, LIFETIME, now)
        .await
        .unwrap();
    let made = sources::register(store, collector(&token.secret, instance), now)
        .await
        .unwrap();
    let who = sources::authenticate(store, &made.credential, "192.0.2.7", now)
        .await
        .unwrap();
    (made.credential, who)
}

#[tokio::test]
async fn sources_are_set_up_edited_listed_and_deleted() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let here = organisation(store, &door, "Here", "here@example.com").await;
        let there = organisation(store, &door, "There", "there@example.com").await;
        let analyst = user(
            store,
            &door,
            &here,
            "analyst@example.com",
            "security-analyst",
        )
        .await;
        let make =
            async |actor: &Actor, new: New<'_>| sources::create(store, actor, new, at(0)).await;
        assert!(matches!(
            make(&analyst, new("x", Kind::Upload)).await,
            Err(Refusal::Forbidden { .. })
        ));
        assert!(matches!(
            make(&here, new(" ", Kind::Upload)).await,
            Err(Refusal::Invalid { field: "name", .. })
        ));
        for url in ["", "ftp://a/b", "https://me:pw@a/b", "/etc/passwd"] {
            let new = New {
                settings: json!({ "url": url }),
                ..new("u", Kind::Url)
            };
            assert!(
                matches!(
                    make(&here, new).await,
                    Err(Refusal::Invalid { field: "url", .. })
                ),
                "{url}"
            );
        }
        let edge = make(&here, new("Edge", Kind::TrafficAnalyzer))
            .await
            .unwrap();
        let files = make(&here, new("files", Kind::Upload)).await.unwrap();
        let settings = json!({ "url": "https://api.example.com/openapi.json" });
        make(
            &here,
            New {
                settings: settings.clone(),
                ..new("Docs", Kind::Url)
            },
        )
        .await
        .unwrap();
        assert!(matches!(
            make(&here, new("EDGE", Kind::Upload)).await,
            Err(Refusal::Conflict {
                code: "name-taken",
                ..
            })
        ));
        make(&there, new("Edge", Kind::Upload)).await.unwrap();

        let list = async |filter: Filter, order, direction| {
            let page = sources::list(
                store,
                &analyst,
                &filter,
                (order, direction),
                Page::default(),
                (OFFLINE, at(1)),
            )
            .await
            .unwrap();
            page.items
                .into_iter()
                .map(|source| source.name)
                .collect::<Vec<_>>()
        };
        let (up, down) = (Direction::Ascending, Direction::Descending);
        assert_eq!(
            list(Filter::default(), Order::Name, up).await,
            ["Docs", "Edge", "files"]
        );
        assert_eq!(
            list(Filter::default(), Order::Kind, down).await,
            ["Edge", "files", "Docs"]
        );
        assert_eq!(
            list(
                Filter {
                    text: Some("ED".into()),
                    ..Filter::default()
                },
                Order::Name,
                up
            )
            .await,
            ["Edge"]
        );
        assert_eq!(
            list(
                Filter {
                    kind: Some(Kind::Url),
                    ..Filter::default()
                },
                Order::Name,
                up
            )
            .await,
            ["Docs"]
        );
        assert_eq!(
            list(
                Filter {
                    status: Some(Status::AwaitingSetup),
                    ..Filter::default()
                },
                Order::Name,
                up
            )
            .await,
            ["Edge"]
        );

        let change = async |id: &SourceId, edit: Edit<'_>| {
            sources::edit(store, &here, id, edit, at(2)).await
        };
        change(
            &files,
            Edit {
                name: Some("Files"),
                exclude_empty: Some(false),
                ..Edit::default()
            },
        )
        .await
        .unwrap();
        change(
            &edge,
            Edit {
                auto_sync: Some(false),
                ..Edit::default()
            },
        )
        .await
        .unwrap();
        assert!(
            change(
                &edge,
                Edit {
                    name: Some("files"),
                    ..Edit::default()
                }
            )
            .await
            .is_err()
        );
        assert!(
            change(
                &files,
                Edit {
                    settings: Some(settings),
                    ..Edit::default()
                }
            )
            .await
            .is_err()
        );
        assert!(matches!(
            sources::edit(store, &there, &edge, Edit::default(), at(2)).await,
            Err(Refusal::NotFound { .. })
        ));
        let found = sources::get(store, &here, &files, (OFFLINE, at(3)))
            .await
            .unwrap();
        assert_eq!(
            (found.name.as_str(), found.exclude_empty, found.auto_sync),
            ("Files", false, true)
        );
        assert!(matches!(
            sources::sync(store, &here, &files, at(3)).await,
            Err(Refusal::Conflict {
                code: "nothing-to-sync",
                ..
            })
        ));
        assert!(matches!(
            sources::sync(store, &here, &edge, at(3)).await,
            Err(Refusal::Conflict {
                code: "no-collector",
                ..
            })
        ));

        assert!(matches!(
            sources::delete(store, &there, &edge, at(4)).await,
            Err(Refusal::NotFound { .. })
        ));
        enrol(store, &here, &edge, INSTANCE, at(4)).await;
        sources::delete(store, &here, &edge, at(4)).await.unwrap();
        assert_eq!(
            list(Filter::default(), Order::Name, up).await,
            ["Docs", "Files"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_lives_for_a_while_and_is_for_one_collector() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let here = organisation(store, &door, "Here", "here@example.com").await;
        let there = organisation(store, &door, "There", "there@example.com").await;
        let source = sources::create(store, &here, new("Edge", Kind::TrafficAnalyzer), at(0))
            .await
            .unwrap();
        assert!(matches!(
            sources::make_token(store, &there, &source, LIFETIME, at(0)).await,
            Err(Refusal::NotFound { .. })
        ));
        assert_eq!(
            status(store, &here, &source, at(0)).await,
            Status::AwaitingSetup
        );
        let token = sources::make_token(store, &here, &source, LIFETIME, at(0))
            .await
            .unwrap();
        assert!(token.secret.starts_with("slr_") && token.secret.len() == 47);
        assert_eq!(
            status(store, &here, &source, at(0)).await,
            Status::AwaitingSetup
        );
        let over = 48 * 3600;
        assert_eq!(
            status(store, &here, &source, at(over)).await,
            Status::TokenExpired
        );
        let register = async |token: &str, instance: &str, now| {
            sources::register(store, collector(token, instance), now).await
        };
        assert!(matches!(
            register(&token.secret, INSTANCE, at(over)).await,
            Err(RegistrationRefusal::Expired(_))
        ));
        assert!(matches!(
            register("slr_x", INSTANCE, at(1)).await,
            Err(RegistrationRefusal::Unknown)
        ));
        assert!(matches!(
            register(&token.secret, "edge", at(1)).await,
            Err(RegistrationRefusal::Refused(_))
        ));

        let first = register(&token.secret, INSTANCE, at(1)).await.unwrap();
        assert!(first.credential.starts_with("slc_") && first.source_name == "Edge");
        assert!(matches!(
            register(&token.secret, OTHER, at(2)).await,
            Err(RegistrationRefusal::Used)
        ));
        // The answer was lost: the same one asks again, and what it did not get is dead.
        let again = register(&token.secret, INSTANCE, at(3)).await.unwrap();
        assert_eq!(again.collector, first.collector);
        let come = async |credential: &str, now| {
            sources::authenticate(store, credential, "203.0.113.9", now).await
        };
        assert!(matches!(
            come(&first.credential, at(4)).await,
            Err(CredentialRefusal::Revoked)
        ));
        assert!(come(&again.credential, at(4)).await.is_ok());
        assert!(matches!(
            come("slc_x", at(4)).await,
            Err(CredentialRefusal::Unknown)
        ));
        assert_eq!(
            status(store, &here, &source, at(5)).await,
            Status::AwaitingSetup,
            "no heartbeat yet"
        );

        let spare = sources::make_token(store, &here, &source, LIFETIME, at(6))
            .await
            .unwrap();
        let listed = sources::tokens(store, &here, &source).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((listed[0].used_at, listed[1].used_at), (None, Some(at(1))));
        sources::revoke_token(store, &here, &source, &spare.id, at(7))
            .await
            .unwrap();
        assert!(matches!(
            register(&spare.secret, OTHER, at(8)).await,
            Err(RegistrationRefusal::Unknown)
        ));
        assert!(
            sources::revoke_token(store, &here, &source, &spare.id, at(8))
                .await
                .is_err()
        );
        let hashes: Vec<String> = sqlx::query_scalar("SELECT hash FROM registration_tokens")
            .fetch_all(store.pool())
            .await
            .unwrap();
        assert!(!hashes.contains(&token.secret));
    })
    .await;
}

#[tokio::test]
async fn a_source_goes_through_its_statuses() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let here = organisation(store, &door, "Here", "here@example.com").await;
        let source = sources::create(store, &here, new("Edge", Kind::TrafficAnalyzer), at(0))
            .await
            .unwrap();
        let (_, who) = enrol(store, &here, &source, INSTANCE, at(0)).await;
        let heard = beat(store, &who, None, at(10)).await;
        assert_eq!(
            heard,
            sources::Heard {
                auto_sync: true,
                sync: None,
                rotate: false
            }
        );
        assert_eq!(
            status(store, &here, &source, at(11)).await,
            Status::AwaitingSync
        );
        assert_eq!(
            status(store, &here, &source, at(310)).await,
            Status::Offline
        );
        // Its clock is ahead by a minute and a half: shown, and nothing else.
        let listed = sources::collectors(store, &here, &source, OFFLINE, at(11))
            .await
            .unwrap();
        assert_eq!(
            (
                listed[0].skew_millis,
                listed[0].version.as_str(),
                listed[0].address.as_str()
            ),
            (Some(90_000), "0.1.1", "192.0.2.8")
        );

        let sync = sources::sync(store, &here, &source, at(400)).await.unwrap();
        assert_eq!(
            sources::sync(store, &here, &source, at(401)).await.unwrap(),
            sync,
            "one at a time"
        );
        assert_eq!(
            status(store, &here, &source, at(402)).await,
            Status::Offline
        );
        let id = sync.as_str();
        assert_eq!(
            beat(store, &who, None, at(403)).await.sync.as_ref(),
            Some(&sync)
        );
        assert_eq!(
            beat(store, &who, Some((id, SyncState::Running, None)), at(404))
                .await
                .sync
                .as_ref(),
            Some(&sync)
        );
        assert_eq!(
            status(store, &here, &source, at(405)).await,
            Status::SyncInProgress
        );
        let heard = beat(
            store,
            &who,
            Some((id, SyncState::Failed, Some("422: no document"))),
            at(406),
        )
        .await;
        assert_eq!(heard.sync, None);
        let found = sources::get(store, &here, &source, (OFFLINE, at(407)))
            .await
            .unwrap();
        assert_eq!(
            (found.report.status, found.report.at),
            (Status::SyncFailed, Some(at(406)))
        );
        assert!(
            found.report.reason.contains("422: no document"),
            "{}",
            found.report.reason
        );
        // An old report, once more, changes nothing.
        beat(store, &who, Some((id, SyncState::Running, None)), at(408)).await;
        assert_eq!(
            status(store, &here, &source, at(408)).await,
            Status::SyncFailed
        );

        // Two collectors: it is over when both are done, or one is and the other fell silent.
        let (_, two) = enrol(store, &here, &source, OTHER, at(500)).await;
        beat(store, &who, None, at(500)).await;
        beat(store, &two, None, at(500)).await;
        let sync = sources::sync(store, &here, &source, at(501)).await.unwrap();
        beat(
            store,
            &who,
            Some((sync.as_str(), SyncState::Completed, None)),
            at(502),
        )
        .await;
        assert_eq!(
            status(store, &here, &source, at(503)).await,
            Status::SyncInProgress
        );
        beat(
            store,
            &two,
            Some((sync.as_str(), SyncState::Completed, None)),
            at(504),
        )
        .await;
        assert_eq!(
            status(store, &here, &source, at(505)).await,
            Status::AwaitingSync,
            "nothing was sent"
        );
        let sync = sources::sync(store, &here, &source, at(505)).await.unwrap();
        beat(
            store,
            &who,
            Some((sync.as_str(), SyncState::Completed, None)),
            at(810),
        )
        .await;
        let found = sources::get(store, &here, &source, (OFFLINE, at(811)))
            .await
            .unwrap();
        assert_eq!(found.report.status, Status::SyncFailed);
        assert!(
            found.report.reason.contains("it is offline"),
            "{}",
            found.report.reason
        );

        // What is due begins by itself, once.
        let day = Duration::from_secs(86_400);
        assert_eq!(sources::request_due(store, day, at(811)).await.unwrap(), 0);
        let later = at(810 + 86_400);
        assert_eq!(sources::request_due(store, day, later).await.unwrap(), 1);
        assert_eq!(sources::request_due(store, day, later).await.unwrap(), 0);
        sources::edit(
            store,
            &here,
            &source,
            Edit {
                auto_sync: Some(false),
                ..Edit::default()
            },
            later,
        )
        .await
        .unwrap();
        assert!(!beat(store, &who, None, later).await.auto_sync);
    })
    .await;
}

#[tokio::test]
async fn a_credential_is_replaced_when_the_new_one_is_used() {
    on_each(async |store| {
        let store = &store;
        let door = door();
        let here = organisation(store, &door, "Here", "here@example.com").await;
        let there = organisation(store, &door, "There", "there@example.com").await;
        let source = sources::create(store, &here, new("Edge", Kind::TrafficAnalyzer), at(0))
            .await
            .unwrap();
        let (old, who) = enrol(store, &here, &source, INSTANCE, at(0)).await;
        let come = async |credential: &str, now| {
            sources::authenticate(store, credential, "203.0.113.9", now).await
        };
        let month = 30 * 86_400;
        assert!(beat(store, &who, None, at(month)).await.rotate);
        let lost = sources::rotate_credential(store, &who, "", at(month))
            .await
            .unwrap();
        let next = sources::rotate_credential(store, &who, "", at(month))
            .await
            .unwrap();
        assert!(matches!(
            come(&lost, at(month)).await,
            Err(CredentialRefusal::Unknown)
        ));
        assert!(
            come(&old, at(month)).await.is_ok(),
            "both live until the new one is used"
        );
        assert!(come(&next, at(month + 1)).await.is_ok());
        assert!(!beat(store, &who, None, at(month + 2)).await.rotate);
        for n in 0..3 {
            assert!(matches!(
                come(&old, at(month + 3 + n)).await,
                Err(CredentialRefusal::Revoked)
            ));
        }
        let filter = audit::Filter {
            action: Some("collector.dead-credential".into()),
            ..audit::Filter::default()
        };
        let misuse = audit::list(store, &here, &filter, Page::default())
            .await
            .unwrap();
        assert_eq!(
            (misuse.total, misuse.items[0].address.as_str()),
            (1, "203.0.113.9"),
            "once a minute"
        );

        let stranger = CollectorId::make(at(0));
        for (actor, id) in [(&there, &who.id), (&here, &stranger)] {
            let refused =
                sources::revoke_collector(store, actor, &source, id, OFFLINE, at(month)).await;
            assert!(matches!(refused, Err(Refusal::NotFound { .. })));
        }
        sources::sync(store, &here, &source, at(month))
            .await
            .unwrap();
        sources::revoke_collector(store, &here, &source, &who.id, OFFLINE, at(month + 10))
            .await
            .unwrap();
        assert!(matches!(
            come(&next, at(month + 11)).await,
            Err(CredentialRefusal::Revoked)
        ));
        assert_ne!(
            status(store, &here, &source, at(month + 11)).await,
            Status::SyncInProgress
        );

        // It may come back with a token, and take its leave.
        let (again, who) = enrol(store, &here, &source, INSTANCE, at(month + 20)).await;
        beat(store, &who, None, at(month + 21)).await;
        assert_eq!(
            status(store, &here, &source, at(month + 22)).await,
            Status::AwaitingSync
        );
        sources::unregister(store, &who, "", OFFLINE, at(month + 23))
            .await
            .unwrap();
        assert!(matches!(
            come(&again, at(month + 24)).await,
            Err(CredentialRefusal::Revoked)
        ));
        assert_eq!(
            status(store, &here, &source, at(month + 24)).await,
            Status::AwaitingSetup
        );
    })
    .await;
}
