//! Records of an emulated BIG-IP that the log traffic loses, cuts, doubles or mixes up, and records that nobody's rule has sent:
//! what the real collector learns, and what it tells of the rest.

use anyhow::{Context, Result};
use silhouette_e2e::bigip::{BigIp, Fault, Setup};
use silhouette_e2e::logpool::signed;
use silhouette_e2e::process::{PATIENCE, wait_until};
use silhouette_e2e::{Collector, Origin, curl};

const NAME: &str = "bigip-1";

struct Bench {
    collector: Collector,
    bigip: BigIp,
    key: String,
    _origin: Origin,
}

impl Bench {
    fn start(tmms: usize) -> Result<Bench> {
        let (collector, key) = Collector::start_with_hsl_key(NAME, &[])?;
        let origin = Origin::start()?;
        let mut setup = Setup::capturing(collector.hsl()?, (NAME, &key), origin.address(), &[]);
        setup.tmms = tmms;
        let bigip = BigIp::start(&setup)?;
        Ok(Bench {
            collector,
            bigip,
            key,
            _origin: origin,
        })
    }

    /// So many exchanges, each on a connection of its own: the TMMs take turns.
    fn ask(&self, count: usize) -> Result<()> {
        for n in 0..count {
            let answer = curl([self.bigip.url(&format!("/json?n={n}"))])?;
            assert_eq!(answer.status, 200);
        }
        Ok(())
    }

    /// Waits until everything that the BIG-IP has captured has come, or is known to be lost.
    fn settled(&self) -> Result<Sums> {
        let captured = || -> Result<u64> {
            let numbers = self.bigip.statics("sil_seq")?;
            Ok(numbers.iter().filter_map(|n| n.parse::<u64>().ok()).sum())
        };
        wait_until("every record came or is lost", PATIENCE, || {
            let all = || -> Result<bool> {
                let sums = self.sums()?;
                Ok(sums.captured == captured()?
                    && sums.late == 0
                    && sums.captured == sums.before + sums.received + sums.lost)
            };
            all().unwrap_or(false)
        })
        .with_context(|| format!("{:?} captured, {:?}", captured(), self.sums()))?;
        self.sums()
    }

    fn sums(&self) -> Result<Sums> {
        let sum = |member| self.collector.hsl_sum(member);
        Ok(Sums {
            captured: sum("captured")?,
            before: sum("before")?,
            received: sum("received")?,
            lost: sum("lost")?,
            late: sum("late")?,
            doubled: sum("doubled")?,
            refused_by_hsl: sum("refused_by_hsl")?,
        })
    }

    /// Exchanges the collector has learnt from.
    fn learnt(&self) -> Result<u64> {
        let hosts = self.collector.get("/v1/hosts")?.json()?;
        let hosts = hosts["hosts"].as_array().context("hosts")?;
        Ok(hosts
            .iter()
            .filter_map(|host| host["exchanges"].as_u64())
            .sum())
    }

    fn learns(&self, count: u64) -> Result<()> {
        wait_until("as many are learnt", PATIENCE, || {
            self.learnt().is_ok_and(|n| n == count)
        })
        .with_context(|| format!("{:?} instead of {count}", self.learnt()))
    }

    fn refuses(&self, reason: &str, count: u64) -> Result<()> {
        let refused = || self.collector.hsl_refused(reason);
        wait_until(reason, PATIENCE, || refused().is_ok_and(|n| n == count)).with_context(|| {
            let all = self.collector.get("/v1/hsl").map(|answer| answer.text());
            format!("{:?} instead of {count}: {all:?}", refused())
        })
    }

    /// The last record's fields.
    fn fields(&self) -> Result<Vec<String>> {
        let line = String::from_utf8(self.bigip.last_record()?)?;
        let fields = line.trim_end().splitn(5, ' ').nth(4).context("fields")?;
        Ok(fields.split(' ').map(str::to_owned).collect())
    }
}

#[derive(Debug, Clone, Copy)]
struct Sums {
    captured: u64,
    before: u64,
    received: u64,
    lost: u64,
    late: u64,
    doubled: u64,
    refused_by_hsl: u64,
}

#[test]
fn every_record_is_learnt_once_and_told_by_tmm() -> Result<()> {
    let bench = Bench::start(2)?;
    bench.ask(40)?;
    let sums = bench.settled()?;
    assert_eq!((sums.lost, sums.doubled, sums.before), (0, 0, 0));
    bench.learns(sums.captured)?;
    let all = bench.collector.get("/v1/hsl")?.json()?;
    let senders = all["senders"].as_array().context("senders")?;
    assert_eq!(senders.len(), 2, "{all}");
    for (tmm, sender) in senders.iter().enumerate() {
        assert_eq!(sender["key"], NAME);
        assert_eq!(sender["host"], "bigip-1.example.com");
        assert!(senders.iter().any(|one| one["tmm"] == tmm), "{all}");
    }
    bench.bigip.clean()
}

