//! The command line: what `silhouette-catalog --help` teaches, as clap types. Parsing only; nothing is run here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use silhouette_serving::quantity::Span;

use crate::config::{Config, ConfigError, Settings};

/// Keeps the APIs that were discovered and that are documented, and lets people turn the ones into the others.
#[derive(Debug, Parser)]
#[command(
    name = "silhouette-catalog",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  silhouette-catalog
      Serve on http://127.0.0.1:4330/; the first start prints how to sign in
  silhouette-catalog serve --listen 0.0.0.0:4330 --tls-cert cert.pem --tls-key key.pem --public-url https://catalog.example.com
      For other machines
  silhouette-catalog serve --database-url postgres://catalog@db/catalog
      On PostgreSQL
  silhouette-catalog backup catalog.jsonl.gz
      While it is serving, too; `restore` puts it into an empty database of either kind
  silhouette-catalog serve --help
      Every setting, with its flag and its environment variable

`silhouette-catalog COMMAND --help` tells more about each."
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
    /// Serve the pages, the REST API and collectors (the default)
    #[command(after_help = SERVE_HELP)]
    Serve(Box<Serve>),
    /// Add and list users, and reset a lost password
    #[command(subcommand, after_help = USER_HELP)]
    User(User),
    /// Create API keys, for scripts on this machine
    #[command(subcommand)]
    Key(Key),
    /// Add and list organisations: worlds of their own on one catalog
    #[command(subcommand)]
    Organisation(Organisation),
    /// Write everything into one file, while it is serving, too
    #[command(after_help = BACKUP_HELP)]
    Backup {
        /// The file to write; one that is there is replaced once the new one is whole
        file: PathBuf,
        #[command(flatten)]
        #[allow(missing_docs)]
        storage: Storage,
    },
    /// Read a backup into an empty database
    #[command(after_help = BACKUP_HELP)]
    Restore {
        /// A file that `backup` wrote
        file: PathBuf,
        #[command(flatten)]
        #[allow(missing_docs)]
        storage: Storage,
    },
    /// Check the configuration without starting: prints what would be in effect, or what is wrong
    CheckConfig(Box<Serve>),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example: silhouette-catalog completions bash > /etc/bash_completion.d/silhouette-catalog"
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
  silhouette-catalog serve --data-dir /var/lib/silhouette-catalog
  SILHOUETTE_CATALOG_LISTEN=[::]:4330 silhouette-catalog serve --config /etc/silhouette/catalog.toml
  silhouette-catalog serve --listen 127.0.0.1:0
      A port of the system's choice; the first line on stdout tells it:
      listening http://127.0.0.1:39041";

const USER_HELP: &str = "\
Examples:
  silhouette-catalog user add ada@example.com --role administrator
  silhouette-catalog user reset-password ada@example.com
  silhouette-catalog user list";

const BACKUP_HELP: &str = "\
A backup is one gzip file of JSON lines. It has secrets in it – password hashes, and what was discovered – and can be read by its
owner only. It restores into SQLite and PostgreSQL alike: moving from one to the other is a backup and a restore.

Examples:
  silhouette-catalog backup /var/backups/catalog.jsonl.gz
  silhouette-catalog restore /var/backups/catalog.jsonl.gz --database-url postgres://catalog@db/catalog";

/// Flags of `serve` and `check-config`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// TOML file with settings
    #[arg(long, env = "SILHOUETTE_CATALOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

impl Serve {
    /// The file's settings under those of flags and environment, checked.
    ///
    /// # Errors
    /// When the file cannot be read or a value cannot be taken.
    pub fn build(&self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => Settings::from_file(path)?,
            None => Settings::default(),
        };
        self.settings.clone().or(file).build()
    }
}

/// Where the database is.
#[derive(Debug, Clone, Default, Args)]
pub struct Storage {
    /// TOML file of the catalog, to find its database
    #[arg(long, env = "SILHOUETTE_CATALOG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The catalog's data directory [default: silhouette-catalog-data]
    #[arg(long, env = "SILHOUETTE_CATALOG_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
    /// The database [default: sqlite:DATA_DIR/catalog.db]
    #[arg(
        long,
        env = "SILHOUETTE_CATALOG_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
}

impl Storage {
    /// The settings, as `serve` would find them.
    ///
    /// # Errors
    /// When the file cannot be read or a value cannot be taken.
    pub fn build(&self) -> Result<Config, ConfigError> {
        Serve {
            config: self.config.clone(),
            settings: Settings {
                data_dir: self.data_dir.clone(),
                database_url: self.database_url.clone(),
                ..Settings::default()
            },
        }
        .build()
    }
}

/// Which organisation.
#[derive(Debug, Clone, Default, Args)]
pub struct Within {
    /// Name or id of the organisation; needed where there are several
    #[arg(long, value_name = "ORGANISATION")]
    pub organisation: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub storage: Storage,
}

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Add a user; a password is made and printed unless a file has one
    Add {
        /// Address to sign in with
        email: String,
        /// What people call them
        #[arg(long, default_value = "")]
        name: String,
        /// owner, administrator, security-manager, security-analyst or the id of a custom role
        #[arg(long, default_value = "security-analyst")]
        role: String,
        /// File with the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs)]
        within: Within,
    },
    /// Make a new password for a user and print it; they are signed out everywhere
    ResetPassword {
        /// Their address
        email: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        within: Within,
    },
    /// List users with their roles
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        within: Within,
    },
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Create an API key of a user and print it; it is shown this once
    Create {
        /// The user's address
        #[arg(long)]
        user: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// How long it is valid, such as 90d; until it is revoked when left out
        #[arg(long, value_name = "SPAN")]
        expires: Option<Span>,
        #[command(flatten)]
        #[allow(missing_docs)]
        within: Within,
    },
}

/// What can be done with organisations.
#[derive(Debug, Subcommand)]
pub enum Organisation {
    /// Add an organisation and its owner
    Add {
        /// Its name
        name: String,
        /// Address of its owner; an account that is there keeps its password, for a new one a password is printed
        #[arg(long, value_name = "ADDRESS")]
        owner_email: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        storage: Storage,
    },
    /// List organisations with their ids
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        storage: Storage,
    },
}
