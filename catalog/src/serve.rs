//! The service as a whole: opens the database, binds, runs, and ends in order.
//!
//! In: a [`Config`]. Out: a [`Server`] with its address, which runs until it is told to end. Ending is: no new connections, what is
//! being answered is answered. After a kill instead nothing is lost either: what was answered for was committed.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, StatusCode, header};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use silhouette_serving::directory;
use silhouette_serving::listen::Listener;
use silhouette_serving::refusals::Refusals;
use silhouette_serving::tls::{Tls, TlsError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::Layer as _;

use crate::access::first;
use crate::app::App;
use crate::config::{Audience, Config};
use crate::imports::FetchRules;
use crate::inventory::Thinning;
use crate::metrics::Answer;
use crate::sources::{self, Fetching};
use crate::store::{Store, StoreError};
use crate::{Millis, Refusal};

/// Between two looks for what is due.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Between two passes over old revisions.
const THIN_EVERY: Duration = Duration::from_secs(3600);
/// How long an end waits for what is being looked after.
const LAST_UPKEEP: Duration = Duration::from_secs(5);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The data directory or a file that a setting names cannot be used.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A port cannot be had.
    #[error("cannot listen on {address} (setting `listen`): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first owner cannot be made.
    #[error("the first owner cannot be made: {0}")]
    Owner(Refusal),
    /// What cannot be used here.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A service that is bound, and answers once it runs.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
    first: Option<first::Owner>,
}

impl Server {
    /// Does everything that can fail. On an empty database it makes an organisation and its owner.
    ///
    /// # Errors
    /// When a setting, the database or the port is not to be had.
    pub async fn start(config: Config) -> Result<Server, ServeError> {
        let tls = config.tls.clone().map(Tls::new).transpose()?.map(Arc::new);
        let store = open(&config).await?;
        let bind = |source| ServeError::Bind {
            address: config.listen,
            source,
        };
        let socket = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let app = App::new(config, store, address)?;
        let first = first_owner(&app).await?;
        Ok(Server {
            app,
            address,
            socket,
            tls,
            first,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves with.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// `http://ADDRESS:PORT`, as it listens.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The owner that this start made, once.
    pub fn take_first_owner(&mut self) -> Option<first::Owner> {
        self.first.take()
    }

    /// Runs until `ended` is over, then ends in order.
    pub async fn run(self, ended: impl Future<Output = ()>) {
        let (end, ending) = watch::channel(false);
        let app = self.app;
        let listener = Listener {
            name: "catalog",
            socket: self.socket,
            tls: self.tls.clone(),
            max_connections: app.config.max_connections,
            header_timeout: app.config.header_timeout,
            refusals: Arc::new(Refusals::new(app.metrics.refused.clone())),
            connections: app.metrics.connections.clone(),
            ending: ending.clone(),
        };
        let router = router(&app);
        let serving = tokio::spawn(listener.run(move |peer: SocketAddr| {
            TowerToHyperService::new(Extension(ConnectInfo(peer)).layer(router.clone()))
        }));
        let mut upkeep = tokio::spawn(upkeep(app.clone(), self.tls, ending));
        ended.await;
        tracing::info!("ending: no new connections, finishing what is under way");
        end.send_replace(true);
        let _ = serving.await;
        // A statement that is cut off leaves a connection that nobody closes.
        if tokio::time::timeout(LAST_UPKEEP, &mut upkeep)
            .await
            .is_err()
        {
            upkeep.abort();
            let _ = upkeep.await;
        }
        app.store.close().await;
        tracing::info!("ended");
    }
}

/// Opens the database that the settings name, creating the data directory for one that lies in it.
///
/// # Errors
/// When the directory cannot be made or the database not be opened.
pub async fn open(config: &Config) -> Result<Store, ServeError> {
    make_data_dir(config)?;
    Ok(Store::open(&config.database_url.0, config.database_connections).await?)
}

/// Opens the database that the settings name, where there is one: for commands beside the service.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub async fn open_existing(config: &Config) -> Result<Store, ServeError> {
    let url = &config.database_url.0;
    Ok(Store::open_existing(url, config.database_connections).await?)
}

/// Makes the data directory, where the database is to lie in one.
///
/// # Errors
/// When it cannot be made.
pub fn make_data_dir(config: &Config) -> Result<(), ServeError> {
    if !config.database_url.0.starts_with("sqlite:") {
        return Ok(());
    }
    directory::make_private(&config.data_dir).map_err(|source| ServeError::Io {
        what: "create the data directory",
        path: config.data_dir.clone(),
        source,
    })
}

async fn first_owner(app: &App) -> Result<Option<first::Owner>, ServeError> {
    let config = &app.config;
    let password = match &config.owner_password_file {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path).map_err(|source| ServeError::Io {
                what: "read the owner's password (setting `owner_password_file`) from",
                path: path.clone(),
                source,
            })?,
        ),
    };
    first::owner(
        &app.store,
        app.door.passwords(),
        &config.organisation_name,
        &config.owner_email,
        password
            .as_deref()
            .map(|text| text.trim_end_matches(['\r', '\n'])),
        Millis::now(),
    )
    .await
    .map_err(ServeError::Owner)
}

