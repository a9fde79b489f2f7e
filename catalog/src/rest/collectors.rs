//! The catalog's side of forwarding: what collectors call, under `/collector/v1`.
//!
//! In: registration tokens, credentials, heartbeats, revisions and what was seen. Out: what the core says, as JSON; refusals as
//! problem documents whose types collectors act on. A revision is committed before it is answered for. What a body unpacks to is
//! bounded before it is unpacked.

use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, post, put};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use hyper::body::Body as _;
use serde::{Deserialize, Serialize};

use super::envelope::Context;
use super::extract::{self, Path, is_json, read_json, unsupported};
use super::problem::Problem;
use crate::app::App;
use crate::bodies::{self, Bodies, BodyError, Room};
use crate::inventory::{
    AcceptRevision, Accepted, CallerKind, Seen, SeenCaller, SeenOperation, accept_revision, apart,
    report_seen,
};
use crate::metrics::Outcome;
use crate::problems::{self, MALFORMED_BODY, TOO_LARGE};
use crate::sources::{
    self, Beat, CredentialRefusal, HostCounts, NewCollector, Outbox, Registered,
    RegistrationRefusal, SyncReport, SyncState,
};
use crate::{Millis, Refusal};

/// Bytes of a report of what was seen.
const MAX_SEEN: usize = 16 << 20;
/// Bytes of a registration: nobody has shown a token yet when it is read.
const MAX_REGISTRATION: usize = 64 << 10;

/// What collectors call.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/collector/v1/registrations", post(register))
        .route("/collector/v1/registration", delete(leave))
        .route("/collector/v1/heartbeats", post(heartbeat))
        .route("/collector/v1/credential", post(rotate))
        .route(
            "/collector/v1/hosts/{host}/revisions/{sequence}",
            put(revision),
        )
        .route("/collector/v1/hosts/{host}/seen", put(seen))
}

/// `Authorization: Bearer …` (RFC 6750, 2.1).
fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// A collector with a credential, and where it comes from.
struct Credential {
    collector: Registered,
    address: String,
}

impl FromRequestParts<Arc<App>> for Credential {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Credential, Problem> {
        let address = super::address(app, parts);
        let secret = bearer(parts).unwrap_or_default();
        let found = sources::authenticate(&app.store, secret, &address, Millis::now()).await;
        let collector = found.map_err(|refusal| match refusal {
            CredentialRefusal::Unknown => {
                Problem::new(problems::CREDENTIAL_UNKNOWN, refusal.to_string())
            }
            CredentialRefusal::Revoked => {
                Problem::new(problems::CREDENTIAL_REVOKED, refusal.to_string())
            }
            CredentialRefusal::Refused(refusal) => refusal.into(),
        })?;
        if let Some(context) = parts.extensions.get::<Context>() {
            let _ = context.actor.set(format!("collector {}", collector.name));
        }
        Ok(Credential { collector, address })
    }
}

