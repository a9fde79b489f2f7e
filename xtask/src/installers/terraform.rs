//! Terraform: resources and attributes that the provider documents.
//!
//! In: a module as `python-hcl2` shows it. Out: what is wrong with it. Types and values are not judged: that takes the provider.

use serde_json::Value;

/// Attributes of the provider F5Networks/bigip, by resource, as `docs/resources/` of its repository has them (commits 951e9dc, 2d6a669,
/// 042ede4, 0810aa0). Blocks are attributes, and theirs follow after a point.
const TERRAFORM: &[(&str, &[&str])] = &[
    ("bigip_ltm_irule", &["name", "irule"]),
    (
        "bigip_ltm_datagroup",
        &[
            "name",
            "type",
            "internal",
            "records_src",
            "record",
            "record.name",
            "record.data",
        ],
    ),
    (
        "bigip_ltm_pool",
        &[
            "name",
            "description",
            "monitors",
            "allow_nat",
            "allow_snat",
            "load_balancing_mode",
        ],
    ),
    (
        "bigip_ltm_pool_attachment",
        &["pool", "node", "ratio", "priority_group", "state"],
    ),
    (
        "bigip_as3",
        &["as3_json", "tenant_filter", "ignore_metadata"],
    ),
];

/// What any resource may have.
const TERRAFORM_ANY: &[&str] = &["depends_on", "dynamic", "lifecycle"];

/// What is wrong with a module of Terraform's, as `python-hcl2` shows it.
pub(super) fn wrong(module: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut resources = 0;
    let plain = |text: &str| text.trim_matches('"').to_owned();
    for block in module["resource"].as_array().into_iter().flatten() {
        for (kind, inside) in block.as_object().into_iter().flatten() {
            let kind = plain(kind);
            if kind.starts_with("__") {
                continue;
            }
            resources += 1;
            let Some((_, known)) = TERRAFORM.iter().find(|(name, _)| *name == kind) else {
                wrong.push(format!("there is no resource {kind} that is known here"));
                continue;
            };
            for resource in inside.as_object().into_iter().flatten().map(|(_, v)| v) {
                wrong.extend(attributes(resource, "").into_iter().filter_map(|name| {
                    let good = known.contains(&name.as_str())
                        || TERRAFORM_ANY.contains(&name.split('.').next().unwrap_or_default());
                    (!good).then(|| format!("{kind} has no attribute {name}"))
                }));
                for name in dynamic(resource) {
                    if !known.contains(&name.as_str()) {
                        wrong.push(format!("{kind} has no block {name}"));
                    }
                }
            }
        }
    }
    if resources == 0 {
        wrong.push("there is no resource in it".to_owned());
    }
    wrong
}

/// Names of attributes, and of those in blocks after their block's and a point.
fn attributes(block: &Value, before: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in block.as_object().into_iter().flatten() {
        if name.starts_with("__") {
            continue;
        }
        let name = format!("{before}{}", name.trim_matches('"'));
        for inside in value.as_array().into_iter().flatten() {
            if inside.get("__is_block__").is_some() {
                found.extend(attributes(inside, &format!("{name}.")));
            }
        }
        found.push(name);
    }
    found
}

/// Attributes of blocks that are made in a loop.
fn dynamic(resource: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for block in resource["dynamic"].as_array().into_iter().flatten() {
        for (name, inside) in block.as_object().into_iter().flatten() {
            let name = name.trim_matches('"');
            if name.starts_with("__") {
                continue;
            }
            found.push(name.to_owned());
            for content in inside["content"].as_array().into_iter().flatten() {
                found.extend(attributes(content, &format!("{name}.")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installers::tests::ADDRESSES;
    use serde_json::json;

    const PLAIN: &str = include_str!("../../../deploy/f5/terraform/plain/main.tf");

    #[test]
    fn records_go_unencrypted_to_private_addresses_only() {
        let (_, rest) = PLAIN.split_once("can(regex(\"").unwrap();
        let (text, _) = rest.split_once("\", var.collector))").unwrap();
        let accepted = regex::Regex::new(text).unwrap();
        for (address, private) in ADDRESSES {
            // The provider documents no other form than an IPv4 address and a port.
            let right = *private && !address.contains([':', '%']);
            let got = accepted.is_match(&format!("{address}:5140"));
            assert_eq!(got, right, "{address}");
        }
        for wrong in ["10.0.0.5", "10.0.0.5:", "10.0.0.5:0", "x10.0.0.5:5140"] {
            assert!(!accepted.is_match(wrong), "{wrong}");
        }
    }

    #[test]
    fn names_that_the_provider_does_not_have_are_told() {
        let block = |inside: Value| json!({"resource": [{"\"bigip_ltm_datagroup\"": {"\"settings\"": inside}, "__is_block__": true}]});
        let good = json!({
            "name": "\"/Common/a\"", "type": "\"string\"", "__is_block__": true,
            "record": [{"name": "\"a\"", "data": "\"b\"", "__is_block__": true}],
            "dynamic": [{"\"record\"": {"for_each": "${x}", "content": [{"name": "${y}", "__is_block__": true}]}, "__is_block__": true}],
        });
        assert_eq!(wrong(&block(good)), Vec::<String>::new());
        let bad = json!({
            "nam": "\"/Common/a\"", "record": [{"value": "\"b\"", "__is_block__": true}],
            "dynamic": [{"\"records\"": {"content": [{"name": "${y}", "__is_block__": true}]}, "__is_block__": true}],
        });
        let said = wrong(&block(bad)).join("; ");
        for name in [
            "attribute nam",
            "attribute record.value",
            "block records",
            "block records.name",
        ] {
            assert!(
                said.contains(&format!("bigip_ltm_datagroup has no {name}")),
                "{said}"
            );
        }
        assert_eq!(wrong(&json!({})), ["there is no resource in it"]);
    }
}
