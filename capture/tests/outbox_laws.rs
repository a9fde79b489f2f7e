//! Laws of the outbox, for random sequences of what can happen: every exchange is acknowledged, dropped or still there;
//! the queue keeps its bound; sequence numbers have no gap and a number always means the same bytes.
#![cfg(not(target_family = "wasm"))]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message;
use silhouette_capture::{
    Clock, Counters, DropReason, End, Identity, Outbox, OutboxLimits, Pack, Policy, Recorder,
    RequestHead, Sampler, Sealed, Settings, Skip,
};
use silhouette_proto::telemetry::v1::ExportRequest;

const MILLI: u64 = 1_000_000;

fn policy() -> Arc<Policy> {
    Arc::new(Settings::default().build().unwrap())
}

fn sealed(policy: &Arc<Policy>, number: u64, size: usize) -> Sealed {
    let path = format!("/{}", "x".repeat(size));
    let head = RequestHead {
        scheme: "http",
        authority: b"h",
        method: b"GET",
        path: path.as_bytes(),
        query: None,
        http_version: "1.1",
    };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let headers: [(&[u8], &[u8]); 0] = [];
    Recorder::begin(
        policy,
        &mut Sampler::new(1),
        id,
        &head,
        headers,
        Clock::default(),
    )
    .unwrap()
    .finish(&End::default())
    .unwrap()
}

fn outbox(queue_bytes: usize, window: usize) -> Outbox {
    let limits = OutboxLimits {
        queue_bytes,
        batch_bytes: 1000,
        batch_count: 8,
        flush_interval: 200 * MILLI,
        window,
    };
    let identity = Identity {
        kind: "test".to_owned(),
        instance: [3; 16],
        ..Identity::default()
    };
    Outbox::new(identity, limits, 42)
}

fn adds_up(counters: &Counters) -> bool {
    counters.captured == counters.acknowledged + counters.dropped_total() + counters.queued
}

#[derive(Clone, Debug)]
enum Event {
    Push(usize),
    Lost(u64),
    Skip,
    Pass(u64),
    Send,
    /// The collector has this many of what is in flight and says so, asking for a pause.
    Acknowledge(usize, u32),
    /// An acknowledgement of something that was never sent.
    Nonsense(u64),
    Fail,
    Connect,
    Reject(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0usize..600).prop_map(Event::Push),
        1 => (0u64..3).prop_map(Event::Lost),
        1 => Just(Event::Skip),
        4 => (0u64..400).prop_map(|ms| Event::Pass(ms * MILLI)),
        8 => Just(Event::Send),
        4 => (0usize..4, prop_oneof![Just(0u32), 0u32..500]).prop_map(|(n, pause)| Event::Acknowledge(n, pause)),
        1 => any::<u64>().prop_map(Event::Nonsense),
        1 => Just(Event::Fail),
        2 => Just(Event::Connect),
        1 => (0usize..4).prop_map(Event::Reject),
    ]
}

/// What a collector would have seen.
#[derive(Default)]
struct Collector {
    /// Exchanges by sequence number, as first received.
    batches: BTreeMap<u64, usize>,
    bytes: BTreeMap<u64, Vec<u8>>,
    /// On this connection, not acknowledged.
    in_flight: Vec<u64>,
}

