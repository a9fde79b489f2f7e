//! What clients send and get over HTTP, as the module reports it: one row per test, real curl and sockets in front, a real
//! origin behind, a recording collector beside.

mod stand;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use silhouette_e2e::curl;
use stand::{
    Bench, CAP, PATIENCE, header, path, request_body, response_body, status, tempfile_with, text,
};

#[test]
fn a_proxied_exchange_has_everything() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange(
        "/echo/a%20b/../c?x=1&y=%2F",
        &[
            "--path-as-is",
            "-H",
            "X-Twice: one",
            "-H",
            "X-Twice: two",
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"n\":1}",
        ],
    )?;
    assert_eq!(answer.status, 200);
    let request = exchange.request.clone().context("request")?;
    assert_eq!(request.method, "POST");
    assert_eq!(
        &request.path[..],
        b"/echo/a%20b/../c",
        "as sent, before decoding"
    );
    assert_eq!(request.query.as_deref(), Some(&b"x=1&y=%2F"[..]));
    let names: Vec<String> = request
        .headers
        .iter()
        .map(|h| String::from_utf8_lossy(&h.name).into_owned())
        .collect();
    assert_eq!(
        names.first().map(String::as_str),
        Some("host"),
        "in order: {names:?}"
    );
    let twice: Vec<&[u8]> = request
        .headers
        .iter()
        .filter(|h| h.name[..] == *b"x-twice")
        .map(|h| &h.value[..])
        .collect();
    assert_eq!(twice, [b"one", b"two"]);
    assert_eq!(text(&request_body(&exchange)), "{\"n\":1}");
    assert_eq!(response_body(&exchange).data, answer.body);
    assert_eq!(exchange.scheme, "http");
    assert_eq!(exchange.http_version, "1.1");
    assert_eq!(
        exchange.authority,
        format!("127.0.0.1:{}", bench.nginx.layout().port).into_bytes()
    );
    assert!(!exchange.unfinished);
    assert_eq!(exchange.id.len(), 16);
    let head = exchange.response_head_micros.context("head")?;
    let whole = exchange.duration_micros.context("duration")?;
    assert!(
        head > 0 && whole >= head && whole < 30_000_000,
        "{head} {whole}"
    );
    let started = Duration::from_nanos(exchange.start_unix_nanos);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    assert!(
        now.abs_diff(started) < Duration::from_secs(60),
        "{started:?} {now:?}"
    );
    let client = exchange.client.clone().context("client")?;
    let server = exchange.server.clone().context("server")?;
    assert_eq!(
        (&client.ip[..], &server.ip[..]),
        (&[127, 0, 0, 1][..], &[127, 0, 0, 1][..])
    );
    assert_eq!(server.port, u32::from(bench.nginx.layout().port));
    let gateway = exchange.gateway.clone().context("gateway")?;
    assert_eq!(
        (gateway.route.as_str(), gateway.upstream.as_str()),
        ("/", "books")
    );
    assert_eq!(gateway.virtual_server, "localhost");
    let upstream = gateway.upstream_address.context("upstream")?;
    assert_eq!(upstream.port, u32::from(bench.origin.address().port()));
    assert!(gateway.upstream_micros.is_some());
    assert!(exchange.tls.is_none());
    for name in ["server", "date", "content-type", "content-length"] {
        assert!(header(&exchange, name).is_some(), "{name}");
    }
    let batch = bench.recording.batches().pop().context("batch")?;
    let shim = batch.shim.context("shim")?;
    assert_eq!((shim.kind.as_str(), shim.instance.len()), ("nginx", 16));
    assert!(
        shim.gateway_version.starts_with("nginx/"),
        "{}",
        shim.gateway_version
    );
    bench.logged("/echo/a%20b/../c?x=1&y=%2F 200 captured")
}

