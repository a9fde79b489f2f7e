//! Bad input to the catalog: hostile documents, names that are code, ids of others, tokens that are not good any more, clocks that are wrong.
//! Each is refused with the right words or taken as what it says, and nothing fails inside.

mod hostile;

use std::io::ErrorKind;
use std::net::TcpListener;

use anyhow::{Context, Result};
use hostile::{ask, collector, import, problem, push, raw, register, unharmed, uploads};
use serde_json::{Value, json};
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{Catalog, Visitor, process};

/// No test may take more memory.
const MOST: u64 = 1 << 30;

fn start() -> Result<(Catalog, String)> {
    let catalog = Catalog::start(&["--max-document", "8m", "--allow-private-imports", "true"])?;
    let source = uploads(&catalog, "Uploads")?;
    Ok((catalog, source))
}

fn with_paths(server: &str, paths: Value) -> Value {
    json!({
        "openapi": "3.1.0", "info": { "title": server, "version": "1" },
        "servers": [{ "url": format!("https://{server}.example.com") }], "paths": paths,
    })
}

fn operation() -> Value {
    json!({ "get": { "responses": { "200": { "description": "OK" } } } })
}

#[test]
fn hostile_documents_are_refused_or_taken_as_what_they_say() -> Result<()> {
    let (catalog, source) = start()?;
    let refused = |contents: &[u8], field: &str, says: &str| -> Result<()> {
        let answer = import(&catalog, &source, contents)?;
        let document = problem(&answer, 422, "invalid-field");
        assert_eq!(document["field"], field, "{document}");
        let detail = document["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{says} in {detail:.500}");
        Ok(())
    };
    let taken = |contents: &[u8]| -> Result<Value> {
        let answer = import(&catalog, &source, contents)?;
        assert_eq!(
            answer.status,
            201,
            "{} {:.2000}",
            answer.error,
            answer.text()
        );
        answer.json()
    };
    // What is odd is said, and what can be shown is shown: never more than is taken.
    let visitor = Visitor::owner(&catalog)?;
    let oddly = |contents: &[u8], says: &str| -> Result<()> {
        let imported = taken(contents)?;
        let warnings = imported["warnings"].to_string();
        assert!(warnings.contains(says), "{says} in {warnings:.500}");
        let (api, revision) = (&imported["apiId"], &imported["revisionId"]);
        let (api, revision) = (
            api.as_str().context("id")?,
            revision.as_str().context("id")?,
        );
        for format in ["original", "json", "yaml"] {
            let path = format!("/api/v1/revisions/{revision}/document?format={format}");
            let answer = ask(&catalog, &path, &[])?;
            assert!(
                [200, 400].contains(&answer.status),
                "{path}: {} {:.300}",
                answer.status,
                answer.text()
            );
            assert!(
                answer.body.len() <= 16 << 20,
                "{path}: {} bytes",
                answer.body.len()
            );
        }
        assert_eq!(visitor.get(&format!("/apis/{api}/schema"))?.status, 200);
        Ok(())
    };
    let yaml = |server: &str, more: &str| {
        format!(
            "openapi: 3.1.0\ninfo: {{title: x, version: '1'}}\nservers: [{{url: 'https://{server}.example.com'}}]\n\
             paths: {{/a: {{get: {{responses: {{'200': {{description: OK}}}}}}}}}}\n{more}\n"
        )
    };

    // A billion laughs, by anchors: nine levels of nine.
    let mut laughs = "x-a:\n  a0: &a0 lol\n".to_owned();
    for level in 1..=9 {
        let list = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("  a{level}: &a{level} [{list}]\n"));
    }
    oddly(yaml("laughs", &laughs).as_bytes(), "")?;
    oddly(yaml("itself", "x-a: &a {b: *a}").as_bytes(), "has no end")?;
    // Ten thousand deep.
    for (server, open, close) in [("lists", "[", "]"), ("objects", "{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let document = with_paths(server, json!({ "/a": operation() })).to_string();
        let document = format!("{{\"x-deep\":{deep},{}", document.trim_start_matches('{'));
        oddly(document.as_bytes(), "")?;
    }
    let mut deep = "x-deep:\n".to_owned();
    // Each level is a space deeper: two thousand have 2 MB.
    for level in 1..=2_000 {
        deep.push_str(&" ".repeat(level));
        deep.push_str("a:\n");
    }
    refused(yaml("deep", &deep).as_bytes(), "document", "")?;
    let deep = format!("x-deep: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    refused(yaml("deep", &deep).as_bytes(), "document", "")?;
    // No text, no document.
    refused(
        b"{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"\xff\xfe\"}}",
        "document",
        "UTF-8",
    )?;
    for nothing in [
        "",
        " ",
        "\0",
        "null",
        "[]",
        "1",
        "\"openapi\"",
        "{",
        "<html></html>",
        "%PDF-1.7",
    ] {
        refused(nothing.as_bytes(), "document", "")?;
    }
    refused(
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        "document",
        "UTF-8",
    )?;
    refused(b"openapi: 3.1.0", "baseUrl", "where the API stands")?;
    assert_eq!(catalog.rest().all("/api/v1/apis")?.len(), 4);

    // NUL in a name is taken out, since no database keeps it, or refused.
    let nul = with_paths("nul", json!({ "/a\u{0}b": operation(), "/c": operation() }));
    let answer = import(&catalog, &source, nul.to_string().as_bytes())?;
    assert!([201, 422].contains(&answer.status), "{}", answer.text());
    // Schemas that refer to themselves and to one another, and references to nothing.
    let mut cyclic = with_paths("cyclic", json!({ "/nodes": operation() }));
    let referring = |to: &str| json!({ "content": { "application/json": { "schema": { "$ref": to } } }, "description": "OK" });
    cyclic["paths"]["/nodes"]["get"]["responses"]["200"] = referring("#/components/schemas/A");
    cyclic["paths"]["/nodes"]["get"]["responses"]["404"] =
        referring("#/components/schemas/Nothing");
    cyclic["paths"]["/loop"] = json!({ "$ref": "#/paths/~1loop" });
    cyclic["components"]["schemas"] = json!({
        "A": { "$ref": "#/components/schemas/B" }, "B": { "$ref": "#/components/schemas/A" },
        "C": { "properties": { "c": { "$ref": "#/components/schemas/C" } }, "allOf": [{ "$ref": "#/components/schemas/C" }] },
    });
    let first = taken(cyclic.to_string().as_bytes())?;
    cyclic["components"]["schemas"]["C"]["allOf"] =
        json!([{ "$ref": "#/components/schemas/A" }, { "$ref": "#" }]);
    let body = json!({ "sourceId": source, "name": first["name"], "text": cyclic.to_string() });
    let second = catalog
        .rest()
        .done("POST", "/api/v1/imports", Some(&body))?;
    let (first, second) = (
        first["revisionId"].as_str().context("id")?,
        second["revisionId"].as_str().context("id")?,
    );
    catalog
        .rest()
        .get(&format!("/api/v1/revisions/{first}/diff/{second}"))?;
    let api = catalog
        .rest()
        .api_of("cyclic.example.com")?
        .context("it is there")?;
    let api = api["id"].as_str().context("id")?.to_owned();
    for tab in ["", "/schema", "/revisions", "/drift"] {
        assert_eq!(
            visitor.get(&format!("/apis/{api}{tab}"))?.status,
            200,
            "{tab}"
        );
    }

    // A hundred thousand paths: all are kept in the document, so many are listed, and that is said.
    let many: serde_json::Map<String, Value> = (0..100_000)
        .map(|n| (format!("/p{n}"), json!({ "get": {} })))
        .collect();
    let many = taken(
        with_paths("many", Value::Object(many))
            .to_string()
            .as_bytes(),
    )?;
    assert_eq!(many["operations"], 20_000);
    assert!(
        many["warnings"]
            .to_string()
            .contains("the first 20000 are listed"),
        "{:.500}",
        many["warnings"]
    );
    unharmed(&catalog, MOST)
}

#[test]
fn what_a_document_refers_to_is_never_fetched() -> Result<()> {
    let (catalog, source) = start()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut remote = with_paths(
        "remote",
        json!({ "/a": operation(), "/b": { "$ref": format!("{url}/paths.json#/b") } }),
    );
    remote["$schema"] = json!(format!("{url}/schema.json"));
    remote["externalDocs"] = json!({ "url": format!("{url}/docs") });
    remote["paths"]["/a"]["get"]["responses"]["200"] = json!({ "description": "OK", "content": { "application/json": { "schema": { "$ref": format!("{url}/s.json#/A") } } } });
    remote["components"] = json!({ "schemas": { "A": { "$ref": "file:///etc/passwd" }, "B": { "$ref": "../../../etc/passwd" } } });
    let text = remote.to_string();
    assert_eq!(import(&catalog, &source, text.as_bytes())?.status, 201);
    let yaml = format!(
        "openapi: 3.1.0\ninfo: {{title: y, version: '1'}}\nservers: [{{url: 'https://y.example.com'}}]\npaths:\n  /a: !include {url}/x\n"
    );
    let answer = import(&catalog, &source, yaml.as_bytes())?;
    assert!(
        [201, 200, 422].contains(&answer.status),
        "{}",
        answer.text()
    );
    let xml = format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"{url}/x\">]><x>&e;</x>");
    problem(
        &import(&catalog, &source, xml.as_bytes())?,
        422,
        "invalid-field",
    );
    let api = catalog
        .rest()
        .api_of("remote.example.com")?
        .context("it is there")?;
    let id = api["id"].as_str().context("id")?;
    let visitor = Visitor::owner(&catalog)?;
    for page in ["", "/schema", "/revisions"] {
        let answer = visitor.get(&format!("/apis/{id}{page}"))?;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("root:"), "{page}");
    }
    // Nobody came.
    assert_eq!(
        listener.accept().map_err(|error| error.kind()).err(),
        Some(ErrorKind::WouldBlock)
    );
    // The listener does hear who asks.
    let answer = raw(&catalog, &[b"GET /healthz HTTP/1.0\r\n\r\n"], PATIENCE)?;
    assert!(answer.contains("200 OK"), "{answer}");
    drop(std::net::TcpStream::connect(listener.local_addr()?)?);
    process::wait_until("the listener hears", PATIENCE, || listener.accept().is_ok())?;
    unharmed(&catalog, MOST)
}

