use super::*;
use std::io::Write;

const TEXT: &[u8] =
    br#"{"id":42,"name":"Dune","tags":["sand","spice","sand","spice","sand","spice"],"next":null}"#;
/// `TEXT` as node's zlib.brotliCompressSync gives it.
const BROTLI: &[u8] = &[
    0x1b, 0x58, 0x00, 0xf8, 0x1d, 0x07, 0xe5, 0x18, 0xd7, 0x7a, 0x23, 0x84, 0xed, 0x28, 0xf5, 0x1f,
    0xc1, 0xbf, 0xed, 0xc8, 0x1f, 0xe0, 0x2e, 0xc0, 0xc4, 0xc2, 0xf6, 0xaf, 0x1b, 0x34, 0x59, 0x51,
    0x57, 0xb2, 0xe8, 0x74, 0x55, 0x18, 0x5c, 0x2b, 0x22, 0x89, 0x26, 0x64, 0x49, 0x01, 0x14, 0x01,
    0x66, 0xfe, 0x23, 0x9c, 0x9a, 0x21, 0x6d, 0x11, 0xfd, 0xa6, 0xc0, 0xb1, 0x8a, 0x06, 0x25, 0x1d,
    0xd4, 0x98, 0x82, 0x46, 0xa5, 0x9b, 0x0f,
];

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)
}

fn whole(bytes: &[u8]) -> Decoded<'_> {
    Decoded {
        bytes: Cow::Borrowed(bytes),
        complete: true,
        problem: None,
    }
}

/// Text that does not compress to next to nothing, so that a cut falls among its literals.
fn long_text() -> Vec<u8> {
    let mut state = 7u64;
    let mut text = Vec::new();
    while text.len() < 400_000 {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        text.extend_from_slice(
            format!("{{\"id\":{},\"name\":\"entry\"}},", state >> 33).as_bytes(),
        );
    }
    text
}

#[test]
fn each_coding_gives_the_body_back() {
    for (coding, body) in [
        ("", TEXT.to_vec()),
        ("identity", TEXT.to_vec()),
        ("gzip", gzip(TEXT)),
        ("X-GZIP", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd(TEXT)),
        ("gzip, identity", gzip(TEXT)),
    ] {
        assert_eq!(
            decode(&body, coding, true, 1 << 20),
            whole(TEXT),
            "{coding}"
        );
    }
}

#[test]
fn a_chain_is_undone_last_coding_first() {
    assert_eq!(
        decode(&zstd(&gzip(TEXT)), "gzip, zstd", true, 1 << 20),
        whole(TEXT)
    );
    assert_eq!(
        decode(&gzip(BROTLI), "br , gzip", true, 1 << 20),
        whole(TEXT)
    );
    let decoded = decode(TEXT, "gzip,gzip,gzip,gzip,gzip", true, 1 << 20);
    assert_eq!(
        (decoded.bytes.len(), decoded.problem),
        (0, Some(Problem::TooMany))
    );
}

#[test]
fn a_cut_body_gives_what_is_there() {
    let text = long_text();
    for (coding, body) in [
        ("gzip", gzip(&text)),
        ("deflate", zlib(&text)),
        ("deflate", raw_deflate(&text)),
        ("zstd", zstd(&text)),
        ("gzip, gzip", gzip(&gzip(&text))),
    ] {
        let cut = &body[..body.len() * 3 / 4];
        let decoded = decode(cut, coding, false, 1 << 20);
        assert!(
            !decoded.complete && decoded.problem.is_none(),
            "{coding}: {:?}",
            decoded.problem
        );
        assert!(
            decoded.bytes.len() > text.len() / 3,
            "{coding}: only {} bytes",
            decoded.bytes.len()
        );
        assert!(text.starts_with(&decoded.bytes), "{coding}: not a prefix");
        assert_eq!(
            decode(cut, coding, true, 1 << 20).problem,
            Some(Problem::Truncated),
            "{coding}"
        );
    }
    let decoded = decode(&BROTLI[..BROTLI.len() - 8], "br", false, 1 << 20);
    assert!(!decoded.complete && decoded.problem.is_none());
    assert!(TEXT.starts_with(&decoded.bytes));
}

#[test]
fn every_cut_and_every_flipped_bit_is_survived() {
    for (coding, body) in [
        ("gzip", gzip(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd(TEXT)),
    ] {
        for end in 1..body.len() {
            let decoded = decode(&body[..end], coding, false, 1 << 16);
            assert!(!decoded.complete, "{coding} cut at {end}");
            assert!(
                TEXT.starts_with(&decoded.bytes),
                "{coding} cut at {end}: {decoded:?}"
            );
        }
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, coding, true, 1 << 16).bytes.len() <= 1 << 16);
        }
    }
}

#[test]
fn an_exploding_body_stops_at_the_limit() {
    let bomb = gzip(&vec![b' '; 50 << 20]);
    for (coding, body) in [
        ("gzip", bomb.clone()),
        ("gzip, gzip", gzip(&bomb)),
        ("deflate", zlib(&vec![0; 50 << 20])),
    ] {
        let decoded = decode(&body, coding, true, 100_000);
        assert!(
            decoded.bytes.len() <= 100_000 && !decoded.complete,
            "{coding}"
        );
        assert_eq!(decoded.problem, Some(Problem::TooLarge), "{coding}");
    }
    assert_eq!(
        decode(&zstd(&vec![b'a'; 5 << 20]), "zstd", true, 100_000).problem,
        Some(Problem::TooLarge)
    );
    let decoded = decode(TEXT, "", true, 10);
    assert_eq!((&*decoded.bytes, decoded.complete), (&TEXT[..10], false));
    assert_eq!(decode(&gzip(TEXT), "gzip", true, TEXT.len()), whole(TEXT));
    assert_eq!(decode(&zstd(TEXT), "zstd", true, TEXT.len()), whole(TEXT));
}

#[test]
fn what_is_not_compressed_after_all_is_given_as_it_is() {
    for coding in ["gzip", "deflate", "zstd", "utf-8", "aws-chunked"] {
        let decoded = decode(TEXT, coding, true, 1 << 20);
        assert_eq!(
            (&*decoded.bytes, decoded.complete),
            (TEXT, true),
            "{coding}"
        );
        assert_eq!(decoded.problem, Some(Problem::Mislabelled), "{coding}");
    }
    let decoded = decode(&[0x1f, 0x9d, 0x90, 0xff], "compress", true, 1 << 20);
    assert_eq!(
        (decoded.bytes.len(), decoded.complete, decoded.problem),
        (0, false, Some(Problem::Unknown))
    );
}

#[test]
fn an_empty_body_has_nothing_to_undo() {
    assert_eq!(decode(b"", "gzip", true, 10), whole(b""));
    assert_eq!(decode(b"", "no-such", false, 10).problem, None);
}

#[test]
fn zstd_frames_follow_one_another_and_skippable_ones_are_skipped() {
    let mut body = zstd(b"[1,2,");
    body.extend_from_slice(&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z']);
    body.extend_from_slice(&zstd(b"3]"));
    assert_eq!(decode(&body, "zstd", true, 1 << 20), whole(b"[1,2,3]"));
}
