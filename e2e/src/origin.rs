//! An origin that answers oddly on demand: what gateways meet, in one small server.
//!
//! In: HTTP/1.1 (and HTTP/2 by prior knowledge) on a free loopback port. Out: what the path asks for. Stateless, apart
//! from a count of the requests it has seen. Beside it, on addresses of their own: a server that hangs up, and a gRPC service.
//!
//! | path | answer |
//! |---|---|
//! | `/json?size=N` | a JSON object of about N bytes (64 by default) |
//! | `/bytes/N` | N bytes, `application/octet-stream`, with Content-Length |
//! | `/chunked/N` | N bytes in chunks of 1,000, no Content-Length |
//! | `/gzip` | JSON, gzip by the origin |
//! | `/echo` | the request as JSON: method, path, query, headers, size and text of its body |
//! | `/status/N` | that status, JSON body where one is allowed |
//! | `/empty` | 200 without a byte |
//! | `/etag` | JSON with an ETag; 304 to `If-None-Match: "v1"` |
//! | `/range` | 1,000 bytes; 206 to a `Range` |
//! | `/redirect` | 302 to `/json` |
//! | `/cookies` | two `Set-Cookie` lines |
//! | `/sse` | server-sent events, one every 50 ms, without end |
//! | `/sse/N` | N of them, then the end |
//! | `/slow/MS` | JSON after MS milliseconds |
//! | `/drip/MS` | ten JSON lines, MS milliseconds apart |
//! | `/reset` | half a body, then the connection breaks; with `?json` one that says it is JSON |
//! | `/upload` | reads the body; `{"bytes": N}` |
//! | `/ws` | WebSocket echo |
//! | `/xaccel` | `X-Accel-Redirect: /internal/file` |
//! | `/auth` | 204 with `Authorization: Bearer good`, else 401 |
//! | `/many-headers` | fifty response headers |
//! | `/odd-headers` | a response header that is no text |
//! | `/trailers` | JSON in chunks; the trailer `x-checksum: abc` to `TE: trailers` |

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::body::{Body, to_bytes};
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::Recording;

