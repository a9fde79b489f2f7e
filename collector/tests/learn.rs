//! `silhouette-collector learn` as a user runs it: the real program on recordings of many recorders, whole and broken.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/har");

fn recording(name: &str) -> PathBuf {
    Path::new(RECORDINGS).join(format!("{name}.har"))
}

fn learn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_silhouette-collector"));
    command
        .arg("learn")
        .stdin(Stdio::null())
        .env("COLUMNS", "200");
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The document on stdout of a run that must succeed.
fn document(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a run that must fail with exit code 1 says.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "a refused run wrote a document");
    stderr(&output)
}

fn with_stdin(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may refuse before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One line per operation, parameter, body and response.
fn outline(document: &Value) -> String {
    let mut lines = Vec::new();
    let url = document["servers"][0]["url"].as_str().unwrap();
    let (_, rest) = url.split_once("://").unwrap();
    let base = rest.find('/').map_or("", |at| &rest[at..]);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            lines.push(format!("{} {base}{path}", method.to_uppercase()));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let schema = &parameter["schema"];
                let kind = [&schema["type"], &schema["format"]]
                    .map(|word| word.as_str().unwrap_or("-").to_owned());
                let text = |field: &str| parameter[field].as_str().unwrap_or("-").to_owned();
                lines.push(format!(
                    "  {} {} {}",
                    text("in"),
                    text("name"),
                    kind.join("/")
                ));
            }
            for media in operation["requestBody"]["content"]
                .as_object()
                .into_iter()
                .flat_map(|map| map.keys())
            {
                lines.push(format!("  body {media}"));
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = response["content"].as_object();
                let media = content
                    .map(|map| map.keys().cloned().collect::<Vec<_>>().join(" "))
                    .unwrap_or_default();
                lines.push(format!("  {status} {media}").trim_end().to_owned());
            }
        }
    }
    lines.join("\n") + "\n"
}

/// A recording of `count` calls to `GET /v1/things/{number}` on `host`.
fn things(host: &str, count: usize) -> String {
    let entry = |number: usize| {
        format!(
            r#"{{"startedDateTime":"2026-03-02T08:00:00Z","time":3,"request":{{"method":"GET","url":"https://{host}/v1/things/{}","headers":[]}},"response":{{"status":200,"headers":[],"content":{{"size":-1,"mimeType":"application/json","text":"{{\"id\":{number},\"ok\":true}}"}}}}}}"#,
            1000 + number
        )
    };
    let entries = (0..count).map(entry).collect::<Vec<_>>().join(",\n");
    format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{{}},\"entries\":[\n{entries}\n]}}}}\n")
}

fn write(directory: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn every_recorders_way_of_writing_gives_the_same_operations() {
    let golden = Path::new(RECORDINGS).join("operations.txt");
    let chrome = outline(&document(learn().arg(recording("chrome"))));
    if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        fs::write(&golden, &chrome).unwrap();
    }
    assert_eq!(
        chrome,
        fs::read_to_string(&golden).unwrap(),
        "SILHOUETTE_UPDATE_GENERATED=1 rewrites it"
    );
    for name in [
        "firefox",
        "safari",
        "charles",
        "mitmproxy",
        "playwright",
        "postman",
        "proxyman",
    ] {
        let other = document(learn().arg(recording(name)));
        assert_eq!(outline(&other), chrome, "{name}");
    }
}

