//! Fetching a document from a URL.
//!
//! In: a URL that a person typed and the rules. Out: the bytes, and the URL they came from in the end. Names are resolved once, every
//! address is checked, and the connection goes to an address that was checked, so that a name that changes its mind leads
//! nowhere else; redirects are followed by hand and checked like the first URL. TLS certificates are verified. The media type
//! is not looked at: servers say all sorts of things of YAML.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::LOCATION;
use tokio::time::Instant;
use url::{Host, Url};

use super::address::refused;
use crate::Refusal;
use crate::bodies::{self, Bodies, Room};

/// What may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchRules {
    /// The largest document, in bytes.
    pub max_bytes: u64,
    /// For everything together, redirects included.
    pub timeout: Duration,
    /// Whether addresses inside of networks are allowed: private, loopback, link-local. Metadata services never are.
    pub private_addresses: bool,
    /// Redirects that are followed.
    pub redirects: usize,
}

impl Default for FetchRules {
    fn default() -> FetchRules {
        FetchRules {
            max_bytes: crate::inventory::DEFAULT_MAX_BYTES,
            timeout: Duration::from_secs(10),
            private_addresses: false,
            redirects: 5,
        }
    }
}

/// What came.
#[derive(Debug)]
pub struct Fetched {
    /// Where it came from, after redirects.
    pub url: Url,
    /// The document.
    pub text: Bytes,
    /// The memory it takes.
    pub room: Option<Room>,
}

/// Fetches a document.
///
/// # Errors
/// [`Refusal::Invalid`] on `url`, saying which hop failed and why; [`Refusal::TooLarge`]; [`Refusal::Busy`].
pub async fn fetch(url: &str, rules: &FetchRules, bodies: &Bodies) -> Result<Fetched, Refusal> {
    let mut deadline = Instant::now() + rules.timeout;
    let late = || {
        let seconds = rules.timeout.as_secs();
        wrong(format!("{} did not deliver within {seconds} s", shown(url)))
    };
    let found = tokio::time::timeout_at(deadline, follow(url, rules)).await;
    let (url, mut response) = found.map_err(|_| late())??;
    let too_large = |size: u64| Refusal::TooLarge {
        what: "the document",
        size,
        limit: rules.max_bytes,
    };
    let length = response.content_length();
    if let Some(size) = length.filter(|size| *size > rules.max_bytes) {
        return Err(too_large(size));
    }
    let mut text = BytesMut::new();
    let mut room = None;
    loop {
        let chunk = tokio::time::timeout_at(deadline, response.chunk()).await;
        let chunk = chunk
            .map_err(|_| late())?
            .map_err(|error| wrong(format!("{}: {}", shown(url.as_str()), why(&error))))?;
        let Some(chunk) = chunk else { break };
        let size = text.len() + chunk.len();
        if size as u64 > rules.max_bytes {
            return Err(too_large(size as u64));
        }
        if size > bodies::SMALL && room.is_none() {
            let most = usize::try_from(length.unwrap_or(rules.max_bytes)).unwrap_or(usize::MAX);
            let asked = Instant::now();
            room = Some(bodies.room(most).await?);
            // That we wait is not the server's fault.
            deadline += asked.elapsed();
        }
        text.extend_from_slice(&chunk);
    }
    if let Some(room) = &mut room {
        room.shrink(text.len());
    }
    Ok(Fetched {
        url,
        text: text.freeze(),
        room,
    })
}

fn wrong(message: String) -> Refusal {
    Refusal::invalid("url", message)
}

/// Without what may be a password, and not too long.
fn shown(url: &str) -> String {
    let cut = match Url::parse(url) {
        Ok(mut url) => {
            let _ = url.set_password(None);
            let _ = url.set_username("");
            url.set_query(None);
            url.to_string()
        }
        Err(_) => url.to_owned(),
    };
    format!("`{}`", cut.chars().take(200).collect::<String>())
}

/// The first answer that is no redirect, and where it came from.
async fn follow(url: &str, rules: &FetchRules) -> Result<(Url, Response), Refusal> {
    let mut url = Url::parse(url.trim()).map_err(|_| {
        wrong(format!(
            "{} is no absolute URL; one looks like https://api.example.com/openapi.json",
            shown(url)
        ))
    })?;
    let mut left = rules.redirects;
    loop {
        let addresses = check(&url, rules).await?;
        let response = client(&url, &addresses)?
            .get(url.clone())
            .header("accept", "application/json, application/yaml, */*;q=0.5")
            .send()
            .await
            .map_err(|error| wrong(format!("{}: {}", shown(url.as_str()), why(&error))))?;
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let Some(next) = next else {
                return Err(wrong(format!(
                    "{} answers {status} without saying where to go",
                    shown(url.as_str())
                )));
            };
            if left == 0 {
                return Err(wrong(format!(
                    "{} leads to more than {} redirects",
                    shown(url.as_str()),
                    rules.redirects
                )));
            }
            if url.scheme() == "https" && next.scheme() == "http" {
                return Err(wrong(format!(
                    "{} redirects from https to {}; give the URL that is meant",
                    shown(url.as_str()),
                    shown(next.as_str())
                )));
            }
            left -= 1;
            url = next;
            continue;
        }
        if !status.is_success() {
            return Err(wrong(format!("{} answers {status}", shown(url.as_str()))));
        }
        return Ok((url, response));
    }
}

/// The addresses of a URL's host, all of them allowed.
async fn check(url: &Url, rules: &FetchRules) -> Result<Vec<SocketAddr>, Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!(
            "{} is neither http nor https",
            shown(url.as_str())
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it has a user name or password; documents are fetched without credentials".to_owned(),
        ));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(wrong(format!("{} has no host", shown(url.as_str()))));
    };
    let addresses: Vec<SocketAddr> = match host {
        Host::Ipv4(address) => vec![SocketAddr::new(IpAddr::V4(address), port)],
        Host::Ipv6(address) => vec![SocketAddr::new(IpAddr::V6(address), port)],
        Host::Domain(name) => tokio::net::lookup_host((name, port))
            .await
            .map_err(|error| wrong(format!("the host {name} cannot be resolved: {error}")))?
            .collect(),
    };
    if addresses.is_empty() {
        return Err(wrong(format!("the host {host} has no address")));
    }
    for address in &addresses {
        if let Some(reason) = refused(address.ip(), rules.private_addresses) {
            return Err(wrong(format!("the host {host} {}", reason.text())));
        }
    }
    Ok(addresses)
}

/// A client that connects to these addresses and no others.
fn client(url: &Url, addresses: &[SocketAddr]) -> Result<reqwest::Client, Refusal> {
    // Whoever comes first installs it; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("silhouette-catalog/", env!("CARGO_PKG_VERSION")))
        .resolve_to_addrs(url.host_str().unwrap_or_default(), addresses)
        .build()
        .map_err(|error| Refusal::Internal(format!("a client for fetching: {error}")))
}

/// What went wrong at the bottom of it.
fn why(error: &reqwest::Error) -> String {
    let mut at: &dyn std::error::Error = error;
    while let Some(below) = at.source() {
        at = below;
    }
    at.to_string().chars().take(200).collect()
}
