//! The test vectors: settings and an exchange in, the expected telemetry or the reason for none out.
//!
//! One function runs them wherever capture runs: in `cargo test` natively and on wasm32-wasip1, and from the cdylib of
//! `examples/vectors.rs` on wasm32-unknown-unknown. `SILHOUETTE_UPDATE_VECTORS=1 cargo test -p silhouette-capture
//! --test vectors` rewrites what is expected; read the difference before you commit it.

use std::sync::Arc;

use prost::Message;
use serde_json::{Map, Value, json};
use silhouette_capture::{
    Clock, End, Gateway, Peers, Recorder, RequestHead, Sampler, Settings, Tls,
};
use silhouette_proto::telemetry::v1::{Address, Body, Exchange, Header};

/// Every file of vectors: its name and text.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("exchange.json", include_str!("../../vectors/exchange.json")),
    ("policy.json", include_str!("../../vectors/policy.json")),
    (
        "redaction.json",
        include_str!("../../vectors/redaction.json"),
    ),
    ("bodies.json", include_str!("../../vectors/bodies.json")),
];

/// Runs all vectors; gives how many there are and what is wrong.
pub(crate) fn run() -> (usize, Vec<String>) {
    let (mut count, mut failures) = (0, Vec::new());
    for (file, text) in FILES {
        let vectors: Vec<Value> =
            serde_json::from_str(text).expect("a file of vectors is a JSON array");
        for vector in &vectors {
            count += 1;
            let got = outcome(vector);
            if got != vector["expect"] {
                failures.push(format!(
                    "{file}: {}\n  expected {}\n  got      {got}",
                    vector["name"], vector["expect"]
                ));
            }
        }
    }
    (count, failures)
}

