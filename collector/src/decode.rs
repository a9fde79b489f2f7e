//! Undoes the content codings of a body (RFC 9110, section 8.4): gzip, deflate, br and zstd, and chains of them.
//!
//! In: body bytes as they were on the wire, the `Content-Encoding` value, whether the bytes are the whole body, and a
//! limit. Out: the bytes behind the codings, whether they are all there, and why not when they are not. A body that was
//! cut off yields what can be decoded of it.
//!
//! Never gives more than `limit` bytes, never holds more than the limit and one window (8 MiB, RFC 9659) per coding,
//! never undoes more than [`MAX_CODINGS`] codings, so that a body made to explode costs no more than an honest one.

use std::borrow::Cow;
use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The most codings undone one after another; real traffic has one, rarely two.
pub const MAX_CODINGS: usize = 4;

/// The largest zstd window accepted, as RFC 9659 asks of every decoder of the content coding.
const ZSTD_WINDOW: u64 = 8 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A body without its content codings.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The decoded bytes; borrowed when there was nothing to undo.
    pub bytes: Cow<'a, [u8]>,
    /// Whether `bytes` is the whole body.
    pub complete: bool,
    /// Why decoding stopped early or was not done; `None` too for a body that arrived cut off and decoded to its end.
    pub problem: Option<Problem>,
}

/// Why a body could not be decoded, or not wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Problem {
    /// The coding is none of those understood.
    #[error("the content coding is none of gzip, deflate, br, zstd and identity")]
    Unknown,
    /// A longer chain than any honest sender makes.
    #[error("more than {MAX_CODINGS} content codings one after another")]
    TooMany,
    /// The compressed bytes are not what their coding says.
    #[error("the compressed body is corrupt")]
    Corrupt,
    /// The body said to be whole ends in the middle of the compressed data.
    #[error("the compressed body ends before its end")]
    Truncated,
    /// There is more behind the coding than the limit allows.
    #[error("the decoded body is larger than the limit")]
    TooLarge,
    /// The body is plain text although a coding was announced; it is given as it is.
    #[error("the body is not compressed although Content-Encoding says so")]
    Mislabelled,
}

impl Problem {
    /// A stable name to count by.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "content_coding_unknown",
            Self::TooMany => "content_codings_too_many",
            Self::Corrupt => "content_coding_corrupt",
            Self::Truncated => "content_coding_truncated",
            Self::TooLarge => "content_coding_too_large",
            Self::Mislabelled => "content_coding_mislabelled",
        }
    }
}

/// Undoes every coding named in `content_encoding`, last first. `complete` says whether `body` is all that was sent.
///
/// An announced coding on a body that is plainly text (a gateway decompressed it and kept the header, or a program sets
/// the header to a charset) leaves the body as it is, with [`Problem::Mislabelled`]. Nothing else passes undecoded.
pub fn decode<'a>(
    body: &'a [u8],
    content_encoding: &str,
    complete: bool,
    limit: usize,
) -> Decoded<'a> {
    let mut codings = content_encoding
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        .collect::<Vec<_>>();
    if codings.is_empty() || body.is_empty() {
        return plain(body, complete, None, limit);
    }
    if codings.len() > MAX_CODINGS {
        return nothing(Problem::TooMany);
    }
    let mut current = Cow::Borrowed(body);
    let mut whole = complete;
    let mut problem = None;
    while let Some(coding) = codings.pop() {
        let mut out = Vec::new();
        let end = match Coding::parse(coding) {
            Some(coding) => coding.undo(&current, &mut out, limit),
            None => End::Problem(Problem::Unknown),
        };
        let found = match end {
            End::Whole => None,
            End::Early => whole.then_some(Problem::Truncated),
            End::Problem(found) => Some(found),
        };
        // Compressed data has a control character or broken UTF-8 among its first bytes; text that happens to read as
        // the beginning of raw deflate does not.
        let plainly = match end {
            End::Whole | End::Problem(Problem::TooLarge) => false,
            End::Early => current.len() >= 16,
            End::Problem(_) => true,
        };
        if plainly && is_text(&current) {
            return match current {
                Cow::Borrowed(bytes) => plain(bytes, whole, Some(Problem::Mislabelled), limit),
                Cow::Owned(_) => Decoded {
                    bytes: current,
                    complete: whole,
                    problem: Some(Problem::Mislabelled),
                },
            };
        }
        whole &= matches!(end, End::Whole);
        problem = problem.or(found);
        current = Cow::Owned(out);
        if current.is_empty() && !whole {
            break;
        }
    }
    Decoded {
        bytes: current,
        complete: whole,
        problem,
    }
}

/// Whether compressed data came to its own end.
enum End {
    Whole,
    /// The input ended first.
    Early,
    Problem(Problem),
}

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn parse(name: &str) -> Option<Self> {
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("deflate") => Some(Self::Deflate),
            () if is("br") => Some(Self::Brotli),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }

    fn undo(self, body: &[u8], out: &mut Vec<u8>, limit: usize) -> End {
        let end = match self {
            Self::Gzip => read_to(MultiGzDecoder::new(body), out, limit),
            Self::Deflate => inflate(body, out, limit),
            Self::Brotli => unbrotli(body, out, limit),
            Self::Zstd => unzstd(body, out, limit),
        };
        if out.len() > limit {
            out.truncate(limit);
            return End::Problem(Problem::TooLarge);
        }
        end
    }
}