/// Everything that is served.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app.clone())
        .merge(crate::rest::router(app.clone()))
        .merge(crate::web::router(app.clone()))
        .layer(from_fn_with_state(app.clone(), counted))
}

/// Gives up on answers that take too long: a body that never ends, a database that never answers. Who stands around it says so in
/// its own words.
pub(crate) async fn in_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    tokio::time::timeout(app.config.request_timeout, next.run(request))
        .await
        .unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// A request that is being answered, also when its client leaves.
struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts answers.
async fn counted(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    app.metrics.open.inc();
    let open = Open(app.metrics.open.clone());
    let answer = next.run(request).await;
    drop(open);
    let status = match answer.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    app.metrics.answers.get_or_create(&Answer { status }).inc();
    answer
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let asked = sqlx::query("SELECT 1").execute(app.store.pool());
    match tokio::time::timeout(Duration::from_secs(3), asked).await {
        Ok(Ok(_)) => "ready\n".into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: the database does not answer\n",
            )
                .into_response()
        }
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the database takes too long\n",
        )
            .into_response(),
    }
}

async fn metrics(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    // What came through a proxy comes from loopback, too, whoever asks.
    let local = peer.ip().to_canonical().is_loopback()
        && !["x-forwarded-for", "forwarded", "via"]
            .iter()
            .any(|name| headers.contains_key(*name));
    if app.config.metrics == Audience::Loopback && !local {
        let why = "metrics are for this machine; the setting `metrics` = \"anyone\" changes that\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let kind = [(
        header::CONTENT_TYPE,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )];
    (kind, app.metrics.text()).into_response()
}

/// What is done beside answering: renewed certificates are taken up, and what is due begins.
async fn upkeep(app: Arc<App>, tls: Option<Arc<Tls>>, mut ending: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    let (mut thinning, mut thin_at) = (Thinning::default(), Millis::now());
    // What a stop left undone.
    if let Err(error) = crate::inventory::catch_up_drift(&app.store).await {
        tracing::error!(%error, "drift that was due cannot be brought up to date");
    }
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ending.changed() => return,
        }
        if let Err(error) = syncs(&app).await {
            tracing::error!(%error, "what is due cannot be synced");
        }
        if let Some(keep) = app.config.keep_revisions
            && Millis::now() >= thin_at
        {
            // One step at each look, so that nobody waits for many.
            let over = thinning.step(&app.store, keep, Millis::now()).await;
            if let Err(error) = &over {
                tracing::error!(%error, "old revisions cannot be thinned out; tried again in an hour");
            }
            if over.unwrap_or(true) {
                thin_at = Millis::now().plus(THIN_EVERY);
            }
        }
        match tls.as_ref().map(|tls| tls.reload()) {
            Some(Ok(true)) => tracing::info!("the certificate has been read again"),
            Some(Err(error)) => {
                tracing::error!(%error, "the certificate cannot be read again; the old one stays in force");
            }
            _ => {}
        }
    }
}

async fn syncs(app: &App) -> Result<(), Refusal> {
    let every = app.config.sync_every;
    sources::request_due(&app.store, every, Millis::now()).await?;
    let rules = FetchRules {
        max_bytes: app.config.max_document as u64,
        private_addresses: app.config.allow_private_imports,
        ..FetchRules::default()
    };
    let how = Fetching {
        rules,
        bodies: app.bodies.clone(),
        every,
    };
    sources::fetch_due(&app.store, &how, Millis::now).await?;
    Ok(())
}
