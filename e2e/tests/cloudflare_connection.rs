//! The Worker and its collector when things are not well: down, slow, refusing, restarted, misconfigured; and its own core when it
//! fails. A real workerd, a recording collector that misbehaves on demand, a real one that is killed.
//!
//! A Worker only runs while it has requests, so where something must go on, a request comes now and then.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use silhouette_e2e::exchange::response_body;
use silhouette_e2e::process::{PATIENCE, free_port, wait_until};
use silhouette_e2e::recording::{Behaviour, Recording};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::workerd::{Setup, Status, Way};
use silhouette_e2e::{Collector, Origin, Workerd, artifacts, curl, flood};

const TOKEN: &str = "shim-4f0c9d-token";

fn setup(collector: &str, origin: &Origin, more: &Value) -> Result<Setup> {
    let mut all = json!({ "flush_interval_ms": 20 });
    for (name, value) in more.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    Setup::capturing(collector, origin.address(), &all)
}

fn start(collector: &str, origin: &Origin, more: &Value) -> Result<Workerd> {
    Workerd::start(&setup(collector, origin, more)?)
}

/// So many requests, each answered as it should be.
fn requests(workerd: &Workerd, count: u64) -> Result<()> {
    let done = flood(&workerd.authority(), count, 4, |n| {
        (Method::GET, format!("/json?n={n}"), None)
    })?;
    ensure!(
        (done.answered, done.failed) == (count, 0),
        "{} of {count} answered: {:?}",
        done.answered,
        done.reasons
    );
    Ok(())
}

/// Requests, one by one, until `ready` says yes to the status; how many there were, and the status.
fn requests_until(
    workerd: &Workerd,
    what: &str,
    ready: impl Fn(&Status, u64) -> bool,
) -> Result<(u64, Status)> {
    let (mut sent, mut last) = (0, Status::default());
    wait_until(what, PATIENCE, || {
        last = workerd.status().unwrap_or_default();
        if ready(&last, sent) {
            return true;
        }
        sent += u64::from(requests(workerd, 1).is_ok());
        std::thread::sleep(Duration::from_millis(100));
        false
    })
    .with_context(|| format!("{last:?} after {sent} more requests\n{}", workerd.log()))?;
    Ok((sent, last))
}

/// Requests until everything is acknowledged: those so far, `before`, and those that come with it. How many that are.
fn delivered(workerd: &Workerd, before: u64) -> Result<u64> {
    let (sent, _) = requests_until(workerd, "everything is acknowledged", |status, sent| {
        status.get("acknowledged") == before + sent && status.get("queued") == 0
    })?;
    Ok(before + sent)
}

fn nobody() -> Result<String> {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    Ok(format!("http://{nobody}"))
}

#[test]
fn a_collector_that_is_down_is_said_once_and_clients_do_not_notice() -> Result<()> {
    let origin = Origin::start()?;
    let nobody = nobody()?;
    let workerd = start(&nobody, &origin, &json!({ "queue_bytes": "64k" }))?;
    requests(&workerd, 2000)?;
    let (more, status) = requests_until(&workerd, "several attempts", |status, sent| {
        status.get("calls_failed") >= 3 && status.get("captured") == 2000 + sent
    })?;
    assert_eq!(
        (
            status.get("captured"),
            status.get("queued") + status.dropped()
        ),
        (2000 + more, 2000 + more),
        "{status:?}"
    );
    assert!(status.dropped_for("queue_full") > 0, "{status:?}");
    assert!(status.get("queue_bytes") <= 64 << 10, "{status:?}");
    assert_eq!(status.get("acknowledged"), 0);
    let address = nobody.trim_start_matches("http://");
    let line = workerd.logged(&["silhouette", address], PATIENCE)?;
    assert_eq!(
        workerd
            .log()
            .matches("could not reach the collector")
            .count(),
        1,
        "one line a minute: {line}\n{}",
        workerd.log()
    );
    assert!(
        status.0["last_failure"]
            .as_str()
            .is_some_and(|why| why.contains(address)),
        "{status:?}"
    );
    Ok(())
}

