//! What `docs/` and `deploy/` say of the filter's configuration.
//!
//! In: the pages, the examples, the schema, a real Envoy. Out: the tables of the pages are what follows from the settings, and
//! every example is accepted by those it is for.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::schema::{OWN, default_of, schema, shared};
use crate::{checkout, judged, python, read, updating};

fn rows(kong: bool) -> String {
    let mut table = String::from("\n| setting | default | accepts | |\n|---|---|---|---|\n");
    let mut add = |name: &str, default: &str, accepts: &str, help: &str| {
        let default = match default {
            "" => "–".to_owned(),
            long if long.len() > 60 => {
                "built-in list, see [nginx.md](nginx.md#directives)".to_owned()
            }
            short => format!("`{short}`"),
        };
        let accepts = accepts.replace('|', "\\|");
        table += &format!("| `{name}` | {default} | {accepts} | {help} |\n");
    };
    for setting in shared() {
        add(
            setting.name,
            default_of(setting),
            setting.accepts,
            setting.help,
        );
    }
    for (name, default, accepts, help, in_kong) in OWN {
        if *in_kong || !kong {
            add(name, default, accepts, help);
        }
    }
    table
}

#[test]
fn the_documentation_has_every_setting() {
    for (page, kong) in [("kong.md", true), ("envoy.md", false)] {
        let path = checkout().join("docs").join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("written.rs -->\n").unwrap();
        let (have, after) = rest.split_once("\n<!-- /settings -->").unwrap();
        if updating() {
            let text = format!(
                "{before}written.rs -->\n{}\n<!-- /settings -->{after}",
                rows(kong)
            );
            std::fs::write(path, text).unwrap();
        } else {
            assert_eq!(have, rows(kong), "docs/{page}");
        }
    }
}

/// Every configuration of the filter in files of YAML and JSON, with the file's name.
const CONFIGURATIONS: &str = "
import json, sys, yaml
found = []
def walk(file, value):
    if isinstance(value, list):
        for item in value:
            walk(file, item)
    if isinstance(value, dict):
        if value.get('name') == 'silhouette' and 'config' in value:
            found.append((file, value['config']))
        if value.get('plugin') == 'silhouette':
            found.append((file, value['config']))
        if value.get('kind') == 'WasmPlugin':
            found.append((file, value['spec']['pluginConfig']))
        if str(value.get('@type', '')).endswith('protobuf.StringValue'):
            found.append((file, json.loads(value['value'])))
        for item in value.values():
            walk(file, item)
        for item in value.values():
            if isinstance(item, str) and '_format_version' in item:
                walk(file, yaml.safe_load(item))
for file in sys.argv[1:]:
    for document in yaml.safe_load_all(open(file)):
        walk(file, document)
json.dump(found, sys.stdout)
";

fn configurations(folder: &str) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(checkout().join("deploy").join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yml" | "yaml" | "json"))
        })
        .collect();
    files.sort();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    serde_json::from_str(&python(CONFIGURATIONS, &files, "")).unwrap()
}

#[test]
fn examples_for_kong_are_accepted() {
    let found = configurations("kong");
    let values: Vec<&Value> = found.iter().map(|(_, value)| value).collect();
    for ((file, value), good) in found.iter().zip(judged(&schema(), &values)) {
        assert!(good, "{file}: the schema refuses {value}");
        read(value).unwrap_or_else(|refused| panic!("{file}: {refused}"));
    }
    // One shows everything there is.
    for name in shared()
        .map(|setting| setting.name)
        .chain(OWN.iter().filter(|own| own.4).map(|own| own.0))
    {
        let shown = found
            .iter()
            .any(|(file, value)| file.ends_with("/kong.yml") && value.get(name).is_some());
        assert!(shown, "deploy/kong/kong.yml does not show `{name}`");
    }
}

#[test]
fn examples_for_envoy_and_istio_are_accepted() {
    for folder in ["envoy", "istio"] {
        let found = configurations(folder);
        assert!(!found.is_empty(), "deploy/{folder} configures no filter");
        for (file, value) in found {
            read(&value).unwrap_or_else(|refused| panic!("{file}: {refused}"));
            assert!(
                value.get("cluster").is_some(),
                "{file}: without `cluster` it is Kong's"
            );
        }
    }
}

/// The filter as it ships, beside the profile's directory in which this test is.
fn filter() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let filter = target.join("filter/silhouette.wasm");
    assert!(
        filter.exists(),
        "{}: `cargo xtask filter` builds it",
        filter.display()
    );
    filter
}

#[test]
fn envoy_takes_the_example_and_refuses_a_spoilt_one() {
    let example = std::fs::read_to_string(checkout().join("deploy/envoy/envoy.yaml")).unwrap();
    let filter = filter().canonicalize().unwrap();
    let path = "/etc/envoy/silhouette.wasm";
    assert!(example.contains(path));
    let example = example.replace(path, filter.to_str().unwrap());
    let spoilt = example.replace("\"cluster\":", "\"sample_rate\": 2, \"cluster\":");
    assert_ne!(example, spoilt);
    let envoy = checkout().join("target/tools/envoy/bin/envoy");
    let judge = |yaml: &str| {
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--config-yaml", yaml])
            .output()
            .unwrap_or_else(|error| {
                panic!("{}: {error}: run `cargo xtask install`", envoy.display())
            });
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (good, said) = judge(&example);
    assert!(good, "{said}");
    let (good, said) = judge(&spoilt);
    assert!(!good, "{said}");
    assert!(said.contains("sample_rate: `2` is not accepted"), "{said}");
}
