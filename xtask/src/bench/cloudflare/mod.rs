//! What the Worker costs in workerd, the runtime of Cloudflare's Workers.
//!
//! Three workerds, all running all the time: with a Worker that does nothing, with ours capturing, and the same with its collector
//! down. In each round every one of them is loaded for a moment, in an order that turns from round to round, so that whatever
//! else the machine does falls on all alike. Figures are medians of the rounds' ratios. Memory is that of the process while one
//! large body passes; starting is its CPU time from nothing to the first answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::cpu::{Spent, median};
use super::load::{Load, Sample, json};
use super::surroundings::{collector, nginx};
use crate::children::{self, Running};
use crate::worker::{self, Built};
use crate::{command, workspace};

/// Flags of `bench cloudflare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; each loads every variant once per kind of load
    #[arg(long, default_value_t = 9, value_name = "N")]
    rounds: usize,
    /// How long each variant is loaded per round and kind
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    seconds: u32,
    /// Connections at the same time
    #[arg(long, default_value_t = 16, value_name = "N")]
    connections: u32,
    /// The profile whose collector takes part; `dev` only shows whether the measuring itself works
    #[arg(long, default_value = "release", hide = true)]
    profile: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    Passing,
    Capturing,
    CollectorDown,
}

const VARIANTS: [Variant; 3] = [Variant::Passing, Variant::Capturing, Variant::CollectorDown];

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Passing => "a Worker that does nothing",
            Variant::Capturing => "the Worker",
            Variant::CollectorDown => "the Worker, collector down",
        }
    }
}

const PASS: &str = include_str!("pass.js");
const LARGE: u64 = 256 << 20;
const STARTS: usize = 15;

/// Where the workerds send to.
struct Surroundings {
    origin: u16,
    telemetry: u16,
    nobody: u16,
}

struct Gateway {
    port: u16,
    running: Running,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    let built = worker::build()?;
    let mut cargo = command::cargo();
    cargo.args(["build", "--profile", &args.profile]);
    command::run(cargo.args(["-p", "silhouette-collector"]))?;
    let dir = workspace::target().join("bench-cloudflare");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let (_collector, telemetry) = collector(&workspace::built(&args.profile), &dir)?;
    let (_origin, origin) = origin(&dir)?;
    let surroundings = Surroundings {
        origin,
        telemetry: telemetry
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
            .with_context(|| format!("no port in {telemetry:?}"))?,
        nobody: children::port(0)?,
    };
    let mut gateways = BTreeMap::new();
    for variant in VARIANTS {
        gateways.insert(variant, start(&dir, variant, &built, &surroundings)?);
    }
    let loads = [
        ("1 KiB JSON back", Load::asking(args.connections)),
        ("1 KiB JSON both ways", Load::new(&dir, args.connections)?),
    ];
    // Alone on a connection a request waits for nobody else's.
    let (alone, one) = ("one at a time, 1 KiB JSON both ways", Load::new(&dir, 1)?);
    println!(
        "\n{} connections, {} rounds of {} s:\n",
        args.connections, args.rounds, args.seconds
    );
    println!(
        "| load | variant | CPU µs per request | CPU over the Worker that does nothing | p50 µs | p99 µs |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, load) in loads.iter().chain([&(alone, one)]) {
        // Everything is warm before it counts; V8 compiles again what is called often.
        for gateway in gateways.values() {
            load.run(gateway.running.pid(), gateway.port, PATH, 2)?;
        }
        let mut samples: BTreeMap<Variant, Vec<Sample>> = BTreeMap::new();
        for round in 0..args.rounds {
            eprintln!("{name}: round {} of {}", round + 1, args.rounds);
            for n in 0..VARIANTS.len() {
                let variant = VARIANTS[(n + round) % VARIANTS.len()];
                let gateway = gateways.get(&variant).context("every variant runs")?;
                let sample = load.run(gateway.running.pid(), gateway.port, PATH, args.seconds)?;
                samples.entry(variant).or_default().push(sample);
            }
        }
        print!("{}", rows(name, &samples)?);
    }
    memory(&gateways)?;
    starting(&dir, &built, &surroundings)?;
    println!(
        "\n| artifact | bytes |\n|---|---|\n| all of the Worker, gzip | {} |",
        built.gzip
    );
    for variant in [Variant::Capturing, Variant::CollectorDown] {
        let gateway = gateways.get(&variant).context("every variant runs")?;
        println!("\n{}: {}", variant.name(), get(gateway.port, STATUS)?);
    }
    Ok(())
}

