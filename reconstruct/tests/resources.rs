//! JSON:API: components are named after the type of resources, parameters are described as what they are.

mod common;
#[path = "common/validate.rs"]
mod validate;

use common::{Exchange, resources::articles};
use serde_json::{Value, json};
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model, OpenApi};

fn document<'e>(exchanges: impl IntoIterator<Item = &'e Exchange>, openapi: OpenApi) -> Document {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model.document(
        &HostName::parse(b"api.example.com", "https").unwrap(),
        &DocumentOptions {
            openapi,
            ..DocumentOptions::default()
        },
    )
}

/// Articles under a path that is called otherwise.
fn feed() -> Document {
    let mut exchanges = articles(300, 1);
    for exchange in &mut exchanges {
        exchange.path = exchange.path.replace("articles", "feed");
    }
    document(&exchanges, OpenApi::V31)
}

fn check(at: &str, expected: &Value) {
    let document = feed();
    assert_eq!(
        document.as_value().pointer(at),
        Some(expected),
        "{at}\n{}",
        document.to_yaml()
    );
}

#[test]
fn components_are_named_after_the_type() {
    let refers = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let schema = "content/application~1vnd.api+json/schema";
    check(
        &format!("/paths/~1feed~1{{feedId}}/get/responses/200/{schema}"),
        &refers("ArticleDocument"),
    );
    check(
        "/components/schemas/ArticleDocument/properties/data",
        &refers("Article"),
    );
    check(
        &format!("/paths/~1feed/get/responses/200/{schema}/properties/data/items"),
        &refers("Article"),
    );
    check(
        "/components/schemas/Article/properties/type",
        &json!({"type": "string", "enum": ["articles"]}),
    );
    let whole = feed();
    let names: Vec<&String> = whole.as_value()["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(names, ["Article", "ArticleAttribute", "ArticleDocument"]);
}

#[test]
fn parameters_are_described_as_what_they_are() {
    let document = document(&articles(300, 2), OpenApi::V31);
    let parameters = document.as_value()["paths"]["/articles"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let described: Vec<(&str, &str)> = parameters
        .iter()
        .map(|p| {
            (
                p["name"].as_str().unwrap(),
                p["description"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        described,
        [
            ("fields", "Selection: which members to return."),
            ("filter", "Filter: which entries to return."),
            ("include", "Expansion: related entries to return along."),
            ("page", "Pagination: which page to return."),
            ("sort", "Sorting: what to order entries by."),
        ]
    );
}

#[test]
fn a_type_is_only_a_name_where_the_media_type_says_so() {
    let mut exchanges = articles(300, 3);
    for exchange in &mut exchanges {
        exchange.query = None;
        for (name, value) in exchange
            .request_headers
            .iter_mut()
            .chain(&mut exchange.response_headers)
        {
            if name == "content-type" {
                *value = b"application/json".to_vec();
            }
        }
    }
    let json = document(&exchanges, OpenApi::V31).to_json();
    assert!(!json.contains("\"articles\""), "{json}");
}

#[test]
fn what_was_seen_fits() {
    for seed in 0..4 {
        let exchanges = articles(200, seed);
        for openapi in [OpenApi::V30, OpenApi::V31] {
            let document = document(&exchanges, openapi);
            let root = document.as_value();
            for e in &exchanges {
                let template = if e.path == "/articles" {
                    "/articles"
                } else {
                    "/articles/{articleId}"
                };
                let operation = &root["paths"][template][e.method.to_lowercase()];
                for (content, body) in [
                    (&operation["requestBody"]["content"], &e.request),
                    (
                        &operation["responses"][e.status.to_string()]["content"],
                        &e.response,
                    ),
                ] {
                    if let Ok(value) = serde_json::from_slice(body) {
                        let schema = &content["application/vnd.api+json"]["schema"];
                        assert!(schema.is_object(), "{} {}", e.method, e.path);
                        assert_eq!(
                            validate::refused(root, schema, &value),
                            None,
                            "{}",
                            document.to_yaml()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn order_does_not_matter() {
    let exchanges = articles(240, 7);
    assert_eq!(
        document(&exchanges, OpenApi::V31).to_json(),
        document(exchanges.iter().rev(), OpenApi::V31).to_json()
    );
}
