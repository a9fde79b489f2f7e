//! Who has no business here: another organisation's ids everywhere, tokens and keys that are not good any more, credentials used from two
//! places, and clocks that are wrong.

mod hostile;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hostile::{collector, problem, push, register, unharmed, uploads};
use serde_json::{Value, json};
use silhouette_e2e::catalog::OWNER;
use silhouette_e2e::process::PATIENCE;
use silhouette_e2e::{Answer, Catalog, Rest, process};

/// No test may take more memory.
const MOST: u64 = 1 << 29;

fn document(host: &str) -> String {
    let operation = json!({ "get": { "responses": { "200": { "description": "OK" } } } });
    json!({
        "openapi": "3.1.0", "info": { "title": host, "version": "1" }, "servers": [{ "url": format!("https://{host}") }],
        "paths": { "/a": operation, "/b": operation, "/c": operation },
    })
    .to_string()
}

/// The keys a person's organisation has.
fn key_in(catalog: &Catalog, organisation: &str) -> Result<Rest> {
    let user = format!("{}@example.com", organisation.to_lowercase());
    catalog.run(&["organisation", "add", organisation, "--owner-email", &user])?;
    let said = catalog.run(&[
        "key",
        "create",
        "--user",
        &user,
        "--name",
        "tests",
        "--organisation",
        organisation,
    ])?;
    let key = said
        .split_whitespace()
        .find(|word| word.starts_with("slk_"));
    Ok(Rest::new(&catalog.url(), key.context("a key")?))
}

fn id_of(value: &Value) -> Result<String> {
    Ok(value["id"]
        .as_str()
        .with_context(|| format!("no id in {value}"))?
        .to_owned())
}