#[test]
fn a_refused_token_is_said_once_and_nothing_is_lost() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Unauthenticated);
    let workerd = start(&recording.url(), &origin, &json!({ "token": TOKEN }))?;
    requests(&workerd, 3)?;
    workerd.logged(&["silhouette", "token", "token is not known"], PATIENCE)?;
    let (more, _) = requests_until(&workerd, "several attempts", |_, _| {
        recording.exports() >= 4
    })?;
    assert_eq!(workerd.log().matches("refuses the token").count(), 1);
    assert!(
        recording
            .authorizations()
            .iter()
            .all(|value| value == &format!("Bearer {TOKEN}"))
    );
    recording.behave(Behaviour::Accept);
    let all = delivered(&workerd, 3 + more)?;
    assert_eq!(recording.exchanges().len() as u64, all);
    assert!(!workerd.log().contains(TOKEN) && !format!("{:?}", workerd.status()?).contains(TOKEN));
    Ok(())
}

#[test]
fn a_slow_collector_gets_everything_once() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Slow(Duration::from_millis(700)));
    let workerd = start(&recording.url(), &origin, &json!({}))?;
    for _ in 0..4 {
        requests(&workerd, 100)?;
    }
    let status = workerd.drained(400, PATIENCE)?;
    assert_eq!(status.get("acknowledged"), 400, "{status:?}");
    assert_eq!(recording.exchanges().len(), 400);
    assert_eq!(recording.received_with_resends(), 400);
    Ok(())
}

#[test]
fn a_full_batch_does_not_wait_for_its_time() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    // Whoever stands by for that moment has to see that a batch is full before.
    let moment = Duration::from_secs(24);
    let more = json!({ "flush_interval_ms": moment.as_millis() as u64 });
    let workerd = start(&recording.url(), &origin, &more)?;
    let first = Instant::now();
    requests(&workerd, 600)?;
    let exchanges = recording.wait_for(512, PATIENCE)?;
    assert_eq!(exchanges.len(), 512);
    assert!(first.elapsed() < moment, "the batch waited for its time");
    Ok(())
}

/// Calls fail while the collector behaves like this; afterwards it gets everything.
fn given_up_and_sent_again(behaviour: Behaviour) -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(behaviour);
    let workerd = start(&recording.url(), &origin, &json!({}))?;
    requests(&workerd, 50)?;
    let (more, _) = requests_until(&workerd, "a call failed", |status, sent| {
        status.get("calls_failed") >= 1 && status.get("captured") == 50 + sent
    })?;
    recording.behave(Behaviour::Accept);
    let all = delivered(&workerd, 50 + more)?;
    assert_eq!(recording.exchanges().len() as u64, all);
    Ok(())
}

#[test]
fn calls_that_are_never_acknowledged_are_given_up() -> Result<()> {
    given_up_and_sent_again(Behaviour::NeverAcknowledge)
}

#[test]
fn a_collector_that_takes_connections_and_says_nothing_is_given_up() -> Result<()> {
    given_up_and_sent_again(Behaviour::Silent)
}

#[test]
fn garbage_is_no_answer() -> Result<()> {
    given_up_and_sent_again(Behaviour::Garbage)
}

#[test]
fn a_connection_that_is_closed_is_no_answer() -> Result<()> {
    given_up_and_sent_again(Behaviour::Close)
}

#[test]
fn a_collector_that_is_not_available_gets_it_later() -> Result<()> {
    given_up_and_sent_again(Behaviour::Unavailable)
}

/// Something on the way to the collector that answers every call with these bytes, and how many calls it had.
fn answers(bytes: &'static [u8]) -> Result<(String, Arc<AtomicU64>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let mut request = Vec::new();
            let mut part = [0; 16 * 1024];
            // The head and whatever comes with it: that is enough for an answer.
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                match socket.read(&mut part) {
                    Ok(n) if n > 0 => request.extend_from_slice(&part[..n]),
                    _ => break,
                }
            }
            let _ = socket.write_all(bytes);
            counted.fetch_add(1, Ordering::Relaxed);
            // A connection that is closed on unread bytes takes the answer away.
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = socket.set_read_timeout(Some(Duration::from_secs(1)));
            while socket.read(&mut part).is_ok_and(|n| n > 0) {}
        }
    });
    Ok((url, calls))
}

