//! What schemas say beyond types: recursion, kinds of objects, enumerations, codes, names and keys.

mod common;
#[path = "common/validate.rs"]
mod validate;

use common::{Draw, Exchange, forum::forum};
use serde_json::{Value, json};
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model, OpenApi};

fn document(exchanges: &[Exchange], openapi: OpenApi) -> Document {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model.document(
        &HostName::parse(b"forum.example.com", "https").unwrap(),
        &DocumentOptions {
            openapi,
            ..DocumentOptions::default()
        },
    )
}

fn check(at: &str, expected: &Value) {
    let document = document(&forum(300, 1), OpenApi::V31);
    assert_eq!(
        document.as_value().pointer(at),
        Some(expected),
        "{at}\n{}",
        document.to_yaml()
    );
}

#[test]
fn a_comment_with_replies_is_one_component_that_refers_to_itself() {
    check(
        "/components/schemas/Comment/properties/replies/items",
        &json!({"$ref": "#/components/schemas/Comment"}),
    );
    check(
        "/paths/~1comments~1{commentId}/get/responses/200/content/application~1json/schema",
        &json!({"$ref": "#/components/schemas/Comment"}),
    );
}

#[test]
fn kinds_of_objects_are_told_apart_by_a_discriminator() {
    check(
        "/paths/~1topics~1{topicId}/get/responses/200/content/application~1json/schema/properties/attachments/items",
        &json!({"$ref": "#/components/schemas/Attachment"}),
    );
    check(
        "/components/schemas/Attachment",
        &json!({
            "oneOf": [
                {"$ref": "#/components/schemas/LinkAttachment"},
                {"$ref": "#/components/schemas/PictureAttachment"},
                {"$ref": "#/components/schemas/PollAttachment"},
            ],
            "discriminator": {
                "propertyName": "kind",
                "mapping": {
                    "link": "#/components/schemas/LinkAttachment",
                    "picture": "#/components/schemas/PictureAttachment",
                    "poll": "#/components/schemas/PollAttachment",
                },
            },
        }),
    );
    check(
        "/components/schemas/LinkAttachment",
        &json!({
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "kind": {"type": "string", "enum": ["link"]},
                "preview": {"type": "string"},
                "url": {"type": "string", "format": "uri"},
            },
            "required": ["id", "kind", "url"],
        }),
    );
}

