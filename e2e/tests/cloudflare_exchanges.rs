//! What clients send and get over HTTP, as the Cloudflare Worker reports it from a real workerd: the exchange matrix in a zone, and
//! what only Cloudflare adds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use silhouette_e2e::exchange::{
    header, path, query, request_body, request_header, response_body, status, tempfile_with, text,
    values,
};
use silhouette_e2e::matrix::{Case, Front, PATIENCE, Stand, Traits};
use silhouette_e2e::process::{free_port, wait_until};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::workerd::{STATUS_PATH, STATUS_TOKEN, Setup, Way};
use silhouette_e2e::zone::COLO;
use silhouette_e2e::{Answer, Origin, Recording, Workerd, Zone, curl, exchange_matrix};
use silhouette_proto::telemetry::v1::Exchange;

exchange_matrix!(run);

struct Bench {
    zone: Zone,
    recording: Recording,
    origin: Origin,
    front: Front,
    authority: Authority,
}

impl Bench {
    fn start(more: &Value) -> Result<Bench> {
        let recording = Recording::start()?;
        let origin = Origin::start()?;
        let authority = Authority::new()?;
        let settings = with(
            json!({ "flush_interval_ms": 20, "max_request_body": "4k", "max_response_body": 4096 }),
            more,
        );
        let zone = Zone::start(&origin, recording.address(), &authority, &settings)?;
        let traits = Traits {
            kind: "cloudflare",
            version: "Cloudflare-Workers",
            // A Worker is not told which route led to it, nor which address answered.
            route: String::new(),
            upstream: String::new(),
            virtual_server: String::new(),
            server_address: false,
            upstream_address: false,
            upstream_time: false,
            cipher: true,
            own_headers: &[],
            request_body_up_to: None,
            websocket: true,
            // workerd has no HTTP/2 and no trailers.
            grpc: false,
            trailers: false,
            bad_gateway: 502,
            header_lines: false,
            fine_clock: false,
            server_name: false,
            coded_bodies: false,
            // What nobody answered is an error of the client's alone.
            unanswered: false,
            whole_bodies: false,
        };
        let front = Front {
            http: zone.url(""),
            h2c: Some(zone.h2c_url("")),
            tls: Some(zone.tls_url("")),
            traits,
        };
        Ok(Bench {
            zone,
            recording,
            origin,
            front,
            authority,
        })
    }

    fn stand(&self) -> Stand<'_> {
        Stand {
            front: &self.front,
            recording: &self.recording,
            origin: &self.origin,
        }
    }
}

fn run(case: Case) -> Result<()> {
    case(&Bench::start(&json!({}))?.stand())
}

fn with(mut settings: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    settings
}

/// A Worker at a custom domain: no zone around it, everything goes to one origin.
struct Custom {
    workerd: Workerd,
    recording: Recording,
    origin: Origin,
}

impl Custom {
    fn start(more: &Value) -> Result<Custom> {
        Custom::start_with(more, |_, _| {})
    }

    fn start_with(more: &Value, change: impl FnOnce(&mut Setup, &Origin)) -> Result<Custom> {
        let (recording, origin) = (Recording::start()?, Origin::start()?);
        let settings = with(json!({ "flush_interval_ms": 20 }), more);
        let mut setup = Setup::capturing(&recording.url(), origin.address(), &settings)?;
        change(&mut setup, &origin);
        Ok(Custom {
            workerd: Workerd::start(&setup)?,
            recording,
            origin,
        })
    }

    /// Runs curl on a path with further arguments, and waits for the one exchange this makes.
    fn exchange(&self, path: &str, arguments: &[&str]) -> Result<(Answer, Exchange)> {
        self.recording.clear();
        let url = self.workerd.url(path);
        let answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
        let mut exchanges = self
            .recording
            .wait_for(1, PATIENCE)
            .with_context(|| format!("{url}: {} {}", answer.status, answer.text()))?;
        ensure!(
            exchanges.len() == 1,
            "{} exchanges instead of one",
            exchanges.len()
        );
        Ok((answer, exchanges.pop().context("one")?))
    }
}

fn attributes(exchange: &Exchange) -> Vec<(String, String)> {
    let gateway = exchange.gateway.clone().unwrap_or_default();
    let attributes = gateway.attributes.into_iter();
    attributes.map(|it| (it.key, it.value)).collect()
}

