use super::super::keys::Keyring;
use super::*;

const SECRET: &str = "silk_test";

fn ring() -> Keyring {
    Keyring::new([("bigip-1", SECRET), ("other", "silk_other")]).unwrap()
}

/// The fields of a small exchange, with one changed.
pub(super) fn fields(change: &[(&str, &str)]) -> String {
    let mut values = [
        "65f0000000c0ffee",
        "2",
        "7",
        "refused=3,fault=1",
        "-",
        "1710000000",
        "12",
        "15",
        "sp",
        "10.0.0.1%2",
        "40000",
        "192.0.2.1",
        "443",
        "2001:db8::1",
        "8080",
        "1.1",
        "0",
        "17",
        "-",
        "R0VU",
        "-",
        "SFRUUA==",
        "e30=",
    ];
    for (name, value) in change {
        let at = FIELDS.iter().position(|field| field == name).unwrap();
        values[at] = value;
    }
    values.join(" ")
}

fn line(change: &[(&str, &str)]) -> Vec<u8> {
    let mut line = signed("bigip-1", SECRET, fields(change).as_bytes());
    line.pop();
    line
}

/// Sequence numbers and reasons, in order.
fn found(line: &[u8]) -> Vec<Result<u64, &'static str>> {
    let (mut records, ring) = (Records::of(line), ring());
    let mut found = Vec::new();
    while let Some(next) = records.next(&ring) {
        found.push(
            next.map(|record| record.sequence)
                .map_err(|refusal| refusal.reason()),
        );
        assert!(found.len() < 100);
    }
    found
}

#[test]
fn a_record_is_read_field_by_field() {
    let line = line(&[]);
    let record = Records::of(&line).next(&ring()).unwrap().unwrap();
    assert_eq!(record.key.as_str(), "bigip-1");
    assert_eq!(
        (record.tmm, record.sequence, record.began),
        (2, 7, 1_710_000_000)
    );
    assert_eq!(record.booted(), 0x65f0_0000);
    let dropped: Vec<_> = record.dropped.iter().collect();
    assert_eq!(dropped, [("refused", 3), ("fault", 1)]);
    assert_eq!(record.skipped.iter().count(), 0);
    assert_eq!(
        (record.head_millis, record.total_millis),
        (Some(12), Some(15))
    );
    let flags = Flags {
        tls: true,
        response_body_cut: true,
        ..Flags::default()
    };
    assert_eq!(record.flags, flags);
    assert_eq!(record.client, Some("10.0.0.1:40000".parse().unwrap()));
    assert_eq!(record.server, Some("[2001:db8::1]:8080".parse().unwrap()));
    assert_eq!(
        (record.request_size, record.response_size),
        (Some(0), Some(17))
    );
    assert_eq!(
        (record.request_body, record.response_body),
        (None, Some(b"e30=".as_slice()))
    );
}

