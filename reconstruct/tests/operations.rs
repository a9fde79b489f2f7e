//! What is said of an operation beside its path and its bodies: parameters, headers, credentials, freshness.

mod common;

use common::storefront::{START, STEP, storefront};
use common::{Draw, Exchange};
use proptest::prelude::*;
use serde_json::{Value, json};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model, OpenApi};

fn host() -> HostName {
    HostName::parse(b"shop.example.com", "https").unwrap()
}

fn learnt<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model
}

fn document(openapi: OpenApi) -> Value {
    let options = DocumentOptions {
        openapi,
        ..DocumentOptions::default()
    };
    learnt(&storefront(600, 1))
        .document(&host(), &options)
        .as_value()
        .clone()
}

/// The parameter of an operation by name.
fn parameter(document: &Value, path: &str, name: &str) -> Value {
    document["paths"][path]["get"]["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["name"] == name)
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn query_parameters_are_written_as_they_are_sent() {
    let document = document(OpenApi::V31);
    let check = |name: &str, expected: Value| {
        assert_eq!(parameter(&document, "/v1/products", name), expected);
    };
    check(
        "ids",
        json!({"name": "ids", "in": "query", "description": "Filter: the entries to return, by their ids.", "style": "form", "explode": false,
        "schema": {"type": "array", "items": {"type": "integer"}}}),
    );
    check(
        "sort",
        json!({"name": "sort", "in": "query", "description": "Sorting: what to order entries by.", "style": "form", "explode": false,
        "schema": {"type": "array", "items": {"type": "string"}}}),
    );
    check(
        "tag",
        json!({"name": "tag", "in": "query", "description": "Filter: only entries of this kind.", "style": "form", "explode": true,
        "schema": {"type": "array", "items": {"type": "string"}}}),
    );
    check(
        "color",
        json!({"name": "color", "in": "query", "style": "pipeDelimited", "explode": false,
        "schema": {"type": "array", "items": {"type": "string", "enum": ["blue", "green", "red"]}}}),
    );
    check(
        "page",
        json!({"name": "page", "in": "query", "description": "Pagination: which page to return.", "required": true, "style": "deepObject", "explode": true,
        "schema": {"type": "object", "properties": {"number": {"type": "integer"}, "size": {"type": "integer"}}, "required": ["number", "size"]}}),
    );
    check(
        "filter",
        json!({"name": "filter", "in": "query", "description": "Filter: which entries to return.", "style": "deepObject", "explode": true,
        "schema": {"type": "object", "properties": {
            "price": {"type": "object", "properties": {"from": {"type": "integer"}, "to": {"type": "integer"}}},
            "status": {"type": "string", "enum": ["active", "sold"]}}}}),
    );
    check(
        "range",
        json!({"name": "range", "in": "query", "style": "deepObject", "explode": true, "schema": {"type": "object", "additionalProperties": {"type": "integer"}}}),
    );
    check(
        "where",
        json!({"name": "where", "in": "query", "description": "Filter: which entries to return.", "content": {"application/json": {"schema":
        {"type": "object", "properties": {"stock": {"type": "integer"}}, "required": ["stock"]}}}}),
    );
    check(
        "pretty",
        json!({"name": "pretty", "in": "query", "description": "Whether to indent the answer for people.", "allowEmptyValue": true, "schema": {"type": "string"}}),
    );
    check(
        "created_after",
        json!({"name": "created_after", "in": "query", "description": "Filter: nothing from before this time.", "schema": {"type": "string", "format": "date"}}),
    );
    check(
        "x-tenant",
        json!({"name": "x-tenant", "in": "header", "required": true, "schema": {"type": "string", "enum": ["eu", "us"]}}),
    );
    // Texts with commas and blanks in them are no lists.
    assert_eq!(
        parameter(&document, "/v1/products/search", "q"),
        json!({"name": "q", "in": "query", "description": "Search: what to look for.", "required": true, "schema": {"type": "string"}})
    );
    assert_eq!(
        parameter(&document, "/v1/products/search", "visits"),
        json!({"name": "visits", "in": "cookie", "required": true, "schema": {"type": "integer"}})
    );
    assert_eq!(
        parameter(&document, "/v1/products/search", "_ga"),
        Value::Null
    );
}

#[test]
fn refused_calls_teach_no_names_of_their_own() {
    let mut all = Vec::new();
    for i in 0..6 {
        all.push(
            Exchange::new("GET", "/v1/books", 200)
                .query("limit=5")
                .json("[]"),
        );
        all.push(
            Exchange::new("GET", "/v1/authors", 200)
                .query(&format!("offset={i}"))
                .json("[]"),
        );
    }
    all.push(
        Exchange::new("GET", "/v1/books", 400)
            .query("offset=x&ofset=1&limit=y")
            .json("{}"),
    );
    let document = learnt(&all).document(&host(), &DocumentOptions::default());
    let document = document.as_value();
    assert_eq!(parameter(document, "/books", "ofset"), Value::Null);
    // Another operation has it, so it is one of the API's; what refused calls sent says nothing of its type.
    assert_eq!(
        parameter(document, "/books", "offset")["schema"],
        json!({"type": "integer"})
    );
    assert_eq!(
        parameter(document, "/books", "limit")["schema"],
        json!({"type": "integer"})
    );
}

#[test]
fn response_headers_and_deprecation() {
    let document = document(OpenApi::V31);
    let headers = |path: &str, method: &str, status: &str| {
        document["paths"][path][method]["responses"][status]["headers"].clone()
    };
    let list = headers("/v1/products", "get", "200");
    assert_eq!(
        list["x-total-count"],
        json!({"description": "How many entries there are in all.", "required": true, "schema": {"type": "integer"}})
    );
    assert_eq!(list["x-powered-by"], Value::Null);
    let limited = headers("/v1/products", "get", "429");
    assert_eq!(limited["retry-after"]["schema"], json!({"type": "integer"}));
    let cancelled = headers("/v1/orders/{orderId}/cancel", "post", "202");
    assert_eq!(
        cancelled["location"]["schema"],
        json!({"type": "string", "format": "uri-reference"})
    );
    assert_eq!(
        document["paths"]["/v1/baskets/{basketId}"]["get"]["deprecated"],
        true
    );
    assert_eq!(
        document["paths"]["/v1/products"]["get"]["deprecated"],
        Value::Null
    );
}

#[test]
fn credentials_become_schemes_and_alternatives() {
    let v31 = document(OpenApi::V31);
    let key = json!({"header_x-store-key": []});
    let security = |document: &Value, path: &str, method: &str| {
        document["paths"][path][method]["security"].clone()
    };
    assert_eq!(security(&v31, "/v1/products", "get"), json!([key]));
    // The token was not needed.
    assert_eq!(
        security(&v31, "/v1/products/{productId}", "get"),
        json!([key])
    );
    assert_eq!(
        security(&v31, "/v1/orders/{orderId}/cancel", "post"),
        json!([{"header_x-store-key": [], "oauth2": []}])
    );
    assert_eq!(
        security(&v31, "/v1/settings", "put"),
        json!([{"cookie_sessionid": [], "header_x-store-key": []}, {"digestAuth": [], "header_x-store-key": []}])
    );
    assert_eq!(
        security(&v31, "/v1/payouts", "get"),
        json!([{"mutualTLS": []}])
    );
    // A key that one operation is sent is a parameter of it.
    assert_eq!(parameter(&v31, "/v1/payouts", "x-map-key")["in"], "header");
    assert_eq!(parameter(&v31, "/v1/products", "x-store-key"), Value::Null);
    let flow = json!({"tokenUrl": "https://shop.example.com/oauth/token", "refreshUrl": "https://shop.example.com/oauth/token",
        "scopes": {"orders:read": "Asked for as orders:read.", "orders:write": "Asked for as orders:write."}});
    assert_eq!(
        v31["components"]["securitySchemes"]["oauth2"]["flows"],
        json!({"clientCredentials": flow})
    );
    let v30 = document(OpenApi::V30);
    assert_eq!(security(&v30, "/v1/payouts", "get"), json!([]));
    assert_eq!(
        v30["paths"]["/v1/payouts"]["get"]["x-silhouette"]["clientCertificate"],
        "required"
    );
}

#[test]
fn what_succeeds_no_more_is_stale_and_then_gone() {
    let mut all = storefront(100, 3);
    all.retain(|e| e.path != "/v1/settings" || e.millis < START + 20 * STEP);
    let model = learnt(&all);
    let now = START + 100 * STEP;
    let at = |stale_after, drop_after| {
        let options = DocumentOptions {
            now_unix_millis: Some(now),
            stale_after,
            drop_after,
            ..DocumentOptions::default()
        };
        model.document(&host(), &options)
    };
    let stale = at(Some(50 * STEP), None);
    let marked: Vec<&str> = stale
        .operations()
        .iter()
        .filter(|o| o.stale)
        .map(|o| o.path.as_str())
        .collect();
    assert_eq!(marked, ["/v1/settings"]);
    assert_eq!(
        stale.as_value()["paths"]["/v1/settings"]["put"]["x-silhouette"]["stale"],
        true
    );
    let dropped = at(None, Some(50 * STEP));
    assert_eq!(dropped.as_value()["paths"]["/v1/settings"], Value::Null);
    assert_eq!(dropped.as_value()["x-silhouette"]["agedOut"], 1);
    assert_eq!(dropped.operations().len() + 1, stale.operations().len());
    let never = model.document(&host(), &DocumentOptions::default());
    assert!(never.operations().iter().all(|o| !o.stale));
    assert_eq!(never.operations().len(), stale.operations().len());
}

#[test]
fn confidence_grows_with_calls_and_falls_with_what_cannot_be_read() {
    let confidence = |calls: usize, broken: usize| {
        let all: Vec<Exchange> = (0..calls)
            .map(|i| {
                Exchange::new("GET", "/v1/books", 200).json(if i < broken { "{" } else { "{}" })
            })
            .collect();
        let document = learnt(&all).document(&host(), &DocumentOptions::default());
        document.as_value()["paths"]["/books"]["get"]["x-silhouette"]["confidence"]
            .as_f64()
            .unwrap()
    };
    assert!(confidence(1, 0) < confidence(10, 0) && confidence(10, 0) < confidence(200, 0));
    assert!(confidence(200, 0) <= 1.0 && confidence(200, 100) < 0.6);
}

#[test]
fn grpc_is_left_out_with_a_count_of_its_methods() {
    let all: Vec<Exchange> = (0..30)
        .map(|i| {
            Exchange::new("POST", &format!("/shop.v1.Orders/Method{}", i % 7), 200)
                .sends("application/grpc", "x")
        })
        .collect();
    let document = learnt(&all).document(&host(), &DocumentOptions::default());
    let about = &document.as_value()["x-silhouette"];
    assert_eq!(
        (&about["leftOut"]["grpc"], &about["grpcMethods"]),
        (&json!(30), &json!(7))
    );
    assert!(document.operations().is_empty());
}

#[test]
fn forgetting_frees_memory_and_leaves_the_rest_alone() {
    let mut d = Draw(5);
    let old: Vec<Exchange> = (0..400)
        .map(|i| {
            let word = |n: u64| char::from(b'a' + (n % 26) as u8);
            let mut e = Exchange::new(
                "GET",
                &format!("/old/{}{}{}", word(i), word(i / 26), word(i / 7)),
                200,
            )
            .json(&format!("{{\"m{}\":{}}}", d.below(1000), d.next()));
            e.millis = START - 1_000_000;
            e
        })
        .collect();
    let new = storefront(300, 2);
    let mut model = learnt(old.iter().chain(&new));
    let full = model.memory_bytes();
    assert!(model.forget(START) > 0);
    assert!(
        model.memory_bytes() * 2 < full,
        "{} of {full} bytes",
        model.memory_bytes()
    );
    let (left, fresh) = (
        model.document(&host(), &DocumentOptions::default()),
        learnt(&new).document(&host(), &DocumentOptions::default()),
    );
    assert_eq!(left.as_value()["paths"], fresh.as_value()["paths"]);
    assert_eq!(model.forget(START), 0);
    model.forget(u64::MAX);
    assert_eq!(model.summary(&DocumentOptions::default()).operations, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_partition_do_not_matter(seed in any::<u64>(), n in 1usize..200, cut in 0usize..200) {
        let all = storefront(n, seed);
        let cut = cut.min(n);
        let mut one = learnt(all.iter().rev());
        let mut two = learnt(&all[cut..]);
        two.merge(Model::from_bytes(&learnt(&all[..cut]).to_bytes()).unwrap());
        let text = |m: &Model| m.document(&host(), &DocumentOptions::default()).to_json();
        prop_assert_eq!(text(&one), text(&two));
        // Forgetting is a function of the model, and what is left merges and learns as before.
        let before = START + cut as u64 * STEP;
        prop_assert_eq!(one.forget(before), two.forget(before));
        prop_assert_eq!(text(&one), text(&two));
        all.iter().for_each(|e| { e.observe(&mut one); });
        two.merge(learnt(&all));
        prop_assert_eq!(text(&one), text(&two));
    }
}
