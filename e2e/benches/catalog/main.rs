//! What a large inventory costs the catalog: revisions accepted per second, CPU time of each page and REST answer, memory.
//!
//!     cargo xtask bench catalog [--apis N] [--operations N] [--revisions N] [--postgres]
//!
//! In: the release program, started on an empty database. It is filled as it is in life, over HTTP: collectors that register
//! and push, people who link, upload and import reports. Then every list is asked for, by its page and by the REST API. Out:
//! Markdown tables. CPU time is that of the catalog and of PostgreSQL where that is used, as the kernel counts it; whoever asks
//! is not in it. Never asks past HTTP.

mod client;
mod estate;
mod lists;
mod spent;

use anyhow::{Result, bail, ensure};
use silhouette_e2e::Catalog;

/// How large the inventory is.
#[derive(Debug, Clone, Copy)]
struct Size {
    apis: usize,
    operations: usize,
    revisions: usize,
}

fn main() -> Result<()> {
    let mut size = Size {
        apis: 10_000,
        operations: 100,
        revisions: 5,
    };
    let mut postgres = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = |least: usize| -> Result<usize> {
            match args.next().and_then(|value| value.parse().ok()) {
                Some(number) if number >= least => Ok(number),
                _ => bail!("{arg} wants a number from {least}"),
            }
        };
        match arg.as_str() {
            "--apis" => size.apis = number(200)?,
            "--operations" => size.operations = number(4)?,
            "--revisions" => size.revisions = number(1)?,
            "--postgres" => postgres = true,
            // cargo's own.
            "--bench" => {}
            _ => bail!("{arg} is no flag of this bench"),
        }
    }
    ensure!(
        cfg!(not(debug_assertions)),
        "figures of a build without optimisation say nothing"
    );
    let catalog = if postgres {
        Catalog::start_on_postgres(&[])?
    } else {
        Catalog::start(&[])?
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(&catalog, size, postgres))
}

async fn run(catalog: &Catalog, size: Size, postgres: bool) -> Result<()> {
    let Size {
        apis,
        operations,
        revisions,
    } = size;
    let database = if postgres { "PostgreSQL" } else { "SQLite" };
    println!("{apis} APIs × {operations} operations × {revisions} revisions on {database}\n");
    let at_start = spent::resident(catalog.pid())?;
    estate::fill(catalog, size).await?;
    let filled = spent::resident(catalog.pid())?;
    let asked = lists::ask(catalog).await?;
    println!("\n| memory of the catalog | MiB |\n|---|---|");
    println!("| after its start | {} |", at_start.now);
    println!("| filled | {} |", filled.now);
    println!("| most while it was filled | {} |", filled.most);
    println!(
        "| after {asked} answers | {} |",
        spent::resident(catalog.pid())?.now
    );
    println!("| most | {} |", spent::resident(catalog.pid())?.most);
    Ok(())
}
