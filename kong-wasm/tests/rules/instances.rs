//! One instance for all chains: ticks, what a shim must not do, what a panic costs.

use super::*;

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
    let url = stand.gateway.url("/slow/5000");
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
