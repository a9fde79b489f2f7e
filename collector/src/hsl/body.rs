//! Bodies that a BIG-IP shows as they are on the wire.
//!
//! In: the bytes of a body whose head says `transfer-encoding: chunked`. Out: the same bytes without chunk framing (RFC 9112,
//! section 7.1), if that is what they are: whether an iRule sees the framing depends on the HTTP profile's chunking mode.

/// What is left of a body without its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unframed {
    /// How many bytes at the front.
    pub len: usize,
    /// The last chunk was there.
    pub whole: bool,
}

/// Digits of a chunk's size: 2^52 bytes is as much as anybody can mean.
const MAX_DIGITS: usize = 13;
/// Bytes of a chunk's first line, extensions included.
const MAX_LINE: usize = 1024;

/// Undoes the framing in place; `None` when there is none, and nothing is changed. `cut`: the body is only the beginning.
pub fn unframe(body: &mut [u8], cut: bool) -> Option<Unframed> {
    let whole = walk(body, |_, _| {})?;
    if !whole && !cut {
        return None;
    }
    let mut parts = Vec::new();
    walk(body, |from, to| parts.push((from, to)));
    let mut len = 0;
    for (from, to) in parts {
        body.copy_within(from..to, len);
        len += to - from;
    }
    Some(Unframed { len, whole })
}

/// Calls `part` with where the data of each chunk stands. Whether the last chunk was there; `None` when it is no framing.
fn walk(body: &[u8], mut part: impl FnMut(usize, usize)) -> Option<bool> {
    let mut at = 0;
    loop {
        let rest = body.get(at..)?;
        let line = rest.get(..MAX_LINE).unwrap_or(rest);
        let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
            // Cut within a size. The first line must be whole: it is what tells framing from anything else.
            let begins = rest.len() < MAX_LINE && rest.iter().all(|byte| is_of_size_line(*byte));
            return (at > 0 && begins).then_some(false);
        };
        let size = size(line.get(..end)?)?;
        at += end + 2;
        if size == 0 {
            // Trailer fields may follow; they are no part of the body.
            return Some(true);
        }
        let rest = body.len() - at;
        part(at, at + size.min(rest));
        if size > rest {
            return Some(false);
        }
        at += size;
        match body.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return None,
            None if body
                .get(at..)
                .is_none_or(|rest| rest.is_empty() || rest == b"\r") =>
            {
                return Some(false);
            }
            None => return None,
        }
    }
}

fn is_of_size_line(byte: u8) -> bool {
    byte == b'\r' || (b' '..=b'~').contains(&byte)
}

/// The size of a chunk from its first line, without its extensions.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii_end();
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    let mut size = 0;
    for digit in digits {
        size = size * 16 + char::from(*digit).to_digit(16)? as usize;
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unframed(body: &[u8], cut: bool) -> Option<(Vec<u8>, bool)> {
        let mut body = body.to_vec();
        let found = unframe(&mut body, cut)?;
        body.truncate(found.len);
        Some((body, found.whole))
    }

    #[test]
    fn framing_is_undone_where_it_is() {
        let text = b"4\r\nWiki\r\nA ; x=1\r\npedia in c\r\n0\r\nx-trailer: 1\r\n\r\n";
        assert_eq!(
            unframed(text, false),
            Some((b"Wikipedia in c".to_vec(), true))
        );
        assert_eq!(unframed(b"0\r\n\r\n", false), Some((Vec::new(), true)));
        // Cut anywhere behind the first size: as much as there is.
        for end in 3..text.len() {
            let (body, _) = unframed(&text[..end], true).unwrap_or_else(|| panic!("{end}"));
            assert!(b"Wikipedia in c".starts_with(&body), "{end}");
        }
        assert_eq!(unframed(&text[..9], false), None, "said to be whole");
    }

    #[test]
    fn what_is_not_framed_stays_as_it_is() {
        for text in [
            b"".as_slice(),
            b"{\"id\":1}",
            b"12",
            b"abc",
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"fffffffffffffff\r\nx",
            b"-1\r\nx",
            b"+1\r\nx",
            b"\r\n",
        ] {
            for cut in [false, true] {
                let mut body = text.to_vec();
                assert_eq!(unframe(&mut body, cut), None, "{text:?}");
                assert_eq!(body, text);
            }
        }
    }

    proptest! {
        #[test]
        fn any_chunks_come_back(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8)) {
            let mut framed = Vec::new();
            for chunk in &chunks {
                framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                framed.extend_from_slice(chunk);
                framed.extend_from_slice(b"\r\n");
            }
            framed.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(unframed(&framed, false), Some((chunks.concat(), true)));
        }
    }
}
