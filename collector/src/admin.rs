//! What people and Prometheus see: health, metrics, hosts, documents, shims, and the live page.
//!
//! In: GET requests. Out: text, JSON, YAML, one HTML page. Nothing can be changed here. Answers only to names it was given
//! (localhost, addresses, `admin_hosts`), so that a web page elsewhere cannot read it through a name it rebinds.

mod forwarding;
mod hsl;
mod live;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH,
    REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use silhouette_reconstruct::{DocumentOptions, HostName, OpenApi, Summary};
use silhouette_serving::refusals::Refusals;

use crate::emission::Emission;
use crate::explain::Explained;
use crate::forward::standing::Standing;
use crate::gate::Gate;
use crate::hosts::{Host, Hosts};
use crate::hsl::service;
use crate::journal::Shared;
use crate::learners::LiveTotals;
use crate::metrics::Metrics;
use crate::shims::Shims;
use crate::tokens::{Denied, Scope};
use crate::writer::Health;

pub use forwarding::forwarded_host;
pub use live::Pulse;

/// What the pages show.
#[derive(Debug)]
pub struct Admin {
    /// The models.
    pub hosts: Arc<Hosts>,
    /// Who sends.
    pub shims: Arc<Shims>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Over all starts.
    pub totals: Arc<LiveTotals>,
    /// Whether telemetry is accepted.
    pub health: Arc<Health>,
    /// How much is not learnt yet.
    pub journal: Arc<Shared>,
    /// Who may look.
    pub gate: Arc<Gate>,
    /// What is refused.
    pub refusals: Arc<Refusals>,
    /// Exchanges per second, lately.
    pub pulse: Arc<Pulse>,
    /// How documents are emitted.
    pub emission: Arc<Emission>,
    /// How forwarding to the catalog stands.
    pub forwarding: Arc<Standing>,
    /// How HSL stands; `None`: nothing listens for BIG-IPs.
    pub hsl: Option<Arc<service::Standing>>,
    /// Names it answers to, besides localhost and addresses; lower case.
    pub names: Vec<String>,
    /// Where shims send to, for the page's advice.
    pub telemetry_url: String,
    /// When this process started.
    pub started: Instant,
}

/// All routes.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(live::page))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/hosts", get(hosts))
        .route("/v1/hosts/{host}", get(host))
        .route("/v1/hosts/{host}/openapi.json", get(document_json))
        .route("/v1/hosts/{host}/openapi.yaml", get(document_yaml))
        .route("/v1/hosts/{host}/explain", get(explain))
        .route("/v1/shims", get(shims))
        .route("/v1/forwarding", get(forwarding::forwarding))
        .route("/v1/hsl", get(hsl::hsl))
        .route("/v1/live", get(live::live))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is nothing here; there are /, /healthz, /readyz, /metrics, /v1/hosts, /v1/hosts/{host}/openapi.json, /v1/hosts/{host}/openapi.yaml, /v1/hosts/{host}/explain, /v1/shims, /v1/forwarding, /v1/hsl and /v1/live") })
        .layer(middleware::from_fn_with_state(admin.clone(), guard))
        .with_state(admin)
}

type Shown = State<Arc<Admin>>;

