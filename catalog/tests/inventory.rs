//! From traffic to the catalog, on both databases.

mod documents;
mod people;
mod stores;

use documents::{Collector, document, observed};
use people::{at, door, organisation, user};
use serde_json::{Value, json};
use silhouette_catalog::Refusal;
use silhouette_catalog::ids::{ApiId, RevisionId, TargetId};
use silhouette_catalog::inventory::{self as inventory, *};
use silhouette_catalog::store::{Direction, Page, Store};
use stores::on_each;

const BOOKS: [&str; 3] = ["GET /books", "POST /books", "GET /books/{isbn}"];

async fn ids(
    store: &Store,
    actor: &silhouette_catalog::access::Actor,
    filter: ApiFilter,
) -> Vec<ApiId> {
    let page = apis(
        store,
        actor,
        &filter,
        ApiSort::Name,
        Direction::Ascending,
        Page::default(),
    );
    page.await
        .unwrap()
        .items
        .into_iter()
        .map(|api| api.id)
        .collect()
}

#[tokio::test]
async fn an_api_goes_from_discovery_to_the_catalog_and_back() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let books = observed("https://books.example.com/v1", &BOOKS, 5);
        let api = collector
            .push_new(&store, "books.example.com", 1, &books, at(1))
            .await;

        let discovery = ApiFilter {
            linked: Some(false),
            hidden: Some(false),
            ..ApiFilter::default()
        };
        let catalog = ApiFilter {
            linked: Some(true),
            ..ApiFilter::default()
        };
        assert_eq!(
            ids(&store, &acme, discovery.clone()).await,
            std::slice::from_ref(&api)
        );
        let found = inventory::api(&store, &acme, &api).await.unwrap();
        assert_eq!(found.base_url.to_string(), "https://books.example.com/v1");
        assert_eq!(
            (found.operations, found.observed, found.documented),
            (3, 3, 0)
        );
        assert_eq!(
            (found.first_discovered_at, found.updated_at),
            (at(1), at(1))
        );
        assert_eq!(found.sources[0].name, "edge");

        // By segments: /v10 is not under /v1.
        let wrong = create_target(&store, &acme, "", "https://books.example.com/v", at(2))
            .await
            .unwrap();
        let error = link(&store, &acme, std::slice::from_ref(&api), &wrong.id, at(2))
            .await
            .unwrap_err();
        let Refusal::Conflict {
            code: "not-under-target",
            message,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert!(
            message.contains("https://books.example.com/v1")
                && message.contains("https://books.example.com/v:"),
            "{message}"
        );

        // Of several, each that does not fit is named, and none is linked.
        let fits = create_target(&store, &acme, "", "https://books.example.com/v1", at(2))
            .await
            .unwrap();
        let elsewhere = [
            "http://books.example.com:8080/v1",
            "https://music.example.com",
        ];
        let mut chosen = vec![api.clone()];
        for (sequence, base) in elsewhere.iter().enumerate() {
            let host = format!("elsewhere{sequence}.example.com");
            let other = document(base, &["GET /a", "GET /b", "GET /c"]);
            chosen.push(collector.push_new(&store, &host, 1, &other, at(2)).await);
        }
        let refused = link(&store, &acme, &chosen, &fits.id, at(2)).await;
        let Err(Refusal::Conflict { each, message, .. }) = &refused else {
            panic!("{refused:?}")
        };
        let fields: Vec<&str> = each.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["apiIds[1]", "apiIds[2]"]);
        assert!(
            each[0].1.contains("another scheme") && each[1].1.contains("another host"),
            "{each:?}"
        );
        assert!(
            elsewhere.iter().all(|base| message.contains(base)),
            "{message}"
        );
        assert!(ids(&store, &acme, catalog.clone()).await.is_empty());
        for other in &chosen[1..] {
            delete_api(&store, &acme, other, at(2)).await.unwrap();
        }
        delete_target(&store, &acme, &fits.id, false, at(2))
            .await
            .unwrap();

        let made = create_targets(&store, &acme, std::slice::from_ref(&api), at(3))
            .await
            .unwrap();
        assert_eq!(
            made[0].url,
            propose_target(&store, &acme, &api).await.unwrap()
        );
        assert_eq!(
            ids(&store, &acme, catalog.clone()).await,
            std::slice::from_ref(&api)
        );
        assert!(ids(&store, &acme, discovery.clone()).await.is_empty());
        let linked = inventory::api(&store, &acme, &api).await.unwrap();
        assert_eq!(linked.target.unwrap().id, made[0].id);
        assert_eq!(linked.linked_at, Some(at(3)));

        // A target with APIs is changed only so that it still covers them, and deleted only when that is said.
        let edit = |url: &'static str| edit_target(&store, &acme, &made[0].id, "Books", url, at(4));
        assert!(matches!(
            edit("https://books.example.com/v2").await,
            Err(Refusal::Conflict {
                code: "not-under-target",
                ..
            })
        ));
        assert!(matches!(
            edit("https://books.example.com/v").await,
            Err(Refusal::Conflict {
                code: "url-taken",
                ..
            })
        ));
        assert_eq!(
            edit("https://books.example.com").await.unwrap().name,
            "Books"
        );
        let delete = |unlink| delete_target(&store, &acme, &made[0].id, unlink, at(5));
        assert!(matches!(
            delete(false).await,
            Err(Refusal::Conflict {
                code: "target-linked",
                ..
            })
        ));
        delete(true).await.unwrap();
        assert_eq!(
            ids(&store, &acme, discovery.clone()).await,
            std::slice::from_ref(&api)
        );

        set_hidden(&store, &acme, std::slice::from_ref(&api), true, at(6))
            .await
            .unwrap();
        assert!(ids(&store, &acme, discovery.clone()).await.is_empty());
        set_hidden(&store, &acme, std::slice::from_ref(&api), false, at(7))
            .await
            .unwrap();
        rename_api(&store, &acme, &api, "  The   bookshop ", at(8))
            .await
            .unwrap();
        assert_eq!(
            inventory::api(&store, &acme, &api).await.unwrap().name,
            "The bookshop"
        );
        delete_api(&store, &acme, &api, at(9)).await.unwrap();
        assert!(ids(&store, &acme, ApiFilter::default()).await.is_empty());
        // The collector still sees it: it comes back.
        let again = collector
            .push_new(&store, "books.example.com", 2, &books, at(10))
            .await;
        assert_ne!(again, api);
    })
    .await;
}

