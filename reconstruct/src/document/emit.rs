//! Writing the document.
//!
//! In: folded templates and the host's counts. Out: a [`Document`] with keys in a stable order: paths sorted, methods in
//! OpenAPI's order, statuses ascending, everything else by name.

use super::components::Components;
use super::observed::timestamp;
use super::operation::{Writer, Written};
use super::{Document, DocumentOptions, OpenApi, names};
use crate::fold::{Folded, Operation, Part};
use crate::host::HostName;
use crate::model::Counts;
use crate::tree::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Writes the document of one host.
pub(crate) fn emit(
    folded: &Folded,
    counts: &Counts,
    host: &HostName,
    options: &DocumentOptions,
) -> Document {
    let mut writer = Writer::new(options.openapi);
    let mut places: BTreeMap<String, (Vec<Part>, &BTreeMap<Method, Operation>)> = BTreeMap::new();
    folded.walk(&mut Vec::new(), &mut |path, methods| {
        let parameters = names::parameters(path);
        let template = names::template(path, &parameters);
        places.insert(template, (path.to_vec(), methods));
    });
    let mut operations = Vec::new();
    let mut paths: Vec<(String, Vec<Written>)> = Vec::new();
    for (template, (path, methods)) in &places {
        let mut item = Vec::new();
        for (method, operation) in methods.iter() {
            let (value, bodies, summary) = writer.operation(template, path, *method, operation);
            operations.push(summary);
            item.push((*method, value, bodies));
        }
        paths.push((template.clone(), item));
    }
    let mut components = Components::default();
    for body in paths
        .iter()
        .flat_map(|(_, item)| item.iter().flat_map(|(_, _, bodies)| bodies))
    {
        components.count(&body.schema, &body.name);
    }
    components.choose();
    let paths: Map<String, Value> = paths
        .into_iter()
        .map(|(template, item)| {
            let methods: Map<String, Value> = item
                .into_iter()
                .map(|(method, mut value, bodies)| {
                    for body in bodies {
                        if let Some(place) = value.pointer_mut(&body.at) {
                            *place = components.refer(&body.schema);
                        }
                    }
                    (method.as_str().to_owned(), value)
                })
                .collect();
            (template, Value::Object(methods))
        })
        .collect();
    let mut root = Map::new();
    root.insert(
        "openapi".into(),
        json!(match options.openapi {
            OpenApi::V30 => "3.0.3",
            OpenApi::V31 => "3.1.0",
        }),
    );
    root.insert("info".into(), json!({"title": host.as_str(), "version": "1.0.0", "description": "Reconstructed from observed traffic by Silhouette."}));
    let servers: Vec<Value> = counts
        .schemes
        .iter()
        .map(|s| json!({"url": format!("{s}://{host}")}))
        .collect();
    root.insert(
        "servers".into(),
        if servers.is_empty() {
            json!([{"url": format!("https://{host}")}])
        } else {
            Value::Array(servers)
        },
    );
    let tags: Vec<Value> = writer
        .tags
        .iter()
        .map(|t| json!({"name": t, "description": format!("Operations on {t}")}))
        .collect();
    if !tags.is_empty() {
        root.insert("tags".into(), Value::Array(tags));
    }
    root.insert("paths".into(), Value::Object(paths));
    let mut all = Map::new();
    let schemas = components.schemas();
    if !schemas.is_empty() {
        all.insert("schemas".into(), Value::Object(schemas));
    }
    let schemes = writer.schemes.into_map();
    if !schemes.is_empty() {
        all.insert("securitySchemes".into(), Value::Object(schemes));
    }
    if !all.is_empty() {
        root.insert("components".into(), Value::Object(all));
    }
    let left_out: Map<String, Value> = counts
        .left_out
        .iter()
        .map(|(noise, n)| (noise.as_str().to_owned(), json!(n)))
        .collect();
    let mut extension = Map::from_iter([
        ("exchanges".to_owned(), json!(counts.exchanges)),
        ("leftOut".to_owned(), Value::Object(left_out)),
    ]);
    if let Some((first, last)) = counts.seen {
        extension.insert("firstSeen".into(), json!(timestamp(first)));
        extension.insert("lastSeen".into(), json!(timestamp(last)));
    }
    root.insert("x-silhouette".into(), Value::Object(extension));
    Document {
        root: Value::Object(root),
        sufficient: operations.len() >= options.min_operations,
        operations,
    }
}
