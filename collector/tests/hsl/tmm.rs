//! A TMM as the collector sees it: signed records, and what is told of them.

// Every part uses some of it.
#![allow(unreachable_pub)]

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use silhouette_collector::hsl::record::signed;
use silhouette_collector::unix_millis;

use crate::collector::{Collector, binary};

pub const PLAIN: [&str; 2] = ["--hsl-listen", "127.0.0.1:0"];

pub fn hsl_key(dir: &Path, args: &[&str]) -> String {
    let output = binary()
        .arg("hsl-key")
        .args(args)
        .arg("--data-dir")
        .arg(dir.join("data"))
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text.lines().next().unwrap_or_default().to_owned()
}

/// A TMM of a BIG-IP whose rule was loaded just now.
#[derive(Clone)]
pub struct Tmm {
    pub key: String,
    pub secret: String,
    pub boot: String,
    pub number: u32,
}

impl Tmm {
    /// With a key of its own.
    pub fn new(dir: &Path, key: &str) -> Tmm {
        Tmm {
            key: key.into(),
            secret: hsl_key(dir, &["create", "--name", key]),
            // A second later than any start that is still to come in this test.
            boot: format!("{:08x}00c0ffee", unix_millis() / 1000 + 60),
            number: 1,
        }
    }

    /// A call of a small API.
    pub fn record(&self, sequence: u64) -> Vec<u8> {
        let (id, body) = (
            sequence % 50,
            format!("{{\"id\":{sequence},\"title\":\"A book\"}}"),
        );
        let request = format!("GET /books/{id} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let response = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        self.of(
            sequence,
            "-",
            request.as_bytes(),
            None,
            response.as_bytes(),
            Some(body.as_bytes()),
        )
    }

    pub fn of(
        &self,
        sequence: u64,
        dropped: &str,
        request: &[u8],
        request_body: Option<&[u8]>,
        response: &[u8],
        response_body: Option<&[u8]>,
    ) -> Vec<u8> {
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| STANDARD.encode(bytes));
        let facts =
            "host f5.example\nrule 0.1.0\ntmos 17.1.0\nvirtual /Common/vs\npool /Common/pool\n";
        let fields = [
            format!("{} {} {sequence} {dropped} -", self.boot, self.number),
            (unix_millis() / 1000).to_string(),
            "3 5 - 10.0.0.1%1 40000 192.0.2.1 443 10.0.0.2 80 2.0 - -".into(),
            text(Some(facts.as_bytes())),
            text(Some(request)),
            text(request_body),
            text(Some(response)),
            text(response_body),
        ]
        .join(" ");
        signed(&self.key, &self.secret, fields.as_bytes())
    }
}

pub fn connect(collector: &Collector) -> TcpStream {
    TcpStream::connect(collector.address("hsl")).unwrap()
}

pub fn send(collector: &Collector, bytes: &[u8]) {
    connect(collector).write_all(bytes).unwrap();
}

pub fn accepted(collector: &Collector) -> u64 {
    collector.metric("silhouette_hsl_records_accepted_total{listener=\"hsl\"}")
}

pub fn refused(collector: &Collector, reason: &str) -> u64 {
    collector.metric(&format!(
        "silhouette_hsl_records_refused_total{{listener=\"hsl\",reason=\"{reason}\"}}"
    ))
}

/// Waits until so many records have come since the start and are durable.
pub fn settled(collector: &Collector, accepted_records: u64) {
    collector.wait("every record has come", || {
        accepted(collector) == accepted_records
    });
    collector.wait("every record is durable and told of", || {
        let json = collector.json("/v1/hsl");
        let rows = json["senders"].as_array().unwrap().iter();
        let told =
            rows.map(|row| row["received"].as_u64().unwrap() + row["doubled"].as_u64().unwrap());
        told.sum::<u64>() == accepted_records
    });
}

/// captured, received, lost or late, doubled of the one sender there is.
pub fn sent(collector: &Collector) -> [u64; 4] {
    let json = collector.json("/v1/hsl");
    if json["sender_count"] == 0 {
        return [0; 4];
    }
    assert_eq!(json["sender_count"], 1, "{json}");
    let row = &json["senders"][0];
    let number = |name: &str| row[name].as_u64().unwrap();
    [
        number("captured"),
        number("received"),
        number("lost") + number("late"),
        number("doubled"),
    ]
}
