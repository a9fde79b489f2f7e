//! People who use the bookshop, and the noise that every host on the internet gets.
//!
//! In: a base URL, a seed, a rate and an end. Out: requests, and a summary of what came back. The same seed makes the same
//! people do the same things; what the shop answers depends on who comes first. Only bad transport is a failure: a 404 or
//! 409 is a person's mistake, and part of the play.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use fastrand::Rng;
use http_body_util::{BodyExt, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::bookshop::{CUSTOMER, STAFF};

/// What to play.
#[derive(Debug, Clone)]
pub struct Play {
    /// Where, e.g. `http://127.0.0.1:8080`.
    pub base: String,
    /// The `Host` to say instead of the base's own authority.
    pub host: Option<String>,
    /// People at the same time.
    pub people: usize,
    /// Requests per second of all together; `None` is as fast as it goes.
    pub rate: Option<u32>,
    /// When to stop, whichever comes first.
    pub requests: u64,
    /// See `requests`.
    pub time: Duration,
    /// Decides who does what.
    pub seed: u64,
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Responses received in full.
    pub responses: u64,
    /// By status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a complete response, with the first few reasons.
    pub failures: u64,
    /// At most five.
    pub reasons: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

struct Stage {
    client: Client<HttpConnector, Full<Bytes>>,
    play: Play,
    started: Arc<AtomicU64>,
    begin: Instant,
    summary: Mutex<Summary>,
    ticks: Option<tokio::sync::Mutex<tokio::time::Interval>>,
}

/// Plays until the end; `started` counts requests as they are begun, for whoever shows progress.
///
/// # Errors
/// When the base URL is none.
pub async fn play(play: Play, started: Arc<AtomicU64>) -> Result<Summary> {
    play.base
        .parse::<Uri>()
        .with_context(|| format!("{:?} is no URL like http://127.0.0.1:8080", play.base))?;
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let ticks = play.rate.map(|rate| {
        let mut interval = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        tokio::sync::Mutex::new(interval)
    });
    let people = play.people.max(1);
    let stage = Arc::new(Stage {
        client,
        play,
        started,
        begin: Instant::now(),
        summary: Mutex::default(),
        ticks,
    });
    let tasks: Vec<_> = (0..people)
        .map(|n| {
            let stage = stage.clone();
            let random = Rng::with_seed(
                stage
                    .play
                    .seed
                    .wrapping_mul(1_000_003)
                    .wrapping_add(n as u64),
            );
            tokio::spawn(async move {
                Person {
                    stage,
                    random,
                    token: None,
                    isbns: Vec::new(),
                    orders: Vec::new(),
                }
                .live()
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.context("a person's task")?;
    }
    let mut summary = stage
        .summary
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    summary.elapsed = stage.begin.elapsed();
    Ok(summary)
}

/// The play is over.
struct Over;

/// What came back as JSON, null for anything else.
type Acted<T = ()> = Result<T, Over>;

struct Person {
    stage: Arc<Stage>,
    random: Rng,
    token: Option<String>,
    isbns: Vec<String>,
    orders: Vec<u64>,
}

impl Person {
    async fn live(mut self) {
        loop {
            let scene = self.random.u32(0..100);
            let acted = match scene {
                0..30 => self.browse().await,
                30..45 => self.buy().await,
                45..57 => self.read_reviews().await,
                57..65 => self.look_up_authors().await,
                65..80 => self.keep_the_shop().await,
                80..88 => self.make_mistakes().await,
                88..94 => self.visit_the_page().await,
                _ => self.scan().await,
            };
            if acted.is_err() {
                return;
            }
        }
    }

    async fn browse(&mut self) -> Acted {
        let query = match self.random.u32(0..7) {
            0 => String::new(),
            1 => format!(
                "?page={}&perPage={}",
                self.random.u32(1..6),
                [5, 10, 20, 50][self.random.usize(0..4)]
            ),
            2 => format!("?genre={}", self.genre()),
            3 => "?inStock=true&sort=price".to_owned(),
            4 => format!("?minPrice={}.5&sort=-price", self.random.u32(3..30)),
            5 => "?sort=title&page=2".to_owned(),
            _ => format!("?genre={}&sort=publishedOn&perPage=10", self.genre()),
        };
        let list = self.get(&format!("/api/v1/books{query}")).await?;
        self.remember(&list["items"]);
        for _ in 0..self.random.u32(1..4) {
            let isbn = self.isbn();
            self.get(&format!("/api/v1/books/{isbn}")).await?;
        }
        if self.random.u32(0..3) == 0 {
            let top = self.get("/api/v1/books/bestsellers").await?;
            self.remember(&top["items"]);
        }
        if self.random.u32(0..3) == 0 {
            let word = ["river", "silent", "map", "winter", "the", "zzz"][self.random.usize(0..6)];
            let limit = if self.random.bool() { "&limit=5" } else { "" };
            self.get(&format!("/api/v1/search?q={word}{limit}")).await?;
        }
        Ok(())
    }

    async fn buy(&mut self) -> Acted {
        let n = self.random.u32(0..38);
        let email = if n == 0 {
            CUSTOMER.0.to_owned()
        } else {
            format!("reader{n}@example.com")
        };
        self.log_in(&email, CUSTOMER.1).await?;
        let me = self.get("/api/v1/me").await?;
        if let Some(id) = me["id"].as_str().map(str::to_owned) {
            self.get(&format!("/api/v1/customers/{id}")).await?;
        }
        for _ in 0..self.random.u32(1..4) {
            let items: Vec<Value> = (0..self.random.u32(1..4))
                .map(|_| json!({ "isbn": self.isbn(), "quantity": self.random.u32(1..4) }))
                .collect();
            let mut order = json!({ "items": items });
            if self.random.bool() {
                order["note"] = json!("please wrap it as a gift");
            }
            if self.random.u32(0..3) == 0 {
                let postal_code = self.random.u32(1000..9999).to_string();
                order["shipTo"] = json!({ "street": "1 Harbour Road", "city": "Graz", "postalCode": postal_code, "country": "AT" });
            }
            let placed = self
                .send(Method::POST, "/api/v1/orders", Some(order))
                .await?;
            self.orders.extend(placed["id"].as_u64());
        }
        self.get("/api/v1/orders").await?;
        if self.random.bool() {
            self.get("/api/v1/orders?page=1&perPage=5&since=2024-01-01T00:00:00Z")
                .await?;
        }
        for id in std::mem::take(&mut self.orders) {
            self.get(&format!("/api/v1/orders/{id}")).await?;
            if self.random.u32(0..3) == 0 {
                self.send(Method::DELETE, &format!("/api/v1/orders/{id}"), None)
                    .await?;
            }
        }
        self.token = None;
        Ok(())
    }

    async fn read_reviews(&mut self) -> Acted {
        let isbn = self.isbn();
        self.get(&format!("/api/v1/books/{isbn}/reviews")).await?;
        let n = self.random.u32(1..38);
        self.log_in(&format!("reader{n}@example.com"), CUSTOMER.1)
            .await?;
        let text = [
            "Could not put it down.",
            "A long winter's read.",
            "Not for me, but well made.",
        ];
        for _ in 0..self.random.u32(1..3) {
            let isbn = self.isbn();
            let review =
                json!({ "stars": self.random.u32(1..6), "text": text[self.random.usize(0..3)] });
            self.send(
                Method::POST,
                &format!("/api/v1/books/{isbn}/reviews"),
                Some(review),
            )
            .await?;
            self.get(&format!("/api/v1/books/{isbn}/reviews")).await?;
        }
        self.token = None;
        Ok(())
    }

    async fn look_up_authors(&mut self) -> Acted {
        let list = self.get("/api/v1/authors").await?;
        if self.random.u32(0..3) == 0 {
            self.get("/api/v1/authors?page=2&perPage=10").await?;
        }
        let slugs: Vec<String> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|a| a["slug"].as_str().map(str::to_owned))
            .collect();
        for _ in 0..3 {
            if let Some(slug) = self.random.choice(&slugs).cloned() {
                self.get(&format!("/api/v1/authors/{slug}")).await?;
                if self.random.bool() {
                    self.get(&format!("/api/v1/books?author={slug}")).await?;
                }
            }
        }
        Ok(())
    }

    async fn keep_the_shop(&mut self) -> Acted {
        self.get("/api/v1/health").await?;
        self.log_in(STAFF.0, STAFF.1).await?;
        let isbn = crate::bookshop::isbn(self.random.u64(10_000_000..99_999_999));
        let mut book = json!({
            "title": "The Quiet Harbour", "author": "jane-austen", "genre": self.genre(),
            "price": f64::from(self.random.u32(500..4000)) / 100.0, "stock": self.random.u32(5..60),
            "pages": self.random.u32(80..700), "publishedOn": format!("19{}-0{}-1{}", self.random.u32(10..99), self.random.u32(1..9), self.random.u32(0..9)),
            "series": null, "tags": ["new"],
        });
        let update = book.clone();
        book["isbn"] = json!(isbn);
        self.send(Method::POST, "/api/v1/books", Some(book.clone()))
            .await?;
        if self.random.u32(0..4) == 0 {
            self.send(Method::POST, "/api/v1/books", Some(book)).await?;
        }
        self.send(Method::PUT, &format!("/api/v1/books/{isbn}"), Some(update))
            .await?;
        let change = if self.random.bool() {
            json!({ "stock": self.random.u32(20..90) })
        } else {
            json!({ "price": 12.5, "stock": 40 })
        };
        let other = self.isbn();
        self.send(
            Method::PATCH,
            &format!("/api/v1/books/{other}"),
            Some(change),
        )
        .await?;
        self.upload(&isbn, "image/png").await?;
        self.send(Method::DELETE, &format!("/api/v1/books/{isbn}"), None)
            .await?;
        self.token = None;
        Ok(())
    }

    async fn make_mistakes(&mut self) -> Acted {
        match self.random.u32(0..10) {
            0 => drop(self.get("/api/v1/books/9780000000000").await?),
            1 => drop(self.get("/api/v1/books?page=0").await?),
            2 => drop(self.get("/api/v1/orders").await?),
            3 => drop(self.log_in(CUSTOMER.0, "wrong password").await?),
            4 => drop(
                self.raw(
                    Method::POST,
                    "/api/v1/auth/login",
                    "application/json",
                    "{\"email\":".into(),
                )
                .await?,
            ),
            5 => drop(self.get("/api/v1/authors/nobody-at-all").await?),
            6 => {
                self.log_in(CUSTOMER.0, CUSTOMER.1).await?;
                let isbn = self.isbn();
                self.send(Method::DELETE, &format!("/api/v1/books/{isbn}"), None)
                    .await?;
                self.send(Method::POST, "/api/v1/orders", Some(json!({ "items": [] })))
                    .await?;
            }
            7 => {
                self.log_in(STAFF.0, STAFF.1).await?;
                let isbn = self.isbn();
                self.upload(&isbn, "text/html").await?;
                self.send(
                    Method::PATCH,
                    &format!("/api/v1/books/{isbn}"),
                    Some(json!({ "price": -1 })),
                )
                .await?;
            }
            8 => {
                self.log_in(CUSTOMER.0, CUSTOMER.1).await?;
                let order = format!("/api/v1/orders/{}", self.random.u32(1..900));
                self.get(&order).await?;
            }
            _ => drop(self.get("/api/v1/search?q=").await?),
        }
        self.token = None;
        Ok(())
    }

    async fn visit_the_page(&mut self) -> Acted {
        for path in [
            "/",
            "/assets/app.css",
            "/assets/app.js",
            "/favicon.ico",
            "/home",
        ] {
            self.get(path).await?;
        }
        // A browser's preflight before a cross-origin call.
        let mut request = self.request(Method::OPTIONS, "/api/v1/orders", Bytes::new());
        let headers = request.headers_mut();
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_static("https://shop.example"),
        );
        headers.insert(
            header::ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("POST"),
        );
        headers.insert(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("authorization, content-type"),
        );
        self.exchange(request).await.map(drop)
    }

    /// What scanners try on every host.
    async fn scan(&mut self) -> Acted {
        const PROBES: [&str; 12] = [
            "/wp-login.php",
            "/.env",
            "/.git/config",
            "/phpmyadmin/index.php",
            "/admin/config.php",
            "/cgi-bin/test.cgi",
            "/actuator/health",
            "/robots.txt",
            "/api/v1/..%2f..%2fetc%2fpasswd",
            "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
            "/solr/admin/info/system?wt=json",
            "/xmlrpc.php",
        ];
        for _ in 0..self.random.u32(1..5) {
            let probe = PROBES[self.random.usize(0..PROBES.len())];
            self.get(probe).await?;
        }
        Ok(())
    }

    fn genre(&mut self) -> &'static str {
        ["novel", "poetry", "science", "history", "children"][self.random.usize(0..5)]
    }

    fn remember(&mut self, items: &Value) {
        let found = items
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|book| book["isbn"].as_str());
        self.isbns.extend(found.map(str::to_owned));
        let surplus = self.isbns.len().saturating_sub(60);
        self.isbns.drain(..surplus);
    }

    /// A book this person has seen, or one that the shop begins with.
    fn isbn(&mut self) -> String {
        match self.random.choice(&self.isbns) {
            Some(isbn) => isbn.clone(),
            None => crate::bookshop::isbn(self.random.u64(0..96) * 7919 + 3),
        }
    }

    async fn log_in(&mut self, email: &str, password: &str) -> Acted<Value> {
        self.token = None;
        let login = json!({ "email": email, "password": password });
        let reply = self
            .send(Method::POST, "/api/v1/auth/login", Some(login))
            .await?;
        self.token = reply["accessToken"].as_str().map(str::to_owned);
        Ok(reply)
    }

    async fn upload(&mut self, isbn: &str, kind: &str) -> Acted<Value> {
        let mut body = format!(
            "--cover\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cover.png\"\r\nContent-Type: {kind}\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(b"\x89PNG\r\n\x1a\n");
        body.extend((0..self.random.usize(200..3000)).map(|_| self.random.u8(..)));
        body.extend_from_slice(b"\r\n--cover\r\nContent-Disposition: form-data; name=\"alt\"\r\n\r\nThe cover\r\n--cover--\r\n");
        self.raw(
            Method::POST,
            &format!("/api/v1/books/{isbn}/cover"),
            "multipart/form-data; boundary=cover",
            body.into(),
        )
        .await
    }

    async fn get(&mut self, path: &str) -> Acted<Value> {
        self.send(Method::GET, path, None).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Acted<Value> {
        match body {
            Some(body) => {
                self.raw(method, path, "application/json", body.to_string().into())
                    .await
            }
            None => {
                self.exchange(self.request(method, path, Bytes::new()))
                    .await
            }
        }
    }

    async fn raw(&mut self, method: Method, path: &str, kind: &str, body: Bytes) -> Acted<Value> {
        let mut request = self.request(method, path, body);
        if let Ok(kind) = HeaderValue::from_str(kind) {
            request.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        self.exchange(request).await
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.stage.play.base.trim_end_matches('/'))
            .parse()
            .unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, */*;q=0.1"),
        );
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static("silhouette-play/1"),
        );
        if let Some(host) = self
            .stage
            .play
            .host
            .as_deref()
            .and_then(|host| HeaderValue::from_str(host).ok())
        {
            headers.insert(header::HOST, host);
        }
        let token = self
            .token
            .as_deref()
            .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, token);
        }
        request
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Acted<Value> {
        let stage = &self.stage;
        if stage.begin.elapsed() >= stage.play.time {
            return Err(Over);
        }
        if stage.started.fetch_add(1, Ordering::Relaxed) >= stage.play.requests {
            stage.started.fetch_sub(1, Ordering::Relaxed);
            return Err(Over);
        }
        if let Some(ticks) = &stage.ticks {
            ticks.lock().await.tick().await;
        }
        let what = format!("{} {}", request.method(), request.uri().path());
        let answer = async {
            let response = stage.client.request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), answer).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within 30 s")));
        let mut summary = stage.summary.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok((status, body)) => {
                summary.responses += 1;
                *summary.statuses.entry(status).or_default() += 1;
                Ok(serde_json::from_slice(&body).unwrap_or_default())
            }
            Err(error) => {
                summary.failures += 1;
                if summary.reasons.len() < 5 {
                    summary.reasons.push(format!("{what}: {error:#}"));
                }
                Ok(Value::Null)
            }
        }
    }
}
