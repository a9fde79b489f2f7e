//! The bookshop as a program: `silhouette-bookshop --listen 127.0.0.1:8081`.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::Parser;

/// A small real API to try Silhouette on: books, authors, reviews, orders, a login and a file upload.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 picks a free one, which the first line on standard output names.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    listen: SocketAddr,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen);
        let listener = listener
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        println!("listening http={}", listener.local_addr()?);
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        silhouette_e2e::bookshop::run(listener, async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        })
        .await
        .context("serving")
    })
}
