//! SHA-256 as text.

use sha2::{Digest as _, Sha256};

/// Lower-case hexadecimal SHA-256 of bytes: 64 characters.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
