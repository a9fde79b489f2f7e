//! Heads of messages as a BIG-IP shows them.
//!
//! In: a head in base64, raw as it came or cut at a bound. Out: its first line in parts and its headers by httparse, after what a
//! BIG-IP lets through and httparse does not is made regular: `HTTP/2.0`, raw spaces and Latin-1 in the target, no reason phrase, no
//! empty line, header lines that go on in the next line. Header lines that are none are left out and counted.

use std::mem::MaybeUninit;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::{Header, ParserConfig, Response};
use memchr::{memchr, memchr3, memrchr};

/// Headers of a message.
pub const MAX_HEADERS: usize = 1024;

/// What httparse reads instead of the first line, which is read here.
const LINE: &[u8] = b"HTTP/1.1 200\r\n";

/// A head that is none; the text goes on after `the request head …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadError(pub &'static str);

/// One decoded head; used again for the next one.
#[derive(Debug, Default)]
pub struct Head {
    /// The first line.
    line: Vec<u8>,
    /// As much room as [`LINE`] takes, then the head.
    bytes: Vec<u8>,
    /// Where in `bytes` a head begins that httparse reads.
    regular: usize,
    /// Header lines in it.
    lines: usize,
}

impl Head {
    /// Decodes a head. `cut`: it is only the beginning, so its last line counts for nothing unless it is the first one.
    ///
    /// # Errors
    /// It is no base64.
    pub fn decode(&mut self, base64: &[u8], cut: bool) -> Result<(), HeadError> {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(LINE);
        decode_onto(bytes, base64).map_err(|()| HeadError("is no base64"))?;
        let raw = bytes.get(LINE.len()..).unwrap_or_default();
        if cut && let Some(last) = memrchr(b'\n', raw) {
            bytes.truncate(LINE.len() + last + 1);
        }
        let raw = bytes.get(LINE.len()..).unwrap_or_default();
        let line = memchr(b'\n', raw).map_or(raw.len(), |at| at + 1);
        self.line.clear();
        self.line
            .extend_from_slice(raw.get(..line).unwrap_or_default().trim_ascii_end());
        let headers = LINE.len() + line;
        while bytes.len() > headers && matches!(bytes.last(), Some(b'\r' | b'\n')) {
            bytes.pop();
        }
        if bytes.len() > headers {
            bytes.extend_from_slice(b"\r\n");
        }
        // Its substitute takes the place of the first line.
        self.regular = line;
        if let Some(place) = bytes.get_mut(line..headers) {
            place.copy_from_slice(LINE);
        }
        self.lines = unfold(bytes.get_mut(headers..).unwrap_or_default());
        bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The first line.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The headers, and how many lines were none.
    ///
    /// # Errors
    /// There are more than [`MAX_HEADERS`].
    pub fn headers<'h, 'b>(
        &'b self,
        slots: &'h mut [MaybeUninit<Header<'b>>; MAX_HEADERS],
    ) -> Result<(&'h [Header<'b>], usize), HeadError> {
        let mut config = ParserConfig::default();
        config
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        let mut response = Response::new(&mut []);
        let regular = self.bytes.get(self.regular..).unwrap_or_default();
        config
            .parse_response_with_uninit_headers(&mut response, regular, slots)
            .map_err(|error| match error {
                httparse::Error::TooManyHeaders => HeadError("has more than 1024 headers"),
                _ => HeadError("has header lines that cannot be told apart"),
            })?;
        let headers: &'h [Header<'b>] = response.headers;
        Ok((headers, self.lines.saturating_sub(headers.len())))
    }
}

/// Makes one line of header lines that go on in the next one (RFC 9112, section 5.2), and what httparse gives a whole head up for
/// (NUL, a CR alone) what it gives a line up for. How many lines there are then.
fn unfold(headers: &mut [u8]) -> usize {
    let mut lines = 0;
    let mut from = 0;
    while let Some(at) = memchr3(b'\n', b'\r', b'\0', headers.get(from..).unwrap_or_default()) {
        let at = from + at;
        from = at + 1;
        match (headers[at], headers.get(from)) {
            (b'\n', Some(b' ' | b'\t')) => {
                headers[at] = b' ';
                if at > 0 && headers[at - 1] == b'\r' {
                    headers[at - 1] = b' ';
                }
            }
            (b'\n', _) => lines += 1,
            (b'\r', Some(b'\n')) => {}
            _ => headers[at] = 1,
        }
    }
    lines
}

/// Appends what base64 stands for.
pub(super) fn decode_onto(out: &mut Vec<u8>, base64: &[u8]) -> Result<(), ()> {
    let start = out.len();
    out.resize(start + base64.len().div_ceil(4) * 3, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let len = STANDARD.decode_slice(base64, room).map_err(|_| ())?;
    out.truncate(start + len);
    Ok(())
}

/// The first line of a request in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// Up to the first space.
    pub method: &'a [u8],
    /// From an absolute target; else the header `host` has it.
    pub authority: Option<&'a [u8]>,
    /// Without query.
    pub path: &'a [u8],
    /// Behind the first `?`.
    pub query: Option<&'a [u8]>,
    /// Path and query are only the beginning: whole segments and parameters of it.
    pub cut: bool,
}

