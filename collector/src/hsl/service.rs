//! HSL as a part of the service: what it is told by settings, its sockets, its upkeep, and how it stands.
//!
//! In: validated [`Settings`]. Out: listeners for BIG-IPs that run until the service ends, and a [`Standing`] for people.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use silhouette_serving::listen::Listener;
use silhouette_serving::tls::{Tls, TlsError, TlsFiles};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::exchange::Redaction;
use super::gaps::Gaps;
use super::keys::{KeyError, KeysInForce};
use super::listener::Hsl;
use super::refused::Refused;

/// Where BIG-IPs send to; none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Plain TCP, on a private address.
    pub plain: Option<SocketAddr>,
    /// TLS with client certificates.
    pub tls: Option<(SocketAddr, TlsFiles)>,
    /// UDP, on a private address.
    pub udp: Option<SocketAddr>,
    /// What is redacted before anything is kept.
    pub redaction: Redaction,
}

impl Settings {
    /// Whether there is no listener at all.
    pub fn is_empty(&self) -> bool {
        self.plain.is_none() && self.tls.is_none() && self.udp.is_none()
    }
}

/// Whether what is sent there unencrypted stays within the machine or a private network: loopback, RFC 1918, RFC 4193, RFC 6598 and
/// link-local addresses, and never all addresses of a machine at once.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || (a == 100 && b & 0xC0 == 64)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Why HSL cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("cannot listen on {address} (setting `{setting}`): {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Its setting.
        setting: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Sockets that are bound, and keys that are read.
#[derive(Debug)]
pub struct Bound {
    plain: Option<TcpListener>,
    tls: Option<(TcpListener, Arc<Tls>)>,
    udp: Option<UdpSocket>,
    addresses: Vec<(&'static str, SocketAddr)>,
    keys: Arc<KeysInForce>,
}

impl Bound {
    /// Does everything that can fail. `None` when nothing is to listen.
    ///
    /// # Errors
    /// A port cannot be had, or a file cannot be read.
    pub async fn new(settings: &Settings, data_dir: &Path) -> Result<Option<Bound>, StartError> {
        if settings.is_empty() {
            return Ok(None);
        }
        let mut bound = Bound {
            plain: None,
            tls: None,
            udp: None,
            addresses: Vec::new(),
            keys: Arc::new(KeysInForce::open(data_dir)?),
        };
        if let Some(address) = settings.plain {
            let socket = TcpListener::bind(address).await;
            let socket = socket.map_err(refused(address, "hsl_listen"))?;
            bound.add("hsl", address, "hsl_listen", socket.local_addr())?;
            bound.plain = Some(socket);
        }
        if let Some((address, files)) = &settings.tls {
            let tls = Arc::new(Tls::new(files.clone())?);
            let socket = TcpListener::bind(address).await;
            let socket = socket.map_err(refused(*address, "hsl_tls_listen"))?;
            bound.add("hsl_tls", *address, "hsl_tls_listen", socket.local_addr())?;
            bound.tls = Some((socket, tls));
        }
        if let Some(address) = settings.udp {
            let socket = UdpSocket::bind(address).await;
            let socket = socket.map_err(refused(address, "hsl_udp_listen"))?;
            bound.add("hsl_udp", address, "hsl_udp_listen", socket.local_addr())?;
            bound.udp = Some(socket);
        }
        Ok(Some(bound))
    }

    fn add(
        &mut self,
        name: &'static str,
        wanted: SocketAddr,
        setting: &'static str,
        had: std::io::Result<SocketAddr>,
    ) -> Result<(), StartError> {
        let address = had.map_err(refused(wanted, setting))?;
        self.addresses.push((name, address));
        Ok(())
    }

    /// Who may send.
    pub fn keys(&self) -> Arc<KeysInForce> {
        self.keys.clone()
    }

    /// Ready to run. `listener` makes a listener of a socket.
    pub fn receiving(
        self,
        hsl: Arc<Hsl>,
        listener: impl Fn(&'static str, TcpListener, Option<Arc<Tls>>) -> Listener,
    ) -> Receiving {
        let plain = self.plain.map(|socket| listener("hsl", socket, None));
        let tls = self.tls;
        let tls = tls.map(|(socket, tls)| listener("hsl_tls", socket, Some(tls)));
        Receiving {
            hsl,
            listeners: plain.into_iter().chain(tls).collect(),
            udp: self.udp,
        }
    }
}

/// Listeners that wait to be run.
#[derive(Debug)]
pub struct Receiving {
    hsl: Arc<Hsl>,
    listeners: Vec<Listener>,
    udp: Option<UdpSocket>,
}

impl Receiving {
    /// Takes records until the service ends.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            let (name, hsl) = (listener.name, self.hsl.clone());
            tasks.spawn(listener.streams(move |bytes, peer| {
                let hsl = hsl.clone();
                async move { hsl.stream(name, bytes, peer).await }
            }));
        }
        if let Some(socket) = self.udp {
            let hsl = self.hsl.clone();
            tasks.spawn(async move { hsl.datagrams("hsl_udp", socket).await });
        }
        while tasks.join_next().await.is_some() {}
    }
}

fn refused(
    address: SocketAddr,
    setting: &'static str,
) -> impl FnOnce(std::io::Error) -> StartError {
    move |source| StartError::Bind {
        address,
        setting,
        source,
    }
}

/// How HSL stands, and its upkeep.
#[derive(Debug)]
pub struct Standing {
    /// `hsl`, `hsl_tls` and `hsl_udp`, those there are.
    pub addresses: Vec<(&'static str, SocketAddr)>,
    /// Who may send.
    pub keys: Arc<KeysInForce>,
    /// What came and what is missing.
    pub gaps: Arc<Gaps>,
    /// What was refused.
    pub refused: Arc<Refused>,
    tls: Option<Arc<Tls>>,
}

impl Standing {
    /// Of listeners that are bound.
    pub fn new(bound: &Bound, gaps: Arc<Gaps>, refused: Arc<Refused>) -> Standing {
        if bound.keys.ring().is_empty() {
            tracing::warn!(
                "every record of a BIG-IP will be refused, since there is no key to check it with; \
                 `silhouette-collector hsl-key create --name NAME` creates one"
            );
        }
        Standing {
            addresses: bound.addresses.clone(),
            keys: bound.keys(),
            gaps,
            refused,
            tls: bound.tls.as_ref().map(|(_, tls)| tls.clone()),
        }
    }

    /// Follows files and counts what is missing, for ever.
    pub async fn upkeep(&self) {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        loop {
            tick.tick().await;
            self.gaps.sweep(crate::unix_millis());
            match self.keys.reload() {
                Ok(true) => tracing::info!("the HSL keys have changed"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the HSL keys cannot be read again; those known stay in force");
                }
            }
            match self.tls.as_ref().map(|tls| tls.reload()) {
                Some(Ok(true)) => tracing::info!("the certificate for HSL has been read again"),
                Some(Err(error)) => {
                    tracing::error!(%error, "the certificate for HSL cannot be read again; the old one stays in force");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ports_are_for_private_addresses() {
        for (address, private) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.127.255.255", true),
            ("100.128.0.1", false),
            ("8.8.8.8", false),
            ("0.0.0.0", false),
            ("::", false),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
        ] {
            assert_eq!(is_private(address.parse().unwrap()), private, "{address}");
        }
    }
}
