use super::*;

const LIMIT: u64 = 1 << 30;

fn kept(dir: &tempfile::TempDir) -> Outbox {
    Outbox::new(dir.path(), LIMIT)
}

fn put(outbox: &Outbox, host: &str, contract: u8, now: u64) -> Put {
    let body = format!("{host} {contract}");
    outbox
        .put(host, [contract; 32], body.as_bytes(), 99, now, false)
        .unwrap()
}

fn next(outbox: &Outbox) -> Option<(String, u64)> {
    let next = outbox.next(|_| true).unwrap();
    next.map(|(host, entry)| (host, entry.sequence))
}

fn body(outbox: &Outbox, host: &str, sequence: u64) -> Option<String> {
    let body = outbox.body(host, sequence).unwrap();
    body.map(|body| String::from_utf8(body).unwrap())
}

#[test]
fn revisions_of_a_host_leave_in_order_and_the_oldest_host_first() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = kept(&dir);
    assert_eq!(put(&outbox, "b", 1, 10), Put::Kept(1));
    assert_eq!(put(&outbox, "a", 1, 20), Put::Kept(1));
    assert_eq!(put(&outbox, "b", 2, 30), Put::Kept(2));
    assert_eq!(put(&outbox, "b", 2, 40), Put::Known);
    assert_eq!(next(&outbox), Some(("b".into(), 1)));
    let other = outbox.next(|host| host != "b").unwrap().unwrap();
    assert_eq!((other.0.as_str(), other.1.emitted), ("a", 20));
    assert_eq!(body(&outbox, "b", 1).as_deref(), Some("b 1"));
    outbox.delivered("b", 1, 50).unwrap();
    assert_eq!(body(&outbox, "b", 1), None);
    assert_eq!(next(&outbox), Some(("a".into(), 1)));
    outbox.delivered("a", 1, 51).unwrap();
    outbox.delivered("b", 2, 52).unwrap();
    outbox.delivered("b", 2, 53).unwrap();
    outbox.delivered("never", 1, 53).unwrap();
    assert_eq!(next(&outbox), None);
    let totals = outbox.totals().unwrap();
    let none = Totals {
        hosts: 2,
        ..Totals::default()
    };
    assert_eq!(totals, none);
    assert_eq!(put(&outbox, "b", 2, 60), Put::Known, "sent already");
    assert_eq!(
        put(&outbox, "b", 1, 60),
        Put::Kept(3),
        "back to what it was"
    );
}

#[test]
fn everything_is_there_after_another_start() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = kept(&dir);
    put(&outbox, "a", 1, 10);
    put(&outbox, "a", 2, 20);
    put(&outbox, "b", 1, 30);
    outbox.delivered("a", 1, 40).unwrap();
    let (before, hosts) = (outbox.totals().unwrap(), outbox.list().unwrap());
    let second = Outbox::new(dir.path(), LIMIT).totals();
    assert!(
        matches!(second, Err(OutboxError::InUse { .. })),
        "{second:?}"
    );
    drop(outbox);
    let outbox = kept(&dir);
    assert_eq!(outbox.totals().unwrap(), before);
    assert_eq!(outbox.list().unwrap(), hosts);
    assert_eq!((before.pending, before.oldest), (2, Some(20)));
    assert_eq!(next(&outbox), Some(("a".into(), 2)));
    assert_eq!(body(&outbox, "a", 2).as_deref(), Some("a 2"));
    assert_eq!(put(&outbox, "b", 1, 50), Put::Known);
    assert_eq!(put(&outbox, "a", 3, 50), Put::Kept(3));
}

#[test]
fn a_refused_revision_makes_way_and_is_tried_again_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = kept(&dir);
    put(&outbox, "a", 1, 10);
    put(&outbox, "a", 2, 20);
    let refused = |sequence| Refused {
        sequence,
        status: 422,
        why: "no document".into(),
        at: 30,
    };
    outbox.refused("a", refused(1)).unwrap();
    assert_eq!(next(&outbox), Some(("a".into(), 2)));
    outbox.refused("a", refused(2)).unwrap();
    assert_eq!(put(&outbox, "a", 2, 40), Put::Known, "not by itself");
    let again = outbox.put("a", [2; 32], b"x", 1, 50, true).unwrap();
    assert_eq!(again, Put::Kept(3));
    let (record, pending) = outbox.standing("a").unwrap().unwrap();
    assert_eq!((record.refused, pending), (Some(refused(2)), 1));
    outbox.delivered("a", 3, 60).unwrap();
    let (record, _) = outbox.standing("a").unwrap().unwrap();
    assert_eq!(record.refused, None);
    let again = outbox.put("a", [2; 32], b"x", 1, 70, true).unwrap();
    assert_eq!(again, Put::Known, "what was taken is not sent again");
}