/// The running origin.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    hangup: SocketAddr,
    grpc: Recording,
    requests: Arc<AtomicU64>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Origin {
    /// Starts it on a free loopback port.
    pub fn start() -> Result<Origin> {
        let requests = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let hanging_up = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let hangup = hanging_up.local_addr()?;
        runtime.spawn(hang_up(hanging_up));
        let app = router(requests.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Ok(Origin {
            address,
            hangup,
            grpc: Recording::start()?,
            requests,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` + path, for `proxy_pass` or a direct look.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A second address that reads a request and hangs up without a word.
    pub fn hangup(&self) -> SocketAddr {
        self.hangup
    }

    /// A third address, where the gRPC service `silhouette.telemetry.v1.TelemetryService` is served over HTTP/2: for a gateway,
    /// an API like any other.
    pub fn grpc(&self) -> &Recording {
        &self.grpc
    }

    /// Requests that reached it so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn hang_up(listener: TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let _ = socket.read(&mut [0; 16 * 1024]).await;
        });
    }
}

fn router(requests: Arc<AtomicU64>) -> Router {
    let count = axum::middleware::from_fn(move |request: Request, next: axum::middleware::Next| {
        requests.fetch_add(1, Ordering::Relaxed);
        next.run(request)
    });
    Router::new()
        .route("/json", any(json_of_size))
        .route(
            "/bytes/{n}",
            any(|Path(n): Path<usize>| async move { octets(Body::from(letters(n))) }),
        )
        .route("/chunked/{n}", any(chunked))
        .route("/gzip", any(gzip))
        .route("/echo", any(echo))
        .route("/echo/{*rest}", any(echo))
        .route("/status/{n}", any(status))
        .route("/empty", any(|| async { StatusCode::OK }))
        .route("/etag", any(etag))
        .route("/range", any(range))
        .route(
            "/redirect",
            any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/json")]) }),
        )
        .route("/cookies", any(cookies))
        .route("/sse", get(|| async { events(u64::MAX) }))
        .route(
            "/sse/{n}",
            get(|Path(n): Path<u64>| async move { events(n) }),
        )
        .route("/slow/{ms}", any(slow))
        .route("/drip/{ms}", any(drip))
        .route("/reset", any(reset))
        .route("/upload", any(upload))
        .route(
            "/ws",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(websocket) }),
        )
        .route(
            "/xaccel",
            any(|| async { [("x-accel-redirect", "/internal/file")] }),
        )
        .route("/auth", any(auth))
        .route("/many-headers", any(many_headers))
        .route("/odd-headers", any(odd_headers))
        .route("/trailers", any(trailers))
        .layer(count)
        .with_state(())
}

fn letters(n: usize) -> Vec<u8> {
    b"abcdefghijklmnopqrstuvwxyz"
        .iter()
        .copied()
        .cycle()
        .take(n)
        .collect()
}

fn octets(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

#[derive(Deserialize)]
struct Size {
    size: Option<usize>,
}

async fn json_of_size(Query(size): Query<Size>) -> Response {
    // {"id":1,"name":"","pad":"…"}
    let pad = size.size.unwrap_or(64).saturating_sub(32);
    let pad = String::from_utf8(letters(pad)).unwrap_or_default();
    Json(json!({ "id": 1, "name": "odd", "pad": pad })).into_response()
}

async fn chunked(Path(n): Path<usize>) -> Response {
    let chunks: Vec<Result<Bytes, Infallible>> = letters(n)
        .chunks(1000)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    octets(Body::from_stream(tokio_stream::iter(chunks)))
}

async fn gzip() -> Response {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let text =
        json!({ "compressed": true, "by": "origin", "numbers": (0..200).collect::<Vec<u32>>() })
            .to_string();
    let body = encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CONTENT_ENCODING, "gzip"),
        ],
        body,
    )
        .into_response()
}

async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 30).await.unwrap_or_default();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    Json(json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers,
        "size": body.len(),
        "body": String::from_utf8_lossy(body.get(..body.len().min(4096)).unwrap_or_default()),
    }))
    .into_response()
}

async fn status(Path(n): Path<u16>) -> Response {
    let status = StatusCode::from_u16(n).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match n {
        204 | 304 => status.into_response(),
        _ => (status, Json(json!({ "status": n }))).into_response(),
    }
}

async fn etag(headers: HeaderMap) -> Response {
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| value == "\"v1\"")
    {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, "\"v1\"")]).into_response();
    }
    ([(header::ETAG, "\"v1\"")], Json(json!({ "version": 1 }))).into_response()
}

async fn range(headers: HeaderMap) -> Response {
    let all = letters(1000);
    let asked = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let bounds = asked.and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) =
        bounds.and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)))
    else {
        return octets(Body::from(all));
    };
    match all.get(first..=last) {
        Some(part) => {
            let content_range = format!("bytes {first}-{last}/1000");
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (header::CONTENT_RANGE, content_range),
            ];
            (StatusCode::PARTIAL_CONTENT, headers, part.to_vec()).into_response()
        }
        None => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            [(header::CONTENT_RANGE, "bytes */1000")],
        )
            .into_response(),
    }
}

async fn cookies() -> Response {
    let mut response = Json(json!({ "cookies": 2 })).into_response();
    for value in ["session=abc123; HttpOnly", "theme=dark"] {
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_static(value));
    }
    response
}

fn events(count: u64) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        for n in 0..count {
            let event = format!("id: {n}\nevent: tick\ndata: {{\"n\":{n}}}\n\n");
            if sender.send(Ok(event.into())).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

async fn slow(Path(ms): Path<u64>) -> Response {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Json(json!({ "waited": ms })).into_response()
}

async fn drip(Path(ms): Path<u64>) -> Response {
    let lines = tokio_stream::iter(0..10).then(move |n| async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok::<_, Infallible>(Bytes::from(format!("{{\"line\":{n}}}\n")))
    });
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response()
}

/// These bytes, then an error: hyper breaks the connection.
fn broken(first: Vec<u8>) -> Response {
    let parts: Vec<Result<Bytes, std::io::Error>> = vec![
        Ok(first.into()),
        Err(std::io::Error::other("broken on purpose")),
    ];
    octets(Body::from_stream(tokio_stream::iter(parts).then(
        |part| async {
            // Lets the first part reach the wire before the connection breaks.
            tokio::time::sleep(Duration::from_millis(20)).await;
            part
        },
    )))
}

async fn reset(RawQuery(query): RawQuery) -> Response {
    let mut response = broken(letters(500));
    if query.is_some_and(|query| query == "json") {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from_static("1000"));
    response
}

async fn upload(request: Request) -> Response {
    let mut bytes = 0u64;
    let mut body = request.into_body().into_data_stream();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => bytes += chunk.len() as u64,
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
    }
    Json(json!({ "bytes": bytes })).into_response()
}

async fn websocket(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn auth(headers: HeaderMap, State(()): State<()>) -> StatusCode {
    match headers.get(header::AUTHORIZATION) {
        Some(value) if value == "Bearer good" => StatusCode::NO_CONTENT,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn many_headers() -> Response {
    let mut response = Json(json!({ "headers": 50 })).into_response();
    for n in 0..50 {
        if let Ok(name) = header::HeaderName::try_from(format!("x-extra-{n}")) {
            response.headers_mut().append(name, HeaderValue::from(n));
        }
    }
    response
}

async fn odd_headers() -> Response {
    let mut response = Json(json!({ "odd": true })).into_response();
    if let Ok(value) = HeaderValue::from_bytes(b"na\xefve \xff") {
        response.headers_mut().insert("x-odd", value);
    }
    response
}

async fn trailers() -> Response {
    // Without a size, so that hyper sends it in chunks: only those have trailers.
    let parts = ["{\"trailers\":", "true}"].map(|part| Ok::<_, Infallible>(Bytes::from(part)));
    let body = Body::from_stream(tokio_stream::iter(parts));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::TRAILER, "x-checksum"),
    ];
    (headers, Body::new(body)).into_response()
}
