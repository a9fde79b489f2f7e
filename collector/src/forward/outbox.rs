//! What waits to be sent: revisions per host, in order, on disk before anything is sent and until the catalog has answered.
//!
//! In: documents of hosts, each with its contract; answers of the catalog. Out: the oldest revision of each host, and what became of
//! those before. Bounded in bytes: when it is full the older revisions of the host with most are folded into its newest,
//! which replaces them anyway, and counted; the newest of a host is never dropped for room. A document whose contract is that of
//! the host's newest revision makes no other one. Sequence numbers grow for ever, per host.
//!
//! It is a database file of its own. Lists are held in memory, bodies are not. After an error the file is opened again with the next
//! call, and memory follows what the file says.

mod database;
mod entry;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use redb::Database;

use database::{BODIES, HOSTS, META, QUEUE, encode};

pub use database::OutboxError;
pub use entry::{Delivered, Entry, Put, Record, Refused, Standing, Totals};

/// The file in the data directory.
pub const FILE: &str = "outbox.redb";

/// Hosts that are remembered; beyond it those are forgotten that wait for nothing and were sent longest ago. Their numbers begin anew
/// then, and the catalog says where to go on.
const MOST_HOSTS: usize = 100_000;

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

#[cfg(test)]
mod tests;
