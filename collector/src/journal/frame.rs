//! The format of a journal segment, as pure functions over bytes.
//!
//! In: batches, out: framed bytes; in: the bytes of a segment, out: every frame that is whole, and the ranges that are
//! not ([`Scan`]). After a damaged range the scan looks for the next frame that checks, so that one bad sector costs the
//! frames it touches and no others. Never panics on any bytes; its work is linear in their number.
//!
//! ```text
//! segment = "SILJRNL1" number:u64 salt:u64 frame*          integers are little-endian
//! frame   = "SJf1" length:u32 crc:u32 received:u64 payload crc32 of salt, length, received (Unix ms) and payload
//! ```
//!
//! The salt is random per segment: a batch carries bodies that strangers wrote, and without it a body could contain a
//! forged frame for a scan to find.

use std::ops::Range;

use bytes::Bytes;

/// Bytes before the first frame.
pub const SEGMENT_HEADER: u64 = 24;
/// Bytes before a frame's payload.
pub const FRAME_HEADER: usize = 20;
/// Payloads at most; the largest `max_message` that the settings accept.
pub const MAX_PAYLOAD: usize = 256 << 20;

const SEGMENT_MAGIC: &[u8; 8] = b"SILJRNL1";
const FRAME_MAGIC: &[u8; 4] = b"SJf1";

/// One frame of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where it starts.
    pub offset: u64,
    /// When its batch was received, Unix milliseconds.
    pub received: u64,
    /// The batch.
    pub payload: Bytes,
}

impl Frame {
    /// Where the next one starts.
    pub fn end(&self) -> u64 {
        self.offset + (FRAME_HEADER + self.payload.len()) as u64
    }
}

/// What a segment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Byte ranges that belong to no whole frame, in order, not touching.
    pub holes: Vec<Range<u64>>,
}

/// The bytes a segment starts with.
pub fn segment_header(number: u64, salt: u64) -> [u8; SEGMENT_HEADER as usize] {
    let mut header = [0; SEGMENT_HEADER as usize];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    header[16..].copy_from_slice(&salt.to_le_bytes());
    header
}

/// The salt of a segment, or `None` when this is not the header of segment `number`.
pub fn read_segment_header(bytes: &[u8], number: u64) -> Option<u64> {
    let header = bytes.first_chunk::<{ SEGMENT_HEADER as usize }>()?;
    let salt = u64_at(header, 16)?;
    (*header == segment_header(number, salt)).then_some(salt)
}

