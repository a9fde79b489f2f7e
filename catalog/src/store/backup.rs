//! Backup and restore, in one format for both databases: what was saved from SQLite can be restored into PostgreSQL and back.
//!
//! In: a [`Store`], while it serves, or a database without tables. Out: a file of gzip'ed JSON lines – a head, the rows of every
//! table as of one moment, and an end with their number, so that a file that was cut off is not taken for a whole one. Restoring
//! is one transaction: all of it or nothing. The file has password hashes and everything else in it: it is for its owner's eyes only.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{AssertSqlSafe, Column as _, Row as _, ValueRef as _};
use tokio_stream::StreamExt as _;

use super::{Dialect, Store, StoreError, Value, insert_rows, migrations};
use crate::Millis;

/// Every table, each after those it refers to.
const TABLES: &[&str] = &[
    "organisations",
    "users",
    "roles",
    "memberships",
    "api_keys",
    "sessions",
    "audit",
    "sources",
    "registration_tokens",
    "collectors",
    "targets",
    "apis",
    "documents",
    "definitions",
    "revisions",
    "operations",
    "callers",
    "drift",
    "scans",
    "findings",
    "found",
];

/// The longest line that is read back: a document of 50 MiB, gzip'ed as it is stored, in base64, has room in it many times over.
const MAX_LINE: u64 = 256 << 20;

/// Why there is no backup, or no restored database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is there, but it is something else, or was cut off or changed.
    #[error("{path} is no whole backup of a catalog: {what}")]
    Damaged {
        /// Which.
        path: String,
        /// What is wrong, with the line.
        what: String,
    },
    /// Made by a version after this one.
    #[error(
        "{path} was made by a newer silhouette-catalog (tables of version {found}; this one knows up to {known}): restore it with that one"
    )]
    Newer {
        /// Which.
        path: String,
        /// Its version.
        found: i64,
        /// The latest here.
        known: i64,
    },
    /// There is something already.
    #[error(
        "the database has tables already; restore into one that is empty, so that nothing is overwritten (a new file, or a new database of PostgreSQL)"
    )]
    NotEmpty,
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database says no.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// How many rows each table has.
pub type Counts = BTreeMap<String, u64>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Line {
    Head {
        format: u32,
        schema: i64,
        at: String,
    },
    Table {
        name: String,
        columns: Vec<String>,
    },
    #[serde(untagged)]
    End {
        end: Counts,
    },
    #[serde(untagged)]
    Row(Vec<Json>),
}

impl Store {
    /// Saves everything as of one moment; others go on working meanwhile. `progress` is told of each table that is done.
    ///
    /// # Errors
    /// When the file cannot be written or the database read; then what was there under that name is untouched.
    pub async fn backup(
        &self,
        path: &Path,
        now: Millis,
        mut progress: impl FnMut(&str, u64),
    ) -> Result<Counts, BackupError> {
        let failed = |source| file_error(path, source);
        let (partial, file) = Partial::beside(path).map_err(failed)?;
        let mut out = GzEncoder::new(BufWriter::new(file), Compression::default());
        let begin = match self.dialect {
            // A reader of the write-ahead log sees one moment.
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut read = self.pool.begin_with(begin).await?;
        let schema = migrations::LATEST;
        let at = now.rfc3339();
        put(
            &mut out,
            &Line::Head {
                format: 1,
                schema,
                at,
            },
        )
        .map_err(failed)?;
        let mut counts = Counts::new();
        for table in TABLES {
            let mut count = 0_u64;
            let mut rows =
                sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}"))).fetch(&mut *read);
            while let Some(row) = rows.try_next().await? {
                if count == 0 {
                    let columns = row.columns().iter();
                    let columns = columns.map(|column| column.name().to_owned()).collect();
                    let name = (*table).to_owned();
                    put(&mut out, &Line::Table { name, columns }).map_err(failed)?;
                }
                put(&mut out, &Line::Row(cells(&row)?)).map_err(failed)?;
                count += 1;
            }
            progress(table, count);
            counts.insert((*table).to_owned(), count);
        }
        put(
            &mut out,
            &Line::End {
                end: counts.clone(),
            },
        )
        .map_err(failed)?;
        let file = out
            .finish()
            .and_then(|out| out.into_inner().map_err(Into::into));
        file.and_then(|file| file.sync_all()).map_err(failed)?;
        partial.become_whole(path).map_err(failed)?;
        Ok(counts)
    }
}

