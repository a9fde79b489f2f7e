//! Settings of the service: from a TOML file, the environment (`SILHOUETTE_CATALOG_*`) and flags, later ones winning, into one
//! validated [`Config`].
//!
//! In: [`Settings`] as written. Out: a [`Config`] that the service can run with, or an error that names the setting, the value and
//! what would be right. Never opens a socket, the database or the data directory; of the files it names it only reads the
//! configuration itself.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use silhouette_serving::quantity::{Size, Span};
use silhouette_serving::tls::TlsFiles;
use url::Url;

macro_rules! settings {
    ($($(#[doc = $help:literal])* $([$($extra:tt)*])? $name:ident: $type:ty, $variable:literal, $value:literal, $heading:literal;)*) => {
        /// Settings as an operator writes them. The same struct is the flags, the environment and the TOML file, so that a
        /// setting cannot exist in one and be missing in another. Absent means: not set here.
        #[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            $($(#[doc = $help])*
            #[arg(long, env = $variable, value_name = $value, help_heading = $heading $(, $($extra)*)?)]
            pub $name: Option<$type>,)*
        }

        impl Settings {
            /// What is set here, else what is set in `other`.
            #[must_use]
            pub fn or(self, other: Settings) -> Settings {
                Settings { $($name: self.$name.or(other.$name)),* }
            }
        }
    };
}

