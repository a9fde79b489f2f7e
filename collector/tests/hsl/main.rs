//! Records of BIG-IPs over real sockets: each counted once, learnt, lost ones known, and what does not belong refused by name.

#[path = "../collector/mod.rs"]
mod collector;
mod tmm;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use collector::{Collector, binary};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use silhouette_collector::hsl::record::signed;
use silhouette_collector::unix_millis;
use tmm::{PLAIN, Tmm, accepted, connect, hsl_key, refused, send, sent, settled};

#[test]
fn records_are_learnt_once_however_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let collector = Collector::start(dir.path(), &PLAIN);
    let all: Vec<Vec<u8>> = (1..=40).map(|sequence| tmm.record(sequence)).collect();

    // In pieces of any length, slowly, over one connection.
    let mut stream = connect(&collector);
    stream.set_nodelay(true).unwrap();
    for piece in all[..10].concat().chunks(211) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    settled(&collector, 10);
    // Cut in the middle, the rest over another connection; that the first half is none is said when it ends.
    let (first, _) = all[10].split_at(all[10].len() / 2);
    stream.write_all(first).unwrap();
    drop(stream);
    collector.wait("the half is refused", || refused(&collector, "length") == 1);
    // A whole one glued to the beginning of another, one without its LF at the end, and everything once more.
    let mut glued = all[11][..120].to_vec();
    glued.extend_from_slice(&all[10..39].concat());
    glued.extend_from_slice(&all[39][..all[39].len() - 1]);
    send(&collector, &glued);
    settled(&collector, 40);
    assert_eq!(refused(&collector, "length"), 2);
    send(&collector, &all.concat());
    settled(&collector, 80);
    assert_eq!(sent(&collector), [40, 40, 0, 40]);
    assert_eq!(collector.learnt(), 40);
    let document = collector.get("/v1/hosts/shop.example/openapi.json").body;
    assert!(
        document.contains("/books/{bookId}") && document.contains("title"),
        "{document}"
    );
    let shims = collector.json("/v1/shims");
    let shim = &shims["shims"][0];
    assert_eq!(
        [
            &shim["kind"],
            &shim["name"],
            &shim["node"],
            &shim["gateway_version"],
            &shim["token"]
        ],
        [
            "f5",
            "bigip-1",
            "f5.example/tmm1",
            "BIG-IP 17.1.0",
            "bigip-1"
        ]
    );

    // Replayed to the next process, and to the one after a crash.
    collector.terminate();
    for _ in 0..2 {
        let collector = Collector::start(dir.path(), &PLAIN);
        send(&collector, &all.concat());
        settled(&collector, 40);
        assert_eq!(collector.metric("silhouette_exchanges_duplicate_total"), 40);
        assert_eq!(collector.learnt(), 40);
        collector.kill();
    }
}