#[test]
fn the_shim_says_who_it_is() -> Result<()> {
    let bench = Bench::start(&json!({ "name": "storefront" }))?;
    bench.stand().exchange("/json", &[])?;
    let batch = bench.recording.batches().pop().context("a batch")?;
    let shim = batch.shim.context("shim")?;
    assert_eq!(
        (shim.node.as_str(), shim.name.as_str()),
        (COLO, "storefront")
    );
    assert_eq!(shim.version, env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[test]
fn cloudflares_context_is_captured() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let (answer, exchange) = bench.stand().exchange("/echo", &[])?;
    let told = answer.json()?;
    let sent = told["headers"].as_array().context("headers")?;
    let ray = sent.iter().find(|header| header[0] == "cf-ray");
    let ray = ray.and_then(|header| header[1].as_str()).context("a ray")?;
    let wanted = [
        ("colo", COLO),
        ("country", "DE"),
        ("asn", "64496"),
        ("ray", ray),
        ("bot_score", "30"),
    ];
    let wanted: Vec<(String, String)> = wanted
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(attributes(&exchange), wanted);
    Ok(())
}

#[test]
fn what_cloudflare_adds_is_not_what_the_client_sent() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let sent = ["-H", "X-Mark: 1", "-H", "Accept-Encoding: br;q=1, zstd"];
    let (answer, exchange) = bench.stand().exchange("/echo", &sent)?;
    // What reaches the origin has all of it.
    let told = answer.text();
    for name in [
        "cf-connecting-ip",
        "cf-visitor",
        "cdn-loop",
        "x-forwarded-proto",
        "gzip, br",
    ] {
        assert!(told.contains(name), "{name}: {told}");
    }
    let request = exchange.request.clone().context("request")?;
    let mut names: Vec<String> = request
        .headers
        .iter()
        .map(|h| String::from_utf8_lossy(&h.name).into_owned())
        .collect();
    names.retain(|name| name != "host");
    assert_eq!(names, ["accept", "accept-encoding", "user-agent", "x-mark"]);
    assert_eq!(
        request_header(&exchange, "accept-encoding").as_deref(),
        Some("br;q=1, zstd"),
        "Cloudflare keeps what the client sent beside what it sends"
    );
    let response = exchange.response.clone().context("response")?;
    for h in &response.headers {
        assert!(
            !["connection", "transfer-encoding"].contains(&&*String::from_utf8_lossy(&h.name)),
            "{h:?} is about a connection"
        );
    }
    Ok(())
}

#[test]
fn the_clients_address_comes_from_the_right_header() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let v6: Vec<u8> = "2001:db8::7"
        .parse::<std::net::Ipv6Addr>()?
        .octets()
        .to_vec();
    for (headers, wanted) in [
        (
            &["CF-Connecting-IP: 203.0.113.9"][..],
            Some(vec![203, 0, 113, 9]),
        ),
        (&["CF-Connecting-IP: 2001:db8::7"], Some(v6.clone())),
        // Pseudo IPv4 puts a made-up address into the first.
        (
            &[
                "CF-Connecting-IP: 240.1.2.3",
                "CF-Connecting-IPv6: 2001:db8::7",
            ],
            Some(v6),
        ),
        // Clients can say these.
        (
            &[
                "X-Forwarded-For: 198.51.100.1",
                "X-Real-IP: 198.51.100.2",
                "True-Client-IP: 198.51.100.3",
            ],
            None,
        ),
        (&["CF-Connecting-IP: nonsense"], None),
    ] {
        let arguments: Vec<&str> = headers.iter().flat_map(|h| ["-H", h]).collect();
        let (_, exchange) = custom.exchange("/json", &arguments)?;
        let seen = exchange.client.map(|client| client.ip.to_vec());
        let seen = seen.filter(|ip| !ip.is_empty());
        assert_eq!(seen, wanted, "{headers:?}");
    }
    Ok(())
}

#[test]
fn a_client_certificate_is_seen() -> Result<()> {
    let bench = Bench::start(&json!({}))?;
    let client = bench.authority.client("somebody")?;
    let (certificate, key) = (client.certificate.display(), client.key.display());
    let arguments = [
        "-k",
        "--cert",
        &certificate.to_string(),
        "--key",
        &key.to_string(),
    ];
    let url = bench.zone.tls_url("/json");
    let (answer, exchange) = bench.stand().exchange_at(&url, &arguments)?;
    assert_eq!(answer.status, 200, "{}", answer.error);
    let tls = exchange.tls.context("tls")?;
    assert!(tls.client_certificate, "{tls:?}");
    Ok(())
}

#[test]
fn what_the_settings_exclude_is_counted() -> Result<()> {
    // Lists as text, and as lists of TOML.
    let custom = Custom::start(&json!({
        "exclude_paths": ["/echo*", "/slow/*"],
        "excluded_statuses": "404",
        "excluded_methods": "DELETE",
        "max_request_body": 0,
    }))?;
    for (path, method) in [
        ("/echo/a", "GET"),
        ("/slow/1", "POST"),
        ("/status/404", "GET"),
        ("/json", "DELETE"),
    ] {
        curl(["-X", method, &custom.workerd.url(path)])?;
    }
    let (_, exchange) = custom.exchange("/upload", &["-H", "X-Mark: 1", "-d", "a=b"])?;
    assert_eq!(request_header(&exchange, "x-mark").as_deref(), Some("1"));
    let body = request_body(&exchange);
    assert_eq!(
        (body.data.len(), body.original_size, body.omitted.as_str()),
        (0, 3, "disabled")
    );
    custom
        .workerd
        .wait_status("what was skipped", PATIENCE, |status| {
            status.get("captured") == 1
                && status.skipped("excluded_path") == 2
                && status.skipped("excluded_status") == 1
                && status.skipped("excluded_method") == 1
        })?;
    assert_eq!(custom.origin.requests(), 5, "all of them got there");
    Ok(())
}

