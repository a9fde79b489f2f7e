//! What a document says of bodies that are no JSON.

mod common;

use common::{Exchange, media::media};
use serde_json::{Value, json};
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model, OpenApi};

fn learnt<'e>(exchanges: impl IntoIterator<Item = &'e Exchange>) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model
}

fn document(model: &Model, openapi: OpenApi) -> Document {
    model.document(
        &HostName::parse(b"media.example.com", "https").unwrap(),
        &DocumentOptions {
            openapi,
            ..DocumentOptions::default()
        },
    )
}

fn check(openapi: OpenApi, at: &str, expected: &Value) {
    let document = document(&learnt(&media(280, 1)), openapi);
    assert_eq!(
        document.as_value().pointer(at),
        Some(expected),
        "{at}\n{}",
        document.to_yaml()
    );
}

#[test]
fn parts_of_forms_have_types_and_may_be_many() {
    let form = "/paths/~1photos/post/requestBody/content/multipart~1form-data";
    check(
        OpenApi::V31,
        &format!("{form}/encoding"),
        &json!({
            "licence": {"contentType": "application/pdf"},
            "photo": {"contentType": "image/jpeg, image/png"},
        }),
    );
    check(
        OpenApi::V31,
        &format!("{form}/schema/properties"),
        &json!({
            "album": {"type": "string"},
            "details": {
                "type": "object",
                "properties": {"code": {"type": "string"}, "order": {"type": "integer"}, "public": {"type": "boolean"}},
                "required": ["code", "order", "public"],
            },
            "licence": {"type": "string", "contentMediaType": "application/pdf"},
            "photo": {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}},
        }),
    );
    check(
        OpenApi::V30,
        &format!("{form}/schema/properties/photo"),
        &json!({"type": "array", "items": {"type": "string", "format": "binary"}}),
    );
    check(
        OpenApi::V31,
        "/paths/~1searches/post/requestBody/content/application~1x-www-form-urlencoded/schema/properties",
        &json!({"page": {"type": "integer"}, "tag": {"type": "array", "items": {"type": "string"}}}),
    );
}

#[test]
fn texts_and_octets_are_described() {
    let of = |path: &str, media: &str| format!("/paths/~1{path}/content/{media}/schema");
    check(
        OpenApi::V31,
        &of("report/get/responses/200", "text~1csv"),
        &json!({"type": "string", "description": "Comma-separated values (RFC 4180) with the columns `id`, `full name`, `born`."}),
    );
    check(
        OpenApi::V31,
        &of("events/get/responses/200", "text~1event-stream"),
        &json!({"type": "string", "description": "A stream of server-sent events (HTML, 9.2)."}),
    );
    check(
        OpenApi::V30,
        &of("metrics/post/requestBody", "application~1x-protobuf"),
        &json!({"type": "string", "format": "binary", "description": "A Protocol Buffers message."}),
    );
    check(
        OpenApi::V31,
        &of(
            "shop.v1.Catalog~1Find/post/responses/200",
            "application~1grpc-web+proto",
        ),
        &json!({"type": "string", "contentMediaType": "application/grpc-web+proto", "description": "Frames of gRPC-Web."}),
    );
}

#[test]
fn lines_are_said_to_be_lines() {
    check(
        OpenApi::V31,
        "/paths/~1bulk/post/requestBody/description",
        &json!("One JSON value on each line."),
    );
    check(
        OpenApi::V31,
        "/paths/~1bulk/post/responses/200/description",
        &json!("OK: one JSON value on each line"),
    );
}

#[test]
fn order_and_partition_change_nothing() {
    let exchanges = media(140, 5);
    let whole = document(&learnt(&exchanges), OpenApi::V31).to_json();
    let mut parts = learnt(exchanges.iter().skip(60).rev());
    parts.merge(Model::from_bytes(&learnt(exchanges.iter().take(60)).to_bytes()).unwrap());
    assert_eq!(whole, document(&parts, OpenApi::V31).to_json());
}
