//! Many procedures behind one path.

mod common;

use common::{Draw, Exchange, procedures::procedures};
use serde_json::{Value, json};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};

fn learnt(exchanges: &[Exchange]) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model
}

fn document(model: &Model) -> Value {
    let host = HostName::parse(b"api.example.com", "https").unwrap();
    let document = model.document(&host, &DocumentOptions::default());
    document.as_value().clone()
}

fn check(at: &str, expected: &Value) {
    let document = document(&learnt(&procedures(120, 1)));
    assert_eq!(
        document.pointer(at).unwrap_or(&Value::Null),
        expected,
        "{at}"
    );
}

#[test]
fn one_path_names_what_it_carries() {
    check(
        "/paths/~1graphql/post/x-silhouette/graphql",
        &json!({"queries": ["GetUser", "ListUsers"], "mutations": ["RenameUser"]}),
    );
    // A document without a name is one all the same.
    check(
        "/paths/~1graphql/get/x-silhouette/graphql",
        &json!({"queries": []}),
    );
    check(
        "/paths/~1rpc/post/x-silhouette/jsonRpc",
        &json!(["chain.height", "log", "wallet.list", "wallet.send"]),
    );
    check(
        "/paths/~1stock/post/x-silhouette/soapActions",
        &json!(["Buy", "GetPrice"]),
    );
}

#[test]
fn a_search_is_no_graphql() {
    let document = document(&learnt(&[
        Exchange::new("POST", "/search", 200).sends("application/json", r#"{"query":"shoes"}"#),
        Exchange::new("POST", "/search", 200).sends("application/json", r#"{"query":"{a: 1}"}"#),
    ]));
    let seen = &document["paths"]["/search"]["post"]["x-silhouette"];
    assert!(
        seen["calls"] == 2 && seen.get("graphql").is_none(),
        "{seen}"
    );
}

#[test]
fn a_graphql_request_is_described_without_its_queries() {
    let document = document(&learnt(&procedures(600, 2)));
    let mut schema = &document["paths"]["/graphql"]["post"]["requestBody"]["content"]["application/json"]
        ["schema"];
    if let Some(at) = schema["$ref"].as_str() {
        schema = document.pointer(at.trim_start_matches('#')).unwrap();
    }
    assert_eq!(schema["properties"]["query"], json!({"type": "string"}));
    assert_eq!(
        schema["properties"]["operationName"],
        json!({"type": "string"})
    );
    assert_eq!(schema["required"], json!(["query", "variables"]));
}

#[test]
fn procedures_do_not_depend_on_order_and_stay_bounded() {
    let mut d = Draw(5);
    let mut all = procedures(300, 3);
    for _ in 0..4000 {
        let method: String = (0..9)
            .map(|_| char::from(b'a' + d.below(26) as u8))
            .collect();
        all.push(Exchange::new("POST", "/rpc", 200).sends(
            "application/json",
            &json!({"jsonrpc": "2.0", "method": method}).to_string(),
        ));
    }
    let one = learnt(&all);
    let document = document(&one);
    let names = document["paths"]["/rpc"]["post"]["x-silhouette"]["jsonRpc"].as_array();
    assert!(names.is_some_and(|n| n.len() <= 192), "{names:?}");
    all.reverse();
    let (left, right) = all.split_at(1700);
    let mut two = learnt(left);
    two.merge(learnt(right));
    assert_eq!(document, self::document(&two));
    assert!(one.memory_bytes() < 1 << 20);
}

#[test]
fn xml_is_described_with_its_hints() {
    let own = json!({"namespace": "http://schemas.xmlsoap.org/soap/envelope/", "prefix": "s"});
    check(
        "/paths/~1stock/post/requestBody/content/text~1xml/schema",
        &json!({
            "type": "object",
            "properties": {"Body": {
                "type": "object",
                "properties": {"Order": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "integer", "xml": {"attribute": true}},
                        "item": {"type": "array", "items": {"type": "integer"}},
                    },
                    "required": ["id", "item"],
                }},
                "required": ["Order"],
                "xml": own,
            }},
            "required": ["Body"],
            "xml": {"namespace": own["namespace"], "prefix": "s", "name": "Envelope"},
        }),
    );
}
