//! Backups: whole, of one moment, restored into either database or not at all.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use silhouette_catalog::Millis;
use silhouette_catalog::store::{BackupError, Dialect, Store, restore};
use silhouette_test_postgres::Database;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tempfile::TempDir;

fn sqlite(dir: &TempDir, name: &str) -> String {
    format!("sqlite:{}", dir.path().join(name).display())
}

async fn postgres() -> Database {
    let created = tokio::task::spawn_blocking(Database::create).await;
    created.unwrap().unwrap_or_else(|error| panic!("{error}"))
}

/// A column: its name, its type in lower case, and whether it may be empty.
type Columns = Vec<(String, String, bool)>;

async fn columns(store: &Store, table: &str) -> Columns {
    let text = match store.dialect() {
        Dialect::Sqlite => {
            "SELECT name, lower(type), CASE WHEN \"notnull\" = 0 AND pk = 0 THEN 1 ELSE 0 END FROM pragma_table_info($1)"
        }
        Dialect::Postgres => {
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT), \
             CAST(CASE WHEN is_nullable = 'YES' THEN 1 ELSE 0 END AS BIGINT) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let query = sqlx::query(text).bind(table.to_owned());
    let rows = query.fetch_all(store.pool()).await.unwrap();
    let column = |row: &sqlx::any::AnyRow| (row.get(0), row.get(1), row.get::<i64, _>(2) == 1);
    rows.iter().map(column).collect()
}

/// A database with two rows in every table: one with a value in every column, and one with as few as may be.
async fn filled(url: &str) -> Store {
    let store = Store::open(url, 2).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("empty");
    let empty = store.backup(&path, Millis(0), |_, _| {});
    let mut left: Vec<String> = empty.await.unwrap().into_keys().collect();
    let mut write = store.write().await.unwrap();
    // Tables refer to one another: those whose rows cannot stand yet wait for the others.
    while !left.is_empty() {
        let before = left.len();
        for table in std::mem::take(&mut left) {
            let columns = columns(&store, &table).await;
            let mut rows = String::new();
            for number in [1_i64, 2] {
                let values = columns.iter().map(|(name, kind, optional)| {
                    if *optional && number == 2 {
                        return "NULL".to_owned();
                    }
                    let points_at = match name.strip_suffix("_id").or(name.strip_suffix("_hash")) {
                        Some("api") => "apis".to_owned(),
                        Some(noun) if noun != "correlation" && noun != "subject" => {
                            format!("{noun}s")
                        }
                        _ if name == "id" || name == "hash" => table.clone(),
                        _ => format!("{name} ä''\n"),
                    };
                    match kind.as_str() {
                        "bigint" => (9_007_199_254_740_990 + number).to_string(),
                        "blob" => "X'1f8b00ff'".to_owned(),
                        "bytea" => r"'\x1f8b00ff'".to_owned(),
                        _ => format!("'{points_at} {number}'"),
                    }
                });
                let values: Vec<String> = values.collect();
                rows = format!("{rows}INSERT INTO {table} VALUES ({});", values.join(", "));
            }
            write.execute("SAVEPOINT rows").await.unwrap();
            if let Err(error) = write.execute(AssertSqlSafe(rows)).await {
                assert!(
                    error.to_string().to_lowercase().contains("foreign key"),
                    "{table}: {error}"
                );
                write.execute("ROLLBACK TO SAVEPOINT rows").await.unwrap();
                left.push(table);
            }
        }
        assert!(left.len() < before, "{left:?} refer to what is not there");
    }
    write.commit().await.unwrap();
    store
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
    check(
        &changed(&dir, &text.replace("\"schema\":1", "\"schema\":999")),
        "newer",
    )
    .await;
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
