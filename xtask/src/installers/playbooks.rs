//! Playbooks, played by Ansible itself with a stand-in for F5's collection: what they refuse, and what they ask of a BIG-IP.
//!
//! In: the package's playbooks, what a BIG-IP has. Out: a verdict per case. The stand-in takes the options that [`ANSIBLE`] has, and notes
//! them; it never was a BIG-IP.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::ansible::ANSIBLE;
use crate::tally::Tally;
use crate::{command, workspace};

/// A module of the stand-in: says what a BIG-IP has, or notes what it was told.
const MODULE: &str = r#"
import json, os
from ansible.module_utils.basic import AnsibleModule
NAME, OPTIONS = "@NAME@", "@OPTIONS@".split()
module = AnsibleModule(argument_spec={option: {"type": "raw"} for option in OPTIONS})
told = {name: value for name, value in module.params.items() if value is not None and name != "provider"}
if NAME == "bigip_device_info":
    with open(os.path.join(os.environ["STAND_IN"], "bigip.json")) as file:
        has = json.load(file).get(told["partition"], {})
    module.exit_json(changed=False, **has)
with open(os.path.join(os.environ["STAND_IN"], "told"), "a") as file:
    file.write(NAME + " " + json.dumps(told, sort_keys=True) + "\n")
module.exit_json(changed=True)
"#;

/// A playbook, what vars.yml says otherwise, and what is in its output when it is refused, or in what the BIG-IP was told.
struct Case {
    playbook: &'static str,
    vars: Value,
    right: Result<&'static str, &'static str>,
}

/// What a BIG-IP has, by partition.
fn bigip() -> Value {
    let rule = |name: &str, text: &str| json!({"full_path": name, "definition": text});
    json!({
        "Common": {
            "virtual_servers": [
                {"full_path": "/Common/vs_books", "name": "vs_books", "irules": ["/Common/redirects"]},
                {"full_path": "/Common/vs_waf", "name": "vs_waf", "irules": ["/Common/waf"]},
                {"full_path": "/Common/vs_hidden", "name": "vs_hidden", "irules": ["/Common/hidden"]},
                {"full_path": "/Common/vs_plain", "name": "vs_plain"},
            ],
            "irules": [
                rule("/Common/redirects", "when HTTP_REQUEST {\n  # no HTTP::collect\n}"),
                rule("/Common/waf", "# ours\nwhen HTTP_REQUEST { HTTP::collect 100 }"),
                {"full_path": "/Common/hidden"},
            ],
        },
        "Shop": {
            "virtual_servers": [
                {"full_path": "/Shop/vs_shop", "name": "vs_shop", "irules": ["/Shop/late", "/Common/silhouette"]},
            ],
            "irules": [rule("/Shop/late", "when HTTP_RESPONSE_DATA { HTTP::release }")],
        },
    })
}