#[test]
fn full_it_folds_the_older_ones_of_the_host_with_most_and_keeps_each_newest() {
    let dir = tempfile::tempdir().unwrap();
    // Room for eight small entries.
    let outbox = Outbox::new(dir.path(), 8 * 1024);
    put(&outbox, "small", 1, 1);
    put(&outbox, "small", 2, 2);
    for n in 1..=10 {
        put(&outbox, "busy", n, u64::from(n) + 10);
    }
    let totals = outbox.totals().unwrap();
    assert_eq!(
        (totals.bytes, totals.pending, totals.merged),
        (8 * 1024, 8, 4)
    );
    let (record, pending) = outbox.standing("busy").unwrap().unwrap();
    assert_eq!((record.merged, pending), (4, 6));
    assert_eq!(
        outbox
            .next(|host| host == "busy")
            .unwrap()
            .unwrap()
            .1
            .sequence,
        5
    );
    assert_eq!(body(&outbox, "busy", 4), None);
    assert_eq!(body(&outbox, "busy", 10).as_deref(), Some("busy 10"));
    // More hosts than there is room for: each keeps its newest, and nothing else.
    for n in 0..20 {
        put(&outbox, &format!("h{n}"), 1, 100);
        put(&outbox, &format!("h{n}"), 2, 101);
    }
    let totals = outbox.totals().unwrap();
    assert_eq!((totals.pending, totals.hosts), (22, 22));
    assert_eq!(totals.pending + totals.merged, 12 + 40);
    drop(outbox);
    let outbox = Outbox::new(dir.path(), 8 * 1024);
    assert_eq!(outbox.totals().unwrap(), totals, "counted over restarts");
    for standing in outbox.list().unwrap() {
        assert_eq!(
            (standing.pending, standing.record.contract.is_some()),
            (1, true)
        );
    }
}

#[test]
fn what_waits_is_numbered_above_what_the_catalog_has() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = kept(&dir);
    for n in 1..=3 {
        put(&outbox, "a", n, u64::from(n));
    }
    outbox.renumber("a", 70).unwrap();
    outbox.renumber("never", 70).unwrap();
    assert_eq!(next(&outbox), Some(("a".into(), 71)));
    for (n, sequence) in [(1, 71), (2, 72), (3, 73)] {
        assert_eq!(
            body(&outbox, "a", sequence),
            Some(format!("a {n}")),
            "in order"
        );
    }
    assert_eq!(body(&outbox, "a", 1), None);
    assert_eq!(put(&outbox, "a", 3, 9), Put::Known);
    assert_eq!(put(&outbox, "a", 4, 9), Put::Kept(74));
    // A latest below ours moves on all the same: the number itself was refused.
    outbox.renumber("a", 5).unwrap();
    assert_eq!(next(&outbox), Some(("a".into(), 75)));
    assert_eq!(outbox.totals().unwrap().pending, 4);
}

#[test]
fn another_catalog_gets_every_host_anew() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = kept(&dir);
    outbox.adopt("one").unwrap();
    put(&outbox, "sent", 1, 1);
    outbox.delivered("sent", 1, 2).unwrap();
    put(&outbox, "waits", 1, 3);
    assert!(!outbox.adopt("one").unwrap());
    assert_eq!(put(&outbox, "sent", 1, 4), Put::Known);
    assert!(outbox.adopt("two").unwrap());
    assert_eq!(put(&outbox, "waits", 1, 5), Put::Known, "it waits already");
    assert_eq!(put(&outbox, "sent", 1, 5), Put::Kept(2));
    outbox.delivered("sent", 2, 6).unwrap();
    outbox.forget("sent").unwrap();
    assert_eq!(put(&outbox, "sent", 1, 7), Put::Kept(3));
    drop(outbox);
    kept(&dir).adopt("two").unwrap();
    let outbox = kept(&dir);
    outbox.delivered("sent", 3, 8).unwrap();
    assert_eq!(put(&outbox, "sent", 1, 9), Put::Known);
}

#[test]
fn a_file_that_is_no_outbox_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), vec![b'x'; 9000]).unwrap();
    let outbox = kept(&dir);
    let error = outbox.totals().unwrap_err().to_string();
    assert!(error.contains("outbox.redb"), "{error}");
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    assert_eq!(
        outbox.totals().unwrap().pending,
        0,
        "it goes on by itself once it can"
    );
}