settings! {
    /// Where people, programs and collectors come in [default: 127.0.0.1:4330]
    listen: Socket, "SILHOUETTE_CATALOG_LISTEN", "ADDRESS:PORT", "Listener";
    /// How browsers and collectors reach it, such as https://catalog.example.com [default: the address it listens on]
    public_url: String, "SILHOUETTE_CATALOG_PUBLIC_URL", "URL", "Listener";
    /// Certificate chain (PEM); turns TLS on [default: none]
    tls_cert: PathBuf, "SILHOUETTE_CATALOG_TLS_CERT", "FILE", "Listener";
    /// Private key (PEM) of that certificate [default: none]
    tls_key: PathBuf, "SILHOUETTE_CATALOG_TLS_KEY", "FILE", "Listener";
    /// Addresses of proxies whose X-Forwarded-For is believed [default: none]
    [value_delimiter = ','] trusted_proxies: Vec<IpAddr>, "SILHOUETTE_CATALOG_TRUSTED_PROXIES", "ADDRESS,ADDRESS", "Listener";
    /// Connections open at once; more are closed at once and counted [default: 1024]
    max_connections: usize, "SILHOUETTE_CATALOG_MAX_CONNECTIONS", "COUNT", "Listener";
    /// How long a client may take for its TLS handshake and for the head of a request [default: 10s]
    header_timeout: Span, "SILHOUETTE_CATALOG_HEADER_TIMEOUT", "SPAN", "Listener";
    /// How long a client may take for a request's body, and the answer to it to be made [default: 2m]
    request_timeout: Span, "SILHOUETTE_CATALOG_REQUEST_TIMEOUT", "SPAN", "Listener";
    /// Who may read /metrics: `loopback` or `anyone` [default: loopback]
    metrics: Audience, "SILHOUETTE_CATALOG_METRICS", "AUDIENCE", "Listener";
    /// Where the database is kept, unless it is elsewhere [default: silhouette-catalog-data]
    data_dir: PathBuf, "SILHOUETTE_CATALOG_DATA_DIR", "DIRECTORY", "Storage";
    /// The database: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME [default: sqlite:DATA_DIR/catalog.db]
    database_url: String, "SILHOUETTE_CATALOG_DATABASE_URL", "URL", "Storage";
    /// Connections to the database [default: 4]
    database_connections: u32, "SILHOUETTE_CATALOG_DATABASE_CONNECTIONS", "COUNT", "Storage";
    /// How long every revision is kept; of older ones the last of each week stays; 0s is for ever [default: 90d]
    keep_revisions: Span, "SILHOUETTE_CATALOG_KEEP_REVISIONS", "SPAN", "Storage";
    /// Largest document taken from a collector or an upload, unpacked [default: 50m]
    max_document: Size, "SILHOUETTE_CATALOG_MAX_DOCUMENT", "SIZE", "Bounds";
    /// Memory for large bodies that are taken at once; who finds none waits, and is told to come again [default: 128m]
    body_memory: Size, "SILHOUETTE_CATALOG_BODY_MEMORY", "SIZE", "Bounds";
    /// Let documents be imported from private and local addresses [default: false]
    [num_args = 0..=1, default_missing_value = "true"] allow_private_imports: bool, "SILHOUETTE_CATALOG_ALLOW_PRIVATE_IMPORTS", "BOOL", "Bounds";
    /// How long a registration token can be used [default: 48h]
    token_lifetime: Span, "SILHOUETTE_CATALOG_TOKEN_LIFETIME", "SPAN", "Collectors";
    /// How often collectors are to report [default: 30s]
    heartbeat: Span, "SILHOUETTE_CATALOG_HEARTBEAT", "SPAN", "Collectors";
    /// Silence after which a collector counts as offline [default: 5m]
    offline_after: Span, "SILHOUETTE_CATALOG_OFFLINE_AFTER", "SPAN", "Collectors";
    /// How often sources sync by themselves [default: 24h]
    sync_every: Span, "SILHOUETTE_CATALOG_SYNC_EVERY", "SPAN", "Collectors";
    /// How often a collector's credential is replaced; 0s is never [default: 30d]
    rotate_every: Span, "SILHOUETTE_CATALOG_ROTATE_EVERY", "SPAN", "Collectors";
    /// How long a sign-in lasts without use [default: 12h]
    session_idle: Span, "SILHOUETTE_CATALOG_SESSION_IDLE", "SPAN", "People";
    /// How long a sign-in lasts at most [default: 7d]
    session_lifetime: Span, "SILHOUETTE_CATALOG_SESSION_LIFETIME", "SPAN", "People";
    /// First start: address of the owner that is made [default: owner@localhost]
    owner_email: String, "SILHOUETTE_CATALOG_OWNER_EMAIL", "ADDRESS", "People";
    /// First start: file with the owner's password; without one a password is made and printed [default: none]
    owner_password_file: PathBuf, "SILHOUETTE_CATALOG_OWNER_PASSWORD_FILE", "FILE", "People";
    /// First start: name of the organisation that is made [default: My organisation]
    organisation_name: String, "SILHOUETTE_CATALOG_ORGANISATION_NAME", "NAME", "People";
    /// What is logged to stderr: error, warn, info, debug or trace, or a filter like info,silhouette_catalog=debug [default: info]
    log: String, "SILHOUETTE_CATALOG_LOG", "FILTER", "Logging";
    /// How it is logged [default: text]
    log_format: LogFormat, "SILHOUETTE_CATALOG_LOG_FORMAT", "FORMAT", "Logging";
}

/// `ADDRESS:PORT`. Names are refused: a listener that moves with DNS surprises everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Socket(pub SocketAddr);

impl std::str::FromStr for Socket {
    type Err = String;

    fn from_str(text: &str) -> Result<Socket, String> {
        text.parse().map(Socket).map_err(|_| {
            format!("`{text}` is not ADDRESS:PORT: want something like 127.0.0.1:4330, 0.0.0.0:4330 or [::]:4330")
        })
    }
}

impl TryFrom<String> for Socket {
    type Error = String;

    fn try_from(text: String) -> Result<Socket, String> {
        text.parse()
    }
}

