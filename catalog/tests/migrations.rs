//! Databases of earlier versions: they open, are brought up to date, and keep every row.
//!
//! `tests/schemas` has one of each version of the tables and each kind of database, with rows in every table. When a step is added,
//!
//! ```text
//! SILHOUETTE_UPDATE_GENERATED=1 cargo test -p silhouette-catalog --test migrations
//! ```
//!
//! makes those of the new version; what is there is never made anew: a step that was released does not change.

mod program;
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use program::Catalog;
use rows::filled;
use silhouette_catalog::store::{Dialect, Store, StoreError};
use silhouette_test_postgres::Database;
use sqlx::any::{AnyPoolOptions, AnyRow, AnyTypeInfoKind};
use sqlx::{AnyPool, AssertSqlSafe, Column as _, Row as _, ValueRef as _};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas")
}

async fn postgres() -> Database {
    let created = tokio::task::spawn_blocking(Database::create).await;
    created.unwrap().unwrap_or_else(|error| panic!("{error}"))
}

fn sqlite(dir: &Path) -> String {
    format!("sqlite:{}", dir.join("catalog.db").display())
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

fn packed(path: &Path, bytes: &[u8]) {
    let mut out = GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap();
}

/// A pool past the store, which would bring the tables up to date.
async fn plain(url: &str) -> AnyPool {
    sqlx::any::install_default_drivers();
    let options = AnyPoolOptions::new().max_connections(1);
    options.connect(url).await.unwrap()
}

fn cell(row: &AnyRow, at: usize) -> String {
    let raw = row.try_get_raw(at).unwrap();
    if raw.is_null() {
        return "-".to_owned();
    }
    match raw.type_info().kind() {
        AnyTypeInfoKind::BigInt | AnyTypeInfoKind::Integer => row.get::<i64, _>(at).to_string(),
        AnyTypeInfoKind::Blob => format!("{:x?}", row.get::<Vec<u8>, _>(at)),
        _ => row.get::<String, _>(at),
    }
}

/// Of each table the names of its columns, and its rows.
type Tables = BTreeMap<String, (Vec<String>, Vec<String>)>;

/// The rows of every table, of the columns in `of` where it names them: sorted, each as `column=value`.
async fn rows_of(pool: &AnyPool, dialect: Dialect, of: Option<&Tables>) -> Tables {
    let tables = match dialect {
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
             AND name <> '_sqlx_migrations'"
        }
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema() \
             AND table_name <> '_sqlx_migrations'"
        }
    };
    let mut all = BTreeMap::new();
    for table in sqlx::query(tables).fetch_all(pool).await.unwrap() {
        let table: String = table.get(0);
        let known = of.map(|of| of.get(&table));
        let columns = match known {
            Some(None) => continue, // a table that is new
            Some(Some((columns, _))) => columns.join(", "),
            None => "*".to_owned(),
        };
        let text = format!("SELECT {columns} FROM {table}");
        let found = sqlx::query(AssertSqlSafe(text)).fetch_all(pool).await;
        let found = found.unwrap_or_else(|error| panic!("{table}: {error}"));
        let names = found.first().map_or(Vec::new(), |row| {
            let columns = row.columns().iter();
            columns.map(|column| column.name().to_owned()).collect()
        });
        let mut rows: Vec<String> = found
            .iter()
            .map(|row| {
                let cells = names.iter().enumerate();
                let cells = cells.map(|(at, name)| format!("{name}={}", cell(row, at)));
                cells.collect::<Vec<_>>().join("|")
            })
            .collect();
        rows.sort_unstable();
        all.insert(table, (names, rows));
    }
    all
}

