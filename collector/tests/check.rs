//! `silhouette-collector check` and `diff` as a user runs them: the real program on a documented shop and a recording of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use silhouette_openapi::Rule;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check");
const RECORDING: &str = "../har/chrome.har";

/// Runs in the directory of the descriptions, so that reports name files as a repository would.
fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_silhouette-collector"))
        .args(args)
        .current_dir(HERE)
        .stdin(Stdio::null())
        .env_remove("SILHOUETTE_COLLECTOR")
        .output()
        .unwrap()
}

fn code(args: &[&str]) -> Option<i32> {
    run(args).status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a run that must fail with exit code 2 says.
fn refusal(args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?}");
    error
}

fn golden(name: &str, text: &str) {
    let path = Path::new(HERE).join(name);
    if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, expected,
        "{name}: SILHOUETTE_UPDATE_GENERATED=1 rewrites it"
    );
}

#[test]
fn a_documented_shop_with_a_shadow_a_zombie_and_an_orphan() {
    let output = run(&["check", "shop.yaml", "--against", RECORDING]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for line in [
        "Shadow:",
        "  POST /v1/login",
        "Zombie:",
        "  GET /books/{isbn}/cover",
        "Orphan:",
        "  GET /authors",
    ] {
        assert!(
            text.lines().any(|found| found.starts_with(line)),
            "{line}: {text}"
        );
    }
}

#[test]
fn a_report_reads_like_this() {
    // A document that was reconstructed once: the report is about comparing, not about reconstructing.
    let output = run(&["check", "shop.yaml", "--against", "seen.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    golden("check.txt", &stdout(&output));
}

#[test]
fn what_changed_between_two_versions() {
    let output = run(&["diff", "shop.yaml", "shop-2.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    golden("diff.txt", &stdout(&output));
}

#[test]
fn exit_codes_follow_fail_on() {
    let check = |fail_on: &str| {
        code(&[
            "check",
            "shop.yaml",
            "--against",
            RECORDING,
            "--fail-on",
            fail_on,
        ])
    };
    for (fail_on, expected) in [
        ("shadow", 1),
        ("zombie,orphan", 1),
        ("orphan", 1),
        ("any", 1),
        ("none", 0),
        ("typo", 2),
    ] {
        assert_eq!(check(fail_on), Some(expected), "{fail_on}");
    }
    let diff = |new: &str, fail_on: &str| code(&["diff", "shop.yaml", new, "--fail-on", fail_on]);
    for (new, fail_on, expected) in [
        ("shop-2.yaml", "breaking", 1),
        ("shop-2.yaml", "none", 0),
        ("shop.yaml", "any", 0),
        ("none.yaml", "breaking", 2),
    ] {
        assert_eq!(diff(new, fail_on), Some(expected), "{new} {fail_on}");
    }
    // What is left out does not count.
    let only = [
        "check",
        "shop.yaml",
        "--against",
        RECORDING,
        "--fail-on",
        "shadow",
        "--ignore",
    ];
    assert_eq!(code(&[&only[..], &["shadow-operation"]].concat()), Some(1));
    assert_eq!(
        code(&[&only[..], &["shadow-operation,shadow-method"]].concat()),
        Some(0)
    );
}

#[test]
fn json_says_what_the_text_says() {
    let output = run(&[
        "check",
        "shop.yaml",
        "--against",
        RECORDING,
        "--format",
        "json",
    ]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["kind"], "check");
    assert_eq!(value["failed"], true);
    assert_eq!(value["counts"]["orphan"], 1);
    let findings = value["findings"].as_array().unwrap();
    let shadow = findings
        .iter()
        .find(|finding| finding["rule"] == "shadow-operation")
        .unwrap();
    assert_eq!(shadow["operations"][0], "POST /v1/login");
    assert_eq!(shadow["seen"]["calls"], 1);
    let zombie = findings
        .iter()
        .find(|finding| finding["rule"] == "zombie-operation")
        .unwrap();
    assert_eq!(
        zombie["description"]["pointer"],
        "/paths/~1books~1{isbn}~1cover/get"
    );
    let text = fs::read_to_string(Path::new(HERE).join("shop.yaml")).unwrap();
    let line = zombie["description"]["line"].as_u64().unwrap() as usize;
    assert_eq!(text.lines().nth(line - 1).unwrap().trim(), "get:");
}

/// What SARIF 2.1.0 and code scanning ask of every result.
fn check_sarif(value: &Value, file: &str) {
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let lines = fs::read_to_string(Path::new(HERE).join(file))
        .unwrap()
        .lines()
        .count() as u64;
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    let mut fingerprints = Vec::new();
    for result in results {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(
            rules[index]["defaultConfiguration"]["level"],
            result["level"]
        );
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], file);
        let line = place["region"]["startLine"].as_u64().unwrap();
        assert!((1..=lines).contains(&line));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        fingerprints.push(result["partialFingerprints"]["silhouette/v1"].to_string());
    }
    let count = fingerprints.len();
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), count, "a fingerprint is there twice");
}

#[test]
fn sarif_points_into_the_file_people_edit() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.sarif").display().to_string();
    let check = ["check", "shop.yaml", "--against", RECORDING];
    let output = run(&[&check[..], &["--format", "sarif", "--output", &file]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it went to the file");
    assert!(String::from_utf8_lossy(&output.stderr).contains("findings"));
    let read = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
    check_sarif(&read(&fs::read(&file).unwrap()), "shop.yaml");
    let output = run(&["diff", "shop.yaml", "shop-2.yaml", "--format", "sarif"]);
    check_sarif(&read(&output.stdout), "shop-2.yaml");
}

#[test]
fn a_document_that_was_written_before_is_traffic_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("seen.yaml").display().to_string();
    assert_eq!(code(&["learn", RECORDING, "-q", "-o", &file]), Some(0));
    assert_eq!(
        code(&["check", &file, "--against", RECORDING]),
        Some(0),
        "it agrees with its own traffic"
    );
    let from_file = stdout(&run(&["check", "shop.yaml", "--against", &file]));
    let from_har = stdout(&run(&["check", "shop.yaml", "--against", RECORDING]));
    let findings = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(findings(&from_file), findings(&from_har));
}

#[test]
fn a_recording_of_several_hosts_needs_the_descriptions_server_or_a_choice() {
    let directory = tempfile::tempdir().unwrap();
    let entry = |host: &str| {
        format!(
            r#"{{"startedDateTime":"2026-03-02T08:00:00Z","time":3,"request":{{"method":"GET","url":"https://{host}/v1/books","headers":[]}},"response":{{"status":200,"headers":[],"content":{{"size":-1,"mimeType":"application/json","text":"{{\"items\":[]}}"}}}}}}"#
        )
    };
    let har = |hosts: &[&str]| -> PathBuf {
        let entries: Vec<String> = hosts.iter().map(|host| entry(host)).collect();
        let path = directory.path().join(format!("{}.har", hosts.join("-")));
        fs::write(
            &path,
            format!("{{\"log\":{{\"entries\":[{}]}}}}", entries.join(",")),
        )
        .unwrap();
        path
    };
    let own = har(&["shop.example.com", "other.test"])
        .display()
        .to_string();
    let output = run(&["check", "shop.yaml", "--against", &own]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("shop.example.com ("));
    let others = har(&["a.test", "b.test"]).display().to_string();
    let error = refusal(&["check", "shop.yaml", "--against", &others]);
    assert!(
        error.contains("a.test (operations: 1)") && error.contains("--host"),
        "{error}"
    );
    let output = run(&[
        "check",
        "shop.yaml",
        "--against",
        &others,
        "--host",
        "b.test",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let error = refusal(&[
        "check",
        "shop.yaml",
        "--against",
        &others,
        "--host",
        "c.test",
    ]);
    assert!(
        error.contains("c.test") && error.contains("a.test"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_done_says_why() {
    for (args, expected) in [
        (
            &["diff", "none.yaml", "shop.yaml"][..],
            "cannot read none.yaml",
        ),
        (&["diff", "check.txt", "shop.yaml"], "check.txt: it is not"),
        (&["diff", RECORDING, "shop.yaml"], "it is a HAR recording"),
        (&["diff", "shop.yaml"], "<NEW>"),
        (&["check", "shop.yaml"], "--against"),
        (
            &["check", "shop.yaml", "--against", "none.har"],
            "there is no such file",
        ),
        (
            &["check", "shop.yaml", "--against", "check.txt"],
            "check.txt: it is text",
        ),
        (
            &["check", "-", "--against", "-"],
            "cannot both come from stdin",
        ),
        (
            &[
                "check",
                "shop.yaml",
                "--against",
                "a.test",
                "--collector",
                "http://127.0.0.1:1",
            ],
            "There is no file a.test here",
        ),
        (
            &[
                "check",
                "shop.yaml",
                "--against",
                "a.test",
                "--collector",
                "nowhere",
            ],
            "is no address of a collector",
        ),
        (
            &[
                "diff",
                "shop.yaml",
                "shop.yaml",
                "--ignore",
                "operation-lost",
            ],
            "operation-removed",
        ),
        (
            &["diff", "shop.yaml", "shop.yaml", "-o", "/no/such/place"],
            "cannot write /no/such/place",
        ),
    ] {
        let error = refusal(args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn the_documentation_has_every_rule() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/check.md");
    let docs = fs::read_to_string(path).unwrap();
    let table = |drift: bool| {
        let mut out = String::from("| rule | class | what it means |\n|---|---|---|\n");
        for rule in Rule::ALL.iter().filter(|rule| rule.is_drift() == drift) {
            out.push_str(&format!(
                "| `{}` | {} | {} |\n",
                rule.id(),
                rule.class().as_str(),
                rule.meaning()
            ));
        }
        out
    };
    let mut text = docs.clone();
    for (name, drift) in [("check", true), ("diff", false)] {
        let (begin, end) = (
            format!("<!-- rules of {name} -->\n"),
            format!("<!-- end of the rules of {name} -->"),
        );
        let from = text.find(&begin).expect("the mark where the table begins") + begin.len();
        let to = text.find(&end).expect("the mark where the table ends");
        text.replace_range(from..to, &table(drift));
    }
    if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        fs::write(path, &text).unwrap();
    }
    assert_eq!(
        docs, text,
        "SILHOUETTE_UPDATE_GENERATED=1 rewrites the tables of docs/check.md"
    );
}
