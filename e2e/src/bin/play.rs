//! The people as a program: `silhouette-play --base http://127.0.0.1:8080 --rate 60 --seconds 60`.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use silhouette_e2e::play::{Play, play};
use silhouette_e2e::{Rest, bookshop, curl};

/// Plays varied clients against the bookshop: people who browse, log in, order, review, upload and err, browsers that load
/// pages and send preflights, and scanners that probe. Exits 1 when a request got no complete response.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where the bookshop (or the gateway in front of it) is.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    base: String,
    /// Say this Host instead of the base's own.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// People at the same time.
    #[arg(long, default_value_t = 8, value_name = "N")]
    people: usize,
    /// Requests per second of all together; 0 is as fast as it goes.
    #[arg(long, default_value_t = 60, value_name = "N")]
    rate: u32,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u64,
    /// Stop after this many requests, if that comes first.
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// The same seed makes the same people do the same things.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Then compare the document that the collector at this admin address has with what the bookshop has; exit 1 if it is
    /// not exactly that.
    #[arg(long, value_name = "URL")]
    compare: Option<String>,
    /// Then the same with what the catalog at this address has discovered; its API key is in SILHOUETTE_PLAY_CATALOG_KEY.
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let time = Duration::from_secs(args.seconds);
    let started = Arc::new(AtomicU64::new(0));
    let show = {
        let (started, requests) = (started.clone(), args.requests);
        move || progress(&started, requests, time)
    };
    let summary = runtime.block_on(async {
        let bar = tokio::spawn(async move {
            let mut show = show();
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                show();
            }
        });
        let what = Play {
            base: args.base.clone(),
            host: args.host.clone(),
            people: args.people,
            rate: (args.rate > 0).then_some(args.rate),
            requests: args.requests.unwrap_or(u64::MAX),
            time,
            seed: args.seed,
        };
        let summary = play(what, started).await;
        bar.abort();
        summary
    })?;
    eprint!("\r");
    let per_second = summary.responses as f64 / summary.elapsed.as_secs_f64().max(1e-9);
    println!(
        "{} responses in {:.1} s ({per_second:.0}/s)",
        summary.responses,
        summary.elapsed.as_secs_f64()
    );
    for (status, count) in &summary.statuses {
        println!("  {status}  {count}");
    }
    if summary.failures > 0 {
        bail!(
            "{} requests got no complete response: {}",
            summary.failures,
            summary.reasons.join("; ")
        );
    }
    let authority = args
        .base
        .split_once("://")
        .map_or(args.base.as_str(), |(_, rest)| rest);
    let host = args
        .host
        .as_deref()
        .unwrap_or(authority.trim_end_matches('/'));
    if let Some(admin) = &args.compare {
        let admin = admin.trim_end_matches('/');
        let url = format!("{admin}/v1/hosts/{host}/openapi.json");
        compare(&format!("The document {url}"), || {
            let answer = curl([&url])?;
            if answer.status != 200 {
                bail!(
                    "status {} {} {}",
                    answer.status,
                    answer.error,
                    answer.text()
                );
            }
            answer.json()
        })?;
    }
    if let Some(catalog) = &args.catalog {
        let key = std::env::var("SILHOUETTE_PLAY_CATALOG_KEY").unwrap_or_default();
        let rest = Rest::new(catalog, &key);
        let what = format!("What the catalog {catalog} has discovered at {host}");
        compare(&what, || {
            let api = rest.api_of(host)?.context("nothing yet")?;
            rest.observed_document(&api)
        })?;
    }
    Ok(())
}

/// Learning goes on for a moment after the last response, and revisions have to settle: asks until the document is right, at
/// most 30 s.
fn compare(what: &str, mut document: impl FnMut() -> Result<serde_json::Value>) -> Result<()> {
    let begin = Instant::now();
    let mut before = None;
    loop {
        let differences = match document() {
            Ok(document) => bookshop::differences(&document),
            Err(error) => vec![format!("{error:#}")],
        };
        if differences.is_empty() {
            println!(
                "{what} has exactly the bookshop's {} operations.",
                bookshop::OPERATIONS.len()
            );
            return Ok(());
        }
        // Nothing changes any more, or not soon enough.
        if begin.elapsed() > Duration::from_secs(30)
            || (begin.elapsed() > Duration::from_secs(20) && before.as_ref() == Some(&differences))
        {
            bail!(
                "{what} is not what the bookshop has:\n  {}",
                differences.join("\n  ")
            );
        }
        before = Some(differences);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What shows how far it is: a bar on a terminal, a line every ten seconds elsewhere.
fn progress(
    started: &Arc<AtomicU64>,
    requests: Option<u64>,
    time: Duration,
) -> impl FnMut() + Send + use<> {
    let started = started.clone();
    let begin = Instant::now();
    let bar = ProgressBar::with_draw_target(
        Some(requests.unwrap_or(time.as_secs())),
        ProgressDrawTarget::stderr(),
    );
    if let Ok(style) = ProgressStyle::with_template("playing [{bar:40}] {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let terminal = std::io::stderr().is_terminal();
    let mut last = begin;
    move || {
        let done = started.load(Ordering::Relaxed);
        if terminal {
            bar.set_position(if requests.is_some() {
                done
            } else {
                begin.elapsed().as_secs()
            });
            bar.set_message(if requests.is_some() {
                "requests".to_owned()
            } else {
                format!("s, {done} requests")
            });
        } else if last.elapsed() >= Duration::from_secs(10) {
            last = Instant::now();
            eprintln!(
                "playing: {done} requests after {} s",
                begin.elapsed().as_secs()
            );
        }
    }
}
