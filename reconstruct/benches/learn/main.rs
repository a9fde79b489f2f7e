//! What learning costs: `cargo xtask bench learn`, or `cargo bench -p silhouette-reconstruct --bench learn -- SECTION…`.
//!
//! In: sections to measure, all of them by default, and `--full` for longer runs. Out: a table each, for docs/benchmarks.md.
//! Times are CPU time of the one thread that works, and what is compared takes turns, so a busy machine slows both alike.
//! Each section runs in a process of its own: what another one left in the allocator does not count as its memory.

mod bodies;
mod emission;
mod growth;
mod hostile;
mod hosts;
mod measure;
mod traffic;

use std::process::{Command, ExitCode};

/// The collector's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A name, what it measures, and how.
type Section = (&'static str, &'static str, fn(bool));

const SECTIONS: [Section; 6] = [
    (
        "bodies",
        "learning a JSON body over parsing it with serde_json",
        bodies::run,
    ),
    (
        "growth",
        "an exchange after a million over one after ten thousand",
        growth::run,
    ),
    (
        "emission",
        "emitting the document of a host with 1,000 operations",
        emission::run,
    ),
    (
        "hosts",
        "memory of 1,000 hosts with 100 operations each, as the collector keeps them",
        hosts::run,
    ),
    ("rest", "the same all ready, and all at rest", hosts::rest),
    ("hostile", "traffic made to fill the model", hostile::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let full = arguments.iter().any(|a| a == "--full");
    let chosen: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        println!(
            "Usage: cargo xtask bench learn [SECTION…] [--full]\n\n  --full  longer runs, steadier figures\n\nSections, all by default:"
        );
        SECTIONS
            .iter()
            .for_each(|(name, what, _)| println!("  {name:<10}{what}"));
        return ExitCode::SUCCESS;
    }
    if let Some(odd) = chosen
        .iter()
        .find(|c| SECTIONS.iter().all(|s| s.0 != c.as_str()))
    {
        let names: Vec<&str> = SECTIONS.iter().map(|s| s.0).collect();
        eprintln!(
            "learn: there is no section `{odd}`; expected {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    if let ([only], true) = (chosen.as_slice(), std::env::var_os(ALONE).is_none()) {
        return alone(only, full);
    }
    if let [only] = chosen.as_slice() {
        SECTIONS
            .iter()
            .filter(|s| s.0 == only.as_str())
            .for_each(|s| s.2(full));
        return ExitCode::SUCCESS;
    }
    for (name, what, _) in SECTIONS {
        if chosen.is_empty() || chosen.iter().any(|c| c.as_str() == name) {
            println!("\n## {what}\n");
            if alone(name, full) != ExitCode::SUCCESS {
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Set in the process that measures one section.
const ALONE: &str = "SILHOUETTE_BENCH_SECTION";

fn alone(section: &str, full: bool) -> ExitCode {
    let Ok(program) = std::env::current_exe() else {
        return ExitCode::FAILURE;
    };
    let mut command = Command::new(program);
    command.arg(section).env(ALONE, "1");
    if full {
        command.arg("--full");
    }
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        other => {
            eprintln!("learn: section `{section}` ended with {other:?}");
            ExitCode::FAILURE
        }
    }
}