#[test]
fn settings_that_are_wrong_are_said_once_and_requests_pass() -> Result<()> {
    for (more, words) in [
        (
            json!({ "sample_rate": 7 }),
            vec!["SILHOUETTE_SAMPLE_RATE", "7"],
        ),
        (
            json!({ "max_request_body": "lots" }),
            vec!["SILHOUETTE_MAX_REQUEST_BODY", "lots", "16m"],
        ),
        (
            json!({ "collector": "ftp://x" }),
            vec!["SILHOUETTE_COLLECTOR", "ftp://x", "https://host[:port]"],
        ),
        (json!({ "collector": null }), vec!["SILHOUETTE_COLLECTOR"]),
        (
            json!({ "collecter": "http://x" }),
            vec!["SILHOUETTE_COLLECTER", "SILHOUETTE_COLLECTOR"],
        ),
        (
            json!({ "queue_bytes": true }),
            vec!["SILHOUETTE_QUEUE_BYTES", "true"],
        ),
        (
            json!({ "tls_ca": "/ca.pem" }),
            vec!["SILHOUETTE_TLS_CA", "SILHOUETTE_COLLECTOR_BINDING"],
        ),
        (
            json!({ "subrequests": 0 }),
            vec!["SILHOUETTE_SUBREQUESTS", "0", "1000"],
        ),
        (
            json!({ "capture_seconds": 29 }),
            vec!["SILHOUETTE_CAPTURE_SECONDS", "29", "28"],
        ),
        (
            json!({ "token": "two words" }),
            vec!["SILHOUETTE_TOKEN", "not shown"],
        ),
        // A binding that was written as a variable.
        (
            json!({ "collector_binding": "COLLECTOR" }),
            vec!["SILHOUETTE_COLLECTOR_BINDING"],
        ),
    ] {
        let custom = Custom::start(&more)?;
        for _ in 0..3 {
            let answer = curl([custom.workerd.url("/upload").as_str(), "-d", "abc"])?;
            assert_eq!(answer.json()?["bytes"], 3, "{more}");
        }
        let status = custom.workerd.status()?.0;
        let error = status["error"].as_str().unwrap_or_default();
        assert_eq!(status["state"], "refused", "{more}: {status}");
        for word in &words {
            assert!(error.contains(word), "{more}: no {word:?} in {error:?}");
        }
        assert!(!error.contains("two words"), "{error}");
        let log = custom.workerd.log();
        assert_eq!(log.matches(error).count(), 1, "{more}: {log}");
        assert_eq!(custom.recording.exports(), 0, "{more}");
    }
    // Nor does a wrong origin send a request anywhere else than it would go by itself.
    for wrong in [
        "books.example",
        "books.example:8080",
        "localhost:80",
        "ftp://books.example",
        "//x",
    ] {
        let custom = Custom::start_with(&json!({ "origin": wrong }), |setup, origin| {
            setup.outbound = Way::Server(origin.address());
        })?;
        let answer = curl([custom.workerd.url("/json")])?;
        assert_eq!(answer.status, 200, "{wrong}");
        custom
            .workerd
            .logged(&["SILHOUETTE_ORIGIN", wrong], PATIENCE)?;
    }
    Ok(())
}

/// What is learnt of one exchange's bodies holds for others of the same type only where it is about the type.
#[test]
fn an_exchange_that_is_left_out_hides_no_others_body() -> Result<()> {
    let custom = Custom::start(&json!({
        "excluded_statuses": "404",
        "exclude_paths": "/echo*",
        "excluded_methods": "DELETE",
        "excluded_headers": "x-quiet",
    }))?;
    let json = "Content-Type: application/json";
    for left_out in [
        &["/status/404", "-d", "{\"a\":1}"][..],
        &["/echo", "-d", "{\"a\":1}"],
        &["/upload", "-d", "{\"a\":1}", "-X", "DELETE"],
        &["/upload", "-d", "{\"a\":1}", "-H", "X-Quiet: 1"],
        &["/json", "--head"],
        &["/upload", "-d", ""],
    ] {
        let (path, arguments) = left_out.split_first().context("a path")?;
        let url = custom.workerd.url(path);
        custom.recording.clear();
        curl(["-H", json, &url].iter().chain(arguments))?;
        // The two that are not left out.
        if !arguments.contains(&"{\"a\":1}") {
            custom.recording.wait_for(1, PATIENCE)?;
        }
        let sent = ["-H", json, "-d", "{\"b\":2}"];
        let (answer, exchange) = custom.exchange("/upload", &sent)?;
        assert_eq!(text(&request_body(&exchange)), "{\"b\":2}", "{left_out:?}");
        assert_eq!(response_body(&exchange).data, answer.body, "{left_out:?}");
    }
    Ok(())
}