#[test]
fn http2_and_tls() -> Result<()> {
    let bench = Bench::start()?;
    let url = format!("http://127.0.0.1:{}/echo", bench.h2c_port);
    let answer = curl([
        "--http2-prior-knowledge",
        "-H",
        "content-type: application/json",
        "-d",
        "{\"h\":2}",
        &url,
    ])?;
    assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
    let exchange = bench.only()?;
    assert_eq!(exchange.http_version, "2");
    assert_eq!(
        exchange.authority,
        format!("127.0.0.1:{}", bench.h2c_port).into_bytes()
    );
    assert_eq!(text(&request_body(&exchange)), "{\"h\":2}");
    assert_eq!(
        exchange.server.context("server")?.port,
        u32::from(bench.h2c_port)
    );

    bench.recording.clear();
    let answer = curl(["-k", "--http2", &bench.nginx.tls_url("/json")])?;
    assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
    let exchange = bench.only()?;
    let tls = exchange.tls.clone().context("tls")?;
    assert_eq!(
        (tls.version.as_str(), tls.server_name.as_str()),
        ("1.3", "localhost")
    );
    assert!(
        tls.cipher.starts_with("TLS_") && !tls.client_certificate,
        "{tls:?}"
    );
    assert_eq!(exchange.scheme, "https");

    bench.recording.clear();
    let answer = curl([
        "-k",
        "--http1.1",
        "--tls-max",
        "1.2",
        &bench.nginx.tls_url("/json"),
    ])?;
    assert_eq!(answer.status, 200);
    let exchange = bench.only()?;
    assert_eq!(exchange.tls.clone().context("tls")?.version, "1.2");
    assert_eq!(exchange.http_version, "1.1");
    Ok(())
}

#[test]
fn pipelined_requests_are_one_exchange_each() -> Result<()> {
    let bench = Bench::start()?;
    let mut requests = Vec::new();
    for n in 0..20 {
        write!(
            requests,
            "GET /json?n={n} HTTP/1.1\r\nHost: pipe.example\r\n\r\n"
        )?;
    }
    write!(
        requests,
        "GET /json?n=last HTTP/1.1\r\nHost: pipe.example\r\nConnection: close\r\n\r\n"
    )?;
    let answers = bench.raw(&requests, |_| false)?;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 21);
    let exchanges = bench.recording.wait_for(21, PATIENCE)?;
    let queries: Vec<String> = exchanges
        .iter()
        .map(|e| {
            String::from_utf8_lossy(
                e.request
                    .as_ref()
                    .and_then(|r| r.query.as_deref())
                    .unwrap_or_default(),
            )
            .into_owned()
        })
        .collect();
    let wanted: Vec<String> = (0..20)
        .map(|n| format!("n={n}"))
        .chain(["n=last".to_owned()])
        .collect();
    assert_eq!(queries, wanted);
    let mut ids: Vec<&[u8]> = exchanges.iter().map(|e| &e.id[..]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 21, "ids are unique");
    assert!(
        exchanges
            .iter()
            .all(|e| e.authority[..] == *b"pipe.example")
    );
    Ok(())
}

#[test]
fn chunked_both_ways() -> Result<()> {
    let bench = Bench::start()?;
    let body = format!("{{\"c\":\"{}\"}}", "x".repeat(3000));
    let (answer, exchange) = bench.exchange(
        "/upload",
        &[
            "-H",
            "Transfer-Encoding: chunked",
            "-H",
            "Content-Type: application/json",
            "-d",
            &body,
        ],
    )?;
    assert_eq!(answer.json()?["bytes"], body.len());
    let sent = request_body(&exchange);
    assert_eq!(text(&sent), body, "without the chunks' framing");
    assert_eq!(sent.original_size, body.len() as u64);
    assert!(!sent.truncated);

    let (answer, exchange) = bench.exchange("/drip/5", &[])?;
    assert!(
        answer.header("content-length").is_none(),
        "the origin answers in chunks"
    );
    assert_eq!(response_body(&exchange).data, answer.body);
    Ok(())
}

#[test]
fn bodies_around_the_cap() -> Result<()> {
    let bench = Bench::start()?;
    for size in [0, 1, CAP - 1, CAP, CAP + 1, 2 * CAP, 100 * CAP] {
        let body = "7".repeat(size);
        let file = tempfile_with(&body)?;
        let data = format!("@{}", file.path().display());
        let (answer, exchange) = bench.exchange(
            "/upload",
            &["-H", "Content-Type: text/plain", "--data-binary", &data],
        )?;
        assert_eq!(answer.json()?["bytes"], size);
        let kept = request_body(&exchange);
        assert_eq!(kept.original_size, size as u64, "request of {size}");
        assert_eq!(kept.data.len(), size.min(CAP), "request of {size}");
        assert_eq!(kept.truncated, size > CAP, "request of {size}");
        assert!(body.as_bytes().starts_with(&kept.data));
    }
    // Beyond client_body_buffer_size nginx spools to a file: what was seen came before that.
    assert!(
        bench
            .nginx
            .error_log()
            .contains("buffered to a temporary file"),
        "the largest was spooled"
    );
    for size in [64, CAP, 100 * CAP] {
        let (answer, exchange) = bench.exchange(&format!("/json?size={size}"), &[])?;
        let kept = response_body(&exchange);
        assert_eq!(
            kept.original_size,
            answer.body.len() as u64,
            "response of {size}"
        );
        assert_eq!(
            kept.truncated,
            answer.body.len() > CAP,
            "response of {size}"
        );
        assert!(
            answer.body.starts_with(&kept.data) && kept.data.len() == answer.body.len().min(CAP)
        );
    }
    let (_, exchange) = bench.exchange("/empty", &[])?;
    assert_eq!(response_body(&exchange).original_size, 0);
    Ok(())
}

