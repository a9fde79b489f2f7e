//! Backups: whole, of one moment, restored into either database or not at all.

mod rows;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rows::filled;
use silhouette_catalog::Millis;
use silhouette_catalog::store::{BackupError, Store, restore};
use silhouette_test_postgres::Database;
use sqlx::{Executor as _, Row as _};
use tempfile::TempDir;

fn sqlite(dir: &TempDir, name: &str) -> String {
    format!("sqlite:{}", dir.path().join(name).display())
}

async fn postgres() -> Database {
    let created = tokio::task::spawn_blocking(Database::create).await;
    created.unwrap().unwrap_or_else(|error| panic!("{error}"))
}

async fn saved(store: &Store, path: &Path) -> String {
    store.backup(path, Millis(1_000), |_, _| {}).await.unwrap();
    plain(path)
}

fn plain(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn changed(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("changed.gz");
    let mut out = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    std::fs::write(&path, out.finish().unwrap()).unwrap();
    path
}

#[tokio::test]
async fn what_was_saved_from_one_database_is_restored_into_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second, third) = (postgres().await, postgres().await, postgres().await);
    let urls = [
        (sqlite(&dir, "a.db"), sqlite(&dir, "b.db")),
        (sqlite(&dir, "c.db"), first.url().to_owned()),
        (second.url().to_owned(), sqlite(&dir, "d.db")),
        (third.url().to_owned(), {
            let fourth = postgres().await;
            let url = fourth.url().to_owned();
            // Dropped with the server, at the end of the program.
            std::mem::forget(fourth);
            url
        }),
    ];
    let file = dir.path().join("backup.gz");
    for (from, to) in urls {
        println!("{from} -> {to}");
        let store = filled(&from).await;
        let before = saved(&store, &file).await;
        let mut told = Vec::new();
        let counts = restore(&to, &file, |table, _| told.push(table.to_owned()))
            .await
            .unwrap();
        assert!(counts.values().all(|count| *count == 2), "{counts:?}");
        assert_eq!(told.len(), counts.len());
        let restored = Store::open(&to, 2).await.unwrap();
        let after = saved(&restored, &file).await;
        assert_eq!(sorted(&after), sorted(&before));
        restored.close().await;
        store.close().await;
    }
}

/// Databases give rows in no order unless they are asked for one.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn every_table_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&sqlite(&dir, "a.db")).await;
    let file = dir.path().join("backup.gz");
    let counts = store.backup(&file, Millis(0), |_, _| {}).await.unwrap();
    let tables = sqlx::query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '!_%' ESCAPE '!' \
         AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), tables);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "there are password hashes in it");
    }
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&sqlite(&dir, "a.db")).await;
    let file = dir.path().join("backup.gz");
    saved(&store, &file).await;
    let error = restore(&sqlite(&dir, "a.db"), &file, |_, _| {})
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_whole_restores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&sqlite(&dir, "a.db")).await;
    let file = dir.path().join("backup.gz");
    let text = saved(&store, &file).await;
    let bytes = std::fs::read(&file).unwrap();
    let half = bytes.get(..bytes.len() / 2).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |number: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != number);
        kept.map(|(_, line)| format!("{line}\n"))
            .collect::<String>()
    };
    let check = async |file: &Path, wanted: &str| {
        let url = sqlite(&dir, "new.db");
        let error = restore(&url, file, |_, _| {})
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error} should say {wanted}");
        if let Ok(store) = Store::open(&url, 2).await {
            let users = sqlx::query("SELECT COUNT(*) FROM users").fetch_one(store.pool());
            assert_eq!(users.await.unwrap().get::<i64, _>(0), 0);
            store.close().await;
        }
        for name in ["new.db", "new.db-wal", "new.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
    };
    std::fs::write(dir.path().join("half.gz"), half).unwrap();
    check(&dir.path().join("half.gz"), "no whole backup").await;
    std::fs::write(dir.path().join("text"), "hello").unwrap();
    check(&dir.path().join("text"), "no whole backup").await;
    check(&dir.path().join("absent"), "absent").await;
    check(&changed(&dir, &without(lines.len() - 1)), "ends too early").await;
    check(&changed(&dir, &without(2)), "rows are missing").await;
    check(&changed(&dir, &without(0)), "does not begin as one").await;
    let newer = text.replacen("\"schema\":", "\"schema\":999", 1);
    assert_ne!(newer, text);
    check(&changed(&dir, &newer), "newer").await;
    let strange = text.replace("[\"id\",\"email\"", "[\"id\",\"email) SELECT 1; --\"");
    check(
        &changed(&dir, &strange),
        "has no column `email) SELECT 1; --`",
    )
    .await;
    check(
        &changed(&dir, &text.replace("\"users\"", "\"pg_authid\"")),
        "no table `pg_authid`",
    )
    .await;
    check(
        &changed(&dir, &text.replace("\"email ä'\\n 1\"", "true")),
        "no value of a cell",
    )
    .await;
}

/// What an earlier attempt left may be open to others; what this one leaves is whole or gone.
#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_for_its_owner_alone_and_leaves_nothing_half_done() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let on_postgres = postgres().await;
    for url in [sqlite(&dir, "catalog.db"), on_postgres.url().to_owned()] {
        let store = Store::open(&url, 2).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup.gz");
        let partial = dir.path().join("backup.gz.partial");
        std::fs::write(&partial, "left behind").unwrap();
        std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o666)).unwrap();
        saved(&store, &path).await;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!partial.exists());

        // What is there cannot be replaced: a directory with something in it.
        let taken = dir.path().join("taken.gz");
        std::fs::create_dir(&taken).unwrap();
        std::fs::write(taken.join("x"), "").unwrap();
        let error = store
            .backup(&taken, Millis(0), |_, _| {})
            .await
            .unwrap_err();
        assert!(matches!(error, BackupError::File { .. }), "{error}");
        assert!(!dir.path().join("taken.gz.partial").exists());
        // The database says no.
        let mut write = store.write().await.unwrap();
        write.execute("DROP TABLE found").await.unwrap();
        write.commit().await.unwrap();
        let path = dir.path().join("broken.gz");
        let error = store.backup(&path, Millis(0), |_, _| {}).await.unwrap_err();
        assert!(matches!(error, BackupError::Database(_)), "{error}");
        assert!(!path.exists() && !dir.path().join("broken.gz.partial").exists());
        store.close().await;
    }
}
