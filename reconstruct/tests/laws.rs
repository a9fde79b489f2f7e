//! The laws of reconstruction, as properties over traffic that nobody wrote down.

mod common;
#[path = "common/validate.rs"]
mod validate;

use common::{Draw, Exchange, bookshop, hostile, wild};
use proptest::prelude::*;
use serde_json::{Value, json};
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model, OpenApi};
use std::collections::BTreeSet;

fn host() -> HostName {
    HostName::parse(b"api.example.com:8443", "https").unwrap()
}

fn learnt<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>, limits: &Limits) -> Model {
    let mut model = Model::new(limits.clone());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model
}

fn text(model: &Model) -> String {
    let v30 = DocumentOptions {
        openapi: OpenApi::V30,
        ..DocumentOptions::default()
    };
    model
        .document(&host(), &DocumentOptions::default())
        .to_json()
        + &model.document(&host(), &v30).to_json()
}

fn shuffled(exchanges: &[Exchange], seed: u64) -> Vec<&Exchange> {
    let mut d = Draw(seed);
    let mut keyed: Vec<(u64, &Exchange)> = exchanges.iter().map(|e| (d.next(), e)).collect();
    keyed.sort_by_key(|k| k.0);
    keyed.into_iter().map(|k| k.1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn law_1_order_and_partition_do_not_matter(seed in any::<u64>(), n in 1usize..160, parts in 1usize..5) {
        let exchanges = wild(n, seed);
        let limits = Limits::default();
        let whole = text(&learnt(&exchanges, &limits));
        let mut models: Vec<Model> = shuffled(&exchanges, seed ^ 1).chunks(n.div_ceil(parts)).map(|c| learnt(c.iter().copied(), &limits)).collect();
        let mut merged = models.pop().unwrap();
        for model in models {
            // Whatever went through bytes is the same model.
            merged.merge(Model::from_bytes(&model.to_bytes()).unwrap());
        }
        prop_assert_eq!(whole, text(&merged));
    }

    #[test]
    fn law_1_resting_changes_nothing(seed in any::<u64>(), n in 1usize..160, pause in 1usize..40) {
        let mut exchanges = wild(n, seed);
        exchanges.extend(hostile(n, seed));
        let limits = Limits { memory_bytes: if seed % 2 == 0 { 16 << 20 } else { 0 } };
        let (mut always, mut rested) = (Model::new(limits.clone()), Model::new(limits));
        for (at, exchange) in exchanges.iter().enumerate() {
            exchange.observe(&mut always);
            exchange.observe(&mut rested);
            if at % pause == 0 {
                rested.rest();
                rested.rest();
            }
        }
        prop_assert_eq!(text(&always), text(&rested));
        prop_assert_eq!(always.summary(&DocumentOptions::default()), rested.summary(&DocumentOptions::default()));
        prop_assert!(always.to_bytes() == rested.to_bytes());
        always.rest();
        prop_assert_eq!(always.forget(1_000), rested.forget(1_000));
        prop_assert!(always.to_bytes() == rested.to_bytes());
    }

    #[test]
    fn law_2_every_success_validates(seed in any::<u64>(), n in 1usize..120) {
        let exchanges = wild(n, seed);
        let model = learnt(&exchanges, &Limits::default());
        for openapi in [OpenApi::V30, OpenApi::V31] {
            let document = model.document(&host(), &DocumentOptions { openapi, ..DocumentOptions::default() });
            for e in exchanges.iter().filter(|e| (200..300).contains(&e.status)) {
                if let Some(why) = unsound(document.as_value(), e) {
                    return Err(TestCaseError::fail(format!("{} {}: {why}\n{}", e.method, e.path, document.to_yaml())));
                }
            }
        }
    }

    #[test]
    fn law_2_holds_for_values_with_text_around_them(seed in any::<u64>(), n in 1usize..60) {
        let mut d = Draw(seed);
        let exchanges: Vec<Exchange> = (0..n)
            .map(|_| {
                let method = d.of(&["GET", "PATCH", "DELETE"]).to_owned();
                Exchange::new(&method, &format!("/x/{}", common::affixed(&mut d)), 200)
            })
            .collect();
        let document = learnt(&exchanges, &Limits::default()).document(&host(), &DocumentOptions::default());
        for e in &exchanges {
            if let Some(why) = unsound(document.as_value(), e) {
                return Err(TestCaseError::fail(format!("{} {}: {why}\n{}", e.method, e.path, document.to_yaml())));
            }
        }
        // Who takes the first template that fits finds the most concrete one.
        let templates: Vec<&String> = document.as_value()["paths"].as_object().unwrap().keys().collect();
        for e in &exchanges {
            let fitting: Vec<_> = templates.iter().filter(|t| is_instance(t, &e.path)).map(|t| concreteness(t)).collect();
            prop_assert!(fitting.first() == fitting.iter().min(), "{} {:?}", e.path, templates);
        }
    }

    #[test]
    fn law_4_nothing_panics(method in ".{0,8}", path in ".{0,40}", query in proptest::option::of(".{0,40}"), status in any::<u16>(),
        headers in proptest::collection::vec((".{0,12}", proptest::collection::vec(any::<u8>(), 0..40)), 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..200), complete in any::<bool>()) {
        let mut model = Model::new(Limits::default());
        for media in ["application/json", "multipart/form-data; boundary=a", "application/x-www-form-urlencoded", "application/x-ndjson", "application/xml", "text/csv", ""] {
            for path in [path.clone(), format!("/{path}")] {
                let mut e = Exchange::new(&method, &path, status);
                e.query = query.clone();
                e.request_headers = headers.clone();
                e.request_headers.push(("content-type".into(), media.into()));
                e.request = body.clone();
                e.response = body.clone();
                e.response_headers = e.request_headers.clone();
                e.complete = complete;
                e.observe(&mut model);
                e.method = "POST".into();
                e.status = 200;
                e.observe(&mut model);
            }
        }
        let document = model.document(&host(), &DocumentOptions::default());
        check_structure(&document);
        prop_assert!(Model::from_bytes(&body).is_err());
    }

    #[test]
    fn law_5_documents_are_well_formed(seed in any::<u64>(), n in 0usize..120) {
        let model = learnt(&wild(n, seed), &Limits::default());
        for openapi in [OpenApi::V30, OpenApi::V31] {
            check_structure(&model.document(&host(), &DocumentOptions { openapi, ..DocumentOptions::default() }));
        }
    }

    #[test]
    fn law_6_more_of_the_same_changes_no_name(seed in any::<u64>()) {
        let (before, after) = (bookshop(700, seed), bookshop(1500, seed));
        let few = learnt(&before, &Limits::default()).document(&host(), &DocumentOptions::default());
        let many = learnt(&after, &Limits::default()).document(&host(), &DocumentOptions::default());
        prop_assert_eq!(wording(&few), wording(&many));
    }

    #[test]
    fn law_7_no_value_leaves(seed in any::<u64>(), n in 1usize..200) {
        let exchanges: Vec<Exchange> = private(n, seed);
        let model = learnt(&exchanges, &Limits::default());
        for text in [text(&model), model.document(&host(), &DocumentOptions::default()).to_yaml()] {
            prop_assert!(!text.contains("zq"), "{}", text);
        }
    }
}

#[test]
fn law_3_hostile_traffic_stays_under_the_ceiling_in_any_order() {
    let limits = Limits {
        memory_bytes: 4 << 20,
    };
    let mut exchanges = bookshop(600, 9);
    exchanges.extend(hostile(12_000, 3));
    let one = learnt(&exchanges, &limits);
    assert!(
        one.memory_bytes() <= limits.memory_bytes,
        "{} bytes",
        one.memory_bytes()
    );
    let document = one.document(&host(), &DocumentOptions::default());
    let found: BTreeSet<String> = document
        .operations()
        .iter()
        .map(|o| format!("{} {}", o.method, o.path))
        .collect();
    let missing: Vec<&str> = common::BOOKSHOP
        .iter()
        .copied()
        .filter(|o| !found.contains(*o))
        .collect();
    assert!(missing.is_empty(), "lost {missing:?}, has {found:?}");
    check_structure(&document);
    let order = shuffled(&exchanges, 4);
    let (left, right) = order.split_at(order.len() / 3);
    let mut two = learnt(right.iter().copied(), &limits);
    two.merge(learnt(left.iter().copied(), &limits));
    assert_eq!(
        document.to_json(),
        two.document(&host(), &DocumentOptions::default()).to_json()
    );
    assert!(two.memory_bytes() <= limits.memory_bytes);
}

/// Every scalar carries a mark that no word has, and no vocabulary is small.
fn private(n: usize, seed: u64) -> Vec<Exchange> {
    let mut d = Draw(seed);
    (0..n)
        .map(|i| {
            let mut secret = |kind: u64| match kind {
                0 => format!("zq{:x}", d.next()),
                1 => format!("zq {}", d.next()),
                2 => format!("zq{}@example.com", d.next()),
                _ => format!("{}zq", d.next()),
            };
            let body = json!({"id": secret(0), "note": secret(1), "mail": secret(2), "list": [secret(3)], "byId": {format!("{}@zq.example.com", secret(0)): 1},
                "jsonrpc": if i % 2 == 0 { "2.0" } else { "1.0" }, "method": secret(0), "operationName": secret(0),
                "query": format!("query {} {{ a(b: \"{}\") }}", secret(0), secret(1))}).to_string();
            Exchange::new("POST", &format!("/accounts/{}%20zq/x", secret(0)), 200)
                .query(&format!("q={}&t={}", secret(0), secret(3)))
                .header("x-tenant", &secret(0))
                .header("soapaction", &format!("urn:{}", secret(0)))
                .header("authorization", &format!("Bearer {}", secret(0)))
                .sends("application/json", &body)
                .json(&body)
        })
        .collect()
}

/// Names, order and wording: everything but counts, times and what is learnt of values.
fn wording(document: &Document) -> Vec<String> {
    let mut out = Vec::new();
    let root = document.as_value();
    for (path, item) in root["paths"].as_object().unwrap() {
        let path = format!("{}{path}", base_path(root));
        for (method, o) in item.as_object().unwrap() {
            let parameters: Vec<&str> = o["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            out.push(format!(
                "{method} {path} {} {} {} {parameters:?}",
                o["operationId"], o["summary"], o["tags"]
            ));
        }
    }
    out.extend(
        document.as_value()["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(n, _)| n.clone()),
    );
    out
}

/// The path of the document's servers.
fn base_path(root: &Value) -> &str {
    let url = root["servers"][0]["url"].as_str().unwrap();
    let (_, rest) = url.split_once("://").unwrap();
    rest.find('/').map_or("", |at| &rest[at..])
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|s| !s.is_empty()).collect()
}

