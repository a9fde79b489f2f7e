//! Settings as they are written, wherever that is.
//!
//! In: flags, the environment (by clap) and a TOML file. Out: [`Settings`], of which one can stand in for what another leaves open.
//! Whether a value fits the others is not looked at here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use silhouette_serving::quantity::{Size, Span};

use super::ConfigError;

/// Settings as an operator writes them. The same struct is the flags, the environment and the TOML file, so that a
/// setting cannot exist in one and be missing in another. Absent means: not set here.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where shims send telemetry: gRPC, gRPC-Web, HTTP/1.1 and HTTP/2 on one port [default: 127.0.0.1:4320]
    #[arg(long, env = "SILHOUETTE_LISTEN", value_name = "ADDRESS:PORT", value_parser = socket, help_heading = "Listeners")]
    #[serde(deserialize_with = "de_socket")]
    pub listen: Option<SocketAddr>,

    /// Where people and Prometheus look: live page, documents, health, metrics [default: 127.0.0.1:4321]
    #[arg(long, env = "SILHOUETTE_ADMIN_LISTEN", value_name = "ADDRESS:PORT", value_parser = socket, help_heading = "Listeners")]
    #[serde(deserialize_with = "de_socket")]
    pub admin_listen: Option<SocketAddr>,

    /// Names, besides localhost and IP addresses, under which the admin listener answers [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_ADMIN_HOSTS",
        value_name = "NAME,NAME",
        value_delimiter = ',',
        help_heading = "Listeners"
    )]
    pub admin_hosts: Option<Vec<String>>,

    /// Serve the admin listener over TLS too, with the same certificate [default: false]
    #[arg(long, env = "SILHOUETTE_ADMIN_TLS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Listeners")]
    pub admin_tls: Option<bool>,

    /// Connections open at once, per listener; more are closed at once and counted [default: 1024]
    #[arg(
        long,
        env = "SILHOUETTE_MAX_CONNECTIONS",
        value_name = "COUNT",
        help_heading = "Listeners"
    )]
    pub max_connections: Option<usize>,

    /// How long a client may take for its TLS handshake and for the head of a request [default: 10s]
    #[arg(
        long,
        env = "SILHOUETTE_HEADER_TIMEOUT",
        value_name = "SPAN",
        help_heading = "Listeners"
    )]
    pub header_timeout: Option<Span>,

    /// Certificate chain (PEM) of the telemetry port; turns TLS on [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_TLS_CERT",
        value_name = "FILE",
        help_heading = "Who may send"
    )]
    pub tls_cert: Option<PathBuf>,

    /// Private key (PEM) of that certificate [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_TLS_KEY",
        value_name = "FILE",
        help_heading = "Who may send"
    )]
    pub tls_key: Option<PathBuf>,

    /// Mutual TLS: only clients with a certificate of these authorities (PEM) may connect [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_TLS_CLIENT_CA",
        value_name = "FILE",
        help_heading = "Who may send"
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// Where BIG-IPs send records by HSL over plain TCP: a loopback or private address [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_LISTEN",
        value_name = "ADDRESS:PORT",
        value_parser = socket,
        help_heading = "BIG-IPs"
    )]
    #[serde(deserialize_with = "de_socket")]
    pub hsl_listen: Option<SocketAddr>,

    /// The same over TLS, on any address; client certificates are compulsory [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_TLS_LISTEN",
        value_name = "ADDRESS:PORT",
        value_parser = socket,
        help_heading = "BIG-IPs"
    )]
    #[serde(deserialize_with = "de_socket")]
    pub hsl_tls_listen: Option<SocketAddr>,

    /// The same over UDP, which loses records without a word: a loopback or private address [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_UDP_LISTEN",
        value_name = "ADDRESS:PORT",
        value_parser = socket,
        help_heading = "BIG-IPs"
    )]
    #[serde(deserialize_with = "de_socket")]
    pub hsl_udp_listen: Option<SocketAddr>,

    /// Authorities (PEM) of the client certificates of BIG-IPs [default: tls_client_ca]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_CLIENT_CA",
        value_name = "FILE",
        help_heading = "BIG-IPs"
    )]
    pub hsl_client_ca: Option<PathBuf>,

    /// Headers of BIG-IPs' exchanges whose values are replaced, as in the shims' redact_headers [default: that of the shims]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_REDACT_HEADERS",
        value_name = "NAMES",
        help_heading = "BIG-IPs"
    )]
    pub hsl_redact_headers: Option<String>,

    /// The same for query parameters, as in redact_query [default: that of the shims]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_REDACT_QUERY",
        value_name = "NAMES",
        help_heading = "BIG-IPs"
    )]
    pub hsl_redact_query: Option<String>,

    /// The same for fields of bodies, as in redact_json [default: that of the shims]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_REDACT_JSON",
        value_name = "NAMES",
        help_heading = "BIG-IPs"
    )]
    pub hsl_redact_json: Option<String>,

    /// Media types whose bodies are kept of BIG-IPs' exchanges, as in content_types [default: that of the shims]
    #[arg(
        long,
        env = "SILHOUETTE_HSL_CONTENT_TYPES",
        value_name = "TYPES",
        help_heading = "BIG-IPs"
    )]
    pub hsl_content_types: Option<String>,

    /// Accept telemetry and serve documents without a token on addresses that are not loopback [default: false]
    #[arg(long, env = "SILHOUETTE_ALLOW_ANONYMOUS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Who may send")]
    pub allow_anonymous: Option<bool>,

    /// Where the journal, the models and the tokens are kept [default: silhouette-data]
    #[arg(
        long,
        env = "SILHOUETTE_DATA_DIR",
        value_name = "DIRECTORY",
        help_heading = "Storage"
    )]
    pub data_dir: Option<PathBuf>,

    /// Telemetry kept that is not learnt yet; beyond it shims are told to wait [default: 2g]
    #[arg(
        long,
        env = "SILHOUETTE_JOURNAL_LIMIT",
        value_name = "SIZE",
        help_heading = "Storage"
    )]
    pub journal_limit: Option<Size>,

    /// Longest time between two checkpoints of the models [default: 30s]
    #[arg(
        long,
        env = "SILHOUETTE_CHECKPOINT_INTERVAL",
        value_name = "SPAN",
        help_heading = "Storage"
    )]
    pub checkpoint_interval: Option<Span>,

    /// Telemetry after which a checkpoint is made even before that time [default: 64m]
    #[arg(
        long,
        env = "SILHOUETTE_CHECKPOINT_BYTES",
        value_name = "SIZE",
        help_heading = "Storage"
    )]
    pub checkpoint_bytes: Option<Size>,

    /// Disk space left untouched by the journal, so that a checkpoint still fits [default: 64m, at most a tenth of the disk]
    #[arg(
        long,
        env = "SILHOUETTE_DISK_RESERVE",
        value_name = "SIZE",
        help_heading = "Storage"
    )]
    pub disk_reserve: Option<Size>,

    /// Largest batch accepted from a shim, after decompression [default: 8m]
    #[arg(
        long,
        env = "SILHOUETTE_MAX_MESSAGE",
        value_name = "SIZE",
        help_heading = "Bounds"
    )]
    pub max_message: Option<Size>,

    /// Batches held in memory that are not durable yet; beyond it the collector stops reading [default: 64m]
    #[arg(
        long,
        env = "SILHOUETTE_INGEST_BUFFER",
        value_name = "SIZE",
        help_heading = "Bounds"
    )]
    pub ingest_buffer: Option<Size>,

    /// Durable batches held in memory until they are learnt; beyond it they are read back from the journal [default: 32m]
    #[arg(
        long,
        env = "SILHOUETTE_LEARN_BUFFER",
        value_name = "SIZE",
        help_heading = "Bounds"
    )]
    pub learn_buffer: Option<Size>,

    /// Largest body after its content coding is undone; the rest is ignored [default: 4m]
    #[arg(
        long,
        env = "SILHOUETTE_MAX_BODY",
        value_name = "SIZE",
        help_heading = "Bounds"
    )]
    pub max_body: Option<Size>,

    /// Hosts learnt; exchanges of further ones are counted and left out [default: 10000]
    #[arg(
        long,
        env = "SILHOUETTE_MAX_HOSTS",
        value_name = "COUNT",
        help_heading = "Bounds"
    )]
    pub max_hosts: Option<usize>,

    /// Memory for the model of one host [default: 8m]
    #[arg(
        long,
        env = "SILHOUETTE_HOST_MEMORY",
        value_name = "SIZE",
        help_heading = "Bounds"
    )]
    pub host_memory: Option<Size>,

    /// Memory for all models together [default: 1g]
    #[arg(
        long,
        env = "SILHOUETTE_MODEL_MEMORY",
        value_name = "SIZE",
        help_heading = "Bounds"
    )]
    pub model_memory: Option<Size>,

    /// Rules (TOML) that documents are emitted with: what is a parameter, what to ignore; read again when it changes [default: none]
    #[arg(
        long,
        env = "SILHOUETTE_RULES",
        value_name = "FILE",
        help_heading = "Documents"
    )]
    pub rules: Option<PathBuf>,

    /// Operations not seen for so long are marked stale in documents; 0s is never [default: 30d]
    #[arg(
        long,
        env = "SILHOUETTE_STALE_AFTER",
        value_name = "SPAN",
        help_heading = "Documents"
    )]
    pub stale_after: Option<Span>,

    /// Operations not seen for so long leave documents and memory; 0s is never [default: 90d]
    #[arg(
        long,
        env = "SILHOUETTE_DROP_AFTER",
        value_name = "SPAN",
        help_heading = "Documents"
    )]
    pub drop_after: Option<Span>,

    /// Operations a host needs before it is forwarded to the catalog [default: 3]
    #[arg(
        long,
        env = "SILHOUETTE_MINIMUM_OPERATIONS",
        value_name = "COUNT",
        help_heading = "Forwarding"
    )]
    pub minimum_operations: Option<usize>,

    /// How long a host's document stays as it is before it is a revision [default: 60s]
    #[arg(
        long,
        env = "SILHOUETTE_SETTLE",
        value_name = "SPAN",
        help_heading = "Forwarding"
    )]
    pub settle: Option<Span>,

    /// After how long one that keeps changing is a revision all the same [default: 5m]
    #[arg(
        long,
        env = "SILHOUETTE_SETTLE_LIMIT",
        value_name = "SPAN",
        help_heading = "Forwarding"
    )]
    pub settle_limit: Option<Span>,

    /// Disk space for revisions that wait for the catalog; beyond it older ones of a host are folded into its newest [default: 1g]
    #[arg(
        long,
        env = "SILHOUETTE_OUTBOX_BYTES",
        value_name = "SIZE",
        help_heading = "Forwarding"
    )]
    pub outbox_bytes: Option<Size>,

    /// How often the catalog is told what a host was called, besides with each revision [default: 5m]
    #[arg(
        long,
        env = "SILHOUETTE_SEEN_INTERVAL",
        value_name = "SPAN",
        help_heading = "Forwarding"
    )]
    pub seen_interval: Option<Span>,

    /// Threads that learn; 0 is one per core [default: 0]
    #[arg(
        long,
        env = "SILHOUETTE_LEARNERS",
        value_name = "COUNT",
        help_heading = "Bounds"
    )]
    pub learners: Option<usize>,

    /// What is logged to stderr: error, warn, info, debug or trace, or a filter like info,silhouette_collector=debug [default: info]
    #[arg(
        long,
        env = "SILHOUETTE_LOG",
        value_name = "FILTER",
        help_heading = "Logging"
    )]
    pub log: Option<String>,

    /// How it is logged [default: text]
    #[arg(
        long,
        env = "SILHOUETTE_LOG_FORMAT",
        value_name = "FORMAT",
        help_heading = "Logging"
    )]
    pub log_format: Option<LogFormat>,
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

