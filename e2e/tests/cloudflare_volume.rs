//! Many requests and large bodies through the Worker: nothing is lost, or what is lost is counted; memory stays flat; and no client
//! ever notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::json;
use silhouette_e2e::exchange::{request_body, response_body};
use silhouette_e2e::flood::{Call, Flooding, flood};
use silhouette_e2e::process::{PATIENCE, Process, peak_bytes, resident_bytes, wait_until};
use silhouette_e2e::workerd::Setup;
use silhouette_e2e::{Collector, Origin, Recording, Workerd, curl};

const LONG: Duration = Duration::from_secs(180);

/// Reads, lists with queries, and writes with a body that comes back.
fn calls(n: u64) -> Call {
    match n % 4 {
        0 => (Method::GET, format!("/echo/items/{n}"), None),
        1 => (Method::GET, format!("/json?size={}", 64 + n % 200), None),
        2 => {
            let body = json!({ "name": format!("item {n}"), "amount": n, "tags": ["a", "b"], "note": null });
            (
                Method::POST,
                "/echo/items".to_owned(),
                Some(body.to_string()),
            )
        }
        _ => (
            Method::PUT,
            format!("/echo/items/{n}"),
            Some(json!({ "amount": n }).to_string()),
        ),
    }
}

/// So many of these calls, each answered as it should be.
fn all_answered(workerd: &Workerd, count: u64, connections: usize) -> Result<()> {
    let done = flood(&workerd.authority(), count, connections, calls)?;
    ensure!(
        (done.answered, done.failed) == (count, 0),
        "{} of {count} answered: {:?}",
        done.answered,
        done.reasons
    );
    Ok(())
}

fn exchanges_in_models(collector: &Collector) -> Result<u64> {
    let hosts = collector.get("/v1/hosts")?.json()?;
    let list = hosts["hosts"].as_array().context("a list of hosts")?;
    Ok(list
        .iter()
        .filter_map(|host| host["exchanges"].as_u64())
        .sum())
}

#[test]
fn twenty_thousand_requests_are_captured_acknowledged_and_learnt() -> Result<()> {
    const COUNT: u64 = 20_000;
    /// So many fit into the queue, however slow the collector is.
    const AT_ONCE: u64 = 2_500;
    let origin = Origin::start()?;
    let collector = Collector::start(&[])?;
    let setup = Setup::capturing(&collector.url(), origin.address(), &json!({}))?;
    let workerd = Workerd::start(&setup)?;
    for sent in 1..=COUNT / AT_ONCE {
        all_answered(&workerd, AT_ONCE, 32)?;
        workerd.drained(sent * AT_ONCE, LONG)?;
    }
    assert_eq!(origin.requests(), COUNT);
    let status = workerd.status()?;
    assert_eq!(
        (status.get("acknowledged"), status.dropped()),
        (COUNT, 0),
        "{status:?}"
    );
    wait_until("everything is learnt, once", LONG, || {
        exchanges_in_models(&collector).is_ok_and(|n| n == COUNT)
    })
    .with_context(|| {
        format!(
            "{:?} in the models, {status:?}",
            exchanges_in_models(&collector)
        )
    })?;
    assert_eq!(
        collector.metric("silhouette_exchanges_rejected_total", "")?,
        0.0
    );
    let found = collector.operations(&workerd.authority())?;
    for operation in [
        "GET /echo/items/{}",
        "PUT /echo/items/{}",
        "POST /echo/items",
        "GET /json",
    ] {
        assert!(
            found.contains(operation),
            "{operation} is not among {found:?}"
        );
    }
    let known = collector.get("/v1/shims")?.text();
    assert!(known.contains("\"cloudflare\""), "{known}");
    Ok(())
}