async fn version(pool: &AnyPool) -> i64 {
    let row = sqlx::query("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(pool);
    row.await.unwrap().get(0)
}

/// Makes the files of the latest version, where they are missing.
async fn make(dir: &Path) {
    fs::create_dir_all(schemas()).unwrap();
    let url = sqlite(dir);
    let store = filled(&url).await;
    let version = version(store.pool()).await;
    let small = dir.join("small.db");
    sqlx::query(AssertSqlSafe(format!("VACUUM INTO '{}'", small.display())))
        .execute(store.pool())
        .await
        .unwrap();
    store.close().await;
    let file = schemas().join(format!("{version:04}.db.gz"));
    if !file.exists() {
        packed(&file, &fs::read(small).unwrap());
    }
    let file = schemas().join(format!("{version:04}.sql.gz"));
    if !file.exists() {
        let database = postgres().await;
        filled(database.url()).await.close().await;
        packed(&file, database.dump().unwrap().as_bytes());
    }
}

#[tokio::test]
async fn a_database_of_each_version_is_brought_up_to_date_and_keeps_every_row() {
    let scratch = tempfile::tempdir().unwrap();
    if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        make(scratch.path()).await;
    }
    let empty = tempfile::tempdir().unwrap();
    let store = Store::open(&sqlite(empty.path()), 2).await.unwrap();
    let latest = version(store.pool()).await;
    store.close().await;
    for number in 1..=latest {
        let dir = tempfile::tempdir().unwrap();
        let file = schemas().join(format!("{number:04}.db.gz"));
        fs::write(dir.path().join("catalog.db"), unpacked(&file)).unwrap();
        keeps_every_row(&sqlite(dir.path()), number, latest).await;

        let database = postgres().await;
        let file = schemas().join(format!("{number:04}.sql.gz"));
        let text = String::from_utf8(unpacked(&file)).unwrap();
        database.load(&text).unwrap();
        keeps_every_row(database.url(), number, latest).await;
    }
}

async fn keeps_every_row(url: &str, number: i64, latest: i64) {
    println!("{url}: version {number}");
    let pool = plain(url).await;
    assert_eq!(version(&pool).await, number);
    let dialect = if url.starts_with("sqlite:") {
        Dialect::Sqlite
    } else {
        Dialect::Postgres
    };
    let before = rows_of(&pool, dialect, None).await;
    pool.close().await;
    for (table, (_, rows)) in &before {
        assert_eq!(rows.len(), 2, "{table}");
    }
    assert!(before.len() > 15, "{} tables", before.len());
    let store = Store::open(url, 2).await.unwrap();
    assert_eq!(version(store.pool()).await, latest);
    let after = rows_of(store.pool(), dialect, Some(&before)).await;
    store.close().await;
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = postgres().await;
    for url in [sqlite(dir.path()), database.url().to_owned()] {
        Store::open(&url, 2).await.unwrap().close().await;
        let pool = plain(&url).await;
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
             SELECT 999, 'later', installed_on, success, checksum, 1 FROM _sqlx_migrations WHERE version = 1",
        )
        .execute(&pool)
        .await
        .unwrap();
        let error = Store::open(&url, 2).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Newer { found: 999, .. }),
            "{error}"
        );
        let said = error.to_string();
        assert!(
            said.contains("newer silhouette-catalog (tables of version 999"),
            "{said}"
        );
        assert_eq!(version(&pool).await, 999);
        pool.close().await;
    }
    // And so the program does not start, and says why.
    let data = dir.path().join("catalog.db");
    let program = tempfile::tempdir().unwrap();
    fs::create_dir(program.path().join("data")).unwrap();
    fs::copy(data, program.path().join("data/catalog.db")).unwrap();
    let Err(said) = Catalog::try_start(program.path(), &[]) else {
        panic!("it started")
    };
    assert!(
        said.contains("newer silhouette-catalog (tables of version 999"),
        "{said}"
    );
}

/// Services that start at the same moment on one empty database.
fn all_at_once(url: &str) -> Vec<Catalog> {
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let dir = tempfile::tempdir().unwrap();
                    start.wait();
                    Catalog::start(dir.path(), &["--database-url", url])
                })
            })
            .collect();
        let started = started.into_iter().map(|thread| thread.join().unwrap());
        started.collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_start_at_once_make_the_tables_and_the_owner_once() {
    let dir = tempfile::tempdir().unwrap();
    let database = postgres().await;
    for url in [sqlite(dir.path()), database.url().to_owned()] {
        println!("{url}");
        let running = tokio::task::block_in_place(|| all_at_once(&url));
        assert_eq!(running.len(), 4);
        let pool = plain(&url).await;
        let count = async |text: &'static str| -> i64 {
            let row = sqlx::query(text).fetch_one(&pool).await.unwrap();
            row.get(0)
        };
        assert_eq!(count("SELECT COUNT(*) FROM organisations").await, 1);
        assert_eq!(count("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(
            count("SELECT COUNT(*) FROM _sqlx_migrations").await,
            version(&pool).await
        );
        pool.close().await;
        drop(running);
    }
}
