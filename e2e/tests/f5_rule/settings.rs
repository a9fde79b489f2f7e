//! The data-group: what each setting does, what a wrong one does not, and that a change needs no restart.

use anyhow::{Context, Result};
use silhouette_e2e::bigip::{BigIp, Setup};
use silhouette_e2e::logpool::KEY;
use silhouette_e2e::matrix::PATIENCE;
use silhouette_e2e::{LogPool, Origin, curl};

use super::Bench;

#[test]
fn the_kill_switch_stops_capture_and_nothing_else() -> Result<()> {
    let bench = Bench::start(&[])?;
    bench.get("/json?n=1", &[])?;
    bench.records(1)?;
    bench.bigip.set("enabled", "0")?;
    bench.settle()?;
    for n in 2..5 {
        assert_eq!(bench.get(&format!("/json?n={n}"), &[])?.status, 200);
    }
    // Even when something else is wrong too.
    bench.bigip.set("enabled", "1")?;
    bench.settle()?;
    bench.get("/json?n=5", &[])?;
    bench.bigip.set("max_head", "nonsense")?;
    bench.bigip.set("enabled", "0")?;
    bench.settle()?;
    assert_eq!(bench.get("/json?n=6", &[])?.status, 200);
    bench.bigip.unset("max_head")?;
    bench.bigip.unset("enabled")?;
    bench.settle()?;
    bench.get("/json?n=7", &[])?;
    let asked: Vec<String> = bench
        .records(3)?
        .iter()
        .map(|record| record.request_head())
        .collect::<Result<_>>()?;
    let wanted = ["/json?n=1 ", "/json?n=5 ", "/json?n=7 "];
    assert!(
        asked.len() == 3
            && asked
                .iter()
                .zip(wanted)
                .all(|(head, path)| head.contains(path)),
        "{asked:?}"
    );
    bench.bigip.clean()
}

#[test]
fn a_change_is_noticed_after_five_seconds_without_a_restart() -> Result<()> {
    let bench = Bench::start(&[])?;
    bench.get("/json?size=100", &[])?;
    assert!(bench.last(1)?.response_body()?.is_some());
    bench.bigip.set("max_response_body", "0")?;
    bench.settle()?;
    let answer = bench.get("/json?size=100", &[])?;
    let record = bench.last(2)?;
    assert_eq!(record.response_body()?, None);
    assert_eq!(record.field(18), answer.body.len().to_string());
    bench.bigip.clean()
}

