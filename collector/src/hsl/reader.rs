//! Bytes of a connection as lines.
//!
//! In: chunks, cut anywhere. Out: lines without their LF, each no longer than [`MAX_LINE`]; a longer one is passed over up to its
//! LF, and said once. What stands in a line is not looked at. It never holds more than one line and what was read behind it.

use memchr::memchr;

/// Bytes of a line, with its LF.
pub const MAX_LINE: usize = 256 << 10;
/// Room made for each read.
const READ: usize = 64 << 10;
/// What stays allocated between two bursts.
const KEPT: usize = 2 * READ;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Whole, without its LF.
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE`]; so many bytes of it were there when that was seen.
    TooLong(usize),
}

/// The lines of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no LF.
    searched: usize,
    /// Passing over a line that was too long.
    skipping: bool,
}

impl Reader {
    /// Where to append what was read.
    pub fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            // At most one line that is not whole yet: all others have been taken.
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        self.buffer.reserve(READ);
        &mut self.buffer
    }

    /// The next line, as far as there is one.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        loop {
            let fresh = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(at) = memchr(b'\n', fresh) else {
                self.searched = self.buffer.len();
                return self.unfinished();
            };
            let end = self.searched + at;
            let line = self.start..end;
            self.start = end + 1;
            self.searched = self.start;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() >= MAX_LINE {
                return Some(Line::TooLong(line.len()));
            }
            return self.buffer.get(line).map(Line::Whole);
        }
    }

    /// No LF yet: too long already?
    fn unfinished(&mut self) -> Option<Line<'static>> {
        let there = self.buffer.len() - self.start;
        if self.skipping {
            self.start = self.buffer.len();
            return None;
        }
        if there < MAX_LINE {
            return None;
        }
        self.start = self.buffer.len();
        self.skipping = true;
        Some(Line::TooLong(there))
    }

    /// Whether a line has begun and not ended.
    pub fn is_within_a_line(&self) -> bool {
        self.skipping || self.buffer.len() > self.start
    }

    /// What stands after the last LF when the connection has ended.
    pub fn rest(&self) -> Option<&[u8]> {
        self.buffer
            .get(self.start..)
            .filter(|rest| !rest.is_empty() && !self.skipping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(reader: &mut Reader, chunk: &[u8]) -> Vec<Result<Vec<u8>, usize>> {
        reader.space().extend_from_slice(chunk);
        let mut found = Vec::new();
        while let Some(line) = reader.next_line() {
            found.push(match line {
                Line::Whole(line) => Ok(line.to_vec()),
                Line::TooLong(bytes) => Err(bytes),
            });
        }
        found
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut reader = Reader::default();
        assert_eq!(lines(&mut reader, b"one\ntw"), [Ok(b"one".to_vec())]);
        assert!(reader.is_within_a_line());
        assert_eq!(lines(&mut reader, b""), []);
        assert_eq!(
            lines(&mut reader, b"o\n\nthree"),
            [Ok(b"two".to_vec()), Ok(Vec::new())]
        );
        assert_eq!(reader.rest(), Some(b"three".as_slice()));
    }

    #[test]
    fn a_line_that_is_too_long_costs_itself_alone_and_no_memory() {
        let mut reader = Reader::default();
        let chunk = vec![b'x'; 50_000];
        let mut said = Vec::new();
        for _ in 0..100 {
            said.extend(lines(&mut reader, &chunk));
            assert!(reader.buffer.capacity() <= 2 * (MAX_LINE + READ));
        }
        assert_eq!(said, [Err(300_000)]);
        assert!(reader.is_within_a_line() && reader.rest().is_none());
        assert_eq!(lines(&mut reader, b"yy\nnext\n"), [Ok(b"next".to_vec())]);
        assert!(!reader.is_within_a_line());
        // Whole in one chunk is as much too long; one byte less is not.
        let mut line = vec![b'x'; MAX_LINE];
        line.push(b'\n');
        assert_eq!(lines(&mut reader, &line), [Err(MAX_LINE)]);
        assert_eq!(lines(&mut reader, &line[1..]).len(), 1);
        assert!(lines(&mut reader, b"z\n")[0].is_ok());
        reader.space();
        reader.space();
        assert!(reader.buffer.capacity() <= KEPT);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400), cuts in proptest::collection::vec(0usize..400, 0..9)) {
            let mut reader = Reader::default();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                found.extend(lines(&mut reader, &text[pair[0]..pair[1]]));
            }
            let mut expected: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let rest = expected.pop().unwrap();
            prop_assert_eq!(reader.rest().unwrap_or_default(), rest);
            prop_assert_eq!(found, expected.into_iter().map(Ok).collect::<Vec<_>>());
        }
    }
}