impl<'a> RequestLine<'a> {
    /// Takes a first line apart. `cut`: it may be only the beginning, without a version.
    ///
    /// # Errors
    /// There is no method or no target.
    pub fn read(line: &'a [u8], cut: bool) -> Result<RequestLine<'a>, HeadError> {
        let space = memchr(b' ', line).ok_or(HeadError("has no target in its first line"))?;
        let (method, rest) = line.split_at(space);
        if method.is_empty() {
            return Err(HeadError("begins with a space"));
        }
        let rest = rest.trim_ascii();
        // The target may have raw spaces, so the version is what stands last.
        let versioned = memrchr(b' ', rest).filter(|at| {
            rest.get(at + 1..)
                .is_some_and(|last| last.starts_with(b"HTTP/"))
        });
        let mut target = match versioned {
            Some(at) => rest.get(..at).unwrap_or_default().trim_ascii_end(),
            None if rest.starts_with(b"HTTP/") => b"",
            None => rest,
        };
        let cut = cut && versioned.is_none();
        if cut {
            // Of a parameter or segment that was cut nobody could tell whether it is a secret.
            let end = match memchr(b'?', target) {
                Some(query) => memrchr(b'&', target).map_or(query + 1, |at| at.max(query + 1)),
                None => memrchr(b'/', target).map_or(0, |at| at + 1),
            };
            target = target.get(..end).unwrap_or_default();
        }
        if target.is_empty() {
            return Err(HeadError("has no target in its first line"));
        }
        let (authority, origin) = split_absolute(target);
        let (path, query) = match memchr(b'?', origin) {
            Some(at) => (origin.get(..at).unwrap_or_default(), origin.get(at + 1..)),
            None => (origin, None),
        };
        Ok(RequestLine {
            method,
            authority,
            // RFC 9112, section 3.2.1: an absolute target may have no path.
            path: if path.is_empty() { b"/" } else { path },
            query,
            cut,
        })
    }
}

/// The authority of an absolute target (RFC 9112, section 3.2.2), and what follows it.
fn split_absolute(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    for scheme in [b"http://".as_slice(), b"https://"] {
        let Some((begin, rest)) = target.split_at_checked(scheme.len()) else {
            continue;
        };
        if begin.eq_ignore_ascii_case(scheme) {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
                .unwrap_or(rest.len());
            let (authority, origin) = rest.split_at(end);
            return (Some(authority), origin);
        }
    }
    (None, target)
}

/// The status from the first line of a response.
///
/// # Errors
/// There are not three digits behind `HTTP/…`.
pub fn status(line: &[u8]) -> Result<u16, HeadError> {
    let no_status = HeadError("has no status of three digits in its first line");
    if !line.starts_with(b"HTTP/") {
        return Err(HeadError("does not begin with `HTTP/`"));
    }
    let at = memchr(b' ', line).ok_or(no_status)?;
    let rest = line.get(at..).unwrap_or_default().trim_ascii_start();
    let end = memchr(b' ', rest).unwrap_or(rest.len());
    let digits = rest.get(..end).filter(|digits| digits.len() == 3);
    digits
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or(no_status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &[u8], cut: bool) -> (String, Vec<(String, Vec<u8>)>, usize) {
        let mut head = Head::default();
        // What stood there before must not matter.
        head.decode(
            STANDARD
                .encode("GET /another HTTP/1.1\r\nx: y\r\n\r\n")
                .as_bytes(),
            false,
        )
        .unwrap();
        head.decode(STANDARD.encode(raw).as_bytes(), cut).unwrap();
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let (headers, odd) = head.headers(&mut slots).unwrap();
        let headers = headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.to_vec()))
            .collect();
        (
            String::from_utf8_lossy(head.line()).into_owned(),
            headers,
            odd,
        )
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        of.iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn headers_come_in_order_with_duplicates_whatever_the_first_line() {
        for line in [
            "GET / HTTP/1.1",
            "GET /a b\u{ff} HTTP/2.0",
            "G",
            "",
            "HTTP/1.1 200",
        ] {
            let raw = format!("{line}\r\nHost: a\r\nX-A: 1\r\nx-a:2  \r\n\r\n");
            let (first, headers, odd) = read(raw.as_bytes(), false);
            assert_eq!((first.as_str(), odd), (line, 0));
            assert_eq!(headers, pairs(&[("Host", "a"), ("X-A", "1"), ("x-a", "2")]));
        }
    }

