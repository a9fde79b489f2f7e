//! The journal on a real file system: what is appended is read once, in order, across restarts and damage.

use super::*;
use std::time::Duration;

const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    disk_reserve: Some(0),
    recent_bytes: 1 << 20,
};

fn batch(text: &str) -> Batch {
    Batch {
        received: 1,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn open(dir: &Path, from: Position, limits: Limits) -> (Journal, Reader, Recovery) {
    Journal::open(dir, from, limits, |_| {}).unwrap()
}

fn read_all(reader: &mut Reader) -> Vec<String> {
    let mut found = Vec::new();
    while let Step::Entry(entry) = reader.next(Duration::ZERO) {
        found.push(String::from_utf8(entry.payload.to_vec()).unwrap());
    }
    found
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn batches_come_back_in_order_from_memory_and_from_files() {
    for recent_bytes in [0, 7, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits {
            recent_bytes,
            ..LIMITS
        };
        let (mut journal, mut reader, _) = open(dir.path(), Position::default(), limits);
        let mut expected = Vec::new();
        for n in 0..20 {
            let group = [batch(&format!("a{n}")), batch(&format!("b{n}"))];
            journal.append(&group).unwrap();
            expected.extend([format!("a{n}"), format!("b{n}")]);
            if n % 3 == 0 {
                let found = read_all(&mut reader);
                assert_eq!(found, expected.drain(..found.len()).collect::<Vec<_>>());
                assert!(expected.is_empty(), "with {recent_bytes} bytes in memory");
            }
        }
        assert_eq!(read_all(&mut reader), expected);
        drop(journal);
        assert!(matches!(reader.next(Duration::from_secs(5)), Step::Closed));
    }
}

#[test]
fn a_restart_goes_on_where_the_checkpoint_was() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut reader, _) = open(dir.path(), Position::default(), LIMITS);
    journal.append(&[batch("one"), batch("two")]).unwrap();
    let Step::Entry(one) = reader.next(Duration::ZERO) else {
        panic!()
    };
    journal.append(&[batch("three")]).unwrap();
    drop((journal, reader));

    let (mut journal, mut reader, recovery) = open(dir.path(), one.end, LIMITS);
    assert_eq!((recovery.batches, recovery.damages), (2, vec![]));
    journal.append(&[batch("four")]).unwrap();
    assert_eq!(read_all(&mut reader), ["two", "three", "four"]);
    assert_eq!(files(dir.path()).len(), 2);
    // Everything is learnt: only the segment being written stays.
    journal.shared().forget_before(reader.position());
    assert_eq!(files(dir.path()), ["00000000000000000002.log"]);
    let end = reader.position();
    drop((journal, reader));

    let (journal, mut reader, recovery) = open(dir.path(), end, LIMITS);
    assert_eq!(recovery.batches, 0);
    assert!(read_all(&mut reader).is_empty());
    drop(journal);
}

#[test]
fn a_number_is_never_used_again_when_the_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let from = Position {
        segment: 7,
        offset: 500,
    };
    let (mut journal, mut reader, _) = open(dir.path(), from, LIMITS);
    journal.append(&[batch("new")]).unwrap();
    assert_eq!(files(dir.path()), ["00000000000000000008.log"]);
    assert_eq!(read_all(&mut reader), ["new"]);
}

