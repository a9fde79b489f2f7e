//! Each rule of the strict host shown at work: a small module breaks it and is caught, or sees what a filter sees in Kong.
//!
//! In: WebAssembly text, a real origin, curl. Out: what the host has recorded and what the client got.

mod strict;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use silhouette_e2e::process::wait_until;
use silhouette_e2e::{Answer, Origin, curl};
use strict::exchange::{decode_pairs, marshal};
use strict::text::{self, Filter, TABLE};
use strict::{Gateway, Kong, Level, Options};

const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway with one chain for everything, in front of an origin.
struct Stand {
    gateway: Gateway,
    origin: Origin,
}

impl Stand {
    fn of(filter: &Filter, kong: Kong) -> Result<Stand> {
        let origin = Origin::start()?;
        let options = Options {
            kong,
            ..Options::new(origin.address())
        }
        .chain("/", "{}");
        let gateway = Gateway::start(filter.text().as_bytes(), options)?;
        Ok(Stand { gateway, origin })
    }

    fn new(filter: &Filter) -> Result<Stand> {
        Stand::of(filter, Kong::V3_10)
    }

    /// curl on a path; returns when the filter has been told that the exchange is over, or has cost it.
    fn ask(&self, path: &str, arguments: &[&str]) -> Result<Answer> {
        let over = |contents: &strict::record::Contents| contents.logged + contents.refused;
        let before = over(&self.gateway.record().contents());
        let url = self.gateway.url(path);
        let answer = curl(arguments.iter().copied().chain([url.as_str()]))?;
        let record = self.gateway.record();
        record.wait("the exchange's end", PATIENCE, |c| over(c) > before)?;
        Ok(answer)
    }

    /// What the filter has said, at information level.
    fn said(&self) -> String {
        let contents = self.gateway.record().contents();
        let lines = contents
            .log
            .into_iter()
            .filter(|line| line.level == Level::Info);
        lines.map(|line| line.text).collect::<Vec<_>>().join("")
    }
}