/// Whether a path is an instance of a template, whose segments may hold several parameters.
fn is_instance(template: &str, path: &str) -> bool {
    fn fits(template: &str, segment: &str) -> bool {
        match template.find(['{', '}']) {
            None => template == segment,
            Some(open) => {
                let (text, rest) = template.split_at(open);
                let rest = rest.split_once('}').unwrap().1;
                segment.strip_prefix(text).is_some_and(|value| {
                    let ends = value.char_indices().skip(1).map(|(at, _)| at);
                    ends.chain([value.len()])
                        .any(|at| at > 0 && fits(rest, &value[at..]))
                })
            }
        }
    }
    let (theirs, mine) = (segments(template), segments(path));
    theirs.len() == mine.len() && theirs.iter().zip(&mine).all(|(t, m)| fits(t, m))
}

/// Segment by segment: constants, before those that begin with text, before those with some, before those that are one parameter.
fn concreteness(template: &str) -> Vec<(u8, std::cmp::Reverse<[usize; 2]>)> {
    let rank = |s: &str| match (
        s.contains('{'),
        s.starts_with('{') && s.find('}') == Some(s.len() - 1),
    ) {
        (false, _) => 0,
        (_, false) => 1,
        _ => 2,
    };
    let text = |s: &str| {
        let texts = s.split('{').map(|s| s.rsplit('}').next().unwrap().len());
        [s.find('{').unwrap_or(0), texts.sum()]
    };
    segments(template)
        .into_iter()
        .map(|s| {
            (
                rank(s),
                std::cmp::Reverse(if rank(s) == 1 { text(s) } else { [0, 0] }),
            )
        })
        .collect()
}