/// Reads at most one byte more than `limit`, so that the caller can tell "exactly" from "more".
fn read_to(reader: impl Read, out: &mut Vec<u8>, limit: usize) -> End {
    match reader.take(limit as u64 + 1).read_to_end(out) {
        Ok(_) => End::Whole,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => End::Early,
        Err(_) => End::Problem(Problem::Corrupt),
    }
}

/// "deflate" is zlib by the book (RFC 9110, section 8.4.1.2) and raw deflate from more than one well-known server.
fn inflate(body: &[u8], out: &mut Vec<u8>, limit: usize) -> End {
    let zlib = match body {
        [first, second, ..] => {
            first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0
        }
        _ => true,
    };
    let mut inflater = Decompress::new(zlib);
    let mut rest = body;
    loop {
        out.reserve(out.len().clamp(4096, 1 << 20).min(limit + 1));
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let status = match inflater.decompress_vec(rest, out, FlushDecompress::None) {
            Ok(status) => status,
            Err(_) => return End::Problem(Problem::Corrupt),
        };
        let used = usize::try_from(inflater.total_in() - read).unwrap_or(rest.len());
        rest = rest.get(used..).unwrap_or_default();
        if status == Status::StreamEnd {
            return End::Whole;
        }
        if out.len() > limit {
            return End::Problem(Problem::TooLarge);
        }
        if used == 0 && inflater.total_out() == written {
            return End::Early;
        }
    }
}

/// RFC 7932; windows above its 16 MiB are refused. The stream interface, because the crate's reader does not tell input
/// that ends early from input that is wrong.
fn unbrotli(body: &[u8], out: &mut Vec<u8>, limit: usize) -> End {
    let alloc = StandardAlloc::default();
    let mut state = BrotliState::new_strict(alloc, alloc, alloc);
    let (mut available_in, mut at, mut total) = (body.len(), 0, 0);
    let mut chunk = vec![0; (64 << 10).min(limit + 1)];
    loop {
        let (mut available_out, mut written) = (chunk.len(), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut at,
            body,
            &mut available_out,
            &mut written,
            &mut chunk,
            &mut total,
            &mut state,
        );
        out.extend_from_slice(chunk.get(..written).unwrap_or_default());
        match result {
            BrotliResult::ResultSuccess if available_in == 0 => return End::Whole,
            BrotliResult::ResultSuccess | BrotliResult::ResultFailure => {
                return End::Problem(Problem::Corrupt);
            }
            BrotliResult::NeedsMoreInput => return End::Early,
            BrotliResult::NeedsMoreOutput if out.len() > limit => {
                return End::Problem(Problem::TooLarge);
            }
            BrotliResult::NeedsMoreOutput => {}
        }
    }
}

/// Frames one after another (RFC 8878, section 3.1); skippable frames hold nothing.
fn unzstd(body: &[u8], out: &mut Vec<u8>, limit: usize) -> End {
    let mut rest = body;
    while !rest.is_empty() {
        if let [kind @ 0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, after @ ..] = rest {
            let _ = kind;
            let skip = u32::from_le_bytes([*a, *b, *c, *d]);
            match usize::try_from(skip)
                .ok()
                .and_then(|skip| after.get(skip..))
            {
                Some(next) => rest = next,
                None => return End::Early,
            }
            continue;
        }
        let frame = rest;
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW);
        if decoder.init(&mut rest).is_err() {
            // A frame's header has at most 18 bytes: less than that may be the beginning of a good one.
            let head = frame.get(..ZSTD_MAGIC.len()).unwrap_or(frame);
            let cut = frame.len() < 18 && ZSTD_MAGIC.starts_with(head);
            return if cut {
                End::Early
            } else {
                End::Problem(Problem::Corrupt)
            };
        }
        while !decoder.is_finished() {
            let at = rest.len();
            if decoder
                .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1))
                .is_err()
            {
                let end = if rest.is_empty() || rest.len() == at {
                    End::Early
                } else {
                    End::Problem(Problem::Corrupt)
                };
                // The decoder keeps a window back until the frame ends. An empty last block and any checksum make
                // it give up what it has.
                let _ = decoder.decode_blocks(
                    [1, 0, 0, 0, 0, 0, 0].as_slice(),
                    BlockDecodingStrategy::UptoBlocks(1),
                );
                let _ = read_to(&mut decoder, out, limit.saturating_sub(out.len()));
                return end;
            }
            let _ = read_to(&mut decoder, out, limit.saturating_sub(out.len()));
            if out.len() > limit {
                return End::Problem(Problem::TooLarge);
            }
        }
        let _ = read_to(&mut decoder, out, limit.saturating_sub(out.len()));
        if out.len() > limit {
            return End::Problem(Problem::TooLarge);
        }
    }
    End::Whole
}

fn plain(body: &[u8], complete: bool, problem: Option<Problem>, limit: usize) -> Decoded<'_> {
    match body.get(..limit) {
        Some(head) if body.len() > limit => Decoded {
            bytes: Cow::Borrowed(head),
            complete: false,
            problem: Some(Problem::TooLarge),
        },
        _ => Decoded {
            bytes: Cow::Borrowed(body),
            complete,
            problem,
        },
    }
}

fn nothing(problem: Problem) -> Decoded<'static> {
    Decoded {
        bytes: Cow::Borrowed(&[]),
        complete: false,
        problem: Some(problem),
    }
}

/// Whether the beginning reads as text: UTF-8 without control characters other than white space.
fn is_text(body: &[u8]) -> bool {
    let head = body.get(..body.len().min(128)).unwrap_or_default();
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut by the head's end is fine.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default())
                .unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests;
