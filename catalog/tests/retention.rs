//! Old revisions are thinned out, on both databases; what somebody may still need stays.

mod documents;
mod people;
mod stores;

use std::time::Duration;

use documents::{Collector, observed};
use people::{START, door, organisation};
use silhouette_catalog::Millis;
use silhouette_catalog::access::Actor;
use silhouette_catalog::audit;
use silhouette_catalog::ids::ApiId;
use silhouette_catalog::inventory::{Format, RevisionsOf, Thinning, document_of, revisions};
use silhouette_catalog::store::{Page, Store};
use sqlx::Row as _;
use stores::on_each;

const DAY: i64 = 86_400_000;
const KEEP: Duration = Duration::from_secs(90 * 86_400);

/// So many days after a week began.
fn day(days: i64) -> Millis {
    Millis(START.0 / (7 * DAY) * (7 * DAY) + days * DAY)
}

/// A document that is another one for each number.
fn book(number: i64) -> serde_json::Value {
    let mut document = observed("https://books.example.com", &["GET /books"], 1);
    document["paths"]["/books"]["get"]["summary"] = format!("The books of day {number}").into();
    document
}

async fn numbers(store: &Store, actor: &Actor, api: &ApiId) -> Vec<u64> {
    let page = Page::new(1, Page::MAX_SIZE).unwrap();
    let of = RevisionsOf::Api(api.clone());
    let page = revisions(store, actor, &of, page).await.unwrap();
    let mut numbers: Vec<u64> = page.items.iter().map(|it| it.number).collect();
    numbers.sort_unstable();
    numbers
}

/// A whole pass; how many steps it took.
async fn thin(store: &Store, now: Millis) -> usize {
    let (mut thinning, mut steps) = (Thinning::default(), 1);
    while !thinning.step(store, KEEP, now).await.unwrap() {
        steps += 1;
    }
    steps
}

async fn count(store: &Store, text: &'static str) -> i64 {
    let row = sqlx::query(text).fetch_one(store.pool()).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn of_old_revisions_the_last_of_each_week_stays() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let mut api = None;
        // One a day for four weeks, at noon.
        for number in 1..=28 {
            let now = Millis(day(number - 1).0 + DAY / 2);
            let document = book(number);
            let pushed =
                collector.push_new(&store, "books.example.com", number as u64, &document, now);
            api = Some(pushed.await);
        }
        let api = api.unwrap();
        let all: Vec<u64> = (1..=28).collect();

        // Nothing is old enough, then the first two weeks are.
        assert_eq!(thin(&store, day(90)).await, 1);
        assert_eq!(numbers(&store, &acme, &api).await, all);
        assert_eq!(thin(&store, day(90 + 14)).await, 2);
        let mut left = vec![1, 7, 14];
        left.extend(15..=28);
        assert_eq!(numbers(&store, &acme, &api).await, left);
        assert_eq!(count(&store, "SELECT COUNT(*) FROM documents").await, 17);
        // Once more there is nothing to do.
        thin(&store, day(90 + 14)).await;
        assert_eq!(numbers(&store, &acme, &api).await, left);

        // However much time goes by: the first, the last of each week, the latest.
        thin(&store, day(1000)).await;
        assert_eq!(numbers(&store, &acme, &api).await, [1, 7, 14, 21, 28]);

        let filter = audit::Filter {
            action: Some("revision.thin".into()),
            ..audit::Filter::default()
        };
        let entries = audit::list(&store, &acme, &filter, Page::default())
            .await
            .unwrap();
        let removed: Vec<_> = entries
            .items
            .iter()
            .map(|it| &it.details["removed"])
            .collect();
        assert_eq!(removed, [12, 11]);
        assert_eq!(entries.items[0].actor, "the catalog");
        assert_eq!(entries.items[1].details["olderThan"], day(14).rfc3339());

        // The collector goes on where it was, and what is left can be read.
        let document = book(29);
        let next = collector.push_new(&store, "books.example.com", 29, &document, day(1001));
        assert_eq!(next.await, api);
        let of = RevisionsOf::Api(api.clone());
        let page = revisions(&store, &acme, &of, Page::default())
            .await
            .unwrap();
        for revision in page.items {
            let text = document_of(&store, &acme, &revision.id, Format::Original)
                .await
                .unwrap();
            let wanted = format!("The books of day {}\"", revision.number);
            assert!(String::from_utf8(text).unwrap().contains(&wanted));
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_still_referred_to_stays() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let other = organisation(&store, &door, "Other", "owner@other.example").await;
        let edge = Collector::of(&store, &acme, "edge").await;
        let elsewhere = Collector::of(&store, &other, "edge").await;
        // The third brings an operation, which stays.
        for number in 1..=6 {
            let mut document = book(number);
            if number >= 3 {
                let item = document["paths"]["/books"].clone();
                document["paths"]["/authors"] = item;
            }
            for collector in [&edge, &elsewhere] {
                let pushed = collector.push(&store, "books.example.com", number as u64, &document, day(number - 1));
                pushed.await.unwrap();
            }
        }
        // The same text in another organisation, and in another definition of this one, is still a text.
        let third = Collector::of(&store, &acme, "third").await;
        let api = third.push_new(&store, "books.example.com", 1, &book(2), day(5)).await;
        thin(&store, day(1000)).await;
        let left = numbers(&store, &acme, &api).await;
        assert_eq!(left, [1, 1, 3, 6]);
        let orphans = "SELECT COUNT(*) FROM documents t WHERE NOT EXISTS (SELECT 1 FROM revisions r WHERE r.document_hash = t.hash)";
        assert_eq!(count(&store, orphans).await, 0);
        assert_eq!(count(&store, "SELECT COUNT(*) FROM documents").await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_pass_is_made_of_bounded_steps() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let edge = Collector::of(&store, &acme, "edge").await;
        let api = edge.push_new(&store, "books.example.com", 1, &book(1), day(0)).await;
        // More than two steps' worth on one day, as rows: pushing them would take its time.
        let mut write = store.write().await.unwrap();
        for number in 2..=1200_i64 {
            sqlx::query(
                "INSERT INTO revisions (id, definition_id, number, collector_id, sequence, contract_hash, document_hash, created_at, \
                 created_by, specification, title, api_version, operations, warnings) \
                 SELECT $1, definition_id, $2, collector_id, $2, contract_hash, document_hash, created_at, created_by, \
                 specification, title, api_version, operations, warnings FROM revisions WHERE number = 1",
            )
            .bind(silhouette_catalog::ids::RevisionId::make(day(0)).to_string())
            .bind(number)
            .execute(&mut *write)
            .await
            .unwrap();
        }
        write.commit().await.unwrap();
        assert_eq!(thin(&store, day(1000)).await, 4);
        assert_eq!(count(&store, "SELECT COUNT(*) FROM revisions").await, 2);
        let _ = numbers(&store, &acme, &api).await;
    })
    .await;
}
