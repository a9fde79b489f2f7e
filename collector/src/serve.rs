//! The service as a whole: opens the data directory, recovers, binds, runs, and ends in order.
//!
//! In: a [`Config`]. Out: a [`Server`] with its addresses, which runs until it is told to end. Ending is: no new
//! connections, what is being answered is answered, everything acknowledged is learnt or stays in the journal, last
//! checkpoint. After a kill instead, the next start does the rest.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Extension;
use hyper_util::service::TowerToHyperService;
use silhouette_reconstruct::{HostName, Model};
use silhouette_serving::directory;
use silhouette_serving::listen::{self, Listener};
use silhouette_serving::refusals::Refusals;
use silhouette_serving::tls::{Tls, TlsError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt};

use crate::admin::{self, Admin, Pulse};
use crate::budget::Budget;
use crate::callers::Callers;
use crate::config::{Config, ConfigError};
use crate::emission::Emission;
use crate::envelope::Envelope;
use crate::forward::Forwarding;
use crate::gate::{Gate, GateError};
use crate::hosts::{Bounds, Hosts};
use crate::hsl::gaps::Gaps;
use crate::hsl::listener::{self, Hsl};
use crate::hsl::refused::Refused;
use crate::hsl::service as hsl;
use crate::journal::{Journal, JournalError, Limits, Recovery};
use crate::learners::{self, Learners, Pace};
use crate::metrics::Metrics;
use crate::rules::{RuleFileError, RulesInForce};
use crate::shims::Shims;
use crate::store::{Checkpoint, Store, StoreError};
use crate::telemetry::{self, Calls, Telemetry};
use crate::tokens::Scope;
use crate::writer::Writer;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data directory cannot be used.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another collector has it.
    #[error(
        "the data directory {path} is in use by another collector{by}; stop it, or give this one its own --data-dir"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// ` (pid 123)` when known.
        by: String,
    },
    /// A port cannot be had.
    #[error("cannot listen on {address} (setting `{setting}`): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Its setting.
        setting: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The listeners for BIG-IPs.
    #[error(transparent)]
    Hsl(#[from] hsl::StartError),
    /// It would be open to anybody, or the tokens cannot be read.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The rules file.
    #[error("setting `rules`: {0}")]
    Rules(#[from] RuleFileError),
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A service that is bound and recovered, and answers once it runs.
#[derive(Debug)]
pub struct Server {
    telemetry: SocketAddr,
    admin: SocketAddr,
    listeners: [Listener; 2],
    service: Arc<Telemetry>,
    pages: Arc<Admin>,
    learners: Learners,
    writer: JoinHandle<()>,
    end: watch::Sender<bool>,
    upkeep: Upkeep,
    forwarding: Forwarding,
    hsl: Option<hsl::Receiving>,
    // Held until the end: two collectors in one directory would count everything twice.
    _lock: File,
}

/// What is looked after while it runs.
#[derive(Debug)]
struct Upkeep {
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    rules: Arc<RulesInForce>,
    hosts: Arc<Hosts>,
    drop_after: Option<Duration>,
    data_dir: PathBuf,
}

impl Server {
    /// Does everything that can fail.
    pub async fn start(config: Config) -> Result<Server, ServeError> {
        directory::make_private(&config.data_dir)
            .map_err(io_error("create the data directory", &config.data_dir))?;
        let lock = lock(&config.data_dir)?;
        let gate = Arc::new(Gate::new(&config)?);
        let tls = config.tls.clone().map(Tls::new).transpose()?.map(Arc::new);
        let rules = Arc::new(RulesInForce::new(config.rules.clone())?);
        let telemetry_socket = bind(config.listen, "listen").await?;
        let admin_socket = bind(config.admin_listen, "admin_listen").await?;
        let (telemetry, admin) = (
            local(&telemetry_socket, "listen")?,
            local(&admin_socket, "admin_listen")?,
        );

        let hsl = hsl::Bound::new(&config.hsl, &config.data_dir).await?;

        let metrics = Arc::new(Metrics::default());
        let refusals = Arc::new(Refusals::new(metrics.refused.clone()));
        let hosts = Arc::new(Hosts::new(Bounds {
            hosts: config.max_hosts,
            host_memory: config.host_memory,
            model_memory: config.model_memory,
        }));
        let mut store = Store::open(&config.data_dir)?;
        let last = restore(&mut store, &hosts, config.learners)?;
        let mut windows = last.windows.clone();
        let limits = Limits {
            bytes: config.journal_limit,
            disk_reserve: config.disk_reserve,
            recent_bytes: config.learn_buffer,
        };
        let journal_dir = config.data_dir.join("journal");
        let (journal, reader, recovery) =
            Journal::open(&journal_dir, last.position, limits, |frame| {
                if let Ok(envelope) = Envelope::open(&frame.payload) {
                    windows.insert(&envelope.instance, envelope.sequence, frame.received);
                }
            })?;
        report(&recovery, &metrics);
        let shared = journal.shared();
        let learners = Learners::start(learners::Parts {
            reader,
            journal: shared.clone(),
            store,
            last,
            hosts: hosts.clone(),
            metrics: metrics.clone(),
            learners: config.learners,
            max_body: config.max_body,
            pace: Pace {
                interval: config.checkpoint_interval,
                bytes: config.checkpoint_bytes.min(config.journal_limit / 4),
            },
            first_segment: recovery.first_segment,
        })
        .map_err(io_error("start the learner threads for", &config.data_dir))?;
        let known = hsl.as_ref().map(|_| windows.highest()).unwrap_or_default();
        let writer = Writer {
            journal,
            windows,
            health: Arc::default(),
            metrics: metrics.clone(),
            hurry: learners.hurry(),
        };
        let health = writer.health.clone();
        let (submissions, queue) = channel();
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&queue, crate::unix_millis))
            .map_err(io_error("start the journal thread for", &journal_dir))?;

        let (end, ending) = watch::channel(false);
        let shims = Arc::new(Shims::default());
        let budget = Budget::new(config.ingest_buffer);
        let standing = hsl.as_ref().map(|bound| {
            let now = crate::unix_millis() / 1000;
            let gaps = Arc::new(Gaps::new(now, known, metrics.hsl_lost.clone()));
            let refused = Refused::new(Refusals::new(metrics.hsl_refused.clone()));
            Arc::new(hsl::Standing::new(bound, gaps, Arc::new(refused)))
        });
        let policy = config.hsl.redaction.policy();
        let policy = Arc::new(policy.map_err(ConfigError::Redaction)?);
        let hsl = hsl.zip(standing.clone()).map(|(bound, standing)| {
            let receiver = Hsl::new(listener::Parts {
                submissions: submissions.clone(),
                budget: budget.clone(),
                keys: standing.keys.clone(),
                policy,
                gaps: standing.gaps.clone(),
                refused: standing.refused.clone(),
                refusals: refusals.clone(),
                shims: shims.clone(),
                metrics: metrics.clone(),
                patience: config.header_timeout * listen::SLOW,
                ending: ending.clone(),
            });
            (bound, Arc::new(receiver))
        });
        let service = Arc::new(Telemetry::new(telemetry::Parts {
            submissions,
            budget,
            max_message: config.max_message,
            gate: gate.clone(),
            shims: shims.clone(),
            metrics: metrics.clone(),
            refusals: refusals.clone(),
            ending: ending.clone(),
        }));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let for_upkeep = hosts.clone();
        let emission = Arc::new(Emission {
            rules: rules.clone(),
            stale_after: config.stale_after,
            drop_after: config.drop_after,
            minimum_operations: config.minimum_operations,
        });
        let forwarding = Forwarding::start(
            &config.data_dir,
            config.forward,
            hosts.clone(),
            emission.clone(),
            metrics.clone(),
        )
        .map_err(io_error("start the emitter thread for", &config.data_dir))?;
        let pages = Arc::new(Admin {
            hosts,
            shims,
            metrics: metrics.clone(),
            totals: learners.totals(),
            health,
            journal: shared,
            gate: gate.clone(),
            refusals: refusals.clone(),
            pulse: Arc::new(Pulse::default()),
            emission,
            forwarding: forwarding.standing(),
            hsl: standing,
            names: config.admin_hosts.clone(),
            telemetry_url: format!("{scheme}://{telemetry}"),
            started: Instant::now(),
        });
        let listener = |name, socket, tls| Listener {
            name,
            socket,
            tls,
            max_connections: config.max_connections,
            header_timeout: config.header_timeout,
            refusals: refusals.clone(),
            connections: metrics.connections.clone(),
            ending: ending.clone(),
        };
        let admin_tls = tls.clone().filter(|_| config.admin_tls);
        let listeners = [
            listener("telemetry", telemetry_socket, tls.clone()),
            listener("admin", admin_socket, admin_tls),
        ];
        if !gate.needs_token(Scope::Telemetry) {
            tracing::warn!(
                "no token has been created: whoever can reach {telemetry} may send telemetry; \
                 `silhouette-collector token create --name NAME` changes that"
            );
        }
        Ok(Server {
            telemetry,
            admin,
            listeners,
            service,
            pages,
            learners,
            writer,
            end,
            upkeep: Upkeep {
                gate,
                tls,
                rules,
                hosts: for_upkeep,
                drop_after: config.drop_after,
                data_dir: config.data_dir,
            },
            forwarding,
            hsl: hsl.map(|(bound, receiver)| bound.receiving(receiver, listener)),
            _lock: lock,
        })
    }

    /// Where shims send to.
    pub fn telemetry(&self) -> SocketAddr {
        self.telemetry
    }

    /// Where people look.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Where BIG-IPs send to: `hsl`, `hsl_tls` and `hsl_udp`, those there are.
    pub fn hsl(&self) -> &[(&'static str, SocketAddr)] {
        let standing = self.pages.hsl.as_ref();
        standing.map_or(&[], |standing| standing.addresses.as_slice())
    }

    /// What is counted.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.pages.metrics.clone()
    }

    /// Runs until `ended` is over, then ends in order.
    pub async fn run(self, ended: impl Future<Output = ()>) {
        let [telemetry, admin] = self.listeners;
        let service = self.service;
        let for_connections = service.clone();
        let telemetry = tokio::spawn(telemetry.run(move |peer| {
            let calls = GrpcWebLayer::new().layer(Calls::new(for_connections.clone(), peer));
            let calls = tower::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let calls = calls.clone();
                async move {
                    let kind = request.headers().get(http::header::CONTENT_TYPE);
                    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
                        return calls.oneshot(request).await;
                    }
                    Ok(telemetry::greeting(request.method(), request.uri().path()))
                }
            });
            TowerToHyperService::new(calls)
        }));
        let router = admin::router(self.pages.clone());
        let admin = tokio::spawn(admin.run(move |peer: SocketAddr| {
            TowerToHyperService::new(Extension(peer).layer(router.clone()))
        }));
        let (pulse, metrics) = (self.pages.pulse.clone(), self.pages.metrics.clone());
        let pulse = tokio::spawn(async move { pulse.run(&metrics).await });
        let upkeep = tokio::spawn(self.upkeep.run());
        let resting = tokio::spawn(rest(self.pages.hosts.clone()));
        let forwarding = tokio::spawn(self.forwarding.run(self.end.subscribe()));
        let standing = self.pages.hsl.clone();
        let hsl_upkeep = standing.map(|it| tokio::spawn(async move { it.upkeep().await }));
        let hsl = self.hsl.map(|receiving| tokio::spawn(receiving.run()));

        ended.await;
        tracing::info!("ending: no new connections, finishing what is under way");
        self.end.send_replace(true);
        let _ = telemetry.await;
        let _ = admin.await;
        if let Some(hsl) = hsl {
            let _ = hsl.await;
        }
        if let Some(upkeep) = hsl_upkeep {
            upkeep.abort();
        }
        pulse.abort();
        upkeep.abort();
        resting.abort();
        let _ = forwarding.await;
        // With the last sender the writer ends, with the writer the dispatcher, with the dispatcher the last checkpoint.
        drop(service);
        let (writer, learners) = (self.writer, self.learners);
        let _ = tokio::task::spawn_blocking(move || {
            if writer.join().is_err() {
                tracing::error!("the journal thread ended with a panic; what it did not acknowledge is sent again");
            }
            learners.join();
        })
        .await;
        tracing::info!("ended: everything that is learnt is saved");
    }
}

