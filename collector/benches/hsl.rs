//! Records of BIG-IPs per second and core, from the bytes of a connection to what the journal is given.
//!
//!     cargo bench -p silhouette-collector --bench hsl [-- --records N --rounds N --size BYTES]
//!
//! What is measured is the processor time of the thread that reads a connection: framing, signature, base64, heads, recording with
//! redaction, encoding, submission, accounting. The bytes come from memory, and another thread takes the place of the journal:
//! it answers groups, after a millisecond each. Then the same records by part, and without redaction. Prints a Markdown table with medians.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use rustix::time::{ClockId, clock_gettime};
use silhouette_collector::budget::Budget;
use silhouette_collector::hsl::exchange::{Redaction, Translator};
use silhouette_collector::hsl::gaps::Gaps;
use silhouette_collector::hsl::keys::{Keyring, KeysInForce};
use silhouette_collector::hsl::listener::{Hsl, Parts};
use silhouette_collector::hsl::record::{Records, signed};
use silhouette_collector::hsl::refused::Refused;
use silhouette_collector::metrics::Metrics;
use silhouette_collector::unix_millis;
use silhouette_collector::writer::{Kept, Submission};
use silhouette_serving::refusals::Refusals;

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: &str = "silk_0123456789012345678901234567890123456789012";

fn main() {
    let (mut records, mut rounds, mut size) = (20_000usize, 9usize, 2048usize);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|value| value.parse().ok());
            value.unwrap_or_else(|| panic!("{arg} wants a number"))
        };
        match arg.as_str() {
            "--records" => records = number(),
            "--rounds" => rounds = number().max(1),
            "--size" => size = number(),
            _ => {} // cargo's own, such as --bench
        }
    }
    let now = unix_millis() / 1000;
    let lines: Vec<Vec<u8>> = (1..=records).map(|n| record(n, size, now)).collect();
    let bytes = lines.concat();
    let each = bytes.len() / records;
    let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / records as f64;
    let parts: [(&str, &dyn Fn() -> Duration); 5] = [
        ("all of it", &|| connection(&bytes, records)),
        ("signature (HMAC-SHA-256)", &|| signatures(&lines)),
        ("base64", &|| decoding(&lines)),
        ("translating, with base64 and redaction", &|| {
            translating(&lines, true)
        }),
        ("translating, without redaction", &|| {
            translating(&lines, false)
        }),
    ];
    // Interleaved, since the machine may be busy with something else.
    let mut spent = vec![Vec::new(); parts.len()];
    for _ in 0..rounds {
        for ((_, part), spent) in parts.iter().zip(&mut spent) {
            spent.push(micros(part()));
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let [all, signature, base64, translated, unredacted] =
        <[f64; 5]>::try_from(spent.iter_mut().map(median).collect::<Vec<_>>()).expect("five");
    println!("| {records} records of {each} B on average, median of {rounds} | |");
    println!("|---|---|");
    println!("| records/s on one core | {:.0} |", 1e6 / all);
    println!("| processor time of a record | {all:.2} us |");
    println!("| – signature (HMAC-SHA-256) | {signature:.2} us |");
    println!("| – base64 | {base64:.2} us |");
    println!("| – redaction | {:.2} us |", translated - unredacted);
    let recording = unredacted - base64;
    println!("| – fields of heads, recording, encoding | {recording:.2} us |");
    let rest = all - signature - translated;
    println!("| – framing, submission, accounting | {rest:.2} us |");
}

/// Processor time of this thread for `work`.
fn cpu(work: impl FnOnce()) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let before = now();
    work();
    now() - before
}

/// A line of about `size` bytes: a call of an API as a browser makes it, and what answered.
fn record(n: usize, size: usize, now: u64) -> Vec<u8> {
    let request = format!(
        "GET /api/v1/books/{n}?page=3&sort=title HTTP/1.1\r\nHost: api.example.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Authorization: Bearer [redacted]\r\nX-Request-Id: 6f9619ff-8b86-d011-b42d-00cf4fc964ff\r\n\
         Connection: keep-alive\r\n\r\n"
    );
    let response = "HTTP/1.1 200 OK\r\nDate: Sun, 01 Mar 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n\
                    Cache-Control: no-store\r\nVary: Accept-Encoding\r\nETag: \"33a64df551425fcc55e4d42a\"\r\n";
    let mut body = format!("{{\"id\":{n},\"items\":[");
    let fixed = 500 + (request.len() + response.len()) * 4 / 3;
    let mut id = n;
    while fixed + (body.len() + 110) * 4 / 3 < size {
        body.push_str(&format!(
            "{{\"id\":{id},\"title\":\"A book of some length, volume {}\",\"price\":{}.99,\"tags\":[\"new\"],\"in_stock\":true}},",
            id % 17,
            id % 90
        ));
        id += 1;
    }
    if body.ends_with(',') {
        body.pop();
    }
    body.push_str("]}");
    let facts = "host bigip-1.example.com\nrule 0.1.0\ntmos 17.1.0\nvirtual /Common/vs_books\npool /Common/books\n\
                 tls TLSv1.2\ncipher ECDHE-RSA-AES128-GCM-SHA256\n";
    let fields = format!(
        "{now:08x}00c0ffee 1 {n} - - {now} 12 15 s 10.0.0.1 40000 192.0.2.1 443 10.1.0.9 8080 1.1 - {} {} {} - {} {}",
        body.len(),
        STANDARD.encode(facts),
        STANDARD.encode(request),
        STANDARD.encode(response),
        STANDARD.encode(body)
    );
    signed("bigip-1", SECRET, fields.as_bytes())
}

