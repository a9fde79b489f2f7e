//! The `silhouette-collector` program: parses the command line, runs one command, and turns its outcome into an exit
//! code (0 good, 1 failed, 2 wrong usage). Everything it does is in the library.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use silhouette_collector::cli::{Cli, Command};
use silhouette_collector::learn;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("silhouette-collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Learn(args) => return Ok(learn::run(&args)),
        Command::CheckConfig(serve) => {
            let config = serve.settings()?.build()?;
            println!("{config:#?}");
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "silhouette-collector",
                &mut std::io::stdout(),
            );
        }
        Command::Serve(_) | Command::Token(_) => anyhow::bail!("this build cannot serve"),
    }
    Ok(ExitCode::SUCCESS)
}
