//! The collectors' protocol, as collectors speak it, on both databases.

mod caller;
mod people;
mod stores;

use std::io::Write as _;
use std::time::Duration;

use caller::{Answer, Api};
use people::{door, organisation};
use serde_json::{Value, json};
use silhouette_catalog::Millis;
use silhouette_catalog::access::Actor;
use silhouette_catalog::ids::{ApiId, SourceId};
use silhouette_catalog::inventory;
use silhouette_catalog::sources::{self, Kind, New};
use silhouette_catalog::store::{Page, Store};
use stores::on_each;

const INSTANCE: &str = "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0b";
const OTHER: &str = "0198c5a2-7d3e-4b1a-9f04-5c6d7e8f9a0c";
const OFFLINE: Duration = Duration::from_secs(300);

async fn call(api: &Api, secret: &str, method: &str, path: &str, body: Value) -> Answer {
    let authorization = format!("Bearer {secret}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let path = format!("/collector/v1/{path}");
    api.raw((method, &path), &headers, body.to_string()).await
}

async fn push(
    api: &Api,
    secret: &str,
    (host, sequence): (&str, &str),
    contract: &str,
    extra: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let authorization = format!("Bearer {secret}");
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("silhouette-contract", contract),
        ("silhouette-emitted", "2026-03-02T08:00:01Z"),
    ];
    headers.extend_from_slice(extra);
    let path = format!("/collector/v1/hosts/{host}/revisions/{sequence}");
    api.raw(("PUT", &path), &headers, body).await
}

fn document(paths: &[&str]) -> Vec<u8> {
    let paths: serde_json::Map<String, Value> = paths
        .iter()
        .map(|path| {
            (
                (*path).to_owned(),
                json!({ "get": { "responses": { "200": { "description": "OK" } } } }),
            )
        })
        .collect();
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "Shop", "version": "1" },
        "servers": [{ "url": "https://shop.example.com" }], "paths": paths,
    });
    document.to_string().into_bytes()
}

fn beat(sync: Value) -> Value {
    json!({
        "version": "0.1.0", "sentAt": "2026-03-02T08:00:01Z", "hosts": { "known": 3, "waiting": 1 },
        "outbox": { "pending": 2, "oldestSeconds": 5, "merged": 0 }, "lastError": null, "sync": sync, "newer": true,
    })
}

async fn set_up(store: &Store) -> (Api, Actor, SourceId, String) {
    let here = organisation(store, &door(), "Here", "here@example.com").await;
    let new = New {
        name: "Edge",
        kind: Kind::TrafficAnalyzer,
        settings: json!(null),
        exclude_empty: true,
        auto_sync: true,
    };
    let now = Millis::now();
    let source = sources::create(store, &here, new, now).await.unwrap();
    let lifetime = Duration::from_secs(48 * 3600);
    let token = sources::make_token(store, &here, &source, lifetime, now)
        .await
        .unwrap()
        .secret;
    (Api::new(store), here, source, token)
}

