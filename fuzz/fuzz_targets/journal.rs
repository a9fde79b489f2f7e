//! Any bytes as a journal segment: scanned without a panic, every byte in a frame or in a hole.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use silhouette_collector::envelope::Envelope;
use silhouette_collector::journal::frame::{
    SEGMENT_HEADER, read_segment_header, scan, segment_header, write_frame,
};

fuzz_target!(|data: &[u8]| {
    let _ = read_segment_header(data, 1);
    // Half of the inputs get a real header and a real frame, so that the fuzzer sees behind the checksum.
    let salt = 7;
    let mut segment = segment_header(1, salt).to_vec();
    let cut = data.first().map_or(0, |first| usize::from(*first)).min(data.len());
    let (before, after) = data.split_at(cut);
    segment.extend_from_slice(before);
    write_frame(&mut segment, salt, 1, after);
    segment.extend_from_slice(after);
    let segment = Bytes::from(segment);
    let mut inside = 0;
    let mut found = false;
    let holes = scan(&segment, 0, salt, |frame| {
        inside += frame.end() - frame.offset;
        found |= frame.payload == after;
        let _ = Envelope::open(&frame.payload);
    })
    .holes;
    let outside: u64 = holes.iter().map(|hole| hole.end - hole.start).sum();
    assert_eq!(SEGMENT_HEADER + inside + outside, segment.len() as u64);
    // Behind much that looks like frames the search gives up, to stay linear.
    let lures = segment.windows(4).filter(|at| *at == b"SJf1").count();
    assert!(found || lures > 8, "a whole frame is found behind any garbage");
});