fn refused_at_start(filter: &Filter) -> String {
    match Stand::new(filter) {
        Ok(_) => "started".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn a_module_that_keeps_all_rules_is_not_complained_about() -> Result<()> {
    let stand = Stand::new(&Filter::new())?;
    let answer = stand.ask("/json", &["-d", "{}"])?;
    assert_eq!(
        (answer.status, answer.json()?["name"].as_str()),
        (200, Some("odd"))
    );
    stand.gateway.record().is_clean()?;
    let contents = stand.gateway.record().contents();
    assert_eq!(
        (contents.instances, contents.configured, contents.logged),
        (1, 1, 1)
    );
    Ok(())
}

#[test]
fn imports_are_a_closed_list_with_exact_signatures() {
    let unknown = refused_at_start(&Filter::new().import("proxy_make_coffee", "i"));
    assert!(
        unknown.contains("env.proxy_make_coffee\": missing host function"),
        "{unknown}"
    );
    let of_the_sdk = refused_at_start(&Filter::new().import("proxy_get_log_level", "i"));
    assert!(
        of_the_sdk.contains("proxy_get_log_level\": the host's is"),
        "{of_the_sdk}"
    );
    let wide = refused_at_start(&Filter::new().import("proxy_record_metric", "ii"));
    assert!(wide.contains("proxy_record_metric"), "{wide}");
    let file =
        refused_at_start(&Filter::new().import_from("wasi_snapshot_preview1", "fd_sync", "i"));
    assert!(file.contains("fd_sync\": missing host function"), "{file}");
    let elsewhere = refused_at_start(&Filter::new().import_from("kong", "anything", "i"));
    assert!(elsewhere.contains("no module \"kong\""), "{elsewhere}");
}

#[test]
fn what_a_filter_must_export() {
    for (name, complaint) in [
        ("proxy_abi_version_0_2_1", "unknown ABI version"),
        ("proxy_on_memory_allocate", "missing malloc"),
        ("proxy_on_context_create", "proxy_on_context_create"),
        ("proxy_on_vm_start", "proxy_on_vm_start"),
        ("proxy_on_configure", "proxy_on_configure"),
    ] {
        let refusal = refused_at_start(&Filter::new().without(name));
        assert!(refusal.contains(complaint), "{name}: {refusal}");
    }
}

#[test]
fn a_configuration_that_is_refused_keeps_kong_from_starting() {
    for name in ["proxy_on_configure", "proxy_on_vm_start"] {
        let refusal = refused_at_start(&Filter::new().on(name, "(i32.const 0)"));
        assert!(refusal.contains("failed initializing"), "{name}: {refusal}");
    }
}

#[test]
fn what_is_not_implemented_traps() -> Result<()> {
    for (function, parameters) in [
        ("proxy_grpc_call", "iiiiiiiiiiii"),
        ("proxy_grpc_stream", "iiiiiiiii"),
        ("proxy_grpc_send", "iiii"),
        ("proxy_grpc_cancel", "i"),
        ("proxy_get_status", "iii"),
        ("proxy_call_foreign_function", "iiiiii"),
        ("proxy_done", ""),
        ("proxy_close_stream", "i"),
        ("proxy_register_shared_queue", "iii"),
        ("proxy_enqueue_shared_queue", "iii"),
        ("proxy_dequeue_shared_queue", "iii"),
        ("proxy_get_shared_data", "iiiii"),
        ("proxy_set_shared_data", "iiiii"),
    ] {
        let filter = Filter::new().import(function, parameters).on(
            "proxy_on_request_headers",
            format!("{} (i32.const 0)", text::drop_call(function, parameters)),
        );
        let stand = Stand::new(&filter)?;
        assert_eq!(stand.ask("/json", &[])?.status, 500, "{function}");
        let contents = stand.gateway.record().contents();
        assert_eq!(
            contents.violations.len(),
            1,
            "{function}: {:?}",
            contents.violations
        );
        assert_eq!(contents.traps.len(), 1, "{function}: {:?}", contents.traps);
        assert!(stand.gateway.record().is_clean().is_err());
    }
    Ok(())
}

#[test]
fn leaving_the_program_traps() -> Result<()> {
    let filter = Filter::new()
        .import_from("wasi_snapshot_preview1", "proc_exit", "i")
        .on(
            "proxy_on_request_headers",
            "(call $proc_exit (i32.const 1)) (i32.const 0)",
        );
    let stand = Stand::new(&filter)?;
    assert_eq!(stand.ask("/json", &[])?.status, 500);
    Ok(())
}

/// A call to a port where nobody listens, as an expression that leaves nothing.
fn call_nobody() -> String {
    format!("(drop {})", text::http_call("127.0.0.1:9", &call_headers()))
}

fn call_headers() -> Vec<(Vec<u8>, Vec<u8>)> {
    [
        (":method", "POST"),
        (":path", "/x"),
        (":authority", "a.example"),
        ("x-mine", "1"),
        ("Host", "other"),
        ("connection", "upgrade"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

fn with_calls(filter: Filter, upstream: &str) -> Filter {
    filter
        .import("proxy_http_call", "iiiiiiiiii")
        .data(text::UPSTREAM, upstream.as_bytes())
        .data(text::HEADERS, &marshal(&call_headers()))
        .data(text::BODY, b"call's body")
}

#[test]
fn calls_are_for_few_phases() -> Result<()> {
    for (callback, forbidden) in [
        ("proxy_on_request_headers", false),
        ("proxy_on_request_body", false),
        ("proxy_on_response_headers", true),
        ("proxy_on_response_body", true),
        ("proxy_on_log", true),
        ("proxy_on_delete", true),
    ] {
        let result = match callback {
            "proxy_on_log" | "proxy_on_delete" => "",
            _ => "(i32.const 0)",
        };
        let filter = with_calls(Filter::new(), "127.0.0.1:9")
            .on(callback, format!("{} {result}", call_nobody()));
        let stand = Stand::new(&filter)?;
        let answer = stand.ask("/json", &["-d", "x=1"])?;
        let record = stand.gateway.record();
        match forbidden {
            true => {
                record.wait("the violation", PATIENCE, |c| c.violations.len() == 1)?;
                let contents = record.contents();
                assert!(
                    contents.violations[0].contains("can only send HTTP dispatch"),
                    "{:?}",
                    contents.violations
                );
                assert_eq!(contents.traps.len(), 1, "{callback}");
            }
            false => {
                assert_eq!(answer.status, 200, "{callback}");
                record.wait("the call's end", PATIENCE, |c| c.failed == 1)?;
                record.is_clean()?;
            }
        }
        // The answer has begun when its own callbacks run.
        match callback {
            "proxy_on_response_headers" => assert_eq!(answer.status, 500),
            "proxy_on_response_body" => assert_ne!(answer.exit, 0),
            _ => assert_eq!(answer.status, 200, "{callback}"),
        }
    }
    let at_start = with_calls(Filter::new(), "127.0.0.1:9").on(
        "proxy_on_configure",
        format!("{} (i32.const 1)", call_nobody()),
    );
    let refusal = refused_at_start(&at_start);
    assert!(refusal.contains("can only send HTTP dispatch"), "{refusal}");
    Ok(())
}

#[test]
fn a_second_call_in_flight_is_noticed() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let upstream = silent.local_addr()?.to_string();
    let filter = with_calls(Filter::new().ticking(10), &upstream).on(
        "proxy_on_tick",
        format!("(drop {})", text::http_call(&upstream, &call_headers())),
    );
    let stand = Stand::new(&filter)?;
    let record = stand.gateway.record();
    record.wait("two ticks", PATIENCE, |c| c.calls >= 2)?;
    let violations = record.contents().violations;
    assert!(
        violations
            .iter()
            .any(|v| v.contains("a second call of this root context")),
        "{violations:?}"
    );
    Ok(())
}

#[test]
fn one_call_after_another_is_fine() -> Result<()> {
    // Once: a global says whether it was done.
    let origin = Origin::start()?;
    let upstream = origin.address().to_string();
    let filter = with_calls(Filter::new().ticking(10), &upstream)
        .on("proxy_on_tick", format!(
            "(if (i32.eqz (global.get $busy)) (then (global.set $busy (i32.const 1)) (drop {})))",
            text::http_call(&upstream, &call_headers()),
        ))
        .on("proxy_on_http_call_response", "(global.set $busy (i32.const 0))");
    let stand = Stand::new(&filter)?;
    stand
        .gateway
        .record()
        .wait("calls", PATIENCE, |c| c.answered >= 3)?;
    stand.gateway.record().is_clean()
}

#[test]
fn a_call_is_http_1_1_and_has_a_connection_of_its_own() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let upstream = listener.local_addr()?.to_string();
    let filter = with_calls(Filter::new(), &upstream)
        .on(
            "proxy_on_request_headers",
            format!(
                "(drop {}) (i32.const 0)",
                text::http_call(&upstream, &call_headers())
            ),
        )
        // Its number, how many headers, how many bytes; then the body.
        .on(
            "proxy_on_http_call_response",
            format!(
                "{}{}{}",
                text::say("(local.get 2)"),
                text::say("(local.get 3)"),
                text::say_buffer(4, 0, 100),
            ),
        );
    let stand = Stand::new(&filter)?;
    let server = std::thread::spawn(move || -> Result<String> {
        let (mut socket, _) = listener.accept()?;
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while !request.ends_with(b"call's body") {
            let n = socket.read(&mut part)?;
            ensure!(n > 0, "cut off: {}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&part[..n]);
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-answer: yes\r\n\r\nhello")?;
        Ok(String::from_utf8(request)?)
    });
    stand.ask("/json", &[])?;
    let record = stand.gateway.record();
    record.wait("the answer", PATIENCE, |c| c.answered == 1)?;
    let request = server.join().ok().context("server")??.to_lowercase();
    assert!(request.starts_with("post /x http/1.1\r\n"), "{request}");
    for header in [
        "host: a.example\r\n",
        "connection: close\r\n",
        "content-length: 11\r\n",
        "x-mine: 1\r\n",
    ] {
        assert_eq!(request.matches(header).count(), 1, "{request}");
    }
    assert!(
        !request.contains("other") && !request.contains("upgrade"),
        "{request}"
    );
    // Three with `:status`, five bytes.
    assert_eq!(stand.said(), "35hello");
    record.is_clean()
}

#[test]
fn only_newer_kongs_tell_of_a_call_that_failed() -> Result<()> {
    let filter = with_calls(Filter::new(), "127.0.0.1:9")
        .on(
            "proxy_on_request_headers",
            format!("{} (i32.const 0)", call_nobody()),
        )
        .on(
            "proxy_on_http_call_response",
            format!(
                "{}{}",
                text::say("(local.get 2)"),
                text::say("(local.get 3)")
            ),
        );
    for (kong, told) in [(Kong::V3_4, ""), (Kong::V3_9, "00")] {
        let stand = Stand::of(&filter, kong)?;
        stand.ask("/json", &[])?;
        let record = stand.gateway.record();
        record.wait("the call's end", PATIENCE, |c| c.failed == 1)?;
        // It is told in the same step in which it is counted.
        stand.ask("/json", &[])?;
        assert!(stand.said().starts_with(told), "{}", stand.said());
        assert_eq!(stand.said().is_empty(), told.is_empty());
        assert!(record.lines(Level::Error)[0].contains("dispatch failed"));
    }
    Ok(())
}

#[test]
fn a_call_without_method_or_host_comes_to_nothing() -> Result<()> {
    let headers = [(b":path".to_vec(), b"/".to_vec())];
    let ticking = with_calls(Filter::new().ticking(10), "127.0.0.1:9")
        .data(text::HEADERS, &marshal(&headers))
        .on(
            "proxy_on_tick",
            text::say(&format!(
                "(i32.sub {} (i32.const 1))",
                text::http_call("127.0.0.1:9", &headers)
            )),
        );
    let stand = Stand::new(&ticking)?;
    let record = stand.gateway.record();
    record.wait("a tick", PATIENCE, |c| c.ticks >= 1)?;
    record.is_clean()?;
    assert!(stand.said().starts_with('9'), "status 10: {}", stand.said());
    assert!(record.lines(Level::Error)[0].contains("no :method"));

    let asking = with_calls(Filter::new(), "127.0.0.1:9")
        .data(text::HEADERS, &marshal(&headers))
        .on(
            "proxy_on_request_headers",
            format!(
                "(drop {}) (i32.const 0)",
                text::http_call("127.0.0.1:9", &headers)
            ),
        );
    let stand = Stand::new(&asking)?;
    assert_eq!(
        stand.ask("/json", &[])?.status,
        500,
        "in a request it traps"
    );
    Ok(())
}

#[test]
fn metrics_are_not_in_every_kong() -> Result<()> {
    let define = |kind: u32| {
        format!(
            "(drop (call $proxy_define_metric (i32.const {kind}) (i32.const {TABLE}) (i32.const 4) (i32.const 64)))"
        )
    };
    let filter = |kind: u32, then: &str| {
        Filter::new()
            .import("proxy_define_metric", "iiii")
            .import("proxy_increment_metric", "iI")
            .import("proxy_record_metric", "iI")
            .data(TABLE, b"mine")
            .on(
                "proxy_on_configure",
                format!("{}{then} (i32.const 1)", define(kind)),
            )
    };
    let increment = "(drop (call $proxy_increment_metric (i32.load (i32.const 64)) (i64.const 3)))";
    let record = "(drop (call $proxy_record_metric (i32.load (i32.const 64)) (i64.const 3)))";
    for (kind, then, complaint) in [
        (0, increment, ""),
        (0, record, "a counter cannot be recorded"),
        (1, record, ""),
        (1, increment, "only a counter can be incremented"),
    ] {
        let stand = Stand::new(&filter(kind, then))?;
        let contents = stand.gateway.record().contents();
        match complaint {
            "" => assert_eq!(
                (
                    contents.violations.len(),
                    stand.gateway.record().metric("mine")
                ),
                (0, 3)
            ),
            _ => assert!(
                contents.violations[0].contains(complaint),
                "{:?}",
                contents.violations
            ),
        }
    }
    let old = Stand::of(&filter(0, ""), Kong::V3_4)
        .err()
        .context("it has none")?;
    assert!(format!("{old:#}").contains("Kong 3.4.3 has no metrics"));
    Ok(())
}

#[test]
fn a_request_body_is_one_callback_and_gone_beyond_8k() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_request_body",
        format!(
            "{}{} (i32.const 0)",
            text::say("(local.get 2)"),
            text::say_buffer(0, 0, 3)
        ),
    );
    for (size, said, errors) in [
        (3, "1777", 0),
        (8192, "1777", 0),
        (8193, "1", 1),
        (100_000, "1", 1),
    ] {
        let stand = Stand::new(&filter)?;
        let body = "7".repeat(size);
        let answer = stand.ask(
            "/upload",
            &[
                "-H",
                "Expect:",
                "-H",
                "Content-Type: text/plain",
                "-d",
                &body,
            ],
        )?;
        assert_eq!(
            answer.json()?["bytes"],
            size,
            "all of it reaches the origin"
        );
        assert_eq!(stand.said(), said, "{size}");
        let contents = stand.gateway.record().contents();
        assert_eq!(contents.spooled_reads, errors, "{size}");
        let lines = stand.gateway.record().lines(Level::Error);
        assert_eq!(
            lines
                .iter()
                .filter(|l| l.contains("buffered to file"))
                .count() as u64,
            errors
        );
    }
    let stand = Stand::new(&filter)?;
    stand.ask("/json", &[])?;
    assert_eq!(stand.said(), "", "no body, no callback");
    Ok(())
}

#[test]
fn the_end_of_a_response_body_is_often_withheld() -> Result<()> {
    // One digit per piece: is it the last?
    let filter = Filter::new().on(
        "proxy_on_response_body",
        format!("{} (i32.const 0)", text::say("(local.get 2)")),
    );
    let ends = |path: &str, arguments: &[&str]| -> Result<String> {
        let stand = Stand::new(&filter)?;
        let answer = stand.ask(path, arguments)?;
        ensure!(answer.exit == 0, "{}", answer.error);
        stand.gateway.record().is_clean()?;
        Ok(stand.said())
    };
    assert_eq!(ends("/bytes/100", &[])?, "1", "one piece");
    let several = ends("/bytes/100000", &[])?;
    assert!(
        several.len() > 3 && !several.contains('1'),
        "with Content-Length: {several}"
    );
    let chunked = ends("/chunked/100000", &[])?;
    assert!(
        chunked.ends_with("01") && chunked.matches('1').count() == 1,
        "without: {chunked}"
    );
    assert_eq!(ends("/empty", &[])?, "1");
    for (path, arguments) in [
        ("/json", &["--head"][..]),
        ("/status/204", &[]),
        ("/status/304", &[]),
    ] {
        assert_eq!(ends(path, arguments)?, "", "{path} has no body");
    }
    Ok(())
}

#[test]
fn pieces_of_a_response_are_4_to_26_kilobytes() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_response_body",
        format!(
            "{} (i32.const 0)",
            text::say("(i32.div_u (local.get 1) (i32.const 4096))")
        ),
    );
    let stand = Stand::new(&filter)?;
    let answer = stand.ask("/bytes/200000", &[])?;
    assert_eq!(answer.body.len(), 200_000);
    let sizes = stand.said();
    assert!(
        sizes.len() > 5 && sizes.bytes().all(|b| b <= b'6'),
        "{sizes}"
    );
    Ok(())
}

#[test]
fn buffers_begin_at_the_beginning() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_response_body",
        format!("{} (i32.const 0)", text::say_buffer(1, 10, 4)),
    );
    let stand = Stand::new(&filter)?;
    stand.ask("/bytes/26", &[])?;
    assert_eq!(stand.said(), "abcd");
    Ok(())
}

