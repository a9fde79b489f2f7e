//! The outbox's file: one transaction per change, and opened anew after an error.

use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;

use super::{Entry, Outbox, State};

/// Of this file's layout.
const FORMAT: u64 = 1;

pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
pub(super) const HOSTS: TableDefinition<&str, &[u8]> = TableDefinition::new("hosts");
pub(super) const QUEUE: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("queue");
pub(super) const BODIES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("bodies");

/// Why something cannot be kept, or not be found.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database refused.
    #[error("cannot {what} {path}: {source}")]
    Database {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        source: Box<redb::Error>,
    },
    /// Another program has it.
    #[error("{path} is in use by another process: a collector that runs")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// What is in it cannot be read.
    #[error(
        "{path} is no outbox of this version: {why}; move it away while the collector is stopped: every host is sent again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Outbox {
    pub(super) fn state(&self) -> Result<MutexGuard<'_, State>, OutboxError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.database.is_none() {
            *state = self.open()?;
        }
        Ok(state)
    }

    pub(super) fn open(&self) -> Result<State, OutboxError> {
        let mut database = Database::builder()
            .set_cache_size(8 << 20)
            .create(&self.path)
            .map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => OutboxError::InUse {
                    path: self.path.clone(),
                },
                error => self.failed("open")(error.into()),
            })?;
        let mut state = self.load(&database)?;
        // What was sent leaves empty pages behind; a file that is mostly such gives them back.
        let size = std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
        if size > (64 << 20) + state.bytes.saturating_mul(4)
            && let Err(error) = database.compact()
        {
            tracing::warn!(%error, file = %self.path.display(), "the outbox could not be made smaller");
        }
        state.database = Some(database);
        Ok(state)
    }

    pub(super) fn load(&self, database: &Database) -> Result<State, OutboxError> {
        let write = database
            .begin_write()
            .map_err(|error| self.failed("open")(error.into()))?;
        let mut state = State::default();
        let read = (|| -> Result<(), redb::Error> {
            let mut meta = write.open_table(META)?;
            let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or(0);
            let format = meta.get("format")?.map(|value| number(value.value()));
            match format {
                None => {
                    meta.insert("format", FORMAT.to_be_bytes().as_slice())?;
                }
                Some(FORMAT) => {}
                Some(other) => {
                    return Err(redb::Error::Corrupted(format!(
                        "it has format {other}, this program reads format {FORMAT}"
                    )));
                }
            }
            state.merged = meta.get("merged")?.map_or(0, |value| number(value.value()));
            for item in write.open_table(HOSTS)?.iter()? {
                let (host, record) = item?;
                let record = decode(record.value())?;
                state.take(host.value(), |lane| lane.record = record);
            }
            for item in write.open_table(QUEUE)?.iter()? {
                let (key, entry) = item?;
                let entry: Entry = decode(entry.value())?;
                state.take(key.value().0, |lane| lane.queue.push_back(entry));
            }
            // Made now, so that readers find it.
            write.open_table(BODIES)?;
            Ok(())
        })();
        match read {
            Ok(()) => {}
            Err(redb::Error::Corrupted(why)) => {
                return Err(OutboxError::Damaged {
                    path: self.path.clone(),
                    why,
                });
            }
            Err(error) => return Err(self.failed("read")(error)),
        }
        write
            .commit()
            .map_err(|error| self.failed("open")(error.into()))?;
        Ok(state)
    }

    pub(super) fn meta(&self, state: &State, name: &str) -> Result<Option<Vec<u8>>, OutboxError> {
        self.read(state, |read| {
            let meta = read.open_table(META)?;
            Ok(meta.get(name)?.map(|value| value.value().to_vec()))
        })
    }

    pub(super) fn read<T>(
        &self,
        state: &State,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, OutboxError> {
        let database = state.database.as_ref().ok_or_else(|| self.closed())?;
        let read = database
            .begin_read()
            .map_err(|error| self.failed("read")(error.into()))?;
        work(&read).map_err(self.failed("read"))
    }

    /// One transaction. When it fails the file is opened anew with the next call: what is true is what is in it.
    pub(super) fn write(
        &self,
        state: &mut State,
        work: impl FnOnce(&WriteTransaction, u64) -> Result<(), redb::Error>,
    ) -> Result<(), OutboxError> {
        let merged = state.merged;
        let database = state.database.as_ref().ok_or_else(|| self.closed())?;
        let written = (|| {
            let write = database.begin_write()?;
            work(&write, merged)?;
            write.commit()?;
            Ok(())
        })();
        if written.is_err() {
            state.database = None;
        }
        written.map_err(self.failed("write"))
    }

    pub(super) fn failed(&self, what: &'static str) -> impl FnOnce(redb::Error) -> OutboxError {
        let path = self.path.clone();
        move |source| OutboxError::Database {
            what,
            path,
            source: Box::new(source),
        }
    }

    pub(super) fn closed(&self) -> OutboxError {
        self.failed("use")(redb::Error::PreviousIo)
    }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Numbers, texts and arrays into memory: there is nothing that could fail.
    postcard::to_stdvec(value).unwrap_or_default()
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
