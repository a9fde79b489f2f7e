//! What an F5 administrator installs with, judged without a BIG-IP: the package, AS3 by F5's schema, Terraform and Ansible by the names
//! their makers document.
//!
//! In: the package's folder, the pinned Python tools, the path of F5's AS3 schema in `SILHOUETTE_AS3_SCHEMA`. Out: a verdict per file. The
//! tmsh script runs in the iRule's own tests; playbooks are played with a stand-in for F5's collection. What is not here: what the real
//! collection and Terraform's provider say.

mod ansible;
mod as3;
mod playbooks;
mod terraform;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tally::Tally;
use crate::{command, install, package_f5, workspace};

/// Prints a file of HCL as JSON.
const HCL: &str = "
import hcl2, json, sys
json.dump(hcl2.load(open(sys.argv[1])), sys.stdout)
";

/// Prints a file of YAML as JSON.
const YAML: &str = "
import json, sys, yaml
json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)
";

/// Makes the package, and judges it; the archive's path.
///
/// # Errors
/// When it cannot be made, or something in it is wrong.
pub(crate) fn package() -> Result<PathBuf> {
    install::for_installers()?;
    let mut tally = Tally::default();
    let archive = run(&mut tally)?;
    if tally.failed > 0 {
        bail!("{} of what the package has is wrong", tally.failed);
    }
    Ok(archive)
}

/// Makes the package and judges each file in it; the archive's path.
///
/// # Errors
/// When it cannot be made, or a tool is missing.
pub(crate) fn run(tally: &mut Tally) -> Result<PathBuf> {
    let (folder, archive) = package_f5::package()?;
    tally.one(true);
    let rule = package_f5::rule()?;
    let named = |inside: &str, extension: &str| -> Result<Vec<PathBuf>> {
        let files = package_f5::files(&folder.join(inside))?;
        let files: Vec<PathBuf> = files
            .iter()
            .filter(|file| file.ends_with(extension))
            .map(|file| folder.join(inside).join(file))
            .collect();
        if files.is_empty() {
            bail!("the package has nothing in {inside}");
        }
        Ok(files)
    };
    let declarations = named("as3", ".json")?;
    for file in &declarations {
        said(
            tally,
            file,
            "has the rule",
            as3::declaration(&read(file)?, &rule),
        );
    }
    as3::schema(tally, &declarations)?;
    for file in named("terraform", ".tf")? {
        let module = as_json(HCL, &file)?;
        let mut wrong = terraform::wrong(&module);
        wrong.extend(missing(&std::fs::read_to_string(&file)?, &file));
        said(tally, &file, "only what the provider has", wrong);
    }
    for file in named("ansible", ".yml")? {
        let playbook = as_json(YAML, &file)?;
        let mut wrong = ansible::wrong(&playbook);
        wrong.extend(missing(&std::fs::read_to_string(&file)?, &file));
        said(tally, &file, "only what the collection has", wrong);
    }
    playbooks::played(tally, &folder.join("ansible"))?;
    Ok(archive)
}

fn read(path: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

fn as_json(program: &str, file: &Path) -> Result<Value> {
    let mut python = command::program(workspace::tools().join("installers/bin/python"));
    let text = command::output(python.args(["-c", program]).arg(file))?;
    Ok(serde_json::from_str(&text)?)
}

/// A verdict on a file: what is right with it, or what is wrong.
fn said(tally: &mut Tally, file: &Path, right: &str, wrong: Vec<String>) {
    let name = file
        .strip_prefix(workspace::root().join("target/package"))
        .unwrap_or(file)
        .display();
    tally.one(wrong.is_empty());
    if wrong.is_empty() {
        println!("{name}: {right}");
    }
    for problem in wrong {
        println!("{name}: {problem}");
    }
}

/// Files that a file names beside itself and that the package does not have.
fn missing(text: &str, file: &Path) -> Vec<String> {
    let folder = file.parent().unwrap_or(file);
    let mut wrong = Vec::new();
    for begin in ["${path.module}/", "{{ playbook_dir }}/"] {
        for rest in text.split(begin).skip(1) {
            let named = rest.split('"').next().unwrap_or_default();
            if !folder.join(named).is_file() {
                wrong.push(format!("it reads {named}, which is not in the package"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    /// Where records may go as they are, and where not: as the collector's `hsl_listen` has it.
    pub(super) const ADDRESSES: &[(&str, bool)] = &[
        ("10.0.0.5", true),
        ("10.255.255.255", true),
        ("10.0.0.256", false),
        ("10.0.5", false),
        ("11.0.0.1", false),
        ("127.0.0.1", true),
        ("128.0.0.1", false),
        ("172.15.0.1", false),
        ("172.16.0.1", true),
        ("172.31.255.255", true),
        ("172.32.0.1", false),
        ("172.217.0.1", false),
        ("192.167.0.1", false),
        ("192.168.0.1", true),
        ("192.0.2.1", false),
        ("100.24.0.1", false),
        ("100.63.255.255", false),
        ("100.64.0.1", true),
        ("100.127.255.255", true),
        ("100.128.0.1", false),
        ("169.253.0.1", false),
        ("169.254.1.1", true),
        ("0.0.0.0", false),
        ("8.8.8.8", false),
        ("8.8.8.8%3", false),
        ("10.0.0.5%3", true),
        ("::", false),
        ("::1", true),
        ("fd00::5", true),
        ("FC00::5", true),
        ("fe80::1", true),
        ("febf::1", true),
        ("fec0::1", false),
        ("fb00::1", false),
        ("2001:db8::5", false),
        ("::ffff:10.0.0.5", true),
        ("::ffff:8.8.8.8", false),
        ("collector.example.com", false),
    ];
}