const WITH_STATUS_IN_HEADERS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\n\
    grpc-status: 14\r\ngrpc-message: come%20back%20later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const WITH_STATUS_IN_TRAILERS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\n\
    Content-Length: 51\r\nConnection: close\r\n\r\n\x80\x00\x00\x00\x2egrpc-status:14\r\ngrpc-message:come back later\r\n";
const A_LOGIN_PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>sign in</html>";
const A_REDIRECT: &[u8] =
    b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const A_BAD_GATEWAY: &[u8] =
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nConnection: close\r\n\r\nbad gateway";
const HALF_A_FRAME: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 6\r\n\
    Connection: close\r\n\r\n\x00\x00\x00\x00\x09x";

#[test]
fn whatever_else_answers_is_no_acknowledgement() -> Result<()> {
    for (answer, word) in [
        (WITH_STATUS_IN_HEADERS, "come back later"),
        (WITH_STATUS_IN_TRAILERS, "come back later"),
        (A_LOGIN_PAGE, "is that a Silhouette collector?"),
        (A_REDIRECT, "302"),
        (A_BAD_GATEWAY, "502"),
        (HALF_A_FRAME, ""),
    ] {
        let origin = Origin::start()?;
        let (url, calls) = answers(answer)?;
        let workerd = start(&url, &origin, &json!({}))?;
        requests(&workerd, 10)?;
        let (more, status) = requests_until(&workerd, "two calls failed", |status, sent| {
            status.get("calls_failed") >= 2 && status.get("captured") == 10 + sent
        })?;
        let why = status.0["last_failure"].as_str().unwrap_or_default();
        assert!(why.contains(word), "no {word:?} in {why:?}");
        assert!(calls.load(Ordering::Relaxed) >= 2);
        assert_eq!(
            (
                status.get("acknowledged"),
                status.dropped(),
                status.get("queued")
            ),
            (0, 0, 10 + more),
            "{word}: {status:?}"
        );
    }
    Ok(())
}

#[test]
fn an_answer_without_end_is_given_up() -> Result<()> {
    let origin = Origin::start()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            std::thread::spawn(move || {
                let _ = socket.read(&mut [0; 16 * 1024]);
                let _ = socket.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nTransfer-Encoding: chunked\r\n\r\n",
                );
                while socket.write_all(b"4\r\nmore\r\n").is_ok() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    let workerd = start(&url, &origin, &json!({}))?;
    requests(&workerd, 5)?;
    let (more, status) = requests_until(&workerd, "a call is given up", |status, sent| {
        status.get("calls_failed") >= 1 && status.get("captured") == 5 + sent
    })?;
    assert_eq!(status.get("queued"), 5 + more, "{status:?}");
    Ok(())
}

#[test]
fn a_batch_the_collector_never_takes_does_not_block_the_rest() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::InvalidArgument);
    let workerd = start(&recording.url(), &origin, &json!({}))?;
    requests(&workerd, 5)?;
    workerd.wait_status("they are given up", PATIENCE, |status| {
        status.dropped_for("rejected") == 5
    })?;
    recording.behave(Behaviour::Accept);
    recording.clear();
    requests(&workerd, 4)?;
    assert_eq!(recording.wait_for(4, PATIENCE)?.len(), 4);
    workerd.drained(9, PATIENCE)?;
    // The next batch tells the collector what was lost.
    let told = recording.batches().iter().any(|batch| {
        let dropped = format!("{batch:?}");
        dropped.contains("rejected")
    });
    assert!(told, "{:?}", recording.batches());
    Ok(())
}

#[test]
fn a_hint_to_wait_is_followed_and_nothing_is_lost() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let hint = Duration::from_secs(2);
    recording.behave(Behaviour::RetryAfter(hint));
    let workerd = start(&recording.url(), &origin, &json!({}))?;
    requests(&workerd, 10)?;
    recording.wait_for(10, PATIENCE)?;
    // The last of them is acknowledged, with the hint, after this.
    let told = Instant::now();
    requests(&workerd, 10)?;
    recording.wait_for(20, PATIENCE)?;
    let waited = told.elapsed();
    assert!(waited >= hint * 9 / 10, "only {waited:?}");
    workerd.drained(20, PATIENCE)?;
    Ok(())
}

