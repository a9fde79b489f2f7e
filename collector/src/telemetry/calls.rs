//! The calls themselves: paths, authentication, the unary and the streaming call over raw bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use prost::Message;
use silhouette_proto::telemetry::v1::ExportResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming,
};
use tonic::server::{ClientStreamingService, Grpc, StreamingService};
use tonic::{Code, Status};

use super::{BoxFuture, Caller, Pending, RETRY_AFTER_MS, Telemetry};
use crate::tokens::Scope;

const EXPORT: &str = "/silhouette.telemetry.v1.TelemetryService/Export";
const STREAM: &str = "/silhouette.telemetry.v1.TelemetryService/Stream";

/// Batches of one stream on their way to the disk.
const IN_FLIGHT: usize = 64;

/// The service of one connection, beneath gRPC-Web's translation.
#[derive(Debug, Clone)]
pub struct Calls {
    telemetry: Arc<Telemetry>,
    peer: SocketAddr,
}

impl Calls {
    /// For the connection from `peer`.
    pub fn new(telemetry: Arc<Telemetry>, peer: SocketAddr) -> Calls {
        Calls { telemetry, peer }
    }
}

impl tower::Service<Request<Body>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (telemetry, peer) = (self.telemetry.clone(), self.peer);
        Box::pin(async move { Ok(serve(telemetry, peer, request).await) })
    }
}

async fn serve(
    telemetry: Arc<Telemetry>,
    peer: SocketAddr,
    request: Request<Body>,
) -> Response<Body> {
    let authorization = request.headers().get(AUTHORIZATION);
    let admitted = telemetry.gate.admit(
        Scope::Telemetry,
        authorization.map(HeaderValue::as_bytes),
        crate::unix_millis() / 1000,
    );
    let token = match admitted {
        Ok(token) => token,
        Err(denied) => {
            telemetry
                .refusals
                .count("telemetry", denied.reason(), peer, &denied);
            return Status::unauthenticated(denied.to_string()).into_http();
        }
    };
    let caller = Caller {
        address: peer,
        token,
    };
    let mut grpc = Grpc::new(Batches)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(telemetry.max_message);
    match request.uri().path() {
        // One message each way is on the wire what unary is; as a stream, a message that is refused can be counted.
        EXPORT => {
            grpc.client_streaming(Export { telemetry, caller }, request)
                .await
        }
        STREAM => grpc.streaming(Stream { telemetry, caller }, request).await,
        path => {
            let known = "there are Export and Stream of silhouette.telemetry.v1.TelemetryService";
            let path: String = path.chars().take(100).collect();
            Status::unimplemented(format!("no call {path:?} here: {known}")).into_http()
        }
    }
}

struct Export {
    telemetry: Arc<Telemetry>,
    caller: Caller,
}

impl ClientStreamingService<Bytes> for Export {
    type Response = ExportResponse;
    type Future = BoxFuture<Result<tonic::Response<ExportResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let (telemetry, caller) = (self.telemetry.clone(), self.caller.clone());
        Box::pin(async move {
            let mut messages = request.into_inner();
            // To its end: a call that is answered before it is reset, and HTTP/2 bears about a thousand resets of a connection.
            let whole = async {
                let message = messages.message().await?;
                Ok((message, messages.message().await?))
            };
            // Not for ever: whoever sends its message a byte a minute holds a connection and a buffer.
            let (message, more) = tokio::time::timeout(super::PATIENCE * 6, whole)
                .await
                .map_err(|_| Status::deadline_exceeded("the call took longer than a minute"))?
                .map_err(|status| telemetry.undecodable(status, &caller))?;
            let batch = message.ok_or_else(|| Status::invalid_argument("there is no message"))?;
            if more.is_some() {
                return Err(Status::invalid_argument("there is more than one message"));
            }
            let room = telemetry.room_soon(batch.len()).await?;
            let (_, pending) = telemetry.submit(batch, room, &caller)?;
            telemetry.answer(pending).await.map(tonic::Response::new)
        })
    }
}

struct Stream {
    telemetry: Arc<Telemetry>,
    caller: Caller,
}

