//! What the catalog takes in is bounded, however much comes at once, however slowly, and however small it was packed.

mod hostile;

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Context, Result};
use hostile::{
    answer_of, ask, file, import, import_text, metric, problem, push, raw, register, unharmed,
    uploads,
};
use serde_json::json;
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{Catalog, Visitor, process};

const MIB: usize = 1 << 20;
/// No test may take more memory.
const MOST: u64 = 1 << 30;

/// A document of just so many bytes.
fn document(name: &str, bytes: usize) -> String {
    let document = |filler: &str| {
        json!({
            "openapi": "3.1.0",
            "info": { "title": name, "version": "1", "description": filler },
            "servers": [{ "url": format!("https://{name}.example.com") }],
            "paths": {
                "/books": { "get": { "responses": { "200": { "description": "OK" } } } },
                "/books/{isbn}": {
                    "parameters": [{ "name": "isbn", "in": "path", "required": true, "schema": { "type": "string" } }],
                    "get": { "responses": { "200": { "description": "OK" } } },
                },
            },
        })
        .to_string()
    };
    let bare = document("").len();
    document(&"x".repeat(bytes.saturating_sub(bare)))
}

fn nothing_is_held(catalog: &Catalog) -> Result<()> {
    process::wait_until("memory for bodies is given back", PATIENCE, || {
        metric(catalog, "body_memory_bytes").is_ok_and(|held| held == 0)
    })
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    coder.write_all(bytes)?;
    Ok(coder.finish()?)
}

#[test]
fn a_document_is_taken_up_to_the_limit_whichever_way_it_comes() -> Result<()> {
    const LIMIT: usize = 4 * MIB;
    let catalog = Catalog::start(&["--max-document", "4m", "--body-memory", "16m"])?;
    let source = uploads(&catalog, "Uploads")?;
    let analyzer = catalog.rest().add_source("Gateway")?;
    let credential = register(&catalog, &analyzer)?;
    let visitor = Visitor::owner(&catalog)?;
    let dir = tempfile::tempdir()?;
    let form = format!("/sources/{source}/import");
    let coded = ["-H", "Content-Encoding: gzip"];

    let fits = |name: &str| document(name, LIMIT);
    assert_eq!(
        import(&catalog, &source, fits("file").as_bytes())?.status,
        201
    );
    assert_eq!(import_text(&catalog, &source, &fits("text"))?.status, 201);
    let plain = push(
        &catalog,
        &credential,
        ("plain.example.com", 1),
        fits("plain").as_bytes(),
        &[],
    )?;
    assert_eq!(plain.status, 201, "{}", plain.text());
    let packed = gzip(fits("packed").as_bytes())?;
    let packed = push(
        &catalog,
        &credential,
        ("packed.example.com", 1),
        &packed,
        &coded,
    )?;
    assert_eq!(packed.status, 201, "{}", packed.text());
    let path = file(dir.path(), "form.json", fits("form").as_bytes())?;
    let sent = visitor.upload(&form, &[format!("file=@{}", path.display())])?;
    assert_eq!(sent.status, 303, "{:.3000}", sent.text());
    let path = file(dir.path(), "paste.json", fits("pasted").as_bytes())?;
    let sent = visitor.upload(&form, &[format!("text=<{}", path.display())])?;
    assert_eq!(sent.status, 303, "{:.3000}", sent.text());
    assert_eq!(catalog.rest().all("/api/v1/apis")?.len(), 6);

    let over = |name: &str| document(name, LIMIT + 1);
    problem(
        &import(&catalog, &source, over("file2").as_bytes())?,
        413,
        "too-large",
    );
    problem(
        &import_text(&catalog, &source, &over("text2"))?,
        413,
        "too-large",
    );
    let plain = push(
        &catalog,
        &credential,
        ("plain2.example.com", 1),
        over("plain2").as_bytes(),
        &[],
    )?;
    problem(&plain, 413, "too-large");
    let packed = gzip(over("packed2").as_bytes())?;
    let packed = push(
        &catalog,
        &credential,
        ("packed2.example.com", 1),
        &packed,
        &coded,
    )?;
    problem(&packed, 413, "too-large");
    let path = file(dir.path(), "form.json", over("form2").as_bytes())?;
    let sent = visitor.upload(&form, &[format!("file=@{}", path.display())])?;
    assert_eq!(sent.status, 413);
    let path = file(dir.path(), "paste.json", over("pasted2").as_bytes())?;
    let sent = visitor.upload(&form, &[format!("text=<{}", path.display())])?;
    assert_eq!(sent.status, 413);
    // Far over it: the answer still arrives.
    let far = "x".repeat(40 * MIB);
    problem(
        &import(&catalog, &source, far.as_bytes())?,
        413,
        "too-large",
    );
    problem(&import_text(&catalog, &source, &far)?, 413, "too-large");
    let chunked = ["-H", "Transfer-Encoding: chunked"];
    let far = push(
        &catalog,
        &credential,
        ("far.example.com", 1),
        far.as_bytes(),
        &chunked,
    )?;
    problem(&far, 413, "too-large");
    assert_eq!(catalog.rest().all("/api/v1/apis")?.len(), 6);
    nothing_is_held(&catalog)?;
    unharmed(&catalog, MOST)
}