/// Why the document does not describe this exchange.
fn unsound(root: &Value, e: &Exchange) -> Option<String> {
    if !["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"].contains(&e.method.as_str()) {
        return None;
    }
    let method = e.method.to_ascii_lowercase();
    let paths = root["paths"].as_object()?;
    let Some(path) = e.path.strip_prefix(base_path(root)) else {
        return Some("not below the servers' base path".into());
    };
    // The most concrete template decides (OpenAPI 3.1, Paths Object).
    let best = paths
        .iter()
        .filter(|(template, _)| is_instance(template, path))
        .min_by_key(|(template, _)| concreteness(template))
        .map(|(_, item)| item);
    let Some(operation) = best.and_then(|item| item.get(&method)) else {
        return Some("no operation".into());
    };
    let Some(response) = operation["responses"].get(e.status.to_string()) else {
        return Some(format!("no response {}", e.status));
    };
    let media = e
        .response_headers
        .iter()
        .find(|h| h.0 == "content-type")
        .map(|h| String::from_utf8_lossy(&h.1).into_owned());
    if let (Some(media), Ok(body)) = (
        media.filter(|m| m.contains("json") && !m.contains("ndjson")),
        serde_json::from_slice::<Value>(&e.response),
    ) {
        let Some(schema) = response["content"].get(&media).map(|m| &m["schema"]) else {
            return Some(format!("no media type {media}"));
        };
        if let Some(why) = validate::refused(root, schema, &body) {
            return Some(why);
        }
    }
    let request = e
        .request_headers
        .iter()
        .find(|h| h.0 == "content-type" && h.1.starts_with(b"application/json"));
    if let (Some(_), Ok(body)) = (request, serde_json::from_slice::<Value>(&e.request)) {
        return validate::refused(
            root,
            &operation["requestBody"]["content"]["application/json"]["schema"],
            &body,
        );
    }
    None
}