/// Between two looks for what is no longer called. Documents leave it out at once; this frees the memory.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// Operations that were not called for so long, or up to twice as long, rest.
const REST_EVERY: Duration = Duration::from_secs(30);
/// When too many are ready they rest sooner, but looking for them costs, too.
const REST_AGAIN: Duration = Duration::from_millis(100);

async fn rest(hosts: Arc<Hosts>) {
    loop {
        let _ = tokio::time::timeout(REST_EVERY, hosts.crowded()).await;
        let resting = hosts.clone();
        let _ = tokio::task::spawn_blocking(move || resting.rest()).await;
        tokio::time::sleep(REST_AGAIN).await;
    }
}

impl Upkeep {
    async fn forget(&self) {
        let Some(age) = self.drop_after else { return };
        let before = crate::unix_millis().saturating_sub(age.as_millis() as u64);
        let hosts = self.hosts.clone();
        let gone = tokio::task::spawn_blocking(move || hosts.forget(before)).await;
        if let Ok(operations @ 1..) = gone {
            tracing::info!(
                operations,
                "operations that were not called for `drop_after` are forgotten"
            );
        }
    }

    async fn run(self) {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let mut token_error = None;
        let mut forgot: Option<Instant> = None;
        loop {
            tick.tick().await;
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                forgot = Some(Instant::now());
                self.forget().await;
            }
            let failed = self
                .gate
                .reload(&self.data_dir)
                .err()
                .map(|error| error.to_string());
            if failed != token_error {
                if let Some(error) = &failed {
                    tracing::error!(%error, "the tokens cannot be read again; those known stay in force");
                }
                token_error = failed;
            }
            match self.rules.reload() {
                Ok(Some(rules)) => tracing::info!(rules, "the rules have been read again"),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "the rules cannot be read again; the old ones stay in force");
                }
            }
            match self.tls.as_ref().map(|tls| tls.reload()) {
                Some(Ok(true)) => tracing::info!("the certificate has been read again"),
                Some(Err(error)) => {
                    tracing::error!(%error, "the certificate cannot be read again; the old one stays in force");
                }
                _ => {}
            }
        }
    }
}