/// Reads `ADDRESS:PORT`. Names are refused: a listener that moves with DNS surprises everybody.
fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not ADDRESS:PORT: want something like 127.0.0.1:4320, 0.0.0.0:4320 or [::]:4320")
    })
}

fn de_socket<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    socket(&text).map(Some).map_err(serde::de::Error::custom)
}

macro_rules! first_of {
    ($a:ident, $b:ident; $($field:ident),* $(,)?) => { Settings { $($field: $a.$field.or($b.$field)),* } };
}

impl Settings {
    /// Reads a TOML file.
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

    /// What is set here, else what is set in `other`.
    #[must_use]
    pub fn or(self, other: Settings) -> Settings {
        let (a, b) = (self, other);
        first_of!(a, b;
            listen, admin_listen, admin_hosts, admin_tls, max_connections, header_timeout, tls_cert, tls_key,
            tls_client_ca, hsl_listen, hsl_tls_listen, hsl_udp_listen, hsl_client_ca, hsl_redact_headers, hsl_redact_query,
            hsl_redact_json, hsl_content_types, allow_anonymous, data_dir, journal_limit, checkpoint_interval, checkpoint_bytes,
            disk_reserve, max_message, ingest_buffer, learn_buffer, max_body, max_hosts, host_memory, model_memory,
            rules, stale_after, drop_after, minimum_operations, settle, settle_limit, outbox_bytes, seen_interval, learners, log, log_format)
    }
}
