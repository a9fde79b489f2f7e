//! Any bytes as a batch: opened, inspected, turned into observations, learnt, and made a document of.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use silhouette_collector::envelope::{Envelope, inspect};
use silhouette_collector::ingest::{Context, observe};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};

fuzz_target!(|data: &[u8]| {
    let batch = Bytes::copy_from_slice(data);
    let exchanges = match Envelope::open(&batch) {
        Ok(envelope) => envelope.exchanges,
        // Most bytes are no batch: then as one exchange.
        Err(_) => vec![batch],
    };
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        let Ok(target) = inspect(&exchange) else {
            continue;
        };
        let context = Context {
            shim: "fuzz",
            scheme: target.scheme,
            received: 1_800_000_000_000,
            max_body: 1 << 20,
        };
        let _ = HostName::parse(target.authority, target.scheme);
        let _ = observe(&exchange, context, |_| {}, |observation| {
            model.observe(observation);
        });
    }
    if let Ok(host) = HostName::parse(b"fuzz.example", "http") {
        let _ = model.document(&host, &DocumentOptions::default()).to_json();
    }
});
