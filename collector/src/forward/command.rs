//! The commands beside a collector that runs or not: `register`, `unregister`, `forward status`.
//!
//! In: the command line. Out: the registration file that a running collector takes up by itself, and tables for people. Refusals say
//! what to do. A token is never taken from a place where others could read it without being told so, and never shown.

use std::fs;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::Value;

use super::client::{CallError, Catalog};
use super::outbox::{Outbox, OutboxError};
use super::protocol::{Register, TOKEN_PREFIX};
use super::registration::{Registration, Registrations};
use crate::cli::DataDir;
use crate::{described, unix_millis};

/// `register`.
#[derive(Debug, clap::Args)]
pub struct RegisterArgs {
    /// Where people open the catalog, such as https://catalog.example.org
    #[arg(long, value_name = "URL", env = "SILHOUETTE_CATALOG")]
    pub catalog: String,
    /// The registration token the catalog showed; other users may see it in the list of processes, --token-file hides it
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SILHOUETTE_REGISTRATION_TOKEN",
        hide_env_values = true,
        required_unless_present = "token_file",
        conflicts_with = "token_file"
    )]
    pub token: Option<String>,
    /// A file with the token in it, or - for stdin
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Authorities that the catalog's certificate may come from, PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Send the credential over plain HTTP to another machine
    #[arg(long)]
    pub insecure_http: bool,
    /// What the catalog calls this collector [default: the name of the machine]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the registration is kept.
    #[command(flatten)]
    pub dir: DataDir,
}

/// `unregister`.
#[derive(Debug, clap::Args)]
pub struct UnregisterArgs {
    /// Remove the registration here even if the catalog cannot be told
    #[arg(long)]
    pub force: bool,
    /// Where the registration is kept.
    #[command(flatten)]
    pub dir: DataDir,
}

/// `forward …`.
#[derive(Debug, clap::Subcommand)]
pub enum Forward {
    /// What waits for the catalog, per host, and what went wrong last
    Status(StatusArgs),
}

/// `forward status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Whom to ask while it runs.
    #[command(flatten)]
    pub collector: described::Collector,
    /// What to look at while it does not.
    #[command(flatten)]
    pub dir: DataDir,
}

/// Exchanges a token for a credential, and keeps that.
pub fn register(args: &RegisterArgs) -> anyhow::Result<()> {
    let token = token(args)?;
    let dir = args.dir.path()?;
    let registrations = Registrations::new(&dir);
    let tls_ca = args
        .tls_ca
        .as_ref()
        .map(|path| {
            fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))
        })
        .transpose()?;
    let catalog = Catalog::new(&args.catalog, tls_ca.as_deref(), args.insecure_http)?;
    let before = registrations.read().ok().flatten();
    let instance = registrations.instance()?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    };
    let register = Register {
        instance: &instance,
        name: &name,
        version: env!("CARGO_PKG_VERSION"),
    };
    let registered = block_on(catalog.register(&token, &register))?.map_err(explained)?;
    let registration = Registration {
        catalog: catalog.url().to_owned(),
        tls_ca,
        insecure_http: args.insecure_http,
        collector_id: registered.collector_id,
        source_id: registered.source_id,
        source_name: registered.source_name,
        registered: unix_millis(),
        heartbeat_seconds: registered.heartbeat_seconds,
        document_bytes: registered.document_bytes,
        credential: registered.credential,
        next_credential: None,
    };
    registrations.write(&registration).context(
        "the catalog has registered this collector, but the credential cannot be kept; run the same command again once it can, \
         while the token lives",
    )?;
    if let Some(before) = before.filter(|before| before.collector_id != registration.collector_id) {
        eprintln!(
            "This takes the place of the registration as `{}` with {}.",
            before.source_name, before.catalog
        );
    }
    println!(
        "Registered with {} as a collector of the source `{}`.",
        registration.catalog, registration.source_name
    );
    eprintln!(
        "A collector that runs in {} takes it up within a second; `silhouette-collector forward status` shows how it goes.",
        dir.display()
    );
    Ok(())
}

fn token(args: &RegisterArgs) -> anyhow::Result<String> {
    let text = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) if path.as_os_str() == "-" => {
            if std::io::stdin().is_terminal() {
                eprintln!("The registration token, and Enter:");
                let mut line = String::new();
                std::io::stdin().read_line(&mut line)?;
                line
            } else {
                let mut text = String::new();
                std::io::stdin().take(4096).read_to_string(&mut text)?;
                text
            }
        }
        (None, Some(path)) => fs::read_to_string(path)
            .with_context(|| format!("cannot read the token from {}", path.display()))?,
        (None, None) => bail!("give the registration token with --token or --token-file"),
    };
    let token = text.trim().to_owned();
    if !token.starts_with(TOKEN_PREFIX) || token.chars().any(|c| c.is_whitespace()) {
        let what = match token.starts_with("sil_") {
            true => " (this is one for a shim, from `silhouette-collector token create`)",
            false => "",
        };
        bail!(
            "this is no registration token{what}: want one that begins with {TOKEN_PREFIX}, as the catalog shows it once when a \
             source of type Traffic analyzer is added (API sources, Add source)"
        );
    }
    Ok(token)
}

