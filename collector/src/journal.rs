//! The journal: batches on disk before they are acknowledged, in append-only segment files.
//!
//! In: groups of batches to append, each group written and synchronised at once. Out: the same batches, in the same
//! order, to one reader: from memory as long as it keeps up, from the files when it lags or after a restart. So memory
//! is bounded however far the reader is behind, and the disk by a limit.
//!
//! Files are only ever appended to and deleted, never rewritten. Every start begins a new segment. What a crash or a bad
//! disk has damaged is reported, copied aside and stepped over; see [`frame`] for the format.
//!
//! After a failed write or sync the segment is given up at its last good end: what the kernel did with the pages of a
//! failed `fsync` is unknown, so nothing is ever appended behind them.

pub mod frame;
mod reader;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use reader::{Entry, Reader, Step};

/// A place in the journal. Every batch has one, ascending in the order of acknowledgement.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// Byte offset in it.
    pub offset: u64,
}

/// Bounds of the journal.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of segments kept at most.
    pub bytes: u64,
    /// Bytes of disk left free; `None`: 64 MiB, at most a tenth of the file system.
    pub disk_reserve: Option<u64>,
    /// Bytes of batches kept in memory for the reader.
    pub recent_bytes: usize,
}

/// Why a batch is not durable. All of these pass: the shim tries again later.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The reader is too far behind, or checkpoints fail.
    #[error(
        "the journal holds {held} bytes that are not checkpointed, journal_limit allows {limit}"
    )]
    Limit {
        /// Now.
        held: u64,
        /// The setting.
        limit: u64,
    },
    /// The disk is nearly full.
    #[error(
        "the disk of {dir} has {free} bytes free; the journal leaves {reserve} (disk_reserve) for checkpoints"
    )]
    Reserve {
        /// The journal's directory.
        dir: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes to be left.
        reserve: u64,
    },
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A damaged range found on opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment file.
    pub file: PathBuf,
    /// The bytes in it that are no whole frame.
    pub range: Range<u64>,
    /// Where a copy of them is, unless that could not be written.
    pub aside: Option<PathBuf>,
}

/// What opening found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Batches that are there to be learnt.
    pub batches: u64,
    /// Damaged ranges.
    pub damages: Vec<Damage>,
    /// The number the next segment will have: batches in segments before it were there on opening.
    pub first_segment: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    salt: u64,
    /// Everything before it is durable.
    end: u64,
    holes: Vec<Range<u64>>,
}

