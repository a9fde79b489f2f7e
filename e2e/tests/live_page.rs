//! The collector's live page, in a real browser.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::{Collector, Nginx, Origin, curl};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{ExportRequest, Shim};

/// Runs Debian's chromium headless, without anything that speaks to the outside.
fn chromium(profile: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--disable-dev-shm-usage", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("running chromium: is it installed? `cargo xtask install` does it")?;
    ensure!(
        output.status.success(),
        "chromium failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// A shim whose every name is an attack on the page.
fn hostile_shim(collector: &Collector) -> Result<()> {
    let attack = "<img src=x onerror=alert(1)>";
    let shim = Shim {
        kind: attack.into(),
        version: attack.into(),
        gateway_version: attack.into(),
        node: attack.into(),
        name: attack.into(),
        instance: vec![66; 16].into(),
    };
    let request = ExportRequest {
        shim: Some(shim),
        sequence: 1,
        ..Default::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let channel = tonic::transport::Endpoint::new(collector.url())?
            .connect()
            .await?;
        TelemetryServiceClient::new(channel).export(request).await?;
        Ok(())
    })
}

#[test]
fn the_page_tells_what_to_do_when_empty_and_what_was_found_when_not() -> Result<()> {
    let profile = tempfile::tempdir()?;
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let page = format!("http://{}/", collector.admin());
    let empty = String::from_utf8(chromium(profile.path(), &["--dump-dom", &page])?)?;
    assert!(
        empty.contains("silhouette_collector"),
        "an empty page says how to send something:\n{empty}"
    );

    let nginx = Nginx::start(1, |layout| {
        capturing(layout, &collector.url(), &origin.url(""), "")
    })?;
    for n in 0..20 {
        let host = "Host: shop.example";
        assert_eq!(
            curl([
                "-H",
                host,
                &nginx.url(&format!("/echo/items/{}", 1000 + n * 37))
            ])?
            .status,
            200
        );
        assert_eq!(curl(["-H", host, &nginx.url("/json")])?.status, 200);
    }
    nginx.drained(Duration::from_secs(30))?;
    hostile_shim(&collector)?;
    let dom = String::from_utf8(chromium(profile.path(), &["--dump-dom", &page])?)?;
    assert!(dom.contains("shop.example"), "{dom}");
    assert!(dom.contains("nginx"), "the shim is shown:\n{dom}");
    assert!(
        dom.contains("onerror=alert(1)"),
        "so is the one with a hostile name:\n{dom}"
    );
    assert!(
        !dom.contains("<img src=\"x\"") && !dom.contains("<img src=x"),
        "its name became markup:\n{dom}"
    );

    let picture = profile.path().join("page.png");
    let screenshot = format!("--screenshot={}", picture.display());
    chromium(
        profile.path(),
        &[&screenshot, "--window-size=1200,900", &page],
    )?;
    let png = std::fs::read(&picture).context("the screenshot")?;
    assert!(
        png.starts_with(b"\x89PNG") && png.len() > 10_000,
        "{} bytes are no picture of a page",
        png.len()
    );
    Ok(())
}