impl StreamingService<Bytes> for Stream {
    type Response = ExportResponse;
    type ResponseStream = ReceiverStream<Result<ExportResponse, Status>>;
    type Future = BoxFuture<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let (telemetry, caller) = (self.telemetry.clone(), self.caller.clone());
        let (responses, stream) = mpsc::channel(4);
        let (pending, on_their_way) = mpsc::channel(IN_FLIGHT);
        tokio::spawn(read(
            telemetry.clone(),
            caller,
            request.into_inner(),
            pending,
        ));
        tokio::spawn(acknowledge(telemetry, on_their_way, responses));
        Box::pin(async move { Ok(tonic::Response::new(ReceiverStream::new(stream))) })
    }
}

/// Reads a stream until it ends, fails, or the service ends. What was read is on its way to the disk, in order.
async fn read(
    telemetry: Arc<Telemetry>,
    caller: Caller,
    mut messages: Streaming<Bytes>,
    pending: mpsc::Sender<Result<Pending, Status>>,
) {
    let mut ending = telemetry.ending.clone();
    let mut instance = None;
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            _ = ending.wait_for(|ending| *ending) => break,
            // A batch could not be kept: what follows it must not be acknowledged.
            () = pending.closed() => break,
        };
        let next = match message {
            Ok(Some(batch)) => match telemetry.room(batch.len()).await {
                Ok(room) => telemetry.submit(batch, room, &caller),
                Err(status) => Err(status),
            },
            Ok(None) => break,
            Err(status) => Err(telemetry.undecodable(status, &caller)),
        };
        let next = next.map(|(envelope, next)| {
            if instance != Some(envelope.instance) {
                if let Some(before) = instance.replace(envelope.instance) {
                    telemetry.shims.stream(&before, -1);
                }
                telemetry.shims.stream(&envelope.instance, 1);
            }
            next
        });
        let failed = next.is_err();
        if pending.send(next).await.is_err() || failed {
            break;
        }
    }
    if let Some(instance) = instance {
        telemetry.shims.stream(&instance, -1);
    }
}

/// Answers in the order of the stream. After the first batch that was not kept nothing more is acknowledged, because an
/// acknowledgement stands for everything before it too.
async fn acknowledge(
    telemetry: Arc<Telemetry>,
    mut on_their_way: mpsc::Receiver<Result<Pending, Status>>,
    responses: mpsc::Sender<Result<ExportResponse, Status>>,
) {
    let mut acknowledged_sequence = 0;
    while let Some(next) = on_their_way.recv().await {
        let answer = match next {
            Ok(pending) => telemetry.answer(pending).await,
            Err(status) => Err(status),
        };
        match answer {
            Ok(response) => {
                acknowledged_sequence = response.acknowledged_sequence;
                if responses.send(Ok(response)).await.is_err() {
                    return;
                }
            }
            Err(status) => {
                if status.code() == Code::Unavailable {
                    let wait = ExportResponse {
                        acknowledged_sequence,
                        rejected: Vec::new(),
                        retry_after_ms: RETRY_AFTER_MS,
                    };
                    let _ = responses.send(Ok(wait)).await;
                }
                let _ = responses.send(Err(status)).await;
                return;
            }
        }
    }
}

/// What the port answers to somebody who looks at it with a browser or curl, or speaks to it in something else.
pub fn greeting(method: &Method, path: &str) -> Response<Body> {
    let (status, text) = if method == Method::GET || method == Method::HEAD {
        let status = if path == "/" {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        (
            status,
            "This is the telemetry port of a Silhouette collector. Capture shims send here, by gRPC and gRPC-Web.\n\
             Documents, health, metrics and a live page are on the admin listener, by default http://127.0.0.1:4321/\n",
        )
    } else {
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "This port takes application/grpc and application/grpc-web+proto only: \
             silhouette.telemetry.v1.TelemetryService.\n",
        )
    };
    let mut response = Response::new(Body::new(http_body_util::Full::new(Bytes::from_static(
        text.as_bytes(),
    ))));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The codec: batches stay bytes.
#[derive(Debug, Clone, Copy)]
struct Batches;

impl Codec for Batches {
    type Encode = ExportResponse;
    type Decode = Bytes;
    type Encoder = Batches;
    type Decoder = Batches;

    fn encoder(&mut self) -> Batches {
        Batches
    }

    fn decoder(&mut self) -> Batches {
        Batches
    }
}

impl Encoder for Batches {
    type Item = ExportResponse;
    type Error = Status;

    fn encode(&mut self, item: ExportResponse, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(item.encoded_len());
        item.encode(out)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(256, 1024)
    }
}

impl Decoder for Batches {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
