//! `cargo xtask test`: everything that must hold before a change is merged.
//!
//! In: a checkout. Out: each step with its time, and one last line with what passed and failed in all of them together.
//! Builds once, into one target directory; each step goes on with what is built already.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::tally::Tally;
use crate::{command, filter, install, installers, linters, package, up, worker, workspace};

/// Flags of `test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The last line is what passed and failed, over all runners. The exit code is 0 only when nothing failed.
One crate alone is quicker with plain cargo: cargo test -p silhouette-capture.")]
pub(crate) struct Args {}

/// Runs every step; those that make no sense without an earlier one are left out when it failed.
pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let mut suite = Suite::default();
    let ready = suite.step("install what is missing", |_| install::everything())
        && suite.step("build", |_| {
            // All that the tests need; benches are checked with the lints.
            cargo(&[
                "build",
                "--workspace",
                "--lib",
                "--bins",
                "--examples",
                "--tests",
            ])
        });
    if ready {
        suite.step("format", |tally| {
            verdict(tally, cargo(&["fmt", "--all", "--check"]))
        });
        suite.step("lints", |tally| {
            verdict(
                tally,
                cargo(&[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--quiet",
                    "--",
                    "-D",
                    "warnings",
                ]),
            )
        });
        // Tests run the filter as it ships.
        suite.step("the proxy-wasm filter", |tally| {
            let built = filter::build()?;
            verdict(tally, built.weigh())?;
            verdict(tally, package::kong(&built).map(drop))
        });
        suite.step("the Cloudflare Worker", |tally| {
            let built = worker::build()?;
            verdict(tally, worker::build_faulty().map(drop))?;
            verdict(tally, package::cloudflare(&built).map(drop))
        });
        suite.step("tests", tests);
        suite.step("the shims' core on WebAssembly", wasm);
        suite.step("what installs the iRule", |tally| {
            installers::run(tally).map(drop)
        });
        suite.step("linters on sample documents", linters::run);
        suite.step("reports against the schema of SARIF", linters::sarif);
        suite.step("up --check", |tally| {
            let args = up::Args {
                check: true,
                seconds: 60,
                profile: "dev".to_owned(),
            };
            tally.one(up::run(&args)? == ExitCode::SUCCESS);
            Ok(())
        });
    }
    println!("\nsteps:");
    for (name, good, seconds) in &suite.steps {
        println!(
            "  {:<32} {} {seconds:7.1} s",
            name,
            if *good { "ok    " } else { "FAILED" }
        );
    }
    println!(
        "  {:<32}        {:7.1} s\n",
        "together",
        begin.elapsed().as_secs_f64()
    );
    println!("{}", suite.tally);
    Ok(if suite.tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Default)]
struct Suite {
    tally: Tally,
    steps: Vec<(&'static str, bool, f64)>,
}

impl Suite {
    /// Runs one step; an error in it counts as one failure. Whether nothing in it failed.
    fn step(&mut self, name: &'static str, work: impl FnOnce(&mut Tally) -> Result<()>) -> bool {
        println!("\n== {name}");
        let begin = Instant::now();
        let mut tally = Tally::default();
        if let Err(error) = work(&mut tally) {
            println!("{error:#}");
            tally.failed += 1;
        }
        let (good, seconds) = (tally.failed == 0, begin.elapsed().as_secs_f64());
        println!("== {name}: {tally}, {seconds:.1} s");
        self.steps.push((name, good, seconds));
        self.tally += tally;
        good
    }
}

fn cargo(args: &[&str]) -> Result<()> {
    command::run(command::cargo().args(args))
}

/// A step that is one check.
fn verdict(tally: &mut Tally, result: Result<()>) -> Result<()> {
    tally.one(result.is_ok());
    if let Err(error) = result {
        println!("{error:#}");
    }
    Ok(())
}

fn tests(tally: &mut Tally) -> Result<()> {
    counted(
        tally,
        command::cargo().args(["test", "--workspace", "--no-fail-fast"]),
    )
}

/// Runs something that prints result lines, and counts them. A failure that no line told of counts as one.
fn counted(tally: &mut Tally, command: &mut std::process::Command) -> Result<()> {
    let before = *tally;
    let good = command::lines(command, |line| tally.read(line))?;
    if !good && tally.failed == before.failed {
        tally.failed += 1;
    }
    if good && tally.passed == before.passed {
        anyhow::bail!("`{}` ran no test", command::shown(command));
    }
    Ok(())
}

/// The same test vectors as natively, in Node.js: as WASI tests and as a bare module.
fn wasm(tally: &mut Tally) -> Result<()> {
    let runner = workspace::root().join("capture/wasm");
    let mut wasi = command::cargo();
    wasi.args([
        "test",
        "-p",
        "silhouette-capture",
        "--target",
        "wasm32-wasip1",
    ]);
    wasi.env(
        "CARGO_TARGET_WASM32_WASIP1_RUNNER",
        format!("node {}", runner.join("run-wasip1.mjs").display()),
    );
    counted(tally, &mut wasi)?;
    let mut bare = command::cargo();
    bare.args([
        "build",
        "-p",
        "silhouette-capture",
        "--target",
        "wasm32-unknown-unknown",
        "--example",
        "vectors",
    ]);
    command::run(&mut bare)?;
    let module = workspace::target().join("wasm32-unknown-unknown/debug/examples/vectors.wasm");
    counted(
        tally,
        command::program("node")
            .arg(runner.join("run-unknown.mjs"))
            .arg(module),
    )
}
