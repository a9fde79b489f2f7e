//! Bodies of every framing and size, and none.

use std::io::Read;

use anyhow::{Context, Result};

use super::{CAP, Stand, holds};
use crate::exchange::{header, request_body, response_body, status, tempfile_with, text};

/// No length either way.
pub fn chunked_both_ways(stand: &Stand<'_>) -> Result<()> {
    let body = format!("{{\"c\":\"{}\"}}", "x".repeat(3000));
    let (answer, exchange) = stand.exchange(
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
    holds(&request_body(&exchange), body.as_bytes()).context("without the chunks' framing")?;

    let (answer, exchange) = stand.exchange("/drip/5", &[])?;
    assert!(
        answer.header("content-length").is_none(),
        "the origin answers in chunks"
    );
    assert_eq!(response_body(&exchange).data, answer.body);
    assert!(!exchange.unfinished);
    let (answer, exchange) = stand.exchange("/chunked/50000", &[])?;
    assert_eq!(answer.body.len(), 50_000);
    let kept = response_body(&exchange);
    let counted = stand.front.traits.whole_bodies.then_some(50_000);
    assert_eq!(kept.omitted, "content_type");
    assert_eq!(kept.original_size, counted.unwrap_or(1));
    assert!(!exchange.unfinished);
    Ok(())
}

/// Everything, one byte less, one byte more, much more.
pub fn around_the_cap(stand: &Stand<'_>) -> Result<()> {
    for size in [0, 1, CAP - 1, CAP, CAP + 1, 2 * CAP, 2 * CAP + 1, 100 * CAP] {
        let body = "7".repeat(size);
        let file = tempfile_with(&body)?;
        let data = format!("@{}", file.path().display());
        let (answer, exchange) = stand.exchange(
            "/upload",
            &["-H", "Content-Type: text/plain", "--data-binary", &data],
        )?;
        assert_eq!(answer.json()?["bytes"], size);
        stand
            .holds_request_body(&request_body(&exchange), body.as_bytes(), true)
            .with_context(|| format!("request of {size}"))?;
    }
    for size in [64, CAP, CAP + 1, 100 * CAP] {
        let (answer, exchange) = stand.exchange(&format!("/json?size={size}"), &[])?;
        assert!(answer.body.len() + 64 > size);
        holds(&response_body(&exchange), &answer.body)
            .with_context(|| format!("response of {size}"))?;
        assert!(!exchange.unfinished, "response of {size}");
    }
    let (_, exchange) = stand.exchange("/empty", &[])?;
    assert_eq!(response_body(&exchange).original_size, 0);
    assert!(!exchange.unfinished);
    Ok(())
}

/// With a length, in chunks, in HTTP/2 frames.
pub fn uploads_of_every_framing(stand: &Stand<'_>) -> Result<()> {
    uploads(stand, "/upload")
}

/// [`uploads_of_every_framing`] to another path that leads to the origin's `/upload`.
pub fn uploads(stand: &Stand<'_>, path: &str) -> Result<()> {
    let h1 = format!("{}{path}", stand.front.http);
    let h2 = stand.front.h2c.as_ref().map(|base| format!("{base}{path}"));
    for size in [1, CAP, 100 * CAP] {
        let body = "7".repeat(size);
        let file = tempfile_with(&body)?;
        let data = format!("@{}", file.path().display());
        let sent = ["-H", "Content-Type: text/plain", "--data-binary", &data];
        for (url, framing, announced) in [
            (Some(&h1), &[][..], true),
            (Some(&h1), &["-H", "Transfer-Encoding: chunked"], false),
            (h2.as_ref(), &["--http2-prior-knowledge"], true),
            (
                h2.as_ref(),
                // Without a length, in frames alone.
                &["--http2-prior-knowledge", "-H", "Content-Length:"],
                false,
            ),
        ] {
            let Some(url) = url else { continue };
            let (answer, exchange) = stand.exchange_at(url, &[&sent[..], framing].concat())?;
            assert_eq!(answer.json()?["bytes"], size, "{framing:?}");
            stand
                .holds_request_body(&request_body(&exchange), body.as_bytes(), announced)
                .with_context(|| format!("{size} {framing:?}"))?;
        }
    }
    Ok(())
}

/// Many frames.
pub fn large_over_http2(stand: &Stand<'_>) -> Result<()> {
    let Some(h2c) = &stand.front.h2c else {
        return Ok(());
    };
    let (answer, exchange) = stand.exchange_at(
        &format!("{h2c}/json?size={}", 200 * CAP),
        &["--http2-prior-knowledge"],
    )?;
    assert_eq!((answer.status, answer.http_version.as_str()), (200, "2"));
    holds(&response_body(&exchange), &answer.body)?;
    assert!(!exchange.unfinished);
    Ok(())
}

/// The coding is undone to redact, and the size is that of what passed.
pub fn gzip_at_the_origin(stand: &Stand<'_>) -> Result<()> {
    let (answer, exchange) = stand.exchange("/gzip", &[])?;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let seen = response_body(&exchange);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut plain)?;
    let counted = if stand.front.traits.coded_bodies {
        answer.body.len()
    } else {
        plain.len()
    };
    assert_eq!(seen.original_size, counted as u64);
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

/// The answer is the final one.
pub fn expect_continue(stand: &Stand<'_>) -> Result<()> {
    let (answer, exchange) = stand.exchange(
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
    let kept = request_body(&exchange);
    let shown = stand.front.traits.awaited_bodies;
    assert_eq!(text(&kept), if shown { "go on" } else { "" });
    assert_eq!(kept.original_size, 5);
    Ok(())
}

const WITHOUT: [(&str, &[&str], u16); 4] = [
    ("/json", &["--head"], 200),
    ("/status/204", &[], 204),
    ("/status/304", &[], 304),
    ("/etag", &["-H", "If-None-Match: \"v1\""], 304),
];

/// HEAD, 204 and 304 are whole without one.
pub fn responses_without_a_body(stand: &Stand<'_>) -> Result<()> {
    for (path, arguments, wanted) in WITHOUT {
        let (answer, exchange) = stand.exchange(path, arguments)?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted)),
            "{path}"
        );
        assert_eq!(response_body(&exchange).original_size, 0, "{path}");
        assert!(!exchange.unfinished, "{path}");
        if arguments.contains(&"--head") {
            assert_eq!(exchange.request.clone().context("request")?.method, "HEAD");
            assert!(header(&exchange, "content-length").is_some());
        }
    }
    Ok(())
}

