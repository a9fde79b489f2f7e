//! Settings: the same in flags, environment, file and documentation; and what is wrong is named.

mod collector;

use clap::CommandFactory;
use collector::binary;
use silhouette_collector::cli::Cli;

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
    let docs = include_str!("../../docs/collector.md");
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
            .unwrap_or_else(|| panic!("docs/collector.md has no row for `{name}`"));
        let variable = setting.get_env().unwrap().to_str().unwrap();
        assert_eq!(variable, format!("SILHOUETTE_{}", name.to_uppercase()));
        let help = setting.get_help().unwrap().to_string();
        let default = help
            .split_once("[default: ")
            .and_then(|(_, rest)| rest.strip_suffix(']'))
            .unwrap_or_else(|| panic!("the help of --{flag} names no default"));
        let cell = row.split('|').nth(2).unwrap().trim().replace('`', "");
        assert_eq!(cell, default, "default of `{name}`");
    }
    let rows = docs
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches('|').count() == 4)
        .filter(|line| !line.contains("/"))
        .count();
    assert!(
        checked > 20 && rows >= checked,
        "{rows} rows, {checked} settings"
    );
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("collector.toml");
    std::fs::write(
        &path,
        "listen = \"127.0.0.1:1\"\nmax_hosts = 7\nmax_body = \"2m\"\nheader_timeout = \"3s\"\nadmin_hosts = [\"A.example\"]\n",
    )
    .unwrap();
    let file = path.to_str().unwrap();
    let (fine, text) = check_config(
        &["--config", file, "--max-body", "1m"],
        &[("SILHOUETTE_MAX_BODY", "4m"), ("SILHOUETTE_MAX_HOSTS", "9")],
    );
    assert!(fine, "{text}");
    for want in [
        "listen: 127.0.0.1:1,",
        "max_hosts: 9,",
        "max_body: 1048576,",
        "header_timeout: 3s,",
        "\"a.example\"",
        "checkpoint_interval: 30s,",
    ] {
        assert!(text.contains(want), "no {want:?} in {text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("collector.toml");
    let in_file = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let (fine, text) = check_config(&["--config", path.to_str().unwrap()], &[]);
        assert!(!fine);
        text
    };
    for (file, want) in [
        ("listne = \"x\"", "unknown field `listne`"),
        ("listen = \"localhost\"", "is not ADDRESS:PORT"),
        ("max_body = \"lots\"", "`lots` is not a size"),
        (
            "max_connections = 0",
            "setting `max_connections`: 0 is not acceptable; want 1 to 1000000",
        ),
        ("tls_cert = \"a.pem\"", "also needs `tls_key`"),
        ("tls_client_ca = \"a.pem\"", "also needs `tls_cert`"),
        ("admin_tls = true", "also needs `tls_cert`"),
        ("ingest_buffer = \"1m\"", "at least max_message"),
        ("log = \"=====\"", "is not a log filter"),
        ("max_hosts = [", "collector.toml is not valid"),
    ] {
        let text = in_file(file);
        assert!(text.contains(want), "{file}: {text}");
    }
    let rules = dir.path().join("rules.toml");
    std::fs::write(&rules, "[[path]]\ntemplate = \"users\"\n").unwrap();
    let (fine, text) = check_config(&["--rules", rules.to_str().unwrap()], &[]);
    assert!(
        !fine && text.contains("line 2") && text.matches("`users`").count() == 1,
        "{text}"
    );
    let (fine, text) = check_config(&["--stale-after", "9d", "--drop-after", "8d"], &[]);
    assert!(!fine && text.contains("at least stale_after"), "{text}");
    let (fine, text) = check_config(&["--stale-after", "9d", "--drop-after", "0s"], &[]);
    assert!(fine, "{text}");
    let (fine, text) = check_config(&["--config", "/nowhere/at.toml"], &[]);
    assert!(!fine && text.contains("/nowhere/at.toml"), "{text}");
    let (fine, text) = check_config(&[], &[("SILHOUETTE_HEADER_TIMEOUT", "30")]);
    assert!(
        !fine && text.contains("want a whole number with a unit"),
        "{text}"
    );
}

#[test]
fn the_example_configuration_is_valid() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/collector/collector.toml"
    );
    let (fine, text) = check_config(&["--config", example], &[]);
    assert!(fine, "{text}");
    // Every line that is commented out is a setting too.
    let text = std::fs::read_to_string(example).unwrap();
    let shown: String = text
        .lines()
        .map(|line| line.strip_prefix("#:").unwrap_or(line).to_owned() + "\n")
        .collect();
    let settings: silhouette_collector::config::Settings = toml::from_str(&shown).unwrap();
    assert!(settings.journal_limit.is_some());
}

#[test]
fn completions_know_the_commands() {
    let output = binary().args(["completions", "bash"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("--checkpoint-interval") && text.contains("learn"));
    // A pipe whose reader is gone (`| head`) is no failure.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = binary()
        .args(["completions", "fish"])
        .stdout(writer)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
