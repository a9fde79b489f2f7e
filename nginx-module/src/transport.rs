//! One gRPC stream to the collector: TCP, TLS, HTTP/2 and `TelemetryService/Stream`, and why it failed in words an
//! operator can act on.
//!
//! In: a link's settings and batches that are encoded already. Out: acknowledgements, or a [`Failure`]. Every wait has a
//! deadline; pings notice a peer that stopped. The token is sent and never shown.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use rustls_pki_types::ServerName;
use silhouette_proto::telemetry::v1::ExportResponse;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use crate::link::LinkConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the connection to the first answer of the collector.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A collector that is stopped or unplugged is noticed after these two together.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Acknowledgements are some bytes each.
const LARGEST_ANSWER: usize = 1 << 20;

/// Why there is no stream (any more).
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Connection(String),
    #[error("{text}")]
    Refused { text: String, code: Code },
    #[error("the collector closed the stream")]
    Closed,
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl Failure {
    /// The collector looked at a batch and will never take it, however often it is sent.
    pub(crate) fn is_about_a_batch(&self) -> bool {
        matches!(
            self,
            Failure::Refused {
                code: Code::InvalidArgument | Code::OutOfRange,
                ..
            }
        )
    }
}

/// An open stream.
pub(crate) struct Stream {
    /// Encoded `ExportRequest`s go in; there is room for as many as may be unacknowledged.
    pub(crate) batches: mpsc::Sender<Bytes>,
    answers: Streaming<ExportResponse>,
    tls: bool,
}

impl Stream {
    /// Connects and opens the stream; `window` batches may be in flight.
    pub(crate) async fn open(link: &LinkConfig, window: usize) -> Result<Stream, Failure> {
        let tls = link.collector.tls();
        let channel = connect(link).await?;
        let (batches, outgoing) = mpsc::channel(window);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        if let Some(token) = &link.token {
            let mut value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Failure::Connection("the token cannot be sent in a header".to_owned())
            })?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        let mut client =
            tonic::client::Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
        let path = PathAndQuery::from_static("/silhouette.telemetry.v1.TelemetryService/Stream");
        let open = async {
            client
                .ready()
                .await
                .map_err(|error| Failure::Connection(explain(&error, tls)))?;
            client
                .streaming(request, path, Encoded)
                .await
                .map_err(|status| refusal(&status, tls))
        };
        let answers = tokio::time::timeout(OPEN_TIMEOUT, open)
            .await
            .map_err(|_| Failure::Timeout(OPEN_TIMEOUT))??;
        Ok(Stream {
            batches,
            answers: answers.into_inner(),
            tls,
        })
    }

    /// The next acknowledgement. Dropping the future loses nothing.
    pub(crate) async fn answer(&mut self) -> Result<ExportResponse, Failure> {
        match self.answers.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Failure::Closed),
            Err(status) => Err(refusal(&status, self.tls)),
        }
    }
}

async fn connect(link: &LinkConfig) -> Result<Channel, Failure> {
    let tls = link.collector.tls();
    let url = link.collector.to_string();
    let endpoint = Endpoint::from_shared(url)
        .map_err(|error| Failure::Connection(explain(&error, tls)))?
        .user_agent(concat!("silhouette-nginx/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Failure::Connection(explain(&error, tls)))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let (host, port) = (
        link.collector.host().trim_matches(['[', ']']).to_owned(),
        link.collector.port(),
    );
    let config = link.tls.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (host, config) = (host.clone(), config.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            let Some(config) = config else {
                return Ok(TokioIo::new(Box::new(tcp) as Box<dyn Io>));
            };
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let tls = TlsConnector::from(config).connect(name, tcp).await?;
            Ok::<_, io::Error>(TokioIo::new(Box::new(tls) as Box<dyn Io>))
        }
    });
    // The deadline of the endpoint does not cover the TLS handshake of a custom connector on every path; this one does.
    tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect_with_connector(connector))
        .await
        .map_err(|_| Failure::Timeout(CONNECT_TIMEOUT))?
        .map_err(|error| Failure::Connection(explain(&error, tls)))
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