#[test]
fn a_record_cut_in_the_middle_costs_none_of_its_neighbours() -> Result<()> {
    let bench = Bench::start(1)?;
    bench.ask(3)?;
    bench.bigip.next(Fault::Cut, 1)?;
    bench.ask(4)?;
    let sums = bench.settled()?;
    assert_eq!((sums.lost, sums.received), (1, 6));
    bench.learns(sums.received)?;
    assert_eq!(
        bench
            .collector
            .metric("silhouette_hsl_records_lost_total", "")?,
        1.0
    );
    bench.bigip.clean()
}

#[test]
fn what_hsl_did_not_take_is_told_apart_from_what_the_network_lost() -> Result<()> {
    let bench = Bench::start(1)?;
    bench.bigip.next(Fault::Refuse, 3)?;
    bench.ask(4)?;
    bench.bigip.next(Fault::Lose, 2)?;
    bench.ask(3)?;
    let sums = bench.settled()?;
    assert_eq!((sums.lost, sums.refused_by_hsl), (5, 3));
    bench.learns(sums.received)?;
    assert_eq!(
        bench
            .collector
            .metric("silhouette_hsl_records_lost_total", "")?,
        5.0
    );
    bench.bigip.clean()
}

#[test]
fn doubled_late_and_reordered_records_count_once_and_are_not_lost() -> Result<()> {
    let bench = Bench::start(1)?;
    for fault in [Fault::Double, Fault::Delay, Fault::Reorder] {
        bench.bigip.next(fault, 2)?;
        bench.ask(5)?;
    }
    let sums = bench.settled()?;
    assert_eq!((sums.lost, sums.doubled), (0, 2));
    bench.learns(sums.captured)?;
    bench.bigip.clean()
}

#[test]
fn a_replayed_record_counts_once_also_after_a_restart() -> Result<()> {
    let mut bench = Bench::start(1)?;
    bench.ask(2)?;
    let sums = bench.settled()?;
    bench.learns(sums.captured)?;
    let record = bench.bigip.last_record()?;
    for _ in 0..3 {
        bench.bigip.inject(&record)?;
    }
    wait_until("it is known as doubled", PATIENCE, || {
        bench.sums().is_ok_and(|sums| sums.doubled == 3)
    })?;
    bench.collector.kill_9();
    bench.collector.restart()?;
    bench.bigip.inject(&record)?;
    wait_until("it is known as doubled", PATIENCE, || {
        bench.sums().is_ok_and(|sums| sums.doubled == 1)
    })?;
    bench.learns(sums.captured)
}

#[test]
fn records_that_are_not_as_they_were_signed_are_refused() -> Result<()> {
    let bench = Bench::start(1)?;
    bench.ask(1)?;
    let sums = bench.settled()?;
    let record = String::from_utf8(bench.bigip.last_record()?)?;
    // Another number in it, another signature, no signature.
    let fields = bench.fields()?;
    let number = format!(" {} {} {} ", fields[0], fields[1], fields[2]);
    let other = format!(" {} {} 9{} ", fields[0], fields[1], fields[2]);
    let same_length = other
        .replacen(" 9", " ", 1)
        .replace(&number, &number.replace(" 0 ", " 1 "));
    assert_ne!(record, record.replace(&number, &same_length));
    bench
        .bigip
        .inject(record.replace(&number, &same_length).as_bytes())?;
    bench.refuses("forged", 1)?;
    let wrong_key = signed((NAME, "silk_of_somebody_else"), &fields.join(" "));
    bench.bigip.inject(&wrong_key)?;
    bench.refuses("forged", 2)?;
    bench
        .bigip
        .inject(&signed(("nobody", &bench.key), &fields.join(" ")))?;
    bench.refuses("unknown_key", 1)?;
    bench.learns(sums.captured)?;
    let shown = bench.collector.get("/v1/hsl")?.text();
    assert!(
        !shown.contains(&bench.key) && !shown.contains("/json"),
        "{shown}"
    );
    bench.bigip.clean()
}

