//! Emission of the document of a host with 1,000 operations whose bodies have thirty members and more.

use crate::measure::{cpu, median, mib, progress};
use crate::traffic::{Draw, call};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};
use std::hint::black_box;

pub(crate) fn run(full: bool) {
    let mut d = Draw(5);
    // Room for all of it: under the default ceiling the bodies of so many large operations are given up, and emission is quick.
    let mut model = Model::new(Limits {
        memory_bytes: 64 << 20,
    });
    let calls = if full { 40 } else { 12 };
    for round in 0..calls {
        for n in 0..1_000 {
            call(&mut d, n).observe(&mut model);
        }
        progress("emission", round + 1, calls);
    }
    let Ok(host) = HostName::parse(b"api.example.com", "https") else {
        return;
    };
    let (mut emitting, mut writing, mut size, mut operations) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..if full { 30 } else { 10 } {
        let start = cpu();
        let document = model.document(&host, &DocumentOptions::default());
        let between = cpu();
        let text = black_box(document.to_json());
        writing.push((cpu() - between).as_secs_f64() * 1e3);
        emitting.push((between - start).as_secs_f64() * 1e3);
        (size, operations) = (text.len(), document.operations().len());
    }
    println!("| {operations} operations | CPU |\n|---|---|");
    println!("| `Model::document` | {:.0} ms |", median(emitting));
    println!(
        "| `Document::to_json`, {:.1} MiB | {:.0} ms |",
        mib(size),
        median(writing)
    );
    println!("\nThe model holds {:.1} MiB.", mib(model.memory_bytes()));
}