/// gRPC itself needs HTTP/2, which no Worker is reached by.
#[test]
fn grpc_web_passes_untouched() -> Result<()> {
    let custom = Custom::start_with(&json!({}), |setup, origin| {
        setup.set("origin", &origin.grpc().url());
    })?;
    let service = "/silhouette.telemetry.v1.TelemetryService/Export";
    // A frame around an empty message.
    let frame = tempfile::NamedTempFile::new()?;
    std::fs::write(frame.path(), [0; 5])?;
    let data = format!("@{}", frame.path().display());
    let sent = [
        "-H",
        "Content-Type: application/grpc-web+proto",
        "--data-binary",
        &data,
    ];
    let url = format!("{}{service}", custom.origin.grpc().url());
    let direct = curl(sent.iter().copied().chain([url.as_str()]))?;
    let (answer, exchange) = custom.exchange(service, &sent)?;
    assert_eq!((answer.status, &answer.body), (direct.status, &direct.body));
    assert!(answer.text().contains("grpc-status:0"), "{}", answer.text());
    assert_eq!(custom.origin.grpc().exports(), 2);
    assert_eq!(path(&exchange), service);
    assert_eq!(request_body(&exchange).omitted, "content_type");
    assert_eq!(response_body(&exchange).omitted, "content_type");
    Ok(())
}

#[test]
fn the_status_route_asks_for_its_token_and_is_off_by_default() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    custom.exchange("/json", &[])?;
    let url = custom.workerd.url(STATUS_PATH);
    for authorization in [
        "X-Nothing: 1",
        "Authorization: Bearer wrong",
        "Authorization: Bearer",
        &format!("Authorization: {STATUS_TOKEN}"),
    ] {
        let answer = curl(["-H", authorization, &url])?;
        assert_eq!(answer.status, 401, "{authorization}");
        assert!(!answer.text().contains("captured"), "{authorization}");
    }
    let status = custom.workerd.drained(1, PATIENCE)?;
    assert_eq!(status.0["state"], "capturing", "{status:?}");
    assert_eq!(
        (status.get("sent"), status.get("acknowledged")),
        (1, 1),
        "{status:?}"
    );
    assert_eq!(status.0["shim"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(!format!("{status:?}").contains(STATUS_TOKEN));
    assert_eq!(
        custom.origin.requests(),
        1,
        "none of that went to the origin"
    );

    let open = Custom::start(&json!({ "status_token": null }))?;
    assert_eq!(curl([open.workerd.url(STATUS_PATH)])?.status, 200);
    let none = Custom::start(&json!({ "status_path": null }))?;
    let (answer, exchange) = none.exchange(STATUS_PATH, &[])?;
    assert_eq!(
        (answer.status, path(&exchange).as_str()),
        (404, STATUS_PATH)
    );
    assert_eq!(none.origin.requests(), 1, "a path like any other");
    Ok(())
}

#[test]
fn requests_to_a_custom_domain_go_to_the_origin() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let sent = [
        "-H",
        "Host: shop.example",
        "-d",
        "{\"a\":1}",
        "-H",
        "Content-Type: application/json",
    ];
    let (answer, exchange) = custom.exchange("/echo/x%2Fy?q=1&r=%20", &sent)?;
    let told = answer.json()?;
    assert_eq!(
        (&told["path"], &told["query"], &told["body"]),
        (
            &json!("/echo/x%2Fy"),
            &json!("q=1&r=%20"),
            &json!("{\"a\":1}")
        )
    );
    assert_eq!(
        exchange.authority[..],
        *b"shop.example",
        "what the client asked for"
    );
    assert_eq!(
        (path(&exchange).as_str(), query(&exchange).as_str()),
        ("/echo/x%2Fy", "q=1&r=%20")
    );
    assert_eq!(text(&request_body(&exchange)), "{\"a\":1}");
    // Whether to follow is for the client to decide.
    let (answer, exchange) = custom.exchange("/redirect", &[])?;
    assert_eq!((answer.status, status(&exchange)), (302, 302));
    assert_eq!(answer.header("location"), Some("/json"));
    websocket(&custom)
}

