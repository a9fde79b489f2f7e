//! The emulated BIG-IP's own tests: that it refuses what a BIG-IP refuses, and passes what passes.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use silhouette_e2e::bigip;

#[test]
fn the_emulated_bigip_refuses_and_passes_what_a_real_one_does() -> Result<()> {
    let output = Command::new("tclsh")
        .arg(bigip::bench().join("tests/all.tcl"))
        .stdin(Stdio::null())
        .output()
        .context("tclsh: `cargo xtask install` installs it")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{wrong}");
    // `Total N Passed N Skipped 0 Failed 0`: a file that broke has no tests in the sum.
    let line = said
        .lines()
        .find(|line| line.starts_with("all.tcl:"))
        .with_context(|| said.clone())?;
    let numbers: Vec<u64> = line
        .split('\t')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [total, passed, skipped, failed] = numbers[..] else {
        panic!("not the four numbers: {line}");
    };
    assert_eq!((passed, skipped, failed), (total, 0, 0), "{said}");
    assert!(total >= 285, "tests are missing: {said}");
    Ok(())
}
