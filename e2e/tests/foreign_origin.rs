//! An origin that nobody here wrote (PyPI httpbin under gunicorn), through the same path: its document is valid by two
//! independent linters and has what httpbin says it has.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use silhouette_e2e::nginx::capturing;
use silhouette_e2e::process::{PATIENCE, Process, free_port, tied, wait_until};
use silhouette_e2e::{Collector, Nginx, curl};

fn tool(path: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tools")
        .join(path);
    ensure!(
        path.exists(),
        "{} is missing: `cargo xtask install` puts it there",
        path.display()
    );
    Ok(path)
}

fn httpbin(dir: &Path) -> Result<(Process, u16)> {
    let port = free_port()?;
    let log = std::fs::File::create(dir.join("gunicorn.log"))?;
    let mut command = tied(tool("python/bin/gunicorn")?);
    command.args([
        "--bind",
        &format!("127.0.0.1:{port}"),
        "--workers",
        "1",
        "--threads",
        "4",
        "httpbin:app",
    ]);
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let process = Process::spawn("gunicorn", &mut command)?;
    wait_until("httpbin answers", PATIENCE, || {
        curl([format!("http://127.0.0.1:{port}/uuid")]).is_ok_and(|answer| answer.status == 200)
    })?;
    Ok((process, port))
}

/// Everybody's first tries with httpbin.
fn play(nginx: &Nginx) -> Result<u64> {
    const JSON: &str = "Content-Type: application/json";
    const WORDS: [&str; 8] = [
        "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath",
    ];
    let mut requests = 0;
    let mut call = |args: &[&str], path: &str| -> Result<()> {
        let url = nginx.url(path);
        let answer = curl(args.iter().copied().chain([url.as_str()]))?;
        ensure!(answer.status != 0, "{path}: {}", answer.error);
        requests += 1;
        Ok(())
    };
    for (n, word) in WORDS.into_iter().enumerate() {
        call(&[], &format!("/get?page={n}&sort={word}"))?;
        call(
            &[
                "-H",
                JSON,
                "-d",
                &format!(r#"{{"name":"{word}","size":{n}}}"#),
            ],
            "/post",
        )?;
        call(&["-d", &format!("name={word}&size={n}")], "/post")?;
        call(&["-X", "PUT", "-H", JSON, "-d", r#"{"a":1}"#], "/put")?;
        call(&["-X", "PATCH", "-H", JSON, "-d", r#"{"a":2}"#], "/patch")?;
        call(&["-X", "DELETE"], "/delete")?;
        for status in [200, 201, 400, 404, 418, 503] {
            call(&[], &format!("/status/{status}"))?;
        }
        call(&[], "/uuid")?;
        call(&[], "/json")?;
        call(&[], "/headers")?;
        call(&[], "/user-agent")?;
        call(&[], "/ip")?;
        call(&["--compressed"], "/gzip")?;
        call(&["--compressed"], "/deflate")?;
        call(
            &["-u", &format!("{word}:pass{n}")],
            &format!("/basic-auth/{word}/pass{n}"),
        )?;
        call(
            &["-H", &format!("Authorization: Bearer {word}{n}")],
            "/bearer",
        )?;
        call(&[], "/bearer")?;
        call(&[], &format!("/cache/{}", n * 10))?;
        call(&[], &format!("/bytes/{}", n * 100 + 1))?;
        call(&[], "/xml")?;
        call(&[], "/html")?;
        call(&[], "/response-headers?freeform=yes")?;
        call(&["-b", &format!("tint={word}")], "/cookies")?;
        call(&["-F", "file=@/etc/hostname;type=text/plain"], "/post")?;
    }
    Ok(requests)
}

#[test]
fn httpbin_is_found_and_its_document_is_valid() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (_httpbin, port) = httpbin(dir.path())?;
    let collector = Collector::start(&[])?;
    let nginx = Nginx::start(1, |layout| {
        capturing(
            layout,
            &collector.url(),
            &format!("http://127.0.0.1:{port}"),
            "",
        )
    })?;
    let requests = play(&nginx)?;
    let shim = nginx.drained(requests, PATIENCE)?;
    assert_eq!(
        (shim.get("acknowledged"), shim.dropped()),
        (requests, 0),
        "{shim:?}"
    );
    wait_until("all are learnt", PATIENCE, || {
        collector
            .metric("silhouette_exchanges_pending", "")
            .is_ok_and(|n| n == 0.0)
    })?;

    let host = format!("127.0.0.1:{}", nginx.layout().port);
    // `/status/{code}` and `/html` call their answers text/html: pages, to whoever sees only that.
    let found = collector.operations(&host)?;
    for operation in [
        "GET /get",
        "POST /post",
        "PUT /put",
        "PATCH /patch",
        "DELETE /delete",
        "GET /uuid",
        "GET /json",
        "GET /headers",
        "GET /user-agent",
        "GET /ip",
        "GET /gzip",
        "GET /deflate",
        "GET /bearer",
        "GET /cache/{}",
        "GET /bytes/{}",
        "GET /cookies",
        "GET /basic-auth/{}/{}",
    ] {
        assert!(
            found.contains(operation),
            "{operation} is not among {found:#?}"
        );
    }
    for page in ["GET /html", "GET /status/{}"] {
        assert!(!found.contains(page), "{page} is a page: {found:#?}");
    }
    // Compressed by the origin, and yet read.
    let document = collector.document(&host)?;
    assert!(
        document["paths"]["/gzip"]["get"]["responses"]["200"]
            .to_string()
            .contains("application/json")
    );

    for version in ["3.0", "3.1"] {
        let file = dir.path().join(format!("httpbin-{version}.json"));
        let answer = collector.get(&format!("/v1/hosts/{host}/openapi.json?openapi={version}"))?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        std::fs::write(&file, &answer.body)?;
        if let Some(kept) = std::env::var_os("SILHOUETTE_KEEP_DOCUMENTS") {
            std::fs::copy(
                &file,
                Path::new(&kept).join(format!("httpbin-{version}.json")),
            )?;
        }
        valid(Command::new(tool("python/bin/openapi-spec-validator")?).arg(&file))?;
        let mut redocly = Command::new(tool("node/node_modules/.bin/redocly")?);
        redocly
            .env("REDOCLY_TELEMETRY", "off")
            .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
        valid(
            redocly
                .current_dir(dir.path())
                .args(["lint", "--extends=recommended"])
                .arg(&file),
        )?;
    }
    Ok(())
}

fn valid(linter: &mut Command) -> Result<()> {
    let output = linter.stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{linter:?}:\n{}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}
