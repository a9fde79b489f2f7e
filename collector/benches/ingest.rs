//! Exchanges per second, acknowledged and learnt, over gRPC on loopback; against learning in process on one core.
//!
//!     cargo bench -p silhouette-collector --bench ingest [-- --exchanges N --rounds N --size BYTES --hosts N]
//!
//! Two rates per round, interleaved: `Model::observe` on observations made beforehand, one thread; and the release
//! program, fed by two streams as shims feed it, from the first batch sent to the last exchange learnt, sender and
//! collector together on whatever cores there are. Prints a Markdown table with medians, their ratio, and the
//! collector's peak memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use silhouette_collector::envelope::inspect;
use silhouette_collector::ingest::{Context, observe};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{
    Body, Exchange, ExportRequest, Header, Request, Response, Shim,
};
use silhouette_reconstruct::{Limits, Model};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Exchanges of a batch, as shims cut them.
const BATCH: u64 = 512;

fn main() {
    let (mut exchanges, mut rounds, mut size, mut hosts) = (200_000u64, 3u64, 1024usize, 4u64);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|value| value.parse().ok());
            value.unwrap_or_else(|| panic!("{arg} wants a number"))
        };
        match arg.as_str() {
            "--exchanges" => exchanges = number(),
            "--rounds" => rounds = number(),
            "--size" => size = number() as usize,
            "--hosts" => hosts = number().max(1),
            _ => {} // cargo's own, such as --bench
        }
    }
    let batches = exchanges.div_ceil(BATCH);
    let exchanges = batches * BATCH;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (mut alone, mut served, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        alone.push(in_process(exchanges, size, hosts));
        let (rate, memory) = runtime.block_on(over_grpc(batches, size, hosts));
        served.push(rate);
        peak = peak.max(memory);
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (alone, served) = (median(&mut alone), median(&mut served));
    println!(
        "| {exchanges} exchanges of {hosts} hosts, {size} B of JSON each, median of {rounds} | |"
    );
    println!("|---|---|");
    println!("| in process, one core, exchanges/s | {alone:.0} |");
    println!("| over gRPC, acknowledged and learnt, exchanges/s | {served:.0} |");
    println!("| ratio | {:.2} |", served / alone);
    println!("| collector, peak memory | {} MiB |", peak >> 10);
}

/// A list of books of about `size` bytes.
fn body(n: u64, size: usize) -> Bytes {
    let mut text = format!("{{\"page\":{},\"items\":[", n % 50);
    let mut id = n;
    while text.len() + 140 < size.max(200) {
        text.push_str(&format!(
            "{{\"id\":{id},\"title\":\"A book of some length, volume {}\",\"price\":{}.99,\"published\":\"2021-0{}-11\",\"tags\":[\"new\",\"paper\"],\"in_stock\":{}}},",
            id % 17, id % 90, id % 9 + 1, id.is_multiple_of(2)
        ));
        id += 1;
    }
    text.pop();
    text.push_str("]}");
    Bytes::from(text)
}