#[test]
fn how_a_recording_comes_does_not_change_its_document() {
    let directory = TempDir::new().unwrap();
    let plain = fs::read(recording("mitmproxy")).unwrap();
    let expected = document(learn().arg(recording("mitmproxy")));
    let zipped = write(&directory, "recording", gzip(&plain));
    assert_eq!(
        document(learn().arg(&zipped)),
        expected,
        "gzip is seen by its first bytes, not by a name"
    );
    for input in [plain.clone(), gzip(&plain)] {
        let output = with_stdin(learn().arg("-"), &input);
        assert_eq!(
            serde_json::from_slice::<Value>(&output.stdout).unwrap(),
            expected,
            "{}",
            stderr(&output)
        );
    }
    for threads in ["1", "2", "7"] {
        assert_eq!(
            document(
                learn()
                    .arg(recording("mitmproxy"))
                    .args(["--threads", threads])
            ),
            expected
        );
    }
    // In two halves, through a directory: one as it is, one compressed.
    let har: Value = serde_json::from_slice(&plain).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    let (first, second) = entries.split_at(entries.len() / 2);
    let half = |entries: &[Value]| serde_json::json!({"log": {"entries": entries}}).to_string();
    let halves = TempDir::new().unwrap();
    write(&halves, "1.har", half(first));
    write(&halves, "2.HAR.gz", gzip(half(second).as_bytes()));
    write(&halves, "notes.txt", "not a recording");
    assert_eq!(document(learn().arg(halves.path())), expected);
}

#[test]
fn the_document_has_the_format_and_version_asked_for() {
    let directory = TempDir::new().unwrap();
    for (flags, file, begins) in [
        (vec![], "openapi.json", "{\n  \"openapi\": \"3.1"),
        (
            vec!["--openapi", "3.0"],
            "openapi.json",
            "{\n  \"openapi\": \"3.0",
        ),
        (vec![], "openapi.yaml", "openapi: "),
        (vec![], "openapi.yml", "openapi: "),
        (vec!["--format", "yaml"], "openapi", "openapi: "),
    ] {
        let file = directory.path().join(file);
        let output = learn()
            .arg(recording("chrome"))
            .args(flags)
            .arg("--output")
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{}",
            stderr(&output)
        );
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(begins), "{}", &text[..60]);
    }
    let output = learn()
        .arg(recording("chrome"))
        .args(["--format", "yaml"])
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"openapi: "));
    let said = refusal(
        learn()
            .arg(recording("chrome"))
            .args(["--format", "yaml", "--output", "x.json"]),
    );
    assert!(
        said.contains("--format yaml and --output x.json do not go together"),
        "{said}"
    );
}