#[derive(Deserialize)]
struct NewRegistration {
    instance: String,
    name: String,
    version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeRegistration {
    collector_id: String,
    source_id: String,
    source_name: String,
    credential: String,
    heartbeat_seconds: u64,
    document_bytes: usize,
}

async fn register(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, sent) = request.into_parts();
    let token = bearer(&parts).unwrap_or_default().to_owned();
    let address = super::address(&app, &parts);
    let context = parts
        .extensions
        .get::<Context>()
        .map(|context| context.correlation.clone());
    let new: NewRegistration =
        json(&app, Request::from_parts(parts, sent), MAX_REGISTRATION).await?;
    let collector = NewCollector {
        token: &token,
        instance: &new.instance,
        name: &new.name,
        version: &new.version,
        address: &address,
        correlation: context.as_deref().unwrap_or_default(),
    };
    let made = sources::register(&app.store, collector, Millis::now())
        .await
        .map_err(|refusal| match refusal {
            RegistrationRefusal::Unknown => {
                Problem::new(problems::TOKEN_UNKNOWN, refusal.to_string())
            }
            RegistrationRefusal::Expired(_) => {
                Problem::new(problems::TOKEN_EXPIRED, refusal.to_string())
            }
            RegistrationRefusal::Used => Problem::new(problems::TOKEN_USED, refusal.to_string()),
            RegistrationRefusal::Refused(refusal) => refusal.into(),
        })?;
    let answer = MadeRegistration {
        collector_id: made.collector.into(),
        source_id: made.source.into(),
        source_name: made.source_name,
        credential: made.credential,
        heartbeat_seconds: app.config.heartbeat.as_secs().max(1),
        document_bytes: app.config.max_document,
    };
    Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentBeat {
    version: String,
    sent_at: String,
    #[serde(default)]
    hosts: SentHosts,
    #[serde(default)]
    outbox: SentOutbox,
    last_error: Option<String>,
    sync: Option<SentSync>,
}

#[derive(Default, Deserialize)]
struct SentHosts {
    known: u64,
    waiting: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentOutbox {
    pending: u64,
    oldest_seconds: Option<u64>,
    merged: u64,
}

#[derive(Deserialize)]
struct SentSync {
    id: String,
    state: String,
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pulse {
    server_time: String,
    heartbeat_seconds: u64,
    auto_sync: bool,
    sync: Option<String>,
    rotate_credential: bool,
    document_bytes: usize,
}

async fn heartbeat(
    State(app): State<Arc<App>>,
    Credential { collector, address }: Credential,
    request: Request,
) -> Result<Response, Problem> {
    let sent: SentBeat = json(&app, request, extract::MAX_BODY).await?;
    let sync = match sent.sync {
        None => None,
        Some(sync) => Some(SyncReport {
            state: SyncState::parse(&sync.state)
                .ok_or_else(|| Problem::field("sync.state", "want running, completed or failed"))?,
            id: sync.id,
            error: sync.error,
        }),
    };
    let beat = Beat {
        version: sent.version,
        // A clock that is not to be read is a clock that is not known.
        sent_at: Millis::parse(&sent.sent_at),
        hosts: HostCounts {
            known: sent.hosts.known,
            waiting: sent.hosts.waiting,
        },
        outbox: Outbox {
            pending: sent.outbox.pending,
            oldest_seconds: sent.outbox.oldest_seconds,
            merged: sent.outbox.merged,
        },
        last_error: sent.last_error,
        sync,
    };
    let now = Millis::now();
    let spans = (app.config.offline_after, app.config.rotate_every);
    let heard = sources::beat(&app.store, &collector, beat, &address, spans, now).await?;
    app.metrics.heartbeats.inc();
    // The others are no news.
    match collector.heard_at {
        None => {
            tracing::info!(collector = %collector.name, address, "a collector reports for the first time")
        }
        Some(at) if now.since(at) >= app.config.offline_after => {
            tracing::info!(collector = %collector.name, address, last = at.rfc3339(), "a collector reports again");
        }
        Some(_) => {}
    }
    let pulse = Pulse {
        server_time: now.rfc3339(),
        heartbeat_seconds: app.config.heartbeat.as_secs().max(1),
        auto_sync: heard.auto_sync,
        sync: heard.sync.map(String::from),
        rotate_credential: heard.rotate,
        document_bytes: app.config.max_document,
    };
    Ok(axum::Json(pulse).into_response())
}

async fn rotate(
    State(app): State<Arc<App>>,
    Credential { collector, address }: Credential,
) -> Result<Response, Problem> {
    let credential =
        sources::rotate_credential(&app.store, &collector, &address, Millis::now()).await?;
    Ok(axum::Json(serde_json::json!({ "credential": credential })).into_response())
}

async fn leave(
    State(app): State<Arc<App>>,
    Credential { collector, address }: Credential,
) -> Result<StatusCode, Problem> {
    sources::unregister(
        &app.store,
        &collector,
        &address,
        app.config.offline_after,
        Millis::now(),
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revision(
    State(app): State<Arc<App>>,
    Credential { collector, .. }: Credential,
    Path((host, sequence)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    // Below i64::MAX: that is what the database can count to.
    let sequence = sequence
        .parse::<u64>()
        .ok()
        .filter(|n| (1..=i64::MAX as u64).contains(n))
        .ok_or_else(|| Problem::parameter("sequence", "want a whole number from 1"))?;
    if !is_json(&request) {
        return Err(unsupported(&request, "application/json"));
    }
    let contract = header(&headers, "silhouette-contract")
        .ok_or_else(|| Problem::parameter("Silhouette-Contract", "it is missing"))?
        .to_owned();
    let emitted = header(&headers, "silhouette-emitted").and_then(Millis::parse);
    let coding = Coding::of(&headers)?;
    let limit = app.config.max_document;
    let (text, room) = coding.read(&app.bodies, request, limit, 1).await?;
    let pushed = AcceptRevision {
        organisation: collector.organisation,
        source: collector.source,
        collector: collector.id,
        host,
        sequence,
        contract,
        emitted,
        text,
        limit: limit as u64,
    };
    let accepted = accept_revision(&app.store, pushed, Millis::now()).await;
    drop(room);
    let outcome = match &accepted {
        Ok(Accepted::Created { .. }) => "kept",
        Ok(Accepted::Same { .. }) => "same",
        Ok(Accepted::Conflict { .. }) | Err(_) => "refused",
    };
    app.metrics
        .revisions
        .get_or_create(&Outcome { outcome })
        .inc();
    let (status, revision, api) = match accepted? {
        Accepted::Created { revision, api } => (StatusCode::CREATED, revision, api),
        Accepted::Same { revision, api } => (StatusCode::OK, revision, api),
        Accepted::Conflict { latest } => {
            let detail = format!(
                "the number {sequence} was used for something else or is not above {latest}, the latest"
            );
            return Err(Problem::new(problems::SEQUENCE_CONFLICT, detail).with("latest", latest));
        }
    };
    let answer = serde_json::json!({ "revisionId": revision, "apiId": api });
    Ok((status, axum::Json(answer)).into_response())
}

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Result<Coding, Problem> {
        let mut given = headers.get_all(CONTENT_ENCODING).iter();
        match (given.next().map(http::HeaderValue::as_bytes), given.next()) {
            (None | Some(b"identity"), None) => Ok(Coding::Plain),
            (Some(b"gzip"), None) => Ok(Coding::Gzip),
            _ => Err(Problem::new(
                problems::UNSUPPORTED_MEDIA_TYPE,
                "Content-Encoding: gzip or none is taken",
            )),
        }
    }

    /// The plain bytes of a body, at most so many. `copies`: how often they are in memory at once.
    async fn read(
        self,
        bodies: &Bodies,
        request: Request,
        limit: usize,
        copies: usize,
    ) -> Result<(Bytes, Room), Problem> {
        match self {
            Coding::Plain => Ok(bodies.read(request, limit, copies).await?),
            Coding::Gzip => gzip(bodies, request, limit, copies).await,
        }
    }
}

/// What a gzip body of at most so many bytes unpacks to, of at most as many.
async fn gzip(
    bodies: &Bodies,
    request: Request,
    limit: usize,
    copies: usize,
) -> Result<(Bytes, Room), Problem> {
    // Small ones, which is most of them, need no room to come in, and then only the room for what they unpack to. A larger one takes
    // both at once: who holds room does not wait for more.
    let length = request.body().size_hint().upper();
    let length = length.map_or(limit, |length| usize::try_from(length).unwrap_or(limit));
    let length = length.min(limit);
    let (sent, mut room) = if length <= bodies::SMALL {
        bodies.read(request, limit, 1).await?
    } else {
        let all = 1 + copies * limit.div_ceil(length);
        bodies.read(request, limit, all).await?
    };
    let trial = unpacked(sent.clone(), limit.min(bodies::SMALL)).await;
    let text = match trial {
        Err(problem)
            if problem.status == StatusCode::PAYLOAD_TOO_LARGE && limit > bodies::SMALL =>
        {
            if length <= bodies::SMALL {
                let most = limit.saturating_mul(copies);
                room = bodies.room(most).await.map_err(BodyError::from)?;
            }
            unpacked(sent, limit).await?
        }
        other => other?,
    };
    room.shrink(text.len().saturating_mul(copies));
    Ok((text, room))
}

async fn unpacked(sent: Bytes, limit: usize) -> Result<Bytes, Problem> {
    apart(sent.len(), move || unpack(&sent, limit)).await?
}

/// The plain bytes of a gzip body, of at most so many bytes.
fn unpack(sent: &Bytes, limit: usize) -> Result<Bytes, Problem> {
    let mut plain = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(sent.as_ref()).take(limit as u64 + 1);
    reader
        .read_to_end(&mut plain)
        .map_err(|error| Problem::new(MALFORMED_BODY, format!("the body is no gzip: {error}")))?;
    if plain.len() > limit {
        return Err(Problem::new(
            TOO_LARGE,
            format!("the body unpacks to more than {limit} bytes, which is the most that is taken"),
        ));
    }
    Ok(plain.into())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentSeen {
    exchanges: u64,
    first_seen: Option<String>,
    last_seen: Option<String>,
    #[serde(default)]
    operations: Vec<SentOperation>,
    #[serde(default)]
    callers: Vec<SentCaller>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentOperation {
    method: String,
    path: String,
    calls: u64,
    first_seen: Option<String>,
    last_seen: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentCaller {
    kind: String,
    name: String,
    calls: u64,
    last_seen: Option<String>,
}

async fn seen(
    State(app): State<Arc<App>>,
    Credential { collector, .. }: Credential,
    Path(host): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let sent: SentSeen = json(&app, request, MAX_SEEN).await?;
    let time = |text: Option<String>| text.as_deref().and_then(Millis::parse);
    let seen = Seen {
        exchanges: sent.exchanges,
        first: time(sent.first_seen),
        last: time(sent.last_seen),
        operations: sent
            .operations
            .into_iter()
            .map(|operation| SeenOperation {
                method: operation.method,
                path: operation.path,
                calls: operation.calls,
                first: time(operation.first_seen),
                last: time(operation.last_seen),
            })
            .collect(),
        // Kinds that a newer collector knows are left out: nothing here could show them.
        callers: sent
            .callers
            .into_iter()
            .filter_map(|caller| {
                Some(SeenCaller {
                    kind: CallerKind::parse(&caller.kind)?,
                    name: caller.name,
                    calls: caller.calls,
                    last: time(caller.last_seen),
                })
            })
            .collect(),
    };
    match report_seen(
        &app.store,
        &collector.organisation,
        &collector.source,
        &collector.id,
        &host,
        seen,
    )
    .await
    {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(refusal @ Refusal::NotFound { .. }) => {
            Err(Problem::new(problems::HOST_UNKNOWN, refusal.to_string()))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// A JSON body of at most so many bytes, plain or gzip. Members that are not known are left out: a newer collector may send them.
async fn json<T: serde::de::DeserializeOwned>(
    app: &App,
    request: Request,
    limit: usize,
) -> Result<T, Problem> {
    if !is_json(&request) {
        return Err(unsupported(&request, "application/json"));
    }
    let coding = Coding::of(request.headers())?;
    // What is read from it takes about as much again.
    let (bytes, _room) = coding.read(&app.bodies, request, limit, 2).await?;
    read_json(&bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_unpacks_to_more_than_is_taken_is_not_unpacked() {
        let pack = |size: usize| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(&vec![b'a'; size]).unwrap();
            Bytes::from(packer.finish().unwrap())
        };
        assert_eq!(unpack(&pack(1000), 1000).unwrap().len(), 1000);
        assert_eq!(unpack(&pack(1001), 1000).unwrap_err().status, 413);
        assert_eq!(unpack(&pack(50_000_000), 1000).unwrap_err().status, 413);
        assert_eq!(
            unpack(&Bytes::from_static(b"{}"), 1000).unwrap_err().status,
            400
        );
        assert_eq!(
            unpack(&pack(1000).slice(..12), 1000).unwrap_err().status,
            400
        );
    }
}
