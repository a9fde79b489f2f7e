//! Methods, targets, versions, headers, statuses; and what the gateway knows besides.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use silhouette_proto::telemetry::v1::Exchange;

use super::Stand;
use crate::exchange::{
    header, path, query, request_body, request_header, response_body, status, text, values,
};

/// By how much clocks of different programs may differ.
const CLOCKS: Duration = Duration::from_secs(1);

/// One POST, and every fact of it.
pub fn everything_of_an_exchange(stand: &Stand<'_>) -> Result<()> {
    let asked = Instant::now();
    let (answer, exchange) = stand.exchange(
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
    let waited = asked.elapsed() + CLOCKS;
    let traits = &stand.front.traits;
    assert_eq!(answer.status, 200);
    let request = exchange.request.clone().context("request")?;
    assert_eq!(request.method, "POST");
    assert_eq!(
        path(&exchange),
        "/echo/a%20b/../c",
        "as sent, before decoding"
    );
    assert_eq!(request.query.as_deref(), Some(&b"x=1&y=%2F"[..]));
    let names: Vec<String> = request
        .headers
        .iter()
        .map(|h| String::from_utf8_lossy(&h.name).into_owned())
        .collect();
    // The order of a message says nothing across names, apart from what curl writes first.
    let mut sent = names.clone();
    sent.retain(|name| !["host", "content-length"].contains(&name.as_str()));
    let (wanted, twice) = if traits.header_lines {
        let lines = vec!["user-agent", "accept", "x-twice", "x-twice", "content-type"];
        (lines, vec![b"one".to_vec(), b"two".to_vec()])
    } else {
        let names = vec!["accept", "content-type", "user-agent", "x-twice"];
        (names, vec![b"one, two".to_vec()])
    };
    assert_eq!(
        sent, wanted,
        "what the client sent, in order, and nothing the gateway added"
    );
    assert_eq!(values(&request.headers, "x-twice"), twice);
    assert_eq!(
        request_header(&exchange, "content-length").as_deref(),
        Some("7")
    );
    assert_eq!(text(&request_body(&exchange)), "{\"n\":1}");
    assert_eq!(response_body(&exchange).data, answer.body);
    assert_eq!(exchange.scheme, "http");
    assert_eq!(exchange.http_version, "1.1");
    assert_eq!(
        String::from_utf8_lossy(&exchange.authority),
        stand.authority()
    );
    assert!(!exchange.unfinished);
    assert_eq!(exchange.id.len(), 16);
    let head = exchange.response_head_micros.context("head")?;
    let whole = exchange.duration_micros.context("duration")?;
    assert!(
        (head > 0 || !traits.fine_clock) && whole >= head && whole <= waited.as_micros() as u64,
        "{head} {whole}, {waited:?} waited"
    );
    let started = Duration::from_nanos(exchange.start_unix_nanos);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    assert!(
        now.abs_diff(started) < Duration::from_secs(60),
        "{started:?} {now:?}"
    );
    let client = exchange.client.clone().context("client")?;
    assert_eq!(client.ip[..], [127, 0, 0, 1]);
    took_it(stand, &exchange, stand.authority());
    let gateway = exchange.gateway.clone().unwrap_or_default();
    assert_eq!(
        (&gateway.route, &gateway.upstream, &gateway.virtual_server),
        (&traits.route, &traits.upstream, &traits.virtual_server)
    );
    let upstream = gateway.upstream_address.map(|address| address.port);
    let origin = u32::from(stand.origin.address().port());
    assert_eq!(upstream, traits.upstream_address.then_some(origin));
    assert_eq!(gateway.upstream_micros.is_some(), traits.upstream_time);
    assert!(exchange.tls.is_none());
    for name in ["date", "content-type", "content-length"]
        .iter()
        .chain(traits.own_headers)
    {
        assert!(header(&exchange, name).is_some(), "{name}");
    }
    for h in &exchange.response.clone().context("response")?.headers {
        let name = String::from_utf8_lossy(&h.name).into_owned();
        let value = String::from_utf8_lossy(&h.value).into_owned();
        assert!(
            answer.headers.contains(&(name.clone(), value)),
            "{name} is not what the client got: {:?}",
            answer.headers
        );
    }
    let batch = stand.recording.batches().pop().context("batch")?;
    let shim = batch.shim.context("shim")?;
    assert_eq!((shim.kind.as_str(), shim.instance.len()), (traits.kind, 16));
    assert!(
        shim.gateway_version.starts_with(traits.version),
        "{}",
        shim.gateway_version
    );
    Ok(())
}

/// The address that took the connection is this one, where the gateway tells.
fn took_it(stand: &Stand<'_>, exchange: &Exchange, authority: &str) {
    let seen = exchange.server.as_ref();
    let seen = seen.map(|server| (server.ip.to_vec(), server.port.to_string()));
    let port = authority.rsplit(':').next().unwrap_or_default().to_owned();
    let wanted = (vec![127, 0, 0, 1], port);
    assert_eq!(seen, stand.front.traits.server_address.then_some(wanted));
}

/// The version of a client from before 1999.
pub fn http_1_0(stand: &Stand<'_>) -> Result<()> {
    let (answer, exchange) = stand.exchange("/json", &["--http1.0", "-H", "Host: old.example"])?;
    assert_eq!((answer.status, status(&exchange)), (200, 200));
    assert_eq!(exchange.http_version, "1.0");
    assert_eq!(exchange.authority[..], *b"old.example");
    assert_eq!(response_body(&exchange).data, answer.body);
    assert!(!exchange.unfinished);
    Ok(())
}

/// HTTP/2 in the clear; TLS 1.3 with it; TLS 1.2 without.
pub fn http2_and_tls(stand: &Stand<'_>) -> Result<()> {
    if let Some(h2c) = &stand.front.h2c {
        let (answer, exchange) = stand.exchange_at(
            &format!("{h2c}/echo?a=b"),
            &[
                "--http2-prior-knowledge",
                "-H",
                "content-type: application/json",
                "-d",
                "{\"h\":2}",
            ],
        )?;
        assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
        assert_eq!(exchange.http_version, "2");
        let authority = h2c.trim_start_matches("http://");
        assert_eq!(String::from_utf8_lossy(&exchange.authority), authority);
        assert_eq!(
            (path(&exchange), query(&exchange)),
            ("/echo".to_owned(), "a=b".to_owned())
        );
        assert_eq!(text(&request_body(&exchange)), "{\"h\":2}");
        took_it(stand, &exchange, authority);
        let request = exchange.request.context("request")?;
        for h in &request.headers {
            ensure!(!h.name.starts_with(b":"), "{h:?} is no header");
        }
    }
    if let Some(tls) = &stand.front.tls {
        let url = format!("{tls}/json");
        let (answer, exchange) = stand.exchange_at(&url, &["-k", "--http2"])?;
        assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
        let seen = exchange.tls.clone().context("tls")?;
        let name = if stand.front.traits.server_name {
            "localhost"
        } else {
            ""
        };
        assert_eq!(
            (seen.version.as_str(), seen.server_name.as_str()),
            ("1.3", name)
        );
        assert_eq!(
            seen.cipher.starts_with("TLS_"),
            stand.front.traits.cipher,
            "{seen:?}"
        );
        assert!(!seen.client_certificate);
        assert_eq!(exchange.scheme, "https");

        let (answer, exchange) =
            stand.exchange_at(&url, &["-k", "--http1.1", "--tls-max", "1.2"])?;
        assert_eq!(answer.status, 200);
        assert_eq!(exchange.tls.clone().context("tls")?.version, "1.2");
        assert_eq!(exchange.http_version, "1.1");
    }
    Ok(())
}

/// What origins answer, good and bad.
pub fn statuses(stand: &Stand<'_>) -> Result<()> {
    for wanted in [200, 201, 202, 301, 400, 401, 404, 409, 422, 429, 500, 503] {
        let (answer, exchange) = stand.exchange(&format!("/status/{wanted}"), &[])?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted))
        );
        assert_eq!(
            text(&response_body(&exchange)),
            format!("{{\"status\":{wanted}}}")
        );
        assert!(!exchange.unfinished, "{wanted}");
    }
    let (answer, exchange) = stand.exchange("/redirect", &[])?;
    assert_eq!((answer.status, status(&exchange)), (302, 302));
    assert_eq!(header(&exchange, "location").as_deref(), Some("/json"));
    let (answer, exchange) = stand.exchange("/json", &["-X", "PURGE"])?;
    assert_eq!((answer.status, status(&exchange)), (200, 200));
    let request = exchange.request.context("request")?;
    assert_eq!(request.method, "PURGE", "a method nobody registered");
    Ok(())
}

