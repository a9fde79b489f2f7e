//! Memory of many hosts at once.

use crate::measure::{cpu, mib, progress, resident};
use crate::traffic::{Draw, call};
use silhouette_reconstruct::{Limits, Model};

/// How many hosts there are, and how often each operation of them is called.
fn estate(full: bool) -> (usize, usize) {
    let (hosts, calls) = (1_000, if full { 100 } else { 20 });
    println!(
        "| {hosts} hosts × 100 operations, {calls} calls each | resident, MiB | `Model::memory_bytes`, MiB |\n|---|---|---|"
    );
    (hosts, calls)
}

/// All operations ready, then all at rest, then some called again.
pub(crate) fn rest(full: bool) {
    let (hosts, calls) = estate(full);
    let mut d = Draw(3);
    let before = resident();
    let mut models: Vec<Model> = (0..hosts).map(|_| Model::new(Limits::default())).collect();
    // All hosts grow at once, as they do behind a gateway: what one takes lies between what others take.
    for round in 0..calls {
        for model in &mut models {
            for n in 0..100 {
                call(&mut d, n).observe(model);
            }
        }
        progress("rounds", round + 1, calls);
    }
    let held = |models: &[Model]| mib(models.iter().map(Model::memory_bytes).sum());
    let taken = || mib(resident().saturating_sub(before));
    println!(
        "| every operation was just called | {:.0} | {:.0} |",
        taken(),
        held(&models)
    );
    let start = cpu();
    // The first time only those rest that were not called since a time before.
    for _ in 0..2 {
        models.iter_mut().for_each(Model::rest);
    }
    let took = cpu() - start;
    println!(
        "| none was called for a while | {:.0} | {:.0} |",
        taken(),
        held(&models)
    );
    let one_in_ten: Vec<_> = (0..10).map(|n| call(&mut d, n * 10)).collect();
    let start = cpu();
    for model in &mut models {
        for exchange in &one_in_ten {
            exchange.observe(model);
        }
    }
    let waking = cpu() - start;
    println!(
        "| one in ten was called again | {:.0} | {:.0} |",
        taken(),
        held(&models)
    );
    let start = cpu();
    for model in &mut models {
        for exchange in &one_in_ten {
            exchange.observe(model);
        }
    }
    let awake = cpu() - start;
    let per = |time: std::time::Duration, n: usize| time.as_secs_f64() * 1e6 / n as f64;
    println!(
        "\nLetting an operation rest took {:.1} µs, waking it {:.1} µs.",
        per(took, hosts * 100),
        per(waking.saturating_sub(awake), hosts * 10)
    );
}

/// What the collector does with more operations than it keeps ready: all are called evenly, and rest in turn.
pub(crate) fn run(full: bool) {
    /// Hosts whose operations are ready; the collector has 8,192 operations ready at most.
    const READY: usize = 80;
    let (hosts, calls) = estate(full);
    let mut d = Draw(3);
    let before = resident();
    let mut models: Vec<Model> = (0..hosts).map(|_| Model::new(Limits::default())).collect();
    for round in 0..calls {
        for some in models.chunks_mut(READY) {
            for model in &mut *some {
                for n in 0..100 {
                    call(&mut d, n).observe(model);
                }
            }
            // The first time only those rest that were not called since a time before.
            for _ in 0..2 {
                some.iter_mut().for_each(Model::rest);
            }
        }
        progress("rounds", round + 1, calls);
    }
    println!(
        "| all called evenly, {} ready at a time | {:.0} | {:.0} |",
        READY * 100,
        mib(resident().saturating_sub(before)),
        mib(models.iter().map(Model::memory_bytes).sum())
    );
}
