//! Traffic to measure with: what is drawn only depends on the seed.
//!
//! Bodies as APIs answer them: ids, names, sentences, times, addresses, prices, statuses of a few words, nested objects and
//! lists, members that are sometimes null or left out; every body has other values.

use silhouette_reconstruct::{Body, Message, Model, Observation, Outcome};
use std::fmt::Write;

/// SplitMix64.
pub(crate) struct Draw(pub u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    pub(crate) fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    fn sentence(&mut self) -> String {
        let n = 3 + self.below(9);
        let words: Vec<&str> = (0..n).map(|_| self.of(&WORDS)).collect();
        words.join(" ")
    }
}

const WORDS: [&str; 40] = [
    "river", "stone", "letter", "market", "garden", "window", "silver", "morning", "engine",
    "bridge", "winter", "paper", "signal", "harbor", "copper", "island", "summer", "thread",
    "basket", "mirror", "candle", "forest", "planet", "anchor", "velvet", "marble", "saddle",
    "lantern", "meadow", "orchard", "pepper", "quarry", "ribbon", "shadow", "timber", "valley",
    "walnut", "yellow", "zephyr", "cobalt",
];

/// Nouns for collections; a number makes more of them.
const NOUNS: [&str; 25] = [
    "accounts",
    "albums",
    "bookings",
    "branches",
    "carriers",
    "channels",
    "contracts",
    "coupons",
    "customers",
    "devices",
    "documents",
    "events",
    "expenses",
    "invoices",
    "locations",
    "messages",
    "orders",
    "payments",
    "products",
    "projects",
    "reports",
    "shipments",
    "tickets",
    "users",
    "vehicles",
];

/// The collection with this number.
pub(crate) fn noun(n: usize) -> String {
    let base = NOUNS[n % NOUNS.len()];
    match n / NOUNS.len() {
        0 => base.to_owned(),
        more => format!("{}-{base}", WORDS[more % WORDS.len()]),
    }
}