/// Names that would be code if anybody took them for it.
const CODE: &str =
    "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}${7*7}'; DROP TABLE apis; --";

#[test]
fn names_that_are_code_stay_names() -> Result<()> {
    let (catalog, source) = start()?;
    let rest = catalog.rest();
    let mut document = with_paths(
        "code",
        json!({ format!("/{CODE}"): operation(), "/b": operation(), "/c": operation() }),
    );
    document["info"] = json!({ "title": CODE, "version": CODE, "description": CODE, "contact": { "name": CODE, "url": "javascript:alert(1)" } });
    document["tags"] = json!([{ "name": CODE, "description": CODE }]);
    let get = &mut document["paths"]["/b"]["get"];
    *get = json!({ "operationId": CODE, "summary": CODE, "description": CODE, "tags": [CODE], "deprecated": true,
        "parameters": [{ "name": CODE, "in": "query", "description": CODE, "schema": { "type": "string", "enum": [CODE], "default": CODE } }],
        "responses": { "200": { "description": CODE, "content": { "application/json": { "schema": { "type": "object", "title": CODE,
            "properties": { CODE: { "type": "string", "description": CODE, "pattern": CODE, "example": CODE } } } } } } } });
    let body = json!({ "sourceId": source, "name": CODE, "text": document.to_string() });
    let imported = rest.done("POST", "/api/v1/imports", Some(&body))?;
    document["paths"]["/b"]["get"]["summary"] = json!(format!("{CODE} again"));
    let body =
        json!({ "sourceId": source, "name": imported["name"], "text": document.to_string() });
    rest.done("POST", "/api/v1/imports", Some(&body))?;
    let api = imported["apiId"].as_str().context("an API")?.to_owned();
    rest.done(
        "PUT",
        &format!("/api/v1/apis/{api}"),
        Some(&json!({ "name": CODE })),
    )?;
    let analyzer = rest.add_source(CODE)?;
    let credential = register(&catalog, &analyzer)?;
    let beat = json!({ "version": CODE, "sentAt": CODE, "lastError": CODE, "hosts": { "known": 1, "waiting": 0 },
        "outbox": { "pending": 0, "oldestSeconds": null, "merged": 0 }, "sync": null });
    let heard = collector(
        &catalog,
        &credential,
        ("POST", "heartbeats"),
        beat.to_string().as_bytes(),
        &[],
    )?;
    assert_eq!(heard.status, 200, "{}", heard.text());
    let observed = with_paths(
        "seen",
        json!({ format!("/{CODE}"): operation(), "/b": operation(), "/c": operation() }),
    )
    .to_string();
    assert_eq!(
        push(
            &catalog,
            &credential,
            ("seen.example.com", 1),
            observed.as_bytes(),
            &[]
        )?
        .status,
        201
    );
    let seen = json!({ "at": "2026-01-01T00:00:00Z", "exchanges": 3, "firstSeen": null, "lastSeen": null,
        "operations": [{ "method": "GET", "path": format!("/{CODE}"), "calls": 3, "firstSeen": null, "lastSeen": null }],
        "callers": [{ "kind": "consumer", "name": CODE, "calls": 3, "lastSeen": null }] });
    let told = collector(
        &catalog,
        &credential,
        ("PUT", "hosts/seen.example.com/seen"),
        seen.to_string().as_bytes(),
        &[],
    )?;
    assert_eq!(told.status, 204, "{}", told.text());
    rest.done(
        "POST",
        "/api/v1/targets",
        Some(&json!({ "name": CODE, "url": "https://code.example.com" })),
    )?;
    rest.done("POST", "/api/v1/keys", Some(&json!({ "name": CODE })))?;
    rest.done(
        "POST",
        "/api/v1/roles",
        Some(&json!({ "name": CODE, "permissions": ["apis:view"] })),
    )?;
    rest.done("PUT", "/api/v1/me", Some(&json!({ "name": CODE })))?;
    let report = json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": CODE, "version": CODE, "rules": [{ "id": CODE, "name": CODE }] } },
        "results": [{ "ruleId": CODE, "level": "error", "message": { "text": CODE },
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "https://code.example.com/b" } } }] }] }] });
    rest.done("POST", "/api/v1/scans", Some(&report))?;

    let visitor = Visitor::owner(&catalog)?;
    let mut pages: Vec<String> = [
        "/",
        "/discovery",
        "/catalog",
        "/sources",
        "/targets",
        "/scans",
        "/audit",
        "/settings",
        "/settings/users",
        "/settings/roles",
        "/settings/keys",
        "/settings/organisation",
        "/discovery/link",
    ]
    .map(str::to_owned)
    .to_vec();
    for source in [&source, &analyzer] {
        pages.extend([
            format!("/sources/{source}"),
            format!("/sources/{source}/edit"),
            format!("/sources/{source}/delete"),
        ]);
    }
    for api in rest.all("/api/v1/apis")? {
        let id = api["id"].as_str().context("id")?;
        pages.extend(
            [
                "",
                "/schema",
                "/revisions",
                "/drift",
                "/callers",
                "/findings",
                "/diff",
                "/rename",
            ]
            .map(|tab| format!("/apis/{id}{tab}")),
        );
    }
    let mut shown = 0;
    for path in &pages {
        let page = visitor.get(path)?;
        assert!(
            [200, 303, 404].contains(&page.status),
            "{path}: {}",
            page.status
        );
        let text = page.text();
        for code in [
            "<script>alert",
            "<img src=x",
            "onerror=alert(1)>{{",
            "href=\"javascript:",
        ] {
            assert!(!text.contains(code), "{code} in {path}");
        }
        shown += usize::from(
            text.contains("&lt;script&gt;alert") || text.contains("&#60;script&#62;alert"),
        );
    }
    assert!(
        shown > 12,
        "the name is on {shown} of {} pages",
        pages.len()
    );

    // As filters and sorts they find nothing or are refused, and everything is still there.
    let code: String = CODE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let lists = [
        "apis?text",
        "apis?sort",
        "apis?host",
        "apis?sourceId",
        "sources?text",
        "targets?text",
        "findings?text",
        "findings?tool",
        "scans?tool",
        "audit-log?text",
        "audit-log?actor",
        "audit-log?from",
        "users?text",
        "roles?text",
        "keys?text",
        "api-hosts?text",
        "overview/found?span",
        "nothing?x",
    ];
    for list in lists {
        let answer = rest.ask("GET", &format!("/api/v1/{list}={code}"), None)?;
        assert!(
            [200, 400, 404].contains(&answer.status),
            "{list}: {} {}",
            answer.status,
            answer.text()
        );
    }
    for page in [
        "/discovery?q",
        "/catalog?sort",
        "/audit?q",
        "/sources?q",
        "/apis/x?q",
        "/sign-in?next",
    ] {
        let answer = visitor.get(&format!("{page}={code}"))?;
        assert!(
            answer.status < 500 && !answer.text().contains("<script>alert"),
            "{page}: {}",
            answer.status
        );
    }
    for path in [
        format!("/api/v1/apis/{code}"),
        format!("/api/v1/{code}"),
        format!("/apis/{code}"),
        format!("/{code}"),
        "/api/v1/apis/%00".into(),
        "/%ff%fe".into(),
    ] {
        let answer = ask(&catalog, &path, &[])?;
        assert!(
            [303, 400, 404].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
    assert_eq!(rest.all("/api/v1/apis")?.len(), 2);
    unharmed(&catalog, MOST)
}