/// What the writer and the reader share.
#[derive(Debug)]
pub struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    active: Option<u64>,
    recent: VecDeque<Entry>,
    recent_bytes: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:020}.log"))
    }

    /// Bytes in all segments.
    pub fn held(&self) -> u64 {
        self.lock().segments.iter().map(|segment| segment.end).sum()
    }

    /// Deletes the segments that lie wholly before `learnt`, which the caller has made durable elsewhere.
    pub fn forget_before(&self, learnt: Position) {
        let mut gone = Vec::new();
        {
            let mut state = self.lock();
            while let Some(first) = state.segments.front() {
                let end = Position {
                    segment: first.number,
                    offset: first.end,
                };
                if end > learnt || state.active == Some(first.number) {
                    break;
                }
                gone.push(first.number);
                state.segments.pop_front();
            }
        }
        for number in gone {
            let path = self.path(number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "cannot delete a journal segment that is learnt");
            }
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    limits: Limits,
    next_number: u64,
    active: Option<Active>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Active {
    file: File,
    number: u64,
    salt: u64,
    end: u64,
}

/// A batch to append.
#[derive(Debug, Clone)]
pub struct Batch {
    /// When it was received, Unix milliseconds.
    pub received: u64,
    /// Its bytes.
    pub payload: Bytes,
}

impl Journal {
    /// Opens the journal in `dir` (created when missing) and finds every batch from `from` on; `found` sees each. Segments
    /// before `from` are deleted.
    pub fn open(
        dir: &Path,
        from: Position,
        limits: Limits,
        mut found: impl FnMut(&frame::Frame),
    ) -> Result<(Journal, Reader, Recovery), JournalError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
            let entry = entry.map_err(io_error("list", dir))?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_suffix(".log"))
                .and_then(|number| number.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut recovery = Recovery::default();
        let mut segments = VecDeque::new();
        for number in numbers.iter().copied() {
            let path = shared.path(number);
            if number < from.segment {
                fs::remove_file(&path).map_err(io_error("delete", &path))?;
                continue;
            }
            let bytes = Bytes::from(fs::read(&path).map_err(io_error("read", &path))?);
            let start = if number == from.segment {
                from.offset
            } else {
                0
            };
            let end = bytes.len() as u64;
            let (salt, holes) = match frame::read_segment_header(&bytes, number) {
                Some(salt) => {
                    let scan = frame::scan(&bytes, start, salt, |frame| {
                        recovery.batches += 1;
                        found(&frame);
                    });
                    (salt, scan.holes)
                }
                None => (0, std::iter::once(0..end).collect()),
            };
            for range in &holes {
                recovery
                    .damages
                    .push(set_aside(&path, &bytes, range.clone()));
            }
            segments.push_back(Segment {
                number,
                salt,
                end,
                holes,
            });
        }
        let next_number = numbers
            .last()
            .copied()
            .unwrap_or(0)
            .max(from.segment)
            .saturating_add(1);
        recovery.first_segment = next_number;
        shared.lock().segments = segments;
        let reader = Reader::new(shared.clone(), from);
        let journal = Journal {
            shared,
            limits,
            next_number,
            active: None,
            buffer: Vec::new(),
        };
        Ok((journal, reader, recovery))
    }

    /// What it shares with the reader.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Makes a group of batches durable, all or none. When it returns `Ok` they survive a power cut.
    pub fn append(&mut self, group: &[Batch]) -> Result<(), JournalError> {
        let bytes: usize = group
            .iter()
            .map(|batch| frame::FRAME_HEADER + batch.payload.len())
            .sum();
        self.admit(bytes as u64)?;
        let roll_at = (self.limits.bytes / 8).min(16 << 20);
        if self
            .active
            .as_ref()
            .is_none_or(|active| active.end >= roll_at)
        {
            self.roll()?;
        }
        let Some(active) = &mut self.active else {
            return Ok(()); // roll() has just set it
        };
        self.buffer.clear();
        self.buffer.reserve(bytes);
        for batch in group {
            frame::write_frame(
                &mut self.buffer,
                active.salt,
                batch.received,
                &batch.payload,
            );
        }
        let written = active
            .file
            .write_all_at(&self.buffer, active.end)
            .map_err(|source| ("write to", source))
            .and_then(|()| {
                active
                    .file
                    .sync_data()
                    .map_err(|source| ("synchronise", source))
            });
        if self.buffer.capacity() > 16 << 20 {
            self.buffer = Vec::new();
        }
        if let Err((what, source)) = written {
            let path = self.shared.path(active.number);
            // So that recovery does not report the torn frame; if this fails too, it will, and nothing else.
            let _ = active.file.set_len(active.end);
            self.active = None;
            self.shared.lock().active = None;
            return Err(JournalError::Io { what, path, source });
        }
        let mut state = self.shared.lock();
        for batch in group {
            let offset = active.end;
            active.end += (frame::FRAME_HEADER + batch.payload.len()) as u64;
            // Once one entry is left out, the reader takes the file until it is at the entries behind it again.
            if state.recent_bytes + batch.payload.len() <= self.limits.recent_bytes {
                state.recent_bytes += batch.payload.len();
                state.recent.push_back(Entry {
                    position: Position {
                        segment: active.number,
                        offset,
                    },
                    end: Position {
                        segment: active.number,
                        offset: active.end,
                    },
                    received: batch.received,
                    payload: batch.payload.clone(),
                });
            }
        }
        if let Some(last) = state.segments.back_mut() {
            last.end = active.end;
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Whether a write would be let through now: starts a segment if need be. For a writer that waits for space to
    /// return while nobody sends.
    pub fn probe(&mut self) -> Result<(), JournalError> {
        self.admit(4096)?;
        match self.active {
            Some(_) => Ok(()),
            None => self.roll(),
        }
    }

    #[cfg(test)]
    pub(crate) fn limits_for_test(&mut self, bytes: u64) {
        self.limits.bytes = bytes;
    }

    fn admit(&self, bytes: u64) -> Result<(), JournalError> {
        let held = self.shared.held();
        if held + bytes > self.limits.bytes {
            return Err(JournalError::Limit {
                held,
                limit: self.limits.bytes,
            });
        }
        let dir = &self.shared.dir;
        let disk = rustix::fs::statvfs(dir)
            .map_err(|errno| io_error("ask for the free space of", dir)(errno.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let size = disk.f_blocks.saturating_mul(disk.f_frsize);
        let reserve = self
            .limits
            .disk_reserve
            .unwrap_or_else(|| (64 << 20).min(size / 10));
        if free < reserve.saturating_add(bytes) {
            return Err(JournalError::Reserve {
                dir: dir.clone(),
                free,
                reserve,
            });
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), JournalError> {
        let number = self.next_number;
        let path = self.shared.path(number);
        let salt = getrandom::u64().map_err(|error| JournalError::Io {
            what: "draw a random number for",
            path: path.clone(),
            source: io::Error::other(error),
        })?;
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("create", &path))?;
        let started = file
            .write_all_at(&frame::segment_header(number, salt), 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(&self.shared.dir)?.sync_all());
        if let Err(source) = started {
            let _ = fs::remove_file(&path);
            return Err(io_error("start", &path)(source));
        }
        self.next_number = number.saturating_add(1);
        self.active = Some(Active {
            file,
            number,
            salt,
            end: frame::SEGMENT_HEADER,
        });
        let mut state = self.shared.lock();
        state.active = Some(number);
        state.segments.push_back(Segment {
            number,
            salt,
            end: frame::SEGMENT_HEADER,
            holes: Vec::new(),
        });
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.active = None;
        drop(state);
        self.shared.changed.notify_all();
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { what, path, source }
}

/// Copies a damaged range to `NAME.log.corrupt-OFFSET`, for whoever wants to look. A full disk is no reason not to start.
fn set_aside(path: &Path, bytes: &[u8], range: Range<u64>) -> Damage {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".corrupt-{}", range.start));
    let aside = PathBuf::from(name);
    let damaged = bytes
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default();
    let written = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|file| file.write_all_at(damaged, 0));
    Damage {
        file: path.to_owned(),
        range,
        aside: written.is_ok().then_some(aside),
    }
}

#[cfg(test)]
mod tests;
