//! Settings of the service: from a TOML file, the environment (`SILHOUETTE_*`) and flags, later ones winning, into one
//! validated [`Config`].
//!
//! In: [`Settings`] as written. Out: a [`Config`] that the service can run with, or an error that names the setting, the
//! value and what would be right. Never opens a socket or the data directory; of the files it names it only reads the
//! configuration itself.

mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use silhouette_serving::quantity::{Size, Span};
use silhouette_serving::tls::{ClientCa, TlsFiles};

use crate::forward;
use crate::hsl::exchange::Redaction;
use crate::hsl::service::{self as hsl, is_private};

pub use settings::{LogFormat, Settings};

/// Validated settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The telemetry listener.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin_listen: SocketAddr,
    /// Host names, lower case, that the admin listener answers to besides `localhost` and addresses.
    pub admin_hosts: Vec<String>,
    /// TLS on the admin listener too.
    pub admin_tls: bool,
    /// Connections at once, per listener.
    pub max_connections: usize,
    /// For the TLS handshake and for a request's head, each.
    pub header_timeout: Duration,
    /// TLS of the telemetry listener.
    pub tls: Option<TlsFiles>,
    /// Where BIG-IPs send to.
    pub hsl: hsl::Settings,
    /// No token needed even on addresses that are not loopback.
    pub allow_anonymous: bool,
    /// Journal, models, tokens.
    pub data_dir: PathBuf,
    /// Bytes of journal kept before shims have to wait.
    pub journal_limit: u64,
    /// Longest time between checkpoints.
    pub checkpoint_interval: Duration,
    /// Journal bytes after which a checkpoint is made early.
    pub checkpoint_bytes: u64,
    /// Bytes of disk the journal leaves free; `None`: 64 MiB, at most a tenth of the file system.
    pub disk_reserve: Option<u64>,
    /// Bytes of one batch.
    pub max_message: usize,
    /// Bytes of batches in memory before they are durable.
    pub ingest_buffer: usize,
    /// Bytes of durable batches in memory before they are learnt.
    pub learn_buffer: usize,
    /// Bytes of one body after decoding.
    pub max_body: usize,
    /// Hosts at most.
    pub max_hosts: usize,
    /// Bytes of one model.
    pub host_memory: usize,
    /// Bytes of all models.
    pub model_memory: usize,
    /// Rules that documents are emitted with.
    pub rules: Option<PathBuf>,
    /// Unseen for so long: stale. `None`: never.
    pub stale_after: Option<Duration>,
    /// Unseen for so long: gone. `None`: never.
    pub drop_after: Option<Duration>,
    /// Operations of a document that is forwarded.
    pub minimum_operations: usize,
    /// How documents become revisions, and where these wait.
    pub forward: forward::Settings,
    /// Learning threads, at least 1.
    pub learners: usize,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
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
    /// A value out of range.
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
    /// A list for redaction; its text begins with the name without `hsl_`.
    #[error("setting hsl_{0}")]
    Redaction(silhouette_capture::SettingError),
}

