//! The command line: what `silhouette-collector --help` teaches, as clap types. Parsing only; nothing is run here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use silhouette_serving::quantity::Span;

use crate::config::{ConfigError, Settings};
use crate::forward::command;
use crate::{check, diff, explain, learn};

/// Takes telemetry from Silhouette's capture shims, keeps it durable, and reconstructs an OpenAPI document per host.
#[derive(Debug, Parser)]
#[command(
    name = "silhouette-collector",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  silhouette-collector
      Serve on 127.0.0.1: telemetry on port 4320, live page on http://127.0.0.1:4321/
  silhouette-collector learn traffic.har --output openapi.yaml
      No service, no gateway: reconstruct from a recording
  silhouette-collector check openapi.yaml --against traffic.har
      What the traffic has and the description has not, and the reverse
  silhouette-collector token create --name edge-1
      A token for one shim; from then on every shim needs one
  silhouette-collector serve --listen 0.0.0.0:4320 --tls-cert cert.pem --tls-key key.pem
      Take telemetry from other machines
  silhouette-collector register --catalog https://catalog.example.org --token-file token.txt
      Forward what is learnt to a catalog
  silhouette-collector serve --help
      Every setting, with its flag and its environment variable

`silhouette-collector COMMAND --help` tells more about each."
)]
pub struct Cli {
    /// What to do; `serve` when it is left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `serve`.
    #[command(flatten)]
    pub serve: Serve,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take telemetry, learn, and serve documents (the default)
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Reconstruct documents offline, from HAR recordings
    Learn(learn::Args),
    /// Compare two descriptions: what changed, and whom it breaks
    Diff(diff::Args),
    /// Compare a description with traffic: shadow, zombie and orphan operations, and what contradicts
    Check(check::Args),
    /// Tell why a path became the template it is in the document, with the evidence
    Explain(explain::Args),
    /// Create, list and revoke the tokens shims authenticate with
    #[command(subcommand, after_help = TOKEN_HELP)]
    Token(Token),
    /// Create, list and revoke the keys that F5 BIG-IPs sign their records with
    #[command(subcommand, after_help = HSL_KEY_HELP)]
    HslKey(HslKey),
    /// Register this collector with a catalog: what it learns is forwarded there from then on
    #[command(after_help = REGISTER_HELP)]
    Register(command::RegisterArgs),
    /// Take leave of the catalog; nothing is forwarded any more
    Unregister(command::UnregisterArgs),
    /// How forwarding to the catalog stands
    #[command(subcommand)]
    Forward(command::Forward),
    /// Check the configuration without starting: prints what would be in effect, or what is wrong
    CheckConfig(Serve),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example: silhouette-collector completions bash > /etc/bash_completion.d/silhouette-collector"
    )]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

const SERVE_HELP: &str = "\
Every setting may also stand in the TOML file given by --config, under the flag's name with `_` for `-`.
The file is overridden by the environment, the environment by flags.

Examples:
  silhouette-collector serve --data-dir /var/lib/silhouette
  SILHOUETTE_LISTEN=[::]:4320 silhouette-collector serve --config /etc/silhouette/collector.toml
  silhouette-collector serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
      Ports of the system's choice; the first line on stdout tells them:
      listening telemetry=127.0.0.1:39041 admin=127.0.0.1:40173";

const REGISTER_HELP: &str = "\
Add a source of type Traffic analyzer in the catalog; it shows a registration token that lives 48 hours and is for one collector.
The credential it is exchanged for is kept in the data directory, readable by the collector's user only. A collector that runs
takes the registration up within a second. If the answer got lost, run the same command again.

Examples:
  silhouette-collector register --catalog https://catalog.example.org --token-file token.txt
  silhouette-collector register --catalog http://127.0.0.1:4330 --token slr_…
  silhouette-collector forward status
      What waits, per host, and what went wrong last
  silhouette-collector unregister";

const TOKEN_HELP: &str = "\
A running collector notices changes within a second. Only a hash of a token is kept.

Examples:
  silhouette-collector token create --name edge-1 --expires 90d
  silhouette-collector token create --name ops --admin
  silhouette-collector token list
  silhouette-collector token revoke edge-1";

const HSL_KEY_HELP: &str = "\
The key and its name go into the data-group of the BIG-IP (settings `key` and `key_id`). A running collector notices changes within a
second. Keys are kept in hsl-keys.json in the data directory, readable by the collector's user only.

Examples:
  silhouette-collector hsl-key create --name bigip-1
  silhouette-collector hsl-key list
  silhouette-collector hsl-key revoke bigip-1";

/// Flags of `serve` and `check-config`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// TOML file with settings
    #[arg(long, env = "SILHOUETTE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

impl Serve {
    /// The file's settings under those of flags and environment.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let file = match &self.config {
            Some(path) => Settings::from_file(path)?,
            None => Settings::default(),
        };
        Ok(self.settings.clone().or(file))
    }
}

/// Where the tokens are.
#[derive(Debug, Clone, Default, Args)]
pub struct DataDir {
    /// TOML file of the collector, to find its data directory
    #[arg(long, env = "SILHOUETTE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The collector's data directory [default: silhouette-data]
    #[arg(long, env = "SILHOUETTE_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
}

impl DataDir {
    /// The directory, as `serve` would find it.
    pub fn path(&self) -> Result<PathBuf, ConfigError> {
        let file = match &self.config {
            Some(path) => Settings::from_file(path)?,
            None => Settings::default(),
        };
        let given = Settings {
            data_dir: self.data_dir.clone(),
            ..Settings::default()
        };
        Ok(given.or(file).build()?.data_dir)
    }
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Create a token and print it; it is shown this once
    Create {
        /// What the operator calls the shim or the person: 1 to 64 letters, digits, `-`, `_`, `.`
        #[arg(long)]
        name: String,
        /// How long it is valid, such as 90d; for ever when left out
        #[arg(long, value_name = "SPAN")]
        expires: Option<Span>,
        /// For people: opens the admin listener, not the telemetry port
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        dir: DataDir,
    },
    /// List the tokens, without the tokens
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        dir: DataDir,
    },
    /// Make a token invalid, from now on and for ever
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        dir: DataDir,
    },
}

/// What can be done with the keys of BIG-IPs.
#[derive(Debug, Subcommand)]
pub enum HslKey {
    /// Create a key and print it; it is shown this once
    Create {
        /// What records name it by, one for each BIG-IP: 1 to 32 letters, digits, `-`, `_`, `.`
        #[arg(long)]
        name: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        dir: DataDir,
    },
    /// List the keys, without the keys
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        dir: DataDir,
    },
    /// Make a key invalid, from now on and for ever
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        dir: DataDir,
    },
}
