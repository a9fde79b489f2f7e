//! Documents, sources and collectors for tests of the inventory.
//!
//! In: hosts and operations as `GET /books`. Out: documents as a collector or a person writes them, sources in the tables, and
//! revisions pushed by a collector. Never touches a clock.

#![allow(dead_code, reason = "each test program uses a part of it")]

use bytes::Bytes;
use serde_json::{Value, json};
use silhouette_catalog::access::Actor;
use silhouette_catalog::hash::sha256;
use silhouette_catalog::ids::{ApiId, CollectorId, SourceId};
use silhouette_catalog::inventory::{AcceptRevision, Accepted, accept_revision};
use silhouette_catalog::store::Store;
use silhouette_catalog::{Millis, Refusal};

/// Three operations of a bookshop.
pub(crate) const BOOKS: [&str; 3] = ["GET /books", "POST /books", "GET /books/{isbn}"];

/// The bookshop as its traffic shows it.
pub(crate) fn books() -> serde_json::Value {
    observed("https://books.example.com/v1", &BOOKS, 5)
}

/// A document of operations as `GET /books`; `!` before one says that it is deprecated.
pub(crate) fn document(server: &str, operations: &[&str]) -> Value {
    let mut paths = serde_json::Map::new();
    for operation in operations {
        let deprecated = operation.starts_with('!');
        let (method, path) = operation.trim_start_matches('!').split_once(' ').unwrap();
        let parameters: Vec<Value> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let mut object = json!({
            "parameters": parameters,
            "responses": { "200": { "description": "OK" } },
        });
        if deprecated {
            object["deprecated"] = true.into();
        }
        let item = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        item[method.to_lowercase()] = object;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": format!("API at {server}"), "version": "1" },
        "servers": [{ "url": server }],
        "paths": paths,
    })
}

/// The same as the traffic shows it: each operation was called so often.
pub(crate) fn observed(server: &str, operations: &[&str], calls: u64) -> Value {
    let mut document = document(server, operations);
    let paths = document["paths"].as_object_mut().unwrap();
    for item in paths.values_mut() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            operation["x-silhouette"] = json!({
                "calls": calls,
                "firstSeen": "2027-01-01T00:00:00Z",
                "lastSeen": "2027-01-02T00:00:00Z",
            });
        }
    }
    document
}

/// A source of a kind, as its tables have it.
pub(crate) async fn source(store: &Store, actor: &Actor, name: &str, kind: &str) -> SourceId {
    let id = SourceId::make(super::people::START);
    sqlx::query(
        "INSERT INTO sources (id, organisation_id, name, kind, settings, exclude_empty, auto_sync, created_at, created_by, \
         updated_at) VALUES ($1, $2, $3, $4, '{}', 1, 1, $5, 'test', $5)",
    )
    .bind(id.as_str())
    .bind(actor.organisation.as_str())
    .bind(name)
    .bind(kind)
    .bind(super::people::START.0)
    .execute(store.pool())
    .await
    .unwrap();
    id
}

/// A collector that pushes.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    pub(crate) actor: Actor,
    pub(crate) source: SourceId,
    pub(crate) id: CollectorId,
}

impl Collector {
    pub(crate) async fn of(store: &Store, actor: &Actor, name: &str) -> Collector {
        Collector {
            actor: actor.clone(),
            source: source(store, actor, name, "traffic-analyzer").await,
            id: CollectorId::make(super::people::START),
        }
    }

    /// What is pushed for a host.
    pub(crate) fn revision(&self, host: &str, sequence: u64, document: &Value) -> AcceptRevision {
        let mut contract = document.clone();
        if let Some(paths) = contract["paths"].as_object_mut() {
            for item in paths.values_mut() {
                for operation in item.as_object_mut().unwrap().values_mut() {
                    operation.as_object_mut().unwrap().remove("x-silhouette");
                }
            }
        }
        AcceptRevision {
            organisation: self.actor.organisation.clone(),
            source: self.source.clone(),
            collector: self.id.clone(),
            host: host.to_owned(),
            sequence,
            contract: sha256(contract.to_string().as_bytes()),
            emitted: Some(super::people::START),
            text: Bytes::from(document.to_string()),
            limit: 16 << 20,
        }
    }

    /// Pushes a document for a host.
    pub(crate) async fn push(
        &self,
        store: &Store,
        host: &str,
        sequence: u64,
        document: &Value,
        now: Millis,
    ) -> Result<Accepted, Refusal> {
        accept_revision(store, self.revision(host, sequence, document), now).await
    }

    /// Pushes a document that is new.
    pub(crate) async fn push_new(
        &self,
        store: &Store,
        host: &str,
        sequence: u64,
        document: &Value,
        now: Millis,
    ) -> ApiId {
        match self.push(store, host, sequence, document, now).await {
            Ok(Accepted::Created { api, .. }) => api,
            other => panic!("{other:?}"),
        }
    }
}
