use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use silhouette_proto::telemetry::v1::{Exchange, ExportRequest};

use super::super::keys::Keyring;
use super::super::record::{Records, signed};
use super::*;
use crate::envelope::Envelope;

const NOW: u64 = 1_710_000_000;

/// What a record is made of, before base64.
struct Sent<'a> {
    flags: &'a str,
    facts: &'a str,
    sizes: [&'a str; 2],
    times: [&'a str; 2],
    request: (&'a [u8], Option<&'a [u8]>),
    response: Option<(&'a [u8], Option<&'a [u8]>)>,
    began: u64,
}

impl Default for Sent<'_> {
    fn default() -> Self {
        Sent {
            flags: "-",
            facts: "host bigip-1.example\nrule 0.1.0\ntmos 16.1.4\nvirtual /Common/vs_books\npool /Common/books\n",
            sizes: ["-", "-"],
            times: ["12", "15"],
            request: (b"GET /books/1 HTTP/1.1\r\nHost: api.example\r\n\r\n", None),
            response: Some((
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
                None,
            )),
            began: NOW,
        }
    }
}

impl Sent<'_> {
    fn batch(&self) -> Result<Batch, Refusal> {
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| STANDARD.encode(bytes));
        let fields = [
            "65f0000000c0ffee 2 7 refused=3 excluded_path=4".to_owned(),
            self.began.to_string(),
            self.times.join(" "),
            self.flags.to_owned(),
            "10.0.0.1%2 40000 192.0.2.1 443 10.1.0.9 8080 2.0".to_owned(),
            self.sizes.join(" "),
            text(Some(self.facts.as_bytes())),
            text(Some(self.request.0)),
            text(self.request.1),
            text(self.response.map(|response| response.0)),
            text(self.response.and_then(|response| response.1)),
        ]
        .join(" ");
        let line = signed("bigip-1", "silk_x", fields.as_bytes());
        let ring = Keyring::new([("bigip-1", "silk_x")]).unwrap();
        let record = Records::of(line.trim_ascii_end()).next(&ring).unwrap()?;
        let policy = Arc::new(Redaction::default().policy().unwrap());
        Translator::new(policy).translate(&record, NOW)
    }

    fn exchange(&self) -> Exchange {
        let batch = self.batch().unwrap();
        let request = ExportRequest::decode(batch.payload).unwrap();
        assert_eq!(request.exchanges.len(), 1);
        request.exchanges.into_iter().next().unwrap()
    }
}

#[test]
fn a_record_becomes_a_batch_of_one_exchange() {
    let sent = Sent {
        flags: "s",
        facts: "host bigip-1.example\nrule 0.1.0\ntmos 16.1.4\nvirtual /Common/vs_books\npool /Common/books\n\
                tls TLSv1.2\ncipher ECDHE-RSA-AES128-GCM-SHA256\nsni api.example\ncert 1\nfuture x\n",
        sizes: ["0", "8"],
        response: Some((
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=secret\r\nset-cookie: b=2\r\n",
            Some(b"{\"id\":1}"),
        )),
        ..Sent::default()
    };
    let batch = sent.batch().unwrap();
    // What the rest of the collector makes of it.
    let envelope = Envelope::open(&batch.payload).unwrap();
    assert_eq!(envelope.instance, batch.sender.instance);
    assert_eq!((envelope.sequence, envelope.captured), (7, 7));
    assert_eq!(
        crate::envelope::inspect(&envelope.exchanges[0])
            .unwrap()
            .scheme,
        "https"
    );

    let whole = ExportRequest::decode(batch.payload).unwrap();
    let shim = whole.shim.unwrap();
    assert_eq!(shim, batch.sender.shim);
    assert_eq!(
        (shim.kind.as_str(), shim.name.as_str(), shim.node.as_str()),
        ("f5", "bigip-1", "bigip-1.example/tmm2")
    );
    assert_eq!(
        (shim.version.as_str(), shim.gateway_version.as_str()),
        ("0.1.0", "BIG-IP 16.1.4")
    );
    assert_eq!(
        (whole.dropped[0].reason.as_str(), whole.dropped[0].count),
        ("refused", 3)
    );
    assert_eq!(
        (whole.skipped[0].reason.as_str(), whole.skipped[0].count),
        ("excluded_path", 4)
    );
    let exchange = &whole.exchanges[0];
    assert_eq!(exchange.start_unix_nanos, NOW * 1_000_000_000);
    assert_eq!(
        (exchange.response_head_micros, exchange.duration_micros),
        (Some(12_000), Some(15_000))
    );
    assert_eq!(
        (exchange.scheme.as_str(), exchange.http_version.as_str()),
        ("https", "2")
    );
    assert_eq!(exchange.authority, "api.example");
    let client = exchange.client.clone().unwrap();
    assert_eq!(
        (client.ip.as_ref(), client.port),
        ([10, 0, 0, 1].as_slice(), 40_000)
    );
    assert_eq!(exchange.server.clone().unwrap().port, 443);
    let gateway = exchange.gateway.clone().unwrap();
    assert_eq!(gateway.upstream, "/Common/books");
    assert_eq!(gateway.virtual_server, "/Common/vs_books");
    assert_eq!(gateway.upstream_address.unwrap().port, 8080);
    let tls = exchange.tls.clone().unwrap();
    assert_eq!(
        (tls.version.as_str(), tls.server_name.as_str()),
        ("1.2", "api.example")
    );
    assert!(tls.client_certificate);
    let request = exchange.request.clone().unwrap();
    assert_eq!(
        (request.method.as_str(), request.path.as_ref()),
        ("GET", b"/books/1".as_slice())
    );
    let response = exchange.response.clone().unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(
        response
            .headers
            .iter()
            .filter(|header| header.name == "set-cookie")
            .count(),
        2
    );
    assert!(
        !response
            .headers
            .iter()
            .any(|header| header.value.windows(6).any(|part| part == b"secret"))
    );
    let body = response.body.unwrap();
    assert_eq!(
        (body.data.as_ref(), body.original_size),
        (b"{\"id\":1}".as_slice(), 8)
    );
    assert!(!body.truncated && !exchange.unfinished);
}