#[test]
fn the_summary_accounts_for_every_entry() {
    let output = learn().arg(recording("chrome")).output().unwrap();
    let said = stderr(&output);
    for part in [
        "shop.example.com",
        "stdout",
        "metrics.example.net",
        "none: no operation",
        "preflight 1",
        "page 1",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(
        said.contains("21 entries, 2 hosts; no exchange to learn from: no response 1, not http 1"),
        "{said}"
    );
    assert_eq!(
        stderr(
            &learn()
                .arg(recording("chrome"))
                .arg("--quiet")
                .output()
                .unwrap()
        ),
        ""
    );
}

#[test]
fn several_hosts_get_a_document_each() {
    let directory = TempDir::new().unwrap();
    let files = [
        write(&directory, "a.har", things("a.test", 5)),
        write(&directory, "b.har", things("b.test:8443", 9)),
        write(&directory, "c.har", things("[::1]:9000", 2)),
    ];
    let said = refusal(learn().args(&files));
    assert!(
        said.contains("3 hosts have a document and there is one stdout"),
        "{said}"
    );
    assert!(
        said.contains("  b.test:8443 (operations: 1, exchanges: 9)\n  a.test"),
        "{said}"
    );
    let title = |path: PathBuf| -> String {
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document: Value = serde_json::from_str(&text).unwrap();
        document["servers"][0]["url"].as_str().unwrap().to_owned()
    };
    let out = directory.path().join("out.json");
    let run = learn()
        .args(&files)
        .arg("--output")
        .arg(&out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stderr(&run).contains("out.a.test.json"), "{}", stderr(&run));
    assert_eq!(title(out.clone()), "https://b.test:8443/v1");
    assert_eq!(
        title(directory.path().join("out.a.test.json")),
        "https://a.test/v1"
    );
    assert_eq!(
        title(directory.path().join("out.___1__9000.json")),
        "https://[::1]:9000/v1"
    );

    let documents = directory.path().join("documents/");
    assert!(
        learn()
            .args(&files)
            .arg("-q")
            .arg("-o")
            .arg(documents.join(""))
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        title(documents.join("b.test_8443.json")),
        "https://b.test:8443/v1"
    );
    let pattern = directory.path().join("by-host/{host}/openapi.json");
    assert!(
        learn()
            .args(&files)
            .arg("-q")
            .arg("-o")
            .arg(&pattern)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        title(directory.path().join("by-host/a.test/openapi.json")),
        "https://a.test/v1"
    );

    // Two hosts whose names fall together as file names.
    let alike = [
        write(&directory, "d.har", things("d.test:81", 2)),
        write(&directory, "e.har", things("d.test_81", 3)),
    ];
    let run = learn()
        .args(&alike)
        .arg("-q")
        .arg("-o")
        .arg(documents.join(""))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(
        title(documents.join("d.test_81.json")),
        "https://d.test_81/v1"
    );
    assert_eq!(
        title(documents.join("d.test_81-2.json")),
        "https://d.test:81/v1"
    );

    let one = document(learn().args(&files).args(["--host", "a.*"]));
    assert_eq!(one["servers"][0]["url"], "https://a.test/v1");
    let said = refusal(learn().args(&files).args(["--host", "nobody.test"]));
    assert!(
        said.contains("no host matches --host nobody.test; 16 exchanges went to other hosts"),
        "{said}"
    );
    let said = refusal(learn().args(&files).args(["--min-operations", "2"]));
    assert!(
        said.contains("has the most operations, 1; --min-operations is 2"),
        "{said}"
    );
}

#[test]
fn a_cut_recording_is_refused_and_can_be_learnt_as_far_as_it_goes() {
    let directory = TempDir::new().unwrap();
    let whole = things("a.test", 40);
    let cut = write(&directory, "cut.har", &whole[..whole.len() * 3 / 4]);
    let out = directory.path().join("out.json");
    let said = refusal(learn().arg(&cut).arg("--output").arg(&out));
    assert!(
        said.contains("cut.har: the file is cut off: it ends at byte"),
        "{said}"
    );
    assert!(
        said.contains("in the middle of entry 30") && said.contains("whole entries before it: 29"),
        "{said}"
    );
    assert!(said.contains("--keep-going") && !out.exists(), "{said}");

    let run = learn().arg(&cut).arg("--keep-going").output().unwrap();
    assert!(
        run.status.success() && stderr(&run).contains("what came before is learnt"),
        "{}",
        stderr(&run)
    );
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(
        outline(&document).starts_with("GET /v1/things/{"),
        "{}",
        outline(&document)
    );

    let zipped = gzip(whole.as_bytes());
    let cut = write(&directory, "cut.har.gz", &zipped[..zipped.len() - 20]);
    let said = refusal(learn().arg(&cut));
    assert!(
        said.contains("cut.har.gz: cannot read on after entry"),
        "{said}"
    );
}

#[test]
fn a_broken_entry_is_named_and_can_be_left_out() {
    let directory = TempDir::new().unwrap();
    let har = things("a.test", 30).replacen(
        r#""url":"https://a.test/v1/things/1012""#,
        r#""url":nothing"#,
        1,
    );
    let file = write(&directory, "broken.har", har);
    for threads in ["1", "4"] {
        let said = refusal(learn().arg(&file).args(["--threads", threads]));
        assert!(
            said.contains("broken.har: entry 13 (byte ") && said.contains(", line 14): expected"),
            "{said}"
        );
    }
    let run = learn().arg(&file).arg("--keep-going").output().unwrap();
    assert!(
        run.status.success() && stderr(&run).contains("entry 13"),
        "{}",
        stderr(&run)
    );
    assert!(stderr(&run).contains("(left out)"), "{}", stderr(&run));
}

#[test]
fn what_is_no_recording_is_named_for_what_it_is() {
    let directory = TempDir::new().unwrap();
    for (text, expected) in [
        (b"".as_slice(), "it is empty"),
        (b"[{\"request\":{}}]", "it is a JSON array, not a HAR file"),
        (
            br#"{"info":{"name":"x"},"item":[]}"#,
            "it is a Postman collection",
        ),
        (
            br#"{"openapi":"3.0.0","paths":{}}"#,
            "it is an OpenAPI description",
        ),
        (
            b"<!doctype html><title>Sign in</title>",
            "it is an HTML page",
        ),
        (b"\xff\xfe{\0\"\0", "it is UTF-16 text"),
        (b"PK\x03\x04", "it is a ZIP archive"),
        (b"3:abc,", "it is a mitmproxy flow file"),
        (
            br#"{"log":{"version":"1.2"}}"#,
            "whose \"log\" has no \"entries\"",
        ),
        (b"hello", "it is text, and no JSON"),
        (b"\x1f\x8b\x08\x00\x00", "cannot read on after entry 0"),
    ] {
        let file = write(&directory, "x.har", text);
        let said = refusal(learn().arg(&file));
        assert!(
            said.contains("x.har: ") && said.contains(expected),
            "{expected:?} is not in {said:?}"
        );
        // Going on past it leaves nothing to learn from, which is no success either.
        refusal(learn().arg(&file).arg("--keep-going"));
    }
    let file = write(&directory, "x.har", br#"{"log":{"entries":[]}}"#);
    assert!(refusal(learn().arg(&file)).contains("the recording has no entries"));
    assert!(refusal(learn().arg(directory.path().join("none.har"))).contains("cannot open"));
    let empty = TempDir::new().unwrap();
    assert!(refusal(learn().arg(empty.path())).contains("is a directory without *.har"));
    assert!(
        refusal(
            learn()
                .arg(recording("chrome"))
                .args(["--host", "https://x/"])
        )
        .contains("can match no host")
    );
}

#[test]
fn a_recording_is_never_written_over() {
    let directory = TempDir::new().unwrap();
    let text = things("a.test", 3);
    let file = write(&directory, "a.json", &text);
    let again = directory.path().join(".").join("a.json");
    let said = refusal(learn().arg(&file).arg("--output").arg(&again));
    assert!(said.contains("is one of the recordings"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let said = refusal(
        learn()
            .arg(&file)
            .arg("--output")
            .arg(directory.path().join("no/such/directory.json")),
    );
    assert!(
        said.contains("cannot write")
            && said.contains("directory.json: there is no directory ")
            && said.trim_end().ends_with("no/such"),
        "{said}"
    );
}

#[test]
fn no_secret_of_a_recording_gets_into_its_document() {
    for name in ["chrome", "charles", "proxyman"] {
        let document = document(learn().arg(recording(name))).to_string();
        for secret in [
            "enigma",
            "eyJhbGci",
            "c2lnbmF0dXJl",
            "session=abc",
            "Neuromancer",
            "7c9e6679",
        ] {
            assert!(
                !document.contains(secret),
                "{name}: {secret} is in the document"
            );
        }
    }
}

/// A generated recording of 100 MB through a pipe: memory stays what it is for a small one.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_recording() {
    const MEGABYTES: usize = 100;
    const BOUND_KIB: u64 = 150 << 10;
    let mut child = learn()
        .args(["-", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let filler = "some words of a description ".repeat(36);
        let mut written = stdin.write(br#"{"log":{"entries":["#).unwrap();
        let mut number = 0;
        while written < MEGABYTES << 20 {
            let comma = if number == 0 { "" } else { "," };
            let entry = format!(
                r#"{comma}{{"startedDateTime":"2026-03-02T08:00:00Z","request":{{"method":"GET","url":"https://big.test/v1/{}/{number}"}},"response":{{"status":200,"content":{{"mimeType":"application/json","text":"{{\"id\":{number},\"text\":\"{filler}\"}}"}}}}}}"#,
                ["users", "orders", "invoices", "shipments"][number % 4]
            );
            stdin.write_all(entry.as_bytes()).unwrap();
            written += entry.len();
            number += 1;
        }
        stdin.write_all(b"]}}").unwrap();
    });
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let high_water = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = high_water
            .and_then(|kib| kib.trim().parse().ok())
            .unwrap_or(peak)
            .max(peak);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    writer.join().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        document["paths"].as_object().unwrap().len(),
        4,
        "{}",
        outline(&document)
    );
    assert!(
        peak > 0 && peak < BOUND_KIB,
        "peak of {peak} KiB for {MEGABYTES} MB"
    );
}
