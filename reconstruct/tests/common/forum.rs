//! A forum: comments that answer comments, attachments of several kinds, histories of tuples, people in several places, codes of published lists, empty texts, long names.

use super::{Draw, Exchange};
use serde_json::{Value, json};

fn comment(d: &mut Draw, depth: u32) -> Value {
    let replies: Vec<Value> = (0..if depth > 3 { 0 } else { 1 + d.next() % 2 })
        .map(|_| comment(d, depth + 1))
        .collect();
    json!({"id": d.next() % 100_000, "text": format!("{} words in a comment, and more", d.next()), "replies": replies})
}

fn person(d: &mut Draw) -> Value {
    let pick = |d: &mut Draw, of: &[&str]| of[(d.next() % of.len() as u64) as usize].to_owned();
    let mut person = json!({
        "id": d.next() % 100_000,
        "role": pick(d, &["reader", "author", "moderator"]),
        "badge": pick(d, &["", "gold", "silver"]),
        "country": pick(d, &["DE", "FR", "US"]),
        "fullTimeNumberOfUnitsPerPeriod": d.next() % 40,
        "keys": {},
    });
    for _ in 0..2 {
        let key = format!("cus_{:x}Zq{:x}", d.next() >> 40, d.next() >> 40);
        person["keys"][key] = json!(d.next() % 5);
    }
    person
}

fn attachment(d: &mut Draw) -> Value {
    let id = d.next() % 100_000;
    match d.next() % 3 {
        0 => {
            json!({"id": id, "kind": "picture", "width": d.next() % 4000, "height": d.next() % 4000})
        }
        1 => {
            json!({"id": id, "kind": "poll", "question": format!("{id} or not?"), "answers": [d.next() % 5]})
        }
        _ => {
            let mut link =
                json!({"id": id, "kind": "link", "url": format!("https://example.com/{id}")});
            if d.next().is_multiple_of(2) {
                link["preview"] = json!(format!("Preview of {id}, and more"));
            }
            link
        }
    }
}

/// When it became what, who did it, and how it was voted on.
fn change(d: &mut Draw) -> Value {
    let state = ["open", "closed", "locked"][d.next() as usize % 3];
    let score = match d.next() % 3 {
        0 => Value::Null,
        _ => json!((d.next() % 100) as f64 / 7.0),
    };
    json!([1_700_000_000_000 + d.next() % 1000, state, person(d), score])
}

/// `n` exchanges.
pub fn forum(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let id = 1000 + d.next() % 500;
            match i % 4 {
                0 => Exchange::new("GET", &format!("/comments/{id}"), 200)
                    .json(&comment(&mut d, 0).to_string()),
                1 => Exchange::new("GET", &format!("/people/{id}"), 200)
                    .json(&person(&mut d).to_string()),
                2 => {
                    let mut body = json!({"pinned_attachment": null});
                    if d.next().is_multiple_of(2) {
                        body["pinned_attachment"] = attachment(&mut d);
                    }
                    body["attachments"] = (0..3).map(|_| attachment(&mut d)).collect();
                    body["history"] = (0..d.next() % 4).map(|_| change(&mut d)).collect();
                    body["at"] = json!([(d.next() % 18_000) as f64 / 100.0, d.next() % 90]);
                    Exchange::new("GET", &format!("/topics/{id}"), 200).json(&body.to_string())
                }
                _ => {
                    let people: Vec<Value> = (0..3).map(|_| person(&mut d)).collect();
                    Exchange::new("GET", "/people", 200)
                        .json(&json!({"items": people, "next_page": d.next() % 9}).to_string())
                }
            }
        })
        .collect()
}
