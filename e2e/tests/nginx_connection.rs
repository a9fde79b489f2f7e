//! The module and its collector when things are not well: refused, stopped, full, reloaded, misconfigured. A real nginx,
//! a recording collector that misbehaves on demand.

use anyhow::{Context, Result};
use serde_json::Value;
use silhouette_e2e::nginx::Layout;
use silhouette_e2e::process::{self, PATIENCE, Signal, free_port, signal_pid, wait_until};
use silhouette_e2e::recording::{Behaviour, Recording};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Nginx, curl};

const TOKEN: &str = "shim-4f0c9d-token";

/// A server that answers by itself, with these lines at http level.
fn config(layout: &Layout, settings: &str) -> String {
    format!(
        "silhouette on; silhouette_flush_interval_ms 20;\n{settings}\n\
         server {{ listen 127.0.0.1:{}; server_name localhost;\n\
         location / {{ default_type application/json; return 200 '{{\"n\":1}}'; }}\n\
         location = /status {{ silhouette_status; }} }}\n",
        layout.port
    )
}

fn start(settings: &str) -> Result<Nginx> {
    Nginx::start(1, |layout| config(layout, settings))
}

fn requests(nginx: &Nginx, count: usize) -> Result<()> {
    let url = nginx.url(&format!("/[1-{count}]"));
    // curl's own range of URLs, over one connection.
    let answer = curl(["-f", url.as_str()])?;
    anyhow::ensure!(answer.exit == 0, "curl: {}", answer.error);
    Ok(())
}

fn status(nginx: &Nginx) -> Result<Value> {
    curl([nginx.url("/status")])?.json()
}

