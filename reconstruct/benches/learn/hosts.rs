//! Memory of 1,000 hosts with 100 operations each, as the kernel counts it.

use crate::measure::{mib, progress, resident};
use crate::traffic::{Draw, call};
use silhouette_reconstruct::{Limits, Model};

pub(crate) fn run(full: bool) {
    let (hosts, calls) = (1_000, if full { 100 } else { 20 });
    let mut d = Draw(3);
    let before = resident();
    let mut models: Vec<Model> = Vec::with_capacity(hosts);
    for host in 0..hosts {
        let mut model = Model::new(Limits::default());
        for _ in 0..calls {
            for n in 0..100 {
                call(&mut d, n).observe(&mut model);
            }
        }
        models.push(model);
        progress("hosts", host + 1, hosts);
    }
    let after = resident();
    let own: usize = models.iter().map(Model::memory_bytes).sum();
    let written: usize = models.iter().map(|m| m.to_bytes().len()).sum();
    println!("| {hosts} hosts × 100 operations, {calls} calls each | MiB |\n|---|---|");
    println!("| resident | {:.0} |", mib(after.saturating_sub(before)));
    println!("| `Model::memory_bytes` | {:.0} |", mib(own));
    println!("| written out | {:.0} |", mib(written));
}