/// What OpenAPI demands of any document, as far as this one can break it.
fn check_structure(document: &Document) {
    let root = document.as_value();
    assert!(
        root["openapi"].is_string()
            && root["info"]["title"].is_string()
            && root["info"]["version"].is_string()
    );
    let (mut ids, mut blank) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in root["paths"].as_object().unwrap() {
        assert!(
            path.starts_with('/') && path.matches('{').count() == path.matches('}').count(),
            "{path}"
        );
        let names: Vec<&str> = path
            .split('{')
            .skip(1)
            .map(|p| p.split('}').next().unwrap())
            .collect();
        assert_eq!(
            names.iter().collect::<BTreeSet<_>>().len(),
            names.len(),
            "{path}"
        );
        let shape = names
            .iter()
            .fold(path.clone(), |p, n| p.replace(&format!("{{{n}}}"), "{}"));
        assert!(blank.insert(shape), "{path} is there twice");
        for (method, o) in item.as_object().unwrap() {
            assert!(
                ["get", "put", "post", "delete", "options", "head", "patch"]
                    .contains(&method.as_str())
            );
            assert!(
                ids.insert(o["operationId"].as_str().unwrap().to_owned()),
                "{} is there twice",
                o["operationId"]
            );
            assert!(!o["responses"].as_object().unwrap().is_empty());
            let mut seen = BTreeSet::new();
            let mut declared = Vec::new();
            for p in o["parameters"].as_array().into_iter().flatten() {
                assert!(
                    p["schema"].is_object()
                        && seen.insert((p["in"].clone().to_string(), p["name"].to_string())),
                    "{p}"
                );
                if p["in"] == "path" {
                    assert_eq!(p["required"], true);
                    declared.push(p["name"].as_str().unwrap());
                }
            }
            assert_eq!(declared, names, "{path}");
            for alternative in o["security"].as_array().unwrap() {
                for name in alternative.as_object().unwrap().keys() {
                    assert!(
                        root["components"]["securitySchemes"].get(name).is_some(),
                        "{name} is not defined"
                    );
                }
            }
        }
    }
    fn walk(root: &Value, node: &Value) {
        match node {
            Value::Object(map) => {
                if let Some(Value::String(at)) = map.get("$ref") {
                    assert!(
                        root.pointer(at.trim_start_matches('#')).is_some(),
                        "{at} leads nowhere"
                    );
                }
                map.values().for_each(|v| walk(root, v));
            }
            Value::Array(all) => all.iter().for_each(|v| walk(root, v)),
            _ => {}
        }
    }
    walk(root, root);
    for name in root["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(n, _)| n)
    {
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
            "{name}"
        );
    }
}