/// Names that occur several times stay several.
pub fn duplicate_and_many_headers(stand: &Stand<'_>) -> Result<()> {
    let mut arguments = Vec::new();
    for n in 0..40 {
        arguments.push("-H".to_owned());
        arguments.push(format!("X-Sent-{n}: {n}"));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (answer, exchange) = stand.exchange("/many-headers", &arguments)?;
    assert_eq!(answer.status, 200);
    for n in 0..40 {
        let name = format!("x-sent-{n}");
        assert_eq!(request_header(&exchange, &name), Some(n.to_string()));
    }
    for n in 0..50 {
        let name = format!("x-extra-{n}");
        assert_eq!(header(&exchange, &name), Some(n.to_string()));
    }
    let (answer, exchange) = stand.exchange("/cookies", &[])?;
    let got = answer.headers.iter().filter(|(n, _)| n == "set-cookie");
    assert_eq!(got.count(), 2);
    let response = exchange.response.context("response")?;
    let kept = values(&response.headers, "set-cookie");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept[0].starts_with(b"session=") && kept[1].starts_with(b"theme="));
    Ok(())
}

/// Bytes that are no UTF-8, and no text at all.
pub fn odd_bytes_in_a_head(stand: &Stand<'_>) -> Result<()> {
    stand.recording.clear();
    let answer = stand.raw(
        b"GET /odd-headers?q=%ff%00 HTTP/1.1\r\nHost: odd.example\r\nX-Odd: caf\xe9 \xf0\x9f\r\nX-Empty:\r\n\
          Connection: close\r\n\r\n",
        |_| false,
    )?;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let exchange = stand.only()?;
    assert_eq!(query(&exchange), "q=%ff%00");
    let request = exchange.request.clone().context("request")?;
    let shown = |sent: &[u8]| match stand.front.traits.header_lines {
        true => sent.to_vec(),
        false => String::from_utf8_lossy(sent).into_owned().into_bytes(),
    };
    assert_eq!(
        values(&request.headers, "x-odd"),
        [shown(b"caf\xe9 \xf0\x9f")]
    );
    assert_eq!(values(&request.headers, "x-empty"), [b"".to_vec()]);
    let response = exchange.response.clone().context("response")?;
    assert_eq!(
        values(&response.headers, "x-odd"),
        [shown(b"na\xefve \xff")]
    );
    assert!(!exchange.unfinished);
    Ok(())
}

