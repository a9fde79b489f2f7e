//! Traffic made to fill the model, beside honest traffic: memory against the ceiling, what an exchange costs, and which of
//! the honest operations are left.

use crate::measure::{cpu, median, mib, progress, resident};
use crate::traffic::{Draw, Exchange, call};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};
use std::collections::BTreeSet;
use std::fmt::Write;

/// What an attacker varies.
#[derive(Clone, Copy, Debug)]
enum Attack {
    Paths,
    Misses,
    Words,
    DeepPaths,
    Keys,
    Headers,
    Queries,
    Depth,
    Values,
}

const ATTACKS: [(&str, Attack, usize); 9] = [
    ("paths of new names with digits", Attack::Paths, 1_000_000),
    ("paths of new words that fail", Attack::Misses, 1_000_000),
    ("paths of new words that succeed", Attack::Words, 1_000_000),
    ("the same with digits, ten deep", Attack::DeepPaths, 300_000),
    (
        "names of members, 50 new ones in each body",
        Attack::Keys,
        60_000,
    ),
    (
        "names of headers, every one new",
        Attack::Headers,
        1_000_000,
    ),
    (
        "names in queries, ten new ones each",
        Attack::Queries,
        200_000,
    ),
    ("bodies 10,000 deep", Attack::Depth, 3_000),
    ("values of 1 MiB", Attack::Values, 60),
];

/// Letters only: what looks like a word lasts longest.
fn word(d: &mut Draw) -> String {
    let mut n = d.next();
    (0..9)
        .map(|_| {
            let c = b'a' + (n % 26) as u8;
            n /= 26;
            char::from(c)
        })
        .collect()
}

fn one(attack: Attack, d: &mut Draw) -> Exchange {
    let base = Exchange {
        method: "POST",
        path: "/api/v1/accounts".to_owned(),
        status: 200,
        ..Exchange::default()
    };
    match attack {
        Attack::Paths => Exchange {
            path: format!("/{}{}/{}", word(d), d.below(10), word(d)),
            ..base
        },
        Attack::Misses => Exchange {
            path: format!("/{}/{}", word(d), word(d)),
            status: 404,
            ..base
        },
        Attack::Words => Exchange {
            path: format!("/{}/{}", word(d), word(d)),
            ..base
        },
        Attack::DeepPaths => Exchange {
            path: (0..10).fold(String::new(), |p, _| {
                format!("{p}/{}{}", word(d), d.below(10))
            }),
            ..base
        },
        Attack::Keys => {
            let mut body = String::from("{");
            for i in 0..50 {
                let _ = write!(
                    body,
                    "{}\"{}\":{{\"{}\":1}}",
                    if i > 0 { "," } else { "" },
                    word(d),
                    word(d)
                );
            }
            Exchange {
                request: body + "}",
                ..base
            }
        }
        Attack::Headers => Exchange {
            header: Some((format!("x-{}", word(d)), word(d))),
            ..base
        },
        Attack::Queries => Exchange {
            query: Some((0..10).fold(String::new(), |q, _| q + "&" + &word(d) + "=1")),
            ..base
        },
        Attack::Depth => Exchange {
            request: format!(
                "{}1{}",
                format!("{{\"{}\":[", word(d)).repeat(5_000),
                "]}".repeat(5_000)
            ),
            ..base
        },
        Attack::Values => Exchange {
            request: format!("{{\"value\":\"{}\"}}", word(d).repeat((1 << 20) / 9)),
            ..base
        },
    }
}

/// One call of each of a hundred honest operations.
fn honest(model: &mut Model, d: &mut Draw) {
    (0..100).for_each(|n| {
        call(d, n).observe(model);
    });
}

/// Which operations a document has.
fn operations(model: &Model) -> BTreeSet<String> {
    HostName::parse(b"api.example.com", "https").map_or_else(
        |_| BTreeSet::new(),
        |host| {
            model
                .document(&host, &DocumentOptions::default())
                .operations()
                .iter()
                .map(|o| format!("{} {}", o.method, o.path))
                .collect()
        },
    )
}

pub(crate) fn run(full: bool) {
    let limits = Limits::default();
    println!(
        "The ceiling is {:.0} MiB. Each on a model of its own, which has learnt and goes on to learn 100 honest operations.\n",
        mib(limits.memory_bytes)
    );
    println!(
        "| traffic | exchanges | first, ns each | last, ns each | memory, MiB | resident, MiB | honest operations left | emission, ms |\n|---|---|---|---|---|---|---|---|"
    );
    let before = resident();
    for (name, attack, n) in ATTACKS {
        let n = if full { n * 10 } else { n };
        let mut d = Draw(9);
        let mut model = Model::new(limits.clone());
        (0..10).for_each(|_| honest(&mut model, &mut d));
        let expected = operations(&model);
        // Drawing is not measured, so it goes in slices; few at once where each is large.
        let slice = (n / 20).clamp(1, 10_000);
        let slices = n.div_ceil(slice);
        let (mut costs, mut largest) = (Vec::new(), 0);
        for at in 0..slices {
            let exchanges: Vec<Exchange> = (0..slice).map(|_| one(attack, &mut d)).collect();
            let start = cpu();
            exchanges.iter().for_each(|e| {
                e.observe(&mut model);
            });
            costs.push((cpu() - start).as_nanos() as f64 / slice as f64);
            drop(exchanges);
            largest = largest.max(resident());
            progress(name, at + 1, slices);
        }
        let tenth = (costs.len() / 10).max(1);
        let last = costs.split_off(costs.len() - tenth);
        costs.truncate(tenth);
        (0..10).for_each(|_| honest(&mut model, &mut d));
        let start = cpu();
        let found = operations(&model);
        let emission = cpu() - start;
        println!(
            "| {name} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {} of {} | {:.0} |",
            slice * slices,
            median(costs),
            median(last),
            mib(model.memory_bytes()),
            mib(largest.saturating_sub(before)),
            expected.intersection(&found).count(),
            expected.len(),
            emission.as_secs_f64() * 1e3,
        );
    }
}
