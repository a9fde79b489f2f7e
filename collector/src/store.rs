//! The state store: models, sequence windows and totals, and the journal position they stand for, in one embedded file.
//!
//! In: one consistent checkpoint, written in one transaction. Out: the last checkpoint that was committed, whole. What it
//! says is true however the process ends: either all of a checkpoint is there or none of it. It never interprets a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::journal::Position;
use crate::windows::Windows;

/// The file in the data directory.
pub const FILE: &str = "state.redb";

/// Of this file's layout. Another one is refused, not guessed at.
const FORMAT: u32 = 1;

const MODELS: TableDefinition<&str, &[u8]> = TableDefinition::new("models");
const CALLERS: TableDefinition<&str, &[u8]> = TableDefinition::new("callers");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// What a checkpoint keeps of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBytes {
    /// The model.
    pub model: Vec<u8>,
    /// Who calls it; empty where a checkpoint is older than that.
    pub callers: Vec<u8>,
}

/// Everything of a checkpoint but the models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Every batch before it is in the models.
    pub position: Position,
    /// Those batches' sequence numbers.
    pub windows: Windows,
    /// Those batches' exchanges.
    pub totals: Totals,
}

/// What became of every exchange that was ever acknowledged: `accepted = learnt + left out + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Exchanges in batches that were acknowledged, each batch once.
    pub accepted: u64,
    /// In a model.
    pub learnt: u64,
    /// Not calls of an API, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Not understood or over a bound, by reason.
    pub rejected: BTreeMap<String, u64>,
}

impl Totals {
    /// Adds other counts.
    pub fn add(&mut self, other: &Totals) {
        self.accepted += other.accepted;
        self.learnt += other.learnt;
        for (mine, theirs) in [
            (&mut self.left_out, &other.left_out),
            (&mut self.rejected, &other.rejected),
        ] {
            for (reason, count) in theirs {
                *mine.entry(reason.clone()).or_default() += count;
            }
        }
    }

    /// Exchanges accounted for.
    pub fn done(&self) -> u64 {
        self.learnt + self.left_out.values().sum::<u64>() + self.rejected.values().sum::<u64>()
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// An entry cannot be read.
    #[error("`{entry}` in {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which entry.
        entry: &'static str,
        /// Why.
        reason: String,
    },
    /// Written by another version.
    #[error("{path} has format {found}; this program reads format {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// The open store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after an error: the database has to be opened again before it can be used.
    database: Option<Database>,
}

impl Store {
    /// Opens the store in `data_dir`, creating it when missing.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        let mut store = Store {
            path: data_dir.join(FILE),
            database: None,
        };
        store.database()?;
        Ok(store)
    }

    /// Reads the last checkpoint; `host` is given each host's name, model and callers.
    pub fn load(
        &mut self,
        mut host: impl FnMut(&str, &[u8], &[u8]),
    ) -> Result<Checkpoint, StoreError> {
        let path = self.path.clone();
        let failed = |error: redb::Error| StoreError::Database {
            what: "read",
            path: path.clone(),
            source: Box::new(error),
        };
        let read = self
            .database()?
            .begin_read()
            .map_err(|error| failed(error.into()))?;
        let meta = match read.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Checkpoint::default()),
            Err(error) => return Err(failed(error.into())),
        };
        let entry = |name: &'static str| -> Result<Option<Vec<u8>>, StoreError> {
            Ok(meta
                .get(name)
                .map_err(|error| failed(error.into()))?
                .map(|bytes| bytes.value().to_vec()))
        };
        let format: u32 = decode(&path, "format", &entry("format")?.unwrap_or_default())?;
        if format != FORMAT {
            return Err(StoreError::Format {
                path,
                found: format,
            });
        }
        let checkpoint = decode(
            &path,
            "checkpoint",
            &entry("checkpoint")?.unwrap_or_default(),
        )?;
        let models = read
            .open_table(MODELS)
            .map_err(|error| failed(error.into()))?;
        let callers = match read.open_table(CALLERS) {
            Ok(callers) => Some(callers),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(failed(error.into())),
        };
        for item in models.iter().map_err(|error| failed(error.into()))? {
            let (name, model) = item.map_err(|error| failed(error.into()))?;
            let callers = match &callers {
                Some(callers) => callers
                    .get(name.value())
                    .map_err(|error| failed(error.into()))?,
                None => None,
            };
            let callers = callers.as_ref().map_or(&[][..], |bytes| bytes.value());
            host(name.value(), model.value(), callers);
        }
        Ok(checkpoint)
    }

    /// Writes a checkpoint in one transaction. `models` yields the hosts that changed since the last one that was written:
    /// their bytes, or `None` for a host that is gone; `finish` yields the rest once the models are through.
    pub fn save<E: From<StoreError>>(
        &mut self,
        models: impl Iterator<Item = (String, Option<HostBytes>)>,
        finish: impl FnOnce() -> Result<Checkpoint, E>,
    ) -> Result<(), E> {
        let path = self.path.clone();
        let failed = |error: redb::Error| StoreError::Database {
            what: "write",
            path: path.clone(),
            source: Box::new(error),
        };
        let write = self
            .database()?
            .begin_write()
            .map_err(|error| failed(error.into()))?;
        let written = (|| -> Result<(), E> {
            let put = |error: redb::StorageError| failed(error.into());
            {
                let mut table = write
                    .open_table(MODELS)
                    .map_err(|error| failed(error.into()))?;
                let mut callers = write
                    .open_table(CALLERS)
                    .map_err(|error| failed(error.into()))?;
                for (host, bytes) in models {
                    let host = host.as_str();
                    match bytes {
                        Some(bytes) => {
                            table.insert(host, bytes.model.as_slice()).map_err(put)?;
                            callers
                                .insert(host, bytes.callers.as_slice())
                                .map_err(put)?;
                        }
                        None => {
                            table.remove(host).map_err(put)?;
                            callers.remove(host).map_err(put)?;
                        }
                    }
                }
            }
            let checkpoint = finish()?;
            let mut meta = write
                .open_table(META)
                .map_err(|error| failed(error.into()))?;
            for (name, bytes) in [
                ("format", encode(&path, "format", &FORMAT)?),
                ("checkpoint", encode(&path, "checkpoint", &checkpoint)?),
            ] {
                meta.insert(name, bytes.as_slice()).map_err(put)?;
            }
            Ok(())
        })();
        let committed = match written {
            Ok(()) => write.commit().map_err(|error| failed(error.into()).into()),
            Err(error) => {
                let _ = write.abort();
                Err(error)
            }
        };
        if committed.is_err() {
            self.database = None;
        }
        committed
    }

    /// A store whose file cannot be opened until `path` becomes possible.
    #[cfg(test)]
    pub(crate) fn unreachable(path: PathBuf) -> Store {
        Store {
            path,
            database: None,
        }
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::builder()
                .set_cache_size(16 << 20)
                .create(&self.path)
                .map_err(|error| StoreError::Database {
                    what: "open",
                    path: self.path.clone(),
                    source: Box::new(error.into()),
                })?,
        };
        Ok(self.database.insert(database))
    }
}

