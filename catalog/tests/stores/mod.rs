//! The same test on both databases: a file of SQLite, and a PostgreSQL that Debian's package brings.
//!
//! In: a test that takes a [`Store`]. Out: its verdict on an empty SQLite and on an empty PostgreSQL; a failure says on which.

use std::future::Future;

use silhouette_catalog::store::Store;
use silhouette_test_postgres::Database;

/// Runs a test on an empty database of either kind, one after the other.
pub(crate) async fn on_each<T: Future<Output = ()>>(test: impl Fn(Store) -> T) {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}", dir.path().join("catalog.db").display());
    println!("on SQLite:");
    let store = Store::open(&sqlite, 4).await.unwrap();
    test(store.clone()).await;
    store.close().await;
    println!("on PostgreSQL:");
    let postgres = tokio::task::spawn_blocking(Database::create)
        .await
        .unwrap()
        .unwrap_or_else(|error| panic!("{error}"));
    let store = Store::open(postgres.url(), 4).await.unwrap();
    test(store.clone()).await;
    store.close().await;
}
