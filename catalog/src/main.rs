//! The `silhouette-catalog` program: parses the command line, runs one command, and turns its outcome into an exit code (0 good,
//! 1 failed, 2 wrong usage). Everything it does is in the library.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser as _};
use silhouette_catalog::Millis;
use silhouette_catalog::access::password::Passwords;
use silhouette_catalog::access::{Actor, first, keys, organisations, users};
use silhouette_catalog::cli::{Cli, Command, Key, Organisation, Storage, User, Within};
use silhouette_catalog::config::{Config, LogFormat};
use silhouette_catalog::serve::{self, Server};
use silhouette_catalog::store::{self, Direction, Page, Store};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Documents are large and of all sizes, and come and go: the C library's allocator keeps what they leave behind.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // For documents that are fetched over TLS; only the first call sets it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("silhouette-catalog: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it. Errors of the library say their cause themselves: nothing is said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut out = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if out.is_empty() {
            out = cause;
        } else if !out.contains(&cause) {
            out.push_str(": ");
            out.push_str(&cause);
        }
    }
    out
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let command = cli
        .command
        .unwrap_or_else(|| Command::Serve(Box::new(cli.serve)));
    match command {
        Command::Serve(serve) => {
            let config = serve.build()?;
            log_to_stderr(&config)?;
            wait_for(serve_until_signal(config))
        }
        Command::CheckConfig(serve) => {
            let config = serve.build()?;
            log_filter(&config)?;
            say(&format!("{config:#?}\n"))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "silhouette-catalog",
                &mut script,
            );
            say(&String::from_utf8_lossy(&script))
        }
        Command::Backup { file, storage } => wait_for(backup(file, storage)),
        Command::Restore { file, storage } => wait_for(restore(file, storage)),
        Command::User(command) => wait_for(user(command)),
        Command::Key(command) => wait_for(key(command)),
        Command::Organisation(command) => wait_for(organisation(command)),
    }
}

fn wait_for(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(work)
}

/// To stdout; a reader that has left is no failure.
fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| std::io::stdout().flush())
    {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

fn log_filter(config: &Config) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&config.log).with_context(|| {
        format!("setting `log`: `{}` is not a log filter; want a level such as info, or info,silhouette_catalog=debug", config.log)
    })
}

fn log_to_stderr(config: &Config) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(log_filter(config)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn serve_until_signal(config: Config) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut server = Server::start(config).await?;
    // The first line on stdout: scripts wait for it and take the address from it.
    say(&format!("listening {}\n", server.url()))?;
    if let Some(owner) = server.take_first_owner() {
        let at = &server.app().public_url;
        let email = &owner.email;
        match owner.password {
            Some(password) => say(&format!(
                "first start: sign in at {at}/ as {email} with the password {password}\n\
                 It is shown this once, and to be changed at the first sign-in.\n"
            ))?,
            None => say(&format!(
                "first start: sign in at {at}/ as {email} with the password you gave\n"
            ))?,
        }
    }
    let (told_to_end, ending) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut told = Some(told_to_end);
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            match told.take() {
                Some(told) => drop(told.send(())),
                // Asked twice: whoever asks does not want to wait. What was answered for is committed.
                None => std::process::exit(1),
            }
        }
    });
    server.run(async { drop(ending.await) }).await;
    Ok(())
}

async fn open(storage: &Storage) -> anyhow::Result<Store> {
    Ok(serve::open_existing(&storage.build()?).await?)
}

/// The store, and who sits at the machine of one of its organisations.
async fn enter(within: &Within) -> anyhow::Result<(Store, Actor)> {
    let store = open(&within.storage).await?;
    let all = organisations::all(&store).await?;
    let names = || {
        let names: Vec<String> = all
            .iter()
            .map(|o| format!("{} ({})", o.name, o.id))
            .collect();
        names.join(", ")
    };
    let mut chosen = all
        .iter()
        .filter(|organisation| match &within.organisation {
            Some(text) => organisation.name == *text || organisation.id.as_str() == *text,
            None => true,
        });
    let organisation = match (chosen.next(), chosen.next()) {
        (Some(one), None) => one,
        (None, _) if all.is_empty() => bail!(
            "there is no organisation yet: the first start of `silhouette-catalog serve` makes one, or `organisation add`"
        ),
        (None, _) => bail!("there is no such organisation; there are: {}", names()),
        (Some(_), Some(_)) => bail!(
            "there are several; say which by --organisation NAME or ID: {}",
            names()
        ),
    };
    Ok((store.clone(), Actor::command_line(organisation.id.clone())))
}