impl Settings {
    /// Fills in the defaults and checks every value.
    pub fn build(self) -> Result<Config, ConfigError> {
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles {
                cert,
                key,
                client_ca: self.tls_client_ca.clone().map(client_ca("tls_client_ca")),
            }),
            (None, None) => {
                if self.tls_client_ca.is_some() {
                    return Err(needs(
                        "tls_client_ca",
                        "tls_cert",
                        "mutual TLS starts with the collector's own certificate",
                    ));
                }
                None
            }
            (Some(_), None) => {
                return Err(needs(
                    "tls_cert",
                    "tls_key",
                    "a certificate is of no use without its private key",
                ));
            }
            (None, Some(_)) => {
                return Err(needs(
                    "tls_key",
                    "tls_cert",
                    "a private key is of no use without its certificate",
                ));
            }
        };
        let admin_tls = self.admin_tls.unwrap_or(false);
        if admin_tls && tls.is_none() {
            return Err(needs(
                "admin_tls",
                "tls_cert",
                "the admin listener uses the same certificate",
            ));
        }
        let hsl = hsl::Settings {
            plain: private("hsl_listen", self.hsl_listen)?,
            tls: match (self.hsl_tls_listen, &tls) {
                (None, _) => {
                    if self.hsl_client_ca.is_some() {
                        return Err(needs(
                            "hsl_client_ca",
                            "hsl_tls_listen",
                            "it says whose BIG-IPs may connect there",
                        ));
                    }
                    None
                }
                (Some(_), None) => {
                    return Err(needs(
                        "hsl_tls_listen",
                        "tls_cert",
                        "TLS starts with the collector's own certificate",
                    ));
                }
                (Some(address), Some(files)) => {
                    let own = self.hsl_client_ca.map(client_ca("hsl_client_ca"));
                    let files = TlsFiles {
                        client_ca: own.or(files.client_ca.clone()),
                        ..files.clone()
                    };
                    if files.client_ca.is_none() {
                        return Err(needs(
                            "hsl_tls_listen",
                            "hsl_client_ca",
                            "a BIG-IP shows who it is by a client certificate",
                        ));
                    }
                    Some((address, files))
                }
            },
            udp: private("hsl_udp_listen", self.hsl_udp_listen)?,
            redaction: Redaction {
                headers: self.hsl_redact_headers,
                query: self.hsl_redact_query,
                json: self.hsl_redact_json,
                content_types: self.hsl_content_types,
            },
        };
        hsl.redaction.policy().map_err(ConfigError::Redaction)?;
        if hsl.is_empty()
            && let Some(name) = hsl.redaction.first_given()
        {
            return Err(needs(
                name,
                "hsl_listen",
                "it says what is redacted in records of BIG-IPs, and nothing listens for them (hsl_tls_listen and hsl_udp_listen would do, too)",
            ));
        }
        let config = Config {
            hsl,
            listen: self.listen.unwrap_or(([127, 0, 0, 1], 4320).into()),
            admin_listen: self.admin_listen.unwrap_or(([127, 0, 0, 1], 4321).into()),
            admin_hosts: self
                .admin_hosts
                .unwrap_or_default()
                .iter()
                .map(|name| name.trim().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .collect(),
            admin_tls,
            max_connections: count(
                "max_connections",
                self.max_connections,
                1024,
                1..=1_000_000,
                "1 to 1000000",
            )?,
            header_timeout: span(
                "header_timeout",
                self.header_timeout,
                10_000,
                100..=600_000,
                "100ms to 10m",
            )?,
            tls,
            allow_anonymous: self.allow_anonymous.unwrap_or(false),
            data_dir: self.data_dir.unwrap_or_else(|| "silhouette-data".into()),
            journal_limit: size(
                "journal_limit",
                self.journal_limit,
                2 << 30,
                1 << 20..=1 << 50,
                "at least 1m",
            )?,
            checkpoint_interval: span(
                "checkpoint_interval",
                self.checkpoint_interval,
                30_000,
                100..=3_600_000,
                "100ms to 1h",
            )?,
            checkpoint_bytes: size(
                "checkpoint_bytes",
                self.checkpoint_bytes,
                64 << 20,
                64 << 10..=1 << 40,
                "at least 64k",
            )?,
            disk_reserve: self.disk_reserve.map(|size| size.0),
            max_message: size(
                "max_message",
                self.max_message,
                8 << 20,
                4 << 10..=256 << 20,
                "4k to 256m",
            )? as usize,
            ingest_buffer: size(
                "ingest_buffer",
                self.ingest_buffer,
                64 << 20,
                4 << 10..=1 << 36,
                "4k to 64g, and at least max_message",
            )? as usize,
            learn_buffer: size(
                "learn_buffer",
                self.learn_buffer,
                32 << 20,
                0..=1 << 36,
                "at most 64g",
            )? as usize,
            max_body: size(
                "max_body",
                self.max_body,
                4 << 20,
                1 << 10..=1 << 30,
                "1k to 1g",
            )? as usize,
            max_hosts: count(
                "max_hosts",
                self.max_hosts,
                10_000,
                1..=10_000_000,
                "1 to 10000000",
            )?,
            host_memory: size(
                "host_memory",
                self.host_memory,
                8 << 20,
                64 << 10..=1 << 34,
                "64k to 16g",
            )? as usize,
            model_memory: size(
                "model_memory",
                self.model_memory,
                1 << 30,
                1 << 20..=1 << 40,
                "1m to 1024g",
            )? as usize,
            rules: self.rules,
            stale_after: unseen("stale_after", self.stale_after, 30)?,
            drop_after: unseen("drop_after", self.drop_after, 90)?,
            minimum_operations: count(
                "minimum_operations",
                self.minimum_operations,
                3,
                1..=10_000,
                "1 to 10000",
            )?,
            forward: forward::Settings {
                settle: span("settle", self.settle, 60_000, 0..=86_400_000, "0s to 1d")?,
                settle_limit: span(
                    "settle_limit",
                    self.settle_limit,
                    300_000,
                    0..=86_400_000,
                    "0s to 1d, and at least settle",
                )?,
                outbox_bytes: size(
                    "outbox_bytes",
                    self.outbox_bytes,
                    1 << 30,
                    1 << 20..=1 << 50,
                    "at least 1m",
                )?,
                seen_interval: span(
                    "seen_interval",
                    self.seen_interval,
                    300_000,
                    1_000..=86_400_000,
                    "1s to 1d",
                )?,
            },
            learners: match count("learners", self.learners, 0, 0..=1024, "0 to 1024")? {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                n => n,
            },
            log: self.log.unwrap_or_else(|| "info".into()),
            log_format: self.log_format.unwrap_or_default(),
        };
        if let (Some(stale), Some(drop)) = (config.stale_after, config.drop_after)
            && drop < stale
        {
            return Err(ConfigError::Range {
                name: "drop_after",
                value: Span(drop).to_string(),
                want: "at least stale_after, or 0s for never: an operation is stale before it leaves",
            });
        }
        if config.forward.settle_limit < config.forward.settle {
            return Err(ConfigError::Range {
                name: "settle_limit",
                value: Span(config.forward.settle_limit).to_string(),
                want: "at least settle: a document that does not change is not to wait longer than one that does",
            });
        }
        if config.ingest_buffer < config.max_message {
            return Err(ConfigError::Range {
                name: "ingest_buffer",
                value: Size(config.ingest_buffer as u64).to_string(),
                want: "at least max_message, or no batch of that size would ever fit",
            });
        }
        Ok(config)
    }
}

