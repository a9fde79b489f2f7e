//! What every request is answered with: the store, who may come in, the settings.
//!
//! In: a [`Config`] and an open [`Store`]. Out: one [`App`], shared by the REST API, the pages and the collectors' protocol.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;

use crate::Refusal;
use crate::access::Door;
use crate::access::door::Lifetimes;
use crate::bodies::Bodies;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::Store;

/// The service's world. Handlers take it as `State<Arc<App>>`.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub store: Store,
    /// Who may come in.
    pub door: Door,
    /// The settings.
    pub config: Config,
    /// How it is reached: `https://catalog.example.com`, without a slash at the end.
    pub public_url: String,
    /// What is counted.
    pub metrics: Metrics,
    /// The memory for large bodies.
    pub bodies: Bodies,
}

impl App {
    /// `bound`: where it listens.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when passwords cannot be hashed here.
    pub fn new(config: Config, store: Store, bound: SocketAddr) -> Result<Arc<App>, Refusal> {
        let public_url = match &config.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => {
                let scheme = if config.tls.is_some() {
                    "https"
                } else {
                    "http"
                };
                let reached = if bound.ip().is_unspecified() {
                    SocketAddr::new([127, 0, 0, 1].into(), bound.port())
                } else {
                    bound
                };
                format!("{scheme}://{reached}")
            }
        };
        let door = Door::new(Lifetimes {
            idle: config.session_idle,
            absolute: config.session_lifetime,
        })?;
        let metrics = Metrics::default();
        let bodies = Bodies::new(config.body_memory, metrics.bodies.clone());
        Ok(Arc::new(App {
            store,
            door,
            config,
            public_url,
            metrics,
            bodies,
        }))
    }

    /// Whether browsers reach it over TLS: then cookies are for TLS alone.
    #[must_use]
    pub fn over_tls(&self) -> bool {
        self.public_url.starts_with("https:")
    }

    /// Whose request it is: the peer's address, or behind trusted proxies the last one that none of them is
    /// (`X-Forwarded-For`, read from the right: what stands left of it anybody may have written).
    #[must_use]
    pub fn address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        client(peer, headers, &self.config.trusted_proxies)
    }
}

fn client(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let mut address = peer.ip().to_canonical();
    let told: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in told.into_iter().rev() {
        if !proxies.contains(&address) {
            break;
        }
        let Ok(hop) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        address = hop.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let check = |peer: &str, told: &[&str], expected: &str| {
            let mut headers = HeaderMap::new();
            for value in told {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let proxies = ["10.0.0.1", "10.0.0.2"].map(|proxy| proxy.parse().unwrap());
            let peer = SocketAddr::new(peer.parse().unwrap(), 1);
            assert_eq!(
                client(peer, &headers, &proxies).to_string(),
                expected,
                "{told:?}"
            );
        };
        check("203.0.113.7", &["198.51.100.1"], "203.0.113.7");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        // What stands left of the last stranger may be made up.
        check(
            "10.0.0.1",
            &["1.2.3.4, 198.51.100.1, 10.0.0.2"],
            "198.51.100.1",
        );
        check(
            "::ffff:10.0.0.1",
            &["1.2.3.4", "198.51.100.1"],
            "198.51.100.1",
        );
        check("10.0.0.1", &["not an address"], "10.0.0.1");
    }
}