fn decode<T: DeserializeOwned>(
    path: &Path,
    entry: &'static str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        entry,
        reason: error.to_string(),
    })
}

fn encode<T: Serialize>(
    path: &Path,
    entry: &'static str,
    value: &T,
) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        entry,
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(
        store: &mut Store,
        models: &[(&str, Option<&str>)],
        checkpoint: Result<Checkpoint, StoreError>,
    ) -> Result<(), StoreError> {
        let models: Vec<_> = models
            .iter()
            .map(|(host, text)| {
                let bytes = text.map(|text| HostBytes {
                    model: text.as_bytes().to_vec(),
                    callers: text.as_bytes().to_vec(),
                });
                (host.to_string(), bytes)
            })
            .collect();
        store.save(models.into_iter(), || checkpoint)
    }

    fn load(store: &mut Store) -> (Checkpoint, Vec<(String, String)>) {
        let mut models = Vec::new();
        let checkpoint = store
            .load(|host, bytes, callers| {
                assert_eq!(bytes, callers);
                models.push((host.to_owned(), String::from_utf8(bytes.to_vec()).unwrap()))
            })
            .unwrap();
        (checkpoint, models)
    }

    fn checkpoint(offset: u64) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.position.offset = offset;
        checkpoint.windows.insert(&[3; 16], offset, 1);
        checkpoint.totals.rejected.insert("bad_host".into(), offset);
        checkpoint
    }

    #[test]
    fn a_checkpoint_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert_eq!(load(&mut store), (Checkpoint::default(), vec![]));
        save(
            &mut store,
            &[("a", Some("1")), ("b", Some("1"))],
            Ok(checkpoint(10)),
        )
        .unwrap();
        let failed = Err(StoreError::Format {
            path: "x".into(),
            found: 9,
        });
        save(&mut store, &[("a", Some("2")), ("c", Some("2"))], failed).unwrap_err();
        let expected = (
            checkpoint(10),
            vec![("a".into(), "1".into()), ("b".into(), "1".into())],
        );
        assert_eq!(load(&mut store), expected, "in the same process");
        drop(store);
        let mut store = Store::open(dir.path()).unwrap();
        assert_eq!(load(&mut store), expected, "in another");
        save(
            &mut store,
            &[("a", None), ("c", Some("3"))],
            Ok(checkpoint(20)),
        )
        .unwrap();
        assert_eq!(
            load(&mut store),
            (
                checkpoint(20),
                vec![("b".into(), "1".into()), ("c".into(), "3".into())]
            )
        );
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), vec![b'x'; 10_000]).unwrap();
        let error = Store::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("cannot open") && error.contains(FILE),
            "{error}"
        );
    }

    #[test]
    fn totals_add_up() {
        let mut totals = checkpoint(3).totals;
        totals.learnt = 4;
        totals.add(&totals.clone());
        assert_eq!((totals.done(), totals.rejected["bad_host"]), (14, 6));
    }
}
