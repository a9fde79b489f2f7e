//! What waits to be sent: revisions per host, in order, on disk before anything is sent and until the catalog has answered.
//!
//! In: documents of hosts, each with its contract; answers of the catalog. Out: the oldest revision of each host, and what became of
//! those before. Bounded in bytes: when it is full the older revisions of the host with most are folded into its newest,
//! which replaces them anyway, and counted; the newest of a host is never dropped for room. A document whose contract is that of
//! the host's newest revision makes no other one. Sequence numbers grow for ever, per host.
//!
//! It is a database file of its own. Lists are held in memory, bodies are not. After an error the file is opened again with the next
//! call, and memory follows what the file says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

/// The file in the data directory.
pub const FILE: &str = "outbox.redb";

/// Of this file's layout.
const FORMAT: u64 = 1;
/// Hosts that are remembered; beyond it those are forgotten that wait for nothing and were sent longest ago. Their numbers begin anew
/// then, and the catalog says where to go on.
const MOST_HOSTS: usize = 100_000;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const HOSTS: TableDefinition<&str, &[u8]> = TableDefinition::new("hosts");
const QUEUE: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("queue");
const BODIES: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("bodies");

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

/// What is remembered of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The last number given to a revision.
    pub sequence: u64,
    /// Contract of the newest revision, sent or not. `None`: the next document is a new revision whatever it is.
    pub contract: Option<[u8; 32]>,
    /// The last one the catalog has taken.
    pub delivered: Option<Delivered>,
    /// The last one it never will, if none was taken since.
    pub refused: Option<Refused>,
    /// Revisions folded into newer ones.
    pub merged: u64,
}

/// A revision the catalog has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Its number.
    pub sequence: u64,
    /// Unix milliseconds.
    pub at: u64,
}

/// A revision the catalog will never take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number.
    pub sequence: u64,
    /// HTTP status; 0 when it was not even sent.
    pub status: u16,
    /// What the catalog said.
    pub why: String,
    /// Unix milliseconds.
    pub at: u64,
}

/// A revision that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// What the document is like.
    pub contract: [u8; 32],
    /// When it was emitted, Unix milliseconds.
    pub emitted: u64,
    /// Bytes of the document.
    pub plain: u64,
    /// Bytes kept.
    pub stored: u64,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// A revision with this number waits.
    Kept(u64),
    /// Its contract is that of the host's newest revision.
    Known,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Revisions.
    pub pending: u64,
    /// Bytes they take on disk.
    pub bytes: u64,
    /// When the oldest was emitted, Unix milliseconds.
    pub oldest: Option<u64>,
    /// Folded into newer ones since the file was made.
    pub merged: u64,
    /// Hosts with a revision, sent or not.
    pub hosts: u64,
}

/// A host for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub host: String,
    /// What is remembered.
    pub record: Record,
    /// Revisions that wait.
    pub pending: u64,
    /// When the oldest of them was emitted, Unix milliseconds.
    pub oldest: Option<u64>,
}

/// The outbox. Opened with its first use.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    limit: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` before the first use and after an error.
    database: Option<Database>,
    lanes: BTreeMap<String, Lane>,
    /// Hosts whose oldest revision waits, oldest first.
    waiting: BTreeSet<(u64, String)>,
    bytes: u64,
    pending: u64,
    merged: u64,
}

#[derive(Debug, Default, Clone)]
struct Lane {
    record: Record,
    queue: VecDeque<Entry>,
}

impl Lane {
    fn cost(&self) -> u64 {
        self.queue.iter().map(cost).sum()
    }
}

/// What an entry takes in the file: values lie in pages of powers of two.
fn cost(entry: &Entry) -> u64 {
    (entry.stored + 256).next_power_of_two().max(1024)
}

/// The changes of one call: written together, then true in memory.
#[derive(Default)]
struct Change<'a> {
    host: &'a str,
    record: Option<Record>,
    removed: Vec<u64>,
    added: Vec<(Entry, Option<&'a [u8]>)>,
}

impl Outbox {
    /// That of a data directory; takes at most so many bytes.
    pub fn new(data_dir: &Path, limit: u64) -> Outbox {
        Outbox {
            path: data_dir.join(FILE),
            limit,
            state: Mutex::default(),
        }
    }