/// A document of about so many bytes that is nothing but operations with schemas.
fn dense(bytes: usize) -> String {
    let schema = json!({ "type": "object", "required": ["id"], "properties": {
        "id": { "type": "integer", "format": "int64", "examples": [1] }, "name": { "type": "string" },
        "tags": { "type": "array", "items": { "type": "string", "enum": ["a", "b"] } } } });
    let content = json!({ "application/json": { "schema": schema } });
    let operation = json!({ "get": { "parameters": [{ "name": "page", "in": "query", "schema": { "type": "integer" } }],
        "responses": { "200": { "description": "OK", "content": content }, "404": { "description": "None" } } } })
    .to_string();
    let mut paths = String::with_capacity(bytes + 1000);
    for n in 0.. {
        if paths.len() >= bytes {
            break;
        }
        let comma = if n == 0 { "" } else { "," };
        paths.push_str(&format!(
            "{comma}\"/group{}/things{n}\":{operation}",
            n % 300
        ));
    }
    format!(
        "{{\"openapi\":\"3.1.0\",\"info\":{{\"title\":\"Dense\",\"version\":\"1\"}},\
         \"servers\":[{{\"url\":\"https://dense.example.com\"}}],\"paths\":{{{paths}}}}}"
    )
}

#[test]
fn a_document_of_fifty_megabytes_is_taken_by_default() -> Result<()> {
    let catalog = Catalog::start(&[])?;
    let source = uploads(&catalog, "Uploads")?;
    let document = dense(50_000_000);
    let answer = import(&catalog, &source, document.as_bytes())?;
    assert_eq!(answer.status, 201, "{} {}", answer.error, answer.text());
    let answer = import_text(&catalog, &source, &document)?;
    assert_eq!(answer.status, 200, "{} {}", answer.error, answer.text());
    assert_eq!(answer.json()?["outcome"], "same");
    // A hundred thousand operations with their schemas are taken apart one document at a time, whole.
    unharmed(&catalog, 2 * MOST)
}

/// The head of an import as JSON, of so many bytes.
fn head(catalog: &Catalog, bytes: usize) -> String {
    format!(
        "POST /api/v1/imports HTTP/1.1\r\nHost: {}\r\nX-Auth: {}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\
         Connection: close\r\n\r\n",
        catalog.address(),
        catalog.rest().key()
    )
}

#[test]
fn many_large_bodies_at_once_share_the_memory_there_is() -> Result<()> {
    const AT_ONCE: usize = 24;
    let catalog = Catalog::start(&["--max-document", "2m", "--body-memory", "8m"])?;
    let source = uploads(&catalog, "Uploads")?;
    let sending: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let text = document(&format!("api{n}"), 2 * MIB - n);
            let body = json!({ "sourceId": source, "text": text }).to_string();
            let head = head(&catalog, body.len());
            let address = catalog.address();
            std::thread::spawn(move || -> Result<String> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(2 * PATIENCE))?;
                stream.write_all(head.as_bytes())?;
                stream.write_all(body.as_bytes())?;
                Ok(answer_of(&mut stream))
            })
        })
        .collect();
    let mut kept = 0;
    for sender in sending {
        let answer = sender
            .join()
            .map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        if answer.starts_with("HTTP/1.1 201 ") {
            kept += 1;
        } else {
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(
                answer.contains("/problems/busy") && answer.contains("retry-after: "),
                "{answer}"
            );
        }
    }
    assert!(kept > 0);
    assert_eq!(catalog.rest().all("/api/v1/apis")?.len(), kept);
    // Each takes its own length twice: as it was sent, and as the text in it.
    let peak = metric(&catalog, "body_memory_peak_bytes")?;
    assert!((4 * MIB as i64..=8 * MIB as i64).contains(&peak), "{peak}");
    nothing_is_held(&catalog)?;
    unharmed(&catalog, MOST)
}