/// Without anything between client and workerd.
fn websocket(custom: &Custom) -> Result<()> {
    custom.recording.clear();
    let mut socket = TcpStream::connect(custom.workerd.authority())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(
        b"GET /ws HTTP/1.1\r\nHost: w.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )?;
    let mut part = [0; 1024];
    let n = socket.read(&mut part)?;
    assert!(part[..n].starts_with(b"HTTP/1.1 101"));
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    assert_eq!(status(&exchange.context("while it is open")?), 101);
    for _ in 0..3 {
        socket.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])?;
        let n = socket.read(&mut part)?;
        assert_eq!(&part[..n], [0x81, 2, b'h', b'i']);
    }
    Ok(())
}

#[test]
fn methods_nobody_thinks_of_pass_with_their_bodies() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    for method in ["PROPFIND", "REPORT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let sent = ["-X", method, "-d", "a=b"];
        let (answer, exchange) = custom.exchange("/echo", &sent)?;
        let told = answer.json()?;
        assert_eq!(
            (&told["method"], &told["body"]),
            (&json!(method), &json!("a=b"))
        );
        assert_eq!(exchange.request.clone().context("request")?.method, method);
        assert_eq!(text(&request_body(&exchange)), "a=b", "{method}");
    }
    Ok(())
}

/// A Worker of the customer's own.
const SHOP: &str = r#"
export default {
    async fetch(request) {
        const url = new URL(request.url);
        if (url.pathname === "/throws") throw new Error("the shop is closed");
        const headers = new Headers({ "content-type": "application/json" });
        headers.append("set-cookie", "a=1");
        headers.append("set-cookie", "b=2; Path=/");
        const body = JSON.stringify({ sold: await request.text(), colo: request.cf?.colo ?? null, host: url.host });
        return new Response(body, { status: 201, headers });
    },
};
"#;

#[test]
fn a_worker_behind_a_service_binding_is_the_origin() -> Result<()> {
    let custom = Custom::start_with(&json!({ "origin": null }), |setup, _| {
        let nowhere = Way::Loopback(None);
        let shop = Way::Worker(SHOP.to_owned(), Box::new(nowhere));
        setup
            .bindings
            .insert("SILHOUETTE_ORIGIN_BINDING".to_owned(), shop);
    })?;
    let cf = format!(
        "{}: {{\"colo\":\"{COLO}\"}}",
        silhouette_e2e::workerd::CF_HEADER
    );
    let sent = ["-H", "Host: shop.example", "-H", &cf, "-d", "a=book"];
    let (answer, exchange) = custom.exchange("/orders", &sent)?;
    let told = answer.json()?;
    assert_eq!(
        (answer.status, &told),
        (
            201,
            &json!({ "sold": "a=book", "colo": COLO, "host": "shop.example" })
        )
    );
    let cookies = answer.headers.iter().filter(|(n, _)| n == "set-cookie");
    assert_eq!(cookies.count(), 2);
    assert_eq!(response_body(&exchange).data, answer.body);
    let response = exchange.response.clone().context("response")?;
    assert_eq!(values(&response.headers, "set-cookie").len(), 2);
    // What it throws is what clients get without us.
    let answer = curl([custom.workerd.url("/throws")])?;
    assert_eq!(answer.status, 500);
    let (answer, _) = custom.exchange("/orders", &["-d", "more"])?;
    assert_eq!(answer.status, 201);
    Ok(())
}

#[test]
fn a_handler_of_ones_own_can_be_wrapped() -> Result<()> {
    let entry = r#"
import { capture } from "./capture.js";
const shop = {
    greeting: "hello",
    async fetch(request, env, ctx) {
        const url = new URL(request.url);
        if (url.pathname === "/throws") throw new Error("the shop is closed");
        if (url.pathname === "/origin") return fetch(env.SILHOUETTE_TEST_ORIGIN ?? env.ORIGIN + "/json");
        ctx.waitUntil(Promise.resolve());
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        const sold = await request.text();
        ctx.waitUntil((async () => {
            await writer.write(new TextEncoder().encode(JSON.stringify({ greeting: this.greeting, ...{} }).slice(0, -1)));
            await writer.write(new TextEncoder().encode(`,"sold":${JSON.stringify(sold)}}`));
            await writer.close();
        })());
        return new Response(readable, { headers: { "content-type": "application/json" } });
    },
};
export default capture(shop);
"#;
    let custom = Custom::start_with(&json!({ "origin": null }), |setup, origin| {
        setup.entry = Some(entry.to_owned());
        setup.vars.insert(
            "ORIGIN".to_owned(),
            format!("http://{}", origin.address()).into(),
        );
    })?;
    let (answer, exchange) = custom.exchange("/orders", &["-d", "a=book"])?;
    assert_eq!(
        answer.json()?,
        json!({ "greeting": "hello", "sold": "a=book" })
    );
    assert_eq!(response_body(&exchange).data, answer.body);
    assert_eq!(text(&request_body(&exchange)), "a=book");
    assert!(!exchange.unfinished);
    let (answer, exchange) = custom.exchange("/origin", &[])?;
    assert_eq!(response_body(&exchange).data, answer.body);
    assert_eq!(curl([custom.workerd.url("/throws")])?.status, 500);
    let (answer, _) = custom.exchange("/orders", &["-d", "more"])?;
    assert_eq!(answer.status, 200);
    Ok(())
}

