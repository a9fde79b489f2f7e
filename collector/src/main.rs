//! The `silhouette-collector` program: parses the command line, runs one command, and turns its outcome into an exit
//! code (0 good, 1 failed, 2 wrong usage; `diff` and `check` have their own, see their help). Everything it does is in the library.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use silhouette_collector::cli::{Cli, Command, HslKey, Token};
use silhouette_collector::config::{Config, LogFormat};
use silhouette_collector::forward::command;
use silhouette_collector::hsl::keys::Keys;
use silhouette_collector::rules::RulesInForce;
use silhouette_collector::serve::Server;
use silhouette_collector::tokens::{Scope, Tokens};
use silhouette_collector::{check, diff, explain, learn, stdout, unix_millis};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Operations rest and wake all the time, and what they leave behind is of all sizes: the C library's allocator never gave such
/// memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("silhouette-collector: {}", chain(&error));
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

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Learn(args) => return Ok(learn::run(&args)),
        Command::Diff(args) => return Ok(diff::run(&args)),
        Command::Check(args) => return Ok(check::run(&args)),
        Command::Explain(args) => return Ok(explain::run(&args)),
        Command::Serve(serve) => {
            let config = serve.settings()?.build()?;
            log_to_stderr(&config)?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("cannot start the asynchronous runtime")?
                .block_on(serve_until_signal(config))?;
        }
        Command::CheckConfig(serve) => {
            let config = serve.settings()?.build()?;
            log_filter(&config)?;
            RulesInForce::new(config.rules.clone()).context("setting `rules`")?;
            println!("{config:#?}");
        }
        Command::Register(args) => command::register(&args)?,
        Command::Unregister(args) => command::unregister(&args)?,
        Command::Forward(command::Forward::Status(args)) => command::status(&args)?,
        Command::Token(command) => token(command)?,
        Command::HslKey(command) => hsl_key(command)?,
        Command::Completions { shell } => {
            let name = "silhouette-collector";
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), name, &mut script);
            stdout::write(&String::from_utf8_lossy(&script)).context("cannot write the script")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn log_filter(config: &Config) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(&config.log).with_context(|| {
        format!("setting `log`: `{}` is not a log filter; want a level such as info, or info,silhouette_collector=debug", config.log)
    })
}

fn log_to_stderr(config: &Config) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(log_filter(config)?)
        .with_writer(std::io::stderr)
        // It would be said on stderr, which panics where stderr is a file on a disk that is full.
        .log_internal_errors(false)
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
    let server = Server::start(config).await?;
    // The one line on stdout: scripts wait for it and take the ports from it.
    let mut stdout = std::io::stdout();
    let mut line = format!(
        "listening telemetry={} admin={}",
        server.telemetry(),
        server.admin()
    );
    for (name, address) in server.hsl() {
        line.push_str(&format!(" {name}={address}"));
    }
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
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
                // Asked twice: whoever asks does not want to wait. What is acknowledged is in the journal.
                None => std::process::exit(1),
            }
        }
    });
    server.run(async { drop(ending.await) }).await;
    Ok(())
}

fn token(command: Token) -> anyhow::Result<()> {
    let now = unix_millis() / 1000;
    match command {
        Token::Create {
            name,
            expires,
            admin,
            dir,
        } => {
            let mut tokens = Tokens::open(&dir.path()?)?;
            let scope = if admin {
                Scope::Admin
            } else {
                Scope::Telemetry
            };
            let secret = tokens.create(&name, scope, expires.map(|span| span.0), now)?;
            // Only the token on stdout, so that it can go straight into a file or a variable.
            println!("{secret}");
            eprintln!(
                "This is the token of `{name}`. It is shown this once; only its hash is kept."
            );
        }
        Token::List { dir } => {
            let tokens = Tokens::open(&dir.path()?)?;
            let mut table = comfy_table::Table::new();
            table.set_header(["name", "for", "created", "expires", "state"]);
            for token in tokens.list() {
                let state = match token.state(now) {
                    Ok(()) => "valid".to_owned(),
                    Err(denied) => denied.to_string(),
                };
                let opens = match token.scope {
                    Scope::Telemetry => "telemetry",
                    Scope::Admin => "admin",
                };
                let expires = token.expires.map_or("never".to_owned(), day);
                table.add_row([&token.name, opens, &day(token.created), &expires, &state]);
            }
            println!("{table}");
        }
        Token::Revoke { name, dir } => {
            Tokens::open(&dir.path()?)?.revoke(&name, now)?;
            eprintln!("The token of `{name}` is invalid from now on.");
        }
    }
    Ok(())
}

fn hsl_key(command: HslKey) -> anyhow::Result<()> {
    let now = unix_millis() / 1000;
    match command {
        HslKey::Create { name, dir } => {
            let secret = Keys::open(&dir.path()?)?.create(&name, now)?;
            // Only the key on stdout, so that it can go straight into a file or a variable.
            println!("{secret}");
            eprintln!(
                "This is the key `{name}`, shown this once: in the BIG-IP's data-group it is `key`, and `key_id` is `{name}`."
            );
        }
        HslKey::List { dir } => {
            let keys = Keys::open(&dir.path()?)?;
            let mut table = comfy_table::Table::new();
            table.set_header(["name", "created", "state"]);
            for key in keys.list() {
                let state = key
                    .revoked
                    .map_or("in force".to_owned(), |at| format!("revoked {}", day(at)));
                table.add_row([&key.name, &day(key.created), &state]);
            }
            println!("{table}");
        }
        HslKey::Revoke { name, dir } => {
            Keys::open(&dir.path()?)?.revoke(&name, now)?;
            eprintln!("Records signed with the key `{name}` are refused from now on.");
        }
    }
    Ok(())
}

/// Unix seconds for people, in UTC.
fn day(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || seconds.to_string(),
            |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
        )
}