#[test]
fn a_torn_tail_and_a_damaged_middle_are_reported_set_aside_and_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    for texts in [["one", "two", "three"], ["four", "five", "six"]] {
        let (mut journal, ..) = open(dir.path(), Position::default(), LIMITS);
        journal.append(&texts.map(batch)).unwrap();
    }
    let (first, second) = (
        dir.path().join("00000000000000000001.log"),
        dir.path().join("00000000000000000002.log"),
    );
    let mut bytes = fs::read(&first).unwrap();
    let two = bytes.windows(3).position(|at| at == b"two").unwrap();
    bytes[two] ^= 1;
    fs::write(&first, &bytes).unwrap();
    let torn = fs::read(&second).unwrap();
    fs::write(&second, &torn[..torn.len() - 2]).unwrap();
    let third = dir.path().join("00000000000000000003.log");
    fs::write(&third, b"").unwrap();
    let fourth = dir.path().join("00000000000000000004.log");
    fs::write(&fourth, b"not a segment").unwrap();

    let (mut journal, mut reader, recovery) = open(dir.path(), Position::default(), LIMITS);
    assert_eq!(read_all(&mut reader), ["one", "three", "four", "five"]);
    let damages = &recovery.damages;
    assert_eq!(damages.len(), 3 + 1, "{damages:?}");
    assert_eq!(damages[0].file, first);
    let aside = fs::read(damages[0].aside.as_ref().unwrap()).unwrap();
    assert!(aside.ends_with(b"uwo") || aside.windows(2).any(|at| at == b"wo"));
    assert_eq!(damages[1].file, second);
    assert_eq!(damages[1].range.end, torn.len() as u64 - 2);
    assert_eq!(damages[3].range, 0..13);
    journal.append(&[batch("seven")]).unwrap();
    assert_eq!(read_all(&mut reader), ["seven"]);
}

#[test]
fn segments_roll_and_are_deleted_when_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        bytes: 80_000,
        recent_bytes: 15_000,
        ..LIMITS
    };
    let (mut journal, mut reader, _) = open(dir.path(), Position::default(), limits);
    let text = "x".repeat(1000);
    let mut appended = 0;
    let error = loop {
        match journal.append(&[batch(&text)]) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Limit { .. }), "{error}");
    assert!((70..80).contains(&appended), "{appended}");
    assert!(files(dir.path()).len() >= 7);
    assert_eq!(read_all(&mut reader).len(), appended);
    journal.shared().forget_before(reader.position());
    assert_eq!(files(dir.path()).len(), 1);
    journal.append(&[batch(&text)]).unwrap();
    assert_eq!(read_all(&mut reader).len(), 1);
}

#[test]
fn a_disk_without_room_is_refused_before_it_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        disk_reserve: Some(1 << 60),
        ..LIMITS
    };
    let (mut journal, mut reader, _) = open(dir.path(), Position::default(), limits);
    for result in [journal.append(&[batch("x")]), journal.probe()] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("disk_reserve"), "{error}");
    }
    assert!(files(dir.path()).is_empty());
    journal.limits.disk_reserve = Some(0);
    journal.probe().unwrap();
    journal.append(&[batch("y")]).unwrap();
    assert_eq!(read_all(&mut reader), ["y"]);
}

#[test]
fn after_a_failed_write_the_segment_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut reader, _) = open(dir.path(), Position::default(), LIMITS);
    journal.append(&[batch("one")]).unwrap();
    // A descriptor that cannot be written to fails as a failing disk does.
    let path = dir.path().join("00000000000000000001.log");
    journal.active.as_mut().unwrap().file = File::open(path).unwrap();
    let error = journal.append(&[batch("lost")]).unwrap_err();
    assert!(error.to_string().contains("cannot write to"), "{error}");
    journal.append(&[batch("two")]).unwrap();
    assert_eq!(read_all(&mut reader), ["one", "two"]);
    drop(journal);
    let (_journal, mut reader, recovery) = open(dir.path(), Position::default(), LIMITS);
    assert_eq!(recovery.damages, []);
    assert_eq!(read_all(&mut reader), ["one", "two"]);
}

#[test]
fn what_the_disk_loses_while_running_is_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        recent_bytes: 0,
        ..LIMITS
    };
    let (mut journal, mut reader, _) = open(dir.path(), Position::default(), limits);
    journal.append(&[batch("one")]).unwrap();
    let path = dir.path().join("00000000000000000001.log");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(read_all(&mut reader).is_empty());
    journal.append(&[batch("two")]).unwrap();
    assert_eq!(read_all(&mut reader), ["two"]);
}
