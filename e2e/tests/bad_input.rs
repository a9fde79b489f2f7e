//! What a collector meets on a bad day: garbage on its ports, messages that are too large, a full disk, a damaged journal.
//! It says so, goes on, and loses nothing that it has learnt.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use silhouette_e2e::flood::flood;
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::{PATIENCE, is_root, wait_until};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Collector, Nginx, Origin, curl};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{
    Body, Exchange, ExportRequest, Header, Request, Response, Shim,
};

const LONG: Duration = Duration::from_secs(120);

/// One exchange of a small API on `host`.
fn exchange(host: &str, n: u64) -> Exchange {
    let json = Header {
        name: "content-type".into(),
        value: "application/json".into(),
    };
    let data = format!("{{\"id\":{n},\"name\":\"thing {n}\"}}");
    Exchange {
        id: [n.to_be_bytes(), [7; 8]].concat().into(),
        start_unix_nanos: 1_700_000_000_000_000_000 + n,
        scheme: "http".into(),
        authority: host.to_owned().into(),
        http_version: "1.1".into(),
        request: Some(Request {
            method: "GET".into(),
            path: format!("/things/{n}").into(),
            ..Default::default()
        }),
        response: Some(Response {
            status: 200,
            headers: vec![json],
            body: Some(Body {
                original_size: data.len() as u64,
                data: data.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn batch(instance: u8, sequence: u64, exchanges: Vec<Exchange>) -> ExportRequest {
    let shim = Shim {
        kind: "nginx".into(),
        instance: vec![instance; 16].into(),
        ..Default::default()
    };
    let captured = exchanges.len() as u64;
    ExportRequest {
        shim: Some(shim),
        sequence,
        exchanges,
        captured,
        ..Default::default()
    }
}

fn export(collector: &Collector, request: ExportRequest) -> Result<Result<u64, tonic::Status>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let channel = tonic::transport::Endpoint::new(collector.url())?
            .timeout(PATIENCE)
            .connect()
            .await?;
        let mut client = TelemetryServiceClient::new(channel);
        Ok(client
            .export(request)
            .await
            .map(|answer| answer.into_inner().acknowledged_sequence))
    })
}

fn exchanges_of(collector: &Collector, host: &str) -> Result<u64> {
    let hosts = collector.get("/v1/hosts")?.json()?;
    let list = hosts["hosts"]
        .as_array()
        .with_context(|| format!("a list of hosts in {hosts}"))?;
    Ok(list
        .iter()
        .filter(|h| h["host"] == host)
        .filter_map(|h| h["exchanges"].as_u64())
        .sum())
}

fn still_well(collector: &Collector, instance: u8) -> Result<()> {
    assert_eq!(collector.get("/healthz")?.status, 200);
    assert_eq!(collector.get("/readyz")?.status, 200);
    let before = exchanges_of(collector, "well.example")?;
    let accepted = export(
        collector,
        batch(
            instance,
            1,
            vec![exchange("well.example", u64::from(instance))],
        ),
    )?;
    assert_eq!(accepted?, 1);
    wait_until("what is good is still learnt", PATIENCE, || {
        exchanges_of(collector, "well.example").is_ok_and(|n| n == before + 1)
    })
}

fn some_refused(collector: &Collector) -> Result<()> {
    wait_until("connections are counted as refused", PATIENCE, || {
        collector
            .metric("silhouette_connections_refused_total", "telemetry")
            .is_ok_and(|count| count >= 1.0)
    })
}

/// Sends bytes, reads what comes for at most a second.
fn throw(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address)
        .with_context(|| format!("{address} takes no connection any more"))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    // It may hang up in the middle; that is its right.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if answer.len() > 1 << 20 {
            break;
        }
    }
    Ok(answer)
}

fn garbage() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(11);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut all: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 half a client hello".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"GET /\r\n".to_vec(),
        b"HELO mail.example\r\nQUIT\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 1 << 20]].concat(),
        b"POST /silhouette.telemetry.v1.TelemetryService/Export HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 9\r\n\r\n\x00\xff\xff\xff\xff....".to_vec(),
        [preface.as_slice(), &[0xff; 300]].concat(),
        [preface.as_slice(), b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\x00\x40\x00\x01\x04\x00\x00\x00\x01"].concat(),
        vec![0; 10_000],
    ];
    for size in [1, 24, 500, 70_000] {
        all.push((0..size).map(|_| random.u8(..)).collect());
    }
    all
}

