//! Content codings (RFC 9110 section 8.4): whether a body can be read, and undoing gzip and deflate within a bound.
//!
//! A body that is coded cannot be redacted as it is. Gzip and deflate are undone here; others mean that the body is left
//! out while redaction is on.

#[cfg(feature = "gzip")]
use miniz_oxide::inflate::stream::{InflateState, inflate};
#[cfg(feature = "gzip")]
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

/// How a body is coded, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Not at all.
    Identity,
    /// gzip.
    #[cfg(feature = "gzip")]
    Gzip,
    /// zlib, or raw deflate as some servers send it.
    #[cfg(feature = "gzip")]
    Deflate,
    /// Brotli, Zstandard, several at once, or unknown.
    Other,
}

impl Coding {
    /// From a `Content-Encoding` value.
    pub(crate) fn of(value: &[u8]) -> Coding {
        let value = value.trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            return Coding::Identity;
        }
        #[cfg(feature = "gzip")]
        {
            if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") {
                return Coding::Gzip;
            }
            if value.eq_ignore_ascii_case(b"deflate") {
                return Coding::Deflate;
            }
        }
        Coding::Other
    }

    /// The coding of a body that already has this one and now `other` as well (several header lines).
    pub(crate) fn and(self, other: Coding) -> Coding {
        match (self, other) {
            (Coding::Identity, coding) | (coding, Coding::Identity) => coding,
            _ => Coding::Other,
        }
    }

    /// The plain bytes, at most `cap`, and whether they are all of them. `None`: it cannot be undone.
    pub(crate) fn undo(self, data: &[u8], cap: usize) -> Option<(Vec<u8>, bool)> {
        match self {
            Coding::Identity => Some((data.get(..cap).unwrap_or(data).to_vec(), data.len() <= cap)),
            #[cfg(feature = "gzip")]
            Coding::Gzip => Inflated::gzip(data, cap),
            #[cfg(feature = "gzip")]
            Coding::Deflate => match data {
                // RFC 1950: the method is 8 and the first two bytes are a multiple of 31.
                [first, second, rest @ ..]
                    if first & 15 == 8
                        && (u32::from(*first) << 8 | u32::from(*second)).is_multiple_of(31) =>
                {
                    Inflated::deflate(rest, cap)
                }
                _ => Inflated::deflate(data, cap),
            },
            Coding::Other => None,
        }
    }
}

/// A body is one member, or a few. Each costs the clearing of its window, 32 KiB, and may be as small as 20 bytes.
#[cfg(feature = "gzip")]
const MOST_MEMBERS: usize = 64;

/// What comes out of deflated data (RFC 1951). Checksums are not looked at: what is wrong in them was wrong for the client.
#[cfg(feature = "gzip")]
struct Inflated {
    plain: Vec<u8>,
    cap: usize,
    state: Box<InflateState>,
}

#[cfg(feature = "gzip")]
impl Inflated {
    fn new(cap: usize) -> Inflated {
        Inflated {
            plain: Vec::new(),
            cap,
            state: InflateState::new_boxed(DataFormat::Raw),
        }
    }

    fn deflate(data: &[u8], cap: usize) -> Option<(Vec<u8>, bool)> {
        let mut inflated = Inflated::new(cap);
        let whole = inflated.member(data).is_some();
        inflated.end(whole)
    }

    /// One member after another, as RFC 1952 allows.
    fn gzip(mut data: &[u8], cap: usize) -> Option<(Vec<u8>, bool)> {
        let mut inflated = Inflated::new(cap);
        for _ in 0..MOST_MEMBERS {
            let rest = gzip_header(data).and_then(|deflated| inflated.member(deflated));
            // A checksum and a length follow.
            match rest.and_then(|rest| rest.get(8..)) {
                Some([]) => return inflated.end(true),
                Some(next) => data = next,
                None => break,
            }
        }
        inflated.end(false)
    }

