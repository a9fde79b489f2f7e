//! `cargo xtask package f5`: the iRule with all an administrator installs it with, as one archive.
//!
//! In: `f5-irule/silhouette.tcl`, `deploy/f5/`, `docs/f5.md`. Out: a folder under `target/package/` and the same as a `.tar.gz`. Builds
//! nothing and needs no BIG-IP. Each AS3 declaration has the rule in it, byte for byte but for the one line that says in which folder the
//! data-group is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::package::{checksums, place};
use crate::{command, workspace};

/// What an iRule may have at most, in bytes (F5 K9204).
pub(crate) const MOST: usize = 65_520;
/// What the declarations have in the rule's place: the name of its file.
const PLACE: &str = "silhouette.tcl";
/// How the rule and its data-group are called in a declaration.
const RULE: &str = "silhouette";
const GROUP: &str = "silhouette_settings";

/// The text of the rule as it is written.
///
/// # Errors
/// When it cannot be read, is no ASCII, or is longer than a BIG-IP takes.
pub(crate) fn rule() -> Result<String> {
    let path = workspace::root().join("f5-irule/silhouette.tcl");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    weigh(&text)?;
    Ok(text)
}

fn weigh(text: &str) -> Result<()> {
    if text.len() > MOST {
        bail!(
            "the rule has {} bytes: a BIG-IP takes {MOST} at most",
            text.len()
        );
    }
    if !text.is_ascii() {
        bail!("the rule has letters that are no ASCII, which a BIG-IP does not take");
    }
    Ok(())
}

/// The rule with another data-group.
///
/// # Errors
/// When not exactly one line says which that is.
pub(crate) fn with_group(rule: &str, group: &str) -> Result<String> {
    let begin = "set static::sil_group ";
    let mut lines: Vec<String> = rule.split('\n').map(str::to_owned).collect();
    let mut found = lines
        .iter_mut()
        .filter(|line| line.trim_start().starts_with(begin));
    let (Some(line), None) = (found.next(), found.next()) else {
        bail!("the rule should have one line `{begin}…`");
    };
    let indent = line.len() - line.trim_start().len();
    *line = format!("{}{begin}{group}", " ".repeat(indent));
    Ok(lines.join("\n"))
}

/// An application of a declaration, and where it is: `/Common/Shared`.
pub(crate) fn applications(request: &Value) -> Vec<(String, &Value)> {
    let classed = |value: &'_ Value, class: &str| value["class"] == class;
    let mut found = Vec::new();
    let tenants = request["declaration"].as_object().into_iter().flatten();
    for (tenant, inside) in tenants.filter(|(_, value)| classed(value, "Tenant")) {
        let applications = inside.as_object().into_iter().flatten();
        for (name, application) in applications.filter(|(_, value)| classed(value, "Application")) {
            found.push((format!("/{tenant}/{name}"), application));
        }
    }
    found
}

/// An AS3 request with the rule in it, where it has a rule.
///
/// # Errors
/// When it is no JSON, or has something else in the rule's place.
fn filled(request: &str, rule: &str) -> Result<String> {
    let mut request: Value = serde_json::from_str(request)?;
    let places: Vec<String> = applications(&request)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    for path in places {
        let pointer = format!("/declaration{path}/{RULE}/iRule/base64");
        let place = request
            .pointer_mut(&pointer)
            .with_context(|| format!("there is no rule in {path}"))?;
        if place.as_str() != Some(&STANDARD.encode(PLACE)) {
            bail!("{pointer} is to be the name of the rule's file, in base64");
        }
        *place = STANDARD
            .encode(with_group(rule, &format!("{path}/{GROUP}"))?)
            .into();
    }
    Ok(serde_json::to_string_pretty(&request)? + "\n")
}