#[test]
fn a_collector_that_is_killed_and_restarted_learns_what_waited() -> Result<()> {
    let origin = Origin::start()?;
    let mut collector = Collector::start(&[])?;
    let workerd = start(&collector.url(), &origin, &json!({}))?;
    requests(&workerd, 100)?;
    workerd.drained(100, PATIENCE)?;
    collector.kill_9();
    requests(&workerd, 100)?;
    let (more, _) = requests_until(&workerd, "it is missed", |status, sent| {
        status.get("calls_failed") >= 1 && status.get("queued") == 100 + sent
    })?;
    collector.restart()?;
    let all = delivered(&workerd, 200 + more)?;
    workerd.logged(&["silhouette", "again"], PATIENCE)?;
    // Hangs, as a machine does that swaps; then goes on.
    let failed = workerd.status()?.get("calls_failed");
    collector.pause()?;
    requests(&workerd, 100)?;
    let (more, _) = requests_until(&workerd, "a call is given up", |now, _| {
        now.get("calls_failed") > failed
    })?;
    collector.resume()?;
    let all = delivered(&workerd, all + 100 + more)?;
    wait_until("all is learnt, each once", PATIENCE, || {
        collector
            .get("/v1/hosts")
            .and_then(|answer| answer.json())
            .is_ok_and(|hosts| hosts["hosts"][0]["exchanges"] == all)
    })
    .with_context(|| format!("{all}: {:?}", collector.get("/v1/hosts").map(|a| a.text())))
}

#[test]
fn a_collector_behind_tls() -> Result<()> {
    let origin = Origin::start()?;
    let (ours, other) = (Authority::new()?, Authority::new()?);
    let recording = Recording::start_tls(&ours.server()?)?;
    for (authority, arrives) in [(&other, false), (&ours, true)] {
        let mut setup = setup(&recording.tls_url(), &origin, &json!({}))?;
        setup.outbound = Way::Loopback(Some(authority.ca_file().to_owned()));
        let workerd = Workerd::start(&setup)?;
        requests(&workerd, 5)?;
        if arrives {
            assert_eq!(recording.wait_for(5, PATIENCE)?.len(), 5);
            workerd.drained(5, PATIENCE)?;
        } else {
            workerd.wait_status("it is not trusted", PATIENCE, |status| {
                status.get("calls_failed") >= 1 && status.get("queued") == 5
            })?;
            assert!(recording.exchanges().is_empty());
        }
    }
    Ok(())
}

#[test]
fn a_real_collector_with_a_token_behind_tls_and_a_client_certificate() -> Result<()> {
    let origin = Origin::start()?;
    let authority = Authority::new()?;
    let identity = authority.server()?;
    let (certificate, key) = (
        identity.certificate.display().to_string(),
        identity.key.display().to_string(),
    );
    let ca = authority.ca_file().display().to_string();
    let collector = Collector::start(&[
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
    ])?;
    let token = collector.token("worker", false)?;
    let shown = authority.client("worker")?;
    for (identity, arrives) in [(None, false), (Some(shown), true)] {
        let mut setup = setup(&collector.tls_url(), &origin, &json!({ "token": token }))?;
        let way = Way::Tls(
            collector.telemetry(),
            authority.ca_file().to_owned(),
            identity,
        );
        // As an mTLS certificate is bound.
        setup
            .bindings
            .insert("SILHOUETTE_COLLECTOR_BINDING".to_owned(), way);
        let workerd = Workerd::start(&setup)?;
        requests(&workerd, 5)?;
        if arrives {
            workerd.drained(5, PATIENCE)?;
            assert_eq!(workerd.status()?.get("acknowledged"), 5);
        } else {
            workerd.wait_status("it is not let in", PATIENCE, |status| {
                status.get("calls_failed") >= 1 && status.get("queued") == 5
            })?;
        }
    }
    Ok(())
}