/// Something of every kind there is, by the name of the parameter that takes its id.
fn everything(catalog: &Catalog, rest: &Rest) -> Result<BTreeMap<&'static str, String>> {
    let mut ids = BTreeMap::new();
    let source = uploads(catalog, "Uploads")?;
    let body = json!({ "sourceId": source, "name": "shop", "text": document("shop.example.com") });
    let imported = rest.done("POST", "/api/v1/imports", Some(&body))?;
    ids.insert(
        "apiId",
        imported["apiId"].as_str().context("an API")?.to_owned(),
    );
    ids.insert(
        "revisionId",
        imported["revisionId"]
            .as_str()
            .context("a revision")?
            .to_owned(),
    );
    ids.insert("otherId", ids["revisionId"].clone());
    let definitions = rest.all(&format!("/api/v1/apis/{}/definitions", ids["apiId"]))?;
    ids.insert(
        "definitionId",
        id_of(definitions.first().context("a definition")?)?,
    );
    let target = json!({ "name": "Shop", "url": "https://shop.example.com" });
    ids.insert(
        "targetId",
        id_of(&rest.done("POST", "/api/v1/targets", Some(&target))?)?,
    );
    let analyzer = rest.add_source("Gateway")?;
    register(catalog, &analyzer)?;
    let collectors = rest.all(&format!("/api/v1/sources/{analyzer}/collectors"))?;
    ids.insert(
        "collectorId",
        id_of(collectors.first().context("a collector")?)?,
    );
    let tokens = rest.all(&format!("/api/v1/sources/{analyzer}/tokens"))?;
    ids.insert("tokenId", id_of(tokens.first().context("a token")?)?);
    ids.insert("sourceId", analyzer);
    let report = json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "probe" } }, "results": [{
        "ruleId": "r1", "level": "error", "message": { "text": "found" },
        "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "https://shop.example.com/a" } } }] }] }] });
    rest.done("POST", "/api/v1/scans", Some(&report))?;
    ids.insert(
        "scanId",
        id_of(rest.all("/api/v1/scans")?.first().context("a scan")?)?,
    );
    ids.insert(
        "findingId",
        id_of(rest.all("/api/v1/findings")?.first().context("a finding")?)?,
    );
    ids.insert(
        "keyId",
        id_of(rest.all("/api/v1/keys")?.first().context("a key")?)?,
    );
    let role = json!({ "name": "Ours", "permissions": [] });
    let role = rest.ask("POST", "/api/v1/roles", Some(&role))?;
    if role.status == 201 {
        ids.insert("roleId", id_of(&role.json()?)?);
    } else {
        let permissions = rest.all("/api/v1/permissions")?;
        let first = permissions.first().context("a permission")?;
        let first = first["id"]
            .as_str()
            .or(first["name"].as_str())
            .context("its name")?;
        let role = json!({ "name": "Ours", "permissions": [first] });
        ids.insert(
            "roleId",
            id_of(&rest.done("POST", "/api/v1/roles", Some(&role))?)?,
        );
    }
    let me = rest.get("/api/v1/users")?;
    ids.insert("userId", id_of(&me["items"][0])?);
    let organisations = rest.all("/api/v1/organisations")?;
    ids.insert(
        "organisationId",
        id_of(organisations.first().context("an organisation")?)?,
    );
    Ok(ids)
}

/// A body of the right form with the others' ids wherever an id can stand.
fn body_for(path: &str, ids: &BTreeMap<&'static str, String>) -> Value {
    match path {
        "/api/v1/bulk/link" => json!({ "apiIds": [ids["apiId"]], "targetId": ids["targetId"] }),
        path if path.starts_with("/api/v1/bulk/") => json!({ "apiIds": [ids["apiId"]] }),
        path if path.ends_with("/target") => json!({ "targetId": ids["targetId"] }),
        path if path.ends_with("/hidden") => json!({ "hidden": true }),
        path if path.ends_with("/move") => json!({ "apiId": ids["apiId"] }),
        path if path.ends_with("/active") => json!({ "active": false }),
        path if path.ends_with("/role") => json!({ "role": ids["roleId"] }),
        path if path.contains("/targets/") => {
            json!({ "name": "taken over", "url": "https://shop.example.com" })
        }
        "/api/v1/imports" => {
            json!({ "sourceId": ids["sourceId"], "text": document("evil.example.com") })
        }
        path if path.contains("/roles/") => json!({ "name": "taken over", "permissions": [] }),
        _ => json!({ "name": "taken over" }),
    }
}

#[test]
fn ids_of_another_organisation_are_ids_of_nothing() -> Result<()> {
    let catalog = Catalog::start(&[])?;
    let ours = catalog.rest().clone();
    let ids = everything(&catalog, &ours)?;
    let theirs = key_in(&catalog, "Strangers")?;
    let before = ours.get("/api/v1/apis")?;
    let mut asked = 0;
    for name in ["inventory", "importers", "scans", "identity"] {
        let document = ours.get(&format!("/openapi/{name}.json"))?;
        for (path, item) in document["paths"].as_object().context("paths")? {
            let takes_ids = path.contains('{')
                || path.starts_with("/api/v1/bulk/")
                || path == "/api/v1/imports";
            if !takes_ids {
                continue;
            }
            let mut there = path.clone();
            for (parameter, id) in &ids {
                there = there.replace(&format!("{{{parameter}}}"), id);
            }
            assert!(!there.contains('{'), "nothing of {there} was made");
            for (method, operation) in item.as_object().context("operations")? {
                let body = operation.get("requestBody").map(|_| body_for(path, &ids));
                let answer = theirs.ask(&method.to_uppercase(), &there, body.as_ref())?;
                assert!(
                    [403, 404, 422].contains(&answer.status),
                    "{method} {there}: {} {}",
                    answer.status,
                    answer.text()
                );
                assert!(
                    !answer.text().contains("shop"),
                    "{method} {there}: {}",
                    answer.text()
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 40, "{asked}");
    // As filters they find nothing; as a header they are nobody's.
    for list in [
        "apis?sourceId=sourceId",
        "apis?targetId=targetId",
        "findings?apiId=apiId",
        "audit-log?subjectId=apiId",
        "keys?userId=userId",
    ] {
        let (list, kind) = list.rsplit_once('=').context("a filter")?;
        let answer = theirs.ask("GET", &format!("/api/v1/{list}={}", ids[kind]), None)?;
        if answer.status != 404 {
            assert_eq!(answer.json()?["items"], json!([]), "{list}");
        }
    }
    for (header, id) in [
        ("X-Invicti-OrganizationId", "organisationId"),
        ("X-Invicti-UserId", "userId"),
    ] {
        let header = format!("{header}: {}", ids[id]);
        let key = format!("X-Auth: {}", theirs.key());
        let answer = silhouette_e2e::curl([
            "-H",
            &key,
            "-H",
            &header,
            &format!("{}/api/v1/apis", catalog.url()),
        ])?;
        assert!(
            [403, 404].contains(&answer.status),
            "{header}: {} {}",
            answer.status,
            answer.text()
        );
    }
    assert_eq!(ours.get("/api/v1/apis")?, before, "nothing was changed");
    assert_eq!(theirs.all("/api/v1/apis")?, Vec::<Value>::new());
    unharmed(&catalog, MOST)
}

#[test]
fn keys_and_tokens_end() -> Result<()> {
    let catalog = Catalog::start(&[])?;
    let said = catalog.run(&[
        "key",
        "create",
        "--user",
        OWNER,
        "--name",
        "short",
        "--expires",
        "1s",
    ])?;
    let short = said
        .split_whitespace()
        .find(|word| word.starts_with("slk_"))
        .context("a key")?;
    let short = Rest::new(&catalog.url(), short);
    process::wait_until("the key expires", PATIENCE, || {
        short
            .ask("GET", "/api/v1/me", None)
            .is_ok_and(|answer| answer.status == 401)
    })?;
    let answer = short.ask("GET", "/api/v1/me", None)?;
    problem(&answer, 401, "unauthenticated");
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|value| value.starts_with("xAuth "))
    );
    // A token that was taken back; one that was used by another; what is none.
    let rest = catalog.rest();
    let source = rest.add_source("Gateway")?;
    let token = rest.registration_token(&source)?;
    let id = id_of(
        rest.all(&format!("/api/v1/sources/{source}/tokens"))?
            .first()
            .context("a token")?,
    )?;
    rest.done(
        "DELETE",
        &format!("/api/v1/sources/{source}/tokens/{id}"),
        None,
    )?;
    let register = |token: &str, instance: &str| -> Result<Answer> {
        let body = json!({ "instance": instance, "name": "edge", "version": "0.1.0" });
        collector(
            &catalog,
            token,
            ("POST", "registrations"),
            body.to_string().as_bytes(),
            &[],
        )
    };
    let (one, other) = (
        "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0b",
        "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0c",
    );
    problem(&register(&token, one)?, 401, "token-unknown");
    let token = rest.registration_token(&source)?;
    assert_eq!(register(&token, one)?.status, 201);
    problem(&register(&token, other)?, 409, "token-used");
    for none in ["", "slr_", "slr_x", "' OR 1=1 --", rest.key()] {
        let answer = register(none, one)?;
        problem(&answer, 401, "token-unknown");
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|value| value.starts_with("Bearer "))
        );
    }
    problem(&register(&token, "no UUID")?, 422, "invalid-field");
    let large = "x".repeat(70 << 10);
    problem(&register(&token, &large)?, 413, "too-large");
    unharmed(&catalog, MOST)
}

