//! Journal in, models and checkpoints out: once each, whatever happens in between.

use super::*;
use crate::callers::Callers;
use crate::hosts::Bounds;
use crate::journal::{Batch, Journal, Limits};
use prost::Message as _;
use silhouette_proto::telemetry::v1::{Exchange, ExportRequest, Request, Response, Shim};
use silhouette_reconstruct::DocumentOptions;
use std::path::Path;

/// A journal, learners on it, and what they report.
struct World {
    journal: Journal,
    learners: Learners,
    hosts: Arc<Hosts>,
    metrics: Arc<Metrics>,
}

const HOURS: Pace = Pace {
    interval: Duration::from_secs(36_000),
    bytes: u64::MAX,
};

fn world(dir: &Path, count: usize, pace: Pace) -> World {
    world_with(Store::open(dir).unwrap(), dir, count, pace)
}

fn world_with(mut store: Store, dir: &Path, count: usize, pace: Pace) -> World {
    let hosts = Arc::new(Hosts::new(Bounds {
        hosts: 50,
        host_memory: 8 << 20,
        model_memory: 1 << 30,
    }));
    let last = store
        .load(|host, bytes, callers| {
            let host = HostName::parse(host.as_bytes(), "").unwrap();
            let model = silhouette_reconstruct::Model::from_bytes(bytes).unwrap();
            hosts.restore(
                host.clone(),
                shard(&host, count),
                model,
                Callers::from_bytes(callers),
            );
        })
        .unwrap_or_default();
    let limits = Limits {
        bytes: 1 << 30,
        disk_reserve: Some(0),
        recent_bytes: 10_000,
    };
    let (journal, reader, recovery) =
        Journal::open(&dir.join("journal"), last.position, limits, |_| {}).unwrap();
    let metrics = Arc::new(Metrics::default());
    let learners = Learners::start(Parts {
        reader,
        journal: journal.shared(),
        store,
        last,
        hosts: hosts.clone(),
        metrics: metrics.clone(),
        learners: count,
        max_body: 1 << 20,
        pace,
        first_segment: recovery.first_segment,
    })
    .unwrap();
    World {
        journal,
        learners,
        hosts,
        metrics,
    }
}