    /// Says for which registration documents are sent: with another one every host is sent anew. Whether it is another one.
    pub fn adopt(&self, registration: &str) -> Result<bool, OutboxError> {
        let mut state = self.state()?;
        let known = self.meta(&state, "registration")?;
        if known.as_deref() == Some(registration.as_bytes()) {
            return Ok(false);
        }
        let mut records: Vec<(String, Record)> = Vec::with_capacity(state.lanes.len());
        for (host, lane) in &state.lanes {
            // What still waits goes to the new catalog; what was sent has to be sent again.
            let record = Record {
                contract: lane.queue.back().map(|newest| newest.contract),
                delivered: None,
                refused: None,
                ..lane.record.clone()
            };
            records.push((host.clone(), record));
        }
        self.write(&mut state, |write, _| {
            let mut hosts = write.open_table(HOSTS)?;
            for (host, record) in &records {
                hosts.insert(host.as_str(), encode(record).as_slice())?;
            }
            let mut meta = write.open_table(META)?;
            meta.insert("registration", registration.as_bytes())?;
            Ok(())
        })?;
        for (host, record) in records {
            if let Some(lane) = state.lanes.get_mut(&host) {
                lane.record = record;
            }
        }
        Ok(true)
    }

    /// The contract of a host's newest revision, sent or not.
    pub fn contract(&self, host: &str) -> Result<Option<[u8; 32]>, OutboxError> {
        let state = self.state()?;
        Ok(state.lanes.get(host).and_then(|lane| lane.record.contract))
    }

    /// Keeps a document of a host, gzip'ed, as its newest revision. `plain` is its size before, `now` Unix milliseconds. With
    /// `again`, one the catalog has refused is tried once more.
    pub fn put(
        &self,
        host: &str,
        contract: [u8; 32],
        gzip: &[u8],
        plain: u64,
        now: u64,
        again: bool,
    ) -> Result<Put, OutboxError> {
        let mut state = self.state()?;
        let lane = state.lanes.get(host).cloned().unwrap_or_default();
        let refused = again && lane.queue.is_empty() && lane.record.refused.is_some();
        if lane.record.contract == Some(contract) && !refused {
            return Ok(Put::Known);
        }
        let entry = Entry {
            sequence: lane.record.sequence + 1,
            contract,
            emitted: now,
            plain,
            stored: gzip.len() as u64,
        };
        let sequence = entry.sequence;
        let record = Record {
            sequence,
            contract: Some(contract),
            ..lane.record
        };
        self.make_room_for_a_host(&mut state, host)?;
        self.apply(
            &mut state,
            Change {
                host,
                record: Some(record),
                added: vec![(entry, Some(gzip))],
                ..Change::default()
            },
        )?;
        self.fold(&mut state)?;
        Ok(Put::Kept(sequence))
    }

    /// The host that has waited longest of those that `may`, and its oldest revision.
    pub fn next(&self, may: impl Fn(&str) -> bool) -> Result<Option<(String, Entry)>, OutboxError> {
        let state = self.state()?;
        Ok(state
            .waiting
            .iter()
            .find(|(_, host)| may(host))
            .and_then(|(_, host)| {
                let entry = state.lanes.get(host)?.queue.front()?;
                Some((host.clone(), entry.clone()))
            }))
    }

    /// The gzip'ed document of a revision; `None` when it does not wait any more.
    pub fn body(&self, host: &str, sequence: u64) -> Result<Option<Vec<u8>>, OutboxError> {
        let mut state = self.state()?;
        let read = self.read(&state, |read| {
            let bodies = read.open_table(BODIES)?;
            Ok(bodies
                .get((host, sequence))?
                .map(|body| body.value().to_vec()))
        });
        if read.is_err() {
            state.database = None;
        }
        read
    }

    /// The catalog has taken a revision. `now` is in Unix milliseconds.
    pub fn delivered(&self, host: &str, sequence: u64, now: u64) -> Result<(), OutboxError> {
        self.answered(host, sequence, |record| {
            record.delivered = Some(Delivered { sequence, at: now });
            record.refused = None;
        })
    }

    /// The catalog will never take a revision.
    pub fn refused(&self, host: &str, refused: Refused) -> Result<(), OutboxError> {
        self.answered(host, refused.sequence, |record| {
            record.refused = Some(refused.clone());
        })
    }

