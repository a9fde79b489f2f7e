//! The catalog as the collector calls it: one method per call of the protocol.
//!
//! In: where the catalog is, and what to say. Out: what it answers, as types, or a [`CallError`] that says in words what
//! happened and what would be right. Everything is bounded: connecting, each wait and the whole of a call in time, answers in bytes.
//! Redirects are not followed: a credential goes to the address it was made for. Never logs a credential.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};
use reqwest::{Method, Url};
use serde::{Serialize, de::DeserializeOwned};
use silhouette_serving::tls;

use super::backoff::retry_after;
use super::contract::hex;
use super::outbox::Entry;
use super::protocol::{Heartbeat, NewCredential, Problem, Pulse, Register, Registered, timestamp};
use super::registration::Registration;
use crate::described::encoded;

/// For a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two parts of an answer, and before the first.
const SILENCE: Duration = Duration::from_secs(30);
/// For a call as a whole: a large document over a slow line.
const WHOLE: Duration = Duration::from_secs(300);
/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// Why a call did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is none.
    #[error(
        "`{url}` is no address of a catalog: {why}; want one such as https://catalog.example.org"
    )]
    Address {
        /// What was given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The credential would go over the network in the clear.
    #[error(
        "{url} is plain HTTP to another machine: whoever is in between could read the credential; use https://, or say --insecure-http"
    )]
    PlainHttp {
        /// What was given.
        url: String,
    },
    /// No client can be made.
    #[error("cannot set up a connection to {url}: {why}")]
    Client {
        /// Where to.
        url: String,
        /// Why.
        why: String,
    },
    /// Nobody answers.
    #[error("cannot reach the catalog at {url}: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened, and what it may be.
        why: String,
    },
    /// Somebody else answers.
    #[error(
        "what answers at {url} is no Silhouette catalog: {what}; the address is the one people open it at, with its path if it has one"
    )]
    NoCatalog {
        /// Where.
        url: String,
        /// What came.
        what: String,
    },
    /// The catalog says no.
    #[error("{}", refusal(*status, problem))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Why.
        problem: Box<Problem>,
        /// Milliseconds it wants to be left alone for.
        retry_after: Option<u64>,
    },
}

impl CallError {
    /// The label of metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            CallError::Address { .. } | CallError::PlainHttp { .. } | CallError::Client { .. } => {
                "client"
            }
            CallError::Unreachable { .. } => "unreachable",
            CallError::NoCatalog { .. } => "no_catalog",
            CallError::Refused { status, .. } => match status {
                401 | 403 => "credential",
                409 => "sequence",
                413 => "too_large",
                422 => "no_document",
                429 => "too_many",
                500.. => "catalog_error",
                _ => "refused",
            },
        }
    }
}

fn refusal(status: u16, problem: &Problem) -> String {
    match problem.words() {
        words if words.is_empty() => format!("the catalog answers {status}"),
        words => format!("the catalog answers {status}: {words}"),
    }
}

/// How a catalog is reached.
#[derive(Debug, Clone)]
pub struct Catalog {
    http: reqwest::Client,
    base: Url,
}

/// What a revision became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is a new one.
    New,
    /// It was there, or nothing in it is new.
    Known,
}

/// An answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// What is said, and how it is labelled.
#[derive(Default)]
struct Said {
    body: Bytes,
    headers: Vec<(HeaderName, String)>,
}

