//! Finds the entries in the text of an archive without parsing them.
//!
//! In: a reader. Out: the bytes of each element of `log.entries`, with its place. Everything else in the file is passed
//! over as it streams by. A JSON parser that reads from a stream would keep whole strings and copy every byte one by one;
//! this one looks for quotes and brackets only, so that memory has a bound ([`MAX_ENTRY`]) and parsing proper, done from
//! a slice, can go on in other threads. It never judges what is inside an entry.

use std::io::{self, Read};

use memchr::{memchr_iter, memchr2};

use super::{HarError, shape};

/// The largest entry kept, in bytes of JSON. A larger one (a film in base64) is passed over and reported.
pub const MAX_ENTRY: usize = 32 << 20;

const CHUNK: usize = 256 << 10;
/// As much of a key as is kept: enough for every key that matters here.
const MAX_KEY: usize = 64;
/// As many keys of something else as are remembered to say what it is.
const MAX_KEYS: usize = 24;

/// The bytes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// Its number over all archives of the input, from 1.
    pub index: u64,
    /// Where it begins, in bytes from 0.
    pub offset: u64,
    /// Where it begins, in lines from 1.
    pub line: u64,
    /// Its JSON text.
    pub json: &'a [u8],
}

/// What comes next in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// An entry.
    Entry(RawEntry<'a>),
    /// An entry above the size limit; its number and size in bytes.
    TooLarge {
        /// Its number, from 1.
        index: u64,
        /// Its size in bytes of JSON.
        size: u64,
    },
}

/// Reads the entries of one archive, or of several one after another, in order.
pub struct Reader<R> {
    input: Input<R>,
    place: Place,
    max_entry: usize,
    entries: u64,
    archives: u64,
    keys: Vec<String>,
}

/// Where in the archive the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before an archive or after the last.
    Outside,
    /// Between the members of the archive; whether `log` was among them.
    Archive { first: bool, log: bool },
    /// Between the members of `log`.
    Log { first: bool, entries: bool },
    /// Between the elements of `log.entries`.
    Entries { first: bool },
}

impl<R: Read> Reader<R> {
    /// A reader that keeps entries up to [`MAX_ENTRY`].
    pub fn new(reader: R) -> Self {
        Self::with_max_entry(reader, MAX_ENTRY)
    }

    /// A reader that keeps entries up to `max_entry` bytes.
    pub fn with_max_entry(reader: R, max_entry: usize) -> Self {
        let input = Input {
            reader,
            buffer: Vec::new(),
            at: 0,
            counted: 0,
            before: 0,
            lines: 1,
            failed: None,
            ended: false,
        };
        Self {
            input,
            place: Place::Outside,
            max_entry,
            entries: 0,
            archives: 0,
            keys: Vec::new(),
        }
    }