    fn answered(
        &self,
        host: &str,
        sequence: u64,
        note: impl Fn(&mut Record),
    ) -> Result<(), OutboxError> {
        let mut state = self.state()?;
        let Some(lane) = state.lanes.get(host) else {
            return Ok(());
        };
        let mut record = lane.record.clone();
        note(&mut record);
        self.apply(
            &mut state,
            Change {
                host,
                record: Some(record),
                removed: vec![sequence],
                ..Change::default()
            },
        )
    }

    /// The catalog has numbers of this host up to `latest`: what waits gets numbers above.
    pub fn renumber(&self, host: &str, latest: u64) -> Result<(), OutboxError> {
        let mut state = self.state()?;
        let Some(lane) = state.lanes.get(host).cloned() else {
            return Ok(());
        };
        let bodies = self.read(&state, |read| {
            let table = read.open_table(BODIES)?;
            let mut bodies = Vec::with_capacity(lane.queue.len());
            for entry in &lane.queue {
                let body = table.get((host, entry.sequence))?;
                bodies.push(body.map(|body| body.value().to_vec()).unwrap_or_default());
            }
            Ok(bodies)
        })?;
        let first = latest.max(lane.record.sequence).saturating_add(1);
        let added: Vec<_> = (first..)
            .zip(lane.queue.iter().zip(&bodies))
            .map(|(sequence, (entry, body))| {
                let entry = Entry {
                    sequence,
                    ..entry.clone()
                };
                (entry, Some(body.as_slice()))
            })
            .collect();
        let record = Record {
            sequence: added.last().map_or(first - 1, |(entry, _)| entry.sequence),
            ..lane.record.clone()
        };
        self.apply(
            &mut state,
            Change {
                host,
                record: Some(record),
                removed: lane.queue.iter().map(|entry| entry.sequence).collect(),
                added,
            },
        )
    }

    /// The catalog does not know the host, though it took revisions of it: the next document is sent whatever it is.
    pub fn forget(&self, host: &str) -> Result<(), OutboxError> {
        let mut state = self.state()?;
        let Some(lane) = state.lanes.get(host) else {
            return Ok(());
        };
        let record = Record {
            contract: None,
            delivered: None,
            ..lane.record.clone()
        };
        self.apply(
            &mut state,
            Change {
                host,
                record: Some(record),
                ..Change::default()
            },
        )
    }

    /// How much waits.
    pub fn totals(&self) -> Result<Totals, OutboxError> {
        let state = self.state()?;
        Ok(Totals {
            pending: state.pending,
            bytes: state.bytes,
            oldest: state.waiting.first().map(|(emitted, _)| *emitted),
            merged: state.merged,
            hosts: state.lanes.len() as u64,
        })
    }

    /// The hosts, by name.
    pub fn list(&self) -> Result<Vec<Standing>, OutboxError> {
        let state = self.state()?;
        Ok(state
            .lanes
            .iter()
            .map(|(host, lane)| Standing {
                host: host.clone(),
                record: lane.record.clone(),
                pending: lane.queue.len() as u64,
                oldest: lane.queue.front().map(|entry| entry.emitted),
            })
            .collect())
    }

    /// One host.
    pub fn standing(&self, host: &str) -> Result<Option<(Record, u64)>, OutboxError> {
        let state = self.state()?;
        let lane = state.lanes.get(host);
        Ok(lane.map(|lane| (lane.record.clone(), lane.queue.len() as u64)))
    }

    /// Folds older revisions of the host with most into its newest, until there is room.
    fn fold(&self, state: &mut State) -> Result<(), OutboxError> {
        while state.bytes > self.limit {
            let most = state
                .lanes
                .iter()
                .filter(|(_, lane)| lane.queue.len() > 1)
                .max_by_key(|(_, lane)| lane.cost());
            let Some((host, lane)) = most else {
                return Ok(()); // one of each host: these stay
            };
            let (host, mut record) = (host.clone(), lane.record.clone());
            let mut excess = state.bytes - self.limit;
            let mut removed = Vec::new();
            for entry in lane.queue.iter().take(lane.queue.len() - 1) {
                removed.push(entry.sequence);
                excess = excess.saturating_sub(cost(entry));
                if excess == 0 {
                    break;
                }
            }
            let folded = removed.len() as u64;
            record.merged += folded;
            state.merged += folded;
            self.apply(
                state,
                Change {
                    host: &host,
                    record: Some(record),
                    removed,
                    ..Change::default()
                },
            )?;
        }
        Ok(())
    }

