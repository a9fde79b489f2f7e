//! How long learning an exchange takes, over how long `serde_json` takes to parse the same body into a `Value`.
//!
//! `cargo bench -p silhouette-reconstruct`. Rounds of both are interleaved, so a busy machine slows both.

use silhouette_reconstruct::{
    Body, DocumentOptions, HostName, Limits, Message, Model, Observation,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn body(bytes: usize) -> String {
    let mut items = Vec::new();
    let mut size = 0;
    for i in 0.. {
        let item = format!(
            r#"{{"id":{},"title":"The Book of Numbers {i}","price":{}.50,"inStock":{},"publishedAt":"2026-01-02T03:04:05Z","author":{{"slug":"author-{i}","name":"Person {i}"}},"tags":["fiction","long"]}}"#,
            i * 7919,
            i % 90,
            i % 3 == 0
        );
        size += item.len();
        items.push(item);
        if size >= bytes {
            break;
        }
    }
    format!(
        r#"{{"items":[{}],"total":{}}}"#,
        items.join(","),
        items.len()
    )
}

fn main() {
    for bytes in [1024, 20 * 1024] {
        let text = body(bytes);
        let headers: [(&str, &[u8]); 2] = [
            ("content-type", b"application/json"),
            ("date", b"Mon, 02 Mar 2026 08:00:00 GMT"),
        ];
        let request: [(&str, &[u8]); 3] = [
            ("host", b"books.example.com"),
            ("accept", b"*/*"),
            ("user-agent", b"bench/1"),
        ];
        let observation = Observation {
            unix_millis: 1_772_438_400_000,
            duration_micros: Some(900),
            shim: "nginx",
            scheme: "https",
            method: "GET",
            path: "/api/v1/books",
            query: Some("page=2"),
            request: Message {
                headers: &request,
                body: Body::default(),
            },
            status: 200,
            response: Message {
                headers: &headers,
                body: Body::whole(text.as_bytes()),
            },
            client_certificate: false,
        };
        let mut model = Model::new(Limits::default());
        let (mut learning, mut parsing) = (Duration::ZERO, Duration::ZERO);
        let per_round = 2_000_000 / text.len();
        for round in 0..60 {
            let start = Instant::now();
            for _ in 0..per_round {
                black_box(model.observe(black_box(&observation)));
            }
            let learnt = start.elapsed();
            let start = Instant::now();
            for _ in 0..per_round {
                black_box(
                    serde_json::from_slice::<serde_json::Value>(black_box(text.as_bytes())).ok(),
                );
            }
            // The first rounds warm up.
            if round >= 10 {
                learning += learnt;
                parsing += start.elapsed();
            }
        }
        let n = (50 * per_round) as u128;
        println!(
            "{:>6} B: observe {:>7} ns, serde_json::Value {:>7} ns, ratio {:.2}",
            text.len(),
            learning.as_nanos() / n,
            parsing.as_nanos() / n,
            learning.as_secs_f64() / parsing.as_secs_f64()
        );
        if let Ok(host) = HostName::parse(b"books.example.com", "https") {
            let start = Instant::now();
            black_box(model.document(&host, &DocumentOptions::default()));
            println!("          emission of 1 operation {:?}", start.elapsed());
        }
    }
}