#[test]
fn secrets_are_redacted_wherever_they_are() {
    let exchange = Sent {
        request: (
            b"POST /login?token=hunter2 HTTP/1.1\r\nHost: a\r\nAuthorization: Basic aHVudGVyMg==\r\n\
              Content-Type: application/json\r\n\r\n",
            Some(b"{\"password\":\"hunter2\"}"),
        ),
        ..Sent::default()
    }
    .exchange();
    let bytes = exchange.encode_to_vec();
    for secret in [b"hunter2".as_slice(), b"aHVudGVyMg"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret));
    }
}

#[test]
fn what_the_rule_did_not_see_is_not_made_up() {
    let exchange = Sent {
        flags: "u",
        times: ["-", "-"],
        response: None,
        facts: "sni a",
        ..Sent::default()
    }
    .exchange();
    assert!(exchange.unfinished && exchange.response.is_none() && exchange.tls.is_none());
    assert_eq!(exchange.response_head_micros, None);
    let exchange = Sent {
        times: ["9", "-"],
        ..Sent::default()
    }
    .exchange();
    assert_eq!(
        (exchange.response_head_micros, exchange.duration_micros),
        (Some(9_000), Some(9_000))
    );
}

#[test]
fn bodies_are_as_whole_as_they_are() {
    let json = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".as_slice();
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip, Chunked\r\n".as_slice();
    let body = |flags, size, head, body: Option<&[u8]>| {
        let sent = Sent {
            flags,
            sizes: ["-", size],
            response: Some((head, body)),
            ..Sent::default()
        };
        let body = sent.exchange().response.unwrap().body;
        body.map(|body| {
            let data = String::from_utf8(body.data.to_vec()).unwrap();
            (data, body.original_size, body.truncated, body.omitted)
        })
    };
    let whole = |text: &str, size, cut| Some((text.to_owned(), size, cut, String::new()));
    assert_eq!(body("-", "-", json, None), None);
    assert_eq!(body("-", "0", json, None), None);
    // Not collected, but its size is known.
    let (data, size, _, omitted) = body("-", "500", json, None).unwrap();
    assert_eq!(
        (data.as_str(), size, omitted.as_str()),
        ("", 500, "unavailable")
    );
    assert_eq!(body("-", "-", json, Some(b"[1]")), whole("[1]", 3, false));
    let (data, size, _, omitted) = body("-", "1+", json, None).unwrap();
    assert_eq!(
        (data.as_str(), size, omitted.as_str()),
        ("", 1, "unavailable")
    );
    assert_eq!(body("p", "900+", json, Some(b"[1")), whole("[1", 900, true));
    assert_eq!(body("p", "900", json, Some(b"[1")), whole("[1", 900, true));
    assert_eq!(body("p", "-", json, Some(b"[1")), whole("[1", 3, true));
    assert_eq!(
        body("-", "13", chunked, Some(b"3\r\n[1]\r\n0\r\n\r\n")),
        whole("[1]", 3, false)
    );
    assert_eq!(
        body("p", "13", chunked, Some(b"9\r\n[1,2")),
        whole("[1,2", 5, true)
    );
    assert_eq!(
        body("-", "3", chunked, Some(b"[1]")),
        whole("[1]", 3, false)
    );
    let image = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n".as_slice();
    let (data, size, _, omitted) = body("-", "-", image, Some(b"\x89PNG")).unwrap();
    assert_eq!(
        (data.as_str(), size, omitted.as_str()),
        ("", 4, "content_type")
    );
}

