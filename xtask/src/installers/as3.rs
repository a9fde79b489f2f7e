//! AS3: declarations by F5's schema, and what that does not say.
//!
//! In: the package's declarations, and the path of the schema in `SILHOUETTE_AS3_SCHEMA`. Out: a verdict on each, and that the schema
//! refuses what is wrong. Without the path that part is left out, and says so.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::said;
use crate::tally::Tally;
use crate::{linters, package_f5, workspace};

/// Says where F5's schema of AS3 is.
const SCHEMA: &str = "SILHOUETTE_AS3_SCHEMA";

/// F5's schema takes each declaration, and refuses ones that are wrong.
pub(super) fn schema(tally: &mut Tally, declarations: &[PathBuf]) -> Result<()> {
    let Some(schema) = std::env::var_os(SCHEMA).filter(|path| !path.is_empty()) else {
        println!(
            "{SCHEMA} is not set: the AS3 declarations were NOT held against F5's schema (the file as3-schema-3.56.0.json of F5's \
             f5-appsvcs-extension)"
        );
        return Ok(());
    };
    let schema = workspace::root().join(schema);
    if !schema.is_file() {
        bail!("{SCHEMA} names {}, which is no file", schema.display());
    }
    for file in declarations {
        let verdict = linters::valid(&schema, file);
        let wrong = verdict
            .err()
            .map(|error| format!("F5's schema refuses it: {error:#}"));
        said(
            tally,
            file,
            "F5's schema takes it",
            wrong.into_iter().collect(),
        );
    }
    let spoilt = workspace::target().join("reports/spoilt-as3.json");
    std::fs::create_dir_all(spoilt.parent().context("a file in a folder")?)?;
    let mut refused = 0;
    for file in declarations {
        let text = std::fs::read_to_string(file)?;
        for (right, wrong) in [
            (
                "\"keyDataType\": \"string\"",
                "\"keyDataType\": \"sentence\"",
            ),
            ("\"expand\": false", "\"expands\": false"),
            ("\"action\": \"patch\"", "\"action\": \"append\""),
            ("\"servicePort\": 5140", "\"servicePort\": 514000"),
        ] {
            if !text.contains(right) {
                continue;
            }
            std::fs::write(&spoilt, text.replace(right, wrong))?;
            let good = linters::valid(&schema, &spoilt).is_err();
            tally.one(good);
            refused += 1;
            if !good {
                println!("F5's schema takes {wrong} in {}", file.display());
            }
        }
    }
    if refused == 0 {
        bail!("no declaration could be spoilt: it is not known that the schema refuses anything");
    }
    Ok(())
}

/// What is wrong with a declaration, beside what its schema says: the rule in it is the file, but for the data-group's folder; what it
/// names is in it.
pub(super) fn declaration(request: &Value, rule: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    // F5's schema does not look into patches.
    for patch in request["patchBody"].as_array().into_iter().flatten() {
        let appended = patch["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/iRules/-"));
        if patch["op"] != "add" || !appended {
            wrong.push(format!("{patch} does not put the rule behind others"));
        }
        if patch["value"]["use"] != "/Common/Shared/silhouette" {
            wrong.push(format!(
                "{patch} names another rule than as3/shared.json makes"
            ));
        }
    }
    for (path, application) in package_f5::applications(request) {
        let text = application["silhouette"]["iRule"]["base64"].as_str();
        let text = text.and_then(|text| STANDARD.decode(text).ok());
        let wanted = package_f5::with_group(rule, &format!("{path}/silhouette_settings"));
        if text.as_deref() != wanted.ok().as_deref().map(str::as_bytes) {
            wrong.push(format!("{path}: its rule is not f5-irule/silhouette.tcl"));
        }
        if application["silhouette"]["expand"] != false {
            wrong.push(format!(
                "{path}: AS3 would put its own values into the rule; `expand` has to be false"
            ));
        }
        let pool = format!("{path}/silhouette_log");
        let records = application["silhouette_settings"]["records"].as_array();
        let record = records
            .into_iter()
            .flatten()
            .find(|record| record["key"] == "pool");
        if record.is_none_or(|record| record["value"] != pool.as_str()) {
            wrong.push(format!("{path}: the setting pool is not {pool}"));
        }
        if application["silhouette_log"]["class"] != "Pool" {
            wrong.push(format!("{path}: there is no pool {pool}"));
        }
        for (name, object) in application.as_object().into_iter().flatten() {
            for named in names(object) {
                if application.get(&named).is_none() {
                    wrong.push(format!(
                        "{path}/{name}: it names {named}, which is not there"
                    ));
                }
            }
        }
    }
    wrong
}

