//! Exchanges that own what observations borrow, and the bookshop they are made of.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

pub mod elements;
pub mod forum;
pub mod media;
pub mod procedures;
pub mod resources;
pub mod storefront;
pub mod tagged;

use serde_json::{Value, json};
use silhouette_reconstruct::{Body, Message, Model, Observation, Outcome};

/// One exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub millis: u64,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub request_headers: Vec<(String, Vec<u8>)>,
    pub request: Vec<u8>,
    pub status: u16,
    pub response_headers: Vec<(String, Vec<u8>)>,
    pub response: Vec<u8>,
    pub complete: bool,
    pub certificate: bool,
}

impl Exchange {
    pub fn new(method: &str, path: &str, status: u16) -> Exchange {
        Exchange {
            millis: 1_772_438_400_000,
            method: method.into(),
            path: path.into(),
            query: None,
            request_headers: vec![("host".into(), b"books.example.com".to_vec())],
            request: Vec::new(),
            status,
            response_headers: Vec::new(),
            response: Vec::new(),
            complete: true,
            certificate: false,
        }
    }

    pub fn query(mut self, query: &str) -> Exchange {
        self.query = Some(query.into());
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Exchange {
        self.request_headers
            .push((name.into(), value.as_bytes().to_vec()));
        self
    }

    pub fn sends(mut self, media: &str, body: &str) -> Exchange {
        self.request_headers
            .push(("content-type".into(), media.as_bytes().to_vec()));
        self.request = body.as_bytes().to_vec();
        self
    }

    pub fn answers(mut self, media: &str, body: &str) -> Exchange {
        self.response_headers
            .push(("content-type".into(), media.as_bytes().to_vec()));
        self.response = body.as_bytes().to_vec();
        self
    }

    pub fn json(self, body: &str) -> Exchange {
        self.answers("application/json", body)
    }

    pub fn observe(&self, model: &mut Model) -> Outcome {
        fn borrowed(headers: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
            headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_slice()))
                .collect()
        }
        let (rq, rs) = (
            borrowed(&self.request_headers),
            borrowed(&self.response_headers),
        );
        let body = |bytes| Body {
            bytes,
            original_size: bytes.len() as u64 + u64::from(!self.complete),
            complete: self.complete,
        };
        model.observe(&Observation {
            unix_millis: self.millis,
            duration_micros: Some(1500),
            shim: "nginx",
            scheme: "https",
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            request: Message {
                headers: &rq,
                body: Body::whole(&self.request),
            },
            status: self.status,
            response: Message {
                headers: &rs,
                body: body(&self.response),
            },
            client_certificate: self.certificate,
        })
    }
}

/// A small generator: what is drawn only depends on the seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    pub fn uuid(&mut self) -> String {
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
}

const AUTHORS: [&str; 9] = [
    "ursula-le-guin",
    "octavia-butler",
    "stanislaw-lem",
    "iain-banks",
    "ted-chiang",
    "mary-shelley",
    "jules-verne",
    "liu-cixin",
    "cj-cherryh",
];
const TOKEN: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl";

/// `n` exchanges of a bookshop: lists, integer, UUID and slug ids, errors, a login, an upload, and noise.
pub fn bookshop(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| Exchange {
            millis: 1_772_438_400_000 + i as u64 * 40,
            ..one(&mut d)
        })
        .collect()
}

