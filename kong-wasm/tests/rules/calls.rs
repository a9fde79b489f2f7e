//! Calls of a filter: where they are allowed, one at a time, and what becomes of them.

use super::*;

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