    fn make_room_for_a_host(&self, state: &mut State, host: &str) -> Result<(), OutboxError> {
        if state.lanes.len() < MOST_HOSTS || state.lanes.contains_key(host) {
            return Ok(());
        }
        let idle = state
            .lanes
            .iter()
            .filter(|(_, lane)| lane.queue.is_empty())
            .min_by_key(|(_, lane)| lane.record.delivered.as_ref().map_or(0, |d| d.at))
            .map(|(host, _)| host.clone());
        if let Some(idle) = idle {
            self.apply(
                state,
                Change {
                    host: &idle,
                    ..Change::default()
                },
            )?;
        }
        Ok(())
    }

    /// Writes a change in one transaction, then makes it true in memory. Without a record the host is forgotten.
    fn apply(&self, state: &mut State, change: Change<'_>) -> Result<(), OutboxError> {
        let Change {
            host,
            record,
            removed,
            added,
        } = &change;
        self.write(state, |write, merged| {
            let mut hosts = write.open_table(HOSTS)?;
            match record {
                Some(record) => hosts.insert(*host, encode(record).as_slice())?,
                None => hosts.remove(*host)?,
            };
            let mut queue = write.open_table(QUEUE)?;
            let mut bodies = write.open_table(BODIES)?;
            for sequence in removed {
                queue.remove((*host, *sequence))?;
                bodies.remove((*host, *sequence))?;
            }
            for (entry, body) in added {
                queue.insert((*host, entry.sequence), encode(entry).as_slice())?;
                if let Some(body) = body {
                    bodies.insert((*host, entry.sequence), *body)?;
                }
            }
            let mut meta = write.open_table(META)?;
            meta.insert("merged", merged.to_be_bytes().as_slice())?;
            Ok(())
        })?;
        state.take(host, |lane| {
            lane.queue
                .retain(|entry| !removed.contains(&entry.sequence));
            lane.queue
                .extend(added.iter().map(|(entry, _)| entry.clone()));
            if let Some(record) = record {
                lane.record = record.clone();
            }
        });
        if record.is_none() {
            state.lanes.remove(*host);
        }
        Ok(())
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, OutboxError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.database.is_none() {
            *state = self.open()?;
        }
        Ok(state)
    }

    fn open(&self) -> Result<State, OutboxError> {
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

    fn load(&self, database: &Database) -> Result<State, OutboxError> {
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

    fn meta(&self, state: &State, name: &str) -> Result<Option<Vec<u8>>, OutboxError> {
        self.read(state, |read| {
            let meta = read.open_table(META)?;
            Ok(meta.get(name)?.map(|value| value.value().to_vec()))
        })
    }

    fn read<T>(
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
    fn write(
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

    fn failed(&self, what: &'static str) -> impl FnOnce(redb::Error) -> OutboxError {
        let path = self.path.clone();
        move |source| OutboxError::Database {
            what,
            path,
            source: Box::new(source),
        }
    }

    fn closed(&self) -> OutboxError {
        self.failed("use")(redb::Error::PreviousIo)
    }
}

impl State {
    /// Changes a lane, and keeps the sums and the order right.
    fn take(&mut self, host: &str, change: impl FnOnce(&mut Lane)) {
        let lane = self.lanes.entry(host.to_owned()).or_default();
        let before = (lane.cost(), lane.queue.len() as u64);
        if let Some(oldest) = lane.queue.front() {
            self.waiting.remove(&(oldest.emitted, host.to_owned()));
        }
        change(lane);
        if let Some(oldest) = lane.queue.front() {
            self.waiting.insert((oldest.emitted, host.to_owned()));
        }
        self.bytes = self.bytes + lane.cost() - before.0;
        self.pending = self.pending + lane.queue.len() as u64 - before.1;
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Numbers, texts and arrays into memory: there is nothing that could fail.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

#[cfg(test)]
mod tests;
