//! `cargo xtask up`: everything at work on this machine, on loopback, on embedded defaults.
//!
//! In: a checkout. Out: catalog, collector, bookshop and nginx with the module between them, a minute of varied clients, and
//! where to look; or, with `--check`, the verdict whether the API that the catalog discovered has exactly the bookshop's
//! operations.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use serde_json::json;

use crate::catalog::{self, Catalog};
use crate::children::{self, Running};
use crate::{command, install, workspace};

/// Flags of `up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Uses ports 8080 (nginx), 8081 (bookshop), 4320 and 4321 (collector), 4330 (catalog) on 127.0.0.1 where they are free, others
where not.
Data and logs are in target/up/ and begin anew each time. Ctrl-C stops everything.")]
pub(crate) struct Args {
    /// Do not stay: play, compare what the catalog discovered with what the bookshop has, exit 0 or say what differs
    #[arg(long)]
    pub(crate) check: bool,
    /// How long the clients play
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) seconds: u64,
    /// The profile whose programs are run; the test suite's are built already
    #[arg(long, default_value = "release", hide = true)]
    pub(crate) profile: String,
}

/// Clients' requests per second.
const RATE: u64 = 60;

struct Ports {
    nginx: u16,
    bookshop: u16,
    telemetry: u16,
    admin: u16,
    catalog: u16,
}