/// What an object of a declaration names: AS3's pointers, by their keys.
fn names(object: &Value) -> Vec<String> {
    const POINTERS: [&str; 5] = ["use", "pool", "clientTLS", "clientCertificate", "iRules"];
    let mut found = Vec::new();
    let Some(object) = object.as_object() else {
        return found;
    };
    for (key, value) in object {
        let values = value.as_array().map_or(std::slice::from_ref(value), |v| v);
        for value in values {
            if let Some(text) = value.as_str().filter(|_| POINTERS.contains(&key.as_str())) {
                found.push(text.to_owned());
            }
            found.extend(names(value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RULE: &str = "set static::sil_group /Common/silhouette_settings\n";

    fn application() -> Value {
        let rule = package_f5::with_group(RULE, "/Shop/Books/silhouette_settings").unwrap();
        json!({
            "class": "Application",
            "silhouette": {"class": "iRule", "expand": false, "iRule": {"base64": STANDARD.encode(rule)}},
            "silhouette_settings": {"class": "Data_Group", "records": [{"key": "pool", "value": "/Shop/Books/silhouette_log"}]},
            "silhouette_log": {"class": "Pool"},
            "books": {"class": "Service_HTTP", "iRules": ["silhouette"], "virtualAddresses": [{"use": "silhouette_log"}]},
        })
    }

    fn judged(application: Value) -> String {
        let request = json!({"declaration": {"class": "ADC", "Shop": {"class": "Tenant", "Books": application}}});
        declaration(&request, RULE).join("; ")
    }

    #[test]
    fn a_declaration_that_does_not_fit_is_told() {
        assert_eq!(judged(application()), "");
        let spoilt = |pointer: &str, value: Value| {
            let mut spoilt = application();
            *spoilt.pointer_mut(pointer).unwrap() = value;
            judged(spoilt)
        };
        let other = STANDARD.encode("when HTTP_REQUEST { }");
        assert!(
            spoilt("/silhouette/iRule/base64", json!(other))
                .contains("not f5-irule/silhouette.tcl")
        );
        assert!(spoilt("/silhouette/expand", json!(true)).contains("`expand` has to be false"));
        let elsewhere = json!("/Common/silhouette_log");
        assert!(
            spoilt("/silhouette_settings/records/0/value", elsewhere)
                .contains("pool is not /Shop/Books")
        );
        assert!(spoilt("/books/iRules/0", json!("silhouete")).contains("names silhouete, which"));
        assert!(
            spoilt("/books/virtualAddresses/0/use", json!("near")).contains("names near, which")
        );
    }

    #[test]
    fn a_patch_that_replaces_rules_is_told() {
        let patched = |op: &str, path: &str, rule: &str| {
            let patch = json!({"op": op, "path": path, "value": {"use": rule}});
            declaration(&json!({"patchBody": [patch]}), RULE).len()
        };
        let (path, rule) = ("/Shop/Books/books/iRules/-", "/Common/Shared/silhouette");
        assert_eq!(patched("add", path, rule), 0);
        assert_eq!(patched("replace", path, rule), 1);
        assert_eq!(patched("add", "/Shop/Books/books/iRules", rule), 1);
        assert_eq!(patched("add", path, "/Common/silhouette"), 1);
    }
}