/// A backup that is being written: gone when this is dropped before it is whole.
struct Partial {
    path: PathBuf,
    whole: bool,
}

impl Partial {
    /// Beside where it is to be, for its owner's eyes only from the first byte on. What an earlier attempt left goes: it may be
    /// open to others.
    fn beside(path: &Path) -> std::io::Result<(Partial, File)> {
        let mut partial = path.to_owned();
        partial.as_mut_os_string().push(".partial");
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&partial)?;
        let partial = Partial {
            path: partial,
            whole: false,
        };
        Ok((partial, file))
    }

    fn become_whole(mut self, path: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, path)?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Fills the database at `url`, which must have no tables yet, with what a backup holds, and brings it up to date.
///
/// # Errors
/// When the file is not a whole backup, or the database is not empty or says no; then the database stays without tables' rows.
pub async fn restore(
    url: &str,
    path: &Path,
    mut progress: impl FnMut(&str, u64),
) -> Result<Counts, BackupError> {
    let schema = verify(path)?;
    if schema > migrations::LATEST {
        return Err(BackupError::Newer {
            path: path.display().to_string(),
            found: schema,
            known: migrations::LATEST,
        });
    }
    let store = Store::connect(url, 2).await?;
    if migrations::any(&store).await? {
        return Err(BackupError::NotEmpty);
    }
    // The tables as they were when the backup was made; what changed since is done to the restored rows.
    store.migrate(url, Some(schema)).await?;
    let mut lines = Lines::open(path)?;
    lines.head()?;
    let counts = load(&store, &mut lines, &mut progress).await?;
    store.migrate(url, None).await?;
    store.close().await;
    Ok(counts)
}

/// Reads a backup to its end before anything is made of it. Its tables' version.
fn verify(path: &Path) -> Result<i64, BackupError> {
    let mut lines = Lines::open(path)?;
    let schema = lines.head()?;
    let mut counts = Counts::new();
    let mut table: Option<(String, u64)> = None;
    loop {
        let line = lines.next()?;
        if let (Some(Line::Row(_)), Some((_, count))) = (&line, &mut table) {
            *count += 1;
            continue;
        }
        counts.extend(table.take());
        match line {
            Some(Line::Table { name, .. }) => table = Some((name, 0)),
            Some(Line::End { mut end }) => {
                end.retain(|_, count| *count > 0);
                if end == counts {
                    return Ok(schema);
                }
                return Err(lines.damaged("rows are missing"));
            }
            None => return Err(lines.damaged("it ends too early")),
            Some(_) => return Err(lines.damaged("this line has no place here")),
        }
    }
}

async fn load(
    store: &Store,
    lines: &mut Lines<'_>,
    progress: &mut impl FnMut(&str, u64),
) -> Result<Counts, BackupError> {
    /// Rows of one statement; it takes as many at once as its parameters allow.
    const ROWS: usize = 200;
    let mut write = store.write().await?;
    let mut counts: Counts = TABLES.iter().map(|name| ((*name).to_owned(), 0)).collect();
    let mut table: Option<Table> = None;
    loop {
        let line = lines.next()?;
        if let (Some(Line::Row(cells)), Some(table)) = (&line, &mut table) {
            table.take(cells).map_err(|what| lines.damaged(&what))?;
            if table.rows.len() >= ROWS || table.bytes > 4 << 20 {
                table.save(&mut write).await?;
            }
            continue;
        }
        if let Some(mut done) = table.take() {
            done.save(&mut write).await?;
            progress(done.name, done.count);
            counts.insert(done.name.to_owned(), done.count);
        }
        match line {
            Some(Line::Table { name, columns }) => {
                let known = TABLES.iter().find(|known| **known == name);
                let name =
                    *known.ok_or_else(|| lines.damaged(&format!("there is no table `{name}`")))?;
                let known = store.columns(&mut write, name).await?;
                table = Some(
                    Table::begin(name, &columns, &known).map_err(|what| lines.damaged(&what))?,
                );
            }
            Some(Line::End { end }) if end == counts => break,
            Some(Line::End { .. }) => return Err(lines.damaged("rows are missing")),
            None => return Err(lines.damaged("it ends too early")),
            Some(_) => return Err(lines.damaged("this line has no place here")),
        }
    }
    write.commit().await?;
    Ok(counts)
}

