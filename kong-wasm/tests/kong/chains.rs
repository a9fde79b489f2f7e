//! Configurations: several beside each other, refused ones, and instances that are lost.

use super::*;

#[test]
fn each_chain_has_its_own_configuration_and_queue() -> Result<()> {
    let (first, second, origin) = (Recording::start()?, Recording::start()?, Origin::start()?);
    let options = Options::new(origin.address())
        .chain(
            "/json",
            configuration(&first.url(), &json!({ "name": "first" })),
        )
        .chain(
            "/echo",
            configuration(
                &second.url(),
                &json!({ "name": "second", "excluded_methods": "PUT" }),
            ),
        );
    let gateway = Gateway::start_module(strict::module()?, options)?;
    for n in 0..20 {
        curl([gateway.url(&format!("/json?n={n}"))])?;
        curl([gateway.url(&format!("/echo/{n}"))])?;
        curl(["-X", "PUT", &gateway.url("/echo/put")])?;
        // No chain is there.
        assert_eq!(curl([gateway.url("/empty")])?.status, 200);
    }
    for (recording, name, prefix) in [(&first, "first", "/json"), (&second, "second", "/echo/")] {
        let exchanges = recording.wait_for(20, PATIENCE)?;
        assert_eq!(exchanges.len(), 20, "{name}");
        let own = exchanges.iter().filter_map(|e| e.request.as_ref());
        assert!(
            own.clone()
                .all(|r| r.path.starts_with(prefix.as_bytes()) && r.method == "GET"),
            "{name}"
        );
        let shims: Vec<_> = recording
            .batches()
            .into_iter()
            .filter_map(|b| b.shim)
            .collect();
        assert!(shims.iter().all(|shim| shim.name == name), "{shims:?}");
    }
    let instance = |recording: &Recording| {
        recording
            .batches()
            .pop()
            .and_then(|b| b.shim)
            .map(|s| s.instance)
    };
    assert_ne!(
        instance(&first),
        instance(&second),
        "sequence numbers of one are not the other's"
    );
    assert_eq!(gateway.record().contents().instances, 1);
    gateway.record().is_clean()
}

#[test]
fn one_chain_s_collector_is_not_another_s_worry() -> Result<()> {
    let (well, ill, origin) = (Recording::start()?, Recording::start()?, Origin::start()?);
    ill.behave(Behaviour::Silent);
    let options = Options::new(origin.address())
        .chain("/json", configuration(&ill.url(), &json!({})))
        .chain("/echo", configuration(&well.url(), &json!({})));
    let gateway = Gateway::start_module(strict::module()?, options)?;
    for n in 0..10 {
        curl([gateway.url("/json")])?;
        curl([gateway.url(&format!("/echo/{n}"))])?;
    }
    assert_eq!(well.wait_for(10, PATIENCE)?.len(), 10);
    gateway.record().is_clean()
}

#[test]
fn a_refused_configuration_captures_nothing_and_harms_nobody() -> Result<()> {
    for (configuration, words) in [
        (
            "{\"collector\":\"http://127.0.0.1:9\",\"sample_rate\":7}",
            &["sample_rate", "7"][..],
        ),
        (
            "{\"collector\":\"http://127.0.0.1:9\",\"tls_ca\":\"/etc/ca.pem\"}",
            &["tls_ca", "nginx_wasm_tls_trusted_certificate"],
        ),
        (
            "{\"collector\":\"http://127.0.0.1:9\",\"colour\":\"red\"}",
            &["colour"],
        ),
        ("{\"flush_interval_ms\":20}", &["collector"]),
        ("[1]", &["JSON object"]),
        ("", &["JSON object"]),
    ] {
        let origin = Origin::start()?;
        let options = Options::new(origin.address()).chain("/", configuration);
        let gateway = Gateway::start_module(strict::module()?, options)?;
        let line = logged(&gateway, words)?;
        assert!(line.contains("silhouette"), "{line}");
        requests(&gateway, 5)?;
        assert_eq!(gateway.record().contents().calls, 0);
        gateway.record().is_clean()?;
    }
    Ok(())
}

#[test]
fn after_a_lost_instance_all_goes_on() -> Result<()> {
    let stand = Stand::new()?;
    stand.requests(10)?;
    stand.recording.wait_for(10, PATIENCE)?;
    let record = stand.gateway.record();
    for losses in 1..=3 {
        stand.gateway.trap_next();
        // The trap meets a request or a tick.
        let trapped = || {
            let _ = curl([stand.gateway.url("/json")]);
            record.contents().traps.len() == losses
        };
        wait_until("the trap", PATIENCE, trapped)?;
        stand.recording.clear();
        stand.requests(20)?;
        let seen = || stand.recording.exchanges().len() >= 20;
        wait_until("captured again", PATIENCE, seen)?;
    }
    record.wait("ticks of lost timers", PATIENCE, |c| c.inherited_ticks > 10)?;
    let contents = record.contents();
    assert_eq!((contents.instances, contents.configured), (4, 4));
    assert!(
        contents.violations.is_empty(),
        "more ticks, and never two calls at once: {:?}",
        contents.violations
    );
    assert!(contents.refused <= 3, "{}", contents.refused);
    Ok(())
}