fn password_in(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    file.map(|path| {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the password from {}", path.display()))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    })
    .transpose()
}

async fn backup(file: PathBuf, storage: Storage) -> anyhow::Result<()> {
    let store = open(&storage).await?;
    let counts = store.backup(&file, Millis::now(), progress).await?;
    store.close().await;
    let rows: u64 = counts.values().sum();
    eprintln!("{rows} rows are saved in {}.", file.display());
    Ok(())
}

async fn restore(file: PathBuf, storage: Storage) -> anyhow::Result<()> {
    let config = storage.build()?;
    serve::make_data_dir(&config)?;
    let counts = store::restore(&config.database_url.0, &file, progress).await?;
    let rows: u64 = counts.values().sum();
    eprintln!("{rows} rows are restored from {}.", file.display());
    Ok(())
}

fn progress(table: &str, rows: u64) {
    if std::io::stderr().is_terminal() {
        eprintln!("{table}: {rows}");
    }
}

async fn user(command: User) -> anyhow::Result<()> {
    let now = Millis::now();
    match command {
        User::Add {
            email,
            name,
            role,
            password_file,
            within,
        } => {
            let password = password_in(password_file.as_deref())?;
            let (store, actor) = enter(&within).await?;
            let new = users::New {
                email: &email,
                name: &name,
                role: &role,
                password: password.as_deref(),
            };
            let invited = users::invite(&store, &Passwords::new()?, &actor, new, now).await?;
            match (invited.password, password) {
                (Some(made), _) => {
                    say(&format!("{made}\n"))?;
                    eprintln!(
                        "This is the password of {email}, to be changed at the first sign-in. It is shown this once."
                    );
                }
                (None, Some(_)) => eprintln!("{email} is added."),
                (None, None) => eprintln!(
                    "{email} has an account already: it is added, and its password stays."
                ),
            }
            store.close().await;
        }
        User::ResetPassword { email, within } => {
            let (store, actor) = enter(&within).await?;
            let id = users::by_email(&store, &actor, &email).await?;
            let made = users::reset_password(&store, &Passwords::new()?, &actor, &id, now).await?;
            say(&format!("{made}\n"))?;
            eprintln!(
                "This is the new password of {email}, to be changed at the next sign-in. It is shown this once."
            );
            store.close().await;
        }
        User::List { within } => {
            let (store, actor) = enter(&within).await?;
            let mut number = 1;
            loop {
                let page = Page::new(number, Page::MAX_SIZE)?;
                let order = (users::Order::Email, Direction::Ascending);
                let found =
                    users::list(&store, &actor, &users::Filter::default(), order, page).await?;
                for user in &found.items {
                    let state = if user.active { "" } else { "  (deactivated)" };
                    say(&format!(
                        "{}  {}  {}{state}\n",
                        user.email, user.name, user.role_title
                    ))?;
                }
                if found.pages() <= u64::from(number) {
                    break;
                }
                number += 1;
            }
            store.close().await;
        }
    }
    Ok(())
}

async fn key(command: Key) -> anyhow::Result<()> {
    let now = Millis::now();
    let Key::Create {
        user,
        name,
        expires,
        within,
    } = command;
    let (store, actor) = enter(&within).await?;
    let id = users::by_email(&store, &actor, &user).await?;
    let expires = expires.map(|span| now.plus(span.0));
    let made = keys::create_for(&store, &actor, &id, &name, expires, now).await?;
    // Only the key on stdout, so that it can go straight into a file or a variable.
    say(&format!("{}\n", made.secret))?;
    eprintln!(
        "This is the API key `{name}` of {user}. It is shown this once; only its hash is kept."
    );
    store.close().await;
    Ok(())
}

async fn organisation(command: Organisation) -> anyhow::Result<()> {
    match command {
        Organisation::Add {
            name,
            owner_email,
            storage,
        } => {
            // The first one may be made so, too.
            let store = serve::open(&storage.build()?).await?;
            if organisations::all(&store)
                .await?
                .iter()
                .any(|there| there.name == name.trim())
            {
                bail!("there is an organisation {name} already; choose another name");
            }
            let owner = first::with_owner(
                &store,
                &Passwords::new()?,
                &name,
                &owner_email,
                None,
                Millis::now(),
            )
            .await?;
            match owner.password {
                Some(made) => {
                    say(&format!("{made}\n"))?;
                    eprintln!(
                        "This is the password of {}, to be changed at the first sign-in. It is shown this once.",
                        owner.email
                    );
                }
                None => eprintln!(
                    "{} has an account already: it is the owner, and its password stays.",
                    owner.email
                ),
            }
            store.close().await;
        }
        Organisation::List { storage } => {
            let store = open(&storage).await?;
            for organisation in organisations::all(&store).await? {
                say(&format!("{}  {}\n", organisation.id, organisation.name))?;
            }
            store.close().await;
        }
    }
    Ok(())
}