/// Makes the folder; its path.
///
/// # Errors
/// When something is missing or no declaration of ours, the rule is too long, or `sha256sum` fails.
fn folder() -> Result<PathBuf> {
    let root = workspace::root();
    let rule = rule()?;
    let out = root.join("target/package").join(name());
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    for (from, to) in [
        ("f5-irule/silhouette.tcl", PLACE),
        ("docs/f5.md", "f5.md"),
        ("docs/images/f5.svg", "images/f5.svg"),
        ("LICENSE", "LICENSE"),
    ] {
        place(&root.join(from), &out.join(to), 0o644)?;
    }
    let deploy = root.join("deploy/f5");
    for file in files(&deploy)? {
        place(&deploy.join(&file), &out.join(&file), 0o644)?;
    }
    for file in files(&out.join("as3"))? {
        let path = out.join("as3").join(file);
        let request = std::fs::read_to_string(&path)?;
        let request =
            filled(&request, &rule).with_context(|| format!("filling {}", path.display()))?;
        std::fs::write(&path, request)?;
    }
    let files = files(&out)?;
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    checksums(&out, &files)?;
    Ok(out)
}

/// Makes the folder and the archive of it; both paths. The archive is the same for the same files.
///
/// # Errors
/// As [`folder`], or when `tar` fails, or what comes out of the archive is not what went in.
pub(crate) fn package() -> Result<(PathBuf, PathBuf)> {
    let folder = folder()?;
    let parent = folder.parent().context("a folder in a folder")?;
    let archive = parent.join(format!("{}.tar.gz", name()));
    command::output(
        command::program("tar")
            .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
            .args(["--numeric-owner", "-C"])
            .arg(parent)
            .args(["-czf"])
            .arg(&archive)
            .arg(name()),
    )?;
    // As an administrator unpacks it.
    let unpacked = parent.join(format!("{}.unpacked", name()));
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked)?;
    }
    std::fs::create_dir_all(&unpacked)?;
    command::output(
        command::program("tar")
            .args(["--strip-components=1", "-C"])
            .arg(&unpacked)
            .arg("-xzf")
            .arg(&archive),
    )?;
    command::output(
        command::program("sha256sum")
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(&unpacked),
    )?;
    std::fs::remove_dir_all(&unpacked)?;
    Ok((folder, archive))
}

fn name() -> String {
    format!("silhouette-f5-{}", env!("CARGO_PKG_VERSION"))
}

/// Every file below a folder, by its path from there, sorted. Hidden ones are what tools leave behind.
pub(crate) fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            let inside = files(&entry.path())?;
            found.extend(inside.into_iter().map(|file| format!("{name}/{file}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "when RULE_INIT {\n    set static::sil_group /Common/silhouette_settings\n}\n";

    #[test]
    fn the_data_group_is_named_in_one_line() {
        let other = with_group(TEXT, "/Shop/Books/silhouette_settings").unwrap();
        assert_eq!(
            other,
            "when RULE_INIT {\n    set static::sil_group /Shop/Books/silhouette_settings\n}\n"
        );
        assert!(with_group("when RULE_INIT { }\n", "/x").is_err());
        assert!(with_group(&format!("{TEXT}{TEXT}"), "/x").is_err());
    }

    #[test]
    fn a_declaration_without_its_place_for_the_rule_is_refused() {
        let request = |base64: &str| {
            format!(
                r#"{{"declaration":{{"class":"ADC","Shop":{{"class":"Tenant","Books":{{"class":"Application",
                "silhouette":{{"class":"iRule","iRule":{{"base64":"{base64}"}}}}}}}}}}}}"#
            )
        };
        let good = filled(&request("c2lsaG91ZXR0ZS50Y2w="), TEXT).unwrap();
        let good: Value = serde_json::from_str(&good).unwrap();
        let text = good["declaration"]["Shop"]["Books"]["silhouette"]["iRule"]["base64"].as_str();
        let text = String::from_utf8(STANDARD.decode(text.unwrap()).unwrap()).unwrap();
        assert_eq!(text, TEXT.replace("/Common/", "/Shop/Books/"));
        let error = filled(&request("d2hlbg=="), TEXT).unwrap_err();
        assert!(
            error.to_string().contains("name of the rule's file"),
            "{error}"
        );
    }

    #[test]
    fn a_rule_that_a_big_ip_does_not_take_is_refused() {
        assert!(weigh(&"#".repeat(MOST)).is_ok());
        assert!(weigh(&"#".repeat(MOST + 1)).is_err());
        assert!(weigh("# ü\n").is_err());
    }
}
