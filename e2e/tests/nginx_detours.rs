//! What nginx does to an exchange on its own – answers, errors, redirects, subrequests, caches, filters – as the module
//! reports it: what the client asked for and what the client got.

mod stand;

use anyhow::{Context, Result};
use silhouette_e2e::curl;
use silhouette_e2e::process::wait_until;
use stand::{Bench, CAP, PATIENCE, header, path, request_body, response_body, status, text};

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

#[test]
fn an_answer_from_the_cache_is_an_exchange_like_any_other() -> Result<()> {
    let bench = Bench::start()?;
    let place = format!("/cached/json?size={}", 2 * CAP);
    let (first, _) = bench.exchange(&place, &[])?;
    assert_eq!(first.header("x-cache"), Some("MISS"));
    let (second, exchange) = bench.exchange(&place, &[])?;
    assert_eq!(second.header("x-cache"), Some("HIT"));
    assert_eq!(second.body, first.body);
    let kept = response_body(&exchange);
    assert_eq!(kept.original_size, second.body.len() as u64);
    assert!(
        second.body.starts_with(&kept.data) && kept.data.len() == CAP,
        "from a file, and seen"
    );
    assert_eq!(header(&exchange, "x-cache").as_deref(), Some("HIT"));
    assert!(!exchange.unfinished);
    Ok(())
}

#[test]
fn filters_and_named_locations() -> Result<()> {
    let bench = Bench::start()?;
    let (answer, exchange) = bench.exchange("/substituted", &[])?;
    assert!(answer.text().contains("even"), "{}", answer.text());
    assert_eq!(
        response_body(&exchange).data,
        answer.body,
        "after sub_filter"
    );

    let (answer, exchange) = bench.exchange("/unzipped", &[])?;
    assert_eq!(answer.json()?["by"], "origin", "nginx undid the coding");
    let seen = response_body(&exchange);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&seen.data)?,
        answer.json()?
    );
    assert_eq!(header(&exchange, "content-encoding"), None);

    let (answer, exchange) = bench.exchange("/named", &[])?;
    assert_eq!(
        (answer.text().as_str(), path(&exchange).as_str()),
        ("{\"named\":true}", "/named")
    );

    let body = "7".repeat(10);
    let (answer, exchange) = bench.exchange(
        "/kept-in-file",
        &["-H", "Content-Type: text/plain", "-d", &body],
    )?;
    assert_eq!(answer.json()?["bytes"], 10);
    assert_eq!(
        text(&request_body(&exchange)),
        body,
        "seen before it is in the file"
    );
    Ok(())
}
