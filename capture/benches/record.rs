//! What capturing one exchange costs: `cargo bench -p silhouette-capture`. Prints nanoseconds per exchange, the best of many
//! rounds, since the machine is shared. 1 KiB of JSON and ten headers each way, as a browser's API call has them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use silhouette_capture::{
    Clock, End, Gateway, Identity, Outbox, OutboxLimits, Peers, Policy, Recorder, RequestHead,
    Sampler, Sealed, Settings,
};

const REQUEST: &[(&[u8], &[u8])] = &[
    (b"Host", b"api.example.com"),
    (
        b"User-Agent",
        b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Accept-Language", b"en-US,en;q=0.5"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"1024"),
    (b"Origin", b"https://app.example.com"),
    (b"X-Request-Id", b"6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    (b"Connection", b"keep-alive"),
];

const RESPONSE: &[(&[u8], &[u8])] = &[
    (b"Server", b"nginx/1.22.1"),
    (b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"Content-Length", b"1024"),
    (b"Connection", b"keep-alive"),
    (b"Cache-Control", b"no-cache, private"),
    (b"X-RateLimit-Limit", b"60"),
    (b"X-RateLimit-Remaining", b"59"),
    (b"Vary", b"Accept-Encoding"),
    (b"ETag", b"W/\"33a64df551425fcc55e4d42a148795d9\""),
];

/// A list of books, about 1 KiB.
fn body(with_secret: bool) -> Vec<u8> {
    let mut text = String::from("{\"page\":1,\"total\":240,");
    if with_secret {
        text.push_str("\"password\":\"correct horse battery staple\",");
    }
    text.push_str("\"items\":[");
    for id in 0..9 {
        text.push_str(&format!(
            "{{\"id\":{id},\"title\":\"A title of some length\",\"price\":12.5,\"inStock\":true,\"tags\":[\"a\",\"b\"],\
             \"added\":\"2024-05-0{id}T12:00:00Z\"}},"
        ));
    }
    text.push_str("null]}");
    text.into_bytes()
}

fn record(
    policy: &Arc<Policy>,
    sampler: &mut Sampler,
    request: &[(&[u8], &[u8])],
    response: &[(&[u8], &[u8])],
    body: &[u8],
) -> Sealed {
    let head = RequestHead {
        scheme: "https",
        authority: b"api.example.com",
        method: b"POST",
        path: b"/v1/books/search",
        query: Some(b"page=1&sort=price"),
        http_version: "1.1",
    };
    let clock = Clock {
        unix_nanos: 1_700_000_000_000_000_000,
        monotonic_nanos: 1,
    };
    let mut recorder = Recorder::begin(
        policy,
        sampler,
        [7; 16],
        &head,
        request.iter().copied(),
        clock,
    )
    .expect("it is captured");
    recorder.request_chunk(body);
    recorder.response_head(200, response.iter().copied(), 2_000_000);
    recorder.response_chunk(body);
    let end = End {
        monotonic_nanos: 3_000_000,
        gateway: Gateway {
            route: "/v1/",
            upstream: "books",
            upstream_address: Some(([127, 0, 0, 1], 8080).into()),
            virtual_server: "api.example.com",
            upstream_micros: Some(900),
            ..Gateway::default()
        },
        peers: Peers {
            client: Some(([192, 0, 2, 1], 5000).into()),
            server: Some(([192, 0, 2, 2], 443).into()),
        },
        ..End::default()
    };
    recorder.finish(&end).expect("it is captured")
}

fn measure(name: &str, mut work: impl FnMut()) {
    // `cargo bench -- outbox` measures only that.
    if std::env::args()
        .skip(1)
        .any(|filter| !filter.starts_with("--") && !name.contains(&filter))
    {
        return;
    }
    let mut best = f64::MAX;
    for _ in 0..2000 {
        let start = Instant::now();
        for _ in 0..100 {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / 100.0);
    }
    println!("{name:<58} {best:>8.0} ns");
}

fn main() {
    // `cargo test --benches` runs this too; there is nothing to check.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let policy = Arc::new(
        Settings::default()
            .build()
            .expect("the defaults are accepted"),
    );
    let mut off = Settings::default();
    for name in ["redact_headers", "redact_query", "redact_json"] {
        off.set(name, "off").expect("off is accepted");
    }
    let off = Arc::new(off.build().expect("redaction may be off"));
    let mut sampler = Sampler::new(1);
    let (plain, secret) = (body(false), body(true));
    let authorized: Vec<(&[u8], &[u8])> = REQUEST
        .iter()
        .copied()
        .chain([(
            b"Authorization".as_slice(),
            b"Bearer abcdefghijklmnop".as_slice(),
        )])
        .collect();
    println!("bodies of {} and {} bytes", plain.len(), secret.len());

    measure("record: heads only", || {
        black_box(record(&policy, &mut sampler, REQUEST, RESPONSE, b""));
    });
    measure("record: bodies without secrets", || {
        black_box(record(&policy, &mut sampler, REQUEST, RESPONSE, &plain));
    });
    measure("record: bodies without secrets, redaction off", || {
        black_box(record(&off, &mut sampler, REQUEST, RESPONSE, &plain));
    });
    measure(
        "record: bodies with a password, an Authorization header",
        || {
            black_box(record(
                &policy,
                &mut sampler,
                &authorized,
                RESPONSE,
                &secret,
            ));
        },
    );
    let sealed = record(&policy, &mut sampler, REQUEST, RESPONSE, &plain);
    let mut outbox = Outbox::new(Identity::default(), OutboxLimits::new(&policy, 4), 1);
    let mut now = 0;
    measure(
        "outbox: push, cut, acknowledge (with a copy of the input)",
        || {
            now += 1000;
            outbox.push(sealed.clone(), now).expect("there is room");
            while let Some(batch) = outbox.next_batch(now) {
                outbox.acknowledged(batch.sequence, 0, now);
            }
        },
    );
}
