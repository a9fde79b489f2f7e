//! What holds for every text: reading ends without a panic, a description equals itself, and what the reconstruction writes is
//! read as what it meant.

use proptest::prelude::*;
use silhouette_openapi::{Description, Template, diff, drift};
use silhouette_reconstruct::{
    Body, DocumentOptions, HostName, Limits, Message, Model, Observation, OpenApi,
};

const SAMPLE: &str = include_str!("../../collector/tests/check/shop.yaml");

/// Whatever can be read equals itself.
fn hold(text: &str) {
    let Ok(description) = Description::read(text) else {
        return;
    };
    assert_eq!(diff(&description, &description).findings, []);
    let _ = drift(&description, &description);
    for problem in description.problems() {
        assert!(!problem.message.is_empty());
    }
}

/// YAML or JSON made of what descriptions are made of, in any order and depth.
fn tree() -> impl Strategy<Value = serde_json::Value> {
    let word = prop::sample::select(vec![
        "openapi",
        "paths",
        "/a/{b}",
        "get",
        "parameters",
        "$ref",
        "#/paths",
        "#/components/schemas/A",
        "components",
        "schemas",
        "A",
        "schema",
        "allOf",
        "anyOf",
        "oneOf",
        "type",
        "object",
        "string",
        "properties",
        "required",
        "enum",
        "items",
        "responses",
        "200",
        "content",
        "application/json",
        "security",
        "name",
        "in",
        "path",
        "query",
        "nullable",
        "additionalProperties",
        "servers",
        "url",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        word.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((word.clone(), inner), 0..8).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                serde_json::Value::Object(members.collect())
            }),
        ]
    })
}

/// Schemas that all are alternatives of one another, as deep as anybody looks.
fn alternatives(count: usize) -> serde_json::Value {
    let one = |own: usize| {
        let others = (0..count).filter(|other| *other != own);
        let mut any: Vec<_> = others
            .map(|other| serde_json::json!({ "$ref": format!("#/components/schemas/A{other}") }))
            .collect();
        let name = format!("p{own}");
        any.push(
            serde_json::json!({ "type": "object", "properties": { name: { "type": "string" } } }),
        );
        (format!("A{own}"), serde_json::json!({ "anyOf": any }))
    };
    serde_json::Value::Object((0..count).map(one).collect())
}

/// A description whose only response is the given schema.
fn answering(schema: serde_json::Value, schemas: serde_json::Value) -> Description {
    let content = serde_json::json!({ "application/json": { "schema": schema } });
    let get = serde_json::json!({ "responses": { "200": { "content": content } } });
    let document = serde_json::json!({
        "openapi": "3.0.0", "paths": { "/a": { "get": get } }, "components": { "schemas": schemas },
    });
    Description::read(&document.to_string()).unwrap()
}

#[test]
fn alternatives_of_one_another_end() {
    let first = serde_json::json!({ "$ref": "#/components/schemas/A0" });
    let described = answering(first, alternatives(30));
    assert_eq!(diff(&described, &described).findings, []);
    assert_eq!(drift(&described, &described).findings, []);
    // All that any of them admits is admitted, however it is led to; and nothing else.
    let own = |property: &str| {
        let properties =
            serde_json::json!({ property: { "type": "string" }, "p0": { "type": "string" } });
        let schema = serde_json::json!({ "type": "object", "properties": properties });
        answering(schema, serde_json::json!({}))
    };
    assert_eq!(drift(&described, &own("p29")).findings, []);
    let found = drift(&described, &own("p30")).findings;
    let messages: Vec<_> = found
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(
        messages,
        ["`A0.p30` in responses is there, and not described"]
    );
}