#[tokio::test]
async fn revisions_come_once_whatever_the_network_does() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let a = observed("https://h.example", &BOOKS, 5);
        let b = observed("https://h.example", &BOOKS[..2], 5);
        let api = collector.push_new(&store, "h.example", 1, &a, at(1)).await;
        let push = async |sequence, document, time| {
            collector
                .push(&store, "h.example", sequence, document, at(time))
                .await
                .unwrap()
        };
        // Delivered twice, with more calls by now, and as the same again under a new number.
        assert!(matches!(push(1, &a, 2).await, Accepted::Same { .. }));
        let more = observed("https://h.example", &BOOKS, 9);
        assert!(matches!(push(2, &more, 3).await, Accepted::Same { .. }));
        let every = OperationFilter::default();
        let list = async || {
            let page = operations(
                &store,
                &acme,
                &api,
                &every,
                OperationSort::Path,
                Direction::Ascending,
                Page::default(),
            );
            page.await.unwrap().items
        };
        // Calls come with reports of what was seen.
        assert_eq!(list().await[0].calls, Some(5));
        // A, B, A: three revisions, two texts.
        assert!(matches!(push(3, &b, 4).await, Accepted::Created { .. }));
        assert_eq!(list().await.len(), 2);
        assert!(matches!(push(4, &a, 5).await, Accepted::Created { .. }));
        assert_eq!(list().await.len(), 3);
        let all = revisions(
            &store,
            &acme,
            &RevisionsOf::Api(api.clone()),
            Page::default(),
        )
        .await
        .unwrap();
        assert_eq!(
            all.items.iter().map(|r| r.number).collect::<Vec<_>>(),
            [3, 2, 1]
        );
        assert_eq!(all.items[0].hash, all.items[2].hash);
        let texts: i64 = sqlx::Row::get(
            &sqlx::query("SELECT COUNT(*) FROM documents")
                .fetch_one(store.pool())
                .await
                .unwrap(),
            0,
        );
        assert_eq!(texts, 2);
        // Numbers below the latest, and used for something else.
        assert_eq!(push(2, &b, 6).await, Accepted::Conflict { latest: 4 });
        assert_eq!(push(4, &b, 6).await, Accepted::Conflict { latest: 4 });
        assert!(matches!(push(3, &b, 6).await, Accepted::Same { .. }));
        let found = inventory::api(&store, &acme, &api).await.unwrap();
        assert_eq!((found.operations, found.updated_at), (3, at(5)));

        let compared = compare_revisions(&store, &acme, &all.items[2].id, &all.items[1].id)
            .await
            .unwrap();
        assert_eq!(compared.changes[0].rule, "operation-removed");
        assert_eq!(compared.changes[0].operations, ["GET /books/{isbn}"]);
        let text = compare_texts(&store, &acme, &all.items[2].id, &all.items[1].id)
            .await
            .unwrap();
        assert!(text.contains("\n-  \"/books/{isbn}\":"), "{text}");
        let yaml = document_of(&store, &acme, &all.items[0].id, Format::Yaml)
            .await
            .unwrap();
        assert!(
            String::from_utf8(yaml)
                .unwrap()
                .starts_with("openapi: \"3.1.0\"\n")
        );
        let original = document_of(&store, &acme, &all.items[0].id, Format::Original)
            .await
            .unwrap();
        assert_eq!(original, a.to_string().into_bytes());
    })
    .await;
}