#[test]
fn buffers_belong_to_their_callbacks() -> Result<()> {
    for (callback, buffer) in [
        ("proxy_on_response_headers", 0),
        ("proxy_on_response_body", 0),
        ("proxy_on_request_headers", 1),
        ("proxy_on_response_headers", 1),
        ("proxy_on_request_headers", 4),
    ] {
        let filter = Filter::new().on(
            callback,
            format!("{} (i32.const 0)", text::say_buffer(buffer, 0, 10)),
        );
        let stand = Stand::new(&filter)?;
        let _ = stand.ask("/json", &["-d", "x"])?;
        let contents = stand.gateway.record().contents();
        assert_eq!(
            (contents.violations.len(), contents.traps.len()),
            (1, 1),
            "{callback} {buffer}"
        );
        assert!(
            contents.violations[0].contains("can only get"),
            "{:?}",
            contents.violations
        );
    }
    Ok(())
}

#[test]
fn headers_are_announced_as_the_end_whatever_follows() -> Result<()> {
    let say = format!("{} (i32.const 0)", text::say("(local.get 2)"));
    let filter = Filter::new()
        .on("proxy_on_request_headers", &say)
        .on("proxy_on_response_headers", &say);
    let stand = Stand::new(&filter)?;
    stand.ask("/bytes/100000", &["-d", "body"])?;
    assert_eq!(stand.said(), "11");
    Ok(())
}

