//! What one exchange costs after a million over what it costs after ten thousand, on traffic whose ids are always new.
//!
//! A model keeps learning; a second one starts over every ten thousand exchanges. Slices of both take turns.

use crate::measure::{cpu, median, progress};
use crate::traffic::{Draw, Exchange, call};
use silhouette_reconstruct::{Limits, Model};
use std::time::Duration;

const OPERATIONS: usize = 100;
const SLICE: usize = 2_000;

fn slice(d: &mut Draw) -> Vec<Exchange> {
    (0..SLICE)
        .map(|_| {
            let n = d.below(OPERATIONS as u64) as usize;
            call(d, n)
        })
        .collect()
}

fn learn(model: &mut Model, exchanges: &[Exchange]) -> Duration {
    let start = cpu();
    exchanges.iter().for_each(|e| {
        e.observe(model);
    });
    cpu() - start
}

pub(crate) fn run(full: bool) {
    let (few, many) = (10_000, 1_000_000);
    let rounds = if full { 200 } else { 60 };
    let mut d = Draw(11);
    let mut old = Model::new(Limits::default());
    let all = many / SLICE;
    for n in 0..all {
        learn(&mut old, &slice(&mut d));
        progress("growth", n + 1, all + rounds);
    }
    let bytes = old.memory_bytes();
    // One that has seen ten thousand, each time; cloning it would change how its memory lies.
    let mut young = Model::new(Limits::default());
    for _ in 0..few / SLICE {
        learn(&mut young, &slice(&mut d));
    }
    let small = young.memory_bytes();
    let (mut at_few, mut at_many) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 5 == 4 {
            young = Model::new(Limits::default());
            for _ in 0..few / SLICE {
                learn(&mut young, &slice(&mut d));
            }
        }
        let next = slice(&mut d);
        let (a, b) = if round % 2 == 0 {
            let a = learn(&mut young, &next);
            (a, learn(&mut old, &next))
        } else {
            let b = learn(&mut old, &next);
            (learn(&mut young, &next), b)
        };
        at_few.push(a.as_nanos() as f64 / SLICE as f64);
        at_many.push(b.as_nanos() as f64 / SLICE as f64);
        progress("growth", all + round + 1, all + rounds);
    }
    let ratio = median(at_many.iter().zip(&at_few).map(|(m, f)| m / f).collect());
    println!("| after exchanges | one exchange, ns | memory of the model, KiB |\n|---|---|---|");
    println!("| {few} | {:.0} | {} |", median(at_few), small / 1024);
    println!("| {many} | {:.0} | {} |", median(at_many), bytes / 1024);
    println!(
        "| ratio | {ratio:.2} | {:.2} |",
        bytes as f64 / small as f64
    );
}