impl Collector {
    fn receive(&mut self, sequence: u64, bytes: &[u8]) {
        let request = ExportRequest::decode(bytes).unwrap();
        assert_eq!(request.sequence, sequence);
        assert_eq!(request.shim.as_ref().unwrap().instance.as_ref(), [3; 16]);
        let newest = self.batches.keys().next_back().copied().unwrap_or(0);
        assert!(sequence <= newest + 1, "{sequence} follows {newest}");
        assert!(
            self.in_flight.last().is_none_or(|last| *last < sequence),
            "in order"
        );
        self.in_flight.push(sequence);
        self.batches.insert(sequence, request.exchanges.len());
        if let Some(before) = self.bytes.insert(sequence, bytes.to_vec()) {
            assert_eq!(before, bytes, "sent again, batch {sequence} is the same");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_uncounted(events in prop::collection::vec(event(), 0..300), window in 1usize..5) {
        let policy = policy();
        let queue_bytes = 4000;
        let mut outbox = outbox(queue_bytes, window);
        let mut collector = Collector::default();
        let (mut now, mut number) = (0, 0);
        for event in events {
            match event {
                Event::Push(size) => {
                    number += 1;
                    let before = outbox.counters();
                    let pushed = outbox.push(sealed(&policy, number, size), now);
                    let after = outbox.counters();
                    prop_assert_eq!(pushed.is_ok(), after.queued == before.queued + 1);
                    prop_assert_eq!(after.captured, before.captured + 1);
                }
                Event::Lost(count) => outbox.drop_exchanges(DropReason::Fault, count),
                Event::Skip => outbox.skip(Skip::SampledOut),
                Event::Pass(time) => now += time,
                Event::Send => {
                    if let Some(batch) = outbox.next_batch(now) {
                        collector.receive(batch.sequence, &batch.bytes);
                        prop_assert!(collector.in_flight.len() <= window);
                    }
                }
                Event::Acknowledge(count, pause) => {
                    let count = count.min(collector.in_flight.len());
                    let done: Vec<u64> = collector.in_flight.drain(..count).collect();
                    if let Some(last) = done.last() {
                        outbox.acknowledged(*last, pause, now);
                    }
                }
                Event::Nonsense(sequence) => {
                    // Whatever it says, only what is in flight can be acknowledged.
                    collector.in_flight.retain(|sent| *sent > sequence);
                    outbox.acknowledged(sequence, 0, now);
                }
                Event::Fail => {
                    collector.in_flight.clear();
                    outbox.failed(now);
                    prop_assert!(outbox.next_batch(now).is_none(), "a back-off runs");
                }
                Event::Connect => {
                    collector.in_flight.clear();
                    outbox.connected(now);
                }
                Event::Reject(at) => {
                    if let Some(sequence) = collector.in_flight.get(at).copied() {
                        outbox.rejected(sequence, now);
                        collector.in_flight.truncate(at);
                        collector.bytes.remove(&sequence);
                    }
                }
            }
            let counters = outbox.counters();
            prop_assert!(adds_up(&counters), "{counters:?}");
            prop_assert!(counters.queue_bytes <= queue_bytes as u64);
            prop_assert_eq!(counters.queued == 0, counters.queue_bytes == 0);
        }
        // With a collector that is well everything arrives in the end.
        outbox.connected(now);
        collector.in_flight.clear();
        while let Some(at) = outbox.next_wake() {
            now = now.max(at);
            while let Some(batch) = outbox.next_batch(now) {
                collector.receive(batch.sequence, &batch.bytes);
                collector.in_flight.clear();
                outbox.acknowledged(batch.sequence, 0, now);
            }
        }
        let counters = outbox.counters();
        prop_assert!(outbox.is_empty() && counters.queued == 0 && adds_up(&counters));
        let numbers: Vec<u64> = collector.batches.keys().copied().collect();
        prop_assert_eq!(numbers, (1..=collector.batches.len() as u64).collect::<Vec<_>>(), "no gap");
        let received: usize = collector.batches.values().sum();
        prop_assert!(received as u64 >= counters.acknowledged, "{received} received, {counters:?}");
    }

    #[test]
    fn back_off_is_bounded_and_grows(seed in any::<u64>()) {
        let limits = OutboxLimits::new(&policy(), 1);
        let mut outbox = Outbox::new(Identity::default(), limits, seed);
        let mut waits = Vec::new();
        for _ in 0..200 {
            outbox.failed(0);
            waits.push(outbox.retry_at().unwrap() / MILLI);
        }
        prop_assert!(waits.iter().all(|ms| (10..=30_000).contains(ms)));
        prop_assert!(waits[0] <= 200 && waits[1] <= 400);
        prop_assert!(waits.iter().max().unwrap() > &15_000);
        outbox.acknowledged(0, 0, 0);
        outbox.failed(0);
        prop_assert!(outbox.retry_at().unwrap() <= 200 * MILLI, "an acknowledgement starts it anew");
    }
}

#[test]
fn a_batch_is_cut_by_count_by_bytes_and_by_time() {
    let policy = policy();
    let mut outbox = outbox(1 << 20, 100);
    for number in 0..8 {
        outbox.push(sealed(&policy, number, 1), 0).unwrap();
    }
    assert_eq!(outbox.next_batch(0).unwrap().exchanges, 8);
    for number in 0..3 {
        outbox.push(sealed(&policy, number, 400), 0).unwrap();
    }
    assert_eq!(outbox.next_batch(0).unwrap().exchanges, 2);
    assert!(outbox.next_batch(200 * MILLI - 1).is_none());
    assert_eq!(outbox.next_wake(), Some(200 * MILLI));
    assert_eq!(outbox.next_batch(200 * MILLI).unwrap().exchanges, 1);
    outbox.push(sealed(&policy, 1, 5000), 0).unwrap();
    assert_eq!(
        outbox.next_batch(0).unwrap().exchanges,
        1,
        "one larger exchange makes a batch by itself"
    );
    outbox.push(sealed(&policy, 1, 1), 0).unwrap();
    outbox.flush();
    assert_eq!(outbox.next_batch(0).unwrap().exchanges, 1);
}

#[test]
fn counters_travel_with_the_batch_and_close_counts_what_is_left() {
    let policy = policy();
    let mut outbox = outbox(1000, 1);
    outbox.push(sealed(&policy, 1, 10), 0).unwrap();
    assert_eq!(
        outbox.push(sealed(&policy, 2, 900), 0),
        Err(DropReason::QueueFull)
    );
    assert_eq!(
        outbox.push(sealed(&policy, 3, 1200), 0),
        Err(DropReason::TooLarge)
    );
    outbox.skip(Skip::ExcludedPath);
    let batch = outbox.next_batch(200 * MILLI).unwrap();
    let request = ExportRequest::decode(batch.bytes).unwrap();
    let dropped: Vec<_> = request
        .dropped
        .iter()
        .map(|count| (count.reason.as_str(), count.count))
        .collect();
    assert_eq!(dropped, [("queue_full", 1), ("too_large", 1)]);
    assert_eq!(request.skipped[0].reason, "excluded_path");
    assert_eq!(request.captured, 3);
    outbox.close(DropReason::Shutdown);
    assert_eq!(outbox.counters().dropped(DropReason::Shutdown), 1);
    assert_eq!(
        outbox.push(sealed(&policy, 4, 1), 0),
        Err(DropReason::Shutdown)
    );
    assert!(outbox.next_batch(u64::MAX).is_none() && outbox.next_wake().is_none());
    assert!(adds_up(&outbox.counters()));
}

#[test]
fn packs_carry_what_single_exchanges_would() {
    let policy = Arc::new(Settings::default().build().unwrap());
    let limits = OutboxLimits {
        queue_bytes: 1 << 20,
        batch_bytes: 4096,
        batch_count: 100,
        flush_interval: 0,
        window: 8,
    };
    let mut outbox = Outbox::new(Identity::default(), limits, 1);
    outbox.connected(0);
    let mut number = 0;
    for size in [1, 3, 1, 40, 2] {
        let mut pack = Pack::default();
        for _ in 0..size {
            let exchange = sealed(&policy, number, 50);
            let before = pack.size();
            pack.push(&exchange);
            assert_eq!(pack.size() - before, Pack::weight(&exchange));
            number += 1;
        }
        outbox.push_pack(pack, 0).unwrap();
    }
    let mut seen = Vec::new();
    let mut last = 0;
    while let Some(batch) = outbox.next_batch(0) {
        let request = ExportRequest::decode(batch.bytes.clone()).unwrap();
        assert_eq!(request.exchanges.len(), batch.exchanges);
        assert_eq!(request.sequence, last + 1);
        last = request.sequence;
        seen.extend(request.exchanges.iter().map(|exchange| exchange.id.clone()));
    }
    let ids = (0..number).map(|n| [&n.to_be_bytes()[..], &[0; 8]].concat());
    assert_eq!(seen, ids.collect::<Vec<_>>());
    outbox.acknowledged(last, 0, 0);
    let counters = outbox.counters();
    assert_eq!(
        (
            counters.captured,
            counters.acknowledged,
            counters.queue_bytes
        ),
        (number, number, 0)
    );

    // One that does not fit is lost as a whole, and counted.
    let mut pack = Pack::default();
    while pack.size() <= 1 << 20 {
        pack.push(&sealed(&policy, 0, 5000));
    }
    let lost = pack.exchanges();
    assert_eq!(outbox.push_pack(pack, 0), Err(DropReason::QueueFull));
    assert_eq!(outbox.counters().dropped(DropReason::QueueFull), lost);
}