/// Runs it to its end.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.profile == "release" {
        install::for_up()?;
        build(&args.profile)?;
    }
    children::catch_interrupts().or_else(|error| if args.check { Ok(()) } else { Err(error) })?;
    let dir = workspace::target().join("up");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| {
            format!(
                "removing what is left of the last time in {}",
                dir.display()
            )
        })?;
    }
    std::fs::create_dir_all(&dir)?;

    let ports = Ports {
        nginx: children::port(8080)?,
        bookshop: children::port(8081)?,
        telemetry: children::port(4320)?,
        admin: children::port(4321)?,
        catalog: children::port(4330)?,
    };
    let built = workspace::built(&args.profile);
    // In this order, so that they end in the reverse one: nginx can still send what it has.
    let (keeps, catalog) = Catalog::start(&built, &dir, ports.catalog)?;
    let collector = collector(&built, &dir, &ports)?;
    register(&built, &dir, &catalog)?;
    let bookshop = bookshop(&built, &dir, &ports)?;
    let nginx = nginx(&built, &dir, &ports)?;
    let mut all = [keeps, collector, bookshop, nginx];
    if !args.check {
        print_where(&dir, &ports);
    }
    let good = play(&built, args, &ports, &catalog, &mut all)?;
    if args.check {
        // The first that was started ends last.
        all.into_iter().rev().for_each(drop);
        return Ok(if good == Some(true) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    if good.is_some() {
        stay(&built, &ports, &mut all)?;
    }
    println!("\nStopping.");
    all.into_iter().rev().for_each(drop);
    Ok(ExitCode::SUCCESS)
}

fn build(profile: &str) -> Result<()> {
    println!("Building ({profile}); the first time takes some minutes.");
    let mut cargo = command::cargo();
    cargo.args([
        "build",
        "--profile",
        profile,
        "-p",
        "silhouette-nginx",
        "-p",
        "silhouette-collector",
        "-p",
        "silhouette-catalog",
    ]);
    command::run(cargo.args(["-p", "silhouette-e2e"]))
}

fn collector(built: &Path, dir: &Path, ports: &Ports) -> Result<Running> {
    let mut command = children::tied(built.join("silhouette-collector"));
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(dir.join("collector"));
    command
        .arg("--listen")
        .arg(format!("127.0.0.1:{}", ports.telemetry));
    command
        .arg("--admin-listen")
        .arg(format!("127.0.0.1:{}", ports.admin));
    // A minute has to show what takes longer otherwise.
    command.args([
        "--settle",
        "3s",
        "--settle-limit",
        "10s",
        "--seen-interval",
        "10s",
    ]);
    let log = dir.join("collector.log");
    Running::start_and_listen("silhouette-collector", &mut command, &log, "listening ")
        .map(|(running, _)| running)
}

/// Adds a source to the catalog, and registers the collector with its token.
fn register(built: &Path, dir: &Path, catalog: &Catalog) -> Result<()> {
    let source = json!({ "name": "Bookshop's gateway", "kind": "traffic-analyzer" });
    let source = catalog.ask("POST", "/api/v1/sources", Some(&source))?;
    let id = source["id"].as_str().context("a source has an id")?;
    let path = format!("/api/v1/sources/{id}/tokens");
    let made = catalog.ask("POST", &path, None)?;
    let token = dir.join("registration-token");
    std::fs::write(&token, made["token"].as_str().context("the token")?)?;
    let mut register = command::program(built.join("silhouette-collector"));
    register.args(["register", "--catalog", &catalog.url, "--token-file"]);
    register
        .arg(token)
        .arg("--data-dir")
        .arg(dir.join("collector"));
    command::output(&mut register).map(drop)
}

fn bookshop(built: &Path, dir: &Path, ports: &Ports) -> Result<Running> {
    let mut command = children::tied(built.join("silhouette-bookshop"));
    command
        .arg("--listen")
        .arg(format!("127.0.0.1:{}", ports.bookshop));
    let log = dir.join("bookshop.log");
    Running::start_and_listen("silhouette-bookshop", &mut command, &log, "listening ")
        .map(|(running, _)| running)
}

fn nginx(built: &Path, dir: &Path, ports: &Ports) -> Result<Running> {
    let dir = dir.join("nginx");
    std::fs::create_dir_all(&dir)?;
    let module = built.join("libngx_http_silhouette_module.so");
    let preamble = children::nginx_preamble(&dir, 2, Some(&module));
    let paths = children::nginx_paths(&dir);
    let Ports {
        nginx,
        bookshop,
        telemetry,
        ..
    } = ports;
    let access = dir.join("access.log");
    let access = access.display();
    let config = format!(
        "{preamble}events {{ worker_connections 1024; }}
http {{
{paths}
  log_format seen '$remote_addr \"$request\" $status $body_bytes_sent silhouette=$silhouette_status';
  access_log {access} seen;

  # These two lines are all that Silhouette needs.
  silhouette on;
  silhouette_collector http://127.0.0.1:{telemetry};

  upstream bookshop {{
    server 127.0.0.1:{bookshop};
    keepalive 16;
  }}
  server {{
    listen 127.0.0.1:{nginx};
    server_name localhost;
    location / {{
      proxy_pass http://bookshop;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
    }}
    location = /silhouette-status {{
      silhouette off;
      silhouette_status;
    }}
  }}
}}
"
    );
    std::fs::write(dir.join("nginx.conf"), config)?;
    children::nginx(&dir, *nginx)
}

fn player(built: &Path, ports: &Ports) -> Command {
    let mut command = children::tied(built.join("silhouette-play"));
    // By address, so that it works where localhost is looked up in strange ways; by name, because that is the API's host.
    command
        .arg("--base")
        .arg(format!("http://127.0.0.1:{}", ports.nginx));
    command
        .arg("--host")
        .arg(format!("localhost:{}", ports.nginx));
    command
}

/// `Some(whether the document is right)`, `None` when interrupted.
fn play(
    built: &Path,
    args: &Args,
    ports: &Ports,
    catalog: &Catalog,
    all: &mut [Running],
) -> Result<Option<bool>> {
    let mut command = player(built, ports);
    command
        .arg("--compare")
        .arg(format!("http://127.0.0.1:{}", ports.admin))
        .args(["--catalog", &catalog.url])
        .env("SILHOUETTE_PLAY_CATALOG_KEY", &catalog.key);
    let requests = (RATE * args.seconds).to_string();
    if args.check {
        println!(
            "Playing {requests} requests of varied clients through nginx, as fast as it goes."
        );
        command.args(["--rate", "0", "--seconds", "600", "--requests", &requests]);
    } else {
        command.args([
            "--rate",
            &RATE.to_string(),
            "--seconds",
            &args.seconds.to_string(),
        ]);
    }
    let good = Running::spawn("silhouette-play", &mut command)?.wait()?;
    alive(all)?;
    Ok(good)
}

fn alive(all: &mut [Running]) -> Result<()> {
    for running in all {
        if running.ended()?.is_some() {
            bail!(
                "{} has ended by itself; its log is in {}",
                running.name(),
                workspace::target().join("up").display()
            );
        }
    }
    Ok(())
}

fn stay(built: &Path, ports: &Ports, all: &mut [Running]) -> Result<()> {
    let mut command = player(built, ports);
    command.args([
        "--rate",
        "3",
        "--seconds",
        "1000000",
        "--people",
        "3",
        "--seed",
        "7",
    ]);
    let _trickle = Running::spawn(
        "silhouette-play",
        command.stdout(Stdio::null()).stderr(Stdio::null()),
    )?;
    println!("\nA few clients stay, three requests per second. Ctrl-C stops everything.");
    while !children::interrupted() {
        alive(all)?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn print_where(dir: &Path, ports: &Ports) {
    let Ports {
        nginx,
        admin,
        catalog,
        ..
    } = ports;
    let (owner, password) = (catalog::OWNER, catalog::PASSWORD);
    println!(
        "
Silhouette is at work:

  catalog     http://127.0.0.1:{catalog}/discovery
              sign in as {owner} with the password {password}
  REST API    http://127.0.0.1:{catalog}/swagger/
  live page   http://127.0.0.1:{admin}/, the collector's own
  document    http://127.0.0.1:{admin}/v1/hosts/localhost:{nginx}/openapi.yaml
  the API     http://localhost:{nginx}/api/v1/books, a bookshop behind nginx. Try it, and look at the document again:
                curl http://localhost:{nginx}/api/v1/books/bestsellers
  nginx       http://localhost:{nginx}/silhouette-status counts what the module captured and sent
  all else    {}: data, logs, nginx.conf
",
        dir.display()
    );
}