#[test]
fn a_header_map_is_what_nginx_has() -> Result<()> {
    let filter = Filter::new().on(
        "proxy_on_request_headers",
        format!("{} (i32.const 0)", text::say_map(0)),
    );
    let pairs = |path: &str, arguments: &[&str]| -> Result<Vec<(String, String)>> {
        let stand = Stand::new(&filter)?;
        stand.ask(path, arguments)?;
        stand.gateway.record().is_clean()?;
        decode_pairs(stand.said().as_bytes()).context("a map")
    };
    let seen = pairs(
        "/echo/a%20b/../c/./d//e?x=%2F",
        &["--path-as-is", "-H", "x-Twice: 1", "-H", "x-twice: 2"],
    )?;
    let value = |name: &str| {
        seen.iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    let first: Vec<&str> = seen.iter().take(5).map(|(n, _)| n.as_str()).collect();
    assert_eq!(first, [":path", ":method", ":scheme", ":authority", "Host"]);
    assert_eq!(
        value(":path"),
        Some("/echo/c/d/e?x=%2F"),
        "decoded and normalised"
    );
    assert!(
        value(":authority").is_some_and(|a| a.starts_with("kong:")),
        "{seen:?}"
    );
    assert!(
        value("User-Agent").is_some() && value("user-agent").is_none(),
        "spelt as over HTTP/1.1"
    );
    let twice: Vec<&str> = seen
        .iter()
        .filter(|(n, _)| n == "X-Twice")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(twice, ["1", "2"]);

    // With the three of curl and four pseudo-headers.
    let many: Vec<String> = (0..97).map(|n| format!("x-{n}: {n}")).collect();
    let many: Vec<&str> = many.iter().flat_map(|header| ["-H", header]).collect();
    let stand = Stand::new(&filter)?;
    assert_eq!(stand.ask("/json", &many)?.status, 200);
    assert_eq!(
        decode_pairs(stand.said().as_bytes())
            .context("a map")?
            .len(),
        100
    );
    assert_eq!(stand.gateway.record().lines(Level::Warn).len(), 1);
    Ok(())
}

fn ask_property(callback: &str, path: &str, result: &str) -> Filter {
    Filter::new()
        .import("proxy_get_property", "iiii")
        .data(TABLE, path.replace('.', "\0").as_bytes())
        .on(
            callback,
            format!("{} {result}", text::say_property(path.len())),
        )
}

#[test]
fn properties_are_text_and_some_are_errors() -> Result<()> {
    for (path, wanted) in [
        ("request.path", "/echo/a%20b?x=1"),
        ("request.method", "POST"),
        ("request.protocol", "HTTP/1.1"),
        ("source.address", "127.0.0.1"),
        ("response.code", "200"),
        ("response.headers.content-type", "application/json"),
        ("upstream.address", "127.0.0.1"),
        ("kong.route_id", "00000000-0000-4000-8000-000000000005"),
        ("kong.service_name", "service-0"),
        ("kong.version", "3.10.0"),
        ("kong.client.protocol", "http"),
        ("ngx.nginx_version", "1.27.1"),
        ("kong.no_such_thing", ""),
        ("connection.tls_version", ""),
    ] {
        let stand = Stand::new(&ask_property("proxy_on_log", path, ""))?;
        stand.ask("/echo/a%20b?x=1", &["-d", "1"])?;
        assert_eq!(stand.said(), wanted, "{path}");
        stand.gateway.record().is_clean()?;
    }
    for path in [
        "node",
        "cluster_name",
        "response.flags",
        "response.code_details",
        "route_name",
        "upstream.tls_version",
        "kong.response.source",
    ] {
        let stand = Stand::new(&ask_property("proxy_on_log", path, ""))?;
        stand.ask("/json", &[])?;
        let contents = stand.gateway.record().contents();
        assert_eq!(
            (stand.said().as_str(), contents.refused_properties),
            ("", 1),
            "{path}"
        );
        assert!(stand.gateway.record().is_clean().is_err());
    }
    let early = Stand::new(&ask_property(
        "proxy_on_request_headers",
        "upstream.address",
        "(i32.const 0)",
    ))?;
    early.ask("/json", &[])?;
    assert_eq!(early.said(), "", "not chosen yet");
    let old = Stand::of(
        &ask_property("proxy_on_log", "kong.node.id", ""),
        Kong::V3_4,
    )?;
    old.ask("/json", &[])?;
    assert_eq!(old.said(), "", "not in 3.4");
    Ok(())
}

#[test]
fn properties_of_a_request_trap_outside_of_one() {
    for path in [
        "ngx.nginx_version",
        "kong.node.id",
        "request.path",
        "source.address",
    ] {
        let refusal = refused_at_start(&ask_property("proxy_on_configure", path, "(i32.const 1)"));
        assert!(
            refusal.contains("outside of a request"),
            "{path}: {refusal}"
        );
    }
}

#[test]
fn ticks_are_set_once_and_outside_of_requests() -> Result<()> {
    let set = "(drop (call $proxy_set_tick_period_milliseconds (i32.const 20)))";
    let twice = Filter::new()
        .import("proxy_set_tick_period_milliseconds", "i")
        .on("proxy_on_configure", format!("{set}{set} (i32.const 1)"));
    let refusal = refused_at_start(&twice);
    assert!(refusal.contains("tick_period already set"), "{refusal}");
    let in_request = Filter::new()
        .import("proxy_set_tick_period_milliseconds", "i")
        .on("proxy_on_request_headers", format!("{set} (i32.const 0)"));
    let stand = Stand::new(&in_request)?;
    assert_eq!(stand.ask("/json", &[])?.status, 500);
    let violations = stand.gateway.record().contents().violations;
    assert!(
        violations[0].contains("can only set tick_period in root context"),
        "{violations:?}"
    );
    Ok(())
}

#[test]
fn a_shim_neither_stops_nor_changes_anything() -> Result<()> {
    let call = |function: &str, parameters: &str| {
        format!("{} (i32.const 0)", text::drop_call(function, parameters))
    };
    for (callback, function, parameters) in [
        (
            "proxy_on_request_headers",
            "proxy_replace_header_map_value",
            "iiiii",
        ),
        (
            "proxy_on_response_headers",
            "proxy_add_header_map_value",
            "iiiii",
        ),
        (
            "proxy_on_response_headers",
            "proxy_remove_header_map_value",
            "iii",
        ),
        (
            "proxy_on_response_headers",
            "proxy_set_header_map_pairs",
            "iii",
        ),
        ("proxy_on_request_headers", "proxy_set_property", "iiii"),
        ("proxy_on_request_body", "proxy_set_buffer_bytes", "iiiii"),
        (
            "proxy_on_request_headers",
            "proxy_send_local_response",
            "iiiiiiii",
        ),
        ("proxy_on_request_headers", "proxy_continue_stream", "i"),
    ] {
        let filter = Filter::new()
            .import(function, parameters)
            .on(callback, call(function, parameters));
        let stand = Stand::new(&filter)?;
        stand.ask("/json", &["-d", "x"])?;
        let contents = stand.gateway.record().contents();
        assert_eq!(
            (contents.violations.len(), contents.traps.len()),
            (1, 0),
            "{function}: {:?}",
            contents.violations
        );
    }
    for callback in [
        "proxy_on_request_headers",
        "proxy_on_request_body",
        "proxy_on_response_headers",
        "proxy_on_response_body",
    ] {
        let stand = Stand::new(&Filter::new().on(callback, "(i32.const 1)"))?;
        stand.ask("/bytes/10", &["-d", "x"])?;
        let violations = stand.gateway.record().contents().violations;
        assert!(
            violations[0].contains("instead of Continue"),
            "{callback}: {violations:?}"
        );
    }
    let late = Filter::new()
        .import("proxy_send_local_response", "iiiiiiii")
        .on(
            "proxy_on_response_headers",
            call("proxy_send_local_response", "iiiiiiii"),
        );
    let stand = Stand::new(&late)?;
    assert_eq!(stand.ask("/json", &[])?.status, 500);
    Ok(())
}

#[test]
fn a_panic_costs_the_instance_and_doubles_the_ticks() -> Result<()> {
    let filter = Filter::new().ticking(30).on(
        "proxy_on_vm_start",
        format!("{} (i32.const 1)", text::say("(i32.const 1)")),
    );
    let stand = Stand::new(&filter)?;
    let record = stand.gateway.record();
    assert_eq!(stand.ask("/json", &[])?.status, 200);
    stand.gateway.trap_next();
    // A tick may come first and take the trap: then the timer goes on alone.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(stand.ask("/json", &[])?.status);
    }
    assert!(answers.ends_with(&[200]), "{answers:?}");
    let contents = record.contents();
    assert_eq!(
        (
            contents.traps.len(),
            contents.instances,
            contents.configured
        ),
        (1, 2, 2)
    );
    assert_eq!(stand.said(), "1", "on_vm_start ran at the start alone");
    // Two timers tick the one instance that there is.
    let before = record.contents();
    let own = |c: &strict::record::Contents| c.ticks - c.inherited_ticks;
    record.wait("ticks of both timers", PATIENCE, |c| {
        own(c) > own(&before) && c.inherited_ticks > before.inherited_ticks
    })
}

