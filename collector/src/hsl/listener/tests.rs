//! Peers that never stop sending.

use std::collections::HashMap;

use prometheus_client::metrics::counter::Counter;

use super::*;
use crate::hsl::exchange::Redaction;

/// Time for what takes next to none.
const SOON: Duration = Duration::from_secs(60);

struct World {
    hsl: Arc<Hsl>,
    metrics: Arc<Metrics>,
    end: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(patience: Duration) -> World {
        let metrics = Arc::new(Metrics::default());
        let (end, ending) = watch::channel(false);
        let (submissions, _) = std::sync::mpsc::channel();
        let ring = Keyring::new([("bigip-1", "silk_of-a-test")]).unwrap();
        let hsl = Arc::new(Hsl::new(Parts {
            submissions,
            budget: Budget::new(1 << 20),
            keys: Arc::new(KeysInForce::fixed(ring)),
            policy: Arc::new(Redaction::default().policy().unwrap()),
            gaps: Arc::new(Gaps::new(0, HashMap::new(), Counter::default())),
            refused: Arc::new(Refused::new(Refusals::new(metrics.hsl_refused.clone()))),
            refusals: Arc::new(Refusals::new(metrics.refused.clone())),
            shims: Arc::default(),
            metrics: metrics.clone(),
            patience,
            ending,
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        World {
            hsl,
            metrics,
            end,
            runtime,
        }
    }

    /// Reads from somebody who sends more whenever something is read.
    fn flooded(&self) -> std::sync::mpsc::Receiver<()> {
        let (tell, over) = std::sync::mpsc::channel();
        let hsl = self.hsl.clone();
        self.runtime.spawn(async move {
            let flood = tokio::io::repeat(b'x');
            hsl.stream("hsl", flood, ([10, 0, 0, 1], 5).into()).await;
            let _ = tell.send(());
        });
        over
    }
}

#[test]
fn a_flood_without_a_record_is_hung_up_on() {
    let world = World::new(Duration::from_millis(10));
    let over = world.flooded();
    let hung_up = over.recv_timeout(SOON).is_ok();
    world.runtime.shutdown_background();
    assert!(hung_up, "it is still read");
    let label = silhouette_serving::refusals::Refusal {
        listener: "hsl",
        reason: "no_record",
    };
    assert_eq!(world.metrics.refused.get_or_create(&label).get(), 1);
}

#[test]
fn a_flood_does_not_keep_the_service_from_ending() {
    let world = World::new(Duration::from_secs(3600));
    let over = world.flooded();
    world.end.send_replace(true);
    let ended = over.recv_timeout(SOON).is_ok();
    world.runtime.shutdown_background();
    assert!(ended, "it is still read");
}
