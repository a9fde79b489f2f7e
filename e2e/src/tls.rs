//! Certificates for loopback: an authority and what it signs, good and expired.
//!
//! In: names. Out: PEM files in a directory that lives as long as the authority, and rustls configurations. The keys are
//! made anew for each test and never leave its directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// A certificate authority of one's own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_file: PathBuf,
    dir: TempDir,
}

/// Paths of a certificate (chain) and its key, PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority.
    pub fn new() -> Result<Authority> {
        let dir = tempfile::Builder::new()
            .prefix("silhouette-tls-")
            .tempdir()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        // Another authority has another name, as in life: with the same one a stranger's signature would look broken, not strange.
        let name = format!(
            "Test authority {:02x?}",
            key.public_key_raw().get(1..5).unwrap_or_default()
        );
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key)?;
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, certificate.pem())?;
        Ok(Authority {
            issuer: Issuer::new(params, key),
            ca_file,
            dir,
        })
    }

    /// Its own certificate, PEM: what clients trust.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// A server certificate for `localhost` and `127.0.0.1`.
    pub fn server(&self) -> Result<Identity> {
        self.sign("server", ExtendedKeyUsagePurpose::ServerAuth, false)
    }

    /// A server certificate for another name alone.
    pub fn server_named(&self, name: &str) -> Result<Identity> {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        self.sign_for(vec![name.to_owned()], name, usage, false)
    }

    /// A server certificate for the same names that ran out in 2021.
    pub fn expired_server(&self) -> Result<Identity> {
        self.sign("expired-server", ExtendedKeyUsagePurpose::ServerAuth, true)
    }

    /// A client certificate.
    pub fn client(&self, name: &str) -> Result<Identity> {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth, false)
    }

    /// A client certificate that ran out in 2021.
    pub fn expired_client(&self, name: &str) -> Result<Identity> {
        self.sign(name, ExtendedKeyUsagePurpose::ClientAuth, true)
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose, expired: bool) -> Result<Identity> {
        let loopback = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign_for(loopback, name, usage, expired)
    }

    fn sign_for(
        &self,
        names: Vec<String>,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        expired: bool,
    ) -> Result<Identity> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.dir.path().join(format!("{name}.pem")),
            key: self.dir.path().join(format!("{name}.key")),
        };
        std::fs::write(&identity.certificate, certificate.pem())?;
        std::fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}

impl Identity {
    /// A rustls server configuration with this identity, ALPN h2 and http/1.1, no client certificates asked for.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>> {
        let chain =
            CertificateDer::pem_file_iter(&self.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("certificate and key belong together")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A rustls client configuration that trusts only `ca_file`, ALPN h2.
pub fn client_config(ca_file: &Path) -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