#[test]
fn bodies_and_heads_of_all_sorts() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let collector = Collector::start(dir.path(), &PLAIN);
    let json = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".as_slice();
    let every_byte: Vec<u8> = (0..=255).cycle().take(60_000).collect();
    let mut long = b"GET /long HTTP/1.1\r\nHost: shop.example\r\n".to_vec();
    while long.len() < (16 << 10) - 100 {
        long.extend_from_slice(b"X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    long.extend_from_slice(b"\r\n");
    let largest = format!("[{}]", vec!["1"; 32_767].join(","));
    assert_eq!(largest.len(), 65_535);
    let plain = |line: &str| format!("{line}\r\nHost: shop.example\r\n\r\n").into_bytes();
    let chunked =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            .as_slice();
    let records: Vec<Vec<u8>> = [
        (plain("POST /binary HTTP/1.1"), Some(every_byte.as_slice()), json, Some(every_byte.as_slice())),
        (long, None, json, Some(b"[]".as_slice())),
        (plain("PUT /large HTTP/1.1"), Some(largest.as_bytes()), json, Some(largest.as_bytes())),
        (plain("GET /chunked HTTP/1.1"), None, chunked, Some(b"c\r\n{\"here\":true\r\n1\r\n}\r\n0\r\n\r\n")),
        (plain("GET /two HTTP/2.0"), None, json, Some(b"{}")),
        (plain("GET /raw space?a=b c HTTP/1.1"), None, json, Some(b"{}")),
        ([b"GET /latin/\xe4\xff HTTP/1.1\r\nHost: shop.example\r\nX: \xe9\r\n odd: 1\r\nno header\r\n".as_slice()].concat(), None, json, Some(b"{}")),
        (plain("GET http://shop.example/absolute HTTP/1.1"), None, json, Some(b"{}")),
    ]
    .iter()
    .zip(1..)
    .map(|((request, body, response, answer), sequence)| {
        tmm.of(sequence, "-", request, *body, response, *answer)
    })
    .collect();
    send(&collector, &records.concat());
    settled(&collector, 8);
    collector.learnt();
    let host = collector.json("/v1/hosts/shop.example");
    assert_eq!(host["exchanges"], 8, "{host}");
    assert_eq!(host["left_out"], serde_json::json!({}), "{host}");
    let document = collector.get("/v1/hosts/shop.example/openapi.json").body;
    assert!(document.contains("\"here\""), "{document}");
    assert_eq!(
        collector.metric("silhouette_hsl_header_lines_left_out_total"),
        1
    );
}

#[test]
fn what_is_not_signed_as_it_should_be_is_refused_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &PLAIN);
    assert!(
        collector.log().contains("hsl-key create --name NAME"),
        "{}",
        collector.log()
    );
    let nobody = Tmm {
        key: "bigip-9".into(),
        secret: "silk_guessed".into(),
        boot: "65f0000000c0ffee".into(),
        number: 0,
    };
    send(&collector, &nobody.record(1));
    collector.wait("nobody is refused", || {
        refused(&collector, "unknown_key") == 1
    });
    // The key that the message asks for is in force without a restart.
    let tmm = Tmm::new(dir.path(), "bigip-9");
    let mut tries = 0;
    collector.wait("the key is taken up", || {
        tries += 1;
        send(&collector, &tmm.record(1));
        collector.wait("it is judged", || {
            accepted(&collector) + refused(&collector, "unknown_key") == tries + 1
        });
        accepted(&collector) > 0
    });
    let forged = Tmm {
        secret: "silk_another".into(),
        ..tmm.clone()
    };
    send(&collector, &forged.record(2));
    collector.wait("a forged one is refused", || {
        refused(&collector, "forged") == 1
    });
    let mut bad = tmm.record(3);
    let at = bad.len() - 10;
    bad[at] ^= 1;
    let long = vec![b'x'; 300 << 10];
    let old = signed(
        &tmm.key,
        &tmm.secret,
        format!(
            "{} 1 9 - - 1000000000 - - - - - - - - - 1.1 - - - R0VU - - -",
            tmm.boot
        )
        .as_bytes(),
    );
    let odd = signed(
        &tmm.key,
        &tmm.secret,
        format!(
            "{} 1 9 - - {} - - - - - - - - - 1.1 - - - R0VU - - -",
            tmm.boot,
            unix_millis() / 1000
        )
        .as_bytes(),
    );
    let few = signed(&tmm.key, &tmm.secret, b"a b c");
    let secret_word = b"hunter2-is-what-was-sent";
    let before = accepted(&collector);
    send(
        &collector,
        &[
            bad.as_slice(),
            &long,
            b"\n",
            &tmm.record(4),
            secret_word,
            b"\n",
            &old,
            &odd,
            &few,
            &tmm.record(5),
        ]
        .concat(),
    );
    collector.wait("the neighbours are taken", || {
        accepted(&collector) == before + 2
    });
    for (reason, count) in [
        ("forged", 2),
        ("too_long", 1),
        ("not_a_record", 1),
        ("clock", 1),
        ("head", 1),
        ("fields", 1),
    ] {
        assert_eq!(refused(&collector, reason), count, "{reason}");
    }
    hsl_key(dir.path(), &["revoke", "bigip-9"]);
    collector.wait("the key is no longer taken", || {
        send(&collector, &tmm.record(6));
        refused(&collector, "revoked_key") > 0
    });
    let json = collector.json("/v1/hsl");
    let kinds = json["refused"].as_array().unwrap();
    assert_eq!(kinds.len(), 8, "{json}");
    let kind = |reason: &str| kinds.iter().find(|kind| kind["reason"] == reason).unwrap();
    // As much as was there when it was seen.
    let long = kind("too_long")["samples"][0]["line_bytes"].as_u64();
    assert!(long >= Some(256 << 10), "{long:?}");
    assert!(
        kind("fields")["samples"][0]["problem"]
            .as_str()
            .unwrap()
            .contains("`boot`")
    );
    assert!(
        kind("unknown_key")["samples"][0]["problem"]
            .as_str()
            .unwrap()
            .contains("`bigip-9`")
    );
    for text in [
        json.to_string(),
        collector.log(),
        collector.get("/v1/live").body,
    ] {
        assert!(
            !text.contains("hunter2") && !text.contains("silk_"),
            "{text}"
        );
    }
    assert!(hsl_key(dir.path(), &["list"]).contains("---"), "a table");
    assert_eq!(json["has_keys"], false);
}

