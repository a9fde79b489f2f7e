//! Ansible: modules and options that the collection documents.
//!
//! In: a playbook, or a file of tasks, as JSON. Out: what is wrong with it. Values are not judged: that takes the collection.

use serde_json::Value;

/// Options of modules of the collection f5networks.f5_modules, as its version 1.32.1 documents them.
pub(super) const ANSIBLE: &[(&str, &[&str])] = &[
    (
        "bigip_irule",
        &[
            "content",
            "module",
            "name",
            "partition",
            "provider",
            "src",
            "state",
        ],
    ),
    (
        "bigip_data_group",
        &[
            "description",
            "internal",
            "name",
            "partition",
            "provider",
            "records",
            "state",
            "type",
        ],
    ),
    (
        "bigip_pool",
        &["monitors", "name", "partition", "provider", "state"],
    ),
    (
        "bigip_pool_member",
        &[
            "address",
            "aggregate",
            "partition",
            "pool",
            "port",
            "provider",
            "replace_all_with",
            "state",
        ],
    ),
    (
        "bigip_profile_server_ssl",
        &[
            "authenticate_name",
            "ca_file",
            "certificate",
            "key",
            "name",
            "parent",
            "partition",
            "provider",
            "server_certificate",
            "server_name",
            "state",
        ],
    ),
    (
        "bigip_virtual_address",
        &[
            "address",
            "arp",
            "icmp_echo",
            "name",
            "partition",
            "provider",
            "route_advertisement",
            "state",
            "traffic_group",
        ],
    ),
    (
        "bigip_virtual_server",
        &[
            "destination",
            "ip_protocol",
            "irules",
            "name",
            "partition",
            "pool",
            "port",
            "profiles",
            "provider",
            "snat",
            "state",
        ],
    ),
    (
        "bigip_device_info",
        &["gather_subset", "partition", "provider"],
    ),
    ("bigip_config", &["provider", "save"]),
];

const COLLECTION: &str = "f5networks.f5_modules.";

/// What is wrong with a playbook, or nothing where it is a file of variables.
pub(super) fn wrong(playbook: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let listed = playbook.as_array().into_iter().flatten();
    let tasks: Vec<&Value> = if listed.clone().all(|item| item.get("hosts").is_some()) {
        listed.flat_map(|play| tasks(&play["tasks"])).collect()
    } else {
        tasks(playbook)
    };
    for task in tasks {
        let mut acts = false;
        for (name, options) in task.as_object().into_iter().flatten() {
            let known = match name.strip_prefix(COLLECTION) {
                Some(module) => ANSIBLE.iter().find(|(known, _)| *known == module),
                None if KEYWORDS.contains(&name.as_str()) => continue,
                None if BUILTIN.contains(&name.as_str()) => {
                    acts = true;
                    continue;
                }
                None => None,
            };
            acts = true;
            let Some((module, known)) = known else {
                wrong.push(format!("there is no module {name} that is known here"));
                continue;
            };
            for (option, _) in options.as_object().into_iter().flatten() {
                if !known.contains(&option.as_str()) {
                    wrong.push(format!("{module} has no option {option}"));
                }
            }
            if options.get("provider").is_none() {
                wrong.push(format!("{module} is not told which BIG-IP"));
            }
        }
        if !acts {
            wrong.push(format!("the task {} does nothing", task["name"]));
        }
    }
    wrong
}

/// Modules of Ansible's own.
const BUILTIN: &[&str] = &["ansible.builtin.assert", "ansible.builtin.include_tasks"];

/// Keywords of tasks, beside their module.
const KEYWORDS: &[&str] = &[
    "name",
    "when",
    "loop",
    "loop_control",
    "vars",
    "register",
    "no_log",
];

/// Tasks, those in blocks among them.
fn tasks(list: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    for task in list.as_array().into_iter().flatten() {
        if task.get("block").is_some() {
            found.extend(tasks(&task["block"]));
        } else {
            found.push(task);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installers::tests::ADDRESSES;
    use serde_json::json;

    const INSTALL: &str = include_str!("../../../deploy/f5/ansible/silhouette.yml");

    #[test]
    fn records_go_unencrypted_to_private_addresses_only() {
        let (_, rest) = INSTALL.split_once("    private: >-\n").unwrap();
        let accepted = regex::Regex::new(rest.lines().next().unwrap().trim()).unwrap();
        for (address, private) in ADDRESSES {
            assert_eq!(accepted.is_match(address), *private, "{address}");
        }
        assert!(INSTALL.contains("item.address is match(private)"));
    }

    #[test]
    fn names_that_the_collection_does_not_have_are_told() {
        let play = |task: Value| json!([{"hosts": "localhost", "tasks": [{"name": "one", "block": [task]}]}]);
        let good = json!({"name": "a", "f5networks.f5_modules.bigip_irule": {"provider": "x", "name": "a", "src": "b"}, "when": "true"});
        assert_eq!(wrong(&play(good)), Vec::<String>::new());
        for (task, said) in [
            (
                json!({"f5networks.f5_modules.bigip_irule": {"provider": "x", "source": "b"}}),
                "bigip_irule has no option source",
            ),
            (
                json!({"f5networks.f5_modules.bigip_rule": {"provider": "x"}}),
                "no module f5networks.f5_modules.bigip_rule",
            ),
            (
                json!({"f5networks.f5_modules.bigip_config": {"save": true}}),
                "bigip_config is not told which BIG-IP",
            ),
            (
                json!({"name": "b", "whn": "true"}),
                "no module whn that is known",
            ),
            (json!({"name": "b"}), "does nothing"),
        ] {
            let wrong = wrong(&play(task)).join("; ");
            assert!(wrong.contains(said), "{wrong}");
        }
        // A file of tasks has no play around them.
        let task = json!([{"f5networks.f5_modules.bigip_config": {"save": true}}]);
        assert_eq!(wrong(&task), ["bigip_config is not told which BIG-IP"]);
        // Variables are no play.
        assert_eq!(wrong(&json!({"provider": {}})), Vec::<String>::new());
    }
}