#[test]
fn gzip_at_nginx_and_at_the_origin() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange("/gzip-here", &["-H", "Accept-Encoding: gzip"])?;
    assert_eq!(
        answer.header("content-encoding"),
        Some("gzip"),
        "the client gets it compressed"
    );
    assert_eq!(
        header(&exchange, "content-encoding"),
        None,
        "the module saw it before"
    );
    let seen = response_body(&exchange);
    serde_json::from_slice::<serde_json::Value>(&seen.data)?;

    let (answer, exchange) = bench.exchange("/gzip", &[])?;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let seen = response_body(&exchange);
    assert_eq!(
        seen.original_size,
        answer.body.len() as u64,
        "bytes as they passed"
    );
    // The shim may have undone the coding to redact; if not, the header still says how it is coded.
    let plain = match header(&exchange, "content-encoding") {
        None => seen.data.to_vec(),
        Some(_) => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&seen.data[..]).read_to_end(&mut plain)?;
            plain
        }
    };
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&plain)?["by"],
        "origin"
    );
    Ok(())
}

#[test]
fn expect_continue() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange(
        "/upload",
        &[
            "-H",
            "Expect: 100-continue",
            "-H",
            "Content-Type: text/plain",
            "-d",
            "go on",
        ],
    )?;
    assert_eq!(
        (answer.status, status(&exchange)),
        (200, 200),
        "not the 100"
    );
    assert_eq!(text(&request_body(&exchange)), "go on");
    Ok(())
}

#[test]
fn responses_without_a_body() -> Result<()> {
    let bench = Bench::start()?;
    let (_, exchange) = bench.exchange("/json", &["--head"])?;
    assert_eq!(exchange.request.clone().context("request")?.method, "HEAD");
    assert_eq!(
        (status(&exchange), response_body(&exchange).original_size),
        (200, 0)
    );
    assert!(header(&exchange, "content-length").is_some() && !exchange.unfinished);

    let (_, exchange) = bench.exchange("/files/page.json", &["--head"])?;
    assert_eq!(
        (status(&exchange), response_body(&exchange).original_size),
        (200, 0)
    );
    assert!(!exchange.unfinished);

    for wanted in [204, 304] {
        let (answer, exchange) = bench.exchange(&format!("/status/{wanted}"), &[])?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted))
        );
        assert_eq!(response_body(&exchange).original_size, 0);
        assert!(!exchange.unfinished, "{wanted}");
    }
    let (_, exchange) = bench.exchange("/files/page.json", &[])?;
    let modified = header(&exchange, "last-modified").context("last-modified")?;
    assert!(header(&exchange, "etag").is_some());
    let (answer, exchange) = bench.exchange(
        "/files/page.json",
        &["-H", &format!("If-Modified-Since: {modified}")],
    )?;
    assert_eq!(
        (answer.status, status(&exchange)),
        (304, 304),
        "by nginx itself"
    );
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn ranges() -> Result<()> {
    let bench = Bench::start()?;
    // nginx makes this one of a static file, in a filter after the module's.
    let (answer, exchange) = bench.exchange("/files/page.json", &["-H", "Range: bytes=2-11"])?;
    assert_eq!((answer.status, status(&exchange)), (206, 206));
    assert_eq!(
        header(&exchange, "content-range").as_deref(),
        answer.header("content-range")
    );
    assert_eq!(response_body(&exchange).data, answer.body);
    assert_eq!(answer.body.len(), 10);
    // The origin made this one.
    let (answer, exchange) = bench.exchange("/range", &["-H", "Range: bytes=0-9"])?;
    assert_eq!((answer.status, status(&exchange)), (206, 206));
    assert_eq!(response_body(&exchange).original_size, 10);
    let (answer, exchange) = bench.exchange("/files/page.json", &["-H", "Range: bytes=90000-"])?;
    assert_eq!((answer.status, status(&exchange)), (416, 416));
    Ok(())
}