/// A Worker of somebody who tries things out.
const ODD_SHOP: &str = r#"
async function gzip(text) {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
}
const paths = {
    "/nothing": () => undefined,
    "/text": () => "no response",
    "/throws": () => { throw new Error("the shop is closed"); },
    "/rejects": async () => { throw new TypeError("the shop is closed"); },
    "/error": () => Response.error(),
    "/redirect": () => Response.redirect("https://elsewhere.example/", 307),
    "/empty": () => new Response(null, { headers: { "content-type": "application/json" } }),
    "/no-content": () => new Response(null, { status: 204 }),
    "/used": async () => {
        const response = Response.json({ used: true });
        await response.text();
        return response;
    },
    "/breaks": () => {
        let n = 0;
        const pull = (it) => { if (n++ < 2) it.enqueue(new TextEncoder().encode("[1,")); else it.error(new Error("broken")); };
        return new Response(new ReadableStream({ pull }), { headers: { "content-type": "application/json" } });
    },
    "/coded": async () => {
        const body = await gzip('{"user":"ada","password":"bodyS3cretValue"}');
        const headers = { "content-type": "application/json", "content-encoding": "gzip" };
        return new Response(body, { headers, encodeBody: "manual" });
    },
    "/codes": () => {
        const headers = { "content-type": "application/json", "content-encoding": "gzip" };
        return new Response('{"user":"ada","password":"bodyS3cretValue"}', { headers });
    },
    "/leaves": (request, ctx) => {
        ctx.waitUntil(Promise.reject(new Error("later")));
        return Response.json({ left: true });
    },
    "/unread": () => Response.json({ read: false }),
    "/twice": async (request) => Response.json([await request.clone().text(), await request.text()]),
    "/bytes": (request) => new Response(request.body, { headers: { "content-type": "text/plain" } }),
};
const shop = {
    fetch(request, env, ctx) {
        return paths[new URL(request.url).pathname](request, ctx);
    },
};
"#;

#[test]
fn whatever_a_wrapped_handler_does_clients_get_what_they_would_without_us() -> Result<()> {
    let wrapped = format!(
        "import {{ capture }} from './capture.js';\n{ODD_SHOP}export default capture(shop);"
    );
    let bare = format!("{ODD_SHOP}export default shop;");
    let settings = json!({ "origin": null });
    let custom = Custom::start_with(&settings, |setup, _| setup.entry = Some(wrapped))?;
    let without = Custom::start_with(&settings, |setup, _| setup.entry = Some(bare))?;
    let body = "{\"a\":1}".repeat(2000);
    let file = tempfile_with(&body)?;
    let data = format!("@{}", file.path().display());
    let posted = [
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        &data,
    ];
    for path in [
        "nothing",
        "text",
        "throws",
        "rejects",
        "error",
        "redirect",
        "empty",
        "no-content",
        "used",
        "breaks",
        "coded",
        "codes",
        "leaves",
        "unread",
        "twice",
        "bytes",
    ] {
        for arguments in [&["-H", "Accept-Encoding: gzip"][..], &posted] {
            let ask = |workerd: &Workerd| {
                let url = workerd.url(&format!("/{path}"));
                let mut answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
                answer.headers.sort();
                anyhow::Ok((answer.status, answer.exit, answer.headers, answer.body))
            };
            let (answer, wanted) = (ask(&custom.workerd)?, ask(&without.workerd)?);
            assert!(
                answer == wanted,
                "/{path} {arguments:?}: {answer:?} instead of {wanted:?}"
            );
        }
    }
    let (_, last) = custom.exchange("/unread", &posted)?;
    assert_eq!(status(&last), 200);
    assert_eq!(custom.workerd.status()?.0["instances"], 1);
    Ok(())
}

#[test]
fn what_a_handler_has_coded_itself_is_undone_or_left_out() -> Result<()> {
    let wrapped = format!(
        "import {{ capture }} from './capture.js';\n{ODD_SHOP}export default capture(shop);"
    );
    let custom = Custom::start_with(&json!({ "origin": null }), |setup, _| {
        setup.entry = Some(wrapped)
    })?;
    for path in ["/codes", "/coded"] {
        let (_, exchange) = custom.exchange(path, &["-H", "Accept-Encoding: gzip"])?;
        let kept = response_body(&exchange);
        assert!(!text(&kept).contains("S3cret"), "{path}: {kept:?}");
        assert!(
            text(&kept).starts_with("{\"user\":\"ada\"")
                || kept.data.is_empty() && !kept.omitted.is_empty(),
            "{path}: {kept:?}"
        );
        assert_eq!(header(&exchange, "content-encoding"), None, "{path}");
    }
    Ok(())
}