/// The table whose rows are being read.
struct Table {
    name: &'static str,
    head: String,
    /// Whether numbers are in it, of each column: what is not there has a type too.
    numbers: Vec<bool>,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    count: u64,
}

impl Table {
    /// `known`: the columns the database has, and whether numbers are in them.
    fn begin(
        name: &'static str,
        columns: &[String],
        known: &[(String, bool)],
    ) -> Result<Table, String> {
        // Names become part of a statement: none that the database does not have.
        let types = columns.iter().map(|column| {
            let known = known.iter().find(|(name, _)| name == column);
            known
                .map(|(_, number)| *number)
                .ok_or_else(|| format!("`{name}` has no column `{column}`"))
        });
        Ok(Table {
            name,
            head: format!("INSERT INTO {name} ({})", columns.join(", ")),
            numbers: types.collect::<Result<_, _>>()?,
            rows: Vec::new(),
            bytes: 0,
            count: 0,
        })
    }

    fn take(&mut self, cells: &[Json]) -> Result<(), String> {
        let width = self.numbers.len();
        if cells.len() != width {
            return Err(format!(
                "a row of `{}` has {} cells, not {width}",
                self.name,
                cells.len()
            ));
        }
        let mut row = Vec::with_capacity(cells.len());
        for (cell, number) in cells.iter().zip(&self.numbers) {
            let value = match cell {
                Json::String(text) => Value::Text(text.clone()),
                Json::Number(number) => {
                    Value::Number(number.as_i64().ok_or("a number is too large")?)
                }
                Json::Object(bytes) => {
                    let text = bytes
                        .get("bytes")
                        .and_then(Json::as_str)
                        .ok_or("bytes are missing")?;
                    Value::Bytes(BASE64.decode(text).map_err(|error| error.to_string())?)
                }
                Json::Null if *number => Value::NoNumber,
                Json::Null => Value::NoText,
                other => return Err(format!("`{other}` is no value of a cell")),
            };
            if let Value::Text(text) = &value {
                self.bytes += text.len();
            } else if let Value::Bytes(bytes) = &value {
                self.bytes += bytes.len();
            }
            row.push(value);
        }
        self.rows.push(row);
        self.count += 1;
        Ok(())
    }

    async fn save(&mut self, write: &mut super::Write) -> Result<(), sqlx::Error> {
        self.bytes = 0;
        insert_rows(write, &self.head, "", std::mem::take(&mut self.rows))
            .await
            .map(drop)
    }
}

/// A backup's lines, one after the other.
struct Lines<'a> {
    path: &'a Path,
    input: BufReader<MultiGzDecoder<BufReader<File>>>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Lines<'a>, BackupError> {
        let file = File::open(path).map_err(|source| file_error(path, source))?;
        let input = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        Ok(Lines {
            path,
            input,
            number: 0,
        })
    }

    /// The first line: the version of the tables.
    fn head(&mut self) -> Result<i64, BackupError> {
        match self.next()? {
            Some(Line::Head {
                format: 1, schema, ..
            }) if schema >= 1 => Ok(schema),
            _ => Err(self.damaged("it does not begin as one")),
        }
    }

    fn next(&mut self) -> Result<Option<Line>, BackupError> {
        let mut text = Vec::new();
        self.number += 1;
        let mut limited = (&mut self.input).take(MAX_LINE);
        // A file that is no gzip, or was cut off within it, is told by the decoder.
        limited
            .read_until(b'\n', &mut text)
            .map_err(|error| self.damaged(&error.to_string()))?;
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| self.damaged(&error.to_string()))
    }

    fn damaged(&self, what: &str) -> BackupError {
        BackupError::Damaged {
            path: self.path.display().to_string(),
            what: format!("line {}: {what}", self.number),
        }
    }
}

fn file_error(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::File {
        path: path.display().to_string(),
        source,
    }
}

fn put(out: &mut impl std::io::Write, line: &Line) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn cells(row: &AnyRow) -> Result<Vec<Json>, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            cells.push(Json::Null);
            continue;
        }
        let kind = raw.type_info().kind();
        cells.push(match kind {
            AnyTypeInfoKind::Text => Json::from(row.try_get::<String, _>(at)?),
            AnyTypeInfoKind::Blob => {
                let text = BASE64.encode(row.try_get::<Vec<u8>, _>(at)?);
                serde_json::json!({ "bytes": text })
            }
            _ => Json::from(row.try_get::<i64, _>(at)?),
        });
    }
    Ok(cells)
}