#[test]
fn arrays_with_a_meaning_for_each_position_are_tuples() {
    let history = "/paths/~1topics~1{topicId}/get/responses/200/content/application~1json/schema/properties/history/items";
    check(
        history,
        &json!({
            "type": "array",
            "prefixItems": [
                {"type": "integer", "format": "int64"},
                {"type": "string", "enum": ["closed", "locked", "open"]},
                {"$ref": "#/components/schemas/Person"},
                {"type": ["number", "null"]},
            ],
            "minItems": 4,
            "maxItems": 4,
        }),
    );
    let v30 = document(&forum(300, 1), OpenApi::V30);
    let found = v30.as_value().pointer(history).unwrap();
    assert_eq!(
        (&found["minItems"], &found["maxItems"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(
        found["items"]["anyOf"].as_array().map(Vec::len),
        Some(3),
        "{found}"
    );
    // Two numbers are a list of numbers.
    check(
        "/paths/~1topics~1{topicId}/get/responses/200/content/application~1json/schema/properties/at",
        &json!({"type": "array", "items": {"type": "number"}}),
    );
}

#[test]
fn a_person_in_a_list_and_alone_is_one_component() {
    let person = json!({"$ref": "#/components/schemas/Person"});
    check(
        "/paths/~1people/get/responses/200/content/application~1json/schema/properties/items/items",
        &person,
    );
    check(
        "/paths/~1people~1{personId}/get/responses/200/content/application~1json/schema",
        &person,
    );
}

#[test]
fn enumerations_codes_names_and_keys() {
    let at = |member: &str| format!("/components/schemas/Person/properties/{member}");
    check(
        &at("role"),
        &json!({"type": "string", "enum": ["author", "moderator", "reader"]}),
    );
    check(
        &at("badge"),
        &json!({"type": "string", "enum": ["", "gold", "silver"]}),
    );
    check(
        &at("country"),
        &json!({"type": "string", "x-silhouette-hint": "country"}),
    );
    check(
        &at("fullTimeNumberOfUnitsPerPeriod"),
        &json!({"type": "integer"}),
    );
    check(
        &at("keys"),
        &json!({"type": "object", "additionalProperties": {"type": "integer"}}),
    );
}

#[test]
fn folded_and_merged_schemas_accept_what_was_seen() {
    for seed in 0..4 {
        let exchanges = forum(200, seed);
        for openapi in [OpenApi::V30, OpenApi::V31] {
            let document = document(&exchanges, openapi);
            for exchange in &exchanges {
                let template = match exchange.path.as_str() {
                    "/people" => "/people",
                    p if p.starts_with("/topics") => "/topics/{topicId}",
                    p if p.starts_with("/people") => "/people/{personId}",
                    _ => "/comments/{commentId}",
                };
                let root = document.as_value();
                let content = &root["paths"][template]["get"]["responses"]["200"]["content"];
                let body = serde_json::from_slice(&exchange.response).unwrap();
                let why = validate::refused(root, &content["application/json"]["schema"], &body);
                assert_eq!(why, None, "{}", document.to_yaml());
            }
        }
    }
}

#[test]
fn order_and_partition_change_nothing() {
    let exchanges = forum(240, 7);
    let learnt = |some: &mut dyn Iterator<Item = &Exchange>| {
        let mut model = Model::new(Limits::default());
        some.for_each(|e| {
            e.observe(&mut model);
        });
        model
    };
    let mut halves = learnt(&mut exchanges.iter().skip(120).rev());
    halves.merge(learnt(&mut exchanges.iter().take(120)));
    let host = HostName::parse(b"forum.example.com", "https").unwrap();
    let whole = document(&exchanges, OpenApi::V31).to_json();
    assert_eq!(
        whole,
        halves
            .document(&host, &DocumentOptions::default())
            .to_json()
    );
}

/// A tree whose nodes have children under several names, alone and in lists, and values of any type.
fn tree(d: &mut Draw, depth: u64) -> Value {
    let value = match d.below(12) {
        0 => json!("text"),
        1 => json!(null),
        2 => json!([1]),
        _ => json!(d.below(9)),
    };
    let mut node = json!({"id": 1, "kind": 2, "size": 3, "value": value});
    for name in ["left", "right", "more"] {
        if d.below(2 + depth) == 0 {
            node[name] = if d.below(3) == 0 {
                Value::Array((0..d.below(3)).map(|_| tree(d, depth + 1)).collect())
            } else {
                tree(d, depth + 1)
            };
        } else if d.below(9) == 0 {
            node[name] = json!({"odd": value, "inner": tree(d, depth + 2)});
        }
    }
    node
}

#[test]
fn trees_with_several_branches_keep_what_only_one_of_them_shows() {
    for seed in 0..200 {
        let mut d = Draw(seed);
        let bodies: Vec<Value> = (0..6).map(|_| tree(&mut d, 0)).collect();
        let get = |(i, body): (usize, &Value)| {
            Exchange::new("GET", &format!("/trees/{}", 1000 + i), 200).json(&body.to_string())
        };
        let exchanges: Vec<Exchange> = bodies.iter().enumerate().map(get).collect();
        let document = document(&exchanges, OpenApi::V31);
        let root = document.as_value();
        let content = &root["paths"]["/trees/{treeId}"]["get"]["responses"]["200"]["content"];
        for body in &bodies {
            let why = validate::refused(root, &content["application/json"]["schema"], body);
            assert_eq!(why, None, "{seed}: {body}\n{}", document.to_yaml());
        }
    }
}