#[test]
fn an_origin_that_cannot_be_reached_is_the_clients_error_alone() -> Result<()> {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let settings = json!({ "origin": format!("http://{nobody}") });
    let custom = Custom::start(&settings)?;
    let without = Custom::start_with(&settings, |setup, _| {
        let plain =
            "export default { fetch: (request, env) => fetch(env.SILHOUETTE_ORIGIN, request) };";
        setup.entry = Some(plain.to_owned());
    })?;
    for arguments in [&[][..], &["-d", "abc"]] {
        let ask = |workerd: &Workerd| {
            let url = workerd.url("/json");
            curl(arguments.iter().copied().chain([url.as_str()]))
        };
        let (answer, bare) = (ask(&custom.workerd)?, ask(&without.workerd)?);
        assert_eq!(
            (answer.status, answer.exit),
            (bare.status, bare.exit),
            "as without us"
        );
        assert_ne!(answer.exit, 0);
    }
    let status = custom.workerd.status()?;
    assert_eq!(
        (
            status.get("captured"),
            status.dropped(),
            status.get("queued")
        ),
        (0, 0, 0),
        "there is nothing to tell of: {status:?}"
    );
    assert_eq!(status.0["instances"], 1, "{status:?}");
    Ok(())
}

/// An origin that takes one connection and hands it over.
fn one_connection() -> Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok((listener.local_addr()?, listener))
}

fn read_until(socket: &mut TcpStream, words: &str) -> Result<String> {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    loop {
        let seen = String::from_utf8_lossy(&read).into_owned();
        if seen.contains(words) {
            return Ok(seen);
        }
        let n = socket.read(&mut part)?;
        ensure!(n > 0, "{words:?} never came: {seen}");
        read.extend_from_slice(&part[..n]);
    }
}

#[test]
fn neither_direction_waits_for_the_other_or_for_us() -> Result<()> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({ "origin": format!("http://{address}") }))?;
    let mut client = TcpStream::connect(custom.workerd.authority())?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(
        b"POST /talk HTTP/1.1\r\nHost: t.example\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
          6\r\n\"ask1\"\r\n",
    )?;
    let (mut origin, _) = listener.accept()?;
    origin.set_read_timeout(Some(PATIENCE))?;
    read_until(&mut origin, "\"ask1\"")?;
    origin.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n[\"answer1\r\n",
    )?;
    // The client has the first part of the answer before it has sent the last of the question.
    read_until(&mut client, "answer1")?;
    client.write_all(b"6\r\n\"ask2\"\r\n0\r\n\r\n")?;
    read_until(&mut origin, "\"ask2\"")?;
    origin.write_all(b"4\r\nend\"\r\n1\r\n]\r\n0\r\n\r\n")?;
    read_until(&mut client, "end\"")?;
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    let exchange = exchange.context("one")?;
    assert_eq!(text(&request_body(&exchange)), "\"ask1\"\"ask2\"");
    assert_eq!(text(&response_body(&exchange)), "[\"answer1end\"]");
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn codings_pass_byte_by_byte() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let plain = curl([custom.origin.url("/gzip")])?;
    let (answer, exchange) = custom.exchange("/gzip", &["-H", "Accept-Encoding: gzip"])?;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(
        answer.header("content-length"),
        plain.header("content-length")
    );
    assert!(
        answer.body == plain.body,
        "the origin's bytes, not others that say the same"
    );
    let kept: Value = serde_json::from_slice(&response_body(&exchange).data)?;
    assert_eq!(kept["by"], "origin");

    // By `brotli` of a text too short to be compressed.
    let coded = b"\x0b\x15\x80{\"user\":\"ada\",\"password\":\"bodyS3cretValue\"}\x03";
    let (answer, exchange) = coded_as("br", coded)?;
    assert_eq!(answer.header("content-encoding"), Some("br"));
    assert_eq!(answer.body, coded);
    let kept = text(&response_body(&exchange));
    assert!(
        kept.starts_with("{\"user\":\"ada\",\"password\":\"") && !kept.contains("S3cret"),
        "{kept}"
    );

    // What is called gzip and is none is for the client to find out, and a coding nobody knows, too.
    for (coding, body) in [("gzip", b"not gzip!"), ("x-shop", b"not text!")] {
        let (answer, exchange) = coded_as(coding, body)?;
        assert_eq!(answer.body, body);
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(status(&exchange), 200);
        let kept = response_body(&exchange);
        assert!(kept.data.is_empty(), "{coding}: {kept:?}");
    }
    Ok(())
}