#[test]
fn what_is_dropped_while_the_collector_is_away_is_counted_and_told() -> Result<()> {
    let origin = Origin::start()?;
    let mut collector = Collector::start(&["--checkpoint-interval", "1s"])?;
    let more = json!({ "queue_bytes": "512k" });
    let setup = Setup::capturing(&collector.url(), origin.address(), &more)?;
    let workerd = Workerd::start(&setup)?;
    let clients = Flooding::start(&workerd.authority(), 16, calls);
    wait_until("a part is acknowledged", LONG, || {
        collector
            .metric("silhouette_exchanges_acknowledged_total", "")
            .is_ok_and(|n| n > 1000.0)
    })?;
    collector.kill_9();
    let dropped = workerd.status()?.dropped_for("queue_full");
    workerd.wait_status("more than a queue of 512 KiB can hold", LONG, |status| {
        status.dropped_for("queue_full") > dropped
    })?;
    let done = clients.stop()?;
    assert_eq!(done.failed, 0, "{:?}", done.reasons);
    collector.restart()?;
    // Whoever waits for the collector may have waited long by now: requests that come take it up.
    let mut sent = done.answered;
    wait_until("all is accounted for", LONG, || {
        let status = workerd.status().unwrap_or_default();
        let done = status.get("queued") == 0
            && status.get("captured") == sent
            && status.get("acknowledged") + status.dropped() == sent;
        if !done && curl([workerd.url("/json")]).is_ok_and(|answer| answer.status == 200) {
            sent += 1;
            std::thread::sleep(Duration::from_millis(200));
        }
        done
    })
    .with_context(|| format!("{sent} sent, {:?}", workerd.status()))?;
    let status = workerd.status()?;
    assert_eq!(status.dropped(), status.dropped_for("queue_full"));
    wait_until(
        "everything acknowledged is in the models, once",
        LONG,
        || exchanges_in_models(&collector).is_ok_and(|n| n == status.get("acknowledged")),
    )
    .with_context(|| {
        format!(
            "{:?} in the models, {status:?}",
            exchanges_in_models(&collector)
        )
    })?;
    wait_until("the collector knows what was dropped", LONG, || {
        curl([workerd.url("/json")]).is_ok_and(|more| more.status == 200)
            && collector
                .metric("silhouette_shim_exchanges_dropped_total", "queue_full")
                .is_ok_and(|n| n as u64 == status.dropped())
    })
}

/// The Worker, in a heap in which garbage does not pile up, that collects it when asked at `/collect-garbage`.
fn frugal(setup: &mut Setup) {
    // By itself V8 lets its heap grow to what a machine of this size allows, which says nothing about what is held.
    let flags = [
        "--expose-gc",
        "--max-semi-space-size=1",
        "--max-old-space-size=32",
    ];
    setup.v8_flags = flags.map(str::to_owned).to_vec();
    let entry = r#"
import worker from "./index.js";
export default {
    ...worker,
    async fetch(request, env, ctx) {
        if (!request.url.endsWith("/collect-garbage")) return worker.fetch(request, env, ctx);
        gc();
        return new Response("collected");
    },
};
"#;
    setup.entry = Some(entry.to_owned());
}

/// Resident memory once the garbage is gone, in bytes.
fn resident(workerd: &Workerd) -> Result<u64> {
    let answer = curl([workerd.url("/collect-garbage")])?;
    assert_eq!(answer.text(), "collected");
    resident_bytes(workerd.pid()).context("workerd lives")
}

#[test]
fn memory_is_flat_over_a_hundred_thousand_requests() -> Result<()> {
    const COUNT: u64 = 100_000;
    const WARM: u64 = 20_000;
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let mut setup = Setup::capturing(&recording.url(), origin.address(), &json!({}))?;
    frugal(&mut setup);
    let workerd = Workerd::start(&setup)?;
    all_answered(&workerd, WARM, 16)?;
    recording.clear();
    let before = resident(&workerd)?;
    for _ in 0..5 {
        all_answered(&workerd, COUNT / 5, 16)?;
        recording.clear();
    }
    workerd.drained(WARM + COUNT, LONG)?;
    let after = resident(&workerd)?;
    assert!(
        after < before + COUNT * 80,
        "{before} bytes resident before, {after} after {COUNT} requests: more than 80 for each"
    );
    Ok(())
}

/// How much larger workerd was at its largest while `act` went on, than ever before, in bytes.
fn grown(workerd: &Workerd, act: impl FnOnce() -> Result<()>) -> Result<u64> {
    let peak = || peak_bytes(workerd.pid()).context("workerd lives");
    let before = peak()?;
    act()?;
    Ok(peak()? - before)
}

fn download(workerd: &Workerd, bytes: u64) -> Result<()> {
    let url = workerd.url(&format!("/bytes/{bytes}"));
    let answer = curl(["--max-time", "120", &url])?;
    assert_eq!((answer.status, answer.exit), (200, 0), "{}", answer.error);
    assert_eq!(answer.body.len() as u64, bytes);
    Ok(())
}

fn upload(workerd: &Workerd, bytes: u64, framing: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    file.as_file().set_len(bytes)?;
    let answer = curl([
        "--max-time",
        "120",
        "-X",
        "POST",
        "-H",
        "Content-Type: application/octet-stream",
        "-H",
        framing,
        "-T",
        &file.path().display().to_string(),
        &workerd.url("/upload"),
    ])?;
    assert_eq!((answer.status, answer.exit), (200, 0), "{}", answer.error);
    assert_eq!(answer.json()?["bytes"], bytes);
    Ok(())
}

