//! A collector that must not take what is sent, or a shim that must not send: refused, told on both sides, and the client's
//! requests go through.

use anyhow::{Context, Result};
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::tls::Authority;
use silhouette_e2e::{Collector, Nginx, Origin, curl};

/// Where shims call.
const EXPORT: &str = "/silhouette.telemetry.v1.TelemetryService/Export";
/// Its number in gRPC.
const UNAUTHENTICATED: &str = "16";

/// Lines of nginx's error log in which the module complains about its connection to the collector.
fn complaints(nginx: &Nginx) -> Vec<String> {
    let log = nginx.error_log();
    log.lines()
        .filter(|line| line.contains("silhouette") && line.contains("[error]"))
        .map(str::to_owned)
        .collect()
}

/// Requests go through, the module says why it cannot send, once although it tries again and again, and nothing arrives.
fn refused(collector: &Collector, nginx: &Nginx, reasons: &[&str]) -> Result<()> {
    for n in 0..5 {
        assert_eq!(curl([nginx.url(&format!("/json?n={n}"))])?.status, 200);
    }
    wait_until("the module says why", PATIENCE, || {
        !complaints(nginx).is_empty()
    })
    .with_context(|| nginx.error_log())?;
    let before = refusals(collector)?;
    wait_until("several attempts", PATIENCE, || {
        refusals(collector).is_ok_and(|now| now >= before + 3.0)
    })
    .with_context(|| collector.log())?;
    assert_eq!(curl([nginx.url("/json")])?.status, 200);
    // The page has the worker log what its exporter had to say: that all attempts but the last have failed.
    assert_eq!(nginx.counters()?.get("acknowledged"), 0);
    let said = complaints(nginx);
    assert_eq!(said.len(), 1, "once per minute at most: {said:#?}");
    let line = said.first().context("one line")?.to_lowercase();
    assert!(
        reasons.iter().any(|reason| line.contains(reason)),
        "none of {reasons:?} in {line}"
    );
    assert_eq!(
        collector.metric("silhouette_exchanges_acknowledged_total", "")?,
        0.0
    );
    Ok(())
}

fn refusals(collector: &Collector) -> Result<f64> {
    collector.metric(
        "silhouette_connections_refused_total",
        "listener=\"telemetry\"",
    )
}

#[test]
fn a_wrong_token_is_refused_and_the_right_one_is_not() -> Result<()> {
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let good = collector.token("edge-1", false)?;
    let wrong = format!("sil_{}", "A".repeat(good.len() - 4));
    let config = |token: &str| {
        let more = format!("silhouette_token {token};");
        let (collector, origin) = (collector.url(), origin.url(""));
        move |layout: &silhouette_e2e::nginx::Layout| capturing(layout, &collector, &origin, &more)
    };
    let export = format!("{}{EXPORT}", collector.url());
    wait_until("the token is in force", PATIENCE, || {
        curl([
            "-H",
            "Content-Type: application/grpc-web+proto",
            "-d",
            "",
            &export,
        ])
        .is_ok_and(|answer| answer.header("grpc-status") == Some(UNAUTHENTICATED))
    })?;
    let nginx = Nginx::start(1, config(&wrong))?;
    refused(&collector, &nginx, &["token", "unauthenticated"])?;
    assert!(refusals(&collector)? >= 1.0);
    assert!(
        !nginx.error_log().contains(&wrong) && !collector.log().contains(&wrong),
        "a token is in a log"
    );
    let nginx = Nginx::start(1, config(&good))?;
    assert_eq!(curl([nginx.url("/json")])?.status, 200);
    let shim = nginx.drained(1, PATIENCE)?;
    assert_eq!(shim.get("acknowledged"), 1, "{shim:?}");
    Ok(())
}

/// A collector behind TLS, with an identity of `authority`.
fn tls_collector(identity: &silhouette_e2e::tls::Identity) -> Result<Collector> {
    let (certificate, key) = (
        identity.certificate.display().to_string(),
        identity.key.display().to_string(),
    );
    Collector::start(&["--tls-cert", &certificate, "--tls-key", &key])
}

fn nginx_trusting(collector: &str, authority: &Authority, origin: &Origin) -> Result<Nginx> {
    let more = format!("silhouette_tls_ca {};", authority.ca_file().display());
    Nginx::start(1, |layout| {
        capturing(layout, collector, &origin.url(""), &more)
    })
}