/// What comes of JSON that an origin says it has coded like this.
fn coded_as(coding: &str, body: &[u8]) -> Result<(Answer, Exchange)> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({ "origin": format!("http://{address}") }))?;
    let mut response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend_from_slice(body);
    let origin = std::thread::spawn(move || {
        let (mut origin, _) = listener.accept()?;
        read_until(&mut origin, "\r\n\r\n")?;
        origin.write_all(&response)?;
        anyhow::Ok(())
    });
    let both = custom.exchange("/coded", &[])?;
    origin
        .join()
        .map_err(|_| anyhow::anyhow!("the origin's thread panicked"))??;
    Ok(both)
}

#[test]
fn a_coded_request_is_undone_or_left_out() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"{\"user\":\"ada\",\"password\":\"bodyS3cretValue\"}")?;
    let coded = encoder.finish()?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &coded)?;
    let data = format!("@{}", file.path().display());
    let (answer, exchange) = custom.exchange(
        "/upload",
        &[
            "-H",
            "Content-Type: application/json",
            "-H",
            "Content-Encoding: gzip",
            "--data-binary",
            &data,
        ],
    )?;
    assert_eq!(
        answer.json()?["bytes"],
        coded.len(),
        "the origin gets it as it was"
    );
    let kept = request_body(&exchange);
    assert_eq!(kept.original_size, coded.len() as u64);
    assert!(
        text(&kept).starts_with("{\"user\":\"ada\",\"password\":\""),
        "{kept:?}"
    );
    assert!(!text(&kept).contains("S3cret"));
    assert_eq!(
        request_header(&exchange, "content-encoding"),
        None,
        "what is kept is plain"
    );
    Ok(())
}

#[test]
fn a_body_without_end_is_watched_for_a_while() -> Result<()> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({
        "origin": format!("http://{address}"),
        "content_types": "+text/event-stream",
        "capture_seconds": 1,
    }))?;
    let gone = Arc::new(AtomicBool::new(false));
    let noticed = gone.clone();
    std::thread::spawn(move || {
        let (mut origin, _) = listener.accept()?;
        read_until(&mut origin, "\r\n\r\n")?;
        origin.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        while origin.write_all(b"9\r\ndata: x\n\n\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        noticed.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    });
    let mut client = TcpStream::connect(custom.workerd.authority())?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(b"GET /events HTTP/1.1\r\nHost: e.example\r\n\r\n")?;
    read_until(&mut client, "data: x")?;
    // It is told of while it goes on.
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    let exchange = exchange.context("one")?;
    assert!(exchange.unfinished);
    assert!(text(&response_body(&exchange)).starts_with("data: x\n\n"));
    read_until(&mut client, "data: x")?;
    assert!(
        !gone.load(Ordering::Relaxed),
        "the client still gets events"
    );
    drop(client);
    wait_until("the origin notices that nobody listens", PATIENCE, || {
        gone.load(Ordering::Relaxed)
    })
}

#[test]
fn a_client_that_leaves_does_not_keep_the_origin_busy() -> Result<()> {
    let (address, listener) = one_connection()?;
    let custom = Custom::start(&json!({
        "origin": format!("http://{address}"),
        "content_types": "+text/event-stream",
        "capture_seconds": 1,
    }))?;
    let client = std::thread::spawn({
        let authority = custom.workerd.authority();
        move || {
            let mut client = TcpStream::connect(authority)?;
            client.set_read_timeout(Some(PATIENCE))?;
            client.write_all(b"GET /events HTTP/1.1\r\nHost: e.example\r\n\r\n")?;
            read_until(&mut client, "data: x")
        }
    });
    let (mut origin, _) = listener.accept()?;
    read_until(&mut origin, "\r\n\r\n")?;
    origin.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n",
    )?;
    client
        .join()
        .map_err(|_| anyhow::anyhow!("the client's thread panicked"))??;
    // The client is gone. Our branch lets go of the connection when its time is over, though the origin is silent.
    wait_until("the origin's connection ends", PATIENCE, || {
        origin.write_all(b"9\r\ndata: x\n\n\r\n").is_err()
    })?;
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    assert!(exchange.context("one")?.unfinished);
    Ok(())
}

#[test]
fn headers_of_a_response_are_the_origins() -> Result<()> {
    let custom = Custom::start(&json!({}))?;
    for path in [
        "/json",
        "/cookies",
        "/many-headers",
        "/odd-headers",
        "/etag",
        "/redirect",
        "/gzip",
    ] {
        let direct = curl([custom.origin.url(path)])?;
        let (answer, exchange) = custom.exchange(path, &[])?;
        let sorted = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers.sort();
            headers
        };
        assert_eq!(sorted(&answer), sorted(&direct), "{path}");
        assert!(answer.body == direct.body, "{path}");
        assert_eq!(
            header(&exchange, "content-type").as_deref(),
            direct.header("content-type"),
            "{path}"
        );
    }
    Ok(())
}
