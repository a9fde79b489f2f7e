//! What each callback of the filter costs, in WebAssembly instructions: `cargo bench -p silhouette-kong-wasm --bench callbacks --profile dev`.
//!
//! In: the filter as `cargo xtask filter` has built it, and exchanges of several kinds. Out: a table. Instructions are
//! wasmtime's fuel, which is the same on every machine; the host's own work is not among them.

#[path = "../tests/strict/mod.rs"]
mod strict;

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use prost::Message;
use silhouette_proto::telemetry::v1::{ExportRequest, ExportResponse};
use strict::dispatch::{Answer, Call};
use strict::exchange::{Exchange, Kong, Named, Pair, RequestBody, ResponseHead, Surroundings};
use strict::worker::{self, Step, Timer, Worker};
use strict::{Chain, Record};

/// Exchanges per row; a tick for each [`EXCHANGES_A_TICK`] of them.
const EXCHANGES: usize = 3200;
const EXCHANGES_A_TICK: usize = 32;

const STEPS: [Step; 5] = [
    Step::RequestHeaders,
    Step::RequestBody,
    Step::ResponseHeaders,
    Step::ResponseBody,
    Step::Log,
];

/// A kind of exchange.
struct Kind {
    name: &'static str,
    method: &'static str,
    request: usize,
    response: usize,
    media: &'static str,
    settings: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "GET, 1 KiB JSON back",
        method: "GET",
        request: 0,
        response: 1024,
        media: "application/json",
        settings: "",
    },
    Kind {
        name: "POST, 1 KiB JSON both ways",
        method: "POST",
        request: 1024,
        response: 1024,
        media: "application/json",
        settings: "",
    },
    Kind {
        name: "GET, 64 KiB JSON back",
        method: "GET",
        request: 0,
        response: 64 << 10,
        media: "application/json",
        settings: "",
    },
    Kind {
        name: "GET, 64 KiB of an image",
        method: "GET",
        request: 0,
        response: 64 << 10,
        media: "image/png",
        settings: "",
    },
    Kind {
        name: "path excluded",
        method: "POST",
        request: 1024,
        response: 1024,
        media: "application/json",
        settings: ",\"exclude_paths\":\"/books/*\"",
    },
    Kind {
        name: "1 % sampled",
        method: "POST",
        request: 1024,
        response: 1024,
        media: "application/json",
        settings: ",\"sample_rate\":0.01",
    },
];

fn main() -> Result<()> {
    let engine = worker::engine(true)?;
    let path = strict::filter()?;
    let module =
        wasmtime::Module::from_file(&engine, &path).map_err(|error| anyhow!("{error:#}"))?;
    println!(
        "{}: {} bytes",
        path.display(),
        std::fs::metadata(&path)?.len()
    );
    println!(
        "WebAssembly instructions per exchange, mean of {EXCHANGES}; one tick for {EXCHANGES_A_TICK} exchanges\n"
    );
    print!("{:28}", "");
    for step in STEPS {
        print!("{:>20}", step.name());
    }
    println!(
        "{:>20}{:>12}{:>10}",
        "tick and answer", "together", "memory"
    );
    for kind in &KINDS {
        let row = measure(&engine, &module, kind)?;
        print!("{:28}", kind.name);
        for cost in row.steps {
            print!("{:>20}", cost / EXCHANGES as u64);
        }
        let together = (row.steps.iter().sum::<u64>() + row.ticks) / EXCHANGES as u64;
        println!(
            "{:>20}{together:>12}{:>6} KiB",
            row.ticks / EXCHANGES as u64,
            row.memory >> 10
        );
    }
    Ok(())
}

struct Row {
    steps: [u64; 5],
    ticks: u64,
    memory: usize,
}

