//! The module's own code fails, at each stage at which nginx calls it: the client gets its answer unchanged, the panic is
//! counted, capture is off for that request and for no other, and the worker lives on.
//! The module can be asked to panic only where it has debug assertions; so have these tests.

#![cfg(debug_assertions)]

use anyhow::{Context, Result};
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::recording::Recording;
use silhouette_e2e::{Nginx, Origin, curl};

const STAGES: [&str; 5] = [
    "post_read",
    "request_body",
    "response_head",
    "response_body",
    "log",
];
/// More than nginx reads or writes at once: filters are called several times for it.
const SIZE: usize = 300_000;

/// A server per stage, because the first stage comes before a location is chosen.
fn start(origin: &Origin, collector: &str) -> Result<Nginx> {
    Nginx::start(1, |layout| {
        let mut config = format!(
            "log_format fate '$uri $silhouette_status'; access_log {dir}/fate.log fate;\n\
             silhouette on; silhouette_collector {collector}; silhouette_flush_interval_ms 20;\n\
             client_max_body_size 2m; client_body_buffer_size 8k;\n\
             server {{ listen 127.0.0.1:{port}; server_name localhost;\n\
             location / {{ proxy_pass {origin}; }}\n\
             location = /silhouette-status {{ access_log off; silhouette_status; }}\n\
             location /variable/ {{ silhouette_test_fault variable; proxy_pass {origin}/; }} }}\n",
            dir = layout.dir.display(),
            port = layout.port,
            origin = origin.url(""),
        );
        for stage in STAGES {
            config += &format!(
                "server {{ listen 127.0.0.1:{}; server_name {stage}.example; silhouette_test_fault {stage};\n\
                 location /{stage}/ {{ proxy_pass {}/; }} }}\n",
                layout.port,
                origin.url(""),
            );
        }
        config
    })
}

#[test]
fn a_panic_costs_the_capture_of_that_request_and_nothing_else() -> Result<()> {
    let (recording, origin) = (Recording::start()?, Origin::start()?);
    let nginx = start(&origin, &recording.url())?;
    let workers = nginx.worker_pids();
    let body = tempfile::NamedTempFile::new()?;
    std::fs::write(body.path(), "7".repeat(SIZE))?;
    let data = format!("@{}", body.path().display());
    let fates = || std::fs::read_to_string(nginx.layout().dir.join("fate.log")).unwrap_or_default();

    let unchanged = curl([origin.url(&format!("/json?size={SIZE}"))])?.body;
    let mut lost = 0;
    for stage in STAGES {
        let faults = nginx.counters()?.get("faults");
        let host = format!("Host: {stage}.example");
        let answer = curl([
            "-H",
            &host,
            "-H",
            "Content-Type: text/plain",
            "--data-binary",
            &data,
            &nginx.url(&format!("/{stage}/echo")),
        ])?;
        let echo = answer.json().context(stage)?;
        assert_eq!(
            (answer.status, &echo["size"]),
            (200, &SIZE.into()),
            "{stage}: the request arrives whole"
        );
        lost += 1;
        let mut fate = format!("/{stage}/echo fault");
        if stage != "request_body" {
            let answer = curl([
                "-H",
                &host,
                &nginx.url(&format!("/{stage}/json?size={SIZE}")),
            ])?;
            assert!(
                answer.status == 200 && answer.body == unchanged,
                "{stage}: the answer arrives whole, not {} bytes",
                answer.body.len()
            );
            lost += 1;
            fate = format!("/{stage}/json fault");
        }
        wait_until(&fate, PATIENCE, || fates().lines().any(|l| l == fate)).with_context(fates)?;
        let what = format!("{stage}: every one is counted as lost by a fault, once");
        wait_until(&what, PATIENCE, || {
            nginx.counters().is_ok_and(|counters| {
                counters.0["dropped"]["fault"] == lost && counters.get("faults") > faults
            })
        })
        .with_context(|| format!("{:?}", nginx.counters()))?;
    }
    assert!(recording.exchanges().is_empty(), "nothing of them is sent");

    // A fault when all is said and done takes nothing back.
    assert_eq!(curl([nginx.url("/variable/json")])?.status, 200);
    let line = "/variable/json fault";
    wait_until(line, PATIENCE, || fates().lines().any(|l| l == line)).with_context(fates)?;
    assert_eq!(recording.wait_for(1, PATIENCE)?.len(), 1);

    // The next request is as good as the first ever.
    assert_eq!(curl([nginx.url("/json")])?.status, 200);
    assert_eq!(recording.wait_for(2, PATIENCE)?.len(), 2);
    let counters = nginx.drained(2, PATIENCE)?;
    assert_eq!(counters.get("acknowledged"), 2, "{counters:?}");
    assert_eq!(counters.0["dropped"]["fault"], lost);
    assert_eq!(nginx.worker_pids(), workers, "the worker lives on");
    Ok(())
}