fn exchange(n: u64, size: usize, hosts: u64) -> Exchange {
    let header = |name: &'static str, value: &'static str| Header {
        name: Bytes::from_static(name.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    };
    let data = body(n, size);
    let path = match n % 4 {
        0 => "/api/v1/books".to_owned(),
        1 => format!("/api/v1/books/{}", n % 5000),
        2 => format!("/api/v1/authors/{}/books", n % 700),
        _ => format!("/api/v1/orders/{}", n % 9000),
    };
    Exchange {
        id: Bytes::copy_from_slice(&u128::from(n).to_be_bytes()),
        start_unix_nanos: 1_790_000_000_000_000_000 + n * 1_000,
        duration_micros: Some(900 + n % 700),
        scheme: "https".into(),
        authority: format!("api-{}.example.com", n % hosts).into(),
        http_version: "2".into(),
        request: Some(Request {
            method: "GET".into(),
            path: path.into(),
            query: Some(format!("page={}&sort=title", n % 50).into()),
            headers: vec![
                header("accept", "application/json"),
                header("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA"),
                header("user-agent", "bench/1"),
                header("x-request-id", "b3f1c2d4"),
                header("accept-encoding", "gzip"),
            ],
            ..Default::default()
        }),
        response: Some(Response {
            status: 200,
            headers: vec![
                header("content-type", "application/json"),
                header("cache-control", "no-store"),
                header("date", "Sun, 01 Mar 2026 10:00:00 GMT"),
            ],
            body: Some(Body {
                original_size: data.len() as u64,
                data,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// `Model::observe` alone: everything before it is done outside of the measured time.
fn in_process(exchanges: u64, size: usize, hosts: u64) -> f64 {
    let mut models: Vec<Model> = (0..hosts).map(|_| Model::new(Limits::default())).collect();
    let mut spent = Duration::ZERO;
    for n in 0..exchanges {
        let encoded = Bytes::from(exchange(n, size, hosts).encode_to_vec());
        let context = Context {
            shim: "nginx",
            scheme: inspect(&encoded).expect("a whole exchange").scheme,
            received: 1_800_000_000_000,
            max_body: 4 << 20,
        };
        let model = &mut models[(n % hosts) as usize];
        let learnt = observe(
            &encoded,
            context,
            |_| {},
            |observation, _| {
                let begin = Instant::now();
                model.observe(observation);
                spent += begin.elapsed();
            },
        );
        learnt.expect("an observation");
    }
    exchanges as f64 / spent.as_secs_f64()
}

struct Collector {
    child: Child,
    telemetry: SocketAddr,
    admin: SocketAddr,
}

impl Collector {
    fn start(dir: &std::path::Path) -> Collector {
        let mut child = Command::new(env!("CARGO_BIN_EXE_silhouette-collector"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .args(["--log", "error", "--data-dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the collector starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it tells its addresses");
        let address = |key: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.parse().ok())
                .expect("an address")
        };
        Collector {
            telemetry: address("telemetry="),
            admin: address("admin="),
            child,
        }
    }

    fn learnt(&self) -> u64 {
        let mut text = String::new();
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener answers");
        let head = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.read_to_string(&mut text).expect("it answers");
        text.lines()
            .find_map(|line| {
                line.strip_prefix("silhouette_exchanges_learnt_total ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    }

    /// KiB, by the kernel's accounting.
    fn peak_memory(&self) -> u64 {
        std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default()
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmHWM:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn over_grpc(batches: u64, size: usize, hosts: u64) -> (f64, u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let collector = Collector::start(dir.path());
    let mut streams = Vec::new();
    // Made beforehand: what is measured is the collector, not the making of test data.
    let shares: Vec<Vec<ExportRequest>> = (0..2u64)
        .map(|shim| {
            (0..batches)
                .filter(|batch| batch % 2 == shim)
                .enumerate()
                .map(|(at, batch)| ExportRequest {
                    shim: Some(Shim {
                        kind: "nginx".into(),
                        instance: vec![shim as u8; 16].into(),
                        ..Default::default()
                    }),
                    sequence: at as u64 + 1,
                    exchanges: (batch * BATCH..(batch + 1) * BATCH)
                        .map(|n| exchange(n, size, hosts))
                        .collect(),
                    ..Default::default()
                })
                .collect()
        })
        .collect();
    let begin = Instant::now();
    for share in shares {
        let endpoint = Endpoint::from_shared(format!("http://{}", collector.telemetry))
            .expect("an address")
            .initial_stream_window_size(1 << 20);
        let mut client =
            TelemetryServiceClient::new(endpoint.connect().await.expect("a connection"));
        streams.push(tokio::spawn(async move {
            let last = share.len() as u64;
            let (send, requests) = tokio::sync::mpsc::channel(4);
            tokio::spawn(async move {
                for batch in share {
                    if send.send(batch).await.is_err() {
                        return;
                    }
                }
            });
            let mut responses = client
                .stream(ReceiverStream::new(requests))
                .await
                .expect("a stream")
                .into_inner();
            let mut acknowledged = 0;
            while let Some(response) = responses.message().await.expect("no failure") {
                acknowledged = response.acknowledged_sequence;
            }
            assert_eq!(acknowledged, last, "everything is acknowledged");
        }));
    }
    for stream in streams {
        stream.await.expect("a stream to its end");
    }
    while collector.learnt() < batches * BATCH {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = (batches * BATCH) as f64 / begin.elapsed().as_secs_f64();
    (rate, collector.peak_memory())
}