    /// Takes one stream up to its end; what follows it. `None` at the cap, or when the stream is cut or wrong: what came
    /// before that is kept, since a cap may have cut the input.
    fn member<'a>(&mut self, mut data: &'a [u8]) -> Option<&'a [u8]> {
        self.state.reset(DataFormat::Raw);
        let mut buffer = [0; 8192];
        loop {
            let done = inflate(&mut self.state, data, &mut buffer, MZFlush::None);
            data = data.get(done.bytes_consumed..).unwrap_or_default();
            let read = buffer.get(..done.bytes_written).unwrap_or_default();
            let room = self.cap - self.plain.len().min(self.cap);
            self.plain
                .extend_from_slice(read.get(..room).unwrap_or(read));
            if read.len() > room {
                return None;
            }
            match done.status {
                Ok(MZStatus::StreamEnd) => return Some(data),
                Ok(_) if done.bytes_consumed > 0 || done.bytes_written > 0 => {}
                _ => return None,
            }
        }
    }

    fn end(self, whole: bool) -> Option<(Vec<u8>, bool)> {
        (whole || !self.plain.is_empty()).then_some((self.plain, whole))
    }
}

/// What follows the header of a gzip member.
#[cfg(feature = "gzip")]
fn gzip_header(data: &[u8]) -> Option<&[u8]> {
    const CHECKSUM: u8 = 2;
    const EXTRA: u8 = 4;
    const TEXTS: [u8; 2] = [8, 16];
    let [31, 139, 8, flags, _, _, _, _, _, _, rest @ ..] = data else {
        return None;
    };
    let mut rest = rest;
    if flags & EXTRA != 0 {
        let (length, extra) = rest.split_first_chunk()?;
        rest = extra.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in TEXTS {
        if flags & text != 0 {
            let end = memchr::memchr(0, rest)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & CHECKSUM != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn codings_are_undone_within_the_cap() {
        let plain = b"hello ".repeat(1000);
        let coded = gzip(&plain);
        assert_eq!(
            Coding::of(b" GZip ").undo(&coded, 6000),
            Some((plain.clone(), true))
        );
        assert_eq!(
            Coding::Gzip.undo(&coded, 5999),
            Some((plain[..5999].to_vec(), false))
        );
        let (begun, whole) = Coding::Gzip.undo(&coded[..coded.len() - 9], 6000).unwrap();
        assert!(!whole && plain.starts_with(&begun) && !begun.is_empty());
        assert_eq!(Coding::Gzip.undo(b"not gzip", 6000), None);
        let twice = [coded.clone(), gzip(b"again")].concat();
        let both = [plain.clone(), b"again".to_vec()].concat();
        assert_eq!(Coding::Gzip.undo(&twice, 9000), Some((both, true)));
        let many = coded.repeat(MOST_MEMBERS + 1);
        let (begun, whole) = Coding::Gzip.undo(&many, usize::MAX).unwrap();
        assert_eq!((begun.len(), whole), (MOST_MEMBERS * plain.len(), false));
        let mut named = flate2::GzBuilder::new()
            .filename("books.json")
            .comment("of all shelves")
            .extra(vec![7; 300])
            .write(Vec::new(), flate2::Compression::fast());
        named.write_all(&plain).unwrap();
        let named = named.finish().unwrap();
        assert_eq!(Coding::Gzip.undo(&named, 6000), Some((plain.clone(), true)));
        for end in 0..named.len() {
            let cut = Coding::Gzip.undo(&named[..end], 6000);
            assert!(cut.is_none_or(|(begun, whole)| !whole && plain.starts_with(&begun)));
        }
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&plain).unwrap();
        let zlib = encoder.finish().unwrap();
        assert_eq!(
            Coding::Deflate.undo(&zlib, 6000),
            Some((plain.clone(), true))
        );
        assert_eq!(
            Coding::Deflate.undo(&zlib[2..zlib.len() - 4], 6000),
            Some((plain, true))
        );
    }

    #[test]
    fn what_cannot_be_undone_is_said_so() {
        assert_eq!(Coding::of(b"br"), Coding::Other);
        assert_eq!(Coding::of(b"gzip, br"), Coding::Other);
        assert_eq!(Coding::of(b"gzip").and(Coding::of(b"gzip")), Coding::Other);
        assert_eq!(Coding::Other.undo(b"x", 9), None);
    }
}
