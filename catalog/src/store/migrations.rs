//! The steps by which tables came to be what they are. A step that was released is never changed; the next one is added.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _};

use super::{Dialect, Store};

const STEPS: &[(i64, &str, &str)] = &[
    (
        1,
        "catalog",
        include_str!("../../migrations/0001_catalog.sql"),
    ),
    (
        2,
        "operations hash",
        include_str!("../../migrations/0002_operations_hash.sql"),
    ),
];

/// The version of the latest step.
pub(super) const LATEST: i64 = {
    let (version, _, _) = STEPS[STEPS.len() - 1];
    version
};

/// Takes the steps up to a version (or all) that a database has not yet taken. Of several programs that start at once one takes
/// them, the others wait: PostgreSQL has a lock for it, SQLite one writer, whose transaction has to be around all of it.
pub(super) async fn run(store: &Store, upto: Option<i64>) -> Result<(), MigrateError> {
    let steps = of(store.dialect, upto);
    match store.dialect {
        Dialect::Sqlite => {
            let mut write = store.write().await?;
            steps.run_direct(None, &mut *write, false).await?;
            Ok(write.commit().await?)
        }
        Dialect::Postgres => steps.run(&store.pool).await,
    }
}

/// The steps up to a version (or all) in the words of one database.
fn of(dialect: Dialect, upto: Option<i64>) -> Migrator {
    let upto = upto.unwrap_or(LATEST);
    let steps = STEPS.iter().filter(|(version, _, _)| *version <= upto);
    let steps = steps.map(|(version, name, text)| {
        let text = match dialect {
            Dialect::Sqlite => text.replace("BYTEA", "BLOB"),
            Dialect::Postgres => (*text).to_owned(),
        };
        Migration::new(
            *version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            AssertSqlSafe(text).into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

/// Whether a database has tables of a catalog, in whatever state.
pub(super) async fn any(store: &Store) -> Result<bool, sqlx::Error> {
    let text = match store.dialect {
        Dialect::Sqlite => {
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'"
        }
        Dialect::Postgres => {
            "SELECT COUNT(*) FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = '_sqlx_migrations'"
        }
    };
    let count: i64 = sqlx::query(text).fetch_one(&store.pool).await?.try_get(0)?;
    Ok(count > 0)
}
