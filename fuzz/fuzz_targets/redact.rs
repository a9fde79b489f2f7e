//! Headers, paths, queries and bodies, complete or cut off: redaction never panics, writes nothing when it changes nothing,
//! and does not leak a marked secret whatever stands beside it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use silhouette_capture::redaction::{Format, Redaction};
use silhouette_capture::{Policy, Settings};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    Settings::default()
        .build()
        .expect("the defaults are accepted")
});

fn redacted(redact: impl Fn(&[u8], &mut Vec<u8>) -> bool, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if redact(input, &mut out) {
        return out;
    }
    assert!(out.is_empty(), "nothing is written when nothing changes");
    input.to_vec()
}

fuzz_target!(|input: (u8, bool, &[u8], &[u8])| {
    let (kind, cut, data, other) = input;
    let redaction: &Redaction = POLICY.redaction();
    let body = |format| {
        move |data: &[u8], out: &mut Vec<u8>| redaction.body(format, other, data, cut, out)
    };
    match kind % 8 {
        0 => drop(redacted(body(Format::Text), data)),
        1 => drop(redacted(body(Format::Form), data)),
        2 => drop(redacted(body(Format::Multipart), data)),
        3 => drop(redacted(body(Format::Xml), data)),
        4 => drop(redacted(
            |data, out| redaction.header(other, data, out),
            data,
        )),
        5 => drop(redacted(|data, out| redaction.path(data, cut, out), data)),
        6 => drop(redacted(|data, out| redaction.query(data, cut, out), data)),
        _ => {
            // A JSON field after whatever came before it, as long as that is no open string or name.
            let mut json = b"{\"password\":\"MARKED-SECRET\",\"x\":\"".to_vec();
            json.extend(data.iter().filter(|b| !matches!(b, b'"' | b'\\')));
            json.extend(b"\",\"token\":\"MARKED-SECRET\"}");
            let out = redacted(body(Format::Text), &json);
            assert!(!out.windows(13).any(|window| window == b"MARKED-SECRET"));
        }
    }
});
