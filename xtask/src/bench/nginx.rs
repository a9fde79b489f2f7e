//! What the module costs nginx.
//!
//! Five nginx of one worker each, all running all the time: without the module, with `access_log`, with the module
//! capturing, the same with its collector down, and with the module loaded but off. In each round every one of them is
//! loaded for a moment, in an order that turns from round to round, so that whatever else the machine does falls on all
//! alike. Figures are medians of the rounds' ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cpu::{median, only_worker};
use super::load::{Load, Sample, json};
use super::surroundings::{collector, nginx, origin};
use crate::children::{self, Running};
use crate::{command, workspace};

/// Flags of `bench nginx`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; each loads every variant once per workload
    #[arg(long, default_value_t = 9, value_name = "N")]
    rounds: usize,
    /// How long each variant is loaded per round
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    seconds: u32,
    /// Connections at the same time
    #[arg(long, default_value_t = 16, value_name = "N")]
    connections: u32,
    /// The profile whose programs are measured; `dev` only shows whether the measuring itself works
    #[arg(long, default_value = "release", hide = true)]
    profile: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    Without,
    AccessLog,
    Capturing,
    CollectorDown,
    Off,
}

const VARIANTS: [Variant; 5] = [
    Variant::Without,
    Variant::AccessLog,
    Variant::Capturing,
    Variant::CollectorDown,
    Variant::Off,
];

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Without => "no module, no log",
            Variant::AccessLog => "no module, access_log on",
            Variant::Capturing => "module on",
            Variant::CollectorDown => "module on, collector down",
            Variant::Off => "module loaded, off",
        }
    }
}

/// Path and what happens there.
const WORKLOADS: [(&str, &str); 2] = [
    ("/local", "answered by nginx itself (`return 200`)"),
    ("/proxied", "proxied to another nginx over kept connections"),
];

struct Gateway {
    port: u16,
    worker: u32,
    _running: Running,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--profile", &args.profile]);
    cargo.args(["-p", "silhouette-nginx", "-p", "silhouette-collector"]);
    command::run(&mut cargo)?;
    let dir = workspace::target().join("bench-nginx");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let built = workspace::built(&args.profile);

    let (_collector, telemetry) = collector(&built, &dir)?;
    let (_origin, origin_port) = origin(&dir)?;
    let nobody = children::port(0)?;
    let module = built.join("libngx_http_silhouette_module.so");
    let mut gateways = BTreeMap::new();
    for variant in VARIANTS {
        let port = children::port(0)?;
        let (load, http) = match variant {
            Variant::Without => (None, "access_log off;".to_owned()),
            Variant::AccessLog => (None, "access_log access.log combined;".to_owned()),
            Variant::Capturing => (
                Some(&module),
                format!("access_log off; silhouette on; silhouette_collector http://{telemetry};"),
            ),
            Variant::CollectorDown => (
                Some(&module),
                format!(
                    "access_log off; silhouette on; silhouette_collector http://127.0.0.1:{nobody};"
                ),
            ),
            Variant::Off => (Some(&module), "access_log off;".to_owned()),
        };
        let config = gateway_config(port, origin_port, &http);
        let running = nginx(
            &dir,
            &format!("{variant:?}"),
            load.map(PathBuf::as_path),
            &config,
            port,
        )?;
        let worker = only_worker(running.pid())?;
        gateways.insert(
            variant,
            Gateway {
                port,
                worker,
                _running: running,
            },
        );
    }

    let load = Load::new(&dir, args.connections)?;
    // Everything is warm before it counts.
    for (path, _) in WORKLOADS {
        for gateway in gateways.values() {
            load.run(gateway.worker, gateway.port, path, 1)?;
        }
    }
    let mut samples: BTreeMap<(&str, Variant), Vec<Sample>> = BTreeMap::new();
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for (path, _) in WORKLOADS {
            for n in 0..VARIANTS.len() {
                let variant = VARIANTS[(n + round) % VARIANTS.len()];
                let gateway = gateways.get(&variant).context("every variant runs")?;
                let sample = load.run(gateway.worker, gateway.port, path, args.seconds)?;
                samples.entry((path, variant)).or_default().push(sample);
            }
        }
    }
    print!("{}", table(&samples, args)?);
    Ok(())
}

fn gateway_config(port: u16, origin: u16, extra: &str) -> String {
    let json = json();
    format!(
        "{extra} keepalive_requests 1000000000;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location /local {{ default_type application/json; return 200 '{json}'; }}
    location /proxied {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
  }}"
    )
}

fn table(samples: &BTreeMap<(&str, Variant), Vec<Sample>>, args: &Args) -> Result<String> {
    let mut out = String::new();
    let of = |path, variant| samples.get(&(path, variant)).map_or(&[][..], Vec::as_slice);
    for (path, what) in WORKLOADS {
        writeln!(
            out,
            "\n1 KiB JSON both ways, {what}; one worker, {} connections, {} rounds of {} s:\n",
            args.connections, args.rounds, args.seconds
        )?;
        writeln!(
            out,
            "| variant | CPU µs per request | of which worker thread | CPU over no module | CPU over access_log | cost over access_log's | throughput over no module |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        let (base, log) = (of(path, Variant::Without), of(path, Variant::AccessLog));
        for variant in VARIANTS {
            let here = of(path, variant);
            let ratio = |over: &[Sample], figure: fn(&Sample) -> f64| {
                median(
                    here.iter()
                        .zip(over)
                        .map(|(sample, other)| figure(sample) / figure(other))
                        .collect(),
                )
            };
            let micros = |figure: fn(&Sample) -> f64| median(here.iter().map(figure).collect());
            let cost = median(
                here.iter()
                    .zip(base)
                    .zip(log)
                    .map(|((sample, base), log)| {
                        (sample.total_micros - base.total_micros)
                            / (log.total_micros - base.total_micros)
                    })
                    .collect(),
            );
            let cost = if matches!(variant, Variant::Without | Variant::AccessLog) {
                String::new()
            } else {
                format!("{cost:.2}")
            };
            writeln!(
                out,
                "| {} | {:.2} | {:.2} | {:.3} | {:.3} | {cost} | {:.3} |",
                variant.name(),
                micros(|s| s.total_micros),
                micros(|s| s.main_micros),
                ratio(base, |s| s.total_micros),
                ratio(log, |s| s.total_micros),
                ratio(base, |s| s.requests_per_second),
            )?;
        }
    }
    Ok(out)
}
