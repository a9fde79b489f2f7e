//! Randomness for ids and secrets, from the operating system.
//!
//! Never seeded, never predictable: what comes from here is handed out as a credential.

use base64::Engine as _;

/// Fills a buffer.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be done then.
#[allow(clippy::expect_used)]
pub fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system gives randomness");
}

/// A secret: the prefix and 32 random bytes as 43 characters of base64url (RFC 4648, 5).
#[must_use]
pub fn secret(prefix: &str) -> String {
    let mut bytes = [0_u8; 32];
    fill(&mut bytes);
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    format!("{prefix}{text}")
}

/// What is kept of a secret: SHA-256, hexadecimal. Secrets from [`secret`] have 256 bits, so no salt and no slow hash is needed.
#[must_use]
pub fn fingerprint(secret: &str) -> String {
    crate::hash::sha256(secret.as_bytes())
}
