//! Every kind of exchange a real nginx meets, as the module reports it: one row per test, real curl and sockets in front,
//! a real origin behind, a recording collector beside.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use silhouette_e2e::process::{free_port, wait_until};
use silhouette_e2e::recording::Recording;
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Nginx, Origin, curl};
use silhouette_proto::telemetry::v1::{Body, Exchange};

/// Cap of both bodies in these tests.
const CAP: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(15);

struct Bench {
    nginx: Nginx,
    recording: Recording,
    origin: Origin,
    h2c_port: u16,
    _authority: Authority,
}

impl Bench {
    fn start() -> Result<Bench> {
        let recording = Recording::start()?;
        let origin = Origin::start()?;
        let authority = Authority::new()?;
        let identity = authority.server()?;
        let h2c_port = free_port()?;
        let nobody = free_port()?;
        let (back, hangup, collector) = (origin.address(), origin.hangup(), recording.url());
        let nginx = Nginx::start(1, |layout| {
            let dir = layout.dir.display();
            let html = layout.dir.join("html");
            let write = |name: &str, text: &str| std::fs::write(html.join(name), text);
            let _ = write(
                "page.json",
                &format!("{{\"static\":\"{}\"}}", "s".repeat(600)),
            );
            let _ = write("large.json", &format!("[{}1]", "1,".repeat(200_000)));
            let _ = write(
                "include.html",
                "{\"from\":\"<!--#include virtual=\"/part\" -->\"}",
            );
            let _ = write("file.json", "{\"accelerated\":true}");
            format!(
                r#"
log_format status '$request_uri $status $silhouette_status';
access_log {dir}/status.log status;
silhouette on;
silhouette_collector {collector};
silhouette_flush_interval_ms 20;
silhouette_max_request_body 4k;
silhouette_max_response_body 4k;
client_max_body_size 2m;
client_body_buffer_size 8k;
upstream books {{ server {back}; keepalive 8; }}
server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{h2c_port} http2;
    listen 127.0.0.1:{tls_port} ssl http2;
    server_name localhost other.example;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    default_type application/json;
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    location / {{ proxy_pass http://books; }}
    location /ws {{ proxy_pass http://books; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}
    location = /gzip-here {{ gzip on; gzip_types application/json; gzip_min_length 1; proxy_pass http://books/json?size=2000; }}
    location /files/ {{ alias {dir}/html/; }}
    location = /ssi {{ ssi on; ssi_types *; alias {dir}/html/include.html; }}
    location = /mirrored {{ mirror /copy; proxy_pass http://books/echo; }}
    location = /copy {{ internal; proxy_pass http://books/upload; }}
    location = /framed {{ add_before_body /part; add_after_body /part; addition_types *; return 200 -; }}
    location = /part {{ return 200 included; }}
    location = /returned {{ add_header X-Own yes; return 201 '{{"returned":true}}'; }}
    location = /moved {{ return 301 /elsewhere; }}
    location = /small {{ client_max_body_size 10; proxy_pass http://books/upload; }}
    location = /page-for-404 {{ proxy_intercept_errors on; error_page 404 =203 /fallback; proxy_pass http://books/status/404; }}
    location = /fallback {{ internal; return 200 '{{"fallback":true}}'; }}
    location = /down {{ proxy_pass http://127.0.0.1:{nobody}; }}
    location = /hangup {{ proxy_pass http://{hangup}; }}
    location = /private {{ auth_request /check; proxy_pass http://books/json; }}
    location = /check {{
        internal; proxy_pass http://books/auth; proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
    location /internal/ {{ internal; alias {dir}/html/; try_files /file.json =404; }}
    location /rewritten/ {{ rewrite ^/rewritten/(.*)$ /json?was=$1 last; }}
    location = /off {{ silhouette off; return 200 '{{}}'; }}
    location = /closed {{ return 444; }}
    location = /excluded {{ silhouette_excluded_statuses 4xx; return 404; }}
    location = /status {{ silhouette_status; }}
}}
"#,
                port = layout.port,
                tls_port = layout.tls_port,
                certificate = identity.certificate.display(),
                key = identity.key.display(),
            )
        })?;
        Ok(Bench {
            nginx,
            recording,
            origin,
            h2c_port,
            _authority: authority,
        })
    }

    /// Runs curl on a path with further arguments, and waits for the exchange of that path to be recorded.
    fn exchange(
        &self,
        path: &str,
        arguments: &[&str],
    ) -> Result<(silhouette_e2e::Answer, Exchange)> {
        self.recording.clear();
        let url = self.nginx.url(path);
        let answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
        Ok((answer, self.only()?))
    }

    /// The one exchange recorded since the last [`Recording::clear`].
    fn only(&self) -> Result<Exchange> {
        let mut exchanges = self.recording.wait_for(1, PATIENCE)?;
        ensure!(
            exchanges.len() == 1,
            "{} exchanges instead of one",
            exchanges.len()
        );
        exchanges.pop().context("one")
    }

    /// Writes bytes to the plain port and reads until the server closes or `enough` says so.
    fn raw(&self, request: &[u8], enough: impl Fn(&str) -> bool) -> Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.nginx.layout().port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(request)?;
        let mut read = Vec::new();
        let mut part = [0; 4096];
        loop {
            let n = socket.read(&mut part)?;
            read.extend_from_slice(&part[..n]);
            let text = String::from_utf8_lossy(&read).into_owned();
            if n == 0 || enough(&text) {
                return Ok(text);
            }
        }
    }

    /// Waits for a line of the log that shows `$silhouette_status`.
    fn logged(&self, line: &str) -> Result<()> {
        let path = self.nginx.layout().dir.join("status.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        wait_until(line, PATIENCE, || read().lines().any(|l| l == line)).with_context(read)
    }
}

fn request_body(exchange: &Exchange) -> Body {
    exchange
        .request
        .as_ref()
        .and_then(|r| r.body.clone())
        .unwrap_or_default()
}

fn response_body(exchange: &Exchange) -> Body {
    exchange
        .response
        .as_ref()
        .and_then(|r| r.body.clone())
        .unwrap_or_default()
}

fn status(exchange: &Exchange) -> u32 {
    exchange.response.as_ref().map_or(0, |r| r.status)
}

fn header(exchange: &Exchange, name: &str) -> Option<String> {
    let headers = &exchange.response.as_ref()?.headers;
    let value = &headers.iter().find(|h| h.name == name.as_bytes())?.value;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn path(exchange: &Exchange) -> String {
    let request = exchange.request.clone().unwrap_or_default();
    String::from_utf8_lossy(&request.path).into_owned()
}

fn text(body: &Body) -> String {
    String::from_utf8_lossy(&body.data).into_owned()
}

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
fn nginxs_own_answers() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange("/returned", &[])?;
    assert_eq!((answer.status, status(&exchange)), (201, 201));
    assert_eq!(text(&response_body(&exchange)), "{\"returned\":true}");
    assert_eq!(header(&exchange, "content-length").as_deref(), Some("17"));
    assert!(
        header(&exchange, "server")
            .context("server")?
            .starts_with("nginx/")
    );

    let (answer, exchange) = bench.exchange("/moved", &[])?;
    assert_eq!((answer.status, status(&exchange)), (301, 301));
    assert_eq!(
        header(&exchange, "location").as_deref(),
        answer.header("location"),
        "as the client got it"
    );

    let (answer, exchange) = bench.exchange("/redirect", &[])?;
    assert_eq!((answer.status, status(&exchange)), (302, 302));
    assert_eq!(
        header(&exchange, "location").as_deref(),
        answer.header("location")
    );

    let (answer, exchange) = bench.exchange("/files/large.json", &[])?;
    let seen = response_body(&exchange);
    assert_eq!(
        seen.original_size,
        answer.body.len() as u64,
        "a file nginx would send by descriptor"
    );
    assert!(answer.body.starts_with(&seen.data) && seen.data.len() == CAP);
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn what_goes_wrong() -> Result<()> {
    let bench = Bench::start()?;
    // Too large: nginx answers without reading, so the body was never seen.
    let (answer, exchange) = bench.exchange(
        "/small",
        &[
            "-H",
            "Content-Type: text/plain",
            "-d",
            "more than ten bytes",
        ],
    )?;
    assert_eq!((answer.status, status(&exchange)), (413, 413));
    let body = request_body(&exchange);
    assert_eq!((body.data.len(), body.original_size), (0, 19));
    assert_eq!(path(&exchange), "/small");

    for (place, wanted) in [("/down", 502), ("/hangup", 502)] {
        let (answer, exchange) = bench.exchange(place, &[])?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted))
        );
        assert_eq!(path(&exchange), place);
    }
    // The head can be read, a header cannot.
    bench.recording.clear();
    let answer = bench.raw(b"GET /bad-host HTTP/1.1\r\nHost: a b\r\n\r\n", |_| false)?;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let exchange = bench.only()?;
    assert_eq!(
        (path(&exchange).as_str(), status(&exchange)),
        ("/bad-host", 400)
    );
    // Nothing can be read.
    bench.recording.clear();
    let answer = bench.raw(
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        |_| false,
    )?;
    assert!(answer.contains("400"), "{answer}");
    let log = bench.nginx.layout().dir.join("status.log");
    wait_until("the malformed request is logged as such", PATIENCE, || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .contains("400 skipped:malformed")
    })?;
    // Closed without an answer.
    let (answer, exchange) = bench.exchange("/closed", &[])?;
    assert_eq!(answer.exit, 52);
    assert!(exchange.response.is_none());
    // The origin breaks in the middle.
    let (answer, exchange) = bench.exchange("/reset", &[])?;
    assert_eq!((answer.status, status(&exchange)), (200, 200));
    assert!(exchange.unfinished);
    assert!(bench.recording.exchanges().len() == 1);
    Ok(())
}

#[test]
fn detours_inside_nginx() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange("/page-for-404", &[])?;
    assert_eq!((answer.status, status(&exchange)), (203, 203));
    assert_eq!(
        path(&exchange),
        "/page-for-404",
        "what the client asked for"
    );
    assert_eq!(text(&response_body(&exchange)), "{\"fallback\":true}");

    let (answer, exchange) = bench.exchange("/xaccel", &[])?;
    assert_eq!((answer.status, status(&exchange)), (200, 200));
    assert_eq!(text(&response_body(&exchange)), "{\"accelerated\":true}");
    assert_eq!(path(&exchange), "/xaccel");

    let (answer, exchange) = bench.exchange("/rewritten/thing?q=1", &[])?;
    assert_eq!(
        (answer.status, path(&exchange).as_str()),
        (200, "/rewritten/thing")
    );

    let (answer, exchange) = bench.exchange("/private", &["-H", "Authorization: Bearer good"])?;
    assert_eq!(
        (answer.status, status(&exchange), path(&exchange).as_str()),
        (200, 200, "/private")
    );
    let (answer, exchange) = bench.exchange("/private", &["-H", "Authorization: Bearer bad"])?;
    assert_eq!((answer.status, status(&exchange)), (401, 401));

    let (answer, exchange) = bench.exchange("/ssi", &[])?;
    assert_eq!(answer.text(), "{\"from\":\"included\"}");
    assert_eq!(
        response_body(&exchange).data,
        answer.body,
        "the whole page, as one exchange"
    );
    assert_eq!(path(&exchange), "/ssi");

    let (answer, exchange) = bench.exchange("/framed", &[])?;
    assert_eq!(answer.text(), "included-included");
    assert_eq!(
        (path(&exchange).as_str(), text(&response_body(&exchange))),
        ("/framed", answer.text())
    );
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn a_mirrored_request_is_one_exchange() -> Result<()> {
    let bench = Bench::start()?;
    let before = bench.origin.requests();
    let body = format!("{{\"m\":\"{}\"}}", "x".repeat(1000));
    let (answer, exchange) = bench.exchange(
        "/mirrored",
        &["-H", "Content-Type: application/json", "-d", &body],
    )?;
    assert_eq!(
        (answer.status, path(&exchange).as_str()),
        (200, "/mirrored")
    );
    assert_eq!(text(&request_body(&exchange)), body, "once, not twice");
    assert_eq!(
        response_body(&exchange).data,
        answer.body,
        "of the request, not of its copy"
    );
    assert!(!exchange.unfinished);
    wait_until("the copy arrives as well", PATIENCE, || {
        bench.origin.requests() == before + 2
    })?;
    // What the copy might have caused would come before what comes next.
    let (_, exchange) = bench.exchange("/json", &[])?;
    assert_eq!(path(&exchange), "/json");
    Ok(())
}

#[test]
fn a_body_read_before_a_detour_is_kept() -> Result<()> {
    let bench = Bench::start()?;
    let (_, exchange) = bench.exchange(
        "/page-for-404",
        &[
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"kept\":true}",
        ],
    )?;
    assert_eq!(text(&request_body(&exchange)), "{\"kept\":true}");
    let (_, exchange) = bench.exchange(
        "/private",
        &[
            "-H",
            "Authorization: Bearer good",
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"kept\":2}",
        ],
    )?;
    assert_eq!(text(&request_body(&exchange)), "{\"kept\":2}");
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
fn what_is_left_out_says_why() -> Result<()> {
    let bench = Bench::start()?;
    curl([bench.nginx.url("/off")])?;
    bench.logged("/off 200 off")?;
    curl([bench.nginx.url("/excluded")])?;
    bench.logged("/excluded 404 skipped:excluded_status")?;
    curl(["-X", "TRACE", &bench.nginx.url("/json")])?;
    wait_until("the skips are counted", PATIENCE, || {
        let page = curl([bench.nginx.url("/status")])
            .ok()
            .and_then(|page| page.json().ok());
        page.is_some_and(|page| page["skipped"]["excluded_status"] == 1)
    })?;
    let page = curl(["-H", "Accept: text/plain", &bench.nginx.url("/status")])?;
    assert!(
        page.text()
            .contains("silhouette_nginx_skipped_total{reason=\"excluded_status\"} 1"),
        "{}",
        page.text()
    );
    assert!(
        bench.recording.exchanges().is_empty(),
        "the status page is not traffic either"
    );
    Ok(())
}

fn tempfile_with(text: &str) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}