#[test]
fn a_request_sends_no_more_batches_than_its_share_and_the_next_goes_on() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Unavailable);
    // Each exchange is a batch's worth of bytes.
    let more = json!({ "subrequests": 1, "max_response_body": "1m", "queue_bytes": "64m" });
    let workerd = start(&recording.url(), &origin, &more)?;
    for _ in 0..6 {
        curl([workerd.url("/json?size=600000")])?;
    }
    let (more, status) = requests_until(&workerd, "calls fail", |status, sent| {
        status.get("calls_failed") >= 2 && status.get("captured") == 6 + sent
    })?;
    // While it was away, no request made more than one call.
    assert!(
        recording.exports() <= 6 + more,
        "{} calls, {more} more requests",
        recording.exports()
    );
    assert_eq!(status.get("queued"), 6 + more, "{status:?}");
    recording.behave(Behaviour::Accept);
    let before = recording.exports();
    let all = delivered(&workerd, 6 + more)?;
    let (calls, later) = (recording.exports() - before, all - 6 - more);
    assert!(calls >= 6, "six batches at least, {calls} calls");
    // One request from before may be about to send, one may stand by.
    assert!(calls <= later + 2, "{calls} calls by {later} requests");
    assert_eq!(recording.exchanges().len() as u64, all);
    Ok(())
}

#[test]
fn a_core_that_panics_loses_what_it_held_and_no_client_notices() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    recording.behave(Behaviour::Unavailable);
    let mut setup = setup(&recording.url(), &origin, &json!({}))?;
    setup.worker = artifacts::worker_fault()?;
    let workerd = Workerd::start(&setup)?;
    requests(&workerd, 20)?;
    workerd.wait_status("they wait", PATIENCE, |status| status.get("queued") == 20)?;
    let before = workerd.status()?;
    // While others are on their way: one whose answer has begun, one whose answer has not.
    let others = ["/drip/50", "/slow/500"].map(|path| {
        let url = workerd.url(path);
        std::thread::spawn(move || curl([url]))
    });
    wait_until("they got there", PATIENCE, || origin.requests() == 22)?;
    let answer = curl(["-H", "x-silhouette-fault: panic", &workerd.url("/json")])?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for other in others {
        let other = other.join();
        let other = other.map_err(|_| anyhow::anyhow!("curl's thread panicked"))??;
        assert_eq!((other.status, other.exit), (200, 0));
    }
    workerd.logged(&["silhouette", "begins anew"], PATIENCE)?;

    recording.behave(Behaviour::Accept);
    let (more, status) = requests_until(&workerd, "it captures again", |status, sent| {
        let captured = status.get("captured");
        status.0["instances"] == 2
            && sent >= 5
            && captured == 23 + sent
            && status.get("queued") == 0
    })?;
    let lost = status.dropped_for("fault");
    let kept = recording.exchanges();
    assert_eq!(
        (kept.len() as u64 + lost, lost >= 23),
        (23 + more, true),
        "20 waited, two were on their way, one panicked, {more} came after: {status:?}"
    );
    assert!(
        kept.iter()
            .all(|exchange| !response_body(exchange).data.is_empty()),
        "{kept:?}"
    );
    assert_ne!(status.0["shim"]["instance"], before.0["shim"]["instance"]);
    // The collector is told, in totals.
    let last = recording.batches().pop().context("a batch")?;
    let told: Vec<(&str, u64)> = last
        .dropped
        .iter()
        .map(|dropped| (dropped.reason.as_str(), dropped.count))
        .collect();
    assert_eq!(told, [("fault", lost)]);
    Ok(())
}

#[test]
fn a_core_that_panics_again_and_again_costs_no_request() -> Result<()> {
    let origin = Origin::start()?;
    let recording = Recording::start()?;
    let mut setup = setup(&recording.url(), &origin, &json!({}))?;
    setup.worker = artifacts::worker_fault()?;
    let workerd = Workerd::start(&setup)?;
    for n in 0..30 {
        let url = workerd.url(&format!("/upload?n={n}"));
        let answer = curl(["-H", "x-silhouette-fault: panic", "-d", "abc", &url])?;
        assert_eq!(answer.json()?["bytes"], 3, "request {n}");
    }
    let (_, status) = requests_until(&workerd, "it captures again", |status, _| {
        status.get("acknowledged") >= 3
    })?;
    assert!(status.0["instances"].as_u64() > Some(1), "{status:?}");
    Ok(())
}
