//! Descriptions come from anywhere: reading ends, and what was read equals itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use silhouette_openapi::{Description, diff, drift};

fuzz_target!(|data: &[u8]| {
    // Two documents, parted by a zero byte.
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let mut read = || {
        let text = String::from_utf8_lossy(parts.next()?).into_owned();
        Description::read(&text).ok()
    };
    let Some(first) = read() else { return };
    assert!(diff(&first, &first).findings.is_empty());
    let second = read();
    let second = second.as_ref().unwrap_or(&first);
    let _ = diff(&first, second);
    let _ = drift(&first, second);
});
