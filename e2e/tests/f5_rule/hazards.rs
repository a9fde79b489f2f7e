//! What could stall or break somebody, and does not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use silhouette_e2e::bigip::Fault;
use silhouette_e2e::process::{PATIENCE, wait_until};

use super::Bench;
use super::secrets::raw;

/// Both readings of F5's page about a release while a collect is under way.
const RELEASES: [&str; 2] = ["fires", "silent"];

/// What comes up to these bytes, and whatever came with them.
fn read_until(socket: &mut TcpStream, end: &[u8]) -> Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while !seen.windows(end.len()).any(|window| window == end) {
        let n = socket.read(&mut part)?;
        ensure!(n > 0, "the end after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..n]);
    }
    Ok(seen)
}

fn accepted(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let mut socket = None;
    wait_until("a connection", PATIENCE, || {
        socket = listener.accept().ok();
        socket.is_some()
    })?;
    let (socket, _) = socket.context("one came")?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[test]
fn a_response_that_trickles_is_released_in_time() -> Result<()> {
    for release in RELEASES {
        let trickling = TcpListener::bind(("127.0.0.1", 0))?;
        let member = trickling.local_addr()?;
        let bench = Bench::with(&[("collect_wait_ms", "1000")], |setup, _| {
            setup.routes.push(("/trickle".to_owned(), member));
            *setup = setup.clone().with(&["--release", release]);
        })?;
        let mut client = TcpStream::connect(bench.bigip.authority())?;
        client.set_read_timeout(Some(PATIENCE))?;
        client
            .write_all(b"GET /trickle HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")?;
        let mut origin = accepted(&trickling)?;
        read_until(&mut origin, b"\r\n\r\n")?;
        origin.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n\
              b\r\n{\"line\":0}\n\r\n",
        )?;
        // The first line does not wait for the last, which the origin has not sent yet.
        let mut seen = read_until(&mut client, b"{\"line\":0}")?;
        let early = seen.len();
        let record = bench.log.only(PATIENCE)?;
        origin.write_all(b"b\r\n{\"line\":1}\n\r\n0\r\n\r\n")?;
        client.read_to_end(&mut seen)?;
        let late = String::from_utf8_lossy(&seen[early..]).into_owned();
        assert!(late.contains("{\"line\":1}"), "{release}: {late}");
        let kept = record.response_body()?.unwrap_or_default();
        assert!(
            !kept.is_empty() && kept.len() < seen.len(),
            "{release}: {} bytes",
            kept.len()
        );
        assert!(record.flag('p'), "{release}: {}", record.field(9));
        assert_eq!(record.field(8), "-", "{release}: the end was not seen");
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn an_upload_that_trickles_reaches_the_origin_in_time() -> Result<()> {
    for release in RELEASES {
        let bench = Bench::with(&[("collect_wait_ms", "100")], |setup, _| {
            *setup = setup.clone().with(&["--release", release]);
        })?;
        let mut socket = TcpStream::connect(bench.bigip.authority())?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(
            b"POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\
              Connection: close\r\n\r\n01234",
        )?;
        wait_until("the origin is asked", PATIENCE, || {
            bench.origin.requests() == 1
        })?;
        socket.write_all(b"56789")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        assert!(answer.ends_with("{\"bytes\":10}"), "{release}: {answer}");
        let record = bench.log.only(PATIENCE)?;
        assert_eq!(
            record.request_body()?.as_deref(),
            Some(&b"01234"[..]),
            "{release}"
        );
        assert!(record.flag('q'), "{release}");
        assert_eq!(record.field(17), "10");
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn a_client_that_waits_for_a_100_is_not_kept_waiting() -> Result<()> {
    let bench = Bench::start(&[("collect_wait_ms", "30000")])?;
    let mut socket = TcpStream::connect(bench.bigip.authority())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(
        b"POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\
          Expect: 100-continue\r\nConnection: close\r\n\r\n",
    )?;
    let mut part = [0; 1024];
    let n = socket.read(&mut part)?;
    assert!(
        part[..n].starts_with(b"HTTP/1.1 100"),
        "{:?}",
        String::from_utf8_lossy(&part[..n])
    );
    socket.write_all(b"go on")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    assert!(answer.ends_with("{\"bytes\":5}"), "{answer}");
    let record = bench.log.only(PATIENCE)?;
    assert_eq!((record.field(17), record.request_body()?), ("5", None));
    assert!(record.response_head()?.starts_with("HTTP/1.1 200"));
    bench.bigip.clean()
}

#[test]
fn chunked_uploads_pass_at_once_unless_asked_for() -> Result<()> {
    for (collect, kept) in [("responses", None), ("both", Some(&b"abcde"[..]))] {
        for chunking in ["preserve", "selective"] {
            let bench = Bench::with(&[("collect_chunked", collect)], |setup, _| {
                *setup = setup.clone().with(&["--chunking", chunking]);
            })?;
            let request = b"POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Type: text/plain\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";
            let answer = raw(&bench, request)?;
            assert!(answer.ends_with(b"{\"bytes\":5}"));
            let record = bench.log.only(PATIENCE)?;
            let framed: Option<&[u8]> = match (kept, chunking) {
                (Some(_), "preserve") => Some(b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"),
                _ => kept,
            };
            assert_eq!(
                record.request_body()?.as_deref(),
                framed,
                "{collect} {chunking}"
            );
            bench.bigip.clean()?;
        }
    }
    Ok(())
}

#[test]
fn answers_of_the_bigip_itself_are_exchanges() -> Result<()> {
    let own = r#"
        when HTTP_REQUEST priority 50 {
            if { [HTTP::path] eq "/own" } { HTTP::respond 403 content {{"error":"no"}} Content-Type application/json }
            if { [HTTP::path] eq "/away" } { HTTP::redirect "https://elsewhere.example/" }
        }
        when LB_FAILED { HTTP::respond 503 content "sorry" }
    "#;
    let bench = Bench::with(&[], |setup, _| {
        setup.rules.push(("own".to_owned(), own.to_owned()));
        setup
            .routes
            .push(("/down".to_owned(), ([127, 0, 0, 1], 1).into()));
    })?;
    let body = ["-H", "Content-Type: application/json", "-d", "{\"n\":1}"];
    for (count, (path, status)) in [("/own", 403), ("/away", 302), ("/down", 503)]
        .into_iter()
        .enumerate()
    {
        assert_eq!(bench.get(path, &body)?.status, status, "{path}");
        let record = bench.last(count + 1)?;
        assert!(record.request_head()?.contains(&format!("POST {path} ")));
        assert!(
            record
                .response_head()?
                .starts_with(&format!("HTTP/1.1 {status}")),
            "{path}"
        );
        assert!(!record.flag('u'), "{path}");
        assert_eq!(
            (record.field(14), record.field(4)),
            ("-", "-"),
            "{path}: no member, no fault"
        );
    }
    bench.bigip.clean()
}

#[test]
fn answers_of_ram_cache_are_exchanges() -> Result<()> {
    let bench = Bench::with(&[], |setup, _| {
        *setup = setup.clone().with(&["--cache", "/json"])
    })?;
    let first = bench.get("/json?size=100", &[])?;
    let second = bench.get("/json?size=100", &[])?;
    assert_eq!(first.body, second.body);
    assert_eq!(bench.origin.requests(), 1);
    let records = bench.records(2)?;
    for record in &records {
        assert!(record.response_head()?.starts_with("HTTP/1.1 200"));
        assert_eq!(record.field(18), first.body.len().to_string());
    }
    assert_eq!(records[1].field(14), "-", "no member answered");
    bench.bigip.clean()
}

#[test]
fn another_rule_that_collects_gets_its_data_and_so_do_client_and_origin() -> Result<()> {
    let other = r#"
        when HTTP_REQUEST {
            if { [HTTP::header value Content-Length] > 0 } { HTTP::collect [HTTP::header value Content-Length] }
        }
        when HTTP_REQUEST_DATA {
            set static::other_q [HTTP::payload length]
            HTTP::release
        }
        when HTTP_RESPONSE { HTTP::collect 200 }
        when HTTP_RESPONSE_DATA {
            set static::other_p [HTTP::payload length]
            HTTP::payload replace 0 0 " "
            HTTP::release
        }
    "#;
    for release in RELEASES {
        let bench = Bench::with(
            &[("max_request_body", "10"), ("max_response_body", "10")],
            |setup, _| {
                setup.rules.push(("other".to_owned(), other.to_owned()));
                *setup = setup.clone().with(&["--release", release]);
            },
        )?;
        let body = format!("{{\"pad\":\"{}\"}}", "x".repeat(100));
        let answer = bench.get(
            "/upload",
            &["-H", "Content-Type: application/json", "-d", &body],
        )?;
        assert_eq!(answer.text(), format!(" {{\"bytes\":{}}}", body.len()));
        assert_eq!(bench.bigip.statics("other_q")?, [body.len().to_string()]);
        let record = bench.log.only(PATIENCE)?;
        let kept = record.request_body()?.unwrap_or_default();
        assert_eq!(kept, &body.as_bytes()[..10]);
        assert!(record.response_head()?.starts_with("HTTP/1.1 200"));
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn an_error_in_the_rule_never_reaches_a_client() -> Result<()> {
    // What could fail in there is made to fail: another rule takes the rule's own variables away in the middle of an exchange.
    for (event, damage) in [
        (
            "HTTP_REQUEST priority 200",
            "unset sil_on ; set sil_on(x) 1",
        ),
        (
            "HTTP_REQUEST priority 200",
            "set sil_on 1 ; unset -nocomplain sil_method",
        ),
        ("HTTP_RESPONSE priority 50", "set sil_clicks nonsense"),
        (
            "HTTP_RESPONSE_RELEASE priority 800",
            "set sil_clicks nonsense",
        ),
        (
            "HTTP_RESPONSE_RELEASE priority 800",
            "unset -nocomplain sil_handle ; set sil_handle nonsense(1)",
        ),
        ("HTTP_RESPONSE_DATA priority 800", "unset sil_length"),
    ] {
        let rule =
            format!("when {event} {{ if {{ [catch {{ {damage} }} other] }} {{ set other 1 }} }}");
        let bench = Bench::with(&[], |setup, _| setup.rules.push(("bad".to_owned(), rule)))?;
        for n in 0..3 {
            let answer = bench.get(&format!("/json?n={n}"), &[])?;
            assert_eq!((answer.status, answer.exit), (200, 0), "{event} {damage}");
        }
        let (errors, resets) = (bench.bigip.stat("errors")?, bench.bigip.stat("resets")?);
        assert_eq!(
            (errors, resets),
            (0, 0),
            "{event} {damage}:\n{}",
            bench.bigip.log()
        );
        bench
            .bigip
            .logged(&["an exchange was not captured"], PATIENCE)?;
        let faults: u64 = bench.bigip.statics("sil_faults")?[0].parse()?;
        assert!(faults >= 1, "{event} {damage}");
    }
    Ok(())
}

#[test]
fn what_hsl_refuses_is_counted_in_the_next_record() -> Result<()> {
    let bench = Bench::start(&[])?;
    bench.get("/json?n=1", &[])?;
    bench.records(1)?;
    bench.bigip.next(Fault::Refuse, 3)?;
    for n in 2..6 {
        assert_eq!(bench.get(&format!("/json?n={n}"), &[])?.status, 200);
    }
    let record = bench.last(2)?;
    assert_eq!((record.field(4), record.number()?.2), ("refused=3", 5));
    bench.bigip.clean()
}

#[test]
fn a_log_pool_that_is_down_costs_no_client_anything() -> Result<()> {
    let bench = Bench::with(&[], |setup, _| setup.log_pool = ([127, 0, 0, 1], 1).into())?;
    for n in 0..20 {
        assert_eq!(bench.get(&format!("/json?n={n}"), &[])?.status, 200);
    }
    let refused: u64 = bench.bigip.statics("sil_refused")?[0].parse()?;
    assert!(refused > 0);
    bench.bigip.clean()
}

#[test]
fn clients_that_leave_and_origins_that_break_leave_unfinished_records() -> Result<()> {
    let bench = Bench::with(&[], |setup, origin| {
        setup.routes.push(("/hangup".to_owned(), origin.hangup()));
        setup
            .routes
            .push(("/down".to_owned(), ([127, 0, 0, 1], 1).into()));
    })?;
    let mut leaving = TcpStream::connect(bench.bigip.authority())?;
    leaving.write_all(b"GET /slow/600000 HTTP/1.1\r\nHost: a.example\r\n\r\n")?;
    wait_until("the origin is asked", PATIENCE, || {
        bench.origin.requests() == 1
    })?;
    drop(leaving);
    for (n, path) in ["/slow/600000", "/hangup", "/down"].into_iter().enumerate() {
        if n > 0 {
            let answer = bench.get(path, &[])?;
            assert_ne!(
                answer.exit, 0,
                "{path}: a BIG-IP without a fallback host resets"
            );
        }
        let record = bench.last(n + 1)?;
        assert!(record.request_head()?.contains(path));
        assert!(record.flag('u'), "{path}");
        assert_eq!(
            (record.response_head()?.as_str(), record.field(8)),
            ("", "-"),
            "{path}"
        );
    }
    bench.bigip.clean()
}

#[test]
fn an_answer_that_breaks_off_while_it_is_collected_is_a_record_either_way() -> Result<()> {
    for (broken, status) in [("fires", "HTTP/1.1 200"), ("silent", "")] {
        let bench = Bench::with(&[], |setup, _| {
            *setup = setup.clone().with(&["--broken", broken]);
        })?;
        let answer = bench.get("/reset?json", &[])?;
        assert_ne!(answer.exit, 0, "{broken}: as without a rule");
        let record = bench.log.only(PATIENCE)?;
        assert!(record.request_head()?.contains("/reset?json "));
        assert!(record.response_head()?.starts_with(status), "{broken}");
        // Of what a client never got nothing is told but that it was asked for.
        assert_eq!(record.flag('u'), status.is_empty(), "{broken}");
        assert_eq!(record.flag('p'), !status.is_empty(), "{broken}");
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn heads_of_16_kib_and_bodies_of_1_mib_pass_and_fit() -> Result<()> {
    let bench = Bench::start(&[("max_request_body", "64k"), ("max_response_body", "64k")])?;
    let long = format!("X-Long: {}", "y".repeat(15_000));
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), vec![b'7'; 1 << 20])?;
    let data = format!("@{}", file.path().display());
    let answer = bench.get(
        "/upload",
        &[
            "-H",
            &long,
            "-H",
            "Content-Type: text/plain",
            "-H",
            "Expect:",
            "--data-binary",
            &data,
        ],
    )?;
    assert_eq!(answer.json()?["bytes"], 1 << 20);
    let record = bench.last(1)?;
    assert_eq!(record.request_body()?.map(|body| body.len()), Some(65_536));
    assert!(record.flag('q') && !record.flag('h'), "{}", record.field(9));
    assert_eq!(record.field(17), (1 << 20).to_string());
    let answer = bench.get("/json?size=1000000", &["-H", &long])?;
    assert!(answer.body.len() > 900_000);
    let record = bench.last(2)?;
    assert_eq!(
        record.response_body()?.as_deref(),
        answer.body.get(..65_536)
    );
    assert!(record.flag('p'));
    assert!(
        bench
            .log
            .bytes()
            .split(|&b| b == b'\n')
            .all(|line| line.len() < 256 << 10)
    );
    bench.bigip.clean()
}

#[test]
fn a_flood_of_log_lines_is_one_line() -> Result<()> {
    let bench = Bench::start(&[])?;
    bench.bigip.set("pool", "/Common/elsewhere")?;
    bench.settle()?;
    for n in 0..50 {
        assert_eq!(bench.get(&format!("/json?n={n}"), &[])?.status, 200);
    }
    assert_eq!(bench.bigip.stat("log_lines")?, 1, "{}", bench.bigip.log());
    bench.bigip.forward(120)?;
    bench.get("/json", &[])?;
    let line = bench
        .bigip
        .logged(&["more since the last line"], PATIENCE)?;
    assert!(!line.is_empty());
    assert_eq!(bench.bigip.stat("log_lines")?, 2, "{}", bench.bigip.log());
    bench.bigip.clean()
}
