//! The reading end of the journal: every batch once, in order, from memory or from the files.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Position, Shared, frame};

/// A batch that is durable.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it is.
    pub position: Position,
    /// Where the next one is.
    pub end: Position,
    /// When it was received, Unix milliseconds.
    pub received: u64,
    /// Its bytes.
    pub payload: Bytes,
}

/// What there is to read.
#[derive(Debug)]
pub enum Step {
    /// A batch.
    Entry(Entry),
    /// Nothing within the time given.
    Idle,
    /// Nothing, and there will be nothing: the writer is gone.
    Closed,
}

/// The one reader of a journal.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    next: Position,
    open: Option<(u64, File)>,
}

enum Plan {
    Read { number: u64, salt: u64, end: u64 },
    Take(Entry),
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, next: Position) -> Reader {
        Reader {
            shared,
            next,
            open: None,
        }
    }

    /// Everything before it has been read.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Whether the writer is gone: what can be read now is all there will be.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// The next batch; waits for one at most `patience`.
    pub fn next(&mut self, patience: Duration) -> Step {
        let until = Instant::now() + patience;
        loop {
            let plan = {
                let shared = self.shared.clone();
                let mut state = shared.lock();
                loop {
                    if let Some(plan) = self.plan(&mut state) {
                        break plan;
                    }
                    if state.closed {
                        return Step::Closed;
                    }
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Step::Idle;
                    }
                    state = match shared.changed.wait_timeout(state, left) {
                        Ok((state, _)) => state,
                        Err(poisoned) => poisoned.into_inner().0,
                    };
                }
            };
            match plan {
                Plan::Take(entry) => {
                    self.next = entry.end;
                    return Step::Entry(entry);
                }
                Plan::Read { number, salt, end } => {
                    if let Some(entry) = self.read(number, salt, end) {
                        self.next = entry.end;
                        return Step::Entry(entry);
                    }
                }
            }
        }
    }

    /// Steps over holes and ends of segments; then says where the next batch is to be had, if there is one.
    fn plan(&mut self, state: &mut super::State) -> Option<Plan> {
        loop {
            let segment = state
                .segments
                .iter()
                .find(|segment| segment.number >= self.next.segment)?;
            if segment.number > self.next.segment {
                self.next = Position {
                    segment: segment.number,
                    offset: frame::SEGMENT_HEADER,
                };
                self.open = None;
            }
            let at = self.next.offset.max(frame::SEGMENT_HEADER);
            let at = segment
                .holes
                .iter()
                .find(|hole| hole.contains(&at))
                .map_or(at, |hole| hole.end);
            self.next.offset = at;
            if at < segment.end {
                let (number, salt, end) = (segment.number, segment.salt, segment.end);
                while let Some(first) = state.recent.front() {
                    if first.position > self.next {
                        break;
                    }
                    let entry = state.recent.pop_front()?;
                    state.recent_bytes = state.recent_bytes.saturating_sub(entry.payload.len());
                    if entry.position == self.next {
                        return Some(Plan::Take(entry));
                    }
                }
                return Some(Plan::Read { number, salt, end });
            }
            let following = Position {
                segment: self.next.segment.checked_add(1)?,
                offset: frame::SEGMENT_HEADER,
            };
            state
                .segments
                .iter()
                .find(|segment| segment.number >= following.segment)?;
            self.next = following;
            self.open = None;
        }
    }

    /// Reads the frame at `next` from its file. What cannot be read although it was durable is reported and stepped
    /// over to `end`: the disk has lost it.
    fn read(&mut self, number: u64, salt: u64, end: u64) -> Option<Entry> {
        let offset = self.next.offset;
        match self.read_frame(number, salt, end) {
            Ok(Some(found)) => Some(Entry {
                position: self.next,
                end: Position {
                    segment: number,
                    offset: offset + (frame::FRAME_HEADER + found.payload.len()) as u64,
                },
                received: found.received,
                payload: found.payload,
            }),
            failed => {
                let error = match failed {
                    Err(error) => error.to_string(),
                    Ok(_) => "the checksum is wrong".to_owned(),
                };
                tracing::error!(
                    file = %self.shared.path(number).display(), offset, bytes = end - offset, %error,
                    "a part of the journal can no longer be read; its exchanges are lost"
                );
                self.next.offset = end;
                self.open = None;
                None
            }
        }
    }

    fn read_frame(
        &mut self,
        number: u64,
        salt: u64,
        end: u64,
    ) -> std::io::Result<Option<frame::Frame>> {
        let file = match &mut self.open {
            Some((open, file)) if *open == number => file,
            open => {
                &mut open
                    .insert((number, File::open(self.shared.path(number))?))
                    .1
            }
        };
        let offset = self.next.offset;
        let mut header = [0; frame::FRAME_HEADER];
        file.read_exact_at(&mut header, offset)?;
        let Some(length) = frame::payload_length(&header)
            .filter(|length| offset + (frame::FRAME_HEADER + length) as u64 <= end)
        else {
            return Ok(None);
        };
        let mut bytes = vec![0; frame::FRAME_HEADER + length];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(frame::read_frame(&Bytes::from(bytes), 0, salt))
    }
}
