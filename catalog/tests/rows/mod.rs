//! Rows in every table of a catalog, whatever tables there are.
//!
//! In: a URL. Out: the database with its tables, two rows in each.

use silhouette_catalog::Millis;
use silhouette_catalog::store::{Dialect, Store};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

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
pub(crate) async fn filled(url: &str) -> Store {
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