#[test]
fn what_is_missing_is_reported_per_tmm_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let collector = Collector::start(dir.path(), &PLAIN);
    let request = b"GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n".as_slice();
    let last = tmm.of(
        9,
        "refused=2,fault=1",
        request,
        None,
        b"HTTP/1.1 204\r\n",
        None,
    );
    send(&collector, &[tmm.record(1), tmm.record(4), last].concat());
    settled(&collector, 3);
    assert_eq!(sent(&collector), [9, 3, 6, 0]);
    let row = collector.json("/v1/hsl")["senders"][0].clone();
    assert_eq!(
        [
            &row["host"],
            &row["key"],
            &row["tmm"],
            &row["refused_by_hsl"],
            &row["before"]
        ],
        [
            &Value::from("f5.example"),
            &Value::from("bigip-1"),
            &Value::from(1),
            &Value::from(2),
            &Value::from(0)
        ]
    );
    let kind = "silhouette_shim_exchanges_dropped_total{kind=\"f5\",reason=\"refused\"}";
    assert_eq!(collector.metric(kind), 2);
    collector.wait("it counts as lost", || {
        collector.metric("silhouette_hsl_records_lost_total") == 6
    });
    send(&collector, &tmm.record(5));
    settled(&collector, 4);
    assert_eq!(sent(&collector), [9, 4, 5, 0]);
    // A rule that was loaded before the collector started is not held to what it never sent here.
    let old = Tmm {
        boot: "65f0000000c0ffee".into(),
        ..tmm.clone()
    };
    send(&collector, &[old.record(1000), old.record(1002)].concat());
    settled(&collector, 6);
    let json = collector.json("/v1/hsl");
    let row = json["senders"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["boot"] == old.boot.as_str())
        .unwrap();
    let missing = |row: &Value| row["late"].as_u64().unwrap() + row["lost"].as_u64().unwrap();
    assert_eq!([&row["before"], &row["captured"]], [999, 1002]);
    assert_eq!(missing(row), 1);
    collector.kill();
    // What came in while the collector was away is missing.
    let collector = Collector::start(dir.path(), &PLAIN);
    send(&collector, &old.record(1010));
    settled(&collector, 1);
    let row = &collector.json("/v1/hsl")["senders"][0];
    assert_eq!([&row["before"], &row["received"]], [1002, 1]);
    assert_eq!(missing(row), 7);
}

#[test]
fn many_connections_overtake_one_another_and_nothing_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    // So little room that connections wait for one another.
    let args = [
        PLAIN[0],
        PLAIN[1],
        "--ingest-buffer",
        "8k",
        "--max-message",
        "8k",
    ];
    let collector = Collector::start(dir.path(), &args);
    let address = collector.address("hsl");
    std::thread::scope(|scope| {
        for connection in 0..40u64 {
            let tmm = &tmm;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for n in 0..25 {
                    stream
                        .write_all(&tmm.record(n * 40 + connection + 1))
                        .unwrap();
                }
            });
        }
    });
    settled(&collector, 1000);
    assert_eq!(sent(&collector), [1000, 1000, 0, 0]);
    assert_eq!(collector.learnt(), 1000);
}