#[tokio::test]
async fn operations_are_what_the_latest_revision_says_of_them() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let first = observed("https://h.example", &BOOKS, 5);
        let api = collector
            .push_new(&store, "h.example", 1, &first, at(1))
            .await;
        let every = OperationFilter::default();
        let list = async || {
            let page = operations(
                &store,
                &acme,
                &api,
                &every,
                OperationSort::Path,
                Direction::Ascending,
                Page::default(),
            );
            page.await.unwrap().items
        };
        let before = list().await;
        let push = async |sequence, document: &Value| {
            let pushed = collector.push(&store, "h.example", sequence, document, at(9));
            assert!(matches!(pushed.await.unwrap(), Accepted::Created { .. }));
        };
        // Another contract that says the same of the operations.
        let mut other = first.clone();
        other["components"] = json!({ "schemas": { "Book": { "type": "object" } } });
        push(2, &other).await;
        assert_eq!(list().await, before);
        let mut named = other.clone();
        named["paths"]["/books"]["get"]["summary"] = json!("All books");
        push(3, &named).await;
        let summaries = async || {
            let all = list().await.into_iter();
            all.map(|operation| operation.summary).collect::<Vec<_>>()
        };
        assert_eq!(summaries().await.concat(), "All books");
        push(4, &observed("https://h.example", &BOOKS[..2], 5)).await;
        assert_eq!(list().await.len(), 2);
        push(5, &other).await;
        assert_eq!(summaries().await, ["", "", ""]);
    })
    .await;
}

#[tokio::test]
async fn what_is_seen_replaces_what_was_seen() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let seen = |calls| Seen {
            exchanges: 20 + calls,
            first: Some(at(1)),
            last: Some(at(9)),
            operations: vec![SeenOperation {
                method: "get".into(),
                path: "/books".into(),
                calls,
                first: Some(at(1)),
                last: Some(at(8)),
            }],
            callers: vec![
                SeenCaller {
                    kind: CallerKind::Shim,
                    name: "nginx-1".into(),
                    calls,
                    last: Some(at(8)),
                },
                SeenCaller {
                    kind: CallerKind::Client,
                    name: "curl/8\0".into(),
                    calls: 3,
                    last: None,
                },
            ],
        };
        let report = |host: &'static str, calls| {
            report_seen(
                &store,
                &acme.organisation,
                &collector.source,
                &collector.id,
                host,
                seen(calls),
            )
        };
        assert!(matches!(
            report("h.example", 1).await,
            Err(Refusal::NotFound { what: "host", .. })
        ));
        let api = collector
            .push_new(
                &store,
                "h.example",
                1,
                &document("https://h.example", &BOOKS),
                at(1),
            )
            .await;
        report("h.example", 1).await.unwrap();
        report("H.example", 7).await.unwrap();
        let called = OperationFilter {
            text: Some("BOOKS".into()),
            method: Some("get".into()),
            ..OperationFilter::default()
        };
        let list = operations(
            &store,
            &acme,
            &api,
            &called,
            OperationSort::Calls,
            Direction::Descending,
            Page::default(),
        );
        let list = list.await.unwrap().items;
        assert_eq!(
            (list[0].calls, list[0].seen_last_at),
            (Some(7), Some(at(8)))
        );
        assert_eq!(list[1].calls, None);
        let who = callers(&store, &acme, &api, None, Page::default())
            .await
            .unwrap()
            .items;
        assert_eq!(
            (who[0].name.as_str(), who[0].calls, who[1].name.as_str()),
            ("nginx-1", 7, "curl/8")
        );
        assert_eq!(who.len(), 2);
        assert_eq!(
            definitions(&store, &acme, &api).await.unwrap()[0].exchanges,
            Some(27)
        );
    })
    .await;
}