/// The same over HTTP/2.
pub fn http2_responses_without_a_body(stand: &Stand<'_>) -> Result<()> {
    let Some(h2c) = &stand.front.h2c else {
        return Ok(());
    };
    for (path, arguments, wanted) in WITHOUT {
        let (answer, exchange) = stand.exchange_at(
            &format!("{h2c}{path}"),
            &[&["--http2-prior-knowledge"], arguments].concat(),
        )?;
        assert_eq!(
            (answer.status, status(&exchange)),
            (wanted, u32::from(wanted)),
            "{path}"
        );
        assert_eq!(response_body(&exchange).original_size, 0, "{path}");
        assert!(!exchange.unfinished, "{path}");
    }
    Ok(())
}

/// The origin made the part.
pub fn ranges(stand: &Stand<'_>) -> Result<()> {
    let (answer, exchange) = stand.exchange("/range", &["-H", "Range: bytes=0-9"])?;
    assert_eq!((answer.status, status(&exchange)), (206, 206));
    assert_eq!(
        header(&exchange, "content-range").as_deref(),
        Some("bytes 0-9/1000")
    );
    assert_eq!(response_body(&exchange).original_size, 10);
    assert!(!exchange.unfinished);
    let (answer, exchange) = stand.exchange("/range", &["-H", "Range: bytes=90000-90001"])?;
    assert_eq!((answer.status, status(&exchange)), (416, 416));
    Ok(())
}

/// Bytes that are no UTF-8 are kept as they are; what is no text at all is left out, whatever its type promises.
pub fn odd_bytes_in_a_body(stand: &Stand<'_>) -> Result<()> {
    let binary: Vec<u8> = (0..=255).collect();
    for (body, text) in [(&b"caf\xe9 na\xefve \xff\xfe"[..], true), (&binary, false)] {
        stand.recording.clear();
        let mut request = format!(
            "POST /upload HTTP/1.1\r\nHost: odd.example\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let answer = stand.raw(&request, |_| false)?;
        let whole = format!("{{\"bytes\":{}}}", body.len());
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(whole.as_bytes()));
        let kept = request_body(&stand.only()?);
        if text {
            holds(&kept, body)?;
        } else {
            assert_eq!(
                (kept.data.len(), kept.original_size, kept.omitted.as_str()),
                (0, 256, "content_type")
            );
        }
    }
    Ok(())
}