/// What becomes of a vector's exchange, in the form of its `expect`.
pub(crate) fn outcome(vector: &Value) -> Value {
    let mut settings = Settings::default();
    for (name, value) in vector["settings"].as_object().into_iter().flatten() {
        if let Err(error) = settings.set(name, text(value)) {
            return json!({ "error": error.to_string() });
        }
    }
    let policy = match settings.build() {
        Ok(policy) => Arc::new(policy),
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let request = &vector["request"];
    let authority = bytes(
        request
            .get("authority")
            .unwrap_or(&json!("api.example.com")),
    );
    let path = bytes(request.get("path").unwrap_or(&json!("/")));
    let query = request.get("query").map(bytes);
    let head = RequestHead {
        scheme: request["scheme"].as_str().unwrap_or("https"),
        authority: &authority,
        method: request["method"].as_str().unwrap_or("GET").as_bytes(),
        path: &path,
        query: query.as_deref(),
        http_version: request["version"].as_str().unwrap_or("1.1"),
    };
    let clock = Clock {
        unix_nanos: 1_700_000_000_000_000_000,
        monotonic_nanos: 5_000_000,
    };
    let headers = headers(&request["headers"]);
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()));
    let begun = Recorder::begin(
        &policy,
        &mut Sampler::new(7),
        [9; 16],
        &head,
        headers,
        clock,
    );
    let mut recorder = match begun {
        Ok(recorder) => recorder,
        Err(skip) => return json!({ "skip": skip.as_str() }),
    };
    for chunk in request["body"].as_array().into_iter().flatten() {
        if recorder.wants_request_body() {
            recorder.request_chunk(&bytes(chunk));
        }
    }
    let response = &vector["response"];
    if response.is_object() {
        let headers = self::headers(&response["headers"]);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let status = response["status"].as_u64().unwrap_or(200);
        recorder.response_head(
            u16::try_from(status).expect("a status fits u16"),
            headers,
            6_500_000,
        );
        for chunk in response["body"].as_array().into_iter().flatten() {
            if recorder.wants_response_body() {
                recorder.response_chunk(&bytes(chunk));
            }
        }
    }
    let end = &vector["end"];
    let address = |name: &str| {
        end[name]
            .as_str()
            .map(|text| text.parse().expect("an address and a port"))
    };
    let str = |name: &str| end[name].as_str().unwrap_or_default();
    let attributes: Vec<(&str, &str)> = end["attributes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), text(value)))
        .collect();
    let end = End {
        monotonic_nanos: 9_000_000,
        gateway: Gateway {
            route: str("route"),
            service: str("service"),
            upstream: str("upstream"),
            upstream_address: address("upstream_address"),
            virtual_server: str("virtual_server"),
            consumer: str("consumer"),
            upstream_micros: end["upstream_micros"].as_u64(),
            attributes: &attributes,
        },
        peers: Peers {
            client: address("client"),
            server: address("server"),
        },
        tls: end["tls"].as_object().map(|tls| Tls {
            version: text(&tls["version"]),
            cipher: text(&tls["cipher"]),
            server_name: text(&tls["server_name"]),
            client_certificate: tls["client_certificate"].as_bool().unwrap_or(false),
        }),
        request_size: end["request_size"].as_u64(),
        response_size: end["response_size"].as_u64(),
        unfinished: end["unfinished"].as_bool().unwrap_or(false),
    };
    match recorder.finish(&end) {
        Ok(sealed) => match Exchange::decode(sealed.as_bytes()) {
            Ok(exchange) => shown(&exchange),
            Err(error) => json!({ "undecodable": error.to_string() }),
        },
        Err(skip) => json!({ "skip": skip.as_str() }),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A string is its UTF-8; `{"hex": "00ff"}` is bytes; `{"repeat": "ab", "times": 3}` is long.
fn bytes(value: &Value) -> Vec<u8> {
    if let Some(hex) = value["hex"].as_str() {
        let digit = |c: char| c.to_digit(16).expect("hexadecimal digits");
        let digits: Vec<char> = hex.chars().collect();
        return digits
            .chunks(2)
            .map(|pair| (digit(pair[0]) << 4 | digit(pair[1])) as u8)
            .collect();
    }
    match value["times"].as_u64() {
        Some(times) => text(&value["repeat"])
            .repeat(usize::try_from(times).expect("a small number"))
            .into_bytes(),
        None => text(value).as_bytes().to_vec(),
    }
}

fn headers(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| (bytes(&pair[0]), bytes(&pair[1])))
        .collect()
}

/// An exchange for people: what is empty is left out, bytes are text where they can be.
fn shown(exchange: &Exchange) -> Value {
    let mut out = Map::new();
    let Exchange {
        start_unix_nanos,
        response_head_micros,
        duration_micros,
        client,
        server,
        tls,
        ..
    } = exchange;
    assert_eq!(exchange.id.as_ref(), [9; 16]);
    put(&mut out, "start", json!(start_unix_nanos));
    put(&mut out, "head_micros", json!(response_head_micros));
    put(&mut out, "micros", json!(duration_micros));
    put(
        &mut out,
        "client",
        client.as_ref().map_or(Value::Null, shown_address),
    );
    put(
        &mut out,
        "server",
        server.as_ref().map_or(Value::Null, shown_address),
    );
    if let Some(tls) = tls {
        put(
            &mut out,
            "tls",
            json!([
                tls.version,
                tls.cipher,
                tls.server_name,
                tls.client_certificate
            ]),
        );
    }
    put(&mut out, "scheme", json!(exchange.scheme));
    put(&mut out, "authority", shown_bytes(&exchange.authority));
    put(&mut out, "version", json!(exchange.http_version));
    if let Some(request) = &exchange.request {
        let mut shown = Map::new();
        put(&mut shown, "method", json!(request.method));
        put(&mut shown, "path", shown_bytes(&request.path));
        if let Some(query) = &request.query {
            shown.insert("query".to_owned(), shown_bytes(query));
        }
        put(&mut shown, "headers", shown_headers(&request.headers));
        put(&mut shown, "body", shown_body(request.body.as_ref()));
        put(
            &mut shown,
            "headers_dropped",
            json!(request.headers_dropped),
        );
        put(
            &mut shown,
            "target_truncated",
            json!(request.target_truncated),
        );
        out.insert("request".to_owned(), Value::Object(shown));
    }
    if let Some(response) = &exchange.response {
        let mut shown = Map::new();
        put(&mut shown, "status", json!(response.status));
        put(&mut shown, "headers", shown_headers(&response.headers));
        put(&mut shown, "body", shown_body(response.body.as_ref()));
        put(
            &mut shown,
            "headers_dropped",
            json!(response.headers_dropped),
        );
        out.insert("response".to_owned(), Value::Object(shown));
    }
    if let Some(gateway) = &exchange.gateway {
        let mut shown = Map::new();
        put(&mut shown, "route", json!(gateway.route));
        put(&mut shown, "service", json!(gateway.service));
        put(&mut shown, "upstream", json!(gateway.upstream));
        put(
            &mut shown,
            "upstream_address",
            gateway
                .upstream_address
                .as_ref()
                .map_or(Value::Null, shown_address),
        );
        put(&mut shown, "virtual_server", json!(gateway.virtual_server));
        put(&mut shown, "consumer", json!(gateway.consumer));
        put(
            &mut shown,
            "upstream_micros",
            json!(gateway.upstream_micros),
        );
        let attributes: Map<_, _> = gateway
            .attributes
            .iter()
            .map(|a| (a.key.clone(), json!(a.value)))
            .collect();
        put(&mut shown, "attributes", Value::Object(attributes));
        out.insert("gateway".to_owned(), Value::Object(shown));
    }
    put(&mut out, "unfinished", json!(exchange.unfinished));
    Value::Object(out)
}

fn put(out: &mut Map<String, Value>, name: &str, value: Value) {
    let empty = match &value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => name.ends_with("dropped") && number.as_u64() == Some(0),
        Value::Bool(true) => false,
    };
    if !empty {
        out.insert(name.to_owned(), value);
    }
}

fn shown_address(address: &Address) -> Value {
    json!([shown_bytes(&address.ip), address.port])
}

fn shown_bytes(bytes: &[u8]) -> Value {
    let plain = std::str::from_utf8(bytes).ok().filter(|text| {
        !text
            .chars()
            .any(|c| c.is_control() && !"\r\n\t".contains(c))
    });
    match plain {
        Some(text) if text.len() > 200 => {
            json!({ "begins": text.chars().take(40).collect::<String>(), "length": bytes.len() })
        }
        Some(text) => json!(text),
        None => json!({ "hex": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() }),
    }
}

fn shown_headers(headers: &[Header]) -> Value {
    if headers.len() > 20 {
        return json!({ "count": headers.len() });
    }
    headers
        .iter()
        .map(|header| json!([shown_bytes(&header.name), shown_bytes(&header.value)]))
        .collect()
}

fn shown_body(body: Option<&Body>) -> Value {
    let Some(body) = body else { return Value::Null };
    let mut shown = Map::new();
    put(&mut shown, "data", shown_bytes(&body.data));
    put(&mut shown, "original_size", json!(body.original_size));
    put(&mut shown, "truncated", json!(body.truncated));
    put(&mut shown, "omitted", json!(body.omitted));
    put(&mut shown, "redacted", json!(body.redacted));
    Value::Object(shown)
}
