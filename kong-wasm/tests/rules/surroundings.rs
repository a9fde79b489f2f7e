//! Headers, properties and metrics as Kong has them.

use super::*;

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