#[test]
fn what_is_wrong_with_a_field_is_said_by_its_name() {
    let long_body = "A".repeat(MAX_BODY.div_ceil(3) * 4 + 4);
    let long_head = "A".repeat(MAX_HEAD.div_ceil(3) * 4 + 4);
    let many = vec!["a=1"; MAX_COUNTS + 1].join(",");
    for (name, value) in [
        ("boot", "-"),
        ("boot", "65f0000000c0ffe"),
        ("boot", "65f0000000c0ffex"),
        ("tmm", "-"),
        ("tmm", "4294967296"),
        ("seq", "0"),
        ("seq", "-1"),
        ("seq", "9999999999999999999"),
        ("seq", "99999999999999999999"),
        ("dropped", "refused"),
        ("dropped", "a=1,,b=2"),
        ("dropped", "Ab=1"),
        ("skipped", "a=x"),
        ("skipped", &many),
        ("t0", "-"),
        ("t0", "1e9"),
        ("ms_head", "+1"),
        ("ms_total", "1.5"),
        ("flags", "z"),
        ("client-ip", "localhost"),
        ("client-port", "65536"),
        ("vip-ip", "1.2.3"),
        ("vip-port", "x"),
        ("server-ip", "%1"),
        ("http-version", "HTTP/1.1"),
        ("request-size", "x"),
        ("request-size", "+"),
        ("request-size", "1++"),
        ("response-size", "18446744073709551616"),
        ("request-head64", "-"),
        ("request-head64", &long_head),
        ("response-head64", &long_head),
        ("request-body64", &long_body),
        ("response-body64", &long_body),
        ("facts64", &long_head),
        ("flags", ""),
        ("response-body64", ""),
    ] {
        let line = line(&[(name, value)]);
        match Records::of(&line).next(&ring()) {
            Some(Err(Refusal::Fields { field, .. })) => assert_eq!(field, name, "{value}"),
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    for (text, at) in [
        (fields(&[]) + " x", "(end)"),
        ("65f0000000c0ffee 1 1".into(), "dropped"),
        (String::new(), "boot"),
    ] {
        let line = signed("bigip-1", SECRET, text.as_bytes());
        match Records::of(&line[..line.len() - 1]).next(&ring()) {
            Some(Err(Refusal::Fields { field, .. })) => assert_eq!(field, at),
            other => panic!("{other:?}"),
        }
    }
    for (name, value) in [
        ("http-version", "2.0"),
        ("client-ip", "-"),
        ("client-port", "-"),
        ("ms_total", "-"),
        ("flags", "-"),
        ("response-size", "1+"),
    ] {
        assert_eq!(found(&line(&[(name, value)])), [Ok(7)], "{name}={value}");
    }
}

#[test]
fn nothing_is_taken_without_a_good_signature() {
    let good = line(&[]);
    assert_eq!(found(&good), [Ok(7)]);
    // Any byte of the fields or of the signature.
    for at in (5..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] = if bad[at] == b'1' { b'2' } else { b'1' };
        let found = found(&bad);
        assert!(found.len() == 1 && found[0].is_err(), "{at}: {found:?}");
    }
    let other = signed("other", SECRET, fields(&[]).as_bytes());
    assert_eq!(found(other.trim_ascii_end()), [Err("forged")]);
    let unknown = signed("nobody", SECRET, fields(&[]).as_bytes());
    assert_eq!(found(unknown.trim_ascii_end()), [Err("unknown_key")]);
}

#[test]
fn what_is_no_record_is_refused_once() {
    for (text, reason) in [
        ("hello", "not_a_record"),
        ("SIL1", "not_a_record"),
        ("SIL1 ", "not_a_record"),
        ("SIL1 SIL1 SIL1 SIL1 ", "not_a_record"),
        ("SIL1 -3 bigip-1 ", "not_a_record"),
        ("SIL1 9999999 bigip-1 ", "not_a_record"),
        ("SIL1 12 big/ip ", "not_a_record"),
        ("SIL1 12 bigip-1 abc ", "not_a_record"),
        ("SIL2 12 bigip-1 abc ", "not_a_record"),
        ("\u{0}\u{1}\r", "not_a_record"),
        (&format!("SIL1 12 bigip-1 {} ", "0".repeat(64)), "length"),
        (&format!("SIL1 0 bigip-1 {} ", "0".repeat(64)), "forged"),
    ] {
        assert_eq!(found(text.as_bytes()), [Err(reason)], "{text:?}");
    }
    assert_eq!(found(b""), []);
}

#[test]
fn a_record_glued_to_a_cut_one_is_found() {
    let (one, two) = (line(&[("seq", "1")]), line(&[("seq", "2")]));
    for cut in [1, 4, 5, 8, 20, 60, 90, one.len() - 1] {
        let glued = [&one[..cut], two.as_slice()].concat();
        let found = found(&glued);
        assert_eq!(found.len(), 2, "{cut}: {found:?}");
        assert!(found[0].is_err() && found[1] == Ok(2), "{cut}: {found:?}");
    }
    // Whole, but without their LF between them.
    assert_eq!(found(&[one.as_slice(), &two].concat()), [Ok(1), Ok(2)]);
    assert_eq!(
        found(&[one.as_slice(), b"junk"].concat()),
        [Ok(1), Err("not_a_record")]
    );
    assert_eq!(
        found(&[b"junk".as_slice(), &one].concat()),
        [Err("not_a_record"), Ok(1)]
    );
    // Twice cut.
    let glued = [&one[..99], &one[..150], two.as_slice()].concat();
    assert_eq!(found(&glued), [Err("length"), Ok(2)]);
    // A field may end as a record begins.
    let lure = line(&[("facts64", "AAAASIL1")]);
    assert_eq!(found(&lure), [Ok(7)]);
    assert_eq!(
        found(&[&lure[..lure.len() - 1], two.as_slice()].concat()),
        [Err("length"), Ok(2)]
    );
}

#[test]
fn no_line_costs_more_than_a_few_times_its_length() {
    // Each of them says the length up to the end, so that only the signature tells; some have a record behind them that is good.
    for good in ["", std::str::from_utf8(&line(&[])).unwrap()] {
        let forged = |length| format!("SIL1 {length:06} bigip-1 {} ", "0".repeat(64));
        let group = 3 * forged(0).len() + good.len();
        let mut line = String::new();
        for n in (0..200).rev() {
            let behind = n * group + good.len();
            for m in (0..3).rev() {
                line.push_str(&forged(behind + m * forged(0).len()));
            }
            line.push_str(good);
        }
        let (mut records, ring) = (Records::of(line.as_bytes()), ring());
        while records.next(&ring).is_some() {}
        assert!(records.over && records.effort < line.len());
    }
}

#[test]
fn refusals_show_nothing_that_was_sent_but_the_name_of_a_key() {
    for refusal in [
        Refusal::TooLong(300_000),
        Refusal::NotARecord("x"),
        Refusal::Length {
            announced: 1,
            there: 2,
        },
        Refusal::UnknownKey(KeyId::new(b"a").unwrap()),
        Refusal::RevokedKey(KeyId::new(b"a").unwrap()),
        Refusal::Forged(KeyId::new(b"a").unwrap()),
        Refusal::Fields {
            field: "boot",
            what: "is",
        },
        Refusal::Head {
            whose: "request",
            what: "is",
        },
        Refusal::Clock {
            seconds: 1,
            direction: "after",
        },
        Refusal::Busy,
    ] {
        assert!(Refusal::REASONS.contains(&refusal.reason()));
        assert!(!refusal.to_string().is_empty());
    }
}