#[test]
fn websocket_is_recorded_when_it_closes() -> Result<()> {
    let bench = Bench::start()?;
    let upgrade =
        b"GET /ws HTTP/1.1\r\nHost: w.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut socket = TcpStream::connect(("127.0.0.1", bench.nginx.layout().port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(upgrade)?;
    let mut part = [0; 1024];
    let n = socket.read(&mut part)?;
    assert!(part[..n].starts_with(b"HTTP/1.1 101"));
    // A masked text frame "hi" (RFC 6455 §5.2), echoed unmasked: the tunnel works through the module.
    socket.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])?;
    let n = socket.read(&mut part)?;
    assert_eq!(&part[..n], [0x81, 2, b'h', b'i']);
    drop(socket);
    let exchange = bench.only()?;
    assert_eq!((status(&exchange), path(&exchange).as_str()), (101, "/ws"));
    assert!(!exchange.unfinished);
    assert_eq!(header(&exchange, "upgrade").as_deref(), Some("websocket"));
    Ok(())
}

#[test]
fn a_stream_without_end_is_unfinished_when_the_client_leaves() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange("/sse", &["--no-buffer", "--max-time", "1"])?;
    assert_eq!(answer.exit, 28);
    assert!(exchange.unfinished);
    assert_eq!(status(&exchange), 200);
    assert!(response_body(&exchange).original_size > 0);
    let (_, exchange) = bench.exchange("/sse/3", &[])?;
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn unbuffered_both_ways() -> Result<()> {
    let bench = Bench::start()?;
    let h2 = format!("http://127.0.0.1:{}/unbuffered/upload", bench.h2c_port);
    let h1 = bench.nginx.url("/unbuffered/upload");
    for size in [1, CAP, 100 * CAP] {
        let file = tempfile_with(&"7".repeat(size))?;
        let data = format!("@{}", file.path().display());
        for arguments in [
            vec![h1.as_str()],
            vec!["-H", "Transfer-Encoding: chunked", &h1],
            vec!["--http2-prior-knowledge", &h2],
        ] {
            bench.recording.clear();
            let sent = ["-H", "Content-Type: text/plain", "--data-binary", &data];
            let answer = curl(sent.into_iter().chain(arguments.iter().copied()))?;
            assert_eq!(answer.json()?["bytes"], size, "{arguments:?}");
            let kept = request_body(&bench.only()?);
            assert_eq!(
                (kept.original_size, kept.data.len(), kept.truncated),
                (size as u64, size.min(CAP), size > CAP),
                "{size} {arguments:?}"
            );
        }
    }
    let (answer, exchange) =
        bench.exchange(&format!("/unbuffered/json?size={}", 100 * CAP), &[])?;
    let kept = response_body(&exchange);
    assert_eq!(kept.original_size, answer.body.len() as u64);
    assert!(answer.body.starts_with(&kept.data) && kept.data.len() == CAP);
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn a_large_body_over_http2() -> Result<()> {
    let bench = Bench::start()?;
    let file = tempfile_with(&"7".repeat(100 * CAP))?;
    let answer = curl([
        "--http2-prior-knowledge",
        "-H",
        "Content-Type: text/plain",
        "--data-binary",
        &format!("@{}", file.path().display()),
        &format!("http://127.0.0.1:{}/upload", bench.h2c_port),
    ])?;
    assert_eq!(answer.json()?["bytes"], 100 * CAP);
    let kept = request_body(&bench.only()?);
    assert_eq!(
        (kept.original_size, kept.data.len(), kept.truncated),
        ((100 * CAP) as u64, CAP, true)
    );
    Ok(())
}

#[test]
fn http2_without_a_body_and_without_an_end() -> Result<()> {
    let bench = Bench::start()?;
    let call = |path: &str, arguments: &[&str]| {
        bench.recording.clear();
        let url = format!("http://127.0.0.1:{}{path}", bench.h2c_port);
        let all = ["--http2-prior-knowledge", url.as_str()];
        let answer = curl(all.into_iter().chain(arguments.iter().copied()))?;
        anyhow::Ok((answer, bench.only()?))
    };
    for (place, arguments, wanted) in [
        ("/json", &["--head"][..], 200),
        ("/status/204", &[], 204),
        ("/status/304", &[], 304),
    ] {
        let (answer, exchange) = call(place, arguments)?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted))
        );
        assert_eq!(response_body(&exchange).original_size, 0, "{place}");
        assert!(!exchange.unfinished, "{place}");
    }
    // The client resets the stream and leaves.
    let (answer, exchange) = call("/sse", &["--no-buffer", "--max-time", "1"])?;
    assert_eq!((answer.exit, status(&exchange)), (28, 200));
    assert!(exchange.unfinished);
    let (_, exchange) = call("/sse/3", &[])?;
    assert!(!exchange.unfinished);
    Ok(())
}