#[tokio::test]
async fn an_api_stands_where_all_its_operations_are() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let below = document("https://h.example/api/v1", &["GET /a"]);
        let api = collector
            .push_new(&store, "h.example", 1, &below, at(1))
            .await;
        let base = async || {
            let api = inventory::api(&store, &acme, &api).await.unwrap();
            (api.base_url.to_string(), api.name)
        };
        let shown = |url: &str| {
            (
                url.to_owned(),
                url.trim_start_matches("https://").to_owned(),
            )
        };
        assert_eq!(base().await, shown("https://h.example/api/v1"));
        let above = document("https://h.example/api", &["GET /v1/a", "GET /v2/a"]);
        assert_eq!(
            collector
                .push_new(&store, "h.example", 2, &above, at(2))
                .await,
            api
        );
        assert_eq!(base().await, shown("https://h.example/api"));
        // Never out of the target that people linked it to.
        create_targets(&store, &acme, std::slice::from_ref(&api), at(3))
            .await
            .unwrap();
        let root = document("https://h.example", &["GET /api/v1/a", "GET /health"]);
        collector
            .push_new(&store, "h.example", 3, &root, at(4))
            .await;
        assert_eq!(base().await, shown("https://h.example/api"));
        // Another port is another API.
        let other = document("https://h.example:8443/api", &["GET /v1/a"]);
        assert_ne!(
            collector
                .push_new(&store, "h.example:8443", 1, &other, at(5))
                .await,
            api
        );
    })
    .await;
}