fn ring() -> Keyring {
    Keyring::new([("bigip-1", SECRET)]).expect("a name")
}

/// The listener's own code over all of it.
fn connection(bytes: &[u8], records: usize) -> Duration {
    let metrics = Arc::new(Metrics::default());
    let (submissions, queue) = channel::<Submission>();
    let (_end, ending) = tokio::sync::watch::channel(false);
    let gaps = Arc::new(Gaps::new(0, HashMap::new(), metrics.hsl_lost.clone()));
    let refused = Refused::new(Refusals::new(metrics.hsl_refused.clone()));
    let hsl = Hsl::new(Parts {
        submissions,
        budget: Budget::new(64 << 20),
        keys: Arc::new(KeysInForce::fixed(ring())),
        policy: Arc::new(Redaction::default().policy().expect("the defaults")),
        gaps: gaps.clone(),
        refused: Arc::new(refused),
        refusals: Arc::new(Refusals::new(metrics.refused.clone())),
        shims: Arc::default(),
        metrics,
        patience: Duration::from_secs(60),
        ending,
    });
    let journal = std::thread::spawn(move || {
        // As the writer does: what has queued is synchronised at once, which takes a disk a while, and then all of it is answered.
        let mut group: Vec<Submission> = Vec::new();
        while let Ok(first) = queue.recv() {
            group.push(first);
            group.extend(queue.try_iter().take(1023));
            std::thread::sleep(Duration::from_millis(1));
            for submission in group.drain(..) {
                let _ = submission.answer.send(Ok(Kept::Durable));
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let peer = ([127, 0, 0, 1], 1).into();
    let spent = cpu(|| runtime.block_on(hsl.stream("hsl", bytes, peer)));
    let sent = gaps.list();
    assert_eq!(sent.first().map(|sent| sent.received), Some(records as u64));
    drop(hsl);
    journal.join().expect("the journal's place");
    spent
}

/// Fields of a line and its signature.
fn framed(line: &[u8]) -> (&[u8], [u8; 32]) {
    let mut words = line.trim_ascii_end().splitn(5, |byte| *byte == b' ');
    let mac = words.nth(3).expect("a signature");
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(mac.chunks(2)) {
        let digits = std::str::from_utf8(pair).expect("digits");
        *byte = u8::from_str_radix(digits, 16).expect("digits");
    }
    (words.next().expect("fields"), bytes)
}

fn signatures(lines: &[Vec<u8>]) -> Duration {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let framed: Vec<_> = lines.iter().map(|line| framed(line)).collect();
    cpu(|| {
        for (fields, mac) in &framed {
            hmac::verify(&key, fields, mac).expect("it is good");
        }
    })
}

fn decoding(lines: &[Vec<u8>]) -> Duration {
    let fields: Vec<Vec<&[u8]>> = lines
        .iter()
        .map(|line| {
            let fields = framed(line).0.split(|byte| *byte == b' ').skip(18);
            fields.filter(|field| *field != b"-").collect()
        })
        .collect();
    let mut buffer = vec![0; 128 << 10];
    cpu(|| {
        for field in fields.iter().flatten() {
            black_box(STANDARD.decode_slice(field, &mut buffer).expect("base64"));
        }
    })
}

fn translating(lines: &[Vec<u8>], redacted: bool) -> Duration {
    let off = |what: &str| (!redacted).then(|| what.to_owned());
    let redaction = Redaction {
        headers: off("off"),
        query: off("off"),
        json: off("off"),
        content_types: None,
    };
    let mut translator = Translator::new(Arc::new(redaction.policy().expect("known")));
    let (ring, now) = (ring(), unix_millis() / 1000);
    let records: Vec<_> = lines
        .iter()
        .map(|line| {
            Records::of(line.trim_ascii_end())
                .next(&ring)
                .expect("one")
                .expect("good")
        })
        .collect();
    cpu(|| {
        for record in &records {
            black_box(translator.translate(record, now).expect("a batch"));
        }
    })
}