#[test]
fn what_many_share_is_one_finding_with_all_of_them() {
    // A ring of schemas, each reached from two operations: what changes in one concerns all.
    const RING: usize = 300;
    let text = |kind: &str| {
        let mut schemas = serde_json::Map::new();
        let mut paths = serde_json::Map::new();
        for at in 0..RING {
            let next = format!("#/components/schemas/S{}", (at + 1) % RING);
            let kind = if at == 7 { kind } else { "string" };
            let properties =
                serde_json::json!({ "next": { "$ref": next }, "name": { "type": kind } });
            schemas.insert(
                format!("S{at}"),
                serde_json::json!({ "type": "object", "properties": properties }),
            );
            let own = serde_json::json!({ "$ref": format!("#/components/schemas/S{at}") });
            let content = serde_json::json!({ "application/json": { "schema": own } });
            let get = serde_json::json!({
                "responses": { "200": { "content": content } },
                "x-silhouette": { "calls": 2 },
            });
            paths.insert(format!("/a{at}"), serde_json::json!({ "get": get }));
        }
        serde_json::json!({ "openapi": "3.0.0", "paths": paths, "components": { "schemas": schemas } }).to_string()
    };
    let (old, new) = (
        Description::read(&text("string")).unwrap(),
        Description::read(&text("integer")).unwrap(),
    );
    for report in [diff(&old, &new), drift(&old, &new)] {
        let [finding] = report.findings.as_slice() else {
            panic!("{:?}", report.findings);
        };
        assert_eq!(finding.operations.len(), RING);
        let mut sorted = finding.operations.clone();
        sorted.sort();
        assert_eq!(finding.operations, sorted);
        if let Some(seen) = &finding.seen {
            assert_eq!(seen.calls, 2 * RING as u64);
        }
    }
    assert!(drift(&old, &new).findings[0].seen.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,200}") {
        hold(&text);
        hold(&format!("openapi: 3.1.0\npaths:\n  {text}"));
    }

    #[test]
    fn any_tree_is_read_without_a_panic(paths in tree(), components in tree(), version in 0..3_usize) {
        let (key, version) = [("openapi", "3.1.0"), ("openapi", "3.0.0"), ("swagger", "2.0")][version];
        let document = serde_json::json!({
            key: version, "paths": { "/a/{b}": { "get": paths } }, "components": { "schemas": components },
            "definitions": components, "servers": paths,
        });
        hold(&document.to_string());
        hold(&serde_json::json!({ key: version, "paths": paths, "components": components }).to_string());
    }

    #[test]
    fn a_damaged_description_is_read_without_a_panic(at in 0..SAMPLE.len(), with in "\\PC{0,6}", gone in 0..40_usize) {
        let mut at = at;
        while !SAMPLE.is_char_boundary(at) {
            at -= 1;
        }
        let mut end = (at + gone).min(SAMPLE.len());
        while !SAMPLE.is_char_boundary(end) {
            end += 1;
        }
        hold(&format!("{}{with}{}", &SAMPLE[..at], &SAMPLE[end..]));
    }

    #[test]
    fn a_template_takes_the_paths_it_is_filled_in_to(
        parts in prop::collection::vec(("[a-z]{0,3}", "[a-zA-Z0-9~]{1,5}", "[.:-]?[a-z]{0,3}"), 1..5)
    ) {
        let (mut template, mut path) = (String::new(), String::new());
        for (before, value, after) in &parts {
            template.push_str(&format!("/{before}{{p}}{after}"));
            path.push_str(&format!("/{before}{value}{after}"));
        }
        prop_assert!(Template::parse(&template).takes(&path), "{} {}", template, path);
        let covered = Template::parse(&template).covers(&Template::parse(&template));
        prop_assert_eq!(covered, Some(silhouette_openapi::Cover::Same));
    }

    #[test]
    fn what_the_reconstruction_writes_is_read_as_it_was_meant(
        calls in prop::collection::vec((0..4_usize, 0..4_usize, 0..50_u32, 0..3_usize), 1..60)
    ) {
        let mut model = Model::new(Limits::default());
        for (method, place, number, status) in calls {
            let path = match place {
                0 => "/v1/books".to_owned(),
                1 => format!("/v1/books/{}", 1000 + number),
                2 => format!("/v1/books/{}/reviews", 1000 + number),
                _ => "/v1/health".to_owned(),
            };
            let body = format!("{{\"id\":{number},\"name\":null,\"tags\":[\"a\"]}}");
            let message = Message {
                headers: &[("content-type", b"application/json")],
                body: Body { bytes: body.as_bytes(), original_size: body.len() as u64, complete: true },
            };
            model.observe(&Observation {
                unix_millis: 1_772_438_400_000 + u64::from(number), duration_micros: Some(9), shim: "har",
                scheme: "https", method: ["GET", "POST", "PUT", "DELETE"][method], path: &path,
                query: (number % 2 == 0).then_some("page=1"), request: message, status: [200, 201, 404][status],
                response: message, client_certificate: false,
            });
        }
        let host = HostName::parse(b"shop.example.com", "https").unwrap();
        for openapi in [OpenApi::V30, OpenApi::V31] {
            let options = DocumentOptions { openapi, min_operations: 1, ..DocumentOptions::default() };
            let document = model.document(&host, &options);
            let json = Description::read(&document.to_json()).unwrap();
            let yaml = Description::read(&document.to_yaml()).unwrap();
            prop_assert_eq!(json.problems(), []);
            let names = |description: &Description| -> Vec<String> {
                description.operations().iter().map(|operation| format!("{} {}", operation.method, operation.whole_path())).collect()
            };
            let mut meant: Vec<String> = document
                .operations()
                .iter()
                .map(|operation| format!("{} {}", operation.method, operation.path))
                .collect();
            let mut read = names(&json);
            meant.sort();
            read.sort();
            prop_assert_eq!(&read, &meant);
            for (operation, summary) in json.operations().iter().map(|operation| {
                let summary = document.operations().iter().find(|summary| {
                    summary.path == operation.whole_path() && summary.method == operation.method
                });
                (operation, summary.unwrap())
            }) {
                prop_assert_eq!(operation.seen.as_ref().unwrap().calls, summary.calls);
                prop_assert_eq!(operation.id.as_deref(), Some(summary.operation_id.as_str()));
            }
            prop_assert_eq!(diff(&json, &yaml).findings, []);
            // Traffic never drifts from what was reconstructed from it.
            prop_assert_eq!(drift(&json, &yaml).findings, []);
        }
    }
}