fn batch(sequence: u64, exchanges: usize) -> Batch {
    let exchange = |n: usize| Exchange {
        start_unix_nanos: 1_799_999_999_000_000_000,
        scheme: "http".into(),
        authority: format!("host-{}.example", n % 7).into_bytes().into(),
        request: Some(Request {
            method: "GET".into(),
            path: "/books".into(),
            ..Default::default()
        }),
        response: Some(Response {
            status: if n % 10 == 9 { 0 } else { 200 },
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = ExportRequest {
        shim: Some(Shim {
            kind: "nginx".into(),
            instance: vec![9; 16].into(),
            ..Default::default()
        }),
        sequence,
        exchanges: (0..exchanges).map(exchange).collect(),
        ..Default::default()
    };
    Batch {
        received: 1_800_000_000_000,
        payload: request.encode_to_vec().into(),
    }
}

impl World {
    /// Waits until everything is learnt; the exchanges per host, summed.
    fn settle(&self, accepted: u64) -> u64 {
        let totals = self.learners.totals();
        let until = Instant::now() + Duration::from_secs(60);
        while totals.get().done() < accepted && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let totals = totals.get();
        assert_eq!((totals.accepted, totals.done()), (accepted, accepted));
        self.hosts
            .list()
            .iter()
            .map(|host| host.summary(&DocumentOptions::default()).exchanges)
            .sum()
    }

    fn end(self) {
        drop(self.journal);
        self.learners.join();
    }
}

#[test]
fn everything_is_learnt_once_and_there_again_after_a_restart() {
    for count in [1, 3] {
        let dir = tempfile::tempdir().unwrap();
        let mut world_1 = world(dir.path(), count, HOURS);
        for sequence in 1..=20 {
            world_1.journal.append(&[batch(sequence, 50)]).unwrap();
        }
        // Should the same batch be in the journal twice, it still counts once.
        world_1.journal.append(&[batch(20, 50)]).unwrap();
        assert_eq!(world_1.settle(1000), 900);
        assert_eq!(world_1.hosts.len(), 7);
        let totals = world_1.learners.totals().get();
        assert_eq!(totals.rejected["bad_status"], 100);
        world_1.end();
        assert_eq!(
            std::fs::read_dir(dir.path().join("journal"))
                .unwrap()
                .count(),
            0,
            "the last checkpoint frees the journal"
        );

        let mut world_2 = world(dir.path(), count, HOURS);
        assert_eq!(world_2.settle(1000), 900);
        world_2
            .journal
            .append(&[batch(20, 50), batch(21, 10)])
            .unwrap();
        assert_eq!(world_2.settle(1010), 909);
        assert_eq!(world_2.metrics.replayed.get(), 0);
        world_2.end();
    }
}

#[test]
fn after_a_crash_the_journal_is_learnt_on_top_of_the_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let often = Pace {
        interval: Duration::from_millis(1),
        bytes: 1,
    };
    let copies = tempfile::tempdir().unwrap();
    let mut world_1 = world(dir.path(), 2, often);
    // What a power cut leaves at any moment is what a copy of the directory holds, as long as the journal is copied
    // after the state: the state may be older than the journal, never the other way round.
    let mut copied = Vec::new();
    for sequence in 1..=40 {
        world_1.journal.append(&[batch(sequence, 30)]).unwrap();
        if sequence % 8 == 0 {
            let to = copies.path().join(sequence.to_string());
            std::fs::create_dir_all(to.join("journal")).unwrap();
            std::fs::copy(dir.path().join("state.redb"), to.join("state.redb")).unwrap();
            for file in std::fs::read_dir(dir.path().join("journal")).unwrap() {
                let file = file.unwrap();
                let _ = std::fs::copy(file.path(), to.join("journal").join(file.file_name()));
            }
            copied.push((sequence, to));
        }
    }
    world_1.settle(1200);
    assert!(world_1.metrics.checkpoints.get() > 0);
    world_1.end();
    let mut opened = 0;
    for (sequence, dir) in copied {
        // A copy made while the database was being written may be torn in ways that no disk tears it.
        if Store::open(&dir)
            .and_then(|mut store| store.load(|_, _, _| {}))
            .is_err()
        {
            continue;
        }
        opened += 1;
        let world = world(&dir, 3, HOURS);
        assert_eq!(world.settle(sequence * 30), sequence * 27);
        world.end();
    }
    assert!(opened > 0);
}

#[test]
fn a_checkpoint_that_fails_keeps_the_journal_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let soon = Pace {
        interval: Duration::from_millis(50),
        bytes: u64::MAX,
    };
    let later = dir.path().join("later");
    let store = Store::unreachable(later.join("state.redb"));
    let mut world_1 = world_with(store, dir.path(), 2, soon);
    let wait = |what: &dyn Fn() -> bool| {
        let until = Instant::now() + Duration::from_secs(60);
        while !what() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(what());
    };
    world_1.journal.append(&[batch(1, 10)]).unwrap();
    world_1.settle(10);
    wait(&|| world_1.metrics.checkpoint_failures.get() > 0);
    world_1.journal.append(&[batch(2, 10)]).unwrap();
    world_1.settle(20);
    let held = world_1.journal.shared().held();
    assert!(held > 2 * batch(1, 10).payload.len() as u64);
    std::fs::create_dir(&later).unwrap();
    wait(&|| world_1.metrics.checkpoints.get() > 0);
    world_1.end();

    let store = Store::open(&later).unwrap();
    let world_2 = world_with(store, dir.path(), 2, HOURS);
    assert_eq!(world_2.settle(20), 18);
    world_2.end();
}

#[test]
fn a_learner_keeps_what_was_not_saved() {
    use learner::{Learner, Work};
    let hosts = Arc::new(Hosts::new(Bounds {
        hosts: 5,
        host_memory: 8 << 20,
        model_memory: 1 << 30,
    }));
    let learner = Learner::new(0, hosts, Arc::default(), Arc::default(), 1 << 20);
    let (queue, work) = sync_channel(10);
    let thread = std::thread::spawn(move || learner.run(&work));
    let learn = |host: &str| {
        let envelope = Envelope::open(&batch(1, 1).payload).unwrap();
        let portion = learner::Portion {
            shim: "nginx".into(),
            received: 1_800_000_000_000,
            exchanges: vec![learner::Routed {
                host: HostName::parse(host.as_bytes(), "").unwrap(),
                scheme: "http",
                exchange: envelope.exchanges[0].clone(),
            }],
        };
        queue.send(Work::Learn(portion)).unwrap();
    };
    let mark = |last_was_saved| {
        let (models, saved) = sync_channel(100);
        queue
            .send(Work::Mark {
                last_was_saved,
                models,
            })
            .unwrap();
        let mut hosts = Vec::new();
        loop {
            match saved.recv().unwrap() {
                checkpoint::Saved::Model(host, Some(_)) => hosts.push(host),
                checkpoint::Saved::Model(host, None) => hosts.push(format!("-{host}")),
                checkpoint::Saved::Done(totals) => {
                    hosts.sort();
                    return (hosts.join(" "), totals.learnt);
                }
            }
        }
    };
    learn("a");
    assert_eq!(mark(true), ("a".into(), 1));
    learn("b");
    assert_eq!(mark(false), ("a b".into(), 2), "the first was not saved");
    learn("c");
    assert_eq!(mark(true), ("c".into(), 3));
    assert_eq!(mark(true), (String::new(), 3));
    drop(queue);
    thread.join().unwrap();
}

/// Damage to encoded bytes: what, where (in 65536ths), with what.
type Damage = (u8, u16, u8);

/// Bytes as a broken sender or a hostile one could send them.
fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for (what, place, with) in damage {
        let at = bytes.len() * usize::from(*place) / 65_536;
        let end = (at + 1 + usize::from(*with % 32)).min(bytes.len());
        match what % 6 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *with),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = if what % 6 == 4 {
                        *with
                    } else {
                        *byte ^ (1 << (with % 8))
                    };
                }
            }
        }
    }
    bytes
}