/// Checks who asks and by which name, and adds the headers every answer has.
async fn guard(State(admin): Shown, request: Request, next: Next) -> Response {
    let mut response = match admin.admits(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

impl Admin {
    // An error is a whole answer here, not a value to be passed around.
    #[allow(clippy::result_large_err)]
    fn admits(&self, request: &Request) -> Result<(), Response> {
        let (headers, path) = (request.headers(), request.uri().path());
        let refused = |reason, why: String| {
            let peer = request.extensions().get::<SocketAddr>().copied();
            let peer = peer.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
            self.refusals.count("admin", reason, peer, &why);
            why
        };
        // HTTP/2 says the name in `:authority` (RFC 9113, 8.3.1), HTTP/1.1 in `Host`; whoever says both must mean one of ours
        // with both.
        let authority = request.uri().authority().map(|name| name.as_str());
        let host = headers.get(HOST).map(|host| host.to_str().unwrap_or("?"));
        let mut names = authority.into_iter().chain(host).peekable();
        if names.peek().is_none() || !names.all(|name| self.answers_to(name)) {
            let why = "this listener does not answer to that host name; setting `admin_hosts` lists those it answers to besides localhost and IP addresses";
            return Err(problem(
                StatusCode::MISDIRECTED_REQUEST,
                &refused("host_name", why.into()),
            ));
        }
        // Probes of an orchestrator have no token, and tell nothing.
        if path == "/healthz" || path == "/readyz" {
            return Ok(());
        }
        let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let now = crate::unix_millis() / 1000;
        match self.gate.admit(Scope::Admin, authorization, now) {
            Ok(_) => Ok(()),
            Err(denied) => {
                // A browser's first request has none: that is not worth a line.
                if denied != Denied::Missing {
                    refused(denied.reason(), denied.to_string());
                }
                let why = format!(
                    "{denied}. Send it as a bearer token, or as the password of basic authentication"
                );
                let mut response = problem(StatusCode::UNAUTHORIZED, &why);
                response.headers_mut().insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"Silhouette: any name, token as password\", charset=\"UTF-8\""),
                );
                Err(response)
            }
        }
    }

    /// Whether an authority is one of this listener's names.
    fn answers_to(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.names.contains(&name)
    }

    fn options(&self, host: &Host, openapi: OpenApi) -> DocumentOptions {
        self.emission
            .options(&host.name, openapi, crate::unix_millis())
    }

    // As above.
    #[allow(clippy::result_large_err)]
    fn host(&self, name: &str) -> Result<Arc<Host>, Response> {
        let parsed = HostName::parse(name.as_bytes(), "")
            .map_err(|error| problem(StatusCode::BAD_REQUEST, &error.to_string()))?;
        if self.emission.leaves_out(&parsed) {
            let why = format!(
                "a rule leaves the host {parsed} out (setting `rules`, [[host]] with ignore = true)"
            );
            return Err(problem(StatusCode::NOT_FOUND, &why));
        }
        self.hosts.get(&parsed).ok_or_else(|| {
            let known = self.hosts.list();
            let few: Vec<_> = known
                .iter()
                .take(5)
                .map(|host| host.name.as_str())
                .collect();
            let why = match few.as_slice() {
                [] => format!("no exchange with host {parsed} was learnt, nor with any other"),
                few => format!(
                    "no exchange with host {parsed} was learnt; there are {} (all: /v1/hosts)",
                    few.join(", ")
                ),
            };
            problem(StatusCode::NOT_FOUND, &why)
        })
    }
}

fn problem(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// Work that is too long for an async thread.
async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(response) => response,
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "making this answer failed; the collector's log says more",
        ),
    }
}

async fn readyz(State(admin): Shown) -> Response {
    match admin.health.problem() {
        None => "ready\n".into_response(),
        Some(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: telemetry is refused: {why}\n"),
        )
            .into_response(),
    }
}

async fn metrics(State(admin): Shown) -> Response {
    let set = |gauge: &prometheus_client::metrics::gauge::Gauge, value: u64| {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    };
    let metrics = &admin.metrics;
    set(&metrics.hosts, admin.hosts.len() as u64);
    set(&metrics.model_bytes, admin.hosts.memory() as u64);
    set(&metrics.journal_bytes, admin.journal.held());
    set(&metrics.pending, metrics.pending());
    set(
        &metrics.shims,
        admin.shims.active(crate::unix_millis()) as u64,
    );
    set(&metrics.ready, u64::from(admin.health.problem().is_none()));
    forwarding::set_metrics(&admin);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], metrics.text()).into_response()
}

async fn shims(State(admin): Shown) -> Response {
    Json(json!({ "shims": admin.shims.list() })).into_response()
}

async fn hosts(State(admin): Shown) -> Response {
    blocking(move || {
        let hosts: Vec<_> = admin
            .hosts
            .list()
            .iter()
            .filter(|host| !admin.emission.leaves_out(&host.name))
            .map(|host| {
                let options = admin.options(host, OpenApi::default());
                described(host, &host.summary(&options))
            })
            .collect();
        Json(json!({ "hosts": hosts, "totals": totals(&admin) })).into_response()
    })
    .await
}

