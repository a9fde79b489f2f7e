//! What the module costs nginx.
//!
//! Five nginx of one worker each, all running all the time: without the module, with `access_log`, with the module
//! capturing, the same with its collector down, and with the module loaded but off. In each round every one of them is
//! loaded for a moment, in an order that turns from round to round, so that whatever else the machine does falls on all
//! alike. Figures are medians of the rounds' ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::cpu::{Spent, median, only_worker};
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

struct Sample {
    requests_per_second: f64,
    main_micros: f64,
    total_micros: f64,
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
    let origin_port = children::port(0)?;
    let _origin = start(
        &dir,
        "origin",
        None,
        &origin_config(origin_port),
        origin_port,
    )?;
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
        let running = start(
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

    let script = dir.join("post.lua");
    std::fs::write(&script, post_script())?;
    // Everything is warm before it counts.
    for (path, _) in WORKLOADS {
        for gateway in gateways.values() {
            load(gateway, path, &script, 1, args.connections)?;
        }
    }
    let mut samples: BTreeMap<(&str, Variant), Vec<Sample>> = BTreeMap::new();
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for (path, _) in WORKLOADS {
            for n in 0..VARIANTS.len() {
                let variant = VARIANTS[(n + round) % VARIANTS.len()];
                let gateway = gateways.get(&variant).context("every variant runs")?;
                let sample = load(gateway, path, &script, args.seconds, args.connections)?;
                samples.entry((path, variant)).or_default().push(sample);
            }
        }
    }
    print!("{}", table(&samples, args)?);
    Ok(())
}

fn collector(built: &Path, dir: &Path) -> Result<(Running, String)> {
    let mut command = children::tied(built.join("silhouette-collector"));
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(dir.join("collector"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let log = dir.join("collector.log");
    let (running, line) =
        Running::start_and_listen("silhouette-collector", &mut command, &log, "listening ")?;
    let telemetry = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("telemetry="));
    let telemetry = telemetry
        .with_context(|| format!("no telemetry address in {line:?}"))?
        .to_owned();
    Ok((running, telemetry))
}

fn start(dir: &Path, name: &str, module: Option<&Path>, http: &str, port: u16) -> Result<Running> {
    let dir = dir.join(name);
    std::fs::create_dir_all(&dir)?;
    let preamble = children::nginx_preamble(&dir, 1, module);
    let paths = children::nginx_paths(&dir);
    let config =
        format!("{preamble}events {{ worker_connections 1024; }}\nhttp {{\n{paths}{http}\n}}\n");
    std::fs::write(dir.join("nginx.conf"), config)?;
    children::nginx(&dir, port)
}

/// A JSON text of 1 KiB, as an API would send it.
fn json() -> String {
    let mut text = String::from(
        r#"{"id":4711,"title":"The Silent River","price":12.9,"inStock":true,"tags":["gift","signed"],"about":""#,
    );
    while text.len() < 1022 {
        text.push_str("river ");
    }
    text.truncate(1022);
    text.push_str("\"}");
    text
}

fn origin_config(port: u16) -> String {
    let json = json();
    format!(
        "access_log off; keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{json}'; }} }}"
    )
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

fn post_script() -> String {
    format!(
        "wrk.method = 'POST'\nwrk.body = '{}'\nwrk.headers['Content-Type'] = 'application/json'\n\
         wrk.headers['Accept'] = 'application/json'\nwrk.headers['User-Agent'] = 'silhouette-bench/1'\n",
        json()
    )
}

fn load(
    gateway: &Gateway,
    path: &str,
    script: &Path,
    seconds: u32,
    connections: u32,
) -> Result<Sample> {
    let before = Spent::of(gateway.worker)?;
    let mut wrk = command::program("wrk");
    wrk.args([
        "-t",
        "1",
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{seconds}s"),
        "-s",
    ])
    .arg(script);
    let said = command::output(wrk.arg(format!("http://127.0.0.1:{}{path}", gateway.port)))?;
    let spent = Spent::of(gateway.worker)?.since(before);
    ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "the load met errors:\n{said}"
    );
    let figure = |line: &str, word: usize| {
        let line = said.lines().find(|text| text.contains(line));
        line.and_then(|text| text.split_whitespace().nth(word)?.parse::<f64>().ok())
    };
    let requests = figure("requests in", 0).with_context(|| format!("no count in:\n{said}"))?;
    let requests_per_second =
        figure("Requests/sec:", 1).with_context(|| format!("no rate in:\n{said}"))?;
    Ok(Sample {
        requests_per_second,
        main_micros: spent.main as f64 / 1000.0 / requests,
        total_micros: spent.total() as f64 / 1000.0 / requests,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_one_kibibyte() {
        assert_eq!(json().len(), 1024);
        assert!(
            !json().contains('\''),
            "it stands in quotes in two configurations"
        );
    }
}