/// What is asked for.
const PATH: &str = "/v1/books/4711";
const STATUS: &str = "/silhouette-status";

/// An nginx that answers with 1 KiB of JSON, or with a large body of that type; `/upload` reads a body to its end first. Its port.
fn origin(dir: &Path) -> Result<(Running, u16)> {
    let large = dir.join("large");
    std::fs::create_dir_all(&large)?;
    // Zeros that take no room on the disk.
    std::fs::File::create(large.join("large"))?.set_len(LARGE)?;
    let (port, json, root) = (children::port(0)?, json(), large.display());
    let http = format!(
        "access_log off; keepalive_requests 1000000000; client_max_body_size 0; default_type application/json;
  server {{ listen 127.0.0.1:{port};
    location / {{ return 200 '{json}'; }}
    location /large {{ root {root}; }}
    location /upload {{ proxy_pass http://127.0.0.1:{port}/; proxy_pass_request_body off; proxy_set_header Content-Length ''; }}
  }}"
    );
    Ok((nginx(dir, "origin", None, &http, port)?, port))
}

/// The binary inside npm's package.
fn program() -> Result<PathBuf> {
    let packages = workspace::tools().join("cloudflare/node_modules/@cloudflare");
    let found = std::fs::read_dir(&packages).into_iter().flatten().flatten();
    found
        .map(|package| package.path().join("bin/workerd"))
        .find(|path| path.exists())
        .with_context(|| format!("there is no workerd in {}", packages.display()))
}

fn start(dir: &Path, variant: Variant, built: &Built, around: &Surroundings) -> Result<Gateway> {
    let dir = dir.join(format!("{variant:?}"));
    std::fs::create_dir_all(&dir)?;
    let modules = match variant {
        Variant::Passing => {
            std::fs::write(dir.join("index.js"), PASS)?;
            vec!["index.js".to_owned()]
        }
        Variant::Capturing | Variant::CollectorDown => copied(built, &dir)?,
    };
    let port = children::port(0)?;
    let telemetry = match variant {
        Variant::CollectorDown => around.nobody,
        _ => around.telemetry,
    };
    let config = dir.join("config.capnp");
    std::fs::write(
        &config,
        configuration(&modules, port, around.origin, telemetry),
    )?;
    let mut command = children::tied(program()?);
    command.arg("serve").arg(&config);
    let log = dir.join("workerd.log");
    let mut running = Running::start("workerd", &mut command, &log)?;
    children::listening(port, &mut running, &log)?;
    Ok(Gateway { port, running })
}

/// The Worker's modules beside the configuration, which embeds them by relative paths; the entry first.
fn copied(built: &Built, dir: &Path) -> Result<Vec<String>> {
    let is_module = |name: &&String| name.ends_with(".js") || name.ends_with(".wasm");
    let mut modules: Vec<String> = built.files.iter().filter(is_module).cloned().collect();
    for name in &modules {
        std::fs::copy(built.folder.join(name), dir.join(name))?;
    }
    modules.sort_by_key(|name| name != "index.js");
    Ok(modules)
}

fn configuration(modules: &[String], port: u16, origin: u16, collector: u16) -> String {
    let modules: Vec<String> = modules
        .iter()
        .map(|name| {
            let kind = match name.ends_with(".wasm") {
                true => "wasm",
                false => "esModule",
            };
            format!("(name = \"{name}\", {kind} = embed \"{name}\")")
        })
        .collect();
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "origin", external = (address = "127.0.0.1:{origin}", http = ())),
    (name = "collector", external = (address = "127.0.0.1:{collector}", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [{}],
  compatibilityDate = "2026-11-01",
  globalOutbound = "origin",
  bindings = [
    (name = "SILHOUETTE_COLLECTOR", text = "http://collector"),
    (name = "SILHOUETTE_COLLECTOR_BINDING", service = "collector"),
    (name = "SILHOUETTE_STATUS_PATH", text = "{STATUS}"),
  ],
);
"#,
        modules.join(", ")
    )
}

fn rows(load: &str, samples: &BTreeMap<Variant, Vec<Sample>>) -> Result<String> {
    let mut out = String::new();
    let of = |variant| samples.get(&variant).map_or(&[][..], Vec::as_slice);
    for variant in VARIANTS {
        let here = of(variant);
        let middle = |figure: fn(&Sample) -> f64| median(here.iter().map(figure).collect());
        let pairs = here.iter().zip(of(Variant::Passing));
        writeln!(
            out,
            "| {load} | {} | {:.1} | {:.3} | {:.0} | {:.0} |",
            variant.name(),
            middle(|s| s.total_micros),
            median(
                pairs
                    .map(|(a, b)| a.total_micros / b.total_micros)
                    .collect()
            ),
            middle(|s| s.median_micros),
            middle(|s| s.p99_micros),
        )?;
    }
    Ok(out)
}

/// What the process grows by while 256 MiB pass.
fn memory(gateways: &BTreeMap<Variant, Gateway>) -> Result<()> {
    println!(
        "\n| 256 MiB of `application/json` | variant | resident memory before, MiB | growth while it passes, MiB |"
    );
    println!("|---|---|---|---|");
    for way in ["download", "upload"] {
        for variant in [Variant::Passing, Variant::Capturing] {
            let gateway = gateways.get(&variant).context("every variant runs")?;
            let pid = gateway.running.pid();
            // The first one makes room for buffers that stay.
            passes(way, gateway, |_| Ok(()))?;
            let before = resident(pid)?;
            let mut most = before;
            passes(way, gateway, |_| {
                most = most.max(resident(pid)?);
                Ok(())
            })?;
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            println!(
                "| {way} | {} | {:.1} | {:.1} |",
                variant.name(),
                mib(before),
                mib(most - before)
            );
        }
    }
    Ok(())
}

/// One large body passes; `look` is called all the while.
fn passes(way: &str, gateway: &Gateway, mut look: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let mut curl = command::program("curl");
    curl.args(["-sS", "--noproxy", "*", "-f", "-o", "/dev/null"]);
    let url = match way {
        "download" => format!("http://127.0.0.1:{}/large", gateway.port),
        _ => {
            let large = workspace::target().join("bench-cloudflare/large/large");
            curl.args(["-H", "content-type: application/json", "-X", "POST", "-T"]);
            curl.arg(large);
            format!("http://127.0.0.1:{}/upload", gateway.port)
        }
    };
    let mut child = curl.arg(url).spawn().context("running curl")?;
    loop {
        look(child.id())?;
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "the {way} of a large body failed");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("no VmRSS")? << 10)
}

/// CPU time of fresh processes up to their first answer.
fn starting(dir: &Path, built: &Built, around: &Surroundings) -> Result<()> {
    let mut spent: BTreeMap<Variant, Vec<f64>> = BTreeMap::new();
    for n in 0..STARTS {
        eprintln!("start {} of {STARTS}", n + 1);
        for variant in [Variant::Passing, Variant::Capturing] {
            let gateway = start(&dir.join("starting"), variant, built, around)?;
            get(gateway.port, PATH)?;
            let nanos = Spent::of(gateway.running.pid())?.total();
            spent.entry(variant).or_default().push(nanos as f64 / 1e6);
        }
    }
    println!("\n| variant | CPU ms of the process, from its start to its first answer |");
    println!("|---|---|");
    for (variant, figures) in spent {
        println!("| {} | {:.1} |", variant.name(), median(figures));
    }
    Ok(())
}

fn get(port: u16, path: &str) -> Result<String> {
    let url = format!("http://127.0.0.1:{port}{path}");
    command::output(command::program("curl").args(["-sS", "-f", "--noproxy", "*", &url]))
}
