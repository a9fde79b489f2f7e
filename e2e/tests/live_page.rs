//! The collector's live page, in a real browser.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{Catalog, Collector, Nginx, Origin, browser, curl};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use silhouette_proto::telemetry::v1::{ExportRequest, Shim};

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
    let (origin, collector) = (Origin::start()?, Collector::start(&[])?);
    let catalog = Catalog::start(&[])?;
    let nginx = Nginx::start(1, |layout| {
        capturing(layout, &collector.url(), &origin.url(""), "")
    })?;
    let traffic = || -> Result<()> {
        for n in 0..20 {
            let host = "Host: shop.example";
            let item = nginx.url(&format!("/echo/items/{}", 1000 + n * 37));
            assert_eq!(curl(["-H", host, &item])?.status, 200);
            assert_eq!(curl(["-H", host, &nginx.url("/json")])?.status, 200);
        }
        nginx.drained(origin.requests(), PATIENCE)?;
        hostile_shim(&collector)
    };
    let given = json!({ "url": format!("http://{}/", collector.admin()) });
    browser::run("live", given, |what, _| match what {
        "traffic" => traffic().map(|()| Value::Null),
        "register" => catalog.register(&collector, "edge").map(Value::from),
        _ => bail!("nobody can do that"),
    })
}