fn cases() -> Vec<Case> {
    let attach = |virtuals: &str, more: Value, right| {
        let mut vars = more;
        vars["silhouette_virtual_servers"] = json!([virtuals]);
        Case {
            playbook: "attach.yml",
            vars,
            right,
        }
    };
    let install = |more: Value, right| {
        let mut vars = json!({"silhouette_virtual_servers": ["/Common/vs_books"]});
        for (name, value) in more.as_object().into_iter().flatten() {
            vars[name] = value.clone();
        }
        Case {
            playbook: "silhouette.yml",
            vars,
            right,
        }
    };
    let collect = |value: &str| json!({"silhouette_settings": {"collect": value}});
    let at = |address: &str| json!({"silhouette_collector": [{"address": address, "port": 5140}]});
    vec![
        attach(
            "/Common/vs_books",
            json!({}),
            Ok(r#"["/Common/redirects", "/Common/silhouette"]"#),
        ),
        attach(
            "/Common/vs_plain",
            json!({}),
            Ok(r#"["/Common/silhouette"]"#),
        ),
        attach(
            "/Common/vs_waf",
            json!({}),
            Err(
                "/Common/waf has HTTP::collect, HTTP_REQUEST_DATA or HTTP_RESPONSE_DATA in its text",
            ),
        ),
        attach(
            "/Common/vs_waf",
            collect("responses"),
            Err("with `collect` responses a slow client gets past"),
        ),
        attach(
            "/Common/vs_waf",
            collect("off"),
            Ok(r#"["/Common/waf", "/Common/silhouette"]"#),
        ),
        attach(
            "/Common/vs_waf",
            json!({"silhouette_beside": ["/Common/waf"]}),
            Ok(r#"["/Common/waf", "/Common/silhouette"]"#),
        ),
        attach(
            "/Common/vs_hidden",
            json!({}),
            Err("/Common/hidden has no text that can be read"),
        ),
        attach(
            "/Shop/vs_shop",
            json!({}),
            Err("/Shop/late has HTTP::collect"),
        ),
        attach(
            "/Shop/vs_shop",
            json!({"detach": true}),
            Ok(r#"["/Shop/late"], "name": "vs_shop", "partition": "Shop""#),
        ),
        attach("vs_books", json!({}), Err("vs_books is no virtual server")),
        install(json!({}), Ok(r#"{"key": "enabled", "value": "1"}"#)),
        install(
            at("172.217.0.1"),
            Err("172.217.0.1 in silhouette_collector is no private address"),
        ),
        install(at("fd00::5"), Ok(r#""address": "fd00::5""#)),
        install(
            json!({"silhouette_key": ""}),
            Err("silhouette_key is empty"),
        ),
        install(
            json!({"silhouette_settings": {"collect": false}}),
            Err("collect in silhouette_settings is False to YAML"),
        ),
        install(
            json!({"silhouette_settings": {"transport": "udp"}}),
            Ok(r#""monitors": ["/Common/gateway_icmp"]"#),
        ),
        install(
            json!({"silhouette_settings": {"transport": "udp"}, "silhouette_tls": true}),
            Err("which cannot be encrypted"),
        ),
        install(
            json!({"silhouette_tls": true, "silhouette_collector": [{"address": "203.0.113.5", "port": 5141}]}),
            Ok(r#"bigip_virtual_server {"destination": "192.0.2.140""#),
        ),
        // It has the rule already, whoever is to get it.
        install(
            json!({"silhouette_virtual_servers": ["/Shop/vs_other"]}),
            Err("/Shop/late has HTTP::collect"),
        ),
    ]
}

/// Plays each case; a verdict on each.
///
/// # Errors
/// When Ansible cannot be run.
pub(super) fn played(tally: &mut Tally, playbooks: &Path) -> Result<()> {
    let stand_in = workspace::target().join("reports/stand-in");
    if stand_in.exists() {
        std::fs::remove_dir_all(&stand_in)?;
    }
    let modules = stand_in.join("ansible_collections/f5networks/f5_modules/plugins/modules");
    std::fs::create_dir_all(&modules)?;
    for (name, options) in ANSIBLE {
        let text = MODULE
            .replace("@NAME@", name)
            .replace("@OPTIONS@", &options.join(" "));
        std::fs::write(modules.join(format!("{name}.py")), text)?;
    }
    std::fs::write(stand_in.join("bigip.json"), bigip().to_string())?;
    for case in cases() {
        let wrong = play(&case, playbooks, &stand_in)?;
        tally.one(wrong.is_none());
        if let Some(wrong) = wrong {
            println!("ansible/{} with {}: {wrong}", case.playbook, case.vars);
        }
    }
    println!("ansible: played with a stand-in for F5's collection");
    Ok(())
}

/// Plays a case; what is wrong with it.
fn play(case: &Case, playbooks: &Path, stand_in: &Path) -> Result<Option<String>> {
    let told = stand_in.join("told");
    std::fs::write(&told, "")?;
    let program = workspace::tools().join("installers/bin/ansible-playbook");
    let output = command::program(program)
        .env("ANSIBLE_COLLECTIONS_PATH", stand_in)
        .env("ANSIBLE_HOME", stand_in.join("home"))
        .env("ANSIBLE_LOCALHOST_WARNING", "0")
        .env("LC_ALL", "C.UTF-8")
        .env("SILHOUETTE_KEY", "silk_of-a-test")
        .env("STAND_IN", stand_in)
        .arg("-e")
        .arg(format!("@{}", playbooks.join("vars.yml").display()))
        .arg("-e")
        .arg(case.vars.to_string())
        .arg(playbooks.join(case.playbook))
        .output()
        .context("running ansible-playbook")?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let told = std::fs::read_to_string(told)?;
    Ok(match case.right {
        Ok(right) if !output.status.success() => {
            Some(format!("it failed, and should ask for {right}:\n{said}"))
        }
        Ok(right) if !told.contains(right) => {
            Some(format!("it should ask for {right}, and asks for:\n{told}"))
        }
        Err(_) if output.status.success() => Some("it should be refused".to_owned()),
        Err(_) if !told.is_empty() => Some(format!(
            "it should be refused before it changes anything:\n{told}"
        )),
        Err(right) if !said.contains(right) => Some(format!("it should say \"{right}\":\n{said}")),
        _ => None,
    })
}
