//! Learning an exchange with a JSON body, over only parsing that body with `serde_json` into a `Value`.
//!
//! Both sides get the same sixty-four bodies in turn, every one with other values; the model is warm, as it is after the
//! first minute of traffic. Learning is the whole of `Model::observe`: path, headers and both messages, not the body alone.

use crate::measure::{cpu, median, progress};
use crate::traffic::{Draw, Exchange, page, record};
use silhouette_reconstruct::{Limits, Model};
use std::hint::black_box;

fn exchanges(bytes: usize) -> Vec<Exchange> {
    let mut d = Draw(7);
    let mut one = String::new();
    record(&mut d, "orders", &mut one);
    (0..64)
        .map(|_| {
            let response = if bytes <= one.len() * 3 / 2 {
                let mut out = String::new();
                record(&mut d, "orders", &mut out);
                out
            } else {
                page(&mut d, "orders", bytes / one.len())
            };
            Exchange {
                method: "GET",
                path: format!("/api/v1/orders/{}", d.below(90_000_000)),
                status: 200,
                response,
                ..Exchange::default()
            }
        })
        .collect()
}

pub(crate) fn run(full: bool) {
    println!(
        "| JSON body | learning it, ns | parsing it into a `Value`, ns | ratio |\n|---|---|---|---|"
    );
    for bytes in [1024, 20 * 1024] {
        let all = exchanges(bytes);
        let size = all.iter().map(|e| e.response.len()).sum::<usize>() / all.len();
        let mut model = Model::new(Limits::default());
        let passes = (1_000_000 / (size * all.len())).max(1);
        let rounds = if full { 400 } else { 80 };
        let (mut learning, mut parsing) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let start = cpu();
            for exchange in all.iter().cycle().take(all.len() * passes) {
                black_box(exchange.observe(&mut model));
            }
            let between = cpu();
            for exchange in all.iter().cycle().take(all.len() * passes) {
                black_box(
                    serde_json::from_slice::<serde_json::Value>(black_box(
                        exchange.response.as_bytes(),
                    ))
                    .ok(),
                );
            }
            let end = cpu();
            // The first rounds warm up.
            if round >= rounds / 10 {
                let per = (all.len() * passes) as f64;
                learning.push((between - start).as_nanos() as f64 / per);
                parsing.push((end - between).as_nanos() as f64 / per);
            }
            progress("bodies", round + 1, rounds);
        }
        let ratio = median(learning.iter().zip(&parsing).map(|(l, p)| l / p).collect());
        println!(
            "| {size} B | {:.0} | {:.0} | {ratio:.2} |",
            median(learning),
            median(parsing)
        );
    }
}
