//! Where requests go: to an origin by its URL, to a Worker behind a service binding, to a handler that is wrapped, to nobody.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::json;
use silhouette_e2e::exchange::{
    header, path, query, request_body, response_body, status, tempfile_with, text, values,
};
use silhouette_e2e::process::{PATIENCE, Process, free_port, wait_until};
use silhouette_e2e::workerd::Way;
use silhouette_e2e::zone::COLO;
use silhouette_e2e::{Workerd, curl};

use crate::custom::Custom;

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

#[test]
fn a_length_that_a_handler_announces_is_not_believed() -> Result<()> {
    let entry = r#"
import { capture } from "./capture.js";
export default capture({
    fetch() {
        const part = new TextEncoder().encode('["endless",'.repeat(100));
        const body = new ReadableStream({ async pull(controller) {
            await scheduler.wait(1);
            controller.enqueue(part);
        } });
        return new Response(body, { headers: { "content-type": "application/json", "content-length": "10" } });
    },
});
"#;
    let settings = json!({ "origin": null, "max_response_body": "4k", "capture_seconds": 28 });
    let custom = Custom::start_with(&settings, |setup, _| setup.entry = Some(entry.to_owned()))?;
    // It is done with at the cap, while the client still reads.
    let mut curl = Command::new("curl");
    curl.args(["-qsS", "--noproxy", "*", &custom.workerd.url("/")]);
    let mut client = Process::spawn("curl", curl.stdout(Stdio::piped()))?;
    let mut said = client.stdout().context("piped above")?;
    let exchange = custom.recording.wait_for(1, PATIENCE)?.pop();
    client.kill_9();
    let mut answer = Vec::new();
    said.read_to_end(&mut answer)?;
    let body = response_body(&exchange.context("one")?);
    assert!(
        body.truncated && body.data.len() == 4096,
        "{}",
        body.data.len()
    );
    assert!(answer.is_empty() || answer.starts_with(b"[\"endless\""));
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
    // Those before may be told of later than this one.
    let last = custom.workerd.url("/unread?last");
    curl(posted.into_iter().chain([last.as_str()]))?;
    wait_until("the last is captured", PATIENCE, || {
        let exchanges = custom.recording.exchanges();
        exchanges
            .iter()
            .any(|one| query(one) == "last" && status(one) == 200)
    })?;
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
