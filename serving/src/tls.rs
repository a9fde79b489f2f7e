//! TLS of the listeners, by rustls.
//!
//! In: PEM files. Out: a server configuration for TLS 1.2 and 1.3 that offers HTTP/2 and HTTP/1.1 and, with authorities of
//! client certificates, refuses who has none. Renewed certificates are taken up without a restart. Never logs a key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Where the TLS material is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Authorities of client certificates; `Some` makes a client certificate compulsory.
    pub client_ca: Option<ClientCa>,
}

/// Authorities of client certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCa {
    /// PEM.
    pub path: PathBuf,
    /// The setting that names it, for errors.
    pub setting: &'static str,
}

/// Why TLS cannot be had with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as what it should be.
    #[error("{path} (setting `{setting}`) has no usable {what}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The setting that names it.
        setting: &'static str,
        /// What was looked for.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The files do not fit together.
    #[error("the certificate {cert} and the key {key} do not work together: {source}")]
    Pair {
        /// The certificate chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No client can be configured.
    #[error("TLS cannot be set up: {0}")]
    Client(rustls::Error),
}

/// The configuration in force, and where it came from.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<(Arc<ServerConfig>, Vec<Option<SystemTime>>)>,
}

impl Tls {
    /// Reads the files.
    pub fn new(files: TlsFiles) -> Result<Tls, TlsError> {
        let stamps = stamps(&files);
        let config = Arc::new(load(&files)?);
        Ok(Tls {
            files,
            current: RwLock::new((config, stamps)),
        })
    }

    /// What a new connection is to use.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Reads the files again if one has changed; `true` if so. On an error the old ones stay in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let now = stamps(&self.files);
        let unchanged = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            current.1 == now
        };
        if unchanged {
            return Ok(false);
        }
        let loaded = load(&self.files);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // An error is reported once per change, not once per look.
        current.1 = now;
        current.0 = Arc::new(loaded?);
        Ok(true)
    }
}

/// For calls to another collector: trusts the authorities in a PEM file, or else the system's.
pub fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            roots.add_parsable_certificates(certificates(path, "--tls-ca")?);
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Client)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn stamps(files: &TlsFiles) -> Vec<Option<SystemTime>> {
    [
        Some(&files.cert),
        Some(&files.key),
        files.client_ca.as_ref().map(|ca| &ca.path),
    ]
    .into_iter()
    .flatten()
    .map(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok())
    .collect()
}

fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.cert, "tls_cert")?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::File {
        path: files.key.clone(),
        setting: "tls_key",
        what: "private key in PEM form",
        reason: error.to_string(),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pair = |source| TlsError::Pair {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(ClientCa { path, setting }) => {
            let unusable = |reason: String| TlsError::File {
                path: path.clone(),
                setting,
                what: "authority certificate",
                reason,
            };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, setting)? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(
    path: &Path,
    setting: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |reason: String| TlsError::File {
        path: path.to_owned(),
        setting,
        what: "certificate in PEM form",
        reason,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(error.to_string()))?;
    if found.is_empty() {
        return Err(unusable("there is none in it".into()));
    }
    Ok(found)
}

/// The counted reason for a failed handshake.
pub fn refusal(error: &std::io::Error) -> &'static str {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => "client_certificate_missing",
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. },
        )) => "client_certificate_expired",
        Some(rustls::Error::InvalidCertificate(_)) => "client_certificate_invalid",
        // The client has looked at our certificate and hung up: wrong authority, wrong name, expired.
        Some(rustls::Error::AlertReceived(_)) => "certificate_refused_by_client",
        Some(_) => "tls_protocol",
        None => "tls_aborted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn files_are_checked_and_followed() {
        let dir = tempfile::tempdir().unwrap();
        let pair = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
            (
                write(dir.path(), &format!("{name}.pem"), &made.cert.pem()),
                write(
                    dir.path(),
                    &format!("{name}.key"),
                    &made.signing_key.serialize_pem(),
                ),
            )
        };
        let (cert, key) = pair("one");
        let (other_cert, other_key) = pair("two");
        let files = |cert: &Path, key: &Path, ca: Option<&Path>| TlsFiles {
            cert: cert.to_owned(),
            key: key.to_owned(),
            client_ca: ca.map(|path| ClientCa {
                path: path.to_owned(),
                setting: "tls_client_ca",
            }),
        };
        let error = |cert: &Path, key: &Path, ca: Option<&Path>| {
            Tls::new(files(cert, key, ca)).unwrap_err().to_string()
        };
        assert!(error(&cert, &other_key, None).contains("do not work together"));
        assert!(error(&key, &key, None).contains("`tls_cert`"));
        assert!(error(&cert, &cert, None).contains("`tls_key`"));
        assert!(error(&dir.path().join("none"), &key, None).contains("none"));
        assert!(error(&cert, &key, Some(&key)).contains("`tls_client_ca`"));

        let tls = Tls::new(files(&cert, &key, Some(&cert))).unwrap();
        assert!(!tls.reload().unwrap());
        let before = tls.current();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        for (from, to) in [(&other_cert, &cert), (&other_key, &key)] {
            fs::copy(from, to).unwrap();
            fs::File::options()
                .write(true)
                .open(to)
                .unwrap()
                .set_modified(later)
                .unwrap();
        }
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&before, &tls.current()));
        fs::write(&cert, "garbage").unwrap();
        assert!(tls.reload().is_err());
        assert!(!tls.reload().unwrap(), "said once");
        tls.current();
    }
}
