//! The database: SQLite in a file of its own by default, PostgreSQL when the URL says so.
//!
//! In: a URL. Out: a [`Store`] whose tables are up to date. One set of statements serves both: parameters are `$1`, ids and
//! texts TEXT, numbers, times and truth values BIGINT, and nothing is used that only one of them has. What differs is here and
//! nowhere else. Never builds SQL from a value: texts of statements are constants, values are bound.

mod backup;
mod list;
mod migrations;

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyQueryResult, AnyRow};
use sqlx::migrate::MigrateError;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Executor as _, Row as _, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use backup::{BackupError, Counts, restore};
pub use list::{Conditions, Direction, Listing, Page, PageOf, Value};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No URL of a database that is supported.
    #[error("database_url: `{0}` is neither `sqlite:PATH` nor `postgres://USER@HOST/DATABASE`")]
    Url(String),
    /// The database does not answer or refuses.
    #[error("cannot open the database {url}: {source}")]
    Open {
        /// Without a password.
        url: String,
        /// What it said.
        source: sqlx::Error,
    },
    /// There is no database of a catalog.
    #[error(
        "there is no catalog in the database {url}: say with --data-dir or --database-url where the service has its own, as in its settings"
    )]
    Missing {
        /// Without a password.
        url: String,
    },
    /// The tables cannot be brought up to date.
    #[error("cannot bring the database {url} up to date: {source}")]
    Migrate {
        /// Without a password.
        url: String,
        /// What went wrong. Nothing of the failed step is kept.
        source: sqlx::migrate::MigrateError,
    },
    /// A later version of the program has been at work there.
    #[error(
        "the database {url} was made by a newer silhouette-catalog (tables of version {found}; this one knows up to {known}): \
         run that version or a later one, or restore a backup that was made before"
    )]
    Newer {
        /// Without a password.
        url: String,
        /// The version of its tables.
        found: i64,
        /// The latest here.
        known: i64,
    },
}

/// The database, shared by all who ask it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
    /// SQLite has one writer at a time; waiting here is fair and knows no time limit, waiting in SQLite is neither.
    writer: Arc<Mutex<()>>,
}

impl Store {
    /// Opens it, creating the file and all tables where they are missing.
    ///
    /// # Errors
    /// When the URL is wrong, the database does not answer, or its tables are of a newer version.
    pub async fn open(url: &str, connections: u32) -> Result<Store, StoreError> {
        let store = Store::connect(url, connections).await?;
        store.migrate(url, None).await?;
        Ok(store)
    }

    /// Opens one that is there already: nothing is created for a name that was mistyped.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is none, or one without tables of a catalog.
    pub async fn open_existing(url: &str, connections: u32) -> Result<Store, StoreError> {
        let missing = || StoreError::Missing { url: shown(url) };
        if let Some(path) = url.strip_prefix("sqlite:")
            && !path.contains('?')
            && !Path::new(path).exists()
        {
            return Err(missing());
        }
        let store = Store::connect(url, connections).await?;
        let any = migrations::any(&store).await;
        let any = any.map_err(|source| StoreError::Open {
            url: shown(url),
            source,
        })?;
        if !any {
            store.close().await;
            return Err(missing());
        }
        store.migrate(url, None).await?;
        Ok(store)
    }

    /// Opens it with the tables it has.
    async fn connect(url: &str, connections: u32) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        let (dialect, url) = parse(url)?;
        let shown = shown(&url);
        let pool = AnyPoolOptions::new()
            .max_connections(connections.max(2))
            .acquire_timeout(Duration::from_secs(30))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if dialect == Dialect::Sqlite {
                        // Full: what was answered for survives a loss of power too, at one fsync per transaction.
                        connection
                            .execute(
                                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                 PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY",
                            )
                            .await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await
            .map_err(|source| StoreError::Open { url: shown, source })?;
        Ok(Store {
            pool,
            dialect,
            writer: Arc::new(Mutex::new(())),
        })
    }

    /// Brings the tables up to the latest version, or up to one before it.
    async fn migrate(&self, url: &str, version: Option<i64>) -> Result<(), StoreError> {
        migrations::run(self, version)
            .await
            .map_err(|source| match source {
                MigrateError::VersionMissing(found) if found > migrations::LATEST => {
                    StoreError::Newer {
                        url: shown(url),
                        found,
                        known: migrations::LATEST,
                    }
                }
                source => StoreError::Migrate {
                    url: shown(url),
                    source,
                },
            })
    }

    /// The columns of a table, and whether numbers are in them.
    async fn columns(
        &self,
        connection: &mut AnyConnection,
        table: &str,
    ) -> Result<Vec<(String, bool)>, sqlx::Error> {
        let text = match self.dialect {
            Dialect::Sqlite => "SELECT name, type FROM pragma_table_info($1)",
            Dialect::Postgres => {
                "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1"
            }
        };
        let rows = sqlx::query(text)
            .bind(table.to_owned())
            .fetch_all(connection)
            .await?;
        let column = |row: &AnyRow| {
            let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok((name, kind.eq_ignore_ascii_case("bigint")))
        };
        rows.iter().map(column).collect()
    }

