//! Rules, explanations and ageing, in a running collector and with a recording.

mod collector;

use std::fs;
use std::time::{Duration, SystemTime};

use collector::{Collector, batch, binary};
use serde_json::Value;

const HOST: &str = "api.example.com";
const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/har/chrome.har");

fn paths(collector: &Collector) -> Vec<String> {
    let document = collector.json(&format!("/v1/hosts/{HOST}/openapi.json"));
    let paths = document["paths"].as_object().unwrap();
    paths.keys().cloned().collect()
}

/// Exit code, stdout, stderr of `explain`.
fn explain(args: &[&str]) -> (Option<i32>, String, String) {
    let output = binary().arg("explain").args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_documents_of_what_is_learnt_already() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.toml");
    let mut age = 0;
    let mut write = |text: &str| {
        fs::write(&file, text).unwrap();
        // A file system may keep times to the second only.
        age += 10;
        let then = SystemTime::now() + Duration::from_secs(age);
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(then)
            .unwrap();
    };
    write("[[path]]\ntemplate = \"/books/{isbn}\"\n");
    let file = dir.path().join("rules.toml");
    let collector = Collector::start(dir.path(), &["--rules", file.to_str().unwrap()]);
    let mut client = collector.client().await;
    client.export(batch(1, 1, HOST, 40)).await.unwrap();
    collector.learnt();
    assert_eq!(paths(&collector), ["/books", "/books/{isbn}"]);

    write("[[ignore]]\npaths = [\"/books\"]\n");
    collector.wait("the new rules", || paths(&collector) == ["/books/{bookId}"]);
    assert_eq!(
        collector.json(&format!("/v1/hosts/{HOST}"))["operations"],
        2
    );
    write("[[ignore]]\npaths = [\"books\"]\n");
    collector.wait("the log to tell the error", || {
        collector.log().contains("begins with a slash")
    });
    assert_eq!(
        paths(&collector),
        ["/books/{bookId}"],
        "the old rules stay in force"
    );
    write("[[host]]\nhosts = [\"*.example.com\"]\nignore = true\n");
    collector.wait("the host to be left out", || {
        collector.get(&format!("/v1/hosts/{HOST}")).status == 404
    });
    assert_eq!(
        collector.json("/v1/hosts")["hosts"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    write("");
    collector.wait("no rules", || {
        collector.get(&format!("/v1/hosts/{HOST}")).status == 200
    });
    assert_eq!(paths(&collector), ["/books", "/books/{bookId}"]);

    let url = format!("http://{}", collector.admin);
    let at = ["--against", HOST, "--collector", &url];
    let (code, text, _) = explain(&[&["get", "/books/7?x=1"][..], &at].concat());
    assert_eq!(code, Some(0));
    for part in [
        "/books/{bookId}",
        "10 successful",
        "/7   parameter {bookId}: it is an integer",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let (code, text, _) = explain(&[&["POST", "/shelves", "--format", "json"][..], &at].concat());
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &told["known"]), (Some(1), &Value::Bool(false)));
    let (code, _, error) = explain(&["GET", "/x", "--against", "none.test", "--collector", &url]);
    assert!(
        code == Some(2) && error.contains("there are api.example.com"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_called_any_more_is_stale_and_then_gone() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(
        dir.path(),
        &["--stale-after", "1d", "--drop-after", "3650d"],
    );
    let mut client = collector.client().await;
    let mut sent = batch(1, 1, HOST, 40);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    for (n, exchange) in sent.exchanges.iter_mut().enumerate() {
        // Lists are called today, single books were ten days ago.
        let days = if n % 4 < 2 { 0 } else { 10 };
        exchange.start_unix_nanos = now - days * 86_400_000_000_000;
    }
    client.export(sent).await.unwrap();
    collector.learnt();
    let document = collector.json(&format!("/v1/hosts/{HOST}/openapi.json"));
    let stale = |path: &str| document["paths"][path]["get"]["x-silhouette"]["stale"] == true;
    assert!(stale("/books/{bookId}") && !stale("/books"), "{document:#}");
    collector.terminate();

    let collector = Collector::start(dir.path(), &["--stale-after", "1d", "--drop-after", "5d"]);
    collector.wait("the memory to be freed", || {
        collector.log().contains("are forgotten")
    });
    assert_eq!(paths(&collector), ["/books"]);
}

#[test]
fn a_recording_is_learnt_under_rules_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, error) = explain(&["GET", "/nothing/here", "--against", RECORDING]);
    assert!(
        code == Some(1) || error.contains("choose one with --host"),
        "{text}{error}"
    );
    for (args, says) in [
        (
            &["GET", "books", "--against", RECORDING][..],
            "begins with a slash",
        ),
        (&["G3T", "/", "--against", RECORDING], "`G3T` is no method"),
        (
            &["GET", "/", "--against", "no/such.har"],
            "there is no such file",
        ),
        (&["GET", "/"], "--against"),
    ] {
        let (code, _, error) = explain(args);
        assert!(
            code == Some(2) && error.contains(says),
            "{args:?}: {code:?} {error}"
        );
    }
    let rules = dir.path().join("rules.toml");
    fs::write(&rules, "[[ignore]]\npaths = [\"/**\"]\n").unwrap();
    let learn = binary()
        .args(["learn", RECORDING, "--rules"])
        .arg(&rules)
        .output()
        .unwrap();
    assert!(
        !learn.status.success(),
        "everything is ignored: there is no document"
    );
}