/// A refusal, with what to do about it.
fn explained(error: CallError) -> anyhow::Error {
    let CallError::Refused { problem, .. } = &error else {
        return error.into();
    };
    let advice = match problem.name() {
        "token-expired" => {
            "registration tokens live 48 hours; make a new one in the catalog (API sources, Edit, New token)"
        }
        "token-used" => {
            "a token registers one collector, and this one has registered another; make a new one in the catalog (API sources, Edit, \
             New token) for this one"
        }
        "token-unknown" => {
            "is it the whole token, and is this the catalog that made it? Tokens end with their source, and when a newer one is made"
        }
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}; {advice}")
}

/// Takes leave of the catalog, and removes the registration.
pub fn unregister(args: &UnregisterArgs) -> anyhow::Result<()> {
    let dir = args.dir.path()?;
    let registrations = Registrations::new(&dir);
    let registration = match registrations.read() {
        Ok(registration) => registration,
        Err(_) if args.force => {
            registrations.remove()?;
            println!("The registration is removed.");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(registration) = registration else {
        bail!(
            "there is no registration in {}; nothing is forwarded from there",
            dir.display()
        );
    };
    let told = Catalog::of(&registration)
        .map_err(anyhow::Error::from)
        .and_then(|catalog| Ok(block_on(catalog.leave(registration.bearer()))??));
    match told {
        Ok(()) => {}
        // It knows us no more: nothing to take leave of.
        Err(error)
            if matches!(
                error.downcast_ref(),
                Some(CallError::Refused { status: 401, .. })
            ) => {}
        Err(error) if args.force => eprintln!("The catalog was not told: {error:#}"),
        Err(error) => {
            return Err(error.context(
                "the catalog could not be told, and the registration stays; --force removes it here all the same",
            ));
        }
    }
    registrations.remove()?;
    println!(
        "Not registered with {} any more; a collector that runs stops forwarding within a second. What waits stays in {}.",
        registration.catalog,
        dir.display()
    );
    Ok(())
}

/// Shows how forwarding stands: from the collector that runs, or else from the data directory.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let dir = args.dir.path()?;
    let registrations = Registrations::new(&dir);
    let value = match at_rest(&registrations, &dir)? {
        Some(value) => value,
        None => {
            let text = args.collector.fetch("/v1/forwarding")?;
            serde_json::from_str(&text).context("the collector's answer is not JSON")?
        }
    };
    let text = match args.json {
        true => format!("{value:#}\n"),
        false => shown(&value, unix_millis()),
    };
    Ok(crate::stdout::write(&text)?)
}

/// What the data directory says, unless a collector has it.
fn at_rest(registrations: &Registrations, dir: &std::path::Path) -> anyhow::Result<Option<Value>> {
    if !dir.join(super::outbox::FILE).exists() {
        // Either nobody ever registered, or a collector is about to take the registration up.
        let registration = registrations.read()?;
        return Ok(Some(still(registration.as_ref(), &[])));
    }
    let outbox = Outbox::new(dir, u64::MAX);
    match outbox.list() {
        Ok(hosts) => {
            let registration = registrations.read()?;
            Ok(Some(still(registration.as_ref(), &hosts)))
        }
        Err(OutboxError::InUse { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn still(registration: Option<&Registration>, hosts: &[super::outbox::Standing]) -> Value {
    serde_json::json!({
        "state": match registration { Some(_) => "not_running", None => "not_registered" },
        "registration": registration.map(|it| serde_json::json!({
            "catalog": it.catalog, "collector_id": it.collector_id, "source_name": it.source_name, "at": it.registered,
        })),
        "outbox": {"pending": hosts.iter().map(|host| host.pending).sum::<u64>()},
        "hosts": hosts.iter().map(crate::admin::forwarded_host).collect::<Vec<_>>(),
    })
}

/// How it stands, for people. `now` is in Unix milliseconds.
fn shown(value: &Value, now: u64) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let ago = |at: &Value| at.as_u64().map_or("never".to_owned(), |at| ago(at, now));
    let registration = &value["registration"];
    let catalog = registration["catalog"].as_str().unwrap_or("?");
    match value["state"].as_str().unwrap_or_default() {
        "not_registered" => {
            line("Not registered: nothing is forwarded.".into());
            line("Add a source of type Traffic analyzer in the catalog, and run".into());
            line("    silhouette-collector register --catalog URL --token-file FILE".into());
        }
        state => {
            let how = match state {
                "connected" => format!("the catalog answers, since {}", ago(&value["since"])),
                "connecting" => "no answer yet".into(),
                "away" => format!(
                    "the catalog does not answer, since {}",
                    ago(&value["since"])
                ),
                "refused" => "the catalog does not know the credential any more".into(),
                _ => "the collector does not run".into(),
            };
            let source = registration["source_name"].as_str().unwrap_or("?");
            line(format!(
                "Registered with {catalog}, source `{source}`: {how}."
            ));
        }
    }
    if value["auto_sync"] == false {
        line(
            "Auto-sync is off: what waits is sent when somebody presses Sync in the catalog."
                .into(),
        );
    }
    if let Some(error) = value["last_error"].as_str() {
        line(format!("Last error: {error}"));
    }
    for trouble in value["troubles"].as_array().into_iter().flatten() {
        let host = trouble["host"]
            .as_str()
            .map(|host| format!("{host}: "))
            .unwrap_or_default();
        line(format!(
            "  {host}{} (since {}, {} times)",
            trouble["what"].as_str().unwrap_or_default(),
            ago(&trouble["since"]),
            trouble["times"]
        ));
    }
    if let Some(waiting) = value["hosts_waiting"].as_u64() {
        line(format!(
            "{} hosts, of which {waiting} have too few operations yet (setting `minimum_operations`).",
            value["hosts_known"]
        ));
    }
    let hosts = value["hosts"].as_array().map_or(&[][..], Vec::as_slice);
    if !hosts.is_empty() {
        let mut table = comfy_table::Table::new();
        table.set_header(["host", "waits", "since", "last sent", "folded", "refused"]);
        for host in hosts {
            let refused = match &host["refused"] {
                Value::Null => String::new(),
                refused => format!(
                    "{} ({})",
                    refused["why"].as_str().unwrap_or_default(),
                    ago(&refused["at"])
                ),
            };
            let since = match &host["pending_since"] {
                Value::Null => String::new(),
                since => ago(since),
            };
            table.add_row([
                host["host"].as_str().unwrap_or_default().to_owned(),
                host["pending"].to_string(),
                since,
                ago(&host["delivered"]["at"]),
                host["merged"].to_string(),
                refused,
            ]);
        }
        line(table.to_string());
    }
    out
}

/// `12 s ago`, `3 h ago`.
fn ago(at: u64, now: u64) -> String {
    let seconds = now.saturating_sub(at) / 1000;
    match seconds {
        0..90 => format!("{seconds} s ago"),
        90..5_400 => format!("{} min ago", seconds / 60),
        5_400..129_600 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ages_are_told_in_one_unit() {
        for (seconds, want) in [
            (0, "0 s ago"),
            (89, "89 s ago"),
            (90, "1 min ago"),
            (7_200, "2 h ago"),
            (864_000, "10 d ago"),
        ] {
            assert_eq!(ago(1_000, 1_000 + seconds * 1_000), want);
        }
        assert_eq!(ago(5_000, 1_000), "0 s ago", "the clock went back");
    }

    #[test]
    fn the_status_says_what_to_do_and_what_is_wrong() {
        let text = shown(&json!({"state": "not_registered", "hosts": []}), 0);
        assert!(
            text.contains("silhouette-collector register --catalog"),
            "{text}"
        );
        let text = shown(
            &json!({
                "state": "away", "since": 1_000, "auto_sync": false,
                "registration": {"catalog": "https://c.example/", "source_name": "Edge"},
                "last_error": "cannot reach it", "hosts_known": 4, "hosts_waiting": 1,
                "troubles": [{"what": "cannot reach it", "host": null, "since": 1_000, "times": 3}],
                "hosts": [{"host": "shop.example", "pending": 2, "pending_since": 1_000, "merged": 1, "delivered": {"at": 1_000},
                    "refused": {"why": "no document", "at": 1_000}}],
            }),
            61_000,
        );
        for want in [
            "https://c.example/, source `Edge`: the catalog does not answer, since 60 s ago",
            "Auto-sync is off",
            "Last error: cannot reach it",
            "3 times",
            "4 hosts, of which 1",
            "shop.example",
            "no document (60 s ago)",
        ] {
            assert!(text.contains(want), "no {want:?} in\n{text}");
        }
    }
}
