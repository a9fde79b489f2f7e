//! What is kept when there is too much of something: the words of the API, and what its operations look like.

mod common;

use common::{BOOKSHOP, Draw, Exchange, bookshop};
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model};

fn document(model: &Model) -> Document {
    let host = HostName::parse(b"books.example.com", "https").unwrap();
    model.document(&host, &DocumentOptions::default())
}

/// Nine letters, every time others.
fn letters(d: &mut Draw) -> String {
    let n = d.next();
    (0..9)
        .map(|k| char::from(b'a' + (n >> (k * 5)) as u8 % 26))
        .collect()
}

/// Four or five syllables: a word nobody knows and anybody could read.
fn syllables(d: &mut Draw) -> String {
    const SYLLABLES: [&str; 20] = [
        "ka", "mo", "ri", "ten", "sol", "vi", "bar", "lu", "nor", "pe", "gra", "tion", "dol",
        "ment", "con", "der", "ers", "in", "al", "st",
    ];
    (0..4 + d.below(2)).map(|_| d.of(&SYLLABLES)).collect()
}

/// A bookshop in whose traffic `n` exchanges of `attack` are mixed keeps its operations, under the ceiling.
fn check(name: &str, n: usize, attack: impl Fn(&mut Draw) -> Exchange) {
    let limits = Limits {
        memory_bytes: 8 << 20,
    };
    let (mut d, mut model) = (Draw(7), Model::new(limits.clone()));
    let honest = bookshop(1_200, 3);
    for (i, exchange) in honest.iter().enumerate() {
        exchange.observe(&mut model);
        for _ in 0..(n * (i + 1) / honest.len() - n * i / honest.len()) {
            attack(&mut d).observe(&mut model);
        }
    }
    assert!(
        model.memory_bytes() <= limits.memory_bytes,
        "{name}: {} bytes",
        model.memory_bytes()
    );
    let document = document(&model);
    let found: Vec<String> = document
        .operations()
        .iter()
        .map(|o| format!("{} {}", o.method, o.path))
        .collect();
    let lost: Vec<_> = BOOKSHOP
        .iter()
        .filter(|o| !found.iter().any(|f| f == *o))
        .collect();
    assert!(lost.is_empty(), "{name}: lost {lost:?}, has {found:?}");
    // Invented paths that succeed are operations outside of the base path.
    let paths = &document.as_value()["paths"];
    let book = ["/books/{bookId}", "/api/v1/books/{bookId}"]
        .iter()
        .find_map(|path| paths.get(path))
        .unwrap_or(&serde_json::Value::Null);
    let book = &book["get"]["responses"]["200"]["content"];
    assert!(
        book["application/json"]["schema"].is_object(),
        "{name}: {book}"
    );
}

#[test]
fn invented_names_leave_the_api_alone() {
    check("paths", 60_000, |d| {
        Exchange::new("POST", &format!("/{}7/x{}", letters(d), letters(d)), 200).json("{\"a\":1}")
    });
    check("paths of random letters that succeed", 60_000, |d| {
        Exchange::new("POST", &format!("/{}/{}", letters(d), letters(d)), 200).json("{\"a\":1}")
    });
    check("the same beside the API's own", 60_000, |d| {
        Exchange::new("GET", &format!("/api/v1/{}", letters(d)), 200).json("{\"a\":1}")
    });
    check("words that could be names", 60_000, |d| {
        Exchange::new("GET", &format!("/api/v1/{}", syllables(d)), 200).json("{\"a\":1}")
    });
    check("paths that fail", 30_000, |d| {
        Exchange::new("GET", &format!("/{}/{}", letters(d), letters(d)), 404)
    });
    check("deep paths", 10_000, |d| {
        let path = (0..10).fold(String::new(), |p, _| {
            format!("{p}/{}{}", letters(d), d.below(10))
        });
        Exchange::new("POST", &path, 200)
    });
    check("queries", 20_000, |d| {
        Exchange::new("GET", "/api/v1/books", 200).query(&format!(
            "{}=1&{}=2",
            letters(d),
            letters(d)
        ))
    });
    check("headers", 20_000, |d| {
        Exchange::new("GET", "/api/v1/books", 200).header(&format!("x-{}", letters(d)), "1")
    });
    check("members", 5_000, |d| {
        let body = format!(
            "{{\"{}\":{{\"{}\":1}},\"{}\":\"{}\"}}",
            letters(d),
            letters(d),
            letters(d),
            letters(d)
        );
        Exchange::new("POST", "/api/v1/orders", 201).sends("application/json", &body)
    });
    check("words that seem to decide", 5_000, |d| {
        let body = (0..4).fold(String::new(), |inner, n| {
            let (k, l) = (d.below(12), letters(d));
            let inner = if n == 0 { "1" } else { &inner };
            format!(r#"{{"{l}_type":"a{k}","kind":"b{k}","event":"a word of many letters {k}","{l}":{inner}}}"#)
        });
        Exchange::new("POST", "/api/v1/orders", 201).sends("application/json", &body)
    });
    check("depth", 60, |d| {
        let body = format!(
            "{}1{}",
            format!("{{\"{}\":[", letters(d)).repeat(5_000),
            "]}".repeat(5_000)
        );
        Exchange::new("POST", "/api/v1/orders", 201).sends("application/json", &body)
    });
    check("long values", 8, |d| {
        let body = format!("{{\"note\":\"{}\"}}", letters(d).repeat((1 << 20) / 9));
        Exchange::new("POST", "/api/v1/orders", 201).sends("application/json", &body)
    });
}

#[test]
fn a_collection_of_thousands_of_words_keeps_its_schema() {
    let (mut d, mut model) = (Draw(1), Model::new(Limits::default()));
    for i in 0..6_000 {
        let login = letters(&mut d);
        let body = format!(
            r#"{{"login":"{login}","id":{i},"name":"N. {login}","plan":{{"seats":{}}}}}"#,
            d.below(9)
        );
        Exchange::new("GET", &format!("/api/users/{login}"), 200)
            .json(&body)
            .observe(&mut model);
    }
    let document = document(&model);
    let [only] = document.operations() else {
        panic!("{:?}", document.operations());
    };
    let text = document.to_json();
    assert!(only.path.starts_with("/api/users/{"), "{}", only.path);
    for member in ["\"login\"", "\"id\"", "\"name\"", "\"seats\""] {
        assert!(text.contains(member), "{member} is lost:\n{text}");
    }
}
