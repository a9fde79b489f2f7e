//! The emulated BIG-IP's own tests: that it refuses what a BIG-IP refuses, and passes what passes.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use silhouette_e2e::bigip;

#[test]
fn the_emulated_bigip_refuses_and_passes_what_a_real_one_does() -> Result<()> {
    let tests = bigip::bench().join("tests");
    let output = Command::new("tclsh")
        .arg(tests.join("all.tcl"))
        .args(["-verbose", "pass body error"])
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

    // Each test that is written down has run: a file that ended early, or was not looked at, has failed nothing.
    let mut ran: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("++++ ")?.strip_suffix(" PASSED"))
        .collect();
    let (mut files, mut computed) = (0, BTreeSet::new());
    for entry in std::fs::read_dir(&tests)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path)?;
        let names = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("test ")?.split(' ').next());
        for name in names {
            match name.find(['$', '[']) {
                Some(at) => {
                    computed.insert(name[..at].to_owned());
                }
                None => assert!(ran.remove(name), "{name} of {} has not run", path.display()),
            }
        }
    }
    assert!(files > 0, "no tests in {}", tests.display());
    for begin in computed {
        let found = ran.iter().any(|name| name.starts_with(&begin));
        assert!(found, "none of the tests `{begin}...` has run");
    }
    Ok(())
}