    /// Which database it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// For statements that only read.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction that writes. It is undone unless [`Write::commit`] is called.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn write(&self) -> Result<Write, sqlx::Error> {
        let (turn, begin) = match self.dialect {
            Dialect::Sqlite => (
                Some(Arc::clone(&self.writer).lock_owned().await),
                "BEGIN IMMEDIATE",
            ),
            Dialect::Postgres => (None, "BEGIN"),
        };
        let transaction = self.pool.begin_with(begin).await?;
        Ok(Write {
            transaction,
            _turn: turn,
        })
    }

    /// Lets one transaction after another change an organisation's inventory. SQLite has one writer anyway.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn serialise(
        &self,
        write: &mut Write,
        organisation: &crate::ids::OrganisationId,
    ) -> Result<(), sqlx::Error> {
        if self.dialect == Dialect::Postgres {
            sqlx::query("SELECT id FROM organisations WHERE id = $1 FOR UPDATE")
                .bind(organisation.as_str())
                .fetch_optional(&mut **write)
                .await?;
        }
        Ok(())
    }

    /// Lets one transaction after another make organisations. SQLite has one writer anyway.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn serialise_organisations(&self, write: &mut Write) -> Result<(), sqlx::Error> {
        if self.dialect == Dialect::Postgres {
            sqlx::query("LOCK TABLE organisations IN SHARE ROW EXCLUSIVE MODE")
                .execute(&mut **write)
                .await?;
        }
        Ok(())
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction that writes; a connection to run statements on.
pub struct Write {
    // Before the turn: the transaction ends first.
    transaction: Transaction<'static, Any>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Write {
    /// Makes it last.
    ///
    /// # Errors
    /// When the database says no; then nothing of it lasts.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Write")
    }
}

/// Inserts many rows in as few statements as the number of parameters allows.
/// `head` is `INSERT INTO t (a, b)`, `tail` what comes after the values, such as `ON CONFLICT …`; any statement with `VALUES` in it
/// does, such as `UPDATE t … FROM (` and `) AS v WHERE …`, where the columns are called `column1` and so on.
///
/// # Errors
/// When the database says no.
pub async fn insert_rows(
    connection: &mut AnyConnection,
    head: &str,
    tail: &str,
    rows: Vec<Vec<Value>>,
) -> Result<AnyQueryResult, sqlx::Error> {
    /// Both databases take more; so many are enough for the number of statements not to matter.
    const PARAMETERS: usize = 300;
    // SQLite looks the name of each `$1` up in a list of all of them, and has parameters without a name.
    let named = connection.backend_name() != "SQLite";
    let mut result = AnyQueryResult::default();
    let width = rows.first().map_or(1, Vec::len).max(1);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk: Vec<Vec<Value>> = rows.by_ref().take((PARAMETERS / width).max(1)).collect();
        let mut text = format!("{head} VALUES ");
        let mut number = 0;
        for (at, row) in chunk.iter().enumerate() {
            text.push_str(if at == 0 { "(" } else { ", (" });
            for column in 0..row.len() {
                number += 1;
                text.push_str(if column == 0 { "" } else { ", " });
                if named {
                    text.push('$');
                    text.push_str(&number.to_string());
                } else {
                    text.push('?');
                }
            }
            text.push(')');
        }
        text.push(' ');
        text.push_str(tail);
        let mut query = sqlx::query(AssertSqlSafe(text));
        for value in chunk.into_iter().flatten() {
            query = value.bind(query);
        }
        result.extend([query.execute(&mut *connection).await?]);
    }
    Ok(result)
}

/// Whether an error says that a value must be unique and is not.
#[must_use]
pub fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

fn parse(url: &str) -> Result<(Dialect, String), StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Dialect::Postgres, url.to_owned()));
    }
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => {
            let mode = if path.contains('?') { "" } else { "?mode=rwc" };
            Ok((Dialect::Sqlite, format!("sqlite:{path}{mode}")))
        }
        _ => Err(StoreError::Url(shown(url))),
    }
}

/// Without the password.
pub(crate) fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            let _ = parsed.set_password(Some("…"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_no_database_has_are_refused() {
        for url in ["", "sqlite:", "mysql://a/b", "/var/lib/catalog.db"] {
            assert!(matches!(parse(url), Err(StoreError::Url(_))), "{url}");
        }
        assert_eq!(
            shown("postgres://me:secret@db/catalog"),
            "postgres://me:%E2%80%A6@db/catalog"
        );
    }
}
