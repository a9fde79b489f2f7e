//! What came of it, in words and a table: in, counts and documents; out, text on stderr. Never a value of the traffic.

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use silhouette_reconstruct::Document;

use super::fold::Fold;
use super::output::Place;
use super::{Args, Learnt};

/// Hosts without a document are listed up to here.
const MAX_LISTED: usize = 20;

/// How many exchanges a document speaks of.
pub(super) fn calls(document: &Document) -> u64 {
    document
        .operations()
        .iter()
        .map(|operation| operation.calls)
        .sum()
}

/// Prints the summary table. The first `places.len()` of `learnt` are the hosts that have a document.
pub(super) fn print(fold: &Fold, learnt: &[Learnt<'_>], places: &[Place]) {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["host", "operations", "exchanges", "left out", "document"]);
    let listed = places.len() + MAX_LISTED.min(learnt.len() - places.len());
    for (number, host) in learnt.iter().take(listed).enumerate() {
        let operations = host.document.operations().len();
        let document = match places.get(number) {
            Some(Place::Stdout) => "stdout".to_owned(),
            Some(Place::File(path)) => path.display().to_string(),
            None if operations == 0 => "none: no operation".to_owned(),
            None => "none: below --min-operations".to_owned(),
        };
        table.add_row([
            Cell::new(host.host),
            Cell::new(operations).set_alignment(CellAlignment::Right),
            Cell::new(host.counts.exchanges).set_alignment(CellAlignment::Right),
            Cell::new(reasons(&left_out(host), "\n")),
            Cell::new(document),
        ]);
    }
    if !learnt.is_empty() {
        eprintln!("{table}");
    }
    if learnt.len() > listed {
        eprintln!(
            "and {} more hosts without a document",
            learnt.len() - listed
        );
    }
    let hosts = if learnt.len() == 1 { "host" } else { "hosts" };
    let mut line = format!("{} entries, {} {hosts}", fold.entries, learnt.len());
    if !fold.left_out.is_empty() {
        let left_out = fold
            .left_out
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect();
        line.push_str(&format!(
            "; no exchange to learn from: {}",
            reasons(&left_out, ", ")
        ));
    }
    let unread = learnt
        .iter()
        .map(|host| host.counts.unread_bodies)
        .sum::<u64>();
    if unread > 0 {
        line.push_str(&format!("; {unread} bodies could not be read"));
    }
    eprintln!("{line}");
}

/// Why there is no document at all, and what to do about it.
pub(super) fn why_nothing(fold: &Fold, learnt: &[Learnt<'_>], args: &Args) -> String {
    if fold.entries == 0 {
        return "the recording has no entries".to_owned();
    }
    let others = fold.left_out.get("other_host").copied().unwrap_or_default();
    if learnt.is_empty() && others > 0 {
        return format!(
            "no host matches --host {}; {others} exchanges went to other hosts",
            args.hosts.join(", --host ")
        );
    }
    if let Some(host) = learnt
        .iter()
        .max_by_key(|host| host.document.operations().len())
    {
        let operations = host.document.operations().len();
        if operations > 0 {
            let wanted = args.min_operations;
            return format!(
                "{} has the most operations, {operations}; --min-operations is {wanted}",
                host.host
            );
        }
    }
    let mut all = BTreeMap::new();
    for host in learnt {
        for (reason, count) in left_out(host) {
            *all.entry(reason).or_default() += count;
        }
    }
    for (reason, count) in &fold.left_out {
        *all.entry(*reason).or_default() += count;
    }
    format!(
        "none of the {} entries is an API call ({})",
        fold.entries,
        reasons(&all, ", ")
    )
}

/// What of a host's exchanges is in no operation, by reason.
fn left_out(host: &Learnt<'_>) -> BTreeMap<&'static str, u64> {
    let noise = host.document.left_out();
    let learnt = host.counts.exchanges.saturating_sub(noise.values().sum());
    let mut all = noise
        .iter()
        .map(|(noise, count)| (noise.as_str(), *count))
        .collect::<BTreeMap<_, _>>();
    let without = learnt.saturating_sub(calls(&host.document));
    if without > 0 {
        // Paths that never answered with success: probes and misspelt ones.
        all.insert("never_succeeded", without);
    }
    all
}

fn reasons(counts: &BTreeMap<&'static str, u64>, between: &str) -> String {
    let mut sorted = counts.iter().collect::<Vec<_>>();
    sorted.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), **reason));
    let words = sorted
        .iter()
        .map(|(reason, count)| format!("{} {count}", reason.replace('_', " ")));
    words.collect::<Vec<_>>().join(between)
}
