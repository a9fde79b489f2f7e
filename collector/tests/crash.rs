//! Killed at any moment: everything acknowledged is there, once.

mod collector;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use collector::{Collector, batch};
use silhouette_proto::telemetry::v1::telemetry_service_client::TelemetryServiceClient;
use tonic::transport::Channel;

const PER_BATCH: u64 = 25;

/// What one shim has done.
#[derive(Debug, Default)]
struct Progress {
    /// The last batch that went out.
    sent: u64,
    /// The last one acknowledged.
    acknowledged: u64,
}

/// Streams the batches `from..=to` until the connection breaks or the last one is acknowledged.
async fn stream(
    mut client: TelemetryServiceClient<Channel>,
    instance: u8,
    from: u64,
    to: u64,
) -> Progress {
    let sent = Arc::new(AtomicU64::new(0));
    let sending = sent.clone();
    let batches = (from..=to).map(move |sequence| {
        sending.store(sequence, Ordering::Relaxed);
        // Several hosts, so that several learners are at it.
        batch(
            instance,
            sequence,
            &format!("host-{}.example", sequence % 5),
            PER_BATCH,
        )
    });
    let mut acknowledged = 0;
    if let Ok(responses) = client.stream(tokio_stream::iter(batches)).await {
        let mut responses = responses.into_inner();
        while acknowledged < to
            && let Ok(Some(response)) = responses.message().await
        {
            acknowledged = acknowledged.max(response.acknowledged_sequence);
        }
    }
    Progress {
        sent: sent.load(Ordering::Relaxed),
        acknowledged,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_while_two_shims_stream() {
    let dir = tempfile::tempdir().unwrap();
    // Checkpoints all the time, so that kills hit them too.
    let args = [
        "--checkpoint-interval",
        "100ms",
        "--checkpoint-bytes",
        "64k",
    ];
    let mut shims = [Progress::default(), Progress::default()];
    for round in 0..12 {
        let collector = Collector::start(dir.path(), &args);
        let mut tasks = Vec::new();
        for (instance, shim) in (1..).zip(&shims) {
            let from = shim.acknowledged + 1;
            let client = collector.client().await;
            tasks.push(tokio::spawn(stream(client, instance, from, u64::MAX)));
        }
        tokio::time::sleep(Duration::from_millis(40 + 97 * (round % 7))).await;
        collector.kill();
        for (shim, task) in shims.iter_mut().zip(tasks) {
            let now = task.await.unwrap();
            shim.sent = shim.sent.max(now.sent);
            shim.acknowledged = shim.acknowledged.max(now.acknowledged);
        }
    }
    assert!(shims.iter().all(|shim| shim.acknowledged > 4), "{shims:?}");

    let collector = Collector::start(dir.path(), &args);
    let kept = collector.learnt();
    // What was kept but whose acknowledgement was lost is there as well; the shims send it again, and it counts once.
    let exchanges = |count: fn(&Progress) -> u64| shims.iter().map(count).sum::<u64>() * PER_BATCH;
    let least = exchanges(|shim| shim.acknowledged);
    let sent = exchanges(|shim| shim.sent);
    assert!(
        (least..=sent).contains(&kept),
        "{kept} of {least} acknowledged and {sent} sent"
    );
    for (instance, shim) in (1..).zip(&shims) {
        let again = stream(collector.client().await, instance, 1, shim.sent).await;
        assert_eq!(again.acknowledged, shim.sent);
    }
    assert_eq!(collector.learnt(), sent, "each exactly once");
    let totals = &collector.json("/v1/hosts")["totals"];
    assert_eq!(
        (&totals["accepted"], &totals["learnt"]),
        (&sent.into(), &sent.into())
    );
    collector.terminate();
    let collector = Collector::start(dir.path(), &[]);
    assert_eq!(collector.learnt(), sent);
}

/// A file system of this size of its own, unmounted when dropped; `None` where mounting is not permitted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(dir));
        }
        println!("skipped: mounting a tmpfs is not permitted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg(self.0.path())
            .output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_really_full_loses_nothing_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount("16m") else {
        return;
    };
    let dir = disk.0.path();
    // No reserve: the journal and the checkpoints meet the end of the disk themselves.
    let args = ["--disk-reserve", "0", "--checkpoint-interval", "200ms"];
    let collector = Collector::start(dir, &args);
    let mut client = collector.client().await;
    client
        .export(batch(1, 1, "h.example", PER_BATCH))
        .await
        .unwrap();
    let filler = dir.join("filler");
    for block in [1 << 16, 1 << 10, 1] {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&filler)
            .unwrap();
        while std::io::Write::write_all(&mut file, &vec![0; block]).is_ok() {}
    }
    let mut sequence = 2;
    let status = loop {
        match client
            .export(batch(1, sequence, "h.example", PER_BATCH))
            .await
        {
            Ok(_) => sequence += 1,
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    assert_eq!(collector.get("/readyz").status, 503);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(collector.get("/readyz").status, 503);
    std::fs::remove_file(&filler).unwrap();
    collector.wait("it is ready again", || {
        collector.get("/readyz").status == 200
    });
    for sequence in sequence..sequence + 5 {
        client
            .export(batch(1, sequence, "h.example", PER_BATCH))
            .await
            .unwrap();
    }
    let sent = (sequence + 4) * PER_BATCH;
    assert_eq!(collector.learnt(), sent);
    let checkpoints = collector.metric("silhouette_checkpoints_total");
    collector.wait("a checkpoint is written again", || {
        collector.metric("silhouette_checkpoints_total") > checkpoints
    });
    collector.kill();
    let collector = Collector::start(dir, &args);
    assert_eq!(collector.learnt(), sent);
}