#[test]
fn one_connection_may_run_far_ahead_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let collector = Collector::start(dir.path(), &PLAIN);
    let records = |first: u64| -> Vec<u8> {
        let sequences = (first..=1000).step_by(2);
        sequences.flat_map(|n| tmm.record(n)).collect()
    };
    send(&collector, &records(2));
    settled(&collector, 500);
    assert_eq!(sent(&collector), [1000, 500, 500, 0]);
    send(&collector, &records(1));
    settled(&collector, 1000);
    assert_eq!(sent(&collector), [1000, 1000, 0, 0]);
    assert_eq!(collector.learnt(), 1000);
}

/// The limit on the size of files stands for the disk (RLIMIT_FSIZE, which needs no rights): writes past it fail, from one moment to
/// the next, and work again when it is lifted.
fn limit(collector: &Collector, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(
        Pid::from_raw(collector.pid() as i32),
        Resource::Fsize,
        limit,
    )
    .unwrap();
}

#[test]
fn a_disk_that_refuses_loses_nothing_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let mut program = Command::new("env");
    program.arg("--ignore-signal=XFSZ");
    let args = [PLAIN[0], PLAIN[1], "--hsl-udp-listen", "127.0.0.1:0"];
    let collector = Collector::try_start_by(program, dir.path(), &args).unwrap();
    send(&collector, &tmm.record(1));
    settled(&collector, 1);
    limit(&collector, Some(1));
    // Some are read and wait for the disk, the rest stays where it is until they are kept.
    let mut stream = connect(&collector);
    stream
        .write_all(&(2..=60).flat_map(|n| tmm.record(n)).collect::<Vec<_>>())
        .unwrap();
    collector.wait("the disk refuses", || {
        collector.metric("silhouette_exchanges_unacknowledged_total") > 0
    });
    stream
        .write_all(&(61..=200).flat_map(|n| tmm.record(n)).collect::<Vec<_>>())
        .unwrap();
    // The same over UDP, which has to say what it cannot take.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let busy = "silhouette_hsl_records_refused_total{listener=\"hsl_udp\",reason=\"busy\"}";
    let mut next = 201;
    collector.wait("UDP is told from TCP", || {
        socket
            .send_to(&tmm.record(next), collector.address("hsl_udp"))
            .unwrap();
        next += 1;
        collector.metric(busy) > 0
    });
    let lost = |collector: &Collector| collector.metric(busy);
    limit(&collector, None);
    collector.wait("what waited is kept", || {
        let [_, received, ..] = sent(&collector);
        received + lost(&collector) == next - 1
    });
    assert_eq!(collector.learnt(), next - 1 - lost(&collector));
    let [_, _, _, doubled] = sent(&collector);
    assert_eq!(doubled, 0);
}

#[test]
fn what_has_arrived_when_the_service_ends_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let collector = Collector::start(dir.path(), &PLAIN);
    let mut stream = connect(&collector);
    stream.write_all(&tmm.record(1)).unwrap();
    settled(&collector, 1);
    // Another that brings nothing is not waited for.
    let _silent = connect(&collector);
    let rest: Vec<u8> = (2..=200).flat_map(|n| tmm.record(n)).collect();
    stream.write_all(&rest).unwrap();
    collector.terminate();
    let collector = Collector::start(dir.path(), &PLAIN);
    assert_eq!(collector.learnt(), 200);
}