impl Catalog {
    /// Checks an address and prepares calls to it; contacts nobody.
    pub fn new(
        url: &str,
        tls_ca: Option<&Path>,
        insecure_http: bool,
    ) -> Result<Catalog, CallError> {
        let base = address(url, insecure_http)?;
        let failed = |why: String| CallError::Client {
            url: base.to_string(),
            why,
        };
        let tls = tls::client(tls_ca).map_err(|error| failed(error.to_string()))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .user_agent(concat!("silhouette-collector/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(WHOLE)
            .pool_max_idle_per_host(2);
        // A proxy of the environment is for other machines.
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| failed(causes(&error)))?;
        Ok(Catalog { http, base })
    }

    /// That of a registration.
    pub fn of(registration: &Registration) -> Result<Catalog, CallError> {
        Catalog::new(
            &registration.catalog,
            registration.tls_ca.as_deref(),
            registration.insecure_http,
        )
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Exchanges a registration token for a credential.
    pub async fn register(
        &self,
        token: &str,
        register: &Register<'_>,
    ) -> Result<Registered, CallError> {
        let said = Said::json(register);
        let answer = self
            .call(Method::POST, "registrations", token, said)
            .await?;
        self.read(&answer)
    }

    /// Says that the collector is alive.
    pub async fn heartbeat(&self, bearer: &str, beat: &Heartbeat) -> Result<Pulse, CallError> {
        let said = Said::json(beat);
        let answer = self.call(Method::POST, "heartbeats", bearer, said).await?;
        self.read(&answer)
    }

    /// Sends a revision, gzip'ed.
    pub async fn revision(
        &self,
        bearer: &str,
        host: &str,
        entry: &Entry,
        gzip: Vec<u8>,
    ) -> Result<Taken, CallError> {
        let said = Said {
            body: gzip.into(),
            headers: vec![
                (CONTENT_TYPE, "application/json".into()),
                (CONTENT_ENCODING, "gzip".into()),
                (
                    HeaderName::from_static("silhouette-contract"),
                    hex(&entry.contract),
                ),
                (
                    HeaderName::from_static("silhouette-emitted"),
                    timestamp(entry.emitted),
                ),
            ],
        };
        let path = format!("hosts/{}/revisions/{}", segment(host), entry.sequence);
        let answer = self.call(Method::PUT, &path, bearer, said).await?;
        Ok(match answer.status {
            201 => Taken::New,
            _ => Taken::Known,
        })
    }

    /// Sends what was called of a host, gzip'ed JSON.
    pub async fn seen(&self, bearer: &str, host: &str, gzip: Bytes) -> Result<(), CallError> {
        let said = Said {
            body: gzip,
            headers: vec![
                (CONTENT_TYPE, "application/json".into()),
                (CONTENT_ENCODING, "gzip".into()),
            ],
        };
        let path = format!("hosts/{}/seen", segment(host));
        self.call(Method::PUT, &path, bearer, said).await?;
        Ok(())
    }

    /// Asks for a new credential.
    pub async fn rotate(&self, bearer: &str) -> Result<NewCredential, CallError> {
        let answer = self
            .call(Method::POST, "credential", bearer, Said::default())
            .await?;
        self.read(&answer)
    }

    /// Takes leave.
    pub async fn leave(&self, bearer: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, "registration", bearer, Said::default())
            .await?;
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        said: Said,
    ) -> Result<Answer, CallError> {
        let wrong = |why: &str| CallError::Client {
            url: self.base.to_string(),
            why: why.to_owned(),
        };
        let url = self
            .base
            .join(&format!("collector/v1/{path}"))
            .map_err(|error| wrong(&error.to_string()))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {bearer}"))
            .map_err(|_| wrong("the token has characters that no header may have"))?;
        authorization.set_sensitive(true);
        let mut request = self
            .http
            .request(method, url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json, application/problem+json");
        for (name, value) in said.headers {
            request = request.header(name, value);
        }
        let response = request.body(said.body).send().await;
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let header = |name| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (kind, location) = (header(CONTENT_TYPE), header(LOCATION));
        let retry_after = retry_after(&header(RETRY_AFTER), crate::unix_millis());
        let mut body = Vec::new();
        while body.len() <= ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
        if (200..300).contains(&status) {
            return Ok(Answer { status, body });
        }
        let problem = kind
            .starts_with("application/problem+json")
            .then(|| serde_json::from_slice::<Problem>(&body).ok())
            .flatten();
        match problem {
            Some(problem) => Err(CallError::Refused {
                status,
                problem: Box::new(problem),
                retry_after,
            }),
            // A proxy before the catalog says so when the catalog is away.
            None if status >= 500 || status == 429 || status == 408 => Err(CallError::Refused {
                status,
                problem: Box::default(),
                retry_after,
            }),
            None => {
                let what = match (status, kind.as_str()) {
                    (300..400, _) if !location.is_empty() => {
                        format!("it answers {status} and points to {}", shown(&location))
                    }
                    (_, "") => format!("it answers {status}"),
                    (_, kind) => format!("it answers {status} with {}", shown(kind)),
                };
                Err(self.no_catalog(what))
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, CallError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            self.no_catalog(format!(
                "it answers {}, but not as a catalog would ({error})",
                answer.status
            ))
        })
    }

    fn no_catalog(&self, what: String) -> CallError {
        CallError::NoCatalog {
            url: self.base.to_string(),
            what,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CallError {
        let said = causes(error);
        let lower = said.to_ascii_lowercase();
        let hint = if error.is_timeout() {
            ""
        } else if lower.contains("unknownissuer") || lower.contains("unknown issuer") {
            "; if its certificate comes from an authority of your own, name that with --tls-ca"
        } else if lower.contains("certificate") {
            "; its certificate is not for this address, or not valid"
        } else if lower.contains("invalidcontenttype") || lower.contains("corrupt message") {
            "; it does not speak TLS there: http:// may be meant"
        } else if lower.contains("refused") {
            "; nothing listens there: is silhouette-catalog running, and the port right?"
        } else {
            ""
        };
        let timeout = if error.is_timeout() {
            "no answer in time: "
        } else {
            ""
        };
        CallError::Unreachable {
            url: self.base.to_string(),
            why: format!("{timeout}{said}{hint}"),
        }
    }
}

impl Said {
    fn json(value: &impl Serialize) -> Said {
        Said {
            // Plain structs into memory: there is nothing that could fail.
            body: serde_json::to_vec(value).unwrap_or_default().into(),
            headers: vec![(CONTENT_TYPE, "application/json".into())],
        }
    }
}

/// A base address, with a slash at its end.
fn address(url: &str, insecure_http: bool) -> Result<Url, CallError> {
    let wrong = |why: &str| CallError::Address {
        url: url.to_owned(),
        why: why.to_owned(),
    };
    let mut base = Url::parse(url.trim()).map_err(|error| wrong(&error.to_string()))?;
    match base.scheme() {
        "https" => {}
        "http" if insecure_http || is_loopback(&base) => {}
        "http" => {
            return Err(CallError::PlainHttp {
                url: url.to_owned(),
            });
        }
        _ => return Err(wrong("it begins with neither https:// nor http://")),
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(wrong("it has a user or a password in it"));
    }
    if base.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    base.set_query(None);
    base.set_fragment(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_matches(['[', ']']);
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A host as one segment of a path. `[::1]:8080` has characters that a path must not have.
fn segment(host: &str) -> String {
    encoded(host)
}

/// An error and its causes, without what repeats.
fn causes(error: &dyn std::error::Error) -> String {
    let mut said = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if said.last() != Some(&text) {
            said.push(text);
        }
        next = cause.source();
    }
    match said.is_empty() {
        true => error.to_string(),
        false => said.join(": "),
    }
}

/// What a stranger sent, for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anybody_is_contacted() {
        for (url, want) in [
            ("https://catalog.example", "https://catalog.example/"),
            (
                "https://catalog.example/apis/",
                "https://catalog.example/apis/",
            ),
            (
                "https://catalog.example/apis?x#y",
                "https://catalog.example/apis/",
            ),
            ("http://127.0.0.1:4330", "http://127.0.0.1:4330/"),
            ("http://[::1]:4330", "http://[::1]:4330/"),
            ("http://localhost:4330", "http://localhost:4330/"),
        ] {
            assert_eq!(address(url, false).unwrap().as_str(), want);
        }
        for (url, want) in [
            ("http://catalog.example", "--insecure-http"),
            ("http://localhost.example", "--insecure-http"),
            ("catalog.example:443", "neither https://"),
            ("/x", "no address of a catalog"),
            ("https://a:b@catalog.example", "user or a password"),
            ("", "no address of a catalog"),
        ] {
            let error = address(url, false).unwrap_err().to_string();
            assert!(error.contains(want), "{url}: {error}");
        }
        address("http://catalog.example", true).unwrap();
    }

    #[test]
    fn hosts_are_one_segment() {
        assert_eq!(segment("a.example:8080"), "a.example:8080");
        assert_eq!(segment("[::1]:80/x"), "%5B::1%5D:80%2Fx");
    }
}