proptest::proptest! {
    // A count that is never reached takes a minute to fail, so there is no time to look for the smallest one.
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, max_shrink_iters: 2, ..Default::default() })]

    /// An exchange of any bytes is learnt, left out or rejected, and counted as one of these once; and none makes learning panic.
    #[test]
    fn whatever_the_bytes_each_exchange_is_counted_once(
        all in proptest::collection::vec(
            proptest::collection::vec(proptest::prelude::any::<Damage>(), 0..6), 1..20),
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        around in proptest::collection::vec(proptest::prelude::any::<Damage>(), 0..3),
    ) {
        use silhouette_proto::telemetry::v1::{Body, Header};
        let header = |name: &'static str, value: &'static str| Header { name: name.into(), value: value.into() };
        let mut exchange = Exchange {
            start_unix_nanos: 1_799_999_999_000_000_000,
            duration_micros: Some(900),
            scheme: "https".into(),
            authority: "shop.example".into(),
            request: Some(Request {
                method: "POST".into(),
                path: "/books/7".into(),
                query: Some("page=1&q=x".into()),
                headers: vec![header("content-type", "application/json"), header("x-odd", "1")],
                body: Some(Body { data: "{\"id\":7}".into(), original_size: 8, ..Default::default() }),
                ..Default::default()
            }),
            response: Some(Response {
                status: 201,
                headers: vec![header("content-encoding", "gzip")],
                body: Some(Body { data: "\u{1f}{\"id\":7}".into(), original_size: 9, ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut payload = ExportRequest {
            shim: Some(Shim { kind: "nginx".into(), instance: vec![9; 16].into(), ..Default::default() }),
            sequence: 1,
            ..Default::default()
        }
        .encode_to_vec();
        let mut encoded = vec![noise];
        for damage in &all {
            exchange.duration_micros = Some(encoded.len() as u64);
            encoded.push(damaged(exchange.encode_to_vec(), damage));
        }
        for bytes in &encoded {
            // Field 3, length-delimited: what is inside is the learner's to judge.
            payload.push(0x1a);
            prost::encoding::encode_varint(bytes.len() as u64, &mut payload);
            payload.extend(bytes);
        }
        let mut count = encoded.len() as u64;
        let dir = tempfile::tempdir().unwrap();
        let mut world = world(dir.path(), 2, HOURS);
        let first = Envelope::open(&Bytes::from(payload.clone())).unwrap().instance;
        let sent = |payload: Vec<u8>| Batch { received: 1_800_000_000_000, payload: payload.into() };
        world.journal.append(&[sent(payload.clone())]).unwrap();
        // The batch itself damaged: refused as a whole where it cannot be opened, else each of its exchanges counts.
        let mut other = damaged(payload, &around);
        other.extend([0x10, 2]);
        let opened = Envelope::open(&Bytes::from(other.clone()));
        if let Ok(envelope) = opened {
            // Damage may hide the other number, and then it is the same batch once more.
            let again = envelope.sequence == 1 && envelope.instance == first;
            count += if again { 0 } else { envelope.exchanges.len() as u64 };
            world.journal.append(&[sent(other)]).unwrap();
        }
        let learnt = world.settle(count);
        let totals = world.learners.totals().get();
        let left_out: u64 = totals.left_out.values().sum();
        let rejected: u64 = totals.rejected.values().sum();
        proptest::prop_assert_eq!(totals.learnt + left_out + rejected, count);
        proptest::prop_assert_eq!(learnt, totals.learnt + left_out, "models hold what is not rejected");
        proptest::prop_assert_eq!(totals.rejected.get("panicked"), None);
        world.end();
    }
}