    #[test]
    fn ends_of_lines_may_be_missing_bare_or_folded() {
        let wanted = pairs(&[("a", "1"), ("b", "2")]);
        for raw in [
            "GET / HTTP/1.1\r\na: 1\r\nb: 2",
            "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n",
            "GET / HTTP/1.1\na: 1\nb: 2\n\n",
            "GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n\r\n",
        ] {
            assert_eq!(
                read(raw.as_bytes(), false),
                ("GET / HTTP/1.1".into(), wanted.clone(), 0)
            );
        }
        let folded = read(
            b"GET / HTTP/1.1\r\na: 1\r\n\t2\r\n  3\r\nb: 2\r\n\r\n",
            false,
        );
        assert_eq!(folded.1, pairs(&[("a", "1  \t2    3"), ("b", "2")]));
        assert_eq!(folded.2, 0);
        for alone in ["GET / HTTP/1.1", "GET / HTTP/1.1\r\n\r\n"] {
            assert_eq!(read(alone.as_bytes(), false).1, []);
        }
    }

    #[test]
    fn lines_that_are_no_headers_are_left_out_and_counted() {
        let (_, headers, odd) = read(
            b"GET / HTTP/1.1\r\n no: 1\r\na: 1\r\nno colon\r\nb c: 2\r\nd: \xff\xfe\r\ne: 0\x000\r\nf : 3\r\n\r\n",
            false,
        );
        let names: Vec<_> = headers.iter().map(|header| header.0.as_str()).collect();
        assert_eq!((names, odd), (vec!["a", "d", "f"], 4));
        assert_eq!(headers[1].1, b"\xff\xfe");
    }

    #[test]
    fn of_a_head_that_was_cut_only_whole_lines_count() {
        let raw = b"GET / HTTP/1.1\r\na: 1\r\nauthorization: Bearer abc";
        assert_eq!(read(raw, true).1, pairs(&[("a", "1")]));
        assert_eq!(read(raw, false).1.len(), 2);
        let (line, headers, _) = read(b"GET /very/lo", true);
        assert_eq!((line.as_str(), headers.len()), ("GET /very/lo", 0));
    }

    #[test]
    fn there_is_a_bound_and_no_base64_is_said() {
        let mut head = Head::default();
        for bad in ["a", "a===", "%%%%", "QUI=QUI="] {
            assert!(head.decode(bad.as_bytes(), false).is_err(), "{bad}");
        }
        for (count, fine) in [(MAX_HEADERS, true), (MAX_HEADERS + 1, false)] {
            let raw = format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(count));
            head.decode(STANDARD.encode(raw).as_bytes(), false).unwrap();
            let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
            assert_eq!(head.headers(&mut slots).is_ok(), fine);
        }
    }

    #[test]
    fn request_lines() {
        let read = |line: &'static str| RequestLine::read(line.as_bytes(), false);
        let fine = |method, authority: Option<&'static str>, path, query: Option<&'static str>| {
            let bytes = |text: &'static str| text.as_bytes();
            Ok(RequestLine {
                method: bytes(method),
                authority: authority.map(bytes),
                path: bytes(path),
                query: query.map(bytes),
                cut: false,
            })
        };
        assert_eq!(
            read("GET /a?b=c?d HTTP/1.1"),
            fine("GET", None, "/a", Some("b=c?d"))
        );
        assert_eq!(read("PUT /a? HTTP/2.0"), fine("PUT", None, "/a", Some("")));
        assert_eq!(
            read("GET /a b\u{e4} c HTTP/1.0"),
            fine("GET", None, "/a b\u{e4} c", None)
        );
        assert_eq!(read("GET /old"), fine("GET", None, "/old", None));
        assert_eq!(read("OPTIONS * HTTP/1.1"), fine("OPTIONS", None, "*", None));
        assert_eq!(
            read("GET HTTP://a.example:81/x?y HTTP/1.1"),
            fine("GET", Some("a.example:81"), "/x", Some("y"))
        );
        assert_eq!(
            read("GET https://a.example?y HTTP/1.1"),
            fine("GET", Some("a.example"), "/", Some("y"))
        );
        for bad in ["", "GET", " / HTTP/1.1", "GET  HTTP/1.1", "GET "] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        let cut = |line: &'static str| {
            let read = RequestLine::read(line.as_bytes(), true).unwrap();
            (RequestLine { cut: false, ..read }, read.cut)
        };
        let wanted = |path, query| fine("GET", None, path, query).unwrap();
        assert_eq!(
            cut("GET /a?b=1&c=2&d=x"),
            (wanted("/a", Some("b=1&c=2")), true)
        );
        assert_eq!(cut("GET /a?b=1"), (wanted("/a", Some("")), true));
        assert_eq!(cut("GET /a/b"), (wanted("/a/", None), true));
        assert_eq!(
            cut("GET /a?b=1 HTTP/1.1"),
            (wanted("/a", Some("b=1")), false)
        );
    }

    #[test]
    fn statuses() {
        for (line, wanted) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.1 204", Some(204)),
            ("HTTP/1.0  404  Not Found", Some(404)),
            ("HTTP/1.1", None),
            ("HTTP/1.1 20", None),
            ("HTTP/1.1 2000", None),
            ("HTTP/1.1 +20", None),
            ("ICY 200 OK", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()).ok(), wanted, "{line}");
        }
    }
}