/// Who may look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Programs on the machine itself, not through a proxy.
    #[default]
    Loopback,
    /// Anyone who reaches the listener.
    Anyone,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Validated settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The listener.
    pub listen: SocketAddr,
    /// How it is reached, without a slash at the end; `None`: at the address it listens on.
    pub public_url: Option<Url>,
    /// TLS of the listener.
    pub tls: Option<TlsFiles>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Connections at once.
    pub max_connections: usize,
    /// For the TLS handshake and for a request's head, each.
    pub header_timeout: Duration,
    /// For a request's body and its answer.
    pub request_timeout: Duration,
    /// Who may read the metrics.
    pub metrics: Audience,
    /// Database and lock.
    pub data_dir: PathBuf,
    /// The database. May have a password in it: never shown.
    pub database_url: Secret,
    /// Connections to it.
    pub database_connections: u32,
    /// Age from which revisions are thinned out; `None`: never.
    pub keep_revisions: Option<Duration>,
    /// Bytes of one document, unpacked.
    pub max_document: usize,
    /// Bytes of large bodies at once.
    pub body_memory: usize,
    /// Whether documents are fetched from private addresses.
    pub allow_private_imports: bool,
    /// Of a registration token.
    pub token_lifetime: Duration,
    /// Between two heartbeats of a collector.
    pub heartbeat: Duration,
    /// Silence after which a collector is offline.
    pub offline_after: Duration,
    /// Between two syncs of a source.
    pub sync_every: Duration,
    /// Age at which a collector's credential is replaced; `None`: never.
    pub rotate_every: Option<Duration>,
    /// Of a sign-in without use.
    pub session_idle: Duration,
    /// Of a sign-in.
    pub session_lifetime: Duration,
    /// The first owner.
    pub owner_email: String,
    /// Their password.
    pub owner_password_file: Option<PathBuf>,
    /// Their organisation.
    pub organisation_name: String,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
}

/// A text that is not shown when settings are.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", crate::store::shown(&self.0))
    }
}

/// Why the service cannot run with these settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be; the message has line, column and what is accepted.
    #[error("the configuration file {path} is not valid:\n{source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be taken.
    #[error("setting `{name}`: {value} is not acceptable; want {want}")]
    Range {
        /// The setting's name in the file.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        want: &'static str,
    },
    /// A setting needs another one.
    #[error("setting `{name}` also needs `{needs}`: {why}")]
    Needs {
        /// The one given.
        name: &'static str,
        /// The one missing.
        needs: &'static str,
        /// The reason.
        why: &'static str,
    },
}