#[test]
fn large_bodies_are_not_held() -> Result<()> {
    const SIZE: u64 = 256 << 20;
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    // Bodies of this type are kept, so that there is a branch of ours both ways; and not kept.
    for types in ["+application/octet-stream", "application/json"] {
        let more = json!({ "content_types": types, "flush_interval_ms": 20 });
        let mut setup = Setup::capturing(&recording.url(), origin.address(), &more)?;
        frugal(&mut setup);
        let workerd = Workerd::start(&setup)?;
        let all = |bytes: u64| {
            download(&workerd, bytes)?;
            upload(&workerd, bytes, "X-Nothing: 1")?;
            upload(&workerd, bytes, "Transfer-Encoding: chunked")
        };
        // Once over the size of all buffers on the way.
        all(SIZE / 8)?;
        let by = grown(&workerd, || all(SIZE))?;
        assert!(
            by < 16 << 20,
            "{types}: {by} bytes more than before, while {SIZE} passed three times"
        );
        workerd.drained(6, LONG)?;
    }
    let exchanges = recording.exchanges();
    let kept: Vec<(u64, usize)> = exchanges
        .iter()
        .take(6)
        .flat_map(|exchange| [request_body(exchange), response_body(exchange)])
        .filter(|body| body.original_size > 1 << 20)
        .map(|body| (body.original_size, body.data.len()))
        .collect();
    assert_eq!(kept.len(), 4, "two downloads, two announced uploads");
    assert!(kept.iter().all(|(size, _)| [SIZE, SIZE / 8].contains(size)));
    Ok(())
}

#[test]
fn a_client_that_reads_slowly_is_not_read_ahead_for() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    for types in ["+application/octet-stream", "application/json"] {
        let more = json!({ "content_types": types, "flush_interval_ms": 20 });
        let mut setup = Setup::capturing(&recording.url(), origin.address(), &more)?;
        frugal(&mut setup);
        let workerd = Workerd::start(&setup)?;
        download(&workerd, 32 << 20)?;
        let url = workerd.url("/bytes/268435456");
        let by = grown(&workerd, || {
            let mut slowly = Command::new("curl");
            slowly.args(["-qsSf", "--noproxy", "*", "--limit-rate", "1M", &url]);
            let mut slowly = Process::spawn("curl", slowly.stdout(Stdio::piped()))?;
            let mut taken = slowly.stdout().context("piped above")?;
            taken.read_exact(&mut vec![0; 3 << 20])?;
            Ok(())
        })?;
        assert!(by < 16 << 20, "{types}: {by} bytes more for 3 MiB taken");
    }
    Ok(())
}

/// A request of which the client never sees the end: it leaves in the middle of its own body or of the answer's.
fn leave(authority: &str, n: usize) -> Result<()> {
    let mut socket = TcpStream::connect(authority)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let head = match n % 4 {
        0 => {
            "POST /upload HTTP/1.1\r\nHost: gone.example\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[1,"
        }
        1 => "GET /json?size=1000000 HTTP/1.1\r\nHost: gone.example\r\n\r\n",
        2 => "GET /drip/20 HTTP/1.1\r\nHost: gone.example\r\n\r\n",
        _ => "GET /slow/50 HTTP/1.1\r\nHost: gone.example\r\n\r\n",
    };
    socket.write_all(head.as_bytes())?;
    if n % 4 == 1 || n % 4 == 2 {
        let _ = socket.read(&mut [0; 64])?;
    }
    Ok(())
}

#[test]
fn clients_that_leave_cost_nobody_anything() -> Result<()> {
    const COUNT: usize = 400;
    const STORMS: u64 = 6;
    const OTHERS: u64 = 500;
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let more = json!({ "flush_interval_ms": 20, "max_response_body": "64k" });
    let mut setup = Setup::capturing(&recording.url(), origin.address(), &more)?;
    frugal(&mut setup);
    let workerd = Workerd::start(&setup)?;
    let mut seen = Vec::new();
    for _ in 0..STORMS {
        for n in 0..COUNT {
            leave(&workerd.authority(), n)?;
        }
        all_answered(&workerd, OTHERS, 8)?;
        seen.push(resident(&workerd)?);
    }
    let (before, after) = (seen[STORMS as usize / 3], seen[STORMS as usize - 1]);
    assert!(after < before + (16 << 20), "bytes resident: {seen:?}");
    // Those who stayed are all there, and the Worker holds on to nothing.
    let status = workerd.wait_status("all is sent", LONG, |status| {
        let captured = status.get("captured");
        captured >= STORMS * OTHERS
            && status.get("queued") == 0
            && captured == status.get("acknowledged")
    })?;
    assert_eq!(status.0["instances"], 1, "{status:?}");
    let stayed = recording.exchanges().into_iter().filter(|exchange| {
        exchange.authority != "gone.example"
            && !exchange.unfinished
            && !response_body(exchange).data.is_empty()
    });
    assert_eq!(stayed.count() as u64, STORMS * OTHERS);
    Ok(())
}