fn client_ca(setting: &'static str) -> impl FnOnce(PathBuf) -> ClientCa {
    move |path| ClientCa { path, setting }
}

/// An address at which nothing has to be encrypted.
fn private(
    name: &'static str,
    given: Option<SocketAddr>,
) -> Result<Option<SocketAddr>, ConfigError> {
    match given {
        Some(address) if !is_private(address.ip()) => Err(ConfigError::Range {
            name,
            value: address.to_string(),
            want: "a loopback or private address of this machine, and not all of its addresses: what is sent there is not \
                   encrypted. hsl_tls_listen takes any address, with TLS and client certificates",
        }),
        given => Ok(given),
    }
}

/// Days for which an operation may be unseen; 0s is for ever.
fn unseen(
    name: &'static str,
    given: Option<Span>,
    days: u64,
) -> Result<Option<Duration>, ConfigError> {
    match given {
        Some(span) if span.0.is_zero() => Ok(None),
        given => self::span(
            name,
            given,
            days * 86_400_000,
            60_000..=315_576_000_000,
            "1m to 3650d, or 0s for never",
        )
        .map(Some),
    }
}

fn needs(name: &'static str, needs: &'static str, why: &'static str) -> ConfigError {
    ConfigError::Needs { name, needs, why }
}

fn count(
    name: &'static str,
    given: Option<usize>,
    default: usize,
    range: std::ops::RangeInclusive<usize>,
    want: &'static str,
) -> Result<usize, ConfigError> {
    let value = given.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::Range {
        name,
        value: value.to_string(),
        want,
    })
}

fn size(
    name: &'static str,
    given: Option<Size>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
    want: &'static str,
) -> Result<u64, ConfigError> {
    let value = given.map_or(default, |size| size.0);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::Range {
        name,
        value: Size(value).to_string(),
        want,
    })
}

fn span(
    name: &'static str,
    given: Option<Span>,
    default: u64,
    millis: std::ops::RangeInclusive<u128>,
    want: &'static str,
) -> Result<Duration, ConfigError> {
    let value = given.map_or(Duration::from_millis(default), |span| span.0);
    if millis.contains(&value.as_millis()) {
        return Ok(value);
    }
    Err(ConfigError::Range {
        name,
        value: Span(value).to_string(),
        want,
    })
}