/// Takes the data directory for this process; the system lets go of it however the process ends.
fn lock(data_dir: &Path) -> Result<File, ServeError> {
    let path = data_dir.join("lock");
    let mut file = File::options()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let by = pid
                .trim()
                .parse::<u32>()
                .map(|pid| format!(" (pid {pid})"))
                .unwrap_or_default();
            return Err(ServeError::InUse {
                path: data_dir.to_owned(),
                by,
            });
        }
        Err(fs::TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
    }
    // For the other one's message only: a full disk must not keep the collector from starting.
    let _ = file.set_len(0);
    let _ = write!(file, "{}", std::process::id());
    Ok(file)
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Bind {
            address,
            setting,
            source,
        })
}

fn local(socket: &TcpListener, setting: &'static str) -> Result<SocketAddr, ServeError> {
    socket.local_addr().map_err(|source| ServeError::Bind {
        address: ([0, 0, 0, 0], 0).into(),
        setting,
        source,
    })
}

/// Fills the hosts from the last checkpoint. A model that cannot be read is left behind, not the start.
fn restore(store: &mut Store, hosts: &Hosts, learners: usize) -> Result<Checkpoint, StoreError> {
    let last = store.load(|name, bytes, callers| {
        let host = HostName::parse(name.as_bytes(), "").map_err(|error| error.to_string());
        let model = Model::from_bytes(bytes).map_err(|error| error.to_string());
        match host.and_then(|host| model.map(|model| (host, model))) {
            Ok((host, model)) => {
                let shard = learners::shard(&host, learners);
                hosts.restore(host, shard, model, Callers::from_bytes(callers));
            }
            Err(error) => tracing::error!(host = name, %error, "the saved model of a host cannot be read; it starts anew"),
        }
    })?;
    if !hosts.is_empty() {
        tracing::info!(
            hosts = hosts.len(),
            exchanges = last.totals.accepted,
            "restored the last checkpoint"
        );
    }
    Ok(last)
}

fn report(recovery: &Recovery, metrics: &Metrics) {
    for damage in &recovery.damages {
        metrics.journal_damages.inc();
        let aside = damage.aside.as_ref().map(|path| path.display().to_string());
        tracing::warn!(
            file = %damage.file.display(),
            offset = damage.range.start,
            bytes = damage.range.end - damage.range.start,
            copied_to = aside.as_deref().unwrap_or("nowhere"),
            "a part of the journal is damaged and left out; everything else in it is used"
        );
    }
    if recovery.batches > 0 {
        tracing::info!(
            batches = recovery.batches,
            "learning what the journal still holds"
        );
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ServeError {
    let path = path.to_owned();
    move |source| ServeError::Io { what, path, source }
}
