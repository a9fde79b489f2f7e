//! What the Worker's variables do, right and wrong; its status route.

use anyhow::{Context, Result};
use serde_json::json;
use silhouette_e2e::curl;
use silhouette_e2e::exchange::{path, request_body, request_header, response_body, text};
use silhouette_e2e::matrix::PATIENCE;
use silhouette_e2e::workerd::{STATUS_PATH, STATUS_TOKEN, Way};

use crate::custom::Custom;

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
