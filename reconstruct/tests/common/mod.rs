//! Exchanges that own what observations borrow, and the bookshop they are made of.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

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
            client_certificate: false,
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
