//! Settings: the same in flags, environment, file and documentation; and what is wrong is named.

mod program;

use clap::CommandFactory as _;
use program::binary;
use silhouette_catalog::cli::Cli;

fn check_config(args: &[&str], env: &[(&str, &str)]) -> (bool, String) {
    let output = binary()
        .arg("check-config")
        .args(args)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_table_in_the_documentation_is_the_program() {
    let docs = include_str!("../../docs/catalog.md");
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let mut checked = 0;
    for setting in serve.get_arguments() {
        let flag = setting.get_long().unwrap();
        if ["help", "version", "config"].contains(&flag) {
            continue;
        }
        checked += 1;
        let name = flag.replace('-', "_");
        let row = docs
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("docs/catalog.md has no row for `{name}`"));
        let variable = setting.get_env().unwrap().to_str().unwrap();
        assert_eq!(
            variable,
            format!("SILHOUETTE_CATALOG_{}", name.to_uppercase())
        );
        let help = setting.get_help().unwrap().to_string();
        let default = help
            .split_once("[default: ")
            .and_then(|(_, rest)| rest.strip_suffix(']'))
            .unwrap_or_else(|| panic!("the help of --{flag} names no default"));
        let cell = row.split('|').nth(2).unwrap().trim().replace('`', "");
        assert_eq!(cell, default, "default of `{name}`");
    }
    assert!(checked > 20, "{checked} settings");
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.toml");
    std::fs::write(
        &path,
        "listen = \"127.0.0.1:1\"\nheartbeat = \"7s\"\nmax_document = \"2m\"\ntrusted_proxies = [\"10.0.0.1\"]\nmetrics = \"anyone\"\n",
    )
    .unwrap();
    let (fine, text) = check_config(
        &[
            "--config",
            path.to_str().unwrap(),
            "--max-document",
            "1m",
            "--database-url",
            "postgres://me:hidden@db/x",
        ],
        &[
            ("SILHOUETTE_CATALOG_MAX_DOCUMENT", "4m"),
            ("SILHOUETTE_CATALOG_HEARTBEAT", "9s"),
        ],
    );
    assert!(fine, "{text}");
    for want in [
        "listen: 127.0.0.1:1,",
        "max_document: 1048576,",
        "heartbeat: 9s,",
        "10.0.0.1",
        "metrics: Anyone",
        "offline_after: 300s",
    ] {
        assert!(text.contains(want), "{want}\n{text}");
    }
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.toml");
    std::fs::write(&path, "listne = \"127.0.0.1:1\"\n").unwrap();
    let file = path.to_str().unwrap();
    for (args, words) in [
        (vec!["--config", file], vec!["listne", "listen"]),
        (vec!["--config", "/no/such.toml"], vec!["/no/such.toml"]),
        (
            vec!["--listen", "localhost:1"],
            vec!["localhost:1", "127.0.0.1:4330"],
        ),
        (
            vec!["--public-url", "https://a/b"],
            vec!["public_url", "https://a/b"],
        ),
        (vec!["--tls-cert", "x.pem"], vec!["tls_cert", "tls_key"]),
        (vec!["--heartbeat", "30"], vec!["30", "30s"]),
        (vec!["--heartbeat", "2h"], vec!["heartbeat", "1s to 1h"]),
        (
            vec!["--heartbeat", "10m"],
            vec!["offline_after", "more than heartbeat"],
        ),
        (
            vec!["--session-lifetime", "1h"],
            vec!["session_lifetime", "session_idle"],
        ),
        (
            vec!["--max-document", "0"],
            vec!["max_document", "1k to 1g"],
        ),
        (vec!["--log", "info,=x"], vec!["log"]),
    ] {
        let (fine, text) = check_config(&args, &[]);
        assert!(!fine, "{args:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{args:?}: {word} in {text}");
        }
    }
}
