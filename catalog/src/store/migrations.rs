//! The steps by which tables came to be what they are. A step that was released is never changed; the next one is added.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::Dialect;

const STEPS: &[(i64, &str, &str)] = &[(
    1,
    "catalog",
    include_str!("../../migrations/0001_catalog.sql"),
)];

/// The steps in the words of one database.
pub(super) fn of(dialect: Dialect) -> Migrator {
    let steps = STEPS.iter().map(|(version, name, text)| {
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