#[tokio::test]
async fn the_overview_counts() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        const DAY: i64 = 86_400;
        collector
            .push_new(
                &store,
                "a.example",
                1,
                &document("https://a.example", &BOOKS[..1]),
                at(0),
            )
            .await;
        let b = collector
            .push_new(
                &store,
                "b.example",
                1,
                &document("https://b.example", &BOOKS),
                at(DAY),
            )
            .await;
        collector
            .push_new(
                &store,
                "a.example",
                2,
                &document("https://a.example", &BOOKS),
                at(2 * DAY),
            )
            .await;
        create_targets(&store, &acme, &[b], at(2 * DAY))
            .await
            .unwrap();
        let numbers = overview(&store, &acme).await.unwrap();
        assert_eq!(
            (
                numbers.discovery,
                numbers.catalog,
                numbers.hidden,
                numbers.targets,
                numbers.sources
            ),
            (1, 1, 0, 1, 1)
        );
        assert_eq!(
            (numbers.operations, numbers.observed, numbers.documented),
            (6, 6, 0)
        );
        assert_eq!(numbers.newest[0].base_url.host(), "b.example");
        let days = found(&store, &acme, Span::Day, 4, at(2 * DAY))
            .await
            .unwrap();
        assert_eq!(
            days.iter()
                .map(|d| (d.apis, d.operations))
                .collect::<Vec<_>>(),
            [(0, 0), (1, 1), (1, 3), (0, 2)]
        );
        let weeks = found(&store, &acme, Span::Week, 2, at(2 * DAY))
            .await
            .unwrap();
        assert_eq!(weeks.iter().map(|w| w.operations).sum::<u64>(), 6);
        // 2027-01-11 is a Monday.
        assert_eq!(weeks[1].from.rfc3339(), "2027-01-11T00:00:00Z");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_document_is_refused() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let check = async |text: String, expected: &str| {
            let mut revision =
                collector.revision("h.example", 1, &document("https://h.example", &BOOKS));
            revision.text = text.into();
            revision.limit = 1 << 20;
            let error = accept_revision(&store, revision, at(1))
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("{\"openapi\": \"3.1.0\",\n  ]".into(), "line 2, column 3").await;
        check("<html></html>".into(), "not an OpenAPI document").await;
        check("x".repeat(2 << 20), "at most 1048576").await;
        check(
            document("https://h.example", &[]).to_string(),
            "Exclude empty specifications",
        )
        .await;
        check("[".repeat(10_000), "it is not JSON").await;
        let mut revision =
            collector.revision("no host/", 1, &document("https://h.example", &BOOKS));
        assert!(matches!(
            accept_revision(&store, revision.clone(), at(1)).await,
            Err(Refusal::Invalid { field: "host", .. })
        ));
        revision.host = "h.example".into();
        revision.contract = "'; DROP TABLE apis; --".into();
        assert!(accept_revision(&store, revision, at(1)).await.is_err());
        assert!(ids(&store, &acme, ApiFilter::default()).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn other_organisations_and_lesser_roles() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let other = organisation(&store, &door, "Other", "owner@other.example").await;
        let analyst = user(
            &store,
            &door,
            &acme,
            "analyst@acme.example",
            "security-analyst",
        )
        .await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let api = collector
            .push_new(
                &store,
                "h.example",
                1,
                &document("https://h.example", &BOOKS),
                at(1),
            )
            .await;
        let target = create_target(&store, &acme, "", "https://h.example", at(1))
            .await
            .unwrap();
        let definition = definitions(&store, &acme, &api).await.unwrap().remove(0);
        let mine = create_target(&store, &other, "", "https://h.example", at(1))
            .await
            .unwrap();
        assert!(ids(&store, &other, ApiFilter::default()).await.is_empty());
        assert_eq!(overview(&store, &other).await.unwrap().operations, 0);
        let (api, page) = (&api, Page::default());
        let (target, definition, revision): (&TargetId, _, &RevisionId) =
            (&target.id, &definition.id, &definition.revision);
        macro_rules! every {
            ($pattern:pat, [$($call:expr),* $(,)?]) => {$(
                match $call.await.map(|_| ()) {
                    Err($pattern) => {}
                    unexpected => panic!("{}: {unexpected:?}", stringify!($call)),
                }
            )*};
        }
        let actor = &other;
        every!(
            Refusal::NotFound { .. },
            [
                inventory::api(&store, actor, api),
                definitions(&store, actor, api),
                inventory::definition(&store, actor, definition),
                callers(&store, actor, api, None, page),
                inventory::drift(&store, actor, api, None, None, page),
                revisions(&store, actor, &RevisionsOf::Api(api.clone()), page),
                revisions(
                    &store,
                    actor,
                    &RevisionsOf::Definition(definition.clone()),
                    page
                ),
                inventory::revision(&store, actor, revision),
                document_of(&store, actor, revision, Format::Json),
                compare_revisions(&store, actor, revision, revision),
                compare_texts(&store, actor, revision, revision),
                fitting_targets(&store, actor, api),
                inventory::target(&store, actor, target),
                propose_target(&store, actor, api),
            ]
        );
        every!(
            Refusal::NotFound { .. },
            [
                operations(
                    &store,
                    actor,
                    api,
                    &OperationFilter::default(),
                    OperationSort::Path,
                    Direction::Ascending,
                    page
                ),
                rename_api(&store, actor, api, "x", at(2)),
                set_hidden(&store, actor, std::slice::from_ref(api), true, at(2)),
                delete_api(&store, actor, api, at(2)),
                move_definition(&store, actor, definition, &Join::New, at(2)),
                delete_definition(&store, actor, definition, at(2)),
                link(&store, actor, std::slice::from_ref(api), &mine.id, at(2)),
                unlink(&store, actor, std::slice::from_ref(api), at(2)),
                create_targets(&store, actor, std::slice::from_ref(api), at(2)),
                edit_target(&store, actor, target, "x", "https://x.example", at(2)),
                delete_target(&store, actor, target, true, at(2)),
            ]
        );
        // An API of one's own and a target of others.
        assert!(matches!(
            link(&store, &acme, std::slice::from_ref(api), &mine.id, at(2)).await,
            Err(Refusal::NotFound { what: "target", .. })
        ));
        // Looks, and changes nothing.
        inventory::api(&store, &analyst, api).await.unwrap();
        let actor = &analyst;
        every!(
            Refusal::Forbidden { .. },
            [
                rename_api(&store, actor, api, "x", at(2)),
                set_hidden(&store, actor, std::slice::from_ref(api), true, at(2)),
                delete_api(&store, actor, api, at(2)),
                move_definition(&store, actor, definition, &Join::New, at(2)),
                delete_definition(&store, actor, definition, at(2)),
                link(&store, actor, std::slice::from_ref(api), target, at(2)),
                unlink(&store, actor, std::slice::from_ref(api), at(2)),
                create_targets(&store, actor, std::slice::from_ref(api), at(2)),
                create_target(&store, actor, "x", "https://x.example", at(2)),
                edit_target(&store, actor, target, "x", "https://x.example", at(2)),
                delete_target(&store, actor, target, true, at(2)),
            ]
        );
    })
    .await;
}