fn beat(at: &str) -> Vec<u8> {
    json!({ "version": "0.1.0", "sentAt": at, "hosts": { "known": 1, "waiting": 0 },
        "outbox": { "pending": 0, "oldestSeconds": null, "merged": 0 }, "lastError": null, "sync": null })
    .to_string()
    .into_bytes()
}

#[test]
fn a_credential_that_was_stolen_dies_with_the_next_rotation_and_is_told_of() -> Result<()> {
    let catalog = Catalog::start(&[])?;
    let rest = catalog.rest();
    let source = rest.add_source("Gateway")?;
    let stolen = register(&catalog, &source)?;
    let heartbeat = |credential: &str| {
        collector(
            &catalog,
            credential,
            ("POST", "heartbeats"),
            &beat("2026-01-01T00:00:00Z"),
            &[],
        )
    };
    // From two places nothing tells the two apart until it is replaced.
    assert_eq!(heartbeat(&stolen)?.status, 200);
    let made = collector(&catalog, &stolen, ("POST", "credential"), b"{}", &[])?;
    let new = made.json()?["credential"]
        .as_str()
        .context("a credential")?
        .to_owned();
    assert_eq!(heartbeat(&stolen)?.status, 200, "until the new one is used");
    assert_eq!(heartbeat(&new)?.status, 200);
    for (method, path) in [
        ("POST", "heartbeats"),
        ("POST", "credential"),
        ("DELETE", "registration"),
        ("PUT", "hosts/a.example.com/seen"),
    ] {
        problem(
            &collector(&catalog, &stolen, (method, path), b"{}", &[])?,
            401,
            "credential-revoked",
        );
    }
    problem(
        &push(
            &catalog,
            &stolen,
            ("a.example.com", 1),
            document("a.example.com").as_bytes(),
            &[],
        )?,
        401,
        "credential-revoked",
    );
    let log = rest.all("/api/v1/audit-log")?;
    let told = log.iter().any(|entry| {
        entry["action"]
            .as_str()
            .is_some_and(|action| action.contains("credential"))
            && entry.to_string().contains("127.0.0.1")
    });
    assert!(told, "{log:?}");
    // Whoever is taken off its source is out at once.
    let collectors = rest.all(&format!("/api/v1/sources/{source}/collectors"))?;
    let id = id_of(collectors.first().context("a collector")?)?;
    rest.done(
        "DELETE",
        &format!("/api/v1/sources/{source}/collectors/{id}"),
        None,
    )?;
    let answer = heartbeat(&new)?;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(rest.all("/api/v1/apis")?.len(), 0);
    unharmed(&catalog, MOST)
}

