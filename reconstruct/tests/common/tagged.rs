//! Feeds whose entries are of kinds, told apart by the word of one member, and feeds that only look so.

use super::{Draw, Exchange};
use serde_json::{Map, Value, json};

const TAGS: [&str; 4] = ["type", "kind", "event_type", "object"];
const MEMBERS: [&str; 10] = [
    "amount", "body", "colour", "height", "iban", "owner", "rows", "title", "url", "weight",
];
const WORDS: [&str; 6] = ["alert", "card", "note", "poll", "transfer", "visit"];

/// What is odd about some entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    None,
    /// No tag.
    Missing,
    /// A tag that is null.
    Null,
    /// A tag of another type.
    Number,
    /// A word that is hardly ever seen, with members of another.
    Rare,
    /// Ever new words.
    Ids,
    /// A member of another kind.
    Mixed,
}

pub const ODDITIES: [Oddity; 7] = [
    Oddity::None,
    Oddity::Missing,
    Oddity::Null,
    Oddity::Number,
    Oddity::Rare,
    Oddity::Ids,
    Oddity::Mixed,
];

fn value(d: &mut Draw, member: usize) -> Value {
    match member % 4 {
        0 => json!(d.below(1000)),
        1 => json!(format!("{} and {}", d.below(1000), d.below(1000))),
        2 => json!(d.below(2) == 0),
        _ => json!([d.below(9)]),
    }
}

/// `n` answers of three entries each; about every tenth entry is odd.
pub fn tagged(n: usize, seed: u64, oddity: Oddity) -> Vec<Exchange> {
    let mut d = Draw(seed);
    let tag = d.of(&TAGS).to_owned();
    // By kind, a bit for each member: what it has always, and what it has at times.
    let kinds: Vec<(&str, u64, u64)> = WORDS[..2 + d.below(4) as usize]
        .iter()
        .map(|w| (*w, d.next() & 0x3ff, d.next() & d.next() & 0x3ff))
        .collect();
    let entry = |d: &mut Draw| {
        let (word, always, at_times) = kinds[d.below(kinds.len() as u64) as usize];
        let odd = d.below(10) == 0;
        let mut out = Map::new();
        let mut members = always | at_times & d.next();
        match oddity {
            Oddity::Mixed if odd => members |= 1 << d.below(10),
            Oddity::Missing if odd => {}
            Oddity::Null if odd => drop(out.insert(tag.clone(), Value::Null)),
            Oddity::Number if odd => drop(out.insert(tag.clone(), json!(7))),
            Oddity::Rare if d.below(200) == 0 => drop(out.insert(tag.clone(), json!("rare"))),
            Oddity::Ids if odd => drop(out.insert(tag.clone(), json!(d.uuid()))),
            _ => drop(out.insert(tag.clone(), json!(word))),
        }
        for (at, name) in MEMBERS.iter().enumerate() {
            if members >> at & 1 == 1 {
                out.insert((*name).to_owned(), value(d, at));
            }
        }
        Value::Object(out)
    };
    (0..n)
        .map(|_| {
            let id = 1000 + d.below(100_000);
            let entries: Vec<Value> = (0..3).map(|_| entry(&mut d)).collect();
            let answer = json!({"id": id, "entries": entries});
            let sent = entry(&mut d).to_string();
            Exchange::new("POST", &format!("/feeds/{id}"), 200)
                .sends("application/json", &sent)
                .json(&answer.to_string())
        })
        .collect()
}