/// Thirty members, every resource with some names of its own.
pub(crate) fn record(d: &mut Draw, noun: &str, out: &mut String) {
    let stem = noun.trim_end_matches('s').replace('-', "_");
    let id = d.below(90_000_000) + 10_000_000;
    let _ = write!(
        out,
        r#"{{"id":{id},"uuid":"{}","{stem}_number":"{}-{:06}","name":"{} {}","description":"{}","status":"{}","kind":"{}""#,
        d.uuid(),
        stem.get(..2).unwrap_or("x").to_ascii_uppercase(),
        d.below(1_000_000),
        d.of(&WORDS),
        d.of(&WORDS),
        d.sentence(),
        d.of(&["draft", "open", "closed", "archived"]),
        d.of(&["standard", "express"]),
    );
    let _ = write!(
        out,
        r#","created_at":"2026-{:02}-{:02}T{:02}:{:02}:{:02}Z","updated_at":"2026-{:02}-{:02}T08:15:30.{:03}Z","due_on":"2026-{:02}-{:02}""#,
        1 + d.below(12),
        1 + d.below(28),
        d.below(24),
        d.below(60),
        d.below(60),
        1 + d.below(12),
        1 + d.below(28),
        d.below(1000),
        1 + d.below(12),
        1 + d.below(28),
    );
    let _ = write!(
        out,
        r#","{stem}_total":{}.{:02},"currency":"{}","quantity":{},"discount":{},"active":{},"email":"{}.{}@example.com","homepage":"https://www.example.com/{}/{id}","phone":"+49 30 {}""#,
        d.below(10_000),
        d.below(100),
        d.of(&["EUR", "USD", "GBP", "JPY"]),
        d.below(100),
        if d.below(3) == 0 { "null" } else { "0.15" },
        d.below(2) == 0,
        d.of(&WORDS),
        d.of(&WORDS),
        noun,
        d.below(9_000_000) + 1_000_000,
    );
    let _ = write!(
        out,
        r#","owner":{{"id":{},"login":"{}{}","display_name":"{} {}"}},"address":{{"street":"{} street {}","city":"{}","zip":"{:05}","country":"{}"}}"#,
        d.below(100_000),
        d.of(&WORDS),
        d.below(1000),
        d.of(&WORDS),
        d.of(&WORDS),
        d.of(&WORDS),
        d.below(300),
        d.of(&WORDS),
        d.below(100_000),
        d.of(&["DE", "FR", "US", "JP", "BR"]),
    );
    let _ = write!(
        out,
        r#","tags":["{}","{}"],"{stem}_lines":[{{"sku":"{}","amount":{},"price":{}.{:02}}},{{"sku":"{}","amount":{},"price":{}.{:02}}}],"version":{}"#,
        d.of(&WORDS),
        d.of(&WORDS),
        d.uuid(),
        d.below(20),
        d.below(500),
        d.below(100),
        d.uuid(),
        d.below(20),
        d.below(500),
        d.below(100),
        d.below(30),
    );
    if d.below(2) == 0 {
        let _ = write!(out, r#","note":"{}""#, d.sentence());
    }
    let _ = write!(
        out,
        r#","etag":"{:016x}","locale":"{}","{stem}_ref":"{}","parent_id":{}}}"#,
        d.next(),
        d.of(&["de-DE", "en-US", "fr-FR"]),
        d.uuid(),
        if d.below(4) == 0 {
            "null".to_owned()
        } else {
            d.below(100_000_000).to_string()
        },
    );
}

/// A page of records.
pub(crate) fn page(d: &mut Draw, noun: &str, records: usize) -> String {
    let mut out = String::from(r#"{"items":["#);
    for i in 0..records {
        if i > 0 {
            out.push(',');
        }
        record(d, noun, &mut out);
    }
    let _ = write!(
        out,
        r#"],"total":{},"next":"https://api.example.com/{noun}?page={}"}}"#,
        d.below(10_000),
        d.below(100)
    );
    out
}

/// One exchange that owns what observations borrow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub method: &'static str,
    pub path: String,
    pub query: Option<String>,
    pub header: Option<(String, String)>,
    pub status: u16,
    pub request: String,
    pub response: String,
}

impl Exchange {
    pub(crate) fn observe(&self, model: &mut Model) -> Outcome {
        let mut request: Vec<(&str, &[u8])> = vec![
            ("host", b"api.example.com"),
            ("user-agent", b"bench/1.0 (+https://example.com)"),
            ("accept", b"application/json"),
            ("accept-encoding", b"gzip, deflate"),
            ("connection", b"keep-alive"),
            (
                "authorization",
                b"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl",
            ),
        ];
        if !self.request.is_empty() {
            request.push(("content-type", b"application/json"));
        }
        if let Some((name, value)) = &self.header {
            request.push((name, value.as_bytes()));
        }
        let mut response: Vec<(&str, &[u8])> = vec![
            ("date", b"Mon, 02 Mar 2026 08:00:00 GMT"),
            ("server", b"nginx"),
            ("cache-control", b"no-store"),
        ];
        if !self.response.is_empty() {
            response.push(("content-type", b"application/json; charset=utf-8"));
        }
        model.observe(&Observation {
            unix_millis: 1_772_438_400_000,
            duration_micros: Some(900),
            shim: "nginx",
            scheme: "https",
            method: self.method,
            path: &self.path,
            query: self.query.as_deref(),
            request: Message {
                headers: &request,
                body: Body::whole(self.request.as_bytes()),
            },
            status: self.status,
            response: Message {
                headers: &response,
                body: Body::whole(self.response.as_bytes()),
            },
            client_certificate: false,
        })
    }
}

/// One call of operation `n`: five on each collection, three of them with a new id.
pub(crate) fn call(d: &mut Draw, n: usize) -> Exchange {
    let noun = noun(n / 5);
    let mut one = String::new();
    record(d, &noun, &mut one);
    let id = d.below(90_000_000) + 10_000_000;
    let (list, item) = (format!("/api/v1/{noun}"), format!("/api/v1/{noun}/{id}"));
    let base = Exchange {
        status: 200,
        ..Exchange::default()
    };
    match n % 5 {
        0 => Exchange {
            method: "GET",
            path: list,
            query: Some(format!(
                "page={}&per_page=20&sort={}",
                d.below(50),
                d.of(&["name", "created_at"])
            )),
            response: page(d, &noun, 2),
            ..base
        },
        1 => Exchange {
            method: "POST",
            path: list,
            status: 201,
            request: one.clone(),
            response: one,
            ..base
        },
        2 => Exchange {
            method: "GET",
            path: item,
            response: one,
            ..base
        },
        3 => Exchange {
            method: "PATCH",
            path: item,
            request: format!(r#"{{"status":"open","note":"{}"}}"#, d.sentence()),
            response: one,
            ..base
        },
        _ => Exchange {
            method: "DELETE",
            path: item,
            status: 204,
            ..base
        },
    }
}
