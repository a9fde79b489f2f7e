//! The test vectors as a WebAssembly module without any import, for wasm32-unknown-unknown: `wasm/run-unknown.mjs` loads it.
// The exported names need an attribute that counts as unsafe; there is no unsafe code.
#![allow(unsafe_code)]

#[path = "../tests/vectors/mod.rs"]
mod shared;

use std::sync::OnceLock;

static REPORT: OnceLock<String> = OnceLock::new();

/// Runs all vectors and gives how many fail; `u32::MAX` when there are none at all.
#[unsafe(no_mangle)]
pub extern "C" fn run_vectors() -> u32 {
    let (count, failures) = shared::run();
    let failed = if count == 0 {
        u32::MAX
    } else {
        failures.len() as u32
    };
    let _ = REPORT.set(format!(
        "{count} vectors, {} failed\n{}",
        failures.len(),
        failures.join("\n")
    ));
    failed
}

/// Where the report is, in the module's memory.
#[unsafe(no_mangle)]
pub extern "C" fn report_pointer() -> *const u8 {
    REPORT
        .get()
        .map_or(std::ptr::null(), |report| report.as_ptr())
}

/// How many bytes of UTF-8 it has.
#[unsafe(no_mangle)]
pub extern "C" fn report_length() -> usize {
    REPORT.get().map_or(0, String::len)
}