fn refusal(status: &Status, tls: bool) -> Failure {
    let said = status.message();
    let text = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            format!("the collector refuses the token ({said}): check silhouette_token")
        }
        Code::Unimplemented => format!("that server is no Silhouette collector ({said})"),
        _ if Error::source(status).is_some() => return Failure::Connection(explain(status, tls)),
        code => format!("the collector answers {code:?}: {said}"),
    };
    Failure::Refused {
        text,
        code: status.code(),
    }
}

/// The cause at the bottom of an error, in words that say what to change.
fn explain(error: &(dyn Error + 'static), tls: bool) -> String {
    let mut deepest = error;
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(at) = cause {
        deepest = at;
        if let Some(known) = known(at) {
            return known;
        }
        cause = match at.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => at.source(),
        };
    }
    let deepest = deepest.to_string();
    // TLS 1.3 tells after the handshake what is wrong with a client's certificate; then HTTP/2 keeps only the text.
    if deepest.contains("received fatal alert") {
        return format!(
            "TLS: {deepest}: check silhouette_tls_certificate and silhouette_tls_certificate_key"
        );
    }
    if tls || deepest.contains("imeout") || deepest.contains("timed out") {
        return deepest;
    }
    format!(
        "no HTTP/2 answer ({deepest}): if that is a TLS port, say https:// in silhouette_collector"
    )
}

fn known(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(explain_tls(error));
    }
    let error = error.downcast_ref::<io::Error>()?;
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(format!("{error}: is the collector running there?")),
        io::ErrorKind::UnexpectedEof if error.to_string().contains("handshake") => {
            Some("the port closed the connection during the TLS handshake: if it is plain HTTP, say http:// in silhouette_collector".to_owned())
        }
        // "failed to lookup address information: Name or service not known"
        _ if error.to_string().contains("lookup") => Some(error.to_string()),
        _ if error.get_ref().is_none() && error.raw_os_error().is_some_and(|code| code != 104 && code != 32) => {
            Some(error.to_string())
        }
        _ => None,
    }
}

fn explain_tls(error: &rustls::Error) -> String {
    let advice = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "it is signed by none of the authorities in silhouette_tls_ca"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the collector's certificate has expired: renew it"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the collector's certificate is not valid yet: check the clocks"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "use the name that is in the certificate in silhouette_collector"
            }
            _ => "check the collector's certificate",
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not speak TLS: say http:// in silhouette_collector"
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => {
            "the collector wants a client certificate: set silhouette_tls_certificate and silhouette_tls_certificate_key"
        }
        rustls::Error::AlertReceived(_) => {
            "the collector did not accept this side: check silhouette_tls_certificate"
        }
        _ => return format!("TLS: {error}"),
    };
    format!("TLS: {error}: {advice}")
}

/// Batches leave as the bytes they are; answers are decoded.
#[derive(Clone, Copy, Default)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ExportResponse;
    type Encoder = Encoded;
    type Decoder = Encoded;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Encoded {
        Encoded
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(item.len());
        out.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ExportResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<ExportResponse>, Status> {
        let whole = from.copy_to_bytes(from.remaining());
        ExportResponse::decode(whole)
            .map(Some)
            .map_err(|error| Status::internal(format!("an answer is not readable: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_found_below_their_wrappers() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        let text = explain(&wrapped, true);
        assert!(text.contains("silhouette_tls_ca"), "{text}");
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(explain(&refused, false).contains("running"));
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(explain_tls(&plain).contains("http://"));
    }

    #[test]
    fn a_refused_token_is_told_apart_from_a_refused_batch() {
        let token = refusal(&Status::unauthenticated("unknown token"), false);
        assert!(token.to_string().contains("silhouette_token") && !token.is_about_a_batch());
        assert!(refusal(&Status::invalid_argument("sequence 0"), false).is_about_a_batch());
        assert!(!refusal(&Status::unavailable("starting"), false).is_about_a_batch());
    }
}