#[test]
fn the_right_authority_is_accepted_and_another_is_not() -> Result<()> {
    let (origin, authority, other) = (Origin::start()?, Authority::new()?, Authority::new()?);
    let collector = tls_collector(&authority.server()?)?;
    let nginx = nginx_trusting(&collector.tls_url(), &other, &origin)?;
    refused(&collector, &nginx, &["certificate", "issuer"])?;
    assert!(
        refusals(&collector)? >= 1.0,
        "the handshake that the shim broke off is counted"
    );
    let nginx = nginx_trusting(&collector.tls_url(), &authority, &origin)?;
    assert_eq!(curl([nginx.url("/json")])?.status, 200);
    assert_eq!(nginx.drained(1, PATIENCE)?.get("acknowledged"), 1);
    Ok(())
}

#[test]
fn an_expired_certificate_is_refused() -> Result<()> {
    let (origin, authority) = (Origin::start()?, Authority::new()?);
    let collector = tls_collector(&authority.expired_server()?)?;
    let nginx = nginx_trusting(&collector.tls_url(), &authority, &origin)?;
    refused(&collector, &nginx, &["expired"])?;
    assert!(refusals(&collector)? >= 1.0);
    Ok(())
}

#[test]
fn plain_http_to_a_tls_port_is_refused() -> Result<()> {
    let (origin, authority) = (Origin::start()?, Authority::new()?);
    let collector = tls_collector(&authority.server()?)?;
    let nginx = Nginx::start(1, |layout| {
        capturing(layout, &collector.url(), &origin.url(""), "")
    })?;
    refused(&collector, &nginx, &["tls", "https"])?;
    assert!(refusals(&collector)? >= 1.0);
    Ok(())
}

#[test]
fn tls_to_a_plain_port_is_refused() -> Result<()> {
    let (origin, authority) = (Origin::start()?, Authority::new()?);
    let collector = Collector::start(&[])?;
    let nginx = nginx_trusting(&collector.tls_url(), &authority, &origin)?;
    refused(&collector, &nginx, &["tls", "http"])?;
    assert!(refusals(&collector)? >= 1.0);
    Ok(())
}

#[test]
fn a_client_certificate_is_asked_for_and_checked() -> Result<()> {
    let (origin, authority, other) = (Origin::start()?, Authority::new()?, Authority::new()?);
    let identity = authority.server()?;
    let paths = [&identity.certificate, &identity.key].map(|path| path.display().to_string());
    let ca = authority.ca_file().display().to_string();
    let collector = Collector::start(&[
        "--tls-cert",
        &paths[0],
        "--tls-key",
        &paths[1],
        "--tls-client-ca",
        &ca,
    ])?;
    let with = |client: &silhouette_e2e::tls::Identity| {
        let more = format!(
            "silhouette_tls_ca {ca}; silhouette_tls_certificate {}; silhouette_tls_certificate_key {};",
            client.certificate.display(),
            client.key.display()
        );
        Nginx::start(1, |layout| {
            capturing(layout, &collector.tls_url(), &origin.url(""), &more)
        })
    };
    let without = nginx_trusting(&collector.tls_url(), &authority, &origin)?;
    refused(&collector, &without, &["certificate"])?;
    drop(without);
    let reasons = ["certificate"];
    refused(&collector, &with(&other.client("stranger")?)?, &reasons)?;
    refused(
        &collector,
        &with(&authority.expired_client("late")?)?,
        &reasons,
    )?;
    let told = collector.metric("silhouette_connections_refused_total", "client_certificate")?;
    assert!(told >= 3.0, "the collector knows why: {told}");
    let nginx = with(&authority.client("edge")?)?;
    assert_eq!(curl([nginx.url("/json")])?.status, 200);
    assert_eq!(nginx.drained(1, PATIENCE)?.get("acknowledged"), 1);
    Ok(())
}

#[test]
fn pages_are_shown_over_http_2_under_known_names_only() -> Result<()> {
    let collector = Collector::start(&["--admin-hosts", "silhouette.internal"])?;
    let port = collector.admin().port();
    let call = |name: &str, more: &[&str]| {
        let to = format!("::127.0.0.1:{port}");
        let url = format!("http://{name}:{port}/v1/hosts");
        let version = "--http2-prior-knowledge";
        curl([&[version, "--connect-to", &to, &url], more].concat())
    };
    for (name, more, expected) in [
        ("localhost", &[][..], 200),
        ("127.0.0.1", &[], 200),
        ("silhouette.internal", &[], 200),
        ("evil.example", &[], 421),
        // curl makes `:authority` of it.
        ("localhost", &["-H", "Host: evil.example"], 421),
    ] {
        let answer = call(name, more)?;
        assert_eq!(
            (answer.status, answer.http_version.as_str()),
            (expected, "2"),
            "{name} {more:?} {}",
            answer.error
        );
    }
    assert!(
        collector.log().contains("peer=127.0.0.1:"),
        "{}",
        collector.log()
    );
    Ok(())
}