#[test]
fn targets_and_heads_that_others_refuse() {
    let path = |line: &[u8]| {
        let request = [line, b"\r\nhost: a.example\r\n\r\n"].concat();
        let sent = Sent {
            request: (&request, None),
            ..Sent::default()
        };
        let exchange = sent.exchange();
        let request = exchange.request.unwrap();
        (
            exchange.authority.to_vec(),
            request.path.to_vec(),
            request.query.map(|query| query.to_vec()),
        )
    };
    let own = b"a.example".to_vec();
    assert_eq!(
        path(b"GET /a b?c=\xe4 HTTP/2.0"),
        (own.clone(), b"/a b".to_vec(), Some(b"c=\xe4".to_vec()))
    );
    assert_eq!(
        path(b"GET http://b.example:81/x HTTP/1.1"),
        (b"b.example:81".to_vec(), b"/x".to_vec(), None)
    );
    assert_eq!(
        path(b"CONNECT b.example:443 HTTP/1.1"),
        (own, b"b.example:443".to_vec(), None)
    );
    // A head of 16 KiB that was cut within a header.
    let mut request = b"GET /long HTTP/1.1\r\nhost: a.example\r\nx-long: ".to_vec();
    request.resize(16 << 10, b'x');
    let exchange = Sent {
        flags: "h",
        request: (&request, None),
        ..Sent::default()
    }
    .exchange();
    let request = exchange.request.unwrap();
    assert_eq!(
        (request.headers.len(), request.target_truncated),
        (1, false)
    );
    // Not even the first line is whole.
    for (line, path, query) in [
        (
            b"GET /a/b?c=1&d=2".as_slice(),
            b"/a/b".as_slice(),
            Some(b"c=1".as_slice()),
        ),
        (b"GET /a/eyJhbGciOiJ", b"/a/", None),
    ] {
        let exchange = Sent {
            flags: "h",
            request: (line, None),
            ..Sent::default()
        }
        .exchange();
        let request = exchange.request.unwrap();
        assert_eq!(
            (request.path.as_ref(), request.query.as_deref()),
            (path, query)
        );
        assert!(request.target_truncated);
    }
}

#[test]
fn what_cannot_be_an_exchange_is_refused_with_the_place() {
    let reason = |sent: Sent<'_>| sent.batch().unwrap_err();
    for began in [
        NOW - MAX_CLOCK_SECONDS - 1,
        NOW + MAX_CLOCK_SECONDS + 1,
        0,
        u64::MAX >> 1,
    ] {
        let refusal = reason(Sent {
            began,
            ..Sent::default()
        });
        assert_eq!(refusal.reason(), "clock");
    }
    for began in [NOW - MAX_CLOCK_SECONDS, NOW + MAX_CLOCK_SECONDS] {
        Sent {
            began,
            ..Sent::default()
        }
        .batch()
        .unwrap();
    }
    let head = |whose, what| Refusal::Head { whose, what };
    let refusal = reason(Sent {
        request: (b"GET", None),
        ..Sent::default()
    });
    assert_eq!(refusal, head("request", "has no target in its first line"));
    let refusal = reason(Sent {
        response: Some((b"ICY 200", None)),
        ..Sent::default()
    });
    assert_eq!(refusal, head("response", "does not begin with `HTTP/`"));
}

#[test]
fn instances_are_told_apart_by_key_boot_and_tmm_alone() {
    let policy = Arc::new(Redaction::default().policy().unwrap());
    let mut translator = Translator::new(policy);
    let head = STANDARD.encode("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut sender = |key: &str, boot: &str, tmm: u32, sequence: u64, host: &str| {
        let facts = STANDARD.encode(format!("host {host}"));
        let fields = format!(
            "{boot} {tmm} {sequence} - - {NOW} - - - - - - - - - 1.1 - - {facts} {head} - - -"
        );
        let line = signed(key, "s", fields.as_bytes());
        let ring = Keyring::new([("a", "s"), ("b", "s")]).unwrap();
        let record = Records::of(line.trim_ascii_end())
            .next(&ring)
            .unwrap()
            .unwrap();
        let batch = translator.translate(&record, NOW).unwrap();
        let request = ExportRequest::decode(batch.payload.clone()).unwrap();
        let id = request.exchanges[0].id.to_vec();
        (batch.sender, id)
    };
    let (one, two) = ("00000000000000aa", "00000000000000bb");
    let mut instances = std::collections::HashSet::new();
    let mut ids = std::collections::HashSet::new();
    for (key, boot, tmm) in [("a", one, 1), ("a", one, 11), ("a", two, 1), ("b", one, 1)] {
        let (first, id) = sender(key, boot, tmm, 1, "h");
        let (second, other) = sender(key, boot, tmm, 2, "h");
        assert!(Arc::ptr_eq(&first, &second), "known already");
        assert!(instances.insert(first.instance) && ids.insert(id) && ids.insert(other));
    }
    let (renamed, id) = sender("a", one, 1, 1, "another");
    assert!(!instances.insert(renamed.instance) && !ids.insert(id));
    assert_eq!(renamed.shim.node, "another/tmm1");
    // However many there are.
    for tmm in 0..100 {
        sender("a", one, tmm, 1, "h");
    }
    assert_eq!(translator.senders.len(), MAX_SENDERS);
}