#[test]
fn a_panic_costs_all_requests_of_the_instance() -> Result<()> {
    let stand = Stand::new(&Filter::new())?;
    let url = stand.gateway.url("/slow/1000");
    let slow = std::thread::spawn(move || curl([url]));
    let record = stand.gateway.record();
    wait_until("the origin is asked", PATIENCE, || {
        stand.origin.requests() == 1
    })?;
    stand.gateway.trap_next();
    assert_eq!(stand.ask("/json", &[])?.status, 500);
    assert_eq!(
        stand.ask("/json", &[])?.status,
        200,
        "there is a new instance"
    );
    let slow = slow.join().ok().context("curl")??;
    assert_eq!(slow.status, 500, "its instance is gone");
    assert_eq!(record.contents().refused, 2);
    Ok(())
}

#[test]
fn chains_share_one_instance_and_have_a_root_each() -> Result<()> {
    let origin = Origin::start()?;
    let filter = Filter::new().on(
        "proxy_on_configure",
        format!("{} (i32.const 1)", text::say_buffer(7, 0, 10)),
    );
    let options = Options::new(origin.address())
        .chain("/", "A")
        .chain("/echo", "B");
    let gateway = Gateway::start(filter.text().as_bytes(), options)?;
    for path in ["/json", "/echo", "/json"] {
        assert_eq!(curl([gateway.url(path)])?.status, 200);
    }
    let record = gateway.record();
    record.wait("three", PATIENCE, |c| c.logged == 3)?;
    record.is_clean()?;
    let contents = record.contents();
    assert_eq!((contents.instances, contents.configured), (1, 2));
    assert_eq!(record.lines(Level::Info), ["A", "B"]);
    Ok(())
}