fn number(page: &Value, pointer: &str) -> u64 {
    page.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn wait_status(nginx: &Nginx, what: &str, ready: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    wait_until(what, PATIENCE, || {
        last = status(nginx).unwrap_or_default();
        ready(&last)
    })
    .with_context(|| last.to_string())?;
    Ok(last)
}

/// Waits for a line of the error log with all of these words.
fn wait_logged(nginx: &Nginx, words: &[&str]) -> Result<String> {
    process::wait_logged(words, PATIENCE, || nginx.error_log())
}

#[test]
fn a_refused_token_is_logged_once_and_nothing_is_lost() -> Result<()> {
    let recording = Recording::start()?;
    recording.behave(Behaviour::Unauthenticated);
    let nginx = start(&format!(
        "silhouette_collector {}; silhouette_token {TOKEN};",
        recording.url()
    ))?;
    requests(&nginx, 3)?;
    let line = wait_logged(&nginx, &["[error]", &recording.url(), "silhouette_token"])?;
    wait_until("several attempts", PATIENCE, || recording.streams() >= 4)?;
    // The page has the worker log what its exporter had to say: that all attempts but the last have failed.
    status(&nginx)?;
    assert_eq!(
        nginx.error_log().matches("[error]").count(),
        1,
        "one line a minute: {line}"
    );
    assert!(
        recording
            .authorizations()
            .iter()
            .all(|value| value == &format!("Bearer {TOKEN}"))
    );

    recording.behave(Behaviour::Accept);
    assert_eq!(recording.wait_for(3, PATIENCE)?.len(), 3);
    wait_logged(&nginx, &["[notice]", "connected again"])?;
    let page = wait_status(&nginx, "all acknowledged", |page| {
        number(page, "/acknowledged") == 3
    })?;
    for text in [nginx.error_log(), nginx.access_log(), page.to_string()] {
        assert!(!text.contains(TOKEN));
    }
    Ok(())
}

#[test]
fn what_is_wrong_with_the_connection_is_said() -> Result<()> {
    let (ours, other) = (Authority::new()?, Authority::new()?);
    let (good, expired) = (ours.server()?, ours.expired_server()?);
    let tls = Recording::start_tls(&good)?;
    let stale = Recording::start_tls(&expired)?;
    let plain = Recording::start()?;
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let (ca, other_ca) = (ours.ca_file().display(), other.ca_file().display());
    for (settings, words) in [
        (
            format!("silhouette_collector {nobody};"),
            ["Connection refused", "running"],
        ),
        (
            format!(
                "silhouette_collector {}; silhouette_tls_ca {other_ca};",
                tls.tls_url()
            ),
            ["certificate", "silhouette_tls_ca"],
        ),
        (
            format!(
                "silhouette_collector {}; silhouette_tls_ca {ca};",
                stale.tls_url()
            ),
            ["expired", "renew"],
        ),
        (
            format!(
                "silhouette_collector http://localhost:{};",
                tls.address().port()
            ),
            ["TLS port", "https://"],
        ),
        (
            format!(
                "silhouette_collector {}; silhouette_tls_ca {ca};",
                plain.tls_url()
            ),
            ["TLS", "http://"],
        ),
    ] {
        let mut nginx = start(&settings)?;
        requests(&nginx, 2)?;
        let line = wait_logged(&nginx, &[&["[error]"][..], &words[..]].concat())
            .context(settings.clone())?;
        let url = settings
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches(';');
        assert!(line.contains(url), "{line} names {url}");
        let page = wait_status(&nginx, "both are queued", |page| {
            number(page, "/queued") == 2
        })?;
        assert_eq!(number(&page, "/connects"), 0, "{settings}");
        nginx.quit()?;
    }
    for recording in [&tls, &stale, &plain] {
        assert!(recording.exchanges().is_empty());
    }
    let nginx = start(&format!(
        "silhouette_collector {}; silhouette_tls_ca {ca}; silhouette_token {TOKEN};",
        tls.tls_url()
    ))?;
    requests(&nginx, 2)?;
    assert_eq!(tls.wait_for(2, PATIENCE)?.len(), 2);
    assert_eq!(
        tls.authorizations().first(),
        Some(&format!("Bearer {TOKEN}"))
    );
    Ok(())
}

#[test]
fn counts_outlive_a_reload_whatever_the_collector_does() -> Result<()> {
    for behaviour in [
        Some(Behaviour::Accept),
        Some(Behaviour::NeverAcknowledge),
        Some(Behaviour::Silent),
        Some(Behaviour::Garbage),
        Some(Behaviour::Close),
        None,
    ] {
        let recording = Recording::start()?;
        let url = match &behaviour {
            Some(behaviour) => {
                recording.behave(behaviour.clone());
                recording.url()
            }
            None => format!("http://127.0.0.1:{}", free_port()?),
        };
        let mut nginx = start(&format!("silhouette_collector {url};"))?;
        requests(&nginx, 10)?;
        let arrives = behaviour == Some(Behaviour::Accept);
        if arrives {
            wait_status(&nginx, "all are acknowledged", |page| {
                number(page, "/acknowledged") == 10
            })?;
        }
        nginx.reload()?;
        let page = wait_status(&nginx, "the old worker's counts are there", |page| {
            number(page, "/captured") == 10 && number(page, "/queued") == 0
        })?;
        let (acknowledged, lost) = (
            number(&page, "/acknowledged"),
            number(&page, "/dropped/shutdown"),
        );
        assert_eq!(
            (acknowledged, lost),
            if arrives { (10, 0) } else { (0, 10) },
            "{behaviour:?}: {page}"
        );
        requests(&nginx, 10)?;
        wait_status(&nginx, "counts go on after the reload", |page| {
            number(page, "/captured") == 20
        })?;
        nginx.quit()?;
    }
    Ok(())
}

#[test]
fn what_waits_is_sent_before_the_worker_ends() -> Result<()> {
    let recording = Recording::start()?;
    let mut nginx = start(&format!("silhouette_collector {};", recording.url()))?;
    // The interval is long: only the end of the worker sends these.
    nginx.rewrite(|layout| {
        config(
            layout,
            &format!("silhouette_collector {};", recording.url()),
        )
        .replace(
            "silhouette_flush_interval_ms 20",
            "silhouette_flush_interval_ms 60000",
        )
    })?;
    nginx.reload()?;
    wait_status(&nginx, "connected", |page| {
        page.to_string().contains("\"state\":\"connected\"")
    })?;
    requests(&nginx, 25)?;
    assert!(recording.exchanges().is_empty());
    nginx.quit()?;
    assert_eq!(recording.wait_for(25, PATIENCE)?.len(), 25);
    Ok(())
}

#[test]
fn the_queue_is_bounded_and_the_counts_add_up() -> Result<()> {
    let recording = Recording::start()?;
    recording.behave(Behaviour::NeverAcknowledge);
    let nginx = start(&format!(
        "silhouette_collector {}; silhouette_queue_bytes 64k;",
        recording.url()
    ))?;
    requests(&nginx, 2000)?;
    let page = wait_status(&nginx, "all are accounted for", |page| {
        number(page, "/captured") == 2000
            && number(page, "/queued") + number(page, "/dropped/queue_full") == 2000
    })?;
    assert!(number(&page, "/dropped/queue_full") > 1000, "{page}");
    assert!(number(&page, "/queue_bytes") <= 64 << 10, "{page}");
    recording.behave(Behaviour::Accept);
    requests(&nginx, 1)?;
    Ok(())
}

#[test]
fn a_batch_the_collector_never_takes_does_not_block_the_rest() -> Result<()> {
    let recording = Recording::start()?;
    recording.behave(Behaviour::InvalidArgument);
    let nginx = start(&format!("silhouette_collector {};", recording.url()))?;
    requests(&nginx, 5)?;
    wait_status(&nginx, "the batch is given up", |page| {
        number(page, "/dropped/rejected") == 5
    })?;
    recording.behave(Behaviour::Accept);
    recording.clear();
    requests(&nginx, 4)?;
    assert_eq!(recording.wait_for(4, PATIENCE)?.len(), 4);
    wait_status(&nginx, "the rest is acknowledged", |page| {
        number(page, "/acknowledged") == 4
    })?;
    Ok(())
}

#[test]
fn each_server_may_have_its_own_collector() -> Result<()> {
    let (one, two) = (Recording::start()?, Recording::start()?);
    let second_port = free_port()?;
    let nginx = Nginx::start(2, |layout| {
        format!(
            "{}server {{ listen 127.0.0.1:{second_port}; silhouette_collector {}; silhouette_name second;\n\
             location / {{ return 200 second; }} location /quiet {{ silhouette off; return 200 quiet; }} }}\n",
            config(
                layout,
                &format!("silhouette_collector {}; silhouette_name first;", one.url())
            ),
            two.url()
        )
    })?;
    requests(&nginx, 3)?;
    for path in ["/a", "/quiet", "/b"] {
        curl([format!("http://127.0.0.1:{second_port}{path}")])?;
    }
    assert_eq!(one.wait_for(3, PATIENCE)?.len(), 3);
    assert_eq!(two.wait_for(2, PATIENCE)?.len(), 2);
    for (recording, name) in [(&one, "first"), (&two, "second")] {
        assert!(
            recording
                .batches()
                .iter()
                .all(|batch| batch.shim.as_ref().is_some_and(|shim| shim.name == name))
        );
    }
    Ok(())
}

#[test]
fn a_killed_worker_is_replaced_and_its_counts_stay() -> Result<()> {
    let recording = Recording::start()?;
    let nginx = start(&format!("silhouette_collector {};", recording.url()))?;
    requests(&nginx, 7)?;
    wait_status(&nginx, "acknowledged", |page| {
        number(page, "/acknowledged") == 7
    })?;
    let old = nginx.worker_pids();
    for pid in &old {
        signal_pid(*pid, Signal::KILL)?;
    }
    wait_until("a new worker", PATIENCE, || {
        let now = nginx.worker_pids();
        !now.is_empty() && now.iter().all(|pid| !old.contains(pid))
    })?;
    requests(&nginx, 5)?;
    let page = wait_status(&nginx, "both workers' counts", |page| {
        number(page, "/acknowledged") == 12
    })?;
    assert_eq!(page["workers"].as_array().map(Vec::len), Some(1), "{page}");
    Ok(())
}

#[test]
fn wrong_settings_are_refused_with_name_value_and_place() -> Result<()> {
    let good = "silhouette_collector http://127.0.0.1:4317;";
    for (settings, words) in [
        (
            "silhouette_sample_rate 0.5;",
            vec!["silhouette on", "silhouette_collector", "nginx.conf:"],
        ),
        (
            "silhouette_collector ftp://x;",
            vec![
                "silhouette_collector",
                "`ftp://x`",
                "https://host[:port]",
                "nginx.conf:",
            ],
        ),
        (
            "silhouette_max_request_body lots;",
            vec![
                "silhouette_max_request_body",
                "`lots`",
                "16m",
                "nginx.conf:",
            ],
        ),
        (
            "silhouette_excluded_statuses 4xx never;",
            vec!["silhouette_excluded_statuses", "`never`", "nginx.conf:"],
        ),
        (
            "silhouette_sample_rate 1 2;",
            vec!["silhouette_sample_rate", "takes one"],
        ),
        (
            "silhouette_sample_rate 1; silhouette_sample_rate 1;",
            vec!["silhouette_sample_rate", "duplicate"],
        ),
        (
            "silhouette_tls_certificate /c.pem;",
            vec!["silhouette_tls_certificate_key", "nginx.conf:"],
        ),
        (
            "silhouette_token file:/no/such/token;",
            vec!["silhouette_token", "/no/such/token"],
        ),
        (
            "silhouette_token 'two words';",
            vec!["silhouette_token", "visible ASCII"],
        ),
        ("silhouette off;", vec!["\"silhouette\"", "duplicate"]),
    ] {
        let both = if settings.contains("collector") || settings == "silhouette_sample_rate 0.5;" {
            settings.to_owned()
        } else {
            format!("{good} {settings}")
        };
        let said = Nginx::check(|layout| config(layout, &both))?
            .err()
            .with_context(|| format!("{settings} is accepted"))?;
        for word in words {
            assert!(said.contains(word), "{settings}: no {word:?} in\n{said}");
        }
        assert!(!said.contains("two words"), "{said}");
    }
    // Latin-1, as an old editor saves it, is not a list without entries.
    let said = Nginx::check(|layout| {
        let file = layout.dir.join("latin.conf");
        let _ = std::fs::write(&file, b"silhouette_redact_json passwort schl\xfcssel;\n");
        config(layout, &format!("{good} include {};", file.display()))
    })?
    .err()
    .context("bytes that are no text are accepted")?;
    for word in ["silhouette_redact_json", "UTF-8", "latin.conf:1"] {
        assert!(said.contains(word), "no {word:?} in\n{said}");
    }
    let tls = "silhouette_collector https://127.0.0.1:4317; silhouette_tls_ca missing.pem;";
    let said = Nginx::check(|layout| config(layout, tls))?
        .err()
        .context("a CA that is not there")?;
    assert!(
        said.contains("silhouette_tls_ca") && said.contains("missing.pem"),
        "{said}"
    );
    let said = Nginx::check(|layout| {
        config(layout, good).replace("silhouette_status;", "silhouette_status xml;")
    })?;
    assert!(said.is_err_and(|said| said.contains("json") && said.contains("prometheus")));
    assert!(Nginx::check(|layout| config(layout, good))?.is_ok());
    Ok(())
}

/// What `deploy/nginx/` offers to copy works.
#[test]
fn the_configurations_to_copy_are_accepted() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/nginx");
    let minimal = format!("{folder}/minimal.conf");
    let said = Nginx::check(|_| format!("include {minimal};"))?;
    assert!(said.is_ok(), "{said:?}");

    let full = std::fs::read_to_string(format!("{folder}/silhouette.conf"))?;
    let authority = silhouette_e2e::tls::Authority::new()?;
    let said = Nginx::check(|layout| {
        let token = layout.dir.join("silhouette.token");
        let _ = std::fs::write(&token, "a-token\n");
        full.replace("/etc/nginx/silhouette.token", &token.display().to_string())
            .replace(
                "/etc/nginx/silhouette-ca.pem",
                &authority.ca_file().display().to_string(),
            )
            .replace("127.0.0.1:8081", &format!("127.0.0.1:{}", layout.port))
    })?;
    assert!(said.is_ok(), "{said:?}");
    Ok(())
}
