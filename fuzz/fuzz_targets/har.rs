//! A HAR recording: any bytes, arriving in any pieces, give the same entries or the same error; a valid recording gives
//! the entries a JSON parser finds in it; and whatever an entry holds is learnt or left out.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use silhouette_collector::har::{Exchange, Item, Reader};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};

const MAX_ENTRY: usize = 64 << 10;

/// Gives its bytes a few at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(buffer.len()).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

fn entries(reader: impl Read) -> (Vec<Vec<u8>>, Option<String>) {
    let mut reader = Reader::with_max_entry(reader, MAX_ENTRY);
    let mut found = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(Item::Entry(entry))) => found.push(entry.json.to_vec()),
            Ok(Some(Item::TooLarge { .. })) => {}
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.to_string())),
        }
    }
}

/// The entries of a recording without anything that a parser and a scanner may rightly see differently: twice the same
/// key, escapes in keys, several recordings in one.
fn as_parsed(bytes: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let once = |word: &str| text.matches(word).count() == 1;
    if !once("\"log\"") || !once("\"entries\"") || text.contains("\\u") {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let entries = value.get("log")?.get("entries")?.as_array()?;
    entries
        .iter()
        .all(Value::is_object)
        .then(|| entries.clone())
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let (found, error) = entries(bytes);
    let in_pieces = entries(Pieces(bytes, usize::from(piece) + 1));
    assert_eq!((&found, &error), (&in_pieces.0, &in_pieces.1));
    if let Some(expected) = as_parsed(bytes) {
        assert_eq!(error, None);
        let parsed = found
            .iter()
            .map(|json| serde_json::from_slice(json).unwrap())
            .collect::<Vec<Value>>();
        assert_eq!(parsed, expected);
    }
    let mut model = Model::new(Limits::default());
    let host = HostName::parse(b"fuzz.test", "https").unwrap();
    for json in found.iter().map(Vec::as_slice).chain([bytes]) {
        let _ = Exchange::parse(json, |exchange| {
            if let Ok(exchange) = exchange {
                exchange.observe(1, |observation| model.observe(observation));
            }
        });
    }
    let _ = model.document(&host, &DocumentOptions::default());
});