fn measure(engine: &wasmtime::Engine, module: &wasmtime::Module, kind: &Kind) -> Result<Row> {
    let record = Record::default();
    let settings = kind.settings;
    let configuration = format!(
        "{{\"collector\":\"http://127.0.0.1:50051\",\"flush_interval_ms\":20,\"metrics\":\"on\"{settings}}}"
    );
    let chain = Chain {
        prefix: "/".to_owned(),
        configuration,
    };
    let mut worker = Worker::start(
        engine,
        module,
        Kong::V3_10,
        vec![chain],
        true,
        record.clone(),
    )?;
    let timer = worker
        .take_timers()
        .pop()
        .context("the filter asks for ticks")?;
    worker.take_burnt();
    let mut row = Row {
        steps: [0; 5],
        ticks: 0,
        memory: 0,
    };
    for n in 0..EXCHANGES {
        let mut exchange = exchange(kind, n)?;
        let response = std::mem::take(&mut exchange.response);
        let mut stream = worker.open(0)?;
        let mut show = |worker: &mut Worker, exchange: &mut Exchange, step: Step, end: bool| {
            worker
                .step(&mut stream, step, exchange, end)
                .map_err(|worker::Fault| anyhow!("{:#?}", record.contents()))?;
            let index = STEPS
                .iter()
                .position(|other| *other == step)
                .unwrap_or(STEPS.len() - 1);
            if let Some(cost) = row.steps.get_mut(index) {
                *cost += worker.take_burnt();
            }
            anyhow::Ok(())
        };
        let body = std::mem::take(&mut exchange.body);
        show(&mut worker, &mut exchange, Step::RequestHeaders, true)?;
        if body.size() > 0 {
            exchange.body = body;
            show(&mut worker, &mut exchange, Step::RequestBody, true)?;
        }
        exchange.response = response;
        show(&mut worker, &mut exchange, Step::ResponseHeaders, true)?;
        let whole = json(kind.response);
        for piece in whole.chunks(16 << 10) {
            exchange.chunk = piece.to_vec();
            show(
                &mut worker,
                &mut exchange,
                Step::ResponseBody,
                piece.len() == whole.len(),
            )?;
        }
        show(&mut worker, &mut exchange, Step::Log, true)?;
        show(&mut worker, &mut exchange, Step::Done, true)?;
        if n % EXCHANGES_A_TICK == EXCHANGES_A_TICK - 1 {
            // Long enough for what waits to be due.
            std::thread::sleep(timer.period * 2);
            tick(&mut worker, timer)?;
            row.ticks += worker.take_burnt();
        }
    }
    row.memory = worker.memory();
    let contents = record.contents();
    ensure!(
        contents.violations.is_empty() && contents.traps.is_empty(),
        "{contents:#?}"
    );
    Ok(row)
}

/// A tick, and the collector's answer to what it has sent.
fn tick(worker: &mut Worker, timer: Timer) -> Result<()> {
    worker.tick(timer);
    for call in worker.take_calls() {
        let answer = acknowledgement(&call)?;
        worker.answered(&call, Ok(answer));
    }
    Ok(())
}

fn acknowledgement(call: &Call) -> Result<Answer> {
    let batch = ExportRequest::decode(call.body().get(5..).context("a frame")?)?;
    let response = ExportResponse {
        acknowledged_sequence: batch.sequence,
        ..Default::default()
    };
    let trailer = b"grpc-status:0\r\n";
    let mut body = Vec::new();
    for (flags, message) in [(0u8, response.encode_to_vec()), (0x80, trailer.to_vec())] {
        body.push(flags);
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);
    }
    let headers = [
        (":status", "200"),
        ("content-type", "application/grpc-web+proto"),
    ];
    Ok(Answer {
        headers: pairs(&headers),
        body,
    })
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<Pair> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

/// JSON of about this size, like an API's.
fn json(size: usize) -> Vec<u8> {
    let item = r#"{"id":"9f3c1a52-7b0e-4c1d-9e53-0f6d2b1a7c44","title":"A book","pages":320,"price":12.5,"tags":["a","b"]},"#;
    let mut text = String::from("[");
    while text.len() + item.len() < size {
        text.push_str(item);
    }
    text.push_str(&format!(
        "\"{}\"]",
        "x".repeat(size.saturating_sub(text.len() + 3))
    ));
    text.into_bytes()
}

fn exchange(kind: &Kind, n: usize) -> Result<Exchange> {
    let address: SocketAddr = "127.0.0.1:8000".parse()?;
    let body = json(kind.request);
    let length = body.len().to_string();
    let mut request = pairs(&[
        ("Host", "books.example"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        ),
        ("Accept", "application/json, text/plain, */*"),
        ("Accept-Language", "en-GB,en;q=0.9"),
        (
            "Authorization",
            "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
        ),
        ("X-Request-ID", "3f1c9a52-7b0e-4c1d-9e53-0f6d2b1a7c44"),
    ]);
    if kind.request > 0 {
        request.extend(pairs(&[
            ("Content-Type", "application/json"),
            ("Content-Length", &length),
        ]));
    }
    let response = json(kind.response).len().to_string();
    let named = |name: &str| Named {
        id: "1c1c1c1c-0000-4000-8000-000000000001".to_owned(),
        name: name.to_owned(),
    };
    Ok(Exchange {
        method: kind.method.to_owned(),
        target: format!("/books/{n}?page=2&limit=50"),
        protocol: "HTTP/1.1".to_owned(),
        headers: request,
        body: match kind.request {
            0 => RequestBody::None,
            _ => RequestBody::Memory(body),
        },
        response: Some(ResponseHead {
            status: 200,
            headers: pairs(&[
                ("Content-Type", kind.media),
                ("Content-Length", &response),
                ("Connection", "keep-alive"),
                ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
                ("server", "books/1.2"),
                ("cache-control", "no-cache"),
                ("etag", "\"33a64df5\""),
            ]),
        }),
        chunk: Vec::new(),
        surroundings: Surroundings {
            kong: Kong::V3_10,
            node: "6e9d1b2c-0000-4000-8000-00000000000a".to_owned(),
            client: "127.0.0.1:40000".parse()?,
            server: address,
            server_name: "kong".to_owned(),
            tls: None,
            route: named("books"),
            service: named("bookshop"),
            upstream: Some(address),
        },
        begin: Instant::now(),
        request_length: 600,
        body_bytes_sent: 0,
    })
}
