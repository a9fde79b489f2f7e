//! JSON:API: articles with authors and tags, as collections and alone, with what belongs to them included.

use super::{Draw, Exchange};
use serde_json::{Value, json};

const MEDIA: &str = "application/vnd.api+json";

fn person(d: &mut Draw) -> Value {
    json!({"type": "people", "id": (100 + d.below(90)).to_string(), "attributes": {"firstName": format!("P{}", d.next()), "born": 1900 + d.below(99)}})
}

fn tag(d: &mut Draw) -> Value {
    json!({"type": "tags", "id": (500 + d.below(90)).to_string(), "attributes": {"label": format!("L{}", d.next()), "colour": d.of(&["red", "green"])}, "links": {"self": format!("https://api.example.com/tags/{}", d.below(90))}})
}

fn article(d: &mut Draw) -> Value {
    let id = 1000 + d.below(500);
    json!({
        "type": "articles",
        "id": id.to_string(),
        "attributes": {"title": format!("T{}", d.next()), "words": d.below(5000), "publishedAt": format!("2026-01-{:02}T00:00:00Z", 1 + d.below(28))},
        "relationships": {
            "author": {"data": {"type": "people", "id": (100 + d.below(90)).to_string()}},
            "tags": {"data": [{"type": "tags", "id": (500 + d.below(90)).to_string()}]},
        },
        "links": {"self": format!("https://api.example.com/articles/{id}")},
    })
}

/// `n` exchanges.
pub fn articles(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let id = 1000 + d.below(500);
            match i % 5 {
                0 | 1 => {
                    let all: Vec<Value> = (0..2).map(|_| article(&mut d)).collect();
                    let included = [person(&mut d), tag(&mut d)];
                    let body = json!({"data": all, "included": included, "links": {"next": format!("https://api.example.com/articles?page[number]={}", d.below(90))}, "jsonapi": {"version": "1.1"}});
                    Exchange::new("GET", "/articles", 200)
                        .query(&format!(
                            "page[number]={}&page[size]=2&filter[author]={}&include={}&fields[articles]=title,words&sort=-publishedAt",
                            d.below(90),
                            100 + d.below(90),
                            d.of(&["author", "author,tags"]),
                        ))
                        .answers(MEDIA, &body.to_string())
                }
                2 => Exchange::new("GET", &format!("/articles/{id}"), 200)
                    .answers(MEDIA, &json!({"data": article(&mut d), "jsonapi": {"version": "1.1"}}).to_string()),
                3 => {
                    let mut sent = article(&mut d);
                    for left_out in ["id", "links", "relationships"] {
                        sent.as_object_mut().unwrap().remove(left_out);
                    }
                    Exchange::new("POST", "/articles", 201)
                        .sends(MEDIA, &json!({"data": sent}).to_string())
                        .answers(MEDIA, &json!({"data": article(&mut d), "jsonapi": {"version": "1.1"}}).to_string())
                }
                _ => Exchange::new("GET", &format!("/articles/{}", 90_000 + id), 404)
                    .answers(MEDIA, &json!({"errors": [{"status": "404", "title": "Not Found"}]}).to_string()),
            }
        })
        .collect()
}