#[test]
fn clocks_that_are_wrong_decide_nothing() -> Result<()> {
    let catalog = Catalog::start(&[])?;
    let rest = catalog.rest();
    let source = rest.add_source("Gateway")?;
    let credential = register(&catalog, &source)?;
    for (sequence, at) in [
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "-009999-01-01T00:00:00Z",
        "2026-13-45T99:99:99Z",
        "yesterday",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let answer = collector(
            &catalog,
            &credential,
            ("POST", "heartbeats"),
            &beat(at),
            &[],
        )?;
        assert_eq!(answer.status, 200, "{at}: {}", answer.text());
        let emitted = format!("Silhouette-Emitted: {at}");
        let contract = format!("Silhouette-Contract: {:064x}", sequence + 1);
        let host = format!("h{sequence}.example.com");
        let path = format!("hosts/{host}/revisions/1");
        let answer = collector(
            &catalog,
            &credential,
            ("PUT", &path),
            document(&host).as_bytes(),
            &["-H", &emitted, "-H", &contract],
        )?;
        assert_eq!(answer.status, 201, "{at}: {}", answer.text());
        let seen = json!({ "at": at, "exchanges": 3, "firstSeen": at, "lastSeen": at, "operations": [{ "method": "GET", "path": "/a", "calls": 3, "firstSeen": at, "lastSeen": at }], "callers": [] });
        let answer = collector(
            &catalog,
            &credential,
            ("PUT", &format!("hosts/{host}/seen")),
            seen.to_string().as_bytes(),
            &[],
        )?;
        assert_eq!(answer.status, 204, "{at}: {}", answer.text());
        let source = rest.get(&format!("/api/v1/sources/{source}"))?;
        assert_eq!(source["statusTitle"], "Sync completed", "{at}");
    }
    // First discovered and last updated are the catalog's own times.
    let apis = rest.all("/api/v1/apis")?;
    assert_eq!(apis.len(), 6);
    for api in &apis {
        for time in ["firstDiscoveredAt", "updatedAt"] {
            let text = api[time]
                .as_str()
                .with_context(|| format!("{time} in {api}"))?;
            assert!(text > "2026-01-01" && text < "2100", "{time}: {api}");
        }
    }
    unharmed(&catalog, MOST)
}