#[test]
fn garbage_on_every_port_is_shrugged_off() -> Result<()> {
    let collector = Collector::start(&["--header-timeout", "2s"])?;
    for bytes in garbage() {
        throw(collector.telemetry(), &bytes)?;
        throw(collector.admin(), &bytes)?;
    }
    some_refused(&collector)?;
    still_well(&collector, 1)?;

    let authority = Authority::new()?;
    let identity = authority.server()?;
    let paths = [&identity.certificate, &identity.key].map(|path| path.display().to_string());
    let collector = Collector::start(&[
        "--tls-cert",
        &paths[0],
        "--tls-key",
        &paths[1],
        "--header-timeout",
        "2s",
    ])?;
    for bytes in garbage() {
        throw(collector.telemetry(), &bytes)?;
    }
    some_refused(&collector)?;
    assert_eq!(collector.get("/readyz")?.status, 200);
    Ok(())
}

#[test]
fn a_connection_that_says_nothing_is_closed() -> Result<()> {
    let collector = Collector::start(&["--header-timeout", "1s"])?;
    for address in [collector.telemetry(), collector.admin()] {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let read = socket.read(&mut [0; 100]);
        assert!(
            !matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "{address} still waits"
        );
    }
    Ok(())
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_next_is_not() -> Result<()> {
    let collector = Collector::start(&["--max-message", "1m"])?;
    let mut large = exchange("large.example", 1);
    if let Some(body) = large
        .response
        .as_mut()
        .and_then(|response| response.body.as_mut())
    {
        body.data = vec![b' '; 2 << 20].into();
    }
    let status =
        export(&collector, batch(9, 1, vec![large]))?.expect_err("2 MiB are over a limit of 1 MiB");
    assert!(
        matches!(
            status.code(),
            tonic::Code::OutOfRange | tonic::Code::ResourceExhausted
        ),
        "{status:?}"
    );
    assert!(collector.metric("silhouette_batches_refused_total", "")? >= 1.0);
    still_well(&collector, 2)
}

#[test]
fn batches_that_make_no_sense_are_refused_with_the_reason() -> Result<()> {
    let collector = Collector::start(&[])?;
    let mut nobody = batch(1, 1, vec![exchange("a.example", 1)]);
    nobody.shim = None;
    let status = export(&collector, nobody)?.expect_err("a batch of nobody");
    assert!(
        status.code() == tonic::Code::InvalidArgument && !status.message().is_empty(),
        "{status:?}"
    );
    let status =
        export(&collector, batch(1, 0, vec![exchange("a.example", 1)]))?.expect_err("sequence 0");
    assert!(status.message().contains("sequence"), "{status:?}");
    // Exchanges that are none are counted by reason; those beside them are learnt.
    let strange = Exchange {
        authority: vec![0xff, 0x00].into(),
        ..Default::default()
    };
    let accepted = export(
        &collector,
        batch(3, 1, vec![strange, exchange("beside.example", 1)]),
    )?;
    assert_eq!(accepted?, 1);
    wait_until("the good one is learnt", PATIENCE, || {
        exchanges_of(&collector, "beside.example").is_ok_and(|n| n == 1)
    })?;
    assert_eq!(
        collector.metric("silhouette_exchanges_rejected_total", "")?,
        1.0
    );
    still_well(&collector, 4)
}

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mebibytes: u32) -> Result<Option<SmallDisk>> {
        std::fs::create_dir_all(at)?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(at)
            .output()
            .context("running mount")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            ensure!(
                !is_root() || said.contains("permi"),
                "mount failed although this is root: {said}"
            );
            eprintln!(
                "SKIPPED: a full disk needs the right to mount a tmpfs, which this user has not ({said})"
            );
            return Ok(None);
        }
        Ok(Some(SmallDisk(at.to_owned())))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing_that_was_acknowledged() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some(_disk) = SmallDisk::mount(&dir.path().join("disk"), 24)? else {
        return Ok(());
    };
    let disk = dir.path().join("disk");
    let origin = Origin::start()?;
    let args = [
        "--disk-reserve",
        "1m",
        "--checkpoint-interval",
        "1s",
        "--checkpoint-bytes",
        "1m",
    ];
    let collector = Collector::start_in(&disk.join("data"), &args)?;
    let nginx = Nginx::start(1, |layout| {
        capturing(
            layout,
            &collector.url(),
            &origin.url(""),
            "access_log off; silhouette_queue_bytes 4m;",
        )
    })?;
    let authority = format!("127.0.0.1:{}", nginx.layout().port);
    let call = |n: u64| (Method::GET, format!("/json?size=2000&n={n}"), None);
    assert_eq!(flood(&authority, 500, 4, call)?.failed, 0);
    assert_eq!(nginx.drained(500, LONG)?.get("acknowledged"), 500);

    // Somebody else fills the disk.
    let mut filler = std::fs::File::create(disk.join("filler"))?;
    while filler.write_all(&[0; 64 * 1024]).is_ok() {}
    let done = flood(&authority, 3000, 4, call)?;
    assert_eq!(
        (done.answered, done.failed),
        (3000, 0),
        "clients do not notice: {:?}",
        done.reasons
    );
    wait_until("/readyz tells", LONG, || {
        collector
            .get("/readyz")
            .is_ok_and(|answer| answer.status == 503)
    })?;
    let reason = collector.get("/readyz")?.text().to_lowercase();
    assert!(
        reason.contains("disk") || reason.contains("space"),
        "{reason}"
    );
    assert_eq!(collector.get("/healthz")?.status, 200);
    assert!(
        exchanges_of(&collector, &authority)? >= 500,
        "what was learnt before is still there"
    );

    drop(filler);
    std::fs::remove_file(disk.join("filler"))?;
    wait_until("it resumes by itself", LONG, || {
        collector
            .get("/readyz")
            .is_ok_and(|answer| answer.status == 200)
    })?;
    assert_eq!(curl([nginx.url("/json")])?.status, 200);
    let shim = nginx.drained(3501, LONG)?;
    assert_eq!(shim.get("captured"), 3501, "{shim:?}");
    wait_until("all that was acknowledged is learnt", LONG, || {
        exchanges_of(&collector, &authority).is_ok_and(|n| n == shim.get("acknowledged"))
    })
    .with_context(|| {
        format!(
            "{:?} learnt of {shim:?}\n{}",
            exchanges_of(&collector, &authority),
            collector.log()
        )
    })
}