#[tokio::test]
async fn a_collector_registers_reports_pushes_and_leaves() {
    on_each(async |store| {
        let store = &store;
        let (api, here, source, token) = set_up(store).await;
        let register = async |token: &str, instance: &str| {
            let body = json!({ "instance": instance, "name": "edge-1", "version": "0.1.0" });
            call(&api, token, "POST", "registrations", body).await
        };
        register("slr_x", INSTANCE).await.problem(401, "token-unknown");
        let problem = register(&token, "edge").await.problem(422, "invalid-field");
        assert_eq!(problem["field"], "instance");
        let made = register(&token, INSTANCE).await;
        assert_eq!(made.status, 201);
        let made = made.json();
        assert_eq!((&made["sourceName"], &made["heartbeatSeconds"], &made["documentBytes"]), (&json!("Edge"), &json!(30), &json!(50 << 20)));
        register(&token, OTHER).await.problem(409, "token-used");
        let credential = made["credential"].as_str().unwrap();

        let stranger = call(&api, "slc_x", "POST", "heartbeats", beat(json!(null))).await;
        stranger.problem(401, "credential-unknown");
        assert!(stranger.header("www-authenticate").starts_with("Bearer "));
        call(&api, credential, "POST", "heartbeats", json!({ "sentAt": 1 })).await.problem(422, "invalid-field");
        let pulse = call(&api, credential, "POST", "heartbeats", beat(json!(null))).await;
        assert_eq!(pulse.status, 200);
        let pulse = pulse.json();
        assert!(Millis::parse(pulse["serverTime"].as_str().unwrap()).is_some());
        assert_eq!((&pulse["autoSync"], &pulse["sync"], &pulse["rotateCredential"]), (&json!(true), &json!(null), &json!(false)));

        // The first revision, delivered twice; then the same contract, another one, and numbers that are taken.
        let (one, two) = (document(&["/books"]), document(&["/books", "/orders"]));
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let host = "shop.example.com";
        call(&api, credential, "PUT", &format!("hosts/{host}/seen"), json!({ "at": "x", "exchanges": 1 })).await.problem(404, "host-unknown");
        let kept = push(&api, credential, (host, "1"), &a, &[], one.clone()).await;
        assert_eq!(kept.status, 201, "{}", kept.json());
        let kept = kept.json();
        let again = push(&api, credential, (host, "1"), &a, &[], one.clone()).await;
        assert_eq!((again.status.as_u16(), again.json()), (200, kept.clone()));
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&two).unwrap();
        let next = push(&api, credential, (host, "2"), &b, &[("content-encoding", "gzip")], packer.finish().unwrap()).await;
        assert_eq!(next.status, 201);
        assert_eq!(next.json()["apiId"], kept["apiId"]);
        let conflict = push(&api, credential, (host, "2"), &a, &[], one.clone()).await.problem(409, "sequence-conflict");
        assert_eq!(conflict["latest"], 2);
        push(&api, credential, (host, "1"), &b, &[], two.clone()).await.problem(409, "sequence-conflict");
        for (sequence, contract) in [("0", a.as_str()), ("-1", &a), ("x", &a), ("99999999999999999999", &a)] {
            push(&api, credential, (host, sequence), contract, &[], one.clone()).await.problem(400, "invalid-parameter");
        }
        assert!(push(&api, credential, (host, "3"), "no hash", &[], one.clone()).await.status.is_client_error());
        push(&api, credential, (host, "3"), &a, &[], b"no document".to_vec()).await.problem(422, "invalid-field");
        push(&api, credential, (host, "3"), &a, &[("content-encoding", "br")], one.clone()).await.problem(415, "unsupported-media-type");
        push(&api, "slc_x", (host, "3"), &a, &[], one.clone()).await.problem(401, "credential-unknown");

        let seen = json!({
            "at": "2026-03-02T08:00:01Z", "exchanges": 7, "firstSeen": "2026-03-01T00:00:00Z", "lastSeen": "2026-03-02T08:00:00Z",
            "operations": [{ "method": "GET", "path": "/books", "calls": 7, "firstSeen": "2026-03-01T00:00:00Z", "lastSeen": "2026-03-02T08:00:00Z" }],
            "callers": [{ "kind": "client", "name": "curl", "calls": 7, "lastSeen": "2026-03-02T08:00:00Z" }, { "kind": "newer", "name": "x", "calls": 1 }],
        });
        // As collectors send it, and plain.
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(seen.to_string().as_bytes()).unwrap();
        let bearer = format!("Bearer {credential}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("content-encoding", "gzip")];
        let path = format!("/collector/v1/hosts/{host}/seen");
        assert_eq!(api.raw(("PUT", &path), &headers, packer.finish().unwrap()).await.status, 204);
        let of = kept["apiId"].as_str().map(ApiId::parse).unwrap().unwrap();
        let callers = inventory::callers(store, &here, &of, None, Page::default()).await.unwrap();
        assert_eq!((callers.total, callers.items[0].name.as_str()), (1, "curl"));
        assert_eq!(call(&api, credential, "PUT", &format!("hosts/{host}/seen"), seen).await.status, 204);
        let status = async || sources::get(store, &here, &source, (OFFLINE, Millis::now())).await.unwrap();
        assert_eq!((status().await.report.status, status().await.definitions), (sources::Status::SyncCompleted, 1));

        // Somebody presses Sync.
        let sync = sources::sync(store, &here, &source, Millis::now()).await.unwrap();
        let report = async |state: &str| {
            call(&api, credential, "POST", "heartbeats", beat(json!({ "id": sync, "state": state, "error": null }))).await
        };
        report("done").await.problem(422, "invalid-field");
        assert_eq!(report("running").await.json()["sync"], json!(sync));
        assert_eq!(report("completed").await.json()["sync"], json!(null));
        assert_eq!(status().await.report.status, sources::Status::SyncCompleted);

        // A new credential; the old one is dead once the new one is used.
        let next = call(&api, credential, "POST", "credential", json!({})).await.json();
        let next = next["credential"].as_str().unwrap();
        assert_eq!(call(&api, next, "POST", "heartbeats", beat(json!(null))).await.status, 200);
        push(&api, credential, (host, "3"), &a, &[], one.clone()).await.problem(401, "credential-revoked");
        assert_eq!(call(&api, next, "DELETE", "registration", json!({})).await.status, 204);
        call(&api, next, "POST", "heartbeats", beat(json!(null))).await.problem(401, "credential-revoked");
        assert_eq!(status().await.report.status, sources::Status::AwaitingSetup);
        api.raw(("GET", "/collector/v1/nothing"), &[], "").await.problem(404, "not-found");
    })
    .await;
}
