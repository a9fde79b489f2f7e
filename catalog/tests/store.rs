//! What the store promises, on both databases.

mod stores;

use silhouette_catalog::store::{
    Conditions, Direction, Listing, Page, Store, Value, insert_rows, is_taken,
};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use stores::on_each;

const INSERT: &str = "INSERT INTO organisations (id, name, created_at)";

fn organisation(name: &str, created_at: i64) -> Vec<Value> {
    vec![name.into(), name.into(), created_at.into()]
}

fn all(conditions: Conditions) -> Listing {
    Listing {
        columns: "id, created_at",
        from: "organisations",
        conditions,
        order: "created_at",
        direction: Direction::Descending,
        tie: "id",
    }
}

fn read(row: &AnyRow) -> Result<(String, i64), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[tokio::test]
async fn what_is_not_committed_is_undone() {
    on_each(async |store: Store| {
        for name in ["kept", "lost"] {
            let mut write = store.write().await.unwrap();
            let rows = vec![organisation(name, 1)];
            insert_rows(&mut write, INSERT, "", rows).await.unwrap();
            if name == "kept" {
                write.commit().await.unwrap();
            }
        }
        let page = all(Conditions::default())
            .page(&store, Page::default(), read)
            .await
            .unwrap();
        assert_eq!((page.total, page.items), (1, vec![("kept".to_owned(), 1)]));
    })
    .await;
}

#[tokio::test]
async fn what_must_be_unique_is_told_apart_from_other_errors() {
    on_each(async |store: Store| {
        let rows = vec![organisation("one", 1)];
        let mut write = store.write().await.unwrap();
        insert_rows(&mut write, INSERT, "", rows.clone())
            .await
            .unwrap();
        let again = insert_rows(
            &mut write,
            INSERT,
            "ON CONFLICT (id) DO NOTHING",
            rows.clone(),
        );
        assert_eq!(again.await.unwrap().rows_affected(), 0);
        write.commit().await.unwrap();
        let mut write = store.write().await.unwrap();
        let taken = insert_rows(&mut write, INSERT, "", rows).await.unwrap_err();
        assert!(is_taken(&taken), "{taken}");
        drop(write);
        let other = sqlx::query("SELECT nothing FROM nowhere")
            .execute(store.pool())
            .await
            .unwrap_err();
        assert!(!is_taken(&other), "{other}");
    })
    .await;
}

#[tokio::test]
async fn pages_neither_overlap_nor_leave_out() {
    on_each(async |store: Store| {
        // More than one statement's worth, all created at the same time but ten.
        let rows = (0..1_000).map(|n| organisation(&format!("o{n:04}"), i64::from(n < 10)));
        let mut write = store.write().await.unwrap();
        insert_rows(&mut write, INSERT, "", rows.collect())
            .await
            .unwrap();
        write.commit().await.unwrap();
        let mut seen = Vec::new();
        for number in 1..=6 {
            let page = Page::new(number, 200).unwrap();
            let page = all(Conditions::default())
                .page(&store, page, read)
                .await
                .unwrap();
            assert_eq!((page.total, page.pages()), (1_000, 5));
            seen.extend(page.items.into_iter().map(|(id, _)| id));
        }
        assert_eq!(seen.first().map(String::as_str), Some("o0009"));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 1_000);
        let mut some = Conditions::default();
        some.and_like("lower(name) LIKE ? ESCAPE '!'", "O099");
        some.and(
            "created_at = ? OR name = ?",
            [0_i64.into(), "'; DROP TABLE users; --".into()],
        );
        let page = all(some).page(&store, Page::default(), read).await.unwrap();
        assert_eq!(page.total, 10);
    })
    .await;
}
