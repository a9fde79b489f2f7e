//! The real program on loopback, and clients for it.

// Every test binary has its own copy and uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{Exchange, ExportRequest, Header, Request, Response, Shim};
use tonic::transport::{Channel, Endpoint};

/// A running `silhouette-collector serve`, killed when dropped.
pub struct Collector {
    child: Child,
    pub telemetry: SocketAddr,
    pub admin: SocketAddr,
    /// What it said first.
    line: String,
    log: PathBuf,
}

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silhouette-collector"));
    // What is set where the tests run must not decide what they find.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SILHOUETTE_") {
            command.env_remove(name);
        }
    }
    command
}

impl Collector {
    pub fn start(dir: &Path, args: &[&str]) -> Collector {
        match Collector::try_start(dir, args) {
            Ok(collector) => collector,
            Err(log) => panic!("the collector did not start:\n{log}"),
        }
    }

    /// What it said instead of starting.
    pub fn try_start(dir: &Path, args: &[&str]) -> Result<Collector, String> {
        Collector::run(binary(), dir, args)
    }

    /// Started by another program, which has to become it.
    pub fn try_start_by(
        mut program: Command,
        dir: &Path,
        args: &[&str],
    ) -> Result<Collector, String> {
        let collector = binary();
        program.arg(collector.get_program());
        for (name, value) in collector.get_envs() {
            match value {
                Some(value) => program.env(name, value),
                None => program.env_remove(name),
            };
        }
        Collector::run(program, dir, args)
    }

    fn run(mut program: Command, dir: &Path, args: &[&str]) -> Result<Collector, String> {
        let log = dir.join("log");
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut child = program
            .args(["serve", "--data-dir"])
            .arg(dir.join("data"))
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            // The exchanges of these tests have fixed times, and the clock goes on.
            .envs([
                ("SILHOUETTE_STALE_AFTER", "0s"),
                ("SILHOUETTE_DROP_AFTER", "0s"),
            ])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        match (address(&line, "telemetry"), address(&line, "admin")) {
            (Some(telemetry), Some(admin)) => Ok(Collector {
                child,
                telemetry,
                admin,
                line,
                log,
            }),
            _ => {
                let _ = child.wait();
                Err(std::fs::read_to_string(log).unwrap())
            }
        }
    }

    /// Another listener of it, such as `hsl`.
    pub fn address(&self, name: &str) -> SocketAddr {
        address(&self.line, name).unwrap_or_else(|| panic!("no {name} in {:?}", self.line))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; waits for its end.
    pub fn terminate(mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    pub fn get(&self, path: &str) -> Answer {
        get(self.admin, path, "")
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// A series of `/metrics`, 0 when it is not there.
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.get("/metrics").body;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0)
    }

    /// Waits until `what` holds.
    pub fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(
                Instant::now() < until,
                "waited in vain: {what}\n{}\n{}",
                self.get("/metrics").body,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until everything acknowledged is learnt; then the exchanges in all models.
    pub fn learnt(&self) -> u64 {
        self.wait("everything is learnt", || {
            self.metric("silhouette_exchanges_pending") == 0
        });
        let hosts = self.json("/v1/hosts");
        hosts["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| host["exchanges"].as_u64().unwrap())
            .sum()
    }

    /// A connection to the telemetry port.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.telemetry)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub async fn client(&self) -> TelemetryServiceClient<Channel> {
        TelemetryServiceClient::new(self.channel().await)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(line: &str, name: &str) -> Option<SocketAddr> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    pub bytes: Vec<u8>,
}

/// GET over a connection of its own; `headers` are whole lines.
pub fn get(to: SocketAddr, path: &str, headers: &str) -> Answer {
    let host = if headers.to_ascii_lowercase().contains("host:") {
        String::new()
    } else {
        format!("host: {to}\r\n")
    };
    let raw = talk(
        to,
        format!("GET {path} HTTP/1.1\r\n{host}{headers}connection: close\r\n\r\n").as_bytes(),
    );
    answer(&raw)
}

pub fn answer(raw: &[u8]) -> Answer {
    let end = raw.windows(4).position(|at| at == b"\r\n\r\n");
    let (head, mut body) = raw.split_at(end.unwrap_or(raw.len()));
    body = body.get(4..).unwrap_or_default();
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        dechunk(body)
    } else {
        body.to_vec()
    };
    Answer {
        status,
        head,
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body,
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(line) = rest.windows(2).position(|at| at == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
    whole
}

/// Sends bytes and reads until the other side closes.
pub fn talk(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let _ = stream.write_all(bytes);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

/// A call of a small API.
pub fn exchange(host: &str, n: u64) -> Exchange {
    let header = |name: &'static str, value: &'static str| Header {
        name: Bytes::from_static(name.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    };
    let (method, path, status, body) = match n % 4 {
        0 => (
            "GET",
            "/books".to_owned(),
            200,
            "[{\"id\":1,\"title\":\"A\"}]".to_owned(),
        ),
        1 => (
            "POST",
            "/books".to_owned(),
            201,
            format!("{{\"id\":{n},\"title\":\"B\"}}"),
        ),
        2 => (
            "GET",
            format!("/books/{n}"),
            200,
            format!("{{\"id\":{n},\"title\":\"C\"}}"),
        ),
        _ => ("DELETE", format!("/books/{n}"), 204, String::new()),
    };
    Exchange {
        id: Bytes::copy_from_slice(&u128::from(n).to_be_bytes()),
        start_unix_nanos: 1_790_000_000_000_000_000 + n * 1_000_000,
        duration_micros: Some(900),
        scheme: "http".into(),
        authority: Bytes::copy_from_slice(host.as_bytes()),
        http_version: "1.1".into(),
        request: Some(Request {
            method: method.into(),
            path: path.into_bytes().into(),
            headers: vec![header("accept", "application/json")],
            ..Default::default()
        }),
        response: Some(Response {
            status,
            headers: vec![header("content-type", "application/json")],
            body: Some(silhouette_proto::telemetry::v1::Body {
                original_size: body.len() as u64,
                data: body.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Batch `sequence` of an instance, with `count` exchanges.
pub fn batch(instance: u8, sequence: u64, host: &str, count: u64) -> ExportRequest {
    ExportRequest {
        shim: Some(Shim {
            kind: "nginx".into(),
            version: "0.1.0".into(),
            node: "test".into(),
            instance: vec![instance; 16].into(),
            ..Default::default()
        }),
        sequence,
        exchanges: (0..count)
            .map(|n| exchange(host, sequence * count + n))
            .collect(),
        captured: sequence * count,
        ..Default::default()
    }
}
