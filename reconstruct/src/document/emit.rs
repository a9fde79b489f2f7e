//! Writing the document.
//!
//! In: folded templates and the host's counts. Out: a [`Document`] with keys in a stable order: the more concrete path first, methods in
//! OpenAPI's order, statuses ascending, everything else by name.

use super::base;
use super::observed::timestamp;
use super::operation::{Standing, Writer, Written};
use super::parameters::Vocabulary;
use super::places::Places;
use super::security::{Issuer, Keys};
use super::{Document, DocumentOptions, OpenApi, bodies, wording};
use crate::fold::Folded;
use crate::host::HostName;
use crate::model::Counts;
use crate::noise::Noise;
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
    let all = Places::of(folded, options);
    let other_cases = all.other_cases();
    let Places {
        places,
        dropped,
        ignored,
    } = &all;
    let noise = folded.left_out(&counts.left_out);
    let origin = origin(counts, host);
    let base = base::base(places.iter().map(|(_, place)| &place.path[..]));
    let mut issuer = Issuer::default();
    let mut vocabulary = Vocabulary::default();
    let mut keys = Keys::default();
    for (template, place) in places {
        for (method, operation) in &place.methods {
            vocabulary.add(&operation.good);
            keys.add(&operation.good);
            if matches!(method, Method::Get | Method::Post) {
                let url = format!("{origin}{template}");
                issuer.add(*method == Method::Get, template, &url, &operation.good);
            }
        }
    }
    let mut ids = wording::operation_ids(places.iter().flat_map(|(template, place)| {
        place
            .methods
            .keys()
            .map(move |m| (template.as_str(), *m, &place.path[..], place.names.clone()))
    }));
    let evidence = places
        .iter()
        .flat_map(|(_, place)| place.methods.values())
        .flat_map(|o| [Some(&o.good), o.failed.as_ref()].into_iter().flatten());
    let folded_bodies = bodies::Folded::of(evidence.clone());
    let bodies = bodies::Writer::new(options.openapi, &folded_bodies, evidence);
    let mut writer = Writer::new(options.openapi, bodies, &issuer, keys, vocabulary);
    let mut operations = Vec::new();
    let mut paths: Vec<(String, Vec<Written>)> = Vec::new();
    for (template, place) in places {
        let mut item = Vec::new();
        for (method, operation) in &place.methods {
            let id = ids
                .remove(&(template.as_str(), *method))
                .unwrap_or_default();
            let stale = options.is_past(operation.good.last_seen, options.stale_after);
            let (mut value, bodies, summary) = writer.operation(
                template,
                &place.path,
                (*method, operation),
                Standing {
                    id,
                    stale,
                    sure: place.sure,
                },
            );
            if let Some(others) = other_cases.get(template.as_str()) {
                let below = others.iter().map(|t| t.strip_prefix(&base).unwrap_or(t));
                value["x-silhouette"]["otherCase"] = below.collect();
            }
            operations.push(summary);
            item.push((*method, value, bodies));
        }
        paths.push((template.clone(), item));
    }
    let components = bodies::components(
        paths
            .iter()
            .flat_map(|(_, item)| item.iter().flat_map(|(_, _, bodies)| bodies)),
    );
    let paths: Map<String, Value> = paths
        .into_iter()
        .map(|(template, item)| {
            let methods: Map<String, Value> = item
                .into_iter()
                .map(|(method, mut value, bodies)| {
                    bodies::put(&bodies, &components, &mut value);
                    (method.as_str().to_owned(), value)
                })
                .collect();
            // Every template begins with the base path and goes on.
            let below = template.strip_prefix(&base).unwrap_or(&template);
            (below.to_owned(), Value::Object(methods))
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
    let description = introduction(counts, &noise, host, operations.len(), paths.len());
    root.insert(
        "info".into(),
        json!({"title": host.as_str(), "version": "1.0.0", "description": description}),
    );
    let servers: Vec<Value> = counts
        .schemes
        .iter()
        .map(|s| json!({"url": format!("{s}://{host}{base}")}))
        .collect();
    root.insert(
        "servers".into(),
        if servers.is_empty() {
            json!([{"url": format!("{origin}{base}")}])
        } else {
            Value::Array(servers)
        },
    );
    let tags: Vec<Value> = writer
        .tags
        .iter()
        .map(|t| json!({"name": t, "description": wording::tag_description(t)}))
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
    let mut left_out: Map<String, Value> = noise
        .iter()
        .map(|(noise, n)| (noise.as_str().to_owned(), json!(n)))
        .collect();
    if *ignored > 0 {
        left_out.insert("rule".into(), json!(ignored));
    }
    let mut extension = Map::from_iter([
        ("exchanges".to_owned(), json!(counts.exchanges)),
        ("leftOut".to_owned(), Value::Object(left_out)),
    ]);
    if counts.left_out.contains_key(&Noise::Grpc) {
        extension.insert("grpcMethods".into(), json!(counts.grpc.estimate()));
    }
    if *dropped > 0 {
        extension.insert("agedOut".into(), json!(dropped));
    }
    if let Some((first, last)) = counts.seen {
        extension.insert("firstSeen".into(), json!(timestamp(first)));
        extension.insert("lastSeen".into(), json!(timestamp(last)));
    }
    if options.rules.is_internal() {
        extension.insert("internal".into(), json!(true));
    }
    root.insert("x-silhouette".into(), Value::Object(extension));
    Document {
        root: Value::Object(root),
        sufficient: operations.len() >= options.min_operations,
        operations,
        left_out: noise,
    }
}

/// Where the host is reached.
fn origin(counts: &Counts, host: &HostName) -> String {
    let scheme = if counts.schemes.contains("https") || !counts.schemes.contains("http") {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{host}")
}

/// What the document is made from, for people.
fn introduction(
    counts: &Counts,
    noise: &BTreeMap<Noise, u64>,
    host: &HostName,
    operations: usize,
    paths: usize,
) -> String {
    let mut out = format!(
        "Reconstructed by Silhouette from {} with {host}",
        number(counts.exchanges, "observed exchange")
    );
    if let Some((first, last)) = counts.seen {
        let day = |millis| timestamp(millis).split('T').next().unwrap_or("").to_owned();
        let (first, last) = (day(first), day(last));
        out.push_str(&if first == last {
            format!(" on {first}")
        } else {
            format!(" from {first} to {last}")
        });
    }
    out.push_str(&format!(
        ": {} on {}.",
        number(operations as u64, "operation"),
        number(paths as u64, "path")
    ));
    let left_out: u64 = noise.values().sum();
    if left_out > 0 {
        let reasons: Vec<String> = noise
            .iter()
            .map(|(noise, n)| number(*n, noise.noun()))
            .collect();
        out.push_str(&format!(" Left out: {}.", reasons.join(", ")));
    }
    out
}

/// `1 path`, `12,345 paths`.
fn number(n: u64, noun: &str) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(number(1, "path"), "1 path");
        assert_eq!(number(0, "path"), "0 paths");
        assert_eq!(number(12_345_678, "call"), "12,345,678 calls");
        assert_eq!(number(123, "call"), "123 calls");
    }
}
