//! Content codings (RFC 9110 section 8.4): whether a body can be read, and undoing gzip and deflate within a bound.
//!
//! A body that is coded cannot be redacted as it is. Gzip and deflate are undone here; others mean that the body is left
//! out while redaction is on.

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
            Coding::Gzip => inflate(flate2::read::MultiGzDecoder::new(data), cap),
            #[cfg(feature = "gzip")]
            Coding::Deflate => match data {
                // RFC 1950: the method is 8 and the first two bytes are a multiple of 31.
                [first, second, ..]
                    if first & 15 == 8
                        && (u32::from(*first) << 8 | u32::from(*second)).is_multiple_of(31) =>
                {
                    inflate(flate2::read::ZlibDecoder::new(data), cap)
                }
                _ => inflate(flate2::read::DeflateDecoder::new(data), cap),
            },
            Coding::Other => None,
        }
    }
}

/// Reads until the end, the cap or an error; what came before an error is kept, since a cap may have cut the input.
#[cfg(feature = "gzip")]
fn inflate(mut reader: impl std::io::Read, cap: usize) -> Option<(Vec<u8>, bool)> {
    let mut plain = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Some((plain, true)),
            Ok(count) => {
                let read = buffer.get(..count).unwrap_or_default();
                let room = cap - plain.len().min(cap);
                plain.extend_from_slice(read.get(..room).unwrap_or(read));
                if count > room {
                    return Some((plain, false));
                }
            }
            Err(_) if plain.is_empty() => return None,
            Err(_) => return Some((plain, false)),
        }
    }
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