#[test]
fn a_damaged_tail_of_the_journal_costs_nothing_before_it() -> Result<()> {
    let mut collector = Collector::start(&["--checkpoint-interval", "1h"])?;
    for sequence in 1..=20 {
        let exchanges = (0..10)
            .map(|n| exchange("tail.example", sequence * 10 + n))
            .collect();
        assert_eq!(
            export(&collector, batch(1, sequence, exchanges))??,
            sequence
        );
    }
    collector.kill_9();
    let journal = collector.data_dir().join("journal");
    let mut segments: Vec<PathBuf> = std::fs::read_dir(&journal)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.sort();
    let last = segments.last().context("a journal segment")?;
    // Half a frame, as a power cut leaves it.
    let mut bytes = std::fs::read(last)?;
    let torn = bytes.len();
    bytes.extend_from_slice(&[0x5a; 777]);
    std::fs::write(last, &bytes)?;
    collector.restart()?;
    wait_until("the journal is replayed", PATIENCE, || {
        exchanges_of(&collector, "tail.example").is_ok_and(|n| n == 200)
    })
    .with_context(|| collector.log())?;
    let log = collector.log();
    let name = last
        .file_name()
        .and_then(|name| name.to_str())
        .context("a name")?;
    assert!(
        log.contains(name) && log.contains(&torn.to_string()),
        "file and offset ({torn}) are told: {log}"
    );
    assert_eq!(
        collector.metric("silhouette_journal_damages_total", "")?,
        1.0
    );
    let kept = std::fs::read_dir(&journal)?
        .flatten()
        .any(|entry| entry.path().to_string_lossy().contains(".corrupt"));
    assert!(kept, "what was cut off is copied aside");
    // The same batches once more are known already; new ones are learnt.
    assert_eq!(
        export(
            &collector,
            batch(1, 20, vec![exchange("tail.example", 209)])
        )??,
        20
    );
    assert_eq!(
        export(
            &collector,
            batch(1, 21, vec![exchange("tail.example", 210)])
        )??,
        21
    );
    wait_until("only the new one counts", PATIENCE, || {
        exchanges_of(&collector, "tail.example").is_ok_and(|n| n == 201)
    })
}

#[test]
fn a_second_collector_on_the_same_directory_is_refused() -> Result<()> {
    let collector = Collector::start(&[])?;
    let error = match Collector::start_in(collector.data_dir(), &[]) {
        Ok(_) => anyhow::bail!("two collectors on one directory"),
        Err(error) => format!("{error:#}"),
    };
    let dir = collector.data_dir().display().to_string();
    assert!(error.contains(&dir), "the directory is named: {error}");
    still_well(&collector, 1)
}
