//! Bytes → observations → document: nothing panics, whatever a client or a server sends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use silhouette_reconstruct::{Body, DocumentOptions, HostName, Limits, Message, Model, Observation, OpenApi};

/// Fields are separated by line feeds, exchanges by NUL: method, path, query, status, header, value, body.
fuzz_target!(|data: &[u8]| {
    let mut model = Model::new(Limits { memory_bytes: 2 << 20 });
    for (i, exchange) in data.split(|b| *b == 0).enumerate().take(64) {
        let mut fields = exchange.splitn(7, |b| *b == b'\n');
        let mut text = || std::str::from_utf8(fields.next().unwrap_or(&[])).unwrap_or("GET");
        let (method, path, query, status, name, value) = (text(), text(), text(), text(), text(), text());
        let rest = fields.next().unwrap_or(exchange);
        let media: &[u8] = [&b"application/json"[..], b"multipart/form-data; boundary=a", b"application/x-www-form-urlencoded", b"application/x-ndjson"][i % 4];
        let headers = [("content-type", media), (name, value.as_bytes())];
        let message = Message { headers: &headers, body: Body { bytes: rest, original_size: rest.len() as u64, complete: i % 3 != 0 } };
        let path = format!("/{path}");
        model.observe(&Observation {
            unix_millis: i as u64,
            duration_micros: Some(value.len() as u64),
            shim: "fuzz",
            scheme: "https",
            method: if method.is_empty() { "POST" } else { method },
            path: &path,
            query: Some(query),
            request: message,
            status: status.parse().unwrap_or(200),
            response: message,
            client_certificate: i % 2 == 0,
        });
    }
    let _ = Model::from_bytes(data);
    let _ = HostName::parse(data, "https");
    let host = HostName::parse(b"api.example.com", "https").expect("a constant");
    for openapi in [OpenApi::V30, OpenApi::V31] {
        let document = model.document(&host, &DocumentOptions { openapi, ..DocumentOptions::default() });
        assert!(!document.to_yaml().is_empty());
    }
    let again = Model::from_bytes(&model.to_bytes()).expect("what was just written");
    let options = DocumentOptions::default();
    assert_eq!(again.summary(&options), model.summary(&options));
});