async fn host(State(admin): Shown, Path(name): Path<String>) -> Response {
    blocking(move || match admin.host(&name) {
        Err(refusal) => refusal,
        Ok(host) => {
            let options = admin.options(&host, OpenApi::default());
            let mut value = described(&host, &host.summary(&options));
            let document = host.document(&options);
            let operations: Vec<_> = document
                .operations()
                .iter()
                .map(|operation| {
                    json!({
                        "method": operation.method,
                        "path": operation.path,
                        "operation_id": operation.operation_id,
                        "calls": operation.calls,
                        "errors": operation.errors,
                        "first_seen": operation.first_seen,
                        "last_seen": operation.last_seen,
                        "statuses": operation.statuses,
                    })
                })
                .collect();
            value["operation_list"] = operations.into();
            Json(value).into_response()
        }
    })
    .await
}

#[derive(Debug, Deserialize)]
struct Asked {
    method: Option<String>,
    path: Option<String>,
}

async fn explain(
    State(admin): Shown,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let Some(path) = asked.path.filter(|path| path.starts_with('/')) else {
        let why = "want the path of a call, such as explain?method=GET&path=/users/42";
        return problem(StatusCode::BAD_REQUEST, why);
    };
    let method = asked
        .method
        .unwrap_or_else(|| "GET".into())
        .to_ascii_uppercase();
    blocking(move || match admin.host(&name) {
        Err(refusal) => refusal,
        Ok(host) => {
            let options = admin.options(&host, OpenApi::default());
            let told = host.explain(&method, &path, &options);
            Json(Explained::new(host.name.as_str(), &method, &path, told)).into_response()
        }
    })
    .await
}

fn described(host: &Host, summary: &Summary) -> Value {
    let left_out: serde_json::Map<String, Value> = summary
        .left_out
        .iter()
        .map(|(noise, count)| (noise.as_str().to_owned(), (*count).into()))
        .collect();
    let learnt = summary.exchanges
        - summary
            .left_out
            .values()
            .sum::<u64>()
            .min(summary.exchanges);
    json!({
        "host": host.name.as_str(),
        "operations": summary.operations,
        "exchanges": summary.exchanges,
        "learnt": learnt,
        "left_out": left_out,
        "first_seen": summary.first_seen,
        "last_seen": summary.last_seen,
        "model_bytes": host.memory(),
        "openapi_json": format!("/v1/hosts/{}/openapi.json", host.name),
        "openapi_yaml": format!("/v1/hosts/{}/openapi.yaml", host.name),
    })
}

fn totals(admin: &Admin) -> Value {
    let totals = admin.totals.get();
    json!({
        "accepted": totals.accepted,
        "learnt": totals.learnt,
        "left_out": totals.left_out,
        "rejected": totals.rejected,
        "pending": admin.metrics.pending(),
    })
}

#[derive(Debug, Deserialize)]
struct Wanted {
    openapi: Option<String>,
}

async fn document_json(
    admin: Shown,
    name: Path<String>,
    wanted: Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    document(admin, name, wanted, headers, false).await
}

async fn document_yaml(
    admin: Shown,
    name: Path<String>,
    wanted: Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    document(admin, name, wanted, headers, true).await
}

async fn document(
    State(admin): Shown,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    yaml: bool,
) -> Response {
    let openapi = match wanted.openapi.as_deref() {
        None | Some("3.1" | "3.1.0") => OpenApi::V31,
        Some("3.0" | "3.0.3") => OpenApi::V30,
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            let why = format!("`openapi={other}` is not available: want 3.0 or 3.1");
            return problem(StatusCode::BAD_REQUEST, &why);
        }
    };
    blocking(move || {
        let host = match admin.host(&name) {
            Ok(host) => host,
            Err(refusal) => return refusal,
        };
        let document = host.document(&admin.options(&host, openapi));
        let (kind, text) = if yaml {
            ("application/yaml", document.to_yaml())
        } else {
            ("application/json", document.to_json())
        };
        let hash = Sha256::digest(text.as_bytes());
        let etag: String = hash
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag = format!("\"{etag}\"");
        let known = headers
            .get(IF_NONE_MATCH)
            .and_then(|known| known.to_str().ok());
        if known.is_some_and(|known| known.split(',').any(|known| known.trim() == etag)) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
        }
        (
            [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")],
            [(ETAG, etag)],
            text,
        )
            .into_response()
    })
    .await
}