    /// Entries met so far, whole and within the limit or not.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The next entry; `None` at the end. After an error there is nothing more to be had.
    pub fn next_entry(&mut self) -> Result<Option<Item<'_>>, HarError> {
        loop {
            match self.place {
                Place::Outside => {
                    if !self.enter_archive()? {
                        return Ok(None);
                    }
                }
                Place::Archive { first, log } => self.archive_member(first, log)?,
                Place::Log { first, entries } => self.log_member(first, entries)?,
                Place::Entries { first } => {
                    if self.has_element(first)? {
                        return self.element().map(Some);
                    }
                    self.place = Place::Log {
                        first: false,
                        entries: true,
                    };
                }
            }
        }
    }

    fn enter_archive(&mut self) -> Result<bool, HarError> {
        if self.archives == 0 {
            let head = self.fill(8192)?;
            if let Some((what, hint)) = shape::of_bytes(head) {
                return Err(HarError::Shape {
                    what: what.to_owned(),
                    hint,
                });
            }
            if head.starts_with(b"\xef\xbb\xbf") {
                self.input.at += 3;
            }
        }
        match self.peek()? {
            None if self.archives == 0 => Err(HarError::Empty),
            None => Ok(false),
            Some(b'{') => {
                self.input.at += 1;
                self.archives += 1;
                self.keys.clear();
                self.place = Place::Archive {
                    first: true,
                    log: false,
                };
                Ok(true)
            }
            Some(first) if self.archives == 0 => Err(HarError::Shape {
                what: shape::of_first_byte(first).to_owned(),
                hint: "",
            }),
            Some(_) => Err(self.broken("the end or another archive")),
        }
    }

    fn archive_member(&mut self, first: bool, log: bool) -> Result<(), HarError> {
        let Some(key) = self
            .key(first)
            .or_else(|error| self.unless_cut_behind(log, error))?
        else {
            self.place = Place::Outside;
            if log {
                return Ok(());
            }
            let (what, hint) = shape::of_keys(&self.keys);
            return Err(HarError::Shape { what, hint });
        };
        if key != "log" {
            if self.keys.len() < MAX_KEYS {
                self.keys.push(key);
            }
            self.place = Place::Archive { first: false, log };
            return self
                .skip()
                .or_else(|error| self.unless_cut_behind(log, error));
        }
        match self.peek()? {
            Some(b'{') => {
                self.input.at += 1;
                self.place = Place::Log {
                    first: true,
                    entries: false,
                };
                Ok(())
            }
            Some(_) => Err(self.broken("an object as the value of \"log\"")),
            None => Err(self.truncated("before the value of \"log\"")),
        }
    }

    /// Once all entries are there, what a cut took from the tail says nothing about traffic.
    fn unless_cut_behind<T: Default>(
        &mut self,
        entries: bool,
        error: HarError,
    ) -> Result<T, HarError> {
        match error {
            HarError::Truncated { .. } if entries => {
                self.input.at = self.input.buffer.len();
                self.place = Place::Outside;
                Ok(T::default())
            }
            other => Err(other),
        }
    }

    fn log_member(&mut self, first: bool, entries: bool) -> Result<(), HarError> {
        let Some(key) = self
            .key(first)
            .or_else(|error| self.unless_cut_behind(entries, error))?
        else {
            if !entries {
                return Err(HarError::Shape {
                    what: "a JSON object whose \"log\" has no \"entries\"".to_owned(),
                    hint: "",
                });
            }
            self.place = Place::Archive {
                first: false,
                log: true,
            };
            return Ok(());
        };
        self.place = Place::Log {
            first: false,
            entries,
        };
        if key != "entries" {
            return self
                .skip()
                .or_else(|error| self.unless_cut_behind(entries, error));
        }
        match self.peek()? {
            Some(b'[') => {
                self.input.at += 1;
                self.place = Place::Entries { first: true };
            }
            Some(b'n') => {
                self.skip()?;
                self.place = Place::Log {
                    first: false,
                    entries: true,
                };
            }
            Some(_) => return Err(self.broken("an array as the value of \"log.entries\"")),
            None => return Err(self.truncated("before the value of \"log.entries\"")),
        }
        Ok(())
    }

    /// Moves to the next element of `log.entries`; false after the last.
    fn has_element(&mut self, first: bool) -> Result<bool, HarError> {
        match self.peek()? {
            Some(b']') => {
                self.input.at += 1;
                return Ok(false);
            }
            Some(b',') if !first => {
                self.input.at += 1;
                // Hand-edited archives end in a comma.
                if self.peek()? == Some(b']') {
                    self.input.at += 1;
                    return Ok(false);
                }
            }
            Some(_) if first => {}
            Some(_) => return Err(self.broken("',' or ']' after an entry")),
            None => {}
        }
        match self.peek()? {
            Some(b'{') => Ok(true),
            Some(_) => Err(self.broken("an object as an entry of \"log.entries\"")),
            None => {
                let inside = if self.entries == 0 {
                    "before the first entry"
                } else {
                    "between two entries"
                };
                Err(self.truncated(inside))
            }
        }
    }

    fn element(&mut self) -> Result<Item<'_>, HarError> {
        self.place = Place::Entries { first: false };
        let index = self.entries + 1;
        let (offset, line) = self.input.place();
        let mut value = Value::default();
        let mut length = 0;
        let mut size = 0u64;
        loop {
            let unread = self.input.unread().get(length..).unwrap_or_default();
            match value.advance(unread) {
                Some(used) => {
                    length += used;
                    break;
                }
                None => length += unread.len(),
            }
            if length > self.max_entry {
                size += length as u64;
                self.input.at += length;
                length = 0;
            }
            if self.more()? == 0 {
                self.input.at = self.input.buffer.len();
                return Err(self.truncated(&format!(
                    "in the middle of entry {index} (which begins at byte {offset}, line {line})"
                )));
            }
        }
        self.entries = index;
        let start = self.input.at;
        self.input.at += length;
        if size > 0 || length > self.max_entry {
            return Ok(Item::TooLarge {
                index,
                size: size + length as u64,
            });
        }
        let json = self
            .input
            .buffer
            .get(start..start + length)
            .unwrap_or_default();
        Ok(Item::Entry(RawEntry {
            index,
            offset,
            line,
            json,
        }))
    }

    /// The next key of an object and its colon; `None` at the object's end.
    fn key(&mut self, first: bool) -> Result<Option<String>, HarError> {
        match self.peek()? {
            Some(b'}') => {
                self.input.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => self.input.at += 1,
            Some(_) if first => {}
            Some(_) => return Err(self.broken("',' or '}'")),
            None => return Err(self.truncated("inside an object")),
        }
        match self.peek()? {
            Some(b'"') => {}
            Some(_) => return Err(self.broken("a key in double quotes")),
            None => return Err(self.truncated("inside an object")),
        }
        let mut key = Vec::new();
        let mut value = Value::default();
        loop {
            let unread = self.input.unread();
            let used = value.advance(unread);
            let taken = unread
                .get(..used.unwrap_or(unread.len()))
                .unwrap_or_default();
            key.extend(taken.iter().take(MAX_KEY.saturating_sub(key.len())));
            self.input.at += taken.len();
            if used.is_some() {
                break;
            }
            if self.more()? == 0 {
                return Err(self.truncated("inside a key"));
            }
        }
        match self.peek()? {
            Some(b':') => self.input.at += 1,
            Some(_) => return Err(self.broken("':' after a key")),
            None => return Err(self.truncated("after a key")),
        }
        Ok(Some(
            String::from_utf8_lossy(&key).trim_matches('"').to_owned(),
        ))
    }

    /// Passes over the next value.
    fn skip(&mut self) -> Result<(), HarError> {
        match self.peek()? {
            Some(b',' | b'}' | b']' | b':') => return Err(self.broken("a value")),
            Some(_) => {}
            None => return Err(self.truncated("before a value")),
        }
        let mut value = Value::default();
        loop {
            let unread = self.input.unread();
            match value.advance(unread) {
                Some(used) => {
                    self.input.at += used;
                    return Ok(());
                }
                None => self.input.at += unread.len(),
            }
            if self.more()? == 0 {
                return Err(self.truncated("inside a value"));
            }
        }
    }

    /// The next byte that is not white space, without taking it.
    fn peek(&mut self) -> Result<Option<u8>, HarError> {
        loop {
            let unread = self.input.unread();
            match unread.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(skip) => {
                    self.input.at += skip;
                    return Ok(self.input.unread().first().copied());
                }
                None => self.input.at += unread.len(),
            }
            if self.more()? == 0 {
                return Ok(None);
            }
        }
    }

    /// At least `length` unread bytes, fewer at the end of the input.
    fn fill(&mut self, length: usize) -> Result<&[u8], HarError> {
        while self.input.unread().len() < length {
            match self.input.more() {
                Ok(0) => break,
                Ok(_) => {}
                // Told once what is there is used up.
                Err(error) if !self.input.unread().is_empty() => {
                    self.input.failed = Some(error);
                    break;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(self.input.unread())
    }

    fn more(&mut self) -> Result<usize, HarError> {
        self.input.more().map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> HarError {
        HarError::Read {
            entries: self.entries,
            offset: self.input.before + self.input.buffer.len() as u64,
            source,
        }
    }

    fn broken(&mut self, expected: &'static str) -> HarError {
        let (offset, line) = self.input.place();
        let head = self
            .input
            .unread()
            .get(..self.input.unread().len().min(16))
            .unwrap_or_default();
        let found = format!("{:?}", String::from_utf8_lossy(head));
        HarError::Broken {
            offset,
            line,
            expected,
            found,
            entries: self.entries,
        }
    }

    fn truncated(&mut self, inside: &str) -> HarError {
        let (offset, line) = self.input.place();
        HarError::Truncated {
            offset,
            line,
            inside: inside.to_owned(),
            entries: self.entries,
        }
    }
}

/// The unread part of the input, and how far it is.
struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The first unread byte in `buffer`.
    at: usize,
    /// Up to where in `buffer` line ends are counted.
    counted: usize,
    /// Bytes of the input before `buffer`.
    before: u64,
    /// Line ends before `counted`, plus one.
    lines: u64,
    /// The reader's error, until what came before it is used up.
    failed: Option<io::Error>,
    ended: bool,
}

impl<R: Read> Input<R> {
    fn unread(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Offset and line of the next unread byte.
    fn place(&mut self) -> (u64, u64) {
        let passed = self.buffer.get(self.counted..self.at).unwrap_or_default();
        self.lines += memchr_iter(b'\n', passed).count() as u64;
        self.counted = self.counted.max(self.at);
        (self.before + self.at as u64, self.lines)
    }

    /// Reads on, keeping what is unread; how many bytes came, 0 at the end.
    fn more(&mut self) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.at > 0 {
            self.place();
            self.buffer.drain(..self.at);
            self.before += self.at as u64;
            self.at = 0;
            self.counted = 0;
            // One large entry must not cost its size for the rest of the file.
            if self.buffer.len() < CHUNK && self.buffer.capacity() > 8 * CHUNK {
                self.buffer.shrink_to(2 * CHUNK);
            }
        }
        let kept = self.buffer.len();
        let result = match self.failed.take() {
            Some(error) => Err(error),
            None => self
                .reader
                .by_ref()
                .take(CHUNK as u64)
                .read_to_end(&mut self.buffer),
        };
        let came = self.buffer.len() - kept;
        match result {
            // What came before the failure is good, and may end an entry.
            Err(error) if came > 0 => self.failed = Some(error),
            Err(error) => return Err(error),
            Ok(_) => self.ended = came == 0,
        }
        Ok(came)
    }
}

/// Finds the end of one JSON value, given in any number of pieces.
#[derive(Default)]
struct Value {
    depth: u64,
    in_string: bool,
    escaped: bool,
    in_scalar: bool,
}

impl Value {
    /// How many bytes of `piece` still belong to the value, when it ends there.
    fn advance(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.in_string {
                if self.escaped {
                    piece.get(at)?;
                    self.escaped = false;
                    at += 1;
                }
                at += memchr2(b'"', b'\\', piece.get(at..)?)?;
                if piece.get(at) == Some(&b'\\') {
                    self.escaped = true;
                    at += 1;
                    continue;
                }
                self.in_string = false;
                at += 1;
                if self.depth == 0 {
                    return Some(at);
                }
            }
            match piece.get(at)? {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                b'}' | b']' => return Some(at + usize::from(self.depth == 1)),
                b',' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 && self.in_scalar => {
                    return Some(at);
                }
                _ if self.depth == 0 => self.in_scalar = true,
                _ => {}
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests;