fn book(d: &mut Draw, id: u64) -> String {
    let subtitle = match d.below(3) {
        0 => String::new(),
        1 => r#","subtitle":null"#.to_owned(),
        _ => format!(r#","subtitle":"A story of {} parts""#, d.below(900)),
    };
    format!(
        r#"{{"id":{id},"title":"Volume {}","price":{}.{:02},"format":"{}","authorSlug":"{}","published":"19{:02}-0{}-1{}","inStock":{}{subtitle}}}"#,
        d.below(100_000),
        d.below(90),
        1 + d.below(98),
        d.of(&["paperback", "hardcover", "ebook"]),
        d.of(&AUTHORS),
        d.below(90) + 10,
        d.below(9) + 1,
        d.below(9),
        d.below(2) == 0,
    )
}

fn author(d: &mut Draw, slug: &str) -> String {
    format!(
        r#"{{"slug":"{slug}","fullName":"Person {}","born":{},"website":"https://authors.example.com/{}"}}"#,
        d.below(100_000),
        1800 + d.below(200),
        d.below(100_000)
    )
}

fn order(d: &mut Draw, id: &str) -> String {
    format!(
        r#"{{"orderId":"{id}","status":"{}","placedAt":"2026-03-0{}T10:{:02}:00Z","lines":[{{"bookId":{},"quantity":{}}}],"email":"reader{}@example.com"}}"#,
        d.of(&["pending", "paid", "shipped"]),
        1 + d.below(9),
        d.below(60),
        1 + d.below(400),
        1 + d.below(5),
        d.below(10_000),
    )
}

fn one(d: &mut Draw) -> Exchange {
    let id = 1 + d.below(400);
    let problem = r#"{"error":{"code":404,"detail":"no such thing"}}"#;
    match d.below(20) {
        0 | 1 => {
            let books: Vec<String> = (0..2 + d.below(3)).map(|_| { let id = 1 + d.below(400); book(d, id) }).collect();
            let e = Exchange::new("GET", "/api/v1/books", 200).json(&format!(r#"{{"items":[{}],"total":{}}}"#, books.join(","), d.below(400)));
            if d.below(2) == 0 { e.query(&format!("page={}&sort={}", 1 + d.below(40), d.of(&["title", "price"]))) } else { e.query(&format!("page={}", 1 + d.below(40))) }
        }
        2..=4 => Exchange::new("GET", &format!("/api/v1/books/{id}"), 200).json(&book(d, id)),
        5 => Exchange::new("GET", &format!("/api/v1/books/{}", 100_000 + id), 404).json(problem),
        6 => Exchange::new("POST", "/api/v1/books", 201).header("authorization", TOKEN).sends("application/json", &book(d, id)).json(&book(d, id)),
        7 => Exchange::new("PUT", &format!("/api/v1/books/{id}"), 200).header("authorization", TOKEN).sends("application/json", &book(d, id)).json(&book(d, id)),
        8 => Exchange::new("DELETE", &format!("/api/v1/books/{id}"), 204).header("authorization", TOKEN),
        9 => Exchange::new("GET", &format!("/api/v1/books/{id}/reviews"), 200).json(&format!(r#"[{{"stars":{},"text":"Read it {} times"}}]"#, 1 + d.below(5), d.below(1000))),
        10 => {
            let all: Vec<String> = AUTHORS.iter().take(4).map(|a| author(d, a)).collect();
            Exchange::new("GET", "/api/v1/authors", 200).json(&format!("[{}]", all.join(",")))
        }
        11 | 12 => {
            let slug = d.of(&AUTHORS);
            Exchange::new("GET", &format!("/api/v1/authors/{slug}"), 200).json(&author(d, slug))
        }
        13 => {
            let id = d.uuid();
            Exchange::new("POST", "/api/v1/orders", 201).header("authorization", TOKEN).header("idempotency-key", &d.uuid()).sends("application/json", &format!(r#"{{"lines":[{{"bookId":{},"quantity":1}}]}}"#, 1 + d.below(400))).json(&order(d, &id))
        }
        14 | 15 => {
            let id = d.uuid();
            Exchange::new("GET", &format!("/api/v1/orders/{id}"), 200).header("authorization", TOKEN).json(&order(d, &id))
        }
        16 => {
            if d.below(4) == 0 {
                Exchange::new("POST", "/api/v1/login", 401).sends("application/x-www-form-urlencoded", "user=reader&password=zzzzzzzz").json(r#"{"error":{"code":401,"detail":"no"}}"#)
            } else {
                Exchange::new("POST", "/api/v1/login", 200).sends("application/x-www-form-urlencoded", "user=reader&password=zzzzzzzz").json(&format!(r#"{{"token":"{}"}}"#, d.uuid()))
            }
        }
        17 => Exchange::new("PUT", &format!("/api/v1/books/{id}/cover"), 204).header("authorization", TOKEN).sends(
            "multipart/form-data; boundary=xYzZy",
            "--xYzZy\r\nContent-Disposition: form-data; name=\"cover\"; filename=\"c.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n--xYzZy\r\nContent-Disposition: form-data; name=\"alt\"\r\n\r\nA cover\r\n--xYzZy--\r\n",
        ),
        18 => Exchange::new("GET", &format!("/static/app.{:x}.js", d.next()), 200).answers("application/javascript", "void 0"),
        _ => Exchange::new("GET", d.of(&["/wp-login.php", "/.env", "/api/v1/bookz", "/"]), 404).answers("text/html", "<h1>Not Found</h1>"),
    }
}

/// What a document of the bookshop has, and nothing else.
pub const BOOKSHOP: [&str; 12] = [
    "GET /api/v1/authors",
    "GET /api/v1/authors/{authorId}",
    "GET /api/v1/books",
    "POST /api/v1/books",
    "GET /api/v1/books/{bookId}",
    "PUT /api/v1/books/{bookId}",
    "DELETE /api/v1/books/{bookId}",
    "PUT /api/v1/books/{bookId}/cover",
    "GET /api/v1/books/{bookId}/reviews",
    "POST /api/v1/login",
    "POST /api/v1/orders",
    "GET /api/v1/orders/{orderId}",
];

const WORDS: [&str; 24] = [
    "users",
    "orders",
    "items",
    "me",
    "search",
    "status",
    "v1",
    "2.0",
    "admin",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "ab3dEFgh",
    "amber-birch",
    "report.pdf",
    "getAll",
    "int32s",
    "int64s",
    "data",
    "id",
    "name",
    "state",
    "tags",
];

fn scalar(d: &mut Draw) -> Value {
    match d.below(14) {
        0 => Value::Null,
        1 => json!(d.below(2) == 0),
        2 => json!(d.below(1000)),
        3 => json!(d.next() as i64),
        4 => json!(d.below(10_000) as f64 / 16.0),
        5 => json!(d.uuid()),
        6 => json!(format!(
            "20{:02}-{:02}-{:02}",
            d.below(99),
            1 + d.below(13),
            1 + d.below(31)
        )),
        7 => json!(format!(
            "2026-01-0{}T00:00:0{}{}",
            1 + d.below(9),
            d.below(10),
            d.of(&["Z", "+01:00", ""])
        )),
        8 => json!(format!("u{}@example.com", d.below(99))),
        9 => json!(format!(
            "https://example.com/{}",
            d.of(&["a", "b c", "%zz"])
        )),
        10 => json!(d.of(&["open", "closed", "held"])),
        11 => json!(d.of(&["10.0.0.1", "::1", "10.0.0.999", "1:2"])),
        12 => json!(""),
        _ => json!(format!("text {} 🦀 \" \\ \n", d.next())),
    }
}

fn value(d: &mut Draw, depth: u64) -> Value {
    match d.below(6 + depth) {
        0 | 1 => {
            let mut object = serde_json::Map::new();
            for _ in 0..d.below(6) {
                let name = match d.below(12) {
                    0 => d.uuid(),
                    1 => d.below(50).to_string(),
                    2 => "größe".to_owned(),
                    3 => String::new(),
                    _ => d.of(&WORDS).to_owned(),
                };
                object.insert(name, value(d, depth + 2));
            }
            Value::Object(object)
        }
        2 => Value::Array((0..d.below(4)).map(|_| value(d, depth + 2)).collect()),
        _ => scalar(d),
    }
}

/// A value with text around it.
pub fn affixed(d: &mut Draw) -> String {
    let value = match d.below(4) {
        0 => d.below(1000).to_string(),
        1 => d.uuid(),
        2 => d.of(&WORDS).to_owned(),
        _ => format!("2026-01-{:02}", 1 + d.below(28)),
    };
    match d.below(6) {
        0 => format!("{value}.{}", d.of(&["json", "xml", "tar.gz"])),
        1 => format!("{value}:{}", d.of(&["cancel", "7"])),
        2 => format!("{}{value}", d.of(&["@", "$", "~"])),
        3 => format!("{}.{value}", d.of(&["lists", "names"])),
        4 => format!("{value},{value}"),
        _ => format!("{value};colour={}", d.of(&WORDS)),
    }
}

/// Traffic of no API in particular.
pub fn wild(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let mut path = String::new();
            for _ in 0..d.below(5) {
                let segment = match d.below(8) {
                    0 => d.below(1_000_000).to_string(),
                    1 => d.uuid(),
                    2 if d.below(3) == 0 => affixed(&mut d),
                    2 => format!("w{}", d.below(40)),
                    3 => d.of(&["caf%C3%A9", "a%2Fb", "%00", "a,b", "{x}", "a:b", "~u"]).to_owned(),
                    _ => d.of(&WORDS).to_owned(),
                };
                path.push('/');
                path.push_str(&segment);
            }
            if path.is_empty() || d.below(9) == 0 {
                path.push('/');
            }
            let method = ["GET", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PURGE"][d.below(9) as usize];
            let status = [200, 200, 200, 201, 204, 206, 301, 400, 401, 404, 409, 500, 503][d.below(13) as usize];
            let mut e = Exchange::new(method, &path, status);
            e.millis += i as u64 * 10;
            if d.below(3) == 0 {
                e = e.query(d.of(&["page=2&sort=name", "ids=1&ids=2", "filter[state]=open", "api_key=zz", "q=", "a=%zz&&=&b", "debug=true&n=1.5"]));
            }
            match d.below(6) {
                0 => e = e.header("authorization", d.of(&["Bearer eyJhIjoxfQ.eyJiIjoyfQ.c2ln", "Bearer opaque", "Basic dTpw", "odd"])),
                1 => e = e.header("x-tenant", d.of(&["1", "2", "blue"])),
                2 => e = e.header("x-api-key", "k"),
                _ => {}
            }
            if matches!(method, "POST" | "PUT" | "PATCH") {
                e = match d.below(5) {
                    0 => e.sends("application/x-www-form-urlencoded", "name=a+b&n=1"),
                    1 => e.sends("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nx\r\n--b--"),
                    2 => e.sends(d.of(&["text/plain", "application/xml"]), d.of(&["hello", "<a b='1'><c>2</c><c/></a>", "<a>", "<a><c d='1'>x</c></a>"])),
                    _ => {
                        let body = value(&mut d, 0).to_string();
                        e.sends("application/json; charset=utf-8", &body)
                    }
                };
            }
            if status != 204 && method != "HEAD" {
                let body = value(&mut d, 0).to_string();
                e = match d.below(9) {
                    0 => e.answers("application/hal+json", &body),
                    1 => e.answers("application/pdf", "%PDF"),
                    2 => e.answers("application/json", &body.chars().take(body.chars().count() / 2).collect::<String>()),
                    3 => e.answers("application/x-ndjson", &format!("{body}\n{body}\n")),
                    _ => e.json(&body),
                };
            }
            e
        })
        .collect()
}

/// Paths, junk and bodies that outgrow any bound.
pub fn hostile(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let (a, b) = (d.next(), d.next());
            let status = if d.below(2) == 0 { 200 } else { 404 };
            let path = match d.below(5) {
                0 => format!("/junk{a:x}/x{b:x}"),
                1 => format!(
                    "/search/{}",
                    (0..8)
                        .map(|k| char::from(b'a' + (a >> (k * 5)) as u8 % 26))
                        .collect::<String>()
                ),
                2 => format!("/{a:x}z/q/{b:x}y/r/{i}q/s/t/u/v/w/x/y/z/1/2/3"),
                3 => format!("/files/n{}/p{}/m{}", a % 997, b % 991, a % 983),
                _ => "/echo".to_owned(),
            };
            let body = match d.below(3) {
                0 => format!(
                    r#"{{"k{a:x}":1,"{}":{{"z{b:x}":[{{"y{i}":"{}"}}]}}}}"#,
                    b % 7919,
                    "s".repeat((a % 300) as usize)
                ),
                1 => "[".repeat(200) + &"]".repeat(200),
                _ => "{\"ok\":true}".to_owned(),
            };
            Exchange::new("POST", &path, status)
                .query(&format!("p{a:x}=1&q=2"))
                .header(&format!("x-h{b:x}"), "1")
                .sends("application/json", &body)
                .answers(&format!("application/x{}+json", a % 5000), &body)
        })
        .collect()
}
