//! The answer of a gRPC-Web call: any bytes in any chunks give a reply or an error, and the chunks make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use silhouette_capture::grpc_web::{Decoder, FrameError, Reply};

const NO_HEADERS: [(&[u8], &[u8]); 0] = [];
const LIMIT: usize = 4096;

fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<Reply, FrameError> {
    let mut decoder = Decoder::new(LIMIT);
    for chunk in chunks {
        decoder.push(chunk)?;
    }
    decoder.finish(NO_HEADERS)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (chunk, bytes) = input;
    let whole = decode(std::iter::once(bytes));
    let split = decode(bytes.chunks(usize::from(chunk).max(1)));
    // What follows the trailers is counted by chunk, so that only this error may differ.
    if !matches!(whole, Err(FrameError::AfterTrailers(_))) {
        assert_eq!(whole, split);
    }
    if let Ok(reply) = whole {
        assert!(reply.messages.iter().all(|message| message.len() <= LIMIT));
    }
});