#[test]
fn datagrams_are_records_too() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let collector = Collector::start(dir.path(), &["--hsl-udp-listen", "127.0.0.1:0"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = collector.address("hsl_udp");
    let (one, mut two) = (tmm.record(1), tmm.record(2));
    two.pop(); // HSL over UDP may leave the LF out
    for datagram in [
        one.as_slice(),
        &two,
        &two,
        b"junk",
        &[tmm.record(3), tmm.record(4)].concat(),
    ] {
        socket.send_to(datagram, to).unwrap();
    }
    let of = |what: &str| collector.metric(&format!("silhouette_hsl_records_{what}"));
    collector.wait("all have come", || {
        of("accepted_total{listener=\"hsl_udp\"}") == 5
            && of("refused_total{listener=\"hsl_udp\",reason=\"not_a_record\"}") == 1
    });
    collector.wait("they are durable", || sent(&collector) == [4, 4, 0, 1]);
    assert_eq!(collector.learnt(), 4);
}

fn refusals(collector: &Collector, reason: &str) -> u64 {
    collector.metric(&format!(
        "silhouette_connections_refused_total{{listener=\"hsl\",reason=\"{reason}\"}}"
    ))
}

#[test]
fn connections_without_a_record_are_closed_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    // Six times as long for a first record.
    let args = [PLAIN[0], PLAIN[1], "--header-timeout", "1s"];
    let collector = Collector::start(dir.path(), &args);
    let mut good = connect(&collector);
    good.write_all(&tmm.record(1)).unwrap();
    settled(&collector, 1);
    let _silent = connect(&collector);
    let mut garbage = connect(&collector);
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut stalled = connect(&collector);
    stalled
        .write_all(&[tmm.record(2), b"SIL1 ".to_vec()].concat())
        .unwrap();
    send(&collector, &[0x16, 3, 1, 0, 0]);
    for reason in ["tls_on_plain_port", "silent", "no_record", "stalled"] {
        collector.wait(reason, || refusals(&collector, reason) == 1);
    }
    // However long it was silent.
    good.write_all(&tmm.record(3)).unwrap();
    settled(&collector, 3);
}

#[test]
fn connections_are_limited_and_those_there_are_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let tmm = Tmm::new(dir.path(), "bigip-1");
    let args = [PLAIN[0], PLAIN[1], "--max-connections", "1"];
    let collector = Collector::start(dir.path(), &args);
    let mut good = connect(&collector);
    good.write_all(&tmm.record(1)).unwrap();
    settled(&collector, 1);
    let mut second = connect(&collector);
    assert!(matches!(second.read(&mut [0]), Ok(0) | Err(_)), "closed");
    assert_eq!(refusals(&collector, "too_many_connections"), 1);
    good.write_all(&tmm.record(2)).unwrap();
    settled(&collector, 2);
}

#[test]
fn settings_say_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    for (args, wanted) in [
        (vec!["--hsl-listen", "0.0.0.0:1514"], "hsl_tls_listen"),
        (
            vec!["--hsl-udp-listen", "8.8.8.8:1514"],
            "loopback or private",
        ),
        (
            vec!["--hsl-tls-listen", "0.0.0.0:6514"],
            "also needs `tls_cert`",
        ),
        (
            vec![
                "--hsl-tls-listen",
                "0.0.0.0:6514",
                "--tls-cert",
                "a",
                "--tls-key",
                "b",
            ],
            "also needs `hsl_client_ca`",
        ),
        (vec!["--hsl-client-ca", "a"], "also needs `hsl_tls_listen`"),
        (
            vec!["--hsl-redact-json", "a*b"],
            "hsl_redact_json: `a*b` is not accepted",
        ),
        (
            vec!["--hsl-content-types", "off"],
            "`hsl_content_types` also needs `hsl_listen`",
        ),
    ] {
        let output = binary().arg("check-config").args(&args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && text.contains(wanted),
            "{args:?}: {text}"
        );
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let error = Collector::try_start(dir.path(), &["--hsl-listen", &address.to_string()]);
    let error = error.map(|_| ()).unwrap_err();
    assert!(
        error.contains("hsl_listen") && error.contains(&address.to_string()),
        "{error}"
    );
    let output = binary()
        .args(["hsl-key", "create", "--name", "a b"])
        .output()
        .unwrap();
    assert!(!output.status.success());
}