#[test]
fn who_sends_slowly_makes_way_for_others() -> Result<()> {
    let catalog = Catalog::start(&["--max-document", "4m", "--body-memory", "8m"])?;
    let source = uploads(&catalog, "Uploads")?;
    let mut slow = TcpStream::connect(catalog.address())?;
    slow.set_read_timeout(Some(PATIENCE))?;
    // It says that it will fill all there is, and sends next to nothing.
    slow.write_all(head(&catalog, 6 * MIB).as_bytes())?;
    slow.write_all(b"{\"text\": \"")?;
    process::wait_until("it has its room", PATIENCE, || {
        metric(&catalog, "body_memory_bytes").is_ok_and(|held| held == 8 * MIB as i64)
    })?;
    // Small requests need no room.
    assert_eq!(catalog.rest().all("/api/v1/apis")?.len(), 0);
    let quick = import(&catalog, &source, document("quick", 3 * MIB).as_bytes())?;
    assert_eq!(quick.status, 201, "{} {}", quick.error, quick.text());
    let answer = answer_of(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("/problems/timeout"), "{answer}");
    nothing_is_held(&catalog)?;
    unharmed(&catalog, MOST)
}

#[test]
fn what_comes_too_slowly_or_not_at_all_is_given_up() -> Result<()> {
    let catalog = Catalog::start(&["--header-timeout", "5s", "--request-timeout", "2s"])?;
    // A head that never ends: closed without a word.
    let answer = raw(&catalog, &[b"GET / HTTP/1.1\r\nHost: x\r\n"], PATIENCE)?;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
    // A body that never comes.
    let head = head(&catalog, 100);
    let answer = raw(&catalog, &[head.as_bytes(), b"{"], PATIENCE)?;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("application/problem+json") && answer.contains("/problems/timeout"),
        "{answer}"
    );
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    let form = "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nemail=";
    let answer = raw(&catalog, &[form.as_bytes()], PATIENCE)?;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("<h1>"),
        "{answer}"
    );
    // A body that is cut.
    let mut stream = TcpStream::connect(catalog.address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"{\"sourceId\":")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let answer = answer_of(&mut stream);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    unharmed(&catalog, MOST)
}

#[test]
fn what_was_packed_small_is_bounded_by_what_it_unpacks_to() -> Result<()> {
    let catalog = Catalog::start(&["--max-document", "4m", "--body-memory", "8m"])?;
    let analyzer = catalog.rest().add_source("Gateway")?;
    let credential = register(&catalog, &analyzer)?;
    let send = |body: &[u8], coding: &str| {
        let coding = format!("Content-Encoding: {coding}");
        push(
            &catalog,
            &credential,
            ("bomb.example.com", 1),
            body,
            &["-H", &coding],
        )
    };
    let bomb = gzip(&vec![b' '; 300 * MIB])?;
    assert!(bomb.len() < 4 * MIB);
    problem(&send(&bomb, "gzip")?, 413, "too-large");
    problem(
        &send(&bomb[..MIB.min(bomb.len() / 2)], "gzip")?,
        413,
        "too-large",
    );
    let nested = gzip(&bomb)?;
    problem(&send(&nested, "gzip")?, 422, "invalid-field");
    let cut = gzip(document("cut", 1000).as_bytes())?;
    problem(&send(&cut[..cut.len() / 2], "gzip")?, 400, "malformed-body");
    problem(&send(b"{}", "gzip")?, 400, "malformed-body");
    problem(&send(b"", "gzip")?, 400, "malformed-body");
    for coding in ["br", "gzip, gzip", "deflate", "x"] {
        problem(&send(&cut, coding)?, 415, "unsupported-media-type");
    }
    // Nobody else unpacks anything.
    let coded = [
        "-H",
        "Content-Encoding: gzip",
        "-H",
        "Content-Type: application/json",
        "--data-binary",
    ];
    let dir = tempfile::tempdir()?;
    let path = file(dir.path(), "bomb", &nested)?;
    let body = format!("@{}", path.display());
    let answer = ask(
        &catalog,
        "/api/v1/imports",
        &[&coded[..], &[&body]].concat(),
    )?;
    problem(&answer, 400, "malformed-body");
    nothing_is_held(&catalog)?;
    unharmed(&catalog, MOST).context("gzip bombs")
}
