//! Collectors of one source that see the same host, on both databases: what each saw is kept, and shown as one.

mod documents;
mod people;
mod stores;

use documents::{Collector, observed};
use people::{at, door, organisation};
use silhouette_catalog::Refusal;
use silhouette_catalog::access::Actor;
use silhouette_catalog::ids::{ApiId, CollectorId};
use silhouette_catalog::inventory::{
    Accepted, Definition, OperationFilter, OperationSort, Seen, SeenOperation, definitions,
    operations, report_seen,
};
use silhouette_catalog::store::{Direction, Page, Store};
use stores::on_each;

const HOST: &str = "books.example.com";
const SERVER: &str = "https://books.example.com";

/// Another collector of the same source, registered as the protocol would.
async fn registered(store: &Store, first: &Collector, name: &str) -> Collector {
    let id = CollectorId::make(people::START);
    register(store, first, &id, name).await;
    Collector {
        id,
        ..first.clone()
    }
}

async fn register(store: &Store, of: &Collector, id: &CollectorId, name: &str) {
    sqlx::query(
        "INSERT INTO collectors (id, organisation_id, source_id, instance, name, version, address, credential_hash, registered_at, \
         issued_at) VALUES ($1, $2, $3, $4, $4, '0.1.0', '', $1, 0, 0)",
    )
    .bind(id.as_str())
    .bind(of.actor.organisation.as_str())
    .bind(of.source.as_str())
    .bind(name)
    .execute(store.pool())
    .await
    .unwrap();
}

async fn revoke(store: &Store, collector: &Collector) {
    sqlx::query("UPDATE collectors SET revoked_at = 1 WHERE id = $1")
        .bind(collector.id.as_str())
        .execute(store.pool())
        .await
        .unwrap();
}

async fn saw(store: &Store, collector: &Collector, calls: u64, last: i64) -> Result<(), Refusal> {
    let seen = Seen {
        exchanges: calls,
        first: Some(at(last - 1)),
        last: Some(at(last)),
        operations: vec![SeenOperation {
            method: "GET".into(),
            path: "/books".into(),
            calls,
            first: Some(at(last - 1)),
            last: Some(at(last)),
        }],
        callers: Vec::new(),
    };
    let organisation = &collector.actor.organisation;
    report_seen(
        store,
        organisation,
        &collector.source,
        &collector.id,
        HOST,
        seen,
    )
    .await
}

async fn of_api(store: &Store, actor: &Actor, api: &ApiId) -> Vec<Definition> {
    let mut all = definitions(store, actor, api).await.unwrap();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

#[tokio::test]
async fn what_each_saw_is_kept_and_shown_as_one() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let one = Collector::of(&store, &acme, "edge").await;
        register(&store, &one, &one.id, "one").await;
        let two = registered(&store, &one, "two").await;
        let first = observed(SERVER, &["GET /books", "POST /books"], 1);
        let second = observed(SERVER, &["GET /books", "GET /authors"], 1);

        let api = one.push_new(&store, HOST, 1, &first, at(1)).await;
        // A report before the first revision finds no definition of its own.
        assert!(matches!(
            saw(&store, &two, 1, 5).await,
            Err(Refusal::NotFound { what: "host", .. })
        ));
        assert_eq!(two.push_new(&store, HOST, 1, &second, at(2)).await, api);
        // By turns, again and again: nothing is new.
        for round in 3..6 {
            for (collector, document) in [(&one, &first), (&two, &second)] {
                let again = collector
                    .push(&store, HOST, round, document, at(round as i64))
                    .await;
                assert!(matches!(again, Ok(Accepted::Same { .. })), "{again:?}");
            }
        }
        let all = of_api(&store, &acme, &api).await;
        let keys: Vec<_> = all.iter().map(|it| (it.key.as_str(), it.number)).collect();
        let own = format!("{HOST} ({})", two.id);
        assert_eq!(keys, [(HOST, 1), (own.as_str(), 1)]);

        // Every operation that either saw, with the calls of both.
        saw(&store, &one, 7, 20).await.unwrap();
        saw(&store, &two, 5, 30).await.unwrap();
        let filter = OperationFilter::default();
        let page = operations(
            &store,
            &acme,
            &api,
            &filter,
            OperationSort::Path,
            Direction::Ascending,
            Page::default(),
        );
        let page = page.await.unwrap();
        assert_eq!(page.total, 3);
        let books = page
            .items
            .iter()
            .find(|it| it.path == "/books" && it.method == "GET")
            .unwrap();
        assert_eq!(books.calls, Some(12));
        assert_eq!(
            (books.seen_first_at, books.seen_last_at),
            (Some(at(19)), Some(at(30)))
        );

        // Each goes on with its own.
        let more = observed(SERVER, &["GET /books", "GET /authors", "GET /shelves"], 1);
        assert_eq!(two.push_new(&store, HOST, 9, &more, at(40)).await, api);
        let all = of_api(&store, &acme, &api).await;
        let numbers: Vec<_> = all.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_is_replaced_makes_no_other_definition() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let old = Collector::of(&store, &acme, "edge").await;
        register(&store, &old, &old.id, "old").await;
        let books = observed(SERVER, &["GET /books"], 1);
        let api = old.push_new(&store, HOST, 1, &books, at(1)).await;
        revoke(&store, &old).await;
        let new = registered(&store, &old, "new").await;
        let same = new.push(&store, HOST, 1, &books, at(2)).await;
        assert!(matches!(same, Ok(Accepted::Same { .. })), "{same:?}");
        saw(&store, &new, 1, 5).await.unwrap();
        let more = observed(SERVER, &["GET /books", "POST /books"], 1);
        assert_eq!(new.push_new(&store, HOST, 2, &more, at(3)).await, api);
        let all = of_api(&store, &acme, &api).await;
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].key.as_str(), all[0].number), (HOST, 2));
        // A third beside it has its own, and keeps it when the other goes.
        let third = registered(&store, &old, "third").await;
        assert_eq!(third.push_new(&store, HOST, 1, &books, at(4)).await, api);
        revoke(&store, &new).await;
        assert_eq!(third.push_new(&store, HOST, 2, &more, at(5)).await, api);
        let numbers: Vec<_> = of_api(&store, &acme, &api)
            .await
            .iter()
            .map(|it| it.number)
            .collect();
        assert_eq!(numbers, [2, 2]);
    })
    .await;
}