/// Appends a frame.
pub fn write_frame(out: &mut Vec<u8>, salt: u64, received: u64, payload: &[u8]) {
    let length = payload.len() as u32;
    out.extend_from_slice(FRAME_MAGIC);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(salt, length, received, payload).to_le_bytes());
    out.extend_from_slice(&received.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The length of the payload that follows this frame header, if it is one.
pub fn payload_length(header: &[u8]) -> Option<usize> {
    if header.len() < FRAME_HEADER || !header.starts_with(FRAME_MAGIC) {
        return None;
    }
    let length = u32_at(header, 4)? as usize;
    (length <= MAX_PAYLOAD).then_some(length)
}

/// Reads the frame at `offset` of `bytes`; `None` when no whole, unharmed frame is there.
pub fn read_frame(bytes: &Bytes, offset: u64, salt: u64) -> Option<Frame> {
    let start = usize::try_from(offset).ok()?;
    let rest = bytes.get(start..)?;
    let length = payload_length(rest)?;
    let payload = rest.get(FRAME_HEADER..FRAME_HEADER + length)?;
    let (crc, received) = (u32_at(rest, 8)?, u64_at(rest, 12)?);
    if checksum(salt, length as u32, received, payload) != crc {
        return None;
    }
    let start = start + FRAME_HEADER;
    Some(Frame {
        offset,
        received,
        payload: bytes.slice(start..start + length),
    })
}

/// Walks a segment from `from` (an offset at which a frame starts) to its end.
pub fn scan(bytes: &Bytes, from: u64, salt: u64, mut found: impl FnMut(Frame)) -> Scan {
    let end = bytes.len() as u64;
    let mut at = from.max(SEGMENT_HEADER);
    let mut holes = Vec::new();
    // Bytes that may still be checksummed in search of a frame: a damaged range full of what looks like headers must not
    // make recovery quadratic.
    let mut budget = 8 * bytes.len();
    while at < end {
        if let Some(frame) = read_frame(bytes, at, salt) {
            at = frame.end();
            found(frame);
            continue;
        }
        let hole = at;
        at = end;
        let mut search = hole as usize + 1;
        while let Some(next) = bytes
            .get(search..)
            .and_then(|rest| memchr::memmem::find(rest, FRAME_MAGIC))
        {
            let candidate = search + next;
            // A length beyond the end costs nothing to refuse.
            let room = bytes.len() - candidate;
            let length = bytes
                .get(candidate..)
                .and_then(payload_length)
                .filter(|length| FRAME_HEADER + length <= room)
                .unwrap_or(0);
            if length > budget {
                break;
            }
            budget -= length;
            if read_frame(bytes, candidate as u64, salt).is_some() {
                at = candidate as u64;
                break;
            }
            search = candidate + 1;
        }
        holes.push(hole..at);
    }
    Scan { holes }
}

fn checksum(salt: u64, length: u32, received: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&length.to_le_bytes());
    crc.update(&received.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one hole is one range
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: u64 = 0x1234_5678_9abc_def0;

    fn segment(payloads: &[&[u8]]) -> (Vec<u8>, Vec<u64>) {
        let mut bytes = segment_header(1, SALT).to_vec();
        let mut starts = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            starts.push(bytes.len() as u64);
            write_frame(&mut bytes, SALT, n as u64, payload);
        }
        (bytes, starts)
    }

    fn payloads(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Range<u64>>) {
        let mut found = Vec::new();
        let scan = scan(&Bytes::copy_from_slice(bytes), 0, SALT, |frame| {
            found.push(frame.payload.to_vec())
        });
        (found, scan.holes)
    }

    #[test]
    fn whole_segments_have_no_holes() {
        let (bytes, _) = segment(&[b"one", b"", b"three"]);
        assert_eq!(read_segment_header(&bytes, 1), Some(SALT));
        assert_eq!(read_segment_header(&bytes, 2), None);
        assert_eq!(
            payloads(&bytes),
            (vec![b"one".to_vec(), vec![], b"three".to_vec()], vec![])
        );
    }

    #[test]
    fn a_torn_tail_is_one_hole() {
        let (bytes, starts) = segment(&[b"one", b"two"]);
        for cut in starts[1] as usize + 1..bytes.len() {
            let (found, holes) = payloads(&bytes[..cut]);
            assert_eq!(found, [b"one"]);
            assert_eq!(holes, [starts[1]..cut as u64]);
        }
    }

    #[test]
    fn damage_costs_the_frame_it_touches_and_no_other() {
        let (bytes, starts) = segment(&[b"one", b"two", b"three"]);
        for at in starts[1]..starts[2] {
            let mut bytes = bytes.clone();
            bytes[at as usize] ^= 0x40;
            let (found, holes) = payloads(&bytes);
            assert_eq!(found, [b"one".to_vec(), b"three".to_vec()], "byte {at}");
            assert_eq!(holes, [starts[1]..starts[2]]);
        }
    }

    #[test]
    fn a_frame_inside_a_body_is_not_believed() {
        // An attacker knows the format but not the salt.
        let mut forged = Vec::new();
        write_frame(&mut forged, 0, 5, b"forged");
        let (mut bytes, starts) = segment(&[&forged, b"real"]);
        bytes[starts[0] as usize] ^= 1;
        assert_eq!(payloads(&bytes).0, [b"real"]);
    }

    #[test]
    fn a_segment_full_of_headers_is_scanned_in_linear_time() {
        let mut header = FRAME_MAGIC.to_vec();
        header.extend_from_slice(&(4u32 << 20).to_le_bytes());
        let mut bytes = segment_header(1, SALT).to_vec();
        bytes.extend(header.iter().cycle().take(8 << 20));
        let (found, holes) = payloads(&bytes);
        assert!(found.is_empty());
        assert_eq!(holes, [SEGMENT_HEADER..bytes.len() as u64]);
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(
            payload in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
            flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..6),
        ) {
            let slices: Vec<&[u8]> = payload.iter().map(Vec::as_slice).collect();
            let (clean, starts) = segment(&slices);
            let mut bytes = clean.clone();
            for (at, xor) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= xor;
            }
            let (found, _) = payloads(&bytes);
            // Exactly the frames without a changed byte are found, in order.
            let ends = starts.iter().skip(1).copied().chain([clean.len() as u64]);
            let expected: Vec<Vec<u8>> = starts.iter().copied().zip(ends).zip(&payload)
                .filter(|((from, to), _)| clean[*from as usize..*to as usize] == bytes[*from as usize..*to as usize])
                .map(|(_, payload)| payload.clone())
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