#[test]
fn what_is_no_record_is_refused_and_what_follows_it_is_taken() -> Result<()> {
    let bench = Bench::start(1)?;
    bench.ask(1)?;
    let sums = bench.settled()?;
    let mut fields = bench.fields()?;
    let mut count = sums.captured;
    let binary: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    for (garbage, reason) in [
        (vec![b'x'; 300_000], "too_long"),
        (binary, "not_a_record"),
        (b"GET / HTTP/1.1".to_vec(), "not_a_record"),
        (b"SIL1 5 bigip-1 00 short".to_vec(), "not_a_record"),
        (
            [&b"SIL1 300000 "[..], &[b'y'; 300_000]].concat(),
            "too_long",
        ),
    ] {
        let before = bench.collector.hsl_refused(reason)?;
        count += 1;
        fields[2] = count.to_string();
        let good = signed((NAME, &bench.key), &fields.join(" "));
        bench.bigip.inject(&[&garbage[..], b"\n", &good].concat())?;
        bench.refuses(reason, before + 1)?;
        bench.learns(count)?;
    }
    bench.bigip.clean()
}

#[test]
fn fields_that_are_wrong_are_named() -> Result<()> {
    let bench = Bench::start(1)?;
    bench.ask(1)?;
    let sums = bench.settled()?;
    let fields = bench.fields()?;
    for (nth, (at, value, reason)) in [
        (0, "xyz", "fields"),
        (2, "0", "fields"),
        (5, "1000000000", "clock"),
        (5, "99999999999", "clock"),
        (9, "not.an.address", "fields"),
        (18, "!!!", "fields"),
        (19, "!!!", "head"),
        (19, "bm90aGluZw==", "head"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut wrong = fields.clone();
        wrong[2] = (1000 + nth).to_string();
        wrong[at] = value.to_owned();
        let before = bench.collector.hsl_refused(reason)?;
        bench
            .bigip
            .inject(&signed((NAME, &bench.key), &wrong.join(" ")))?;
        bench
            .refuses(reason, before + 1)
            .with_context(|| format!("field {}: {value}", at + 1))?;
    }
    let short = fields.get(..22).context("22 fields")?.join(" ");
    let before = bench.collector.hsl_refused("fields")?;
    bench.bigip.inject(&signed((NAME, &bench.key), &short))?;
    bench.refuses("fields", before + 1)?;
    bench.learns(sums.captured)
}

#[test]
fn a_key_can_be_changed_while_all_runs_and_a_revoked_one_counts_no_more() -> Result<()> {
    let bench = Bench::start(1)?;
    let second = bench.collector.hsl_key("bigip-1b")?;
    bench.bigip.set("key_id", "bigip-1b")?;
    bench.bigip.set("key", &second)?;
    bench.bigip.forward(6)?;
    wait_until("the new key counts", PATIENCE, || {
        let senders = || {
            bench.ask(1)?;
            bench.collector.get("/v1/hsl")?.json()
        };
        senders().is_ok_and(|all| {
            let mut senders = all["senders"].as_array().into_iter().flatten();
            senders.any(|one| one["key"] == "bigip-1b")
        })
    })?;
    bench.collector.revoke_hsl_key("bigip-1b")?;
    wait_until("the revoked key is refused", PATIENCE, || {
        bench.ask(1).is_ok()
            && bench
                .collector
                .hsl_refused("revoked_key")
                .is_ok_and(|n| n > 0)
    })?;
    bench.bigip.clean()
}

#[test]
fn a_collector_that_is_away_costs_no_client_anything_and_what_is_missing_is_told() -> Result<()> {
    let mut bench = Bench::start(2)?;
    bench.ask(10)?;
    let sums = bench.settled()?;
    bench.learns(sums.captured)?;
    bench.collector.kill_9();
    bench.ask(20)?;
    bench.collector.restart()?;
    wait_until("records come again from both TMMs", PATIENCE, || {
        bench.ask(2).is_ok()
            && bench
                .collector
                .get("/v1/hsl")
                .and_then(|answer| answer.json())
                .is_ok_and(|all| {
                    all["senders"]
                        .as_array()
                        .is_some_and(|senders| senders.len() == 2)
                })
    })?;
    bench.bigip.clean()?;
    let sums = bench.settled()?;
    assert!(sums.lost > 0, "{sums:?}");
    bench.learns(sums.before + sums.received)
}

#[test]
fn datagrams_count_as_connections_do() -> Result<()> {
    let (collector, key) =
        Collector::start_with_hsl_key(NAME, &["--hsl-udp-listen", "127.0.0.1:0"])?;
    let origin = Origin::start()?;
    let more = [("transport", "udp")];
    let setup = Setup::capturing(collector.hsl_udp()?, (NAME, &key), origin.address(), &more);
    let bench = Bench {
        collector,
        bigip: BigIp::start(&setup)?,
        key,
        _origin: origin,
    };
    bench.ask(3)?;
    bench.bigip.next(Fault::Lose, 1)?;
    bench.bigip.next(Fault::Double, 1)?;
    bench.ask(4)?;
    let sums = bench.settled()?;
    assert_eq!((sums.captured, sums.lost, sums.doubled), (7, 1, 1));
    bench.learns(sums.received)?;
    bench.bigip.clean()
}
