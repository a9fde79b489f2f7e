//! From what an administrator installs to a record: the rule and the data-group as the script for tmsh leaves them, and the rule with its
//! data-group in a folder, as AS3 has it, each in the emulated BIG-IP.
//!
//! In: `deploy/f5/` and the rule as they ship. Out: exchanges that a collector takes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use silhouette_collector::hsl::refused::Refusal;
use silhouette_e2e::bigip::{self, BigIp, Setup};
use silhouette_e2e::curl::get_ok;
use silhouette_e2e::origin::Origin;
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::recording::{Hsl, Recording};

/// Runs the script for tmsh with the words after the second; then what the BIG-IP has: the rule's text in hexadecimal, and a line per
/// record of the data-group, its value in hexadecimal.
const DRIVER: &str = r#"
source [lindex $argv 0]/tmsh.tcl
::tmshell::reset
lassign [::tmshell::run [lindex $argv 1] {*}[lrange $argv 2 end]] status printed
if {$status != 0} { puts stderr $printed; exit 1 }
proc hex {text} { binary scan $text H* hex; return $hex }
puts [hex [dict get $::tmshell::config {ltm rule /Common/silhouette} text]]
dict for {name record} [dict get $::tmshell::config {ltm data-group internal /Common/silhouette_settings} records] {
    puts "$name [hex [dict get $record data]]"
}
"#;

fn unhex(hex: &str) -> Result<String> {
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16))
        .collect::<Result<Vec<u8>, _>>()?;
    Ok(String::from_utf8(bytes)?)
}

/// The one exchange that came, by its path; and that nothing was refused.
fn only_path(recording: &Recording, hsl: &Hsl) -> Result<String> {
    let exchanges = recording.wait_for(1, PATIENCE)?;
    ensure!(hsl.refused().is_empty(), "{:?}", hsl.refused());
    ensure!(exchanges.len() == 1, "{exchanges:?}");
    let request = exchanges.into_iter().next().and_then(|one| one.request);
    let path = request.context("a request")?.path;
    Ok(String::from_utf8(path.to_vec())?)
}

#[test]
fn what_the_script_for_tmsh_installs_captures() -> Result<()> {
    let recording = Recording::start()?;
    let hsl = recording.hsl()?;
    let package = tempfile::tempdir()?;
    std::fs::copy(bigip::rule(), package.path().join("silhouette.tcl"))?;
    let settings = format!(
        "# ours\nkey_id {}\nkey {}\nexclude_paths /status/*, *.css\nredact_headers +x-customer\n",
        hsl.key_id, hsl.secret
    );
    std::fs::write(package.path().join("settings.conf"), settings)?;
    let driver = package.path().join("driver.tcl");
    std::fs::write(&driver, DRIVER)?;
    let bench = bigip::bench();
    let output = Command::new("tclsh")
        .arg(&driver)
        .args([&bench, &bench.join("../../deploy/f5/tmsh/install.tcl")])
        .args(["install", "collector", "10.0.0.5:5140", "from"])
        .arg(package.path())
        .output()
        .context("tclsh: `cargo xtask install` installs it")?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // What it printed comes to this program, too; the last lines are the driver's.
    let mut lines = said.lines();
    let rule = package.path().join("installed.tcl");
    std::fs::write(&rule, unhex(lines.next().context("the rule")?)?)?;
    let installed: Vec<(String, String)> = lines
        .map(|line| {
            let (name, value) = line.split_once(' ').context("a record")?;
            Ok((name.to_owned(), unhex(value)?))
        })
        .collect::<Result<_>>()?;
    assert_eq!(installed.len(), 6, "{installed:?}");

    let (origin, key) = (Origin::start()?, (hsl.key_id.as_str(), hsl.secret.as_str()));
    let mut setup = Setup::capturing(hsl.address, key, origin.address(), &[]);
    setup.rule = rule;
    setup.settings = Some(installed);
    let pool = format!("/Common/silhouette_log={}", hsl.address);
    let big_ip = BigIp::start(&setup.with(&["--log-pool", &pool]))?;
    get_ok(&big_ip.url("/status/200"))?;
    get_ok(&big_ip.url("/json"))?;
    // The first request was excluded.
    assert_eq!(only_path(&recording, &hsl)?, "/json");
    big_ip.clean()
}

#[test]
fn the_rule_reads_its_data_group_in_a_folder() -> Result<()> {
    let recording = Recording::start()?;
    let hsl = recording.hsl()?;
    let dir = tempfile::tempdir()?;
    let rule = dir.path().join("silhouette.tcl");
    let text = std::fs::read_to_string(bigip::rule())?;
    let moved = text.replacen(
        "set static::sil_group /Common/silhouette_settings\n",
        "set static::sil_group /Common/Shared/silhouette_settings\n",
        1,
    );
    assert_ne!(moved, text);
    std::fs::write(&rule, moved)?;
    let (origin, key) = (Origin::start()?, (hsl.key_id.as_str(), hsl.secret.as_str()));
    let mut setup = Setup::capturing(hsl.address, key, origin.address(), &[]);
    setup.rule = rule;
    setup.group = "Shared/silhouette_settings".to_owned();
    let big_ip = BigIp::start(&setup)?;
    get_ok(&big_ip.url("/json"))?;
    assert_eq!(only_path(&recording, &hsl)?, "/json");
    big_ip.clean()
}

#[test]
fn declarations_name_the_data_group_as_the_rule_does() -> Result<()> {
    // `cargo xtask package f5` puts the rule in, with the path that a declaration's tenant and application give.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/f5/as3");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder)? {
        let request: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
        for (_, tenant) in request["declaration"].as_object().into_iter().flatten() {
            for (_, application) in tenant.as_object().into_iter().flatten() {
                if application["class"] == "Application" {
                    assert_eq!(application["silhouette_settings"]["class"], "Data_Group");
                    assert_eq!(application["silhouette"]["class"], "iRule");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 3);
    Ok(())
}

#[test]
fn every_reason_for_which_a_record_is_refused_is_explained() {
    let page = include_str!("../../docs/f5.md");
    for reason in Refusal::REASONS {
        let row = page.lines().find(|line| {
            let first = line.trim().split(" | ").next().unwrap_or_default();
            first.contains(&format!("`{reason}`"))
        });
        assert!(
            row.is_some(),
            "docs/f5.md does not say what to do about {reason}"
        );
    }
}
