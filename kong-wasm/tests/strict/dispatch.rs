//! The host's HTTP client for calls of the filter: HTTP/1.1, a connection for each call.
//!
//! In: what `proxy_http_call` was given. Out: status, headers and body of the answer, or why there is none. Never retries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exchange::Pair;

/// A call that is to be made.
#[derive(Debug)]
pub struct Call {
    pub id: u32,
    pub instance: usize,
    pub root: u32,
    host: String,
    port: u16,
    tls: bool,
    method: String,
    path: String,
    authority: String,
    headers: Vec<Pair>,
    body: Vec<u8>,
    timeout: Duration,
}

/// What came back. Empty in all its parts for a call that failed.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub headers: Vec<Pair>,
    pub body: Vec<u8>,
}

impl Call {
    /// Reads what the filter has given; `caller` is the number of the instance and of the root context.
    ///
    /// # Errors
    /// When the host would refuse it.
    pub fn new(
        id: u32,
        (instance, root): (usize, u32),
        upstream: &str,
        headers: Option<Vec<Pair>>,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Call> {
        let headers = headers.context("marshalling error")?;
        let pseudo = |name: &str| {
            let found = headers.iter().find(|(n, _)| n == name.as_bytes());
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let method = pseudo(":method").context("no :method")?;
        let path = pseudo(":path").context("no :path")?;
        ensure!(
            !method.is_empty() && !path.is_empty(),
            "no :method or :path"
        );
        let tls = match pseudo(":scheme").as_deref() {
            None | Some("http") => false,
            Some("https") => true,
            Some(scheme) => bail!("unknown scheme \"{scheme}\""),
        };
        let (host, port) = match upstream.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => (host, port.parse().context("invalid port")?),
            _ => (upstream, if tls { 443 } else { 80 }),
        };
        ensure!(
            !host.is_empty() && !host.contains(['/', ' ']),
            "invalid host \"{upstream}\""
        );
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let authority = pseudo(":authority").unwrap_or_else(|| upstream.to_owned());
        let headers = headers.into_iter().filter(|(name, _)| {
            !name.starts_with(b":")
                && !name.eq_ignore_ascii_case(b"host")
                && !name.eq_ignore_ascii_case(b"connection")
        });
        Ok(Call {
            id,
            instance,
            root,
            host,
            port,
            tls,
            method,
            path,
            authority,
            headers: headers.collect(),
            body,
            timeout,
        })
    }

    /// What it carries.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Makes the call; `trusted` is what `nginx_wasm_tls_trusted_certificate` names.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn perform(&self, trusted: Option<&PathBuf>) -> Result<Answer> {
        let address = (self.host.as_str(), self.port);
        let socket = timeout(self.timeout, TcpStream::connect(address))
            .await
            .context("tcp socket - timed out connecting")?
            .with_context(|| format!("tcp socket - {}:{}", self.host, self.port))?;
        match self.tls {
            false => self.exchange(socket).await,
            true => {
                let connector = connector(trusted)?;
                let name = ServerName::try_from(self.host.clone())?;
                let stream = timeout(self.timeout, connector.connect(name, socket))
                    .await
                    .context("tls timed out")?
                    .context("tls handshake failed")?;
                self.exchange(stream).await
            }
        }
    }

    async fn exchange<S>(&self, socket: S) -> Result<Answer>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        let connection = tokio::task::spawn_local(connection);
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(self.path.as_str())
            .header("host", self.authority.as_str())
            .header("connection", "close");
        for (name, value) in &self.headers {
            request = request.header(name.as_slice(), value.as_slice());
        }
        let request = request.body(Full::new(Bytes::from(self.body.clone())))?;
        let response = timeout(self.timeout, sender.send_request(request))
            .await
            .context("tcp socket - timed out reading")??;
        let (head, mut incoming) = response.into_parts();
        let mut headers = vec![(b":status".to_vec(), head.status.as_str().into())];
        headers.extend(
            head.headers
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())),
        );
        let mut body = Vec::new();
        while let Some(frame) = timeout(self.timeout, incoming.frame())
            .await
            .context("tcp socket - timed out reading")?
        {
            if let Some(data) = frame?.data_ref() {
                body.extend_from_slice(data);
            }
        }
        connection.abort();
        Ok(Answer { headers, body })
    }
}

fn connector(trusted: Option<&PathBuf>) -> Result<tokio_rustls::TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    let trusted = trusted.context("no trusted certificates are configured")?;
    for certificate in CertificateDer::pem_file_iter(trusted)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}