#[test]
fn a_wrong_setting_is_told_and_the_ones_before_stay() -> Result<()> {
    for (name, value, told) in [
        ("max_request_body", "65k", "from 0 to 64k"),
        ("max_response_body", "-1", "from 0 to 64k"),
        ("max_head", "17k", "from 1k to 16k"),
        ("collect", "sometimes", "off, requests, responses or both"),
        ("collect_chunked", "maybe", "off, responses or both"),
        ("collect_wait_ms", "5", "from 10 to 30000"),
        ("sample_rate", "1.5", "from 0 to 1"),
        ("sample_rate", "often", "from 0 to 1"),
        ("excluded_statuses", "99x", "5xx"),
        ("enabled", "yes", "0 to capture nothing"),
        ("transport", "sctp", "tcp or udp"),
        ("log_interval", "0", "from 1 to 86400"),
        ("max_body", "8k", "unknown setting max_body"),
        ("redact_headers", "a,+b", "header names"),
    ] {
        let bench = Bench::start(&[("max_response_body", "100")])?;
        bench.get("/json?size=1000", &[])?;
        bench.bigip.set(name, value)?;
        bench.settle()?;
        bench.get("/json?size=1000", &[])?;
        let line = bench.bigip.logged(&[told], PATIENCE)?;
        assert!(line.contains(name), "{line}");
        assert!(
            value.starts_with("8k") || line.contains(value),
            "{value}: {line}"
        );
        for record in bench.records(2)? {
            let body = record.response_body()?.context("a body")?;
            assert_eq!(body.len(), 100, "{name}: the cap of before");
        }
        // Once in log_interval, not with each request.
        for _ in 0..3 {
            bench.settle()?;
            bench.get("/json", &[])?;
        }
        let lines = bench
            .bigip
            .log()
            .lines()
            .filter(|line| line.contains(told))
            .count();
        assert_eq!(lines, 1, "{}", bench.bigip.log());
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn without_its_data_group_nothing_is_captured_until_there_is_one() -> Result<()> {
    let (log, origin) = (LogPool::start()?, Origin::start()?);
    let mut setup = Setup::capturing(log.address(), KEY, origin.address(), &[]);
    let settings = setup.settings.take().context("settings")?;
    let bigip = BigIp::start(&setup)?;
    assert_eq!(curl([bigip.url("/json?n=1")])?.status, 200);
    bigip.logged(&["there is no data-group", "silhouette_settings"], PATIENCE)?;
    for (name, value) in &settings {
        bigip.set(name, value)?;
    }
    bigip.forward(6)?;
    assert_eq!(curl([bigip.url("/json?n=2")])?.status, 200);
    assert!(log.only(PATIENCE)?.request_head()?.contains("/json?n=2 "));
    bigip.drop_group()?;
    bigip.forward(6)?;
    assert_eq!(curl([bigip.url("/json?n=3")])?.status, 200);
    assert_eq!(log.records()?.len(), 1);
    bigip.clean()
}

#[test]
fn a_setting_without_which_nothing_works_is_named() -> Result<()> {
    for name in ["pool", "key_id", "key"] {
        let (log, origin) = (LogPool::start()?, Origin::start()?);
        let mut setup = Setup::capturing(log.address(), KEY, origin.address(), &[]);
        let settings = setup.settings.as_mut().context("settings")?;
        settings.retain(|(own, _)| own != name);
        let bigip = BigIp::start(&setup)?;
        assert_eq!(curl([bigip.url("/json")])?.status, 200);
        bigip.logged(&["needs the setting", name], PATIENCE)?;
        assert!(log.bytes().is_empty());
        bigip.clean()?;
    }
    Ok(())
}

#[test]
fn a_log_pool_that_does_not_exist_is_logged_and_no_client_notices() -> Result<()> {
    let bench = Bench::start(&[])?;
    bench.bigip.set("pool", "/Common/elsewhere")?;
    bench.settle()?;
    for _ in 0..3 {
        assert_eq!(bench.get("/json", &[])?.status, 200);
    }
    bench.bigip.logged(&["elsewhere"], PATIENCE)?;
    bench.bigip.set("pool", silhouette_e2e::bigip::LOG_POOL)?;
    bench.settle()?;
    bench.get("/json", &[])?;
    let record = bench.last(1)?;
    assert_eq!(record.field(4), "fault=3", "what was lost is counted");
    bench.bigip.clean()
}

#[test]
fn what_the_settings_exclude_is_counted_by_reason() -> Result<()> {
    let bench = Bench::start(&[
        ("exclude_paths", "/echo*, /slow/*"),
        ("excluded_statuses", "404 5xx"),
        ("excluded_methods", "DELETE"),
        ("excluded_headers", "x-probe"),
        ("exclude_hosts", "*.internal.example"),
    ])?;
    for (path, arguments) in [
        ("/echo/a", &[][..]),
        ("/slow/1", &[]),
        ("/status/404", &[]),
        ("/status/503", &[]),
        ("/json", &["-X", "DELETE"]),
        ("/json", &["-H", "X-Probe: 1"]),
        ("/json", &["-H", "Host: a.internal.example:8080"]),
        ("/json", &["-H", "Host: A.INTERNAL.example"]),
    ] {
        bench.get(path, arguments)?;
    }
    bench.get("/json?kept", &[])?;
    let record = bench.last(1)?;
    assert!(record.request_head()?.contains("/json?kept "));
    assert_eq!(record.number()?.2, 1, "only what was captured is numbered");
    let mut skipped: Vec<&str> = record.field(5).split(',').collect();
    skipped.sort_unstable();
    let wanted = [
        "excluded_header=1",
        "excluded_host=2",
        "excluded_method=1",
        "excluded_path=2",
        "excluded_status=2",
    ];
    assert_eq!(skipped, wanted);
    bench.bigip.clean()
}

#[test]
fn only_what_is_included_is_captured() -> Result<()> {
    let bench = Bench::start(&[
        ("include_paths", "/json*"),
        ("include_hosts", "api.example,*.shop.example"),
    ])?;
    for (path, host) in [
        ("/json?n=1", "api.example"),
        ("/echo", "api.example"),
        ("/json?n=2", "www.example"),
        ("/json?n=3", "eu.shop.example:8443"),
        ("/json?n=4", "shop.example"),
    ] {
        bench.get(path, &["-H", &format!("Host: {host}")])?;
    }
    let heads: Vec<String> = bench
        .records(2)?
        .iter()
        .map(|record| record.request_head())
        .collect::<Result<_>>()?;
    assert!(
        heads.len() == 2 && heads[0].contains("n=1 ") && heads[1].contains("n=3 "),
        "{heads:?}"
    );
    bench.bigip.clean()
}

#[test]
fn sampling_is_fair_to_routes_that_are_rarely_asked() -> Result<()> {
    let bench = Bench::start(&[("sample_rate", "0.05")])?;
    let often: Vec<String> = (0..400)
        .map(|n| bench.bigip.url(&format!("/json?n={n}")))
        .collect();
    assert_eq!(curl(&often)?.exit, 0);
    for rare in ["/status/201", "/etag", "/empty"] {
        bench.get(rare, &[])?;
    }
    // The last record tells what was sampled out before it.
    bench.get("/redirect", &[])?;
    silhouette_e2e::process::wait_until("the rare routes", PATIENCE, || {
        bench.log.records().is_ok_and(|records| {
            records.iter().any(|r| {
                r.request_head()
                    .is_ok_and(|head| head.contains("/redirect "))
            })
        })
    })?;
    let records = bench.log.records()?;
    let heads: Vec<String> = records
        .iter()
        .map(|r| r.request_head())
        .collect::<Result<_>>()?;
    for rare in ["/status/201 ", "/etag ", "/empty ", "/redirect "] {
        assert!(
            heads.iter().any(|head| head.contains(rare)),
            "{rare} was sampled out"
        );
    }
    let kept = heads
        .iter()
        .filter(|head| head.contains("/json?n="))
        .count();
    assert!((1..200).contains(&kept), "{kept} of 400 at 0.05");
    let last = records.last().context("a record")?;
    assert_eq!(last.field(5), format!("sampled_out={}", 400 - kept));
    bench.bigip.clean()
}

#[test]
fn types_that_are_not_on_the_list_keep_no_body_but_its_size() -> Result<()> {
    let bench = Bench::start(&[("content_types", "application/json")])?;
    let binary = tempfile::NamedTempFile::new()?;
    std::fs::write(binary.path(), [0u8, 1, 2, 255].repeat(300))?;
    let data = format!("@{}", binary.path().display());
    bench.get(
        "/bytes/5000",
        &[
            "-H",
            "Content-Type: application/octet-stream",
            "--data-binary",
            &data,
            "-X",
            "GET",
        ],
    )?;
    let record = bench.last(1)?;
    assert_eq!(
        (record.request_body()?, record.response_body()?),
        (None, None)
    );
    assert_eq!((record.field(17), record.field(18)), ("1200", "5000"));
    // Of a type that is: every byte as it passed, also when it is no text.
    bench.get(
        "/upload",
        &[
            "-H",
            "Content-Type: application/json",
            "--data-binary",
            &data,
        ],
    )?;
    let record = bench.last(2)?;
    assert_eq!(record.request_body()?, Some([0u8, 1, 2, 255].repeat(300)));
    bench.bigip.clean()
}

#[test]
fn collecting_can_be_switched_off_each_way() -> Result<()> {
    for (collect, request, response) in [
        ("off", false, false),
        ("requests", true, false),
        ("responses", false, true),
        ("both", true, true),
    ] {
        let bench = Bench::start(&[("collect", collect)])?;
        let answer = bench.get(
            "/echo",
            &["-H", "Content-Type: application/json", "-d", "{\"n\":1}"],
        )?;
        let record = bench.last(1)?;
        assert_eq!(record.request_body()?.is_some(), request, "{collect}");
        assert_eq!(record.response_body()?.is_some(), response, "{collect}");
        assert_eq!(record.field(17), "7");
        assert_eq!(record.field(18), answer.body.len().to_string());
        bench.bigip.clean()?;
    }
    Ok(())
}

#[test]
fn heads_above_max_head_are_cut_and_say_so() -> Result<()> {
    let pad = "when HTTP_RESPONSE { HTTP::header insert X-Pad [string repeat y 700] }";
    let bench = Bench::with(&[("max_head", "1k")], |setup, _| {
        setup.rules.push(("pad".to_owned(), pad.to_owned()));
    })?;
    let long = format!("X-Long: {}", "y".repeat(700));
    let longer = format!("X-Longer: {}", "z".repeat(700));
    bench.get("/many-headers", &["-H", &long, "-H", &longer])?;
    let record = bench.last(1)?;
    let (request, response) = (record.request_head()?, record.response_head()?);
    assert!(
        request.len() <= 1024 && request.ends_with("\r\n"),
        "{}",
        request.len()
    );
    assert!(
        response.len() <= 1024 && response.ends_with("\r\n"),
        "{}",
        response.len()
    );
    assert!(record.flag('h') && record.flag('r'), "{}", record.field(9));
    assert!(request.contains("X-Long: ") && !request.contains("X-Longer: "));
    bench.bigip.clean()
}