/// Credentials and passwords are placeholders before they leave the gateway; the origin gets them as they were.
pub fn secrets_are_redacted(stand: &Stand<'_>) -> Result<()> {
    let (answer, exchange) = stand.exchange(
        "/upload?access_token=queryS3cretValue&page=2",
        &[
            "-H",
            "Authorization: Bearer headerS3cretValue",
            "-H",
            "Cookie: session=cookieS3cretValue; theme=dark",
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"user\":\"ada\",\"password\":\"bodyS3cretValue\"}",
        ],
    )?;
    assert_eq!(answer.json()?["bytes"], 43);
    let request = exchange.request.clone().context("request")?;
    for h in &request.headers {
        assert!(!h.value.windows(11).any(|w| w == b"S3cretValue"), "{h:?}");
    }
    let (query, body) = (query(&exchange), text(&request_body(&exchange)));
    assert!(
        query.ends_with("&page=2") && !query.contains("S3cret"),
        "{query}"
    );
    assert!(
        body.starts_with("{\"user\":\"ada\",\"password\":\"") && !body.contains("S3cret"),
        "{body}"
    );
    let sent = request_header(&exchange, "authorization").context("authorization")?;
    assert!(sent.starts_with("Bearer "), "{sent}");
    let (answer, _) = stand.exchange("/auth", &["-H", "Authorization: Bearer good"])?;
    assert_eq!(answer.status, 204, "the origin got the credential itself");
    Ok(())
}