impl Settings {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// When it cannot be read or has what is no setting.
    pub fn from_file(path: &Path) -> Result<Settings, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Fills in the defaults and checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Range`] and [`ConfigError::Needs`].
    pub fn build(self) -> Result<Config, ConfigError> {
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles {
                cert,
                key,
                client_ca: None,
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(ConfigError::Needs {
                    name: "tls_cert",
                    needs: "tls_key",
                    why: "a certificate is of no use without its private key",
                });
            }
            (None, Some(_)) => {
                return Err(ConfigError::Needs {
                    name: "tls_key",
                    needs: "tls_cert",
                    why: "a private key is of no use without its certificate",
                });
            }
        };
        let data_dir = self
            .data_dir
            .unwrap_or_else(|| "silhouette-catalog-data".into());
        let database_url = self
            .database_url
            .unwrap_or_else(|| format!("sqlite:{}", data_dir.join("catalog.db").display()));
        let config = Config {
            listen: self
                .listen
                .map_or(([127, 0, 0, 1], 4330).into(), |socket| socket.0),
            public_url: self.public_url.as_deref().map(public_url).transpose()?,
            tls,
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            max_connections: within(
                "max_connections",
                self.max_connections.unwrap_or(1024),
                1..=1_000_000,
                "1 to 1000000",
            )?,
            header_timeout: span(
                "header_timeout",
                self.header_timeout,
                SECOND * 10,
                SECOND / 10..=MINUTE * 10,
                "100ms to 10m",
            )?,
            request_timeout: span(
                "request_timeout",
                self.request_timeout,
                MINUTE * 2,
                SECOND..=HOUR,
                "1s to 1h",
            )?,
            metrics: self.metrics.unwrap_or_default(),
            data_dir,
            database_url: Secret(database_url),
            database_connections: within(
                "database_connections",
                self.database_connections.unwrap_or(4),
                2..=1000,
                "2 to 1000",
            )?,
            keep_revisions: span_or_never(
                "keep_revisions",
                self.keep_revisions,
                DAY * 90,
                DAY..=DAY * 3650,
                "1d to 3650d, or 0s for ever",
            )?,
            max_document: match self.max_document.map_or(50 << 20, |size| size.0) {
                size if (1 << 10..=1 << 30).contains(&size) => size as usize,
                size => return Err(range("max_document", &Size(size), "1k to 1g")),
            },
            body_memory: match self.body_memory.map_or(128 << 20, |size| size.0) {
                size if (2 << 20..=1 << 40).contains(&size) => size as usize,
                size => return Err(range("body_memory", &Size(size), "2m to 1024g")),
            },
            allow_private_imports: self.allow_private_imports.unwrap_or(false),
            token_lifetime: span(
                "token_lifetime",
                self.token_lifetime,
                HOUR * 48,
                MINUTE..=DAY * 365,
                "1m to 365d",
            )?,
            heartbeat: span(
                "heartbeat",
                self.heartbeat,
                SECOND * 30,
                SECOND..=HOUR,
                "1s to 1h",
            )?,
            offline_after: span(
                "offline_after",
                self.offline_after,
                MINUTE * 5,
                SECOND * 2..=DAY * 7,
                "2s to 7d",
            )?,
            sync_every: span(
                "sync_every",
                self.sync_every,
                HOUR * 24,
                MINUTE..=DAY * 365,
                "1m to 365d",
            )?,
            rotate_every: span_or_never(
                "rotate_every",
                self.rotate_every,
                DAY * 30,
                MINUTE..=DAY * 3650,
                "1m to 3650d, or 0s for never",
            )?,
            session_idle: span(
                "session_idle",
                self.session_idle,
                HOUR * 12,
                MINUTE..=DAY * 365,
                "1m to 365d",
            )?,
            session_lifetime: span(
                "session_lifetime",
                self.session_lifetime,
                DAY * 7,
                MINUTE..=DAY * 365,
                "1m to 365d",
            )?,
            owner_email: self.owner_email.unwrap_or_else(|| "owner@localhost".into()),
            owner_password_file: self.owner_password_file,
            organisation_name: self
                .organisation_name
                .unwrap_or_else(|| "My organisation".into()),
            log: self.log.unwrap_or_else(|| "info".into()),
            log_format: self.log_format.unwrap_or_default(),
        };
        if config.offline_after <= config.heartbeat {
            return Err(range(
                "offline_after",
                &Span(config.offline_after),
                "more than heartbeat, or every collector would be offline between two of them",
            ));
        }
        if config.session_lifetime < config.session_idle {
            return Err(range(
                "session_lifetime",
                &Span(config.session_lifetime),
                "at least session_idle",
            ));
        }
        Ok(config)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Where browsers and collectors are sent: a scheme and a host. Pages stand at the root, so a path is refused.
fn public_url(text: &str) -> Result<Url, ConfigError> {
    let wrong = || ConfigError::Range {
        name: "public_url",
        value: format!("`{text}`"),
        want: "http:// or https://, a host, perhaps a port, and nothing else, such as https://catalog.example.com",
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let good = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if good { Ok(url) } else { Err(wrong()) }
}

fn range(name: &'static str, value: &dyn std::fmt::Display, want: &'static str) -> ConfigError {
    ConfigError::Range {
        name,
        value: value.to_string(),
        want,
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    name: &'static str,
    value: T,
    accepted: std::ops::RangeInclusive<T>,
    want: &'static str,
) -> Result<T, ConfigError> {
    if accepted.contains(&value) {
        return Ok(value);
    }
    Err(range(name, &value, want))
}

fn span(
    name: &'static str,
    given: Option<Span>,
    default: Duration,
    accepted: std::ops::RangeInclusive<Duration>,
    want: &'static str,
) -> Result<Duration, ConfigError> {
    let value = given.map_or(default, |span| span.0);
    if accepted.contains(&value) {
        return Ok(value);
    }
    Err(range(name, &Span(value), want))
}

/// A span, or `None` for zero.
fn span_or_never(
    name: &'static str,
    given: Option<Span>,
    default: Duration,
    accepted: std::ops::RangeInclusive<Duration>,
    want: &'static str,
) -> Result<Option<Duration>, ConfigError> {
    match given {
        Some(Span(given)) if given.is_zero() => Ok(None),
        given => span(name, given, default, accepted, want).map(Some),
    }
}
