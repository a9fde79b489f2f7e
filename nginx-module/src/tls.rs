//! TLS towards the collector: from PEM files to a rustls configuration.
//!
//! In: paths of files, read once while nginx reads its configuration (as the user it starts as, so that keys need not
//! be readable by workers). Out: a client configuration that speaks HTTP/2, or an error that names the file. It never
//! turns verification off.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ClientConfig;
use rustls::{RootCertStore, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a TLS setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {path}: {source}; give a PEM file with {what}", path = path.display())]
    File {
        path: PathBuf,
        what: &'static str,
        source: rustls_pki_types::pem::Error,
    },
    #[error("{path} holds no certificate; give a PEM file with one or more `BEGIN CERTIFICATE` blocks", path = path.display())]
    Empty { path: PathBuf },
    #[error("{path} holds a certificate that cannot be used as an authority: {source}", path = path.display())]
    Authority {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("certificate {certificate} and key {key} cannot be used together: {source}", certificate = certificate.display(), key = key.display())]
    Identity {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("no certificate authorities were found on this system{0}; set silhouette_tls_ca")]
    NoSystemAuthorities(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What to trust and whom to be: `ca` a PEM file (`None`: the system's authorities), `identity` certificate chain and key.
pub(crate) fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_root_certificates(match ca {
            Some(path) => authorities(path)?,
            None => system_authorities()?,
        });
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File {
                path: key.to_owned(),
                what: "one private key",
                source,
            })?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|source| TlsError::Identity {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                    source,
                })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File {
        path: path.to_owned(),
        what: "certificates",
        source,
    };
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if list.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(list)
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        return Err(TlsError::NoSystemAuthorities(why));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let missing = client_config(Some(Path::new("/does/not/exist.pem")), None)
            .unwrap_err()
            .to_string();
        assert!(missing.contains("/does/not/exist.pem"), "{missing}");
        let text = file("hello");
        let empty = client_config(Some(text.path()), None)
            .unwrap_err()
            .to_string();
        assert!(
            empty.contains("BEGIN CERTIFICATE") && empty.contains(text.path().to_str().unwrap()),
            "{empty}"
        );
    }

    #[test]
    fn an_identity_is_a_certificate_and_its_own_key() {
        let one = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["b.example".to_owned()]).unwrap();
        let certificate = file(&one.cert.pem());
        let key = file(&one.signing_key.serialize_pem());
        let wrong = file(&other.signing_key.serialize_pem());
        let config = client_config(
            Some(certificate.path()),
            Some((certificate.path(), key.path())),
        )
        .unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec()]);
        let error = client_config(
            Some(certificate.path()),
            Some((certificate.path(), wrong.path())),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains(wrong.path().to_str().unwrap()),
            "{error}"
        );
    }
}
